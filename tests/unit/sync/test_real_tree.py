"""The port on real files: what is read stood still, what is made is whole, and no link ever leads out of the tree."""

from __future__ import annotations

import contextlib
import errno
import os
import signal
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from hashlib import sha256
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from heartbeat_kit.sync import _open_directory, _real_tree
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._tree import Kind, UnstableFileError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links, FIFOs and descriptors")
needs_root = pytest.mark.skipif(os.name != "nt" and os.geteuid() != 0, reason="only root may")

_listeners: list[Callable[[str, tuple[Any, ...]], None]] = []


def _hook(event: str, arguments: tuple[Any, ...]) -> None:
    if event.startswith("heartbeat_kit.sync.") and _listeners:
        _listeners[-1](event.removeprefix("heartbeat_kit.sync."), arguments)


sys.addaudithook(_hook)  # it cannot be taken off again


class Announced:
    """Collects our audit events, and does something before one of them."""

    def __init__(self) -> None:
        self.events: list[tuple[str, ...]] = []
        self.before: dict[str, Callable[[], None]] = {}

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        self.events.append((event, *arguments[1:]))
        self.before.pop(event, lambda: None)()

    @property
    def names(self) -> list[str]:
        return [event[0] for event in self.events]


@pytest.fixture
def announced() -> Iterator[Announced]:
    _listeners.append(Announced())
    yield _listeners[-1]  # type: ignore[misc]
    _listeners.pop()


@pytest.fixture
def never_blocks() -> Iterator[None]:
    def cry(*_: object) -> None:
        raise AssertionError("it blocks")

    before = signal.signal(signal.SIGALRM, cry)
    signal.alarm(10)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "etc").mkdir(parents=True)
    (folder / "etc" / "app.conf").write_bytes(b"port = 1")
    return folder


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    folder = tmp_path / "outside"
    folder.mkdir()
    (folder / "app.conf").write_bytes(b"secret")
    return folder


@pytest.fixture(params=["descriptors", "paths"])
def tree(request: pytest.FixtureRequest, root: Path, monkeypatch: pytest.MonkeyPatch) -> RealTree:
    """The tree as it is here, and as it is where there are no directory descriptors."""
    if request.param == "paths":
        monkeypatch.setattr(_open_directory, "_HAS_DESCRIPTORS", False)
    return RealTree(str(root))


@pytest.fixture
def here(root: Path) -> RealTree:
    """The tree as it is on this system alone."""
    return RealTree(str(root))


def refuse(monkeypatch: pytest.MonkeyPatch, function: str, number: int, *, times: int = 1000) -> list[int]:
    """Let a function of `os` fail; returns a list that grows with each call."""
    real, calls = getattr(os, function), []

    def fail(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        if len(calls) <= times:
            raise OSError(number, os.strerror(number))
        return real(*args, **kwargs)

    monkeypatch.setattr(os, function, fail)
    return calls


def before_each(monkeypatch: pytest.MonkeyPatch, function: str, act: Callable[[int, tuple[Any, ...]], None]) -> None:
    """Do something before each call of a function of `os`: (number of the call, its arguments)."""
    real, calls = getattr(os, function), []

    def acting(*args: Any, **kwargs: Any) -> Any:
        calls.append(1)
        act(len(calls), args)
        return real(*args, **kwargs)

    monkeypatch.setattr(os, function, acting)


def all_of(folder: Path) -> dict[str, bytes | str]:
    return {
        str(path.relative_to(folder)): os.readlink(path) if path.is_symlink() else path.read_bytes()
        for path in folder.rglob("*")
        if path.is_symlink() or path.is_file()
    }


MUTATIONS: dict[str, Callable[[RealTree, str], None]] = {
    "create": lambda tree, folder: tree.create(f"{folder}/new", b"x", mode=0o600),
    "mkdir": lambda tree, folder: tree.mkdir(f"{folder}/new"),
    "exchange": lambda tree, folder: tree.exchange(f"{folder}/app.conf", "other"),
    "move out": lambda tree, folder: tree.move(f"{folder}/app.conf", "new"),
    "move in": lambda tree, folder: tree.move("other", f"{folder}/new"),
    "link": lambda tree, folder: tree.link(f"{folder}/app.conf", "new"),
    "replace": lambda tree, folder: tree.replace("other", f"{folder}/app.conf"),
    "remove": lambda tree, folder: tree.remove(f"{folder}/app.conf"),
}


class TestReading:
    def test_a_file_is_read_with_its_hash_and_its_stat(self, tree: RealTree, root: Path) -> None:
        content = tree.read("etc/app.conf")
        assert (content.data, content.sha256) == (b"port = 1", sha256(b"port = 1").hexdigest())
        assert content.stat == tree.stat("etc/app.conf")
        looked = (root / "etc" / "app.conf").stat()
        assert (content.stat.inode, content.stat.size, content.stat.kind) == (looked.st_ino, 8, Kind.FILE)

    @pytest.mark.parametrize("size", [0, 1, (1 << 20) - 1, 1 << 20, (1 << 20) + 1, (2 << 20) + 7])
    def test_every_length_is_read_to_its_end(self, here: RealTree, root: Path, size: int) -> None:
        data = os.urandom(size)
        (root / "big").write_bytes(data)
        assert here.read("big").data == data
        assert here.read("big", keep=False)[::2] == (sha256(data).hexdigest(), b"")

    def test_a_system_that_gives_less_than_is_asked_for_is_asked_again(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.read
        monkeypatch.setattr(os, "read", lambda handle, size: real(handle, min(size, 3)))
        assert here.read("etc/app.conf").data == b"port = 1"
        assert here.read("etc/app.conf", keep=False).sha256 == sha256(b"port = 1").hexdigest()

    def test_more_than_the_limit_is_refused_unread(self, tree: RealTree, monkeypatch: pytest.MonkeyPatch) -> None:
        assert tree.read("etc/app.conf", limit=8).data == b"port = 1"
        reads = refuse(monkeypatch, "read", errno.EIO)
        with pytest.raises(OSError, match="at most 7") as found:
            tree.read("etc/app.conf", limit=7)
        assert (found.value.errno, reads) == (errno.EFBIG, [])

    def test_a_link_at_the_end_is_never_followed(self, tree: RealTree, root: Path, outside: Path) -> None:
        (root / "etc" / "link").symlink_to(outside / "app.conf")
        with pytest.raises(OSError, match="symbolic link") as found:
            tree.read("etc/link")
        assert found.value.errno == errno.ELOOP
        assert found.value.filename == str(root / "etc" / "link")
        seen = tree.stat("etc/link")
        assert seen is not None
        assert seen.kind is Kind.LINK

    def test_a_link_on_the_way_is_never_followed(self, tree: RealTree, root: Path, outside: Path) -> None:
        (root / "way").symlink_to(outside)
        for look in (tree.read, tree.stat, tree.sync_file):
            with pytest.raises(OSError, match="directory") as found:
                look("way/app.conf")
            assert found.value.errno in {errno.ENOTDIR, errno.ELOOP}
            assert found.value.filename == str(root / "way")
        for walk in (tree.list, tree.sync):
            with pytest.raises(NotADirectoryError):
                walk("way")

    def test_a_fifo_a_socket_and_a_directory_are_refused_at_once(
        self, tree: RealTree, root: Path, never_blocks: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        os.mkfifo(root / "fifo")
        monkeypatch.chdir(root)
        with socket.socket(socket.AF_UNIX) as made:
            made.bind("socket")
        for name in ("fifo", "socket", "etc"):
            for refused in (tree.read, tree.sync_file):
                with pytest.raises(OSError, match="not a file") as found:
                    refused(name)
                assert found.value.errno == errno.EINVAL
        assert [(name, seen.kind) for name, seen in tree.list("")] == [
            ("etc", Kind.DIRECTORY),
            ("fifo", Kind.OTHER),
            ("socket", Kind.OTHER),
        ]

    def test_a_fifo_that_takes_the_place_of_the_file_does_not_block(
        self, here: RealTree, root: Path, never_blocks: None, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def swap(_: int, arguments: tuple[Any, ...]) -> None:
            if arguments[0] == "app.conf":
                (root / "etc" / "app.conf").unlink()
                os.mkfifo(root / "etc" / "app.conf")

        before_each(monkeypatch, "open", swap)
        with pytest.raises(OSError, match="not a file"):
            here.read("etc/app.conf")
        (root / "etc" / "app.conf").unlink()
        (root / "etc" / "app.conf").write_bytes(b"")
        with pytest.raises(OSError, match="not a file"):
            here.sync_file("etc/app.conf")

    @needs_root
    def test_a_device_is_never_opened(self, tree: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        try:
            os.mknod(root / "etc" / "zero", stat.S_IFCHR | 0o600, os.makedev(1, 5))
        except PermissionError:
            pytest.skip("no devices may be made here")
        opened: list[str] = []
        before_each(monkeypatch, "open", lambda _, arguments: opened.append(os.path.basename(arguments[0])))
        for refused in (tree.read, tree.sync_file):
            with pytest.raises(OSError, match="a device, not a file"):
                refused("etc/zero")
        assert "zero" not in opened

    def test_a_file_that_never_stands_still_is_unstable(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def grow(*_: object) -> None:
            with open(root / "etc" / "app.conf", "ab") as file:
                file.write(b"x")

        before_each(monkeypatch, "read", grow)
        opened: list[int] = []
        before_each(monkeypatch, "open", lambda _, arguments: opened.append(arguments[0] == "app.conf"))
        with pytest.raises(UnstableFileError, match="4 times") as found:
            here.read("etc/app.conf")
        assert found.value.filename == str(root / "etc" / "app.conf")
        assert sum(opened) == 4

    def test_a_file_that_grows_without_end_is_not_read_without_end(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (root / "log").write_bytes(bytes(3 << 20))
        got: list[int] = []
        real = os.read

        def read(handle: int, size: int) -> bytes:
            with open(root / "log", "ab") as file:
                file.write(bytes(1 << 20))
            got.append(size)
            return real(handle, size)

        monkeypatch.setattr(os, "read", read)
        with pytest.raises(UnstableFileError):
            here.read("log", keep=False)
        assert len(got) < 100

    @pytest.mark.parametrize("change", ["grown", "cut", "rewritten with its old time"])
    def test_a_file_that_changed_while_it_was_read_is_read_again(
        self, tree: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch, change: str
    ) -> None:
        path = root / "etc" / "app.conf"
        old = path.stat()
        new = {"grown": b"port = 1\nhost = 2", "cut": b"port", "rewritten with its old time": b"port = 2"}[change]

        def act(number: int, _: object) -> None:
            if number == 1:
                path.write_bytes(new)
                if change.startswith("rewritten"):
                    for _ in range(10_000):  # until the clock of the file system has moved on
                        os.utime(path, ns=(old.st_atime_ns, old.st_mtime_ns))
                        if path.stat().st_ctime_ns != old.st_ctime_ns:
                            break

        # After the first fstat, before the first read.
        before_each(monkeypatch, "read", act)
        real, seen = os.read, []
        monkeypatch.setattr(os, "read", lambda *given: seen.append(1) or real(*given))
        content = tree.read("etc/app.conf")
        assert (content.data, content.stat.size) == (new, len(new))
        assert len(seen) > 1

    def test_another_file_that_takes_its_place_is_looked_at_anew(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """The stat that is returned is that of what was read, not of what had been there."""
        (root / "new").write_bytes(b"port = 2")
        wanted = (root / "new").stat().st_ino
        opened: list[int] = []

        def swap(_: int, arguments: tuple[Any, ...]) -> None:
            if arguments[0] == "app.conf":
                opened.append(1)
                if len(opened) == 1:
                    (root / "new").replace(root / "etc" / "app.conf")

        before_each(monkeypatch, "open", swap)
        with here.reading("etc") as directory:
            ((name, seen),) = directory.list()
            content = directory.read(name, seen)
        assert (content.data, content.stat.inode, len(opened)) == (b"port = 2", wanted, 2)

    def test_a_change_between_looking_and_opening_is_in_the_stat(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def rewrite(_: int, arguments: tuple[Any, ...]) -> None:
            if arguments[0] == "app.conf":
                with open(root / "etc" / "app.conf", "ab") as file:
                    file.write(b"0")

        before_each(monkeypatch, "open", rewrite)
        content = here.read("etc/app.conf")
        assert (content.data, content.stat) == (b"port = 10", here.stat("etc/app.conf"))

    def test_a_file_that_grew_within_a_tick_of_the_clock_is_read_again(
        self, here: RealTree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real, calls = os.fstat, []
        names = [name for name in dir(os.stat_result) if name.startswith("st_")]

        def fstat(handle: int) -> Any:
            calls.append(1)
            found = real(handle)
            if len(calls) != 2:
                return found
            return SimpleNamespace(**{name: getattr(found, name) for name in names} | {"st_size": 9})

        monkeypatch.setattr(os, "fstat", fstat)
        assert here.read("etc/app.conf").data == b"port = 1"
        assert len(calls) == 4

    def test_a_placeholder_is_not_even_opened_where_that_recalls_it(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(_open_directory, "_HAS_DESCRIPTORS", False)
        real = os.lstat
        names = [name for name in dir(os.stat_result) if name.startswith("st_")]

        def lstat(path: str) -> SimpleNamespace:
            return SimpleNamespace(
                **{name: getattr(real(path), name) for name in names} | {"st_file_attributes": 0x4_0000}
            )

        with RealTree(root).reading("etc") as directory:
            monkeypatch.setattr(os, "lstat", lstat)
            opened = refuse(monkeypatch, "open", errno.EIO)
            with pytest.raises(OSError, match="placeholder"):
                directory.read("app.conf")
        assert opened == []

    def test_what_may_not_be_read_says_which_file_it_is(
        self, tree: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def closed(path: str, *arguments: Any, **settings: Any) -> int:
            if path.endswith("app.conf"):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return real(path, *arguments, **settings)

        monkeypatch.setattr(os, "open", closed)
        with pytest.raises(PermissionError, match=str(root / "etc" / "app.conf")):
            tree.read("etc/app.conf")

    @pytest.mark.parametrize("mark", [{"st_file_attributes": 0x40_0000}, {"st_flags": 0x4000_0000}])
    def test_a_cloud_clients_placeholder_is_not_read(
        self, tree: RealTree, monkeypatch: pytest.MonkeyPatch, mark: dict[str, int]
    ) -> None:
        """Reading it would wait for the network, and may fill the disk."""
        real = os.fstat
        names = [name for name in dir(os.stat_result) if name.startswith("st_")]
        monkeypatch.setattr(_open_directory, "_TELLS_PLACEHOLDERS", True)
        monkeypatch.setattr(
            os, "fstat", lambda handle: SimpleNamespace(**{name: getattr(real(handle), name) for name in names} | mark)
        )
        reads = refuse(monkeypatch, "read", errno.EIO)
        with pytest.raises(OSError, match="placeholder") as found:
            tree.read("etc/app.conf")
        assert (found.value.errno, reads) == (errno.ENODATA, [])

    def test_a_listing_is_sorted_and_has_what_stat_says(self, tree: RealTree, root: Path) -> None:
        for name in ("b", "a", "c"):
            (root / "etc" / name).write_bytes(b"")
        listed = tree.list("etc")
        assert [name for name, _ in listed] == ["a", "app.conf", "b", "c"]
        assert all(seen == tree.stat(f"etc/{name}") for name, seen in listed)

    def test_a_name_that_vanishes_while_it_is_listed_is_left_out(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (root / "etc" / "gone").write_bytes(b"")
        real = os.scandir

        class Listing:
            def __init__(self, place: int) -> None:
                self._real = real(place)

            def __enter__(self) -> Iterator[os.DirEntry[str]]:
                found = list(self._real.__enter__())
                (root / "etc" / "gone").unlink(missing_ok=True)
                return iter(found)

            def __exit__(self, *error: object) -> None:
                self._real.close()

        monkeypatch.setattr(os, "scandir", Listing)
        assert [name for name, _ in here.list("etc")] == ["app.conf"]

    def test_a_directory_whose_names_cannot_be_looked_at_is_an_error(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Read permission without search permission: left out, they would count as deleted."""
        unseen = SimpleNamespace(name="app.conf", path="app.conf", stat=lambda **_: refused())

        def refused() -> None:
            raise PermissionError(errno.EACCES, "Permission denied", "app.conf")

        monkeypatch.setattr(os, "scandir", lambda _: contextlib.nullcontext([unseen]))
        with pytest.raises(PermissionError, match=str(root / "etc")):
            here.list("etc")

    @pytest.mark.skipif(sys.platform == "darwin", reason="macOS refuses such names")
    def test_undecodable_names_come_back_as_they_are(self, tree: RealTree, root: Path) -> None:
        (root / os.fsdecode(b"\xff.conf")).write_bytes(b"x")
        assert [name for name, _ in tree.list("")] == ["etc", "\udcff.conf"]
        assert tree.read("\udcff.conf").data == b"x"

    def test_reading_announces_nothing(self, tree: RealTree, announced: Announced) -> None:
        tree.list("")
        tree.read("etc/app.conf")
        tree.stat("etc/app.conf")
        assert announced.events == []


class TestTheRoot:
    def test_a_link_to_the_root_is_followed(self, tmp_path: Path, root: Path) -> None:
        (tmp_path / "alias").symlink_to(root)
        assert RealTree(str(tmp_path / "alias")).read("etc/app.conf").data == b"port = 1"

    def test_a_relative_root_stays_where_it_was(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.chdir(root.parent)
        tree = RealTree("tree")
        monkeypatch.chdir("/")
        assert tree.root == str(root)
        assert tree.read("etc/app.conf").data == b"port = 1"

    def test_a_missing_file_is_none_but_a_missing_root_is_an_error(self, tree: RealTree, root: Path) -> None:
        """A share that is not mounted holds no deleted files."""
        assert tree.stat("etc/missing") is None
        assert tree.stat("missing/too") is None
        root.rename(root.parent / "elsewhere")
        assert tree.stat("") is None
        for look in (tree.stat, tree.read, tree.list):
            with pytest.raises(FileNotFoundError, match=str(root)):
                look("etc")

    def test_a_root_that_comes_back_is_found_again(self, tree: RealTree, root: Path) -> None:
        root.rename(root.parent / "elsewhere")
        (root / "etc").mkdir(parents=True)
        (root / "etc" / "app.conf").write_bytes(b"port = 2")
        assert tree.read("etc/app.conf").data == b"port = 2"

    @pytest.mark.parametrize(
        "path", ["../outside/app.conf", "/etc/passwd", "etc/../../outside", "etc//a", "./a", "a\0"]
    )
    def test_a_path_that_could_leave_it_is_refused_by_every_method(
        self, tree: RealTree, root: Path, outside: Path, path: str
    ) -> None:
        before = all_of(root.parent)
        calls: list[Callable[[], object]] = [
            lambda: tree.stat(path),
            lambda: tree.list(path),
            lambda: tree.read(path),
            lambda: tree.create(path, b"x", mode=0o600),
            lambda: tree.mkdir(path),
            lambda: tree.exchange(path, "etc/app.conf"),
            lambda: tree.move("etc/app.conf", path),
            lambda: tree.link("etc/app.conf", path),
            lambda: tree.replace("etc/app.conf", path),
            lambda: tree.remove(path),
            lambda: tree.sync(path),
            lambda: tree.sync_file(path),
        ]
        for call in calls:
            with pytest.raises(OSError, match="not a path beneath") as found:
                call()
            assert found.value.errno == errno.EINVAL
        assert all_of(root.parent) == before

    def test_it_is_never_made_or_removed_itself(self, tree: RealTree, root: Path) -> None:
        for call in (tree.mkdir, tree.remove, tree.sync_file, lambda path: tree.create(path, b"", mode=0o600)):
            with pytest.raises(OSError, match="root itself"):
                call("")


class TestCreating:
    def test_a_file_is_made_with_content_and_mode(self, tree: RealTree, root: Path, announced: Announced) -> None:
        before = os.umask(0o077)
        try:
            tree.create("etc/new", b"x" * 10, mode=0o644)
        finally:
            os.umask(before)
        made = root / "etc" / "new"
        assert (made.read_bytes(), stat.S_IMODE(made.stat().st_mode)) == (b"x" * 10, 0o644)
        assert announced.events == [(step, "etc/new") for step in ("create", "write", "chmod", "fsync")]

    def test_it_is_private_until_it_is_whole(self, here: RealTree, root: Path, announced: Announced) -> None:
        seen: list[int] = []
        for step in ("write", "chmod"):
            announced.before[step] = lambda: seen.append(stat.S_IMODE((root / "new").stat().st_mode))
        here.create("new", b"x", mode=0o666)
        assert seen == [0o600, 0o600]

    def test_its_content_is_flushed_by_the_descriptor_that_wrote_it(
        self, here: RealTree, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        used: list[tuple[str, int]] = []
        before_each(monkeypatch, "write", lambda _, arguments: used.append(("write", arguments[0])))
        before_each(monkeypatch, "fsync", lambda _, arguments: used.append(("fsync", arguments[0])))
        here.create("new", b"x", mode=0o600)
        assert [name for name, _ in used] == ["write", "fsync"]
        assert used[0][1] == used[1][1]

    def test_an_empty_file_is_flushed_too(self, tree: RealTree, announced: Announced) -> None:
        tree.create("new", b"", mode=0o600)
        assert announced.names == ["create", "chmod", "fsync"]

    def test_short_writes_are_continued(
        self, here: RealTree, root: Path, announced: Announced, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.write
        monkeypatch.setattr(os, "write", lambda handle, data: real(handle, data[:3]))
        here.create("new", b"0123456789", mode=0o600)
        assert (root / "new").read_bytes() == b"0123456789"
        assert announced.names.count("write") == 4

    def test_a_write_that_writes_nothing_is_an_error(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch, never_blocks: None
    ) -> None:
        monkeypatch.setattr(os, "write", lambda *_: 0)
        with pytest.raises(OSError, match="nothing of the content") as found:
            here.create("new", b"x", mode=0o600)
        assert found.value.errno == errno.EIO
        assert not (root / "new").exists()

    @pytest.mark.parametrize(
        ("function", "number"),
        [
            ("write", errno.ENOSPC),
            ("write", errno.EIO),
            ("fchmod", errno.EIO),
            ("fsync", errno.EIO),
            ("fsync", errno.ENOSPC),
            ("fsync", errno.EINVAL),
        ],
    )
    def test_what_failed_is_removed_and_never_tried_again(
        self, tree: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch, function: str, number: int
    ) -> None:
        calls = refuse(monkeypatch, function, number)
        with pytest.raises(OSError, match=str(root / "etc" / "new")) as found:
            tree.create("etc/new", b"x", mode=0o600)
        assert (found.value.errno, len(calls)) == (number, 1)
        assert all_of(root) == {"etc/app.conf": b"port = 1"}

    def test_a_close_that_fails_is_a_failure(
        self, here: RealTree, root: Path, announced: Announced, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """File servers tell of a full disk there."""
        real, armed = os.close, []
        announced.before["fsync"] = lambda: armed.append(1)

        def close(handle: int) -> None:
            real(handle)
            if armed and armed.pop():
                raise OSError(errno.EDQUOT, "quota")

        monkeypatch.setattr(os, "close", close)
        with pytest.raises(OSError, match="quota"):
            here.create("etc/new", b"x", mode=0o600)
        assert all_of(root) == {"etc/app.conf": b"port = 1"}

    def test_a_removal_that_fails_too_hides_nothing(self, here: RealTree, monkeypatch: pytest.MonkeyPatch) -> None:
        refuse(monkeypatch, "fsync", errno.EIO)
        removed = refuse(monkeypatch, "unlink", errno.EROFS)
        with pytest.raises(OSError, match="new") as found:
            here.create("new", b"x", mode=0o600)
        assert (found.value.errno, removed) == (errno.EIO, [1])

    def test_an_interruption_leaves_nothing_either(self, here: RealTree, root: Path, announced: Announced) -> None:
        def interrupt() -> None:
            raise KeyboardInterrupt

        announced.before["fsync"] = interrupt
        with pytest.raises(KeyboardInterrupt):
            here.create("new", b"x", mode=0o600)
        assert announced.names[-1] == "remove"
        assert not (root / "new").exists()

    def test_what_is_there_stays(self, tree: RealTree, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside / "made-through-the-link")
        for path in ("etc/app.conf", "link", "etc"):
            with pytest.raises(FileExistsError, match=str(root / path)):
                tree.create(path, b"x", mode=0o600)
        assert all_of(root) == {"etc/app.conf": b"port = 1", "link": str(outside / "made-through-the-link")}
        assert not (outside / "made-through-the-link").exists()

    @pytest.mark.parametrize("mode", [0o4755, 0o2755, 0o1755, -1])
    def test_special_bits_are_refused(self, here: RealTree, root: Path, mode: int) -> None:
        for call in (lambda: here.create("new", b"x", mode=mode), lambda: here.mkdir("new", mode=mode)):
            with pytest.raises(ValueError, match="setuid"):
                call()
        assert not (root / "new").exists()

    @pytest.mark.parametrize("number", [errno.EPERM, errno.EOPNOTSUPP])
    def test_a_file_system_without_modes_is_no_failure(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        refuse(monkeypatch, "fchmod", number)
        here.create("new", b"x", mode=0o644)
        assert stat.S_IMODE((root / "new").stat().st_mode) == 0o600

    @needs_root
    def test_root_gives_it_to_its_owner(
        self, here: RealTree, root: Path, announced: Announced, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        try:
            os.chown(root / "etc", 1234, 2345)
        except PermissionError:
            pytest.skip("this root may not give files away")
        here.create("given", b"x", mode=0o640, owner=(1234, 2345))
        made = (root / "given").stat()
        assert (made.st_uid, made.st_gid, stat.S_IMODE(made.st_mode)) == (1234, 2345, 0o640)
        assert announced.names == ["create", "write", "chown", "chmod", "fsync"]
        refuse(monkeypatch, "fchown", errno.EPERM)
        here.create("kept", b"x", mode=0o640, owner=(1234, 2345))
        assert (root / "kept").stat().st_uid == 0

    def test_others_do_not_try_to(self, here: RealTree, announced: Announced, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(os, "geteuid", lambda: 1000)
        here.create("new", b"x", mode=0o640, owner=(1234, 2345))
        assert "chown" not in announced.names

    def test_a_directory_is_made_once(self, tree: RealTree, root: Path, announced: Announced) -> None:
        tree.mkdir("etc/sub", mode=0o700)
        assert stat.S_IMODE((root / "etc" / "sub").stat().st_mode) == 0o700
        assert announced.events == [("mkdir", "etc/sub")]
        with pytest.raises(FileExistsError):
            tree.mkdir("etc/sub")


class TestRenaming:
    def test_names_are_exchanged(self, here: RealTree, root: Path, announced: Announced) -> None:
        (root / "other").write_bytes(b"other")
        if not here.can_exchange:
            pytest.skip("this file system cannot")
        announced.events.clear()
        here.exchange("etc/app.conf", "other")
        assert all_of(root) == {"etc/app.conf": b"other", "other": b"port = 1"}
        assert announced.events == [("exchange", "etc/app.conf", "other")]

    def test_whether_it_can_is_found_by_trying_once(self, here: RealTree, root: Path, announced: Announced) -> None:
        assert here.can_exchange == here.can_exchange
        assert all_of(root) == {"etc/app.conf": b"port = 1"}
        if here.can_exchange:
            assert announced.names == ["mkdir", "create", "create", "exchange", "remove", "remove"]

    @pytest.mark.parametrize("number", [errno.ENOTSUP, errno.EPERM])
    def test_a_file_system_that_cannot_is_remembered(
        self, here: RealTree, root: Path, announced: Announced, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        calls: list[int] = []

        def refused(*_: object) -> None:
            calls.append(1)
            raise OSError(number, "no")

        monkeypatch.setattr(_real_tree, "exchange", refused)
        monkeypatch.setattr(_real_tree, "is_supported", lambda: True)
        assert not here.can_exchange
        assert not here.can_exchange
        assert len(calls) == 1
        assert all_of(root) == {"etc/app.conf": b"port = 1"}

    def test_a_root_that_cannot_be_written_cannot_exchange(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def read_only(path: str, flags: int, *arguments: Any, **settings: Any) -> int:
            if flags & os.O_CREAT:
                raise OSError(errno.EROFS, "Read-only file system", path)
            return real(path, flags, *arguments, **settings)

        monkeypatch.setattr(os, "open", read_only)
        assert not here.can_exchange

    def test_no_descriptors_no_exchange(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(_open_directory, "_HAS_DESCRIPTORS", False)
        tree = RealTree(root)
        assert not tree.can_exchange
        with pytest.raises(OSError, match="cannot exchange") as found:
            tree.exchange("etc/app.conf", "etc/app.conf")
        assert found.value.errno == errno.ENOTSUP

    def test_a_refusal_in_a_mounted_folder_is_remembered(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise OSError(errno.ENOTSUP, "no", "other", None, "app.conf")

        asked = here.can_exchange
        monkeypatch.setattr(_real_tree, "exchange", refused)
        with pytest.raises(OSError, match="no") as found:
            here.exchange("other", "etc/app.conf")
        assert (found.value.filename, found.value.filename2) == (str(root / "other"), str(root / "etc" / "app.conf"))
        assert not here.can_exchange
        assert asked in {True, False}

    def test_a_move_never_replaces(self, here: RealTree, root: Path, announced: Announced) -> None:
        (root / "other").write_bytes(b"other")
        with pytest.raises(FileExistsError, match=str(root / "other")):
            here.move("other", "etc/app.conf")
        assert all_of(root) == {"etc/app.conf": b"port = 1", "other": b"other"}
        here.move("other", "etc/new")
        assert all_of(root) == {"etc/app.conf": b"port = 1", "etc/new": b"other"}
        assert announced.events == [("move", "other", "etc/app.conf"), ("move", "other", "etc/new")]

    @pytest.mark.parametrize("target", ["etc/new", ".hbk-trash/new"])
    def test_it_never_replaces_where_the_system_has_no_such_rename(
        self, here: RealTree, root: Path, announced: Announced, monkeypatch: pytest.MonkeyPatch, target: str
    ) -> None:
        def refused(*_: object) -> None:
            raise OSError(errno.ENOTSUP, "no")

        monkeypatch.setattr(_real_tree, "move_noreplace", refused)
        (root / ".hbk-trash").mkdir()
        (root / target).write_bytes(b"taken")
        with pytest.raises(FileExistsError, match="new"):
            here.move("etc/app.conf", target)
        assert all_of(root) == {"etc/app.conf": b"port = 1", target: b"taken"}
        (root / target).unlink()
        announced.events.clear()
        inode = (root / "etc" / "app.conf").stat().st_ino
        here.move("etc/app.conf", target)
        assert all_of(root) == {target: b"port = 1"}
        assert (root / target).stat().st_ino == inode
        assert announced.names == (["move"] if target.startswith(".hbk") else ["move", "remove"])

    def test_a_save_during_such_a_move_away_is_moved_too_and_not_lost(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Linked and unlinked, it would be the new file that loses its only name."""

        def save_and_refuse(*_: object) -> None:
            (root / "new").write_bytes(b"saved")
            (root / "new").replace(root / "etc" / "app.conf")
            raise OSError(errno.ENOTSUP, "no")

        monkeypatch.setattr(_real_tree, "move_noreplace", save_and_refuse)
        (root / ".hbk-trash").mkdir()
        before_each(monkeypatch, "link", lambda *_: pytest.fail("linked"))
        here.move("etc/app.conf", ".hbk-trash/x")
        assert all_of(root) == {".hbk-trash/x": b"saved"}

    def test_other_refusals_of_a_move_are_not_worked_around(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def refused(*_: object) -> None:
            raise OSError(errno.EXDEV, "another device")

        monkeypatch.setattr(_real_tree, "move_noreplace", refused)
        with pytest.raises(OSError, match="another device"):
            here.move("etc/app.conf", ".hbk-x")
        assert all_of(root) == {"etc/app.conf": b"port = 1"}

    def test_a_second_name_is_given_once(self, tree: RealTree, root: Path, announced: Announced) -> None:
        tree.link("etc/app.conf", "new")
        assert (root / "new").stat().st_ino == (root / "etc" / "app.conf").stat().st_ino
        assert announced.events == [("link", "etc/app.conf", "new")]
        with pytest.raises(FileExistsError):
            tree.link("etc/app.conf", "new")

    def test_a_link_gets_a_second_name_itself(self, here: RealTree, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside / "app.conf")
        here.link("link", "again")
        assert (root / "again").is_symlink()

    def test_replace_takes_the_name(self, tree: RealTree, root: Path, announced: Announced) -> None:
        (root / "other").write_bytes(b"other")
        tree.replace("other", "etc/app.conf")
        assert all_of(root) == {"etc/app.conf": b"other"}
        assert announced.events == [("replace", "other", "etc/app.conf")]

    def test_a_move_without_descriptors(self, tree: RealTree, root: Path) -> None:
        tree.move("etc/app.conf", "new")
        assert all_of(root) == {"new": b"port = 1"}

    def test_remove_removes_a_name_and_no_directory(self, tree: RealTree, root: Path, announced: Announced) -> None:
        with pytest.raises(OSError, match=str(root / "etc")):
            tree.remove("etc")
        tree.remove("etc/app.conf")
        assert all_of(root) == {}
        assert announced.events == [("remove", "etc"), ("remove", "etc/app.conf")]


class TestDurability:
    @pytest.mark.parametrize("number", [errno.EINVAL, errno.ENOTSUP])
    def test_a_medium_that_cannot_flush_directories_is_passed_over(
        self, here: RealTree, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        calls = refuse(monkeypatch, "fsync", number)
        here.sync("etc")
        here.sync("")
        assert len(calls) == 2

    @pytest.mark.parametrize("number", [errno.EIO, errno.ENOSPC, errno.EACCES, errno.EBADF, errno.EISDIR, errno.EROFS])
    def test_every_other_failure_is_told_once(
        self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        calls = refuse(monkeypatch, "fsync", number)
        with pytest.raises(OSError, match=str(root / "etc")) as found:
            here.sync("etc")
        assert (found.value.errno, len(calls)) == (number, 1)

    def test_a_missing_directory_is_an_error(self, here: RealTree) -> None:
        with pytest.raises(FileNotFoundError):
            here.sync("missing")

    @pytest.mark.parametrize("number", [errno.EIO, errno.EINVAL])
    def test_a_content_that_cannot_be_flushed_is_always_a_failure(
        self, tree: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch, number: int
    ) -> None:
        calls = refuse(monkeypatch, "fsync", number)
        with pytest.raises(OSError, match=str(root / "etc" / "app.conf")) as found:
            tree.sync_file("etc/app.conf")
        assert (found.value.errno, len(calls)) == (number, 1)

    def test_both_flushes_are_announced(self, here: RealTree, announced: Announced) -> None:
        here.sync("etc")
        here.sync_file("etc/app.conf")
        assert announced.events == [("sync", "etc"), ("fsync", "etc/app.conf")]


class TestConfinement:
    @pytest.mark.parametrize("name", MUTATIONS)
    def test_a_link_on_the_way_leads_nowhere(self, tree: RealTree, root: Path, outside: Path, name: str) -> None:
        """A parent that was a directory a moment ago and is a link now."""
        (root / "other").write_bytes(b"other")
        (root / "etc").rename(root / "kept")
        (root / "etc").symlink_to(outside)
        before = all_of(root.parent)
        with pytest.raises(OSError, match="director") as found:
            MUTATIONS[name](tree, "etc")
        assert found.value.errno in {errno.ENOTDIR, errno.ELOOP}
        assert all_of(root.parent) == before

    @pytest.mark.parametrize("name", MUTATIONS)
    def test_a_link_that_takes_the_parents_place_meanwhile_leads_nowhere(
        self, here: RealTree, root: Path, outside: Path, announced: Announced, name: str
    ) -> None:
        """Between the opening of the directory and the system call: it happens in the directory that was opened."""
        (root / "other").write_bytes(b"other")
        if name == "exchange" and not here.can_exchange:
            pytest.skip("this file system cannot")

        def swap() -> None:
            (root / "etc").rename(root / "kept")
            (root / "etc").symlink_to(outside)

        announced.before[name.split(maxsplit=1)[0]] = swap
        before = all_of(root)
        MUTATIONS[name](here, "etc")
        assert all_of(outside) == {"app.conf": b"secret"}
        assert sorted(os.listdir(outside)) == ["app.conf"]
        assert (root / "etc").is_symlink()
        assert all_of(root) != before

    def test_a_listing_and_its_files_are_of_one_directory(self, here: RealTree, root: Path, outside: Path) -> None:
        with here.reading("etc") as directory:
            listed = directory.list()
            (root / "etc").rename(root / "kept")
            (root / "etc").symlink_to(outside)
            assert [directory.read(name, seen).data for name, seen in listed] == [b"port = 1"]

    def test_a_link_at_the_end_is_what_is_moved_and_removed(self, tree: RealTree, root: Path, outside: Path) -> None:
        (root / "link").symlink_to(outside / "app.conf")
        tree.move("link", "moved")
        tree.remove("moved")
        assert all_of(outside) == {"app.conf": b"secret"}
        assert all_of(root) == {"etc/app.conf": b"port = 1"}

    @pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no list of open files")
    def test_no_descriptor_stays_open(self, here: RealTree, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        (root / "link").symlink_to(root)
        (root / "other").write_bytes(b"x")
        assert here.can_exchange in {True, False}
        before = len(os.listdir("/proc/self/fd"))
        for folder in ("etc", "link", "missing", "etc/app.conf", "etc"):
            for act in MUTATIONS.values():
                with contextlib.suppress(OSError):
                    act(here, folder)
            for look in (here.read, here.list, here.stat, here.sync, here.sync_file):
                with contextlib.suppress(OSError):
                    look(folder)
        refuse(monkeypatch, "fsync", errno.EIO)
        with pytest.raises(OSError, match="last"):
            here.create("last", b"x", mode=0o600)
        assert len(os.listdir("/proc/self/fd")) == before
