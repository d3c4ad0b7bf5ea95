"""Events about the fleet: their times as people read them, and one line each."""

import attrs
import pytest
from core_values import START, event

from heartbeat_kit import CascadeDetected, FleetSilent, Transition
from heartbeat_kit._fleet_events import Event

CASCADE = CascadeDetected(
    id="0123456789abcdef",
    observer="watcher",
    machine_ids=("a", "b", "c", "d"),
    began_at=START + 240_000,
    detected_at=START + 250_000,
    threshold=3,
    window=300_000,
)
SILENT = FleetSilent(
    id="fedcba9876543210",
    observer="watcher",
    machine_ids=("a", "b"),
    last_heard=START + 60_000,
    detected_at=START + 240_000,
    believed_at=START + 1_140_000,
)


def test_a_cascade_has_its_times_in_utc():
    assert CASCADE.began_at.isoformat() == "2026-01-01T00:04:00+00:00"
    assert CASCADE.detected_at.isoformat() == "2026-01-01T00:04:10+00:00"
    assert CASCADE.window.in_seconds() == 300
    assert (CASCADE.began_at_ms, CASCADE.detected_at_ms, CASCADE.window_ms) == (
        START + 240_000,
        START + 250_000,
        300_000,
    )


def test_a_silence_has_its_times_in_utc():
    assert SILENT.last_heard.isoformat() == "2026-01-01T00:01:00+00:00"
    assert SILENT.detected_at.isoformat() == "2026-01-01T00:04:00+00:00"
    assert SILENT.believed_at.isoformat() == "2026-01-01T00:19:00+00:00"


def test_nobody_heard_in_this_run_is_no_time():
    silent = FleetSilent(id="x", observer="watcher", machine_ids=("a",), detected_at=START, believed_at=START)
    assert (silent.last_heard, silent.last_heard_ms) == (None, None)


@pytest.mark.parametrize(
    ("value", "line"),
    [
        (CASCADE, "<CascadeDetected 4 machines since 2026-01-01T00:04:00+00:00 (a, b, c, d) id=01234567>"),
        (SILENT, "<FleetSilent seen by watcher at 2026-01-01T00:04:00+00:00: 2 machines (a, b) id=fedcba98>"),
    ],
    ids=["cascade", "silent"],
)
def test_one_line_each(value, line):
    assert repr(value) == line


@pytest.mark.parametrize("value", [CASCADE, SILENT], ids=["cascade", "silent"])
def test_they_are_values(value):
    """Frozen, equal by content, and one of the events a listener may get; never a machine's."""
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        value.observer = "other"
    assert value == attrs.evolve(value)
    assert value != attrs.evolve(value, observer="other")
    assert isinstance(value, Event)
    assert not isinstance(value, Transition)
    assert not hasattr(value, "machine_id")


def test_a_transition_shows_its_marks():
    plain, marked = event(), event(flapping=True, suppressed=True)
    assert "flapping" not in repr(plain)
    assert "(silent) flapping suppressed at" in repr(marked)
