"""The reference's JSON, field for field."""

import json

import attrs
import pytest
from core_values import START, beat, event, fleet, machine, observer

from heartbeat_kit import (
    Basis,
    CheckReport,
    HeartbeatConfig,
    MachineStatus,
    ObserverHealth,
    Registration,
    ServiceStatus,
    Statistics,
    to_wire,
)
from heartbeat_kit.errors import InvalidConfigurationError

MIDNIGHT = "2026-01-01T00:00:00.000Z"
COUNTS = Statistics(
    total_machines=4, online_count=1, warning_count=1, offline_count=1, unknown_count=1, last_heartbeat_check=START
)
WHO = {"machineId": "watcher", "health": "ok", "since": MIDNIGHT}


def report(**more):
    return CheckReport(**{"checked_at": START, "observer": observer(), "statistics": COUNTS, **more})


@pytest.fixture
def state():
    return fleet(
        machine("a"),
        machine("b", MachineStatus.WARNING, since=START, warning_since=START, reason="silent"),
        machine("c", MachineStatus.OFFLINE, warning_since=START, offline_since=START + 120_000, reason="silent"),
        machine("d", MachineStatus.UNKNOWN, heartbeat=None, reason="never_seen"),
        last_check=START,
    )


@pytest.mark.parametrize(
    ("locale", "message"), [("en", "Heartbeat registered for web-1"), ("fr", "Heartbeat enregistré pour web-1")]
)
def test_register(locale, message):
    assert to_wire(Registration(machine_id="web-1", timestamp=START, is_new_machine=True), locale=locale) == {
        "success": True,
        "machineId": "web-1",
        "timestamp": MIDNIGHT,
        "status": "online",
        "isNewMachine": True,
        "message": message,
    }


STARTED = ServiceStatus(is_running=True, machine_id="web-1", config=HeartbeatConfig(), started_at=START)


@pytest.mark.parametrize(
    ("locale", "message"),
    [("en", "Heartbeat service started for web-1"), ("fr", "Service de heartbeat démarré pour web-1")],
)
def test_start_echoes_the_configuration_in_force(locale, message):
    assert to_wire(STARTED, locale=locale) == {
        "success": True,
        "machineId": "web-1",
        "startedAt": MIDNIGHT,
        "config": {"heartbeatInterval": 30_000, "offlineTimeout": 120_000, "autoSyncEnabled": True},
        "message": message,
    }


@pytest.mark.parametrize(
    ("locale", "message"), [("en", "Heartbeat service stopped"), ("fr", "Service de heartbeat arrêté")]
)
def test_stop(locale, message):
    stopped = attrs.evolve(STARTED, is_running=False, stopped_at=START, state_saved=True)
    assert to_wire(stopped, locale=locale) == {
        "success": True,
        "stoppedAt": MIDNIGHT,
        "stateSaved": True,
        "message": message,
    }


def test_a_service_that_does_not_run_is_no_success():
    idle = to_wire(ServiceStatus(is_running=False, machine_id="web-1", config=HeartbeatConfig()))
    assert idle["success"] is False
    assert "startedAt" not in idle


def test_check():
    found = report(
        newly_offline=("a",),
        newly_online=("b", "c"),
        newly_warning=("d",),
        warning=("d", "e"),
        unknown=("f",),
        transitions=(event("a"), event("b"), event("c"), event("d")),
    )
    assert to_wire(found) == {
        "success": True,
        "newlyOfflineMachines": ["a"],
        "newlyOnlineMachines": ["b", "c"],
        "warningMachines": ["d", "e"],
        "unknownMachines": ["f"],
        "checkedAt": MIDNIGHT,
        "summary": found.summary,
        "changes": {"totalChanges": 4, "offlineCount": 1, "onlineCount": 2, "warningCount": 1},
        "observer": WHO,
    }


@pytest.mark.parametrize(
    ("offline", "online", "text"),
    [
        (1, 0, "1 machine nouvellement offline, 0 machine redevenue online"),
        (2, 1, "2 machines nouvellement offline, 1 machine redevenue online"),
        (0, 2, "0 machine nouvellement offline, 2 machines redevenues online"),
    ],
)
def test_check_in_french(offline, online, text):
    names = ("x", "y")
    assert to_wire(report(newly_offline=names[:offline], newly_online=names[:online]), locale="fr")["summary"] == text


def test_a_blind_check_is_no_success():
    blind = report(observer=observer(ObserverHealth.BLIND, "no disk"))
    assert to_wire(blind)["success"] is False
    assert to_wire(blind)["summary"] == "blind: no disk"
    assert to_wire(blind, locale="fr")["summary"] == "observateur aveugle : no disk"
    assert to_wire(blind)["observer"] == {**WHO, "health": "blind", "reason": "no disk"}
    assert to_wire(report(observer=observer(ObserverHealth.STALLED, "late")))["success"] is True


def test_state(state):
    assert to_wire(state) == {
        "success": True,
        "onlineMachines": ["a"],
        "warningMachines": ["b"],
        "offlineMachines": ["c"],
        "unknownMachines": ["d"],
        "unconfirmedMachines": [],
        "statistics": {
            "totalMachines": 4,
            "onlineCount": 1,
            "offlineCount": 1,
            "warningCount": 1,
            "unknownCount": 1,
            "lastHeartbeatCheck": MIDNIGHT,
        },
        "retrievedAt": "2026-01-01T00:01:05.000Z",
        "observer": WHO,
    }
    assert to_wire(fleet(health=ObserverHealth.BLIND, reason="x"))["success"] is False


def test_state_with_heartbeats(state):
    assert to_wire(state, include_heartbeats=True)["heartbeats"].keys() == {"a", "b", "c", "d"}


def test_heartbeat_data():
    found = machine(
        "c",
        MachineStatus.OFFLINE,
        warning_since=START,
        offline_since=START + 120_000,
        reason="silent",
        stale=True,
        heartbeat=beat("c", metadata={"role": "db"}, first_seen=START - 1),
    )
    assert to_wire(found) == {
        "machineId": "c",
        "lastHeartbeat": MIDNIGHT,
        "status": "offline",
        "offlineSince": "2026-01-01T00:02:00.000Z",
        "warningSince": MIDNIGHT,
        "missedHeartbeats": 2,
        "metadata": {"role": "db"},
        "firstSeen": "2025-12-31T23:59:59.999Z",
        "reason": "silent",
        "stale": True,
    }


def test_heartbeat_data_without_a_record_leaves_out_what_there_is_not():
    wire = to_wire(machine("d", MachineStatus.UNKNOWN, heartbeat=None, reason="never_seen"))
    assert {"lastHeartbeat", "firstSeen"} & wire.keys() == set()
    assert (wire["offlineSince"], wire["warningSince"], wire["missedHeartbeats"]) == (None, None, None)


@pytest.mark.parametrize("reason", ["unconfirmed", "absent", "unreadable"])
def test_what_only_a_stamp_suggests_is_marked_whatever_else_is_said_of_it(reason):
    hearsay = machine("c", MachineStatus.OFFLINE, basis=Basis.SENDER, reason=reason)
    assert to_wire(fleet(hearsay))["unconfirmedMachines"] == ["c"]
    assert to_wire(fleet(hearsay), only="offline")["unconfirmedMachines"] == ["c"]
    assert to_wire(fleet(machine("d", MachineStatus.UNKNOWN, basis=Basis.SENDER)))["unconfirmedMachines"] == []


def test_the_machines_of_one_status(state):
    assert to_wire(state, only=MachineStatus.OFFLINE) == {
        "success": True,
        "count": 1,
        "machines": ["c"],
        "unconfirmedMachines": [],
        "checkedAt": "2026-01-01T00:01:05.000Z",
        "observer": WHO,
    }
    assert to_wire(state, only=MachineStatus.WARNING, include_details=True)["machines"] == [to_wire(state["b"])]
    assert to_wire(fleet(health=ObserverHealth.BLIND), only=MachineStatus.ONLINE)["success"] is False


def test_statistics_before_the_first_check():
    assert "lastHeartbeatCheck" not in to_wire(attrs.evolve(COUNTS, last_heartbeat_check=None))


def test_transition():
    full = event(last_heartbeat=START, episode="e", offline_duration=5, id="i")
    assert to_wire(full) == {
        "id": "i",
        "machineId": "web-1",
        "before": "online",
        "after": "offline",
        "reason": "silent",
        "observer": "watcher",
        "occurredAt": "2026-01-01T00:04:00.000Z",
        "detectedAt": "2026-01-01T00:04:10.000Z",
        "episode": "e",
        "lastHeartbeat": MIDNIGHT,
        "offlineDuration": 5,
        "basis": "observer",
    }
    assert {"episode", "lastHeartbeat", "offlineDuration"} & to_wire(event()).keys() == set()


def test_everything_is_json(state):
    for result in (state, state["a"], report(transitions=(event(),)), STARTED, HeartbeatConfig(), COUNTS, event()):
        json.dumps(to_wire(result))


@pytest.mark.parametrize("thing", [None, {}, object(), "text"])
def test_what_has_no_shape_is_refused(thing):
    with pytest.raises(InvalidConfigurationError, match="no wire shape"):
        to_wire(thing)


def test_an_unknown_language_is_refused():
    with pytest.raises(InvalidConfigurationError, match="'de'"):
        to_wire(COUNTS, locale="de")
