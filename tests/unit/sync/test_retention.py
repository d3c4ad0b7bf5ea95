"""Pruning: what may go, what stays whatever is asked, and what waits in the trash."""

import os
from datetime import timedelta

import pytest
from sync_world import World, age, contents, everything_kept, fingerprint, no_writes, pair, tracked

from heartbeat_kit.errors import InvalidConfigurationError, SyncError
from heartbeat_kit.sync._complete import Completion

NOW = timedelta(0)


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    """Nothing waits for the platter: what survives a power cut is for the simulated disk to say."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def worn(world, times=5, size=10):
    """A machine with so many backups, an hour apart, oldest first."""
    machine = world.machine("m1")
    machine.sync.adopt_baseline()
    machine.beat()
    names = []
    for number in range(times):
        world.clock.advance(3600)
        machine.write("a.conf", f"{number}" * size)
        names.append(os.path.basename(machine.again().backup_path))
    return machine, names


def left(world):
    return {path.name for path in world.backups()}


def test_by_default_nothing_young_goes(world):
    machine, names = worn(world)
    assert machine.sync.prune().backups == ()
    assert left(world) == set(names)


def test_so_many_of_each_machine_stay(world):
    machine, names = worn(world)
    other = world.machine("m2")
    other.beat()
    names.append(os.path.basename(other.again().backup_path))
    assert set(machine.sync.prune(keep_last=2, keep_within=NOW).backups) == set(names[:3])
    assert left(world) == set(names[3:])


def test_those_within_the_time_stay(world):
    machine, names = worn(world)
    machine.sync.prune(keep_last=0, keep_within=timedelta(hours=2, minutes=30))
    assert left(world) == set(names[2:])


def test_by_size_the_oldest_go_first(world):
    machine, names = worn(world, size=1000)
    sizes = {path.name: path.stat().st_size for path in world.backups()}
    machine.sync.prune(max_bytes=sizes[names[-1]] + sizes[names[-2]])
    assert left(world) == set(names[-2:])


def test_the_newest_that_verifies_stays_whatever_is_asked(world):
    machine, names = worn(world)
    machine.sync.prune(keep_last=0, keep_within=NOW, max_bytes=0)
    assert left(world) == {names[-1]}


def test_a_damaged_newest_does_not_stand_in_for_one_that_can_be_restored(world):
    machine, names = worn(world)
    newest = world.share / "backups" / names[-1]
    newest.write_bytes(newest.read_bytes().replace(b'"data":{', b'"data":{ ', 1))
    machine.sync.prune(keep_last=0, keep_within=NOW, max_bytes=0)
    assert names[-2] in left(world)
    assert machine.sync.verify(names[-2]) == 1


def test_what_a_journal_names_stays(world, monkeypatch):
    """Pruned by another machine of the same share, while a run of this one waits to be finished."""
    machine, names = worn(world, times=3)
    machine.write("a.conf", "interrupted\n")

    def killed(completion, journal, fence):
        raise OSError("cut off")

    with monkeypatch.context() as patch:
        patch.setattr(Completion, "complete", killed)
        with pytest.raises(SyncError):
            machine.again()
        (named,) = left(world) - set(names)
    other = world.machine("m2")
    other.sync.prune(keep_last=0, keep_within=NOW, max_bytes=0)
    assert named in left(world)
    machine.sync.recover()
    machine.sync.rollback(named)


def test_backups_of_an_open_decisions_path_and_its_contents_stay_until_it_is_closed(world):
    machine, names = worn(world)
    machine.write("a.conf", "machine\n")
    world.edit("a.conf", "baseline\n", machine)
    (decision,) = machine.again().decisions
    assert machine.sync.prune(keep_last=0, keep_within=NOW, max_bytes=0).backups == ()
    machine.sync.reject(decision.id)
    pruned = machine.sync.prune(keep_last=0, keep_within=NOW, max_bytes=0)
    assert set(pruned.backups) == set(names[:-1])
    assert pruned.contents == 0  # they are young: another machine's record of them may be on its way
    age(world.share / "objects")
    assert machine.sync.prune(keep_last=0, keep_within=NOW).contents > 0
    assert not list((world.share / "objects").iterdir())


def test_contents_kept_beside_go_with_the_last_backup_that_names_them(world, monkeypatch):
    monkeypatch.setattr("heartbeat_kit.sync._execute.INLINE_LIMIT", 4)
    machine, names = worn(world, size=100)
    beside = world.share / "backups" / "objects"
    before = set(beside.iterdir())
    assert before
    age(beside)
    machine.sync.prune(keep_last=1, keep_within=NOW)
    assert left(world) == {names[-1]}
    assert machine.sync.verify(names[-1]) == 1
    assert set(beside.iterdir()) < before


def test_pruning_touches_no_tracked_file_and_no_foreign_one(world):
    machine, _ = worn(world)
    foreign = world.share / "backups" / "notes.json"
    foreign.write_text("a person's notes\n")
    before = tracked(world, machine)
    machine.sync.prune(keep_last=0, keep_within=NOW, max_bytes=0)
    assert tracked(world, machine) == before
    assert foreign.exists()


@pytest.mark.parametrize(
    "limits",
    [
        {"keep_within": timedelta(seconds=-1)},
        {"keep_within": 3},
        {"keep_within": "a day"},
        {"keep_last": -1},
        {"keep_last": "2"},
        {"keep_last": True},
        {"keep_last": None},
        {"max_bytes": -1},
        {"max_bytes": 1.5},
    ],
    ids=str,
)
def test_a_limit_that_is_none_is_refused(world, limits):
    machine, names = worn(world, times=2)
    with pytest.raises(InvalidConfigurationError):
        machine.sync.prune(**{"keep_last": 0, "keep_within": NOW, **limits})
    assert left(world) == set(names)


def test_a_dry_run_removes_nothing_and_says_what_a_run_then_removes(world):
    machine, names = worn(world)
    for folder in ("backups", "objects"):
        (world.share / folder).mkdir(exist_ok=True)
        (world.share / folder / ".hbk-0123.tmp").write_text("left by a kill")
        age(world.share / folder)
    before = fingerprint(world.root)
    with no_writes():
        would = machine.sync.prune(keep_last=2, keep_within=NOW, dry_run=True)
    assert fingerprint(world.root) == before
    assert would.dry_run
    assert repr(would) == "<Pruned would remove 3 backups, 0 contents, 0 receipts, 2 temporaries; 2 backups kept>"
    done = machine.sync.prune(keep_last=2, keep_within=NOW)
    assert (done.backups, done.temporaries, done.kept) == (would.backups, would.temporaries, would.kept)
    assert left(world) == set(done.kept) == set(names[-2:])


def test_why_a_backup_stays(world):
    machine, names = worn(world)
    (world.share / "backups" / "notes.json").write_text("a person's notes")
    machine.write("a.conf", "machine\n")
    world.edit("a.conf", "baseline\n", machine)
    machine.again()
    (world.share / "backups" / names[0]).write_text("damaged")
    reasons = dict(machine.sync.prune(keep_last=0, keep_within=timedelta(hours=9)).kept)
    assert reasons[names[-1]] == "the newest of m1 that restores something"
    assert reasons[names[1]] == "an open decision is about a.conf"
    assert reasons["notes.json"] == reasons[names[0]] == "it cannot be read, so it is left alone"
    machine.sync.reject(machine.sync.decisions()[0].id)
    reasons = dict(machine.sync.prune(keep_last=3, keep_within=NOW).kept)
    assert reasons[names[-2]] == "one of the last 3 of m1"
    assert names[1] not in reasons


def test_what_a_kill_left_of_a_publication_is_swept(world):
    machine, _ = worn(world, times=1)
    machine.sync.publish()
    for folder in ("", "objects"):
        place = world.share / "published" / "m1" / folder
        (place / ".hbk-0123.tmp").write_text("left by a kill")
        os.utime(place / ".hbk-0123.tmp", (0, 0))
    assert machine.sync.prune().temporaries == 2
    assert not list((world.share / "published").rglob(".hbk-*"))


def test_what_was_replaced_waits_in_the_trash_and_goes_with_a_later_run(world):
    """An editor that still has the old file open loses nothing for ten minutes, nor what it writes into it then."""
    machine = world.begin(files={"a.conf": "one\n", "e": "one\n"})
    world.clock.jump_wall(os.stat(world.root).st_ctime - world.clock.now().wall_ms / 1000 + 10)
    world.edit("a.conf", "two\n", machine)
    world.edit("e", "two\n", machine)
    machine.again()
    trash = machine.folder / ".hbk-trash"
    waiting = {path.read_text() for path in trash.iterdir()}
    assert waiting == {"one\n"}
    machine.again()
    assert len(list(trash.iterdir())) == 2
    edited = min(trash.iterdir())
    edited.write_text("saved into the old file\n")
    world.clock.jump_wall(3600)
    report = machine.again()
    (kept,) = trash.iterdir()
    assert f"edited while it was replaced, and kept: {kept}" in report.message
    assert kept.name.startswith("edited-")
    assert kept.read_text() == "saved into the old file\n"
    assert ".hbk-trash" not in {path.split("/")[0] for path in contents(world.files)}


def test_a_merge_keeps_its_ancestors_and_forgets_all_else_locally(world):
    machine = world.begin(files={"a.json": '{"k": 1}', "b.conf": "b\n"}, policy={"*.json": "merge"})
    machine.write("b.conf", "c\n")
    machine.again()
    kept = {path.read_text() for path in (machine.local / "objects").iterdir()}
    assert kept == {'{"k": 1}'}


def test_old_receipts_do_not_pile_up_for_ever(world):
    """Of a transition long past, which the machine took in, nothing needs to stay but the last."""
    first, second = pair(world, {"a.conf": "0\n"})
    for number in range(1, 5):
        first.write("a.conf", f"{number}\n")
        first.sync.publish()
        world.goes(first, second)
        second.sync.sync_on_offline("m1")
        world.returns(first, second)
        first.sync.sync_on_online("m1")
    assert len(list(world.share.glob("transitions/*"))) >= 8
    world.clock.advance(40 * 86400)
    first.beat()
    first.again()
    before = everything_kept(world.files)
    assert second.sync.prune().receipts == 3  # those of m1's returns; what it took in is for itself to say
    assert first.sync.prune().receipts == 3
    assert len(list(world.share.glob("transitions/*/*.json"))) == 2
    assert not first.sync.plan().actions
    assert first.sync.sync_on_online("m1").already_done
    assert everything_kept(world.files) == before


def test_receipts_a_machine_has_not_taken_in_stay_however_old(world):
    first, second = pair(world, {"a.conf": "0\n"})
    first.write("a.conf", "1\n")
    first.sync.publish()
    world.goes(first, second)
    second.sync.sync_on_offline("m1")
    world.clock.advance(400 * 86400)
    second.beat()
    first.write("a.conf", "2\n")
    assert second.sync.prune(keep_last=0, keep_within=NOW).receipts == 0
    world.returns(first, second)
    assert first.sync.sync_on_online("m1").changes.decisions_created == 0
    assert world.baseline()["a.conf"] == b"2\n"


def test_temporaries_that_a_kill_left_are_removed_when_they_are_a_day_old(world):
    machine = world.begin(files={"a.conf": "a\n"})
    places = [machine.local, world.share / "baseline", world.share / "decisions", world.share / "backups"]
    for place in places:
        place.mkdir(exist_ok=True)
        (place / ".hbk-0123.tmp").write_text("half")
        (place / "other.tmp").write_text("not ours")
        now_s = world.clock.now().wall_ms / 1000
        os.utime(place / ".hbk-0123.tmp", (now_s, now_s))
    assert machine.sync.prune().temporaries == 0
    world.clock.jump_wall(90_000)
    assert machine.sync.prune().temporaries == len(places)
    assert all((place / "other.tmp").exists() for place in places)
