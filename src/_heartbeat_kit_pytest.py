"""Fixtures of heartbeat_kit for pytest; see them with ``pytest --fixtures``.

Owns the fixtures' names. Every pytest run of an environment that has heartbeat_kit loads this module, so it must not
import the package: the fixtures do, when a test asks for one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from heartbeat_kit import HeartbeatService, Storage
    from heartbeat_kit.testing import FakeClock, Fleet


@pytest.fixture
def heartbeat_clock() -> FakeClock:
    """A `FakeClock`: time that moves when the test says so (`advance`, `jump_wall`, `suspend`, `stall`)."""
    from heartbeat_kit.testing import FakeClock  # noqa: PLC0415 - see the module's docstring

    return FakeClock()


@pytest.fixture
def heartbeat_storage() -> Iterator[Storage]:
    """An empty `MemoryStorage`; override this fixture to test on another storage."""
    from heartbeat_kit import MemoryStorage  # noqa: PLC0415

    storage = MemoryStorage()
    yield storage
    storage.close()


@pytest.fixture
def heartbeat_service(
    heartbeat_storage: Storage, heartbeat_clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[HeartbeatService]:
    """A `HeartbeatService` of "test-machine" on `heartbeat_storage` and `heartbeat_clock`, not yet started.

    Stopped at the end of the test.
    """
    from heartbeat_kit import HeartbeatService  # noqa: PLC0415

    # Not in tmp_path: a test may well use that as the shared folder, where local state must never be.
    service = HeartbeatService(
        heartbeat_storage,
        clock=heartbeat_clock,
        machine_id="test-machine",
        state_dir=tmp_path_factory.mktemp("heartbeat-state"),
    )
    yield service
    service.stop(save_state=False)


@pytest.fixture
def heartbeat_fleet(
    heartbeat_clock: FakeClock, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Callable[..., Fleet]]:
    """A maker of simulated fleets, `heartbeat_kit.testing.Fleet`, with the same arguments.

    For example ``fleet = heartbeat_fleet(machines=3)``, then ``fleet.advance(60)``, ``fleet.crash("m2")``. A fleet
    runs on `heartbeat_clock`, has a new folder as `state_dir`, and is stopped at the end of the test.
    """
    from heartbeat_kit.testing import Fleet  # noqa: PLC0415

    with ExitStack() as fleets:

        def make(machines: int | list[str] = 3, **settings: Any) -> Fleet:
            settings.setdefault("clock", heartbeat_clock)
            settings.setdefault("state_dir", tmp_path_factory.mktemp("heartbeat-fleet"))
            return fleets.enter_context(Fleet(machines, **settings))

        yield make
