"""`to_wire`: results as the reference's JSON, field for field.

Owns the camelCase shapes and the messages in English and in the reference's French. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import singledispatch
from typing import Any, Final, Literal

import attrs

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import CascadeDetected, FleetSilent
from heartbeat_kit._models import FleetState, MachineState, ObserverHealth, Statistics
from heartbeat_kit._results import CheckReport, Registration, ServiceStatus
from heartbeat_kit._status import MachineStatus, named_status
from heartbeat_kit._times import span_ms, to_iso
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["to_wire"]

Wire = dict[str, Any]
Locale = Literal["en", "fr"]

_MESSAGES: Final[dict[str, dict[str, str]]] = {
    "registered": {"en": "Heartbeat registered for {id}", "fr": "Heartbeat enregistré pour {id}"},
    "started": {"en": "Heartbeat service started for {id}", "fr": "Service de heartbeat démarré pour {id}"},
    "idle": {"en": "No heartbeat service runs for {id}", "fr": "Aucun service de heartbeat pour {id}"},
    "stopped": {"en": "Heartbeat service stopped", "fr": "Service de heartbeat arrêté"},
}


@attrs.frozen(kw_only=True)
class _Wanted:
    locale: Locale
    include_heartbeats: bool
    only: MachineStatus | None
    include_details: bool

    def say(self, message: str, **values: str) -> str:
        return _MESSAGES[message][self.locale].format(**values)


def to_wire(
    result: Any,
    *,
    locale: Locale = "en",
    include_heartbeats: bool = False,
    only: MachineStatus | str | None = None,
    include_details: bool = False,
) -> Wire:
    """The reference's JSON of a result: camelCase, UTC ISO-8601 with milliseconds and ``Z``, integer milliseconds.

    Args:
        result: A `Registration`, `CheckReport`, `FleetState`, `MachineState`, `ServiceStatus`, `HeartbeatConfig`,
            `Statistics`, an event, a `SyncReport`, a `SyncPlan` or a `Decision`.
        locale: Language of the messages, ``en`` or ``fr``.
        include_heartbeats: With a `FleetState`: every machine's data as well.
        only: With a `FleetState`: the list of the machines of one status instead.
        include_details: With `only`: each machine's data instead of its id.

    Raises:
        InvalidConfigurationError: The result has no such shape, or the locale or the status is unknown.

    >>> to_wire(Registration(machine_id="web-1", timestamp=1768519800000, is_new_machine=True))["timestamp"]
    '2026-01-15T23:30:00.000Z'
    """
    if locale not in ("en", "fr"):
        raise InvalidConfigurationError(f"no messages in {locale!r}: expected 'en' or 'fr'")
    return _wire(
        result,
        _Wanted(
            locale=locale,
            include_heartbeats=include_heartbeats,
            only=None if only is None else named_status("only", only),
            include_details=include_details,
        ),
    )


@singledispatch
def _wire(result: Any, wanted: _Wanted) -> Wire:
    shape = getattr(result, "__wire__", None)  # results of the packages above this one bring their own
    if callable(shape):
        return dict(shape(wanted.locale))
    raise InvalidConfigurationError(f"{type(result).__name__} has no wire shape: pass a result of the service")


@_wire.register
def _(result: Registration, wanted: _Wanted) -> Wire:
    return {
        "success": True,
        "machineId": result.machine_id,
        "timestamp": to_iso(result.timestamp_ms),
        "status": str(result.status),
        "isNewMachine": result.is_new_machine,
        "message": wanted.say("registered", id=result.machine_id),
    }


@_wire.register
def _(result: HeartbeatConfig, _: _Wanted) -> Wire:
    return {
        "heartbeatInterval": span_ms(result.heartbeat_interval),
        "offlineTimeout": span_ms(result.offline_timeout),
        "autoSyncEnabled": result.auto_sync_enabled,
    }


@_wire.register
def _(result: ServiceStatus, wanted: _Wanted) -> Wire:
    if result.stopped_at_ms is not None:
        return {
            "success": True,
            "stoppedAt": to_iso(result.stopped_at_ms),
            "stateSaved": result.state_saved,
            "message": wanted.say("stopped"),
        }
    return {
        "success": result.is_running,
        "machineId": result.machine_id,
        **({} if result.started_at_ms is None else {"startedAt": to_iso(result.started_at_ms)}),
        "config": _wire(result.config, wanted),
        **({} if result.pending is None else {"pending": result.pending}),
        "message": wanted.say("started" if result.is_running else "idle", id=result.machine_id),
    }


@_wire.register
def _(result: CheckReport, wanted: _Wanted) -> Wire:
    offline, online = len(result.newly_offline), len(result.newly_online)
    return {
        "success": result.observer.health is not ObserverHealth.BLIND,
        "newlyOfflineMachines": list(result.newly_offline),
        "newlyOnlineMachines": list(result.newly_online),
        "warningMachines": list(result.warning),
        "unknownMachines": list(result.unknown),
        "checkedAt": to_iso(result.checked_at_ms),
        "summary": result.summary if wanted.locale == "en" else _french_summary(result),
        "changes": {
            "totalChanges": len(result.transitions),
            "offlineCount": offline,
            "onlineCount": online,
            "warningCount": len(result.newly_warning),
        },
        "observer": _observer(result),
    }


@_wire.register
def _(result: FleetState, wanted: _Wanted) -> Wire:
    success = result.observer.health is not ObserverHealth.BLIND
    if wanted.only is not None:
        chosen = result.of(wanted.only)
        return {
            "success": success,
            "count": len(chosen),
            "machines": [_wire(m, wanted) if wanted.include_details else m.machine_id for m in chosen],
            "unconfirmedMachines": _unconfirmed(chosen),
            "checkedAt": to_iso(result.retrieved_at_ms),
            "observer": _observer(result),
        }
    return {
        "success": success,
        **{f"{status}Machines": [m.machine_id for m in result.of(status)] for status in MachineStatus},
        "unconfirmedMachines": _unconfirmed(result),
        "statistics": _wire(result.statistics, wanted),
        **({"heartbeats": {m.machine_id: _wire(m, wanted) for m in result}} if wanted.include_heartbeats else {}),
        "retrievedAt": to_iso(result.retrieved_at_ms),
        "observer": _observer(result),
    }


def _unconfirmed(machines: Iterable[MachineState]) -> list[str]:
    """Those whose status nothing but their own stamp suggests: shown, and never announced."""
    return [machine.machine_id for machine in machines if machine.unconfirmed]


@_wire.register
def _(result: Statistics, _: _Wanted) -> Wire:
    checked = result.last_heartbeat_check_ms
    return {
        "totalMachines": result.total_machines,
        "onlineCount": result.online_count,
        "offlineCount": result.offline_count,
        "warningCount": result.warning_count,
        "unknownCount": result.unknown_count,
        **({} if checked is None else {"lastHeartbeatCheck": to_iso(checked)}),
    }


@_wire.register
def _(result: MachineState, _: _Wanted) -> Wire:
    beat = result.heartbeat
    return {
        "machineId": result.machine_id,
        **({} if beat is None else {"lastHeartbeat": to_iso(beat.last_heartbeat_ms)}),
        "status": str(result.status),
        "offlineSince": None if result.offline_since_ms is None else to_iso(result.offline_since_ms),
        "warningSince": None if result.warning_since_ms is None else to_iso(result.warning_since_ms),
        "missedHeartbeats": None if beat is None else result.missed_heartbeats,  # unknown is not zero
        "metadata": result.metadata,
        **({} if beat is None else {"firstSeen": to_iso(beat.first_seen_ms)}),
        "reason": result.reason,
        "stale": result.stale,
    }


@_wire.register
def _(result: Transition, _: _Wanted) -> Wire:
    record: Wire = {
        "id": result.id,
        "machineId": result.machine_id,
        "before": str(result.before),
        "after": str(result.after),
        "reason": str(result.reason),
        "observer": result.observer,
        "occurredAt": to_iso(result.occurred_at_ms),
        "detectedAt": to_iso(result.detected_at_ms),
        "episode": result.episode,
        "lastHeartbeat": None if result.last_heartbeat_ms is None else to_iso(result.last_heartbeat_ms),
        "offlineDuration": result.offline_duration_ms,
        "basis": str(result.basis),
        "flapping": result.flapping or None,
        "suppressed": result.suppressed or None,
    }
    return {name: value for name, value in record.items() if value is not None}


@_wire.register
def _(result: CascadeDetected, _: _Wanted) -> Wire:
    return {
        "kind": "cascade",
        "id": result.id,
        "observer": result.observer,
        "machineIds": list(result.machine_ids),
        "beganAt": to_iso(result.began_at_ms),
        "detectedAt": to_iso(result.detected_at_ms),
        "threshold": result.threshold,
        "window": result.window_ms,
    }


@_wire.register
def _(result: FleetSilent, _: _Wanted) -> Wire:
    return {
        "kind": "fleet_silent",
        "id": result.id,
        "observer": result.observer,
        "machineIds": list(result.machine_ids),
        **({} if result.last_heard_ms is None else {"lastHeard": to_iso(result.last_heard_ms)}),
        "detectedAt": to_iso(result.detected_at_ms),
        "believedAt": to_iso(result.believed_at_ms),
    }


def _observer(result: CheckReport | FleetState) -> Wire:
    observer = result.observer
    shown = {"machineId": observer.machine_id, "health": str(observer.health), "since": to_iso(observer.since_ms)}
    return {**shown, "reason": observer.reason} if observer.reason else shown


def _french_summary(result: CheckReport) -> str:
    if result.observer.health is ObserverHealth.BLIND:
        return f"observateur aveugle : {result.observer.reason}"
    offline, online = len(result.newly_offline), len(result.newly_online)
    many, back = ("s" if offline > 1 else ""), ("s" if online > 1 else "")
    return f"{offline} machine{many} nouvellement offline, {online} machine{back} redevenue{back} online"
