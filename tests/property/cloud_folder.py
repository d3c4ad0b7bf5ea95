"""A shared folder that a sync client keeps in step, one file at a time, and what people did in the meantime.

Owns the simulation: each machine's replica, the server between them, conflict copies, glitches, placeholders; and the
memory of what every person ever saved. Must not know a coordinator.
"""

import base64
import contextlib
import errno
import json
import os
import tempfile
from pathlib import Path, PurePosixPath
from unittest import mock

from heartbeat_kit.sync import _open_directory

MARK = "conflicted copy"


class CloudFolder:
    """Replicas of one folder around a server that holds the newest version of each file, and no older one.

    A client uploads what changed on its side only, downloads what changed on the server only, and if both changed it
    keeps the server's version and puts its own beside it, as Dropbox does. An edit outweighs a delete.
    """

    def __init__(self, root, machines):
        self.replicas = {name: root / f"replica-{name}" for name in machines}
        for replica in self.replicas.values():
            replica.mkdir()
        self.server = {}
        self._known = {name: {} for name in machines}
        self._hidden = {}
        self._held = {}

    def paths(self, machine):
        """What a client could transfer now, sorted: names that are not the same on both ends."""
        here, known = files(self.replicas[machine]), self._known[machine]
        names = {*here, *known, *self.server}
        return sorted(
            path
            for path in names
            if (machine, path) not in self._hidden and not (here.get(path) == known.get(path) == self.server.get(path))
        )

    def transfer(self, machine, path):
        """One file on its way, in whichever direction it has to go."""
        if (machine, path) in self._hidden:
            return  # the client knows that this is not what a person saved
        place = self.replicas[machine] / path
        here = place.read_bytes() if place.is_file() else None
        there, known = self.server.get(path), self._known[machine].get(path)
        if here != known and there not in (known, here) and here is not None:
            if there is not None:
                copy = conflict_copy(path, machine)
                self._put(machine, copy, here)
                self.server[copy] = self._known[machine][copy] = here
                self._put(machine, path, there)
            else:
                there = here
        elif here != known:
            there = here if here is not None or there == known else there
            if here is None and there is not None:
                self._put(machine, path, there)
        else:
            self._put(machine, path, there)
        for side in (self.server, self._known[machine]):
            if there is None:
                side.pop(path, None)
            else:
                side[path] = there

    def settle(self):
        """Everything arrives everywhere."""
        self.heal()
        for _ in range(10):
            moved = [(name, path) for name in self.replicas for path in self.paths(name)]
            if not moved:
                return
            for name, path in moved:
                self.transfer(name, path)
        raise AssertionError(f"the client itself never comes to rest: {moved}")

    def empty(self, machine, path):
        """A file appears empty for a while."""
        self.vanish(machine, path)
        (self.replicas[machine] / path).write_bytes(b"")

    def vanish(self, machine, path):
        """A file is not there for a while; the client knows, and tells nobody."""
        place = self.replicas[machine] / path
        self._hidden.setdefault((machine, path), place.read_bytes())
        place.unlink()

    def hold(self, machine, path):
        """A file becomes a placeholder: its name is there, its content is not."""
        handle = os.open(self.replicas[machine] / path, os.O_RDONLY)  # held open, so that nothing else gets its inode
        found = os.fstat(handle)
        if (found.st_dev, found.st_ino) in self._held:
            os.close(handle)
        else:
            self._held[found.st_dev, found.st_ino] = handle

    def heal(self):
        """Glitches and placeholders are over."""
        for (machine, path), data in self._hidden.items():
            place = self.replicas[machine] / path
            if not place.exists() or place.read_bytes() == b"":
                self._put(machine, path, data)
        self._hidden.clear()
        for handle in self._held.values():
            os.close(handle)
        self._held.clear()

    @contextlib.contextmanager
    def running(self):
        """While this lasts, the content of a placeholder cannot be read; nor does a disk delay anybody."""

        def refuse(found):
            if (found.st_dev, found.st_ino) in self._held:
                raise OSError(errno.ENODATA, "a placeholder")

        with (
            mock.patch.object(_open_directory, "_TELLS_PLACEHOLDERS", True),
            mock.patch.object(_open_directory, "_refuse_placeholder", refuse),
            mock.patch("os.fsync", return_value=None),  # no power is cut here
        ):
            yield

    def contents(self):
        """All that the server and the replicas hold, and what a glitch hides."""
        found = {*self.server.values(), *self._hidden.values()}
        for replica in self.replicas.values():
            found.update(files(replica, ours=False).values())
        return found

    def _put(self, machine, path, data):
        place = self.replicas[machine] / path
        if data is None:
            place.unlink(missing_ok=True)
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        handle, temp = tempfile.mkstemp(dir=self.replicas[machine].parent)
        with open(handle, "wb") as file:
            file.write(data)
        os.replace(temp, place)


def conflict_copy(path, machine):
    """The name of a client's conflict copy.

    >>> conflict_copy("etc/app.conf", "m1")
    "etc/app (m1's conflicted copy 2026-01-01).conf"
    """
    name = PurePosixPath(path)
    return str(name.with_name(f"{name.stem} ({machine}'s {MARK} 2026-01-01){name.suffix}"))


def files(folder, *, ours=True):
    """The contents of the files of a folder, by path; without `ours` none of the sync's trash and temporaries."""
    found, waiting = {}, [(str(folder), "")]
    while waiting:
        directory, prefix = waiting.pop()
        with os.scandir(directory) as entries:
            for entry in entries:
                if entry.name.startswith(".hbk-") and not ours:
                    continue
                if entry.is_dir(follow_symlinks=False):
                    waiting.append((entry.path, f"{prefix}{entry.name}/"))
                else:
                    found[prefix + entry.name] = Path(entry.path).read_bytes()
    return found


class Memory:
    """What people saved, and what they knowingly put in its place.

    A content is kept if it is somewhere, or if something is that a person, or a merge, made of it; and one that a
    person deleted, or overruled by a decision, need not be kept.
    """

    def __init__(self):
        self._heirs = {}
        self._given_up = set()

    def contents(self):
        """All that anybody ever saved, or a merge made."""
        return self._heirs.keys()

    def saved(self, data):
        """A person saved this."""
        self._heirs.setdefault(data, set())

    def replaced(self, old, new):
        """Somebody who had `old` before his eyes chose `new`, or to delete it."""
        if old is None or old == new:
            return
        self._heirs.setdefault(old, set())
        if new is None:
            self._given_up.add(old)
        else:
            self._heirs[old].add(new)
            self._heirs.setdefault(new, set())

    def given_up(self, contents):
        """Nobody needs these any more."""
        self._given_up.update(contents)

    def lost(self, kept):
        """The contents that are nowhere, nor anything made of them."""
        fine = set(kept) | self._given_up
        parents = {}
        for old, heirs in self._heirs.items():
            for new in heirs:
                parents.setdefault(new, set()).add(old)
        waiting = list(fine)
        while waiting:
            for old in parents.get(waiting.pop(), ()):
                if old not in fine:
                    fine.add(old)
                    waiting.append(old)
        return set(self._heirs) - fine


class Backups:
    """The contents inside backups; each file is decoded once."""

    def __init__(self):
        self._known = {}

    def contents(self, folder):
        """Of all backups in a replica, conflict copies of backups included."""
        found = set()
        with contextlib.suppress(FileNotFoundError), os.scandir(folder) as entries:
            for entry in entries:
                if entry.name.endswith(".json") and not entry.name.startswith("."):
                    found |= self._inside(Path(entry.path).read_bytes())
        return found

    def _inside(self, document):
        if document not in self._known:
            try:
                data = json.loads(document)["data"]
            except ValueError:
                return set()
            self._known[document] = {base64.b64decode(each) for each in data.values()}
        return self._known[document]
