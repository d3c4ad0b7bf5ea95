"""A place where heartbeats live, as tests use it: services, damage and outages, the same on every storage."""

import contextlib
import json
import os
import sys
import threading
from datetime import timedelta

import attrs

from heartbeat_kit import (
    HeartbeatConfig,
    HeartbeatService,
    JsonFileStorage,
    MemoryStorage,
    Reason,
    SharedFolderStorage,
    Transition,
)
from heartbeat_kit.testing import FaultyStorage, RecordingListener

INTERVAL = 30
TIMEOUT = 120
PEER = HeartbeatConfig(check_interval=timedelta(hours=12))
"""The configuration of machines that only beat: what they observe is not what a test is about."""


class _BeatsOnly:
    """A handle without the ledger abilities: what its service observes is announced to nobody else."""

    def __init__(self, inner):
        self.traits, self.put, self.load, self.get = inner.traits, inner.put, inner.load, inner.get
        self.remove, self.close = inner.remove, inner.close


class Medium:
    """One storage of one kind, opened by as many services as a test wants.

    Attributes:
        kind: ``memory``, ``json``, ``nfs`` (a coherent folder) or ``synced`` (a folder that delays).
        directory: Where the files are.
        delay: Seconds by which the medium may delay.
    """

    def __init__(self, kind, root, clock):
        self.kind = kind
        self.clock = clock
        self.directory = root / "store"
        self.state = root / "state"
        self.delay = 60 if kind == "synced" else 0
        self._away = root / "store-that-is-away"
        self._memory = MemoryStorage()
        self._handles = []
        self._services = []
        self.directory.mkdir()

    @property
    def in_files(self):
        return self.kind != "memory"

    @property
    def cross_host(self):
        return self.kind in ("nfs", "synced")

    @property
    def deadline(self):
        """Seconds of silence after which a machine has been found offline, two looks and the jitter included."""
        return 2 * TIMEOUT + self.delay + 3 * INTERVAL

    def open(self, **options):
        if self.kind == "memory":
            return self._memory
        if self.kind == "json":
            return JsonFileStorage(self.directory, **options)
        return SharedFolderStorage(self.directory, propagation_delay=timedelta(seconds=self.delay), **options)

    def storage(self, **options):
        """One more handle, as another process would have; faults can be injected into it."""
        handle = FaultyStorage(self.open(**options))
        self._handles.append(handle)
        return handle

    def clock_of(self, skew=0):
        """The clock of another machine: our own where every writer is on our host."""
        return self.clock.sibling(skew=skew) if self.cross_host else self.clock

    def service(self, machine_id, *, config=None, clock=None, storage=None, state=None, host=None):
        """A service whose medium is not in doubt.

        These fleets are so small that where it delays, every death would be a silence of everybody. That has tests of
        its own.
        """
        if self.delay and config in (None, PEER):
            config = attrs.evolve(config or HeartbeatConfig(), silence_hold=timedelta(0))
        service = HeartbeatService(
            storage or self.storage(),
            config,
            clock=clock or self.clock,
            machine_id=machine_id,
            host=host or (machine_id if self.cross_host else "here"),
            state_dir=self.state / (state or machine_id),
        )
        self._services.append(service)
        return service

    def peer(self, machine_id, *, skew=0, config=PEER):
        """A machine that beats in the background; `stop()` is its death, for it says no goodbye."""
        storage = _BeatsOnly(self.storage())
        service = self.service(machine_id, clock=self.clock_of(skew), config=config, storage=storage)
        service.start()
        return service

    def observer(self, machine_id="watcher", **options):
        """A service that beats and looks, what it announces, and its storage."""
        service = self.service(machine_id, **options)
        heard = RecordingListener()
        service.subscribe(heard)
        service.start()
        return service, heard

    def own_file(self, machine_id):
        return self.directory / "heartbeats" / f"{machine_id}.json"

    def damage(self, machine_id, raw=None):
        """Spoil one stored record. In a folder `raw` is its new content (0 bytes by default)."""
        if self.kind == "memory":
            for handle in self._handles:
                handle.corrupt(machine_id)
        elif self.kind == "json":
            path = self.directory / "heartbeats.json"
            document = json.loads(path.read_bytes())
            document["heartbeats"][machine_id] = {"machineId": machine_id, "lastHeartbeat": "yesterday"}
            path.write_text(json.dumps(document))
        else:
            self.own_file(machine_id).write_bytes(raw or b"")

    def take_away(self):
        """Unmount it for everybody."""
        if self.in_files:
            self.directory.rename(self._away)
        for handle in self._handles if not self.in_files else ():
            handle.go_down("not mounted")

    def bring_back(self):
        if self.in_files:
            self._away.rename(self.directory)
        for handle in self._handles if not self.in_files else ():
            handle.come_back()

    def stored(self, machine_id):
        """What a reader that has never looked before finds of a machine, or None."""
        fresh = self.open()
        try:
            return fresh.load().heartbeats.get(machine_id)
        finally:
            if self.in_files:
                fresh.close()

    def close(self):
        for service in self._services:
            service.stop()
        for handle in self._handles:
            handle.close()


def changes(heard, machine_id=None):
    """``(machine, status)`` of every event but first registrations."""
    return [
        (event.machine_id, str(event.after))
        for event in heard.events
        if isinstance(event, Transition)
        and event.reason is not Reason.FIRST_SEEN
        and machine_id in (None, event.machine_id)
    ]


def fingerprint(*folders):
    """Every file below: bytes, modification time and inode, so that a rewrite of equal bytes shows too."""
    files = [path for folder in folders for path in sorted(folder.rglob("*")) if path.is_file()]
    return {str(path): (path.read_bytes(), path.stat().st_mtime_ns, path.stat().st_ino) for path in files}


class WriteLog:
    """Everything this process changes on disk below some folders while the block lasts."""

    def __init__(self, *folders):
        self._roots = tuple(str(folder) for folder in folders)
        self.events = []

    @property
    def files(self):
        """Final names that were written, in order: a temporary counts as the file it becomes."""
        return [path for event, path in self.events if event == "os.rename"]

    def note(self, event, args):
        if event == "open":
            path, _, flags = args
            if not flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND):
                return
        elif event == "os.rename":
            path = args[1]
        elif event in ("os.remove", "os.mkdir", "os.rmdir", "os.link", "os.truncate", "os.utime", "os.chmod"):
            path = args[0]
        else:
            return
        name = os.fsdecode(path) if isinstance(path, str | bytes | os.PathLike) else ""
        if name.startswith(self._roots):
            self.events.append((event, name))


_log = None
_hooked = False


def _hook(event, args):
    if _log is not None:
        _log.note(event, args)


@contextlib.contextmanager
def writes_below(*folders):
    """Record every write, whoever in this process makes it (an audit hook; it cannot be taken away, so it is gated)."""
    global _log, _hooked  # noqa: PLW0603 - an audit hook is global by nature
    if not _hooked:
        _hooked = True
        sys.addaudithook(_hook)
    _log = WriteLog(*folders)
    try:
        yield _log
    finally:
        _log = None


class DeadMount:
    """System calls that reach below a folder hang until `answer()`, as on a dead network mount."""

    def __init__(self, monkeypatch, root):
        self._root = str(root)
        self._answers = threading.Event()
        self._answers.set()
        for name in ("scandir", "lstat", "stat", "open", "replace", "unlink"):
            monkeypatch.setattr(os, name, self._hanging(getattr(os, name)))

    def _hanging(self, call):
        def hung(path, *args, **kwargs):
            if isinstance(path, str | os.PathLike) and os.fspath(path).startswith(self._root):
                self._answers.wait(60)
            return call(path, *args, **kwargs)

        return hung

    def hang(self):
        self._answers.clear()

    def answer(self):
        self._answers.set()
