from __future__ import annotations

import contextlib
import json
import math
import pickle
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from trace_values import SECOND, WALL, beat, beating, facts, look, trace_of

from heartbeat_kit._clock import Instant
from heartbeat_kit.errors import (
    DamagedTraceError,
    HeartbeatKitError,
    InvalidConfigurationError,
    StorageUnavailableError,
)
from heartbeat_kit.lab import Span, Trace, TraceLook

HEADER = (
    '{"format":"heartbeat-kit trace","schemaVersion":1,"observer":"watcher","sharedClock":false,"coherent":true,'
    '"propagationDelay":0,"heartbeatInterval":30000,"offlineTimeout":120000,"checkInterval":30000,'
    '"silenceHold":900000,"confirmOffline":1,"confirmOnline":1,"cascadeThreshold":3,"cascadeWindow":300000,"expected":[]}'
)
FIRST = '{"t":7000,"w":1767225593000,"r":{"web-1":[0,1,1,30000,1767225600000,null]}}'


def write(path, *lines, end="\n"):
    path.write_bytes(("\n".join(lines) + end).encode("utf-8", "surrogatepass"))
    return path


def test_a_trace_survives_its_file(tmp_path):
    trace = trace_of(
        look(0, beat("web-1", -5, 1), beat("web-2", 4_000, 9, incarnation=7, interval=60_000), took_ms=3),
        look(30_000),
        look(61_000, beat("web-1", 59_000, 2), late_ms=31_000, blind=30_000, unreadable=(("web-3", "cut\nin half"),)),
        look(90_000, gone=("web-1",), unreadable=(("web-3", None),), server_ms=WALL + 89_000),
        look(120_000, beat("web-1", 119_000, 1, incarnation=2), beat("web-2", 9, 9, left_at=WALL + 110_000)),
    )
    trace.save(tmp_path / "t.jsonl")
    assert Trace.load(tmp_path / "t.jsonl") == trace


def test_a_quiet_look_is_a_very_short_line(tmp_path):
    trace_of(look(0), look(30_000)).save(tmp_path / "t")
    assert (tmp_path / "t").read_text().splitlines()[2] == '{"t":30000}'


def test_a_beat_in_the_same_life_says_only_its_age_and_number(tmp_path):
    trace_of(look(0, beat("web-1", 0, 1)), look(30_000, beat("web-1", 29_500, 2))).save(tmp_path / "t")
    assert (tmp_path / "t").read_text().splitlines()[1:] == [FIRST, '{"t":30000,"r":{"web-1":[500,2]}}']


def test_the_format_of_the_first_release_is_read(tmp_path):
    trace = Trace.load(write(tmp_path / "t", HEADER, FIRST, '{"t":30000,"r":{"web-1":[500,2]}}'))
    assert trace == trace_of(look(0, beat("web-1", 0, 1)), look(30_000, beat("web-1", 29_500, 2)))


instants = st.builds(Instant, st.integers(0, 10**13), st.integers(0, 10**12))


@st.composite
def traces(draw):
    looks, mono, held, unreadable = [], draw(st.integers(-(10**9), 10**9)), set(), {}
    for _ in range(draw(st.integers(0, 8))):
        mono += draw(st.integers(0, 10**9))
        wall, took = draw(st.integers(0, 10**13)), draw(st.integers(0, 10**6))
        gone = draw(st.lists(st.sampled_from(sorted(held)), unique=True)) if held else []
        records = draw(
            st.lists(
                st.builds(
                    beat,
                    st.sampled_from(["web-1", "web-2", "a.b"]),
                    st.integers(-(10**12), 10**12),
                    st.integers(0, 2**63 - 1),
                    incarnation=st.integers(0, 2**63 - 1),
                    interval=st.integers(1, 10**10),
                    first_seen=st.integers(0, 10**13),
                    left_at=st.none() | st.integers(0, 10**13),
                ),
                unique_by=lambda each: each.machine_id,
            )
        )
        news = draw(st.dictionaries(st.sampled_from(["web-1", "?", "Ünreadable"]), st.text(), max_size=2))
        over = draw(st.lists(st.sampled_from(sorted(unreadable)), unique=True)) if unreadable else []
        news = {**news, **dict.fromkeys(over)}
        held = (held - set(gone)) | {each.machine_id for each in records}
        unreadable = {name: text for name, text in {**unreadable, **news}.items() if text is not None}
        looks.append(
            TraceLook(
                Instant(wall, mono),
                Instant(draw(st.integers(0, 10**13)), mono + took),
                late_ms=draw(st.integers(0, 10**9)),
                blind=draw(st.none() | st.integers(0, 10**9)),
                server_ms=draw(st.none() | st.integers(0, 10**13)),
                records=tuple(records),
                gone=tuple(gone),
                unreadable=tuple(news.items()),
            )
        )
    return trace_of(*looks, propagation_delay=0, shared_clock=draw(st.booleans()))


@settings(deadline=None)
@given(traces())
def test_any_trace_survives_its_file(tmp_path_factory, trace):
    path = tmp_path_factory.mktemp("traces") / "t"
    trace.save(path)
    assert Trace.load(path) == trace


def test_a_last_line_that_was_cut_is_left_out_and_told(tmp_path):
    """A kill while a line was written, wherever it hit, costs that line and nothing else."""
    whole = trace_of(look(0, beat("web-1", 0, 1)), look(30_000, beat("web-1", 29_000, 2)))
    whole.save(tmp_path / "t")
    data = (tmp_path / "t").read_bytes()
    second = data.rindex(b"\n", 0, len(data) - 1) + 1
    for length in range(second + 1, len(data)):
        (tmp_path / "cut").write_bytes(data[:length])
        found = Trace.load(tmp_path / "cut")
        assert (found.cut, found.looks) == (True, whole.looks[:1])
        assert repr(found).endswith("last line cut>")


def test_a_power_cut_may_leave_nothing_but_zeros_at_the_end(tmp_path):
    path = tmp_path / "t"
    path.write_bytes(f"{HEADER}\n{FIRST}\n".encode() + b"\0" * 100)
    assert Trace.load(path).cut
    assert len(Trace.load(path).looks) == 1


def header(**changes):
    return json.dumps({**json.loads(HEADER), **changes})


@pytest.mark.parametrize(
    "first_line",
    [
        "",
        "[]",
        "null",
        "{}",
        "\ufeff" + HEADER,
        HEADER[:-1],
        '{"t":30000}',
        header(format="other"),
        header(schemaVersion=2),
        header(schemaVersion=0),
        header(schemaVersion=True),
        header(schemaVersion="1"),
        header(observer="../up"),
        header(observer="WATCHER"),
        header(observer=None),
        header(sharedClock=1),
        header(coherent=None),
        header(propagationDelay=-1),
        header(propagationDelay=1000),  # coherent media delay nothing
        header(propagationDelay="0"),
        header(heartbeatInterval=0),
        header(heartbeatInterval=30000.5),
        header(heartbeatInterval=True),
        header(offlineTimeout=1),
        header(offlineTimeout=10**18),
        header(checkInterval=0),
        header(surplus=1),
        json.dumps({key: value for key, value in json.loads(HEADER).items() if key != "coherent"}),
    ],
)
def test_a_header_that_cannot_be_is_a_damaged_first_line(tmp_path, first_line):
    with pytest.raises(DamagedTraceError, match="line 1 ") as caught:
        Trace.load(write(tmp_path / "t", first_line, FIRST))
    assert caught.value.line == 1


def test_a_newer_schema_says_that_a_newer_release_is_needed(tmp_path):
    with pytest.raises(DamagedTraceError, match="newer release"):
        Trace.load(write(tmp_path / "t", header(schemaVersion=2)))


@pytest.mark.parametrize("content", [b"", HEADER.encode()])
def test_a_file_without_a_whole_header_is_damaged(tmp_path, content):
    (tmp_path / "t").write_bytes(content)
    with pytest.raises(DamagedTraceError, match="header"):
        Trace.load(tmp_path / "t")


@pytest.mark.parametrize(
    "line",
    [
        "",
        "\0\0\0",
        "nonsense",
        '{"t":30000',
        "[1]",
        "7",
        "{}",
        '{"t":NaN}',
        '{"t":-1}',
        '{"t":1.5}',
        '{"t":true}',
        '{"t":"30000"}',
        '{"t":null}',
        '{"t":' + "9" * 30 + "}",
        '{"t":' + "9" * 10_000 + "}",
        '{"t":1,"w":9007199254740992}',
        '{"t":1,"d":-1}',
        '{"t":1,"e":"x"}',
        '{"t":1,"l":-1}',
        '{"t":1,"l":9007199254740993}',
        '{"t":1,"b":[]}',
        '{"t":1,"s":null}',
        '{"t":1,"x":1}',
        '{"t":1,"r":[]}',
        '{"t":1,"r":{"web-1":7}}',
        '{"t":1,"r":{"web-1":[]}}',
        '{"t":1,"r":{"web-1":[0]}}',
        '{"t":1,"r":{"web-1":[0,2,3]}}',
        '{"t":1,"r":{"web-1":["0",2]}}',
        '{"t":1,"r":{"web-1":[0,-2]}}',
        '{"t":1,"r":{"web-1":[0,2.0]}}',
        '{"t":1,"r":{"web-1":[-9007199254740992,2]}}',
        '{"t":1,"r":{"web-1":[0,2,1,0,0,null]}}',
        '{"t":1,"r":{"web-1":[0,2,1,30000,"x",null]}}',
        '{"t":1,"r":{"web-1":[0,2,1,30000,0,{}]}}',
        '{"t":1,"r":{"web-1":[0,2,9223372036854775808,30000,0,null]}}',
        '{"t":1,"r":{"stranger":[0,2]}}',
        '{"t":1,"r":{"Web-1":[0,2,1,30000,0,null]}}',
        '{"t":1,"r":{"../up":[0,2,1,30000,0,null]}}',
        '{"t":1,"r":{"\\ud800":[0,2,1,30000,0,null]}}',
        '{"t":1,"g":"web-1"}',
        '{"t":1,"g":[1]}',
        '{"t":1,"g":["stranger"]}',
        '{"t":1,"g":["web-1","web-1"]}',
        '{"t":1,"u":[]}',
        '{"t":1,"u":{"web-1":1}}',
        '{"t":1,"u":{"web-1":null}}',
        "[" * 100_000,
        '{"t":1,"r":' + "[" * 100_000,
    ],
)
def test_a_damaged_line_is_a_typed_error_with_its_number(tmp_path, line):
    with pytest.raises(DamagedTraceError) as caught:
        Trace.load(write(tmp_path / "t", HEADER, FIRST, line, '{"t":1}'))
    assert caught.value.line == 3
    assert caught.value.code == "TRACE_DAMAGED"
    assert "line 3 of the trace" in str(caught.value)
    assert len(str(caught.value)) < 1_000


def test_bytes_that_are_no_text_are_a_damaged_line(tmp_path):
    (tmp_path / "t").write_bytes(f"{HEADER}\n{FIRST}\n".encode() + b'{"t":\xff}\n')
    with pytest.raises(DamagedTraceError, match="line 3 "):
        Trace.load(tmp_path / "t")


@settings(deadline=None)
@given(st.data())
def test_whatever_is_changed_in_a_file_it_loads_or_is_a_typed_error(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("traces") / "t"
    beating({"web-1": [(0, 90), (120, 200)], "web-2": [(30, 200)]}, 200).save(path)
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        place = data.draw(st.integers(0, len(content) - 1))
        change = data.draw(st.sampled_from(["set", "drop", "insert"]))
        if change == "set":
            content[place] = data.draw(st.integers(0, 255))
        elif change == "drop":
            del content[place : place + data.draw(st.integers(1, 40))]
        else:
            content[place:place] = data.draw(st.binary(min_size=1, max_size=8))
        if not content:
            break
    path.write_bytes(content)
    with contextlib.suppress(DamagedTraceError):
        Trace.load(path)


def test_the_error_pickles_with_its_line():
    error = pickle.loads(pickle.dumps(DamagedTraceError("broken", line=7)))
    assert (error.message, error.line, error.code) == ("broken", 7, "TRACE_DAMAGED")
    assert isinstance(error, HeartbeatKitError)


def test_a_file_that_is_not_there_and_one_that_cannot_be_written_are_typed(tmp_path):
    with pytest.raises(StorageUnavailableError, match="cannot be read"):
        Trace.load(tmp_path / "nothing")
    with pytest.raises(StorageUnavailableError, match="cannot be written"):
        trace_of().save(tmp_path / "no-folder" / "t")


def test_what_a_trace_says_of_itself():
    trace = beating({"web-1": [(0, 300)], "web-2": [(60, 300)]}, 300)
    assert trace.machines == ("web-1", "web-2")
    assert trace.duration == timedelta(minutes=5)
    assert repr(trace) == "<Trace by watcher: 2 machines, 11 looks, 5 min>"
    assert trace.started_at == datetime(2026, 1, 1, tzinfo=UTC)
    assert trace.config.offline_timeout == timedelta(seconds=120)


def test_an_empty_trace_says_nothing_and_breaks_nothing():
    trace = trace_of()
    assert (trace.machines, trace.duration_ms, trace.started_at, list(trace.snapshots())) == ((), 0, None, [])
    assert repr(trace) == "<Trace by watcher: 0 machines, 0 looks, 0 s>"
    assert "<table" in trace._repr_html_()


def test_the_table_of_a_notebook_shows_each_machine_and_is_escaped():
    trace = trace_of(
        look(0, beat("web-1", 0, 1)),
        look(30_000, beat("web-1", 30_000, 2), unreadable=(("<b>", "cut"),)),
        look(90_000, beat("web-1", 90_000, 1, incarnation=2)),
    )
    html = trace._repr_html_()
    assert "<b>" not in html
    assert "&lt;b&gt;" in html
    assert ">3<" in html
    assert ">2<" in html
    assert "60 s" in html


def test_snapshots_hold_what_the_storage_held():
    """An unchanged record is the same object again, a quiet look the same snapshot."""
    one, two = beat("web-1", 0, 1), beat("web-2", 0, 1)
    trace = trace_of(
        look(0, one, two),
        look(30_000),
        look(60_000, gone=("web-1",), unreadable=(("web-1", "cut"),)),
        look(90_000, one, unreadable=(("web-1", None),)),
        look(120_000, server_ms=5),
    )
    snapshots = [snapshot for _, snapshot in trace.snapshots()]
    assert snapshots[0] is snapshots[1]
    assert dict(snapshots[2].heartbeats) == {"web-2": two}
    assert dict(snapshots[2].unreadable) == {"web-1": "cut"}
    assert snapshots[3].heartbeats["web-1"] is one
    assert not snapshots[3].unreadable
    assert [snapshot.server_time_ms for snapshot in snapshots[3:]] == [None, 5]


def test_only_a_higher_record_is_a_rise():
    trace = trace_of(look(0, beat("web-1", 0, 5)), look(1, beat("web-1", 9, 4)), look(2, beat("web-1", 9, 6)))
    assert [[each.seq for each in risen] for _, risen in trace.rises()] == [[5], [], [6]]


def test_the_traits_mean_what_the_recorded_storage_meant():
    unknown = facts(coherent=False, propagation_delay=None, shared_clock=True).traits
    assert (unknown.coherent, unknown.propagation_delay, unknown.cross_host) == (False, None, False)
    assert facts().traits.cross_host


# --- lists of timestamps


def test_a_list_of_times_becomes_looks_that_see_the_newest_beat():
    start = datetime(2026, 1, 1, tzinfo=UTC)
    trace = Trace.of_timestamps(
        {"Web-1": [start + timedelta(seconds=10), start], "web-2": [start.timestamp() + 65]},
        interval=10 * SECOND,
        check_interval=30 * SECOND,
    )
    assert trace.machines == ("web-1", "web-2")
    assert [each.started.mono_ms for each in trace.looks] == [0, 30_000, 60_000, 90_000]
    assert [[(b.machine_id, b.last_heartbeat_ms - WALL, b.seq) for b in each.records] for each in trace.looks] == [
        [("web-1", 0, 1)],
        [("web-1", 10_000, 2)],
        [],
        [("web-2", 65_000, 1)],
    ]
    assert trace.facts.offline_timeout_ms == 40_000


def test_the_beats_of_one_machine_share_the_date_of_its_first():
    trace = Trace.of_timestamps({"web-1": [30, 0, 60, 60]}, interval=30 * SECOND)
    assert [(b.first_seen_ms, b.seq) for each in trace.looks for b in each.records] == [(0, 1), (0, 2), (0, 3)]


@pytest.mark.parametrize("lists", [{}, {"web-1": []}])
def test_lists_without_beats_make_an_empty_trace(lists):
    assert Trace.of_timestamps(lists, interval=SECOND).looks == ()


def test_one_beat_makes_one_look():
    assert len(Trace.of_timestamps({"web-1": [5]}, interval=SECOND).looks) == 1


@pytest.mark.parametrize(
    "bad",
    [datetime(2026, 1, 1), "2026", None, True, math.nan, math.inf, 10**400, 1e12, 1e300, -1e300],  # noqa: DTZ001 - that is the point
)
def test_a_time_that_names_no_instant_is_refused(bad):
    with pytest.raises(InvalidConfigurationError, match="web-1"):
        Trace.of_timestamps({"web-1": [0, bad]}, interval=SECOND)


@pytest.mark.parametrize(
    ("lists", "settings"),
    [
        ([1, 2], {"interval": SECOND}),
        ({"web-1": "123"}, {"interval": SECOND}),
        ({"web-1": 5}, {"interval": SECOND}),
        ({"web-1": [1], "WEB-1": [2]}, {"interval": SECOND}),
        ({"web-1": [1]}, {"interval": 30}),
        ({"web-1": [1]}, {"interval": timedelta(0)}),
        ({"web-1": [1]}, {"interval": SECOND, "check_interval": timedelta(0)}),
        ({"web-1": [1]}, {"interval": SECOND, "offline_timeout": SECOND}),
        ({"web-1": [0, 10**9]}, {"interval": SECOND}),
    ],
)
def test_lists_that_cannot_be_are_refused(lists, settings):
    with pytest.raises(InvalidConfigurationError):
        Trace.of_timestamps(lists, **settings)


def test_a_name_that_is_no_machine_is_refused():
    with pytest.raises(HeartbeatKitError):
        Trace.of_timestamps({"../up": [1]}, interval=SECOND)


# --- thinner


def test_a_thinned_trace_keeps_every_second_beat_and_promises_it():
    trace = beating({"web-1": [(0, 301)]}, 300)
    thin = trace.thinned(60 * SECOND)
    seen = [(b.last_heartbeat_ms - WALL, b.interval_ms) for each in thin.looks for b in each.records]
    assert seen == [(60_000 * n, 60_000) for n in range(6)]
    assert len(thin.looks) == len(trace.looks)
    assert thin.facts == attrs.evolve(trace.facts, heartbeat_interval=60_000)


def test_thinning_keeps_goodbyes_and_first_beats_of_a_life():
    trace = trace_of(
        look(0, beat("web-1", 0, 1)),
        look(30_000, beat("web-1", 30_000, 2, left_at=WALL + 30_000)),
        look(60_000, beat("web-1", 35_000, 3)),
        look(90_000, beat("web-1", 36_000, 1, incarnation=2)),
        look(120_000, beat("web-1", 66_000, 2, incarnation=2)),
    )
    assert [len(each.records) for each in trace.thinned(90 * SECOND).looks] == [1, 1, 1, 1, 0]


def test_thinning_allows_for_the_jitter_of_beats():
    trace = trace_of(look(0, beat("web-1", 0, 1)), look(60_000, beat("web-1", 55_000, 2)))
    assert [len(each.records) for each in trace.thinned(60 * SECOND).looks] == [1, 1]


def test_a_record_that_could_not_be_read_is_back_in_a_thinned_trace():
    """It must not look removed, although its newest beat is one of those left out."""
    trace = trace_of(
        look(0, beat("web-1", 0, 1)),
        look(30_000, gone=("web-1",), unreadable=(("web-1", "cut"),)),
        look(60_000, beat("web-1", 30_000, 2), unreadable=(("web-1", None),)),
    )
    *_, (_, last) = trace.thinned(300 * SECOND).snapshots()
    assert [each.seq for each in last.heartbeats.values()] == [1]


@pytest.mark.parametrize("interval", [29 * SECOND, 60, None])
def test_beats_that_were_not_sent_cannot_be_replayed(interval):
    with pytest.raises(InvalidConfigurationError, match="30 s"):
        beating({"web-1": [(0, 60)]}, 60).thinned(interval)


def test_a_saved_trace_replaces_the_one_before(tmp_path):
    beating({"web-1": [(0, 300)]}, 300).save(tmp_path / "t")
    trace_of().save(tmp_path / "t")
    assert Trace.load(tmp_path / "t") == trace_of()
    assert [each.name for each in tmp_path.iterdir()] == ["t"]


def test_spans_of_another_axis_are_brought_to_the_first_look():
    """The monotonic clock shows 7 s at the first look of these traces."""
    trace = beating({"web-1": [(0, 300)]}, 300)
    alive = {"web-1": [Span(0, 10_000), Span(20_000, 30_000)]}
    assert trace.aligned(alive) == {"web-1": (Span(-7_000, 3_000), Span(13_000, 23_000))}
    assert trace.aligned(alive, zero=5 * SECOND)["web-1"][0] == Span(-2_000, 8_000)
    assert trace_of().aligned(alive) == {"web-1": tuple(alive["web-1"])}
