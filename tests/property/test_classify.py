"""`classify` is total, monotone and exact."""

from datetime import UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from heartbeat_kit import MachineStatus, classify
from heartbeat_kit._status import status_of_age

TICK = timedelta(microseconds=1)
BADNESS = [MachineStatus.ONLINE, MachineStatus.WARNING, MachineStatus.OFFLINE]

zones = st.one_of(
    st.just(UTC),
    st.builds(timezone, st.timedeltas(timedelta(hours=-24) + TICK, timedelta(hours=24) - TICK)),
    st.sampled_from(["Europe/Paris", "Australia/Lord_Howe", "Asia/Kathmandu", "America/Sao_Paulo"]).map(ZoneInfo),
)
ENDS = [datetime.min, datetime.max]  # noqa: DTZ901 - they get a zone below
moments = st.datetimes(timezones=zones) | st.builds(
    lambda end, zone: end.replace(tzinfo=zone), st.sampled_from(ENDS), zones
)
timeouts = st.timedeltas(TICK, timedelta.max)
stamps = st.datetimes(datetime(1000, 1, 1), datetime(9000, 1, 1), timezones=zones)  # noqa: DTZ001 - bounds are naive


@given(moments, moments, timeouts)
@example(
    datetime.max.replace(tzinfo=timezone(-timedelta(hours=23))),
    datetime.min.replace(tzinfo=timezone(timedelta(hours=23))),
    timedelta.max,
)
def test_total(last, now, timeout):
    assert classify(last, now, offline_timeout=timeout) in MachineStatus


class Lost(tzinfo):
    """A zone that cannot tell."""

    def utcoffset(self, _):
        return None


@given(moments)
def test_what_names_no_instant_is_unknown(moment):
    for lost in (moment.replace(tzinfo=None), moment.replace(tzinfo=Lost())):
        assert classify(lost, moment) is classify(moment, lost) is MachineStatus.UNKNOWN


@given(
    stamps,
    st.timedeltas(timedelta(0), timedelta(days=365_000)),
    st.timedeltas(timedelta(0), timedelta(days=365_000)),
    timeouts,
)
def test_monotone_in_age(last, one, two, timeout):
    at = last.astimezone(UTC)
    earlier, later = sorted((one, two))
    before, after = (classify(last, at + age, offline_timeout=timeout) for age in (earlier, later))
    assert BADNESS.index(before) <= BADNESS.index(after)


@given(stamps, st.timedeltas(2 * TICK, timedelta(days=180_000)))
def test_exact_to_the_microsecond(last, timeout):
    at = last.astimezone(UTC)

    def status(age):
        return str(classify(last, at + age, offline_timeout=timeout))

    assert [status(timeout + tick) for tick in (-TICK, 0 * TICK, TICK)] == ["online", "warning", "warning"]
    assert [status(2 * timeout + tick) for tick in (-TICK, 0 * TICK, TICK)] == ["warning", "offline", "offline"]
    assert [status(-timeout + tick) for tick in (-TICK, 0 * TICK, TICK)] == ["unknown", "unknown", "online"]


@given(moments, moments, timeouts)
def test_the_zone_a_time_is_written_in_changes_nothing(last, now, timeout):
    def in_utc(moment):
        try:
            return moment.astimezone(UTC)
        except OverflowError:
            return moment

    assert classify(last, now, offline_timeout=timeout) is classify(in_utc(last), in_utc(now), offline_timeout=timeout)


@given(st.integers(), st.integers(1))
def test_the_bands_tile_the_axis(age, timeout):
    holds = {
        MachineStatus.UNKNOWN: age <= -timeout,
        MachineStatus.ONLINE: -timeout < age < timeout,
        MachineStatus.WARNING: timeout <= age < 2 * timeout,
        MachineStatus.OFFLINE: age >= 2 * timeout,
    }
    assert [status for status, held in holds.items() if held] == [status_of_age(age, timeout)]
