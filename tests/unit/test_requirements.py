"""What a service needs of its arguments."""

from datetime import timedelta

import pytest
from core_values import START

from heartbeat_kit import HeartbeatConfig, MemoryStorage, ServiceStatus
from heartbeat_kit._requirements import require_config, require_span, require_storage, service_record
from heartbeat_kit.errors import InvalidConfigurationError


def test_a_storage_by_its_methods_alone():
    class Theirs:
        traits = MemoryStorage().traits
        put = load = remove = close = print

    require_storage(Theirs())


def test_what_is_missing_is_named():
    class Half:
        put = close = print
        load = "text"

    with pytest.raises(InvalidConfigurationError, match=r"Half is no storage, it lacks load\(\), remove\(\)"):
        require_storage(Half())


@pytest.mark.parametrize("traits", [None, {}, "traits"])
def test_traits_must_be_declared(traits):
    class Theirs:
        put = load = remove = close = print

    Theirs.traits = traits
    with pytest.raises(InvalidConfigurationError, match="does not declare its traits"):
        require_storage(Theirs())


def test_configurations():
    config = HeartbeatConfig.critical()
    assert require_config(config) is config
    assert require_config(None) == HeartbeatConfig()
    with pytest.raises(InvalidConfigurationError, match="config is a dict"):
        require_config({})


def test_spans():
    assert require_span("x", None) is None
    assert require_span("x", timedelta(milliseconds=1)) == 1
    for bad in (timedelta(0), -timedelta(1), timedelta(microseconds=999), 5, "5"):
        with pytest.raises(InvalidConfigurationError, match=r"^x is"):
            require_span("x", bad)


@pytest.mark.parametrize(("started", "text"), [(None, None), (START, "2026-01-01T00:00:00.000Z")])
def test_the_record_of_a_service(started, text):
    status = ServiceStatus(is_running=True, machine_id="web-1", config=HeartbeatConfig(), started_at=started)
    assert service_record(status, running=False) == {
        "machineId": "web-1",
        "heartbeatInterval": 30_000,
        "offlineTimeout": 120_000,
        "autoSyncEnabled": True,
        "isRunning": False,
        "startedAt": text,
    }
