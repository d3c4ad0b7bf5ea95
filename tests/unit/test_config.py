"""`HeartbeatConfig`: checked once, frozen."""

import pickle
from datetime import timedelta

import attrs
import pendulum
import pytest

from heartbeat_kit import DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_OFFLINE_TIMEOUT, HeartbeatConfig
from heartbeat_kit.errors import InvalidConfigurationError

SECOND = timedelta(seconds=1)


def seconds(config):
    return config.heartbeat_interval.total_seconds(), config.offline_timeout.total_seconds()


def test_defaults():
    config = HeartbeatConfig()
    assert config == HeartbeatConfig(
        heartbeat_interval=timedelta(seconds=30),
        offline_timeout=timedelta(seconds=120),
        auto_sync_enabled=True,
        check_interval=None,
        confirm_offline=1,
        confirm_online=1,
        fresh_for=timedelta(seconds=10),
        silence_hold=timedelta(minutes=15),
    )
    assert (timedelta(seconds=30), timedelta(minutes=2)) == (DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_OFFLINE_TIMEOUT)


@pytest.mark.parametrize(
    ("preset", "expected"),
    [("development", (60, 300)), ("production", (30, 120)), ("critical", (10, 60)), ("synced_folder", (60, 300))],
)
def test_presets(preset, expected):
    assert seconds(getattr(HeartbeatConfig, preset)()) == expected


def test_durations_are_pendulum_inside_and_whole_milliseconds():
    config = HeartbeatConfig(heartbeat_interval=timedelta(microseconds=1_500), check_interval=SECOND)
    assert type(config.heartbeat_interval) is pendulum.Duration
    assert type(config.check_interval) is pendulum.Duration
    assert config.heartbeat_interval == timedelta(milliseconds=1)


def test_is_a_value():
    config = HeartbeatConfig.critical()
    assert pickle.loads(pickle.dumps(config)) == config
    assert hash(config) == hash(HeartbeatConfig.critical())
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        config.confirm_online = 2


def test_two_beats_must_fit_into_the_timeout():
    """One late beat is no verdict."""
    assert HeartbeatConfig(heartbeat_interval=SECOND, offline_timeout=2 * SECOND)
    with pytest.raises(InvalidConfigurationError, match="one late beat would look like a failure") as caught:
        HeartbeatConfig(heartbeat_interval=SECOND, offline_timeout=timedelta(milliseconds=1_999))
    assert "at least 2 s" in str(caught.value)


@pytest.mark.parametrize("name", ["heartbeat_interval", "offline_timeout", "check_interval"])
@pytest.mark.parametrize(
    "value", [timedelta(0), -SECOND, timedelta(microseconds=999), timedelta(days=367), 30, "30", timedelta.max]
)
def test_a_duration_out_of_range_or_of_the_wrong_type_is_refused_by_name(name, value):
    with pytest.raises(InvalidConfigurationError, match=f"^{name} is"):
        HeartbeatConfig(**{name: value})


@pytest.mark.parametrize("name", ["heartbeat_interval", "offline_timeout", "fresh_for", "silence_hold"])
def test_none_is_no_duration(name):
    with pytest.raises(InvalidConfigurationError, match=f"^{name} is None"):
        HeartbeatConfig(**{name: None})


@pytest.mark.parametrize("name", ["fresh_for", "silence_hold"])
def test_these_may_be_zero(name):
    assert getattr(HeartbeatConfig(**{name: timedelta(0)}), name) == timedelta(0)
    with pytest.raises(InvalidConfigurationError, match=f"^{name} is"):
        HeartbeatConfig(**{name: -timedelta(milliseconds=1)})


def test_the_ends_of_a_duration():
    year = timedelta(days=366)
    assert HeartbeatConfig(offline_timeout=year, check_interval=timedelta(milliseconds=1)).offline_timeout == year
    with pytest.raises(InvalidConfigurationError):
        HeartbeatConfig(offline_timeout=year + timedelta(milliseconds=1))


@pytest.mark.parametrize("name", ["confirm_offline", "confirm_online"])
@pytest.mark.parametrize("value", [0, -1, True, 1.0, "1", None])
def test_a_count_is_a_whole_number_of_at_least_one(name, value):
    assert getattr(HeartbeatConfig(**{name: 3}), name) == 3
    with pytest.raises(InvalidConfigurationError, match=f"^{name} is"):
        HeartbeatConfig(**{name: value})


@pytest.mark.parametrize("value", [1, 0, None, "true"])
def test_a_flag_is_true_or_false(value):
    with pytest.raises(InvalidConfigurationError, match=r"^auto_sync_enabled is"):
        HeartbeatConfig(auto_sync_enabled=value)


def test_from_env_reads_what_is_set():
    config = HeartbeatConfig.from_env({"HEARTBEAT_INTERVAL": " 5000 ", "OFFLINE_TIMEOUT": "60000", "AUTO_SYNC": "Off"})
    assert seconds(config) == (5, 60)
    assert config.auto_sync_enabled is False
    assert HeartbeatConfig.from_env({"HEARTBEAT_INTERVAL": "", "AUTO_SYNC": "  ", "OTHER": "x"}) == HeartbeatConfig()


def test_from_env_reads_the_process_environment(monkeypatch):
    monkeypatch.setenv("OFFLINE_TIMEOUT", "90000")
    assert HeartbeatConfig.from_env().offline_timeout == timedelta(seconds=90)


@pytest.mark.parametrize("word", ["1", "TRUE", "yes", "on"])
def test_words_for_true(word):
    assert HeartbeatConfig.from_env({"AUTO_SYNC": word}).auto_sync_enabled is True


@pytest.mark.parametrize("word", ["0", "false", "No"])
def test_words_for_false(word):
    assert HeartbeatConfig.from_env({"AUTO_SYNC": word}).auto_sync_enabled is False


@pytest.mark.parametrize(
    ("name", "text"),
    [
        *(
            (name, text)
            for name in ("HEARTBEAT_INTERVAL", "OFFLINE_TIMEOUT")
            for text in ("0", "-1", "30s", "1e3", "1.5", "undefined", "NaN", "٣٠٠٠٠", "9" * 5_000, "31622400001")
        ),
        ("AUTO_SYNC", "maybe"),
    ],
)
def test_a_bad_variable_is_named(name, text):
    with pytest.raises(InvalidConfigurationError, match=f"^{name} is"):
        HeartbeatConfig.from_env({name: text})


def test_variables_that_do_not_fit_together_are_named():
    with pytest.raises(InvalidConfigurationError, match=r"HEARTBEAT_INTERVAL, OFFLINE_TIMEOUT.*two heartbeat"):
        HeartbeatConfig.from_env({"HEARTBEAT_INTERVAL": "5000", "OFFLINE_TIMEOUT": "9999"})
