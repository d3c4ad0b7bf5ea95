"""Epoch milliseconds, ISO text and pendulum values."""

from datetime import UTC, datetime, timedelta, timezone
from zoneinfo import ZoneInfo

import pendulum
import pytest
from core_values import START

from heartbeat_kit import _times as times


def test_known_instants():
    assert times.to_iso(START) == "2026-01-01T00:00:00.000Z"
    assert times.from_iso("2026-01-01T00:00:00.000Z") == START
    assert times.epoch_ms(datetime(2026, 1, 1, 1, tzinfo=timezone(timedelta(hours=1)))) == START
    assert times.epoch_us(datetime(1970, 1, 1, 0, 0, 0, 7, tzinfo=UTC)) == 7


def test_milliseconds_are_rounded_down_before_the_epoch_too():
    assert times.epoch_ms(datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)) == -1
    assert times.epoch_ms(datetime(1970, 1, 1, 0, 0, 0, 999, tzinfo=UTC)) == 0
    assert times.span_ms(timedelta(microseconds=-1)) == -1
    assert times.span_ms(timedelta(microseconds=1_999)) == 1


def test_the_ends_of_the_calendar():
    assert times.epoch_ms(datetime.min.replace(tzinfo=UTC)) == times.MIN_MS
    assert times.epoch_ms(datetime.max.replace(tzinfo=UTC)) == times.MAX_MS
    assert times.to_iso(times.MIN_MS) == times.to_iso(times.MIN_MS - 1) == "0001-01-01T00:00:00.000Z"
    assert times.to_iso(times.MAX_MS) == times.to_iso(times.MAX_MS + 1) == "9999-12-31T23:59:59.999Z"
    assert times.to_datetime(2**80) == times.to_datetime(times.MAX_MS)
    assert times.to_datetime(-(2**80)) == times.to_datetime(times.MIN_MS)


def test_a_naive_time_names_no_instant():
    with pytest.raises(ValueError, match="without a time zone"):
        times.epoch_us(datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_what_people_read_is_pendulum_in_utc():
    moment = times.to_datetime(START + 1)
    assert type(moment) is pendulum.DateTime
    assert (moment.utcoffset(), moment.microsecond) == (timedelta(0), 1_000)
    assert times.optional_datetime(None) is None
    assert times.optional_datetime(START) == times.to_datetime(START)
    assert type(times.to_duration(1_500)) is pendulum.Duration
    assert times.to_duration(1_500).total_seconds() == 1.5


@pytest.mark.parametrize("ms", [0, 1, -1, 999, 30_000, 31_622_400_000, -123_456_789])
def test_a_duration_keeps_every_millisecond(ms):
    assert times.span_ms(times.to_duration(ms)) == ms
    assert times.span_us(times.to_duration(ms)) == ms * 1_000


def test_a_duration_no_timedelta_can_hold_stops_at_the_longest():
    """A peer may promise any interval; showing its timeout must not raise."""
    assert times.to_duration(10**30) > timedelta(days=999_999_998)
    assert times.to_duration(-(10**30)) < timedelta(days=-999_999_998)


@pytest.mark.parametrize(
    "text",
    ["2026-01-01T00:00:00Z", "2026-01-01T01:00:00+01:00", "2025-12-31T19:00:00.000-05:00", "20260101T000000Z"],
)
def test_one_instant_in_many_spellings(text):
    assert times.from_iso(text) == START


@pytest.mark.parametrize(
    "junk",
    [
        None,
        0,
        1.5,
        True,
        b"2026-01-01T00:00:00Z",
        [],
        {},
        "",
        "now",
        "P1D",
        "2026-01-01",
        "2026-01-01T00:00:00",
        "2026-13-01T00:00:00Z",
        "NaN",
        "Infinity",
        "1767225600000",
        "2026-01-01T00:00:00Z" + " " * 40,
        "\ud800",
    ],
)
def test_what_names_no_instant_is_refused(junk):
    with pytest.raises(ValueError):  # noqa: PT011 - the text differs, the type is the promise
        times.from_iso(junk)


def test_forty_characters_are_the_longest_text():
    with pytest.raises(ValueError, match="found 41 characters"):
        times.from_iso("x" * 41)
    with pytest.raises(ValueError, match=r"[Ii]nvalid"):
        times.from_iso("x" * 40)


def test_summer_time_does_not_bend_the_axis():
    """The two 02:30 of an autumn night are an hour apart."""
    night = datetime(2026, 10, 25, 2, 30, tzinfo=ZoneInfo("Europe/Paris"))
    assert times.epoch_ms(night.replace(fold=1)) - times.epoch_ms(night) == 3_600_000
