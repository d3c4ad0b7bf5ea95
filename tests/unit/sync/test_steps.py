"""One step at a time: what an editor that has a displaced file open writes into it is found afterwards."""

import errno
import hashlib

import pytest

from heartbeat_kit.sync._journal import Step
from heartbeat_kit.sync._model import File, Side
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._steps import Stepper
from heartbeat_kit.sync._tree import OUR_PREFIX, TRASH
from heartbeat_kit.sync._writer import Objects, Writer

RUN = "ab" * 32
PATH = "etc/app.conf"


def file_of(data):
    return File(sha256=hashlib.sha256(data).hexdigest(), size=len(data))


class Meddled(RealTree):
    """A tree in which something happens right before or after one of its calls."""

    def __init__(self, root):
        super().__init__(root)
        self.before = {}
        self.after = {}

    def _around(self, name, *paths):
        self.before.pop(name, lambda: None)()
        getattr(RealTree, name)(self, *paths)
        self.after.pop(name, lambda: None)()

    def exchange(self, first, second):
        self._around("exchange", first, second)

    def link(self, source, target):
        self._around("link", source, target)

    def move(self, source, target):
        self._around("move", source, target)

    def replace(self, source, target):
        self._around("replace", source, target)


class World:
    def __init__(self, place, *, exchanges):
        (place / "tree" / "etc").mkdir(parents=True)
        (place / "state").mkdir()
        self.tree = Meddled(place / "tree")
        if exchanges and not self.tree.can_exchange:
            pytest.skip("this file system cannot exchange two names")
        self.tree._exchanges = exchanges
        self.file = place / "tree" / PATH
        self.trash = place / "tree" / TRASH
        self.file.write_bytes(b"before")
        self.store = Objects(Writer(RealTree(place / "state")), "objects")
        self.store.put_all([(file_of(data).sha256, data) for data in (b"before", b"after")])
        self.step = Step(side=Side.MACHINE, path=PATH, before=file_of(b"before"), after=file_of(b"after"))

    def perform(self):
        return Stepper(RUN, self.store, lambda: None).perform(self.step, 7, Writer(self.tree), PATH)

    def thrown_away(self):
        return sorted(each.read_bytes() for each in self.trash.iterdir())

    def temporaries(self):
        return [each.name for each in self.file.parent.iterdir() if each.name.startswith(OUR_PREFIX)]


@pytest.fixture(params=[True, False], ids=["exchange", "no exchange"])
def world(request, tmp_path):
    return World(tmp_path, exchanges=request.param)


def test_a_save_into_the_old_file_after_the_swap_is_in_the_trash(world):
    with world.file.open("r+b") as editor:
        assert world.perform() is None
        editor.write(b"edited")
    assert world.file.read_bytes() == b"after"
    assert world.thrown_away() == [b"edited"]


def test_a_save_into_our_file_that_was_taken_back_is_in_the_trash(world):
    """Ours is the file for a moment, and an editor opens it then."""
    swap = "exchange" if world.tree.can_exchange else "replace"
    opened = []
    old = world.file.open("r+b", buffering=0)

    def save_into_the_old_one():
        old.write(b"edited")

    def open_ours():
        opened.append(world.file.open("r+b", buffering=0))

    world.tree.before[swap] = save_into_the_old_one
    world.tree.after[swap] = open_ours
    left = world.perform()
    assert (left.sha256, left.why) == (file_of(b"edited").sha256, "it was edited while the sync was under way")
    assert opened[0].write(b"late!") == 5
    assert world.file.read_bytes() == b"edited"
    assert world.thrown_away() == [b"late!"]
    assert world.store.get(file_of(b"edited").sha256) == b"edited"
    assert world.temporaries() == []
    for each in (old, *opened):
        each.close()


def test_what_a_kill_left_beside_the_file_is_thrown_away_and_not_removed(world):
    """The one before was killed between its swap and its tidying: an editor may still have the old file open."""
    with world.file.open("r+b") as editor:
        temp = world.file.with_name(f"{OUR_PREFIX}{RUN[:12]}-7.tmp")
        world.file.rename(temp)
        world.file.write_bytes(b"after")
        assert world.perform() is None
        editor.write(b"edited")
    assert world.thrown_away() == [b"edited"]
    assert world.temporaries() == []


def test_a_save_that_a_kill_left_beside_the_file_goes_back_and_nothing_in_the_trash_looks_edited(tmp_path):
    world = World(tmp_path, exchanges=True)
    temp = world.file.with_name(f"{OUR_PREFIX}{RUN[:12]}-7.tmp")
    temp.write_bytes(b"saved at that moment")
    world.file.write_bytes(b"after")
    left = world.perform()
    assert left.sha256 == file_of(b"saved at that moment").sha256
    assert world.file.read_bytes() == b"saved at that moment"
    for each in world.trash.iterdir():
        assert each.name.partition("-")[0] == file_of(each.read_bytes()).sha256


@pytest.mark.parametrize("number", [errno.EXDEV, errno.EACCES, errno.EPERM])
def test_a_trash_out_of_reach_keeps_no_step_from_being_done(tmp_path, number):
    world = World(tmp_path, exchanges=True)
    world.tree.before["move"] = raising(number)
    assert world.perform() is None
    assert world.file.read_bytes() == b"after"
    assert world.temporaries() == []


def test_a_full_disk_leaves_the_old_file_for_the_next_try(tmp_path):
    world = World(tmp_path, exchanges=True)
    with world.file.open("r+b") as editor:
        world.tree.before["move"] = raising(errno.ENOSPC)
        with pytest.raises(OSError, match="No space"):
            world.perform()
        assert world.perform() is None
        editor.write(b"edited")
    assert world.file.read_bytes() == b"after"
    assert world.thrown_away() == [b"edited"]


def raising(number):
    def fail():
        raise OSError(number, "No space left on device" if number == errno.ENOSPC else "out of reach")

    return fail
