"""Reading a folder of records: distrustfully, and never twice what has not changed."""

import json
import os
import socket

import pytest
from folder_values import beat, text, tree

from heartbeat_kit.errors import StorageUnavailableError
from heartbeat_kit.storage import SharedFolderStorage, _record_files

posix = pytest.mark.skipif(os.name == "nt", reason="needs links, pipes and POSIX paths")


@pytest.fixture
def records(tmp_path):
    folder = tmp_path / "heartbeats"
    folder.mkdir()
    return folder


@pytest.fixture
def share(tmp_path):
    storage = SharedFolderStorage(tmp_path)
    yield storage
    storage.close()


def freeze(path, stat):
    """Give a file the times of an older stat, as sync clients do."""
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def test_an_unchanged_folder_gives_the_same_objects_and_is_not_read(records, share, monkeypatch):
    for name in ("a", "b"):
        share.put(beat(name))
    (records / "bad.json").touch()
    first = share.load()
    monkeypatch.setattr(_record_files, "read_record", lambda *_: pytest.fail("a file was read"))
    second = share.load()
    assert second.heartbeats is first.heartbeats
    assert second.unreadable is first.unreadable


def test_only_the_changed_record_is_a_new_object(tmp_path, share):
    writer = SharedFolderStorage(tmp_path)
    for name in ("a", "b"):
        writer.put(beat(name))
    before = share.load()
    writer.put(beat("a", seq=2))
    after = share.load()
    assert after.heartbeats["a"].seq == 2
    assert after.heartbeats["b"] is before.heartbeats["b"]
    assert before.heartbeats["a"].seq == 1


def test_a_touched_file_with_the_same_content_changes_nothing(records, share):
    share.put(beat())
    before = share.load()
    os.utime(records / "web1.json", (7, 7))
    after = share.load()
    assert after.heartbeats is before.heartbeats


def test_a_changed_file_with_restored_times_is_found_within_64_passes(records, share):
    path = records / "web1.json"
    path.write_text(text(beat(seq=1)))
    (records / "db1.json").write_text(text(beat("db1")))
    old = share.load()
    stat = path.stat()
    with path.open("r+") as file:  # in place: the inode stays
        file.write(text(beat(seq=2)))
    freeze(path, stat)
    seen = [share.load() for _ in range(64)]
    assert [look.heartbeats["web1"].seq for look in (seen[0], seen[-1])] == [1, 2]
    assert all(look.heartbeats["db1"] is old.heartbeats["db1"] for look in seen)


def test_a_full_pass_without_a_change_still_gives_the_same_mapping(share):
    share.put(beat())
    first = share.load()
    assert all(share.load().heartbeats is first.heartbeats for _ in range(130))


def test_a_record_that_is_deleted_or_renamed_is_absent(records, share):
    for name in ("a", "b", "c"):
        share.put(beat(name))
    share.load()
    (records / "a.json").unlink()
    assert sorted(share.load().heartbeats) == ["b", "c"]
    (records / "b.json").rename(records / "b.json.old")
    assert sorted(share.load().heartbeats) == ["c"]


def bad_files(records):
    def fifo(path):
        os.mkfifo(path)

    def server(path):
        with socket.socket(socket.AF_UNIX) as listener:
            here = os.getcwd()
            os.chdir(path.parent)  # the path of a socket may have about a hundred characters
            try:
                listener.bind(path.name)
            finally:
                os.chdir(here)

    sound = text(beat("x"))
    return {
        "empty": lambda p: p.touch(),
        "cut": lambda p: p.write_text(sound[:50]),
        "list": lambda p: p.write_text("[1]"),
        "types": lambda p: p.write_text(sound.replace('"seq":1', '"seq":"1"')),
        "missing": lambda p: p.write_text("{}"),
        "stamp": lambda p: p.write_text(sound.replace("1970", "now")),
        "wrong": lambda p: p.write_text(sound),
        "hostile": lambda p: p.write_text(sound.replace('"x"', '"../x"')),
        "large": lambda p: p.write_text(sound + " " * 64_000),
        "binary": lambda p: p.write_bytes(b"\xff\xfe\x00" * 9),
        "deep": lambda p: p.write_text("[" * 60_000),
        "folder": lambda p: p.mkdir(),
        "link": lambda p: p.symlink_to(records / "good.json"),
        "loop": lambda p: p.symlink_to(p.name),
        "fifo": fifo,
        "socket": server,
    }


@posix
def test_every_bad_file_is_reported_and_harms_nobody(records, share):
    (records / "good.json").write_text(text(beat("good")))
    bad = bad_files(records)
    for name, make in bad.items():
        make(records / f"{name}.json")
    snapshot = share.load()
    assert dict(snapshot.heartbeats) == {"good": beat("good")}
    assert sorted(snapshot.unreadable) == sorted(bad)
    assert all(snapshot.unreadable.values())
    assert "0 bytes" in snapshot.unreadable["empty"]
    assert "speaks for x" in snapshot.unreadable["wrong"]
    assert "64000" in snapshot.unreadable["large"]
    assert "folder" in snapshot.unreadable["folder"]
    assert "link" in snapshot.unreadable["link"]
    assert snapshot.conflicts == {}
    assert all(share.get(name) is None for name in bad)


def test_a_bad_file_that_gets_good_is_read(records, share):
    (records / "web1.json").touch()
    assert list(share.load().unreadable) == ["web1"]
    (records / "web1.json").write_text(text(beat()))
    snapshot = share.load()
    assert snapshot.unreadable == {}
    assert dict(snapshot.heartbeats) == {"web1": beat()}


def test_a_file_too_large_is_not_opened(records, share, monkeypatch):
    (records / "web1.json").write_bytes(b" " * 64_001)
    monkeypatch.setattr(os, "open", lambda *_: pytest.fail("the file was opened"))
    assert "64001 bytes" in share.load().unreadable["web1"]


def test_a_record_of_the_largest_size_is_read(records, share):
    line = text(beat())
    (records / "web1.json").write_text(line + " " * (64_000 - len(line)))
    assert dict(share.load().heartbeats) == {"web1": beat()}


def test_a_file_that_vanishes_between_listing_and_opening_is_absent(records, share, monkeypatch):
    (records / "web1.json").write_text(text(beat()))
    real = os.open

    def vanishing(path, *args, **kwargs):
        if os.fspath(path).endswith("web1.json"):
            os.unlink(path)
        return real(path, *args, **kwargs)

    monkeypatch.setattr(os, "open", vanishing)
    snapshot = share.load()
    assert (dict(snapshot.heartbeats), dict(snapshot.unreadable)) == ({}, {})


def test_a_file_that_cannot_be_opened_is_tried_again_though_it_did_not_change(records, share, monkeypatch):
    (records / "web1.json").write_text(text(beat()))

    def denied(*_, **__):
        raise PermissionError(13, "Permission denied")

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", denied)
        first = share.load()
        assert dict(first.unreadable) == {"web1": "cannot be read: Permission denied"}
        assert share.load().unreadable is first.unreadable
    assert dict(share.load().heartbeats) == {"web1": beat()}


@pytest.mark.parametrize("grows", [True, False])
def test_a_file_that_changes_while_it_is_read_is_read_to_its_end(records, share, monkeypatch, grows):
    path = records / "web1.json"
    long, short = text(beat(metadata={"x": "y" * 500})), text(beat(seq=2))
    path.write_text(short if grows else long)
    real = os.open

    def racing(opened, *args, **kwargs):
        path.write_text(long if grows else short)
        return real(opened, *args, **kwargs)

    with monkeypatch.context() as patched:
        patched.setattr(os, "open", racing)
        assert share.load().heartbeats["web1"].seq == (1 if grows else 2)


def test_load_and_get_write_and_delete_nothing(tmp_path, records, share):
    for name, make in bad_files(records).items():
        if name not in {"fifo", "socket", "link", "loop"}:
            make(records / f"{name}.json")
    (records / "web1.json").write_text(text(beat()))
    (records / "web1 (1).json").write_text(text(beat(seq=4)))
    (records / ".hbk-1-2-3.tmp").touch()
    os.utime(records / ".hbk-1-2-3.tmp", (1, 1))
    before = tree(tmp_path)
    for _ in range(3):
        share.load()
        share.get("web1")
    assert tree(tmp_path) == before


def test_a_failed_pass_leaves_no_half_remembered_change(tmp_path, share, monkeypatch):
    writer = SharedFolderStorage(tmp_path)
    writer.put(beat("a"))
    share.load()
    writer.put(beat("a", seq=2))
    writer.put(beat("b"))
    real = os.scandir

    class Failing:
        def __init__(self, path):
            self.entries = real(path)

        def __enter__(self):
            return self

        def __exit__(self, *_):
            self.entries.close()

        def __iter__(self):
            yield next(self.entries)
            yield next(self.entries)
            raise OSError(5, "Input/output error")

    with monkeypatch.context() as patched:
        patched.setattr(os, "scandir", Failing)
        with pytest.raises(StorageUnavailableError, match="Input/output error"):
            share.load()
    assert {m: h.seq for m, h in share.load().heartbeats.items()} == {"a": 2, "b": 1}


def test_nobody_can_change_a_snapshot_of_others(share):
    share.put(beat())
    with pytest.raises(TypeError):
        share.load().heartbeats["web1"] = None


def test_a_newer_schema_is_read_as_far_as_it_is_known(records, share):
    record = json.loads(text(beat())) | {"schemaVersion": 99, "colour": "red"}
    (records / "web1.json").write_text(json.dumps(record))
    assert share.load().heartbeats["web1"] == beat()
