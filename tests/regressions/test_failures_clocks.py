"""F19, F20, F23, F53, F54: no clock but the observer's own, and no pause of the observer, makes a machine look dead."""

import json
from datetime import UTC, datetime, timedelta

import pytest
from regression_media import INTERVAL, TIMEOUT, Medium, changes

from heartbeat_kit import (
    Heartbeat,
    HeartbeatService,
    MachineStatus,
    MemoryStorage,
    ObserverHealth,
    SharedFolderStorage,
    classify,
    to_wire,
)
from heartbeat_kit.testing import FakeClock, RecordingListener

HOUR = 3600


def fleet(medium, size=4):
    return [medium.peer(f"pc-{number}") for number in range(size)]


def dies_once(medium, clock, heard, peer):
    """The peer dies; exactly one warning and one offline follow, about it alone."""
    before = len(changes(heard))
    peer.stop()
    clock.advance(medium.deadline + INTERVAL)
    clock.advance(10 * INTERVAL)
    machine_id = peer.machine_id
    assert changes(heard)[before:] == [(machine_id, "warning"), (machine_id, "offline")]


@pytest.mark.parametrize("ahead", [1.5, 119])
def test_f19_a_sender_slightly_ahead_is_alive(medium, clock, ahead):
    """A stamp up to one timeout in the future is online, at first sight and later."""
    watcher = medium.service("watcher")
    stamp = clock.now_utc + timedelta(seconds=ahead)
    medium.storage().put(Heartbeat(machine_id="web-1", last_heartbeat=stamp, incarnation=1, seq=1, interval=30_000))
    assert watcher.state()["web-1"].status is MachineStatus.ONLINE
    report = watcher.check(force=True)
    assert report.newly_offline == report.newly_warning == report.unknown == ()


@pytest.mark.parametrize("ahead", [timedelta(minutes=10), timedelta(days=3650)])
def test_f19_a_stamp_from_the_future_proves_nothing(medium, clock, ahead):
    """A dead machine's future stamp is unknown at first, offline after the deadline, and never online until then."""
    watcher = medium.service("watcher")
    stamp = clock.now_utc + ahead
    medium.storage().put(Heartbeat(machine_id="web-1", last_heartbeat=stamp, incarnation=1, seq=1, interval=30_000))
    seen = []
    for _ in range(16):
        watcher.check(force=True)
        seen.append(str(watcher.state()["web-1"].status))
        clock.advance(INTERVAL)
    assert seen[0] == "unknown"
    assert "online" not in seen
    assert seen[-1] == "offline"


@pytest.mark.parametrize("stamp", ["now", "P1D", "", None, 5, True, [], "2026-13-01T00:00:00Z", "2026-01-01T00:00:00"])
def test_f19_an_invalid_stamp_is_an_unreadable_record(files, clock, stamp):
    """A stamp that names no instant makes the record unreadable: not online for ever, not offline either."""
    files.service("web-1").register()
    path = files.directory / "heartbeats.json" if files.kind == "json" else files.own_file("web-1")
    document = json.loads(path.read_bytes())
    (document["heartbeats"]["web-1"] if files.kind == "json" else document)["lastHeartbeat"] = stamp
    path.write_text(json.dumps(document))
    watcher = files.service("watcher")
    report = watcher.check(force=True)
    assert list(report.unreadable) == ["web-1"]
    for _ in range(50):
        clock.advance(60)
        assert watcher.check(force=True).transitions == ()
        assert watcher.state()["web-1"].status is MachineStatus.UNKNOWN


@pytest.mark.parametrize("skew", [-3600, -600, 600, 3600])
def test_f20_a_skewed_sender_is_judged_by_the_observers_clock(folder, clock, skew):
    """A sender whose clock is off by an hour is online while it beats, and found dead in time when it stops."""
    peer = folder.peer("pc-0", skew=skew)
    observer, heard = folder.observer()
    clock.advance(10 * INTERVAL)
    assert observer.state()["pc-0"].status is MachineStatus.ONLINE
    assert observer.state()["pc-0"].clock_skew == pytest.approx(timedelta(seconds=skew), abs=timedelta(seconds=31))
    assert changes(heard) == []
    dies_once(folder, clock, heard, peer)


@pytest.mark.parametrize("jump", [-3600, -600, 600, 3600])
def test_f20_wall_clock_jumps_change_no_verdict(medium, clock, jump):
    """The observer's wall clock jumps (DST, NTP, a hand): nobody is announced; a later death is announced once."""
    peers = fleet(medium)
    observer, heard = medium.observer()
    clock.advance(3 * INTERVAL)
    clock.jump_wall(jump)
    clock.advance(1)
    assert observer.check(force=True).newly_warning == ()
    clock.advance(12 * INTERVAL)
    assert changes(heard) == []
    assert len(observer.state().online) == 5
    assert observer.state().observer.health is ObserverHealth.OK
    dies_once(medium, clock, heard, peers[1])
    clock.jump_wall(-jump)
    clock.advance(20 * INTERVAL)
    assert len(changes(heard)) == 2, "the dead one is not announced again"


@pytest.mark.parametrize("jump", [-3600, 3600])
def test_f20_a_jump_while_a_machine_is_silent_moves_no_deadline(folder, clock, jump):
    """A silence under way is measured on the monotonic clock: no earlier for a jump ahead, one settle period later."""
    peers = fleet(folder, 2)
    observer, heard = folder.observer()
    clock.advance(3 * INTERVAL)
    peers[0].stop()
    clock.advance(60)
    clock.jump_wall(jump)
    clock.advance(30)
    assert changes(heard) == []
    assert observer.state()["pc-0"].status is MachineStatus.ONLINE
    clock.advance(folder.deadline + TIMEOUT)
    assert changes(heard) == [("pc-0", "warning"), ("pc-0", "offline")]


def test_f23_a_restart_of_the_observer_is_no_transition_of_its_peers(medium, clock):
    """Two hours of downtime of the observer: who beat on is not announced; who died meanwhile is, exactly once."""
    peers = fleet(medium)
    shared = medium.storage()
    observer, heard = medium.observer(storage=shared)
    clock.advance(4 * INTERVAL)
    observer.stop()
    clock.advance(HOUR)
    peers[2].stop()
    clock.advance(HOUR)
    observer, again = medium.observer(storage=shared)
    clock.advance(INTERVAL)
    assert [change for change in changes(again) if change[0] != "pc-2"] == []
    clock.advance(medium.deadline + TIMEOUT)
    clock.advance(HOUR)
    assert [change for change in changes(again) if change[0] != "pc-2"] == []
    assert changes(again).count(("pc-2", "offline")) == 1
    assert changes(again).count(("pc-2", "warning")) <= 1
    assert changes(heard) == []
    _, third = medium.observer("third", storage=shared)
    clock.advance(INTERVAL)
    assert [change for change in changes(third) if change[0] != "pc-2"] == []


def test_f23_eight_hours_of_suspend_are_no_transition(medium, clock):
    """The observer's host sleeps for eight hours: no event on waking; who died meanwhile is announced once, later."""
    peers = fleet(medium)
    observer, heard = medium.observer()
    clock.advance(4 * INTERVAL)
    peers[2].stop()
    clock.suspend(8 * HOUR)
    clock.advance(INTERVAL)
    assert changes(heard) == []
    report = observer.check(force=True)
    assert report.newly_offline == report.newly_warning == ()
    clock.advance(medium.deadline + 2 * TIMEOUT)
    assert changes(heard) == [("pc-2", "warning"), ("pc-2", "offline")]
    clock.advance(HOUR)
    assert len(changes(heard)) == 2


@pytest.mark.parametrize("disturbance", ["suspend", "jump ahead", "jump back"])
def test_f20_f23_after_a_disturbance_peers_get_time_to_be_heard(medium, clock, disturbance):
    """After waking, or after a clock was set, news may come late (a sync client starts up): one timeout is granted."""
    for number in range(3):
        medium.peer(f"pc-{number}")
    storage = medium.storage()
    watcher = medium.service("watcher", storage=storage)
    for _ in range(4):
        clock.advance(INTERVAL)
        watcher.check(force=True)
    storage.freeze()
    clock.advance(60)
    watcher.check(force=True)
    if disturbance == "suspend":
        clock.suspend(8 * HOUR)
    else:
        clock.jump_wall(HOUR if disturbance == "jump ahead" else -HOUR)
    for pause in (10, 58, 57):
        clock.advance(pause)
        assert watcher.check(force=True).transitions == ()
    storage.thaw()
    assert watcher.check(force=True).transitions == ()


def test_f23_an_observer_that_starts_before_its_sync_client_buries_nobody(clock, tmp_path):
    """Restarted after two hours, seeing at first only what was there before: nobody is announced for it."""
    medium = Medium("synced", tmp_path, clock)
    for number in range(3):
        medium.peer(f"pc-{number}")
    storage = medium.storage()
    watcher = medium.service("watcher", storage=storage)
    for _ in range(6):
        clock.advance(TIMEOUT)
        watcher.check(force=True)
    storage.freeze()
    clock.advance(2 * HOUR)
    again = medium.service("watcher", storage=storage)
    for _ in range(2):
        assert again.check(force=True).transitions == ()
        clock.advance(25)
    storage.thaw()
    assert again.check(force=True).transitions == ()
    medium.close()


@pytest.mark.parametrize("length", [5 * 60, 8 * HOUR])
def test_f53_the_stall_guard_covers_the_whole_pass_and_a_settle_period(medium, clock, length):
    """After a stall no peer is judged in the late look, not the second nor the last, and each gets time to beat."""
    peers = fleet(medium, 6)
    observer, heard = medium.observer()
    clock.advance(4 * INTERVAL)
    for peer in peers[:3]:
        peer.stop()  # silent since before the stall; the others are silent with the observer, or go on
    everybody = [clock] if not medium.cross_host else [clock, *(peer._clock for peer in peers)]
    for host in everybody:
        host.stall(length)
    clock.advance(length)
    assert changes(heard) == []
    late = observer.state()
    assert late.offline == late.warning == ()
    clock.advance(2 * INTERVAL)
    assert changes(heard) == [], "a settle period follows"
    for peer in peers[:2]:
        peer.start()
    clock.advance(medium.deadline + 2 * TIMEOUT)
    assert changes(heard) == [("pc-2", "warning"), ("pc-2", "offline")]
    assert len(observer.state().online) == 6


@pytest.mark.parametrize("ask", ["state", "check", "wait_for"])
def test_f53_the_guard_covers_whoever_looks_first_after_a_stall(medium, clock, ask):
    """A whole host that stood still: a question asked before the overdue look judges nobody by the time lost."""
    peers = fleet(medium, 3)
    observer, heard = medium.observer()
    clock.advance(4 * INTERVAL)
    for host in {clock, *(peer._clock for peer in peers)}:
        host.stall(10 * INTERVAL)
    clock.advance(10 * INTERVAL - 1)
    if ask == "wait_for":
        assert observer.wait_for("pc-0", "offline", 0) is False
    else:
        (observer.state if ask == "state" else lambda: observer.check(force=True))()
    clock.advance(20 * INTERVAL)
    assert changes(heard) == []
    assert len(observer.state().online) == 4


def test_f53_the_late_look_says_that_it_was_stalled(medium, clock):
    """The report of a late look carries the health `stalled`; the next ones are ok again."""
    health = []
    observer, _ = medium.observer()
    observer.on_transition(lambda event: health.append((event.machine_id, str(observer.state().observer.health))))
    clock.advance(2 * INTERVAL)
    clock.stall(600)
    clock.advance(600)
    assert observer.state().observer.health is ObserverHealth.OK or not health
    clock.jump_wall(600)
    assert observer.check(force=True).observer.health is ObserverHealth.STALLED
    clock.advance(1)
    assert observer.check(force=True).observer.health is ObserverHealth.OK


EXTREMES = [datetime.min, datetime(1970, 1, 1), datetime(2026, 1, 1), datetime.max]  # noqa: DTZ001, DTZ901 - made aware below


@pytest.mark.parametrize("now", EXTREMES)
@pytest.mark.parametrize("last", EXTREMES)
@pytest.mark.parametrize("timeout", [timedelta(microseconds=1), timedelta(minutes=2), timedelta.max])
def test_f54_classify_raises_on_no_time(now, last, timeout):
    """Any two aware times and any timeout have a status."""
    status = classify(last.replace(tzinfo=UTC), now.replace(tzinfo=UTC), offline_timeout=timeout)
    assert status in MachineStatus
    assert classify(None, now.replace(tzinfo=UTC), offline_timeout=timeout) is MachineStatus.UNKNOWN


@pytest.mark.parametrize("last", EXTREMES)
@pytest.mark.parametrize("number", [0, 2**63 - 1])
@pytest.mark.parametrize("interval", [1, 253_402_300_799_999])
def test_f54_a_record_of_any_time_can_be_judged_shown_and_waited_for(last, number, interval):
    """Check, state, explain, the wire and the table take the extremes of every field, at once and a year later."""
    clock = FakeClock()
    storage = MemoryStorage()
    beat = Heartbeat(
        machine_id="web-1",
        last_heartbeat=last.replace(tzinfo=UTC),
        incarnation=number,
        seq=number,
        interval=interval,
        first_seen=last.replace(tzinfo=UTC),
    )
    storage.put(beat)
    service = HeartbeatService(storage, clock=clock, machine_id="watcher")
    heard = RecordingListener()
    service.subscribe(heard)
    for pause in (0, 10, 400, 366 * 86_400):
        clock.advance(pause)
        report = service.check(force=True)
        state = service.state()
        machine = state["web-1"]
        assert machine.status in MachineStatus
        for shown in (report, state, machine, *heard.events):
            assert repr(shown)
            assert to_wire(shown)
        assert machine.explain()
        assert machine._repr_html_()
        assert state._repr_html_()
        assert machine.missed_heartbeats >= 0
        for value in (machine.age, machine.since, machine.warning_since, machine.offline_since, machine.next_deadline):
            assert value is None or str(value)
        assert str(machine.timeout)
        assert str(machine.interval)
    service.wait_for("web-1", "warning", 5)
    assert service.prune(timedelta(0)) in ((), ("web-1",))


@pytest.mark.parametrize("start", [datetime.min.replace(year=2), datetime.max.replace(year=9998)])  # noqa: DTZ901
def test_f54_an_observer_at_the_ends_of_the_calendar_still_judges(start, medium):
    """A host whose clock says year 2 or 9998 finds a dead machine like any other."""
    clock = medium.clock
    clock.jump_wall(start.replace(tzinfo=UTC) - clock.now_utc)
    peers = fleet(medium, 2)
    observer, heard = medium.observer()
    clock.advance(4 * INTERVAL)
    assert len(observer.state().online) == 3
    dies_once(medium, clock, heard, peers[0])


@pytest.mark.parametrize("delay", [0, 60])
def test_f23_an_observer_that_runs_now_and_then_finds_a_death(tmp_path, clock, delay):
    """A scheduled job looks once in each process: what one run counted is not lost to the next."""
    heard = []

    def run(name, beats):
        storage = SharedFolderStorage(tmp_path, propagation_delay=timedelta(seconds=delay), time_budget=None)
        service = HeartbeatService(storage, clock=clock, machine_id="job", state_dir=tmp_path / "state")
        service.subscribe(lambda event: heard.append((event.machine_id, str(event.after))))
        for machine in beats:
            service.register(machine_id=machine)
        service.check(force=True)
        storage.close()
        clock.advance(300)

    for number in range(20):
        run(number, ["alive", "dies"] if number < 5 else ["alive"])
    assert [status for name, status in heard if name == "dies"][-1] == "offline"
    assert len([1 for name, status in heard if (name, status) == ("dies", "offline")]) == 1
    assert {status for name, status in heard if name == "alive"} <= {"online"}
