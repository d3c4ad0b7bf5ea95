"""`Transition` and its ids."""

import pickle

import attrs
import pendulum
import pytest
from core_values import START, event

from heartbeat_kit import Basis, MachineStatus, Reason
from heartbeat_kit._events import event_id


def test_an_id_is_made_of_evidence_alone():
    assert event_id("web-1", MachineStatus.OFFLINE, 1, 2) == event_id("web-1", "offline", 1, 2)
    assert event_id("web-1", 1, 23) != event_id("web-1", 12, 3)
    assert len(event_id("x")) == 32


def test_an_id_is_the_same_in_every_release():
    """Observers of different releases must agree, and stored ledgers hold these."""
    assert event_id("web-1", MachineStatus.OFFLINE, 1, 2) == "7e36112077620f7f57067bdc4ccec97a"


def test_times_are_shown_as_pendulum():
    shown = event(last_heartbeat=START, offline_duration=90_000)
    assert type(shown.occurred_at) is pendulum.DateTime
    assert (shown.detected_at - shown.occurred_at).total_seconds() == 10
    assert shown.last_heartbeat == pendulum.datetime(2026, 1, 1)
    assert shown.offline_duration.total_seconds() == 90
    assert event().last_heartbeat is None
    assert event().offline_duration is None


def test_is_a_value():
    assert event() == event()
    assert hash(event()) == hash(event())
    assert pickle.loads(pickle.dumps(event(last_heartbeat=1))) == event(last_heartbeat=1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        event().id = "other"


def test_repr_is_one_line():
    assert repr(event(id="0123456789abcdef")) == (
        "<Transition web-1 online → offline (silent) at 2026-01-01T00:04:00+00:00 id=01234567>"
    )


def test_reasons_and_bases_are_text():
    assert [str(reason) for reason in Reason] == ["first_seen", "silent", "returned", "left", "removed"]
    assert [str(basis) for basis in Basis] == ["observer", "stamp", "ledger", "sender"]
