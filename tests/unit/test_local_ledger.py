"""`LocalLedger`: announcements and observations of one host, in its own state directory."""

import errno
import json
import logging
import os
import stat

import pytest
from ledger_values import move

from heartbeat_kit.errors import StorageClosedError, StorageUnavailableError
from heartbeat_kit.storage import EventLog, Observation, SharedLedger
from heartbeat_kit.storage.local_ledger import LocalLedger


def seen(seq=1, *, at=1_000, incarnation=1):
    return Observation(incarnation=incarnation, seq=seq, seen_ms=at)


def ids(events):
    return [item.id for item in events]


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "state" / "one"


@pytest.fixture
def ledger(folder):
    ledger = LocalLedger(folder)
    yield ledger
    ledger.close()


def test_it_offers_the_ledger_abilities(ledger):
    assert isinstance(ledger, SharedLedger)
    assert isinstance(ledger, EventLog)


def test_looking_makes_nothing(folder, ledger):
    """A first run is empty, and only a write makes the directory."""
    assert (ledger.read_ledger(), ledger.observations(), ledger.undelivered("me"), ledger.history()) == ({}, {}, (), ())
    ledger.delivered(["e1"])
    ledger.note({})
    assert not folder.parent.exists()


def test_everything_survives_a_restart(folder, ledger):
    won = ledger.commit([move("e1"), move("e2", "web-2")])
    ledger.note({"web-1": seen()})
    ledger.close()
    other = LocalLedger(folder)
    assert len(won) == 2
    assert {key: entry.event_id for key, entry in other.read_ledger().items()} == {"web-1": "e1", "web-2": "e2"}
    assert other.observations() == {"web-1": seen()}
    assert ids(other.undelivered("me")) == ids(other.history()) == ["e1", "e2"]
    other.delivered(["e1"])
    assert ids(other.undelivered("me")) == ["e2"]
    assert ids(other.history()) == ["e1", "e2"]
    other.close()


def test_only_the_owner_may_read_the_files(folder, ledger):
    ledger.commit([move("e1")])
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    for name in ("ledger.json", "heartbeat-events.jsonl"):
        assert stat.S_IMODE((folder / name).stat().st_mode) == 0o600


def test_notes_are_merged_and_older_records_passed_over(folder, ledger):
    """Two processes of a host note what they saw; what one of them saw last of a record stands."""
    other = LocalLedger(folder)
    ledger.note({"web-1": seen(5, at=50), "web-2": seen(1)})
    other.note({"web-1": seen(4, at=99), "web-3": seen(2)})
    other.note({"web-2": seen(1, at=7)})
    expected = {"web-1": seen(5, at=50), "web-2": seen(1, at=7), "web-3": seen(2)}
    assert ledger.observations() == other.observations() == expected
    other.close()


def test_a_note_without_news_writes_nothing(folder, ledger):
    ledger.note({"web-1": seen(5)})
    before = (folder / "ledger.json").stat()
    ledger.note({"web-1": seen(5)})
    ledger.note({"web-1": seen(4)})
    after = (folder / "ledger.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_returned_mappings_never_change(ledger):
    ledger.commit([move("e1")])
    ledger.note({"web-1": seen()})
    entries, observations = ledger.read_ledger(), ledger.observations()
    ledger.commit([move("e2", expected="e1")])
    ledger.note({"web-1": seen(2)})
    assert (entries["web-1"].event_id, observations["web-1"].seq) == ("e1", 1)
    with pytest.raises(TypeError):
        observations["x"] = seen()


def test_an_unchanged_file_is_not_opened_again(folder, ledger, monkeypatch):
    ledger.commit([move("e1")])
    other = LocalLedger(folder)
    first = other.read_ledger()
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("the file was opened"))
    assert other.read_ledger() is first
    monkeypatch.undo()
    other.close()


@pytest.mark.parametrize("damage", ["", "{", "[]", "[" * 100_000])
def test_a_damaged_file_is_a_first_run_and_is_kept_aside(folder, ledger, caplog, damage):
    ledger.commit([move("e1")])
    for number in (1, 2):
        (folder / "ledger.json").write_text(damage + " " * number)
        with caplog.at_level(logging.ERROR, "heartbeat_kit"):
            assert ledger.read_ledger() == {}
        assert "is damaged" in caplog.text
        caplog.clear()
        ledger.commit([move(f"f{number}", f"web-{number}")])
        assert (folder / f"ledger.json.corrupt-{number}").read_text() == damage + " " * number
    assert set(ledger.read_ledger()) == {"web-2"}


def test_damaged_parts_cost_themselves_only(folder, ledger, caplog):
    ledger.commit([move("e1"), move("e2", "web-2")])
    ledger.note({"web-1": seen(), "web-2": seen()})
    record = json.loads((folder / "ledger.json").read_text())
    record["entries"]["web-1"]["machineId"] = "web-9"
    record["observations"]["web-1"]["seq"] = "1"
    record["observations"]["web-3"] = {"incarnation": 1, "seq": 1, "seen": "now"}
    record["lastCommit"] = 5
    (folder / "ledger.json").write_text(json.dumps(record))
    assert set(ledger.read_ledger()) == {"web-2"}
    assert ledger.observations() == {"web-2": seen()}
    assert "web-9" in caplog.text
    record["entries"], record["outbox"], record["observations"] = [], {}, 3
    (folder / "ledger.json").write_text(json.dumps(record))
    assert (ledger.read_ledger(), ledger.observations(), ledger.undelivered("me")) == ({}, {}, ())


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("in the way")
    ledger = LocalLedger(tmp_path / "file" / "state")
    for attempt in (lambda: ledger.commit([move("e1")]), lambda: ledger.note({"web-1": seen()})):
        with pytest.raises(StorageUnavailableError, match="state"):
            attempt()
    ledger.close()


def test_a_full_disk_commits_nothing(ledger, monkeypatch):
    ledger.commit([move("e1")])

    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "write", full)
        with pytest.raises(StorageUnavailableError, match="No space"):
            ledger.commit([move("e2", expected="e1")])
        with pytest.raises(StorageUnavailableError, match="No space"):
            ledger.note({"web-1": seen()})
    assert ledger.read_ledger()["web-1"].event_id == "e1"
    assert (ledger.observations(), ids(ledger.history())) == ({}, ["e1"])
    assert len(ledger.commit([move("e2", expected="e1")])) == 1


def test_use_after_close_raises_and_close_twice_does_not(ledger):
    ledger.commit([move("e1")])
    ledger.close()
    ledger.close()
    calls = [
        ledger.read_ledger,
        ledger.observations,
        ledger.history,
        lambda: ledger.commit([]),
        lambda: ledger.note({"web-1": seen()}),
        lambda: ledger.undelivered("me"),
        lambda: ledger.delivered(["e1"]),
    ]
    for call in calls:
        with pytest.raises(StorageClosedError):
            call()
