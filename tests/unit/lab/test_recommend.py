from __future__ import annotations

import math
from datetime import timedelta

import pytest
from trace_values import SECOND, beating, look, trace_of

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab import Trace, recommend, sweep


def held_up(*gaps_s, until=25_200):
    """One machine that is heard every 30 s but for these gaps, an hour apart; another that never misses a beat."""
    beats, now = [], 0
    for gap in gaps_s:
        beats += range(now, now + 3_600, 30)
        now += 3_570 + gap
    beats += range(now, until + 1, 30)
    return Trace.of_timestamps({"web-1": beats, "web-2": range(0, until + 1, 30)}, interval=30 * SECOND)


def test_the_fastest_setting_with_a_margin_is_taken():
    """Held up for 330 s: offline after 360 s (2 x 180 s) is just right, one step more is the margin."""
    found = recommend(held_up(330), max_false_per_week=0)
    assert found.meets
    assert found.config.offline_timeout == 240 * SECOND
    assert [row.quality.mistakes for row in found.sweep][:7] == [1, 1, 1, 1, 1, 0, 0]
    for part in (
        "machines wrongly called offline at most 0 times a week",
        "841 looks at 2 machines over 7 h: 14 settings from 30 s / 60 s to 30 s / 1200 s",
        "5 of them would have been wrong too often; 30 s / 60 s most, with 1 mistake (24 a week)",
        "30 s / 240 s would have made 0 mistakes (0 a week)",
        "8 min 15 s after its last beat",
        "30 s / 180 s would have met the limit too",
        "leaves up to 72 a week possible (95 %)",
    ):
        assert part in found.reason


def test_what_may_go_wrong_sometimes_may_be_fast():
    """One mistake of two is allowed: 25 a week."""
    trace = held_up(330, 150)
    assert recommend(trace, max_false_per_week=24).config.offline_timeout == 90 * SECOND
    assert recommend(trace, max_false_per_week=48).config.offline_timeout == 75 * SECOND


def test_a_trace_without_trouble_is_no_reason_for_the_hair_trigger():
    found = recommend(held_up())
    assert found.config.offline_timeout == 75 * SECOND
    assert found.meets


def test_when_nothing_fast_enough_has_a_margin_the_slowest_that_meets_is_taken():
    found = recommend(held_up(330), max_false_per_week=0, max_detection=timedelta(seconds=400))
    assert (found.meets, found.config.offline_timeout) == (True, 180 * SECOND)
    assert "nothing that is fast enough leaves a margin, 30 s / 150 s would have been wrong too often" in found.reason
    assert "8 would have called a death too late" in found.reason


def test_the_fastest_of_all_is_taken_only_where_nothing_slower_will_do():
    found = recommend(held_up(), max_detection=timedelta(seconds=150))
    assert (found.meets, found.config.offline_timeout) == (True, 60 * SECOND)
    assert "no shorter one was tried" in found.reason


def test_when_no_setting_meets_both_it_says_so_and_gives_the_nearest():
    found = recommend(held_up(900), max_false_per_week=0, max_detection=timedelta(minutes=5))
    assert not found.meets
    assert "No setting meets both. The nearest: " in found.reason
    assert "does not meet" in repr(found)
    assert "The fastest that is right often enough is 30 s / 480 s, after 16 min 15 s." in found.reason
    assert "Of those that are fast enough, 30 s / 60 s is wrong least often, 24 a week." in found.reason
    nothing = recommend(held_up(3_000), max_false_per_week=0)
    assert not nothing.meets
    assert "No setting meets that. The nearest: " in nothing.reason


def test_the_nearest_is_near_on_both_scales():
    """12 % late is nearer than five mistakes a week too many, 15 times late is not nearer than one."""
    barely = recommend(held_up(330), max_false_per_week=0, max_detection=timedelta(seconds=340))
    assert barely.config.offline_timeout == 180 * SECOND
    hopeless = recommend(held_up(3_000), max_false_per_week=20, max_detection=timedelta(seconds=140))
    assert hopeless.config.offline_timeout == 60 * SECOND


def test_longer_beats_are_tried_on_a_thinned_trace():
    found = recommend(held_up(330), max_false_per_week=0, intervals=[30 * SECOND, 60 * SECOND])
    assert len(found.sweep) == 28
    assert found.sweep["60 s / 120 s"].config.heartbeat_interval == 60 * SECOND
    assert found.config.heartbeat_interval == 30 * SECOND
    only = recommend(held_up(330), max_false_per_week=0, intervals=[60 * SECOND])
    assert only.config.heartbeat_interval == 60 * SECOND
    assert only.config.offline_timeout == 240 * SECOND


def test_a_second_wish_is_chosen_from_what_was_tried(monkeypatch):
    trace = held_up(330)
    first = recommend(trace, max_false_per_week=0)
    monkeypatch.setattr("heartbeat_kit.lab._recommend.replay", None)  # nothing is replayed again
    second = recommend(trace, max_false_per_week=48, tried=first.sweep)
    assert (second.config.offline_timeout, second.sweep) == (75 * SECOND, first.sweep)


def test_settings_of_one_s_own_may_be_what_was_tried():
    """In any order; the margin is the next shorter one that was tried."""
    trace = held_up(330)
    tried = sweep(trace, [HeartbeatConfig(offline_timeout=seconds * SECOND) for seconds in (600, 170, 60, 180)])
    assert recommend(trace, max_false_per_week=0, tried=tried).config.offline_timeout == 180 * SECOND


def test_what_was_tried_elsewhere_says_nothing_here():
    tried = recommend(held_up()).sweep
    with pytest.raises(InvalidConfigurationError, match="tried is <Sweep of 14 settings"):
        recommend(held_up(until=7_200), tried=tried)
    with pytest.raises(InvalidConfigurationError, match="tried is \\["):
        recommend(held_up(), tried=[])
    with pytest.raises(InvalidConfigurationError, match="both intervals and tried"):
        recommend(held_up(), tried=tried, intervals=[30 * SECOND])


def test_deaths_do_not_count_as_mistakes():
    """It is dead for ten minutes of every hour."""
    lives = [(begin, begin + 3_000) for begin in range(0, 25_200, 3_600)]
    found = recommend(beating({"web-1": lives, "web-2": [(0, 25_200)]}, 25_200), max_false_per_week=0)
    assert found.config.offline_timeout == 75 * SECOND
    assert found.sweep["30 s / 75 s"].measured


def test_silences_to_the_end_are_told():
    trace = beating({"web-1": [(0, 600)], "web-2": [(0, 7_200)]}, 7_200)
    assert "to the end of the trace, 1 here, count neither" in recommend(trace).reason


@pytest.mark.parametrize("trace", [trace_of(), trace_of(look(0)), trace_of(look(0), look(30_000))])
def test_a_trace_that_says_nothing_recommends_nothing(trace):
    with pytest.raises(InvalidConfigurationError, match="says nothing"):
        recommend(trace)


@pytest.mark.parametrize(
    "limits",
    [
        {"max_false_per_week": -1},
        {"max_false_per_week": math.nan},
        {"max_false_per_week": "1"},
        {"max_false_per_week": True},
        {"max_detection": 300},
        {"max_detection": timedelta(0)},
        {"intervals": []},
        {"intervals": [30]},
        {"intervals": [SECOND]},
    ],
)
def test_limits_that_are_none_are_refused(limits):
    with pytest.raises(InvalidConfigurationError):
        recommend(held_up(), **limits)


def test_a_notebook_shows_the_reason_and_what_was_tried():
    found = recommend(held_up(330))
    assert repr(found) == "<Recommendation 30 s / 240 s>"
    assert found._repr_html_().count("<table") == 2
    assert "Asked:" in found._repr_html_()
