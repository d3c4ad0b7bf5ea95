"""The auditor of the demo: whether what was announced is what happened.

Owns the comparison of events with what they should be; each function answers with sentences about what is wrong, and
with none if nothing is. Pure: it reads no clock and sees no process.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import attrs

from heartbeat_kit import MachineStatus, Reason, Transition
from heartbeat_kit.cli._demo_errands import Answer

__all__ = [
    "Interrupted",
    "Pace",
    "PlayFailed",
    "Story",
    "agreement",
    "differences",
    "exactly",
    "in_time",
    "same_silence",
    "saved_once",
]


class PlayFailed(Exception):  # noqa: N818 - an end of the play, as the other one is
    """Something went so wrong that the play cannot go on; the text says what."""


class Interrupted(Exception):  # noqa: N818 - nobody's error
    """Somebody asked to stop."""


Story = tuple[str, MachineStatus, Reason]
"""Of an event: which machine, to which status, why."""


@attrs.frozen(kw_only=True)
class Pace:
    """The times of the play, in milliseconds.

    Attributes:
        beat_ms: A machine beats so often.
        timeout_ms: T: the same four beats of patience as the library's defaults, 30 s and 120 s.
        look_ms: The observer looks so often.
        slack_ms: What a busy computer may add before we call it late.
    """

    beat_ms: int
    timeout_ms: int
    look_ms: int
    slack_ms: int

    @classmethod
    def of(cls, beat_ms: int) -> Pace:
        """The pace of a beat."""
        return cls(beat_ms=beat_ms, timeout_ms=4 * beat_ms, look_ms=max(beat_ms // 2, 1), slack_ms=beat_ms)

    @property
    def late_ms(self) -> int:
        """After a deadline: one look until the last beat was seen, one until the deadline was, and the slack."""
        return 2 * self.look_ms + self.slack_ms


def exactly(events: Iterable[Transition], expected: Iterable[Story]) -> list[str]:
    """Each expected event came exactly once, and no other did."""
    came = Counter((event.machine_id, event.after, event.reason) for event in events)
    wanted = Counter(expected)
    found = []
    for story in sorted(came.keys() | wanted.keys()):
        machine_id, after, reason = story
        if came[story] != wanted[story]:
            found.append(f"{machine_id} was announced {after} ({reason}) {came[story]} times, expected {wanted[story]}")
    return found


def in_time(event: Transition, timeouts: int, pace: Pace, *, last_beat_ms: int, heard_ms: int) -> list[str]:
    """An event of silence came neither before its deadline nor long after it.

    Args:
        event: The event.
        timeouts: Its deadline, in timeouts after the last beat.
        pace: The times of the play.
        last_beat_ms: When the machine really beat last.
        heard_ms: When the observer's listener was really called.
    """
    deadline = timeouts * pace.timeout_ms
    found = []
    if event.last_heartbeat_ms != last_beat_ms:
        found.append(f"the {event.after} of {event.machine_id} does not rest on its last heartbeat")
    for what, moment in (("dated", event.occurred_at_ms), ("announced", heard_ms)):
        silence = moment - last_beat_ms
        if not deadline <= silence <= deadline + pace.late_ms:
            found.append(
                f"the {event.after} of {event.machine_id} was {what} {silence / 1000:.2f} s after its last heartbeat, "
                f"expected {deadline / 1000:g} to {(deadline + pace.late_ms) / 1000:g} s"
            )
    return found


def same_silence(warning: Transition, offline: Transition, returned: Transition) -> list[str]:
    """The three events of one silence belong together, and the return knows how long it was."""
    found = []
    if len({warning.episode, offline.episode, returned.episode}) != 1 or warning.episode is None:
        found.append(f"the warning, the offline and the return of {warning.machine_id} do not share one episode")
    lasted = returned.occurred_at_ms - offline.occurred_at_ms
    told = returned.offline_duration_ms
    if told is None or abs(told - lasted) > 1_000:
        found.append(f"{returned.machine_id} is said to have been offline for {told} ms, it was for {lasted} ms")
    if returned.incarnation <= offline.incarnation:
        found.append(f"{returned.machine_id} returned in the same life in which it was killed")
    return found


def agreement(teller: str, told: Sequence[Mapping[str, Any]], events: Sequence[Transition]) -> list[str]:
    """Another machine announced each of these events exactly once, under the same id, and nothing else of the kind.

    Args:
        teller: That machine.
        told: What it announced of the machines in question.
        events: What our own observer announced of them.
    """
    found = []
    heard = Counter(str(event["id"]) for event in told)
    for event in events:
        times = heard.pop(event.id, 0)
        if times != 1:
            found.append(f"{teller} announced event {event.id[:8]} ({event.machine_id} {event.after}) {times} times")
    strangers = [f"{teller} announced an event {event_id[:8]} that nobody else knows" for event_id in heard]
    return found + strangers


def differences(what: str, wanted: Mapping[str, bytes], found: Mapping[str, bytes]) -> list[str]:
    """Two trees of files hold the same, byte for byte.

    Args:
        what: The tree that was found, for the sentence.
        wanted: What it should hold.
        found: What it does.
    """
    wrong = sorted(path for path in wanted.keys() | found.keys() if wanted.get(path) != found.get(path))
    return [f"{what} is not as it should be: {', '.join(wrong)}"] if wrong else []


def saved_once(answers: Sequence[Answer], *, synced: int, decisions: int) -> list[str]:
    """Of several machines that tried to do one offline sync, one did it, and all others were told so.

    Args:
        answers: What each was told.
        synced: How many files there were to preserve.
        decisions: How many conflicts.
    """
    outcomes = Counter(str(answer.result.get("outcome")) for answer in answers)
    found = []
    if outcomes != Counter({"applied": 1, "already_done": len(answers) - 1}):
        came = ", ".join(f"{count} {outcome}" for outcome, count in sorted(outcomes.items()))
        found.append(f"of {len(answers)} machines that tried to preserve the files one should have done it: {came}")
    for answer in answers:
        changes = answer.result.get("changes", {})
        counts = (changes.get("filesSynced"), changes.get("decisionsCreated"))
        if counts != (synced, decisions):
            found.append(
                f"{answer.machine_id} counts {counts[0]} files preserved and {counts[1]} decisions, expected {synced} "
                f"and {decisions}"
            )
        if answer.result.get("backupCreated") is not True:
            found.append(f"{answer.machine_id} knows of no verified backup of what was preserved")
    return found
