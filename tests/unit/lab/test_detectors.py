from __future__ import annotations

import math
from datetime import timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_values import SECOND

from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab import ArrivalTimeout, ChenFreshness, PhiAccrual, PlainTimeout, Predecessor30, Predecessor31

ALL = [ArrivalTimeout, ChenFreshness, PhiAccrual, PlainTimeout, Predecessor30, Predecessor31]
FAR = 10**12
"""10^9 seconds in milliseconds."""


def fed(detector, seconds, *, skew=0, machine="web-1"):
    for second in seconds:
        detector.heard(machine, (second + skew) * 1000, second * 1000)
    return detector


def first_suspicion(detector, *, machine="web-1", start=0, until=100_000):
    """The first second of suspicion after `start`; all detectors but phi are exact to it."""
    return next((second for second in range(start, until) if detector.suspects(machine, second * 1000)), None)


@pytest.mark.parametrize("kind", ALL)
def test_a_machine_never_heard_is_not_suspected(kind):
    assert not kind().suspects("web-1", FAR)


@pytest.mark.parametrize("kind", ALL)
def test_a_dead_machine_is_suspected_and_its_neighbour_is_not(kind):
    detector = kind()
    fed(detector, range(0, 601, 30))
    fed(detector, range(0, 3_601, 30), machine="web-2")
    assert detector.suspects("web-1", 3_600_000)
    assert not detector.suspects("web-2", 3_600_000)


@pytest.mark.parametrize("kind", ALL)
@settings(deadline=None)
@given(
    beats=st.lists(st.tuples(st.integers(-(2**63), 2**63), st.integers(-(2**63), 2**63)), max_size=12),
    now=st.integers(-(10**400), 10**400),
)
def test_no_beats_and_no_time_make_it_raise(kind, beats, now):
    detector = kind()
    for stamp, seen in beats:
        detector.heard("web-1", stamp, seen)
    assert detector.suspects("web-1", now) in {True, False}


@pytest.mark.parametrize("kind", ALL)
@settings(deadline=None)
@given(gaps=st.lists(st.integers(1, 600), max_size=30))
def test_suspicion_only_grows_while_nothing_is_heard(kind, gaps):
    seconds = [0]
    for gap in gaps:
        seconds.append(seconds[-1] + gap)
    detector = fed(kind(), seconds)
    answers = [detector.suspects("web-1", (seconds[-1] + later) * 1000) for later in range(0, 4_000, 37)]
    assert answers == sorted(answers)


@pytest.mark.parametrize("kind", ALL)
def test_two_of_a_kind_say_the_same(kind):
    seconds = [0, 31, 59, 95, 118, 151, 300, 330]
    one, two = fed(kind(), seconds), fed(kind(), seconds)
    assert [one.suspects("web-1", ms) for ms in range(0, 900_000, 500)] == [
        two.suspects("web-1", ms) for ms in range(0, 900_000, 500)
    ]


# --- timeouts


def test_a_plain_timeout_believes_the_senders_clock():
    """A clock ten minutes behind is suspected while it beats, one ahead is missed when it dies."""
    assert fed(PlainTimeout(120 * SECOND), [0, 30], skew=-600).suspects("web-1", 30_000)
    assert first_suspicion(fed(PlainTimeout(120 * SECOND), [0, 30], skew=600)) == 750
    assert first_suspicion(fed(PlainTimeout(120 * SECOND), [0, 30])) == 150


@pytest.mark.parametrize("skew", [-600, 0, 600])
def test_a_timeout_on_arrival_does_not(skew):
    assert first_suspicion(fed(ArrivalTimeout(120 * SECOND), [0, 30], skew=skew)) == 150


# --- the predecessor


def test_release_30_warned_from_three_missed_beats_and_was_offline_beyond_the_timeout():
    detector = fed(Predecessor30(), [0])
    assert [second for second in range(200) if detector.warns("web-1", second * 1000)] == list(range(90, 121))
    assert first_suspicion(detector) == 121
    assert not detector.warns("nobody", FAR)


def test_release_31_called_a_healthy_machine_offline_for_more_than_half_of_its_time():
    """A beat every 30 s, written every five minutes: from 120 s after each write the machine was offline."""
    detector, offline = Predecessor31(), []
    for second in range(0, 3_000, 30):
        fed(detector, [second])
        offline.append(detector.suspects("web-1", second * 1000))
    assert sum(offline) == 50  # at 150, 180, 210, 240 and 270 s of each 300 s
    assert [place * 30 for place in range(10) if offline[place]] == [150, 180, 210, 240, 270]


def test_release_31_wrote_at_once_when_the_senders_clock_was_set_back():
    detector = fed(Predecessor31(), [0, 30])
    detector.heard("web-1", -3_600_000, 60_000)
    assert detector.suspects("web-1", 60_000)


# --- Chen


def test_chen_expects_the_next_beat_one_interval_after_the_average():
    """Arrivals 0 s, 4 s and 2 s late: 2 s on the average, so the freshness point is 2 + 90 + 60 s."""
    detector = ChenFreshness(60 * SECOND, interval=30 * SECOND)
    for number, late in enumerate([0, 4, 2]):
        detector.heard("web-1", number * 30_000, number * 30_000 + late * 1000)
    assert first_suspicion(detector) == 152


def test_chen_forgets_what_left_the_window():
    detector = ChenFreshness(60 * SECOND, 2, interval=30 * SECOND)
    for number, late in enumerate([1_000, 4, 2]):
        detector.heard("web-1", number * 30_000, number * 30_000 + late * 1000)
    assert first_suspicion(detector) == 153


def test_chen_counts_beats_that_nobody_saw():
    """Two beats lost on the way do not make the sender look a minute slower."""
    detector = ChenFreshness(60 * SECOND, interval=30 * SECOND)
    for second in [0, 30, 120]:
        detector.heard("web-1", second * 1000, second * 1000)
    assert first_suspicion(detector, start=120) == 210


def test_chen_takes_no_senders_clock_for_time():
    """A clock ten minutes ahead changes nothing, one that was set back counts as one beat."""
    assert first_suspicion(fed(ChenFreshness(60 * SECOND), [0, 30, 60], skew=600)) == 150
    detector = fed(ChenFreshness(60 * SECOND), [0, 30])
    detector.heard("web-1", -(10**9), 60_000)
    assert first_suspicion(detector) == 150


def test_chen_adapts_to_a_medium_that_is_always_late():
    late = ChenFreshness(60 * SECOND)
    for second in range(0, 600, 30):
        late.heard("web-1", second * 1000, (second + 45) * 1000)
    assert first_suspicion(late, start=600) == 570 + 45 + 30 + 60


# --- phi


def test_phi_is_that_of_the_paper():
    """One interval after the last beat half of all arrivals are still to come; two deviations later 2.28 %."""
    detector = PhiAccrual(min_std=10 * SECOND)
    fed(detector, range(0, 301, 30))
    assert detector.phi("web-1", 330_000) == pytest.approx(-math.log10(0.5))
    assert detector.phi("web-1", 350_000) == pytest.approx(-math.log10(0.0227501319))
    assert detector.phi("web-1", 380_000) == pytest.approx(-math.log10(2.866515719e-7))


def test_phi_uses_the_deviation_of_the_window():
    """Gaps of 20 and 40 s in turn deviate by 10 s."""
    seconds = [0]
    for _ in range(50):
        seconds += [seconds[-1] + 20, seconds[-1] + 60]
    detector = fed(PhiAccrual(min_std=timedelta(milliseconds=1)), seconds)
    assert detector.phi("web-1", (seconds[-1] + 50) * 1000) == pytest.approx(-math.log10(0.0227501319))
    calm = fed(PhiAccrual(window=10, min_std=10 * SECOND), [0, 500, *range(530, 900, 30)])
    assert calm.phi("web-1", 940_000) == pytest.approx(-math.log10(0.0227501319))


def test_before_two_arrivals_the_expected_beat_stands_in():
    detector = fed(PhiAccrual(interval=40 * SECOND), [0])
    assert detector.phi("web-1", 60_000) == pytest.approx(-math.log10(0.0227501319))
    assert PhiAccrual().phi("web-1", FAR) == 0


@pytest.mark.parametrize("late_ms", [10**6, FAR, 10**18, 10**400])
def test_phi_is_infinite_and_never_an_error_however_late(late_ms):
    detector = fed(PhiAccrual(), range(0, 301, 30))
    assert detector.phi("web-1", 300_000 + late_ms) == math.inf
    assert detector.suspects("web-1", 300_000 + late_ms)


def test_phi_before_the_last_beat_is_nothing():
    assert fed(PhiAccrual(), range(0, 301, 30)).phi("web-1", -FAR) == pytest.approx(0)
    assert not fed(PhiAccrual(), range(0, 301, 30)).suspects("web-1", -(10**400))


# --- settings


@pytest.mark.parametrize(
    "make",
    [
        lambda: PlainTimeout(120),
        lambda: PlainTimeout(timedelta(0)),
        lambda: ArrivalTimeout(None),
        lambda: Predecessor30(interval=30),
        lambda: Predecessor31(written_every=timedelta(0)),
        lambda: ChenFreshness(-SECOND),
        lambda: ChenFreshness(SECOND, 0),
        lambda: ChenFreshness(SECOND, True),
        lambda: ChenFreshness(SECOND, interval=None),
        lambda: PhiAccrual(0),
        lambda: PhiAccrual(math.nan),
        lambda: PhiAccrual(math.inf),
        lambda: PhiAccrual(True),
        lambda: PhiAccrual("8"),
        lambda: PhiAccrual(window=1.5),
        lambda: PhiAccrual(min_std=timedelta(0)),
    ],
)
def test_settings_that_cannot_be_are_refused(make):
    with pytest.raises(InvalidConfigurationError, match="expected"):
        make()


def test_each_is_called_by_its_settings():
    assert [repr(kind()) for kind in ALL] == [
        "timeout on arrival 120 s",
        "Chen NFD-E alpha 60 s, 100 beats",
        "phi accrual 8, 1000 beats",
        "timeout on stamp 120 s",
        "predecessor 3.0 30 s / 120 s",
        "predecessor 3.1 30 s / 120 s",
    ]
