"""Reading a trace, from a file that anything may have happened to.

Owns every check of a line. What is read again is what was recorded, or nothing.
"""

from __future__ import annotations

import json
import os
from typing import Any, Final, NoReturn

from heartbeat_kit._clock import Instant
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import DamagedTraceError, HeartbeatKitError, StorageUnavailableError
from heartbeat_kit.lab._trace import OWN_HOST, ObserverFacts, Trace, TraceLook
from heartbeat_kit.lab._trace_text import FORMAT, HEADER, ORIGIN, SCHEMA_VERSION, Rest

__all__ = ["load_trace"]

_LIMIT: Final = 2**53
"""Every number of a trace is below what any JSON reader keeps exactly."""
_LOOK: Final = frozenset("twdelbqsrgu")


_SETTINGS: Final = {
    "heartbeat_interval": ("heartbeatInterval", 1),
    "offline_timeout": ("offlineTimeout", 1),
    "check_interval": ("checkInterval", 1),
    "silence_hold": ("silenceHold", 0),
    "confirm_offline": ("confirmOffline", 1),
    "confirm_online": ("confirmOnline", 1),
    "cascade_threshold": ("cascadeThreshold", 1),
    "cascade_window": ("cascadeWindow", 1),
}


def load_trace(path: str | os.PathLike[str]) -> Trace:
    """See `Trace.load`."""
    try:
        with open(path, "rb") as file:
            *lines, tail = file.read().split(b"\n")
    except OSError as error:
        raise StorageUnavailableError(f"the trace {os.fspath(path)} cannot be read: {error}") from error
    cut = bool(tail)
    if not lines:
        _damaged(path, 1, "the file is empty" if not tail else "the header is cut", "expected the header of a trace")
    facts = _facts(path, _parsed(path, 1, lines[0]))
    decoder = _Decoder(path)
    looks = [decoder.look(number, _parsed(path, number, line)) for number, line in enumerate(lines[1:], start=2)]
    return Trace(facts=facts, looks=tuple(looks), cut=cut)


def _facts(path: str | os.PathLike[str], said: dict[str, Any]) -> ObserverFacts:
    if said.get("format") != FORMAT:
        _damaged(path, 1, f"format is {said.get('format')!r:.80}", f"expected {FORMAT!r}: this is no trace")
    version = said.get("schemaVersion")
    if type(version) is int and version > SCHEMA_VERSION:
        _damaged(
            path,
            1,
            f"schemaVersion is {version}",
            f"this release reads up to {SCHEMA_VERSION}: use a newer release of heartbeat-kit",
        )
    if version != SCHEMA_VERSION or type(version) is not int:
        _damaged(path, 1, f"schemaVersion is {version!r:.80}", f"expected {SCHEMA_VERSION}")
    if wrong := sorted(set(HEADER) ^ said.keys()):
        _damaged(path, 1, f"the header lacks or adds {', '.join(wrong):.200}", f"expected {', '.join(HEADER)}")
    if not isinstance(said["expected"], list) or not all(isinstance(name, str) for name in said["expected"]):
        _damaged(path, 1, f"expected is {said['expected']!r:.80}", "expected a list of machine ids")
    for name in ("sharedClock", "coherent"):
        if type(said[name]) is not bool:
            _damaged(path, 1, f"{name} is {said[name]!r:.80}", "expected true or false")
    try:
        if normalize_machine_id(said["observer"]) != said["observer"]:
            raise ValueError(f"observer is {said['observer']!r:.80}: expected a normalised machine id")  # noqa: TRY301
        facts = ObserverFacts(
            observer=said["observer"],
            shared_clock=said["sharedClock"],
            coherent=said["coherent"],
            propagation_delay=None
            if said["propagationDelay"] is None
            else _number(path, 1, "propagationDelay", said["propagationDelay"], least=0),
            expected=tuple(said["expected"]),
            **{name: _number(path, 1, key, said[key], least=least) for name, (key, least) in _SETTINGS.items()},
        )
        _ = facts.config, facts.traits  # what no service could have run with is damage
    except DamagedTraceError:
        raise
    except (ValueError, HeartbeatKitError) as error:
        raise _error(path, 1, str(error), "expected what an observer can run with") from error
    return facts


class _Decoder:
    def __init__(self, path: str | os.PathLike[str]) -> None:
        self._path = path
        self._last: Instant | None = None
        self._rests: dict[str, Rest] = {}
        self._held: set[str] = set()
        self._unreadable: set[str] = set()

    def look(self, line: int, said: dict[str, Any]) -> TraceLook:
        if unknown := sorted(said.keys() - _LOOK):
            _damaged(
                self._path, line, f"a look says {', '.join(unknown)!r:.80}", "expected some of t w d e l b q s r g u"
            )
        first, last = self._last is None, self._last or ORIGIN
        passed = self._int(line, said, "t", least=-_LIMIT if first else 0)
        started = Instant(last.wall_ms + passed + self._int(line, said, "w", 0), last.mono_ms + passed)
        took = self._int(line, said, "d", 0, least=0)
        finished = Instant(started.wall_ms + took + self._int(line, said, "e", 0), started.mono_ms + took)
        for name, value in (("wall clock", finished.wall_ms), ("monotonic clock", finished.mono_ms)):
            if abs(value) > _LIMIT:
                _damaged(self._path, line, f"the {name} is {value}", "expected a time within the calendar")
        self._last = started
        # What is gone goes first: a machine may be removed and be back under another life in one look.
        gone = self._gone(line, said.get("g", []))
        return TraceLook(
            started=started,
            finished=finished,
            late_ms=self._int(line, said, "l", 0, least=0),
            blind=self._int(line, said, "b", least=0) if "b" in said else None,
            query=bool(self._int(line, said, "q", 0, least=0)),
            server_ms=started.wall_ms + self._int(line, said, "s") if "s" in said else None,
            records=self._records(line, said.get("r", {}), started.wall_ms),
            gone=gone,
            unreadable=self._news_of_unreadable(line, said.get("u", {})),
        )

    def _int(self, line: int, said: dict[str, Any], key: str, default: Any = None, *, least: int = -_LIMIT) -> int:
        return _number(self._path, line, key, said.get(key, default), least=least)

    def _records(self, line: int, said: Any, wall_ms: int) -> tuple[Heartbeat, ...]:
        if not isinstance(said, dict):
            _damaged(self._path, line, f"r is {said!r:.80}", "expected records by machine id")
        return tuple(self._record(line, name, parts, wall_ms) for name, parts in said.items())

    def _record(self, line: int, name: str, parts: Any, wall_ms: int) -> Heartbeat:
        before = self._rests.get(name)
        if not isinstance(parts, list) or not _is_record(parts, short=before is not None):
            _damaged(
                self._path,
                line,
                f"the record of {name!r:.80} is {parts!r:.80}",
                "expected [age, seq] after a whole record, or [age, seq, incarnation, interval, first seen, left at]",
            )
        age = _number(self._path, line, "age", parts[0])
        rest: tuple[Any, ...] = before if before is not None and len(parts) == 2 else tuple(parts[2:])
        try:
            beat = Heartbeat(
                machine_id=name,
                last_heartbeat=wall_ms - age,
                seq=parts[1],
                incarnation=rest[0],
                interval=rest[1],
                first_seen=rest[2],
                left_at=rest[3],
                host=OWN_HOST if len(rest) > 4 else "",
            )
        except HeartbeatKitError as error:
            raise _error(self._path, line, str(error), "expected a record that a machine could write") from error
        if beat.machine_id != name:
            _damaged(self._path, line, f"a record belongs to {name!r:.80}", f"expected {beat.machine_id!r}")
        self._rests[name] = rest
        self._held.add(name)
        return beat

    def _gone(self, line: int, said: Any) -> tuple[str, ...]:
        if not isinstance(said, list) or not all(isinstance(name, str) for name in said):
            _damaged(self._path, line, f"g is {said!r:.80}", "expected a list of machine ids")
        for name in said:
            if name not in self._held:
                _damaged(self._path, line, f"the record of {name!r:.80} is gone", "but there was none: a line is lost")
            self._held.remove(name)
        return tuple(said)

    def _news_of_unreadable(self, line: int, said: Any) -> tuple[tuple[str, str | None], ...]:
        if not isinstance(said, dict) or not all(isinstance(reason, str | None) for reason in said.values()):
            _damaged(self._path, line, f"u is {said!r:.80}", "expected a reason or null by machine id")
        for name, reason in said.items():
            if reason is None and name not in self._unreadable:
                _damaged(self._path, line, f"{name!r:.80} can be read again", "but it always could: a line is lost")
        self._unreadable = (self._unreadable | said.keys()) - {name for name, reason in said.items() if reason is None}
        return tuple(said.items())


def _parsed(path: str | os.PathLike[str], line: int, text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text.decode())
    except (ValueError, RecursionError) as error:
        raise _error(path, line, f"it reads {text[:60]!r}", f"expected a JSON object ({error})") from error
    if not isinstance(value, dict):
        _damaged(path, line, f"it reads {text[:60]!r}", "expected a JSON object")
    return value


def _is_record(parts: list[Any], *, short: bool) -> bool:
    return len(parts) == 6 or (len(parts) == 7 and parts[6] == 1) or (short and len(parts) == 2)


def _number(path: str | os.PathLike[str], line: int, name: str, value: Any, *, least: int = -_LIMIT) -> int:
    if type(value) is not int or not least <= value <= _LIMIT:
        _damaged(path, line, f"{name} is {value!r:.80}", f"expected a whole number of at least {least}")
    return value


def _damaged(path: str | os.PathLike[str], line: int, found: str, expected: str) -> NoReturn:
    raise _error(path, line, found, expected)


def _error(path: str | os.PathLike[str], line: int, found: str, expected: str) -> DamagedTraceError:
    return DamagedTraceError(
        f"line {line} of the trace {os.fspath(path)} is damaged: {found}; {expected}. Lines cannot be left out, "
        "because each builds on the ones before: cut the file before this line to use what comes earlier",
        line=line,
    )
