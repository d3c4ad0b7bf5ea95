"""A tree becomes a snapshot: what cannot be read is unknown, never absent; what did not change is not read again."""

from __future__ import annotations

import errno
import json
import os
import unicodedata
from hashlib import sha256
from pathlib import Path
from typing import Any

import attrs
import pytest

from heartbeat_kit.sync._model import ABSENT, File, Snapshot, Unknown, Unsupported
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.sync._selection import Selection
from heartbeat_kit.sync._snapshot import DEFAULT_VALIDATORS, Reading, Remembered, read_snapshot
from heartbeat_kit.sync._tree import Content, Stat, UnstableFileError

pytestmark = pytest.mark.skipif(os.name == "nt", reason="links and FIFOs")

ALL = Selection()
SECOND = 1_000_000_000


class Plain:
    """A tree with what the port asks for and no more; it counts what is read, and fails where it is told to."""

    def __init__(self, root: Path) -> None:
        self._tree = RealTree(root)
        self.root = str(root)
        self.reads: list[str] = []
        self.fails: dict[str, OSError] = {}

    def list(self, directory: str) -> list[tuple[str, Stat]]:
        if directory in self.fails:
            raise self.fails[directory]
        return self._tree.list(directory)

    def read(self, path: str, *, limit: int | None = None, keep: bool = True) -> Content:
        self.reads.append(path)
        if path in self.fails:
            raise self.fails[path]
        return self._tree.read(path, limit=limit, keep=keep)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "tree"
    (folder / "etc" / "sub").mkdir(parents=True)
    (folder / "etc" / "app.conf").write_bytes(b"port = 1")
    (folder / "etc" / "sub" / "x.ini").write_bytes(b"x")
    (folder / "top.json").write_bytes(b"{}")
    return folder


@pytest.fixture
def plain(root: Path) -> Plain:
    return Plain(root)


@pytest.fixture(params=["open directory", "port alone"])
def tree(request: pytest.FixtureRequest, root: Path) -> Any:
    return RealTree(root) if request.param == "open directory" else Plain(root)


def taken(tree: Any, selection: Selection = ALL, **settings: Any) -> Snapshot:
    return read_snapshot(tree, selection, **settings).snapshot


def file_of(data: bytes) -> File:
    return File(sha256=sha256(data).hexdigest(), size=len(data))


class TestWhatIsThere:
    def test_files_are_found_by_their_paths(self, tree: Any, root: Path) -> None:
        os.chmod(root / "top.json", 0o4640)
        (root / "empty").mkdir()
        found = taken(tree)
        assert dict(found.entries) == {
            "etc/app.conf": file_of(b"port = 1"),
            "etc/sub/x.ini": file_of(b"x"),
            "top.json": file_of(b"{}"),
        }
        assert (dict(found.closed), dict(found.rejected)) == ({}, {})
        assert found.entries["top.json"].mode == 0o640
        assert found.entry("missing") is ABSENT

    def test_paths_are_relative_to_the_folder(self, tree: Any) -> None:
        assert sorted(taken(tree, under="etc").entries) == ["app.conf", "sub/x.ini"]
        assert sorted(taken(tree, under="etc/sub").entries) == ["x.ini"]

    def test_only_what_is_selected_is_read(self, plain: Plain) -> None:
        assert sorted(taken(plain, Selection(include="*.ini")).entries) == ["etc/sub/x.ini"]
        assert plain.reads == ["etc/sub/x.ini"]

    def test_a_directory_that_holds_nothing_selected_is_not_entered(self, plain: Plain) -> None:
        """So that it may be unreadable."""
        plain.fails["etc"] = PermissionError(errno.EACCES, "Permission denied")
        for selection in (Selection(exclude="etc/"), Selection(include="./top.json")):
            assert list(taken(plain, selection).entries) == ["top.json"]
            assert not taken(plain, selection).closed

    def test_what_nobody_means_to_keep_is_passed_over(self, tree: Any, root: Path) -> None:
        for name in (".hbk-x.tmp", "~$a.docx", ".app.conf.swp"):
            (root / name).write_bytes(b"x")
        (root / ".hbk-trash").mkdir()
        (root / ".hbk-trash" / "x").write_bytes(b"x")
        found = taken(tree)
        assert sorted(found.entries) == ["etc/app.conf", "etc/sub/x.ini", "top.json"]
        assert not found.rejected

    def test_a_deep_tree_needs_no_stack(self, tree: Any, root: Path) -> None:
        (root / "/".join(["d"] * 40)).mkdir(parents=True)
        found = taken(tree)
        assert list(found.rejected) == ["/".join(["d"] * 33)]


class TestNames:
    def test_a_name_that_cannot_be_synced_is_rejected_with_the_reason(self, tree: Any, root: Path) -> None:
        (root / "what?").write_bytes(b"x")
        (root / "nul").mkdir()
        (root / "nul" / "x").write_bytes(b"x")
        found = taken(tree)
        assert sorted(found.rejected) == ["nul", "what?"]
        assert "Windows" in found.rejected["what?"]
        assert "nul/x" not in found.entries

    def test_a_rejected_name_that_is_not_selected_is_not_reported(self, tree: Any, root: Path) -> None:
        (root / "what?").write_bytes(b"x")
        (root / "c:d").mkdir()
        assert not taken(tree, Selection(include="etc/*")).rejected

    def test_an_undecodable_name_is_rejected(self, tree: Any, root: Path) -> None:
        (root / os.fsdecode(b"\xff.conf")).write_bytes(b"x")
        assert list(taken(tree).rejected) == ["\udcff.conf"]

    def test_a_name_spelled_in_another_normal_form_is_not_absent_by_its_own(self, tree: Any, root: Path) -> None:
        """HFS+ gives back every name decomposed: the composed one would count as deleted."""
        composed = unicodedata.normalize("NFC", "é")
        decomposed = unicodedata.normalize("NFD", "é")
        (root / decomposed).mkdir()
        (root / f"{decomposed}.conf").write_bytes(b"x")
        found = taken(tree)
        assert sorted(found.rejected) == [decomposed, f"{decomposed}.conf"]
        assert isinstance(found.entry(f"{composed}.conf"), Unknown)
        assert isinstance(found.entry(f"{composed}/x"), Unknown)
        assert f"{decomposed}.conf" in taken(tree, Selection(include=f"{composed}.conf")).rejected
        (root / f"{composed}.conf").write_bytes(b"y")
        assert taken(tree).entry(f"{composed}.conf") == file_of(b"y")


class TestWhatIsNoFile:
    def test_links_are_unsupported_and_all_beneath_them_unknown(self, tree: Any, root: Path) -> None:
        (root / "file").symlink_to("top.json")
        (root / "folder").symlink_to("etc")
        (root / "broken").symlink_to("nowhere")
        found = taken(tree)
        for name in ("file", "folder", "broken"):
            assert found.entry(name) == Unsupported("a symbolic link")
            assert isinstance(found.entry(f"{name}/app.conf"), Unknown)
        assert "folder/app.conf" not in found.entries

    def test_a_link_counts_if_it_could_hold_something_selected(self, tree: Any, root: Path) -> None:
        (root / "conf.d").symlink_to("etc")
        (root / "other").symlink_to("etc")
        found = taken(tree, Selection(include="conf.d/**"))
        assert list(found.closed) == ["conf.d"]
        assert isinstance(found.entry("conf.d/app.conf"), Unknown)
        assert "other" not in found.entries

    def test_a_fifo_is_unsupported(self, tree: Any, root: Path) -> None:
        os.mkfifo(root / "etc" / "fifo")
        assert isinstance(taken(tree).entry("etc/fifo"), Unsupported)
        assert "etc/fifo" not in taken(tree, Selection(exclude="fifo")).entries

    def test_too_large_is_unsupported_and_not_read(self, plain: Plain) -> None:
        found = taken(plain, limit=7)
        assert found.entry("etc/app.conf") == Unsupported("too large: 8 bytes, at most 7 are synced")
        assert "etc/app.conf" not in plain.reads
        assert taken(plain, limit=8).entry("etc/app.conf") == file_of(b"port = 1")

    def test_too_large_by_the_time_it_is_read(self, plain: Plain) -> None:
        plain.fails["top.json"] = OSError(errno.EFBIG, "too large")
        assert isinstance(taken(plain).entry("top.json"), Unsupported)


class TestWhatCannotBeRead:
    @pytest.mark.parametrize(
        ("failure", "why"),
        [
            (PermissionError(errno.EACCES, "Permission denied"), "Permission denied"),
            (OSError(errno.EIO, "Input/output error"), "Input/output error"),
            (FileNotFoundError(errno.ENOENT, "gone"), "vanished"),
            (UnstableFileError(errno.EAGAIN, "busy"), "kept changing"),
            (OSError("no number"), "no number"),
        ],
    )
    def test_a_file_is_unknown_with_the_reason(self, plain: Plain, failure: OSError, why: str) -> None:
        plain.fails["etc/app.conf"] = failure
        found = taken(plain).entry("etc/app.conf")
        assert isinstance(found, Unknown)
        assert why in found.why

    @pytest.mark.parametrize("number", [errno.EACCES, errno.ENOENT, errno.ENOTDIR, errno.ESTALE, errno.EIO])
    def test_a_directory_is_closed_and_all_beneath_it_unknown(self, plain: Plain, number: int) -> None:
        plain.fails["etc"] = OSError(number, "no entry")
        found = taken(plain)
        assert dict(found.closed) == {"etc": "no entry"}
        assert found.entry("etc/sub/x.ini") == Unknown("no entry")
        assert found.entry("top.json") == file_of(b"{}")

    def test_a_missing_root_makes_everything_unknown(self, tree: Any, root: Path) -> None:
        """A share that is not mounted is not an empty folder."""
        for found, place in (
            (taken(tree, under="missing"), root / "missing"),
            (taken(Plain(root / "no")), root / "no"),
        ):
            assert isinstance(found.entry("etc/app.conf"), Unknown)
            assert str(place) in found.closed[""]

    def test_a_root_that_is_a_link_makes_everything_unknown(self, tree: Any, root: Path) -> None:
        (root / "alias").symlink_to("etc")
        assert isinstance(taken(tree, under="alias").entry("app.conf"), Unknown)

    def test_a_file_that_vanishes_between_listing_and_reading(
        self, root: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        real = os.open

        def vanish(path: str, *arguments: Any, **settings: Any) -> int:
            if path == "app.conf":
                (root / "etc" / "app.conf").unlink()
            return real(path, *arguments, **settings)

        monkeypatch.setattr(os, "open", vanish)
        assert taken(RealTree(root)).entry("etc/app.conf") == Unknown("it vanished while it was read")


class TestValidators:
    def test_a_json_that_does_not_parse_is_doubtful_and_says_where(self, tree: Any, root: Path) -> None:
        (root / "top.json").write_bytes(b'{"a": 1')
        (root / "etc" / "app.conf").write_bytes(b'{"a": 1')
        found = taken(tree).entries
        assert found["top.json"] == file_of(b'{"a": 1')
        assert found["top.json"].doubt.startswith("not valid JSON: ")
        assert "char 7" in found["top.json"].doubt
        assert found["etc/app.conf"].doubt == ""

    @pytest.mark.parametrize("data", [b"", b"\xff\xfe\xff", b"[" * 100_000, b"\0" * 20])
    def test_every_kind_of_damage_is_a_doubt(self, tree: Any, root: Path, data: bytes) -> None:
        (root / "top.json").write_bytes(data)
        assert taken(tree).entries["top.json"].doubt.startswith("not valid JSON: ")

    @pytest.mark.parametrize("data", [b"\xef\xbb\xbf{}", json.dumps("é").encode("utf-16"), b"1" * 10_000, b" [1e999] "])
    def test_what_others_write_is_believed(self, tree: Any, root: Path, data: bytes) -> None:
        (root / "top.json").write_bytes(data)
        assert taken(tree).entries["top.json"].doubt == ""

    def test_own_validators_are_given_the_content(self, tree: Any) -> None:
        seen: list[bytes] = []
        mine = [("etc/*", seen.append), ("*.conf", lambda _: "odd"), ("*", lambda _: None)]
        found = taken(tree, validators=mine).entries
        assert found["etc/app.conf"].doubt == "odd"
        assert found["etc/sub/x.ini"].doubt == ""
        assert sorted(seen) == [b"port = 1", b"x"]

    def test_a_content_nobody_looks_at_is_not_kept(self, plain: Plain, monkeypatch: pytest.MonkeyPatch) -> None:
        kept: dict[str, bool] = {}
        real = plain.read

        def read(path: str, *, limit: int | None = None, keep: bool = True) -> Content:
            kept[path] = keep
            return real(path, limit=limit, keep=keep)

        monkeypatch.setattr(plain, "read", read)
        taken(plain, validators=DEFAULT_VALIDATORS)
        assert kept == {"top.json": True, "etc/app.conf": False, "etc/sub/x.ini": False}


def last_change_ns(root: Path) -> int:
    return max(max(path.stat().st_ctime_ns, path.stat().st_mtime_ns) for path in root.rglob("*") if path.is_file())


class TestMemory:
    @pytest.fixture
    def before(self, plain: Plain, root: Path) -> Reading:
        reading = read_snapshot(plain, ALL, now_ns=last_change_ns(root) + 2 * SECOND)
        plain.reads.clear()
        return reading

    def test_what_did_not_change_is_not_read_again(self, plain: Plain, root: Path, before: Reading) -> None:
        again = read_snapshot(plain, ALL, remembered=before.remembered, now_ns=1)
        assert plain.reads == []
        assert dict(again.snapshot.entries) == dict(before.snapshot.entries)
        assert again.remembered == before.remembered

    def test_what_is_remembered_is_what_was_seen(self, root: Path, before: Reading) -> None:
        looked = (root / "top.json").stat()
        assert before.remembered["top.json"] == Remembered(
            mtime_ns=looked.st_mtime_ns,
            ctime_ns=looked.st_ctime_ns,
            size=2,
            inode=looked.st_ino,
            device=looked.st_dev,
            file=file_of(b"{}"),
            read_at_ns=last_change_ns(root) + 2 * SECOND,
        )

    @pytest.mark.parametrize("name", ["mtime_ns", "ctime_ns", "size", "inode", "device"])
    def test_every_part_of_the_stat_tells(self, plain: Plain, before: Reading, name: str) -> None:
        known = before.remembered["top.json"]
        changed = attrs.evolve(known, **{name: getattr(known, name) + 1}, file=file_of(b"old"))
        found = taken(plain, remembered={**before.remembered, "top.json": changed})
        assert plain.reads == ["top.json"]
        assert found.entry("top.json") == file_of(b"{}")

    def test_a_doubt_is_remembered(self, plain: Plain, root: Path) -> None:
        (root / "top.json").write_bytes(b"{")
        first = read_snapshot(plain, ALL, now_ns=last_change_ns(root) + 2 * SECOND)
        again = taken(plain, remembered=first.remembered)
        assert again.entries["top.json"].doubt == first.snapshot.entries["top.json"].doubt != ""

    def test_a_file_that_changed_just_before_it_was_read_is_not_remembered(self, plain: Plain, root: Path) -> None:
        """Racily clean: it may change again within the same tick, and no stat would tell."""
        now_ns = last_change_ns(root) + 2 * SECOND
        assert len(read_snapshot(plain, ALL, now_ns=now_ns).remembered) == 3
        os.utime(root / "top.json", ns=(0, 0))  # its ctime is that of the call
        changed_ns = (root / "top.json").stat().st_ctime_ns
        assert "top.json" not in read_snapshot(plain, ALL, now_ns=changed_ns + 2 * SECOND - 1).remembered
        assert "top.json" in read_snapshot(plain, ALL, now_ns=changed_ns + 2 * SECOND).remembered
        assert "top.json" not in read_snapshot(plain, ALL, now_ns=changed_ns - SECOND).remembered

    def test_a_file_from_the_future_is_not_remembered(self, plain: Plain, root: Path) -> None:
        now_ns = last_change_ns(root) + 2 * SECOND
        os.utime(root / "top.json", ns=(0, now_ns))
        later_ns = (root / "top.json").stat().st_ctime_ns + 2 * SECOND
        if later_ns < now_ns + 2 * SECOND:
            assert "top.json" not in read_snapshot(plain, ALL, now_ns=later_ns).remembered

    def test_without_a_clock_nothing_new_is_remembered(self, plain: Plain, root: Path, before: Reading) -> None:
        assert read_snapshot(plain, ALL).remembered == {}
        kept = read_snapshot(plain, ALL, remembered={"top.json": before.remembered["top.json"]}).remembered
        assert list(kept) == ["top.json"]

    def test_what_is_gone_or_no_longer_selected_or_too_large_is_forgotten(
        self, plain: Plain, root: Path, before: Reading
    ) -> None:
        (root / "top.json").unlink()
        found = read_snapshot(plain, Selection(include="*.ini"), remembered=before.remembered)
        assert list(found.remembered) == list(found.snapshot.entries) == ["etc/sub/x.ini"]
        large = read_snapshot(plain, ALL, remembered=before.remembered, limit=7)
        assert isinstance(large.snapshot.entry("etc/app.conf"), Unsupported)
        assert "etc/app.conf" not in large.remembered

    def test_a_file_that_is_read_anew_is_remembered_as_it_is_now(
        self, plain: Plain, root: Path, before: Reading
    ) -> None:
        (root / "new").write_bytes(b"{ }")
        (root / "new").replace(root / "top.json")
        now_ns = last_change_ns(root) + 2 * SECOND
        found = read_snapshot(plain, ALL, remembered=before.remembered, now_ns=now_ns)
        assert found.snapshot.entry("top.json") == found.remembered["top.json"].file == file_of(b"{ }")
        assert plain.reads == ["top.json"]


def test_a_real_tree_opens_a_directory_once_for_all_its_files(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(20):
        (root / "etc" / f"{number}.conf").write_bytes(b"x")
    opened: list[str] = []
    real = os.open

    def counting(path: str, *arguments: Any, **settings: Any) -> int:
        opened.append(path)
        return real(path, *arguments, **settings)

    monkeypatch.setattr(os, "open", counting)
    assert len(taken(RealTree(root)).entries) == 23
    assert opened.count("etc") == 2  # for itself, and on the way to etc/sub
