"""One small file per machine in a folder that many hosts see."""

import os
import shutil
import threading
from datetime import timedelta

import pytest
from folder_values import beat, text, tree

from heartbeat_kit.errors import (
    HeartbeatKitError,
    InvalidConfigurationError,
    InvalidMachineIdError,
    StorageClosedError,
    StorageUnavailableError,
)
from heartbeat_kit.storage import RecordLookup, SharedFolderStorage, SharedLedger, Storage, shared_folder

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


@posix
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


@pytest.mark.parametrize("durable", [False, True])
def test_a_durable_write_is_synced_before_it_gets_its_name(tmp_path, monkeypatch, durable):
    share = SharedFolderStorage(tmp_path, durable=durable)
    share.put(beat(seq=1))
    steps = []
    real_sync, real_replace = os.fsync, os.replace
    monkeypatch.setattr(os, "fsync", lambda handle: (steps.append("sync"), real_sync(handle)))
    monkeypatch.setattr(os, "replace", lambda a, b: (steps.append("name"), real_replace(a, b)))
    share.put(beat(seq=2))
    assert steps[:2] == (["sync", "name"] if durable else ["name"])


def test_an_own_file_that_cannot_be_read_is_replaced(tmp_path, records, share, monkeypatch):
    (records / "web1.json").write_text(text(beat(seq=9)))

    def denied(*_):
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(shared_folder, "read_record", denied)
    assert share.put(beat(seq=1)).seq == 1
    monkeypatch.undo()
    assert share.get("web1").seq == 1


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


@posix
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
