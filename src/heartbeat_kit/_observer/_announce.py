"""What to announce: from a verdict and the ledger's entry to the moves that bring the ledger up to date.

Owns the ids, reasons and times of transitions. Ids are made of evidence alone: a silence is named by the last beat
before it, a return by the event it ends. Pure.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis, Reason, Transition, event_id
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._observer._known import Known
from heartbeat_kit._observer._marks import marked, marks_of, owes, plainly_before
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._observer._verdict import deadlines
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry, Move

__all__ = ["Announcer"]

_SILENT = (MachineStatus.WARNING, MachineStatus.OFFLINE)


class Announcer(NamedTuple):
    """Makes the moves of one look.

    Attributes:
        observer: The machine id that signs them.
        owner: Who delivers them.
        timing: The numbers in force.
        now: The instant of the look.
        offset_ms: Wall minus monotonic.
        windows: The maintenance windows: what happens in one is marked as suppressed.
    """

    observer: str
    owner: str
    timing: Timing
    now: Instant
    offset_ms: int
    windows: tuple[MaintenanceWindow, ...] = ()

    def moves(self, machine_id: str, known: Known, entry: LedgerEntry | None) -> list[Move]:
        """The moves from `entry` to the verdict of `known`: none, one, or a return and the silence after it.

        Where nothing changed, what was announced with a mark may be due without it.
        """
        verdict = known.verdict
        if verdict is None or verdict is MachineStatus.UNKNOWN:
            return []
        if verdict is not MachineStatus.OFFLINE and _only_met(known, entry):
            return []
        made = self._changes(machine_id, known, entry, verdict)
        if made or entry is None or not owes(entry) or entry.status is not verdict:
            return made
        marked_still = known.flapping or self._in_maintenance(machine_id)
        return [] if marked_still else [self._settled(machine_id, known, entry)]

    def _changes(self, machine_id: str, known: Known, entry: LedgerEntry | None, verdict: MachineStatus) -> list[Move]:
        made: list[Move] = []
        if entry is not None and entry.status in _SILENT:
            rose = known.heartbeat is not None and known.heartbeat.order > (entry.incarnation, entry.seq)
            if not rose and entry.status is MachineStatus.OFFLINE:
                return []  # nothing but a newer record ends a silence, neither a clock set back nor a longer timeout
            if rose and (verdict is MachineStatus.ONLINE or self.timing.confirm_online == 1):
                made.append(self._returned(machine_id, known, entry))
                entry = made[-1].entry
        if verdict is MachineStatus.ONLINE:
            if entry is None or entry.status is MachineStatus.UNKNOWN:
                made.append(self._first_seen(machine_id, known, entry))
        elif entry is None or entry.status is not verdict:
            made.append(self._silent(machine_id, known, entry, verdict))
        return made

    def removed(self, machine_id: str, known: Known, entry: LedgerEntry) -> Move:
        """The move that says a machine's record was removed; its entry stays as a tombstone of all that was seen."""
        incarnation, seq = _order(known, entry)
        return self._move(
            machine_id,
            known,
            entry,
            LedgerEntry(
                machine_id=machine_id,
                status=MachineStatus.UNKNOWN,
                event_id=event_id(machine_id, "removed", incarnation, seq),
                reason=Reason.REMOVED,
                since_ms=self.now.wall_ms,
                incarnation=incarnation,
                seq=seq,
            ),
        )

    def _first_seen(self, machine_id: str, known: Known, entry: LedgerEntry | None) -> Move:
        incarnation, seq = _order(known, entry)
        since = known.heartbeat.first_seen_ms if known.heartbeat else 0
        evidence = entry.event_id if entry is not None else since
        return self._move(
            machine_id,
            known,
            entry,
            LedgerEntry(
                machine_id=machine_id,
                status=MachineStatus.ONLINE,
                event_id=event_id(machine_id, "online", evidence),
                reason=Reason.FIRST_SEEN,
                since_ms=self._wall(known.silence_ms),
                incarnation=incarnation,
                seq=seq,
            ),
        )

    def _returned(self, machine_id: str, known: Known, entry: LedgerEntry) -> Move:
        incarnation, seq = _order(known, entry)
        since = self._wall(known.silence_ms)
        offline = entry.status is MachineStatus.OFFLINE
        return self._move(
            machine_id,
            known,
            entry,
            LedgerEntry(
                machine_id=machine_id,
                status=MachineStatus.ONLINE,
                event_id=event_id(machine_id, entry.event_id),
                reason=Reason.RETURNED,
                since_ms=since,
                episode=entry.episode,
                incarnation=incarnation,
                seq=seq,
            ),
            offline_ms=max(since - entry.since_ms, 0) if offline else None,
        )

    def _silent(self, machine_id: str, known: Known, entry: LedgerEntry | None, verdict: MachineStatus) -> Move:
        incarnation, seq = _order(known, entry)
        left = known.heartbeat is not None and known.heartbeat.left_at_ms is not None
        warning, offline = deadlines(known, self.timing)
        since = self._wall(offline if verdict is MachineStatus.OFFLINE else warning)
        if known.heartbeat is not None and known.heartbeat.left_at_ms is not None:
            since = min(known.heartbeat.left_at_ms, self.now.wall_ms)
        return self._move(
            machine_id,
            known,
            entry,
            LedgerEntry(
                machine_id=machine_id,
                status=verdict,
                event_id=event_id(machine_id, verdict, incarnation, seq),
                reason=Reason.LEFT if left else Reason.SILENT,
                since_ms=since,
                episode=event_id(machine_id, "silence", incarnation, seq),
                incarnation=incarnation,
                seq=seq,
            ),
        )

    def _settled(self, machine_id: str, known: Known, entry: LedgerEntry) -> Move:
        """What was announced with a mark, again without: the status it is left with."""
        settled = attrs.evolve(entry, event_id=event_id(machine_id, "settled", entry.event_id))
        return self._move(machine_id, known, entry, settled)

    def _in_maintenance(self, machine_id: str) -> bool:
        return any(each.machine_id == machine_id and each.holds_at(self.now.wall_ms) for each in self.windows)

    def _move(
        self,
        machine_id: str,
        known: Known,
        before: LedgerEntry | None,
        after: LedgerEntry,
        *,
        offline_ms: int | None = None,
    ) -> Move:
        marks = marks_of(known, before, after, in_maintenance=self._in_maintenance(machine_id))
        after = attrs.evolve(marked(after, before, marks), announced_ms=self.now.wall_ms)
        status = MachineStatus.UNKNOWN
        if before is not None:
            status = before.status if any(marks) else plainly_before(before)
        return Move(
            expected=before.event_id if before else None,
            entry=after,
            owner=self.owner,
            transition=Transition(
                id=after.event_id,
                machine_id=machine_id,
                before=status,
                after=after.status,
                reason=after.reason,
                observer=self.observer,
                occurred_at=after.since_ms,
                detected_at=self.now.wall_ms,
                last_heartbeat=known.heartbeat.last_heartbeat_ms if known.heartbeat else None,
                incarnation=after.incarnation,
                seq=after.seq,
                episode=after.episode,
                offline_duration=offline_ms,
                basis=Basis.OBSERVER if known.basis is Basis.SENDER else known.basis,
                flapping=marks.flapping,
                suppressed=marks.suppressed,
            ),
        )

    def _wall(self, mono_ms: int) -> int:
        return mono_ms + self.offset_ms


def _order(known: Known, entry: LedgerEntry | None) -> tuple[int, int]:
    """The newest beat there is evidence of: the ledger may know a newer one than an old copy shows after a restart."""
    seen = known.heartbeat.order if known.heartbeat is not None else (0, 0)
    return max(seen, (entry.incarnation, entry.seq)) if entry is not None else seen


def _only_met(known: Known, entry: LedgerEntry | None) -> bool:
    """Whether an earlier process noted a record that it never announced, and it has not risen since."""
    if not known.met or known.heartbeat is None or entry is None:
        return known.met
    newer = known.heartbeat.order > (entry.incarnation, entry.seq)
    return newer and entry.status is not MachineStatus.ONLINE
