"""What the heartbeats say about the transition a sync answers: its id, its time, and whether it still holds.

Owns the questions a coordinator has for a service. Must not know files or plans.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from heartbeat_kit._events import Reason, Transition, event_id
from heartbeat_kit._models import FleetState, MachineState, ObserverHealth
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.errors import HeartbeatKitError, MachineNotOfflineError, MachineNotOnlineError

__all__ = ["Evidence", "Witness", "rank"]

_OFFLINE: Final = MachineStatus.OFFLINE


class Evidence(NamedTuple):
    """The transition a sync answers.

    Attributes:
        transition_id: The same for every observer of the same heartbeats.
        evidence_ms: A time made of the heartbeats, so it too is the same for all.
        order: The last heartbeat it rests on.
        offline_ms: How long the machine was away, on its return; ``None`` where nobody knows.
    """

    transition_id: str
    evidence_ms: int
    order: tuple[int, int]
    offline_ms: int | None = None


class Witness:
    """Asks a service.

    Args:
        service: Who looks at the heartbeats.
    """

    def __init__(self, service: HeartbeatService) -> None:
        self._service = service

    def offline(self, machine_id: str) -> Evidence:
        """The silence a machine is in.

        Raises:
            MachineNotOfflineError: It is not offline, or nobody can tell.
        """
        state = self._service.state()
        machine = state.machines.get(machine_id)
        if machine is None or machine.status is not _OFFLINE or machine.heartbeat is None:
            raise MachineNotOfflineError(
                f"{machine_id} is {_said(state, machine)}: its offline sync is for when it is offline; nothing was "
                "changed",
                machine_id=machine_id,
            )
        beat = machine.heartbeat
        ended = beat.left_at_ms if beat.left_at_ms is not None else beat.last_heartbeat_ms + 2 * machine.timeout_ms
        return Evidence(event_id(machine_id, _OFFLINE, *beat.order), ended, beat.order)

    def why_void(self, machine_id: str, evidence: Evidence) -> str:
        """Why the silence is over; empty if it is not."""
        state = self._service.state()
        machine = state.machines.get(machine_id)
        if machine is None or machine.heartbeat is None:
            return f"{machine_id} is {_said(state, machine)}"
        if machine.heartbeat.order > evidence.order:
            return f"a newer heartbeat of {machine_id} was seen"
        return "" if machine.status is _OFFLINE else f"{machine_id} is {_said(state, machine)}"

    def online(self, machine_id: str) -> None:
        """The machine is online.

        Raises:
            MachineNotOnlineError: It is not, or nobody can tell.
        """
        state = self._service.state()
        machine = state.machines.get(machine_id)
        if machine is None or machine.status is not MachineStatus.ONLINE:
            raise MachineNotOnlineError(
                f"{machine_id} is {_said(state, machine)}: its online sync is for when it is online: register() or "
                "start() its service; nothing was changed",
                machine_id=machine_id,
            )

    def life(self, machine_id: str) -> int:
        """The life number of a machine that is online."""
        machine = self._service.state().machines.get(machine_id)
        return machine.heartbeat.incarnation if machine is not None and machine.heartbeat is not None else 0

    def last_return(self, machine_id: str) -> Transition | None:
        """The last return of a machine from offline that was announced here."""
        try:
            told = self._service.history(machine_id)
        except HeartbeatKitError:
            return None
        back = [e for e in told if e.reason is Reason.RETURNED and e.offline_duration_ms is not None]
        return back[-1] if back else None

    def online_machines(self) -> tuple[str, ...]:
        """Who could do something for a machine that is away."""
        return tuple(machine.machine_id for machine in self._service.state().online)


def rank(transition_id: str, observer: str, observers: tuple[str, ...]) -> int:
    """The place of an observer among those that may act on a transition; 0 acts first.

    Highest random weight, so that all compute one order without a word, and each transition has another (Thaler and
    Ravishankar, "Using name-based mappings to increase hit rates", 1998).

    >>> sorted(rank("t", name, ("a", "b", "c")) for name in ("a", "b", "c"))
    [0, 1, 2]
    """
    everybody = sorted(
        {*observers, observer}, key=lambda each: event_id("rendezvous", transition_id, each), reverse=True
    )
    return everybody.index(observer)


def _said(state: FleetState, machine: MachineState | None) -> str:
    if state.observer.health is ObserverHealth.BLIND:
        return f"beyond our sight ({state.observer.reason})"
    return "not known here" if machine is None else str(machine.status)
