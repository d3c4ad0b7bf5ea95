"""A small world to sync in: machines with folders, a shared folder, a clock that moves on request, and looks at it all.

Owns what tests of the `SyncCoordinator` share: the building of a world, fingerprints of trees, and an audit hook that
sees every write of this process.
"""

import base64
import contextlib
import hashlib
import json
import os
import stat
import sys
from pathlib import Path

from heartbeat_kit import HeartbeatService, MemoryStorage, SyncCoordinator
from heartbeat_kit.testing import FakeClock

GONE_S = 300
"""After so many seconds of silence a machine is offline."""


class Machine:
    """One machine: its live files, its service and its coordinator."""

    def __init__(self, world, name, **options):
        self.world = world
        self.name = name
        self.folder = world.root / name
        self.state = world.root / f"state-{name}"
        self.folder.mkdir(exist_ok=True)
        self.service = HeartbeatService(
            world.storage, clock=world.clock, machine_id=name, state_dir=world.root / f"service-{name}"
        )
        self.options = options
        self.sync = self.coordinator()

    def coordinator(self, **options):
        """One more coordinator of this machine, as a process that starts anew would make it."""
        given = {"workspace": self.folder, "shared": self.world.share, "state_dir": self.state}
        return SyncCoordinator(self.service, **{**given, **self.options, **options})

    @property
    def local(self):
        """The folder of the archive and the journal."""
        return next(self.state.glob("sync/*/*"))

    def beat(self):
        """Show that it is alive, and look around."""
        self.service.register()
        self.service.check()

    def write(self, path, text, mode=0o644):
        put(self.folder / path, text, mode)

    def read(self, path):
        return (self.folder / path).read_text()

    def files(self):
        return contents(self.folder)

    def again(self, **options):
        """A sync of now, however often there was one: what `sync_on_online` does once for each return."""
        return self.sync.apply(self.sync.plan(**options))


class World:
    """Machines around a shared folder."""

    def __init__(self, root, *, storage=None):
        self.root = Path(root)
        self.clock = FakeClock()
        self.storage = MemoryStorage() if storage is None else storage
        self.share = self.root / "share"
        self.share.mkdir()

    def machine(self, name="m1", files=None, **options):
        made = Machine(self, name, **options)
        for path, text in (files or {}).items():
            made.write(path, text)
        return made

    def begin(self, name="m1", files=None, **options):
        """A machine that made the baseline and agrees with it; no return of it was answered yet."""
        made = self.machine(name, files, **options)
        made.sync.adopt_baseline()
        made.beat()
        made.again()
        return made

    def goes(self, machine, *others):
        """A machine falls silent, and the others find it offline."""
        for each in others:
            each.beat()
        self.clock.advance(GONE_S)
        for each in others:
            each.beat()

    def returns(self, machine, *others):
        """It beats again, a second later."""
        self.clock.advance(1)
        machine.beat()
        for each in others:
            each.beat()

    @property
    def files(self):
        """The folder of the baseline's files."""
        return self.share / "baseline" / "files"

    def baseline(self):
        return contents(self.files)

    def edit(self, path, text, by, mode=0o644):
        """Change the baseline by hand, and announce it."""
        if text is None:
            (self.files / path).unlink(missing_ok=True)
        else:
            put(self.files / path, text, mode)
        by.sync.adopt_baseline()

    def backups(self):
        return sorted((self.share / "backups").glob("*.json"))


def pair(world, files, **options):
    """Two machines that agree with the baseline; the first published its files."""
    first = world.begin("m1", files, **options)
    second = world.machine("m2", **options)
    second.beat()
    second.again()
    first.sync.publish()
    return first, second


def put(path, text, mode=0o644):
    """Write a file with a mode, and the folders it is in."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    path.chmod(mode)


def age(folder):
    """Let the files in a folder be old, as the operating system tells it; the clock of the world cannot."""
    for path in Path(folder).iterdir():
        if path.is_file():
            os.utime(path, (0, 0))


def contents(folder):
    """The contents of the regular files of a folder, by path; names of our own are no files of the user."""
    found = {}
    for path in sorted(Path(folder).rglob("*")):
        name = path.relative_to(folder).as_posix()
        if path.is_file() and not path.is_symlink() and ".hbk-" not in name:
            found[name] = path.read_bytes()
    return found


def fingerprint(*folders, times=True):
    """All that can be seen of trees without changing them: kinds, contents, modes, times and inodes of everything."""
    seen = {}
    for folder in folders:
        for path in [Path(folder), *sorted(Path(folder).rglob("*"))]:
            found = path.lstat()
            content = path.read_bytes() if stat.S_ISREG(found.st_mode) else b""
            if path.is_symlink():
                content = os.readlink(path).encode()
            more = (found.st_mtime_ns, found.st_ctime_ns, found.st_ino, found.st_nlink) if times else ()
            seen[str(path)] = (stat.S_IFMT(found.st_mode), stat.S_IMODE(found.st_mode), content, *more)
    return seen


def tracked(world, *machines):
    """What no refused operation may change: the live files, the baseline's, and what announces and remembers them."""
    seen = fingerprint(*(machine.folder for machine in machines), times=False)
    baseline = world.share / "baseline"
    if baseline.exists():
        seen.update(fingerprint(baseline, times=False))
    return {path: value for path, value in seen.items() if ".hbk-" not in path}


def everything_kept(root):
    """Every content to be found anywhere beneath a folder, those inside backups included."""
    found = set()
    for path in Path(root).rglob("*"):
        if not path.is_file() or path.is_symlink():
            continue
        data = path.read_bytes()
        found.add(data)
        if path.parent.name == "backups":
            with contextlib.suppress(ValueError):
                found.update(base64.b64decode(each) for each in json.loads(data)["data"].values())
    return found


def canonical(record):
    """The form of our documents, written here once more."""
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":")).encode()


def sealed(record):
    """A document with a digest that fits, whatever it says."""
    body = {key: value for key, value in record.items() if key != "digest"}
    return canonical({**body, "digest": hashlib.sha256(canonical(body)).hexdigest()}) + b"\n"


def has_valid_digest(path):
    """Whether a document on disk is the one that was written, by its own digest."""
    data = Path(path).read_bytes()
    return sealed(json.loads(data)) == data


def change(path, **fields):
    """Change fields of a document, its digest made to fit."""
    record = {**json.loads(Path(path).read_bytes()), **fields}
    Path(path).write_bytes(sealed(record))


_WRITING_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND
_WRITING = (
    *("os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.link", "os.symlink", "os.truncate", "os.chmod"),
    *("os.chown", "os.utime", "os.setxattr", "os.removexattr", "os.mkfifo", "os.mknod"),
)
_watchers = []
_hooked = []


def _hook(event, args):
    for watcher in tuple(_watchers):
        watcher(event, args)


@contextlib.contextmanager
def watching(watcher):
    """Call `watcher` with every audit event of this process."""
    if not _hooked:
        sys.addaudithook(_hook)
        _hooked.append(True)
    _watchers.append(watcher)
    try:
        yield
    finally:
        _watchers.remove(watcher)


def writes(event, args):
    """Whether an audit event tells of something that changes the disk."""
    if event == "open":
        path, _, flags = args
        return isinstance(flags, int) and bool(flags & _WRITING_FLAGS) and path != os.devnull
    return event in _WRITING or event.startswith(("heartbeat_kit.sync.", "shutil.", "tempfile."))


@contextlib.contextmanager
def no_writes():
    """Fail at the first event that writes."""
    found = []

    def watcher(event, args):
        if writes(event, args):
            found.append((event, args))
            raise AssertionError(f"{event}{args!r:.200}")

    with watching(watcher):
        yield found
    assert found == []


@contextlib.contextmanager
def write_log():
    """The absolute path of everything that is written; what goes by a descriptor is told by the port before."""
    found, told = [], []

    def watcher(event, args):
        if not writes(event, args):
            return
        if event.startswith("heartbeat_kit.sync."):
            root, *paths = args
            told[:] = [os.path.join(root, path) for path in paths]
            found.extend(told)
            return
        names = [os.fsdecode(each) for each in args[:2] if isinstance(each, str | bytes)]
        names = names[:1] if event in ("open", "os.mkdir", "os.remove", "os.rmdir", "os.utime") else names
        for name in names:
            if os.path.isabs(name):
                found.append(name)
            else:
                assert any(os.path.basename(path) == name for path in told), f"{event} of {name} was not announced"

    with watching(watcher):
        yield found


class Killed(BaseException):
    """The process is gone: nothing it would have done is done."""


@contextlib.contextmanager
def failing_at(number, error):
    """Raise `error` at the write of that number; one that is no `Exception` kills: nothing is written afterwards."""
    count = [0]
    lethal = not isinstance(error, Exception)

    def watcher(event, args):
        if event.startswith("heartbeat_kit.sync."):
            count[0] += 1
            if count[0] == number or (lethal and count[0] > number):
                raise error

    with watching(watcher):
        yield count
