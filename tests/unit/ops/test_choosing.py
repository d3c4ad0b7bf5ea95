"""To whom work can be given, and why to nobody."""

import random
from collections import Counter
from datetime import timedelta
from decimal import Decimal
from fractions import Fraction

import pytest

from heartbeat_kit import HeartbeatService
from heartbeat_kit.errors import InvalidConfigurationError, NoMachineAvailableError
from heartbeat_kit.ops import available, least_loaded


@pytest.fixture
def service(storage, clock):
    return HeartbeatService(storage, clock=clock, machine_id="scheduler")


def fleet(service, **loads):
    for name, metadata in loads.items():
        service.register(metadata if isinstance(metadata, dict) else {"load": metadata}, machine_id=name)
    return service.state()


def names(machines):
    return [machine.machine_id for machine in machines]


def test_online_machines_without_anything_against_them(service, clock):
    fleet(service, old=1)
    clock.advance(300)
    fleet(service, a=1, b=2, resting=0)
    now = clock.now_utc
    service.maintenance("resting", now - timedelta(hours=1), now + timedelta(hours=1))
    assert names(available(service.state())) == ["a", "b"]
    assert names(available(service.state(), where=lambda metadata: metadata["load"] > 1)) == ["b"]


def test_what_a_blind_observer_knew_is_no_reason_to_give_anybody_work(service, storage):
    fleet(service, a=1)
    storage.go_down()
    assert available(service.state()) == ()
    with pytest.raises(NoMachineAvailableError, match="1 not seen, the observer is blind"):
        least_loaded(service.state())


@pytest.mark.parametrize(
    ("loads", "load", "chosen"),
    [
        ({"a": 3, "b": 1, "c": 2}, "load", "b"),
        ({"a": 1, "b": 0, "c": 2}, "load", "b"),
        ({"b": 1, "a": 1.0}, "load", "a"),
        ({"a": -5, "b": 0}, "load", "a"),
        ({"a": {"cpu": {"percent": 90}}, "b": {"cpu": {"percent": 10.5}}}, "cpu.percent", "b"),
        ({"a": 3, "b": 1}, lambda machine: -machine.metadata["load"], "a"),
    ],
)
def test_the_smallest_load_wins(service, loads, load, chosen):
    assert least_loaded(fleet(service, **loads), load).machine_id == chosen


@pytest.mark.parametrize("odd", [{}, *({"load": odd} for odd in ("0", None, True, [0], {"load": 0}))])
def test_a_machine_whose_load_nobody_knows_is_not_taken_for_an_idle_one(service, odd):
    """The predecessor counted a missing load as zero, and gave the work to who had not said."""
    assert least_loaded(fleet(service, odd=odd, busy=99)).machine_id == "busy"


@pytest.mark.parametrize("load", [float("nan"), float("inf"), None])
def test_a_function_may_not_know_either(service, load):
    state = fleet(service, a=1, b=2)
    assert least_loaded(state, lambda machine: load if machine.machine_id == "a" else 5).machine_id == "b"


@pytest.mark.parametrize("of", [Decimal, Fraction, float])
def test_a_number_is_one_of_whatever_kind(service, of):
    state = fleet(service, a=3, b=1, c=2)
    assert least_loaded(state, lambda machine: of(machine.metadata["load"])).machine_id == "b"


def test_what_is_larger_than_any_number_is_no_load(service):
    with pytest.raises(NoMachineAvailableError):
        least_loaded(fleet(service, a=1), lambda _: 10**400)


def test_a_load_that_is_neither_a_key_nor_a_function(service):
    with pytest.raises(InvalidConfigurationError, match="expected a key"):
        least_loaded(service.state(), 5)


def test_nobody_is_an_error_that_says_why(service, clock):
    with pytest.raises(NoMachineAvailableError, match="nobody has registered") as caught:
        least_loaded(service.state())
    assert caught.value.code == "NO_MACHINE_AVAILABLE"
    fleet(service, gone=1)
    clock.advance(300)
    fleet(service, mute={})
    with pytest.raises(LookupError, match="1 not wanted, or without load in their metadata, 1 offline"):
        least_loaded(service.state())


def test_the_better_of_two_spreads_what_the_best_of_all_would_get(service):
    """All loads are as old as the last beat; a hundred tasks are given before the next."""
    state = fleet(service, **{f"m{number}": number for number in range(10)})
    rng = random.Random(7)
    drawn = Counter(least_loaded(state, sample=2, rng=rng).machine_id for _ in range(1000))
    assert len(drawn) == 9  # all but the one that loses to everybody
    assert drawn["m0"] > drawn["m4"] > drawn["m8"]
    assert {least_loaded(state).machine_id for _ in range(100)} == {"m0"}
    assert least_loaded(state, sample=99).machine_id == "m0"


@pytest.mark.parametrize("sample", [0, -1, 1.5, True, "2"])
def test_a_sample_that_cannot_be(service, sample):
    with pytest.raises(InvalidConfigurationError):
        least_loaded(fleet(service, a=1), sample=sample)
