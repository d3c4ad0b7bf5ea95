"""`HeartbeatService`: the façade, on virtual time."""

import os
import socket
from datetime import UTC, datetime, timedelta

import pytest
from core_values import START, beat

from heartbeat_kit import (
    HeartbeatConfig,
    HeartbeatService,
    JsonFileStorage,
    MachineStatus,
    MemoryStorage,
    ObserverHealth,
    SharedFolderStorage,
    StorageTraits,
    Transition,
)
from heartbeat_kit.errors import (
    HeartbeatRegistrationError,
    HeartbeatStopError,
    InvalidConfigurationError,
    InvalidMachineIdError,
    InvalidMetadataError,
    ServiceAlreadyRunningError,
    StorageUnavailableError,
)
from heartbeat_kit.testing import HOSTILE_MACHINE_IDS, RecordingListener

MINUTE = timedelta(minutes=1)


@pytest.fixture
def make(storage, clock, tmp_path):
    """Make services that are stopped at the end."""
    made = []

    def service(name="watcher", config=None, *, on=None):
        made.append(HeartbeatService(on or storage, config, clock=clock, machine_id=name, state_dir=tmp_path / "state"))
        return made[-1]

    yield service
    storage.come_back()
    for each in made:
        each.stop()


@pytest.fixture
def service(make):
    return make()


class TestConstruction:
    def test_does_no_io(self, storage, make, tmp_path):
        service = make()
        assert not storage.calls
        assert not (tmp_path / "state").exists()
        assert (service.machine_id, service.storage, service.is_running) == ("watcher", storage, False)
        assert service.config == HeartbeatConfig()

    def test_refuses_what_cannot_work(self, clock, storage):
        with pytest.raises(InvalidConfigurationError, match="no storage"):
            HeartbeatService(object(), clock=clock, machine_id="a")
        with pytest.raises(InvalidConfigurationError, match="config is a dict"):
            HeartbeatService(storage, {}, clock=clock, machine_id="a")
        with pytest.raises(InvalidMachineIdError):
            HeartbeatService(storage, clock=clock, machine_id="../a")

    @pytest.mark.parametrize("host", ["", "h" * 256, "new\nline", b"bytes", 7])
    def test_a_host_that_no_record_could_carry_is_refused(self, storage, clock, host):
        with pytest.raises(InvalidConfigurationError, match="host is"):
            HeartbeatService(storage, clock=clock, machine_id="a", host=host)

    def test_records_are_signed_with_the_host(self, storage, clock):
        assert HeartbeatService(storage, clock=clock, machine_id="a").host == socket.gethostname()
        service = HeartbeatService(storage, clock=clock, machine_id="a", host="container of rack-7")
        service.register()
        assert (service.host, storage.get("a").host) == ("container of rack-7", "container of rack-7")

    def test_the_default_identity_is_the_one_source(self, storage, clock, monkeypatch):
        monkeypatch.setenv("MACHINE_ID", " Lab-7 ")
        assert HeartbeatService(storage, clock=clock).machine_id == "lab-7"

    def test_repr_is_one_line(self, service):
        assert repr(service).startswith("<HeartbeatService watcher on <FaultyStorage healthy")
        assert repr(service).endswith(", not running>")
        service.start()
        assert repr(service).endswith(", running>")


class TestRegister:
    def test_for_this_machine_and_for_another(self, service, storage):
        own, other = service.register({"role": "watcher"}), service.register({"role": "web"}, machine_id=" Web-1 ")
        assert (own.machine_id, other.machine_id, own.is_new_machine) == ("watcher", "web-1", True)
        found = storage.load().heartbeats
        assert {name: record.metadata["role"] for name, record in found.items()} == {
            "watcher": "watcher",
            "web-1": "web",
        }
        assert found["web-1"].interval_ms == 30_000

    def test_none_keeps_and_an_empty_object_clears_the_metadata(self, service, storage):
        for given, kept in (({"a": 1}, {"a": 1}), (None, {"a": 1}), ({}, {})):
            service.register(given)
            assert storage.load().heartbeats["watcher"].metadata == kept

    @pytest.mark.parametrize("hostile", HOSTILE_MACHINE_IDS)
    def test_a_hostile_id_stores_nothing(self, service, storage, hostile):
        with pytest.raises(InvalidMachineIdError):
            service.register(machine_id=hostile)
        assert not storage.calls

    def test_bad_metadata_stores_nothing(self, service, storage):
        with pytest.raises(InvalidMetadataError):
            service.register({"f": print})
        assert not storage.calls

    def test_a_storage_that_is_away_is_never_a_success(self, service, storage):
        storage.go_down("no disk")
        with pytest.raises(HeartbeatRegistrationError, match="no disk"):
            service.register()
        assert service.status.pending == "no disk"

    def test_is_seen_by_the_next_check_however_fresh_the_last(self, service):
        service.check()
        service.register(machine_id="web-1")
        assert service.check().newly_registered == ("web-1",)


class TestCheck:
    def test_within_a_third_of_the_interval_the_last_look_answers(self, service, storage, clock):
        service.check()
        clock.advance(9.999)
        service.check()
        assert storage.calls["load"] == 1
        clock.advance(0.001)
        service.check()
        service.check(force=True)
        assert storage.calls["load"] == 3

    @pytest.mark.parametrize(
        ("config", "fresh"),
        [
            (HeartbeatConfig(check_interval=timedelta(seconds=6)), 2),
            (HeartbeatConfig(fresh_for=timedelta(seconds=3)), 3),
            (HeartbeatConfig.critical(), 3.333),
            (HeartbeatConfig(fresh_for=timedelta(0)), 0),
        ],
    )
    def test_how_fresh_is_fresh(self, make, storage, clock, config, fresh):
        service = make(config=config)
        service.check()
        if fresh:
            clock.advance(fresh - 0.001)
            service.check()
            assert storage.calls["load"] == 1
            clock.advance(0.001)
        service.check()
        assert storage.calls["load"] == 2

    def test_announces_each_change_once(self, service, clock):
        listener = RecordingListener()
        service.subscribe(listener)
        service.register(machine_id="web-1")
        for _ in range(30):
            service.check(force=True)
            clock.advance(10)
        service.register(machine_id="web-1")
        for _ in range(5):
            service.check(force=True)
        assert listener.changes == (
            ("web-1", "online"),
            ("web-1", "warning"),
            ("web-1", "offline"),
            ("web-1", "online"),
        )

    def test_decorators(self, service, clock):
        heard = []

        @service.on_offline
        def offline(event):
            heard.append(("offline", event.machine_id))

        @service.on_online
        def online(event):
            heard.append(("online", event.machine_id))

        @service.on_warning
        def warning(event):
            heard.append(("warning", event.machine_id))

        @service.on_transition
        def anything(event):
            heard.append(("any", str(event.reason)))

        assert callable(offline)
        assert callable(online)
        assert callable(warning)
        assert callable(anything)
        service.register(machine_id="web-1")
        service.check(force=True)
        for seconds in (130, 120):
            clock.advance(seconds)
            service.check(force=True)
        service.register(machine_id="web-1")
        service.check(force=True)
        assert heard == [
            ("any", "first_seen"),
            ("warning", "web-1"),
            ("any", "silent"),
            ("offline", "web-1"),
            ("any", "silent"),
            ("online", "web-1"),
            ("any", "returned"),
        ]

    def test_an_interrupted_delivery_is_taken_up_by_the_next_process(self, tmp_path, clock):
        """Same id, by another service on the same ledger, once the first has let go."""
        first = JsonFileStorage(tmp_path, create=True)
        dying = HeartbeatService(first, clock=clock, machine_id="watcher", state_dir=tmp_path / "s")
        cut, heard = RecordingListener(raises=KeyboardInterrupt), RecordingListener()
        dying.subscribe(cut)
        dying.register(machine_id="web-1")
        with pytest.raises(KeyboardInterrupt):
            dying.check(force=True)
        first.close()
        second = JsonFileStorage(tmp_path)
        successor = HeartbeatService(second, clock=clock, machine_id="watcher", state_dir=tmp_path / "s")
        successor.subscribe(heard)
        assert successor.check(force=True).transitions == ()
        assert heard.ids == cut.ids
        successor.check(force=True)
        assert len(heard.events) == 1
        second.close()

    def test_of_two_services_on_one_ledger_one_announces(self, make, clock):
        services, listener = [make("one"), make("two")], RecordingListener()
        for each in services:
            each.subscribe(listener)
        services[0].register(machine_id="web-1")
        for _ in range(30):
            for each in services:
                each.check(force=True)
            clock.advance(10)
        assert listener.changes == (("web-1", "online"), ("web-1", "warning"), ("web-1", "offline"))


class TestState:
    def test_has_no_effects(self, service, storage, clock):
        listener = RecordingListener()
        service.subscribe(listener)
        service.register(machine_id="web-1")
        service.check(force=True)
        clock.advance(300)
        storage.calls.clear()
        listener.clear()
        for _ in range(3):
            assert service.state()["web-1"].status is MachineStatus.OFFLINE
        assert listener.events == ()
        assert {"commit", "put", "delivered", "undelivered", "remove", "save_service"} & storage.calls.keys() == set()
        assert service.check(force=True).newly_offline == ("web-1",)

    def test_is_frozen_in_time(self, service, clock):
        service.register(machine_id="web-1")
        before = service.state()
        clock.advance(300)
        assert before["web-1"].status is MachineStatus.ONLINE
        assert service.state()["web-1"].missed_heartbeats == 10


class TestStart:
    def test_beats_at_once_and_goes_on(self, service, storage, clock):
        status = service.start()
        assert (status.is_running, status.machine_id, status.started_at_ms) == (True, "watcher", START)
        assert status.config == service.config
        assert storage.inner.load().heartbeats["watcher"].seq == 1
        clock.advance(300)
        assert storage.inner.load().heartbeats["watcher"].seq >= 11
        assert service.state()["watcher"].status is MachineStatus.ONLINE

    def test_looks_and_delivers_in_the_background(self, service, storage, clock):
        listener = RecordingListener()
        service.subscribe(listener, to=MachineStatus.OFFLINE)
        service.register(machine_id="web-1")
        service.start()
        clock.advance(239)
        assert listener.events == ()
        clock.advance(31)
        assert listener.changes == (("web-1", "offline"),)

    def test_a_second_start_is_refused(self, make):
        first, second = make(), make()
        first.start()
        for again in (first, second):
            with pytest.raises(ServiceAlreadyRunningError):
                again.start()
        assert first.is_running
        assert not second.is_running
        first.stop()
        assert second.start().is_running

    def test_each_start_is_a_new_life(self, service, storage, clock):
        lives = []
        for jump in (0, -3_600, 7_200):
            clock.jump_wall(jump)
            service.start()
            lives.append(storage.inner.load().heartbeats["watcher"].incarnation)
            service.stop()
        assert lives == sorted(set(lives))

    def test_without_storage_it_starts_blind_and_recovers(self, service, storage, clock):
        storage.go_down("not mounted")
        status = service.start()
        assert (status.is_running, status.pending) == (True, "not mounted")
        clock.advance(1)
        assert service.check().observer.health is ObserverHealth.BLIND
        storage.come_back()
        clock.advance(31)
        assert service.status.pending is None
        assert service.check(force=True).observer.health is ObserverHealth.OK
        assert "watcher" in service.state()

    def test_a_bad_progress_timeout_starts_nothing(self, service, storage):
        with pytest.raises(InvalidConfigurationError, match="progress_timeout"):
            service.start(progress_timeout=5)
        assert not service.is_running
        assert not storage.calls
        assert service.start().is_running

    def test_a_start_that_fails_leaves_no_lock(self, make, storage):
        service = make()
        storage.fail("put", error=KeyboardInterrupt)
        with pytest.raises(KeyboardInterrupt):
            service.start()
        assert not service.is_running
        assert service.start().is_running

    def test_without_progress_the_beat_stops_and_comes_back_with_it(self, service, storage, clock):
        service.start(progress_timeout=MINUTE)
        clock.advance(300)
        silent = storage.inner.load().heartbeats["watcher"]
        assert silent.last_heartbeat_ms < START + 60_000
        assert service.is_running
        service.progress()
        clock.advance(30)
        assert storage.inner.load().heartbeats["watcher"].seq == silent.seq + 1
        clock.advance(100)
        service.register()
        seq = storage.inner.load().heartbeats["watcher"].seq
        clock.advance(30)
        assert storage.inner.load().heartbeats["watcher"].seq > seq

    def test_registering_somebody_else_is_no_progress(self, service, storage, clock):
        service.start(progress_timeout=MINUTE)
        clock.advance(61)
        seq = storage.inner.load().heartbeats["watcher"].seq
        service.register(machine_id="web-1")
        clock.advance(60)
        assert storage.inner.load().heartbeats["watcher"].seq == seq

    @pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
    @pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
    def test_a_forked_child_does_not_run(self, tmp_path):
        """And its stop neither says goodbye for the parent nor takes its lock."""
        storage = JsonFileStorage(tmp_path, create=True)
        service = HeartbeatService(storage, machine_id="watcher", state_dir=tmp_path / "state")
        service.start()
        child = os.fork()
        if child == 0:
            code = 1
            try:
                running = service.is_running
                service.stop(leave=True)
                code = 2 if running else 0
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert service.is_running
        assert storage.load().heartbeats["watcher"].left_at is None
        rival = HeartbeatService(storage, machine_id="watcher", state_dir=tmp_path / "state")
        with pytest.raises(ServiceAlreadyRunningError):
            rival.start()
        service.stop()
        storage.close()


class TestStop:
    def test_ends_the_beats_and_is_idempotent(self, service, storage, clock):
        service.start()
        clock.advance(60)
        stopped = service.stop()
        assert (stopped.is_running, stopped.stopped_at_ms, stopped.state_saved) == (False, START + 60_000, True)
        seq = storage.inner.load().heartbeats["watcher"].seq
        clock.advance(600)
        assert storage.inner.load().heartbeats["watcher"].seq == seq
        again = service.stop()
        assert (again.is_running, again.state_saved) == (False, False)

    def test_before_a_start_it_writes_nothing(self, service, storage):
        service.stop(leave=True)
        assert not storage.calls

    def test_saves_the_configuration_where_the_storage_keeps_it(self, service, storage):
        service.start()
        assert storage.inner.load_service()["isRunning"] is True
        service.stop()
        assert storage.inner.load_service() == {
            "machineId": "watcher",
            "heartbeatInterval": 30_000,
            "offlineTimeout": 120_000,
            "autoSyncEnabled": True,
            "isRunning": False,
            "startedAt": "2026-01-01T00:00:00.000Z",
        }

    def test_saves_nothing_when_told_not_to(self, service, storage):
        service.start()
        storage.calls.clear()
        assert service.stop(save_state=False).state_saved is False
        assert storage.calls["save_service"] == storage.calls["put"] == 0

    @pytest.mark.parametrize("error", [None, OSError("disk")], ids=["typed", "plain"])
    def test_what_could_not_be_saved_is_not_claimed(self, service, storage, error, caplog):
        service.start()
        storage.fail("save_service", error=error)
        assert service.stop().state_saved is False
        assert "the service configuration is not stored" in caplog.text

    def test_a_goodbye_is_seen_by_peers_at_once(self, make, clock):
        leaver, peer = make("leaver"), make("peer")
        leaver.start()
        peer.check(force=True)
        clock.advance(1)
        leaver.stop(leave=True)
        report = peer.check(force=True)
        assert report.newly_offline == ("leaver",)
        assert str(report.transitions[0].reason) == "left"
        leaver.start()
        assert peer.check(force=True).newly_online == ("leaver",)

    def test_without_a_goodbye_nobody_is_told(self, make):
        leaver, peer = make("leaver"), make("peer")
        leaver.start()
        peer.check(force=True)
        leaver.stop()
        assert peer.check(force=True).transitions == ()

    def test_a_listener_may_stop_the_service(self, service, clock):
        service.subscribe(lambda _: service.stop())
        service.register(machine_id="web-1")
        service.start()
        clock.advance(1)
        assert not service.is_running
        assert service.start().is_running

    def test_a_context_manager_stops(self, make):
        with make() as service:
            service.start()
        assert not service.is_running

    def test_a_look_that_does_not_end_is_an_error_yet_the_service_is_stopped(self, make, clock, monkeypatch):
        service = make()
        service.start()
        monkeypatch.setattr(
            service._background, "stop", lambda: type(service._background).stop(service._background) and False
        )
        with pytest.raises(HeartbeatStopError, match="did not end"):
            service.stop()
        monkeypatch.undo()
        assert not service.is_running
        assert service.start().is_running


class TestReconfigure:
    def test_changes_what_is_given_and_keeps_the_rest(self, service):
        before = service.config
        after = service.reconfigure(offline_timeout=timedelta(minutes=3))
        assert after is service.config
        assert after.offline_timeout == timedelta(minutes=3)
        assert after.heartbeat_interval == before.heartbeat_interval

    @pytest.mark.parametrize(
        "changes", [{"offline_timeout": timedelta(seconds=1)}, {"offlineTimeout": MINUTE}, {"offline_timeout": None}]
    )
    def test_a_change_that_cannot_be_changes_nothing(self, service, changes):
        before = service.config
        with pytest.raises(InvalidConfigurationError):
            service.reconfigure(**changes)
        assert service.config is before

    def test_takes_effect_at_once(self, service, clock):
        service.register(machine_id="web-1")
        service.check()
        clock.advance(5)
        service.reconfigure(heartbeat_interval=timedelta(seconds=1), offline_timeout=timedelta(seconds=2))
        assert service.check(force=True).transitions == ()  # its own promise of 30 s counts
        service.register(machine_id="web-2")
        clock.advance(4)
        assert service.check(force=True).newly_offline == ("web-2",)

    def test_while_running_it_keeps_running(self, service, storage, clock):
        service.start()
        service.reconfigure(heartbeat_interval=timedelta(seconds=1))
        clock.advance(10)
        assert storage.inner.load().heartbeats["watcher"].seq >= 10
        assert service.is_running
        assert storage.inner.load_service()["heartbeatInterval"] == 1_000

    def test_while_not_running_it_writes_nothing(self, service, storage):
        service.reconfigure(confirm_online=2)
        assert not storage.calls

    def test_a_longer_timeout_brings_nobody_back_who_did_not_beat(self, service, clock):
        service.register(machine_id="web-1")
        service.check()
        clock.advance(300)
        assert service.check().newly_offline == ("web-1",)
        service.reconfigure(offline_timeout=timedelta(hours=1))
        assert service.check(force=True).transitions == ()
        service.register(machine_id="web-1")
        assert service.check(force=True).newly_online == ("web-1",)


class TestConfirmation:
    def test_three_looks_in_each_direction(self, make, clock):
        service = make(config=HeartbeatConfig(confirm_offline=3, confirm_online=3))
        service.register(machine_id="web-1")
        service.check(force=True)
        clock.advance(300)
        assert [service.check(force=True).newly_offline for _ in range(3)] == [(), (), ("web-1",)]
        back = []
        for _ in range(3):
            clock.advance(1)
            service.register(machine_id="web-1")
            service.state()
            back.append(service.check(force=True).newly_online)
        assert back == [(), (), ("web-1",)]


class TestWaitFor:
    def test_virtual_time_passes(self, service, clock):
        service.register(machine_id="web-1")
        assert service.wait_for(" WEB-1 ", "warning", timedelta(minutes=5))
        assert 120 <= clock.monotonic <= 121
        assert service.wait_for("web-1", MachineStatus.OFFLINE, 300)
        assert 240 <= clock.monotonic <= 241

    def test_gives_up_in_time(self, service, clock):
        service.register(machine_id="web-1")
        assert not service.wait_for("web-1", "offline", 10)
        assert clock.monotonic == 10
        assert not service.wait_for("web-1", "offline", 0)
        assert service.wait_for("web-1", "online", 0)

    def test_a_stranger_is_unknown(self, service):
        assert service.wait_for("nobody", "unknown", 0)
        assert not service.wait_for("nobody", "online", 1)

    def test_a_background_loop_goes_on_meanwhile(self, service, clock):
        service.start()
        clock.loop(
            lambda: (service.register(machine_id="late"), 10**9)[1] if clock.monotonic >= 40 else 40_000, name="x"
        )
        assert service.wait_for("late", "online", MINUTE)

    def test_a_status_that_is_none_is_refused(self, service):
        with pytest.raises(ValueError, match="dead"):
            service.wait_for("web-1", "dead", 1)


class TestRemove:
    def test_is_final_until_it_beats_again(self, service, clock):
        listener = RecordingListener()
        service.subscribe(listener)
        service.register({"a": 1}, machine_id="web-1")
        service.check(force=True)
        clock.advance(1)
        assert service.remove(" WEB-1 ")
        assert not service.remove("web-1")
        assert "web-1" not in service.state()
        report = service.check()
        assert (report.statistics.total_machines, report.newly_offline) == (0, ())
        assert service.check(force=True).transitions == ()
        again = service.register(machine_id="web-1")
        assert again.is_new_machine
        assert service.check(force=True).newly_registered == ("web-1",)
        assert service.state()["web-1"].metadata == {}
        assert [str(event.reason) for event in listener.events] == ["first_seen", "removed", "first_seen"]

    def test_beating_again_in_the_same_millisecond_counts(self, service):
        service.register(machine_id="web-1")
        service.check(force=True)
        service.remove("web-1")
        service.check(force=True)
        service.register(machine_id="web-1")
        assert service.check(force=True).newly_registered == ("web-1",)

    def test_an_old_copy_does_not_bring_it_back(self, service, storage, clock):
        service.register(machine_id="web-1")
        old = storage.load().heartbeats["web-1"]
        service.check(force=True)
        service.remove("web-1")
        service.check(force=True)
        storage.put(old)
        for _ in range(3):
            clock.advance(10)
            assert service.check(force=True).transitions == ()
            assert "web-1" not in service.state()

    def test_a_storage_that_keeps_it_says_so(self, service, storage):
        service.register(machine_id="web-1")
        storage.fail("remove")
        with pytest.raises(StorageUnavailableError):
            service.remove("web-1")
        assert "web-1" in service.state()

    def test_prune_takes_who_was_offline_for_so_long(self, service, clock):
        service.register(machine_id="old")
        clock.advance(240)
        service.register(machine_id="new")
        clock.advance(86_399.999)
        service.register(machine_id="alive")
        assert service.prune() == ()
        clock.advance(0.001)
        assert service.prune() == ("old",)
        assert service.prune(timedelta(0)) == ("new",)
        assert list(service.state().machines) == ["alive"]

    def test_prune_removes_nobody_while_blind_or_stalled(self, service, storage, clock):
        service.register(machine_id="web-1")
        clock.advance(10**6)
        service.check(force=True)
        storage.fail("load")
        assert service.prune() == ()
        service.check(force=True)
        clock.jump_wall(100)
        assert service.prune() == ()
        assert service.prune() == ("web-1",)

    def test_prune_takes_no_senders_word(self, make, clock):
        """On another host's clock a stamp of last year proves nothing."""
        remote = MemoryStorage(
            traits=StorageTraits(durable=True, cross_process=True, cross_host=True, coherent=True, location="x")
        )
        remote.put(beat(at=START - 10**11))
        service = make(on=remote)
        assert service.state()["web-1"].status is MachineStatus.OFFLINE
        assert service.prune() == ()

    def test_prune_takes_nobody_who_never_could_be_read(self, service, storage, clock):
        """It may beat in a format we do not know yet."""
        storage.put(beat())
        storage.corrupt("web-1")
        for _ in range(100):
            service.check(force=True)
            clock.advance(60)
        assert service.prune(timedelta(0)) == ()
        assert storage.calls["remove"] == 0


class TestHistory:
    def test_by_machine_and_time(self, service, clock):
        service.register(machine_id="a")
        service.check(force=True)
        clock.advance(60)
        service.register(machine_id="b")
        service.check(force=True)
        assert [event.machine_id for event in service.history()] == ["a", "b"]
        assert [event.machine_id for event in service.history(" B ")] == ["b"]
        since = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
        assert [event.machine_id for event in service.history(since=since)] == ["b"]
        assert service.history(since=since + timedelta(milliseconds=1)) == ()
        assert all(type(event) is Transition for event in service.history())


class TestSyncedFolder:
    """No compare-and-set in the folder: announcements live in a local ledger, and survive a restart."""

    def watch(self, folder, clock, tmp_path):
        storage = SharedFolderStorage(folder, propagation_delay=MINUTE)
        return HeartbeatService(storage, clock=clock, machine_id="watcher", state_dir=tmp_path / "state"), storage

    def test_a_restart_repeats_nothing(self, tmp_path, clock):
        folder = tmp_path / "folder"
        folder.mkdir()
        heard = RecordingListener()
        sent = SharedFolderStorage(folder, propagation_delay=MINUTE)
        far = HeartbeatService(sent, clock=clock, machine_id="web-2", host="far", state_dir=tmp_path / "far")
        for process in range(3):
            service, storage = self.watch(folder, clock, tmp_path)
            service.subscribe(heard)
            if process == 0:
                service.register(machine_id="web-1")
                service.check(force=True)
                clock.advance(10)
                service.register(machine_id="web-1")
            for _ in range(30):
                far.register()  # somebody elsewhere is heard, so the medium is not in doubt
                service.check(force=True)
                clock.advance(20)
            assert service.state()["web-1"].status is MachineStatus.OFFLINE
            storage.close()
        sent.close()
        assert [event.after for event in heard.of("web-1")] == ["online", "warning", "offline"]

    def test_watching_writes_nothing_into_the_folder(self, tmp_path, clock):
        folder = tmp_path / "folder"
        folder.mkdir()
        service, storage = self.watch(folder, clock, tmp_path)
        service.register(machine_id="web-1")
        before = {path: path.stat().st_mtime_ns for path in folder.rglob("*")}
        for _ in range(20):
            service.check(force=True)
            clock.advance(30)
        assert {path: path.stat().st_mtime_ns for path in folder.rglob("*")} == before
        storage.close()

    def test_one_look_at_a_stamp_dates_the_silence_by_that_stamp(self, tmp_path, clock):
        """Not by the look: that would lie ahead of us, and move with every look."""
        folder = tmp_path / "folder"
        folder.mkdir()
        stamp = clock.now_utc - timedelta(minutes=10)
        for _ in range(2):
            service, storage = self.watch(folder, clock, tmp_path)
            storage.put(beat("web-1", at=stamp))
            seen = service.state()["web-1"]
            assert seen.status is MachineStatus.OFFLINE
            assert seen.since is None
            assert stamp + 4 * MINUTE <= seen.offline_since <= clock.now_utc
            assert seen.offline_since - seen.warning_since == 2 * MINUTE
            storage.close()
            clock.advance(5)
