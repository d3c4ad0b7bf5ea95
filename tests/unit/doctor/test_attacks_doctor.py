"""What a doctor must never do: harm, alarm for nothing, pass over what the library calls damaged, or break down."""

import json
import os
import stat
import threading
from datetime import timedelta

import pytest
from doctor_world import TWO, beating, found, now, probing, silent
from sync_world import World

from heartbeat_kit import HeartbeatService, JsonFileStorage, MemoryStorage, SystemClock
from heartbeat_kit.cli import main
from heartbeat_kit.doctor import Diagnosis, Finding, FindingOutcome, diagnose
from heartbeat_kit.errors import InvalidConfigurationError, StorageUnavailableError
from heartbeat_kit.storage import Probe, _probing
from heartbeat_kit.testing import FakeClock, FaultyStorage, Fleet


class TestNoHarm:
    def test_it_makes_no_lock_that_could_shut_others_out(self, tmp_path):
        """A doctor of root would leave a lock file that the service of a user cannot open."""
        storage = JsonFileStorage(tmp_path)
        diagnose(HeartbeatService(storage, machine_id="web-1", state_dir=tmp_path / "state"))
        assert list(tmp_path.iterdir()) == []
        storage.close()

    def test_it_makes_no_storage(self, tmp_path, capsys):
        assert main(["doctor", "--storage", f"folder://{tmp_path}/new?create=true", "--machine-id", "web-1"]) == 2
        assert "blind, nobody can be seen: it is not there" in capsys.readouterr().out
        assert list(tmp_path.iterdir()) == []

    def test_many_of_them_hold_up_no_start(self, tmp_path):
        storage = JsonFileStorage(tmp_path)
        service = HeartbeatService(storage, machine_id="web-1", state_dir=tmp_path / "state")
        over, wrong = threading.Event(), []

        def doctors():
            while not over.is_set():
                guest = HeartbeatService(storage, machine_id="web-1", state_dir=tmp_path / "state")
                wrong.extend(each for each in diagnose(guest).troubles if each.check == "service")

        threads = [threading.Thread(target=doctors) for _ in range(2)]
        for thread in threads:
            thread.start()
        try:
            for _ in range(20):
                service.start()
                service.stop()
        finally:
            over.set()
            for thread in threads:
                thread.join(30)
        assert not wrong
        storage.close()


class TestSaving:
    @pytest.fixture
    def doctor(self, tmp_path):
        (tmp_path / "share").mkdir()
        storage = f"folder://{tmp_path}/share"
        return lambda place: main(["doctor", "--storage", storage, "--machine-id", "web-1", "--save", str(place)])

    def test_a_link_is_followed_and_a_mode_is_kept(self, doctor, tmp_path, capsys):
        target = tmp_path / "kept.json"
        target.write_text("old")
        target.chmod(0o600)
        (tmp_path / "link.json").symlink_to(target)
        doctor(tmp_path / "link.json")
        assert (tmp_path / "link.json").is_symlink()
        assert json.loads(target.read_text())["outcome"] == "warning"
        assert stat.S_IMODE(target.stat().st_mode) == 0o600

    @pytest.mark.skipif(os.name == "nt", reason="needs POSIX")
    def test_what_is_no_file_stays_what_it_is(self, doctor, tmp_path, capsys):
        pipe = tmp_path / "pipe"
        os.mkfifo(pipe)
        got = []
        reader = threading.Thread(target=lambda: got.append(pipe.read_text()))
        reader.start()
        doctor(pipe)
        reader.join(10)
        assert json.loads(got[0])["outcome"] == "warning"
        assert stat.S_ISFIFO(pipe.stat().st_mode)

    @pytest.mark.parametrize("place", ["no/such/folder/d.json", ".", ""])
    def test_what_cannot_be_saved_is_shown_all_the_same(self, doctor, tmp_path, capsys, monkeypatch, place):
        monkeypatch.chdir(tmp_path)
        assert doctor(place) == 2
        said = capsys.readouterr()
        assert "nobody has registered here yet" in said.out
        assert "the diagnosis is not saved" in said.err
        assert ".hbk-" not in said.err


class TestStrangers:
    """A storage is anybody's code."""

    @pytest.mark.parametrize("kind", [RuntimeError, KeyError, ValueError, StorageUnavailableError])
    @pytest.mark.parametrize("operation", ["load", "probe", "load_service", "read_ledger", "history"])
    def test_whatever_it_raises_is_a_finding(self, operation, kind):
        storage = FaultyStorage(MemoryStorage())
        (service,) = beating(storage, FakeClock(), "web-1")
        storage.fail(operation, times=99, error=kind("odd"))
        diagnosis = diagnose(service)
        assert diagnosis.troubles
        assert any("odd" in each.found for each in diagnosis.troubles)

    @pytest.mark.parametrize("probe", [{"free_bytes": 1}, None.__class__, "fine"])
    def test_an_answer_that_is_no_probe_is_a_finding(self, probe):
        (service,) = beating(probing(probe), FakeClock(), "web-1")
        assert "not a Probe" in found(diagnose(service), "storage_write").found

    def test_a_probe_holds_whole_numbers(self):
        with pytest.raises(TypeError):
            Probe(stamped_ms=float("nan"))

    def test_a_record_of_a_service_that_is_none(self):
        class Odd(MemoryStorage):
            def load_service(self):
                return ["running"]

        (service,) = beating(Odd(), FakeClock(), "web-1")
        assert "not a dict" in found(diagnose(service), "thresholds").found

    def test_a_closed_storage(self):
        storage = MemoryStorage()
        (service,) = beating(storage, FakeClock(), "web-1")
        storage.close()
        assert "closed" in diagnose(service).blind


class TestClocksThatAreRight:
    def test_an_observer_that_could_not_look_for_a_while(self):
        """What a peer sent meanwhile is old when it is seen, and its clock is right."""
        with Fleet(3) as fleet:
            fleet.advance(100)
            fleet.partition("observer")
            fleet.advance(700)
            fleet.crash("m2")
            fleet.advance(50)
            fleet.heal("observer")
            fleet.advance(100)
            assert "peer_clocks" not in {each.check for each in diagnose(fleet.observer).troubles}

    def test_an_observer_that_stalled(self):
        with Fleet(3) as fleet:
            fleet.advance(100)
            fleet.stall_observer(600)
            fleet.advance(650)
            silent(diagnose(fleet.observer))

    def test_looks_by_hand_every_quarter_of_an_hour(self):
        with Fleet(2) as fleet:
            guest = HeartbeatService(fleet.storage, clock=fleet.clock.sibling(), machine_id="guest")
            for _ in range(4):
                fleet.advance(960)
                guest.state()
            silent(diagnose(guest))


class TestDamage:
    def test_an_outbox_that_is_text(self, share, tmp_path):
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        service.check()
        file = service.state_dir / "ledger.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "outbox": "text"}))
        assert "damaged in part" in found(diagnose(service), "ledger").found

    def test_a_ledger_inside_a_json_file(self, tmp_path):
        storage = JsonFileStorage(tmp_path)
        (service,) = beating(storage, now(), "web-1", state_dir=tmp_path / "state")
        service.check()
        file = tmp_path / "heartbeats.json"
        file.write_text(json.dumps({**json.loads(file.read_text()), "ledger": "text"}))
        assert "damaged in part" in found(diagnose(service), "storage_write").found
        storage.close()

    def test_a_history_that_is_a_folder(self, share, tmp_path):
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        service.check()
        history = service.state_dir / "heartbeat-events.jsonl"
        history.mkdir()
        assert found(diagnose(service), "ledger").outcome is FindingOutcome.FAILED

    def test_a_lock_of_the_ledger_that_is_a_folder(self, share, tmp_path):
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        service.state_dir.mkdir(parents=True)
        (service.state_dir / ".lock").mkdir()
        assert found(diagnose(service), "ledger").outcome is FindingOutcome.FAILED

    def test_a_service_record_that_is_cut(self, tmp_path):
        storage = JsonFileStorage(tmp_path)
        (service,) = beating(storage, now(), "web-1", state_dir=tmp_path / "state")
        (tmp_path / "heartbeat-service.json").write_text("{cut")
        assert "cannot be read" in found(diagnose(service), "thresholds").found
        storage.close()

    def test_an_own_record_that_cannot_be_replaced(self, share, tmp_path):
        service, _ = beating(share, SystemClock(), "web-1", "web-2", state_dir=tmp_path / "state")
        record = tmp_path / "share" / "heartbeats" / "web-1.json"
        record.unlink()
        record.mkdir()
        diagnosis = diagnose(service)
        assert "Is a directory" in diagnosis["storage_write"].found

    @pytest.mark.skipif(not hasattr(os, "geteuid"), reason="needs POSIX")
    def test_an_own_record_of_somebody_else_in_a_sticky_folder(self, tmp_path, monkeypatch):
        (tmp_path / "web-1.json").write_text("{}")
        tmp_path.chmod(0o1777)
        owner = tmp_path.stat().st_uid
        monkeypatch.setattr(_probing.os, "geteuid", lambda: owner + 4711)
        with pytest.raises(PermissionError, match="sticky"):
            _probing.probe_directory(str(tmp_path), record="web-1.json")
        _probing.probe_directory(str(tmp_path), record="web-2.json")

    def test_a_state_directory_that_is_needed_for_the_lock_alone(self, tmp_path):
        storage = JsonFileStorage(tmp_path)
        (tmp_path / "state").write_text("a file")
        (service,) = beating(storage, now(), "web-1", state_dir=tmp_path / "state")
        assert "no service can start" in found(diagnose(service), "state_dir").found
        storage.close()

    def test_a_state_directory_that_is_a_link_to_nowhere(self, share, tmp_path):
        (tmp_path / "state").symlink_to(tmp_path / "nowhere")
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        assert "no service can start" in found(diagnose(service), "state_dir").found

    def test_a_disk_that_is_full_says_so(self):
        storage = FaultyStorage(MemoryStorage())
        (service,) = beating(storage, FakeClock(), "web-1")
        full = StorageUnavailableError("writing failed: no space left on device")
        full.__cause__ = OSError(28, "No space left on device")
        storage.fail("probe", times=9, error=full)
        diagnosis = diagnose(service)
        assert "make room" in found(diagnosis, "storage_write", "free_space").remedy
        assert diagnosis["free_space"].outcome is FindingOutcome.FAILED

    def test_a_file_system_that_tells_no_size(self, share, tmp_path, monkeypatch):
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        monkeypatch.setattr(_probing.shutil, "disk_usage", lambda _: type("Room", (), {"total": 0, "free": 0}))
        silent(diagnose(service))


class TestServices:
    def test_a_state_directory_that_is_yet_to_be_made_may_be_relative(self, share, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        (service,) = beating(share, now(), "web-1", state_dir="new/deep")
        assert diagnose(service)["state_dir"].outcome is FindingOutcome.OK

    def test_an_empty_share_where_machines_were_is_not_a_new_one(self, share, tmp_path):
        """It is not mounted, most likely; to beat there would make it look used."""
        clock = now()
        (service, other) = beating(share, clock, "web-1", "web-2", state_dir=tmp_path / "state")
        service.check(force=True)
        clock.advance(30)
        service.register()
        other.register()
        assert len(service.check(force=True).transitions) == 2
        for record in (tmp_path / "share").rglob("*.json"):
            record.unlink()
        again = HeartbeatService(share, clock=clock, machine_id="web-1", host="web-1", state_dir=tmp_path / "state")
        fleet = diagnose(again)["fleet"]
        assert fleet.outcome is FindingOutcome.FAILED
        assert "once announced here" in fleet.found
        assert "mounted" in fleet.remedy

    def test_an_own_record_is_as_old_as_its_stamp_whatever_was_noted(self, share, tmp_path):
        """An observer believes at most one timeout of a time nobody looked; but this stamp is by this host's clock."""
        clock = now()
        (service,) = beating(share, clock, "web-1", state_dir=tmp_path / "state")
        service.start()
        clock.advance(100)
        service.stop()
        clock.advance(7_200)
        again = HeartbeatService(share, clock=clock, machine_id="web-1", host="web-1", state_dir=tmp_path / "state")
        assert "no service of web-1 runs on this host" in diagnose(again)["service"].found

    def test_a_stop_that_saved_nothing_is_no_running_service(self, tmp_path):
        storage = JsonFileStorage(tmp_path)
        service = HeartbeatService(storage, machine_id="web-1", state_dir=tmp_path / "state")
        service.start()
        service.stop(save_state=False, leave=True)
        silent(diagnose(HeartbeatService(storage, machine_id="web-1", state_dir=tmp_path / "state")))
        storage.close()

    def test_others_that_died_a_day_apart_have_no_common_cause(self):
        with Fleet(2) as fleet:
            fleet.advance(100)
            fleet.crash("m1")
            fleet.advance(20_000)
            fleet.crash("m2")
            fleet.advance(1_000)
            assert silent(diagnose(fleet.observer))["fleet"].found == "1 online, 2 offline"

    def test_on_one_host_nothing_is_in_between(self):
        with Fleet(2, cross_host=False) as fleet:
            fleet.advance(100)
            fleet.crash("m1")
            fleet.crash("m2")
            fleet.advance(1_000)
            silent(diagnose(fleet.observer))

    def test_two_hosts_that_beat_while_it_listens(self):
        clock = FakeClock()
        storage = Fleet(["other"]).storage
        service = HeartbeatService(storage, clock=clock, machine_id="web-1", host="here")
        rival = HeartbeatService(storage, clock=clock, machine_id="web-1", host="there")
        rival.start()
        diagnosis = diagnose(service, listen=timedelta(seconds=60))
        assert diagnosis["identity"].outcome is FindingOutcome.FAILED
        rival.stop()


class TestShown:
    def test_a_terminal_is_told_nothing_by_a_name(self):
        console = pytest.importorskip("rich.console").Console(width=200, record=True, file=open(os.devnull, "w"))  # noqa: SIM115
        try:
            made = Diagnosis(
                machine_id="x",
                diagnosed_at=0,
                findings=(Finding(check="a", outcome=FindingOutcome.OK, found="host \x1b[2J\u202eevil"),),
            )
            console.print(made)
            assert "\\x1b[2J\\u202eevil" in console.export_text(styles=False)
        finally:
            console.file.close()

    def test_a_reason_of_any_length_is_cut(self):
        storage = FaultyStorage(MemoryStorage())
        (service,) = beating(storage, FakeClock(), "web-1")
        for number in range(50):
            storage.corrupt(f"m{number}", "x" * 10_000)
        assert len(found(diagnose(service), "records").found) < 2_000

    def test_no_backup_that_was_tried_is_not_no_backup(self, tmp_path):
        world = World(tmp_path)
        machine = world.begin(files=TWO)
        made = diagnose(machine.service, machine.sync, newest_backups=0)
        assert made["sync_backups"].found == "1 backup, none of which was tried"

    @pytest.mark.parametrize("listen", [-1, float("nan"), float("inf"), 10**400, timedelta(seconds=-5), True])
    def test_lengths_that_cannot_be(self, listen):
        (service,) = beating(MemoryStorage(), FakeClock(), "web-1")
        with pytest.raises(InvalidConfigurationError):
            diagnose(service, listen=listen)
