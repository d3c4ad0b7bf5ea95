"""The event history: every committed event once, in order, whatever was cut in between."""

import os
from pathlib import Path

import pytest
from ledger_values import START, beat, move

from heartbeat_kit.storage import JsonFileStorage
from heartbeat_kit.storage._history import EventHistory
from heartbeat_kit.testing._race import fleet_moves


def event(number, machine_id="web-1"):
    return move(f"e{number}", machine_id).transition


def ids(events):
    return [item.id for item in events]


@pytest.fixture
def log(tmp_path):
    return tmp_path / "heartbeat-events.jsonl"


def test_events_come_back_equal_and_in_order(tmp_path):
    history = EventHistory(str(tmp_path))
    events = [event(n) for n in range(3)]
    for item in events:
        history.ensure([item], {item.id})
    assert history.read([], None, None) == tuple(events)


def test_it_can_be_asked_for_one_machine_and_a_time(tmp_path):
    history = EventHistory(str(tmp_path))
    events = [event(1), event(2, "web-2")]
    history.ensure(events, {"e1", "e2"})
    assert ids(history.read([], " WEB-2 ", None)) == ["e2"]
    assert ids(history.read([], None, events[0].detected_at_ms)) == ["e1", "e2"]
    assert ids(history.read([], None, events[0].detected_at_ms + 1)) == []


def test_events_about_the_fleet_are_written_once_and_belong_to_no_machine(tmp_path, log):
    fleet = [item.transition for item in fleet_moves("web-1", "web-2", at=START)]
    events = [event(1), *fleet, event(2)]
    history = EventHistory(str(tmp_path))
    history.ensure(events, {item.id for item in events})
    other = EventHistory(str(tmp_path))
    other.ensure(events)  # knows nothing of what is written, and finds every line
    assert log.read_bytes().count(b"\n") == len(events)
    assert other.read([], None, None) == tuple(events)
    assert ids(other.read([], "web-1", None)) == ["e1", "e2"]
    assert ids(other.read([], None, START + 1)) == ["e1", "e2"]
    assert other.read(fleet, None, START)[1:-1] == tuple(fleet)


def test_a_kind_of_event_that_is_not_known_is_passed_over(tmp_path, log):
    """A newer version wrote it beside us."""
    history = EventHistory(str(tmp_path))
    history.ensure([event(1)], {"e1"})
    with log.open("ab") as file:
        file.write(b'{"id":"e2","kind":"quorum_lost","machineId":"web-1","detectedAt":"2026-01-15T23:30:00.000Z"}\n')
    history.ensure([event(3)], {"e3"})
    assert ids(history.read([], None, None)) == ["e1", "e3"]


def test_an_event_that_has_no_line_yet_is_shown_and_written_later(tmp_path, log):
    """A process that died between ledger and line loses nothing, and the order stays that of the commits."""
    history = EventHistory(str(tmp_path))
    history.ensure([event(1)], {"e1"})
    assert ids(history.read([event(1), event(2)], None, None)) == ["e1", "e2"]
    other = EventHistory(str(tmp_path))
    other.ensure([event(1), event(2), event(3)], {"e3"})
    assert ids(other.read([], None, None)) == ["e1", "e2", "e3"]
    assert log.read_bytes().count(b"\n") == 3


def test_what_this_process_wrote_is_not_looked_up_again(tmp_path, monkeypatch):
    """A commit beside undelivered events of our own costs its own line."""
    history = EventHistory(str(tmp_path))
    history.ensure([event(1)], {"e1"})
    monkeypatch.setattr("builtins.open", lambda *_: pytest.fail("the history was read"))
    history.ensure([event(1), event(2)], {"e2"})
    history.ensure([event(1), event(2)])


def test_a_torn_line_costs_its_own_event_and_is_written_again(tmp_path, log):
    history = EventHistory(str(tmp_path))
    history.ensure([event(1), event(2)], {"e1", "e2"})
    log.write_bytes(log.read_bytes()[:-30])
    assert ids(history.read([], None, None)) == ["e1"]
    EventHistory(str(tmp_path)).ensure([event(2), event(3)], {"e3"})
    assert ids(history.read([], None, None)) == ["e1", "e2", "e3"]


def test_damaged_lines_are_passed_over(tmp_path, log):
    history = EventHistory(str(tmp_path))
    history.ensure([event(1)], {"e1"})
    with log.open("ab") as file:
        file.write(b'\xff\xfe\n\n[1]\n{"id":7}\n' + b"[" * 99_999 + b"\n")
    history.ensure([event(2)], {"e2"})
    assert ids(history.read([], None, None)) == ["e1", "e2"]


def test_it_is_bounded_and_keeps_the_older_file(tmp_path, log):
    history = EventHistory(str(tmp_path), limit=2_000)
    for number in range(60):
        history.ensure([event(number)], {f"e{number}"})
    older = log.with_name("heartbeat-events.1.jsonl")
    assert log.stat().st_size < 2_500
    assert 2_000 < older.stat().st_size < 2_500
    found = ids(history.read([], None, None))
    assert found == [f"e{number}" for number in range(60 - len(found), 60)]
    assert len(found) > 5


def test_a_line_is_on_the_disk_before_the_commit_returns(tmp_path, monkeypatch):
    synced = []
    fsync = os.fsync
    monkeypatch.setattr(os, "fsync", lambda handle: (synced.append(os.fstat(handle).st_ino), fsync(handle)))
    storage = JsonFileStorage(tmp_path)
    storage.commit([move("e1")])
    assert (tmp_path / "heartbeat-events.jsonl").stat().st_ino in synced
    assert (tmp_path / "heartbeats.json").stat().st_ino in synced
    storage.close()


def test_a_commit_whose_line_cannot_be_written_is_a_commit(tmp_path, log, caplog):
    """The outbox keeps the event until its line can be written; it is not delivered and forgotten before."""
    storage = JsonFileStorage(tmp_path)
    storage.put(beat())
    log.mkdir()
    assert len(storage.commit([move("e1")])) == 1
    assert "lags behind" in caplog.text
    with pytest.raises(OSError, match="event"):
        storage.delivered(["e1"])
    assert ids(storage.undelivered("me")) == ["e1"]
    Path(log).rmdir()
    assert ids(storage.history()) == ["e1"]
    storage.delivered(["e1"])
    assert (ids(storage.undelivered("me")), ids(storage.history())) == ([], ["e1"])
    storage.close()
