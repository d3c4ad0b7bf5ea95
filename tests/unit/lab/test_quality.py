"""The metrics of Chen, Toueg and Aguilera, each against a case small enough to see."""

import pickle

import pytest

from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab import Quality, Span, assess

DAY = 86_400_000


def one(alive, suspected=(), *, duration=1000, **more):
    """Assess one machine."""
    return assess(
        alive={"m": [Span(*span) for span in alive]},
        suspected={"m": [Span(*span) for span in suspected]},
        duration_ms=duration,
        **more,
    )


def test_nothing_happened():
    found = one([(0, 1000)])
    assert (found.mistakes, found.deaths, found.missed, found.query_accuracy) == (0, 0, 0, 1.0)


def test_figures_without_an_instance_are_none_never_zero():
    found = one([(0, 1000)])
    assert found.mistake_duration is None
    assert found.detection_time is None
    assert found.detection_time_p99 is None


def test_a_machine_that_never_lived_has_neither_rate_nor_accuracy():
    found = one([], [(0, 500)])
    assert (found.machine_days, found.mistakes_per_machine_day, found.query_accuracy) == (0, None, None)
    assert (found.deaths, found.missed, found.mistakes) == (0, 0, 0)


@pytest.mark.parametrize(
    ("alive", "suspected", "mistakes", "lasted"),
    [
        ([(0, 1000)], [(100, 300)], 1, 200),
        ([(0, 1000)], [(100, 1000)], 1, 900),  # held until the end of the run
        ([(0, 500)], [(400, 900)], 1, 100),  # it came true at 500
        ([(0, 500)], [(499, 900)], 1, 1),
        ([(0, 500)], [(500, 900)], 0, None),  # begins with the death: no mistake
        ([(0, 500), (700, 1000)], [(600, 800)], 0, None),  # outlasts the return until it is heard
        ([(0, 500), (700, 1000)], [(700, 800)], 1, 100),  # too late: it is back
        ([(0, 500), (600, 1000)], [(400, 800)], 1, 100),  # the rest belongs to the death it foretold
        ([(100, 1000)], [(0, 200)], 0, None),  # suspected before it ever lived
        ([(0, 1000)], [(100, 200), (300, 600)], 2, 200),
        ([(0, 1000)], [(100, 200), (200, 300)], 1, 200),  # a warning that becomes offline is one suspicion
    ],
)
def test_mistakes(alive, suspected, mistakes, lasted):
    found = one(alive, suspected)
    assert (found.mistakes, found.mistake_duration_ms) == (mistakes, lasted)


@pytest.mark.parametrize(
    ("alive", "suspected", "deaths", "time"),
    [
        ([(0, 500)], [(700, 1000)], 1, 200),
        ([(0, 500)], [(500, 1000)], 1, 0),
        ([(0, 500)], [(300, 1000)], 1, 0),  # suspected already
        ([(0, 500)], [(600, 650), (800, 1000)], 1, 300),  # what was taken back on the way detected nothing
        ([(0, 500), (700, 1000)], [(650, 750)], 1, 150),
        ([(0, 500), (700, 1000)], [(600, 699)], 1, None),  # believed alive again before it was
        ([(0, 500), (700, 1000)], [(700, 800)], 1, None),
        ([(0, 500)], [], 1, None),
        ([(0, 500), (600, 700)], [(550, 1000)], 2, 25),  # 50 for the first death; the second was suspected already
        ([(100, 1000)], [], 0, None),  # not there yet is not dead
        ([(0, 1000)], [(200, 300)], 0, None),
    ],
)
def test_deaths_and_detections(alive, suspected, deaths, time):
    found = one(alive, suspected)
    assert (found.deaths, found.detection_time_ms) == (deaths, time)
    assert found.detections == (0 if time is None else deaths)
    assert found.missed == deaths - found.detections


@pytest.mark.parametrize(("limit", "missed"), [(0, 1), (199, 1), (200, 0), (500, 0)])
def test_a_short_death_is_not_missed(limit, missed):
    assert one([(0, 500), (700, 1000)], detectable_after_ms=limit).missed == missed


def test_the_p99_is_the_nearest_rank():
    alive = {f"m{i}": [Span(0, 1000)] for i in range(1, 151)}
    suspected = {f"m{i}": [Span(1000 + i, 5000)] for i in range(1, 151)}
    found = assess(alive=alive, suspected=suspected, duration_ms=5000)
    assert (found.detection_time_p99_ms, found.detection_time_ms) == (149, 76)


def test_the_rate_is_per_day_of_life():
    found = one([(0, DAY // 2)], [(10, 20), (30, 40), (DAY // 2, DAY)], duration=DAY)
    assert found.machine_days == 0.5
    assert found.mistakes_per_machine_day == 4


@pytest.mark.parametrize(
    ("alive", "suspected", "accuracy"),
    [
        ([(0, 1000)], [(0, 250)], 0.75),
        ([(0, 500)], [(500, 1000)], 1.0),  # right about the dead costs nothing
        ([(0, 400), (600, 1000)], [(500, 800)], 0.75),  # the lag after the return does
        ([(0, 1000)], [(0, 1000)], 0.0),
    ],
)
def test_query_accuracy_is_the_share_of_unsuspected_life(alive, suspected, accuracy):
    assert one(alive, suspected).query_accuracy == pytest.approx(accuracy)


def test_what_lies_outside_the_run_is_cut_off():
    found = one([(-500, 1500)], [(900, 2000)])
    assert found.machine_days == 1000 / DAY
    assert (found.mistakes, found.mistake_duration_ms, found.deaths) == (1, 100, 0)


def test_spans_may_come_in_any_order_and_overlap():
    mixed = one([(600, 1000), (0, 300), (200, 650)], [(700, 800), (650, 720)])
    assert mixed == one([(0, 1000)], [(650, 800)])


def test_machines_are_added_up():
    found = assess(
        alive={"a": [Span(0, 1000)], "b": [Span(0, 200)]},
        suspected={"a": [Span(100, 200)], "b": [Span(300, 1000)]},
        duration_ms=1000,
        duplicates=3,
    )
    assert (found.machines, found.mistakes, found.deaths, found.detections, found.duplicates) == (2, 1, 1, 1, 3)
    assert found.query_accuracy == pytest.approx(1 - 100 / 1200)


def test_nothing_counts_after_the_observers_end():
    alive, suspected = {"a": [Span(0, 600)]}, {"a": [Span(550, 1000)]}
    found = assess(alive=alive, suspected=suspected, duration_ms=1000, watched={"a": [Span(0, 100), Span(200, 500)]})
    assert (found.mistakes, found.deaths, found.machine_days * DAY) == (0, 0, pytest.approx(500))


def test_a_machine_nobody_watched_gives_no_figures():
    found = assess(alive={"a": [Span(0, 600)]}, suspected={}, duration_ms=1000, watched={"a": []})
    assert (found.machine_days, found.deaths, found.missed) == (0, 0, 0)


@pytest.mark.parametrize(
    ("watched", "missed"),
    [
        ([(0, 1000)], 1),
        ([(0, 600), (800, 1000)], 1),  # the last 200 were enough
        ([(0, 600), (801, 1000)], 0),
        ([(0, 650), (750, 900), (950, 1000)], 0),  # never 150 at a stretch
    ],
)
def test_a_death_nobody_had_the_time_to_see_is_not_missed(watched, missed):
    found = one([(0, 500)], watched={"m": [Span(*span) for span in watched]}, detectable_after_ms=199)
    assert (found.deaths, found.missed) == (1, missed)


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"alive": {}, "suspected": {"ghost": []}, "duration_ms": 1}, "ghost"),
        ({"alive": {"m": [Span(5, 4)]}, "suspected": {}, "duration_ms": 9}, "ends at 4 ms"),
        ({"alive": {}, "suspected": {}, "duration_ms": 0}, "duration_ms"),
    ],
)
def test_what_cannot_be_is_refused_by_name(arguments, names):
    with pytest.raises(InvalidConfigurationError, match=names):
        assess(**arguments)


def test_quality_for_people_and_tables():
    found = one([(0, 500)], [(100, 110), (700, 1000)])
    assert repr(found) == (
        "<Quality 1 machine, 5.79e-06 machine-days: 1 mistake (1.73e+05 a machine-day), accuracy 98 %, "
        "1 of 1 deaths detected in 0.2 s (p99 0.2 s), 0 missed, 0 duplicates>"
    )
    assert found._repr_html_().startswith("<table")
    assert "accuracy" in found._repr_html_()
    row = found.to_row()
    assert (row["detection_time_s"], row["mistake_duration_s"], row["duration_s"]) == (0.2, 0.01, 1.0)
    assert found.detection_time.total_seconds() == found.detection_time_p99.total_seconds() == 0.2
    assert found.duration.total_seconds() == 1
    assert one([(0, 9)]).to_row()["detection_time_s"] is None
    assert pickle.loads(pickle.dumps(found)) == found
    assert isinstance(found, Quality)
    assert hash(found) == hash(one([(0, 500)], [(100, 110), (700, 1000)]))
