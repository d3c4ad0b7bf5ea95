from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from trace_values import SECOND, beating, look, trace_of

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit.errors import InvalidConfigurationError, MissingDependencyError
from heartbeat_kit.lab import Span, Trace, sweep
from heartbeat_kit.lab._sweep import setting_of

DAY = 86_400


def configs(*seconds):
    return [HeartbeatConfig(offline_timeout=s * SECOND) for s in seconds]


@pytest.fixture(scope="module")
def trace():
    """Seven hours of two machines; one of them is held up for six minutes once."""
    beats = [*range(0, 3_600, 30), *range(3_930, 25_200, 30)]
    return Trace.of_timestamps({"web-1": beats, "web-2": range(0, 25_201, 30)}, interval=30 * SECOND)


def test_each_row_says_what_its_setting_would_have_done(trace):
    found = sweep(trace, configs(60, 120, 240))
    assert [row.name for row in found] == ["30 s / 60 s", "30 s / 120 s", "30 s / 240 s"]
    assert [row.quality.mistakes for row in found] == [1, 1, 0]
    assert [row.mistakes_per_week for row in found] == [24, 24, 0]
    assert [row.warnings for row in found] == [1, 1, 1]
    assert found["30 s / 240 s"].quality.mistakes == 0
    assert len(found) == 3


def test_without_deaths_the_detection_time_is_the_deadline(trace):
    (row,) = sweep(trace, configs(120))
    assert not row.measured
    assert row.detection == row.detection_p99 == timedelta(seconds=2 * 120 + 15)


def test_with_deaths_it_is_measured():
    died = beating({"web-1": [(0, 600), (1_800, 3_600)], "web-2": [(0, 3_600)]}, 3_600)
    (row,) = sweep(died, configs(120))
    assert (row.measured, row.detection, row.deadline_ms) == (True, timedelta(seconds=240), 255_000)
    truth = {"web-1": [Span(0, 599_000), Span(1_800_000, 3_600_000)]}
    (row,) = sweep(died, configs(120), truth=truth)
    assert row.detection == timedelta(seconds=211)


def test_settings_may_have_names(trace):
    found = sweep(trace, {"ours": HeartbeatConfig(), "theirs": HeartbeatConfig.critical()})
    assert [row.name for row in found] == ["ours", "theirs"]


@pytest.mark.parametrize("bad", [[], {}, [30], {"x": None}])
def test_what_cannot_be_tried_is_refused(trace, bad):
    with pytest.raises(InvalidConfigurationError):
        sweep(trace, bad)


def test_a_setting_that_was_not_tried_is_a_key_error_that_names_the_others(trace):
    with pytest.raises(KeyError, match="30 s / 120 s"):
        sweep(trace, configs(120))["30 s / 1 s"]


def test_a_setting_is_called_by_its_numbers():
    assert setting_of(HeartbeatConfig(confirm_offline=3, offline_timeout=90.5 * SECOND)) == "30 s / 90.5 s, 3 looks"


def test_a_notebook_shows_a_row_a_setting(trace):
    html = sweep(trace, {"<b>": HeartbeatConfig()})._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert "deadline" in html
    assert html.count("<tr>") == 2


def test_a_data_frame_has_a_row_a_setting(trace):
    pytest.importorskip("pandas")
    frame = sweep(trace, configs(60, 120)).to_pandas()
    assert list(frame.index) == ["30 s / 60 s", "30 s / 120 s"]
    assert list(frame["offline_timeout_s"]) == [60, 120]
    assert list(frame["detection_s"]) == [135, 255]
    assert list(frame["mistakes_per_week"]) == [24, 24]


def test_without_pandas_a_typed_error_says_what_to_install(trace, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"heartbeat-kit\[pandas\]"):
        sweep(trace, configs(60)).to_pandas()


def test_a_trace_without_length_has_no_rate():
    found = sweep(trace_of(look(0)), configs(60))
    assert next(iter(found)).mistakes_per_week is None
    assert "–" in found._repr_html_()


def test_a_sweep_is_the_same_every_time(trace):
    assert sweep(trace, configs(60, 120)) == sweep(trace, configs(60, 120))
