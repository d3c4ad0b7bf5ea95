"""Somebody saves the same file over and over while a sync swaps it a thousand times: nothing saved is lost."""

import hashlib
import json
import os
import subprocess
import sys
import textwrap

import pytest

from heartbeat_kit.sync._journal import Step
from heartbeat_kit.sync._model import File, Side
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._steps import Stepper
from heartbeat_kit.sync._tree import TRASH, UnstableFileError
from heartbeat_kit.sync._writer import Objects, Writer

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not hasattr(os, "fork"), reason="needs POSIX")]

SWAPS = 1000
EDITOR = textwrap.dedent(
    """
    import json, os, random, sys, time
    from heartbeat_kit.sync._exchange import exchange

    style, path, stop = sys.argv[1:]
    folder, name = os.path.split(path)
    where = os.open(folder, os.O_RDONLY)
    number, last, met, handle = 0, None, [], None

    def inside(handle):
        return os.pread(handle, 1000, 0).decode()

    print("up", flush=True)
    while not os.path.exists(stop):
        text = f"{style} saved {number + 1:09d}"
        if style == "replace":
            with open(path + ".new", "w") as file:
                file.write(text)
            exchange(where, name + ".new", where, name)
            with open(path + ".new") as file:
                there = file.read()
            os.unlink(path + ".new")
        else:
            if handle is None:
                handle = os.open(path, os.O_RDWR)
            there = inside(handle)
            if style == "truncate":
                os.ftruncate(handle, 0)
            os.pwrite(handle, text.encode(), 0)
            os.ftruncate(handle, len(text))
            if style == "truncate" or number % 5 == 0:
                os.close(handle)
                handle = None
        if last is not None and there != last:
            met.append(last)
        number, last = number + 1, text
        time.sleep(random.random() * 0.003)
    print(json.dumps({"saves": number, "last": last, "met": met}))
    """
)


class Sync:
    """Swaps one file, as a run does: what it replaces is in the store before.

    Args:
        place: An empty folder.
    """

    def __init__(self, place):
        (place / "tree").mkdir()
        (place / "state").mkdir()
        self.path = place / "tree" / "app.conf"
        self.path.write_text("the first")
        self.place = place
        self.writer = Writer(RealTree(place / "tree"))
        self.store = Objects(Writer(RealTree(place / "state")), "objects")

    def swap(self, number):
        """Swap the file for the next content of ours; what kept it from being done, if anything did."""
        tree = self.writer.tree
        found = tree.read("app.conf")
        data = f"swapped {number}".encode()
        after = File(sha256=hashlib.sha256(data).hexdigest(), size=len(data))
        self.store.put_all([(found.sha256, found.data), (after.sha256, data)])
        before = File(sha256=found.sha256, size=found.stat.size)
        step = Step(side=Side.MACHINE, path="app.conf", before=before, after=after)
        run = hashlib.sha256(str(number).encode()).hexdigest()
        return Stepper(run, self.store, lambda: None).perform(step, 0, self.writer, "app.conf")

    def kept(self):
        """All texts that are in a store or in the trash."""
        files = [*(self.place / "state" / "objects").iterdir(), *(self.place / "tree" / TRASH).iterdir()]
        return {each.read_text() for each in files}


@pytest.mark.parametrize(
    ("style", "exchanges"),
    [("replace", True), ("truncate", True), ("held", True), ("truncate", False), ("held", False)],
)  # where two names cannot be exchanged, a file that is replaced between a look and a swap can be lost, as documented
def test_nothing_an_editor_saved_is_lost_in_a_thousand_swaps(memory, monkeypatch, style, exchanges):
    """What it saved is current, or was overwritten by its own next save, or is in the store or the trash.

    The editor looks at what each of its saves overwrites (in the same inode, or by an exchange of its own), so it
    knows which of its saves was taken away by somebody else.
    """
    sync = Sync(memory)
    if not sync.writer.tree.can_exchange:
        pytest.skip("this file system cannot exchange two names")
    if not exchanges:
        monkeypatch.setattr(sync.writer.tree, "_exchanges", False)
    stop = memory / "stop"
    editor = subprocess.Popen(
        [sys.executable, "-c", EDITOR, style, str(sync.path), str(stop)], stdout=subprocess.PIPE, text=True
    )
    try:
        assert editor.stdout.readline() == "up\n"
        foreign = swapped = number = 0
        while swapped < SWAPS:
            number += 1
            try:
                left = sync.swap(number)
            except UnstableFileError:
                continue
            if left is None:
                swapped += 1
            else:
                foreign += 1
        stop.touch()
        said = json.loads(editor.communicate()[0])
    finally:
        editor.kill()
        editor.wait()
    kept = sync.kept()
    met = len(said["met"])
    sys.stdout.write(f"{style}: {said['saves']} saves, {swapped} swaps, {foreign} gave way, {met} displaced\n")
    lost = [text for text in said["met"] if text not in kept]
    assert lost == [], f"{len(lost)} of {met}"
    assert said["last"] in kept | {sync.path.read_text()}
    assert foreign > 0, "no save fell between a look and its swap: nothing was shown"
    assert met > 0
