"""`LocalLedger`: announcements and observations of one host, in its own state directory."""

import errno
import json
import logging
import os
import stat

import attrs
import pytest
from ledger_values import START, move, window

from heartbeat_kit._events import Reason
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.errors import StorageClosedError, StorageUnavailableError
from heartbeat_kit.storage import EventLog, MaintenanceCalendar, Observation, SharedLedger
from heartbeat_kit.storage._ledger_codec import window_to_record
from heartbeat_kit.storage.local_ledger import LocalLedger
from heartbeat_kit.testing._race import fleet_moves, in_threads, schedule_all


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
    assert isinstance(ledger, MaintenanceCalendar)


def test_looking_makes_nothing(folder, ledger):
    """A first run is empty, and only a write makes the directory."""
    assert (ledger.read_ledger(), ledger.observations(), ledger.undelivered("me"), ledger.history()) == ({}, {}, (), ())
    assert ledger.windows() == ()
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


def test_events_about_the_fleet_and_their_entries_survive_a_restart(folder, ledger):
    moves = fleet_moves("web-1", at=START, owner="me")
    assert ledger.commit(moves) == moves
    ledger.close()
    other = LocalLedger(folder)
    assert list(other.read_ledger().values()) == [item.entry for item in moves]
    assert other.undelivered("me") == other.history() == tuple(item.transition for item in moves)
    assert other.history("web-1") == ()
    other.close()


def test_the_calendar_is_the_one_of_all_handles_and_survives_a_restart(folder, ledger):
    other = LocalLedger(folder)
    ledger.schedule(window(), forget_before_ms=0)
    other.schedule(window("web-2", START - 10), forget_before_ms=0)
    ledger.schedule(window(end=START + 1, reason="done"), forget_before_ms=0)
    expected = (window("web-2", START - 10), window(end=START + 1, reason="done"))
    assert ledger.windows() == other.windows() == expected
    ledger.close()
    other.close()
    fresh = LocalLedger(folder)
    fresh.commit([move("e1")])
    fresh.note({"web-1": seen()})
    assert fresh.windows() == expected
    fresh.schedule(window("web-3"), forget_before_ms=START + 2)
    assert fresh.windows() == (window("web-2", START - 10), window("web-3"))
    assert (fresh.read_ledger()["web-1"].event_id, fresh.observations()) == ("e1", {"web-1": seen()})
    fresh.close()


def test_the_windows_are_one_object_while_others_write(folder, ledger):
    """Also when the file was read again, and also those this handle scheduled itself."""
    ledger.schedule(window(), forget_before_ms=0)
    found, other = ledger.windows(), LocalLedger(folder)
    for number in range(3):
        other.note({"web-1": seen(number)})
        assert ledger.windows() is found
    other.schedule(window("web-2"), forget_before_ms=0)
    assert ledger.windows() == (*found, window("web-2"))
    other.close()


def test_scheduling_what_is_there_writes_nothing(folder, ledger):
    ledger.schedule(window(), forget_before_ms=0)
    before = (folder / "ledger.json").stat()
    ledger.schedule(window(), forget_before_ms=0)
    after = (folder / "ledger.json").stat()
    assert (before.st_ino, before.st_mtime_ns) == (after.st_ino, after.st_mtime_ns)


def test_threads_with_handles_of_their_own_lose_no_window(folder):
    plans = [[window(f"m{n}", START + number) for number in range(10)] for n in range(4)]
    handles = [LocalLedger(folder) for _ in plans]
    lost = in_threads([(schedule_all, (handle, plan)) for handle, plan in zip(handles, plans, strict=True)])
    assert lost == [[], [], [], []]
    assert set(handles[0].windows()) == {item for plan in plans for item in plan}
    for handle in handles:
        handle.close()


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


def test_every_part_of_a_note_survives_a_restart(folder, ledger):
    note = Observation(
        incarnation=7, seq=9, seen_ms=START, silent_ms=5, interval_ms=30_000, skew_ms=-600_000, rose=False,
        candidate=MachineStatus.OFFLINE, agreed=2,
    )  # fmt: skip
    ledger.note({"web-1": note})
    again = LocalLedger(folder)
    assert again.observations() == {"web-1": note}
    again.close()


@pytest.mark.parametrize(
    "damage", [{"silent": -1}, {"interval": "30"}, {"candidate": "dead"}, {"agreed": None}, {"skew": "1"}]
)
def test_a_note_that_cannot_be_is_left_out(folder, ledger, damage):
    ledger.note({"web-1": seen(), "web-2": seen()})
    ledger.close()
    path = folder / "ledger.json"
    record = json.loads(path.read_text())
    record["observations"]["web-1"] |= damage
    path.write_text(json.dumps(record))
    again = LocalLedger(folder)
    assert list(again.observations()) == ["web-2"]
    again.close()


def test_what_was_observed_of_nobody_is_forgotten_after_thirty_days(ledger):
    """Notes of machines that were announced stay, unless they were removed."""
    limit = 30 * 86_400_000
    here = move("e1")
    gone = attrs.evolve(move("e2", "gone"), entry=attrs.evolve(move("e2", "gone").entry, reason=Reason.REMOVED))
    ledger.commit([here, gone])
    ledger.note({name: seen(at=START) for name in ("web-1", "gone", "stranger")})
    ledger.note({"new": seen(at=START + limit)})
    assert set(ledger.observations()) == {"web-1", "gone", "stranger", "new"}
    ledger.note({"new": seen(2, at=START + limit + 1)})
    assert set(ledger.observations()) == {"web-1", "new"}


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
    record["windows"] = [{"machineId": "web-1"}, window_to_record(window("web-2"))]
    (folder / "ledger.json").write_text(json.dumps(record))
    assert set(ledger.read_ledger()) == {"web-2"}
    assert ledger.observations() == {"web-2": seen()}
    assert ledger.windows() == (window("web-2"),)
    assert "web-9" in caplog.text
    record["entries"], record["outbox"], record["observations"] = [], {}, 3
    (folder / "ledger.json").write_text(json.dumps(record))
    assert (ledger.read_ledger(), ledger.observations(), ledger.undelivered("me")) == ({}, {}, ())


def test_a_directory_that_cannot_be_made_is_unavailable(tmp_path):
    (tmp_path / "file").write_text("in the way")
    ledger = LocalLedger(tmp_path / "file" / "state")
    for attempt in (
        lambda: ledger.commit([move("e1")]),
        lambda: ledger.note({"web-1": seen()}),
        lambda: ledger.schedule(window(), forget_before_ms=0),
    ):
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
        with pytest.raises(StorageUnavailableError, match="No space"):
            ledger.schedule(window(), forget_before_ms=0)
    assert ledger.read_ledger()["web-1"].event_id == "e1"
    assert (ledger.observations(), ids(ledger.history()), ledger.windows()) == ({}, ["e1"], ())
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
        ledger.windows,
        lambda: ledger.schedule(window(), forget_before_ms=0),
    ]
    for call in calls:
        with pytest.raises(StorageClosedError):
            call()
