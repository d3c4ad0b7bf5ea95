"""F21, F22, F36, F37: an observer that cannot see says so, judges nobody, waits for nothing, and recovers by itself."""

import os
import threading
import time
from datetime import timedelta

import pytest
from regression_media import INTERVAL, PEER, TIMEOUT, DeadMount, Medium, changes

from heartbeat_kit import HeartbeatService, MachineStatus, ObserverHealth
from heartbeat_kit.errors import HeartbeatRegistrationError
from heartbeat_kit.testing import RecordingListener

HOUR = 3600
BUDGET = 0.25


def test_f21_an_observer_that_lost_its_disk_declares_nobody_offline(medium, clock):
    """Two hours without the storage: health is blind, every status stays and is marked stale, no event fires."""
    peers = [medium.peer(f"pc-{number}") for number in range(3)]
    storage = medium.storage()
    observer, heard = medium.observer(storage=storage)
    clock.advance(4 * INTERVAL)
    peers[0].stop()
    clock.advance(medium.deadline)
    before = changes(heard)
    storage.go_down("the disk is gone")
    for hours in (0.1, 0.4, 1.5):
        clock.advance(hours * HOUR)
        report = observer.check(force=True)
        state = observer.state()
        for seen in (report.observer, state.observer):
            assert seen.health is ObserverHealth.BLIND
            assert "the disk is gone" in seen.reason
        assert report.transitions == ()
        assert {machine.machine_id: str(machine.status) for machine in state} == {
            "pc-0": "offline",
            "pc-1": "online",
            "pc-2": "online",
            "watcher": "online",
        }
        assert all(machine.stale for machine in state)
    assert changes(heard) == before
    assert observer.is_running
    assert observer.prune(timedelta(0)) == ()


def test_f21_looks_on_demand_are_blind_too(medium, clock):
    """An observer that does not beat itself keeps every status through an outage, and announces nothing after it."""
    for number in range(3):
        medium.peer(f"pc-{number}")
    storage = medium.storage()
    watcher = medium.service("watcher", storage=storage)
    for _ in range(3):
        clock.advance(INTERVAL)
        watcher.check(force=True)
    storage.go_down("the disk is gone")
    for _ in range(20):
        clock.advance(10 * INTERVAL)
        report = watcher.check(force=True)
        assert (report.observer.health, report.transitions) == (ObserverHealth.BLIND, ())
        assert [machine.machine_id for machine in watcher.state().online] == ["pc-0", "pc-1", "pc-2"]
    storage.come_back()
    assert watcher.check(force=True).transitions == ()


@pytest.mark.parametrize("failing", ["load", "put"])
def test_f21_half_a_disk_is_no_disk(medium, clock, failing):
    """Reading or writing alone broken: blind as well, and nobody is announced."""
    medium.peer("pc-0")
    storage = medium.storage()
    observer, heard = medium.observer(storage=storage)
    clock.advance(4 * INTERVAL)
    storage.fail(failing, times=10**6)
    clock.advance(HOUR)
    assert observer.check(force=True).observer.health is ObserverHealth.BLIND
    assert changes(heard) == []


@pytest.mark.parametrize("whose", ["the observer's", "everybody's"])
def test_f22_after_the_disk_came_back_all_is_right_within_one_interval(medium, clock, whose):
    """Own record present and fresh, health ok, peers right, no storm; who died meanwhile is announced once, in time."""
    peers = [medium.peer(f"pc-{number}") for number in range(4)]
    storage = medium.storage()
    observer, heard = medium.observer(storage=storage)
    clock.advance(4 * INTERVAL)
    down, back = (
        (medium.take_away, medium.bring_back)
        if whose == "everybody's"
        else (lambda: storage.go_down("lost"), storage.come_back)
    )
    down()
    clock.advance(HOUR / 2)
    peers[3].stop()
    clock.advance(HOUR / 2)
    back()
    medium.storage().remove("watcher")
    clock.advance(INTERVAL)
    own = medium.stored("watcher")
    assert own is not None
    assert clock.now_utc - own.last_heartbeat < timedelta(seconds=INTERVAL)
    clock.advance(INTERVAL)
    state = observer.state()
    assert state.observer.health is ObserverHealth.OK
    assert {name: str(state[name].status) for name in ("pc-0", "pc-1", "pc-2", "watcher")} == dict.fromkeys(
        ("pc-0", "pc-1", "pc-2", "watcher"), "online"
    )
    clock.advance(medium.deadline + TIMEOUT)
    clock.advance(10 * INTERVAL)
    assert {machine for machine, _ in changes(heard)} == {"pc-3"}
    assert changes(heard).count(("pc-3", "offline")) == 1
    assert changes(heard).count(("pc-3", "warning")) <= 1  # where stamps are our own clock's it is dead at once


def test_f22_the_first_look_after_an_outage_announces_nobody(medium, clock):
    """Nobody could write for an hour: an observer that looks before the peers beat again does not call them dead."""
    for number in range(3):
        medium.peer(f"pc-{number}")
    watcher = medium.service("watcher")
    for _ in range(3):
        clock.advance(INTERVAL)
        watcher.check(force=True)
    medium.take_away()
    for _ in range(6):
        clock.advance(600)
        assert watcher.check(force=True).observer.health is ObserverHealth.BLIND
    medium.bring_back()
    for _ in range(8):
        report = watcher.check(force=True)
        assert (report.observer.health, report.transitions) == (ObserverHealth.OK, ())
        clock.advance(INTERVAL)


@pytest.fixture
def mount(tmp_path, monkeypatch, clock):
    """A shared folder whose mount can die, and an observer of it with a small time budget."""
    medium = Medium("nfs", tmp_path, clock)
    dead = DeadMount(monkeypatch, medium.directory)
    yield medium, dead
    dead.answer()
    medium.close()


def timed(call):
    """Seconds a call took."""
    began = time.monotonic()
    call()
    return time.monotonic() - began


def test_f36_a_dead_mount_holds_nobody_up(mount, clock):
    """register, check, state, wait_for, start and stop return within the budget on a mount that never answers."""
    medium, dead = mount
    others = set(threading.enumerate())
    storage = medium.storage(time_budget=timedelta(seconds=BUDGET))
    peer = medium.peer("web-1")
    service, heard = medium.observer(storage=storage)
    clock.advance(3 * INTERVAL)
    peer.stop()
    dead.hang()

    def refused():
        with pytest.raises(HeartbeatRegistrationError):
            service.register()

    calls = [refused, lambda: service.check(force=True), service.state, refused, lambda: service.check(force=True)]
    took = [timed(call) for call in calls]
    assert max(took) < 4 * BUDGET
    assert service.check(force=True).observer.health is ObserverHealth.BLIND
    assert timed(lambda: service.wait_for("web-1", "offline", 1)) < 4 * BUDGET
    assert timed(lambda: clock.advance(HOUR)) < 20 * BUDGET, "background beats and looks do not wait in turn"
    assert service.is_running
    assert changes(heard) == []
    assert timed(service.stop) < 4 * BUDGET
    assert timed(service.start) < 4 * BUDGET
    assert len([t for t in set(threading.enumerate()) - others if t.name.startswith("heartbeat_kit ")]) <= 6, (
        "hung calls do not pile up"
    )
    dead.answer()
    deadline = time.monotonic() + 10
    while service.check(force=True).observer.health is not ObserverHealth.OK and time.monotonic() < deadline:
        clock.advance(INTERVAL)
        threading.Event().wait(0.02)
    assert service.status.pending is None
    assert service.state()["watcher"].status is MachineStatus.ONLINE
    clock.advance(medium.deadline + TIMEOUT)
    assert changes(heard, "web-1")[-1:] == [("web-1", "offline")]


def test_f36_a_pipe_named_like_a_record_holds_nobody_up(folder, clock):
    """A FIFO in the folder is an unreadable record, not a read that never returns."""
    if not hasattr(os, "mkfifo"):
        pytest.skip("no FIFOs here")
    folder.peer("web-1")
    os.mkfifo(folder.own_file("trap"))
    observer, _ = folder.observer()
    clock.advance(INTERVAL)
    report = observer.check(force=True)
    assert list(report.unreadable) == ["trap"]
    assert observer.state()["web-1"].status is MachineStatus.ONLINE


def test_f37_a_service_starts_without_its_share_and_recovers(medium, clock):
    """Absent at start: it runs, blind, its beat pending; once present: own record there and seeing in one interval."""
    peer = medium.peer("web-1")
    medium.take_away()
    options = {"must_exist": False} if medium.in_files else {}
    storage = medium.storage(**options)
    if not medium.in_files:
        storage.go_down("not mounted")
    service = medium.service("watcher", storage=storage)
    heard = RecordingListener()
    service.subscribe(heard)
    status = service.start()
    assert status.is_running
    assert status.pending
    assert service.check(force=True).observer.health is ObserverHealth.BLIND
    clock.advance(2 * HOUR)
    assert service.is_running
    assert service.check(force=True).observer.health is ObserverHealth.BLIND
    assert heard.events == ()
    medium.bring_back()
    clock.advance(INTERVAL)
    assert medium.stored("watcher") is not None
    assert service.status.pending is None
    clock.advance(INTERVAL)
    state = service.state()
    assert state.observer.health is ObserverHealth.OK
    assert {machine.machine_id: str(machine.status) for machine in state} == {"watcher": "online", "web-1": "online"}
    assert changes(heard) == []
    peer.stop()
    clock.advance(medium.deadline)
    assert changes(heard) == [("web-1", "warning"), ("web-1", "offline")]


def test_f37_a_restart_during_the_outage_does_not_make_our_beats_look_old(medium, clock):
    """A service restarted while the share is away, with its clock set back, still beats above its stored record."""
    first = medium.peer("web-1")
    clock.advance(10 * INTERVAL)
    first.stop()
    stored = medium.stored("web-1")
    medium.take_away()
    options = {"must_exist": False} if medium.in_files else {}
    storage = medium.storage(**options)
    if not medium.in_files:
        storage.go_down("not mounted")
    clock.jump_wall(-7 * 86_400)
    service = HeartbeatService(storage, PEER, clock=clock, machine_id="web-1", state_dir=medium.state / "again")
    service.start()
    medium.bring_back()
    clock.advance(INTERVAL)
    assert medium.stored("web-1").order > stored.order
    service.stop()
