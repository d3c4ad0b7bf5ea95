"""The doctor finds each fault that is planted, names it once and says what to do; of a healthy fleet it says nothing.

Every fault is a real one: a folder that is away, a damaged file, a stopped process, a clock that is off. Only what a
test cannot make (a full disk, a table of files that is used up, a file server's own clock) comes out of the probe.
"""

import os
import shutil
from datetime import timedelta

import pytest
from doctor_world import SLOW, TWO, Engine, beating, beats_every, found, now, probing, silent
from sync_world import World, fingerprint

from heartbeat_kit import (
    HeartbeatConfig,
    HeartbeatService,
    JsonFileStorage,
    MemoryStorage,
    SharedFolderStorage,
    StorageTraits,
    SystemClock,
)
from heartbeat_kit.doctor import FindingOutcome, diagnose
from heartbeat_kit.storage import Probe
from heartbeat_kit.testing import FakeClock, FaultyStorage, Fleet


class TestHealthy:
    @pytest.mark.parametrize("cross_host", [True, False])
    def test_a_fleet_that_runs(self, cross_host):
        with Fleet(3, cross_host=cross_host) as fleet:
            fleet.advance(200)
            diagnosis = silent(diagnose(fleet.observer))
            assert diagnosis["fleet"].found == "4 online"
            silent(diagnose(fleet.machines["m1"], listen=60))

    def test_a_fleet_in_a_slow_folder(self):
        with Fleet(3, propagation_delay=timedelta(seconds=40), config=SLOW) as fleet:
            fleet.advance(900)
            silent(diagnose(fleet.observer, listen=90))

    def test_real_folder_real_clock(self, share, tmp_path):
        services = beating(share, SystemClock(), "web-1", "web-2", state_dir=tmp_path / "state")
        with services[0] as running:
            running.start()
            diagnosis = silent(diagnose(running))
        assert "runs in this process" in diagnosis["service"].found

    def test_machines_that_left_or_are_in_maintenance_are_no_fault(self):
        with Fleet(3) as fleet:
            fleet.advance(100)
            fleet.leave("m1")
            fleet.crash("m2")
            at = fleet.clock.now_utc
            fleet.observer.maintenance("m2", at, at + timedelta(hours=2), "new disk")
            fleet.advance(400)
            silent(diagnose(fleet.observer))

    def test_one_machine_offline_is_what_the_service_tells_not_a_fault_of_it(self):
        with Fleet(3) as fleet:
            fleet.advance(100)
            fleet.crash("m2")
            fleet.advance(400)
            assert silent(diagnose(fleet.observer))["fleet"].found == "3 online, 1 offline"

    def test_a_sync_in_order(self, tmp_path):
        world = World(tmp_path)
        machine = world.begin(files=TWO)
        machine.write("a.conf", "three\n")
        machine.again()
        diagnosis = silent(diagnose(machine.service, machine.sync))
        assert "2 of 2 were restored" in diagnosis["sync_backups"].found

    def test_nothing_is_changed_by_looking(self, share, tmp_path):
        service = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")[0]
        service.check()
        before = fingerprint(tmp_path, times=False)
        diagnose(service)
        assert fingerprint(tmp_path, times=False) == before


class TestStorage:
    def test_a_folder_that_is_away_is_blindness(self, share, tmp_path):
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        shutil.rmtree(tmp_path / "share")
        diagnosis = diagnose(service)
        assert "blind" in found(diagnosis, "storage_read", "storage_write").found
        assert diagnosis.exit_code == 2
        assert "share is not there" in diagnosis.blind
        assert {"records", "identity", "fleet", "service"} <= set(diagnosis.unchecked)
        assert not any(each.check in diagnosis.unchecked for each in diagnosis)

    def test_a_folder_that_cannot_be_written_to(self, tmp_path):
        storage = FaultyStorage(MemoryStorage())
        (service,) = beating(storage, FakeClock(), "web-1")
        storage.fail("probe", times=9)
        assert found(diagnose(service), "storage_write").outcome is FindingOutcome.FAILED

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_real_folder_that_cannot_be_written_to(self, share, tmp_path):
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        (tmp_path / "share" / "heartbeats").chmod(0o555)
        try:
            assert found(diagnose(service), "storage_write").outcome is FindingOutcome.FAILED
        finally:
            (tmp_path / "share" / "heartbeats").chmod(0o755)

    def test_a_folder_that_takes_its_time(self):
        clock = FakeClock()
        storage = FaultyStorage(MemoryStorage())
        (service,) = beating(storage, clock, "web-1")
        storage.before("load", lambda: clock.advance(4))
        assert "reading took 4 s" in found(diagnose(service), "storage_read").found
        storage.before("load", None)
        storage.before("probe", lambda: clock.advance(5))
        assert "writing took 5 s" in found(diagnose(service), "storage_write").found

    @pytest.mark.parametrize(
        ("probe", "outcome"),
        [
            (Probe(free_bytes=50_000_000), FindingOutcome.WARNING),
            (Probe(free_bytes=4_096), FindingOutcome.FAILED),
            (Probe(free_bytes=10**12, free_files=40), FindingOutcome.WARNING),
            (Probe(free_bytes=10**12, free_files=0), FindingOutcome.FAILED),
        ],
    )
    def test_a_disk_that_is_nearly_full(self, probe, outcome):
        (service,) = beating(probing(probe), FakeClock(), "web-1")
        assert found(diagnose(service), "free_space").outcome is outcome

    @pytest.mark.parametrize(("off_ms", "words"), [(600_000, "10 min ahead of"), (-90_000, "90 s behind")])
    def test_a_file_server_with_another_time(self, off_ms, words):
        clock = FakeClock()
        (service,) = beating(probing(Probe(stamped_ms=clock.now().wall_ms + off_ms)), clock, "web-1")
        assert words in found(diagnose(service), "storage_clock").found

    def test_an_engine_with_another_time(self):
        clock = FakeClock()
        (service,) = beating(Engine(clock.now().wall_ms + 60_000), clock, "web-1")
        assert "60 s ahead of" in found(diagnose(service), "storage_clock").found

    def test_a_file_that_is_damaged_and_its_copy_is_not(self, tmp_path):
        storage, clock = JsonFileStorage(tmp_path), now()
        (service,) = beating(storage, clock, "web-1", state_dir=tmp_path / "state")
        service.register()
        (tmp_path / "heartbeats.json").write_text('{"cut')
        assert "last good copy" in found(diagnose(service), "storage_write").found
        storage.close()

    def test_a_file_that_is_damaged_with_its_copy(self, tmp_path):
        storage, clock = JsonFileStorage(tmp_path), now()
        (service,) = beating(storage, clock, "web-1", state_dir=tmp_path / "state")
        for name in ("heartbeats.json", "heartbeats.json.bak"):
            (tmp_path / name).write_text('{"cut')
        diagnosis = diagnose(service)
        found(diagnosis, "storage_read", "storage_write", "ledger")
        assert "damaged" in diagnosis.blind
        storage.close()


class TestClocks:
    def test_a_peer_that_is_ahead_is_found_at_one_look(self):
        with Fleet(3) as fleet:
            fleet.advance(100)
            fleet.skew("m2", 600)
            fleet.advance(31)
            observer = HeartbeatService(fleet.storage, clock=fleet.clock.sibling(), machine_id="guest")
            assert "m2 is at least 9 min 43 s ahead" in found(diagnose(observer), "peer_clocks").found

    def test_a_peer_that_is_behind_is_found_by_listening(self):
        with Fleet(3) as fleet:
            fleet.skew("m2", -600)
            fleet.advance(100)
            observer = HeartbeatService(fleet.storage, clock=fleet.clock.sibling(), machine_id="guest")
            silent(diagnose(observer))
            assert (
                "m2 is at least 10 min behind"
                in found(diagnose(observer, listen=timedelta(seconds=40)), "peer_clocks").found
            )

    def test_listening_ends_when_all_were_heard(self):
        with Fleet(3) as fleet:
            fleet.advance(100)
            observer = HeartbeatService(fleet.storage, clock=fleet.clock.sibling(), machine_id="guest")
            before = fleet.elapsed
            diagnosis = silent(diagnose(observer, listen=3_600))
            assert fleet.elapsed - before < 40
            assert "4 of 4 compared" in diagnosis["peer_clocks"].found

    def test_when_everybody_is_off_it_is_this_host(self):
        with Fleet(3) as fleet:
            fleet.advance(100)
            clock = fleet.clock.sibling()
            clock.jump_wall(-3_600)
            observer = HeartbeatService(fleet.storage, clock=clock, machine_id="guest")
            assert "own clock is behind" in found(diagnose(observer), "peer_clocks", "own_clock").found

    def test_a_clock_that_was_set_back(self, share, tmp_path):
        clock = now()
        service, _ = beating(share, clock, "web-1", "web-2", state_dir=tmp_path / "state")
        service.check()
        clock.jump_wall(-7_200)
        for each in beating(share, clock, "web-1", "web-2", state_dir=tmp_path / "state"):
            each.register()
        diagnosis = diagnose(service)
        assert "2 h later than it is now" in found(diagnosis, "own_clock", "storage_clock").found


class TestRecords:
    def test_a_record_that_cannot_be_read(self, share, tmp_path):
        service, _ = beating(share, SystemClock(), "web-1", "web-2", state_dir=tmp_path / "state")
        (tmp_path / "share" / "heartbeats" / "web-2.json").write_bytes(b"\0\0\0")
        assert "web-2 cannot be read" in found(diagnose(service), "records").found

    def test_a_conflict_copy(self, share, tmp_path):
        service, _ = beating(share, SystemClock(), "web-1", "web-2", state_dir=tmp_path / "state")
        folder = tmp_path / "share" / "heartbeats"
        shutil.copy(folder / "web-2.json", folder / "web-2 (conflicted copy).json")
        assert "web-2 (conflicted copy).json" in found(diagnose(service), "copies").found

    def test_another_host_beats_as_this_machine(self, share, tmp_path):
        beating(share, SystemClock(), "web-1", host="elsewhere", state_dir=tmp_path / "there")
        service = HeartbeatService(share, machine_id="web-1", host="here", state_dir=tmp_path / "here")
        assert "came from host 'elsewhere'" in found(diagnose(service), "identity").found

    def test_two_hosts_under_one_id_are_found_by_listening(self):
        clock = FakeClock()
        storage = MemoryStorage(
            traits=StorageTraits(durable=False, cross_process=False, cross_host=True, coherent=True)
        )
        twins = beating(storage, clock, "db-1", host="east") + beating(storage, clock, "db-1", host="west")
        loops = []
        for twin in twins:
            loops.append(clock.loop(beats_every(twin, clock, 2_000), name="twin"))
            clock.advance(1)
        guest = HeartbeatService(storage, clock=clock, machine_id="guest")
        assert diagnose(guest)["identity"].found == "no two hosts were seen under one id"
        assert "both beat as 'db-1'" in found(diagnose(guest, listen=10), "identity").found

    def test_a_machine_that_moves_while_somebody_listens_is_no_second_one(self):
        clock = FakeClock()
        storage = MemoryStorage(
            traits=StorageTraits(durable=False, cross_process=False, cross_host=True, coherent=True)
        )
        beating(storage, clock, "db-1", host="east")
        new = HeartbeatService(storage, clock=clock, machine_id="db-1", host="west")
        clock.loop(beats_every(new, clock, 2_000), name="new")
        guest = HeartbeatService(storage, clock=clock, machine_id="guest")
        assert diagnose(guest, listen=10)["identity"].found == "no two hosts were seen under one id"


class TestThresholds:
    def test_a_machine_that_promises_a_longer_beat(self):
        clock, storage = FakeClock(), MemoryStorage()
        beating(storage, clock, "web-2", config=SLOW)
        (service,) = beating(storage, clock, "web-1")
        assert "web-2 promises a beat every 60 s" in found(diagnose(service), "thresholds").found

    def test_a_running_service_with_other_numbers(self, tmp_path):
        storage = JsonFileStorage(tmp_path)
        with HeartbeatService(storage, SLOW, machine_id="web-1", state_dir=tmp_path / "state") as running:
            running.start()
            guest = HeartbeatService(storage, machine_id="web-1", state_dir=tmp_path / "state")
            assert "offlineTimeout 4 min" in found(diagnose(guest), "thresholds").found
        storage.close()

    @pytest.mark.parametrize(("beats", "outcome"), [(2.4, FindingOutcome.WARNING), (2.5, FindingOutcome.OK)])
    def test_a_timeout_too_short_for_a_medium_that_delays(self, share, tmp_path, beats, outcome):
        config = HeartbeatConfig(
            heartbeat_interval=timedelta(seconds=30), offline_timeout=timedelta(seconds=30 * beats)
        )
        for storage, expected in (
            (SharedFolderStorage(tmp_path / "share"), outcome),
            (share, FindingOutcome.OK),
        ):
            (service,) = beating(storage, now(), "web-1", state_dir=tmp_path / "state", config=config)
            assert diagnose(service)["thresholds"].outcome is expected

    def test_this_machine_promises_something_else(self):
        clock, storage = FakeClock(), MemoryStorage()
        beating(storage, clock, "web-1", config=SLOW)
        guest = HeartbeatService(storage, clock=clock, machine_id="web-1", host="web-1")
        assert "promises a beat every 60 s" in found(diagnose(guest), "thresholds").found

    def test_a_medium_that_is_slower_than_it_declares(self):
        traits = StorageTraits(
            durable=True, cross_process=False, cross_host=True, coherent=False, propagation_delay=timedelta(seconds=1)
        )
        clock, storage = FakeClock(), FaultyStorage(MemoryStorage(traits=traits))
        guest = HeartbeatService(storage, clock=clock, machine_id="guest")
        peer = HeartbeatService(storage, clock=clock, machine_id="web-1", host="web-1")
        for turn in range(80):
            storage.freeze()
            peer.register()
            for _ in range(12 if turn % 2 else 2):
                clock.advance(1)
                guest.state()
            storage.thaw()
            guest.state()
            clock.advance(18 if turn % 2 else 28)
            guest.state()
        assert "more than the declared" in found(diagnose(guest), "medium").found


class TestFleet:
    def test_nobody_is_there(self):
        guest = HeartbeatService(MemoryStorage(), machine_id="guest")
        assert "nobody has registered" in found(diagnose(guest), "fleet").found

    def test_a_sync_client_that_stopped(self):
        with Fleet(3, propagation_delay=timedelta(seconds=30)) as fleet:
            fleet.advance(300)
            for name in fleet.machines:
                fleet.partition(name)
            fleet.advance(400)
            assert "none of the 3 other machines is heard" in found(diagnose(fleet.observer), "fleet").found

    def test_an_expected_machine_that_never_came(self):
        config = HeartbeatConfig(expected=("web-1", "db-9"))
        (service,) = beating(MemoryStorage(), FakeClock(), "web-1", config=config)
        assert "db-9" in found(diagnose(service), "fleet").found
