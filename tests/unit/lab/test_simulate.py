"""A run as a whole: equal for equal arguments, scored, shown, and the same on real folders."""

import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import attrs
import pytest

from heartbeat_kit import HeartbeatService, MachineStatus, SharedFolderStorage
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.errors import InvalidConfigurationError, UnknownMachineError
from heartbeat_kit.lab import (
    Crash,
    IdentityClone,
    Leave,
    Medium,
    Quality,
    Suspend,
    Uniform,
    simulate,
)
from heartbeat_kit.lab._ledger import HostLedger
from heartbeat_kit.storage import LedgerEntry, Move, Observation
from heartbeat_kit.testing import FakeClock

HOUR = 3600
BUSY = Medium.cloud(empty=0.1, conflicted=0.05, reordered=0.1, stalls_per_day=24)
FAULTS = [
    Crash("m2", at=3000, until=5000),
    Crash("m3", at=9000),
    Leave("m4", at=4000, until=6000),
    IdentityClone("x", clone_of="m5", at=6000, until=8000),
    Suspend("m1", at=1000, until=2500),
]


def busy(**changes):
    return simulate(5, BUSY, FAULTS, **{"duration": 3 * HOUR, "seed": 3, "observers": 2, **changes})


def test_equal_arguments_give_equal_runs():
    first, second = busy(), busy()
    assert first.text == second.text
    assert first.digest == second.digest
    assert (first.delays, first.stalls, first.alive) == (second.delays, second.stalls, second.alive)


def test_another_seed_gives_another_run():
    assert busy().digest != busy(seed=4).digest


def test_the_order_of_hashes_decides_nothing():
    code = (
        "from heartbeat_kit.lab import *; print(simulate(4, Medium.cloud(stalls_per_day=24), "
        "[Crash('m2', at=900)], duration=7200, seed=5, observers='all').digest)"
    )
    digests = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("1", "2")
    }
    assert len(digests) == 1


def test_real_folders_tell_the_same_story(tmp_path):
    """The fast replicas are proved by the real ones: same seed, same events, to the byte."""
    real = busy(directory=tmp_path / "lab")
    assert real.text == busy().text
    assert (tmp_path / "lab" / "m1" / "share" / "heartbeats" / "m1.json").is_file()
    assert list((tmp_path / "lab" / "m1" / "state").rglob("ledger.json"))
    assert not list((tmp_path / "lab" / "m1" / "share").rglob("ledger.json"))


def test_a_directory_that_was_used_is_refused(tmp_path):
    (tmp_path / "old").touch()
    with pytest.raises(InvalidConfigurationError, match="is not empty"):
        busy(directory=tmp_path)


def test_machines_do_not_beat_in_step():
    starts = {}
    simulate(6, Medium.coherent(), duration=60, on_start=lambda service, name: starts.setdefault(name, service), seed=8)
    began = [service.status.started_at for service in starts.values()]
    assert len(set(began)) == 6


def test_every_life_of_every_machine_is_handed_over_before_it_starts():
    lives = []

    def seen(service, name):
        assert isinstance(service, HeartbeatService)
        assert not service.is_running
        lives.append(name)

    simulate(["a", "b"], Medium.coherent(), [Crash("b", at=100, until=200)], duration=300, on_start=seen)
    assert sorted(lives) == ["a", "b", "b"]


def test_what_is_subscribed_in_on_start_hears_what_the_run_recorded():
    heard = []

    def listen(service, name):
        if name == "m1":
            service.subscribe(heard.append)

    found = simulate(3, Medium.coherent(), [Crash("m2", at=600)], duration=1800, on_start=listen)
    assert tuple(heard) == found.events["m1"]


@pytest.mark.parametrize(
    ("observers", "watching"),
    [(1, ("m1",)), (2, ("m1", "m2")), ("all", ("m1", "m2", "m3")), ("M3", ("m3",)), (["m2", "m3"], ("m2", "m3"))],
)
def test_who_observes(observers, watching):
    found = simulate(3, Medium.coherent(), duration=120, observers=observers)
    assert found.observers == watching == tuple(found.heard)
    assert {len(found.events[name]) for name in watching} == {3}


@pytest.mark.parametrize(
    ("arguments", "error", "names"),
    [
        ({"machines": 0}, InvalidConfigurationError, "0 machines"),
        ({"machines": "web"}, InvalidConfigurationError, "a list of ids"),
        ({"machines": ["a", "A"]}, InvalidConfigurationError, "a given twice"),
        ({"observers": 0}, InvalidConfigurationError, "0 observers"),
        ({"observers": 4}, InvalidConfigurationError, "4 observers"),
        ({"observers": []}, InvalidConfigurationError, "0 observers"),
        ({"observers": "m9"}, UnknownMachineError, "m9"),
        ({"duration": 0}, InvalidConfigurationError, "duration is 0"),
        ({"duration": -5}, InvalidConfigurationError, "negative"),
        ({"config": {}}, InvalidConfigurationError, "config"),
    ],
)
def test_a_run_that_cannot_be_is_refused(arguments, error, names):
    with pytest.raises(error, match=names):
        simulate(**{"machines": 3, "medium": Medium.coherent(), "duration": 60, **arguments})


def test_a_run_leaves_nothing_running():
    services = []
    simulate(3, Medium.coherent(), duration=60, on_start=lambda service, _: services.append(service))
    assert len(services) == 3
    assert not any(service.is_running for service in services)


def test_a_run_that_fails_on_the_way_leaves_nothing_running_either():
    services = []

    def trip(service, name):
        services.append(service)
        if name == "m3":
            raise RuntimeError("tripped")

    with pytest.raises(RuntimeError, match="tripped"):
        simulate(3, Medium.coherent(), duration=60, on_start=trip)
    assert not any(service.is_running for service in services)


def test_a_quiet_fleet_on_a_cloud_folder_is_not_called_names():
    found = simulate(5, Medium.cloud(), duration=12 * HOUR, seed=2, observers=2)
    assert found.quality().mistakes == 0
    assert found.quality().duplicates == 0


def test_the_truth_about_the_medium_is_kept():
    found = simulate(
        3, Medium(name="even", propagation_delay=60, delay=Uniform(least=10, most=50)), duration=6 * HOUR, seed=1
    )
    assert len(found.delays["m1"]) == pytest.approx(2 * 6 * 120, rel=0.1)
    assert len(found.visible_delays["m1"]) < len(found.delays["m1"])
    assert found.medium_p99_jitter.total_seconds() == pytest.approx(39.6, abs=0.8)
    assert found.visible_p99_jitter <= found.medium_p99_jitter
    assert simulate(2, Medium.coherent(), duration=60).medium_p99_jitter.total_seconds() == 0


def test_warnings_count_as_suspicion_when_asked_for():
    found = simulate(3, Medium.coherent(), [Crash("m2", at=600, until=800)], duration=1800)
    assert found.quality(detectable_after=60).missed == 1
    assert found.quality("m1", suspicion="warning", detectable_after=60).detections == 1
    assert found.quality().missed == 0  # it was too short for anybody to call it offline
    with pytest.raises(InvalidConfigurationError, match="'late'"):
        found.quality(suspicion="late")


def test_everybody_together_is_the_sum_of_the_pairs():
    found = simulate(4, Medium.coherent(), [Crash("m4", at=600)], duration=1800, observers=3)
    together = found.quality()
    assert (together.machines, together.deaths, together.detections) == (9, 3, 3)
    assert sum(found.quality(name).detections for name in found.observers) == 3


def test_an_observer_is_not_scored_on_itself():
    found = simulate(2, Medium.coherent(), [Crash("m1", at=600, until=1200)], duration=1800)
    assert (found.quality().machines, found.quality().deaths) == (1, 0)


def test_an_event_told_twice_is_a_duplicate():
    found = simulate(2, Medium.coherent(), [Crash("m2", at=600)], duration=1800)
    offline = found.heard["m1"][-1]
    assert offline.event.after is MachineStatus.OFFLINE
    twice = {"m1": (*found.heard["m1"], offline)}
    assert (_with(found, twice).quality().duplicates, found.quality().duplicates) == (1, 0)


def test_a_return_told_twice_is_a_duplicate_too():
    found = simulate(2, Medium.coherent(), duration=600)
    assert _with(found, {"m1": found.heard["m1"] * 2}).quality().duplicates == 2


def test_stalls_and_upload_pauses_are_drawn_apart():
    found = simulate(2, Medium.cloud(stalls_per_day=24, upload_pauses_per_day=24), duration=6 * HOUR)
    assert len(found.stalls["m1"]) == len(found.upload_pauses["m1"]) == 6
    assert found.stalls["m1"] != found.upload_pauses["m1"] != found.upload_pauses["m2"]


def test_a_real_service_can_go_on_where_a_run_on_folders_ended(tmp_path):
    """Its lock is free, and what it announced it does not announce again."""
    found = simulate(3, Medium.nfs(), [Crash("m2", at=600)], duration=1800, directory=tmp_path)
    assert len(found.events["m1"]) == 5
    storage = SharedFolderStorage(tmp_path / "m1" / "share", propagation_delay=timedelta(seconds=5))
    clock = FakeClock(datetime(2026, 1, 1, 0, 30, tzinfo=UTC))
    service = HeartbeatService(storage, clock=clock, machine_id="m1", state_dir=tmp_path / "m1" / "state")
    service.start()
    assert service.check(force=True).transitions == ()
    assert service.state()["m2"].status is MachineStatus.OFFLINE
    service.stop()
    storage.close()


def test_a_hosts_ledger_outlives_its_processes():
    ledger, found = HostLedger(), simulate(2, Medium.coherent(), duration=120)
    event = found.events["m1"][0]
    entry = LedgerEntry(
        machine_id=event.machine_id, status=event.after, event_id=event.id, reason=event.reason, since_ms=0
    )
    move = Move(expected=None, entry=entry, transition=event, owner="the dead")
    assert ledger.commit([move]) == (move,)
    assert ledger.commit([move]) == ()
    assert ledger.undelivered("the living") == (event,)
    ledger.delivered([event.id])
    assert ledger.undelivered("the living") == ()
    assert ledger.history(event.machine_id) == ledger.history() == (event,)
    assert ledger.history("other") == ledger.history(since_ms=event.detected_at_ms + 1) == ()


def test_a_hosts_ledger_keeps_the_newest_observation():
    ledger = HostLedger()
    old, new = Observation(incarnation=1, seq=1, seen_ms=1), Observation(incarnation=1, seq=2, seen_ms=2)
    ledger.note({"a": new, "b": old})
    ledger.note({"a": old, "c": old})
    assert ledger.observations() == {"a": new, "b": old, "c": old}


def test_a_hosts_ledger_keeps_the_calendar():
    ledger = HostLedger()
    window = MaintenanceWindow(machine_id="a", start=0, end=1000, reason="")
    ledger.schedule(window, forget_before_ms=0)
    assert ledger.windows() == (window,)


def test_a_silence_told_twice_under_two_ids_is_a_duplicate():
    found = simulate(2, Medium.coherent(), [Crash("m2", at=600)], duration=1800)
    at_ms, event = found.heard["m1"][-1]
    for changes, count in (({}, 1), ({"flapping": True}, 0), ({"suppressed": True}, 0)):
        again = attrs.evolve(event, id="another", **changes)
        assert _with(found, {"m1": (*found.heard["m1"], (at_ms, again))}).quality().duplicates == count


def _with(found, heard):
    return attrs.evolve(found, heard=heard)


def test_a_run_for_people():
    found = simulate(3, Medium.coherent(), [Crash("m2", at=600)], duration=1800, seed=7)
    assert repr(found) == "<Run of 3 machines on coherent, 30 min, 1 observer, 5 events, seed 7>"
    assert found.duration.total_minutes() == 30
    assert isinstance(found.quality(), Quality)
    assert found._repr_html_().count("<tr>") == 2
    assert found.states["m1"]["m2"].status is MachineStatus.OFFLINE
    with pytest.raises(UnknownMachineError, match="m9"):
        found.timeline("m1", "m9")
    with pytest.raises(UnknownMachineError, match="m2"):
        found.timeline("m2", "m1")
    with pytest.raises(UnknownMachineError, match="m2"):
        found.quality("m2")
