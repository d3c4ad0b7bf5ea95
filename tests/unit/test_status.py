"""The bands of the status table."""

from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_kit import MachineStatus, classify
from heartbeat_kit._status import status_of_age
from heartbeat_kit.errors import InvalidConfigurationError

LAST = datetime(2026, 1, 15, 23, tzinfo=UTC)
T = timedelta(seconds=120)
TICK = timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("age", "status"),
    [
        (-2 * T, "unknown"),
        (-T - TICK, "unknown"),
        (-T, "unknown"),
        (-T + TICK, "online"),
        (-TICK, "online"),
        (timedelta(0), "online"),
        (T - TICK, "online"),
        (T, "warning"),
        (T + TICK, "warning"),
        (2 * T - TICK, "warning"),
        (2 * T, "offline"),
        (2 * T + TICK, "offline"),
        (1_000 * T, "offline"),
    ],
)
def test_half_open_bands(age, status):
    assert classify(LAST, LAST + age) is MachineStatus(status)
    assert status_of_age(age // TICK, T // TICK) is MachineStatus(status)


def test_another_timeout():
    assert classify(LAST, LAST + T, offline_timeout=T + TICK) is MachineStatus.ONLINE
    assert classify(LAST, LAST + 2 * TICK, offline_timeout=TICK) is MachineStatus.OFFLINE


def test_no_heartbeat_is_unknown():
    assert classify(None, LAST) is MachineStatus.UNKNOWN


def test_a_time_without_a_zone_is_unknown():
    """It names no instant; calling it online or offline would be a guess."""
    naive = LAST.replace(tzinfo=None)
    assert classify(naive, LAST) is classify(LAST, naive) is classify(naive, naive) is MachineStatus.UNKNOWN


@pytest.mark.parametrize("timeout", [timedelta(0), -T])
@pytest.mark.parametrize("last", [LAST, None])
def test_a_timeout_that_is_not_positive_is_refused(last, timeout):
    with pytest.raises(InvalidConfigurationError, match="expected a positive duration"):
        classify(last, LAST, offline_timeout=timeout)


def test_statuses_are_text():
    assert [str(status) for status in MachineStatus] == ["online", "warning", "offline", "unknown"]
