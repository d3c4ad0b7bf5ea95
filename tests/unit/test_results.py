"""What the service answers."""

import pickle

import attrs
import pendulum
import pytest
from core_values import START, event, observer

from heartbeat_kit import (
    CheckReport,
    HeartbeatConfig,
    MachineStatus,
    ObserverHealth,
    Registration,
    ServiceStatus,
    Statistics,
)

COUNTS = Statistics(total_machines=3, online_count=1, warning_count=1, offline_count=1, unknown_count=0)


def report(**more):
    return CheckReport(**{"checked_at": START, "observer": observer(), "statistics": COUNTS, **more})


@pytest.mark.parametrize(
    ("offline", "online", "text"),
    [
        ((), (), "0 machines newly offline, 0 machines back online, 1 in warning, of 3"),
        (("a",), ("b", "c"), "1 machine newly offline, 2 machines back online, 1 in warning, of 3"),
    ],
)
def test_the_summary_is_one_sentence(offline, online, text):
    assert report(newly_offline=offline, newly_online=online, warning=("w",)).summary == text


def test_a_blind_report_says_that_first():
    """Counts of before must not read as news."""
    assert report(observer=observer(ObserverHealth.BLIND, "no disk")).summary == "blind: no disk"


def test_a_report_is_frozen_and_pickles():
    found = report(transitions=(event(),), unreadable={"x": "cut"}, identity_conflicts={"y": "two"})
    again = pickle.loads(pickle.dumps(found))
    assert (again.transitions, again.unreadable, again.identity_conflicts) == ((event(),), {"x": "cut"}, {"y": "two"})
    assert again.checked_at == pendulum.datetime(2026, 1, 1)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.warning = ()
    with pytest.raises(TypeError):
        found.unreadable["z"] = ""
    assert hash(found) != hash(again)


def test_a_report_is_a_table_of_its_transitions():
    found = report(transitions=(event("a", id="0123456789"), event("b")))
    assert repr(found) == f"<CheckReport {found.summary}, observer ok>"
    assert found._repr_html_().count("<tr>") == 3
    assert "01234567<" in found._repr_html_()
    assert found.__rich__().row_count == 2


def test_a_reason_cannot_inject_html():
    assert "<img" not in report(observer=observer(ObserverHealth.BLIND, "<img src=x>"))._repr_html_()


def test_a_registration():
    found = Registration(machine_id="web-1", timestamp=START, is_new_machine=True)
    assert (found.status, found.timestamp) == (MachineStatus.ONLINE, pendulum.datetime(2026, 1, 1))
    assert repr(found) == "<Registration web-1 online at 2026-01-01T00:00:00+00:00, new>"
    assert pickle.loads(pickle.dumps(found)) == found
    assert hash(found) == hash(attrs.evolve(found))


def test_a_service_status():
    found = ServiceStatus(is_running=True, machine_id="web-1", config=HeartbeatConfig(), started_at=START)
    assert (found.started_at, found.stopped_at) == (pendulum.datetime(2026, 1, 1), None)
    assert attrs.evolve(found, stopped_at=START + 1).stopped_at.microsecond == 1_000
    assert repr(found) == "<ServiceStatus web-1 running>"
    assert repr(attrs.evolve(found, is_running=False, pending="no disk")) == (
        "<ServiceStatus web-1 not running, pending: no disk>"
    )
    assert pickle.loads(pickle.dumps(found)) == found
    assert hash(found) == hash(attrs.evolve(found))
