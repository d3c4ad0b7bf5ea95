"""What a ledger stores comes back the same, and damage of any kind is an error of one type."""

import json

import attrs
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_kit._events import Basis, Reason, Transition
from heartbeat_kit._fleet_events import CascadeDetected, FleetSilent
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import MAX_MS, MIN_MS
from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage import LedgerEntry, Move
from heartbeat_kit.storage._event_codec import event_from_record, event_to_record
from heartbeat_kit.storage._ledger_codec import (
    entry_from_record,
    entry_to_record,
    window_from_record,
    window_to_record,
)
from heartbeat_kit.storage._ledger_state import EMPTY_LEDGER, LedgerReader
from heartbeat_kit.storage._ledger_text import LedgerWriter

moments = st.integers(MIN_MS, MAX_MS)
counts = st.integers(0, 2**63 - 1)
texts = st.text(max_size=20)
statuses = st.sampled_from(MachineStatus)
reasons = st.sampled_from(Reason)
names = st.lists(texts, max_size=4).map(tuple)
keys = st.sampled_from(["web-1", "web-2", "*cascade", "*silence"])

transitions = st.builds(
    Transition,
    id=texts,
    machine_id=texts,
    before=statuses,
    after=statuses,
    reason=reasons,
    observer=texts,
    occurred_at=moments,
    detected_at=moments,
    last_heartbeat=st.none() | moments,
    incarnation=counts,
    seq=counts,
    episode=st.none() | texts,
    offline_duration=st.none() | counts,
    basis=st.sampled_from(Basis),
    flapping=st.booleans(),
    suppressed=st.booleans(),
)
cascades = st.builds(
    CascadeDetected,
    id=texts,
    observer=texts,
    machine_ids=names,
    began_at=moments,
    detected_at=moments,
    threshold=counts,
    window=counts,
)
silences = st.builds(
    FleetSilent,
    id=texts,
    observer=texts,
    machine_ids=names,
    last_heard=st.none() | moments,
    detected_at=moments,
    believed_at=moments,
)
events = transitions | cascades | silences
entries = st.builds(
    LedgerEntry,
    machine_id=keys,
    status=statuses,
    event_id=texts,
    reason=reasons,
    since_ms=moments,
    episode=st.none() | texts,
    incarnation=counts,
    seq=counts,
    flapping=st.booleans(),
    suppressed=st.booleans(),
    steady=st.none() | statuses,
)
windows = st.builds(
    lambda machine_id, bounds, reason: MaintenanceWindow(
        machine_id=machine_id, start=min(bounds), end=max(bounds), reason=reason
    ),
    st.sampled_from(["web-1", "web-2"]),
    st.tuples(moments, moments).filter(lambda bounds: bounds[0] != bounds[1]),
    texts,
)
moves = st.builds(Move, expected=st.none(), entry=entries, transition=events, owner=texts)
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
junk = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


def through_json(record):
    return json.loads(json.dumps(record))


def exactly(value):
    """A value as a test compares it: a status is not the text that it equals."""
    fields = [getattr(value, attribute.name) for attribute in attrs.fields(type(value))]
    return type(value), [(type(field), field) for field in fields]


@given(events)
def test_events_come_back_exactly(event):
    assert exactly(event_from_record(through_json(event_to_record(event)))) == exactly(event)


@given(entries)
def test_entries_come_back_exactly(entry):
    assert exactly(entry_from_record(through_json(entry_to_record(entry)))) == exactly(entry)


@given(windows)
def test_windows_come_back_exactly(window):
    assert exactly(window_from_record(through_json(window_to_record(window)))) == exactly(window)


@given(st.lists(moves, max_size=4), st.lists(windows, max_size=6))
def test_a_ledger_comes_back_equal(made, planned):
    """Entries, the outbox in its order, the last commit and the calendar in its order."""
    state, _ = EMPTY_LEDGER.apply(made)
    for window in planned:
        state = state.scheduled(window, MIN_MS)
    complaints = []
    found = LedgerReader().read(json.loads(f"{{{LedgerWriter().members(state)}}}"), complaints.append)
    assert complaints == []
    assert found == state
    assert list(found.outbox) == list(state.outbox)
    places = [(window.start_ms, window.machine_id) for window in found.windows]
    assert places == sorted(set(places))


@given(events, st.data())
def test_a_damaged_event_is_an_event_or_an_error_of_one_type(event, data):
    record = through_json(event_to_record(event))
    for name in data.draw(st.lists(st.sampled_from([*record, "kind"]), max_size=3)):
        record[name] = data.draw(junk)
    try:
        found = event_from_record(record)
    except InvalidHeartbeatError:
        return
    assert isinstance(found.detected_at_ms, int)
    assert event_from_record(through_json(event_to_record(found))) == found


@given(st.dictionaries(st.sampled_from(["entries", "outbox", "lastCommit", "windows"]), junk) | junk)
def test_a_damaged_ledger_is_read_as_far_as_it_is_sound(record):
    state = LedgerReader().read(record, lambda _: None)
    assert LedgerReader().read(json.loads(f"{{{LedgerWriter().members(state)}}}"), lambda _: None) == state
