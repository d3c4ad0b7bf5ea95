"""Stored events: three kinds, told apart, and nothing believed."""

import pytest
from ledger_values import START, move, window

from heartbeat_kit._fleet_events import CascadeDetected, FleetSilent
from heartbeat_kit.errors import InvalidHeartbeatError
from heartbeat_kit.storage._event_codec import event_from_record, event_to_record
from heartbeat_kit.storage._ledger_codec import entry_to_record, window_to_record
from heartbeat_kit.testing._race import fleet_moves

CASCADE, SILENT, UNHEARD = (item.transition for item in fleet_moves("web-1", "web-2", at=START))
PLAIN = move("e1").transition


def test_the_records_of_events_about_the_fleet():
    assert event_to_record(CASCADE) == {
        "id": CASCADE.id,
        "kind": "cascade",
        "observer": "observer",
        "machineIds": ["web-1", "web-2"],
        "beganAt": "2026-01-15T23:29:59.999Z",
        "detectedAt": "2026-01-15T23:30:00.000Z",
        "threshold": 3,
        "window": 60_000,
    }
    assert event_to_record(SILENT) == {
        "id": SILENT.id,
        "kind": "fleet_silent",
        "observer": "observer",
        "machineIds": ["web-1", "web-2"],
        "lastHeard": "2026-01-15T23:26:00.000Z",
        "detectedAt": "2026-01-15T23:30:00.000Z",
        "believedAt": "2026-01-16T00:30:00.000Z",
    }


def test_what_is_not_so_is_not_written():
    """A transition outside flapping and maintenance is stored as before there was either."""
    assert {"kind", "flapping", "suppressed"}.isdisjoint(event_to_record(PLAIN))
    assert {"flapping", "suppressed", "steady"}.isdisjoint(entry_to_record(move("e1").entry))
    assert "lastHeard" not in event_to_record(UNHEARD)
    assert set(window_to_record(window())) == {"machineId", "start", "end"}


@pytest.mark.parametrize("event", [PLAIN, CASCADE, SILENT], ids=lambda event: type(event).__name__)
def test_the_id_comes_first(event):
    """The history finds a line by how it begins."""
    assert next(iter(event_to_record(event).items())) == ("id", event.id)


def test_each_kind_is_read_as_what_it_is():
    assert type(event_from_record(event_to_record(CASCADE))) is CascadeDetected
    assert type(event_from_record(event_to_record(UNHEARD))) is FleetSilent
    assert event_from_record({**event_to_record(PLAIN), "later": 1}) == PLAIN


@pytest.mark.parametrize("kind", ["quorum_lost", "", "Cascade", None, 1, ["cascade"], {"cascade": 1}])
def test_an_unknown_kind_is_refused(kind):
    """It is not taken for a transition, whatever else it says."""
    for event in (PLAIN, CASCADE):
        with pytest.raises(InvalidHeartbeatError, match="expected one of cascade, fleet_silent"):
            event_from_record({**event_to_record(event), "kind": kind})


@pytest.mark.parametrize(
    ("event", "unsound"),
    [
        (CASCADE, {"machineIds": "web-1"}),
        (CASCADE, {"machineIds": ["web-1", 2]}),
        (CASCADE, {"machineIds": {"web-1": 1}}),
        (CASCADE, {"threshold": True}),
        (CASCADE, {"window": 1.5}),
        (CASCADE, {"beganAt": None}),
        (CASCADE, {"kind": "fleet_silent"}),
        (SILENT, {"lastHeard": 7}),
        (SILENT, {"believedAt": "soon"}),
        (SILENT, {"detectedAt": None}),
        (PLAIN, {"detectedAt": None}),
        (PLAIN, {"occurredAt": None}),
        (PLAIN, {"flapping": 1}),
        (PLAIN, {"suppressed": None}),
        (PLAIN, {"suppressed": "false"}),
    ],
)
def test_an_unsound_field_is_refused(event, unsound):
    with pytest.raises(InvalidHeartbeatError):
        event_from_record({**event_to_record(event), **unsound})


@pytest.mark.parametrize("event", [PLAIN, CASCADE, UNHEARD], ids=lambda event: type(event).__name__)
def test_a_missing_field_is_refused_and_named(event):
    record = event_to_record(event)
    for name in record.keys() - {"kind", "incarnation", "seq", "basis"}:
        with pytest.raises(InvalidHeartbeatError, match=name):
            event_from_record({key: value for key, value in record.items() if key != name})
