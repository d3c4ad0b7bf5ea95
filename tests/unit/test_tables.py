"""Tables for notebooks, terminals and pandas."""

import io
import sys

import pytest
from core_values import START, beat, fleet, machine

from heartbeat_kit import MachineStatus
from heartbeat_kit._tables import MACHINE_COLUMNS, html_table, machine_rows, rich_table
from heartbeat_kit._times import MAX_MS, MIN_MS
from heartbeat_kit.errors import MissingDependencyError


def test_one_row_a_machine():
    columns, rows = machine_rows(
        [
            machine("a", since=START, identity_conflict="x", stale=True),
            machine("b", MachineStatus.UNKNOWN, heartbeat=None, reason="never_seen"),
        ]
    )
    assert columns == MACHINE_COLUMNS
    assert rows == [
        (
            "a",
            "online",
            "65 s",
            "2026-01-01T00:00:00.000Z",
            "2026-01-01T00:00:00.000Z",
            "beating, stale, identity conflict",
        ),
        ("b", "unknown", "", "never", "", "never_seen"),
    ]


@pytest.mark.parametrize(
    ("age", "text"),
    [
        (119_400, "119 s"),
        (120_000, "2 min"),
        (-600_000, "-10 min"),
        (7_199_000, "120 min"),
        (7_200_000, "2.0 h"),
        (-7_200_000, "-2.0 h"),
    ],
)
def test_silences_are_rounded_for_people(age, text):
    assert machine_rows([machine(age=age)])[1][0][2] == text


def test_a_dot_only_in_the_status_column():
    html = html_table(("machine", "status"), [("online", "online"), ("x", "strange")])
    assert html.count("&#9679;") == 1
    assert "<caption" not in html
    assert "<caption" in html_table(("a",), [], caption="<b>")
    assert "<b>" not in html_table(("a<b>",), [], caption="<b>")


def test_rich_reads_no_markup_in_what_we_show():
    """A path in a reason may look like markup; rich would raise on a closing tag that was never opened."""
    console = pytest.importorskip("rich.console").Console(file=io.StringIO(), width=100)
    console.print(rich_table(("machine", "status"), [("[/a]", "offline")], caption="dir [/b] :smile: gone"))
    shown = console.file.getvalue()
    assert "[/a]" in shown
    assert "dir [/b] :smile: gone" in shown
    assert rich_table(("a",), []).title is None


def test_a_column_without_any_time_is_one_of_times():
    pytest.importorskip("pandas")
    frame = fleet(machine("a")).to_pandas()
    assert (frame["offline_since"] - frame["last_heartbeat"]).isna().all()


def test_a_data_frame_has_a_row_a_machine():
    pandas = pytest.importorskip("pandas")
    frame = fleet(
        machine("a", since=START, heartbeat=beat("a", metadata={"role": "web"})),
        machine("b", MachineStatus.UNKNOWN, heartbeat=None, reason="never_seen"),
    ).to_pandas()
    assert list(frame.index) == ["a", "b"]
    assert frame.loc["a", "last_heartbeat"] == pandas.Timestamp("2026-01-01", tz="UTC")
    assert frame.loc["a", "age"] == pandas.Timedelta(seconds=65)
    assert frame.loc["a", "missed_heartbeats"] == 2
    assert frame.loc["a", "metadata"] == {"role": "web"}
    assert pandas.isna(frame.loc["b", "last_heartbeat"])
    assert frame.loc["b", "status"] == "unknown"


def test_an_empty_fleet_is_an_empty_frame_with_columns():
    pytest.importorskip("pandas")
    frame = fleet().to_pandas()
    assert len(frame) == 0
    assert {"status", "since", "metadata"} <= set(frame.columns)
    assert frame.index.name == "machine_id"


@pytest.mark.parametrize("stamp", [MIN_MS, MAX_MS])
def test_a_peer_with_an_absurd_clock_does_not_break_the_frame(stamp):
    pytest.importorskip("pandas")
    odd = machine("b", heartbeat=beat("b", at=stamp), age=START - stamp)
    frame = fleet(machine("a"), odd).to_pandas()
    assert frame.loc["b", "last_heartbeat"].year in (1, 9999)


def test_without_pandas_the_command_to_install_it_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(MissingDependencyError, match=r"pip install 'heartbeat-kit\[pandas\]'"):
        fleet(machine()).to_pandas()
