"""The 22 laws of backup-and-sync, each as a test of the coordinator on real folders.

Crash states (L10, L11), races (L16) and the planner alone (L2, L5, L7, L8) are proven deeper by suites of their own;
here stands one plain example of each, through the public names.
"""

import contextlib
import errno
import hashlib
import os
import random
import tempfile
from datetime import timedelta
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sync_world import (
    Killed,
    World,
    age,
    contents,
    everything_kept,
    failing_at,
    fingerprint,
    has_valid_digest,
    no_writes,
    pair,
    tracked,
    watching,
    write_log,
)

from heartbeat_kit.errors import HeartbeatKitError, SyncError
from heartbeat_kit.sync import Act, Choice, DecisionAction, Guards, SyncOutcome

NOTHING = (0, 0, 0)
TWO = {"a.conf": "one\n", "d/b.json": "{}"}


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    """Nothing waits for the platter: what survives a power cut is for the simulated disk to say."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def counts(changes):
    return changes.files_synced, changes.conflicts_resolved, changes.decisions_created


TEXTS = ("one\n", "two\n", "three\n", "", "base\nline\nend\n", "base\nline\nEND\n", "BASE\nline\nend\n")
DOCUMENTS = ("{}", '{"k": 1}', '{"k": 2}', '{"broken', '{"k": 1, "l": 2}')
POOL = {"a.conf": TEXTS, "d/b.json": DOCUMENTS, "e": TEXTS, "d/c.conf": TEXTS}


@st.composite
def histories(draw):
    """What both sides agreed on, and what each became since: by path three contents, or nothing."""
    paths = {}
    for path, pool in POOL.items():
        one = st.none() | st.sampled_from(pool)
        base, first, second = draw(one), draw(one), draw(one)
        shape = draw(st.integers(0, 3))  # as often as not one side is as it was
        paths[path] = {0: (base, base, second), 1: (base, first, base)}.get(shape, (base, first, second))
    policy = draw(st.sampled_from(Choice))
    return paths, policy, draw(st.booleans()), draw(st.booleans())


def built(root, history):
    """The world of a history: (world, machine, whether the machine may be written)."""
    paths, policy, writable, adopted = history
    world = World(root)
    machine = world.begin("m1", {p: a for p, (a, _, _) in paths.items() if a is not None}, policy=policy)
    world.agreed = world.baseline()  # less than was given, where something was not believed
    for path, (_, mine, theirs) in paths.items():
        if mine is None:
            (machine.folder / path).unlink(missing_ok=True)
        else:
            machine.write(path, mine)
        if theirs is None:
            (world.files / path).unlink(missing_ok=True)
        else:
            world.files.joinpath(path).parent.mkdir(parents=True, exist_ok=True)
            world.files.joinpath(path).write_text(theirs)
    if adopted:
        machine.sync.adopt_baseline()
    return world, machine, writable


many_worlds = settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))


@contextlib.contextmanager
def a_world_of(history):
    with tempfile.TemporaryDirectory() as root:
        yield built(root, history)


def run(machine, writable):
    """The sync, or the code it was refused by."""
    try:
        return machine.sync.sync_on_online("m1", sync_from_baseline=writable)
    except SyncError as error:
        return error.code


def test_law_01_agreement_after_a_clean_run(world):
    """After a run without a conflict both sides hold the same."""
    first, second = pair(world, TWO)
    first.write("a.conf", "two\n")
    first.write("new", "new\n")
    (first.folder / "d/b.json").unlink()
    world.edit("theirs", "theirs\n", second)
    first.again()
    assert first.files() == world.baseline() == {"a.conf": b"two\n", "new": b"new\n", "theirs": b"theirs\n"}
    second.again()
    assert second.files() == world.baseline()


@many_worlds
@given(histories())
def test_law_01_whatever_is_neither_asked_nor_deferred_agrees(history):
    with a_world_of(history) as (world, machine, _):
        report = run(machine, True)
        if isinstance(report, str):
            return
        left = set(report.deferred) | set(report.pending) | {each.path for each in machine.sync.decisions()}
        mine, theirs = machine.files(), world.baseline()
        assert {p for p in {*mine, *theirs} if mine.get(p) != theirs.get(p)} <= left


def test_law_02_agreeing_or_deferred_paths_are_not_written(world):
    machine = world.begin(files={**TWO, "e": "some\n"})
    machine.write("a.conf", "two\n")
    machine.write("e", "")  # empty where it was not: not believed
    before = fingerprint(machine.folder / "d", machine.folder / "e", world.files / "d", world.files / "e")
    report = machine.again()
    assert report.changes.files_synced == 1
    assert list(report.deferred) == ["e"]
    after = fingerprint(machine.folder / "d", machine.folder / "e", world.files / "d", world.files / "e")
    assert after == before


@many_worlds
@given(histories())
def test_law_03_nothing_is_invented(history):
    """Every content after a run was there before it, but for what a merge made of three that were."""
    with a_world_of(history) as (world, machine, writable):
        known = everything_kept(world.root)
        run(machine, writable)
        made = {*machine.files().values(), *world.baseline().values()} - known
        assert not made or machine.options["policy"] is Choice.MERGE
        for data in made:
            assert any(part in data for part in (b"BASE", b"END", b"k", b"l"))


@many_worlds
@given(histories())
def test_law_04_a_run_done_again_changes_nothing(history):
    with a_world_of(history) as (world, machine, writable):
        first = run(machine, writable)
        before = tracked(world, machine)
        second = run(machine, writable)
        assert tracked(world, machine) == before
        if isinstance(first, str):
            assert second == first
            return
        assert second.already_done
        assert second.changes == first.changes
        plan = machine.sync.plan(sync_from_baseline=writable)
        assert counts(plan.planned) == NOTHING
        assert counts(machine.sync.apply(plan).changes) == NOTHING
        assert tracked(world, machine) == before


@pytest.mark.parametrize(("policy", "mirror"), [("machine", "baseline"), ("baseline", "machine")])
def test_law_05_the_sides_are_treated_alike(tmp_path, policy, mirror):
    """The sides swapped, and the policy with them: the results are each other's, swapped."""
    ends = []
    for name, chosen, mine, theirs in (("x", policy, "two\n", "three\n"), ("y", mirror, "three\n", "two\n")):
        (tmp_path / name).mkdir()
        world = World(tmp_path / name)
        machine = world.begin(files=TWO, policy=chosen)
        machine.write("a.conf", mine)
        world.edit("a.conf", theirs, machine)
        report = machine.again()
        ends.append((machine.read("a.conf"), (world.files / "a.conf").read_text(), counts(report.changes)))
    assert ends[0] == ends[1]


def test_law_06_a_lost_archive_deletes_nothing(world):
    machine = world.begin(files=TWO)
    machine.write("mine", "mine\n")
    (machine.folder / "a.conf").unlink()
    world.edit("d/b.json", None, machine)
    (machine.local / "archive.json").unlink()
    report = machine.again()
    every = {"a.conf": b"one\n", "d/b.json": b"{}", "mine": b"mine\n"}
    assert machine.files() == world.baseline() == every
    assert counts(report.changes) == (3, 0, 0)


@pytest.mark.parametrize("what", ["a.conf", "d"])
def test_law_07_what_cannot_be_read_is_not_written(world, what):
    """Unknown is never absent: an unreadable file or folder is not deleted on the other side."""
    machine = world.begin(files=TWO)

    def refuse(event, args):
        if event == "open" and args[0] == what:
            raise PermissionError(errno.EACCES, "Permission denied", what)

    world.edit("e", "new\n", machine)
    (machine.folder / what).rename(machine.folder / "away.tmp")
    (machine.folder / "away.tmp").rename(machine.folder / what)  # whatever was remembered of it
    with watching(refuse):
        report = machine.again()
    assert report.deferred
    assert counts(report.changes) == (1, 0, 0)
    assert world.baseline() == {"a.conf": b"one\n", "d/b.json": b"{}", "e": b"new\n"}


@pytest.mark.parametrize("odd", ["empty", "broken", "link", "fifo", "directory"])
def test_law_07_what_cannot_be_believed_is_not_written(world, odd):
    machine = world.begin(files=TWO)
    path = machine.folder / "d/b.json"
    path.unlink()
    if odd in ("empty", "broken"):
        path.write_text({"empty": "", "broken": '{"a'}[odd])
    elif odd == "link":
        path.symlink_to("/etc/passwd")
    elif odd == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
        (path / "inner").write_text("inner\n")
    world.edit("a.conf", "two\n", machine)
    report = machine.again()
    assert report.deferred
    assert machine.read("a.conf") == "two\n"
    assert (world.files / "d/b.json").read_text() == "{}"


def test_law_08_what_becomes_of_a_path_is_its_own_affair(tmp_path):
    """A union of two worlds ends as the union of their ends."""
    halves = {"a.conf": ("one\n", "two\n", "one\n"), "e": ("one\n", "one\n", None)}
    ends = []
    for number, names in enumerate([("a.conf",), ("e",), ("a.conf", "e")]):
        (tmp_path / str(number)).mkdir()
        history = ({"keep": ("x\n",) * 3, **{name: halves[name] for name in names}}, Choice.DECISION, True, True)
        world, machine, _ = built(tmp_path / str(number), history)
        run(machine, True)
        ends.append((machine.files(), world.baseline()))
    assert ends[2] == tuple({**ends[0][side], **ends[1][side]} for side in (0, 1))


@many_worlds
@given(histories(), st.sampled_from(["", *DecisionAction]))
def test_law_09_no_edit_is_ever_lost(history, answer):
    """Every content of either side before a run is to be found somewhere after it, and after the decisions too."""
    with a_world_of(history) as (world, machine, writable):
        saved = {*machine.files().values(), *world.baseline().values()}
        run(machine, writable)
        for decision in machine.sync.decisions() if answer else ():
            with contextlib.suppress(SyncError):
                machine.sync.approve(decision.id, action=answer)
        places = everything_kept(machine.folder) | everything_kept(world.share)
        assert saved <= places


class Walk:
    """Three machines, whatever people and failures do to them, in an order drawn from a seed."""

    PATHS = ("a.conf", "d/b.json", "e", "d/c")

    def __init__(self, root, seed):
        self.draw = random.Random(seed)
        self.world = World(root)
        policy = self.draw.choice([None, None, "machine", "baseline", "merge", "keep_both"])
        self.machines = [self.world.begin("m1", dict.fromkeys(self.PATHS, '{"k": 0}\n'), policy=policy)]
        for name in ("m2", "m3"):
            machine = self.world.machine(name, policy=policy)
            machine.beat()
            machine.again()
            self.machines.append(machine)
        self.away = []
        self.number = 0

    @property
    def there(self):
        return [each for each in self.machines if each not in self.away]

    def edit(self, machine):
        self.number += 1
        text = self.draw.choice(['{{"k": {0}}}\n', '{{"k": 0, "x{0}": 1}}\n']).format(self.number)
        machine.write(self.draw.choice(self.PATHS), text)

    def delete(self, machine):
        (machine.folder / self.draw.choice(self.PATHS)).unlink(missing_ok=True)

    def edit_baseline(self, machine):
        self.number += 1
        text = self.draw.choice([None, f'{{"k": 0, "h{self.number}": 1}}\n'])
        self.world.edit(self.draw.choice(self.PATHS), text, machine)

    def goes(self, machine):
        if len(self.there) > 1:
            self.away.append(machine)
            self.world.goes(machine, *self.there)

    def returns(self, machine):
        if self.away:
            back = self.away.pop(self.draw.randrange(len(self.away)))
            self.world.returns(back, *self.there)

    def publish(self, machine):
        machine.sync.publish()

    def preserve(self, machine):
        for each in self.away:
            machine.sync.sync_on_offline(each.name)

    def sync(self, machine):
        machine.beat()
        machine.sync.sync_on_online(machine.name)

    def again(self, machine):
        machine.again()

    def decide(self, machine):
        for decision in machine.sync.decisions()[:1]:
            action = self.draw.choice([None, *DecisionAction])
            machine.sync.reject(decision.id) if action is None else machine.sync.approve(decision.id, action=action)

    def roll_back(self, machine):
        if backups := self.world.backups():
            machine.sync.rollback(self.draw.choice(backups), force=self.draw.random() < 0.3)

    def be_cut_off(self, machine):
        with failing_at(self.draw.randrange(1, 90), OSError(errno.EIO, "cut off")):
            machine.again()

    def lose_archive(self, machine):
        if self.draw.random() < 0.3:
            for path in machine.state.glob("sync/*/*/archive.json"):
                path.unlink()


BY_PEOPLE = ("edit", "edit", "edit", "delete", "edit_baseline")
BY_US = ("publish", "goes", "returns", "preserve", "sync", "again", "decide", "roll_back", "be_cut_off", "lose_archive")


@pytest.mark.parametrize("seed", range(12))
def test_law_09_on_a_long_walk_no_edit_is_lost_and_all_settles(tmp_path, seed):
    """After each step but a person's own, what was there before it is somewhere; in the end all agree or ask."""
    walk = Walk(tmp_path, seed)
    for _ in range(40):
        step, machine = walk.draw.choice(BY_PEOPLE + BY_US), walk.draw.choice(walk.there)
        before = {data for each in walk.machines for data in each.files().values()} | {*walk.world.baseline().values()}
        with contextlib.suppress(SyncError):
            getattr(walk, step)(machine)
        if step in BY_US:
            assert before <= everything_kept(tmp_path), step
    while walk.away:
        walk.returns(None)
    for machine in walk.machines * 3:
        machine.beat()
        machine.sync.recover()
        machine.again(guards=Guards.off())
    for machine in walk.machines:
        actions = machine.sync.plan(guards=Guards.off()).actions
        assert {each.act for each in actions} <= {Act.DECISION, Act.SETTLED}
        mine, theirs = machine.files(), walk.world.baseline()
        assert {p for p in {*mine, *theirs} if mine.get(p) != theirs.get(p)} <= {each.path for each in actions}


def interrupted(root, number, error):
    """A run of three steps that meets an error at one of its writes, and the world after a recovery."""
    world = World(root)
    machine = world.begin(files=TWO)
    machine.write("a.conf", "two\n")
    machine.write("new", "new\n")
    world.edit("theirs", "theirs\n", machine)
    sides = (machine.folder, world.files)
    old = [contents(side) for side in sides]
    plan = machine.sync.plan()
    met = None
    with failing_at(number, error) as reached:
        try:
            machine.sync.apply(plan)
        except (HeartbeatKitError, Killed) as caught:
            met = caught
    seen = [contents(side) for side in sides]
    done = reached[0] < number
    return world, machine, sides, old, seen, met, done


EXPECTED = {"a.conf": b"two\n", "d/b.json": b"{}", "new": b"new\n", "theirs": b"theirs\n"}


@pytest.mark.parametrize("kind", ["killed", errno.ENOSPC, errno.EIO, errno.EACCES])
def test_laws_10_11_18_whatever_fails_the_old_or_the_new_is_there(tmp_path, kind):
    """An error, or death, at each write of a run: typed, no torn file at any time, old or new after `recover`."""
    number, ends = 1, set()
    while True:
        (tmp_path / str(number)).mkdir()
        error = Killed() if kind == "killed" else OSError(kind, os.strerror(kind))
        world, machine, sides, old, seen, met, done = interrupted(tmp_path / str(number), number, error)
        whole = {b"one\n", b"two\n", b"{}", b"new\n", b"theirs\n"}
        assert whole.issuperset(data for side in seen for data in side.values())  # L11: never empty, never a part
        if kind != "killed" and met is not None:
            assert isinstance(met, SyncError), met  # L18: typed
            assert met.__cause__ is not None or met.code != "SYNC_FILE_FAILED"
        machine.coordinator().recover()
        after = [contents(side) for side in sides]
        assert after in (old, [EXPECTED, EXPECTED]), (number, met)  # L10
        assert not (machine.local / "journal.json").exists()
        if after != old:
            assert world.backups()  # L12
            assert all(has_valid_digest(path) for path in world.backups())
        ends.add(after == old)
        machine.coordinator().apply(machine.coordinator().plan())
        assert [contents(side) for side in sides] == [EXPECTED, EXPECTED]
        if done:
            break
        number += 1 if number > 60 or number < 4 else 3
    assert ends == {True, False}
    assert number > 40


@many_worlds
@given(histories(), st.booleans())
def test_law_12_a_changed_side_has_a_backup_whose_digest_is_valid(history, backups):
    with a_world_of(history) as (world, machine, writable):
        before = machine.files(), world.baseline()
        known = set(world.backups())
        with contextlib.suppress(SyncError):
            report = machine.sync.sync_on_online("m1", sync_from_baseline=writable, create_backup=backups)
            changed = (machine.files(), world.baseline()) != before
            made = set(world.backups()) - known
            assert report.backup_created is bool(made)
            if changed:
                assert report.backup_created is backups
            for path in made:
                assert str(path) == report.backup_path
                assert has_valid_digest(path)
                machine.sync.verify(path)


@many_worlds
@given(histories())
def test_law_13_a_rollback_restores_exactly_and_can_itself_be_rolled_back(history):
    with a_world_of(history) as (world, machine, writable):
        shots = [tracked_files(world, machine)]
        report = run(machine, writable)
        shots.append(tracked_files(world, machine))
        if isinstance(report, str) or not report.backup_created:
            assert shots[0] == shots[1]
            return
        back = machine.sync.rollback(report.backup_path)
        assert tracked_files(world, machine) == shots[0]
        assert back.outcome is SyncOutcome.ROLLED_BACK
        forth = machine.sync.rollback(back.backup_path)
        assert tracked_files(world, machine) == shots[1]
        machine.sync.rollback(forth.backup_path)
        assert tracked_files(world, machine) == shots[0]


def tracked_files(world, machine):
    """Contents and modes of both sides, and the losing versions that are kept."""
    sides = (machine.folder, world.files, world.share / "baseline" / "conflicts")
    return [
        {name: (data, (side / name).stat().st_mode & 0o777) for name, data in contents(side).items()} for side in sides
    ]


@pytest.mark.parametrize("mode", ["online", "offline"])
def test_law_14_a_dry_run_writes_nothing_at_all(world, mode):
    """No event that writes, and every folder to the last inode as it was: local state and shared folder included."""
    first, second = pair(world, TWO)
    first.write("a.conf", "two\n")
    first.write("new", "new\n")
    first.sync.publish()
    world.edit("d/b.json", '{"k": 1}', second)
    world.goes(first, second)
    if mode == "online":
        world.returns(first, second)
    other = second.coordinator(state_dir=world.root / "never-made")
    actor = first.sync if mode == "online" else other
    call = actor.sync_on_online if mode == "online" else actor.sync_on_offline
    call("m1", dry_run=True)  # whatever is imported late is imported now
    before = fingerprint(world.root)
    with no_writes():
        report = call("m1", dry_run=True)
        plan = actor.plan("m1", mode=mode)
        actor.decisions()
        repr(report), plan.text(), str(report.message)
    assert fingerprint(world.root) == before
    assert report.dry_run
    assert counts(report.changes) == NOTHING
    assert counts(report.planned) == ((3, 0, 0) if mode == "online" else (2, 0, 0))
    assert not report.backup_created


def test_law_14_the_hook_sees_what_a_real_run_writes(world):
    """The test of the test: the same hook stops a run that is not dry, at its first write."""
    machine = world.begin(files=TWO)
    machine.write("a.conf", "two\n")
    before = tracked(world, machine)
    with pytest.raises(AssertionError), no_writes():
        machine.again()
    assert tracked(world, machine) == before


@many_worlds
@given(histories())
def test_law_15_what_was_planned_is_what_is_done(history):
    """A dry run and the run after it, if nothing moves in between; then there is nothing left to do."""
    with a_world_of(history) as (world, machine, writable):
        before = fingerprint(world.root)
        try:
            dry = machine.sync.sync_on_online("m1", dry_run=True, sync_from_baseline=writable)
        except SyncError as error:
            assert fingerprint(world.root) == before
            assert run(machine, writable) == error.code  # noqa: PT017 - either way is a right one
            return
        assert fingerprint(world.root) == before
        done = run(machine, writable)
        assert done.changes == dry.planned
        assert done.plan_id == dry.plan_id
        assert [each.id for each in done.decisions] == [each.id for each in dry.decisions]
        assert (done.pending, dict(done.deferred)) == (dry.pending, dict(dry.deferred))
        again = machine.again(sync_from_baseline=writable)
        assert counts(again.changes) == NOTHING


@many_worlds
@given(histories())
def test_law_15_holds_for_a_machine_that_is_away(history):
    with a_world_of(history) as (world, machine, _):
        machine.sync.publish()
        other = world.machine("m2", policy=machine.options["policy"])
        world.goes(machine, other)
        before = machine.files()
        theirs = world.baseline()
        try:
            dry = other.sync.sync_on_offline("m1", dry_run=True)
        except SyncError as error:
            with pytest.raises(type(error)):
                other.sync.sync_on_offline("m1")
            assert (machine.files(), world.baseline()) == (before, theirs)
            return
        done = other.sync.sync_on_offline("m1")
        assert done.changes == dry.planned
        assert machine.files() == before
        assert set(theirs) <= set(world.baseline())  # nothing is deleted
        again = other.again(machine_id="m1", mode="offline")
        assert counts(again.changes) == NOTHING


def test_law_16_one_applies_and_the_others_find_it_done(world):
    first, second = pair(world, TWO)
    first.write("a.conf", "two\n")
    first.sync.publish()
    others = [second, *(world.machine(f"m{number}") for number in range(3, 6))]
    world.goes(first, *others)
    reports = [each.sync.sync_on_offline("m1") for each in others]
    assert [each.outcome for each in reports] == [SyncOutcome.APPLIED, *[SyncOutcome.ALREADY_DONE] * 3]
    assert {each.changes for each in reports} == {reports[0].changes}
    assert {each.transition_id for each in reports} == {reports[0].transition_id}
    assert len(list((world.share / "transitions" / reports[0].transition_id).iterdir())) == 1


@many_worlds
@given(histories(), st.booleans())
def test_law_17_nothing_is_written_outside_the_allowed_folders(history, own_backups):
    with a_world_of(history) as (world, machine, writable), write_log() as log:
        backups = world.root / "kept" if own_backups else None
        machine.sync = machine.coordinator(backups=backups)
        report = run(machine, writable)
        for decision in machine.sync.decisions():
            with contextlib.suppress(SyncError):
                machine.sync.approve(decision.id, action="keep_target")
        machine.sync.publish()
        machine.sync.prune(keep_last=0, keep_within=timedelta(0))
        if not isinstance(report, str) and report.backup_created:
            with contextlib.suppress(SyncError):
                machine.sync.rollback(report.backup_path)
        allowed = [machine.folder, world.share, machine.state, world.root / "service-m1"]
        allowed += [backups] if backups else []
        outside = [path for path in log if not any(Path(path).is_relative_to(each) for each in allowed)]
        assert log
        assert outside == []
        parts = [Path(path).relative_to(world.share).parts for path in log if Path(path).is_relative_to(world.share)]
        tops = {each[0] for each in parts if each and not each[0].startswith(".hbk-")}
        named = {"baseline", "decisions", "transitions", "published", "objects", "epochs"}
        assert tops <= named | (set() if own_backups else {"backups"})


@many_worlds
@given(histories())
def test_law_19_the_counts_are_those_of_an_independent_comparison(history):
    """Both trees before and after, compared here by hand."""
    with a_world_of(history) as (world, machine, writable):
        records = set(world.share.glob("decisions/*.json"))
        sides = lambda: (machine.files(), world.baseline())  # noqa: E731
        mine, theirs = sides()
        report = run(machine, writable)
        if isinstance(report, str):
            return
        now_mine, now_theirs = sides()
        synced = resolved = 0
        for path in POOL:
            a, m, b = world.agreed.get(path), mine.get(path), theirs.get(path)
            if m != b and now_mine.get(path) == now_theirs.get(path):
                synced += 1
                resolved += a not in (m, b)
        made = set(world.share.glob("decisions/*.json")) - records
        assert counts(report.changes) == (synced, resolved, len(made))
        assert len(report.decisions) == len(made)


@pytest.mark.skipif(os.name == "nt", reason="no modes there")
@pytest.mark.parametrize("mask", [0o000, 0o022, 0o077])
def test_law_20_modes_are_never_widened(world, mask):
    """New files get what their source has, never setuid; overwritten ones keep their own; backups are private."""
    before = os.umask(mask)
    try:
        first = world.begin(files={})
        for name, mode in {"open": 0o644, "private": 0o600, "suid": 0o4755, "all": 0o777, "bare": 0o400}.items():
            first.write(name, f"{name}\n", mode)
        first.again()
        modes = lambda folder: {n: (folder / n).stat().st_mode & 0o7777 for n in contents(folder)}  # noqa: E731
        wanted = {"open": 0o644, "private": 0o600, "suid": 0o755, "all": 0o777, "bare": 0o400}
        assert all(mode & ~wanted[name] == 0 for name, mode in modes(world.files).items())
        second = world.machine("m2")
        second.beat()
        second.sync.sync_on_online("m2")
        assert all(mode & ~wanted[name] == 0 for name, mode in modes(second.folder).items())
        (second.folder / "open").chmod(0o600)
        (second.folder / "suid").chmod(0o4711)
        second.write("private", "changed\n", 0o600)
        for name in ("open", "suid", "all"):
            first.write(name, "anew\n", 0o666)
        first.again()
        second.again()
        after = modes(second.folder)
        assert second.read("open") == second.read("suid") == "anew\n"
        assert after["open"] == 0o600
        assert after["suid"] & 0o7000 == 0
        assert after["suid"] & ~0o711 == 0
        assert modes(world.files)["private"] == 0o600
        secret = [*world.backups(), *second.state.rglob("*.json"), *world.share.glob("published/*/objects/*")]
        first.sync.publish()
        secret += list(world.share.glob("published/*/objects/*"))
        assert secret
        assert {path.stat().st_mode & 0o077 for path in secret} == {0}
    finally:
        os.umask(before)


def test_law_21_retention_removes_nothing_that_is_pinned(world):
    """The newest verified backup, those of an open decision's path, and what open decisions pin outlive any pruning."""
    machine = world.begin(files={**TWO, "e": "one\n"})
    for number in range(4):
        world.clock.advance(60)
        machine.write("e", f"{number}\n")
        machine.again()
    world.clock.advance(60)
    machine.write("a.conf", "two\n")
    world.edit("a.conf", "three\n", machine)
    machine.again()
    (decision,) = machine.sync.decisions()
    newest = max(world.backups(), key=lambda path: int(path.stem.rpartition("-")[2]))
    oldest = min(world.backups(), key=lambda path: int(path.stem.rpartition("-")[2]))  # it holds a.conf
    pruned = machine.sync.prune(keep_last=0, keep_within=timedelta(0), max_bytes=0)
    assert set(world.backups()) == {newest, oldest}
    assert len(pruned.backups) == 3
    pinned = {path.name for path in (world.share / "objects").iterdir()}
    assert {decision.machine, decision.baseline} <= pinned
    assert machine.sync.verify(newest) >= 0
    machine.sync.approve(decision.id, action="keep_target")
    assert machine.read("a.conf") == "three\n"
    age(world.share / "objects")
    machine.sync.prune(keep_last=0, keep_within=timedelta(0), max_bytes=0)
    assert list((world.share / "objects").iterdir()) == []
    assert len(world.backups()) == 1
    assert machine.sync.verify(world.backups()[0]) == 1


def test_law_22_a_transition_voided_before_the_commit_point_changes_nothing(world):
    """The machine beats again while the backup of its offline sync is being written."""
    first, second = pair(world, TWO)
    first.write("a.conf", "two\n")
    first.sync.publish()
    world.goes(first, second)
    before = tracked(world, first, second)
    beaten = []

    def it_returns(event, args):
        if event == "heartbeat_kit.sync.move" and args[2].startswith("offline-sync-m1") and not beaten:
            beaten.append(True)
            first.service.register()

    with watching(it_returns):
        report = second.sync.sync_on_offline("m1")
    assert beaten
    assert report.outcome is SyncOutcome.VOID
    assert "newer heartbeat" in report.message
    assert counts(report.changes) == NOTHING
    assert not report.backup_created
    assert tracked(world, first, second) == before
    assert not list(world.share.glob("transitions/*/m2.json")) or not second.sync.plan().actions
    assert not (second.local / "journal.json").exists()


def test_law_22_a_return_after_the_commit_point_is_too_late_to_void(world):
    """Beyond the journal the run is finished, and the machine takes over what came of it."""
    first, second = pair(world, TWO)
    first.write("a.conf", "two\n")
    first.sync.publish()
    world.goes(first, second)
    beaten = []

    def it_returns(event, args):
        if event == "heartbeat_kit.sync.exchange" and args[1].startswith("baseline/files/") and not beaten:
            beaten.append(True)
            first.service.register()

    with watching(it_returns):
        report = second.sync.sync_on_offline("m1")
    assert beaten
    assert report.outcome is SyncOutcome.APPLIED
    assert (world.files / "a.conf").read_text() == "two\n"
    first.beat()
    assert counts(first.sync.sync_on_online("m1").changes) == NOTHING


def test_the_hash_of_a_decision_is_that_of_its_contents(world):
    """What a record says of the three contents is what they are (L9 rests on it)."""
    machine = world.begin(files=TWO)
    machine.write("a.conf", "two\n")
    world.edit("a.conf", "three\n", machine)
    machine.again(guards=Guards())
    (decision,) = machine.sync.decisions()
    shas = [hashlib.sha256(text).hexdigest() for text in (b"one\n", b"two\n", b"three\n")]
    assert [decision.base, decision.machine, decision.baseline] == shas
