"""`import_roosync`: from RooSync's files to a storage.

Owns what is stored. Must not know the layouts (`_reading`), nor which record is believed (`_merging`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any, Final

from heartbeat_kit._clock import Clock, SystemClock
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._times import to_iso
from heartbeat_kit.errors import InvalidConfigurationError, InvalidMetadataError
from heartbeat_kit.roosync._merging import AHEAD_MS, Merged, ambiguous_names, long_names, merge, resolved
from heartbeat_kit.roosync._reading import FOLDER, read_source, source_path
from heartbeat_kit.roosync._report import ImportReport
from heartbeat_kit.storage import Storage

__all__ = ["import_roosync"]

_INTERVAL_MS: Final = 30_000
"""What RooSync's machines promised unless their configuration says otherwise."""
_BEFORE_ANY_LIFE: Final = 0
"""The incarnation of what is imported: any beat of the machine itself is newer, so an import overwrites none."""


def import_roosync(
    source: str | os.PathLike[str],
    storage: Storage,
    *,
    dry_run: bool = False,
    same: Mapping[str, str] | None = None,
    apart: bool = False,
    interval: timedelta | int | None = None,
    clock: Clock | None = None,
) -> ImportReport:
    """Store the newest evidence of each machine that RooSync left behind. The source is only read.

    Done again it changes nothing, unless the source has newer records. A machine that has beaten into the storage by
    itself is left as it is.

    Args:
        source: RooSync's shared folder, its folder ``heartbeats``, or one of its files.
        storage: Any storage.
        dry_run: Only say what would be stored.
        same: Other names of machines, each with the name it stands for, beside those that are found: a short name is
            taken for the one long name that is it behind one word and a hyphen, ``po-2024`` for ``myia-po-2024``.
        apart: Find none; only those in `same` count.
        interval: The beat the machines promise (milliseconds, if a number); by default what RooSync's
            ``heartbeat-service.json`` says, else 30 s.
        clock: What stamps are compared with: one more than five minutes ahead of it, or of its own file, is no sign of
            life, and the time of its file is taken.

    Raises:
        InvalidConfigurationError: The source is no such folder, or the storage would write into it.
        InvalidMachineIdError: A name in `same` is none.
        StorageUnavailableError: The storage cannot be read or written; called again it goes on.

    >>> import json, pathlib, tempfile
    >>> from heartbeat_kit import MemoryStorage
    >>> folder = pathlib.Path(tempfile.mkdtemp()) / "heartbeats"
    >>> folder.mkdir()
    >>> beat = {"machineId": "MyIA-Web1", "lastHeartbeat": "2026-01-15T23:30:00.000Z", "status": "online"}
    >>> _ = (folder / "MyIA-Web1.json").write_text(json.dumps(beat))
    >>> _ = (folder / "web1.json").write_bytes(b"")
    >>> storage = MemoryStorage()
    >>> report = import_roosync(folder.parent, storage)
    >>> report
    <ImportReport 1 machine imported, 0 unchanged, 1 unreadable>
    >>> dict(report.unreadable)
    {'heartbeats/web1.json': 'empty: 0 bytes of nothing'}
    >>> import_roosync(folder.parent, storage).unchanged
    ('myia-web1',)
    """
    _require_apart(source, storage)
    found = read_source(source)
    now_ms = (SystemClock() if clock is None else clock).now().wall_ms
    names = {each.machine_id for each in found.evidence}
    given = {normalize_machine_id(other): normalize_machine_id(name) for other, name in (same or {}).items()}
    try:
        other = resolved({**({} if apart else long_names(names)), **given})
    except ValueError as error:
        raise InvalidConfigurationError(
            f"same names machines in a circle, {error}: say which name is to stay"
        ) from error
    promised = interval if interval is not None else found.interval_ms or _INTERVAL_MS
    latest_ms, unreadable = now_ms + AHEAD_MS, dict(found.unreadable)
    usable = []
    for each in found.evidence:
        if min(each.stamp_ms, each.written_ms) <= latest_ms:
            usable.append(each)
        else:
            unreadable[each.file] = f"its stamp {to_iso(each.stamp_ms)} and its file are of the future"
    machines = merge(usable, other, latest_ms)
    records = {each.machine_id: _record(each, promised, unreadable) for each in machines}
    held = storage.load()
    for name in records.keys() & held.unreadable.keys():  # nobody can tell whether what is there is newer
        del records[name]
        unreadable[name] = f"the storage's own record of it: {held.unreadable[name]}; import again once it has beaten"
    stored = held.heartbeats
    fresh = [name for name, record in records.items() if name not in stored or stored[name].order < record.order]
    if not dry_run:
        for name in fresh:
            storage.put(records[name])
    return ImportReport(
        imported=tuple(fresh),
        unchanged=tuple(name for name in records if name not in fresh),
        merged={each.machine_id: each.files for each in machines if len(each.files) > 1},
        renamed={name: other[name] for name in sorted(names) if name in other},
        unreadable=unreadable,
        ahead={
            each.machine_id: f"{to_iso(each.newest.stamp_ms)} is in the future: {to_iso(each.seen_ms)} is taken"
            for each in machines
            if each.is_ahead
        },
        ambiguous={}
        if apart
        else {short: found for short, found in ambiguous_names(names).items() if short not in given},
        dry_run=dry_run,
    )


def _require_apart(source: str | os.PathLike[str], storage: Storage) -> None:
    """Refuse to write where RooSync's files are: both call them ``heartbeats/<id>.json`` and ``heartbeats.json``."""
    scheme, _, place = storage.traits.location.partition(":")
    if scheme not in ("folder", "json"):
        return
    theirs = os.path.realpath(source_path(source))
    is_folder = os.path.isdir(theirs)
    if not is_folder:
        theirs = os.path.dirname(theirs)
    ours = os.path.realpath(place)
    inside = is_folder and Path(theirs) in Path(ours).parents
    if inside or {ours, os.path.join(ours, FOLDER)} & {theirs, os.path.join(theirs, FOLDER)}:
        raise InvalidConfigurationError(
            f"the storage would write into the source, {theirs!r:.200}, which is only to be read: give the new fleet a "
            "folder of its own"
        )


def _record(machine: Merged, interval: timedelta | int, unreadable: dict[str, str]) -> Heartbeat:
    fields: dict[str, Any] = {
        "machine_id": machine.machine_id,
        "last_heartbeat": machine.seen_ms,
        "incarnation": _BEFORE_ANY_LIFE,
        "seq": max(machine.seen_ms, 0),
        "interval": interval,
        "first_seen": machine.first_seen_ms,
    }
    try:
        return Heartbeat(**fields, metadata=machine.newest.metadata)
    except InvalidMetadataError as error:
        unreadable[f"{machine.newest.file}: metadata"] = str(error)
        return Heartbeat(**fields)
