"""Where the files of the demo lie.

Owns the layout of its temporary folder. Must not know what happens in it.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple
from urllib.parse import quote

__all__ = ["Site", "contents"]

_OUR_OWN: Final = ".hbk-"
"""So begin the names of what a sync keeps for a while: what it displaced, for an editor that has it open."""


class Site(NamedTuple):
    """The temporary folder.

    Attributes:
        folder: Where it is.
    """

    folder: Path

    @property
    def share(self) -> Path:
        """The folder all machines share."""
        return self.folder / "share"

    @property
    def baseline(self) -> Path:
        """What the machines keep their folders in step with."""
        return self.share / "baseline" / "files"

    @property
    def state(self) -> Path:
        """What is local to each machine."""
        return self.folder / "state"

    @property
    def url(self) -> str:
        """The shared folder as a storage of heartbeats."""
        path = self.share.as_posix()
        return f"folder://{'' if path.startswith('/') else '/'}{quote(path)}?propagation_delay=0"

    def workspace(self, machine_id: str) -> Path:
        """The configuration of a machine."""
        return self.folder / "machines" / machine_id


def contents(folder: Path) -> Mapping[str, bytes]:
    """Every file of a person in a folder, byte for byte, by its path."""
    found = (path for path in folder.rglob("*") if not str(path.relative_to(folder)).startswith(_OUR_OWN))
    files = sorted(path for path in found if path.is_file())
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in files}
