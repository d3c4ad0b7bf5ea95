"""`SyncCoordinator`: who may do what when, what it answers, and what it does again."""

import json
import os
import pickle
import shutil
import subprocess
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import pytest
from sync_world import (
    Killed,
    World,
    change,
    everything_kept,
    failing_at,
    fingerprint,
    has_valid_digest,
    pair,
    put,
    tracked,
    watching,
)

from heartbeat_kit import HeartbeatService, SharedFolderStorage, SyncCoordinator, to_wire
from heartbeat_kit.errors import (
    BaselineUnavailableError,
    DamagedBackupError,
    InvalidConfigurationError,
    MachineNotOfflineError,
    MachineNotOnlineError,
    NotExecutorError,
    OfflineSyncError,
    OnlineSyncError,
    RecoveryPendingError,
    RollbackRefusedError,
    StalePlanError,
    SyncError,
    SyncFencedError,
    SyncFileError,
    TooManyDeletesError,
)
from heartbeat_kit.sync import Act, Guards, SyncMode, SyncOutcome
from heartbeat_kit.sync._complete import Completion
from heartbeat_kit.sync._engine import Engine

TWO = {"a.conf": "one\n", "d/b.json": "{}"}


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    """Nothing waits for the platter: what survives a power cut is for the simulated disk to say."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def counts(changes):
    return changes.files_synced, changes.conflicts_resolved, changes.decisions_created


@pytest.fixture
def cut_off(monkeypatch):
    """Stops runs just after their commit point, as long as it is on."""

    def killed(completion, journal, fence):
        raise OSError("cut off")

    patch = pytest.MonkeyPatch()

    class Switch:
        def on(self):
            patch.setattr(Completion, "complete", killed)

        def off(self):
            patch.undo()

    yield Switch()
    patch.undo()


class TestWhoMay:
    def test_an_online_sync_of_another_machine_is_not_ours(self, world):
        _first, second = pair(world, TWO)
        before = fingerprint(world.root)
        report = second.sync.sync_on_online("m1")
        assert report.outcome is SyncOutcome.NOT_EXECUTOR
        assert report.machine_id == "m1"
        assert counts(report.changes) == (0, 0, 0)
        assert not report.backup_created
        assert "NOT_EXECUTOR" in report.message
        assert not to_wire(report)["success"]
        assert fingerprint(world.root) == before

    def test_nobody_preserves_itself(self, world):
        first, _ = pair(world, TWO)
        before = fingerprint(world.root)
        assert first.sync.sync_on_offline("m1").outcome is SyncOutcome.NOT_EXECUTOR
        assert fingerprint(world.root) == before

    @pytest.mark.parametrize(("name", "mode"), [("m2", "online"), ("m1", "offline")])
    def test_a_plan_of_what_others_must_do_is_refused(self, world, name, mode):
        first, _ = pair(world, TWO)
        with pytest.raises(NotExecutorError) as caught:
            first.sync.plan(name, mode=mode)
        assert caught.value.code == "NOT_EXECUTOR"

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_machine_that_is_there_is_not_synced_as_if_it_were_gone(self, world, dry_run):
        first, second = pair(world, TWO)
        second.beat()
        for name in ("m1", "unheard-of"):
            before = tracked(world, first, second)
            with pytest.raises(MachineNotOfflineError) as caught:
                second.sync.sync_on_offline(name, dry_run=dry_run)
            assert caught.value.code == "MACHINE_NOT_OFFLINE"
            assert caught.value.machine_id == name
            assert tracked(world, first, second) == before

    @pytest.mark.parametrize("dry_run", [False, True])
    def test_a_machine_that_does_not_beat_is_not_back(self, world, dry_run):
        machine = world.machine("m1", TWO)
        machine.sync.adopt_baseline()
        with pytest.raises(MachineNotOnlineError) as caught:
            machine.sync.sync_on_online("m1", dry_run=dry_run)
        assert caught.value.code == "MACHINE_NOT_ONLINE"
        assert world.baseline() == {}

    def test_ids_are_taken_in_any_spelling(self, world):
        machine = world.begin(files=TWO)
        assert machine.sync.sync_on_online(" M1 ").outcome is SyncOutcome.APPLIED
        with pytest.raises(InvalidConfigurationError):
            machine.sync.plan(mode="sideways")

    def test_a_storage_is_enough(self, world):
        """Instead of a service: one is made that is not started."""
        sync = SyncCoordinator(
            world.storage, workspace=world.machine("m1", TWO).folder, shared=world.share, machine_id="m1",
            state_dir=world.root / "state",
        )  # fmt: skip
        assert sync.machine_id == "m1"
        assert not sync.service.is_running
        assert sync.adopt_baseline() == 1
        assert counts(sync.apply(sync.plan()).changes) == (2, 0, 0)


class TestOnce:
    def test_a_return_is_answered_once_and_then_with_the_same_counts(self, world):
        machine = world.machine("m1", TWO)
        machine.sync.adopt_baseline()
        machine.beat()
        first = machine.sync.sync_on_online("m1")
        machine.write("a.conf", "two\n")
        again = machine.coordinator().sync_on_online("m1")
        assert first.outcome is SyncOutcome.APPLIED
        assert again.outcome is SyncOutcome.ALREADY_DONE
        assert again.already_done
        assert again.changes == first.changes
        assert again.backup_path == first.backup_path
        assert again.backup_created
        assert (again.plan_id, again.transition_id) == (first.plan_id, first.transition_id)
        assert (world.files / "a.conf").read_text() == "one\n"
        assert machine.sync.sync_on_online("m1", dry_run=True).already_done

    def test_the_next_silence_is_another_transition(self, world):
        first, second = pair(world, TWO)
        for number in range(2):
            first.write("a.conf", f"{number}\n")
            first.sync.publish()
            world.goes(first, second)
            report = second.sync.sync_on_offline("m1")
            assert report.outcome is SyncOutcome.APPLIED
            assert second.sync.sync_on_offline("m1").already_done
            world.returns(first, second)
            back = first.sync.sync_on_online("m1")
            assert back.outcome is SyncOutcome.APPLIED
            assert back.changes.offline_duration.total_seconds() > 0
            assert first.sync.sync_on_online("m1").already_done

    def test_a_backup_that_is_gone_since_is_not_said_to_be_there(self, world):
        machine = world.machine("m1", TWO)
        machine.sync.adopt_baseline()
        machine.beat()
        os.unlink(machine.sync.sync_on_online("m1").backup_path)
        assert not machine.sync.sync_on_online("m1").backup_created

    def test_a_run_that_was_cut_off_is_finished_and_not_done_twice(self, world, cut_off):
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        first.sync.publish()
        world.goes(first, second)
        cut_off.on()
        with pytest.raises(OfflineSyncError):
            second.sync.sync_on_offline("m1")
        cut_off.off()
        report = second.coordinator().sync_on_offline("m1")
        assert report.already_done
        assert counts(report.changes) == (1, 0, 0)
        assert (world.files / "a.conf").read_text() == "two\n"


class TestFailures:
    def test_what_fails_is_named_after_the_sync_with_its_cause(self, world, cut_off):
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        first.sync.publish()
        world.goes(first, second)
        cut_off.on()
        with pytest.raises(OfflineSyncError) as caught:
            second.sync.sync_on_offline("m1")
        assert caught.value.code == "SYNC_OFFLINE_FAILED"
        assert caught.value.machine_id == "m1"
        chain = []
        error = caught.value
        while error is not None:
            chain.append(type(error).__name__)
            error = error.__cause__
        assert chain == ["OfflineSyncError", "SyncFileError", "OSError"]
        cut_off.off()
        world.returns(first, second)
        first.write("new", "new\n")
        cut_off.on()
        with pytest.raises(OnlineSyncError) as caught:
            first.sync.sync_on_online("m1")
        assert caught.value.code == "SYNC_ONLINE_FAILED"
        assert caught.value.__cause__ is not None

    def test_a_refusal_goes_through_by_its_own_code(self, world):
        machine = world.begin(files=TWO)
        (world.share / "baseline" / ".heartbeat-kit-root").unlink()
        with pytest.raises(BaselineUnavailableError):
            machine.sync.sync_on_online("m1")

    def test_a_look_at_an_interrupted_run_changes_nothing(self, world, cut_off):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        cut_off.on()
        with pytest.raises(SyncError):
            machine.again()
        cut_off.off()
        before = fingerprint(world.root)
        for call in (machine.sync.plan, lambda: machine.sync.sync_on_online("m1", dry_run=True)):
            with pytest.raises(RecoveryPendingError) as caught:
                call()
            assert caught.value.code == "RECOVERY_PENDING"
        assert fingerprint(world.root) == before
        done = machine.sync.recover()
        assert done.files == 1
        assert done.plan_id is not None
        assert (world.files / "a.conf").read_text() == "two\n"
        assert machine.sync.recover().plan_id is None

    def test_a_look_during_a_run_of_another_thread_waits_for_it(self, world, monkeypatch):
        """Its journal is there, but nothing was interrupted."""
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        committed, go_on = threading.Event(), threading.Event()
        complete = Completion.complete

        def slowly(self, *arguments, **options):
            committed.set()
            assert go_on.wait(30)
            return complete(self, *arguments, **options)

        monkeypatch.setattr(Completion, "complete", slowly)
        with ThreadPoolExecutor(2) as pool:
            run = pool.submit(machine.again)
            assert committed.wait(30)
            look = pool.submit(machine.coordinator().plan)
            assert not look.done()
            go_on.set()
            assert run.result().changes.files_synced == 1
            assert look.result().actions == ()

    def test_a_lock_that_cannot_be_opened_is_no_other_run(self, world):
        machine = world.begin(files=TWO)
        lock = machine.local / "sync.lock"
        lock.unlink(missing_ok=True)
        lock.mkdir()
        machine.write("a.conf", "two\n")
        with pytest.raises(SyncFileError, match=r"sync\.lock"):
            machine.again()

    def test_every_entry_point_finishes_what_was_interrupted(self, world, cut_off):
        """Whatever is called next but a look, the interrupted run is done before it."""
        machine = world.begin(files=TWO)
        calls = {
            "online": lambda: machine.sync.sync_on_online("m1"),
            "publish": machine.sync.publish,
            "adopt": machine.sync.adopt_baseline,
            "prune": machine.sync.prune,
            "recover": machine.sync.recover,
            "rollback": lambda: machine.sync.rollback("nothing-there.json"),
            "approve": lambda: machine.sync.approve("nothing-there"),
            "reject": lambda: machine.sync.reject("nothing-there"),
        }
        for number, (name, call) in enumerate(calls.items()):
            machine.write("a.conf", f"{number} {name}\n")
            cut_off.on()
            with pytest.raises(SyncError):
                machine.again()
            cut_off.off()
            try:
                call()
            except SyncError as error:
                assert error.code in ("BACKUP_DAMAGED", "UNKNOWN_DECISION")  # noqa: PT017 - asked for
            assert (world.files / "a.conf").read_text() == f"{number} {name}\n", name
            assert not (machine.local / "journal.json").exists()


class TestOptions:
    def test_without_taking_from_the_baseline_the_machine_is_not_written(self, world):
        machine = world.begin(files={**TWO, "gone": "x\n", "both": "one\n"})
        machine.write("mine", "mine\n")
        machine.write("both", "machine\n")
        for path, text in (("a.conf", "two\n"), ("new", "new\n"), ("gone", None), ("both", None)):
            world.edit(path, text, machine)
        before = fingerprint(machine.folder)
        report = machine.sync.sync_on_online("m1", sync_from_baseline=False)
        assert report.pending == ("a.conf", "gone", "new")
        assert counts(report.changes) == (2, 1, 0)
        assert fingerprint(machine.folder) == before
        assert world.baseline()["mine"] == b"mine\n"
        assert world.baseline()["both"] == b"machine\n"
        later = machine.again()
        assert counts(later.changes) == (3, 0, 0)
        assert machine.files() == world.baseline()

    def test_without_a_backup_nothing_is_said_of_one_and_a_cut_is_survived(self, world, cut_off):
        machine = world.begin(files=TWO)
        known = world.backups()
        machine.write("a.conf", "two\n")
        world.edit("new", "new\n", machine)
        report = machine.sync.sync_on_online("m1", create_backup=False)
        assert (report.backup_created, report.backup_path) == (False, None)
        assert "backupPath" not in to_wire(report)
        assert counts(report.changes) == (2, 0, 0)
        assert world.backups() == known
        machine.write("a.conf", "three\n")
        cut_off.on()
        with pytest.raises(SyncError):
            machine.sync.apply(machine.sync.plan(), create_backup=False)
        cut_off.off()
        assert b"two\n" in everything_kept(machine.state)  # the content before is in the local store till it is done
        machine.sync.recover()
        assert (world.files / "a.conf").read_text() == "three\n"
        assert world.backups() == known

    def test_backups_can_be_kept_apart(self, world):
        machine = world.machine("m1", TWO)
        machine.sync = machine.coordinator(backups=world.root / "kept")
        machine.sync.adopt_baseline()
        machine.beat()
        report = machine.sync.sync_on_online("m1")
        assert report.backup_path.startswith(str(world.root / "kept"))
        assert has_valid_digest(report.backup_path)
        assert not (world.share / "backups").exists()
        assert machine.sync.rollback(report.backup_path).outcome is SyncOutcome.ROLLED_BACK
        assert world.baseline() == {}

    def test_what_is_newly_excluded_leaves_the_base_and_stays_where_it_is(self, world):
        machine = world.begin(files={**TWO, "cache/x": "x\n"})
        narrow = machine.coordinator(exclude="cache/")
        (machine.folder / "cache/x").unlink()
        plan = narrow.plan()
        assert [each.path for each in plan.actions] == []
        narrow.apply(plan)
        assert world.baseline()["cache/x"] == b"x\n"
        wide = machine.coordinator()
        report = wide.apply(wide.plan())  # met anew: nobody knows that it was deleted
        assert counts(report.changes) == (1, 0, 0)
        assert machine.read("cache/x") == "x\n"
        assert world.baseline()["cache/x"] == b"x\n"

    def test_what_is_included_later_was_never_deleted(self, world):
        machine = world.machine("m1", {**TWO, "notes.txt": "mine\n"}, include="*.json")
        machine.sync.adopt_baseline()
        machine.beat()
        machine.again()
        assert set(world.baseline()) == {"d/b.json"}
        put(world.files / "more.txt", "theirs\n")
        wide = machine.coordinator(include="**")
        wide.adopt_baseline()
        assert counts(wide.apply(wide.plan()).changes) == (3, 0, 0)
        assert machine.files() == world.baseline()

    def test_guards_are_refused_and_overridden(self, world):
        machine = world.begin(files={f"{number}": "x\n" for number in range(12)})
        for number in range(8):
            (machine.folder / f"{number}").unlink()
        plan = machine.sync.plan()
        assert [each.code for each in plan.refusals] == ["TOO_MANY_DELETES"]
        with pytest.raises(TooManyDeletesError):
            machine.sync.apply(plan)
        strict = machine.coordinator(guards=Guards(deletes=0, share=0.1))
        assert strict.plan().refusals
        meant = machine.sync.plan(guards=Guards.off())
        assert counts(machine.sync.apply(meant).changes) == (8, 0, 0)


class TestPlans:
    @pytest.mark.parametrize("what", ["machine", "baseline", "policy", "exclude"])
    def test_a_stale_plan_is_refused(self, world, what):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        world.edit("d/b.json", '{"k": 1}', machine)
        if what == "policy":
            world.edit("a.conf", "three\n", machine)
        plan = machine.sync.plan()
        sync = machine.sync
        if what == "machine":
            machine.write("a.conf", "three\n")
        elif what == "baseline":
            world.edit("new", "new\n", machine)
        else:
            sync = machine.coordinator(**{what: {"policy": "machine", "exclude": "*.json"}[what]})
        before = tracked(world, machine)
        with pytest.raises(StalePlanError) as caught:
            sync.apply(plan)
        assert caught.value.code == "STALE_PLAN"
        assert tracked(world, machine) == before

    @pytest.mark.parametrize("what", ["file", "manifest", "publication"])
    def test_what_moves_while_the_backup_is_written_stops_the_run(self, world, what):
        """The last look is after the backup and before the commit point."""
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        first.sync.publish()
        world.goes(first, second)
        plan = second.sync.plan("m1", mode="offline")
        moved = []

        def move(event, args):
            if event == "heartbeat_kit.sync.move" and args[2].startswith("offline-sync-m1") and not moved:
                moved.append(True)
                if what == "file":
                    put(world.files / "a.conf", "edited meanwhile\n")
                else:
                    name = {"manifest": "baseline/manifest.json", "publication": "published/m1/manifest.json"}[what]
                    change(world.share / name, **{"manifest": {"generation": 9}, "publication": {"number": 9}}[what])
                moved.append(tracked(world, first, second))

        with watching(move), pytest.raises(StalePlanError):
            second.sync.apply(plan)
        assert tracked(world, first, second) == moved[1]

    def test_a_run_that_finds_the_world_moved_makes_a_new_plan(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        moved = []

        def move(event, args):
            if event == "heartbeat_kit.sync.move" and args[2].startswith("online-sync-m1") and not moved:
                moved.append(True)
                machine.write("a.conf", "three\n")

        with watching(move):
            report = machine.sync.sync_on_online("m1")
        assert moved
        assert counts(report.changes) == (1, 0, 0)
        assert (world.files / "a.conf").read_text() == "three\n"

    def test_a_plan_is_applied_once(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        plan = machine.sync.plan()
        assert counts(machine.sync.apply(plan).changes) == (1, 0, 0)
        with pytest.raises(StalePlanError):
            machine.sync.apply(plan)

    def test_a_plan_without_taking_from_the_baseline_is_applied_as_it_is(self, world):
        machine = world.begin(files=TWO)
        world.edit("a.conf", "two\n", machine)
        machine.write("d/b.json", '{"k": 1}')
        plan = machine.sync.plan(sync_from_baseline=False)
        report = machine.sync.apply(plan)
        assert report.pending == ("a.conf",)
        assert machine.read("a.conf") == "one\n"
        assert counts(report.changes) == (1, 0, 0)

    def test_a_plan_of_another_machines_files_is_refused(self, world):
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        with pytest.raises(NotExecutorError):
            second.sync.apply(first.sync.plan())

    def test_a_plan_pickles_and_another_process_applies_it(self, world, tmp_path):
        storage = SharedFolderStorage(tmp_path / "beats", propagation_delay=timedelta(0), create=True)
        world.storage = storage
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        plan = machine.sync.plan()
        again = pickle.loads(pickle.dumps(plan))
        assert again == plan
        assert (again.id, again.text(), again.planned) == (plan.id, plan.text(), plan.planned)
        (tmp_path / "plan").write_bytes(pickle.dumps(plan))
        script = f"""
import pickle, pathlib
from datetime import timedelta
from heartbeat_kit import SharedFolderStorage, SyncCoordinator
storage = SharedFolderStorage({str(tmp_path / "beats")!r}, propagation_delay=timedelta(0))
sync = SyncCoordinator(
    storage,
    machine_id="m1",
    workspace={str(machine.folder)!r},
    shared={str(world.share)!r},
    state_dir={str(machine.state)!r},
)
report = sync.apply(pickle.loads(pathlib.Path({str(tmp_path / "plan")!r}).read_bytes()))
print(report.outcome, report.changes.files_synced, report.plan_id)
"""
        done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=False, timeout=60)
        assert done.returncode == 0, done.stderr
        assert done.stdout.split() == ["applied", "1", plan.id]
        assert (world.files / "a.conf").read_text() == "two\n"

    def test_a_plan_says_what_it_would_do(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        world.edit("new", "new\n", machine)
        plan = machine.sync.plan()
        assert plan.mode is SyncMode.ONLINE
        assert {each.path: each.act for each in plan.actions} == {"a.conf": Act.TO_BASELINE, "new": Act.TO_MACHINE}
        assert counts(plan.planned) == (2, 0, 0)
        assert "a.conf" in plan.text()
        assert machine.sync.plan().id == plan.id


class TestRollback:
    def test_an_online_sync_is_undone_on_both_sides_and_in_the_archive(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n", mode=0o640)
        machine.write("new", "new\n")
        (machine.folder / "d/b.json").unlink()
        world.edit("theirs", "theirs\n", machine)
        planned = machine.sync.plan()
        before = tracked(world, machine)
        report = machine.sync.apply(planned)
        assert machine.sync.verify(report.backup_path) > 0
        back = machine.sync.rollback(report.backup_path)
        after = tracked(world, machine)
        assert counts(back.changes) == (4, 0, 0)
        different = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
        assert {os.path.basename(path) for path in different} <= {"manifest.json"}
        assert machine.sync.plan().id == planned.id  # as if nothing had been
        assert back.backup_path != report.backup_path
        assert os.path.basename(back.backup_path).startswith("restore-sync-m1-")

    def test_an_offline_sync_is_undone_by_any_observer(self, world):
        first, second = pair(world, TWO)
        third = world.machine("m3")
        first.write("a.conf", "two\n")
        first.sync.publish()
        world.goes(first, second, third)
        report = second.sync.sync_on_offline("m1")
        back = third.sync.rollback(report.backup_path)
        assert world.baseline()["a.conf"] == b"one\n"
        assert back.mode is SyncMode.OFFLINE
        third.sync.rollback(back.backup_path)
        assert world.baseline()["a.conf"] == b"two\n"

    def test_after_the_rollback_of_its_preservation_a_machine_keeps_its_edit(self, world):
        """What was taken back is not agreed on any more: the machine's edit is an edit, not something out of date."""
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        first.sync.publish()
        world.goes(first, second)
        second.sync.rollback(second.sync.sync_on_offline("m1").backup_path)
        world.returns(first, second)
        first.sync.sync_on_online("m1")
        assert first.read("a.conf") == "two\n"
        assert (world.files / "a.conf").read_text() == "two\n"

    def test_a_file_edited_since_refuses_the_rollback_unless_forced(self, world):
        machine = world.begin(files=TWO)
        world.edit("a.conf", "two\n", machine)
        machine.write("d/b.json", '{"k": 1}')
        report = machine.again()
        machine.write("a.conf", "edited since\n")
        before = tracked(world, machine)
        with pytest.raises(RollbackRefusedError) as caught:
            machine.sync.rollback(report.backup_path)
        assert caught.value.code == "ROLLBACK_REFUSED"
        assert caught.value.paths == ("a.conf",)
        assert tracked(world, machine) == before
        machine.sync.rollback(report.backup_path, force=True)
        assert machine.read("a.conf") == "one\n"
        assert b"edited since\n" in everything_kept(world.share)

    def test_a_file_edited_where_the_run_did_not_write_is_left_as_it_is(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        report = machine.again()
        machine.write("a.conf", "edited since\n")
        machine.sync.rollback(report.backup_path)
        assert machine.read("a.conf") == "edited since\n"
        assert (world.files / "a.conf").read_text() == "one\n"

    def test_a_file_edited_in_the_baseline_since_needs_force_and_is_in_the_new_backup(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        report = machine.again()
        world.edit("a.conf", "edited since\n", machine)
        before = tracked(world, machine)
        with pytest.raises(RollbackRefusedError):
            machine.sync.rollback(report.backup_path)
        assert tracked(world, machine) == before
        back = machine.sync.rollback(report.backup_path, force=True)
        assert (world.files / "a.conf").read_text() == "one\n"
        assert b"edited since\n" in everything_kept(world.share)
        machine.sync.rollback(back.backup_path)
        assert (world.files / "a.conf").read_text() == "edited since\n"

    def test_files_of_another_machine_are_rolled_back_there(self, world):
        first, second = pair(world, TWO)
        world.edit("a.conf", "two\n", first)
        report = first.again()
        with pytest.raises(NotExecutorError):
            second.sync.rollback(report.backup_path)
        assert first.read("a.conf") == "two\n"

    @pytest.mark.parametrize("name", ["nothing.json", "archive.json"])
    def test_a_backup_that_is_not_there_is_refused(self, world, name):
        machine = world.begin(files=TWO)
        for call in (machine.sync.verify, machine.sync.rollback):
            with pytest.raises(DamagedBackupError):
                call(name)

    def test_a_rollback_that_is_cut_off_is_finished(self, world, cut_off):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "two\n")
        report = machine.again()
        cut_off.on()
        with pytest.raises(SyncError):
            machine.sync.rollback(report.backup_path)
        cut_off.off()
        assert machine.sync.recover().files == 1
        assert (world.files / "a.conf").read_text() == "one\n"


class TestAway:
    def test_published_edits_are_preserved_and_a_newer_one_is_no_conflict(self, world):
        """The machine returns with a still newer edit of the file that was preserved for it."""
        first, second = pair(world, TWO)
        first.write("a.conf", "published\n")
        first.write("new", "new\n")
        first.sync.publish()
        first.write("a.conf", "newer, unpublished\n")
        world.goes(first, second)
        before = fingerprint(first.folder)
        report = second.sync.sync_on_offline("m1")
        assert counts(report.changes) == (2, 0, 0)
        assert world.baseline()["a.conf"] == b"published\n"
        assert world.baseline()["new"] == b"new\n"
        assert fingerprint(first.folder) == before
        world.returns(first, second)
        back = first.sync.sync_on_online("m1")
        assert counts(back.changes) == (1, 0, 0)
        assert world.baseline()["a.conf"] == b"newer, unpublished\n"
        assert first.sync.decisions() == ()
        assert back.changes.offline_duration.total_seconds() >= 1

    def test_nothing_is_deleted_and_nothing_of_the_observer_is_taken(self, world):
        first, second = pair(world, {**TWO, "gone": "x\n"})
        (first.folder / "gone").unlink()
        first.sync.publish()
        second.write("a.conf", "of the observer\n")
        second.write("secret", "of the observer\n")
        world.goes(first, second)
        report = second.sync.sync_on_offline("m1")
        assert counts(report.changes) == (0, 0, 1)
        assert world.baseline() == {"a.conf": b"one\n", "d/b.json": b"{}", "gone": b"x\n"}
        assert second.files()["a.conf"] == b"of the observer\n"

    def test_what_others_changed_waits_for_its_return(self, world):
        first, second = pair(world, TWO)
        second.write("a.conf", "by m2\n")
        second.write("more", "by m2\n")
        world.goes(first, second)
        second.again()
        report = second.sync.sync_on_offline("m1")
        assert report.pending == ("a.conf", "more")
        assert counts(report.changes) == (0, 0, 0)
        world.returns(first, second)
        assert counts(first.sync.sync_on_online("m1").changes) == (2, 0, 0)
        assert first.files() == world.baseline() == second.files()

    def test_a_lost_archive_at_the_return_deletes_nothing(self, world):
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        first.sync.publish()
        world.goes(first, second)
        second.sync.sync_on_offline("m1")
        (first.folder / "d/b.json").unlink()
        (first.folder / "a.conf").unlink()  # a receipt alone makes no base either
        world.edit("more", "more\n", second)
        (first.local / "archive.json").unlink()
        world.returns(first, second)
        report = first.sync.sync_on_online("m1")
        assert first.files() == world.baseline()
        assert set(first.files()) == {"a.conf", "d/b.json", "more"}
        assert report.changes.decisions_created == 0

    def test_a_base_whose_content_is_nowhere_any_more_asks_a_person(self, world):
        """A merge needs the common ancestor; without it the conflict is a decision, not the end of all syncs."""
        first, second = pair(world, TWO, policy={"*.conf": "merge"})
        first.write("a.conf", "published\n")
        first.sync.publish()
        world.goes(first, second)
        second.sync.sync_on_offline("m1")
        shutil.rmtree(world.share / "published" / "m1")
        first.write("a.conf", "newer\n")
        world.edit("a.conf", "by hand\n", second)
        world.returns(first, second)
        report = first.sync.sync_on_online("m1")
        assert counts(report.changes) == (0, 0, 1)
        assert first.again().changes.decisions_created == 0

    def test_three_machines_come_to_agree(self, world):
        first, second = pair(world, TWO)
        third = world.machine("m3", {"third": "3\n"})
        third.beat()
        third.again()
        first.write("a.conf", "one of m1\n")
        first.sync.publish()
        world.goes(first, second, third)
        assert second.sync.sync_on_offline("m1").outcome is SyncOutcome.APPLIED
        assert third.sync.sync_on_offline("m1").already_done
        third.again()
        second.again()
        world.returns(first, second, third)
        first.sync.sync_on_online("m1")
        every = {"a.conf": b"one of m1\n", "d/b.json": b"{}", "third": b"3\n"}
        assert first.files() == second.files() == third.files() == world.baseline() == every

    def test_a_machine_that_never_published_has_nothing_to_preserve(self, world):
        first = world.begin(files=TWO)
        second = world.machine("m2")
        world.goes(first, second)
        before = tracked(world, first, second)
        report = second.sync.sync_on_offline("m1")
        assert report.outcome is SyncOutcome.NOTHING_PUBLISHED
        assert "never published" in report.message
        assert to_wire(report)["success"]
        assert tracked(world, first, second) == before
        assert second.sync.sync_on_offline("m1", dry_run=True).outcome is SyncOutcome.NOTHING_PUBLISHED

    def test_content_that_has_not_arrived_is_unknown_and_the_rest_is_preserved(self, world):
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        first.write("new", "new\n")
        known = set((world.share / "published/m1/objects").iterdir())
        first.sync.publish()
        fresh = [path for path in (world.share / "published/m1/objects").iterdir() if path not in known]
        next(path for path in fresh if path.read_text() == "two\n").write_text("tw")  # half propagated
        world.goes(first, second)
        report = second.sync.sync_on_offline("m1")
        assert list(report.deferred) == ["a.conf"]
        assert counts(report.changes) == (1, 0, 0)
        assert world.baseline()["a.conf"] == b"one\n"

    def test_publishing_again_what_is_published_writes_nothing(self, world):
        machine = world.begin(files=TWO)
        first = machine.sync.publish()
        before = tracked_publication(world)
        assert machine.sync.publish() == first
        assert tracked_publication(world) == before
        machine.write("a.conf", "two\n")
        assert machine.sync.publish().number == first.number + 1
        assert len(list((world.share / "published/m1/objects").iterdir())) == 2

    def test_hand_edits_of_the_baseline_count_from_their_announcement_on(self, world):
        machine = world.begin(files=TWO)
        put(world.files / "a.conf", "by hand\n")
        put(world.files / "more.conf", "by hand\n")
        (world.files / "d/b.json").unlink()
        report = machine.again()
        assert set(report.deferred) == {"a.conf", "more.conf", "d/b.json"}
        assert counts(report.changes) == (0, 0, 0)
        generation = machine.sync.adopt_baseline()
        assert machine.sync.adopt_baseline() == generation
        assert counts(machine.again().changes) == (3, 0, 0)
        assert machine.files() == {"a.conf": b"by hand\n", "more.conf": b"by hand\n"}

    @pytest.mark.parametrize(("coherent", "error"), [(True, SyncFencedError), (False, StalePlanError)])
    def test_an_announcement_of_somebody_else_is_not_overwritten(self, tmp_path, monkeypatch, coherent, error):
        """Where the medium has a fence it says so; elsewhere the manifest is compared and swapped."""
        delay = timedelta(0) if coherent else timedelta(seconds=30)
        (tmp_path / "beats").mkdir()
        world = World(tmp_path, storage=SharedFolderStorage(tmp_path / "beats", propagation_delay=delay))
        machine = world.begin(files=TWO)
        other = world.machine("m2")
        read = Engine.baseline_files

        def slowly(self):
            found = read(self)
            monkeypatch.undo()
            put(world.files / "e", "by hand\n")
            other.sync.adopt_baseline()
            return found

        monkeypatch.setattr(Engine, "baseline_files", slowly)
        with pytest.raises(error):
            machine.sync.adopt_baseline()
        manifest = json.loads((world.share / "baseline" / "manifest.json").read_text())
        assert "e" in manifest["entries"]
        assert machine.sync.adopt_baseline() == manifest["generation"]


def tracked_publication(world):
    return fingerprint(world.share / "published")


class TestWire:
    """The shapes of the reference, field by field."""

    def test_an_offline_sync(self, world):
        first, second = pair(world, TWO)
        first.write("a.conf", "two\n")
        first.sync.publish()
        world.goes(first, second)
        dry = to_wire(second.sync.sync_on_offline("m1", dry_run=True))
        assert dry["changes"] == {"filesSynced": 0, "conflictsResolved": 0, "decisionsCreated": 0}
        assert dry["planned"] == {"filesSynced": 1, "conflictsResolved": 0, "decisionsCreated": 0}
        assert dry["backupCreated"] is False
        assert "backupPath" not in dry
        report = second.sync.sync_on_offline("m1")
        wire = to_wire(report)
        assert wire["success"] is True
        assert wire["machineId"] == "m1"
        assert wire["syncedAt"] == "2026-01-01T00:05:00.000Z"
        assert wire["backupCreated"] is True
        assert wire["backupPath"] == report.backup_path
        assert wire["backupPath"].endswith("/offline-sync-m1-1767225840000.json")
        assert wire["changes"] == {"filesSynced": 1, "conflictsResolved": 0, "decisionsCreated": 0}
        assert "planned" not in wire
        assert isinstance(wire["message"], str)
        assert to_wire(report, locale="fr")["message"] == "Synchronisation offline effectuée pour m1"

    def test_an_online_sync(self, world):
        first, second = pair(world, TWO)
        world.goes(first, second)
        world.returns(first, second)
        first.write("a.conf", "two\n")
        report = first.sync.sync_on_online("m1")
        wire = to_wire(report)
        expected = {"filesSynced": 1, "conflictsResolved": 0, "decisionsCreated": 0}
        assert {name: wire["changes"][name] for name in expected} == expected
        assert type(wire["changes"].get("offlineDuration", 0)) is int
        assert wire["message"] == "Online sync of m1 done"
        assert to_wire(report, locale="fr")["message"] == "Synchronisation online effectuée pour m1"
        again = to_wire(first.sync.sync_on_online("m1"))
        assert again["alreadyDone"] is True
        assert again["changes"] == wire["changes"]

    @pytest.mark.parametrize("locale", ["en", "fr"])
    def test_every_outcome_is_plain_json_in_both_languages(self, world, locale):
        first, second = pair(world, TWO)
        world.edit("a.conf", "theirs\n", first)
        first.write("a.conf", "mine\n")
        reports = [
            second.sync.sync_on_online("m1"),
            first.sync.sync_on_online("m1", dry_run=True),
            first.sync.sync_on_online("m1"),
            first.sync.sync_on_online("m1"),
        ]
        for value in [*reports, first.sync.plan(), *first.sync.decisions()]:
            wire = to_wire(value, locale=locale)
            assert json.loads(json.dumps(wire, ensure_ascii=False)) == wire
            assert None not in [wire.get(name, "") for name in ("backupPath", "planned", "message")]

    def test_reports_and_decisions_show_themselves_and_pickle(self, world):
        machine = world.begin(files=TWO)
        machine.write("a.conf", "mine\n")
        world.edit("a.conf", "theirs\n", machine)
        report = machine.sync.sync_on_online("m1")
        assert "1 decision>" in repr(report)
        assert "<table" in report._repr_html_()
        (decision,) = report.decisions
        assert "a.conf of m1: pending" in decision._repr_html_()
        assert machine.sync.versions(decision.id[:8]) == (None, b"mine\n", b"theirs\n")
        again = pickle.loads(pickle.dumps(report))
        assert again == report
        assert again.synced_at == report.synced_at


def test_a_synced_folder_needs_no_fence(world, tmp_path):
    """On storage that delays no epochs are taken; the outcome is the same."""
    world.storage = SharedFolderStorage(tmp_path / "beats", propagation_delay=timedelta(seconds=60), create=True)
    machine = world.begin(files=TWO)
    assert machine.sync.sync_on_online("m1").outcome is SyncOutcome.APPLIED
    assert not (world.share / "epochs").exists()
    assert world.baseline() == machine.files()


def test_a_killed_run_of_our_own_is_not_waited_for(world, monkeypatch):
    """Its epoch is still open, but we hold its lock: nobody else can be in it."""
    machine = world.begin(files=TWO)
    machine.write("a.conf", "two\n")
    with failing_at(40, Killed()), pytest.raises(Killed):
        machine.again()
    before = world.clock.monotonic
    assert machine.coordinator().sync_on_online("m1").outcome is SyncOutcome.APPLIED
    assert world.clock.monotonic - before < 1


def test_the_service_of_another_name_is_refused(world):
    service = HeartbeatService(world.storage, clock=world.clock, machine_id="m1", state_dir=world.root / "s")
    with pytest.raises(InvalidConfigurationError):
        SyncCoordinator(service, workspace=world.root, shared=world.share, machine_id="m2")
