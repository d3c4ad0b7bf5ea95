"""`Member`: one machine of a simulated fleet, through all its lives.

Owns a machine's clock, its link to the medium and the service that runs on it now. Must not know the other machines.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Sequence
from typing import Any

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit.storage import Storage
from heartbeat_kit.testing._clock import FakeClock
from heartbeat_kit.testing._faulty import FaultyStorage

__all__ = ["Member"]


class Member:
    """A machine with a process that can be killed and started again.

    Args:
        machine_id: As whom it beats, normalised.
        storage: The medium as it sees it.
        clock: Its own clock.
        host: The name of the host it runs on.
        config: Its timings.
        state_dir: Its local disk; survives a crash.
        listeners: Told of everything, in every life.

    Attributes:
        service: The service of the life under way, or of the last one.
        storage: Its link to the medium, to be cut.
    """

    def __init__(
        self,
        machine_id: str,
        storage: Storage,
        *,
        clock: FakeClock,
        host: str,
        config: HeartbeatConfig | None,
        state_dir: str | os.PathLike[str] | None,
        listeners: Sequence[Callable[[Any], None]] = (),
    ) -> None:
        self.machine_id = machine_id
        self.clock = clock
        self.storage = FaultyStorage(storage)
        self._host = host
        self._config = config
        self._state_dir = state_dir
        self._listeners = listeners
        self.service = self._born()

    def start(self) -> None:
        """Begin a new life, in a new process; nothing happens while one is under way."""
        if self.service.is_running:
            return
        if self.service.status.started_at is not None:
            self.service = self._born()
        self.service.start()

    def crash(self) -> None:
        """End the process as SIGKILL does."""
        self.clock.kill()
        # A service that does not run any more writes nothing when it is stopped: all that this does is to give its
        # lock back, which the kernel does for a dead process.
        self.service.stop()

    def _born(self) -> HeartbeatService:
        service = HeartbeatService(
            self.storage,
            self._config,
            clock=self.clock,
            machine_id=self.machine_id,
            host=self._host,
            state_dir=self._state_dir,
        )
        for listener in self._listeners:
            service.subscribe(listener)
        return service
