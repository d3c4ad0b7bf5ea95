"""Faults planted in what runs on this host: the service, its ledger, the sync. As `test_planted_faults`."""

import os
import shutil
import signal
import subprocess
import sys

import pytest
from doctor_world import TWO, beating, found, now, silent
from sync_world import World

from heartbeat_kit import (
    HeartbeatService,
    JsonFileStorage,
    MemoryStorage,
    SystemClock,
)
from heartbeat_kit.doctor import FindingOutcome, diagnose
from heartbeat_kit.errors import SyncError
from heartbeat_kit.sync._complete import Completion
from heartbeat_kit.testing import FakeClock, FaultyStorage


class TestService:
    SERVICE = """
import sys, time
from heartbeat_kit import HeartbeatService, JsonFileStorage
service = HeartbeatService(JsonFileStorage(sys.argv[1]), machine_id="web-1", host="web-1", state_dir=sys.argv[2])
service.start()
print("beats", flush=True)
time.sleep(600)
"""

    @pytest.fixture
    def process(self, tmp_path):
        (tmp_path / "beats").mkdir()
        started = subprocess.Popen(
            [sys.executable, "-c", self.SERVICE, tmp_path / "beats", tmp_path / "state"],
            stdout=subprocess.PIPE,
            text=True,
        )
        assert started.stdout.readline() == "beats\n"
        yield started
        started.kill()
        started.wait()
        started.stdout.close()

    def guest(self, tmp_path, *, later=0.0):
        """Somebody else on this host, so many seconds later."""
        clock = now()
        clock.advance(later)
        storage = JsonFileStorage(tmp_path / "beats")
        return HeartbeatService(storage, clock=clock, machine_id="web-1", host="web-1", state_dir=tmp_path / "state")

    def test_a_service_of_another_process_is_seen(self, process, tmp_path):
        assert "runs in another process" in silent(diagnose(self.guest(tmp_path)))["service"].found

    def test_a_service_that_was_killed(self, process, tmp_path):
        process.kill()
        process.wait()
        service = self.guest(tmp_path, later=300)
        assert "was killed, crashed" in found(diagnose(service), "service", "storage_clock").found

    def test_a_service_that_hangs(self, process, tmp_path):
        os.kill(process.pid, signal.SIGSTOP)
        service = self.guest(tmp_path, later=300)
        assert "holds the lock and does not beat" in found(diagnose(service), "service", "storage_clock").found

    def test_a_service_whose_beat_is_not_stored(self):
        storage = FaultyStorage(MemoryStorage())
        clock = FakeClock()
        with HeartbeatService(storage, clock=clock, machine_id="web-1") as service:
            service.start()
            clock.advance(10)
            storage.fail("put", times=99)
            clock.advance(60)
            diagnosis = diagnose(service)
        assert "heartbeat cannot be written" in diagnosis.blind
        assert diagnosis["storage_read"].outcome is FindingOutcome.FAILED

    def test_a_machine_that_beat_and_does_not_any_more(self, share, tmp_path):
        clock = now()
        (service,) = beating(share, clock, "web-1", state_dir=tmp_path / "state")
        service.check()
        clock.advance(600)
        service.check()
        assert "no service of web-1 runs" in found(diagnose(service), "service", "storage_clock").found

    def test_a_state_directory_that_cannot_be(self, share, tmp_path):
        (tmp_path / "state").write_text("a file")
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        assert "no service can start" in found(diagnose(service), "state_dir", "storage_read").found

    def test_a_ledger_that_is_damaged(self, share, tmp_path):
        (service,) = beating(share, SystemClock(), "web-1", state_dir=tmp_path / "state")
        service.check()
        (service.state_dir / "ledger.json").write_text("{")
        assert "is damaged" in found(diagnose(service), "ledger").found


class TestSync:
    @pytest.fixture
    def world(self, tmp_path):
        return World(tmp_path)

    def test_an_interrupted_run(self, world, monkeypatch):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "three\n")

        def killed(*_):
            raise OSError("cut off")

        with monkeypatch.context() as patch:
            patch.setattr(Completion, "complete", killed)
            with pytest.raises(SyncError):
                machine.again()
        assert "was interrupted" in found(diagnose(machine.service, machine.sync), "sync_journal").found

    def test_a_damaged_journal(self, world):
        machine = world.begin(files=TWO)
        (machine.local / "journal.json").write_text("{")
        diagnosis = diagnose(machine.service, machine.sync)
        assert diagnosis["sync_journal"].outcome is FindingOutcome.FAILED
        assert "discard_damaged" in diagnosis["sync_journal"].remedy

    def test_a_baseline_that_is_away(self, world):
        machine = world.begin(files=TWO)
        shutil.rmtree(world.share / "baseline")
        assert "BASELINE_UNAVAILABLE" in found(diagnose(machine.service, machine.sync), "sync_plan").found

    def test_a_mass_deletion_that_would_be_refused(self, world):
        machine = world.begin(files={f"{n}.conf": "x\n" for n in range(20)})
        for path in machine.folder.iterdir():
            path.unlink()
        assert "TOO_MANY_DELETES" in found(diagnose(machine.service, machine.sync), "sync_plan").found

    def test_a_backup_with_one_bit_changed(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "three\n")
        machine.again()
        backup = world.backups()[-1]
        data = bytearray(backup.read_bytes())
        data[len(data) // 2] ^= 1
        backup.write_bytes(data)
        assert "cannot be restored" in found(diagnose(machine.service, machine.sync), "sync_backups").found

    def test_a_damaged_archive_is_one_trouble(self, world):
        machine = world.begin(files=TWO)
        (machine.local / "archive.json").write_text("oops")
        diagnosis = diagnose(machine.service, machine.sync)
        found(diagnosis, "sync_journal")
        assert set(diagnosis.unchecked.values()) == {"what this machine noted of its syncs is damaged"}

    def test_a_file_that_can_never_be_synced(self, world):
        machine = world.begin(files=TWO)
        (machine.folder / "link.conf").symlink_to(machine.folder / "a.conf")
        assert "link.conf" in found(diagnose(machine.service, machine.sync), "sync_plan").found

    def test_a_question_that_waits(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "mine\n")
        world.edit("a.conf", "theirs\n", by=machine)
        machine.again()
        assert "a.conf" in found(diagnose(machine.service, machine.sync), "sync_decisions").found
