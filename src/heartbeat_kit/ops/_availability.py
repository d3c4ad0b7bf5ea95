"""`availability`: from events to the times a machine was in each status. Pure.

Owns the reckoning. What was announced is believed: a machine is offline from the deadline that passed to the beat that
ended the silence, whenever somebody found out.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._models import FleetState, MachineState
from heartbeat_kit._requirements import require_moment
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.ops._report import AvailabilityReport, MachineAvailability, Outage

__all__ = ["availability", "is_hearsay", "reckon"]


_Change = tuple[int, MachineStatus, bool, int | None]
"""When (epoch milliseconds), what it was from then on, whether being offline was meant, its last stamp."""


class _Stretch(NamedTuple):
    """A time in one status, of which some lies within the report.

    Attributes:
        status: Which.
        began_ms: When, be it before the report.
        ended_ms: When, or the end of the report.
        length_ms: How much of it lies within the report.
        planned: Being offline then was meant.
        last_heartbeat_ms: The last stamp before it.
    """

    status: MachineStatus
    began_ms: int
    ended_ms: int
    length_ms: int
    planned: bool
    last_heartbeat_ms: int | None


def availability(
    events: Iterable[Event], since: datetime, until: datetime, *, state: FleetState | None = None, note: str = ""
) -> AvailabilityReport:
    """What a time was like for each machine.

    Args:
        events: All events there are, in the order of their commit: ``service.history()``. Those before `since` tell
            what the time began with; where they are left out it is guessed from the first, and whether that was
            planned may be wrong. Those after `until` tell what came before them.
        since: The beginning of the time, an aware datetime.
        until: Its end; with a `state`, at the latest when that was.
        state: Everybody now: machines to whom nothing happened have the status they have now.
        note: What a reader must know.

    Raises:
        InvalidConfigurationError: A time that is no aware datetime, or an end that is not after the beginning.
    """
    since_ms, until_ms = require_moment("since", since), require_moment("until", until)
    if until_ms is not None and state is not None:
        until_ms = min(until_ms, state.retrieved_at_ms)
    if since_ms is None or until_ms is None or until_ms <= since_ms:
        raise InvalidConfigurationError(f"the report would be from {since} until {until}: its end must come later")
    return reckon(events, since_ms, until_ms, state=state, note=note)


def reckon(
    events: Iterable[Event], since_ms: int, until_ms: int, *, state: FleetState | None, note: str
) -> AvailabilityReport:
    """`availability` in epoch milliseconds."""
    all_events = tuple(events)
    by_machine: dict[str, list[Transition]] = {}
    for event in all_events:
        if isinstance(event, Transition):
            by_machine.setdefault(event.machine_id, []).append(event)
    now = {} if state is None else dict(state.machines)
    machines = {
        name: _machine(name, by_machine.get(name, ()), now.get(name), since_ms, until_ms)
        for name in sorted(by_machine.keys() | now.keys())
    }
    within = [event for event in all_events if since_ms <= event.detected_at_ms < until_ms]
    return AvailabilityReport(
        since=since_ms,
        until=until_ms,
        machines={name: found for name, found in machines.items() if found is not None},
        transitions=tuple(event for event in within if isinstance(event, Transition)),
        fleet_events=tuple(event for event in within if not isinstance(event, Transition)),
        note=note,
    )


def _machine(
    name: str, events: Sequence[Transition], now: MachineState | None, since_ms: int, until_ms: int
) -> MachineAvailability | None:
    """One machine; ``None`` if nothing at all was known of it in the time."""
    changes = _changes(events, now, since_ms)
    stretches = _stretches(changes, since_ms, until_ms)
    came_later = now is None or (now.heartbeat is not None and now.heartbeat.first_seen_ms >= until_ms)
    if came_later and all(stretch.status is MachineStatus.UNKNOWN for stretch in stretches):
        return None
    lasted = dict.fromkeys(MachineStatus, 0)
    outages, planned_ms = [], 0
    for stretch in stretches:
        length = stretch.length_ms
        if stretch.status is MachineStatus.OFFLINE:
            # Whoever is removed meanwhile has not beaten again: of that it is only not known any more.
            after = (
                at
                for at, status, *_ in changes
                if stretch.ended_ms <= at <= until_ms and status is not MachineStatus.UNKNOWN
            )
            outages.append(
                Outage(
                    began=stretch.began_ms,
                    ended=next(after, None),
                    offline=length,
                    planned=stretch.planned,
                    carried_over=stretch.began_ms <= since_ms,
                    last_heartbeat=stretch.last_heartbeat_ms,
                )
            )
        if stretch.planned:
            planned_ms += length
        else:
            lasted[stretch.status] += length
    return MachineAvailability(
        machine_id=name,
        status=[status for at, status, *_ in changes if at <= until_ms][-1],
        online=lasted[MachineStatus.ONLINE],
        warning=lasted[MachineStatus.WARNING],
        offline=lasted[MachineStatus.OFFLINE],
        planned=planned_ms,
        unknown=lasted[MachineStatus.UNKNOWN],
        outages=tuple(outages),
    )


def _stretches(changes: Sequence[_Change], since_ms: int, until_ms: int) -> list[_Stretch]:
    """The statuses of the time, without a gap; neighbours that say the same are one."""
    found: list[_Stretch] = []
    ends = [*(change[0] for change in changes[1:]), max(until_ms, changes[-1][0])]
    for (began, status, planned, beat), ended in zip(changes, ends, strict=True):
        if ended <= began:  # two that fall on one moment are no change between two outages
            continue
        end = min(ended, until_ms)
        length_ms = max(end - max(began, since_ms), 0)
        stretch = _Stretch(status, began, end, length_ms, planned, beat)
        if found and (found[-1].status, found[-1].planned) == (status, planned):
            before = found.pop()
            stretch = before._replace(ended_ms=end, length_ms=before.length_ms + length_ms)
        found.append(stretch)
    return [stretch for stretch in found if stretch.length_ms]


def _changes(events: Sequence[Transition], now: MachineState | None, since_ms: int) -> list[_Change]:
    """When it took which status; the first is at the beginning of the time at the latest."""
    if not events:
        return _unannounced(now, since_ms)
    first = events[0]
    planned = first.before is MachineStatus.OFFLINE and first.suppressed
    changes: list[_Change] = [(min(since_ms, first.occurred_at_ms), first.before, planned, None)]
    for before, event in zip((None, *events), events, strict=False):
        again = before is not None and (before.after, before.episode) == (event.after, event.episode)
        # What is announced again, without a mark, holds from then on. Any other that was found out late may be dated
        # before the one that was committed before it.
        at = max(event.detected_at_ms if again else event.occurred_at_ms, changes[-1][0])
        planned = event.after is MachineStatus.OFFLINE and (event.suppressed or event.reason is Reason.LEFT)
        changes.append((at, event.after, planned, event.last_heartbeat_ms))
    return changes


def _unannounced(now: MachineState | None, since_ms: int) -> list[_Change]:
    """Nothing was announced of it: it became what it is now when its state says so."""
    if now is None or now.heartbeat is None or (now.status is MachineStatus.UNKNOWN and now.age_ms < 0):
        return [(since_ms, MachineStatus.UNKNOWN, False, None)]
    beat = now.heartbeat
    planned = now.status is MachineStatus.OFFLINE and (beat.left_at_ms is not None or now.in_maintenance)
    first_ms = beat.first_seen_ms
    changes: list[_Change] = [(min(since_ms, first_ms), MachineStatus.UNKNOWN, False, None)]
    changes.append((first_ms, MachineStatus.ONLINE, False, None))
    if now.status is MachineStatus.UNKNOWN or is_hearsay(now):
        changes.append((max(beat.last_heartbeat_ms, first_ms), MachineStatus.UNKNOWN, False, beat.last_heartbeat_ms))
        return changes
    for at, status in ((now.warning_since_ms, MachineStatus.WARNING), (now.offline_since_ms, MachineStatus.OFFLINE)):
        if at is not None:
            is_planned = planned and status is MachineStatus.OFFLINE
            changes.append((max(at, changes[-1][0]), status, is_planned, beat.last_heartbeat_ms))
    return changes


def is_hearsay(now: MachineState) -> bool:
    """Nothing but the sender's own clock says that it is silent."""
    return now.unconfirmed and now.status is not MachineStatus.ONLINE
