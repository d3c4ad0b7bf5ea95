"""Found by trying to break it: each was a loss, a lie or a standstill once."""

import errno
import hashlib
import os
import shutil
import time
from datetime import timedelta

import pytest
from sync_world import World, age, fingerprint, pair

from heartbeat_kit.errors import (
    InvalidConfigurationError,
    RollbackRefusedError,
    StalePlanError,
    SyncError,
    SyncFileError,
    TooManyDeletesError,
)
from heartbeat_kit.sync import SyncOutcome
from heartbeat_kit.sync._complete import Completion
from heartbeat_kit.sync._engine import Engine
from heartbeat_kit.sync._execute import Executor
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._tree import TRASH
from heartbeat_kit.sync._writer import Objects, Writer


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def test_receipts_of_a_time_before_the_archive_was_lost_never_make_a_base(world):
    """Not in the first run after it, and not in the second, in which the old receipts are known."""
    first, second = pair(world, {"q": "old", **{f"k{n}": "" for n in range(4)}})
    first.write("q", "edit")
    first.sync.publish()
    world.goes(first, second)
    second.sync.sync_on_offline("m1")
    world.returns(first, second)
    second.again()
    first.sync.sync_on_online("m1")
    (first.folder / "q").unlink()
    first.again()
    second.again()
    (first.local / "archive.json").unlink()
    first.again()
    second.write("q", "edit")
    second.again()
    assert first.sync.plan().text() == "copy to machine     q  new in the baseline"


def test_what_was_on_its_way_at_the_first_offline_sync_is_preserved_by_the_next(world):
    first, second = pair(world, {"q": "old", "r": "1"})
    first.write("q", "last edit")
    first.sync.publish()
    content = world.share / "published/m1/objects" / hashlib.sha256(b"last edit").hexdigest()
    data = content.read_bytes()
    content.unlink()
    world.goes(first, second)
    assert list(second.sync.sync_on_offline("m1").deferred) == ["q"]
    assert second.sync.sync_on_offline("m1").already_done
    content.write_bytes(data)
    assert second.sync.sync_on_offline("m1", dry_run=True).planned.files_synced == 1
    assert second.sync.sync_on_offline("m1").changes.files_synced == 1
    assert world.baseline()["q"] == b"last edit"
    assert second.sync.sync_on_offline("m1").already_done


def test_what_a_machine_published_before_it_synced_overwrites_nothing_newer(world):
    first, second = pair(world, {"q": "old", "r": "1"}, policy="machine")
    first.write("q", "edit")
    first.sync.publish()
    first.again()
    second.again()
    second.write("q", "edit and more")
    second.again()
    world.goes(first, second)
    assert second.sync.sync_on_offline("m1").outcome is SyncOutcome.NOTHING_PUBLISHED
    assert world.baseline()["q"] == b"edit and more"


def test_a_rollback_rewinds_what_was_agreed_on_for_its_own_files_only(world):
    first, second = pair(world, {"q": "0", "p": "0"})
    second.write("q", "1")
    second.write("p", "1")
    second.again()
    first.write("q", "1")
    backup = first.again().backup_path
    first.write("q", "2")
    first.again()
    second.again()
    second.write("q", "0")
    second.again()
    first.sync.rollback(backup)
    assert "copy to machine     q" in first.sync.plan().text()


def test_backups_have_a_folder_of_their_own(world):
    for name in ("", "objects", "decisions/x"):
        with pytest.raises(InvalidConfigurationError, match="backups"):
            world.machine(f"m-{name.replace('/', '-')}x", backups=world.share / name)


def test_a_backup_elsewhere_is_not_taken_for_its_namesake_here(world, tmp_path):
    first, _ = pair(world, {"q": "0"})
    first.write("q", "1")
    backup = first.again().backup_path
    with pytest.raises(InvalidConfigurationError, match="is not in the folder of the backups"):
        first.sync.verify(tmp_path / "elsewhere" / os.path.basename(backup))
    assert first.sync.verify(backup) == first.sync.verify(os.path.basename(backup)) == 1


def test_a_validator_that_raises_is_a_doubt(world):
    first = world.begin("m1", {"a.conf": "1"}, validators=[("*.conf", lambda data: data.decode("ascii") and None)])
    (first.folder / "a.conf").write_bytes(b"\xff")
    assert "UnicodeDecodeError" in first.again().deferred["a.conf"]


def test_what_only_waits_for_the_machine_is_no_mass_deletion(world):
    first, second = pair(world, {f"f{n}": "x" for n in range(10)})
    for number in range(8):
        world.edit(f"f{number}", None, second)
    first.write("f9", "last edit")
    first.sync.publish()
    world.goes(first, second)
    assert second.sync.sync_on_offline("m1").changes.files_synced == 1
    assert world.baseline() == {"f8": b"x", "f9": b"last edit"}


def test_a_cut_off_content_of_a_publication_is_written_anew(world):
    first, _ = pair(world, {"q": "0"})
    first.write("q", "edit")
    first.sync.publish()
    content = world.share / "published/m1/objects" / hashlib.sha256(b"edit").hexdigest()
    content.write_bytes(b"")
    first.write("r", "more")
    first.sync.publish()
    assert content.read_bytes() == b"edit"


def test_a_file_in_the_trash_that_cannot_be_read_stops_nobody(world, monkeypatch):
    first, _ = pair(world, {"q": "0"})
    first.write("q", "1")
    first.again()
    world.clock.jump_wall(3600)
    real = type(first.sync._places.shared).read

    def read(tree, path, **more):
        if ".hbk-trash" in path:
            raise PermissionError(13, "Permission denied", path)
        return real(tree, path, **more)

    monkeypatch.setattr(type(first.sync._places.shared), "read", read)
    first.write("q", "2")
    assert first.again().changes.files_synced == 1


def test_a_folder_that_cannot_be_written_becomes_a_decision_and_stops_nothing_else(world, monkeypatch):
    first, second = pair(world, {"etc/x": "0", "q": "0"})
    second.write("etc/x", "1")
    second.write("q", "1")
    second.again()
    tree = type(first.sync._places.workspace)
    real = tree.create

    def create(self, path, data, **more):
        if self.root == str(first.folder) and path.startswith("etc/"):
            raise PermissionError(13, "Permission denied", path)
        return real(self, path, data, **more)

    monkeypatch.setattr(tree, "create", create)
    with pytest.raises(Exception, match="Permission denied"):
        first.again()
    first.sync.recover()
    assert first.read("q") == "1"
    assert [(each.path, each.kind) for each in first.sync.decisions()] == [("etc/x", "foreign_edit")]
    assert "cannot be written" in first.sync.decisions()[0].reason


def test_a_coordinator_with_narrower_patterns_takes_back_no_answer_of_a_person(world):
    first, second = pair(world, {"a.json": "{}", "b.conf": "1", "c": "1"})
    first.write("b.conf", "first")
    second.write("b.conf", "second")
    second.again()
    (decision,) = first.again().decisions
    narrow = first.coordinator(include="*.json", state_dir=world.root / "narrow")
    narrow.apply(narrow.plan())
    assert [each.state for each in first.sync.decisions()] == ["pending"]
    second.sync.approve(decision.id, action="sync_to_baseline")
    narrow.apply(narrow.plan())
    assert [each.state for each in first.sync.decisions()] == ["approved"]
    first.again()
    assert world.baseline()["b.conf"] == b"first"


def test_an_observer_with_narrower_patterns_leaves_the_rest_to_others(world):
    first, second = pair(world, {"a.json": "{}", "b.conf": "1", "c.conf": "1", "d.conf": "1"})
    third = world.machine("m3", include="*.json")
    third.beat()
    third.again()
    first.write("a.json", '{"last": 1}')
    first.write("b.conf", "last")
    (first.folder / "c.conf").unlink()
    first.sync.publish()
    world.goes(first, second, third)
    report = third.sync.sync_on_offline("m1")
    assert set(report.deferred) == {"b.conf", "c.conf"}
    assert "wider patterns" in report.deferred["b.conf"]
    assert world.baseline()["a.json"] == b'{"last": 1}'
    assert third.sync.sync_on_offline("m1").outcome == "already_done"
    report = second.sync.sync_on_offline("m1")
    assert report.outcome == "applied"
    assert world.baseline()["b.conf"] == b"last"
    assert not report.deferred
    assert third.sync.sync_on_offline("m1").outcome == "already_done"


def test_a_file_that_never_stands_still_keeps_no_other_from_being_synced(world, monkeypatch):
    first, _ = pair(world, {"hot": "0", "warm": "0", "cold": "0", "e": "e"})
    find = Executor._find
    moves = 0

    def moving(self, survey, path, sha256):
        nonlocal moves
        for name in ("hot", "warm"):
            if path == name:
                moves += 1
                first.write(name, f"{moves}")
        return find(self, survey, path, sha256)

    monkeypatch.setattr(Executor, "_find", moving)
    for name in ("hot", "warm", "cold"):
        first.write(name, f"{name} edited")
    report = first.sync.sync_on_online("m1")
    assert report.outcome == "applied"
    assert set(report.deferred) == {"hot", "warm"}
    assert "kept changing" in report.deferred["hot"]
    assert world.baseline()["cold"] == b"cold edited"
    monkeypatch.undo()
    assert not first.sync.sync_on_online("m1").deferred  # the same return: what was left is done when it can be
    assert world.baseline()["hot"] == first.read("hot").encode()


@pytest.mark.parametrize("inner", ["app/one.conf", "app/deep/one.conf"])
def test_a_file_takes_the_place_of_a_directory_everywhere(world, inner):
    first, second = pair(world, {inner: "1", "e": "e", "f": "f"})
    shutil.rmtree(first.folder / "app")
    first.write("app", "a file now")
    first.again()
    assert world.baseline() == {"app": b"a file now", "e": b"e", "f": b"f"}
    second.again()
    assert second.files() == first.files()
    (first.folder / "app").unlink()
    first.write(inner, "a directory again")
    first.again(), second.again()
    assert second.files() == first.files() == world.baseline()


def test_a_directory_that_holds_anything_is_never_replaced(world):
    first, second = pair(world, {"app/one.conf": "1", "e": "e", "f": "f"})
    (second.folder / "app" / "one.conf~").write_text("of nobody's business")
    shutil.rmtree(first.folder / "app")
    first.write("app", "a file now")
    first.again()
    plan = second.sync.plan()
    assert set(plan.deferred) == {"app", "app/one.conf"}
    second.sync.apply(plan)
    assert (second.folder / "app" / "one.conf~").read_text() == "of nobody's business"
    (second.folder / "app" / "one.conf~").unlink()
    second.again()
    assert second.read("app") == "a file now"


def test_a_file_in_the_place_of_a_directory_is_rolled_back_and_forth(world):
    first, _ = pair(world, {"app/one.conf": "1", "e": "e", "f": "f"})
    before = first.files()
    shutil.rmtree(first.folder / "app")
    first.write("app", "a file now")
    report = first.again()
    after = world.baseline()
    back = first.sync.rollback(report.backup_path)
    assert world.baseline() == before
    first.sync.rollback(back.backup_path)
    assert world.baseline() == after
    (world.files / "app").unlink()
    (world.files / "app").mkdir()
    (world.files / "app" / "of somebody").write_text("else")
    with pytest.raises(RollbackRefusedError):
        first.sync.rollback(report.backup_path)
    assert (world.files / "app" / "of somebody").read_text() == "else"


def swapped(world, inner="D/a"):
    """Two machines that agree; on the first the directory has become a file, on the baseline too."""
    first, second = pair(world, {inner: "1", "e": "e", "f": "f", "g": "g"})
    shutil.rmtree(first.folder / "D")
    first.write("D", "a file now")
    first.write("e", "edited")
    first.again()
    return first, second


@pytest.mark.parametrize("why", ["unlisted", "too deep"])
def test_a_directory_nobody_can_look_into_stays_and_the_rest_is_synced(world, monkeypatch, why):
    _, second = swapped(world)
    (second.folder / "D/cache").mkdir()
    if why == "too deep":
        (second.folder / "D/cache" / "/".join("x" * 500)).mkdir(parents=True)
    else:
        reading = RealTree.list

        def listing(self, directory):
            if directory.endswith("D/cache"):
                raise PermissionError(errno.EACCES, "Permission denied")
            return reading(self, directory)

        monkeypatch.setattr(RealTree, "list", listing)
    report = second.again()
    assert report.deferred["D"] == "the machine: a folder, where a file was or is to be"
    assert report.deferred["D/a"].endswith("; D: the machine: a folder, where a file was or is to be")
    assert second.read("e") == "edited"
    assert second.read("D/a") == "1"


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
@pytest.mark.parametrize("kind", ["fifo", "file"])
def test_what_stands_where_a_directory_is_to_be_keeps_back_only_what_is_in_it(world, kind):
    first, _ = pair(world, {"e": "e", "f": "f"})
    third = world.machine("m3", include=["run/**", "e"])
    os.mkfifo(third.folder / "run") if kind == "fifo" else third.write("run", "a file nobody asked for")
    third.beat()
    third.again()
    first.write("run/x", "x")
    first.write("e", "edited")
    first.again()
    report = third.again()
    assert dict(report.deferred) == {"run/x": "the machine: beneath what is no folder"}
    assert third.read("e") == "edited"
    assert not third.sync.decisions()


def test_a_rollback_beneath_a_file_that_somebody_made_is_refused_whole(world):
    first, second = pair(world, {"k/n": "1", "o": "1", "f": "f"})
    shutil.rmtree(second.folder / "k")
    second.write("o", "2")
    second.again()
    report = first.again()
    (first.folder / "k").rmdir()
    first.write("k", "of somebody")
    before = fingerprint(world.share, first.folder)
    with pytest.raises(RollbackRefusedError, match="beneath a file"):
        first.sync.rollback(report.backup_path)
    after = fingerprint(world.share, first.folder)
    assert {path for path in after if "/epochs/" not in path} == {path for path in before if "/epochs/" not in path}
    assert first.read("o") == "2"


def test_a_full_disk_is_made_room_on_before_anything_is_finished(world, monkeypatch):
    """What waits in the trash is let go of first, or the run that needs the room never ends."""
    machine = world.begin(files={"a": "1", "e": "e", "f": "f"})
    machine.write("e", "edited")
    machine.again()
    trash = machine.world.files.parent.parent / TRASH
    assert list(trash.iterdir())
    machine.write("a", "2")
    create = RealTree.create

    def full(self, path, data, **options):
        if "baseline/files" in path and list(trash.iterdir()):
            raise OSError(errno.ENOSPC, "No space left on device")
        return create(self, path, data, **options)

    monkeypatch.setattr(RealTree, "create", full)
    for call in (machine.again, machine.sync.recover):
        with pytest.raises(SyncFileError):
            call()
    world.clock.jump_wall(timedelta(days=36_500))
    assert machine.sync.recover().files == 1
    assert world.baseline()["a"] == b"2"


def test_a_content_that_is_put_again_is_young_again(tmp_path):
    """Or another machine that prunes before the record arrives takes it for one nobody names."""
    data = b"content"
    sha256 = hashlib.sha256(data).hexdigest()
    (tmp_path / "objects").mkdir()
    stored = tmp_path / "objects" / sha256
    now_ns = time.time_ns()
    store = Objects(Writer(RealTree(tmp_path)), "objects", stale_ns=now_ns - 3600 * 10**9)
    store.put_all([(sha256, data)])
    inode = stored.stat().st_ino
    store.put_all([(sha256, data)])
    assert stored.stat().st_ino == inode  # young enough: not written again
    os.utime(stored, (1, 1))
    store.put_all([(sha256, data)])
    assert stored.stat().st_mtime_ns >= now_ns - 10**9
    assert stored.read_bytes() == data


def test_what_a_decision_pins_is_pinned_again_by_the_run_that_finishes(world, monkeypatch):
    first, second = pair(world, {"x": "0", "e": "e", "f": "f"})
    first.write("x", "first")
    second.write("x", "second")
    second.again()

    def killed(*_):
        raise OSError(errno.EIO, "killed")

    with monkeypatch.context() as patch:
        patch.setattr(Completion, "complete", killed)
        with pytest.raises(SyncError):
            first.again()
    shutil.rmtree(world.share / "objects")
    first.sync.recover()
    (decision,) = first.sync.decisions()
    assert first.sync.versions(decision.id)[1:] == (b"first", b"second")


def editing_after_the_commit(monkeypatch, path, text):
    commit = Completion.commit

    def and_edit(self, journal):
        commit(self, journal)
        monkeypatch.undo()
        path.write_text(text)

    monkeypatch.setattr(Completion, "commit", and_edit)


def test_a_decision_whose_step_was_not_done_is_not_said_to_be_applied(world, monkeypatch):
    first, second = pair(world, {"x": "0", "e": "e", "f": "f"})
    first.write("x", "first")
    second.write("x", "second")
    second.again()
    (decision,) = first.again().decisions
    editing_after_the_commit(monkeypatch, first.folder / "x", "edited once more")
    assert first.sync.approve(decision.id, action="keep_target").state == "approved"
    assert first.read("x") == "edited once more"


def test_a_conflict_whose_step_was_not_done_is_not_counted_as_resolved(world, monkeypatch):
    first, second = pair(world, {"x": "0", "e": "e", "f": "f"}, policy="baseline")
    first.write("x", "first")
    second.write("x", "second")
    second.again()
    editing_after_the_commit(monkeypatch, first.folder / "x", "edited once more")
    changes = first.again().changes
    assert (changes.files_synced, changes.conflicts_resolved, changes.decisions_created) == (0, 0, 1)


def test_a_size_limit_counts_the_contents_beside_the_backups(world, monkeypatch):
    monkeypatch.setattr("heartbeat_kit.sync._execute.INLINE_LIMIT", 4)
    machine = world.begin(files={"a": "0", "e": "e", "f": "f"})
    for number in range(4):
        world.clock.advance(3600)
        machine.write("a", f"{number}" * 100_000)
        machine.again()
    size = sum(path.stat().st_size for path in (world.share / "backups").rglob("*") if path.is_file())
    assert size > 300_000
    age(world.share / "backups" / "objects")
    machine.sync.prune(max_bytes=250_000)
    left = sum(path.stat().st_size for path in (world.share / "backups").rglob("*") if path.is_file())
    assert 100_000 < left <= 250_000


def test_a_side_that_was_emptied_meanwhile_is_not_taken_for_one_file_that_moves(world, monkeypatch):
    """What did not stand still is left out of the last try, but never hides that all is gone."""
    first, _ = pair(world, {name: name for name in "abcde"})
    first.write("a", "edited")
    attempt, tries = Engine._attempt, []

    def moving(self, task, session, held_back):
        tries.append(held_back)
        if len(tries) == 3:
            for each in first.folder.iterdir():
                each.unlink() if each.is_file() else None
            return attempt(self, task, session, held_back)
        raise StalePlanError("a changed", paths=["a"])

    monkeypatch.setattr(Engine, "_attempt", moving)
    with pytest.raises(TooManyDeletesError):
        first.sync.sync_on_online("m1")
    assert len(world.baseline()) == 5


def test_what_only_waits_for_its_machine_is_no_collision(world):
    first, second = pair(world, {"app": "1", "e": "e", "f": "f"})
    second.sync.publish()
    (first.folder / "app").unlink()
    first.write("app/x", "x")
    first.again()
    report = second.again(sync_from_baseline=False)
    assert set(report.pending) == {"app", "app/x"}
    world.goes(second, first)
    report = first.sync.sync_on_offline("m2")
    assert set(report.pending) == {"app", "app/x"}
    assert not first.sync.decisions()


def test_a_published_file_in_the_place_of_a_directory_asks_what_may_be_asked(world):
    first, second = pair(world, {"D/a": "1", "e": "e", "f": "f"})
    second.sync.publish()
    shutil.rmtree(second.folder / "D")
    second.write("D", "its last edit")
    second.sync.publish()
    world.goes(second, first)
    report = first.sync.sync_on_offline("m2")
    (decision,) = first.sync.decisions()
    assert (decision.path, decision.kind) == ("D/a", "delete")
    assert "must go first" in report.deferred["D"]
    assert first.sync.approve(decision.id).state == "applied"
    assert world.baseline()["D"] == b"its last edit"


def test_a_collision_has_one_open_question_however_often_it_is_edited(world):
    first, second = pair(world, {"e": "e", "f": "f"})
    second.write("d", "a file")
    second.again()
    for number in range(3):
        first.write("d/a", f"{number}")
        first.again()
    assert [each.kind for each in first.sync.decisions()] == ["collision"]


def test_what_is_not_synced_beside_a_new_file_does_not_keep_the_old_one(world):
    """A file became a directory in which something else lies: that it is gone is plain all the same."""
    first, second = pair(world, {"app": "1", "e": "e", "f": "f"}, exclude=["*.log"])
    (first.folder / "app").unlink()
    first.write("app/x", "x")
    first.write("app/run.log", "of nobody's business")
    assert first.again().changes.files_synced == 2
    assert "app" not in world.baseline()
    second.again()
    assert second.read("app/x") == "x"
