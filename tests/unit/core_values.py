"""Values the unit tests of the core are built from."""

from heartbeat_kit import (
    Basis,
    FleetState,
    Heartbeat,
    MachineState,
    MachineStatus,
    ObserverHealth,
    ObserverState,
    Reason,
    Transition,
)

START = 1_767_225_600_000
"""2026-01-01T00:00:00Z, where a `FakeClock` begins."""


def beat(machine_id="web-1", *, at=START, incarnation=1, seq=1, interval=30_000, **more):
    """A heartbeat stamped `at`."""
    return Heartbeat(
        machine_id=machine_id, last_heartbeat=at, incarnation=incarnation, seq=seq, interval=interval, **more
    )


def event(machine_id="web-1", after=MachineStatus.OFFLINE, **more):
    """A transition to `after`."""
    given = {
        "id": f"{machine_id}-{after}",
        "before": MachineStatus.ONLINE,
        "reason": Reason.SILENT,
        "observer": "watcher",
        "occurred_at": START + 240_000,
        "detected_at": START + 250_000,
        **more,
    }
    return Transition(machine_id=machine_id, after=after, **given)


def machine(machine_id="web-1", status=MachineStatus.ONLINE, **more):
    """The state of one machine."""
    given = {
        "heartbeat": more["heartbeat"] if "heartbeat" in more else beat(machine_id),
        "basis": Basis.OBSERVER,
        "reason": "beating",
        "observer": "watcher",
        "retrieved_at": START + 65_000,
        "age": 65_000,
        "timeout": 120_000,
        **more,
    }
    return MachineState(machine_id=machine_id, status=status, **given)


def observer(health=ObserverHealth.OK, reason=""):
    """An observer called "watcher"."""
    return ObserverState(health=health, since=START, reason=reason, machine_id="watcher")


def fleet(*machines, health=ObserverHealth.OK, reason="", **more):
    """The state of a fleet."""
    return FleetState(
        machines={found.machine_id: found for found in machines},
        observer=observer(health, reason),
        retrieved_at=START + 65_000,
        **more,
    )
