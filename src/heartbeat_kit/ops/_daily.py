"""`daily_report`: the availability of a calendar day, or of the last 24 hours.

Owns which time is meant. Must not know how it is reckoned (`_availability`).
"""

from __future__ import annotations

import datetime as dt
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from heartbeat_kit._models import FleetState, ObserverHealth
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._times import epoch_ms
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.ops._availability import is_hearsay, reckon
from heartbeat_kit.ops._report import AvailabilityReport
from heartbeat_kit.storage import EventLog, SharedLedger

__all__ = ["daily_report"]

_DAY_MS = 86_400_000


def daily_report(service: HeartbeatService, day: dt.date | None = None, *, tz: str = "UTC") -> AvailabilityReport:
    """How a day was for each machine: how long it was there, its outages, the events of the whole fleet.

    Reads the history and the state, and announces nothing: what nobody has announced yet is not in it.

    Args:
        service: Whose history.
        day: A calendar day, which ends now if it is today; by default the 24 hours until now.
        tz: The time zone of the day, by its IANA name. A day of it may have 23 or 25 hours.

    Raises:
        InvalidConfigurationError: The day has not begun, or there is no such time zone.
        StorageUnavailableError: The history is out of reach.

    >>> from heartbeat_kit import MemoryStorage
    >>> from heartbeat_kit.testing import FakeClock
    >>> clock = FakeClock()
    >>> service = HeartbeatService(MemoryStorage(), clock=clock, machine_id="watcher")
    >>> registration, report = service.register(machine_id="web-1"), service.check()
    >>> clock.advance(7 * 3_600)  # it is silent: offline after four minutes
    >>> report = service.check()
    >>> print(daily_report(service))
    2025-12-31T07:00:00.000Z to 2026-01-01T07:00:00.000Z: 1 machine in 24 h, 1 outage, 1 offline at the end
    <BLANKLINE>
    machine  status   available  outages  longest     offline     planned  unknown
    web-1    offline  0.95 %     1        6 h 56 min  6 h 56 min  0 s      17 h
    """
    now_ms, zone = service.clock.now().wall_ms, _zone(tz)
    since_ms, until_ms = (now_ms - _DAY_MS, now_ms) if day is None else _bounds(day, zone, now_ms)
    events = (*service.history(), *service.fleet_history())  # the earlier ones tell what the time began with
    state = service.state()
    return reckon(events, since_ms, until_ms, state=state, note=_note(service, state))


def _zone(tz: str) -> ZoneInfo:
    try:
        return ZoneInfo(tz)
    except (ZoneInfoNotFoundError, ValueError, TypeError, OSError) as error:
        raise InvalidConfigurationError(
            f"tz is {tz!r:.80}: expected the name of a time zone, such as 'Europe/Paris'"
        ) from error


def _bounds(day: dt.date, zone: ZoneInfo, now_ms: int) -> tuple[int, int]:
    if not isinstance(day, dt.date) or isinstance(day, dt.datetime):
        raise InvalidConfigurationError(f"day is {day!r:.80}: expected a date, such as datetime.date(2026, 1, 15)")
    since_ms = epoch_ms(dt.datetime.combine(day, dt.time(), zone))
    if since_ms >= now_ms:
        raise InvalidConfigurationError(f"{day} has not begun in {zone.key}: there is nothing to report")
    following = dt.datetime.combine(day + dt.timedelta(days=1), dt.time(), zone)
    return since_ms, min(epoch_ms(following), now_ms)


def _note(service: HeartbeatService, state: FleetState) -> str:
    if state.observer.health is not ObserverHealth.OK:
        return f"the observer is {state.observer.health} now, so the last of it may be missing"
    unconfirmed = [machine.machine_id for machine in state if is_hearsay(machine)]
    if unconfirmed:
        return f"nothing but their own clocks says that these are silent now: {', '.join(unconfirmed)}"
    if isinstance(service.storage, SharedLedger) and not isinstance(service.storage, EventLog):
        return "this storage keeps no history, so every machine was what it is now"
    return ""
