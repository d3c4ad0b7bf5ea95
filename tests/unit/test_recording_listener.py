"""`RecordingListener`: remembers, answers, and fails when asked to."""

import attrs
import pytest

from heartbeat_kit.testing import RecordingListener
from heartbeat_kit.testing._race import move

ONE, TWO = (move(name).transition for name in ("web-1", "web-2"))


@pytest.fixture
def listener():
    listener = RecordingListener()
    for event in (ONE, TWO, "fleet silent"):
        listener(event)
    return listener


def test_records_every_event_in_order(listener):
    assert listener.events == (ONE, TWO, "fleet silent")


def test_ids_and_changes_pass_over_events_that_have_none(listener):
    assert listener.ids == (ONE.id, TWO.id)
    assert listener.changes == (("web-1", "offline"), ("web-2", "offline"))


def test_of_one_machine_by_any_spelling(listener):
    again = attrs.evolve(ONE, id="again")
    listener(again)
    assert listener.of(" WEB-1 ") == (ONE, again)
    assert listener.of("web-9") == ()


def test_clear_forgets(listener):
    kept = listener.events
    listener.clear()
    assert (listener.events, len(kept)) == ((), 3)


def test_raises_after_recording():
    error = RuntimeError("a listener of somebody")
    listener = RecordingListener(raises=error)
    with pytest.raises(RuntimeError) as caught:
        listener(ONE)
    assert caught.value is error
    assert listener.events == (ONE,)
    listener.raises = None
    listener(TWO)
    assert listener.events == (ONE, TWO)


def test_is_true_while_empty():
    """A listener is given as an optional argument; `listener or default` must not lose it."""
    assert RecordingListener()


@pytest.mark.parametrize(("count", "text"), [(0, "0 events"), (1, "1 event"), (2, "2 events")])
def test_repr_counts(count, text):
    listener = RecordingListener()
    for _ in range(count):
        listener(ONE)
    assert repr(listener) == f"<RecordingListener {text}>"
