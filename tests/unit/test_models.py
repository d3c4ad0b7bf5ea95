"""`MachineState`, `FleetState` and their kin: frozen, derived, escaped."""

import pickle

import attrs
import pendulum
import pytest
from core_values import START, beat, fleet, machine, observer

from heartbeat_kit import MachineStatus, ObserverHealth
from heartbeat_kit.errors import UnknownMachineError

HOSTILE = '<script>alert("1")</script>&'


@pytest.fixture
def state():
    return fleet(
        machine("a", MachineStatus.ONLINE),
        machine("b", MachineStatus.WARNING, reason="silent"),
        machine("c", MachineStatus.OFFLINE, reason="silent"),
        machine("d", MachineStatus.UNKNOWN, heartbeat=None, reason="never_seen"),
        machine("e", MachineStatus.ONLINE),
        last_check=START,
        unreadable={"d": "cut"},
    )


def test_the_lists_and_the_counts_agree(state):
    assert [[found.machine_id for found in group] for group in (state.online, state.warning, state.offline)] == [
        ["a", "e"],
        ["b"],
        ["c"],
    ]
    assert [found.machine_id for found in state.unknown] == ["d"]
    numbers = state.statistics
    assert (numbers.total_machines, numbers.online_count, numbers.warning_count) == (5, 2, 1)
    assert (numbers.offline_count, numbers.unknown_count) == (1, 1)
    assert numbers.last_heartbeat_check == pendulum.datetime(2026, 1, 1)
    assert fleet().statistics.last_heartbeat_check is None


def test_a_fleet_is_asked_like_a_mapping(state):
    assert state[" A "] is state.machines["a"]
    assert ("A" in state, "z" in state, "../x" in state, 7 in state) == (True, False, False, False)
    assert [found.machine_id for found in state] == ["a", "b", "c", "d", "e"]
    assert len(state) == 5


@pytest.mark.parametrize("name", ["z", "../x", 7])
def test_an_unknown_machine_is_a_typed_key_error(state, name):
    with pytest.raises(UnknownMachineError, match="known are: a, b, c, d, e") as caught:
        state[name]
    assert isinstance(caught.value, KeyError)
    assert caught.value.machine_id == str(name)
    with pytest.raises(UnknownMachineError, match="known are: none"):
        fleet()["a"]


def test_values_are_frozen(state):
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        state.machines["a"].status = MachineStatus.OFFLINE
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        state.observer = None
    with pytest.raises(TypeError):
        state.machines["a"] = None
    with pytest.raises(TypeError):
        state.unreadable["a"] = "x"


def test_values_hash_and_pickle(state):
    for value in (state["a"], state.statistics, state.observer):
        assert hash(value) == hash(pickle.loads(pickle.dumps(value)))
        assert pickle.loads(pickle.dumps(value)) == value
    again = pickle.loads(pickle.dumps(state))
    assert dict(again.machines) == dict(state.machines)
    assert (again.unreadable, again.retrieved_at) == ({"d": "cut"}, state.retrieved_at)
    assert len({state, again}) == 2


def test_a_machine_derives_from_its_heartbeat():
    found = machine(age=95_000, heartbeat=beat(metadata={"a": 1}, first_seen=START - 1_000))
    assert found.missed_heartbeats == 3
    assert (found.metadata, found.interval.total_seconds(), found.age.total_seconds()) == ({"a": 1}, 30, 95)
    assert (found.last_heartbeat, found.first_seen) == (found.heartbeat.last_heartbeat, found.heartbeat.first_seen)
    found.metadata["a"] = 2
    assert found.metadata == {"a": 1}


def test_missed_beats_are_whole_intervals_and_never_negative():
    assert [machine(age=age).missed_heartbeats for age in (-60_000, 0, 29_999, 30_000, 59_999)] == [0, 0, 0, 1, 1]


def test_a_machine_without_a_record_shows_nothing_of_one():
    found = machine(heartbeat=None)
    assert (found.missed_heartbeats, found.metadata) == (0, {})
    assert (found.last_heartbeat, found.first_seen, found.interval) == (None, None, None)


def test_times_are_shown_only_where_in_force():
    quiet = machine()
    assert (quiet.since, quiet.warning_since, quiet.offline_since, quiet.next_deadline, quiet.clock_skew) == (None,) * 5
    shown = machine(
        since=START + 2, warning_since=START + 1, offline_since=START + 2, next_deadline=START + 3, clock_skew=-4_000
    )
    moments = (shown.warning_since, shown.since, shown.next_deadline)
    assert [moment.microsecond for moment in moments] == [1_000, 2_000, 3_000]
    assert shown.offline_since == shown.since
    assert (shown.clock_skew.total_seconds(), shown.timeout.total_seconds()) == (-4, 120)


def test_reprs_are_one_line_with_counts(state):
    assert repr(state) == "<FleetState 5 machines: 2 online, 1 warning, 1 offline, 1 unknown, observer ok>"
    assert repr(state["b"]) == "<MachineState b warning age=65s silent>"
    assert repr(machine(stale=True, identity_conflict="two hosts")).endswith("beating stale identity conflict>")
    assert repr(observer()) == "<ObserverState ok>"
    assert repr(observer(ObserverHealth.BLIND, "gone")) == "<ObserverState blind: gone>"
    assert observer().since == pendulum.datetime(2026, 1, 1)


def test_html_is_escaped():
    """An id is checked when a record is made, yet a table must not depend on that."""
    record = beat(metadata={"note": HOSTILE})
    page = machine(HOSTILE, heartbeat=record, reason=HOSTILE, identity_conflict=HOSTILE)
    for html in (page._repr_html_(), fleet(page)._repr_html_()):
        assert "<script" not in html
        assert "&lt;script&gt;alert(&quot;1&quot;)&lt;/script&gt;&amp;" in html


def test_html_has_a_row_a_machine_and_no_colours_of_its_own(state):
    html = state._repr_html_()
    assert html.count("<tr>") == 6
    assert "5 machines: 2 online" in html
    assert html.count("&#9679;") == 5
    assert "background:transparent" in html
    assert "never" in html


def test_rich_shows_the_same_rows(state):
    table = state.__rich__()
    assert table.row_count == 5
    assert "5 machines" in str(table.title)
    assert state["a"].__rich__().row_count == 1


def test_an_explanation_is_one_paragraph(state):
    assert "\n" not in state["b"].explain()
    assert state["b"].explain().startswith("b is warning because it is silent.")
