"""The engine keeps its laws in every state a crash can leave behind; what takes minutes is `protocol.main`."""

import contextlib

import pytest

from heartbeat_kit.errors import SyncError
from heartbeat_kit.sync._published import read_publication
from heartbeat_kit.sync._writer import Objects, Writer

from .crash_states import compound, crash_states
from .nodes import put_name, sha256_of
from .protocol import Audit, compounds, failures, judge_edits, plain, torn_failures
from .scenes import BASELINE_ID, engine, full, offline, rollback, shapes, small


def judged(audit, states):
    audit.over(states)
    assert not audit.violations, f"{audit.bad} of {states.distinct}: {audit.violations[:5]}"
    return states.raw, states.distinct


def committed(disk):
    """The number of the operation after the one that gives the journal its name."""
    return next(n for n, each in enumerate(disk.operations, 1) if each.paths[-1] == "state/journal.json")


def test_the_scenes_are_what_they_are_meant_to_be():
    """Else nothing would be proven: an online run of fourteen steps and of every kind, and its relatives."""
    online = full()
    changed = {name for name in {*online.old, *online.new} if online.old.get(name) != online.new.get(name)}
    assert len(changed) == 14, changed
    gone = {name for name in changed if name not in online.new}
    assert gone == {"machine/gone.conf", "baseline/etc/gone-m.ini"}
    assert online.new["machine/notes.txt"][0] == b"one\n2\n3\n4\nfive\n"
    assert online.new["machine/edit-b.conf"] == (b"edit b 1", 0o644)
    assert online.new["baseline/over/up.conf"] == (b"up 2 new", 0o600), "the mode of what is there stays"
    assert online.new["machine/etc/down.ini"] == (b"down new", 0o640)
    for side in ("machine", "baseline"):
        for name in (f"{side}/broken.json", f"{side}/empty.conf", f"{side}/ask.conf", f"{side}/same.conf"):
            assert online.new[name] == online.old[name]
    report = online.done[1]
    assert (report.changes.files_synced, report.changes.conflicts_resolved, report.changes.decisions_created) == (
        12,
        5,
        1,
    )
    assert len(offline().done[1].pending) == 6
    assert rollback(online).new == online.old
    shaped = shapes()
    assert shaped.done[1].changes.files_synced == 7
    assert not shaped.done[1].decisions
    assert shaped.new["baseline/app"] == (b"a file now", 0o644)
    assert shaped.new["machine/log"] == (b"a file in b now", 0o644)
    assert {name for name in shaped.new if "/box" in name} == {"machine/box/in.conf", "baseline/box/in.conf"}
    assert rollback(shaped).new == shaped.old


@pytest.mark.parametrize(("scene", "least"), [(small(), 2500), (offline(), 2500), (shapes(), 2000)], ids=str)
def test_every_crash_leaves_the_old_state_or_the_new_and_it_can_be_rolled_back_and_forth(scene, least):
    raw, distinct = judged(Audit(scene), plain(scene))
    assert raw > least, f"{raw} states, {distinct} distinct"


@pytest.mark.parametrize(
    ("scene", "least"), [(full(), 7000), (rollback(full()), 7000), (rollback(shapes()), 2000)], ids=str
)
def test_every_crash_of_a_large_run_leaves_the_old_state_or_the_new(scene, least):
    """What follows each of these states takes a minute to see: `protocol.main` does."""
    raw, distinct = judged(Audit(scene, deep=False), plain(scene))
    assert raw > least, f"{raw} states, {distinct} distinct"


@pytest.mark.parametrize("can_exchange", [True, False])
def test_a_power_cut_during_the_recovery_from_a_kill(can_exchange):
    """What the first process wrote was seen, but not durable: who trusts it loses it."""
    scene = small()
    scene.can_exchange = can_exchange
    raw, distinct = judged(Audit(scene, deep=False), compounds(scene))
    assert raw > 50_000, f"{raw} states, {distinct} distinct"


@pytest.mark.parametrize(("scene", "least"), [(small(), 500), (shapes(), 300)], ids=str)
def test_an_operation_that_fails_is_a_typed_error_and_nothing_is_torn(scene, least):
    audit = Audit(scene, deep=False)
    count, states = failures(audit, full=False)
    assert not audit.violations, audit.violations[:5]
    assert count > least, f"{count} failures, {states} states"
    assert states > 5 * least, f"{count} failures, {states} states"


def test_a_failed_sync_is_never_taken_for_done_by_the_run_after_a_kill():
    audit = Audit(small(), deep=False)
    states = torn_failures(audit)
    assert not audit.violations, audit.violations[:5]
    assert states > 500, f"{states} states"


@pytest.mark.parametrize(
    ("name", "least"), [("machine/etc/down.ini", 150), ("machine/gone.conf", 150), ("baseline/made/here/m.conf", 100)]
)
def test_what_somebody_saves_at_any_point_of_a_run_is_found_again(name, least):
    """Overwritten, deleted and made by the run; saved in place or as a new file before each operation.

    New files come last, and nobody can save one before its folder is there.
    """
    count, found = judge_edits(small(), only=(name,))
    assert not found, f"{len(found)} of {count}: {found[:3]}"
    assert count > least, f"{count} runs"


def test_what_somebody_saves_before_a_kill_is_put_back_by_the_run_that_finishes():
    """Also where it was saved into a file that the run had just moved away, long before it is finished."""
    scene = small()
    disk = scene.build()
    scene.run(disk)
    count, found = judge_edits(scene, kills=2, only=("machine/gone.conf",), since=committed(disk))
    assert not found, f"{len(found)} of {count}: {found[:3]}"
    assert count > 150, f"{count} runs"


def test_without_an_exchange_only_a_new_file_just_before_the_replacement_is_lost():
    """No such medium can tell: this is the one gap there is, and the module says so."""
    scene = small()
    scene.can_exchange = False
    name = "machine/etc/down.ini"
    disk = scene.build()
    scene.run(disk)
    _, found = judge_edits(scene, only=(name,), since=committed(disk))
    gap = [
        n for n, op in enumerate(disk.operations) if op.name == "replace" and op.paths[1] == "workspace/etc/down.ini"
    ]
    data = f"saved before {gap[0]}".encode()
    assert [each.where for each in found] == [f"small: Edit(at={gap[0]}, name={name!r}, data={data!r}, in_place=False)"]


@pytest.mark.parametrize("how", ["removed", "replaced by a file", "emptied"])
@pytest.mark.parametrize("folder", ["workspace/etc", "shared/baseline/files/made"])
def test_a_directory_that_somebody_takes_away_does_not_stop_the_recovery_for_ever(folder, how):
    scene = small()
    first = scene.build()
    scene.run(first)
    for at in range(committed(first), len(first.operations)):
        disk = scene.build()

        def take(number, _, disk=disk, at=at):
            if number == at and (inode := disk.inode(folder)) is not None:
                directory, name = disk.place(folder)
                if how == "emptied":
                    disk.commit("emptied", tuple((put_name, inode, each, None) for each in disk.node(inode).names))
                else:
                    disk.commit("removed", ((put_name, directory, name, None),))
                if how == "replaced by a file":
                    disk.edit(folder, b"a file now")

        disk.hook = take
        with contextlib.suppress(SyncError):
            scene.run(disk)
        disk.hook = None
        engine(disk).recover()
        assert disk.inode("state/journal.json") is None, f"before {first.operations[at]}"


def published_first():
    disk = small().build()
    engine(disk).publish("m1")
    disk.edit("workspace/up.conf", b"up, published later")
    disk.edit("workspace/same.conf", None)
    return disk.cut(next(kept for label, kept in disk.subsets(full=False) if label == "all"))


@pytest.mark.parametrize(("first", "killed"), [(True, False), (False, False), (False, True)])
def test_what_is_published_is_whole_after_any_crash(first, killed):
    """A manifest names only contents that are there: they are all that is left of a machine that does not come back."""
    build = small().build if first else published_first

    def publish(disk):
        engine(disk).publish("m1")

    states = compound(build, publish, publish) if killed else crash_states(build, publish)
    for state in states:
        shared = state.disk.tree("shared")
        found = read_publication(shared, "m1", BASELINE_ID)
        assert found is not None or (first and not state.promised), state.label
        if found is not None:
            store = Objects(Writer(shared), "published/m1/objects")
            assert all(store.get(file.sha256) is not None for file in found[0].entries.values()), state.label
            latest = found[0].entries["up.conf"].sha256 == sha256_of(state.disk.files("workspace")["up.conf"])
            assert latest or not state.promised, state.label
    assert states.raw > 100, f"{states.raw} states, {states.distinct} distinct"
