"""The tools, each one call of the library and its answer. Names and fields are those of RooSync.

Owns the arguments of the tools and what they call. Decides nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any, Final, Literal, TypeVar, cast

from pydantic import Field

from heartbeat_kit import to_wire
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import from_iso, to_datetime
from heartbeat_kit.adapters.mcp._host import Host
from heartbeat_kit.adapters.mcp._shapes import (
    Checked,
    Decided,
    DecisionData,
    EventData,
    Events,
    HeartbeatState,
    Machines,
    Registered,
    ServiceAnswer,
    ServiceResult,
    Started,
    Status,
    Stopped,
    Synced,
)
from heartbeat_kit.errors import InvalidConfigurationError, InvalidMachineIdError
from heartbeat_kit.sync import DecisionState

__all__ = ["Tools"]

_Shape = TypeVar("_Shape")
MachineId = Annotated[str, Field(description="Id of a machine, for example myia-ai-01; case does not matter")]
Metadata = Annotated[dict[str, Any] | None, Field(description="Sent with every heartbeat from now on; at most 10 kB")]
Details = Annotated[bool, Field(description="Each machine with its data, instead of its id")]
Heartbeats = Annotated[bool, Field(description="Every machine's data as well")]
Force = Annotated[bool, Field(description="Look now, even if the last look is fresh")]
_Length = Annotated[int, Field(strict=True, gt=0, le=86_400_000)]
Interval = Annotated[_Length | None, Field(description="Time between heartbeats, ms; unchanged if left out")]
Timeout = Annotated[_Length | None, Field(description="A silence of this is a warning, of twice this offline, ms")]
AutoSync = Annotated[
    bool | None,
    Field(description="Sync by itself when machines go and return; as before if left out, at first yes"),
]
Save = Annotated[bool, Field(description="Store what was observed")]
Backup = Annotated[bool, Field(description="Write a backup that can be rolled back to")]
DryRun = Annotated[bool, Field(description="Only say what would be done; nothing is written")]
_LISTS: Final = ("online", "warning", "offline", "unknown")


class Tools:
    """The tools of one host; the names of the methods are those of the tools, without their prefix.

    Args:
        host: What they act on.
    """

    def __init__(self, host: Host) -> None:
        self._host = host

    def register_heartbeat(self, machineId: MachineId, metadata: Metadata = None) -> Registered:
        """Store one heartbeat of a machine, of this one or of one that cannot beat by itself."""
        return self._wire(Registered, self._host.service.register(metadata, machine_id=machineId))

    def get_offline_machines(self, includeDetails: Details = False) -> Machines:
        """The machines that are offline: silent for more than twice the timeout."""
        return self._of(MachineStatus.OFFLINE, details=includeDetails)

    def get_warning_machines(self, includeDetails: Details = False) -> Machines:
        """The machines in warning: silent for more than the timeout, not yet offline."""
        return self._of(MachineStatus.WARNING, details=includeDetails)

    def get_heartbeat_state(self, includeHeartbeats: Heartbeats = False) -> HeartbeatState:
        """The whole fleet by status, with numbers. Unknown means that nobody can tell, not that a machine is down."""
        return self._wire(HeartbeatState, self._host.service.state(), include_heartbeats=includeHeartbeats)

    def start_heartbeat_service(
        self,
        machineId: MachineId,
        enableAutoSync: AutoSync = None,
        heartbeatInterval: Interval = None,
        offlineTimeout: Timeout = None,
    ) -> Started:
        """Beat for this machine and look at the others, in the background, until it is stopped."""
        status = self._host.start(
            machineId, auto_sync=enableAutoSync, interval_ms=heartbeatInterval, timeout_ms=offlineTimeout
        )
        answer = self._wire(Started, status)
        answer["config"]["autoSyncEnabled"] = self._host.syncs_by_itself  # as it is in force
        trouble = self._host.sync_trouble()
        if trouble is not None:
            answer["message"] += f"; nothing is synced before this is mended: {trouble}"
        return answer

    def stop_heartbeat_service(self, saveState: Save = True) -> Stopped:
        """Stop beating. The others will call this machine offline once it has been silent for long enough."""
        ran = self._host.service.is_running
        answer = self._wire(Stopped, self._host.stop(save_state=saveState))
        if not ran:
            answer["message"] = "No heartbeat service runs in this server: there was nothing to stop"
        return answer

    def check_heartbeats(self, forceCheck: Force = False) -> Checked:
        """Look at everybody, announce what changed since the last look, and say it. A fresh look is told again."""
        return self._wire(Checked, self._host.service.check(force=forceCheck))

    def sync_on_offline(self, machineId: MachineId, createBackup: Backup = True, dryRun: DryRun = False) -> Synced:
        """Preserve in the baseline what an offline machine published before it went. Deletes nothing; done once."""
        return self._wire(
            Synced, self._host.coordinator.sync_on_offline(machineId, create_backup=createBackup, dry_run=dryRun)
        )

    def sync_on_online(
        self,
        machineId: MachineId,
        createBackup: Backup = True,
        dryRun: DryRun = False,
        syncFromBaseline: Annotated[bool, Field(description="Whether files of the machine may be written")] = True,
        again: Annotated[bool, Field(description="Sync now, though it was done for this return")] = False,
    ) -> Synced:
        """Bring this machine up to date after its return, and the baseline with it. Done once for each return."""
        return self._wire(
            Synced,
            self._host.coordinator.sync_on_online(
                machineId, create_backup=createBackup, dry_run=dryRun, sync_from_baseline=syncFromBaseline, again=again
            ),
        )

    def get_decisions(
        self,
        includeAnswered: Annotated[bool, Field(description="Also those that were answered")] = False,
    ) -> Decided:
        """The conflicts that wait for a person, with the ids by which they are answered."""
        found = self._host.coordinator.decisions(all_states=includeAnswered)
        return {
            "success": True,
            "count": len(found),
            "waiting": sum(each.state is DecisionState.PENDING for each in found),
            "decisions": [self._wire(DecisionData, each) for each in found],
        }

    def get_events(
        self,
        machineId: Annotated[str | None, Field(description="Of one machine; by default of all")] = None,
        since: Annotated[str | None, Field(description="The earliest time of detection, ISO-8601 with a zone")] = None,
        most: Annotated[int, Field(description="How many at most, the newest", strict=True, gt=0, le=1_000)] = 100,
    ) -> Events:
        """What was announced: every change of status, by whomever it was found out, oldest first."""
        from_ms = None if since is None else _moment(since)
        found = self._host.service.history(machineId, None if from_ms is None else to_datetime(from_ms))[-most:]
        return {"success": True, "count": len(found), "events": [self._wire(EventData, event) for event in found]}

    def heartbeat_service(  # noqa: PLR0917 - as on the wire
        self,
        action: Annotated[Literal["register", "start", "stop"], Field(description="What to do")],
        machineId: Annotated[str | None, Field(description="Required to register and to start")] = None,
        metadata: Metadata = None,
        enableAutoSync: AutoSync = None,
        heartbeatInterval: Interval = None,
        offlineTimeout: Timeout = None,
        saveState: Save = True,
    ) -> ServiceAnswer:
        """Register a heartbeat, or start or stop the service of this machine."""
        result: Any
        if action == "stop":
            result = self.stop_heartbeat_service(saveState)
        elif machineId is None or not machineId.strip():
            french = self._host.locale == "fr"
            raise InvalidMachineIdError(
                f"machineId est requis pour l'action {action}" if french else f"machineId is required to {action}"
            )
        elif action == "register":
            result = self.register_heartbeat(machineId, metadata)
        else:
            result = self.start_heartbeat_service(machineId, enableAutoSync, heartbeatInterval, offlineTimeout)
        return {
            "success": result["success"],
            "message": result["message"],
            "result": cast(ServiceResult, {"action": action, **result}),
        }

    def heartbeat_status(
        self,
        filter: Annotated[  # noqa: A002 - as on the wire
            Literal["all", "online", "offline", "warning", "unknown"], Field(description="Which of the lists to fill")
        ] = "all",
        includeHeartbeats: Heartbeats = False,
        forceCheck: Force = False,
        includeChanges: Annotated[bool, Field(description="What a check before the answer found")] = False,
    ) -> Status:
        """The whole fleet, or one status of it; after a check, if one is asked for."""
        service = self._host.service
        report = service.check(force=forceCheck) if forceCheck or includeChanges else None
        state = service.state()
        found = self._wire(Status, state, include_heartbeats=includeHeartbeats)
        if filter != "all":
            found.update(cast(Status, {f"{each}Machines": [] for each in _LISTS if each != filter}))
            chosen = {machine.machine_id for machine in state.of(filter)}
            found["unconfirmedMachines"] = [name for name in found["unconfirmedMachines"] if name in chosen]
        if includeChanges:
            found["changes"] = self._wire(Checked, report)
        return found

    def _of(self, status: MachineStatus, *, details: bool) -> Machines:
        return self._wire(Machines, self._host.service.state(), only=status, include_details=details)

    def _wire(self, _shape: Callable[..., _Shape], result: Any, **wanted: Any) -> _Shape:
        """The answer; that it has this shape is for the tests to show, and the SDK validates each."""
        return cast(_Shape, to_wire(result, locale=self._host.locale, **wanted))


def _moment(text: str) -> int:
    try:
        return from_iso(text)
    except ValueError as error:
        raise InvalidConfigurationError(
            f"since is {text!r:.80}: expected a time with its zone, such as 2026-01-15T00:00:00Z"
        ) from error
