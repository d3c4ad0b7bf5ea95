"""What somebody who meets the library tries first, and what it must not answer with silence."""

from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatService, MachineStatus, MemoryStorage, SharedFolderStorage, to_wire
from heartbeat_kit.errors import HeartbeatRegistrationError, InvalidConfigurationError, StorageClosedError
from heartbeat_kit.testing import FaultyStorage


@pytest.mark.parametrize("delay", [timedelta(0), timedelta(seconds=60)])
def test_a_goodbye_keeps_its_date_whoever_asks_and_however_late(tmp_path, clock, delay):
    """Every fresh observer of a shared folder shows the same moment, and the time since then grows."""

    def service(name):
        storage = SharedFolderStorage(tmp_path, propagation_delay=delay, time_budget=None)
        return HeartbeatService(storage, clock=clock, machine_id=name, state_dir=tmp_path / "state" / name)

    leaver = service("b")
    leaver.start()
    clock.advance(10)
    left = clock.now().wall_ms
    leaver.stop(leave=True)
    for number in range(3):
        clock.advance(1_000)
        machine = service(f"observer-{number}").state()["b"]
        assert (machine.status, machine.reason, machine.offline_since_ms) == ("offline", "left", left)
        assert machine.age_ms == 1_000_000 * (number + 1)
        assert "since it saw the record rise" not in machine.explain()
    (event,) = [e for e in service("observer-9").check().transitions if e.machine_id == "b"]
    assert event.occurred_at_ms == left


def test_a_status_may_be_given_as_text_and_nonsense_is_refused(clock):
    service = HeartbeatService(MemoryStorage(), clock=clock, machine_id="watcher")
    service.register(machine_id="web-1")
    clock.advance(240)
    state = service.state()
    assert state.of("offline") == state.of(MachineStatus.OFFLINE) == state.offline != ()
    assert to_wire(state, only="offline")["machines"] == ["web-1"]
    for ask in (lambda: state.of("dead"), lambda: to_wire(state, only="dead"), lambda: service.wait_for("a", "x", 0)):
        with pytest.raises(InvalidConfigurationError, match="is no status: expected one of"):
            ask()


def test_a_closed_storage_is_no_storage_that_is_away(clock):
    storage = MemoryStorage()
    storage.close()
    service = HeartbeatService(storage, clock=clock, machine_id="a")
    with pytest.raises(StorageClosedError):
        service.start()
    assert not service.is_running


@pytest.mark.parametrize("error", [RuntimeError("a bug of the storage"), ValueError()])
def test_whatever_a_storage_raises_a_beat_that_was_asked_for_fails_typed(clock, error):
    storage = FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, clock=clock, machine_id="a")
    storage.fail("put", error=error)
    with pytest.raises(HeartbeatRegistrationError, match=str(error) or "ValueError") as caught:
        service.register()
    assert caught.value.__cause__ is error


def test_a_blind_observer_does_not_say_that_anybody_beats(clock):
    storage = FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, clock=clock, machine_id="watcher")
    service.register(machine_id="web-1")
    service.check()
    storage.go_down("unplugged")
    clock.advance(300)
    words = service.state()["web-1"].explain()
    assert "before it went blind" in words
    assert "because it beats" not in words
    assert "worsens" not in words
