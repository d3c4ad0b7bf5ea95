"""`Host`: what the tools of one server act on: a service, perhaps a coordinator, and the language.

Owns the life of the automatic sync, passive heartbeats and what a request means for this machine. Must not know the
protocol.
"""

from __future__ import annotations

import logging
import threading
from datetime import timedelta
from typing import Any, Final, Literal

from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._results import ServiceStatus
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._times import span_ms
from heartbeat_kit.errors import HeartbeatKitError, InvalidConfigurationError, ServiceAlreadyRunningError, SyncError
from heartbeat_kit.sync import SyncCoordinator
from heartbeat_kit.sync._auto import AutoSync
from heartbeat_kit.sync._typed import typed

__all__ = ["Host", "Locale"]

Locale = Literal["en", "fr"]
_AGAIN_MS: Final = 1_000
"""A passive heartbeat that failed is tried again by the next call after so long."""
_log = logging.getLogger("heartbeat_kit")


class Host:
    """What a server acts on.

    Args:
        service: The service of this machine; `start` begins its heartbeats.
        coordinator: For the tools that sync; without one they say that there is none.
        locale: Of the messages.
        passive: Every call of a tool is also a heartbeat of this machine, at most one in each interval, while the
            service does not run.
    """

    def __init__(
        self,
        service: HeartbeatService,
        coordinator: SyncCoordinator | None = None,
        *,
        locale: Locale = "en",
        passive: bool = False,
    ) -> None:
        self.service = service
        self.locale: Locale = locale
        self.is_passive = passive
        self._coordinator = coordinator
        self._auto: AutoSync | None = None
        self._lifecycle = threading.RLock()
        self._passive = threading.Lock()
        self._due_ms: int | None = None

    @property
    def coordinator(self) -> SyncCoordinator:
        """Who syncs.

        Raises:
            InvalidConfigurationError: Nobody does here.
        """
        if self._coordinator is None:
            raise InvalidConfigurationError(
                "this server syncs nothing: start it with --workspace and --shared, or give the host a coordinator"
            )
        return self._coordinator

    @property
    def can_sync(self) -> bool:
        """Whether there is a coordinator."""
        return self._coordinator is not None

    @property
    def syncs_by_itself(self) -> bool:
        """Whether a sync follows when machines go and return, as it does while the service runs with a coordinator."""
        return self._auto is not None

    def sync_trouble(self) -> str | None:
        """Why the automatic sync can do nothing now, or ``None`` if it can or there is none."""
        if self._auto is None:
            return None
        try:
            self.coordinator.decisions()
        except SyncError as error:
            return f"{error.code}: {typed(str(error))}"
        return None

    def start(
        self, machine_id: str, *, auto_sync: bool | None, interval_ms: int | None, timeout_ms: int | None
    ) -> ServiceStatus:
        """Start the service; what is given changes its configuration, the rest stays.

        Raises:
            InvalidConfigurationError: It is another machine, or a value cannot be.
            ServiceAlreadyRunningError: It runs already.
        """
        if normalize_machine_id(machine_id) != self.service.machine_id:
            raise InvalidConfigurationError(
                f"this server beats for {self.service.machine_id}: start the service of {machine_id} on {machine_id}, "
                "or register a heartbeat on its behalf"
            )
        given: dict[str, Any] = {
            "auto_sync_enabled": auto_sync,
            "heartbeat_interval": None if interval_ms is None else timedelta(milliseconds=interval_ms),
            "offline_timeout": None if timeout_ms is None else timedelta(milliseconds=timeout_ms),
        }
        changes = {name: value for name, value in given.items() if value is not None}
        with self._lifecycle:
            if self.service.is_running:
                raise ServiceAlreadyRunningError(
                    f"the service of {self.service.machine_id} runs in this server already: stop it first",
                    machine_id=self.service.machine_id,
                )
            before = self.service.config
            if changes:
                self.service.reconfigure(**changes)
            try:
                status = self.service.start()
            except BaseException:
                self.service.reconfigure(**{name: getattr(before, name) for name in changes})
                raise
            if self._coordinator is not None and self.service.config.auto_sync_enabled:
                self._auto = self._coordinator.attach(self.service)
            return status

    def stop(self, *, save_state: bool) -> ServiceStatus:
        """Stop the service and the automatic sync."""
        with self._lifecycle:
            auto, self._auto = self._auto, None
            if auto is not None:
                auto.close()
            return self.service.stop(save_state=save_state)

    def beat(self) -> None:
        """A passive heartbeat, if one is due; a storage that is away fails no call."""
        if not self.is_passive or self.service.is_running:
            return
        if not self._passive.acquire(blocking=False):
            return  # another call is just sending it
        try:
            now_ms, interval_ms = self.service.clock.now().mono_ms, span_ms(self.service.config.heartbeat_interval)
            if self._due_ms is not None and now_ms < self._due_ms:
                return
            try:
                self.service.register()
            except HeartbeatKitError as error:
                _log.warning("passive heartbeat of %s: %s: %s", self.service.machine_id, error.code, error)
                interval_ms = min(interval_ms, _AGAIN_MS)
            self._due_ms = now_ms + interval_ms
        finally:
            self._passive.release()

    def close(self) -> None:
        """Stop what runs; safe to call twice."""
        self.stop(save_state=True)
