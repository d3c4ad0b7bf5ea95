"""`JsonFileStorage`: the file people read, its damage and its healing."""

import errno
import json
import logging
import os
from datetime import timedelta

import pytest
from ledger_values import START, beat, move, window

from heartbeat_kit.errors import (
    InvalidConfigurationError,
    StorageClosedError,
    StorageCorruptError,
    StorageUnavailableError,
)
from heartbeat_kit.storage import (
    EventLog,
    JsonFileStorage,
    MaintenanceCalendar,
    RecordLookup,
    ServiceConfigStore,
    SharedLedger,
    Storage,
)
from heartbeat_kit.storage._locks import os_lock
from heartbeat_kit.testing._race import fleet_moves


@pytest.fixture
def storage(tmp_path):
    storage = JsonFileStorage(tmp_path)
    yield storage
    storage.close()


@pytest.fixture
def path(tmp_path):
    return tmp_path / "heartbeats.json"


def stored(path):
    return json.loads(path.read_text())


def test_it_offers_every_ability(storage):
    for ability in (Storage, RecordLookup, SharedLedger, EventLog, MaintenanceCalendar, ServiceConfigStore):
        assert isinstance(storage, ability)


def test_construction_writes_nothing(tmp_path, storage):
    """Only the directory is looked at."""
    assert list(tmp_path.iterdir()) == []


def test_the_file_has_the_shape_of_the_reference(storage, path):
    """Facts, the view beside them, the lists and the statistics."""
    storage.put(beat("web-1", at=START, metadata={"role": "web"}, host="h"))
    storage.put(beat("web-2", at=START + 120_000))
    storage.put(beat("web-3", at=START + 250_000))
    found = stored(path)
    assert found["schemaVersion"] == 1
    assert found["heartbeats"]["web-1"] == {
        "schemaVersion": 1,
        "machineId": "web-1",
        "lastHeartbeat": "2026-01-15T23:30:00.000Z",
        "status": "offline",
        "offlineSince": "2026-01-15T23:34:00.000Z",
        "warningSince": None,
        "missedHeartbeats": 8,
        "incarnation": 1,
        "seq": 1,
        "interval": 30_000,
        "metadata": {"role": "web"},
        "firstSeen": "2026-01-15T23:30:00.000Z",
        "host": "h",
    }
    assert found["heartbeats"]["web-2"]["status"] == "warning"
    assert found["heartbeats"]["web-2"]["warningSince"] == "2026-01-15T23:34:00.000Z"
    assert (found["onlineMachines"], found["warningMachines"], found["offlineMachines"]) == (
        ["web-3"],
        ["web-2"],
        ["web-1"],
    )
    assert found["statistics"] == {
        "totalMachines": 3,
        "onlineCount": 1,
        "warningCount": 1,
        "offlineCount": 1,
        "unknownCount": 0,
        "unreadableCount": 0,
        "lastHeartbeatCheck": None,
    }
    assert list(found["heartbeats"]) == sorted(found["heartbeats"])
    assert sum(line.startswith('"web-') for line in path.read_text().splitlines()) == 3


def test_a_slow_beat_is_given_the_time_it_promised(storage, path):
    """A promise of ten minutes makes the timeout twenty times the default."""
    storage.put(beat("slow", at=START, interval=600_000))
    storage.put(beat("web-1", at=START + 1_000_000))
    assert stored(path)["heartbeats"]["slow"]["status"] == "online"


def test_the_view_says_what_was_announced(storage, path):
    """The announced status holds until a newer record of the machine comes."""
    storage.put(beat("web-1"))
    storage.commit([move("e1")])
    found = stored(path)
    assert found["heartbeats"]["web-1"]["status"] == "offline"
    assert found["heartbeats"]["web-1"]["offlineSince"] == "2026-01-15T23:34:00.000Z"
    assert found["statistics"]["lastHeartbeatCheck"] == "2026-01-15T23:34:10.000Z"
    storage.put(beat("web-1", 2, at=START + 300_000))
    assert stored(path)["heartbeats"]["web-1"]["status"] == "online"


def test_what_is_about_the_fleet_is_no_machine_in_the_view(storage, path):
    """The entries are in the ledger alone: not among the machines, not in a list, not counted."""
    storage.put(beat("web-1"))
    before = stored(path)
    storage.commit(fleet_moves("web-1", at=START))
    storage.schedule(window(), forget_before_ms=0)
    storage.put(beat("web-1", 2))
    after = stored(path)
    assert set(after["ledger"]["entries"]) == {"*cascade", "*silence", "*silence of a run"}
    assert set(after["heartbeats"]) == set(storage.load().heartbeats) == {"web-1"}
    lists = [name for name in before if name.endswith("Machines")]
    assert [after[name] for name in lists] == [before[name] for name in lists]
    assert after["statistics"] == {**before["statistics"], "lastHeartbeatCheck": "2026-01-15T23:30:00.000Z"}
    assert "*" not in path.read_text().partition('"ledger"')[0]


def test_the_calendar_outlives_a_damaged_file(tmp_path, storage, path):
    """It is in the last good copy as everything is, and healing writes it back."""
    storage.schedule(window(), forget_before_ms=0)
    storage.put(beat())
    path.write_text("{")
    assert storage.windows() == (window(),)
    storage.schedule(window("web-2"), forget_before_ms=0)
    assert len(stored(path)["ledger"]["windows"]) == 2
    assert len(list(tmp_path.glob("heartbeats.json.corrupt-*"))) == 1


def test_a_window_is_on_the_disk_before_schedule_returns(storage, path, monkeypatch):
    """As all that others are told; a beat need not be."""
    synced, fsync = [], os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle)))
    storage.schedule(window(), forget_before_ms=0)
    assert path.stat().st_ino in synced


def test_the_view_is_not_read_back(tmp_path, storage, path):
    """A status edited by hand changes no record."""
    storage.put(beat())
    before = storage.load().heartbeats["web-1"]
    path.write_text(path.read_text().replace('"online"', '"offline"'))
    after = storage.load().heartbeats["web-1"]
    assert after is before


def test_everything_survives_a_new_process_view(tmp_path, storage):
    record = beat(metadata={"a": [1, {"b": None}], "ü": "x\u2028"}, host="h", first_seen=START - 5, left_at=START)
    storage.put(record)
    storage.commit([move("e1")])
    storage.save_service({"heartbeatInterval": 30_000})
    other = JsonFileStorage(tmp_path)
    assert other.get(" WEB-1 ") == record
    assert other.read_ledger() == storage.read_ledger() != {}
    assert other.load_service() == {"heartbeatInterval": 30_000}
    assert [event.id for event in other.history()] == ["e1"]
    other.close()


def test_an_unchanged_file_gives_the_same_snapshot_and_is_not_opened(storage, monkeypatch):
    """A look at a quiet fleet costs one stat."""
    storage.put(beat())
    first = storage.load()
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("the file was opened"))
    assert storage.load() is first


def test_another_process_sees_new_records_and_the_same_old_objects(tmp_path, storage):
    """Only what changed is a new object, also where the view beside a quiet machine's facts changed."""
    reader = JsonFileStorage(tmp_path)
    storage.put(beat("quiet"))
    storage.put(beat("web-1"))
    before = reader.load()
    storage.put(beat("web-1", 2, at=START + 900_000))
    after = reader.load()
    assert after.heartbeats["quiet"] is before.heartbeats["quiet"]
    assert after.heartbeats["web-1"].seq == 2
    reader.close()


def test_two_contents_never_share_a_signature(tmp_path, storage, path):
    """The time of the file rises with every write, even where the clock of the kernel stands still or goes back."""
    storage.put(beat(seq=1))
    os.utime(path, (4_000_000_000, 4_000_000_000))
    reader = JsonFileStorage(tmp_path)
    for seq in range(2, 10):
        before = path.stat().st_mtime_ns
        storage.put(beat(seq=seq))
        assert path.stat().st_mtime_ns > before
        assert reader.load().heartbeats["web-1"].seq == seq
    reader.close()


def test_the_copy_is_the_content_before(storage, path, tmp_path):
    storage.put(beat(seq=1))
    storage.put(beat(seq=2))
    assert stored(tmp_path / "heartbeats.json.bak")["heartbeats"]["web-1"]["seq"] == 1
    assert not list(tmp_path.glob(".hbk-*.tmp"))


def test_without_hard_links_the_copy_is_made_of_bytes(storage, tmp_path, monkeypatch):
    """FAT and some network disks have no links."""

    def refuse(*_args, **_kwargs):
        raise OSError(errno.EPERM, "no links here")

    monkeypatch.setattr(os, "link", refuse)
    storage.put(beat(seq=1))
    storage.put(beat(seq=2))
    storage.put(beat(seq=3))
    assert stored(tmp_path / "heartbeats.json.bak")["heartbeats"]["web-1"]["seq"] == 2
    assert not list(tmp_path.glob(".hbk-*.tmp"))


@pytest.mark.parametrize(
    "damage",
    [b"", b'{"heartbeats":{"web-1"', b"\xff\xfe\x00", b"[]", b'{"heartbeats":[]}', b"{}", b"[" * 100_000],
    ids=["empty", "cut", "binary", "list", "records are a list", "no records", "deep"],
)
def test_a_damaged_file_is_read_from_its_copy_and_healed_by_the_next_beat(tmp_path, path, caplog, damage):
    """Nothing is lost but the last write; the damaged file is kept; it is said once, loudly."""
    writer = JsonFileStorage(tmp_path)
    writer.put(beat("web-1"))
    writer.put(beat("web-2"))
    writer.put(beat("web-3"))
    path.write_bytes(damage)
    reader = JsonFileStorage(tmp_path)
    before = sorted(item.name for item in tmp_path.iterdir())
    with caplog.at_level(logging.ERROR, "heartbeat_kit"):
        assert set(reader.load().heartbeats) == {"web-1", "web-2"}
        reader.load()
    assert len(caplog.records) == 1
    assert sorted(item.name for item in tmp_path.iterdir()) == before, "a look wrote"
    reader.put(beat("web-4"))
    assert set(stored(path)["heartbeats"]) == {"web-1", "web-2", "web-4"}
    assert (tmp_path / "heartbeats.json.corrupt-20260115T233000000Z").read_bytes() == damage
    assert set(stored(tmp_path / "heartbeats.json.bak")["heartbeats"]) == {"web-1", "web-2"}, "bad copy of a bad file"


def test_an_earlier_damaged_file_is_never_overwritten(storage, path, tmp_path):
    storage.put(beat("web-1"))
    storage.put(beat("web-2"))
    for text in ("first", "second", "third"):
        path.write_text(text)
        storage.put(beat("web-3", len(text)))
    kept = sorted(item.read_text() for item in tmp_path.glob("heartbeats.json.corrupt-*"))
    assert kept == ["first", "second", "third"]


def test_a_late_beat_heals_the_file_too(storage, path):
    """Even a record that loses against the stored one must not leave the damage in place."""
    storage.put(beat(seq=5))
    storage.put(beat("web-2"))
    path.write_text("damage")
    assert storage.put(beat(seq=1)).seq == 5
    assert stored(path)["heartbeats"]["web-1"]["seq"] == 5


def test_with_no_good_copy_a_look_raises_and_a_beat_begins_anew(tmp_path, path, storage, caplog):
    """Never empty in silence: the look says what to do, the beat keeps both damaged files."""
    path.write_text("cut")
    path.with_name("heartbeats.json.bak").write_text("cut too")
    with pytest.raises(StorageCorruptError, match="restore one of them"):
        storage.load()
    with caplog.at_level(logging.ERROR, "heartbeat_kit"):
        storage.put(beat())
    assert "kept as" in caplog.text
    assert set(storage.load().heartbeats) == {"web-1"}
    assert {item.read_text() for item in tmp_path.glob("*.corrupt-*")} == {"cut", "cut too"}


def test_a_missing_file_beside_its_copy_is_empty_and_said_once(storage, path, caplog):
    storage.put(beat(seq=1))
    storage.put(beat(seq=2))
    path.unlink()
    with caplog.at_level(logging.WARNING, "heartbeat_kit"):
        assert dict(storage.load().heartbeats) == {}
        storage.load()
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_a_bad_record_is_isolated_kept_and_healed_by_its_machine(storage, path):
    """Others' writes carry it along as it was found."""
    storage.put(beat("web-1"))
    found = stored(path)
    bad = {"machineId": "web-2", "lastHeartbeat": "P1D", "odd": [1, "\ud800"]}
    found["heartbeats"]["web-2"] = bad
    path.write_text(json.dumps(found))
    assert set(storage.load().heartbeats) == {"web-1"}
    assert set(storage.load().unreadable) == {"web-2"}
    storage.put(beat("web-1", 2))
    assert stored(path)["heartbeats"]["web-2"] == bad
    assert stored(path)["statistics"]["totalMachines"] == 2
    storage.put(beat("web-2"))
    assert storage.load().unreadable == {}
    assert set(storage.load().heartbeats) == {"web-1", "web-2"}


def test_a_bad_record_can_be_removed(storage, path):
    storage.put(beat("web-1"))
    found = stored(path)
    found["heartbeats"]["Web-2"] = 7
    path.write_text(json.dumps(found))
    assert storage.remove("web-2") is True
    assert storage.load().unreadable == {}
    assert storage.remove("web-2") is False


@pytest.mark.parametrize("key", ["../escaped", "", "con", "a/b", "x" * 64, "web-9"])
def test_a_hostile_or_foreign_key_is_unreadable_under_its_own_text(storage, path, key):
    """Never a crash, never a path."""
    storage.put(beat("web-1"))
    found = stored(path)
    found["heartbeats"][key] = found["heartbeats"]["web-1"]
    path.write_text(json.dumps(found))
    snapshot = storage.load()
    assert set(snapshot.heartbeats) == {"web-1"}
    assert set(snapshot.unreadable) == {key}


def test_another_spelling_of_an_id_is_the_same_machine(storage, path):
    storage.put(beat("web-1", 5))
    found = stored(path)
    found["heartbeats"] = {"Web-1": found["heartbeats"]["web-1"] | {"machineId": "WEB-1", "seq": 6}} | found[
        "heartbeats"
    ]
    path.write_text(json.dumps(found))
    assert {key: record.seq for key, record in storage.load().heartbeats.items()} == {"web-1": 6}


def test_what_a_newer_version_added_is_kept(storage, path):
    """Unknown top-level keys and the higher schema version survive our writes."""
    storage.put(beat())
    path.write_text(json.dumps(stored(path) | {"schemaVersion": 7, "regions": {"eu": ["web-1"]}}))
    storage.put(beat(seq=2))
    found = stored(path)
    assert (found["schemaVersion"], found["regions"], found["heartbeats"]["web-1"]["seq"]) == (7, {"eu": ["web-1"]}, 2)


def test_a_damaged_ledger_costs_the_ledger_not_the_fleet(storage, path, caplog):
    storage.put(beat())
    storage.commit([move("e1"), move("e2", "web-2")])
    found = stored(path)
    found["ledger"]["entries"]["web-1"] = {"status": "?"}
    found["ledger"]["outbox"][0] = "x"
    path.write_text(json.dumps(found))
    with caplog.at_level(logging.ERROR, "heartbeat_kit"):
        assert set(storage.read_ledger()) == {"web-2"}
    assert "ledger entry 'web-1'" in caplog.text
    assert set(storage.load().heartbeats) == {"web-1"}
    assert [event.id for event in storage.history()] == ["e1", "e2"]


def test_a_file_too_large_to_be_ours_is_refused(storage, path):
    with path.open("wb") as file:
        file.truncate(64 * 2**20 + 1)
    for attempt in (storage.load, lambda: storage.put(beat())):
        with pytest.raises(StorageCorruptError, match="67108864"):
            attempt()
    assert path.stat().st_size > 64 * 2**20


def test_a_directory_that_is_gone_is_unavailable_and_never_made(tmp_path):
    """A share that is not mounted must not be replaced by an empty folder."""
    folder = tmp_path / "share"
    storage = JsonFileStorage(folder, must_exist=False)
    for attempt in (storage.load, lambda: storage.put(beat()), lambda: storage.commit([move("e1")])):
        with pytest.raises(StorageUnavailableError, match="share"):
            attempt()
    assert not folder.exists()
    folder.mkdir()
    storage.put(beat())
    assert set(storage.load().heartbeats) == {"web-1"}
    storage.close()


def test_create_makes_the_directory(tmp_path):
    JsonFileStorage(tmp_path / "a" / "b", create=True).close()
    assert (tmp_path / "a" / "b").is_dir()
    with pytest.raises(InvalidConfigurationError):
        JsonFileStorage(tmp_path / "none")


def test_a_lock_held_too_long_is_unavailable_and_names_the_file(tmp_path):
    storage = JsonFileStorage(tmp_path, lock_timeout=timedelta(milliseconds=20))
    other = os_lock(str(tmp_path / ".lock"))
    with other.acquire(), pytest.raises(StorageUnavailableError, match=r"\.lock"):
        storage.put(beat())
    assert storage.put(beat()).seq == 1
    storage.close()


@pytest.mark.parametrize("timeout", [timedelta(seconds=-1), 5, None])
def test_a_lock_timeout_is_a_duration(tmp_path, timeout):
    with pytest.raises(InvalidConfigurationError, match="lock_timeout"):
        JsonFileStorage(tmp_path, lock_timeout=timeout)


def test_a_write_that_fails_reports_it_and_changes_nothing(storage, path, monkeypatch):
    """A full disk: no false success, no move made, the old file in place."""
    storage.put(beat())
    content = path.read_bytes()

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageUnavailableError, match="No space") as caught:
            storage.put(beat(seq=2))
        assert isinstance(caught.value.__cause__, OSError)
        with pytest.raises(StorageUnavailableError):
            storage.commit([move("e1")])
        with pytest.raises(StorageUnavailableError, match="No space"):
            storage.schedule(window(), forget_before_ms=0)
    assert path.read_bytes() == content
    assert storage.load().heartbeats["web-1"].seq == 1
    assert (storage.read_ledger(), storage.undelivered("me"), storage.history()) == ({}, (), ())
    assert storage.windows() == ()


def test_a_directory_in_the_place_of_the_file_is_unavailable(storage, path):
    path.mkdir()
    with pytest.raises(StorageUnavailableError):
        storage.load()


def test_our_stale_temporaries_are_removed_and_nothing_else(tmp_path):
    """By prefix, suffix and age, at the first write."""
    stale, fresh, foreign = tmp_path / ".hbk-1-2.tmp", tmp_path / ".hbk-1-3.tmp", tmp_path / "web-1.json.tmp-1-2"
    for item in (stale, fresh, foreign):
        item.write_text("x")
    for item in (stale, foreign):
        os.utime(item, (1, 1))
    storage = JsonFileStorage(tmp_path)
    storage.put(beat())
    assert (stale.exists(), fresh.exists(), foreign.exists()) == (False, True, True)
    storage.close()


def test_a_service_record_that_is_no_object_is_corrupt(storage, tmp_path):
    assert storage.load_service() is None
    (tmp_path / "heartbeat-service.json").write_text("[]")
    with pytest.raises(StorageCorruptError):
        storage.load_service()
    (tmp_path / "heartbeat-service.json").write_text("{")
    with pytest.raises(StorageCorruptError):
        storage.load_service()
    storage.save_service({"a": 1})
    assert storage.load_service() == {"a": 1}


def test_use_after_close_raises_everywhere(storage):
    storage.put(beat())
    storage.close()
    storage.close()
    calls = [
        lambda: storage.put(beat()),
        storage.load,
        lambda: storage.get("web-1"),
        lambda: storage.remove("web-1"),
        storage.read_ledger,
        lambda: storage.commit([]),
        lambda: storage.undelivered("me"),
        lambda: storage.delivered(["e"]),
        storage.history,
        storage.windows,
        lambda: storage.schedule(window(), forget_before_ms=0),
        lambda: storage.save_service({}),
        storage.load_service,
    ]
    for call in calls:
        with pytest.raises(StorageClosedError):
            call()
