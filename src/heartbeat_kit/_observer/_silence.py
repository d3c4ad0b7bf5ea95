"""Everybody silent at once on a medium that delays: more likely the medium stands still than that everybody died.

Owns the watermark (the newest rise of anybody else) and what its age means. A machine is called silent only while
somebody else is heard; if nobody is, it reads unknown until `Timing.hold_ms` has passed, so that the death of an only
peer is found too. Where a medium delays nobody (one file system, one server) none of this applies: there the
observer's own write and read prove the medium. Pure.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from heartbeat_kit._events import Reason, event_id
from heartbeat_kit._fleet_events import FleetSilent
from heartbeat_kit._observer._known import NEVER, Known, Watermark
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry, Move, Observation

__all__ = ["SILENCE_KEY", "Silence", "medium_silent", "resumed"]

SILENCE_KEY = "*silence"
"""The ledger's key for the fleet silence announced last."""


def patience_ms(timing: Timing, interval_ms: int) -> int:
    """How long nobody may be heard: ``1.5 × interval + delay``.

    >>> patience_ms(Timing(heartbeat_ms=30_000, timeout_ms=120_000, delay_ms=60_000), 30_000)
    105000
    """
    return 3 * max(timing.heartbeat_ms, interval_ms) // 2 + timing.delay_ms


def medium_silent(machine_id: str, interval_ms: int, watermark: Watermark, timing: Timing, now_ms: int) -> bool:
    """Whether nobody but this machine was heard lately, so that its own silence proves nothing yet."""
    if not timing.delay_ms or not timing.hold_ms:
        return False
    return now_ms - watermark.of_others(machine_id) > patience_ms(timing, interval_ms)


def resumed(watermark: Watermark, timing: Timing, last_look_ms: int) -> bool:
    """Whether a rise now ends a silence of the medium: at the look before, nobody had been heard for too long.

    Looks far apart (on demand) are no silence: nobody listened.
    """
    return timing.delay_ms > 0 and last_look_ms - watermark.newest_ms > patience_ms(timing, timing.heartbeat_ms)


class Silence(NamedTuple):
    """A fleet silence that lasts.

    Attributes:
        id: Its id.
        since_ms: Monotonic time of the look that noticed it.
        held: The machines whose deadline had passed then, sorted.
        believed_ms: Monotonic time at which the silence of the first of them is believed.
        heard_ms: Monotonic time at which somebody was last heard in this process, or ``None``.
    """

    id: str
    since_ms: int
    held: tuple[str, ...]
    believed_ms: int
    heard_ms: int | None

    @classmethod
    def of(
        cls,
        held: Mapping[str, int],
        known: Mapping[str, Known],
        watermark: Watermark,
        now_ms: int,
        noted: Mapping[str, Observation],
    ) -> Silence:
        """Name a silence by the newest records of everybody: it lasts as long as they do, across restarts too.

        Args:
            held: The machines it holds back, with the monotonic time at which each is believed.
            known: Everybody whose record comes through the medium.
            watermark: When anybody was heard last.
            now_ms: Monotonic time of the look.
            noted: What an earlier process knew of records that cannot be read now.
        """
        found = ((name, _order(each, noted.get(name))) for name, each in sorted(known.items()))
        orders = {name: order for name, order in found if order is not None}
        return cls(
            id=event_id("fleet_silent", *(part for name, order in orders.items() for part in (name, *order))),
            since_ms=now_ms,
            held=tuple(sorted(held)),
            believed_ms=min(held.values(), default=now_ms),
            heard_ms=None if watermark.rose_ms == -NEVER else watermark.rose_ms,
        )

    def move(self, ledger_entry: LedgerEntry | None, *, observer: str, owner: str, offset_ms: int) -> Move | None:
        """What announces it, or ``None`` if the ledger knows it.

        Args:
            ledger_entry: The ledger's entry under `SILENCE_KEY`.
            observer: Who signs.
            owner: Who delivers.
            offset_ms: Wall minus monotonic.
        """
        if ledger_entry is not None and ledger_entry.event_id == self.id:
            return None
        since_ms = self.since_ms + offset_ms
        return Move(
            expected=None if ledger_entry is None else ledger_entry.event_id,
            entry=LedgerEntry(
                machine_id=SILENCE_KEY,
                status=MachineStatus.UNKNOWN,
                event_id=self.id,
                reason=Reason.SILENT,
                since_ms=since_ms,
            ),
            transition=FleetSilent(
                id=self.id,
                observer=observer,
                machine_ids=self.held,
                last_heard=None if self.heard_ms is None else self.heard_ms + offset_ms,
                detected_at=since_ms,
                believed_at=self.believed_ms + offset_ms,
            ),
            owner=owner,
        )


def _order(known: Known, noted: Observation | None) -> tuple[int, int] | None:
    if known.heartbeat is None:
        return None if noted is None else noted.order
    return known.heartbeat.order if known.heartbeat.left_at_ms is None else None
