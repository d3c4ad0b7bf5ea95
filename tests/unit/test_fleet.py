"""`Fleet`: what happens to a simulated fleet is what happens to a real one."""

from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatConfig, MachineStatus
from heartbeat_kit.errors import InvalidMachineIdError, UnknownMachineError
from heartbeat_kit.testing import FakeClock, FaultyStorage, Fleet, RecordingListener

ONLINE, WARNING, OFFLINE, UNKNOWN = (
    MachineStatus.ONLINE,
    MachineStatus.WARNING,
    MachineStatus.OFFLINE,
    MachineStatus.UNKNOWN,
)
EVERY_SECOND = HeartbeatConfig(check_interval=timedelta(seconds=1))
LOOK = 30.0


@pytest.fixture
def fleet():
    with Fleet(3) as fleet:
        fleet.advance(60)
        yield fleet


def troubles(fleet):
    """What was announced that is not a coming: (machine, status)."""
    return [change for change in fleet.events.changes if change[1] != "online"]


def epoch(fleet, moment):
    """A wall-clock time of a clock that was not touched, in seconds since the fleet began."""
    return (moment - FakeClock().now_utc).total_seconds()


def seen_last(fleet, machine_id):
    """When the observer, looking each second, saw the last beat of a machine."""
    stamp = fleet.observer.state()[machine_id].last_heartbeat
    return -(-epoch(fleet, stamp) // 1)


def test_starts_with_everybody_beating(fleet):
    assert list(fleet.machines) == ["m1", "m2", "m3"]
    assert all(service.is_running for service in fleet.machines.values())
    assert list(fleet.observers) == ["observer"]
    assert fleet.observer.is_running
    assert fleet.statuses() == {"m1": ONLINE, "m2": ONLINE, "m3": ONLINE}
    assert fleet.elapsed == 60
    assert isinstance(fleet.events, RecordingListener)


def test_each_machine_is_announced_once(fleet):
    fleet.advance(3600)
    assert sorted(fleet.events.changes) == [
        ("m1", "online"),
        ("m2", "online"),
        ("m3", "online"),
        ("observer", "online"),
    ]
    assert fleet.timeline("m1") == [(0, UNKNOWN), (30, ONLINE)]


def test_every_run_is_the_same():
    def run():
        with Fleet(3, propagation_delay=timedelta(seconds=7)) as fleet:
            fleet.advance(100)
            fleet.crash("m3")
            fleet.advance(600)
            return fleet.events.events

    assert run() == run()


def test_crash_is_a_warning_and_then_offline_exactly_at_the_deadlines():
    with Fleet(3, config=EVERY_SECOND) as fleet:
        fleet.advance(100)
        fleet.crash("m2")
        assert not fleet.machines["m2"].is_running
        seen = seen_last(fleet, "m2")
        fleet.advance(seen + 120 - fleet.elapsed - 0.001)
        assert fleet.statuses()["m2"] is ONLINE
        fleet.advance(0.001)
        assert fleet.statuses()["m2"] is WARNING
        fleet.advance(119.999)
        assert fleet.statuses()["m2"] is WARNING
        fleet.advance(0.001)
        assert fleet.statuses() == {"m1": ONLINE, "m2": OFFLINE, "m3": ONLINE}
        fleet.advance(3600)
        _, *silent = fleet.timeline("m2")[1:]
        assert silent == [(seen + 120, WARNING), (seen + 240, OFFLINE)]
        assert [epoch(fleet, event.occurred_at) for event in fleet.events.of("m2")[1:]] == [seen + 120, seen + 240]
        assert troubles(fleet) == [("m2", "warning"), ("m2", "offline")]


def test_crash_writes_nothing(fleet):
    before, puts = fleet.storage.load().heartbeats["m2"], fleet.machines["m2"].storage.calls["put"]
    fleet.crash("m2")
    fleet.advance(600)
    assert fleet.storage.load().heartbeats["m2"] is before
    assert before.left_at is None
    assert fleet.machines["m2"].storage.calls["put"] == puts
    fleet.crash("m2")  # a dead machine does not die again
    assert len(troubles(fleet)) == 2


def test_revived_machine_is_online_once_in_a_new_life(fleet):
    first = fleet.machines["m2"]
    fleet.crash("m2")
    fleet.advance(600)
    fleet.revive("m2")
    fleet.advance(600)
    assert fleet.machines["m2"] is not first
    assert not first.is_running
    assert [event.reason for event in fleet.events.of("m2")] == ["first_seen", "silent", "silent", "returned"]
    lives = [event.incarnation for event in fleet.events.of("m2")]
    assert lives[-1] > lives[0]
    assert fleet.statuses()["m2"] is ONLINE


def test_revive_does_nothing_while_the_machine_runs(fleet):
    service = fleet.machines["m1"]
    fleet.revive("m1")
    assert fleet.machines["m1"] is service


@pytest.mark.parametrize("jump", [600, -600, 3600, -3600])
def test_skewed_machine_changes_nothing(fleet, jump):
    fleet.skew("m1", jump)
    fleet.advance(3600)
    shown = fleet.observer.state()["m1"].clock_skew.total_seconds()
    assert jump - LOOK <= shown <= jump  # a look finds a beat up to one look late
    fleet.skew("m1", -2 * jump)
    fleet.advance(3600)
    assert troubles(fleet) == []
    assert fleet.statuses() == {"m1": ONLINE, "m2": ONLINE, "m3": ONLINE}


def test_skewed_observer_changes_nothing(fleet):
    for jump in (600, -1200, 3600):
        fleet.skew("observer", jump)
        fleet.advance(600)
    assert troubles(fleet) == []


def test_partitioned_machine_falls_silent_though_it_runs(fleet):
    fleet.partition("m1")
    fleet.advance(600)
    assert fleet.machines["m1"].is_running
    assert "m1 is cut off" in fleet.machines["m1"].status.pending
    assert fleet.statuses() == {"m1": OFFLINE, "m2": ONLINE, "m3": ONLINE}
    fleet.heal("m1")
    fleet.advance(60)
    assert troubles(fleet) == [("m1", "warning"), ("m1", "offline")]
    assert fleet.statuses()["m1"] is ONLINE


def test_partitioned_observer_is_blind_and_announces_nothing(fleet):
    fleet.partition("observer")
    fleet.advance(3600)
    assert fleet.observer.check(force=True).observer.health == "blind"
    fleet.heal("observer")
    fleet.advance(600)
    assert fleet.observer.check(force=True).observer.health == "ok"
    assert troubles(fleet) == []


def test_stalled_observer_announces_nothing_false(fleet):
    fleet.stall_observer(900)
    looks = fleet.observer.storage.calls["load"]
    fleet.advance(900 - 1)
    assert fleet.observer.storage.calls["load"] == looks
    fleet.advance(600)
    assert fleet.observer.storage.calls["load"] > looks
    assert troubles(fleet) == []


def test_crash_during_a_stall_is_found_after_it(fleet):
    fleet.stall_observer(900)
    fleet.advance(10)
    fleet.crash("m3")
    fleet.advance(2000)
    assert troubles(fleet) == [("m3", "warning"), ("m3", "offline")]
    assert fleet.timeline("m3")[2][0] > 960


def test_suspended_observer_announces_nothing_false(fleet):
    fleet.suspend_observer(8 * 3600)
    assert fleet.elapsed == 60 + 8 * 3600
    fleet.advance(600)
    assert troubles(fleet) == []


def test_suspended_machine_falls_silent_and_returns(fleet):
    fleet.suspend("m1", 3600)
    fleet.advance(60)
    assert [event.after for event in fleet.events.of("m1")] == [ONLINE, WARNING, OFFLINE, ONLINE]


def test_stalled_machine_falls_silent_until_it_dies_or_wakes(fleet):
    fleet.stall("m1", 86_400)
    fleet.advance(600)
    assert fleet.statuses()["m1"] is OFFLINE
    fleet.crash("m1")
    fleet.revive("m1")
    fleet.advance(600)
    assert fleet.statuses()["m1"] is ONLINE
    assert len(fleet.events.of("m1")) == 4


def test_goodbye_is_announced_at_once(fleet):
    fleet.leave("m3")
    fleet.advance(LOOK)
    assert [event.reason for event in fleet.events.of("m3")] == ["first_seen", "left"]
    assert fleet.statuses()["m3"] is OFFLINE
    fleet.leave("m3")
    fleet.revive("m3")
    fleet.advance(60)
    assert fleet.timeline("m3")[2:] == [(90, OFFLINE), (120, ONLINE)]


def test_timeline_is_true_time_whatever_the_wall_clocks_say(fleet):
    fleet.skew("observer", -86_400)
    fleet.suspend("observer", 60)
    fleet.crash("m1")
    fleet.advance(900)
    times = [seconds for seconds, _ in fleet.timeline("m1")]
    assert times == sorted(times)
    assert 120 < times[-1] <= fleet.elapsed
    assert fleet.timeline("m1")[-1][1] is OFFLINE


def test_observer_can_crash_and_its_next_life_goes_on_announcing(fleet):
    fleet.crash("observer")
    fleet.advance(30)
    fleet.crash("m1")
    fleet.advance(3600)
    assert troubles(fleet) == []
    fleet.revive("observer")
    fleet.advance(600)
    assert troubles(fleet) == [("m1", "offline")]  # it watched a whole deadline itself before it judged


def test_machines_never_take_an_event_from_the_observer(fleet):
    heard = RecordingListener()
    fleet.machines["m1"].subscribe(heard)
    fleet.crash("m2")
    fleet.advance(600)
    assert [event.observer for event in fleet.events.of("m2")] == ["observer"] * 3
    assert heard.changes == (("m2", "warning"), ("m2", "offline"))


def test_two_observers_of_one_ledger_announce_each_change_once():
    with Fleet(2, observer=("o1", "o2")) as fleet:
        fleet.advance(100)
        fleet.stall("o1", 400)
        fleet.crash("m1")
        fleet.advance(1200)
        assert list(fleet.observers) == ["o1", "o2"]
        assert len(set(fleet.events.ids)) == len(fleet.events.ids)
        assert [(e.after, e.observer) for e in fleet.events.of("m1")[1:]] == [("warning", "o2"), ("offline", "o2")]


def test_stop_ends_everybody_and_is_harmless_twice():
    clock = FakeClock()
    fleet = Fleet(2, clock=clock)
    fleet.crash("m1")
    fleet.stop()
    fleet.stop()
    puts = fleet.machines["m2"].storage.calls["put"]
    clock.advance(600)
    assert not fleet.observer.is_running
    assert fleet.machines["m2"].storage.calls["put"] == puts
    assert fleet.storage.load().heartbeats["m2"].left_at is None


def test_keeps_time_with_the_clock_it_is_given():
    clock = FakeClock()
    clock.advance(1000)
    with Fleet(1, clock=clock) as fleet:
        assert fleet.clock is clock
        clock.advance(30)
        assert fleet.elapsed == 30
        assert fleet.timeline("m1") == [(0, UNKNOWN), (30, ONLINE)]


def test_elapsed_is_true_time_though_the_clock_of_the_test_sleeps():
    with Fleet(1) as fleet:
        fleet.clock.suspend(60)
        assert fleet.elapsed == 60
        assert fleet.timeline("m1") == [(0, UNKNOWN), (30, ONLINE)]


def test_ids_are_normalised_and_unknown_ones_refused_by_name(fleet):
    fleet.crash(" M2 ")
    assert not fleet.machines["m2"].is_running
    for call in (fleet.crash, fleet.revive, fleet.leave, fleet.partition, fleet.heal, fleet.timeline):
        with pytest.raises(UnknownMachineError, match="'m9' is in this fleet: expected one of m1, m2, m3, observer"):
            call("m9")
    for call in (fleet.skew, fleet.stall, fleet.suspend):
        with pytest.raises(UnknownMachineError) as caught:
            call("m9", 10)
        assert caught.value.machine_id == "m9"
    with pytest.raises(InvalidMachineIdError):
        fleet.crash("../m2")


def test_links_to_the_medium_take_finer_faults(fleet):
    assert isinstance(fleet.observer.storage, FaultyStorage)
    fleet.observer.storage.hide("m1")
    assert "m1" not in fleet.observer.storage.load().heartbeats
    assert "m1" in fleet.machines["m2"].storage.load().heartbeats


def test_repr_counts(fleet):
    fleet.crash("m1")
    assert repr(fleet) == "<Fleet of 3 machines (2 running) watched by observer, 60 s>"


def test_killed_clock_takes_no_turn_more_and_may_be_used_again():
    """`FakeClock.kill` ends the loops of one machine, stalled or not, and no other's."""
    clock, turns = FakeClock(), []
    other = clock.sibling()

    def step_of(owner, name):
        return lambda: turns.append((name, owner.monotonic)) or owner.now().mono_ms + 10_000

    dead = clock.loop(step_of(clock, "dead"), name="dead")
    other.loop(step_of(other, "other"), name="other")
    clock.stall(60)
    clock.kill()
    assert not dead.is_alive
    clock.advance(10)
    assert turns == [("other", 0), ("other", 10)]
    clock.loop(step_of(clock, "new"), name="new")
    clock.advance(0)
    assert turns[-1] == ("new", 10)
    assert clock.monotonic == 10


def test_killed_in_its_own_turn_a_loop_takes_no_other():
    clock, turns = FakeClock(), []

    def step():
        turns.append(clock.monotonic)
        clock.kill()
        return clock.now().mono_ms + 1000

    clock.loop(step, name="last turn")
    clock.advance(60)
    assert turns == [0]
