from __future__ import annotations

import logging
import os
import threading
from datetime import timedelta

import attrs
import pytest
from trace_values import WALL, beat

from heartbeat_kit import HeartbeatConfig, HeartbeatService, MemoryStorage, StorageTraits, Transition
from heartbeat_kit._clock import Instant
from heartbeat_kit._watcher import Sighting
from heartbeat_kit.errors import InvalidConfigurationError, StorageUnavailableError
from heartbeat_kit.lab import Recorder, Trace, replay
from heartbeat_kit.storage import Snapshot
from heartbeat_kit.testing import FakeClock, Fleet, RecordingListener
from heartbeat_kit.testing._medium import Medium
from heartbeat_kit.testing._member import Member


def sighting(at_ms, *records, unreadable=None, late_ms=0, server_time_ms=None):
    now = Instant(WALL + at_ms, at_ms)
    held = {each.machine_id: each for each in records}
    snapshot = Snapshot(heartbeats=held, unreadable=unreadable or {}, server_time_ms=server_time_ms)
    return Sighting(snapshot, now, Instant(now.wall_ms + 2, now.mono_ms + 2), late_ms)


class Tapped:
    """A service as a recorder knows it; the test says what it sees."""

    def __init__(self):
        self._service = HeartbeatService(MemoryStorage(), clock=FakeClock(), machine_id="watcher")
        self.machine_id, self.config = self._service.machine_id, self._service.config
        self.host = "secret-host-of-ours"
        self.storage, self.status = self._service.storage, self._service.status
        self.callbacks = []

    def tap(self, callback):
        self.callbacks.append(callback)
        return self

    def close(self):
        self.callbacks.clear()

    def see(self, *args, **fields):
        for callback in self.callbacks:
            callback(sighting(*args, **fields))


@pytest.fixture
def service():
    return Tapped()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "t.jsonl"


def test_a_look_says_what_changed_since_the_one_before(service, path):
    one, two = beat("web-1", 0, 1), beat("web-2", 0, 1)
    newer = beat("web-1", 30_000, 2)
    with Recorder(service, path) as recorder:
        service.see(0, one, two)
        service.see(30_000, newer, two)
        service.see(60_000, newer, unreadable={"web-2": "cut"}, late_ms=31_000)
        service.see(90_000, newer, unreadable={"web-2": "cut"}, server_time_ms=77)
        service.see(120_000, newer, two)
        assert recorder.looks == 5
    looks = Trace.load(path).looks
    assert [look.records for look in looks] == [(one, two), (newer,), (), (), (two,)]
    assert [look.gone for look in looks] == [(), (), ("web-2",), (), ()]
    assert [look.unreadable for look in looks] == [(), (), (("web-2", "cut"),), (), (("web-2", None),)]
    assert [look.late_ms for look in looks] == [0, 0, 31_000, 0, 0]
    assert looks[3].server_ms == 77
    assert looks[4].finished == Instant(WALL + 120_002, 120_002)


def test_an_equal_record_in_another_object_is_no_change(service, path):
    with Recorder(service, path):
        service.see(0, beat("web-1", 0, 1))
        service.see(30_000, beat("web-1", 0, 1))
    assert Trace.load(path).looks[1].records == ()


def test_metadata_and_hosts_stay_out_of_a_trace(service, path):
    with Recorder(service, path):
        service.see(0, beat("web-1", 0, 1, metadata={"secret": 1}, host="secret-host"))
        service.see(30_000, beat("web-2", 0, 1, host="secret-host-of-ours"))
    assert b"secret" not in path.read_bytes()


def test_a_record_of_the_observer_s_own_host_is_known_as_such(service, path):
    """It proves nothing about the medium, in the replay no more than it did live."""
    ours = {"host": "secret-host-of-ours"}
    with Recorder(service, path):
        service.see(0, beat("far", 0, 1), beat("near", 0, 1, **ours))
        service.see(30_000, beat("far", 30_000, 2), beat("near", 30_000, 2, **ours))
    trace = Trace.load(path)
    hosts = [{beat.machine_id: beat.host for beat in look.records} for look in trace.looks]
    assert hosts == [{"far": "", "near": "own host"}] * 2
    copy = path.with_name("copy")
    trace.save(copy)
    assert copy.read_bytes() == path.read_bytes()


def test_the_facts_are_those_of_the_service(service, path):
    Recorder(service, path).close()
    facts = Trace.load(path).facts
    assert (facts.observer, facts.shared_clock, facts.coherent, facts.propagation_delay_ms) == (
        "watcher",
        True,
        True,
        0,
    )
    assert (facts.heartbeat_interval_ms, facts.offline_timeout_ms, facts.check_interval_ms) == (30_000, 120_000, 30_000)


def test_every_setting_that_matters_to_a_verdict_is_kept(path):
    """So what is recommended may be used as it is."""
    config = HeartbeatConfig(
        heartbeat_interval=timedelta(seconds=10),
        offline_timeout=timedelta(seconds=50),
        silence_hold=timedelta(minutes=40),
        confirm_offline=3,
        confirm_online=2,
        cascade_threshold=1,
        cascade_window=timedelta(minutes=1),
        expected=["zz"],
    )
    service = HeartbeatService(MemoryStorage(), config, clock=FakeClock(), machine_id="watcher")
    Recorder(service, path).close()
    assert Trace.load(path).config == attrs.evolve(config, check_interval=timedelta(seconds=10))


def test_lines_are_written_in_batches_and_at_the_end(service, path):
    recorder = Recorder(service, path, flush_every=3)
    counts = []
    for number in range(5):
        service.see(number * 1_000)
        counts.append(len(Trace.load(path).looks))
    assert counts == [0, 0, 3, 3, 3]
    recorder.flush()
    assert len(Trace.load(path).looks) == 5
    recorder.close()
    recorder.close()
    service.see(9_000)
    assert len(Trace.load(path).looks) == 5
    assert service.callbacks == []


def test_a_file_that_is_there_is_left_alone(service, path):
    path.write_text("precious")
    with pytest.raises(InvalidConfigurationError, match="is there already"):
        Recorder(service, path)
    assert path.read_text() == "precious"
    assert service.callbacks == []


def test_a_file_that_cannot_be_made_is_a_typed_error(service, tmp_path):
    with pytest.raises(StorageUnavailableError, match="cannot be made"):
        Recorder(service, tmp_path / "no-folder" / "t")


def test_a_recording_that_cannot_begin_leaves_no_file(service, path, monkeypatch):
    def refuse(callback):
        raise RuntimeError("no taps today")

    monkeypatch.setattr(service, "tap", refuse)
    with pytest.raises(RuntimeError, match="no taps"):
        Recorder(service, path)
    assert not path.exists()
    monkeypatch.setattr(Recorder, "_write", lambda self, data: FullDisk(self._file, full=True).write(data))
    with pytest.raises(StorageUnavailableError, match="No space left"):
        Recorder(service, path)
    assert not path.exists()


@pytest.mark.parametrize("flush_every", [0, -1, 1.5, True, None])
def test_a_batch_is_a_positive_number_of_looks(service, path, flush_every):
    with pytest.raises(InvalidConfigurationError, match="flush_every"):
        Recorder(service, path, flush_every=flush_every)
    assert not path.exists()


def test_a_full_disk_ends_the_recording_with_one_line_in_the_log(service, path, caplog):
    """Nothing reaches the look, and what was written before stays readable."""
    caplog.set_level(logging.WARNING)
    recorder = Recorder(service, path, flush_every=1)
    service.see(0, beat("web-1", 0, 1))
    real, recorder._file = recorder._file, FullDisk(recorder._file)
    for number in range(1, 5):
        service.see(number * 30_000)
    assert recorder.failure == "[Errno 28] No space left on device"
    assert "failed: [Errno 28]" in repr(recorder)
    assert [record.getMessage() for record in caplog.records] == [
        f"the recording to {path} ends here, the service goes on: [Errno 28] No space left on device"
    ]
    assert real.closed
    recorder.close()
    recorder.flush()
    found = Trace.load(path)
    assert (len(found.looks), found.cut) == (1, True)


class FullDisk:
    """Takes half a line, then no more."""

    def __init__(self, file, *, full=False):
        self._file, self._full = file, full

    @property
    def closed(self):
        return self._file.closed

    def close(self):
        self._file.close()

    def write(self, data):
        if self._full:
            raise OSError(28, "No space left on device")
        self._full = True
        return self._file.write(data[: len(data) // 2])


def test_a_look_that_cannot_be_written_down_does_not_reach_the_service(service, path, caplog):
    """What was seen before it is kept."""
    recorder = Recorder(service, path)
    service.see(0, beat("web-1", 0, 1))
    for callback in service.callbacks:
        callback("no sighting at all")
    assert recorder.failure is not None
    assert len(caplog.records) == 1
    assert len(Trace.load(path).looks) == 1


def test_several_threads_may_look_and_close(service, path):
    with Recorder(service, path, flush_every=2) as recorder:
        threads = [threading.Thread(target=service.see, args=(0, beat("web-1", 0, 1))) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert recorder.looks == 8
    assert len(Trace.load(path).looks) == 8


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_does_not_write_into_the_file(service, path, monkeypatch):
    """What runs in the child sees another process id."""
    recorder = Recorder(service, path, flush_every=2)
    service.see(0)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    service.see(1_000)
    recorder.close()
    assert path.read_bytes().count(b"\n") == 1


# --- of a real service


def test_a_recording_holds_every_look_of_a_running_service(path):
    clock = FakeClock()
    with HeartbeatService(MemoryStorage(), clock=clock, machine_id="watcher") as service, Recorder(service, path):
        service.start()
        clock.advance(300)
    trace = Trace.load(path)
    assert len(trace.looks) == 11
    assert trace.machines == ("watcher",)


def in_the_same_words(events):
    """What an event says, without who delivers it."""
    return [
        (
            event.detected_at_ms,
            event.machine_id,
            event.before,
            event.after,
            event.reason,
            event.id,
            event.occurred_at_ms,
        )
        for event in events
        if isinstance(event, Transition)
    ]


MEDIA = {
    "slow": {"cross_host": True, "coherent": False, "propagation_delay": timedelta(seconds=20)},
    "unmeasured": {"cross_host": True, "coherent": False, "propagation_delay": None},
    "fast": {"cross_host": True, "coherent": True},
    "local": {"cross_host": False, "coherent": True},
}


@pytest.mark.parametrize("confirm", [1, 2])
@pytest.mark.parametrize("medium", MEDIA)
def test_the_replay_of_a_recording_says_what_the_live_service_announced(path, medium, confirm):
    """Deaths, returns, a goodbye, a removal; an observer that stalls, sleeps and is cut off: the same, to the id."""
    traits = StorageTraits(durable=False, cross_process=False, **MEDIA[medium])
    config = HeartbeatConfig(confirm_offline=confirm)
    true = FakeClock()
    shared = Medium(MemoryStorage(traits=traits), true, 0 if traits.coherent else 20_000)
    heard = RecordingListener()

    def member(name, *listeners):
        view = shared.seen_by(name, announces=bool(listeners))
        host = "watcher" if name == "web-2" else name
        return Member(name, view, clock=true.sibling(), host=host, config=config, state_dir=None, listeners=listeners)

    watcher = member("watcher", heard)
    one, two, three, four = (member(f"web-{number}") for number in (1, 2, 3, 4))
    with Recorder(watcher.service, path) as recorder:
        for each in (watcher, one, two, three, four):
            each.start()
        true.advance(1_900)
        one.crash()
        true.advance(1_500)
        one.start()
        two.service.stop(leave=True)
        true.advance(300)
        watcher.clock.stall(400)
        three.clock.stall(450)
        true.advance(900)
        watcher.clock.suspend(700)
        true.advance(900)
        watcher.storage.go_down("pulled")
        true.advance(450)
        three.crash()
        true.advance(450)
        watcher.storage.come_back()
        true.advance(1_900)
        three.start()
        two.start()
        true.advance(600)
        four.crash()
        true.advance(2_000)
        if traits.coherent:
            watcher.service.remove("web-4")
        true.advance(300)
        assert recorder.failure is None
    for each in (watcher, one, two, three, four):
        each.service.stop()
    live = in_the_same_words(heard.events)
    assert len(live) > 12
    assert in_the_same_words(replay(Trace.load(path), config).transitions) == live


def test_looks_that_saw_nothing_are_found_by_their_absence(path):
    with Fleet(2) as fleet, Recorder(fleet.observer, path):
        fleet.advance(300)
        fleet.partition("observer")
        fleet.advance(45)
        fleet.heal("observer")
        fleet.advance(300)
    assert [look.blind for look in Trace.load(path).looks if look.blind is not None] == [30_000]


def test_a_stall_and_a_new_start_are_no_blindness(path):
    clock = FakeClock()
    with HeartbeatService(MemoryStorage(), clock=clock, machine_id="watcher") as service, Recorder(service, path):
        service.check(force=True)
        clock.advance(600)
        service.start()
        clock.advance(300)
        clock.stall(200)
        clock.advance(500)
        service.stop()
        clock.advance(600)
        service.start()
        clock.advance(100)
    trace = Trace.load(path)
    assert {look.blind for look in trace.looks} == {None}
    assert sum(look.late_ms > 0 for look in trace.looks) == 1
