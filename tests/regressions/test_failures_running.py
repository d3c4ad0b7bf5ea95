"""F03, F04, F29, F30, F38, F44, F52: a service runs when it says so, beats at once, and only while work goes on."""

import threading
from datetime import timedelta

import pytest
from regression_media import INTERVAL, PEER, changes

from heartbeat_kit import HeartbeatConfig, HeartbeatService, MachineStatus, MemoryStorage, SystemClock, to_wire
from heartbeat_kit.errors import HeartbeatStartError, InvalidConfigurationError, ServiceAlreadyRunningError
from heartbeat_kit.testing import RecordingListener


def test_f03_is_running_is_false_when_nothing_beats_any_more(medium, clock):
    """Before start, after stop, and after a background loop died, the service does not claim to run."""
    service = medium.service("web-1")
    assert not service.is_running
    service.start()
    assert service.is_running
    assert service.status.is_running
    service.subscribe(RecordingListener(raises=SystemExit))
    medium.service("web-2").register()
    with pytest.raises(SystemExit):
        clock.advance(2 * INTERVAL)
    assert not service.is_running
    assert not service.status.is_running
    assert not to_wire(service.status)["success"]
    service.stop()
    assert not service.is_running
    before = medium.stored("web-1")
    clock.advance(10 * INTERVAL)
    assert medium.stored("web-1") == before


def test_f03_a_service_that_could_not_start_does_not_say_it_runs(medium):
    """A start that failed leaves nothing running and nothing locked."""
    service = medium.service("web-1")
    blocker = medium.state / "web-1"
    if medium.kind == "memory":
        other = medium.service("web-1", storage=service.storage)
        other.start()
        with pytest.raises(ServiceAlreadyRunningError):
            service.start()
        other.stop()
    else:
        medium.state.mkdir(exist_ok=True)
        blocker.write_text("a file where the state directory should be")
        with pytest.raises(HeartbeatStartError):
            service.start()
        blocker.unlink()
    assert not service.is_running
    service.start()
    assert service.is_running


@pytest.mark.parametrize(("beat", "timeout"), [(30, 30), (30, 59), (60, 119.9), (30, 1)])
def test_f04_a_timeout_that_one_late_beat_would_break_is_refused(beat, timeout):
    """offline_timeout below two beats is refused, at construction, by reconfigure and from the environment."""
    beat, timeout = timedelta(seconds=beat), timedelta(seconds=timeout)
    with pytest.raises(InvalidConfigurationError, match="two heartbeat intervals"):
        HeartbeatConfig(heartbeat_interval=beat, offline_timeout=timeout)
    service = HeartbeatService(MemoryStorage(), machine_id="web-1")
    with pytest.raises(InvalidConfigurationError, match="two heartbeat intervals"):
        service.reconfigure(heartbeat_interval=beat, offline_timeout=timeout)
    assert service.config == HeartbeatConfig()
    milliseconds = {"HEARTBEAT_INTERVAL": beat, "OFFLINE_TIMEOUT": timeout}
    with pytest.raises(InvalidConfigurationError, match="HEARTBEAT_INTERVAL, OFFLINE_TIMEOUT"):
        HeartbeatConfig.from_env({name: str(int(span.total_seconds() * 1000)) for name, span in milliseconds.items()})


def test_f04_the_promise_travels_in_the_record(medium, clock):
    """A machine that promises a beat every five minutes is healthy for an observer configured for 30 s / 2 min."""
    slow = HeartbeatConfig(heartbeat_interval=timedelta(minutes=5), offline_timeout=timedelta(minutes=10))
    peer = medium.peer("slow", config=slow)
    observer, heard = medium.observer()
    clock.advance(2 * 3600)
    assert changes(heard) == []
    state = observer.state()["slow"]
    assert state.status is MachineStatus.ONLINE
    assert (state.interval, state.timeout) == (timedelta(minutes=5), timedelta(minutes=20))
    peer.stop()
    clock.advance(2 * 20 * 60 + medium.delay + 5 * 60)
    assert changes(heard) == [("slow", "warning"), ("slow", "offline")]


@pytest.mark.parametrize("promises", [True, False], ids=["as it beats", "more than it does"])
def test_f04_the_real_period_of_the_predecessor(medium, clock, promises):
    """Written every five minutes, judged after two: who promises that is never called offline in eight hours.

    A machine that promises 30 s and beats every five minutes is: the promise is what spares it, not blindness.
    """
    writer = HeartbeatConfig(heartbeat_interval=timedelta(minutes=5), offline_timeout=timedelta(minutes=10))
    peer = medium.service("slow", config=writer if promises else PEER, clock=medium.clock_of())
    judge = HeartbeatConfig(heartbeat_interval=timedelta(seconds=30), offline_timeout=timedelta(minutes=2))
    medium.peer("lively")
    _, heard = medium.observer(config=judge)
    for _ in range(8 * 12):
        peer.register()
        clock.advance(300)
    told = changes(heard, "slow")
    assert told == [] if promises else {"warning", "online"} <= {status for _, status in told}


def test_f29_reconfigure_keeps_the_service_running(medium, clock):
    """New settings take effect at once; the beats go on, in the new rhythm, from one pair of loops."""
    service, _ = medium.observer("web-1")
    clock.advance(5 * INTERVAL)
    before = medium.stored("web-1").seq
    service.reconfigure(heartbeat_interval=timedelta(seconds=10), offline_timeout=timedelta(seconds=60))
    assert service.is_running
    clock.advance(300)
    beats = medium.stored("web-1").seq - before
    assert 29 <= beats <= 35
    assert medium.stored("web-1").interval == timedelta(seconds=10)
    service.stop()
    last = medium.stored("web-1")
    clock.advance(600)
    assert medium.stored("web-1") == last


def test_f29_a_second_start_is_refused(medium, clock):
    """Start twice, by the same object or by a second one, is an error, and the first service goes on undisturbed."""
    service, _ = medium.observer("web-1")
    twin = medium.service("web-1", storage=service.storage if medium.kind == "memory" else None)
    for other in (service, twin):
        with pytest.raises(ServiceAlreadyRunningError):
            other.start()
    assert service.is_running
    before = medium.stored("web-1").seq
    clock.advance(300)
    assert 9 <= medium.stored("web-1").seq - before <= 12, "one beater, not two"
    service.stop()
    twin.start()
    assert twin.is_running


def test_f29_stop_leaves_no_thread(files):
    """With the real clock, stop returns after its threads have ended, and stopping twice is fine."""
    before = set(threading.enumerate())
    storage = files.open()
    service = HeartbeatService(storage, clock=SystemClock(), machine_id="web-1", state_dir=files.state)
    service.start()
    assert [thread for thread in threading.enumerate() if "web-1" in thread.name]
    service.stop()
    service.stop()
    storage.close()
    assert set(threading.enumerate()) - before == set()


def test_f30_only_what_is_given_changes_and_the_echo_is_in_force(clock):
    """Start and reconfigure keep what they were not given, refuse "undefined", and echo what is really in force."""
    given = HeartbeatConfig(heartbeat_interval=timedelta(seconds=10), offline_timeout=timedelta(seconds=45))
    storage = MemoryStorage()
    service = HeartbeatService(storage, given, clock=clock, machine_id="watcher")
    with pytest.raises(InvalidConfigurationError, match="offline_timeout is None"):
        service.reconfigure(offline_timeout=None)
    with pytest.raises(InvalidConfigurationError, match="offlineTimeout"):
        service.reconfigure(offlineTimeout=60_000)
    assert service.config == given
    assert service.start().config == given
    assert service.reconfigure(auto_sync_enabled=False).offline_timeout == timedelta(seconds=45)
    expected = {"heartbeatInterval": 10_000, "offlineTimeout": 45_000, "autoSyncEnabled": False}
    assert to_wire(service.status)["config"] == expected
    assert {name: storage.load_service()[name] for name in expected} == expected
    HeartbeatService(storage, given, clock=clock, machine_id="web-1").register()
    service.check(force=True)
    clock.advance(89)
    assert service.state()["web-1"].status is MachineStatus.WARNING
    clock.advance(1)
    assert service.state()["web-1"].status is MachineStatus.OFFLINE
    service.stop()
    assert service.start().config == service.config
    assert to_wire(service.status)["config"] == expected
    service.stop()


def test_f38_the_first_beat_is_stored_when_start_returns(medium, clock):
    """Start beats at once: no interval has to pass before the machine can be seen."""
    service = medium.service("web-1", config=HeartbeatConfig.development())
    service.start()
    assert medium.stored("web-1").last_heartbeat == clock.now_utc
    assert service.check(force=True).statistics.total_machines == 1


def test_f44_the_beat_stops_when_the_work_stops(medium, clock):
    """With a progress deadline the beats end when nobody reports progress, peers find out, and beats resume with it."""
    worker = medium.service("worker", clock=medium.clock_of(), config=PEER)
    worker.start(progress_timeout=timedelta(minutes=5))
    _, heard = medium.observer()
    for _ in range(20):
        clock.advance(60)
        worker.progress()
    assert changes(heard) == []
    clock.advance(5 * 60 + medium.deadline)
    assert changes(heard) == [("worker", "warning"), ("worker", "offline")]
    assert worker.is_running, "the thread lives, the work does not"
    last = medium.stored("worker")
    clock.advance(600)
    assert medium.stored("worker") == last
    worker.progress()
    clock.advance(3 * INTERVAL)
    assert changes(heard)[2:] == [("worker", "online")]


def test_f44_a_beat_of_the_work_itself_counts_as_progress(medium, clock):
    """register() inside the work loop is progress; without it a started service falls silent after the deadline."""
    worker = medium.service("worker")
    worker.start(progress_timeout=timedelta(minutes=2))
    for _ in range(10):
        clock.advance(100)
        worker.register()
    lively = medium.stored("worker").seq
    assert lively > 30
    clock.advance(3600)
    assert medium.stored("worker").seq - lively <= 4


def test_f52_the_beater_is_independent_of_what_listeners_do(medium, clock):
    """While a listener works for ten minutes our own record keeps rising, so no peer thinks we died."""
    peer = medium.peer("web-1")
    service, _ = medium.observer("busy")
    _, heard = medium.observer("watcher", clock=medium.clock_of())
    clock.advance(2 * INTERVAL)
    beats = []

    @service.on_offline
    def work(event):
        start = medium.stored("busy").seq
        clock.advance(600)
        beats.append(medium.stored("busy").seq - start)

    peer.stop()
    clock.advance(medium.deadline)
    assert beats
    assert beats[0] >= 600 // INTERVAL
    assert changes(heard, "busy") == []
