"""`Fleet`: the media it runs on, real and simulated, and the fleets that cannot be."""

from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatConfig, JsonFileStorage, MachineStatus, MemoryStorage, SharedFolderStorage
from heartbeat_kit.errors import (
    InvalidConfigurationError,
    InvalidMachineIdError,
    ServiceAlreadyRunningError,
    StorageClosedError,
)
from heartbeat_kit.storage import StorageTraits
from heartbeat_kit.testing import FakeClock, Fleet

ONLINE, OFFLINE, UNKNOWN = MachineStatus.ONLINE, MachineStatus.OFFLINE, MachineStatus.UNKNOWN
EVERY_SECOND = HeartbeatConfig(check_interval=timedelta(seconds=1))


def troubles(fleet):
    """What was announced that is not a coming: (machine, status)."""
    return [change for change in fleet.events.changes if change[1] != "online"]


def epoch(fleet, moment):
    """A wall-clock time of a clock that was not touched, in seconds since the fleet began."""
    return (moment - FakeClock().now_utc).total_seconds()


def test_records_travel_for_the_propagation_delay():
    with Fleet(["a", "b"], config=EVERY_SECOND, propagation_delay=timedelta(seconds=40)) as fleet:
        assert list(fleet.machines["a"].state().machines) == ["a"]
        fleet.advance(39.999)
        assert fleet.statuses() == {"a": UNKNOWN, "b": UNKNOWN}
        fleet.advance(0.001)
        assert fleet.statuses() == {"a": ONLINE, "b": ONLINE}
        fleet.advance(3600)
        assert troubles(fleet) == []
        fleet.crash("b")
        last = epoch(fleet, fleet.storage.load().heartbeats["b"].last_heartbeat)
        fleet.advance(600)
        assert fleet.timeline("b")[-1] == (-(-(last + 40) // 1) + 240 + 40, OFFLINE)
        assert [event.reason for event in fleet.observer.history("b")] == ["first_seen", "silent", "silent"]


def test_removed_machine_is_gone_at_once_in_spite_of_the_delay():
    with Fleet(2, propagation_delay=timedelta(seconds=40)) as fleet:
        fleet.advance(120)
        fleet.crash("m1")
        assert fleet.observer.remove("M1")
        fleet.advance(600)
        assert fleet.statuses() == {"m1": UNKNOWN, "m2": ONLINE}
        fleet.revive("m1")
        assert "m1" not in fleet.observer.storage.load().heartbeats  # neither the old record nor yet the new one
        fleet.advance(120)
        assert fleet.statuses()["m1"] is ONLINE


def test_record_put_from_outside_is_seen_at_once():
    with Fleet(1, propagation_delay=timedelta(seconds=40)) as fleet:
        fleet.advance(120)
        stranger = fleet.storage.load().heartbeats["m1"]
        fleet.storage.put(type(stranger)(machine_id="x", last_heartbeat=0, incarnation=1, seq=1, interval=30_000))
        assert "x" in fleet.observer.state().machines


@pytest.mark.parametrize("backend", [SharedFolderStorage, JsonFileStorage])
def test_works_on_real_storages(tmp_path, backend):
    (tmp_path / "shared").mkdir()
    storage = backend(tmp_path / "shared")
    with Fleet(3, storage=storage, state_dir=tmp_path / "state", config=EVERY_SECOND) as fleet:
        fleet.advance(100)
        fleet.crash("m2")
        fleet.advance(600)
        fleet.revive("m2")
        fleet.advance(90)
        fleet.crash("observer")
        fleet.revive("observer")
        fleet.advance(90)
        assert [event.reason for event in fleet.events.of("m2")] == ["first_seen", "silent", "silent", "returned"]
        assert fleet.statuses() == {"m1": ONLINE, "m2": ONLINE, "m3": ONLINE}
        assert fleet.storage is storage
    assert not [path for path in (tmp_path / "shared").rglob("*") if path.name == "service.lock"]
    storage.close()


@pytest.mark.parametrize("backend", [SharedFolderStorage, JsonFileStorage])
def test_crash_writes_not_one_byte(tmp_path, backend):
    """Neither a goodbye nor what a clean stop saves, in the shared folder or on the local disks."""

    def files():
        found = [path for path in tmp_path.rglob("*") if path.is_file() and path.suffix != ".lock"]
        return {path: (path.stat().st_mtime_ns, path.read_bytes()) for path in found}

    storage = backend(tmp_path / "shared", create=True)
    with Fleet(1, storage=storage, state_dir=tmp_path / "state") as fleet:
        fleet.advance(100)
        before = files()
        fleet.crash("m1")
        fleet.crash("observer")
        assert files() == before
    storage.close()


def test_lock_of_a_running_machine_is_still_in_force(tmp_path):
    """That a crash frees the lock does not weaken the rule for those who live."""
    storage = SharedFolderStorage(tmp_path / "shared", create=True)
    with Fleet(1, storage=storage, state_dir=tmp_path / "state") as fleet:
        with pytest.raises(ServiceAlreadyRunningError):
            Fleet(1, storage=storage, state_dir=tmp_path / "state", observer="other")
        fleet.crash("m1")
        with Fleet(1, storage=storage, state_dir=tmp_path / "state", observer="other") as second:
            assert second.machines["m1"].is_running


def test_fleet_that_cannot_start_leaves_nobody_running(tmp_path):
    storage = SharedFolderStorage(tmp_path / "shared", create=True)
    with Fleet(["m2"], storage=storage, state_dir=tmp_path / "state"):
        with pytest.raises(ServiceAlreadyRunningError):
            Fleet(["m1", "m2"], storage=storage, state_dir=tmp_path / "state", observer="other")
        with Fleet(["m1"], storage=storage, state_dir=tmp_path / "state", observer="other") as third:
            assert third.machines["m1"].is_running


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        ({"machines": 0}, "0 machines and 1 observers: a fleet needs at least one of each"),
        ({"machines": []}, "at least one of each"),
        ({"observer": ()}, "at least one of each"),
        ({"machines": "web"}, "a number, or a list of ids"),
        ({"machines": ["a", "A"]}, "a given twice"),
        ({"machines": ["a", "observer"]}, "observer given twice"),
        ({"machines": ["../a"]}, "cannot name a machine"),
        ({"propagation_delay": 5}, "expected a timedelta"),
        ({"propagation_delay": timedelta(seconds=-1)}, "zero or more"),
        ({"storage": MemoryStorage(), "cross_host": False}, "the traits of the storage you pass"),
        ({"storage": MemoryStorage(), "propagation_delay": timedelta(1)}, "the traits of the storage you pass"),
    ],
)
def test_fleet_that_cannot_be_is_refused(arguments, reason):
    with pytest.raises((InvalidConfigurationError, InvalidMachineIdError), match=reason):
        Fleet(**arguments)


def test_storage_on_disk_needs_a_state_dir(tmp_path):
    with pytest.raises(InvalidConfigurationError, match="state_dir=tmp_path"):
        Fleet(storage=JsonFileStorage(tmp_path))


def test_machines_of_one_host_have_exact_deadlines_and_no_clock_of_their_own():
    with Fleet(2, cross_host=False, config=EVERY_SECOND) as fleet:
        fleet.advance(100)
        fleet.crash("m1")
        beat = epoch(fleet, fleet.observer.state()["m1"].last_heartbeat)
        fleet.advance(600)
        occurred = [epoch(fleet, event.occurred_at) for event in fleet.events.of("m1")[1:]]
        assert occurred == pytest.approx([beat + 120, beat + 240])
        with pytest.raises(InvalidConfigurationError, match="share its clock"):
            fleet.skew("m1", 60)


def test_default_medium_is_of_several_hosts():
    with Fleet(1) as fleet:
        assert fleet.storage.traits == StorageTraits(durable=False, cross_process=False, cross_host=True, coherent=True)


def test_links_are_to_one_medium():
    with Fleet(1) as fleet:
        link = fleet.machines["m1"].storage
        assert repr(fleet.storage) in repr(link)
        link.close()
        with pytest.raises(StorageClosedError):
            fleet.observer.storage.load()
