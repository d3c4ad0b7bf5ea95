from __future__ import annotations

from datetime import timedelta

import pytest
from trace_values import SECOND, WALL, beat, beating, look, trace_of

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit._clock import Instant
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab import (
    ArrivalTimeout,
    Crash,
    Medium,
    PlainTimeout,
    Predecessor31,
    Recorder,
    Skew,
    Span,
    Trace,
    compare,
    replay,
    run_detector,
    simulate,
)

HOUR = 3_600_000
TRUTH = {"web-1": [Span(0, 599_000), Span(1_800_000, HOUR)], "web-2": [Span(0, HOUR)]}


@pytest.fixture(scope="module")
def trace():
    return beating({"web-1": [(0, 600), (1_800, 3_600)], "web-2": [(0, 3_601)]}, 3_600)


def test_a_detector_is_asked_at_every_look(trace):
    assert run_detector(ArrivalTimeout(120 * SECOND), trace) == {
        "web-1": [Span(690_000, 1_800_000)],
        "web-2": [],
    }


def test_a_suspicion_may_last_to_the_end():
    trace = beating({"web-1": [(0, 600)]}, 900)
    assert run_detector(ArrivalTimeout(120 * SECOND), trace) == {"web-1": [Span(690_000, 900_000)]}


def test_the_detector_given_stays_as_it_is(trace):
    detector = ArrivalTimeout()
    assert run_detector(detector, trace) == run_detector(detector, trace)
    assert not detector.suspects("web-1", 10**12)


def test_each_detector_lives_by_its_own_clock():
    """The wall clock jumps an hour ahead between two looks: only the timeout on the stamp falls for it."""
    looks = [look(now, beat("web-1", now, now // 30_000 + 1)) for now in range(0, 120_000, 30_000)]
    jumped = looks[:2] + [
        each._replace(started=Instant(at.wall_ms + HOUR, at.mono_ms), finished=Instant(at.wall_ms + HOUR, at.mono_ms))
        for each in looks[2:]
        for at in [each.started]
    ]
    assert run_detector(PlainTimeout(), trace_of(*jumped))["web-1"] == [Span(60_000, 90_000)]
    assert run_detector(ArrivalTimeout(), trace_of(*jumped))["web-1"] == []


def test_the_observers_own_record_and_older_copies_are_passed_over():
    trace = trace_of(
        look(0, beat("web-1", 0, 5), beat("watcher", 0, 1)),
        look(90_000, beat("web-1", -60_000, 4)),
        look(150_000),
    )
    assert run_detector(ArrivalTimeout(120 * SECOND), trace) == {"web-1": [Span(150_000, 150_000)]}


@pytest.mark.parametrize("trace", [trace_of(), trace_of(look(0)), trace_of(look(0, beat("web-1", 0, 1)))])
def test_a_trace_that_says_nothing_suspects_nobody(trace):
    assert not any(run_detector(ArrivalTimeout(), trace).values())


def test_all_are_scored_by_one_truth(trace):
    found = compare(trace, TRUTH, [ArrivalTimeout(), PlainTimeout(), Predecessor31()])
    assert list(found) == [
        "heartbeat_kit 30 s / 120 s",
        "timeout on arrival 120 s",
        "timeout on stamp 120 s",
        "predecessor 3.1 30 s / 120 s",
    ]
    assert [found[name].mistakes for name in found][:3] == [0, 0, 0]
    assert found["predecessor 3.1 30 s / 120 s"].mistakes > 10
    assert [found[name].detection_time for name in found][:2] == [timedelta(seconds=211), timedelta(seconds=91)]
    assert len(found) == 4


def test_machines_of_which_no_truth_is_told_are_left_out(trace):
    found = compare(trace, {"web-2": TRUTH["web-2"]}, [ArrivalTimeout()])
    assert [found[name].machines for name in found] == [1, 1]


def test_the_observer_is_left_out_whatever_the_truth_says(trace):
    """Nobody watched it: its own life would only make the rates look better."""
    found = compare(trace, {**TRUTH, "watcher": TRUTH["web-2"]}, [ArrivalTimeout()])
    assert [found[name].machines for name in found] == [2, 2]
    assert replay(trace, truth={**TRUTH, "watcher": TRUTH["web-2"]}).quality.machines == 2


def test_the_configuration_may_be_another(trace):
    found = compare(trace, TRUTH, {"plain": PlainTimeout()}, HeartbeatConfig(offline_timeout=timedelta(minutes=15)))
    assert list(found) == ["heartbeat_kit 30 s / 900 s", "plain"]
    assert found["heartbeat_kit 30 s / 900 s"].missed == 1


def test_it_is_a_table_in_plain_text_and_in_notebooks(trace):
    found = compare(trace, TRUTH, {"a|b <i>": ArrivalTimeout()})
    head, rule, *rows = str(found).splitlines()
    assert head.startswith("| detector | mistakes | a machine-day | mistake lasts | accuracy | ")
    assert "duplicates" not in head
    assert set(rule) == set("| -")
    assert rows[1].startswith("| a/b <i> | 0 | 0 | – | 100 % | 1 | 1 | 91 s | 91 s | 0 |")
    assert {line.count("|") for line in (head, rule, *rows)} == {head.count("|")}
    assert "<i>" not in found._repr_html_()
    assert repr(found) == "<Comparison of 2 detectors on Trace by watcher: 2 machines, 121 looks, 60 min>"


def test_names_must_tell_detectors_apart(trace):
    with pytest.raises(InvalidConfigurationError, match="by name"):
        compare(trace, TRUTH, [ArrivalTimeout(), ArrivalTimeout()])
    with pytest.raises(KeyError, match="timeout on arrival 120 s"):
        compare(trace, TRUTH, [ArrivalTimeout()])["phi"]


def test_without_a_truth_there_is_nothing_to_compare(trace):
    with pytest.raises(InvalidConfigurationError, match="truth is empty"):
        compare(trace, {}, [ArrivalTimeout()])


def test_stamps_are_the_senders():
    """A sender ten minutes behind is suspected by its stamp from the first look on."""
    looks = [
        look(now, beat("web-1", now - 600_000, now // 30_000 + 1, first_seen=WALL)) for now in range(0, 300_000, 30_000)
    ]
    found = compare(trace_of(*looks), {"web-1": [Span(0, 300_000)]}, [PlainTimeout()])
    assert [found[name].mistakes for name in found] == [0, 1]


def test_a_simulated_observer_is_recorded_replayed_and_compared(tmp_path):
    """A day on a synced folder with one death and one clock ten minutes behind; everything from one recording."""
    recorders = []

    def record(service, name):
        if name == "m1":
            recorders.append(Recorder(service, tmp_path / "m1"))

    faults = [Crash("m3", at=40_000, until=50_000), Skew("m4", -600)]
    run = simulate(4, Medium.cloud(), faults, duration=86_400, seed=1, on_start=record)
    for recorder in recorders:
        recorder.close()
    trace = Trace.load(tmp_path / "m1")
    truth = {name: spans for name, spans in trace.aligned(run.alive).items() if name != "m1"}
    found = replay(trace, run.config, truth=truth)
    # What one look announces of several machines has no order of its own.
    assert sorted(event.id for event in found.transitions) == sorted(event.id for event in run.events["m1"])
    scored = run.quality()
    assert (found.quality.mistakes, found.quality.detections) == (scored.mistakes, scored.detections) == (0, 1)
    assert abs(found.quality.detection_time_ms - scored.detection_time_ms) < 1_000
    figures = compare(trace, truth, [PlainTimeout(), Predecessor31()], run.config)
    assert [figures[name].mistakes > 0 for name in figures] == [False, True, True]
