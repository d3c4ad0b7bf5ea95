"""`Registrar`: beats that fail aloud and beats that stay pending."""

import logging

import pytest
from core_values import START

from heartbeat_kit import MachineStatus
from heartbeat_kit._registrar import Registrar
from heartbeat_kit.errors import HeartbeatRegistrationError, InvalidMetadataError, StorageUnavailableError


@pytest.fixture
def registrar(storage, clock):
    return Registrar(storage, clock, "web-1", "here")


def test_a_registration(registrar, storage, clock):
    first = registrar.register("web-2", {"a": 1}, 30_000)
    assert (first.machine_id, first.status, first.timestamp_ms, first.is_new_machine) == (
        "web-2",
        MachineStatus.ONLINE,
        START,
        True,
    )
    clock.advance(5)
    again = registrar.register("web-2", None, 30_000)
    assert (again.timestamp_ms, again.is_new_machine) == (START + 5_000, False)
    record = storage.load().heartbeats["web-2"]
    assert (record.metadata, record.host, record.interval_ms) == ({"a": 1}, "here", 30_000)


def test_bad_metadata_stores_nothing(registrar, storage):
    with pytest.raises(InvalidMetadataError):
        registrar.register("web-1", {"f": len}, 30_000)
    assert (storage.calls["put"], storage.calls["get"]) == (0, 0)


@pytest.mark.parametrize("error", [None, OSError("disk")], ids=["typed", "plain"])
def test_a_storage_that_does_not_take_it_fails_aloud(registrar, storage, error):
    storage.fail("put", error=error)
    with pytest.raises(HeartbeatRegistrationError, match="'web-1' is not stored") as caught:
        registrar.register("web-1", None, 30_000)
    assert caught.value.machine_id == "web-1"
    assert isinstance(caught.value.__cause__, OSError)


def test_a_background_beat_stays_pending_and_warns_once(registrar, storage, caplog):
    storage.go_down("no disk")
    with caplog.at_level(logging.WARNING, logger="heartbeat_kit"):
        for _ in range(3):
            registrar.beat(30_000)
    assert registrar.own.pending == "no disk"
    assert [record.getMessage() for record in caplog.records] == [
        "the heartbeat of web-1 is pending: StorageUnavailableError: no disk"
    ]
    storage.come_back()
    registrar.beat(30_000)
    assert registrar.own.pending is None
    storage.fail("put", error=ZeroDivisionError("a bug of a storage"))
    registrar.beat(30_000)
    assert "a bug of a storage" in caplog.text


def test_an_interrupt_is_not_swallowed(registrar, storage):
    storage.fail("put", error=KeyboardInterrupt)
    with pytest.raises(KeyboardInterrupt):
        registrar.beat(30_000)


def test_a_goodbye(registrar, storage):
    registrar.beat(30_000, leaving=True)
    assert storage.load().heartbeats["web-1"].left_at_ms == START


def test_one_beater_a_machine(registrar, storage):
    assert registrar.own is registrar.beater("web-1")
    assert registrar.beater("web-2") is not registrar.own
    storage.go_down()
    with pytest.raises(HeartbeatRegistrationError) as caught:
        registrar.register("web-2", None, 30_000)
    assert isinstance(caught.value.__cause__, StorageUnavailableError)
    assert registrar.own.pending is None
