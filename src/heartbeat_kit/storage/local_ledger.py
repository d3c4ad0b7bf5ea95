"""`LocalLedger`: what one host announced and saw, for storages that cannot compare and set.

Owns `ledger.json` and the history beside it, in a state directory on local disk. Must not know the shared storage:
an observer of a synced folder writes here and never there.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import attrs

from heartbeat_kit._events import Reason
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import from_iso, to_iso
from heartbeat_kit.errors import InvalidHeartbeatError, StorageClosedError
from heartbeat_kit.storage._cached_file import read_content, rising
from heartbeat_kit.storage._codec import SCHEMA_VERSION
from heartbeat_kit.storage._copies import set_aside
from heartbeat_kit.storage._file_ledger import FileLedger, LedgerTransaction
from heartbeat_kit.storage._files import Signature, remove_stale_temps, replace_file, signature
from heartbeat_kit.storage._keeps_ledger import KeepsLedger
from heartbeat_kit.storage._ledger_state import EMPTY_LEDGER, FORGET_MS, LedgerReader, LedgerState
from heartbeat_kit.storage._ledger_text import LedgerWriter, compact
from heartbeat_kit.storage._locks import ProcessLock, unavailable
from heartbeat_kit.storage._probing import nearest_directory, probe_directory
from heartbeat_kit.storage._protocol import Observation, Probe
from heartbeat_kit.storage._reuse import Reuse

__all__ = ["LocalLedger"]

_log = logging.getLogger("heartbeat_kit")
_LOCK_SECONDS: Final = 5.0


@attrs.frozen(kw_only=True)
class _Content:
    signature: Signature | None = None
    ledger: LedgerState = EMPTY_LEDGER
    observations: Mapping[str, Observation] = MappingProxyType({})
    damage: str | None = None
    troubles: tuple[str, ...] = ()


class LocalLedger(KeepsLedger):
    """A ledger in a directory of this host, for every process of the host.

    Offers `SharedLedger`, `EventLog`, `MaintenanceCalendar` and `ObservationLog`.

    A missing or damaged file is a first run: nothing was announced. A damaged one is set aside by the next write.

    Args:
        directory: On local disk; made with mode 0700 at the first write.
    """

    def __init__(self, directory: Path) -> None:
        self._directory = Path(directory).absolute()
        self._path = str(self._directory / "ledger.json")
        self._lock = ProcessLock(str(self._directory / ".lock"), _LOCK_SECONDS)
        self._reader = LedgerReader()
        self._writer = LedgerWriter()
        self._seen_before: Reuse[Observation] = Reuse(_observation)
        self._content = _Content()
        self._reported: Signature | None = None
        self._tidy = False
        self._closed = False
        self._ledger: FileLedger = FileLedger(self, str(self._directory), mode=0o600)

    def __repr__(self) -> str:
        return f"<LocalLedger {self._directory}>"

    def observations(self) -> Mapping[str, Observation]:
        """When this host saw each machine's newest record rise, by machine id. The mapping never changes."""
        return self._read().observations

    def note(self, observations: Mapping[str, Observation]) -> None:
        """Keep observations; one of an older record than the stored one is passed over.

        Raises:
            StorageUnavailableError: Nothing was stored.
        """
        if not _news(observations, self._read().observations):
            return
        with self._locked() as content, unavailable(f"writing {self._path}"):
            if news := _news(observations, content.observations):
                self._write(content, content.ledger, _kept(content.observations, news, content.ledger))

    def probe(self, machine_id: str = "") -> Probe:  # noqa: ARG002 - it is one observer's
        """Write a temporary file where the ledger is, or will be; see `HealthProbe`."""
        content = self._read()
        trouble = f"{self._path} is damaged ({content.damage}): nothing announced is known" if content.damage else ""
        if content.troubles:
            trouble = f"{self._path} is damaged in part ({'; '.join(content.troubles)})"
        with self._lock.held_if_there(), unavailable(f"writing in the state directory {self._directory}"):
            return probe_directory(nearest_directory(str(self._directory)), trouble)

    def close(self) -> None:
        """Let go of undelivered events, so that others may take them over. Safe to call twice."""
        if not self._closed:
            self._closed = True
            self._ledger.close()

    def state(self) -> LedgerState:
        """The stored ledger as one value."""
        return self._read().ledger

    @contextlib.contextmanager
    def transaction(self) -> Iterator[LedgerTransaction]:
        """Hold the lock of all processes; see `LedgerPlace`."""
        with self._locked() as content:
            yield LedgerTransaction(
                state=content.ledger, write=lambda ledger: self._write(content, ledger, content.observations)
            )

    @contextlib.contextmanager
    def _locked(self) -> Iterator[_Content]:
        self._check_open()
        with unavailable(f"making the state directory {self._directory}"):
            self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        with self._lock.held():
            yield self._read()

    def _check_open(self) -> None:
        if self._closed:
            raise StorageClosedError("this ledger was closed: open a new one")

    def _read(self) -> _Content:
        self._check_open()
        with unavailable(f"reading {self._path}"):
            try:
                if signature(os.stat(self._path)) == self._content.signature:
                    return self._content
                found = read_content(self._path)
            except FileNotFoundError:
                self._content = _Content()
                return self._content
        content = self._content = self._parsed(found.signature, found.data)
        return content

    def _parsed(self, stamp: Signature, data: bytes) -> _Content:
        try:
            record = _object(data)
        except (ValueError, RecursionError) as error:
            self._report(stamp, f"it is not a ledger ({error}); continuing as on a first run")
            return _Content(signature=stamp, damage=str(error))
        observations: dict[str, Observation] = {}
        stored = record.get("observations")
        for key, raw in stored.items() if isinstance(stored, dict) else ():
            with contextlib.suppress(InvalidHeartbeatError):  # unknown is a state an observer is used to
                observations[key] = self._seen_before(key, raw)
        troubles: list[str] = []
        ledger = self._reader.read(record, troubles.append)
        for trouble in troubles:
            self._report(stamp, trouble)
        return _Content(
            signature=stamp, ledger=ledger, observations=MappingProxyType(observations), troubles=tuple(troubles)
        )

    def _report(self, stamp: Signature, trouble: str) -> None:
        if self._reported != stamp:
            self._reported = stamp
            _log.error("%s is damaged: %s", self._path, trouble)

    def _write(self, before: _Content, ledger: LedgerState, observations: Mapping[str, Observation]) -> None:
        if before.damage is not None:
            _log.error("%s was damaged; it is kept as %s", self._path, set_aside(self._path))
        seen = ",\n".join(f"{compact(key)}:{compact(_record(noted))}" for key, noted in observations.items())
        text = f'{{"schemaVersion":{SCHEMA_VERSION},{self._writer.members(ledger)},\n"observations":{{{seen}}}}}\n'
        stat = replace_file(self._path, text.encode(), durable=True, mode=0o600)
        self._content = _Content(
            signature=rising(self._path, stat, before.signature),
            ledger=ledger,
            observations=MappingProxyType(dict(observations)),
        )
        if not self._tidy:
            self._tidy = True
            remove_stale_temps(str(self._directory), stat.st_mtime_ns)


def _object(data: bytes) -> dict[str, Any]:
    record = json.loads(data)
    if not isinstance(record, dict):
        raise ValueError(f"expected a JSON object, found {type(record).__name__}")  # noqa: TRY004 - as if not JSON
    return record


def _news(given: Mapping[str, Observation], stored: Mapping[str, Observation]) -> dict[str, Observation]:
    return {
        key: seen
        for key, seen in given.items()
        if (known := stored.get(key)) is None or (seen != known and seen.order >= known.order)
    }


def _kept(
    before: Mapping[str, Observation], news: Mapping[str, Observation], ledger: LedgerState
) -> Mapping[str, Observation]:
    """Without those of machines that nobody announced, or that were removed, for longer than `FORGET_MS`."""
    limit_ms = max(seen.seen_ms for seen in news.values()) - FORGET_MS  # others may be of a clock that was ahead
    present = {name for name, entry in ledger.entries.items() if entry.reason is not Reason.REMOVED}
    return {name: seen for name, seen in {**before, **news}.items() if seen.seen_ms >= limit_ms or name in present}


def _record(seen: Observation) -> dict[str, Any]:
    more: dict[str, Any] = {"silent": seen.silent_ms, "interval": seen.interval_ms, "skew": seen.skew_ms}
    if seen.candidate is not None:
        more |= {"candidate": str(seen.candidate), "agreed": seen.agreed}
    given = {name: value for name, value in more.items() if value}
    if not seen.rose:
        given["rose"] = False
    return {"incarnation": seen.incarnation, "seq": seen.seq, "seen": to_iso(seen.seen_ms), **given}


def _observation(_: str, raw: Any) -> Observation:
    try:
        seen, skew, candidate = from_iso(raw["seen"]), raw.get("skew", 0), raw.get("candidate")
        status = None if candidate is None else MachineStatus(candidate)
        numbers = [raw["incarnation"], raw["seq"], raw.get("silent", 0), raw.get("interval", 0), raw.get("agreed", 0)]
    except (AttributeError, KeyError, TypeError, ValueError, OverflowError) as error:
        raise InvalidHeartbeatError(f"unsound observation: {error}") from error
    if type(skew) is not int or any(type(number) is not int or not 0 <= number < 2**63 for number in numbers):
        raise InvalidHeartbeatError(f"unsound observation: {raw!r:.200}")
    incarnation, seq, silent, interval, agreed = numbers
    return Observation(
        incarnation=incarnation,
        seq=seq,
        seen_ms=seen,
        silent_ms=silent,
        interval_ms=interval,
        skew_ms=skew,
        rose=raw.get("rose") is not False,
        candidate=status,
        agreed=agreed,
    )
