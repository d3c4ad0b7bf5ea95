"""The play of the demo: what happens in which act, and what is checked meanwhile.

Owns the plot. Reads no clock but the one it is given and starts no process, so a test can perform it in virtual time
with machines that misbehave on purpose.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import NamedTuple

from heartbeat_kit import (
    Clock,
    FleetState,
    HeartbeatService,
    Instant,
    MachineStatus,
    ObserverHealth,
    Reason,
    Transition,
)
from heartbeat_kit.cli._demo_audit import (
    Interrupted,
    Pace,
    PlayFailed,
    Story,
    agreement,
    exactly,
    in_time,
    same_silence,
)
from heartbeat_kit.cli._demo_fleet import Fleet
from heartbeat_kit.cli._demo_folders import Folders
from heartbeat_kit.cli._demo_site import Site
from heartbeat_kit.cli._demo_stage import Stage
from heartbeat_kit.cli._view import span

__all__ = ["Play"]

_ONLINE, _WARNING, _OFFLINE = MachineStatus.ONLINE, MachineStatus.WARNING, MachineStatus.OFFLINE


class _Heard(NamedTuple):
    at: Instant
    event: Transition


class Play:
    """One performance.

    Args:
        fleet: The machines.
        observer: Our own service; started and stopped by the caller.
        stage: Where it is shown.
        site: Where the files are.
        clock: The observer's clock.
        wait: Waits for so many seconds; true if somebody asked to stop.
        pace: The times.
        machines: Who plays; the second is killed, the third says goodbye.
        startup_ms: How long a process may take until it runs.
    """

    def __init__(
        self,
        fleet: Fleet,
        observer: HeartbeatService,
        stage: Stage,
        site: Site,
        *,
        clock: Clock,
        wait: Callable[[float], bool],
        pace: Pace,
        machines: Sequence[str],
        startup_ms: int,
    ) -> None:
        self.findings: list[str] = []
        self.problems: list[str] = []
        self.victim, self.leaver = machines[1], machines[2]
        self._fleet, self._observer, self._stage = fleet, observer, stage
        self._clock, self._wait, self._pace = clock, wait, pace
        self._machines, self._startup_ms = tuple(machines), startup_ms
        self._limit_ms = pace.timeout_ms + 4 * pace.late_ms
        self._everybody = (*self._machines, observer.machine_id)
        self._heard: list[_Heard] = []
        self._shown = 0
        self._lock = threading.Lock()
        self._allowed: dict[str, frozenset[MachineStatus]] = {}
        self._last_beat_ms: int | None = None
        self._looked_ms: int | None = None
        self._looks = 0
        self._silence: tuple[_Heard, ...] = ()
        self._folders = Folders(self, fleet, stage, site, machines)
        observer.on_transition(self._hear)

    def perform(self) -> None:
        """All acts.

        Raises:
            PlayFailed: It cannot go on.
            Interrupted: Somebody asked to stop.
        """
        self._everybody_comes()
        self._folders.come_into_step()
        self._one_is_killed()
        self._folders.preserve()
        self._it_returns()
        self._folders.catch_up()
        self._one_leaves()

    def until(self, what: str, holds: Callable[[], bool], *, rounds: int) -> None:
        """Go on until something holds that takes no longer than so many starts of a process.

        Raises:
            PlayFailed: It does.
        """
        self._until(what, holds, rounds * self._startup_ms)

    def moment(self, text: str) -> None:
        """A line of the timeline."""
        self._stage.moment(self._clock.now(), text)

    def rest(self) -> None:
        """Time to read."""
        until = self._clock.now().mono_ms + self._pace.beat_ms
        while self._clock.now().mono_ms < until:
            self._pause(min(self._pace.look_ms, 100))
            self._pump()

    def audit(self) -> None:
        """After the end: every machine said everything it had to say, so once is once."""
        victim, leaver = self.victim, self.leaver
        stories: list[Story] = [(machine_id, _ONLINE, Reason.FIRST_SEEN) for machine_id in self._everybody]
        stories += [
            (victim, _WARNING, Reason.SILENT),
            (victim, _OFFLINE, Reason.SILENT),
            (victim, _ONLINE, Reason.RETURNED),
            (leaver, _OFFLINE, Reason.LEFT),
        ]
        events = [heard.event for heard in self._heard]
        self._note(
            exactly(events, stories), f"each of the {len(stories)} events was announced exactly once, and no other"
        )
        of_victim = [event for event in events if event.machine_id == victim and event.reason is not Reason.FIRST_SEEN]
        survivors = [machine_id for machine_id in self._machines if machine_id != victim]
        found = []
        for survivor in survivors:
            told = [
                event
                for event in self._fleet.announced_by(survivor)
                if event["machineId"] == victim and event["reason"] != Reason.FIRST_SEEN
            ]
            found += agreement(survivor, told, of_victim)
        self._note(
            found,
            f"{len(survivors)} surviving machines announced the silence and the return of {victim} once each, "
            "under the same event ids as we did",
        )

    def _everybody_comes(self) -> None:
        count, beat = len(self._machines), self._pace.beat_ms / 1000
        self._stage.act(
            "Everybody comes online",
            f"{count} processes start, one for each machine. Each writes a small file of its own every {beat:g} s and "
            "reads the files of the others; nobody talks to anybody. This program does the same and is the observer.",
        )
        for machine_id in self._machines:
            self._fleet.start(machine_id, leave=machine_id == self.leaver)
        limit = self._startup_ms + 6 * self._pace.beat_ms
        self._until("every machine to be online and announced", self._all_here, limit)
        self._until("every machine to see every other", self._all_see_all, limit)
        self._allowed = dict.fromkeys(self._everybody, frozenset({_ONLINE}))
        self._stage.remark(f"Every machine sees all {len(self._everybody)}, each from its own point of view.")
        self._table()
        self.findings.append(f"{count} machines and the observer came online, and all of them saw each other")
        self.rest()

    def _one_is_killed(self) -> None:
        victim, timeout = self.victim, self._pace.timeout_ms / 1000
        self._stage.act(
            f"{victim} is killed",
            f"As if somebody pulled its plug: no goodbye. Nobody can see a death, only a silence: {timeout:g} s "
            f"without a heartbeat is a warning, {2 * timeout:g} s means offline. Each is announced once.",
        )
        self._allowed[victim] = frozenset({_ONLINE, _WARNING, _OFFLINE})
        self._fleet.kill(victim)
        killed = self._clock.now()
        self._stage.moment(killed, f"kill {victim}")
        self._last_beat_ms = last = self._stored_beat(victim)
        self._folders.go_on_without()
        warning = self._silent_for(1, _WARNING, last)
        self._table()
        offline = self._silent_for(2, _OFFLINE, last)
        self._allowed[victim] = frozenset({_OFFLINE})
        self._until(
            f"the others to announce {victim} offline", lambda: self._others_told(offline.event), self._limit_ms
        )
        self._stage.remark("Each of the others has found out by itself, and announced it too.")
        self._table()
        self._silence = (warning, offline)
        after = [span(heard.at.wall_ms - last) for heard in self._silence]
        self.findings.append(
            f"{victim} was called warning {after[0]} and offline {after[1]} after its last heartbeat: "
            f"not before the deadlines, at most {span(self._pace.late_ms)} after them"
        )
        self.rest()

    def _silent_for(self, timeouts: int, status: MachineStatus, last_beat_ms: int) -> _Heard:
        heard = self._until_heard(self.victim, status, Reason.SILENT, self._limit_ms)
        self.problems += in_time(
            heard.event, timeouts, self._pace, last_beat_ms=last_beat_ms, heard_ms=heard.at.wall_ms
        )
        return heard

    def _it_returns(self) -> None:
        victim = self.victim
        self._stage.act(
            f"{victim} is started again",
            "A new process under the same name: a new life of the same machine. Its first heartbeat ends the silence.",
        )
        self._last_beat_ms = None
        self._allowed[victim] = frozenset({_OFFLINE, _ONLINE})
        self._fleet.start(victim)
        self.moment(f"start {victim}")
        limit = self._startup_ms + 6 * self._pace.beat_ms
        returned = self._until_heard(victim, _ONLINE, Reason.RETURNED, limit)
        self._allowed[victim] = frozenset({_ONLINE})
        self._until(f"the others to announce {victim} back", lambda: self._others_told(returned.event), limit)
        self._table()
        warning, offline = self._silence
        duration = span(returned.event.offline_duration_ms or 0)
        self._note(
            same_silence(warning.event, offline.event, returned.event),
            f"{victim} came back, with the {duration} it was offline; one episode from the warning to the return",
        )
        self.rest()

    def _one_leaves(self) -> None:
        leaver = self.leaver
        self._stage.act(
            f"{leaver} says goodbye",
            "It is asked to end, and its last heartbeat says so. Nobody has to wait for a silence to know.",
        )
        self._allowed[leaver] = frozenset({_ONLINE, _OFFLINE})
        self._fleet.ask_to_end(leaver)
        asked = self._clock.now()
        self._stage.moment(asked, f"ask {leaver} to end")
        left = self._until_heard(leaver, _OFFLINE, Reason.LEFT, self._startup_ms + self._pace.timeout_ms)
        self._allowed[leaver] = frozenset({_OFFLINE})
        self.rest()
        self._table()
        waited = left.at.mono_ms - asked.mono_ms
        late = (
            [] if waited < self._pace.timeout_ms else [f"the goodbye of {leaver} was heard after {span(waited)} only"]
        )
        self._note(late, f"{leaver} left, known {span(waited)} after it was asked to")
        if not self.problems:
            others = len(self._machines) - 2
            self.findings.append(f"the {others} others and the observer were online at each of {self._looks} looks")

    def _hear(self, event: Transition) -> None:
        with self._lock:  # the observer's background thread calls
            self._heard.append(_Heard(self._clock.now(), event))

    def _until_heard(self, machine_id: str, after: MachineStatus, reason: Reason, limit_ms: int) -> _Heard:
        def find() -> _Heard | None:
            story = (machine_id, after, reason)
            return next((h for h in self._heard if (h.event.machine_id, h.event.after, h.event.reason) == story), None)

        self._until(f"{machine_id} to be announced {after}", lambda: find() is not None, limit_ms)
        found = find()
        if found is None:
            raise AssertionError("what was heard is not forgotten")
        return found

    def _until(self, what: str, holds: Callable[[], bool], limit_ms: int) -> None:
        began = self._clock.now().mono_ms
        while True:
            self._pump()
            if holds():
                return
            waited = self._clock.now().mono_ms - began
            if waited > limit_ms:
                raise PlayFailed(f"waited {span(waited)} for {what}, in vain")
            self._pause(min(self._pace.look_ms, 100))

    def _pause(self, ms: int) -> None:
        if self._wait(ms / 1000):
            raise Interrupted

    def _pump(self) -> None:
        """Show what was heard, and look whether everything is as it may be."""
        with self._lock:
            new, self._shown = self._heard[self._shown :], len(self._heard)
        for heard in new:
            self._stage.event(heard.at, heard.event)
        now = self._clock.now()
        if self._last_beat_ms is not None and _OFFLINE in self._allowed[self.victim] and not self._offline_heard():
            self._stage.silence(self.victim, now.wall_ms - self._last_beat_ms, self._pace.timeout_ms)
        if accidents := self._fleet.accidents():
            raise PlayFailed("; ".join(accidents))
        if self._looked_ms is None or now.mono_ms - self._looked_ms >= self._pace.look_ms:
            self._looked_ms = now.mono_ms
            self._inspect(self._observer.state())

    def _offline_heard(self) -> bool:
        return any(h.event.machine_id == self.victim and h.event.after is _OFFLINE for h in self._heard)

    def _inspect(self, state: FleetState) -> None:
        if state.observer.health is ObserverHealth.BLIND:
            raise PlayFailed(f"the observer is blind: {state.observer.reason}")
        self._looks += 1
        for machine_id, allowed in self._allowed.items():
            status = state[machine_id].status if machine_id in state else MachineStatus.UNKNOWN
            if status not in allowed:
                may = " or ".join(sorted(allowed))
                self._blame(f"{machine_id} was {status} at a look, where it should have been {may}")
        if self._last_beat_ms is not None and self.victim in state:
            silence = state.retrieved_at_ms - self._last_beat_ms
            status = state[self.victim].status
            deadline = {_WARNING: self._pace.timeout_ms, _OFFLINE: 2 * self._pace.timeout_ms}.get(status, 0)
            if silence < deadline:
                self._blame(
                    f"{self.victim} was {status} at a look only {silence / 1000:.2f} s after its last heartbeat"
                )

    def _blame(self, problem: str) -> None:
        if problem not in self.problems:
            self.problems.append(problem)

    def _note(self, problems: list[str], finding: str) -> None:
        self.problems += problems
        if not problems:
            self.findings.append(finding)

    def _stored_beat(self, machine_id: str) -> int:
        """The stamp of the last heartbeat that is really stored."""
        return self._observer.storage.load().heartbeats[machine_id].last_heartbeat_ms

    def _all_here(self) -> bool:
        state = self._observer.state()
        announced = {heard.event.machine_id for heard in self._heard}
        return all(m in state and state[m].status is _ONLINE and m in announced for m in self._everybody)

    def _all_see_all(self) -> bool:
        return all(
            {event["machineId"] for event in self._fleet.announced_by(machine_id)} >= set(self._everybody)
            for machine_id in self._machines
        )

    def _others_told(self, event: Transition) -> bool:
        """Whether every other machine that runs has announced the machine's new status; the ids are audited later."""
        story = (event.machine_id, event.after, event.reason)
        return all(
            any((e["machineId"], e["after"], e["reason"]) == story for e in self._fleet.announced_by(machine_id))
            for machine_id in self._machines
            if machine_id != event.machine_id
        )

    def _table(self) -> None:
        processes = {machine_id: self._fleet.describe(machine_id) for machine_id in self._machines}
        self._stage.table(self._observer.state(), {**processes, self._observer.machine_id: "this program"})
