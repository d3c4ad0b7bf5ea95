"""`LedgerState`: compare-and-set, delivery and adoption, without a file."""

import pytest
from ledger_values import move

from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage._ledger_state import EMPTY_LEDGER


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


def test_adoption_moves_the_dead_owners_events_and_no_others():
    state, _ = EMPTY_LEDGER.apply([move(f"e{n}", f"web-{n}", owner=owner) for n, owner in enumerate("abca")])
    state = state.adopted("c", {"a"})
    assert [event.id for event in state.undelivered("c")] == ["e0", "e2", "e3"]
    assert state.owners == {"b", "c"}
    assert [event.id for event in state.delivered(["e0", "e3"]).undelivered("c")] == ["e2"]
