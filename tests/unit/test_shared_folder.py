"""One small file per machine in a folder that many hosts see."""

import json
import os
import shutil
import socket
import threading
from datetime import timedelta

import attrs
import pytest

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.errors import (
    HeartbeatKitError,
    InvalidConfigurationError,
    InvalidMachineIdError,
    StorageClosedError,
    StorageUnavailableError,
)
from heartbeat_kit.storage import RecordLookup, SharedFolderStorage, SharedLedger, Storage, _record_files, shared_folder
from heartbeat_kit.storage._codec import heartbeat_to_text


def beat(machine_id="web1", seq=1, incarnation=5, **more):
    return Heartbeat(
        machine_id=machine_id, last_heartbeat=1000 + seq, incarnation=incarnation, seq=seq, interval=30_000, **more
    )


def text(heartbeat):
    return heartbeat_to_text(heartbeat) + "\n"


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


def tree(root):
    return {
        str(path.relative_to(root)): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for path in root.rglob("*")
    }


def freeze(path, stat):
    """Give a file the times of an older stat, as sync clients do."""
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))


# --- what it is


def test_it_is_a_storage_with_lookup_and_without_a_ledger(share):
    assert isinstance(share, Storage)
    assert isinstance(share, RecordLookup)
    assert not isinstance(share, SharedLedger)


@pytest.mark.parametrize(("delay", "coherent"), [(None, False), (timedelta(0), True), (timedelta(seconds=60), False)])
def test_traits_say_what_the_folder_promises(tmp_path, delay, coherent):
    traits = SharedFolderStorage(tmp_path, propagation_delay=delay).traits
    assert (traits.durable, traits.cross_process, traits.cross_host, traits.server_clock) == (True, True, True, False)
    assert traits.coherent is coherent
    assert traits.propagation_delay == delay
    assert traits.location == f"folder:{tmp_path.resolve()}"


def test_two_ways_to_one_folder_are_one_location(tmp_path):
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    assert (
        SharedFolderStorage(tmp_path / "link").traits.location == SharedFolderStorage(tmp_path / "real").traits.location
    )


@pytest.mark.parametrize("delay", [-timedelta(seconds=1), 60])
def test_a_delay_that_cannot_be_is_refused(tmp_path, delay):
    with pytest.raises(InvalidConfigurationError, match="propagation_delay"):
        SharedFolderStorage(tmp_path, propagation_delay=delay)


@pytest.mark.parametrize("directory", ["", "undefined", "${SHARED}", None])
def test_a_directory_that_nobody_meant_is_refused(directory):
    with pytest.raises(InvalidConfigurationError):
        SharedFolderStorage(directory)


def test_a_missing_directory_is_refused_made_or_waited_for_as_asked(tmp_path):
    place = tmp_path / "share"
    with pytest.raises(InvalidConfigurationError, match="does not exist"):
        SharedFolderStorage(place)
    waiting = SharedFolderStorage(place, must_exist=False)
    with pytest.raises(StorageUnavailableError):
        waiting.load()
    with pytest.raises(StorageUnavailableError):
        waiting.put(beat())
    assert not place.exists()
    SharedFolderStorage(place, create=True)
    assert waiting.load().heartbeats == {}
    assert waiting.put(beat()) == beat()


def test_opening_and_looking_create_nothing(tmp_path, share):
    assert dict(share.load().heartbeats) == {}
    assert share.get("web1") is None
    assert share.remove("web1") is False
    assert tree(tmp_path) == {}


# --- put


def test_put_writes_one_file_in_the_shared_layout(tmp_path, share):
    stored = beat(metadata={"role": "web"}, host="pc")
    assert share.put(stored) is stored
    assert [str(p.relative_to(tmp_path)) for p in tmp_path.rglob("*.*")] == ["heartbeats/web1.json"]
    assert (tmp_path / "heartbeats" / "web1.json").read_text() == text(stored)


def test_every_field_comes_back_in_another_process_s_eyes(tmp_path, share):
    stored = beat(metadata={"ü": [1, 2.5, None]}, host="pc-ü", left_at=2000, first_seen=3)
    share.put(stored)
    other = SharedFolderStorage(tmp_path)
    assert dict(other.load().heartbeats) == {"web1": stored}
    assert other.get(" WEB1 ") == stored


@pytest.mark.parametrize("durable", [False, True])
def test_the_newer_record_stays(tmp_path, durable):
    share = SharedFolderStorage(tmp_path, durable=durable)
    newer = beat(seq=9)
    share.put(newer)
    assert share.put(beat(seq=8)) is newer
    assert share.put(beat(seq=9, host="another")) is newer
    assert share.put(beat(seq=1, incarnation=6)).order == (6, 1)
    assert share.get("web1").order == (6, 1)


def test_a_record_newer_than_ours_that_another_process_wrote_stays(tmp_path, share):
    other = SharedFolderStorage(tmp_path)
    share.put(beat(seq=1))
    other.put(beat(seq=7))
    assert share.put(beat(seq=2)) == beat(seq=7)
    assert share.load().heartbeats["web1"].seq == 7


def test_an_unchanged_own_file_is_not_read_again_by_put(share, monkeypatch):
    share.put(beat(seq=1))
    monkeypatch.setattr(shared_folder, "read_record", lambda *_: pytest.fail("the file was read"))
    assert share.put(beat(seq=2)).seq == 2
    assert share.put(beat(seq=1)).seq == 2


@pytest.mark.parametrize("content", [b"", b"{", b"\xff", b"[]", text(beat("db1", seq=99)).encode()])
def test_a_damaged_own_file_is_healed_by_the_next_beat(records, share, content):
    (records / "web1.json").write_bytes(content)
    assert share.put(beat()) == beat()
    assert dict(share.load().heartbeats) == {"web1": beat()}


def test_a_link_in_the_place_of_the_own_file_is_replaced_not_followed(tmp_path, records, share):
    victim = tmp_path / "victim"
    victim.write_text("mine")
    (records / "web1.json").symlink_to(victim)
    share.put(beat())
    assert victim.read_text() == "mine"
    assert not (records / "web1.json").is_symlink()


def test_a_write_that_fails_raises_and_leaves_no_temporary(records, share):
    (records / "web1.json").mkdir()
    with pytest.raises(StorageUnavailableError) as caught:
        share.put(beat())
    assert isinstance(caught.value.__cause__, OSError)
    assert os.listdir(records) == ["web1.json"]


def test_two_threads_that_put_one_machine_keep_the_newer(tmp_path):
    share = SharedFolderStorage(tmp_path, time_budget=None)
    barrier = threading.Barrier(4)

    def put(start):
        barrier.wait()
        for seq in range(start, 200, 4):
            share.put(beat(seq=seq))

    threads = [threading.Thread(target=put, args=(start,)) for start in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert SharedFolderStorage(tmp_path).get("web1").seq == 199


def test_only_our_stale_temporaries_are_cleaned_and_only_after_a_write(records, share):
    ours_old, ours_new = records / ".hbk-1-2-3.tmp", records / ".hbk-1-2-4.tmp"
    foreign = records / "web2.json.tmp"
    empty = records / "web3.json"
    for path in (ours_old, ours_new, foreign, empty):
        path.touch()
    for path in (ours_old, foreign, empty):
        os.utime(path, (1, 1))
    share.load()
    assert ours_old.exists()
    share.put(beat())
    assert sorted(os.listdir(records)) == [".hbk-1-2-4.tmp", "web1.json", "web2.json.tmp", "web3.json"]


# --- a share that comes and goes


def test_a_share_that_has_gone_is_not_made_anew(tmp_path):
    root = tmp_path / "share"
    share = SharedFolderStorage(root, create=True)
    share.put(beat())
    root.rename(tmp_path / "unmounted")
    for call in (share.load, lambda: share.put(beat(seq=2)), lambda: share.get("web1"), lambda: share.remove("web1")):
        with pytest.raises(StorageUnavailableError, match="is not there"):
            call()
    assert not root.exists()
    (tmp_path / "unmounted").rename(root)
    assert share.put(beat(seq=2)).seq == 2
    assert share.load().heartbeats["web1"].seq == 2


@pytest.mark.parametrize("how", ["put", "load"])
def test_an_empty_mount_point_is_not_taken_for_the_share_once_it_was_seen(tmp_path, records, how):
    share = SharedFolderStorage(tmp_path)
    share.put(beat()) if how == "put" else share.load()
    shutil.rmtree(records)
    with pytest.raises(StorageUnavailableError):
        share.put(beat(seq=2))
    with pytest.raises(StorageUnavailableError):
        share.load()
    assert not records.exists()


def test_a_file_where_the_folder_should_be_is_an_unavailable_storage(tmp_path, share):
    (tmp_path / "heartbeats").write_text("a file")
    for call in (share.load, lambda: share.put(beat()), lambda: share.get("web1"), lambda: share.remove("web1")):
        with pytest.raises(StorageUnavailableError):
            call()


# --- load


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


# --- conflict copies


def test_the_newest_copy_wins_and_is_reported_and_both_go_when_removed(tmp_path, records, share):
    share.put(beat(seq=1))
    names = ["web1 (1).json", "web1-DESKTOP.json", "web1.sync-conflict-20260102-101112-ABCDEFG.json", "WEB1.json"]
    for seq, name in enumerate(names, 2):
        (records / name).write_text(text(beat(seq=seq)))
    (records / "web1 (7).json").touch()
    (records / "web1-pc.json").write_text(text(beat("web1-pc")))
    snapshot = share.load()
    assert snapshot.heartbeats["web1"].seq == 5
    assert share.get("web1").seq == 5
    assert snapshot.unreadable == {}
    assert all(name in snapshot.conflicts["web1"] for name in [*names, "web1.json", "web1 (7).json"])
    assert share.put(beat(seq=2)).seq == 2, "put looks at the machine's own file alone"
    assert share.remove("web1") is True
    assert os.listdir(records) == ["web1-pc.json"]
    assert share.remove("web1") is False
    snapshot = share.load()
    assert (list(snapshot.heartbeats), dict(snapshot.conflicts)) == (["web1-pc"], {})


# --- remove, close, names


def test_removal_is_final_until_the_machine_beats_again(tmp_path, share):
    other = SharedFolderStorage(tmp_path)
    share.put(beat("a", seq=5))
    share.put(beat("b"))
    other.load()
    assert other.remove("A") is True
    share.put(beat("b", seq=2))
    assert list(share.load().heartbeats) == ["b"]
    assert share.get("a") is None
    assert share.put(beat("a", seq=1)).seq == 1


def test_an_unreadable_record_can_be_removed(records, share):
    (records / "web1.json").touch()
    assert share.remove("web1") is True
    assert os.listdir(records) == []


def test_after_close_nothing_works_and_no_thread_is_left(tmp_path):
    share = SharedFolderStorage(tmp_path)
    share.put(beat())
    share.load()
    share.close()
    share.close()
    for call in (share.load, lambda: share.put(beat()), lambda: share.get("web1"), lambda: share.remove("web1")):
        with pytest.raises(StorageClosedError):
            call()
    assert not [thread for thread in threading.enumerate() if str(tmp_path) in thread.name]


@pytest.mark.parametrize("machine_id", ["../escaped", "a/b", "..", "/etc/passwd", "a\\b", "con", "", "x\0", "a" * 64])
def test_hostile_ids_never_leave_the_folder(tmp_path, share, machine_id):
    (tmp_path / "escaped.json").write_text("mine")
    for call in (share.get, share.remove, beat):
        with pytest.raises(InvalidMachineIdError):
            call(machine_id)
    assert (tmp_path / "escaped.json").read_text() == "mine"


def test_it_says_where_it_is(tmp_path, share):
    assert repr(share) == f"<SharedFolderStorage {tmp_path.resolve()}>"


# --- the time budget


def test_a_share_that_hangs_is_given_up_and_comes_back_by_itself(tmp_path, monkeypatch):
    share = SharedFolderStorage(tmp_path, time_budget=timedelta(seconds=20))
    share.put(beat())
    share.load()
    answers = threading.Event()
    real_scandir, real_stat = os.scandir, os.lstat

    def hanging(real):
        def call(path):
            assert answers.wait(20)
            return real(path)

        return call

    monkeypatch.setattr(os, "scandir", hanging(real_scandir))
    monkeypatch.setattr(os, "lstat", hanging(real_stat))
    share._reads._seconds = share._writes._seconds = 0.03
    for _ in range(2):
        with pytest.raises(StorageUnavailableError, match="reading in"):
            share.load()
        with pytest.raises(StorageUnavailableError, match="writing in"):
            share.put(beat(seq=2))
    with pytest.raises(StorageUnavailableError, match="was not tried: an earlier reading"):
        share.get("web1")
    with pytest.raises(StorageUnavailableError, match="was not tried: an earlier writing"):
        share.remove("web1")
    answers.set()
    for lane in (share._reads, share._writes):
        while not lane._worker.hung.finished:
            lane._worker.thread.join(0.001)
    share._reads._seconds = share._writes._seconds = 20.0
    assert share.put(beat(seq=3)).seq == 3
    assert share.load().heartbeats["web1"].seq == 3
    share.close()


def test_opening_a_dead_mount_fails_or_starts_blind_as_asked(tmp_path, monkeypatch):
    answers = threading.Event()
    real = shared_folder.given_directory

    def hanging(*args, **kwargs):
        assert answers.wait(20)
        return real(*args, **kwargs)

    monkeypatch.setattr(shared_folder, "given_directory", hanging)
    budget = timedelta(milliseconds=30)
    with pytest.raises(StorageUnavailableError, match="opening in"):
        SharedFolderStorage(tmp_path, time_budget=budget)
    blind = SharedFolderStorage(tmp_path, time_budget=budget, must_exist=False)
    assert blind.traits.location == f"folder:{tmp_path}"
    with pytest.raises(StorageUnavailableError, match="earlier opening"):
        blind.load()
    answers.set()
    while not blind._reads._worker.hung.finished:
        blind._reads._worker.thread.join(0.001)
    blind._reads._seconds = 20.0
    assert dict(blind.load().heartbeats) == {}
    blind.close()


def test_errors_of_the_storage_are_ours_and_chain_the_cause(tmp_path, share, monkeypatch):
    def broken(*_, **__):
        raise OSError(116, "Stale file handle")

    share.put(beat())
    monkeypatch.setattr(os, "scandir", broken)
    with pytest.raises(HeartbeatKitError, match="Stale file handle") as caught:
        share.load()
    assert caught.value.code == "STORAGE_UNAVAILABLE"
    assert isinstance(caught.value.__cause__, OSError)


def test_a_newer_schema_is_read_as_far_as_it_is_known(records, share):
    record = json.loads(text(beat())) | {"schemaVersion": 99, "colour": "red"}
    (records / "web1.json").write_text(json.dumps(record))
    assert share.load().heartbeats["web1"] == attrs.evolve(beat())
