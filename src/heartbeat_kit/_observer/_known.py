"""What an observer remembers: `Known` about one machine, `Memory` about all.

Owns the shape of the memory. Values only; the rules that change them live in their own files.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, NamedTuple

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry

if TYPE_CHECKING:
    from heartbeat_kit._observer._silence import Silence

__all__ = ["NEVER", "Known", "Memory", "Rival", "Watermark"]

NEVER: Final = 2**62
"""A monotonic millisecond that does not come."""
_EMPTY: Mapping[str, Any] = MappingProxyType({})


class Rival(NamedTuple):
    """Another host that beat under the same id."""

    host: str
    flips: int
    at_ms: int


class Watermark(NamedTuple):
    """When anybody was heard last, on the monotonic axis.

    Attributes:
        machine_id: Whose record was seen to rise last.
        rose_ms: When.
        other_ms: When the last record of anybody else rose.
        begun_ms: When this process began to listen.
    """

    machine_id: str = ""
    rose_ms: int = -NEVER
    other_ms: int = -NEVER
    begun_ms: int = -NEVER

    @property
    def newest_ms(self) -> int:
        """The last rise, or the beginning if there was none."""
        return max(self.rose_ms, self.begun_ms)

    def of_others(self, machine_id: str) -> int:
        """The last rise of anybody but `machine_id`."""
        return self.other_ms if machine_id == self.machine_id else self.rose_ms

    def postponed(self, lost_ms: int, now_ms: int) -> Watermark:
        """The watermark after time in which nobody listened."""
        if not lost_ms:
            return self
        rose_ms, other_ms, begun_ms = (
            -NEVER if moment == -NEVER else min(moment + lost_ms, now_ms)
            for moment in (self.rose_ms, self.other_ms, self.begun_ms)
        )
        return self._replace(rose_ms=rose_ms, other_ms=other_ms, begun_ms=begun_ms)

    def heard(self, machine_id: str, at_ms: int) -> Watermark:
        """The watermark after a rise."""
        return Watermark(machine_id, at_ms, self.of_others(machine_id), self.begun_ms)


NOBODY_HEARD: Final = Watermark()


@attrs.frozen(weakref_slot=False)
class Known:
    """What is remembered of one machine. All ``…_ms`` without "wall" are on the observer's monotonic axis.

    Attributes:
        heartbeat: The newest readable record ever seen, or ``None`` if only the ledger or a bad file told of it.
        basis: Whose clock `silence_ms` rests on.
        silence_ms: Where the silence began; moves out when time was lost.
        rose_wall_ms: The observer's wall clock when the record was last seen to rise.
        verdict: The status this observer holds, or ``None`` before the first judgement.
        settle_ms: Until then the verdict must not worsen.
        wake_ms: Nothing about an unchanged record can change before.
        candidate: A status that waits for more looks to agree.
        agreed: How many have.
        unreadable: Why the stored record cannot be read now, or ``None``.
        absent: No record of it was there at the last look.
        rival: Another host seen under this id.
        copies: A sentence about several copies of its record, or ``None``.
        changes: The slots of the last changes of its verdict, for the flap score.
        flapping: It keeps changing.
        held: Its deadline has passed, and it is called unknown because nobody else is heard.
        promised_ms: The beat it promised by what was noted of it, where there is no record to ask; or zero.
        met: An earlier process noted this very record, and it has not risen since.
        skew_ms: How far the observer's clock is ahead of the sender's, as far as rises told; zero until they did.
    """

    heartbeat: Heartbeat | None
    basis: Basis
    silence_ms: int
    rose_wall_ms: int
    verdict: MachineStatus | None = None
    settle_ms: int = -NEVER
    wake_ms: int = -NEVER
    candidate: MachineStatus | None = None
    agreed: int = 0
    unreadable: str | None = None
    absent: bool = False
    rival: Rival | None = None
    copies: str | None = None
    changes: tuple[int, ...] = ()
    flapping: bool = False
    held: bool = False
    promised_ms: int = 0
    met: bool = False
    skew_ms: int = 0

    @property
    def interval_ms(self) -> int:
        """The beat it promises; zero if nobody knows."""
        return self.promised_ms if self.heartbeat is None else self.heartbeat.interval_ms

    def judged(
        self, verdict: MachineStatus, *, wake_ms: int, held: bool, changes: tuple[int, ...], flapping: bool
    ) -> Known:
        """The same machine with a verdict. Spelled out, because every heartbeat of every machine comes by here."""
        return Known(
            self.heartbeat,
            self.basis,
            self.silence_ms,
            self.rose_wall_ms,
            verdict,
            self.settle_ms,
            wake_ms,
            None,
            0,
            self.unreadable,
            self.absent,
            self.rival,
            self.copies,
            changes,
            flapping,
            held,
            self.promised_ms,
            self.met,
            self.skew_ms,
        )

    def heard_again(self, fresh: Known, rival: Rival | None) -> Known:
        """A record that rose, with what is kept of the machine across a rise."""
        return Known(
            fresh.heartbeat,
            fresh.basis,
            fresh.silence_ms,
            fresh.rose_wall_ms,
            verdict=self.verdict,
            candidate=self.candidate,
            agreed=self.agreed,
            rival=rival,
            changes=self.changes,
            flapping=self.flapping,
            skew_ms=fresh.skew_ms,
        )


@attrs.frozen(kw_only=True)
class Memory:
    """What is remembered of the fleet between two looks of one process.

    Attributes:
        known: By machine id.
        troubled: The machines whose verdict is not online, with the verdict.
        contested: The identity conflicts in force, with a sentence each.
        removed: Machines this service removed; nobody is shown them until they beat again.
        ledger: What was announced, as read at the last look.
        last: Both clocks at the last look that saw the storage, or ``None``.
        offset_ms: Wall minus monotonic, fixed so that shown times do not wobble.
        blind_ms: When looks began to fail, or ``None``.
        watermark: When anybody was heard last.
        silence: The fleet silence that lasts, or ``None``.
        owing: Machines whose last announcement was marked as flapping or suppressed.
        windows: The maintenance windows, as read at the last look.
    """

    known: Mapping[str, Known] = _EMPTY
    troubled: Mapping[str, MachineStatus] = _EMPTY
    contested: Mapping[str, str] = _EMPTY
    removed: frozenset[str] = frozenset()
    ledger: Mapping[str, LedgerEntry] = _EMPTY
    last: Instant | None = None
    offset_ms: int = 0
    blind_ms: int | None = None
    watermark: Watermark = NOBODY_HEARD
    silence: Silence | None = None
    owing: frozenset[str] = frozenset()
    windows: tuple[MaintenanceWindow, ...] = ()

    def wall(self, mono_ms: int) -> int:
        """The wall-clock time of a point of the monotonic axis."""
        return mono_ms + self.offset_ms

    def restless(self) -> Memory:
        """The memory with everybody to be judged anew at the next look: the numbers in force have changed."""
        return attrs.evolve(
            self, known={name: attrs.evolve(known, wake_ms=-NEVER) for name, known in self.known.items()}
        )

    def without(self, machine_id: str) -> Memory:
        """The memory after this service removed a machine: out of sight at once, announced by the next check."""
        if machine_id not in self.known:
            return self
        return attrs.evolve(
            self,
            removed=self.removed | {machine_id},
            contested={name: text for name, text in self.contested.items() if name != machine_id},
            troubled={name: status for name, status in self.troubled.items() if name != machine_id},
        )
