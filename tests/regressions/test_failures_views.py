"""F34, F41, F42, F43: what people read is frozen, agrees, takes no trouble for health, and explains itself."""

import json
import pickle
from datetime import timedelta

import attrs
import pytest
from regression_media import INTERVAL, PEER, TIMEOUT, Medium

from heartbeat_kit import (
    Heartbeat,
    HeartbeatConfig,
    HeartbeatService,
    MachineStatus,
    MemoryStorage,
    ObserverHealth,
    classify,
    to_wire,
)
from heartbeat_kit.errors import HeartbeatCheckError, HeartbeatStateError
from heartbeat_kit.testing import FaultyStorage


def test_f34_values_are_frozen_and_a_callers_edit_never_leaks_in(medium, clock):
    """No answer of the service can be changed, and changing what metadata gave out changes nothing."""
    service = medium.service("web-1")
    given = {"tags": ["a"], "nested": {"n": 1}}
    registration = service.register(given)
    given["tags"].append("b")
    report = service.check(force=True)
    state = service.state()
    machine = state["web-1"]
    for shown in (
        state["web-1"].metadata,
        machine.metadata,
        machine.heartbeat.metadata,
        medium.stored("web-1").metadata,
    ):
        shown["tags"].append("leak")
        shown["nested"]["n"] = 2
    expected = {"tags": ["a"], "nested": {"n": 1}}
    assert machine.metadata == medium.stored("web-1").metadata == service.state()["web-1"].metadata == expected
    service.register()
    assert medium.stored("web-1").metadata == expected
    for value in (
        registration, report, state, machine, machine.heartbeat, state.statistics, state.observer, service.config,
        service.status, *report.transitions,
    ):  # fmt: skip
        for attribute in attrs.fields(type(value)):
            with pytest.raises(attrs.exceptions.FrozenInstanceError):
                setattr(value, attribute.name, None)
        assert type(pickle.loads(pickle.dumps(value))) is type(value)
    for mapping in (state.machines, state.unreadable, report.unreadable, report.identity_conflicts):
        with pytest.raises(TypeError):
            mapping["web-1"] = None
    wire = to_wire(state, include_heartbeats=True)
    wire["heartbeats"]["web-1"]["metadata"]["tags"].append("leak")
    assert to_wire(state, include_heartbeats=True)["heartbeats"]["web-1"]["metadata"] == expected


def test_f41_what_nobody_could_read_is_never_shown_as_health(medium, clock):
    """An observer that never saw its storage calls itself blind everywhere; no count of zero stands without it."""
    storage = medium.storage()
    storage.go_down("not mounted")
    service = medium.service("watcher", storage=storage)
    report, state = service.check(force=True), service.state()
    assert report.observer.health is state.observer.health is ObserverHealth.BLIND
    assert report.summary.startswith("blind")
    assert "blind" in repr(state)
    assert "blind" in repr(report)
    assert "blind" in state._repr_html_()
    assert "blind" in report._repr_html_()
    for shown in (report, state):
        wire = to_wire(shown)
        assert wire["success"] is False
        assert wire["observer"]["health"] == "blind"
    assert to_wire(state, only=MachineStatus.OFFLINE)["success"] is False
    assert "aveugle" in to_wire(report, locale="fr")["summary"]
    assert state.statistics.last_heartbeat_check is None, "a blind look is no check"


def test_f41_unknown_and_unreadable_are_never_online(medium, clock):
    """A machine with a future stamp and one with an unreadable record count as unknown in every list and number."""
    storage = medium.storage()
    stamp = clock.now_utc + timedelta(days=1)
    storage.put(Heartbeat(machine_id="future", last_heartbeat=stamp, incarnation=1, seq=1, interval=30_000))
    medium.service("broken").register()
    medium.damage("broken")
    storage.corrupt("broken")
    service = medium.service("watcher", storage=storage)
    report, state = service.check(force=True), service.state()
    assert report.unknown == tuple(machine.machine_id for machine in state.unknown) == ("broken", "future")
    assert state.online == ()
    for numbers in (report.statistics, state.statistics):
        assert (numbers.total_machines, numbers.unknown_count, numbers.online_count) == (2, 2, 0)
    wire = to_wire(state, include_heartbeats=True)
    assert wire["unknownMachines"] == ["broken", "future"]
    assert wire["onlineMachines"] == []
    assert "lastHeartbeat" not in wire["heartbeats"]["broken"], "no time is invented"
    assert state["broken"].last_heartbeat is None
    assert state["broken"].interval is None
    for _ in range(40):
        clock.advance(60)
        assert service.check(force=True).newly_online == ()
        assert service.state()["broken"].status is MachineStatus.UNKNOWN


def test_f41_a_bug_in_a_storage_is_an_error_not_an_empty_fleet(clock):
    """What a storage raises outside its contract comes out typed; it is not answered with an empty fleet."""
    storage = FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, clock=clock, machine_id="web-1")
    service.register()
    storage.fail("load", times=2, error=KeyError("a bug"))
    with pytest.raises(HeartbeatCheckError):
        service.check(force=True)
    with pytest.raises(HeartbeatStateError):
        service.state()
    assert service.check(force=True).newly_registered == ("web-1",)


def test_f42_every_view_tells_the_same_status(medium, clock):
    """At any moment check, state, its lists and counts, the wire and wait_for agree, machine by machine."""
    owns = [medium.service(f"pc-{number}", clock=medium.clock_of()) for number in range(5)]
    service = medium.service("watcher", config=HeartbeatConfig(fresh_for=timedelta(0)))
    seen = set()
    for step in range(24):
        for number, own in enumerate(owns):
            if step < 2 or step % 12 <= 2 * number:
                own.register()
        report = service.check(force=True)
        state = service.state()
        wire = to_wire(state, include_heartbeats=True)
        statuses = {machine.machine_id: machine.status for machine in state}
        for status in MachineStatus:
            names = [name for name, found in statuses.items() if found is status]
            seen.update([status] if names else [])
            assert [machine.machine_id for machine in state.of(status)] == names
            assert wire[f"{status}Machines"] == names
            assert wire["statistics"][f"{status}Count"] == len(names)
            assert getattr(report.statistics, f"{status}_count") == len(names)
            assert to_wire(state, only=status)["machines"] == names
        assert list(report.warning) == [machine.machine_id for machine in state.warning]
        for name, status in statuses.items():
            assert wire["heartbeats"][name]["status"] == status
            assert service.wait_for(name, status, 0)
            assert f"{name} is {status} " in state[name].explain()
            if not medium.cross_host:
                assert classify(state[name].last_heartbeat, clock.now_utc) is status
        clock.advance(INTERVAL * 1.5)
    assert seen >= {MachineStatus.ONLINE, MachineStatus.WARNING, MachineStatus.OFFLINE}


def test_f42_the_file_for_people_agrees_with_the_service(tmp_path, clock):
    """Just after a check that changed something, heartbeats.json shows the statuses the service shows."""
    medium = Medium("json", tmp_path, clock)
    medium.service("dead").register()
    service = medium.service("watcher")
    service.check(force=True)
    for pause in (TIMEOUT, TIMEOUT, 60):
        clock.advance(pause)
        service.register()
        service.check(force=True)
        shown = json.loads((medium.directory / "heartbeats.json").read_bytes())
        state = service.state()
        wire = to_wire(state, include_heartbeats=True)
        for name, record in shown["heartbeats"].items():
            for key in ("status", "offlineSince", "warningSince", "lastHeartbeat"):
                if not (key == "warningSince" and record["status"] == "offline"):
                    assert record[key] == wire["heartbeats"][name][key], (name, key)
        for status in MachineStatus:
            assert shown[f"{status}Machines"] == wire[f"{status}Machines"]
            assert shown["statistics"][f"{status}Count"] == wire["statistics"][f"{status}Count"]
    medium.close()


def test_f43_every_verdict_says_who_saw_what_when_and_how_fresh(medium, clock):
    """Whatever the status, the explanation names the observer, the time of the look, the evidence and the reason."""
    storage = medium.storage()
    dead = medium.peer("dead")
    medium.peer("alive")
    gone = medium.peer("gone")
    stamp = clock.now_utc + timedelta(days=400)
    storage.put(Heartbeat(machine_id="future", last_heartbeat=stamp, incarnation=1, seq=1, interval=30_000))
    service = medium.service("watcher", storage=storage, config=PEER)
    for _ in range(3):
        clock.advance(INTERVAL)
        service.check(force=True)
    gone.stop(leave=True)
    dead.stop()
    expected = {"alive": "beats", "gone": "goodbye", "future": "future", "dead": None}
    for pause in (INTERVAL, TIMEOUT + medium.delay, TIMEOUT):
        clock.advance(pause)
        service.check(force=True)
        for machine in service.state():
            text = machine.explain()
            assert text.startswith(f"{machine.machine_id} is {machine.status} because ")
            assert f"Seen by watcher at {clock.now_utc.isoformat(timespec='milliseconds')[:19]}" in text
            assert "watcher's own clock" in text or "sender's own stamp" in text or "a clock watcher shares" in text
            assert machine.observer == "watcher"
            assert (
                machine.last_heartbeat is None
            ) or f"#{machine.heartbeat.incarnation}.{machine.heartbeat.seq}" in text
            if machine.status is not MachineStatus.OFFLINE and expected[machine.machine_id]:
                assert expected[machine.machine_id] in text
    assert "it is silent" in service.state()["dead"].explain()
    assert "blind" not in service.state()["alive"].explain()
    storage.go_down("unplugged")
    state = service.state()
    for machine in state:
        assert "blind now, so this is what it knew before" in machine.explain()
    assert state.observer.reason == "unplugged"
    assert state.observer.since == clock.now_utc


def test_f43_unknown_says_that_the_observer_could_not_tell(medium, clock):
    """An unreadable or never readable machine is explained as what could not be read, not as down."""
    medium.service("broken").register()
    medium.damage("broken")
    state = medium.service("watcher", storage=medium.storage() if medium.in_files else _corrupt(medium)).state()
    text = state["broken"].explain()
    assert "cannot be read" in text
    assert state["broken"].unreadable in text
    assert "offline because" not in text


def _corrupt(medium):
    storage = medium.storage()
    storage.corrupt("broken")
    return storage
