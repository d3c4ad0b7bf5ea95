"""The pass over the machines of one look: who changed, who is new, who cannot be read, who is gone.

Owns the bookkeeping between a snapshot and the memory, and the one loop that must be fast. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import NamedTuple

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis, Reason
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._observer._flapping import inherited
from heartbeat_kit._observer._guard import Disruption, latest_ms, postpone, settled
from heartbeat_kit._observer._known import NEVER, Known, Memory
from heartbeat_kit._observer._rivals import conflict_sentence, seen_host
from heartbeat_kit._observer._sighting import as_announced, first_sight, noted_only, risen
from heartbeat_kit._observer._silence import medium_silent, patience_ms, resumed
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._observer._verdict import judge, never_seen
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry, Observation, Snapshot

__all__ = ["Pass", "Rise"]


class Rise(NamedTuple):
    """A record that was seen to rise: not there at the look before, there at this one (monotonic times)."""

    heartbeat: Heartbeat
    unseen_ms: int
    seen_ms: int


class Pass:
    """One pass; `run()` fills what follows.

    Attributes:
        updates: What changed in memory, by machine id.
        announceable: Machines among them whose verdict may be announced.
        gone: Machines to forget, whose removal is to be announced.
        watermark: When anybody but the observer was heard last.
        rises: The records that were seen to rise, for the measure of the medium's jitter.
    """

    def __init__(
        self,
        *,
        memory: Memory,
        snapshot: Snapshot,
        ledger: Mapping[str, LedgerEntry],
        timing: Timing,
        started: Instant,
        finished: Instant,
        disruption: Disruption,
        observations: Mapping[str, Observation],
        owing: frozenset[str],
        observer: str,
        host: str,
        count: bool,
        between: tuple[Heartbeat, ...] = (),
    ) -> None:
        self.updates: dict[str, Known] = {}
        self.announceable: list[str] = []
        self.gone: dict[str, Known] = {}
        self.rises: list[Rise] = []
        self.watermark = memory.watermark.postponed(disruption.lost_ms, started.mono_ms)
        self._memory = memory
        self._snapshot = snapshot
        self._ledger = ledger
        self._timing = timing
        self._started = started
        self._finished = finished
        self._disruption = disruption
        self._observations = observations
        self._owing = owing
        self._observer = observer
        self._host = host
        self._count = count
        self._between = between
        self._last = memory.last or started
        self._gap_ms = started.mono_ms - self._last.mono_ms

    def run(self) -> None:
        """Visit every machine that may have changed."""
        memory, snapshot, get = self._memory, self._snapshot, self._memory.known.get
        delays = self._timing.delay_ms > 0
        visits = self._visits(everybody=self._disruption.settle or (delays and self._gap_ms > self._timing.timeout_ms))
        if delays and self._listen(visits) and self._was_unheard():
            self._disruption = self._disruption._replace(resumed=True)
            visits = self._visits(everybody=True)
        for machine_id, heartbeat in visits:
            self._present(machine_id, heartbeat, get(machine_id))
        for machine_id, reason in snapshot.unreadable.items():
            if machine_id not in snapshot.heartbeats:
                self._unreadable(machine_id, reason, get(machine_id))
        for machine_id, sentence in snapshot.conflicts.items():
            self._copies(machine_id, sentence)
        strangers = sum(machine_id not in memory.known for machine_id, _ in visits)
        if memory.last is None or len(memory.known) > len(snapshot.heartbeats) - strangers:
            self._missing()
        for machine_id in self._timing.expected:
            if machine_id not in memory.known and machine_id not in self.updates and machine_id not in self.gone:
                self._judge(machine_id, attrs.evolve(self._from_ledger(machine_id), absent=True))

    def _visits(self, *, everybody: bool) -> list[tuple[str, Heartbeat]]:
        """The machines to judge: those whose record changed or whose time has come, and those that are owed a word."""
        now, get = self._started.mono_ms, self._memory.known.get
        visits = []
        for machine_id, heartbeat in self._snapshot.heartbeats.items():  # the hot loop
            known = get(machine_id)
            if known is not None and known.heartbeat is heartbeat and now < known.wake_ms and not everybody:
                continue
            visits.append((machine_id, heartbeat))
        if self._owing:
            visited = {machine_id for machine_id, _ in visits}
            owing = (name for name in sorted(self._owing - visited) if name in self._snapshot.heartbeats)
            visits += [(name, self._snapshot.heartbeats[name]) for name in owing]
        return visits

    def _was_unheard(self) -> bool:
        """Whether the medium had been silent at the look before, by what is remembered or what was noted of it."""
        if self._memory.last is not None:
            before = self._memory.watermark.postponed(self._disruption.lost_ms, self._started.mono_ms)
            return resumed(before, self._timing, self._last.mono_ms)
        noted = [
            observation.silent_ms
            for machine_id, observation in self._observations.items()
            if (beat := self._snapshot.heartbeats.get(machine_id)) is not None and self._travelled(beat)
        ]
        return bool(noted) and min(noted) > patience_ms(self._timing, self._timing.heartbeat_ms)

    def _listen(self, visits: list[tuple[str, Heartbeat]]) -> bool:
        """Whether anybody was heard in this look whose record had to come through the medium."""
        heard = False
        for machine_id, heartbeat in visits:
            known = self._memory.known.get(machine_id)
            noted = self._observations.get(machine_id)
            if known is not None and known.heartbeat is not None:
                rose = heartbeat.order > known.heartbeat.order
            elif noted is not None:
                rose = heartbeat.order > noted.order
            else:
                rose = self._memory.last is not None
            if rose and self._travelled(heartbeat):
                self.watermark = self.watermark.heard(machine_id, self._finished.mono_ms)
                heard = True
        return heard

    def may_travel(self, machine_id: str, known: Known) -> bool:
        """Whether what is known of a machine came from elsewhere, or may have."""
        return machine_id != self._observer and (known.heartbeat is None or self._travelled(known.heartbeat))

    def _travelled(self, heartbeat: Heartbeat) -> bool:
        """Whether the record came from elsewhere: those of our own host are written to our own disk."""
        return heartbeat.machine_id != self._observer and (not self._host or heartbeat.host != self._host)

    def _present(self, machine_id: str, heartbeat: Heartbeat, known: Known | None) -> None:
        entry = self._ledger.get(machine_id)
        tombstone = entry is not None and entry.reason is Reason.REMOVED
        before = known.heartbeat if known is not None else None
        # Of an unchanged record the storage's own object is kept: the hot loop finds it by identity.
        newest = heartbeat if before is None or heartbeat.order >= before.order else before
        if entry is not None and tombstone and newest.order <= (entry.incarnation, entry.seq):
            if known is not None:  # removed by another observer, or it could not be read until now
                self.gone[machine_id] = known
            return  # an old copy of a removed machine's record does not bring it back
        if known is None or before is None:
            observation = self._observations.get(machine_id)
            fresh = first_sight(
                heartbeat,
                self._timing,
                self._finished,
                observation,
                self._snapshot.server_time_ms,
                trust_stamp=not self._disruption.clock_step,
            )
            if entry is not None:
                fresh = as_announced(fresh, entry, self._timing, self._started)
                fresh = self._as_flapping(fresh, entry)
            known = attrs.evolve(fresh, verdict=entry.status if entry is not None and not tombstone else None)
            if self._disruption.resumed:
                known = settled(known, self._timing, self._started)
        elif heartbeat.order > before.order:
            known = self._risen(machine_id, heartbeat, known, before)
        elif machine_id in self._memory.removed:
            return
        else:
            copies = known.copies if machine_id in self._snapshot.conflicts else None
            unchanged = attrs.evolve(known, heartbeat=newest, absent=False, unreadable=None, copies=copies)
            known = self._postponed(unchanged)
        self._judge(machine_id, known)

    def _as_flapping(self, known: Known, entry: LedgerEntry) -> Known:
        if not entry.flapping:
            return known
        ago = max(self._started.wall_ms - (entry.announced_ms or entry.since_ms), 0)
        slot = (self._started.mono_ms - ago) // self._timing.slot_ms
        return attrs.evolve(known, flapping=True, changes=inherited(slot))

    def _risen(self, machine_id: str, heartbeat: Heartbeat, known: Known, previous: Heartbeat) -> Known:
        fresh = risen(
            heartbeat,
            self._timing,
            self._last,
            self._finished,
            trust_stamp=not self._disruption.clock_step,
            server_ms=self._snapshot.server_time_ms,
            skew_ms=known.skew_ms,
        )
        contested = conflict_sentence(heartbeat, known.rival, None) is not None  # once is a machine that moved
        if self._timing.delay_ms and not contested and self._travelled(heartbeat):
            self.rises.append(Rise(heartbeat, self._last.mono_ms, self._finished.mono_ms))
        rival = known.rival
        way: tuple[Heartbeat, ...] = (previous, heartbeat)
        if self._between and machine_id == self._observer:
            unseen = (each for each in self._between if previous.order < each.order < heartbeat.order)
            way = (previous, *sorted(unseen, key=lambda each: each.order), heartbeat)
        if rival is not None or heartbeat.host != previous.host or len(way) > 2:
            # Two that beat in step may be met in the same order for a long time.
            timeout, timing = self._timing.timeout_for(heartbeat.interval_ms), self._timing
            patience = 2 * timeout + timing.delay_ms + timing.hold_ms
            for before, after in pairwise(way):
                rival = seen_host(before, after, rival, self._started.mono_ms, patience)
        return known.heard_again(fresh, rival)

    def _unreadable(self, machine_id: str, reason: str, known: Known | None) -> None:
        if known is None:
            known = self._from_ledger(machine_id)
        elif machine_id in self._memory.removed:  # nor does what cannot be read
            self.gone[machine_id] = known
            return
        self._judge(machine_id, self._postponed(attrs.evolve(known, unreadable=reason, absent=False)))

    def _copies(self, machine_id: str, sentence: str) -> None:
        known = self.updates.get(machine_id) or self._memory.known.get(machine_id)
        hidden = machine_id in self._memory.removed and machine_id not in self.updates
        if known is not None and known.copies != sentence and not hidden:
            self.updates[machine_id] = attrs.evolve(known, copies=sentence, wake_ms=-NEVER)

    def _missing(self) -> None:
        present = self._snapshot.heartbeats.keys() | self._snapshot.unreadable.keys()
        absent = {machine_id: known for machine_id, known in self._memory.known.items() if machine_id not in present}
        if self._memory.last is None:  # this process has not looked before: the ledger knows who else there was
            for machine_id, entry in self._ledger.items():
                if machine_id[0] != "*" and machine_id not in present and entry.reason is not Reason.REMOVED:
                    absent[machine_id] = self._from_ledger(machine_id)
        for machine_id, known in absent.items():
            offline = known.verdict is MachineStatus.OFFLINE and known.basis is not Basis.SENDER
            given_up = known.absent and (offline or never_seen(known))
            if machine_id in self._timing.expected and known.absent and never_seen(known):
                continue
            if self._timing.coherent or machine_id in self._memory.removed or given_up:
                self.gone[machine_id] = known
            else:
                self._judge(machine_id, self._postponed(attrs.evolve(known, absent=True, unreadable=None)))

    def _from_ledger(self, machine_id: str) -> Known:
        entry, noted = self._ledger.get(machine_id), self._observations.get(machine_id)
        verdict = None if entry is None else entry.status
        if verdict is None or noted is None or (entry is not None and entry.reason is Reason.REMOVED):
            return Known(None, Basis.SENDER, self._started.mono_ms, self._started.wall_ms, verdict=verdict)
        return noted_only(noted, verdict, self._timing, self._started)

    def _postponed(self, known: Known) -> Known:
        if known.verdict is MachineStatus.OFFLINE and known.basis is not Basis.SENDER:
            return known
        return postpone(known, self._disruption, self._timing, self._started, self._gap_ms)

    def _judge(self, machine_id: str, known: Known) -> None:
        now, timing = self._started, self._timing
        overdue = now.mono_ms - known.silence_ms >= timing.timeout_ms  # else the medium is in no doubt
        judged = judge(
            known,
            timing,
            now,
            stalled=self._disruption.stalled and now.mono_ms < latest_ms(known, timing),
            count=self._count,
            silent=overdue and medium_silent(machine_id, known.interval_ms, self.watermark, timing, now.mono_ms),
        )
        self.updates[machine_id] = judged.known
        if judged.announce and (known.heartbeat is not None or machine_id in self._ledger):
            self.announceable.append(machine_id)
