"""`LabHost`: one machine of a run through all its lives.

Owns its clock, its link and the service that runs on it now. Must not know the other machines.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit.lab._clock import LabClock
from heartbeat_kit.lab._link import Link

__all__ = ["LabHost", "OnStart"]

OnStart = Callable[[HeartbeatService, str], object]
"""Called with the service of each new life and the name of its host, before it starts."""


class LabHost:
    """A machine with a process that can be killed and started again.

    Args:
        name: Of the host.
        machine_id: As whom it beats.
        clock: Its own.
        link: The medium as it has it.
        config: Its timings.
        state_dir: Its local disk, where it has a real one.
        listener: Told of everything, in every life.
        on_start: See `OnStart`.

    Attributes:
        service: Of the life under way or the last one; ``None`` before the first.
    """

    def __init__(
        self,
        name: str,
        machine_id: str,
        *,
        clock: LabClock,
        link: Link,
        config: HeartbeatConfig,
        state_dir: Path | None,
        listener: Callable[[Any], None] | None,
        on_start: OnStart | None,
    ) -> None:
        self.name = name
        self.clock = clock
        self.link = link
        self.service: HeartbeatService | None = None
        self._machine_id = machine_id
        self._config = config
        self._state_dir = state_dir
        self._listener = listener
        self._on_start = on_start

    def start(self) -> None:
        """Begin a life, unless one is under way."""
        if self.service is not None and self.service.is_running:
            return
        service = self.service = HeartbeatService(
            self.link,
            self._config,
            clock=self.clock,
            machine_id=self._machine_id,
            host=self.name,
            state_dir=self._state_dir,
        )
        if self._listener is not None:
            service.subscribe(self._listener)
        if self._on_start is not None:
            self._on_start(service, self.name)
        service.start()

    def crash(self) -> None:
        """End the process as SIGKILL does."""
        if self.service is not None:
            self.clock.kill()
            # A service that does not run any more writes nothing when it is stopped: all that this does is to give
            # its lock back, which the kernel does for a dead process.
            self.service.stop()

    def leave(self) -> None:
        """End the process with a goodbye."""
        if self.service is not None and self.service.is_running:
            self.service.stop(leave=True)
