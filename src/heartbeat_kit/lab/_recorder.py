"""`Recorder`: writes down what a running service sees, while it runs.

Owns the difference between two looks, the buffer and the file. Its own troubles end the recording, never a look.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from collections.abc import Callable, Mapping
from typing import Any, Protocol, Self

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._results import ServiceStatus
from heartbeat_kit._watcher import Sighting
from heartbeat_kit.errors import InvalidConfigurationError, StorageUnavailableError
from heartbeat_kit.lab._trace import ObserverFacts, TraceLook
from heartbeat_kit.lab._trace_text import LookEncoder, encode_header
from heartbeat_kit.storage import Snapshot, Storage

__all__ = ["Recorder"]

_log = logging.getLogger("heartbeat_kit")


class _Tapped(Protocol):
    def close(self) -> None: ...


class _Service(Protocol):
    """What a recorder needs of a `HeartbeatService`."""

    @property
    def machine_id(self) -> str: ...
    @property
    def host(self) -> str: ...
    @property
    def config(self) -> HeartbeatConfig: ...
    @property
    def storage(self) -> Storage: ...
    @property
    def status(self) -> ServiceStatus: ...
    def tap(self, callback: Callable[[Sighting], object]) -> _Tapped: ...


class Recorder:
    """Records every look of a service that saw the storage to a new file, until it is closed.

    One file is one run of one observer: the configuration in force at the beginning is written into its first line,
    and silences that began before are not in it. Lines are written in batches; a process that is killed loses the
    last ones, and the file stays readable. Queries (`HeartbeatService.state`) look too and are recorded as looks.

    Args:
        service: A `HeartbeatService`, started or not.
        path: A file that does not exist yet.
        flush_every: Looks between two writes.

    Raises:
        InvalidConfigurationError: The file is there already, or `flush_every` is no positive whole number.
        StorageUnavailableError: The file cannot be made.

    >>> import tempfile
    >>> from pathlib import Path
    >>> from heartbeat_kit.lab import Recorder, Trace
    >>> from heartbeat_kit.testing import Fleet
    >>> path = Path(tempfile.mkdtemp()) / "observer.trace.jsonl"
    >>> with Fleet(3) as fleet, Recorder(fleet.observer, path):
    ...     fleet.advance(600)
    >>> Trace.load(path)
    <Trace by observer: 4 machines, 20 looks, 9 min 30 s>
    """

    def __init__(self, service: _Service, path: str | os.PathLike[str], *, flush_every: int = 20) -> None:
        if type(flush_every) is not int or flush_every < 1:
            raise InvalidConfigurationError(f"flush_every is {flush_every!r}: expected a positive whole number")
        self._service = service
        self._flush_every = flush_every
        self._pid = os.getpid()
        self._lock = threading.Lock()
        self._encoder = LookEncoder(service.host)
        self._lines: list[bytes] = []
        self._held: Mapping[str, Heartbeat] = {}
        self._unreadable: Mapping[str, str] = {}
        self._looks = 0
        self._failure: str | None = None
        self.path = os.fspath(path)
        """The file."""
        try:
            self._file = open(path, "xb", buffering=0)  # noqa: SIM115 - open until close()
        except FileExistsError as error:
            raise InvalidConfigurationError(
                f"{self.path} is there already: a trace is one run of one observer, give each run a file of its own"
            ) from error
        except OSError as error:
            raise StorageUnavailableError(f"the trace {self.path} cannot be made: {error}") from error
        try:
            self._write(encode_header(ObserverFacts.of(service.machine_id, service.config, service.storage.traits)))
            self._tapped: _Tapped | None = service.tap(self._seen)
        except BaseException as error:
            self._file.close()
            with contextlib.suppress(OSError):
                os.unlink(self.path)  # ours, and empty but for its header: it must not stand in the way of a second try
            if isinstance(error, OSError):
                raise StorageUnavailableError(f"the trace {self.path} cannot be written: {error}") from error
            raise

    @property
    def looks(self) -> int:
        """Looks recorded so far."""
        return self._looks

    @property
    def failure(self) -> str | None:
        """Why the recording ended by itself, or ``None``."""
        return self._failure

    def flush(self) -> None:
        """Write what is still in memory."""
        with self._lock:
            self._guarded(self._flush)

    def close(self) -> None:
        """Write what is left and stop listening in. Safe to call twice; raises nothing, see `failure`."""
        tapped, self._tapped = self._tapped, None
        if tapped is not None:
            tapped.close()
        with self._lock:
            if not self._file.closed and self._pid == os.getpid():
                self._guarded(self._flush)
            self._file.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = f"failed: {self._failure}" if self._failure else "closed" if self._file.closed else "recording"
        return f"<Recorder {self.path}: {self._looks} looks, {state}>"

    def _seen(self, sighting: Sighting) -> None:
        with self._lock:
            if not self._file.closed and self._pid == os.getpid():  # a forked child must not write into our file
                self._guarded(self._record, sighting)

    def _guarded(self, step: Callable[..., None], *args: Any) -> None:
        if self._file.closed:
            return
        try:
            step(*args)
        except Exception as error:  # noqa: BLE001 - the service must not notice
            self._failure = str(error) or type(error).__name__
            with contextlib.suppress(OSError):  # what was seen before is kept, if it was not this that failed
                self._flush()
            self._file.close()
            _log.warning("the recording to %s ends here, the service goes on: %s", self.path, self._failure)

    def _record(self, sighting: Sighting) -> None:
        snapshot, started = sighting.snapshot, sighting.started
        self._lines.append(
            self._encoder.encode(
                TraceLook(
                    started=started,
                    finished=sighting.finished,
                    late_ms=sighting.late_ms,
                    blind=sighting.blind,
                    query=sighting.query,
                    server_ms=snapshot.server_time_ms,
                    records=_changed(self._held, snapshot.heartbeats),
                    gone=tuple(name for name in self._held if name not in snapshot.heartbeats),
                    unreadable=_news(self._unreadable, snapshot),
                )
            )
        )
        self._held, self._unreadable = dict(snapshot.heartbeats), dict(snapshot.unreadable)
        self._looks += 1
        if len(self._lines) >= self._flush_every:
            self._flush()

    def _flush(self) -> None:
        lines, self._lines = self._lines, []
        if lines:
            self._write(b"".join(lines))

    def _write(self, data: bytes) -> None:
        view = memoryview(data)
        while view:
            view = view[self._file.write(view) :]


def _changed(before: Mapping[str, Heartbeat], now: Mapping[str, Heartbeat]) -> tuple[Heartbeat, ...]:
    found = []
    for name, beat in now.items():
        held = before.get(name)
        # A storage serves an unchanged record as the same object, so most of a fleet costs one comparison each.
        if held is not beat and (held is None or _facts(held) != _facts(beat)):
            found.append(beat)
    return tuple(found)


def _facts(beat: Heartbeat) -> tuple[int | None, ...]:
    return (*beat.order, beat.last_heartbeat_ms, beat.interval_ms, beat.first_seen_ms, beat.left_at_ms)


def _news(before: Mapping[str, str], snapshot: Snapshot) -> tuple[tuple[str, str | None], ...]:
    now = snapshot.unreadable
    if now == before:
        return ()
    worse = [(name, reason) for name, reason in now.items() if before.get(name) != reason]
    return (*worse, *((name, None) for name in before if name not in now))
