"""F40, F57, F58: every alert has a reason, none is always on, and none is owed for ever."""

from collections.abc import Callable
from datetime import timedelta
from typing import NamedTuple, get_args

import pytest

from heartbeat_kit import (
    CascadeDetected,
    FleetSilent,
    HeartbeatConfig,
    MachineStatus,
    ObserverHealth,
    Reason,
    Transition,
)
from heartbeat_kit._fleet_events import Event
from heartbeat_kit.testing import Fleet

HOUR = 3600
QUICK = HeartbeatConfig(heartbeat_interval=timedelta(seconds=10), offline_timeout=timedelta(seconds=20))
DELAYS = {"propagation_delay": timedelta(seconds=10)}


class Alert(NamedTuple):
    """Something that asks for somebody's attention.

    Attributes:
        kind: The event class, the reason, the mark or the health that it is.
        heard: Whether it is on, of a fleet.
        fires: What makes it so, with the fleet 60 s old.
        silent: What comes near and must not.
        fleet: How the fleet is made.
    """

    kind: object
    heard: Callable[[Fleet], bool]
    fires: Callable[[Fleet], object]
    silent: Callable[[Fleet], object]
    fleet: dict


def said(reason, after, **marks):
    """Whether such a transition was announced."""

    def heard(fleet):
        return any(
            isinstance(event, Transition)
            and (event.reason, event.after) == (reason, after)
            and all(getattr(event, mark) is value for mark, value in marks.items())
            for event in fleet.events.events
        )

    return heard


def kind_of(cls):
    return lambda fleet: any(isinstance(event, cls) for event in fleet.events.events)


def health_is(health):
    return lambda fleet: fleet.observer.check(force=True).observer.health is health


def crash(*names, after=0):
    """Kill some, then let time pass."""

    def happens(fleet):
        for name in names:
            fleet.crash(name)
        fleet.advance(after)

    return happens


def in_turn(*steps):
    def happens(fleet):
        for step in steps:
            step(fleet)

    return happens


def quiet(seconds):
    return lambda fleet: fleet.advance(seconds)


def back(name, after):
    return in_turn(lambda fleet: fleet.revive(name), quiet(after))


def flap(times):
    """Down for a while and up for a while, in turn."""
    return in_turn(*[step for _ in range(times) for step in (crash("m1", after=30), back("m1", 15))])


def maintained(name, *, begins):
    def happens(fleet):
        now = fleet.clock.now_utc.add(seconds=begins)
        fleet.observer.maintenance(name, now, now.add(hours=1))

    return happens


ALL = tuple(f"m{number}" for number in range(1, 9))
SILENT, LEFT, RETURNED = Reason.SILENT, Reason.LEFT, Reason.RETURNED
ONLINE, WARNING, OFFLINE = MachineStatus.ONLINE, MachineStatus.WARNING, MachineStatus.OFFLINE

ALERTS = [
    Alert(
        (Transition, Reason.FIRST_SEEN),
        said(Reason.FIRST_SEEN, ONLINE),
        quiet(0),
        in_turn(
            lambda fleet: fleet.events.clear(), crash("observer", "m1", after=60), back("observer", 60), back("m1", 60)
        ),
        {},
    ),
    Alert((Transition, SILENT, WARNING), said(SILENT, WARNING), crash("m1", after=180), quiet(HOUR), {}),
    Alert(
        (Transition, SILENT, WARNING, "just not"),
        said(SILENT, WARNING),
        in_turn(lambda fleet: fleet.stall("m1", 200), quiet(200)),
        in_turn(lambda fleet: fleet.stall("m1", 80), quiet(HOUR)),
        {},
    ),
    Alert((Transition, SILENT, OFFLINE), said(SILENT, OFFLINE), crash("m1", after=300), crash("m1", after=180), {}),
    Alert(
        (Transition, RETURNED),
        said(RETURNED, ONLINE),
        in_turn(crash("m1", after=300), back("m1", 60)),
        in_turn(crash("m1", after=60), back("m1", HOUR)),
        {},
    ),
    Alert(
        (Transition, LEFT),
        said(LEFT, OFFLINE),
        in_turn(lambda fleet: fleet.leave("m1"), quiet(60)),
        crash("m1", after=HOUR),
        {},
    ),
    Alert(
        (Transition, Reason.REMOVED),
        said(Reason.REMOVED, MachineStatus.UNKNOWN),
        in_turn(crash("m1"), lambda fleet: fleet.observer.remove("m1"), quiet(60)),
        in_turn(lambda fleet: fleet.observer.remove("nobody"), crash("m1", after=HOUR)),
        {},
    ),
    Alert("flapping", said(SILENT, WARNING, flapping=True), flap(5), flap(1), {"config": QUICK}),
    Alert(
        "suppressed",
        said(SILENT, OFFLINE, suppressed=True),
        in_turn(maintained("m1", begins=0), crash("m1", after=300)),
        in_turn(maintained("m1", begins=HOUR), maintained("m2", begins=0), crash("m1", after=300)),
        {},
    ),
    Alert(
        CascadeDetected,
        kind_of(CascadeDetected),
        crash(*ALL[:4], after=300),
        crash(*ALL[:3], after=HOUR),
        {"machines": 8},
    ),
    Alert(
        (CascadeDetected, "spread"),
        kind_of(CascadeDetected),
        in_turn(*[crash(name, after=60) for name in ALL[:4]], quiet(300)),
        in_turn(*[crash(name, after=120) for name in ALL[:4]], quiet(300)),
        {"machines": 8},
    ),
    Alert(FleetSilent, kind_of(FleetSilent), crash(*ALL[:3], after=240), crash(*ALL[:2], after=HOUR), DELAYS),
    Alert(
        (FleetSilent, "the only peer"),
        kind_of(FleetSilent),
        crash("m1", after=240),
        quiet(HOUR),
        {"machines": 1} | DELAYS,
    ),
    Alert(
        ObserverHealth.FLEET_SILENT,
        health_is(ObserverHealth.FLEET_SILENT),
        crash(*ALL[:3], after=240),
        crash(*ALL[:3], after=2 * HOUR),
        DELAYS,
    ),
    Alert(
        (ObserverHealth.FLEET_SILENT, "heard again"),
        health_is(ObserverHealth.FLEET_SILENT),
        crash(*ALL[:3], after=240),
        in_turn(crash(*ALL[:3], after=240), back("m1", 60)),
        DELAYS,
    ),
    Alert(
        ObserverHealth.STALLED,
        health_is(ObserverHealth.STALLED),
        lambda fleet: fleet.suspend_observer(HOUR),
        quiet(HOUR),
        {},
    ),
    Alert(
        (ObserverHealth.STALLED, "late"),
        health_is(ObserverHealth.STALLED),
        in_turn(lambda fleet: fleet.stall_observer(600), quiet(590)),
        in_turn(lambda fleet: fleet.stall_observer(600), quiet(700)),
        {},
    ),
    Alert(
        ObserverHealth.BLIND,
        health_is(ObserverHealth.BLIND),
        lambda fleet: fleet.partition("observer"),
        in_turn(lambda fleet: fleet.partition("m1"), quiet(HOUR)),
        {},
    ),
    Alert(
        (ObserverHealth.BLIND, "over"),
        health_is(ObserverHealth.BLIND),
        in_turn(lambda fleet: fleet.observer.storage.fail("load", times=9)),
        in_turn(
            lambda fleet: fleet.partition("observer"), quiet(HOUR), lambda fleet: fleet.heal("observer"), quiet(60)
        ),
        {},
    ),
    Alert(
        "unreadable",
        lambda fleet: bool(fleet.observer.check(force=True).unreadable),
        lambda fleet: fleet.observer.storage.corrupt("m1"),
        in_turn(lambda fleet: fleet.observer.storage.corrupt("m1"), lambda fleet: fleet.observer.storage.heal("m1")),
        {},
    ),
    Alert(
        "expected",
        lambda fleet: fleet.observer.check(force=True).unknown != (),
        lambda fleet: fleet.observer.reconfigure(expected=["m1", "m9"]),
        lambda fleet: fleet.observer.reconfigure(expected=["m1", "m2"]),
        {},
    ),
]
BY_KIND = pytest.mark.parametrize(
    "alert", ALERTS, ids=lambda alert: " ".join(getattr(part, "__name__", str(part)) for part in flat(alert.kind))
)


def flat(kind):
    return kind if isinstance(kind, tuple) else (kind,)


@BY_KIND
def test_f40_an_alert_fires(alert):
    """It is off in a fleet that is well, and on when what it is about has happened."""
    with Fleet(**alert.fleet) as fleet:
        fleet.advance(60)
        if alert.kind != (Transition, Reason.FIRST_SEEN):
            assert not alert.heard(fleet)
        alert.fires(fleet)
        assert alert.heard(fleet)


@BY_KIND
def test_f40_an_alert_is_silent(alert):
    """It stays off when something else happened that comes near, or when it is over."""
    with Fleet(**alert.fleet) as fleet:
        fleet.advance(60)
        alert.silent(fleet)
        assert not alert.heard(fleet)


def test_f40_every_alert_is_in_the_table():
    """Each event class, each reason, each health but ok."""
    known = {part for alert in ALERTS for part in flat(alert.kind)}
    assert set(get_args(Event)) <= known
    assert set(Reason) <= known
    assert set(ObserverHealth) - {ObserverHealth.OK} <= known
    assert {"flapping", "suppressed"} <= known


def plain(fleet, machine_id="m1"):
    """The statuses announced without a mark."""
    return [str(event.after) for event in fleet.events.of(machine_id) if not event.flapping and not event.suppressed]


def marked(fleet):
    return [event for event in fleet.events.of("m1") if event.flapping]


@pytest.fixture
def flapped():
    """A machine that went down and came back eight times in a few minutes, and is up."""
    with Fleet(2, config=QUICK) as fleet:
        fleet.advance(60)
        flap(8)(fleet)
        assert len(marked(fleet)) >= 8
        fleet.events.clear()
        yield fleet


def test_f57_a_recovery_during_flapping_is_announced_when_it_ends(flapped):
    """Once, without the mark, and nothing after it."""
    flapped.advance(HOUR)
    assert plain(flapped) == ["online"]
    assert marked(flapped) == []
    assert not flapped.observer.state()["m1"].flapping


def test_f57_a_failure_during_flapping_is_announced_when_it_ends(flapped):
    """It dies while it flaps: marked at once, and once more without the mark."""
    flapped.crash("m1")
    flapped.advance(HOUR)
    assert [str(event.after) for event in marked(flapped)] == ["warning", "offline"]
    assert plain(flapped) == ["offline"]
    flapped.revive("m1")
    flapped.advance(60)
    assert plain(flapped) == ["offline", "online"]


@pytest.mark.parametrize("dies", [False, True], ids=["recovery", "failure"])
def test_f57_also_after_a_restart_of_the_observer(flapped, dies):
    """The process that watched it flap is gone; the next one owes the announcement."""
    if dies:
        flapped.crash("m1")
        flapped.advance(60)
    flapped.crash("observer")
    flapped.advance(30)
    flapped.revive("observer")
    flapped.advance(HOUR)
    assert plain(flapped) == ["offline" if dies else "online"]


@pytest.mark.parametrize("dies", [False, True], ids=["recovery", "failure"])
def test_f57_also_by_another_process_that_shares_the_ledger(dies):
    """Two observers watch, one dies in the middle: the other announces how it ended, once."""
    with Fleet(2, config=QUICK, observer=["one", "two"]) as fleet:
        fleet.advance(60)
        flap(8)(fleet)
        fleet.crash("one")
        if dies:
            fleet.crash("m1")
        fleet.events.clear()
        fleet.advance(HOUR)
        assert plain(fleet) == ["offline" if dies else "online"]
        assert {event.observer for event in fleet.events.of("m1")} == {"two"}


def test_f57_who_passes_over_marked_events_is_never_left_with_a_wrong_belief(flapped):
    """Flapping again and again: after each time the last plain word is the truth."""
    for dies in (True, False, True):
        if dies:
            flapped.crash("m1")
        else:
            flapped.revive("m1")
        flapped.advance(HOUR)
        assert plain(flapped)[-1] == str(flapped.observer.state()["m1"].status)
        flapped.revive("m1")
        flap(8)(flapped)


@pytest.mark.parametrize("medium", [{}, DELAYS], ids=["coherent", "synced"])
def test_f58_a_machine_that_never_beat_is_unknown_and_listed(medium):
    """Expected and never seen: in every view, with the reason, never an event; its first beat registers it."""
    config = HeartbeatConfig(expected=["m1", "m2", "late"])
    with Fleet(2, config=config, **medium) as fleet:
        for hours in (0.1, 1, 3):
            fleet.advance(hours * HOUR)
            report, state = fleet.observer.check(force=True), fleet.observer.state()
            assert report.unknown == ("late",)
            assert report.statistics.unknown_count == 1
            assert (state["late"].status, state["late"].reason) == (MachineStatus.UNKNOWN, "expected")
            assert "never seen to beat" in state["late"].explain()
            assert fleet.events.of("late") == ()
        for _ in range(3):
            fleet.observer.register(machine_id="late")
            fleet.advance(30)
        assert fleet.observer.check(force=True).unknown == ()
        assert [str(event.reason) for event in fleet.events.of("late")] == ["first_seen"]


def test_f58_a_machine_that_beat_once_is_not_expected_but_offline():
    """What was seen is judged."""
    with Fleet(2, config=HeartbeatConfig(expected=["m1"])) as fleet:
        fleet.advance(60)
        fleet.crash("m1")
        fleet.advance(300)
        assert fleet.observer.check(force=True).unknown == ()
        assert [str(event.after) for event in fleet.events.of("m1")] == ["online", "warning", "offline"]
