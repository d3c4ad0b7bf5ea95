"""Many machines behind one process: gathered, stored together, nothing lost and nothing made up."""

import threading
from datetime import timedelta

import pytest

from heartbeat_kit import (
    HeartbeatService,
    JsonFileStorage,
    MachineStatus,
    MemoryStorage,
    SharedFolderStorage,
    SystemClock,
)
from heartbeat_kit.errors import InvalidConfigurationError, InvalidMachineIdError, InvalidMetadataError
from heartbeat_kit.ops import Gateway
from heartbeat_kit.storage import BulkWriter
from heartbeat_kit.testing import FaultyStorage


@pytest.fixture
def service(storage, clock):
    return HeartbeatService(storage, clock=clock, machine_id="gateway")


@pytest.fixture
def gateway(service):
    return Gateway(service)


def stored(service):
    return service.storage.load().heartbeats


class TestFlush:
    def test_many_reports_are_one_write_and_one_heartbeat_a_machine(self, gateway, service, storage):
        for turn in range(5):
            for number in range(20):
                gateway.report(f"s{number}", {"turn": turn})
        assert storage.calls["put"] + storage.calls["put_many"] == 0
        assert len(gateway.pending) == 20
        assert len(gateway.flush().stored) == 20
        assert (storage.calls["put"], storage.calls["put_many"]) == (0, 1)
        assert {beat.metadata["turn"] for beat in stored(service).values()} == {4}
        assert gateway.pending == ()
        assert gateway.flush().stored == ()

    def test_a_heartbeat_is_of_the_time_its_machine_reported(self, gateway, service, clock):
        gateway.report("s1")
        reported = clock.now_utc
        clock.advance(8)
        gateway.flush()
        assert stored(service)["s1"].last_heartbeat == reported

    def test_who_does_not_report_any_more_is_found_dead(self, gateway, service, clock):
        for _ in range(10):
            gateway.report("s1")
            gateway.report("s2")
            gateway.flush()
            clock.advance(20)
        for _ in range(20):
            gateway.report("s1")
            gateway.flush()
            clock.advance(20)
            service.check()
        state = service.state()
        assert (state["s1"].status, state["s2"].status) == (MachineStatus.ONLINE, MachineStatus.OFFLINE)

    def test_metadata_stay_until_others_come(self, gateway, service):
        gateway.report("s1", {"a": 1})
        gateway.report("s1")
        gateway.flush()
        assert stored(service)["s1"].metadata == {"a": 1}
        gateway.report("s1")
        gateway.flush()
        assert stored(service)["s1"].metadata == {"a": 1}
        gateway.report("s1", {})
        gateway.flush()
        assert stored(service)["s1"].metadata == {}

    def test_a_record_that_is_newer_is_gone_on_from(self, gateway, service, storage, clock):
        """The machine has begun to beat by itself, or another gateway speaks for it."""
        gateway.report("s1", {"from": "gateway"})
        gateway.report("s2")
        gateway.flush()
        other = HeartbeatService(storage.inner, clock=clock, machine_id="s1", host="elsewhere")
        other.start()
        other.stop()
        own = stored(service)["s1"]
        clock.advance(1)
        gateway.report("s1")
        gateway.report("s2")
        assert gateway.flush().stored == ("s1", "s2")
        assert stored(service)["s1"].order > own.order

    def test_an_older_report_never_takes_the_place_of_a_newer_heartbeat(self, gateway, service, clock):
        """Two gateways hear one machine, and this one could not store for a while."""
        other = Gateway(HeartbeatService(service.storage, clock=clock, machine_id="gateway-2"))
        for each in (gateway, other):
            each.report("s1", {"t": "first"})
            each.flush()
        gateway.report("s1", {"t": "old"})
        clock.advance(60)
        other.report("s1", {"t": "new"})
        other.flush()
        newest = stored(service)["s1"]
        clock.advance(1)
        assert gateway.flush().stored == ("s1",)
        assert stored(service)["s1"] == newest
        gateway.report("s1")
        gateway.flush()
        assert stored(service)["s1"].metadata == {"t": "new"}, "what was given way to is not sent later either"
        assert stored(service)["s1"].order > newest.order

    def test_nor_that_of_one_the_service_itself_stored(self, gateway, service, clock):
        gateway.report("s1", {"v": 1})
        clock.advance(9)
        service.register({"v": 2}, machine_id="s1")
        gateway.flush()
        assert stored(service)["s1"].metadata == {"v": 2}

    def test_a_clock_that_was_set_back_mutes_nobody(self, gateway, service, clock):
        gateway.report("s1")
        gateway.flush()
        clock.jump_wall(-3600)
        gateway.report("s1", {"v": 2})
        gateway.flush()
        assert stored(service)["s1"].metadata == {"v": 2}

    def test_a_report_that_waited_too_long_is_no_sign_of_now(self, gateway, service, storage, clock):
        """The sensor's last word, stored an hour later, would be its return."""
        gateway.report("s1")
        gateway.flush()
        service.check()
        clock.advance(20)
        gateway.report("s1")
        for _ in range(60):
            clock.advance(60)
            service.check()
        done = gateway.flush()
        assert (done.stored, done.expired, gateway.pending) == ((), ("s1",), ())
        assert repr(done) == "<Flush 0 stored, 0 failed, 1 expired>"
        clock.advance(60)
        assert service.check().newly_online == ()
        assert service.state()["s1"].status is MachineStatus.OFFLINE

    def test_one_that_waited_less_is_stored(self, gateway, clock):
        gateway.report("s1")
        clock.advance(119)
        assert gateway.flush().stored == ("s1",)

    @pytest.mark.parametrize("operation", ["put_many", "get"])
    def test_what_fails_waits_and_says_why(self, gateway, service, storage, operation):
        gateway.report("s1", {"a": 1})
        gateway.report("s2")
        storage.fail(operation, times=2)
        failed = gateway.flush().failed
        assert set(failed) == {"s1", "s2"}
        assert f"{operation} failed" in failed["s1"]
        assert gateway.pending == ("s1", "s2")
        gateway.report("s1", {"a": 2})
        storage.fail(operation, times=0)
        assert gateway.flush().stored == ("s1", "s2")
        assert stored(service)["s1"].metadata == {"a": 2}

    def test_a_report_during_a_flush_waits_for_the_next(self, gateway, service, storage):
        gateway.report("s1", {"n": 1})
        storage.before("put_many", lambda: gateway.report("s1", {"n": 2}))
        gateway.flush()
        storage.before("put_many", None)
        assert stored(service)["s1"].metadata == {"n": 1}
        assert gateway.pending == ("s1",)
        gateway.flush()
        assert stored(service)["s1"].metadata == {"n": 2}

    @pytest.mark.parametrize("kind", [JsonFileStorage, SharedFolderStorage])
    def test_into_real_files(self, tmp_path, clock, kind):
        storage = kind(tmp_path)
        service = HeartbeatService(storage, clock=clock, machine_id="gateway", state_dir=tmp_path / "state")
        gateway = Gateway(service)
        for turn in range(3):
            for number in range(50):
                gateway.report(f"s{number}", {"turn": turn})
            assert len(gateway.flush().stored) == 50
            clock.advance(1)
        found = kind(tmp_path).load().heartbeats
        assert {(beat.seq, beat.metadata["turn"]) for beat in found.values()} == {(3, 2)}
        storage.close()

    def test_threads_report_and_flush_at_once_and_no_report_is_lost(self, gateway, service):
        def reporter(number):
            for turn in range(200):
                gateway.report(f"s{number}", {"turn": turn})
                if turn % 20 == 0:
                    gateway.flush()

        threads = [threading.Thread(target=reporter, args=(number,)) for number in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        gateway.flush()
        assert {name: beat.metadata["turn"] for name, beat in stored(service).items()} == {
            f"s{number}": 199 for number in range(6)
        }


class TestSlowFlush:
    """A write may take its time, and meanwhile others write."""

    @pytest.fixture(params=["folder", "bulk"])
    def medium(self, request, tmp_path):
        folder = SharedFolderStorage(tmp_path / "share", create=True, propagation_delay=timedelta(0))
        return FaultyStorage(folder if request.param == "folder" else MemoryStorage())

    @pytest.fixture
    def gateway(self, medium, clock):
        return Gateway(HeartbeatService(medium, clock=clock, machine_id="gateway"))

    @staticmethod
    def during_the_write(medium, hook):
        operation = "put_many" if isinstance(medium, BulkWriter) else "put"

        def once():
            medium.before(operation, None)
            hook()

        medium.before(operation, once)

    def of(self, medium, clock, machine_id):
        return HeartbeatService(medium.inner, clock=clock, machine_id=machine_id, host="elsewhere")

    def test_what_others_store_meanwhile_stays(self, gateway, medium, clock):
        for name in "ac":
            gateway.report(name, {"by": "gateway"})
        gateway.flush()
        clock.advance(10)
        for name in "ac":
            gateway.report(name)
        self.during_the_write(medium, lambda: (clock.advance(0.2), self.of(medium, clock, "c").register({"by": "c"})))
        assert gateway.flush().stored == ("a", "c")
        record = medium.load().heartbeats["c"]
        assert (record.metadata, record.last_heartbeat) == ({"by": "c"}, clock.now_utc)

    def test_so_does_a_goodbye(self, gateway, medium, clock):
        def leave():
            clock.advance(0.2)
            other = self.of(medium, clock, "c")
            other.start()
            other.stop(leave=True)

        for name in "ac":
            gateway.report(name)
        gateway.flush()
        clock.advance(10)
        for name in "ac":
            gateway.report(name)
        self.during_the_write(medium, leave)
        gateway.flush()
        assert medium.load().heartbeats["c"].left_at is not None

    def test_whose_turn_comes_too_late_is_not_stored_and_keeps_its_metadata(self, gateway, medium, clock):
        for name in "abc":
            gateway.report(name, {"turn": 1})
        gateway.flush()
        for name in "abc":
            gateway.report(name, {"turn": 2})
        self.during_the_write(medium, lambda: clock.advance(600))
        done = gateway.flush()
        if isinstance(medium, BulkWriter):  # one write, and it was begun in time
            assert done.stored == ("a", "b", "c")
            return
        assert (done.stored, done.expired) == (("a",), ("b", "c"))
        assert medium.load().heartbeats["b"].metadata == {"turn": 1}
        gateway.report("b")
        gateway.flush()
        assert medium.load().heartbeats["b"].metadata == {"turn": 2}


class TestBackground:
    def test_it_flushes_every_so_often_and_at_the_end(self, service, storage, clock):
        with Gateway(service, every=timedelta(seconds=10)) as gateway:
            gateway.report("s1")
            clock.advance(0)
            assert gateway.pending == ()
            for second in range(60):
                gateway.report("s1", {"second": second})
                clock.advance(1)
            assert storage.calls["put_many"] == 7
            gateway.report("s2")
        assert gateway.pending == ()
        assert stored(service)["s1"].metadata == {"second": 59}
        clock.advance(60)
        assert storage.calls["put_many"] == 8

    def test_a_storage_that_is_away_is_said_once_and_waited_for(self, service, storage, clock, caplog):
        with Gateway(service) as gateway:
            storage.go_down("the share is away")
            gateway.report("s1")
            clock.advance(60)
            assert caplog.text.count("1 heartbeat of a gateway pending, s1: the share is away") == 1
            storage.come_back()
            clock.advance(10)
            assert gateway.pending == ()

    def test_a_storage_that_breaks_its_contract_does_not_end_the_background(self, service, storage, clock, caplog):
        put_many = type(storage.inner).put_many
        with Gateway(service, every=timedelta(seconds=10)) as gateway, pytest.MonkeyPatch.context() as patch:
            patch.setattr(type(storage.inner), "put_many", lambda self, beats: put_many(self, beats)[1:])
            gateway.report("s1")
            clock.advance(30)
            assert "1 heartbeat of a gateway pending, s1" in caplog.text
            patch.undo()
            clock.advance(10)
            assert gateway.pending == ()

    def test_an_error_in_a_flush_does_not_end_the_background(self, service, clock, caplog):
        with Gateway(service, every=timedelta(seconds=10)) as gateway, pytest.MonkeyPatch.context() as patch:
            patch.setattr("heartbeat_kit.ops._gateway.beat_together", lambda *_: 1 / 0)
            gateway.report("s1")
            clock.advance(30)
            assert "a flush of a gateway failed" in caplog.text
            patch.undo()
            clock.advance(10)
            assert gateway.pending == ()

    def test_many_threads_that_start_it_start_one_loop(self, storage):
        made, clock = [], SystemClock()

        class Counting(SystemClock):
            def loop(self, step, *, name):
                made.append(clock.loop(step, name=name))
                return made[-1]

        gateway = Gateway(HeartbeatService(storage, clock=Counting(), machine_id="gateway"))
        ready = threading.Barrier(8)
        threads = [threading.Thread(target=lambda: (ready.wait(), gateway.start())) for _ in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        gateway.stop()
        assert len(made) == 1
        assert not made[0].is_alive

    def test_a_flush_that_hangs_is_not_waited_for_for_ever(self, service, storage, monkeypatch):
        monkeypatch.setattr("heartbeat_kit.ops._gateway._STOP_MS", 50)
        gateway = Gateway(HeartbeatService(storage, clock=SystemClock(), machine_id="gateway"))
        entered, leave = threading.Event(), threading.Event()
        storage.before("put_many", lambda: (entered.set(), leave.wait(60)))
        gateway.report("s1")
        gateway.start()
        assert entered.wait(60)
        assert "does not end" in gateway.stop().failed["s1"]
        leave.set()

    def test_starting_and_stopping_twice(self, gateway, clock):
        gateway.start()
        gateway.start()
        assert repr(gateway) == "<Gateway of gateway, running, 0 reports pending>"
        gateway.stop()
        gateway.stop()
        assert "not running" in repr(gateway)


class TestRefused:
    def test_names_and_metadata(self, gateway):
        for arguments, error in (
            (("../x",), InvalidMachineIdError),
            (("s1", {"x": "y" * 20_000}), InvalidMetadataError),
            (("GATEWAY",), InvalidConfigurationError),
        ):
            with pytest.raises(error):
                gateway.report(*arguments)
        assert gateway.pending == ()

    @pytest.mark.parametrize(
        "lengths",
        [{"every": timedelta(0)}, {"every": 10}, {"every": timedelta(seconds=60)}, {"interval": timedelta(seconds=-1)}],
    )
    def test_lengths(self, service, lengths):
        with pytest.raises(InvalidConfigurationError):
            Gateway(service, **lengths)
