"""What is known of a file, and of a whole tree of files: the values the planner compares.

Owns `Entry` and its four kinds, `Snapshot`, the sides of a sync and its modes. Must not know a disk, a policy or a
plan.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Final

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping

__all__ = ["ABSENT", "Absent", "Entry", "File", "Side", "Snapshot", "SyncMode", "Unknown", "Unsupported"]


class SyncMode(StrEnum):
    """Which of the two syncs it is."""

    ONLINE = "online"
    """The machine is back; it runs itself and may change both sides."""
    OFFLINE = "offline"
    """The machine is away; another one preserves what it published, and deletes nothing."""


class Side(StrEnum):
    """Where a file is changed."""

    MACHINE = "machine"
    """The working copy of the machine."""
    BASELINE = "baseline"
    """The shared baseline."""
    CONFLICTS = "conflicts"
    """The store of losing versions, beside the baseline."""


@attrs.frozen(kw_only=True, weakref_slot=False)
class File:
    """A file that was read. Two of them are equal if their content is.

    Attributes:
        sha256: Of its content, 64 hexadecimal digits.
        size: In bytes.
        mode: Its permission bits, or ``None`` where nobody knows; no part of its content.
        doubt: Why a change to this content is not believed: a failing validator. Empty if nothing speaks against it.
    """

    sha256: str
    size: int
    mode: int | None = field(default=None, eq=False)
    doubt: str = field(default="", eq=False)

    def __repr__(self) -> str:
        return f"<File {self.sha256[:8]} {self.size} B{f' doubtful: {self.doubt}' if self.doubt else ''}>"


@attrs.frozen(weakref_slot=False)
class Absent:
    """There is no such file: its directory was listed, and it was not in it."""

    def __repr__(self) -> str:
        return "<Absent>"


@attrs.frozen(weakref_slot=False)
class Unsupported:
    """There is something that is never read, replaced or copied: a link, a device, a file that is too large.

    Attributes:
        why: What it is.
    """

    why: str


@attrs.frozen(weakref_slot=False)
class Unknown:
    """Nobody can say what is there now. Never the same as absent.

    Attributes:
        why: What kept it from being read.
    """

    why: str


Entry = File | Absent | Unsupported | Unknown
ABSENT: Final = Absent()


@attrs.frozen(kw_only=True, eq=False)
class Snapshot:
    """A tree as it was read once.

    Attributes:
        entries: What was found, by path relative to the root (POSIX, NFC).
        closed: Directories that could not be entered, with the reason: all beneath them is unknown.
        rejected: Names that cannot be synced, with the reason; they are reported, never touched.
    """

    entries: Mapping[str, Entry] = field(factory=dict, converter=frozen_mapping)
    closed: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    rejected: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)

    def entry(self, path: str) -> Entry:
        """What is at `path`.

        >>> Snapshot(closed={"etc": "permission denied"}).entry("etc/app.conf")
        Unknown(why='permission denied')
        """
        found = self.entries.get(path)
        if found is not None:
            return found
        if self.closed:
            if "" in self.closed:
                return Unknown(self.closed[""])
            parent = path
            while parent:
                parent, _, _ = parent.rpartition("/")
                if parent in self.closed:
                    return Unknown(self.closed[parent])
        return ABSENT

    def __repr__(self) -> str:
        return f"<Snapshot {len(self.entries)} paths, {len(self.closed)} closed, {len(self.rejected)} rejected>"
