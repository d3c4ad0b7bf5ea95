"""Type-checked, never run: what a user's type checker must understand."""

from datetime import datetime, timedelta
from typing import assert_type

import pendulum

from heartbeat_kit import (
    CheckReport,
    FleetState,
    Heartbeat,
    HeartbeatConfig,
    HeartbeatService,
    JsonFileStorage,
    MachineState,
    MachineStatus,
    MemoryStorage,
    Registration,
    ServiceStatus,
    SharedFolderStorage,
    Storage,
    StorageTraits,
    Transition,
    classify,
    open_storage,
)
from heartbeat_kit.storage import EventLog, SharedLedger, Snapshot
from heartbeat_kit.testing import FakeClock


class Mine:
    """A storage of the user's own, without any base class."""

    traits = StorageTraits(durable=False, cross_process=False, cross_host=False, coherent=True)

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        return heartbeat

    def load(self) -> Snapshot:
        return Snapshot(heartbeats={})

    def remove(self, machine_id: str) -> bool:
        return bool(machine_id)

    def close(self) -> None: ...


def storages() -> list[Storage]:
    return [Mine(), MemoryStorage(), JsonFileStorage("."), SharedFolderStorage("."), open_storage("memory://")]


def abilities(storage: MemoryStorage) -> tuple[SharedLedger, EventLog]:
    return storage, storage


def use(service: HeartbeatService, now: datetime) -> None:
    assert_type(service.register({"a": 1}), Registration)
    assert_type(service.check(), CheckReport)
    assert_type(service.state(), FleetState)
    assert_type(service.state()["a"], MachineState)
    assert_type(service.state()["a"].age, pendulum.Duration)
    assert_type(service.start(progress_timeout=timedelta(minutes=1)), ServiceStatus)
    assert_type(service.history(since=now), tuple[Transition, ...])
    assert_type(classify(None, now), MachineStatus)

    @service.on_offline
    def alert(event: Transition) -> None:
        assert_type(event.occurred_at, pendulum.DateTime)

    alert(service.history()[0])
    with service.subscribe(alert, to=MachineStatus.OFFLINE), service as running:
        assert_type(running, HeartbeatService)


HeartbeatService(Mine(), HeartbeatConfig(heartbeat_interval=timedelta(seconds=5)), clock=FakeClock(), machine_id="a")
