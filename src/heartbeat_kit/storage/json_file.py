"""`JsonFileStorage`: one file for the fleet of one host, which people can read.

Owns the abilities and their locking. Must not know the file's layout (`_document`), nor how it is kept safe
(`_document_file`).
"""

from __future__ import annotations

import contextlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Any, Final

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._times import span_ms
from heartbeat_kit.errors import InvalidConfigurationError, StorageClosedError, StorageCorruptError
from heartbeat_kit.storage._document_file import DocumentFile, Look
from heartbeat_kit.storage._file_ledger import FileLedger, LedgerTransaction
from heartbeat_kit.storage._files import given_directory, replace_file
from heartbeat_kit.storage._keeps_ledger import KeepsLedger
from heartbeat_kit.storage._ledger_state import LedgerState
from heartbeat_kit.storage._locks import ProcessLock, unavailable
from heartbeat_kit.storage._probing import probe_directory
from heartbeat_kit.storage._protocol import Probe, Snapshot, StorageTraits

__all__ = ["JsonFileStorage"]

_LOCK_TIMEOUT: Final = timedelta(seconds=5)


class JsonFileStorage(KeepsLedger):
    """Heartbeats in `heartbeats.json`: one host, many processes, up to about a thousand machines.

    Every process of the host may write; an operating system lock (``.lock``) makes them take turns, and a reader
    always sees a whole file. Offers every ability a storage
    can.

    Args:
        directory: An existing folder on a local disk.
        create: Make the folder if it is missing.
        must_exist: Refuse a missing folder; without it one that is mounted later is waited for.
        durable: Flush each heartbeat to the disk, so that it survives a power cut and not only a crash. What is
            announced (the ledger) is always flushed.
        lock_timeout: How long a write waits for other writers.

    Raises:
        InvalidConfigurationError: The directory cannot be the one that was meant.

    >>> import tempfile
    >>> folder = tempfile.TemporaryDirectory()
    >>> storage = JsonFileStorage(folder.name)
    >>> beat = Heartbeat(machine_id="web-1", last_heartbeat=0, incarnation=1, seq=1, interval=30_000)
    >>> storage.put(beat) is beat
    True
    >>> list(JsonFileStorage(folder.name).load().heartbeats)
    ['web-1']
    >>> storage.close(); folder.cleanup()
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        create: bool = False,
        must_exist: bool = True,
        durable: bool = False,
        lock_timeout: timedelta = _LOCK_TIMEOUT,
    ) -> None:
        if not isinstance(lock_timeout, timedelta) or span_ms(lock_timeout) < 0:
            raise InvalidConfigurationError(f"lock_timeout is {lock_timeout!r}: expected a timedelta of zero or more")
        self._directory = str(given_directory(directory, create=create, must_exist=must_exist))
        self.traits = StorageTraits(
            durable=True,
            cross_process=True,
            cross_host=False,
            coherent=True,
            location=f"json:{os.path.realpath(self._directory)}",
        )
        self._durable = durable
        self._file = DocumentFile(self._directory)
        self._lock = ProcessLock(os.path.join(self._directory, ".lock"), span_ms(lock_timeout) / 1000)
        self._service_path = os.path.join(self._directory, "heartbeat-service.json")
        self._ledger: FileLedger = FileLedger(self, self._directory)
        self._closed = False

    def __repr__(self) -> str:
        return f"<JsonFileStorage {self._directory}>"

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Store a heartbeat unless a newer one is stored; return what is stored now."""
        return self.put_many((heartbeat,))[0]

    def put_many(self, heartbeats: Sequence[Heartbeat]) -> tuple[Heartbeat, ...]:
        """Store each heartbeat unless a newer one is stored, all in one write; return what is stored now of each."""
        with self._writing() as look:
            document, stored = look.document, []
            for heartbeat in heartbeats:
                known = document.heartbeats.get(heartbeat.machine_id)
                if known is None or known.order < heartbeat.order:
                    self._file.learn(heartbeat)
                    document, known = document.with_heartbeat(heartbeat), heartbeat
                stored.append(known)
            if document is not look.document or (look.damage is not None and stored):  # late beats heal a file as well
                newest_ms = max(heartbeat.last_heartbeat_ms for heartbeat in heartbeats)
                self._file.write(look, document, newest_ms, durable=self._durable)
            return tuple(stored)

    def get(self, machine_id: str) -> Heartbeat | None:
        """The stored record of one machine, or ``None`` if there is none that can be read."""
        return self.load().heartbeats.get(normalize_machine_id(machine_id))

    def load(self) -> Snapshot:
        """Everything stored now. The same object as before while the file is unchanged.

        Raises:
            StorageUnavailableError: The directory or the file cannot be read.
            StorageCorruptError: The file is damaged and so is its last good copy.
        """
        self._check_open()
        return self._file.document().snapshot

    def remove(self, machine_id: str) -> bool:
        """Forget a machine, also one whose record cannot be read; true if it was there."""
        wanted = normalize_machine_id(machine_id)
        with self._writing() as look:
            document = look.document.without(wanted)
            if document is look.document:
                return False
            self._file.write(look, document, _newest_ms(look), durable=self._durable)
            return True

    def probe(self, machine_id: str = "") -> Probe:  # noqa: ARG002 - all are in one file
        """Write a temporary file beside the heartbeats, under the writers' lock if there is one; see `HealthProbe`."""
        self._check_open()
        with self._lock.held_if_there(), unavailable(f"writing in {self._directory}"):
            look = self._file.look()
            trouble = "" if look.damage is None else f"{self._file.path} is damaged ({look.damage})"
            if trouble and look.lost is None:
                trouble += "; the last good copy is read instead, and the next heartbeat mends it"
            if look.troubles:
                trouble = f"{self._file.path} is damaged in part ({'; '.join(look.troubles)})"
            return probe_directory(self._directory, trouble, record="heartbeats.json")

    def close(self) -> None:
        """Let go of undelivered events, so that others may take them over. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._ledger.close()

    def save_service(self, record: Mapping[str, Any]) -> None:
        """Keep the configuration a service runs with in `heartbeat-service.json`."""
        data = json.dumps(dict(record), indent=2, allow_nan=False) + "\n"
        self._check_open()
        with self._lock.held(), unavailable(f"writing {self._service_path}"):
            replace_file(self._service_path, data.encode(), durable=self._durable)

    def load_service(self) -> dict[str, Any] | None:
        """The configuration kept last, or ``None``.

        Raises:
            StorageCorruptError: The file holds no JSON object; the next `save_service` replaces it.
        """
        self._check_open()
        with unavailable(f"reading {self._service_path}"):
            try:
                with open(self._service_path, "rb") as file:
                    data = file.read()
            except FileNotFoundError:
                return None
        try:
            record = json.loads(data)
        except (ValueError, RecursionError) as error:
            raise StorageCorruptError(f"{self._service_path} is not JSON ({error}): delete it or restart") from error
        if not isinstance(record, dict):
            raise StorageCorruptError(f"{self._service_path} holds no JSON object: delete it or restart the service")
        return record

    def state(self) -> LedgerState:
        """The ledger in force, as one value; see `LedgerPlace`."""
        self._check_open()
        return self._file.document().ledger

    @contextlib.contextmanager
    def transaction(self) -> Iterator[LedgerTransaction]:
        """Hold the lock of all processes; see `LedgerPlace`."""
        with self._writing() as look:

            def write(ledger: LedgerState) -> None:
                self._file.write(look, look.document.with_ledger(ledger), _newest_ms(look), durable=True)

            yield LedgerTransaction(state=look.document.ledger, write=write)

    @contextlib.contextmanager
    def _writing(self) -> Iterator[Look]:
        self._check_open()
        with self._lock.held(), unavailable(f"writing in {self._directory}"):
            yield self._file.look()

    def _check_open(self) -> None:
        if self._closed:
            raise StorageClosedError("this storage was closed: open a new one")


def _newest_ms(look: Look) -> int:
    return max((record.last_heartbeat_ms for record in look.document.heartbeats.values()), default=0)
