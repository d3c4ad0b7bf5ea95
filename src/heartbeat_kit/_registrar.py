"""`Registrar`: stores heartbeats, this machine's and those of machines it speaks for.

Owns one `Beater` a machine and the difference between a beat that was asked for (which fails aloud) and one of the
background loop (which stays pending and is tried again).
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from heartbeat_kit import _metadata
from heartbeat_kit._beater import Beater
from heartbeat_kit._clock import Clock
from heartbeat_kit._results import Registration
from heartbeat_kit.errors import HeartbeatRegistrationError, StorageClosedError
from heartbeat_kit.storage import Storage

__all__ = ["Registrar"]

_log = logging.getLogger("heartbeat_kit")


class Registrar:
    """The beaters of one service.

    Args:
        storage: Where to.
        clock: Stamps the beats.
        machine_id: This machine.
        host: The host name to sign with.
    """

    def __init__(self, storage: Storage, clock: Clock, machine_id: str, host: str) -> None:
        self._storage = storage
        self._clock = clock
        self._machine_id = machine_id
        self._host = host
        self._beaters: dict[str, Beater] = {}

    @property
    def own(self) -> Beater:
        """This machine's beater."""
        return self.beater(self._machine_id)

    def beater(self, machine_id: str) -> Beater:
        """The beater of a machine."""
        known = self._beaters.get(machine_id)
        # Of two threads that both find none, one beater is kept.
        return known or self._beaters.setdefault(machine_id, Beater(self._storage, machine_id, self._host))

    def register(self, machine_id: str, metadata: Mapping[str, Any] | None, interval_ms: int) -> Registration:
        """Store one heartbeat now.

        Raises:
            InvalidMetadataError: Nothing was stored.
            HeartbeatRegistrationError: The storage did not take it.
        """
        text = None if metadata is None else _metadata.encode(metadata)
        try:
            beat = self.beater(machine_id).beat(self._clock.now(), interval_ms, metadata=text)
        except Exception as error:
            raise HeartbeatRegistrationError(
                f"the heartbeat of {machine_id!r} is not stored: {str(error) or type(error).__name__}",
                machine_id=machine_id,
            ) from error
        return Registration(
            machine_id=machine_id, timestamp=beat.heartbeat.last_heartbeat_ms, is_new_machine=beat.is_new
        )

    def beat(self, interval_ms: int, *, leaving: bool = False, first: bool = False) -> None:
        """One background beat of this machine: a storage that is away leaves it pending, nothing is raised.

        Raises:
            StorageClosedError: With `first`: a storage that was closed never comes back.
        """
        before = self.own.pending
        try:
            self.own.beat(self._clock.now(), interval_ms, leaving=leaving)
        except Exception as error:
            if first and isinstance(error, StorageClosedError):
                raise
            if before is None:
                _log.warning("the heartbeat of %s is pending: %s: %s", self._machine_id, type(error).__name__, error)
