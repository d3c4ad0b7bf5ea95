"""`Gateway`: the heartbeats of many machines that cannot beat themselves, gathered and stored together.

Owns what was reported and is not stored yet. Must not know status; how a beat is stored is the beater's.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Mapping
from datetime import timedelta
from typing import Any, NamedTuple, Self

import attrs
from attrs import field

from heartbeat_kit import _metadata
from heartbeat_kit._beater import Beater, Due, beat_together
from heartbeat_kit._clock import Instant, Loop
from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._metadata import MetadataText
from heartbeat_kit._observer import Timing
from heartbeat_kit._requirements import require_span
from heartbeat_kit._service import HeartbeatService
from heartbeat_kit._times import span_ms
from heartbeat_kit._words import counted
from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["Flush", "Gateway"]

_log = logging.getLogger("heartbeat_kit")
_STOP_MS = 30_000


class _Report(NamedTuple):
    at: Instant
    metadata: MetadataText | None


@attrs.frozen(kw_only=True)
class Flush:
    """What became of the reports that waited.

    Attributes:
        stored: The machines whose heartbeat is stored, sorted.
        failed: Those whose heartbeat is not, with the reason; the next flush tries again.
        expired: Those whose report waited as long as a silence may be, sorted. It is given up: stored now, it would
            look like a sign of now.
    """

    stored: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    failed: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)

    def __repr__(self) -> str:
        expired = f", {len(self.expired)} expired" if self.expired else ""
        return f"<Flush {len(self.stored)} stored, {len(self.failed)} failed{expired}>"


class Gateway:
    """Gathers what machines report and stores it together, each machine at most once in every `every`.

    For sensors, printers, containers: whatever reports to one process by its own way, and has no file system to beat
    into. `report` does no I/O. A heartbeat carries the time at which its machine reported, not that of the flush, and
    never takes the place of a later one, whoever stored that. A storage that can store many in one write does
    (`BulkWriter`); into a folder each machine has its own file.

    ``with gateway:`` flushes in the background, driven by the clock of the service, and once more at the end.

    Args:
        service: Whose storage, clock and host; it need not run.
        every: The time between two flushes; by default a third of the heartbeat interval.
        interval: The beat the machines promise; by default the service's. It has to be longer than their own time
            between reports and `every` together.

    Raises:
        InvalidConfigurationError: A length that cannot be, or an `every` longer than the interval.

    >>> from heartbeat_kit import MemoryStorage
    >>> service = HeartbeatService(MemoryStorage(), machine_id="gateway")
    >>> gateway = Gateway(service)
    >>> for celsius in (20, 21, 22):
    ...     gateway.report("sensor-1", {"celsius": celsius})
    >>> gateway.report("sensor-2")
    >>> gateway.flush()
    <Flush 2 stored, 0 failed>
    >>> service.state()["sensor-1"].metadata
    {'celsius': 22}
    """

    def __init__(
        self, service: HeartbeatService, *, every: timedelta | None = None, interval: timedelta | None = None
    ) -> None:
        promised = require_span("interval", interval)
        self._interval_ms = span_ms(service.config.heartbeat_interval) if promised is None else promised
        self._every_ms = require_span("every", every) or max(self._interval_ms // 3, 1)
        if self._every_ms > self._interval_ms:
            raise InvalidConfigurationError(
                f"every is {self._every_ms / 1000:g} s, longer than the beat of {self._interval_ms / 1000:g} s that is "
                "promised: flush more often, or promise less"
            )
        self._service = service
        self._clock = service.clock
        self._beaters: dict[str, Beater] = {}
        self._waiting: dict[str, _Report] = {}
        self._lock, self._flushing, self._lifecycle = threading.Lock(), threading.Lock(), threading.Lock()
        self._loop: Loop | None = None
        self._due_ms = 0
        self._was_failing = False

    @property
    def pending(self) -> tuple[str, ...]:
        """The machines whose report is not stored yet, sorted."""
        with self._lock:
            return tuple(sorted(self._waiting))

    def report(self, machine_id: str, metadata: Mapping[str, Any] | None = None) -> None:
        """A machine is alive now; stored by the next flush. From any thread, without any I/O.

        Args:
            machine_id: Which.
            metadata: A JSON object to send from now on; None keeps what was sent before.

        Raises:
            InvalidMachineIdError, InvalidMetadataError: Nothing was noted.
            InvalidConfigurationError: It is the machine of the service, which beats by itself.
        """
        name = normalize_machine_id(machine_id)
        if name == self._service.machine_id:
            raise InvalidConfigurationError(f"{name} is this machine: its own service beats for it")
        text = None if metadata is None else _metadata.encode(metadata)
        with self._lock:
            before = self._waiting.get(name)
            if text is None and before is not None:
                text = before.metadata
            self._waiting[name] = _Report(self._clock.now(), text)

    def flush(self) -> Flush:
        """Store everything that waits now. What fails waits on, unless its machine reported again meanwhile."""
        with self._flushing:
            with self._lock:
                reports = dict(self._waiting)
            storage, host = self._service.storage, self._service.host
            timeout_ms = Timing.of(self._service.config, storage.traits).timeout_for(self._interval_ms)
            due = []
            for name, report in reports.items():
                beater = self._beaters.setdefault(name, Beater(storage, name, host))
                due.append(Due(name, beater, *report))
            failed, expired = beat_together(storage, due, self._interval_ms, self._clock.now, timeout_ms)
            with self._lock:
                for name, report in reports.items():
                    if name not in failed and self._waiting.get(name) is report:
                        del self._waiting[name]
        return Flush(
            stored=tuple(sorted(reports.keys() - failed.keys() - expired)),
            expired=tuple(sorted(expired)),
            failed={name: str(error) or type(error).__name__ for name, error in sorted(failed.items())},
        )

    def start(self) -> None:
        """Flush in the background from now on; nothing happens if it does already."""
        with self._lifecycle:
            if self._loop is None or not self._loop.is_alive:
                self._due_ms = self._clock.now().mono_ms
                self._loop = self._clock.loop(self._step, name=f"heartbeat-gateway-{self._service.machine_id}")

    def stop(self) -> Flush:
        """End the background work, and flush once more, unless a flush under way hangs."""
        with self._lifecycle:
            loop, self._loop = self._loop, None
        if loop is not None and not loop.stop(_STOP_MS):
            return Flush(
                failed=dict.fromkeys(self.pending, "a flush in the background does not end: the storage hangs")
            )
        return self.flush()

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def __repr__(self) -> str:
        running = "running" if self._loop is not None and self._loop.is_alive else "not running"
        return f"<Gateway of {self._service.machine_id}, {running}, {counted(len(self.pending), 'report')} pending>"

    def _step(self) -> int:
        now_ms = self._clock.now().mono_ms
        if now_ms >= self._due_ms:
            self._due_ms = now_ms + self._every_ms
            try:
                done = self.flush()
            except Exception:  # noqa: BLE001 - the loop goes on
                _log.exception("a flush of a gateway failed; the next one tries again")
                return self._due_ms
            if done.failed and not self._was_failing:
                name, why = next(iter(done.failed.items()))
                _log.warning("%s of a gateway pending, %s: %s", counted(len(done.failed), "heartbeat"), name, why)
            if done.expired:
                _log.warning("%s of a gateway expired, %s", counted(len(done.expired), "report"), done.expired[0])
            self._was_failing = bool(done.failed)
        return self._due_ms
