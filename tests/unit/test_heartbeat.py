"""`Heartbeat`: the record, its order, its checks."""

import pickle
from datetime import UTC, datetime, timedelta

import attrs
import pendulum
import pytest
from core_values import START, beat

from heartbeat_kit import Heartbeat
from heartbeat_kit._times import MAX_MS, MIN_MS
from heartbeat_kit.errors import InvalidHeartbeatError, InvalidMachineIdError, InvalidMetadataError


def test_times_may_come_as_datetimes_or_milliseconds():
    shown = Heartbeat(
        machine_id=" Web-1 ",
        last_heartbeat=datetime(2026, 1, 1, tzinfo=UTC),
        incarnation=1,
        seq=1,
        interval=timedelta(seconds=30),
        first_seen=datetime(2026, 1, 1, tzinfo=UTC),
        left_at=datetime(2026, 1, 1, 0, 0, 1, tzinfo=UTC),
    )
    assert shown == beat(first_seen=START, left_at=START + 1_000)
    assert (shown.machine_id, shown.last_heartbeat_ms, shown.interval_ms) == ("web-1", START, 30_000)


def test_what_is_shown_is_pendulum():
    record = beat(left_at=START + 5, first_seen=START - 5)
    assert type(record.last_heartbeat) is pendulum.DateTime
    assert (record.last_heartbeat - record.first_seen).total_seconds() == 0.005
    assert record.left_at == record.last_heartbeat.add(microseconds=5_000)
    assert type(record.interval) is pendulum.Duration
    assert record.interval.total_seconds() == 30
    assert beat().left_at is None


def test_first_seen_is_the_stamp_unless_given():
    assert beat(at=START + 7).first_seen_ms == START + 7


def test_order_is_life_then_beat():
    assert beat(incarnation=2, seq=1).order > beat(incarnation=1, seq=99).order > beat(incarnation=1, seq=98).order


def test_metadata_is_a_copy():
    given = {"role": "web", "list": [1]}
    record = beat(metadata=given)
    given["role"] = record.metadata["role"] = "changed"
    record.metadata["list"].append(2)
    assert record.metadata == {"role": "web", "list": [1]}
    assert beat().metadata == {}


def test_is_a_value():
    record = beat(metadata={"b": 1, "a": 2}, host="h", left_at=START)
    same = beat(metadata={"a": 2, "b": 1}, host="h", left_at=START)
    assert record == same
    assert hash(record) == hash(same)
    assert pickle.loads(pickle.dumps(record)) == record
    assert attrs.evolve(record, seq=2).metadata == record.metadata
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        record.seq = 9


def test_repr_is_one_line():
    assert repr(beat(incarnation=5, seq=7)) == "<Heartbeat web-1 2026-01-01T00:00:00+00:00 #5.7>"
    assert repr(beat(left_at=START)).endswith("#1.1, left>")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        *(("at", value) for value in (None, True, 1.5, "2026-01-01T00:00:00Z", MAX_MS + 1, MIN_MS - 1)),
        *((name, v) for name in ("incarnation", "seq") for v in (-1, 2**63, True, 1.0, "1", None)),
        *(("interval", value) for value in (0, -1, MAX_MS + 1, True, None, "30", timedelta(0), timedelta(days=-1))),
        *(("host", value) for value in (None, 7, "x" * 256)),
        *(("first_seen", value) for value in (None, "x", MAX_MS + 1)),
        *(("left_at", value) for value in ("x", False, MIN_MS - 1)),
    ],
)
def test_a_field_that_cannot_be_is_refused(name, value):
    with pytest.raises(InvalidHeartbeatError) as caught:
        beat(**{name: value})
    assert caught.value.machine_id == "web-1"
    assert ("last_heartbeat" if name == "at" else name) in str(caught.value)


def test_naive_times_are_refused():
    with pytest.raises(InvalidHeartbeatError, match="without a time zone"):
        beat(at=datetime(2026, 1, 1))  # noqa: DTZ001 - that is the point


def test_ids_and_metadata_are_checked_by_their_owners():
    with pytest.raises(InvalidMachineIdError):
        beat("../x")
    with pytest.raises(InvalidMetadataError):
        beat(metadata={"f": len})
    with pytest.raises(InvalidMetadataError):
        beat(metadata='{"a":1}')


def test_the_extremes_are_sound():
    record = beat(at=MIN_MS, incarnation=2**63 - 1, seq=2**63 - 1, interval=MAX_MS, first_seen=MAX_MS, host="x" * 255)
    assert (record.last_heartbeat.year, record.first_seen.year) == (1, 9999)
    assert beat(interval=1, incarnation=0, seq=0).interval_ms == 1
