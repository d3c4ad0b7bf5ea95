"""What a file in a shared folder is: a machine's record, a copy a sync client made of it, or nothing of ours.

Owns the naming rules of record files and the choice between several files of one machine. Pure: it is given names
and what was read, and touches no disk.

A name alone proves little (``web1-pc.json`` is OneDrive's copy of ``web1.json``, or the machine ``web1-pc``), so the
machine id inside a readable file decides, and the name decides only for files that cannot be read.
"""

from __future__ import annotations

import re
from collections.abc import Container, Iterable
from operator import attrgetter
from typing import Final, NamedTuple

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import InvalidMachineIdError

__all__ = ["SUFFIX", "Claim", "RecordFile", "Verdict", "claim", "is_candidate", "is_foreign", "judge"]

SUFFIX: Final = ".json"

_MARKS: Final = "|".join(
    [
        r" ?\((?:[^()]|\([^()]*\))*\)",  # Google Drive "m (1)", Dropbox "m (X's conflicted copy …)" in any language
        r"\.sync-conflict-\d{8}-\d{6}(?:-[a-z0-9]+)?",  # Syncthing
        r"\.conflict\d*",  # rclone bisync
        r"_conflict-\d{8}-\d{6}",  # ownCloud
        r" - .+",  # Windows "m - Copy"
    ]
)
_MARKED: Final = re.compile(rf"(?P<machine>.+?)(?:{_MARKS})+", re.IGNORECASE | re.DOTALL)


class RecordFile(NamedTuple):
    """One file as it was read.

    Attributes:
        name: Its name in the folder, ending in ``.json``.
        heartbeat: What it says, or ``None`` if it cannot be understood.
        reason: Why it cannot, in words.
    """

    name: str
    heartbeat: Heartbeat | None
    reason: str = ""

    @property
    def stem(self) -> str:
        """The name without ``.json``."""
        return self.name[: -len(SUFFIX)]


class Claim(NamedTuple):
    """Whose file it is.

    Attributes:
        machine_id: The machine it speaks for, or would if it could be read; ``None`` if no machine can have the name.
        is_copy: It stands beside the machine's own file.
        reason: Why it does not count; empty if it does.
    """

    machine_id: str | None
    is_copy: bool
    reason: str = ""


class Verdict(NamedTuple):
    """What a set of files says about the machines; the fields are those of `Snapshot`."""

    heartbeats: dict[str, Heartbeat]
    unreadable: dict[str, str]
    conflicts: dict[str, str]


def is_foreign(name: str) -> bool:
    """Whether a file of this name is never opened: temporaries, hidden files, anything that is not ``.json``."""
    return not name.endswith(SUFFIX) or name.startswith((".", "~$"))


def is_candidate(name: str, machine_id: str) -> bool:
    """Whether a file of this name may belong to the machine; what it says decides."""
    if is_foreign(name):
        return False
    stem = name[: -len(SUFFIX)]
    return stem.lower().startswith(machine_id) or _named_after(stem) is None


def claim(file: RecordFile, known: Container[str] = ()) -> Claim:
    """Decide whose file it is.

    Args:
        file: The file.
        known: Machines that have a file of their own; they make ``m-HOST.json`` a copy of ``m``.
    """
    stem, heartbeat = file.stem, file.heartbeat
    named = _named_after(stem)
    if heartbeat is not None:
        machine_id = heartbeat.machine_id
        if stem == machine_id:
            return Claim(machine_id, is_copy=False)
        if named is None or named.machine_id == machine_id or stem.lower().startswith(machine_id + "-"):
            return Claim(machine_id, is_copy=True)
        return named._replace(reason=f"the wrong machine is inside: the file {file.name!r} speaks for {machine_id}")
    if named is None:
        return Claim(None, is_copy=False, reason=file.reason)
    if named.is_copy and named.machine_id not in known:
        # No machine writes a name with capitals: "web1-DESKTOP" is what OneDrive calls its copy of "web1".
        parts = stem.lower().split("-")
        for end in range(len(parts) - 1, 0, -1):
            if (original := "-".join(parts[:end])) in known:
                return Claim(original, is_copy=True, reason=file.reason)
    return named._replace(reason=file.reason)


def judge(files: Iterable[RecordFile]) -> Verdict:
    """Of each machine take the record with the highest ``(incarnation, seq)``, in whatever order the files come."""
    heartbeats: dict[str, Heartbeat] = {}
    odd: list[RecordFile] = []
    for file in files:
        heartbeat = file.heartbeat
        if heartbeat is not None and file.name == heartbeat.machine_id + SUFFIX:
            heartbeats[heartbeat.machine_id] = heartbeat
        else:
            odd.append(file)
    if not odd:
        return Verdict(heartbeats, {}, {})

    unreadable: dict[str, str] = {}
    for file in odd:
        found = claim(file)
        if found.machine_id is not None and not found.is_copy:
            unreadable[found.machine_id] = found.reason
    known = heartbeats.keys() | unreadable.keys()
    copies: dict[str, list[RecordFile]] = {}
    for file in sorted(odd, key=attrgetter("name")):
        found = claim(file, known)
        if found.machine_id is not None and found.is_copy:
            usable = file if not found.reason else file._replace(heartbeat=None, reason=found.reason)
            copies.setdefault(found.machine_id, []).append(usable)
    conflicts: dict[str, str] = {}
    for machine_id, beside in copies.items():
        if machine_id in known:
            own = RecordFile(machine_id + SUFFIX, heartbeats.get(machine_id), unreadable.get(machine_id, ""))
            beside.insert(0, own)
        newest = _newest(beside)
        if newest is None:
            unreadable.setdefault(machine_id, f"{beside[0].name!r}: {beside[0].reason}")
        else:
            heartbeats[machine_id] = newest
            unreadable.pop(machine_id, None)
        conflicts[machine_id] = _sentence(machine_id, beside, newest)
    return Verdict(heartbeats, unreadable, conflicts)


def _newest(files: list[RecordFile]) -> Heartbeat | None:
    """The highest record; of equals the first, so the machine's own file where it is one of them."""
    readable = [file.heartbeat for file in files if file.heartbeat is not None]
    return max(readable, key=attrgetter("order"), default=None)


def _named_after(stem: str) -> Claim | None:
    """Whose file it is by its name alone."""
    marked = _MARKED.fullmatch(stem)
    if marked:
        try:
            return Claim(normalize_machine_id(marked["machine"]), is_copy=True)
        except InvalidMachineIdError:
            return None
    try:
        machine_id = normalize_machine_id(stem)
    except InvalidMachineIdError:
        return None
    return Claim(machine_id, is_copy=machine_id != stem)


def _sentence(machine_id: str, files: list[RecordFile], newest: Heartbeat | None) -> str:
    names = []
    for file in files:
        if file.heartbeat is None:
            note = f" (unreadable: {file.reason})"
        elif file.heartbeat is newest:
            note = f" (from host {newest.host}, the newest, used)" if newest.host else " (the newest, used)"
        else:
            note = f" (from host {file.heartbeat.host})" if file.heartbeat.host else ""
        names.append(f"{file.name!r}{note}")
    wanted = f"{machine_id}{SUFFIX}"
    if len(files) == 1:
        return (
            f"the record of {machine_id} lies in {names[0]} and not in {wanted!r}: rename it, or delete it once "
            f"{machine_id} has beaten again"
        )
    return (
        f"{machine_id} has {len(files)} files where it should have only {wanted!r}: {', '.join(names)}. "
        f"Either two hosts beat as {machine_id}, or a sync client kept both sides of one write. "
        f"Give each host its own MACHINE_ID, then delete every file but {wanted!r}"
    )
