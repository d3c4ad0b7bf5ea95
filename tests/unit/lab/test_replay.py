from __future__ import annotations

import logging
import threading
from datetime import timedelta

import pytest
from trace_values import SECOND, beat, beating, look, trace_of

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab import Outcome, Span, replay
from heartbeat_kit.lab._replay import _silent_log

HOUR = 3_600


def test_a_machine_that_comes_back_in_the_same_life_was_alive_all_along():
    """Ten minutes without a beat, then the same incarnation goes on: the suspicion was a mistake."""
    whole = beating({"web-1": [(0, HOUR)], "web-2": [(0, HOUR)]}, HOUR)
    silent = range(610_000, 1_210_000)
    looks = [each._replace(records=each.records[1:]) if at(whole, each) in silent else each for each in whole.looks]
    found = replay(trace_of(*looks))
    (suspicion,) = found.suspicions["web-1"]
    assert suspicion == (Span(840_000, 1_230_000), Outcome.MISTAKE, 600_000)
    assert (found.quality.mistakes, found.quality.deaths) == (1, 0)
    assert found.quality.mistake_duration == timedelta(seconds=390)
    assert "web-2" not in found.suspicions
    assert [str(each.after) for each in found.transitions] == ["online", "online", "warning", "offline", "online"]
    assert found.warnings == 1


def at(trace, each):
    return trace.since_start_ms(each.started.mono_ms)


def test_a_machine_that_comes_back_in_a_new_life_had_died():
    found = replay(beating({"web-1": [(0, 600), (1_800, HOUR)], "web-2": [(0, HOUR)]}, HOUR))
    (suspicion,) = found.suspicions["web-1"]
    assert suspicion == (Span(810_000, 1_800_000), Outcome.DEATH, 570_000)
    assert (found.quality.mistakes, found.quality.deaths, found.quality.detections) == (0, 1, 1)
    assert found.quality.detection_time == timedelta(seconds=240)


def test_a_silence_to_the_end_decides_nothing():
    found = replay(beating({"web-1": [(0, 600)], "web-2": [(0, HOUR)]}, HOUR))
    (suspicion,) = found.suspicions["web-1"]
    assert (suspicion.outcome, suspicion.span.end_ms) == (Outcome.UNDECIDED, HOUR * 1000)
    assert (found.quality.mistakes, found.quality.deaths, found.count(Outcome.UNDECIDED)) == (0, 0, 1)


def test_a_goodbye_is_neither_a_death_nor_a_mistake():
    trace = trace_of(
        look(0, beat("web-1", 0, 1), beat("web-2", 0, 1)),
        look(30_000, beat("web-1", 30_000, 2, left_at=beat("x", 30_000, 1).last_heartbeat_ms)),
        look(60_000, beat("web-1", 60_000, 1, incarnation=2)),
        look(90_000),
    )
    found = replay(trace)
    assert [each.outcome for each in found.suspicions["web-1"]] == [Outcome.LEFT]
    assert (found.quality.mistakes, found.quality.deaths) == (0, 0)


def test_a_removed_record_decides_nothing():
    dead = beating({"web-1": [(0, 300)], "web-2": [(0, HOUR)]}, HOUR)
    looks = [each._replace(gone=("web-1",)) if at(dead, each) == 1_800_000 else each for each in dead.looks]
    found = replay(trace_of(*looks))
    assert [each.outcome for each in found.suspicions["web-1"]] == [Outcome.UNDECIDED]
    assert [str(each.reason) for each in found.transitions][-1] == "removed"


def test_the_truth_decides_where_it_is_given():
    """The silence to the end was a death; the machine of which nothing is told is left out."""
    trace = beating({"web-1": [(0, 600)], "web-2": [(0, 600)], "web-3": [(0, HOUR)]}, HOUR)
    truth = {"web-1": [Span(0, 580_000)], "web-3": [Span(0, HOUR * 1000)]}
    quality = replay(trace, truth=truth).quality
    assert (quality.machines, quality.deaths, quality.detections, quality.mistakes) == (2, 1, 1, 0)
    assert quality.detection_time == timedelta(seconds=230)
    assert replay(trace, truth={"web-1": [Span(0, HOUR * 1000)]}).quality.mistakes == 1


def test_another_timeout_would_have_told_another_story():
    trace = beating({"web-1": [(0, 600), (780, HOUR)], "web-2": [(0, HOUR)]}, HOUR)
    fast = replay(trace, HeartbeatConfig(offline_timeout=60 * SECOND))
    slow = replay(trace, HeartbeatConfig(offline_timeout=240 * SECOND))
    assert (fast.quality.detections, slow.quality.detections) == (1, 0)
    assert (fast.deadline, slow.deadline) == (timedelta(seconds=135), timedelta(seconds=495))


def test_the_deadline_counts_the_medium_the_slowest_machine_and_the_looks_that_must_agree():
    looks = [look(now * 1000, beat("web-1", now * 1000, now // 60 + 1, interval=60_000)) for now in range(0, 600, 60)]
    trace = trace_of(*looks, coherent=False, propagation_delay=20_000)
    found = replay(trace, HeartbeatConfig(confirm_offline=3))
    assert found.deadline_ms == 2 * 240_000 + 20_000 + 30_000 + 2 * 60_000


def test_without_a_configuration_the_recorded_one_is_tried():
    trace = beating({"web-1": [(0, 600), (900, HOUR)]}, HOUR, offline_timeout=60_000)
    assert replay(trace).config == trace.config
    assert replay(trace) == replay(trace, HeartbeatConfig(offline_timeout=60 * SECOND, check_interval=30 * SECOND))


def test_a_stalled_look_judges_nothing_worse_in_a_replay_either():
    """The same gap, once as a stall that was noticed, once as looks far apart on demand."""
    begin, gap = [beat("web-1", 0, 1), beat("web-2", 0, 1)], 500_000
    late = [look(0, *begin), look(gap, late_ms=gap - 30_000), look(gap + 1_000, beat("web-1", gap, 2))]
    punctual = [look(0, *begin), look(gap), look(gap + 1_000, beat("web-1", gap, 2))]
    blind = [look(0, *begin), look(gap, blind=30_000), look(gap + 1_000, beat("web-1", gap, 2))]
    assert replay(trace_of(*late)).suspicions == {}
    assert replay(trace_of(*blind)).suspicions == {}
    assert [each.outcome for each in replay(trace_of(*punctual, shared_clock=True)).suspicions["web-1"]] == [
        Outcome.MISTAKE
    ]


def test_a_slow_load_dates_the_rise_by_its_end():
    trace = trace_of(look(0, beat("web-1", 0, 1), took_ms=20_000), look(30_000, beat("web-1", 1, 2), took_ms=25_000))
    returned = replay(trace).transitions[-1]
    assert returned.detected_at_ms == trace.looks[1].started.wall_ms
    assert returned.occurred_at_ms == trace.looks[1].finished.wall_ms


def test_fleet_events_are_told_apart():
    lives = {f"web-{number}": [(0, 600), (2_400, HOUR)] for number in range(1, 6)}
    found = replay(beating({**lives, "web-9": [(0, HOUR)]}, HOUR))
    (cascade,) = found.fleet_events
    assert cascade.machine_ids == tuple(sorted(lives))
    assert len(found.transitions) == 6 + 5 * 3


@pytest.mark.parametrize(
    "trace", [trace_of(), trace_of(look(0)), trace_of(look(0, beat("web-1", 0, 1)))], ids=["empty", "blank", "one beat"]
)
def test_a_trace_that_says_nothing_is_no_trouble(trace):
    found = replay(trace)
    assert (found.quality.mistakes, found.quality.mistakes_per_machine_day, found.suspicions) == (0, None, {})
    assert found.deadline_ms >= 240_000


def test_a_replay_is_the_same_every_time():
    trace = beating({"web-1": [(0, 600), (1_800, HOUR)], "web-2": [(30, HOUR)]}, HOUR)
    assert replay(trace) == replay(trace)


def test_what_a_replayed_observer_would_log_is_not_logged(caplog):
    caplog.set_level(logging.DEBUG)
    replay(trace_of(look(0, beat("web-1", 0, 1)), look(500_000, late_ms=400_000)))
    assert caplog.records == []
    assert logging.getLogger("heartbeat_kit").filters == []


def test_the_log_of_other_threads_is_heard_during_a_replay(caplog):
    logger = logging.getLogger("heartbeat_kit")
    with _silent_log():
        logger.warning("from the replay")
        thread = threading.Thread(target=logger.warning, args=("from elsewhere",))
        thread.start()
        thread.join()
    logger.warning("afterwards")
    assert [record.getMessage() for record in caplog.records] == ["from elsewhere", "afterwards"]


def test_what_is_no_configuration_is_refused():
    with pytest.raises(InvalidConfigurationError, match="HeartbeatConfig"):
        replay(trace_of(), 30)


def test_a_replay_shows_its_figures_in_notebooks():
    found = replay(beating({"web-1": [(0, 600), (1_800, HOUR)], "web-2": [(0, HOUR)]}, HOUR))
    assert repr(found) == "<Replay 5 transitions, 0 mistakes, 1 of 1 deaths detected, 0 undecided>"
    html = found._repr_html_()
    assert all(part in html for part in ("Called offline", ">13 min 30 s<", ">web-1<", ">16 min 30 s<", ">death<"))
    quiet = replay(beating({"web-1": [(0, 600)]}, 600))
    assert "Called offline" not in quiet._repr_html_()
