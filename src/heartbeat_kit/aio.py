"""`AsyncHeartbeatService`: a `HeartbeatService` to await. Threads do the work, the event loop never waits.

Owns the way from the event loop to a thread and back. Decides nothing, and adds no behaviour of its own.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from functools import partial
from typing import Any, Final, ParamSpec, Self, TypeVar
from weakref import WeakSet

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import CascadeDetected, Event, FleetSilent
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._models import FleetState
from heartbeat_kit._requirements import require_patience
from heartbeat_kit._results import CheckReport, Registration, ServiceStatus
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._threads import DaemonThreads
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.storage import Storage

__all__ = ["AsyncHeartbeatService", "Events"]

_P = ParamSpec("_P")
_T = TypeVar("_T")
_THREADS: Final = 8
"""Calls that can hang in a storage at once before the next one waits; the event loop never does."""
_WAITS: Final = 64
"""Calls of `wait_for` at once before they take turns; they hold up nothing else."""
_SLICE_S: Final = 1.0
"""How long a thread waits on behalf of `wait_for` before it asks whether anybody still does."""


class Events:
    """Events as they come, for ``async for``; made by `AsyncHeartbeatService.events`.

    It listens from its making until it is closed, by ``async with``, `aclose` or `AsyncHeartbeatService.stop`. What
    comes while nobody takes it waits, and nothing is left out while this process lives. What waits dies with it: an
    event that is here is delivered, and is not delivered again after a restart; `AsyncHeartbeatService.history` has it.
    """

    def __init__(self, service: HeartbeatService, to: MachineStatus | type | None) -> None:
        self._loop = asyncio.get_running_loop()
        self._waiting: deque[Event] = deque()
        self._news = asyncio.Event()
        self._closed = False
        self._subscription = service.subscribe(self._take, to=to)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Any:
        if asyncio.get_running_loop() is not self._loop:
            raise InvalidConfigurationError(
                "these events are of another event loop: call events() in the one that reads"
            )
        while not self._waiting:
            if self._closed:
                raise StopAsyncIteration
            self._news.clear()
            await self._news.wait()
        return self._waiting.popleft()

    async def aclose(self) -> None:
        """Stop listening; what has come already can still be taken."""
        self._end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        self._end()

    def _take(self, event: Event) -> None:
        """On the thread that found it."""
        self._waiting.append(event)
        self._wake()

    def _wake(self) -> None:
        """Whoever waits, on the loop it waits on."""
        with contextlib.suppress(RuntimeError):  # the loop has gone, and with it whoever waited
            self._loop.call_soon_threadsafe(self._news.set)

    def _end(self) -> None:
        self._subscription.close()
        self._closed = True
        self._wake()


class AsyncHeartbeatService:
    """A `HeartbeatService` whose calls are awaited.

    Every method does what the one of the same name does, with its arguments and errors; ``async with`` stops it at the
    end. A call that is cancelled ends in its thread; only nobody waits for it any more.

    Args:
        storage_or_service: A storage for a service of its own, or a service there is already.
        config: As for `HeartbeatService`.
        options: The keyword arguments of `HeartbeatService`.

    >>> import asyncio
    >>> from heartbeat_kit import MemoryStorage
    >>> async def look():
    ...     async with AsyncHeartbeatService(MemoryStorage(), machine_id="web-1") as service:
    ...         _ = await service.start()
    ...         return (await service.state())["web-1"].status
    >>> asyncio.run(look())
    <MachineStatus.ONLINE: 'online'>
    """

    def __init__(
        self, storage_or_service: Storage | HeartbeatService, config: HeartbeatConfig | None = None, **options: Any
    ) -> None:
        if not isinstance(storage_or_service, HeartbeatService):
            self._service = HeartbeatService(storage_or_service, config, **options)
        elif config is not None or options:
            raise InvalidConfigurationError("the service has its configuration already: pass none")
        else:
            self._service = storage_or_service
        name = f"aio {self._service.machine_id}"
        self._calls, self._waits = DaemonThreads(_THREADS, name), DaemonThreads(_WAITS, f"{name} waits")
        self._ends = DaemonThreads(1, f"{name} ends")  # what hangs in a storage must not hold up stop()
        self._streams: WeakSet[Events] = WeakSet()  # an open one is held by its subscription

    @property
    def service(self) -> HeartbeatService:
        """The service all of it is done by; its own methods may be called from any thread."""
        return self._service

    @property
    def machine_id(self) -> str:
        """Who this machine is."""
        return self._service.machine_id

    @property
    def config(self) -> HeartbeatConfig:
        """The configuration in force."""
        return self._service.config

    @property
    def is_running(self) -> bool:
        """True only while this process really beats in the background."""
        return self._service.is_running

    @property
    def status(self) -> ServiceStatus:
        """What the service is doing now."""
        return self._service.status

    def events(self, *, to: MachineStatus | type | None = None) -> Events:
        """Every event from now on, for ``async for``.

        Args:
            to: As for `HeartbeatService.subscribe`.
        """
        stream = Events(self._service, to)
        self._streams.add(stream)
        return stream

    async def register(
        self, metadata: Mapping[str, Any] | None = None, *, machine_id: str | None = None
    ) -> Registration:
        """Store one heartbeat now."""
        return await self._in_thread(self._service.register, metadata, machine_id=machine_id)

    async def check(self, *, force: bool = False) -> CheckReport:
        """Look at everybody, announce what changed."""
        return await self._in_thread(self._service.check, force=force)

    async def state(self) -> FleetState:
        """Everybody's state now."""
        return await self._in_thread(self._service.state)

    async def start(self, *, progress_timeout: timedelta | None = None) -> ServiceStatus:
        """Beat now, then beat and look in the background."""
        return await self._in_thread(self._service.start, progress_timeout=progress_timeout)

    async def stop(self, *, save_state: bool = True, leave: bool = False) -> ServiceStatus:
        """End the background work, and every stream of events."""
        try:
            return await _on(self._ends, self._service.stop, save_state=save_state, leave=leave)
        finally:
            for stream in tuple(self._streams):
                await stream.aclose()
            self._streams.clear()
            for threads in (self._calls, self._waits, self._ends):
                threads.shutdown()

    async def reconfigure(self, **changes: Any) -> HeartbeatConfig:
        """Change what is given, keep the rest."""
        return await self._in_thread(self._service.reconfigure, **changes)

    async def wait_for(self, machine_id: str, status: MachineStatus | str, timeout: timedelta | float) -> bool:
        """Wait until a machine has a status; true if it has."""
        left_ms = require_patience("timeout", timeout)
        clock = self._service.clock
        deadline = clock.now().mono_ms + left_ms
        while True:
            if await _on(self._waits, self._service.wait_for, machine_id, status, min(left_ms / 1000, _SLICE_S)):
                return True
            left_ms = deadline - clock.now().mono_ms
            if left_ms <= 0:
                return False

    async def remove(self, machine_id: str) -> bool:
        """Forget a machine until it beats again."""
        return await self._in_thread(self._service.remove, machine_id)

    async def prune(self, offline_for: timedelta = timedelta(days=1)) -> tuple[str, ...]:
        """Remove the machines that have been offline for so long."""
        return await self._in_thread(self._service.prune, offline_for)

    async def maintenance(self, machine_id: str, start: datetime, end: datetime, reason: str = "") -> MaintenanceWindow:
        """Announce a time in which a machine may be away."""
        return await self._in_thread(self._service.maintenance, machine_id, start, end, reason)

    async def maintenance_windows(self, machine_id: str | None = None) -> tuple[MaintenanceWindow, ...]:
        """The windows there are."""
        return await self._in_thread(self._service.maintenance_windows, machine_id)

    async def end_maintenance(self, machine_id: str) -> tuple[MaintenanceWindow, ...]:
        """End the windows of a machine that hold now."""
        return await self._in_thread(self._service.end_maintenance, machine_id)

    async def history(self, machine_id: str | None = None, since: datetime | None = None) -> tuple[Transition, ...]:
        """The changes of status that were announced, oldest first."""
        return await self._in_thread(self._service.history, machine_id, since)

    async def fleet_history(self, since: datetime | None = None) -> tuple[CascadeDetected | FleetSilent, ...]:
        """The events about the fleet as a whole, oldest first."""
        return await self._in_thread(self._service.fleet_history, since)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *exc: object) -> None:
        await asyncio.shield(self.stop())

    def __repr__(self) -> str:
        return f"<AsyncHeartbeatService of {self._service!r}>"

    async def _in_thread(self, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
        return await _on(self._calls, call, *args, **kwargs)


async def _on(threads: DaemonThreads, call: Callable[_P, _T], *args: _P.args, **kwargs: _P.kwargs) -> _T:
    return await asyncio.get_running_loop().run_in_executor(threads, partial(call, *args, **kwargs))
