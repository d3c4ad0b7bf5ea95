"""`LedgerState`: compare-and-set, delivery, adoption and the calendar, without a file."""

import json

import attrs
import pytest
from ledger_values import START, move, window

from heartbeat_kit._events import Reason
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import Move
from heartbeat_kit.storage._event_codec import event_to_record
from heartbeat_kit.storage._ledger_codec import window_to_record
from heartbeat_kit.storage._ledger_state import EMPTY_LEDGER, LedgerReader
from heartbeat_kit.storage._ledger_text import LedgerWriter
from heartbeat_kit.testing._race import fleet_moves


def planned(*windows):
    state = EMPTY_LEDGER
    for item in windows:
        state = state.scheduled(item, 0)
    return state


def read(record):
    complaints = []
    return LedgerReader().read(record, complaints.append), complaints


def test_a_move_is_made_only_where_its_expectation_holds():
    state, won = EMPTY_LEDGER.apply([move("e1"), move("e2"), move("e3", expected="e1"), move("e4", expected="e1")])
    assert [item.transition.id for item in won] == ["e1", "e3"]
    assert state.entries["web-1"].event_id == "e3"
    assert [event.id for event in state.undelivered("me")] == ["e1", "e3"]


def test_a_lost_race_leaves_the_same_state():
    """So nothing is written."""
    state, _ = EMPTY_LEDGER.apply([move("e1")])
    assert state.apply([move("e2")]) == (state, ())
    assert state.apply([move("e2")])[0] is state
    assert state.delivered(["other"]) is state
    assert state.adopted("you", {"nobody"}) is state


def test_a_state_never_changes():
    state, _ = EMPTY_LEDGER.apply([move("e1")])
    entries = state.entries
    after, _ = state.apply([move("e2", expected="e1", status=MachineStatus.ONLINE)])
    assert entries["web-1"].event_id == "e1"
    assert after.entries["web-1"].event_id == "e2"
    with pytest.raises(TypeError):
        entries["x"] = 1


def test_a_removed_machine_is_forgotten_after_thirty_days():
    """By the time of what is committed; who is only offline stays, and so does what is about the fleet."""
    day = 86_400_000
    gone = attrs.evolve(move("g", "gone").entry, reason=Reason.REMOVED, since_ms=START, announced_ms=None)
    late = attrs.evolve(gone, machine_id="late", event_id="l", announced_ms=START + day)
    kept = attrs.evolve(gone, machine_id="kept", event_id="k", reason=Reason.SILENT)
    fleet = attrs.evolve(kept, machine_id="*silence", event_id="s")
    state = EMPTY_LEDGER
    for entry in (gone, late, kept, fleet):
        made = attrs.evolve(move(entry.event_id).transition, detected_at=START)
        state, _ = state.apply([Move(expected=None, entry=entry, transition=made, owner="me")])
    at_limit, _ = state.apply(
        [attrs.evolve(move("a"), transition=attrs.evolve(made, id="a", detected_at=START + 30 * day))]
    )
    assert set(at_limit.entries) == {"gone", "late", "kept", "*silence", "web-1"}
    after, _ = state.apply(
        [attrs.evolve(move("b"), transition=attrs.evolve(made, id="b", detected_at=START + 30 * day + 1))]
    )
    assert set(after.entries) == {"late", "kept", "*silence", "web-1"}


def test_adoption_moves_the_dead_owners_events_and_no_others():
    state, _ = EMPTY_LEDGER.apply([move(f"e{n}", f"web-{n}", owner=owner) for n, owner in enumerate("abca")])
    state = state.adopted("c", {"a"})
    assert [event.id for event in state.undelivered("c")] == ["e0", "e2", "e3"]
    assert state.owners == {"b", "c"}
    assert [event.id for event in state.delivered(["e0", "e3"]).undelivered("c")] == ["e2"]


def test_the_calendar_is_in_order_of_start_then_machine():
    late, early, beside = window("a", START + 1), window("b"), window("a")
    assert planned(late, early, beside).windows == (beside, early, late)


def test_a_window_replaces_the_one_of_its_machine_and_start():
    shorter = window(end=START + 1, reason="done")
    assert planned(window(), window("web-2"), shorter).windows == (shorter, window("web-2"))


def test_windows_that_ended_are_dropped_but_not_the_one_just_scheduled():
    """Somebody who schedules a window finds it, also one that is over."""
    state = planned(window("old", 0, 99), window("now", 0, 100))
    past = window("past", 0, 10)
    assert state.scheduled(past, 100).windows == (window("now", 0, 100), past)
    assert state.scheduled(past, 100).scheduled(window(), 100).windows == (window("now", 0, 100), window())


def test_scheduling_what_is_there_leaves_the_same_state():
    """So nothing is written."""
    state = planned(window(), window("web-2"))
    assert state.scheduled(window(), 0) is state


def test_nothing_else_touches_the_calendar():
    state = planned(window())
    after, _ = state.apply([move("e1"), *fleet_moves("web-1", owner="me")])
    assert after.windows is after.adopted("you", {"me"}).windows is after.delivered(["e1"]).windows is state.windows
    assert after.scheduled(window("web-2"), 0).entries is after.entries


def test_an_event_about_the_fleet_dates_the_last_commit():
    """Every kind of event says when it was detected."""
    assert EMPTY_LEDGER.apply(fleet_moves("web-1", at=77))[0].last_commit_ms == 77


def test_an_event_of_an_unknown_kind_costs_itself_only_and_is_told():
    """A newer version wrote it beside ours."""
    known = {"owner": "me", "transition": event_to_record(move("e1").transition)}
    newer = {"owner": "me", "transition": {"id": "e2", "kind": "quorum_lost", "machineId": "web-1"}}
    state, complaints = read({"outbox": [newer, known]})
    assert list(state.outbox) == ["e1"]
    assert len(complaints) == 1
    assert "undelivered event 0" in complaints[0]
    assert "quorum_lost" in complaints[0]


@pytest.mark.parametrize(
    "damage",
    [
        {"end": "2026-01-15T23:30:00.000Z"},
        {"end": "2026-01-15T22:30:00.000Z"},
        {"start": None},
        {"start": 5},
        {"machineId": 7},
        {"machineId": ["web-1"]},
        {"reason": None},
    ],
)
def test_a_bad_window_is_left_out_and_told(damage):
    sound = [window_to_record(window("web-2")), window_to_record(window("web-3"))]
    state, complaints = read({"windows": [sound[0], {**window_to_record(window()), **damage}, sound[1]]})
    assert state.windows == (window("web-2"), window("web-3"))
    assert len(complaints) == 1
    assert complaints[0].startswith("maintenance window 1: ")


@pytest.mark.parametrize("windows", [None, {}, "all", 3, [None], ["web-1"], [[]], [{}]])
def test_a_calendar_that_is_none_is_empty_and_told(windows):
    state, complaints = read({"windows": windows, "entries": {}})
    assert state.windows == ()
    assert len(complaints) == 1


def test_a_calendar_edited_by_hand_is_read_in_order_and_without_doubles():
    """The later one stands, as if it had been scheduled later."""
    longer = window(end=START + 9_000_000)
    found, complaints = read({"windows": [window_to_record(item) for item in (window("b"), window(), longer)]})
    assert (found.windows, complaints) == ((window("b"), longer), [])


def test_a_ledger_without_windows_does_not_mention_them():
    """Files of who plans no maintenance stay as they were."""
    writer = LedgerWriter()
    assert "windows" not in writer.members(EMPTY_LEDGER)
    text = writer.members(planned(window(reason="disk")))
    assert json.loads(f"{{{text}}}")["windows"] == [
        {
            "machineId": "web-1",
            "start": "2026-01-15T23:30:00.000Z",
            "end": "2026-01-16T00:30:00.000Z",
            "reason": "disk",
        }
    ]
    assert "windows" not in writer.members(EMPTY_LEDGER)
