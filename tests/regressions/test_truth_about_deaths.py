"""Truth under fire: the only peer, half the fleet, everybody: a real death is found, once, and called what it may be.

The bounds are those of the concepts: a silence counts from the moment a heartbeat was met, up to one look after it
arrived; T and the allowance later it is a warning, another T later offline; a look notices, up to one interval late.
Where everybody is silent on a medium that delays, offline waits for the hold, counted from the warning.
"""

from itertools import takewhile

import pytest

from heartbeat_kit import CascadeDetected, FleetSilent, MachineStatus, ObserverHealth, Transition
from heartbeat_kit.lab import Crash, Lognormal, Medium, Stall, UploadPause, simulate
from heartbeat_kit.testing import Fleet

BEAT = LOOK = 30
T = 120
HOLD = 900
DIES_AT = 1800
THRESHOLD = 3
CASCADE = THRESHOLD + 1
SLOWEST = {"coherent": 0, "nfs": 3, "cloud": 60}
COHERENT, NFS = Medium.coherent(), Medium.nfs()
CLOUD = Medium.cloud(delay=Lognormal(median=8, p99=50, most=SLOWEST["cloud"]), stalls_per_day=0)
ON_EACH = pytest.mark.parametrize("medium", [COHERENT, NFS, CLOUD], ids=lambda medium: medium.name)
ON_DELAYING = pytest.mark.parametrize("medium", [NFS, CLOUD], ids=lambda medium: medium.name)
SEEDS = pytest.mark.parametrize("seed", range(5))


def killed(machines, dead, medium, seed, *, until=7200, **more):
    """A run in which these die at the same moment."""
    return simulate(machines, medium, [Crash(name, at=DIES_AT) for name in dead], duration=until, seed=seed, **more)


def after(run, seconds=DIES_AT):
    """What the observer announced after the deaths."""
    return [each for each in run.heard["m1"] if each.at_ms >= seconds * 1000]


def said(run, machine, word="offline"):
    """When it was announced, in seconds after the deaths; once."""
    (at_ms,) = [
        each.at_ms
        for each in after(run)
        if isinstance(each.event, Transition) and (each.event.machine_id, str(each.event.after)) == (machine, word)
    ]
    return at_ms / 1000 - DIES_AT


def kinds(run, kind):
    return [each for each in after(run) if isinstance(each.event, kind)]


def allowance(run):
    """What was in force at the end; nobody was heard since the deaths, so it was in force then."""
    medium = run.states["m1"].observer.medium
    return 0 if medium is None else medium.allowance.total_seconds()


def latest_warning(run):
    """In seconds after the deaths."""
    return SLOWEST[run.medium.name] + LOOK + T + allowance(run) + LOOK


@ON_EACH
@SEEDS
def test_the_death_of_the_only_peer_is_found(medium, seed):
    """Once: at the ordinary deadline where the medium is proved by our own beat, else after the hold at the latest."""
    run = killed(2, ["m2"], medium, seed)
    assert run.states["m1"]["m2"].status is MachineStatus.OFFLINE
    held = 0 if medium.is_coherent else HOLD - T
    assert T < said(run, "m2") <= latest_warning(run) + T + held
    told = [each.event.after if isinstance(each.event, Transition) else FleetSilent for each in after(run)]
    ordinary = [MachineStatus.WARNING, MachineStatus.OFFLINE]
    assert told == (ordinary if medium.is_coherent else [FleetSilent, MachineStatus.OFFLINE])
    assert run.quality().mistakes == 0


@ON_EACH
@SEEDS
def test_the_death_of_half_the_fleet_is_found_at_once(medium, seed):
    """Others speak, so nothing is held back: each is found at the ordinary deadline, once; one cascade is told."""
    dead = [f"m{number}" for number in range(6, 11)]
    services = {}
    run = killed(10, dead, medium, seed, on_start=lambda service, name: services.setdefault(name, service))
    # The allowance may have moved by now, because the others were heard: by less than half.
    bound = latest_warning(run) + T + 0.5 * allowance(run)
    assert all(T < said(run, name) <= bound for name in dead)
    assert {each.event.machine_id for each in kinds(run, Transition)} == set(dead)
    assert [len(each.event.machine_ids) > THRESHOLD for each in kinds(run, CascadeDetected)] == [True]
    assert not kinds(run, FleetSilent)
    # It precedes what completes it; before that there were as many as may fall without one.
    falls = takewhile(lambda each: not isinstance(each.event, CascadeDetected), after(run))
    fallen = [each for each in falls if each.event.after is MachineStatus.OFFLINE]
    cascade = kinds(run, CascadeDetected)[0]
    assert len(fallen) <= THRESHOLD
    assert all(each.at_ms < cascade.at_ms for each in fallen)
    assert services["m1"].fleet_history() == (cascade.event,)


def test_who_hears_of_a_fall_has_heard_of_the_cascade():
    """In one look: the cascade first, for every listener and in the history that a listener can read."""
    with Fleet(8) as fleet:
        fleet.advance(60)
        known = []

        def listen(event):
            if isinstance(event, Transition) and event.after is MachineStatus.OFFLINE:
                known.append([type(each) for each in fleet.observer.fleet_history()])

        fleet.observer.subscribe(listen)
        for number in range(1, 1 + CASCADE):
            fleet.crash(f"m{number}")
        fleet.advance(600)
        told = [each for each in fleet.events.events if getattr(each, "after", "offline") == MachineStatus.OFFLINE]
        assert [type(each) for each in told] == [CascadeDetected, *[Transition] * CASCADE]
        assert known == [[CascadeDetected]] * CASCADE
        assert fleet.observer.fleet_history() == (told[0],)


@ON_DELAYING
@SEEDS
def test_everybody_dead_on_a_medium_that_delays_is_unknown_first_and_said_so_at_once(medium, seed):
    """One `FleetSilent` instead of the first warning, by `latest_warning`; every overdue machine reads unknown.

    The watermark asks for less: 1.5 intervals and the allowance without a word from anybody. T is longer.
    """
    dead = [f"m{number}" for number in range(2, 8)]
    until = DIES_AT + latest_warning(killed(7, dead, medium, seed, until=DIES_AT + 600))
    run = killed(7, dead, medium, seed, until=until + 1)
    (silent,) = after(run)
    assert isinstance(silent.event, FleetSilent)
    assert (silent.at_ms / 1000 - DIES_AT) > 1.5 * BEAT
    state = run.states["m1"]
    assert state.observer.health is ObserverHealth.FLEET_SILENT
    assert {state[name].status for name in dead} == {MachineStatus.UNKNOWN}
    assert {state[name].reason for name in dead} == {"fleet_silent"}


@ON_DELAYING
@SEEDS
def test_everybody_dead_on_a_medium_that_delays_is_believed_after_the_hold(medium, seed):
    """Until then not one event about a machine; then each is offline, once, and the silence is not told again."""
    dead = [f"m{number}" for number in range(2, 8)]
    run = killed(7, dead, medium, seed)
    (silent,) = kinds(run, FleetSilent)
    assert all(HOLD < said(run, name) <= latest_warning(run) + HOLD for name in dead)
    changes = kinds(run, Transition)
    assert [each.event.after for each in changes] == [MachineStatus.OFFLINE] * len(dead)
    assert changes[0].at_ms >= silent.at_ms + (HOLD - LOOK) * 1000
    assert len(kinds(run, CascadeDetected)) == 1
    assert {run.states["m1"][name].status for name in dead} == {MachineStatus.OFFLINE}


@SEEDS
def test_everybody_dead_on_a_coherent_storage_is_offline_at_the_ordinary_deadline(seed):
    """Our own beat was written and read: the storage is fine, so they are dead. Each once, with the cascade event."""
    dead = [f"m{number}" for number in range(2, 8)]
    run = killed(7, dead, COHERENT, seed)
    assert not kinds(run, FleetSilent)
    assert len(kinds(run, CascadeDetected)) == 1
    assert all(T - BEAT < said(run, name, "warning") <= latest_warning(run) for name in dead)
    assert all(2 * T - BEAT < said(run, name) <= latest_warning(run) + T for name in dead)


STANDS_STILL = {"at": DIES_AT, "until": DIES_AT + 600}
OURS = [Stall("m1", **STANDS_STILL)]
OF_ALL = [UploadPause(f"m{number}", **STANDS_STILL) for number in range(2, 8)]


@pytest.mark.parametrize("faults", [OURS, OF_ALL], ids=["of our own client", "of the transport"])
@ON_DELAYING
@SEEDS
def test_a_standstill_looks_the_same_and_nobody_is_buried(faults, medium, seed):
    """Why it is unknown first: ten minutes in which everybody is silent and nobody is dead, and one event of it.

    Nor is anybody called silent because others were heard again a little earlier.
    """
    run = simulate(7, medium, faults, duration=7200, seed=seed)
    assert [type(each.event) for each in after(run)] == [FleetSilent]
    assert {state.status for state in run.states["m1"].machines.values()} == {MachineStatus.ONLINE}
