"""Faults as values, what is refused of them, and what each does to a fleet."""

from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatConfig, MachineStatus
from heartbeat_kit.errors import InvalidConfigurationError, UnknownMachineError
from heartbeat_kit.lab import (
    Crash,
    DiskFull,
    Dst,
    IdentityClone,
    Leave,
    Medium,
    Partition,
    Pause,
    Skew,
    Span,
    Stall,
    Suspend,
    Uniform,
    UploadPause,
    WallJump,
    simulate,
)
from heartbeat_kit.lab._clock import LabClock

HOUR = 3600
ONLINE, WARNING, OFFLINE = MachineStatus.ONLINE, MachineStatus.WARNING, MachineStatus.OFFLINE
QUICK = Medium(name="quick", propagation_delay=5)
"""Not coherent, so records may come late, and yet they do not."""


def run(*faults, duration=2 * HOUR, medium=QUICK, machines=3, **more):
    return simulate(machines, medium, faults, duration=duration, **more)


def story(found, machine="m2", observer="m1"):
    """The statuses announced, without the times."""
    return [str(status) for _, status in found.timeline(observer, machine)][1:]


def moment(found, status, machine="m2"):
    """When a status was announced first."""
    return next(at for at, after in found.timeline("m1", machine) if after is status)


def test_a_crash_is_found_and_a_new_life_too():
    found = run(Crash("m2", at=1000, until=3000))
    assert story(found) == ["online", "warning", "offline", "online"]
    assert 1000 + 240 - 30 < moment(found, OFFLINE) <= 1000 + 240 + 5 + 60
    assert found.alive["m2"][0].end_ms == 1_000_000
    assert found.alive["m2"][1] == Span(3_000_000, 7_200_000)
    back = found.events["m1"][-1]
    assert back.machine_id == "m2"
    assert back.incarnation > found.events["m1"][0].incarnation


def test_who_crashes_for_good_does_not_return():
    found = run(Crash("m2", at=timedelta(minutes=10)))
    assert story(found) == ["online", "warning", "offline"]
    assert found.quality().detections == found.quality().deaths == 1


def test_leaving_is_announced_as_such_and_at_once():
    found = run(Leave("m2", at=1000, until=3000))
    assert story(found) == ["online", "offline", "online"]
    assert moment(found, OFFLINE) <= 1030
    assert [str(event.reason) for event in found.events["m1"] if event.machine_id == "m2"] == [
        "first_seen", "left", "returned",
    ]  # fmt: skip


def test_a_stopped_process_is_silent_and_goes_on_in_the_same_life():
    found = run(Pause("m2", at=1000, until=3000))
    assert story(found) == ["online", "warning", "offline", "online"]
    first, *_, last = (event for event in found.events["m1"] if event.machine_id == "m2")
    assert first.incarnation == last.incarnation
    assert [span.end_ms for span in found.alive["m2"]] == [1_000_000, 7_200_000]


def test_a_stopped_observer_buries_nobody():
    found = run(Pause("m1", at=1000, until=3000))
    assert [event.reason for event in found.events["m1"]] == ["first_seen"] * 3


def test_two_hosts_may_sleep_at_once_and_wake_up_in_any_order():
    found = run(Suspend("m2", at=1000, until=4000), Suspend("m3", at=2000, until=3000), machines=5)
    assert story(found, "m2") == story(found, "m3") == ["online", "warning", "offline", "online"]
    back = {event.machine_id: event for event in found.events["m1"] if event.reason == "returned"}
    at = {machine: moment_of_return(found, machine) for machine in back}
    assert 3000 <= at["m3"] <= 3065
    assert 4000 <= at["m2"] <= 4065


def moment_of_return(found, machine):
    return found.timeline("m1", machine)[-1][0]


def test_of_a_sleeping_host_only_the_wall_clock_goes_on():
    true = LabClock()
    host, turns = true.sibling(skew=5), []

    def step():
        turns.append((true.true_ms, host.now().mono_ms))
        return host.now().mono_ms + 10_000

    host.loop(step, name="beat")
    true.advance(25)
    host.fall_asleep()
    host.fall_asleep()
    wall, mono = host.now()
    true.advance(100)
    assert (host.now().wall_ms - wall, host.now().mono_ms) == (100_000, mono)
    host.wake_up()
    host.wake_up()
    true.advance(30)
    assert turns == [
        (0, 0),
        (10_000, 10_000),
        (20_000, 20_000),
        (130_000, 30_000),
        (140_000, 40_000),
        (150_000, 50_000),
    ]
    assert host.now().wall_ms - true.now().wall_ms == 5_000
    host.fall_asleep()
    true.advance(7)
    host.wake_up()
    assert true.true_ms - host.now().mono_ms == 107_000


def test_an_observer_that_slept_buries_nobody():
    found = run(Suspend("m1", at=1000, until=4000))
    assert [event.reason for event in found.events["m1"]] == ["first_seen"] * 3


def test_a_sleeping_host_beats_as_often_as_before_afterwards():
    found = run(Suspend("m2", at=1000, until=4000), Crash("m2", at=6000))
    assert story(found) == ["online", "warning", "offline", "online", "warning", "offline"]


@pytest.mark.parametrize(
    "fault",
    [
        Skew("m2", 600),
        Skew("m2", -600),
        Skew("m1", 600),
        WallJump("m2", at=1000, seconds=-3600),
        WallJump("m2", at=1000, seconds=3600),
        Dst("m2", at=1000),
        Dst("m2", at=1000, until=3000),
        Dst("m1", at=1000, until=3000),
    ],
    ids=repr,
)
def test_no_clock_changes_a_verdict(fault):
    found = run(fault)
    assert [event.reason for event in found.events["m1"]] == ["first_seen"] * 3


def test_a_skewed_clock_is_really_skewed():
    stamps = {}

    def note(service, name):
        stamps[name] = service

    run(Skew("m2", 600), Dst("m3", at=10, until=60), duration=120, on_start=note)
    now = {name: service.register().timestamp.timestamp() for name, service in stamps.items()}
    assert now["m2"] - now["m1"] == 600
    assert now["m3"] == now["m1"]


def test_who_is_cut_off_is_silent_but_alive():
    found = run(Partition("m2", at=1000, until=3000))
    assert story(found) == ["online", "warning", "offline", "online"]
    assert len(found.alive["m2"]) == 1
    assert found.quality().mistakes == 1
    [mistake] = found.mistakes()
    assert (mistake.observer, mistake.machine, mistake.in_upload_pause) == ("m1", "m2", False)
    assert mistake.alive_for_ms == mistake.span.start_ms - found.alive["m2"][0].start_ms


def test_a_death_that_was_over_before_it_was_noticed_is_a_mistake_that_shows_it():
    """The return was still on its way."""
    slow = Medium(name="slow", propagation_delay=60, delay=Uniform(least=50, most=50))
    found = run(Pause("m2", at=1000, until=1325), medium=slow, machines=4)
    [mistake] = found.mistakes()
    assert 0 <= mistake.alive_for_ms <= 50_000


def test_an_observer_that_slept_through_a_death_did_not_miss_it():
    found = run(Crash("m2", at=1000, until=3000), Suspend("m1", at=900, until=2900))
    assert (found.quality().deaths, found.quality().detections, found.quality().missed) == (1, 0, 0)


def test_an_observer_that_is_cut_off_is_blind_and_buries_nobody():
    found = run(Partition("m1", at=1000, until=3000))
    assert [event.reason for event in found.events["m1"]] == ["first_seen"] * 3


def test_overlapping_troubles_of_one_machine_end_when_the_last_one_ends():
    found = run(Partition("m2", at=1000, until=3000), Partition("m2", at=1500, until=2000))
    assert moment_of_return(found, "m2") >= 3000


def test_a_full_disk_lets_nothing_out():
    found = run(DiskFull("m2", at=1000, until=3000))
    assert story(found) == ["online", "warning", "offline", "online"]


def test_a_full_disk_does_not_hide_the_others_from_its_observer():
    found = run(DiskFull("m2", at=1000, until=1100), Crash("m3", at=2000), observers="all")
    assert story(found, "m3", "m2") == ["online", "warning", "offline"]


def test_a_stalled_sync_client_shows_its_observer_nothing_and_it_says_so():
    found = run(Stall("m1", at=1000, until=1500), machines=4)
    assert found.quality().mistakes == 0
    assert [type(each.event).__name__ for each in found.fleet_events["m1"]] == ["FleetSilent"]
    assert 1000 < found.fleet_events["m1"][0].at_ms / 1000 < 1500
    assert found.stalls["m1"] == (Span(1_000_000, 1_500_000),)


def test_a_paused_upload_cannot_be_told_from_a_death_and_is_reported_apart():
    found = run(UploadPause("m2", at=1000, until=1500))
    [mistake] = found.mistakes()
    assert mistake.in_upload_pause
    assert found.upload_pauses["m2"] == (Span(1_000_000, 1_500_000),)


def test_a_clone_is_found_out():
    found = run(IdentityClone("imposter", clone_of="m2", at=1000, until=7000), duration=7000)
    conflict = found.states["m1"]["m2"].identity_conflict or ""
    assert "imposter" in conflict
    assert "m2" in conflict
    assert found.quality().mistakes == 0


def test_a_dead_machine_whose_clone_beats_counts_as_alive():
    found = run(IdentityClone("imposter", clone_of="m2", at=1000, until=5000), Crash("m2", at=2000))
    assert found.alive["m2"][-1] == Span(1_000_000, 5_000_000)
    assert moment(found, OFFLINE) > 5000
    assert found.quality().deaths == found.quality().detections == 1


def test_a_machine_may_be_dead_from_the_beginning():
    found = run(Crash("m2", at=0, until=3000), Crash("m3", at=0))
    assert found.alive["m2"] == (Span(3_000_000, 7_200_000),)
    assert found.alive["m3"] == ()
    assert story(found) == ["online"]
    assert moment(found, ONLINE) >= 3000
    assert found.quality().deaths == 0


def test_an_observer_is_not_scored_for_the_time_after_its_end():
    found = run(Crash("m1", at=1000), Crash("m2", at=2000), observers=2)
    assert found.quality("m1").deaths == 0
    assert found.quality("m2").deaths == found.quality("m2").detections == 1
    assert set(found.states) == set()


def test_an_observer_that_comes_back_knows_what_it_announced():
    found = run(Crash("m2", at=1000), Crash("m1", at=2000, until=3000), duration=3 * HOUR)
    assert story(found, "m2") == ["online", "warning", "offline"]
    assert found.quality().duplicates == 0


@pytest.mark.parametrize(
    ("fault", "error", "names"),
    [
        (Crash("m9", at=1), UnknownMachineError, "'m9'"),
        (IdentityClone("x", clone_of="m9", at=1, until=2), UnknownMachineError, "'m9'"),
        (IdentityClone("m1", clone_of="m2", at=1, until=2), InvalidConfigurationError, "m1 is a machine of the fleet"),
        (Crash("m1", at=7200), InvalidConfigurationError, "would never happen"),
        ("crash m1", InvalidConfigurationError, "is no fault"),
    ],
)
def test_a_fault_that_cannot_happen_is_refused(fault, error, names):
    with pytest.raises(error, match=names):
        run(fault)


@pytest.mark.parametrize(
    "pair",
    [
        (Crash("m1", at=100), Leave("m1", at=200)),
        (Crash("m1", at=100, until=300), Suspend("m1", at=200, until=250)),
        (Pause("m1", at=100, until=300), Crash("m1", at=299)),
    ],
)
def test_a_life_does_not_end_twice(pair):
    with pytest.raises(InvalidConfigurationError, match="it is not alive then"):
        run(*reversed(pair))


@pytest.mark.parametrize("kind", [Crash, Leave, Pause, Suspend, Partition, DiskFull, Stall, UploadPause, Dst])
def test_a_fault_ends_after_it_begins(kind):
    with pytest.raises(InvalidConfigurationError, match=f"{kind.__name__} of m1 ends at 5 s"):
        kind("m1", at=5, until=5)


@pytest.mark.parametrize("value", ["soon", None, True, float("inf"), -1])
def test_a_time_that_is_none_is_refused(value):
    with pytest.raises(InvalidConfigurationError):
        Crash("m1", at=value)


def test_faults_are_values():
    assert Crash(" M1 ", at=60) == Crash("m1", at=timedelta(minutes=1)) != Leave("m1", at=60)
    assert len({Crash("m1", at=60), Crash("m1", at=60), Pause("m1", at=60, until=61)}) == 2
    assert repr(Skew("m1", -600)) == "Skew(machine='m1', seconds_ms=-600000)"


def test_the_timings_given_are_in_force():
    slow = HeartbeatConfig.development()
    found = run(Crash("m2", at=1000), config=slow)
    assert moment(found, OFFLINE) > 1000 + 540
