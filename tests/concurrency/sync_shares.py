"""A small world of machines that sync, on a real disk: how it begins, what is in it, and what must hold of it.

Owns the folders, the files and the looks at them. Must not know kills, signals or races.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import os
import shutil
from pathlib import Path
from typing import NamedTuple

from heartbeat_kit import HeartbeatService, MemoryStorage, SyncCoordinator
from heartbeat_kit.testing import FakeClock

POLICY = {"*.json": "merge", "*.both": "keep_both", "*.base": "baseline"}
MERGED = "merged.json"
BASELINE = ("share/baseline/files", "share/baseline/conflicts")
OURS = ".hbk-"
OBJECTS = "objects"
TRASH = ".hbk-trash"
_BASE = {
    "same/1.conf": "never changed 1",
    "same/2.conf": "never changed 2",
    "same/3.conf": "never changed 3",
    "edited-here.conf": "old",
    "edited-there.conf": "old there",
    "deep/er/deleted-here.conf": "to be deleted here",
    "deep/deleted-there.conf": "to be deleted there",
    MERGED: '{"ours": 1, "theirs": 1}',
    "asked.conf": "a question",
    "kept.both": "the old of both",
    "taken.base": "the old of the baseline",
    "outweighs.conf": "deleted there, edited here",
}
_THERE = {
    "edited-there.conf": "new there",
    MERGED: '{"ours": 1, "theirs": 2}',
    "asked.conf": "the baseline's answer",
    "kept.both": "the baseline's of both",
    "taken.base": "the baseline's own",
    "fresh/new-there.conf": "made there",
    "fresh/more/new-there.conf": "made there, deeper",
}
_GONE_THERE = ("deep/deleted-there.conf", "outweighs.conf")
_HERE = {
    "edited-here.conf": "new",
    MERGED: '{"ours": 2, "theirs": 1}',
    "asked.conf": "the machine's answer",
    "kept.both": "the machine's of both",
    "taken.base": "the machine's own",
    "outweighs.conf": "edited here after all",
    "new/new-here.conf": "made here",
    "new/deep/new-here.conf": "made here, deeper",
}
_GONE_HERE = ("deep/er/deleted-here.conf",)


class Seen(NamedTuple):
    """What a file is: its content and its mode."""

    data: bytes
    mode: int


Files = dict[str, Seen]


class World:
    """Machines of one fleet that share a folder, in one process; the heartbeats are in memory.

    Args:
        home: An empty folder for everything.
    """

    def __init__(self, home: Path) -> None:
        self.home = home
        self.share = home / "share"
        self.clock = FakeClock()
        self.storage = MemoryStorage()
        self.services: dict[str, HeartbeatService] = {}
        self.share.mkdir(parents=True)

    def join(self, name: str) -> SyncCoordinator:
        """A machine with an empty working copy, which is online."""
        (self.home / name).mkdir()
        service = HeartbeatService(self.storage, clock=self.clock, machine_id=name, state_dir=self.home / "beats")
        self.services[name] = service
        service.register()
        return self.coordinator(name)

    def coordinator(self, name: str) -> SyncCoordinator:
        """A new coordinator of a machine that is here, as after a restart of its process."""
        return SyncCoordinator(
            self.services[name],
            workspace=self.home / name,
            shared=self.share,
            state_dir=self.home / f"state-{name}",
            policy=POLICY,
        )

    @property
    def _states(self) -> set[str]:
        return {f"state-{name}" for name in self.services}

    def write(self, name: str, files: dict[str, str]) -> None:
        """Save files of a machine."""
        for path, text in files.items():
            target = self.home / name / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    def delete(self, name: str, paths: tuple[str, ...]) -> None:
        """Delete files of a machine."""
        for path in paths:
            (self.home / name / path).unlink()

    def files(self, *folders: str) -> Files:
        """All files beneath folders of the world, without our own."""
        found = {}
        for folder in folders:
            root = self.home / folder
            for path in sorted(root.rglob("*")):
                relative = path.relative_to(self.home)
                if path.is_file() and not any(part.startswith(OURS) for part in relative.parts):
                    found[str(relative)] = Seen(path.read_bytes(), path.stat().st_mode & 0o7777)
        return found

    def tracked(self, *machines: str) -> Files:
        """What a sync is about: the working copies, and the baseline with its conflicts."""
        return self.files(*machines, *BASELINE)

    def contents(self) -> set[str]:
        """The hash of every content that is anywhere: files, stores, trash, and within backups."""
        found = set()
        for path in self.home.rglob("*"):
            if path.is_file():
                data = path.read_bytes()
                found.add(hashlib.sha256(data).hexdigest())
                if path.parent.name == "backups":
                    with contextlib.suppress(ValueError):
                        inline = json.loads(data)["data"].values()
                        found |= {hashlib.sha256(base64.b64decode(text)).hexdigest() for text in inline}
        return found

    def fingerprint(self, *passed_over: str) -> str:
        """Of all there is, but for the numbers of the runs, and what is beneath a folder of one of these names."""
        digest = hashlib.sha256()
        for path in sorted(self.home.rglob("*")):
            if not {"epochs", *passed_over}.intersection(path.parts):
                content = path.read_bytes() if path.is_file() else b""
                digest.update(f"{path} {path.stat().st_mode} {len(content)} ".encode() + content)
        return digest.hexdigest()

    def leftovers(self) -> list[str]:
        """What of ours no finished run leaves behind: temporaries where people look, and journals."""
        found = []
        for path in self.home.rglob("*"):
            relative = path.relative_to(self.home)
            looked_at = str(relative).startswith(BASELINE) or relative.parts[0] not in {"share", *self._states}
            temporary = looked_at and path.name.startswith(OURS) and TRASH not in relative.parts
            if temporary or path.name == "journal.json":
                found.append(str(relative))
        return found

    def save(self, place: Path) -> None:
        """Keep the whole world as it is."""
        shutil.copytree(self.home, place, symlinks=True)

    def load(self, place: Path) -> None:
        """Make it again as it was kept."""
        shutil.rmtree(self.home)
        shutil.copytree(place, self.home, symlinks=True)


def hashes(files: Files) -> set[str]:
    """The hash of each content."""
    return {hashlib.sha256(seen.data).hexdigest() for seen in files.values()}


def _agree(world: World) -> tuple[SyncCoordinator, SyncCoordinator]:
    m1, m2 = world.join("m1"), world.join("m2")
    m1.adopt_baseline()
    world.write("m1", _BASE)
    m1.apply(m1.plan())
    m2.apply(m2.plan())
    return m1, m2


def returned(world: World) -> str:
    """m1 is back, with changes on both sides of every kind: edits, deletes, new directories, conflicts."""
    _, m2 = _agree(world)
    world.write("m2", _THERE)
    world.delete("m2", _GONE_THERE)
    m2.apply(m2.plan())
    world.write("m1", _HERE)
    world.delete("m1", _GONE_HERE)
    return "m1"


def gone(world: World) -> str:
    """m1 published and is gone; m2 may preserve it, or m3."""
    m1, m2 = _agree(world)
    world.join("m3")
    world.write("m2", _THERE)
    world.delete("m2", _GONE_THERE)
    m2.apply(m2.plan())
    world.write("m1", _HERE)
    world.delete("m1", _GONE_HERE)
    m1.publish()
    world.clock.advance(600)
    for name in ("m2", "m3"):
        world.services[name].register()
    for name in ("m2", "m3"):
        world.services[name].check()
    return "m1"


def few(world: World) -> str:
    """m1 is back, with one change of each of a few kinds."""
    _, m2 = _agree(world)
    world.write("m2", {"edited-there.conf": "new there"})
    m2.apply(m2.plan())
    world.write("m1", {"edited-here.conf": "new", "new/new-here.conf": "made here"})
    world.delete("m1", _GONE_HERE)
    return "m1"


def umask() -> None:
    """Modes of new files are the same wherever the tests run."""
    os.umask(0o022)
