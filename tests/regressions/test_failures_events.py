"""F09–F12, F31–F33: each change is one event, stored, delivered once to everybody, and dated exactly."""

import threading
from datetime import timedelta

import pytest
from regression_media import INTERVAL, PEER, TIMEOUT, Medium, changes

from heartbeat_kit import HeartbeatConfig, MachineStatus, ObserverHealth
from heartbeat_kit.testing import RecordingListener


def test_f09_one_transition_is_one_event_across_checks_and_restarts(medium, clock):
    """However often one checks, reloads or restarts, a death is one warning and one offline, a return one online."""
    peer = medium.peer("web-1")
    heard = RecordingListener()

    def watch(looks):
        service = medium.service("watcher", storage=None if medium.in_files else shared)
        service.subscribe(heard)
        service.start()
        for _ in range(looks):
            clock.advance(INTERVAL)
            service.check(force=True)
            service.check()
        service.stop()

    shared = medium.storage()
    watch(4)
    peer.stop()
    for _ in range(15):
        watch(12)
    assert changes(heard, "web-1") == [("web-1", "warning"), ("web-1", "offline")]
    peer.start()
    for _ in range(5):
        watch(3)
    assert changes(heard, "web-1") == [("web-1", "warning"), ("web-1", "offline"), ("web-1", "online")]
    assert len(set(heard.ids)) == len(heard.ids)


def test_f09_a_shared_ledger_announces_once_for_all_observers(clock, tmp_path):
    """Three services on one heartbeats.json: one of them announces, the others stay silent."""
    medium = Medium("json", tmp_path, clock)
    peer = medium.peer("web-1")
    heard = [medium.observer(f"watcher-{number}")[1] for number in range(3)]
    clock.advance(3 * INTERVAL)
    peer.stop()
    clock.advance(medium.deadline * 2)
    everything = [event for listener in heard for event in changes(listener, "web-1")]
    assert sorted(everything) == [("web-1", "offline"), ("web-1", "warning")]
    medium.close()


def test_f09_observers_without_a_shared_ledger_announce_the_same_ids(folder, clock):
    """Observers of one folder each announce a death once, under one id, for the facts are the same."""
    peer = folder.peer("web-1")
    heard = [folder.observer(f"watcher-{number}", clock=folder.clock_of())[1] for number in range(3)]
    clock.advance(3 * INTERVAL)
    peer.stop()
    clock.advance(folder.deadline)
    peer.start()
    clock.advance(3 * INTERVAL)
    ids = [[event.id for event in listener.of("web-1") if event.reason != "first_seen"] for listener in heard]
    assert len(ids[0]) == 3
    assert ids[0] == ids[1] == ids[2]


def test_f10_a_listener_is_called_once_per_event(medium, clock):
    """Subscribed three times over and checked from two threads at once, a listener still hears each event once."""
    peer = medium.peer("web-1")
    service = medium.service("watcher", clock=medium.clock_of())
    heard = RecordingListener()
    service.subscribe(heard)
    service.subscribe(heard, to=MachineStatus.OFFLINE)
    service.on_offline(heard)
    for _ in range(3):
        clock.advance(INTERVAL)
        service.check(force=True)
    peer.stop()
    for _ in range(16):
        clock.advance(INTERVAL)
        threads = [threading.Thread(target=service.check, kwargs={"force": True}) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert changes(heard) == [("web-1", "warning"), ("web-1", "offline")]
    assert len(set(heard.ids)) == len(heard.ids)


def test_f10_a_listener_that_looks_again_is_not_called_again(medium, clock):
    """A listener that itself checks, and so finds another death, hears each event once."""
    peers = [medium.peer(f"pc-{number}") for number in range(2)]
    service = medium.service("watcher")
    for _ in range(3):
        clock.advance(INTERVAL)
        service.check(force=True)
    heard = RecordingListener()
    service.subscribe(heard)

    @service.on_warning
    def look_again(event):
        if event.machine_id == "pc-0":
            clock.advance(60)
            service.check(force=True)

    peers[0].stop()
    clock.advance(45)
    service.check(force=True)
    peers[1].stop()
    while len(heard.events) < 2:
        clock.advance(15)
        service.check(force=True)
    service.check(force=True)
    assert changes(heard) == [("pc-0", "warning"), ("pc-1", "warning")]


@pytest.mark.parametrize("through", ["its own service", "the observer"])
def test_f11_a_machine_that_beats_again_is_newly_online_exactly_once(medium, clock, through):
    """From offline: beat → check reports newly_online once, whoever stored the beat; the beat announces nothing."""
    watcher = medium.service("watcher")
    heard = RecordingListener()
    watcher.on_online(heard)
    own = medium.service("web-1", clock=medium.clock_of())

    def beat():
        return own.register() if through == "its own service" else watcher.register(machine_id="web-1")

    beat()
    watcher.check(force=True)
    clock.advance(1)
    beat()
    watcher.check(force=True)
    for _ in range(12):
        clock.advance(INTERVAL)
        watcher.check(force=True)
    assert watcher.state()["web-1"].status is MachineStatus.OFFLINE
    assert beat().status is MachineStatus.ONLINE
    assert heard.events == (), "registering announces nothing"
    assert watcher.check(force=True).newly_online == ("web-1",)
    for _ in range(3):
        clock.advance(1)
        beat()
        assert watcher.check(force=True).newly_online == ()
    assert heard.changes == (("web-1", "online"),)
    assert heard.events[0].reason == "returned"
    assert heard.events[0].offline_duration is not None


def test_f12_a_listener_that_raises_takes_nothing_from_the_others(medium, clock):
    """Every listener hears every event once, though some raise; later checks call nobody again."""
    peers = [medium.peer(f"pc-{number}") for number in range(4)]
    service = medium.service("watcher", config=PEER)
    first, angry, last = RecordingListener(), RecordingListener(raises=RuntimeError("no")), RecordingListener()
    for listener in (first, angry, last):
        service.subscribe(listener)
    for _ in range(3):
        clock.advance(INTERVAL)
        service.check(force=True)
    for peer in peers:
        peer.stop()
    for _ in range(20):
        clock.advance(INTERVAL)
        service.check(force=True)
    assert len(changes(first)) == 8
    assert first.ids == angry.ids == last.ids
    assert len(first.of("pc-0")) == 3
    assert len(set(first.ids)) == len(first.ids)


def test_f12_delivery_that_cannot_be_marked_is_not_repeated_to_the_same_listeners(medium, clock):
    """While "delivered" cannot be stored, the listeners of this process are not called a second time."""
    if medium.cross_host:
        pytest.skip("the folder's ledger is a local file, which this test cannot make fail")
    storage = medium.storage()
    peer = medium.peer("web-1")
    service = medium.service("watcher", storage=storage)
    heard = RecordingListener()
    service.subscribe(heard)
    service.check(force=True)
    peer.stop()
    storage.fail("delivered", times=5)
    for _ in range(12):
        clock.advance(INTERVAL)
        service.check(force=True)
    assert changes(heard) == [("web-1", "warning"), ("web-1", "offline")]


def test_f31_queries_have_no_effects(medium, clock):
    """state, history, wait_for, status and explain announce nothing and consume nothing; the next check announces."""
    peer = medium.peer("web-1")
    service = medium.service("watcher", config=PEER)
    heard = RecordingListener()
    service.subscribe(heard)
    for _ in range(3):
        clock.advance(INTERVAL)
        service.check(force=True)
    before = heard.events
    history = service.history()
    peer.stop()
    for _ in range(12):
        clock.advance(INTERVAL)
        state = service.state()
        assert state["web-1"].explain()
        service.wait_for("web-1", "unknown", 1)
        assert service.status.machine_id == "watcher"
        assert service.history() == history
    assert state["web-1"].status is MachineStatus.OFFLINE
    assert heard.events == before
    assert service.check(force=True).newly_offline == ("web-1",)
    peer.start()
    clock.advance(1)
    assert service.state()["web-1"].status is MachineStatus.ONLINE
    assert service.check(force=True).newly_online == ("web-1",)


def test_f31_a_query_does_not_swallow_a_removal(medium, clock):
    """remove, then state: out of sight at once, and the next check still announces it, once."""
    peers = [medium.peer(machine) for machine in ("bad", "good", "web-1")]
    watcher, heard = medium.observer(config=PEER)
    for _ in range(2):
        clock.advance(INTERVAL)
        watcher.check(force=True)
    for peer in peers:
        peer.stop()
    if medium.in_files:
        medium.damage("bad")
    watcher.check(force=True)
    for machine in ("bad", "web-1"):
        assert watcher.remove(machine)
    for _ in range(3):
        state = watcher.state()
        assert list(state.machines) == ["good", "watcher"]
        assert state.unreadable == {}
    for _ in range(3):
        watcher.check(force=True)
    removed = [event.machine_id for event in heard.events if event.reason == "removed"]
    assert removed == ["bad", "web-1"]


def test_f31_a_change_that_cannot_be_recorded_is_announced_by_a_later_check(medium, clock):
    """A commit that fails loses nothing: removal, death and return are announced once it works, and once only."""
    if medium.cross_host:
        pytest.skip("the folder's ledger is a local file, which this test cannot make fail")
    storage = medium.storage()
    peers = [medium.peer(f"pc-{number}") for number in range(2)]
    watcher = medium.service("watcher", storage=storage)
    heard = RecordingListener()
    watcher.subscribe(heard)
    watcher.check(force=True)
    for step in range(3):
        if step == 0:
            watcher.remove("pc-0")
            peers[0].stop()
        elif step == 1:
            peers[1].stop()
            clock.advance(medium.deadline)
        else:
            peers[1].start()
        heard.clear()
        storage.fail("commit", times=2)
        for _ in range(2):
            assert watcher.check(force=True).observer.health is ObserverHealth.BLIND
        assert heard.events == ()
        for _ in range(3):
            clock.advance(1)
            watcher.check(force=True)
        clock.advance(2 * TIMEOUT if step == 1 else 1)
        watcher.check(force=True)
        expected = [[("pc-0", "unknown")], [("pc-1", "offline")], [("pc-1", "online")]][step]
        assert [change for change in changes(heard) if change != ("pc-1", "warning")] == expected


def test_f32_deadlines_are_exact_and_stable(medium, clock):
    """warning_since and offline_since are last + T and last + 2T (the medium's delay once), however late one looks."""
    own = medium.service("web-1", clock=medium.clock_of())
    watcher = medium.service("watcher")
    for _ in range(2):
        own.register()
        watcher.check(force=True)
        clock.advance(INTERVAL)
    last = clock.now_utc - timedelta(seconds=INTERVAL)
    warning = last + timedelta(seconds=TIMEOUT + medium.delay)
    offline = warning + timedelta(seconds=TIMEOUT)
    heard = RecordingListener()
    watcher.subscribe(heard)
    while clock.now_utc < offline + timedelta(hours=1):
        clock.advance(37)
        watcher.check(force=True)
        state = watcher.state()["web-1"]
        if state.status is not MachineStatus.ONLINE:
            assert state.warning_since == warning
        assert state.offline_since == (offline if state.status is MachineStatus.OFFLINE else None)
        assert (state.status is MachineStatus.OFFLINE) == (clock.now_utc >= offline)
    assert [event.occurred_at for event in heard.events] == [warning, offline]
    assert all(event.detected_at - event.occurred_at < timedelta(seconds=37) for event in heard.events)
    again = medium.service("watcher", config=HeartbeatConfig(fresh_for=timedelta(0)))
    clock.advance(3600)
    again.check(force=True)
    if again.state()["web-1"].since is not None:
        assert again.state()["web-1"].offline_since == offline


def test_f32_prune_goes_by_status_and_age_of_the_silence(medium, clock):
    """Prune removes who has been offline for so long, never a machine in warning, and is not reset by checks."""
    dead = medium.peer("dead")
    fresh = medium.peer("fresh")
    watcher, heard = medium.observer()
    clock.advance(3 * INTERVAL)
    dead.stop()
    clock.advance(medium.deadline + 3600)
    assert watcher.prune(timedelta(hours=2)) == ()
    clock.advance(3600)
    fresh.stop()
    clock.advance(TIMEOUT + medium.delay + 2 * INTERVAL)
    assert watcher.state()["fresh"].status is MachineStatus.WARNING
    assert watcher.prune(timedelta(hours=2)) == ("dead",)
    assert watcher.prune(timedelta(0)) == ()
    clock.advance(INTERVAL)
    assert list(watcher.state().machines) == ["fresh", "watcher"]
    assert [event.reason for event in heard.of("dead")][-1] == "removed"


def test_f33_missed_heartbeats_grow_with_the_silence(medium, clock):
    """missed_heartbeats is floor(age / interval) in every status, long after the last transition too."""
    own = medium.service("web-1", clock=medium.clock_of())
    watcher = medium.service("watcher")
    for _ in range(2):
        own.register()
        watcher.check(force=True)
        clock.advance(1)
    silent = 1
    for _ in range(60):
        clock.advance(45)
        silent += 45
        watcher.check(force=True)
        assert watcher.state()["web-1"].missed_heartbeats == silent // INTERVAL
    assert watcher.state()["web-1"].status is MachineStatus.OFFLINE
