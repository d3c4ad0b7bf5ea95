"""The model itself, by tiny protocols whose crash states are known by hand: each test names the exact set of them."""

import errno

import pytest

from .crash_states import compound, crash_states
from .sim_disk import Crash, Operation, SimDisk

OLD, NEW = b"old!", b"new!"
TORN = {b"", b"ne", b"\0\0w!"}


def disk_with(**files):
    disk = SimDisk()
    disk.tree("w")
    for path, data in files.items():
        disk.write(f"w/{path.replace('__', '/')}", data)
    return disk


def holding_old():
    return disk_with(a=OLD)


def without_fsync():
    disk = holding_old()
    disk.skip = lambda operation: operation.name == "fsync"
    return disk


def seen(states, path="w/a"):
    return {state.disk.files().get(path) for state in states}


def after(build, run, path="w/a", **more):
    """What is there, interrupted and after the return."""
    states = list(crash_states(build, run, **more))
    return seen([s for s in states if not s.promised], path), seen([s for s in states if s.promised], path)


def create_in_place(disk):
    disk.tree("w").create("a", NEW, mode=0o644)


def remove_first(disk):
    disk.tree("w").remove("a")
    create_in_place(disk)


def rename(disk):
    tree = disk.tree("w")
    tree.create("t", NEW, mode=0o644)
    tree.replace("t", "a")


def rename_and_sync(disk):
    rename(disk)
    disk.tree("w").sync("")


def exchange(disk):
    tree = disk.tree("w")
    tree.create("t", NEW, mode=0o644)
    tree.exchange("t", "a")


def test_a_file_written_in_place_is_seen_absent_empty_and_torn():
    assert after(disk_with, create_in_place) == ({None, NEW} | TORN, {None, NEW})


def test_a_file_written_in_place_without_fsync_is_torn_after_the_return():
    def build():
        disk = disk_with()
        disk.skip = lambda operation: operation.name == "fsync"
        return disk

    assert after(build, create_in_place) == ({None, NEW} | TORN, {None, NEW} | TORN)


def test_a_file_removed_before_it_is_written_is_lost():
    assert after(holding_old, remove_first) == ({OLD, None, NEW} | TORN, {OLD, None, NEW})


def test_a_rename_without_fsync_of_the_file_shows_it_empty():
    assert after(without_fsync, rename) == ({OLD}, {OLD, NEW} | TORN)
    assert after(without_fsync, rename_and_sync) == ({OLD, NEW} | TORN, {NEW} | TORN)


def test_a_rename_without_sync_of_the_directory_is_old_or_new():
    assert after(holding_old, rename) == ({OLD}, {OLD, NEW})


def test_a_rename_with_both_is_old_or_new_and_new_after_the_return():
    assert after(holding_old, rename_and_sync) == ({OLD, NEW}, {NEW})


def test_a_sync_before_the_change_is_none():
    def run(disk):
        disk.tree("w").sync("")
        rename(disk)

    assert after(holding_old, run)[1] == {OLD, NEW}


def two_renames(disk, *, sync=False):
    tree = disk.tree("w")
    for folder in "pq":
        tree.create(f"{folder}/t", NEW, mode=0o644)
        tree.replace(f"{folder}/t", f"{folder}/a")
        if sync:
            tree.sync(folder)


@pytest.mark.parametrize("sync", [False, True])
def test_renames_in_two_directories_reorder_unless_synced_between(sync):
    def build():
        return disk_with(p__a=OLD, q__a=OLD)

    states = crash_states(build, lambda disk: two_renames(disk, sync=sync))
    pairs = {(s.disk.files("w")["p/a"], s.disk.files("w")["q/a"]) for s in states}
    assert pairs == {(OLD, OLD), (NEW, OLD), (NEW, NEW)} | (set() if sync else {(OLD, NEW)})


def test_an_exchange_kept_without_the_creation_has_the_new_file_and_the_old_one():
    disk = holding_old()
    exchange(disk)
    cuts = [(label, cut.files("w")) for label, cut in disk.power_cuts()]
    assert cuts == [
        ("all", {"a": NEW, "t": OLD}),
        ("none", {"a": OLD}),
        ("only 0 create w/t", {"a": OLD, "t": NEW}),
    ]  # the exchange alone gives both files their names, and is equal to all


@pytest.mark.parametrize(
    ("syncs", "outcomes"),
    [([], {"p", "q"}), (["p"], {"p", "q"}), (["q"], {"p", "q"}), (["p", "q"], {"q"}), (["q", "p"], {"q"})],
)
def test_a_move_is_never_half_and_is_durable_when_both_directories_are_synced(syncs, outcomes):
    def run(disk):
        tree = disk.tree("w")
        tree.move("p/a", "q/a")
        for directory in syncs:
            tree.sync(directory)

    states = crash_states(lambda: disk_with(p__a=OLD, q__z=b""), run)
    places = [("".join(n[0] for n in s.disk.files("w") if n[2:] == "a"), s.promised) for s in states]
    assert {place for place, _ in places} == {"p", "q"}
    assert {place for place, promised in places if promised} == outcomes


def test_a_link_adds_a_name_to_the_same_file_and_survives_by_the_directory_of_the_name():
    def run(disk):
        tree = disk.tree("w")
        tree.link("p/a", "q/a")
        tree.sync("q")

    states = list(crash_states(lambda: disk_with(p__a=OLD, q__z=b""), run))
    assert seen(states, "w/q/a") == {None, OLD}
    assert seen([s for s in states if s.promised], "w/q/a") == {OLD}
    disk = states[-1].disk
    disk.edit("w/q/a", NEW)
    assert disk.files("w") == {"p/a": NEW, "q/a": NEW, "q/z": b""}


def test_what_is_in_a_directory_whose_creation_was_lost_is_gone():
    def run(disk):
        tree = disk.tree("w")
        tree.mkdir("d")
        tree.create("d/a", NEW, mode=0o644)
        tree.sync("d")

    states = [s for s in crash_states(disk_with, run) if s.promised]
    assert {tuple(s.disk.names("w")) for s in states} == {(), ("d/", "d/a")}


def test_a_durable_change_keeps_its_place_behind_a_pending_one():
    def run(disk):
        tree = disk.tree("w")
        tree.replace("q/1", "p/a")  # pending until q is synced
        tree.replace("p/2", "p/a")
        tree.sync("p")

    states = crash_states(lambda: disk_with(p__a=OLD, p__2=b"2", q__1=b"1"), run)
    assert seen([s for s in states if s.promised], "w/p/a") == {b"2"}


def test_the_mode_of_a_new_file_is_narrow_until_it_is_exact():
    def run(disk):
        disk.tree("w").create("a", NEW, mode=0o664)
        disk.tree("w").sync("")

    states = list(crash_states(disk_with, run))
    assert {m for s in states for m in s.disk.modes("w").values()} == {0o600, 0o664}
    assert {m for s in states if s.promised for m in s.disk.modes("w").values()} == {0o664}


def recover_by_looking(disk):
    """Trusts what it sees."""


def recover_by_syncing(disk):
    disk.tree("w").sync("")


def outcomes(states):
    """What was promised, and what was there after the power cut."""
    return {(s.promised.files()["w/a"], s.disk.files()["w/a"]) for s in states if s.promised}


def test_a_kill_then_a_power_cut_keeps_nothing_that_was_not_synced():
    def run(disk):
        rename(disk)
        disk.tree("w").sync_file("a")  # something to be killed before

    looked, synced = (compound(holding_old, run, recover) for recover in (recover_by_looking, recover_by_syncing))
    assert outcomes(s for s in looked if s.k == 6) == {(NEW, OLD), (NEW, NEW)}
    assert outcomes(s for s in synced if s.k == 6) == {(NEW, NEW)}


def test_what_the_run_had_promised_must_hold_while_the_recovery_is_cut():
    careless = [s for s in compound(holding_old, rename, recover_by_syncing) if s.k == 6 and s.j == 0]
    assert outcomes(careless) == {(NEW, OLD), (NEW, NEW)}
    assert outcomes(compound(holding_old, rename_and_sync, recover_by_syncing)) == {(OLD, OLD), (NEW, NEW)}


def test_a_killed_process_that_is_killed_again_still_has_the_changes_pending():
    disk = holding_old()
    rename(disk)
    again = disk.after_kill().after_kill()
    assert again.files()["w/a"] == NEW
    assert {cut.files()["w/a"] for _, cut in again.power_cuts()} == {OLD, NEW}


def test_after_a_power_cut_nothing_is_pending():
    disk = holding_old()
    rename(disk)
    for _, cut in disk.power_cuts():
        assert [again.digest() for _, again in cut.power_cuts()] == [cut.digest()]


def test_a_file_synced_after_its_creation_is_durable():
    disk = without_fsync()
    rename_and_sync(disk)
    disk.skip = None
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {NEW} | TORN
    disk.tree("w").sync_file("a")
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {NEW}


def trying_again(disk):
    tree = disk.tree("w")
    disk.fail_at = (4, errno.EIO)
    disk.crash_at = 5  # the temporary file stays: removing it is one operation more
    with pytest.raises(Crash):
        tree.create("t", NEW, mode=0o644)
    return disk.after_kill()


def test_a_file_whose_fsync_failed_never_becomes_durable():
    disk = trying_again(holding_old())
    tree = disk.tree("w")
    tree.sync_file("t")
    tree.replace("t", "a")
    tree.sync("")
    tree.sync_file("a")
    assert disk.files("w") == {"a": NEW}
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {NEW} | TORN


def test_a_file_whose_fsync_failed_is_durable_once_written_anew():
    disk = trying_again(holding_old())
    disk.tree("w").remove("t")
    rename_and_sync(disk)
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {NEW}


def test_a_directory_whose_sync_failed_can_be_synced_later():
    disk = holding_old()
    rename(disk)
    disk.fail_at = (len(disk.operations), errno.EIO)
    with pytest.raises(OSError, match="Input/output"):
        disk.tree("w").sync("")
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {OLD, NEW}
    disk.tree("w").sync("")
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {NEW}


@pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
def test_a_directory_that_cannot_be_synced_is_passed_over_and_stays_pending(number):
    disk = holding_old()
    disk.fail_at = (6, number)
    rename_and_sync(disk)
    assert disk.operations[6] == Operation("sync", ("w",), number)
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {OLD, NEW}


@pytest.mark.parametrize("k", range(7))
def test_an_injected_error_is_raised_and_the_operation_not_done(k):
    disk, quiet = holding_old(), holding_old()
    rename_and_sync(quiet)
    disk.fail_at = (k, errno.ENOSPC)
    with pytest.raises(OSError, match="No space") as caught:
        rename_and_sync(disk)
    assert caught.value.errno == errno.ENOSPC
    assert disk.operations[k] == quiet.operations[k]._replace(error=errno.ENOSPC)
    assert [o.name for o in disk.operations[k + 1 :]] == (["remove"] if 0 < k < 5 else [])
    assert disk.files("w") == ({"a": OLD} if k < 5 else {"a": OLD, "t": NEW} if k == 5 else {"a": NEW})


@pytest.mark.parametrize("k", range(7))
def test_nothing_that_a_dead_process_tries_changes_anything(k):
    disk, told = holding_old(), []
    disk.hook = lambda number, operation: told.append(number)
    disk.crash_at = k

    def clean_up_anyhow():
        try:
            rename_and_sync(disk)
        finally:
            disk.tree("w").remove("a")

    with pytest.raises(Crash):
        clean_up_anyhow()
    stopped = [s for s in crash_states(holding_old, rename_and_sync) if not s.cut]
    assert len(disk.operations) == k
    assert told == list(range(k + 1))
    assert disk.digest() == disk.after_kill().digest() == stopped[k].disk.digest()
    assert {c.digest() for _, c in disk.power_cuts()} == {c.digest() for _, c in stopped[k].disk.power_cuts()}


SAVED = b"saved by a person"


def editing_at(k, *, in_place=True, path="w/a"):
    def build():
        disk = holding_old()
        disk.hook = lambda number, operation: number == k and disk.edit(path, SAVED, in_place=in_place)
        return disk

    return build


@pytest.mark.parametrize("in_place", [True, False])
def test_a_foreign_save_is_durable_wherever_it_falls(in_place):
    """Before the rename it is replaced; between rename and sync it stands, and the rename with it."""
    assert after(editing_at(5, in_place=in_place), rename_and_sync) == ({OLD, SAVED, NEW}, {NEW})
    before, done = after(editing_at(6, in_place=in_place), rename_and_sync)
    assert (before, done) == ({OLD, SAVED}, {SAVED})
    late = [s for s in crash_states(editing_at(6, in_place=in_place), rename_and_sync) if s.k >= 6]
    assert seen(late) == {SAVED}


def test_a_foreign_save_goes_where_the_name_went():
    """An editor that writes to the file we displaced writes under its new name."""
    disk = editing_at(6, path="w/t")()
    exchange(disk)
    disk.tree("w").sync("")
    assert disk.files("w") == {"a": NEW, "t": SAVED}
    assert {cut.files()["w/t"] for _, cut in disk.power_cuts()} == {SAVED}


def test_a_foreign_save_does_not_make_other_names_durable():
    disk = disk_with(a=OLD)
    tree = disk.tree("w")
    tree.create("t", NEW, mode=0o644)
    disk.edit("w/a", SAVED)
    assert {tuple(sorted(cut.files("w"))) for _, cut in disk.power_cuts()} == {("a",), ("a", "t")}


def test_a_foreign_save_makes_the_file_durable_as_it_is():
    disk = without_fsync()
    disk.tree("w").create("t", NEW, mode=0o644)
    disk.edit("w/t", SAVED)
    assert [(cut.files("w"), cut.modes("w")) for _, cut in disk.power_cuts()] == [
        ({"a": OLD, "t": SAVED}, {"a": 0o644, "t": 0o644})
    ]


def test_a_foreign_removal_is_durable_and_a_new_file_too():
    disk = holding_old()
    disk.edit("w/a", None)
    disk.edit("w/b", SAVED)
    assert [cut.files("w") for _, cut in disk.power_cuts()] == [{"b": SAVED}]
    assert disk.operations == []


def test_the_hook_is_told_each_operation_before_it_is_done():
    disk, told = holding_old(), []
    disk.hook = lambda number, operation: told.append((number, operation, disk.files("w")))
    rename_and_sync(disk)
    assert [operation for _, operation, _ in told] == disk.operations
    assert [o.name for o in disk.operations] == ["create", "write", "write", "chmod", "fsync", "replace", "sync"]
    assert disk.operations[5].paths == ("w/t", "w/a")
    assert [files.get("t") for _, _, files in told] == [None, b"", b"ne", NEW, NEW, NEW, None]


def test_asking_for_a_tree_makes_nothing_durable_but_its_root():
    disk = disk_with(d__a=OLD)
    tree = disk.tree("w")
    tree.create("d/b", NEW, mode=0o644)
    tree.mkdir("e")
    disk.tree("w"), disk.tree("w/d"), disk.tree("w/e"), disk.tree("x")
    *_, nothing = [cut for label, cut in disk.power_cuts() if label == "none"]
    assert nothing.names() == ["w/", "w/d/", "w/d/a", "x/"]


def test_copies_share_nothing_that_changes():
    disk = holding_old()
    rename(disk)
    copies = [disk.after_kill(), *(cut for _, cut in disk.power_cuts())]
    digests = [copy.digest() for copy in [disk, *copies]]
    for copy in copies:
        copy.tree("w").remove("a")
        copy.write("w/b", b"b")
        assert copy.files("w") == {"b": b"b"} | ({"t": NEW} if "t" in copy.files("w") else {})
    assert disk.digest() == digests[0]
    assert all(copy.digest() != digest for copy, digest in zip(copies, digests[1:], strict=True))
    assert {cut.files()["w/a"] for _, cut in disk.power_cuts()} == {OLD, NEW}


def test_the_digest_is_of_what_is_seen():
    one, other = disk_with(a=OLD, b=NEW), disk_with(b=NEW, a=OLD)
    assert one.digest() == other.digest()
    for change in (
        lambda disk: disk.edit("w/a", NEW),
        lambda disk: disk.edit("w/a", None),
        lambda disk: disk.write("w/a", OLD, mode=0o600),
        lambda disk: disk.tree("w").mkdir("d"),
        lambda disk: disk.tree("w").move("a", "c"),
    ):
        changed = one.after_kill()
        change(changed)
        assert changed.digest() != one.digest()
    linked, equal = disk_with(a=OLD), disk_with(a=OLD, b=OLD)
    linked.tree("w").link("a", "b")
    assert linked.files() == equal.files()
    assert linked.digest() != equal.digest()


def test_an_old_state_after_the_return_is_not_hidden_by_the_same_before_it():
    states = crash_states(holding_old, rename)
    labels = [s.label for s in states if s.cut and s.disk.files("w") == {"a": OLD}]
    assert labels == ["power cut before 0 create w/t, kept: all", "power cut at the end, kept: none"]


def test_states_are_counted_raw_and_distinct_as_they_are_made():
    states = crash_states(holding_old, rename_and_sync)
    assert (states.raw, states.distinct) == (0, 0)
    assert next(states).label == "kill before 0 create w/t"
    assert (states.raw, states.distinct) == (1, 1)
    rest = list(states)
    assert states.distinct == 1 + len(rest)
    # 8 kills; 2 + 3 × pending cuts with 0, 1, 2, 3, 4, 1, 2 pending before each operation and 0 at the end
    assert states.raw == 8 + sum(2 + 3 * pending for pending in (0, 1, 2, 3, 4, 1, 2, 0))


def test_the_short_enumeration_finds_what_the_full_one_finds_here():
    for build, run in ((holding_old, rename_and_sync), (without_fsync, rename), (disk_with, create_in_place)):
        full, short = (crash_states(build, run, full=full) for full in (True, False))
        assert seen(full) == seen(short)
        assert short.raw < full.raw


def test_every_change_moves_the_times_that_a_real_one_moves():
    disk = holding_old()
    tree = disk.tree("w")
    first = tree.stat("a")
    disk.edit("w/a", b"same size"[:4])
    second = tree.stat("a")
    assert (second.inode, second.size) == (first.inode, first.size)
    assert second.mtime_ns > first.mtime_ns
    assert second.ctime_ns > first.ctime_ns
    tree.move("a", "b")
    third = tree.stat("b")
    assert (third.inode, third.mtime_ns) == (second.inode, second.mtime_ns)
    assert third.ctime_ns > second.ctime_ns
    rename(disk)
    assert tree.stat("a").inode != third.inode


def test_a_disk_that_cannot_exchange_says_so_and_so_do_its_copies():
    disk = SimDisk(can_exchange=False)
    disk.write("w/a", OLD)
    for copy in (disk, disk.after_kill(), next(disk.power_cuts())[1]):
        tree = copy.tree("w")
        assert not tree.can_exchange
        with pytest.raises(OSError, match="not supported"):
            exchange(copy)
