"""How late the medium is, as people read it."""

from datetime import timedelta

import pytest

from heartbeat_kit import MediumState


@pytest.mark.parametrize(
    ("declared", "measured", "slower"),
    [
        (None, None, False),
        (None, 90_000, False),
        (60_000, None, False),
        (60_000, 59_999, False),
        (60_000, 60_000, False),
        (60_000, 60_001, True),
        (0, 0, False),
        (0, 1, True),
        (1, 0, False),
    ],
)
def test_it_breaks_its_promise_only_if_there_is_one_and_a_measure(declared, measured, slower):
    state = MediumState(allowance=60_000, declared=declared, measured=measured)
    assert state.slower_than_declared is slower
    assert ("longer propagation_delay" in state.explain()) is slower
    assert ("slower than declared" in repr(state)) is slower


def test_durations_are_durations():
    state = MediumState(allowance=31_000, declared=60_000, measured=30_500, samples=200)
    assert state.allowance == timedelta(seconds=31)
    assert state.declared == timedelta(seconds=60)
    assert state.measured == timedelta(seconds=30.5)
    assert (state.allowance_ms, state.declared_ms, state.measured_ms, state.samples) == (31_000, 60_000, 30_500, 200)


def test_what_is_not_known_is_none():
    state = MediumState(allowance=60_000)
    assert (state.declared, state.measured, state.samples) == (None, None, 0)


@pytest.mark.parametrize(
    ("state", "sentence"),
    [
        (
            MediumState(allowance=60_000),
            "the medium's jitter is not measured yet, and 60 s are allowed for it",
        ),
        (
            MediumState(allowance=31_000, measured=30_500),
            "the medium's jitter is measured as 30.5 s, and 31 s are allowed for it",
        ),
        (
            MediumState(allowance=60_000, declared=60_000, measured=75_000),
            (
                "the medium's jitter is measured as 75 s, and 60 s are allowed for it; "
                "that is more than the declared 60 s: declare a longer propagation_delay, or none to have it measured"
            ),
        ),
    ],
)
def test_one_sentence(state, sentence):
    assert state.explain() == sentence


def test_one_line():
    assert repr(MediumState(allowance=60_500, samples=7)) == "<MediumState allowance=60.5s from 7 beats>"
