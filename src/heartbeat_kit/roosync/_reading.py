"""Reading RooSync's files: what each says, and what cannot be understood.

Owns the two layouts and their mess. Opens files to read them and in no other way. Must not know which of several
records is believed, nor a storage.

Release 3.0 kept one file, ``heartbeats.json`` or ``heartbeat.json``, with all machines; release 3.1 a file for each in
a folder ``heartbeats``. Beside them lie what sync clients and killed writers left: empty files, copies made in a
conflict, temporaries ``<id>.json.tmp-<pid>-<ms>`` whose rename never came. A temporary or a copy that can be read is as
good a sign of life as any.
"""

from __future__ import annotations

import json
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._times import MAX_MS, MIN_MS, from_iso
from heartbeat_kit.errors import HeartbeatKitError, InvalidConfigurationError

__all__ = ["FOLDER", "Evidence", "Source", "read_source", "source_path"]

_FLEET: Final = re.compile(r"heartbeats?(?!-service).*\.json(?:\.tmp-.*)?", re.IGNORECASE | re.DOTALL)
"""``heartbeats.json`` and ``heartbeat.json``, and what sync clients and killed writers left beside them."""
_CONFIG: Final = "heartbeat-service.json"
_LONGEST_MS: Final = 86_400_000
"""Nobody promised to beat less than once a day; a longer interval is a damaged one."""
FOLDER: Final = "heartbeats"
_LIMIT: Final = 16 << 20
_RECORD: Final = re.compile(r"(?P<stem>.+?)\.json(?:\.tmp-.*)?$", re.IGNORECASE | re.DOTALL)
_OWN_FIELDS: Final = frozenset({"firstSeen", "lastUpdated"})
"""What the record itself says; all else of the metadata is the sender's."""


class Evidence(NamedTuple):
    """One record of one machine.

    Attributes:
        file: Where it was, relative to the source.
        machine_id: As the record says, normalised.
        stamp_ms: Its ``lastHeartbeat`` (epoch milliseconds).
        written_ms: When the file was written last, by its medium.
        first_seen_ms: When the machine registered first, if the record says so.
        metadata: The sender's.
    """

    file: str
    machine_id: str
    stamp_ms: int
    written_ms: int
    first_seen_ms: int | None
    metadata: Mapping[str, Any]


class Source(NamedTuple):
    """All that was read.

    Attributes:
        evidence: Every record that could be understood.
        unreadable: What could not, by file (and machine, in a file of several), with the reason.
        interval_ms: The beat the service was set to, if its configuration is there.
    """

    evidence: tuple[Evidence, ...]
    unreadable: dict[str, str]
    interval_ms: int | None


def read_source(source: str | os.PathLike[str]) -> Source:
    """Read a shared folder of RooSync, its folder ``heartbeats``, or one of its files.

    Raises:
        InvalidConfigurationError: There is nothing of the kind.
    """
    root, reader = source_path(source), _Reader()
    kind = _kind(root)
    if stat.S_ISREG(kind):
        reader.fleet_or_record(root, root.name)
    elif stat.S_ISDIR(kind):
        inner = root / FOLDER
        for folder, prefix in ((root, ""), (inner, f"{FOLDER}/")):
            is_records = folder is inner or (root.name.lower() == FOLDER and not inner.is_dir())
            reader.folder(folder, prefix, is_records=is_records)
    else:
        raise InvalidConfigurationError(f"{str(root)!r:.200} is not there: give the shared folder of RooSync")
    if not (reader.evidence or reader.unreadable):
        raise InvalidConfigurationError(
            f"no heartbeat of RooSync is in {str(root)!r:.200}: expected heartbeats.json, heartbeat.json or a folder "
            "heartbeats"
        )
    return Source(tuple(reader.evidence), reader.unreadable, reader.interval_ms)


def source_path(source: str | os.PathLike[str]) -> Path:
    """Where the source is."""
    return Path(os.path.expanduser(os.fspath(source)))


def _kind(root: Path) -> int:
    try:
        return os.stat(root).st_mode
    except FileNotFoundError:
        return 0
    except (OSError, ValueError) as error:
        raise InvalidConfigurationError(f"{str(root)!r:.200} cannot be looked at: {error}") from error


class _Reader:
    def __init__(self) -> None:
        self.evidence: list[Evidence] = []
        self.unreadable: dict[str, str] = {}
        self.interval_ms: int | None = None

    def folder(self, folder: Path, prefix: str, *, is_records: bool) -> None:
        try:
            names = sorted(os.listdir(folder))
        except FileNotFoundError:
            return
        except OSError as error:
            self.unreadable[prefix or "."] = error.strerror or str(error)
            return
        for name in names:
            shown = prefix + name
            if os.path.islink(folder / name):
                self.unreadable[shown] = "a link, which may lead anywhere"
            elif name.lower() == _CONFIG:
                self._config(folder / name, shown)
            elif (is_records and _RECORD.match(name)) or _FLEET.fullmatch(name):
                self.fleet_or_record(folder / name, shown)

    def fleet_or_record(self, path: Path, shown: str) -> None:
        found = self._json(path, shown)
        if found is None:
            return
        record, written_ms = found
        fleet = record.get("heartbeats")
        if isinstance(fleet, dict):
            for key, each in fleet.items():
                self._take(each, f"{shown}: {key}", key, written_ms)
            return
        match = _RECORD.match(path.name)
        self._take(record, shown, match["stem"] if match else path.stem, written_ms)

    def _take(self, record: Any, shown: str, name: str, written_ms: int) -> None:
        try:
            self.evidence.append(_evidence(record, shown, name, written_ms))
        except (ValueError, HeartbeatKitError) as error:
            self.unreadable[shown] = str(error)
            return
        metadata = record.get("metadata")
        if not isinstance(metadata, dict | None):
            found = type(metadata).__name__
            self.unreadable[f"{shown}: metadata"] = f"a JSON {found}, where an object is expected; left out"

    def _config(self, path: Path, shown: str) -> None:
        found = self._json(path, shown)
        if found is None:
            return
        record = found[0].get("config", found[0])
        interval = record.get("heartbeatInterval") if isinstance(record, dict) else None
        if type(interval) is int and 0 < interval <= _LONGEST_MS:
            self.interval_ms = interval

    def _json(self, path: Path, shown: str) -> tuple[dict[str, Any], int] | None:
        try:
            data, written_ms = _read(path)
            record = json.loads(data.decode("utf-8-sig"))
        except OSError as error:
            self.unreadable[shown] = error.strerror or str(error)
        except (ValueError, RecursionError) as error:
            self.unreadable[shown] = f"no JSON: {error}"
        else:
            if isinstance(record, dict):
                return record, written_ms
            self.unreadable[shown] = f"a JSON {type(record).__name__}, where an object is expected"
        return None


def _read(path: Path) -> tuple[bytes, int]:
    handle = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0))
    with os.fdopen(handle, "rb") as file:
        found = os.fstat(file.fileno())
        if not stat.S_ISREG(found.st_mode):
            raise OSError(0, "no regular file")
        data = file.read(_LIMIT + 1)
    if len(data) > _LIMIT:
        raise OSError(0, f"larger than {_LIMIT} bytes")
    if not data.strip(b"\0 \r\n\t"):
        raise OSError(0, f"empty: {len(data)} bytes of nothing")
    return data, found.st_mtime_ns // 1_000_000


def _evidence(record: Any, shown: str, name: str, written_ms: int) -> Evidence:
    if not isinstance(record, dict):
        raise ValueError(f"a JSON {type(record).__name__}, where a record is expected")  # noqa: TRY004 - stored data
    said = record.get("machineId", name)
    if not isinstance(said, str):
        raise ValueError(f"its machineId is {said!r:.40}")  # noqa: TRY004 - stored data
    metadata = record.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    first = record.get("firstSeen", metadata.get("firstSeen"))
    return Evidence(
        file=shown,
        machine_id=normalize_machine_id(said),
        stamp_ms=_possible(from_iso(record.get("lastHeartbeat"))),
        written_ms=written_ms,
        first_seen_ms=_moment(first),
        metadata={key: value for key, value in metadata.items() if key not in _OWN_FIELDS},
    )


def _moment(text: Any) -> int | None:
    try:
        return _possible(from_iso(text))
    except ValueError:
        return None


def _possible(stamp_ms: int) -> int:
    if not MIN_MS <= stamp_ms <= MAX_MS:
        raise ValueError("its time is before year 1 or after year 9999")
    return stamp_ms
