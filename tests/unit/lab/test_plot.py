from __future__ import annotations

import sys
from datetime import timedelta

import pytest
from trace_values import beating, look, trace_of

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit.errors import MissingDependencyError
from heartbeat_kit.lab import sweep

CONFIGS = [HeartbeatConfig(offline_timeout=timedelta(seconds=seconds)) for seconds in (60, 120)]


@pytest.fixture
def figures():
    matplotlib = pytest.importorskip("matplotlib")
    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    yield plt
    plt.close("all")


def test_every_setting_is_a_labelled_point(figures):
    ax = sweep(beating({"web-1": [(0, 3_600)]}, 3_600), CONFIGS).plot()
    assert [text.get_text() for text in ax.texts] == ["30 s / 60 s", "30 s / 120 s"]
    assert ax.collections[0].get_offsets().tolist() == [[2.25, 0], [4.25, 0]]
    assert "mistakes a week" in ax.get_ylabel()
    assert "deadline" in ax.get_xlabel()


def test_measured_detection_times_are_called_so(figures):
    died = beating({"web-1": [(0, 600), (1_800, 3_600)], "web-2": [(0, 3_600)]}, 3_600)
    assert "measured mean" in sweep(died, CONFIGS).plot().get_xlabel()


def test_it_draws_where_it_is_told_and_may_be_saved(figures, tmp_path):
    figure, ax = figures.subplots()
    assert sweep(beating({"web-1": [(0, 600)]}, 600), CONFIGS).plot(ax) is ax
    figure.savefig(tmp_path / "sweep.png")
    assert (tmp_path / "sweep.png").stat().st_size > 0


def test_a_trace_without_length_draws_no_points(figures):
    assert not sweep(trace_of(look(0)), CONFIGS).plot().texts


def test_without_matplotlib_a_typed_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    with pytest.raises(MissingDependencyError, match=r"heartbeat-kit\[plot\]"):
        sweep(beating({"web-1": [(0, 600)]}, 600), CONFIGS).plot()
