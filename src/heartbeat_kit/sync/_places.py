"""Where everything lies: the four trees of a coordinator and the names in them.

Owns the layout of the shared folder and of the local state. Must not know what the files say.
"""

from __future__ import annotations

from typing import Final, NamedTuple

from heartbeat_kit.sync._model import Side
from heartbeat_kit.sync._tree import Tree

__all__ = [
    "ARCHIVE",
    "BACKUPS",
    "BASELINE_FILES",
    "DECISIONS",
    "EPOCHS",
    "JOURNAL",
    "MANIFEST",
    "NOTE",
    "OBJECTS",
    "PUBLISHED",
    "SENTINEL",
    "Places",
    "published",
    "receipt",
    "receipts",
]

SENTINEL: Final = "baseline/.heartbeat-kit-root"
MANIFEST: Final = "baseline/manifest.json"
BASELINE_FILES: Final = "baseline/files"
CONFLICTS: Final = "baseline/conflicts"
DECISIONS: Final = "decisions"
BACKUPS: Final = "backups"
EPOCHS: Final = "epochs"
PUBLISHED: Final = "published"
OBJECTS: Final = "objects"
"""In the shared folder what open decisions pin, in the local state what the journal and the archive need."""

JOURNAL: Final = "journal.json"
ARCHIVE: Final = "archive.json"
NOTE: Final = "auto.json"


def published(machine_id: str) -> str:
    """The folder of what a machine published."""
    return f"{PUBLISHED}/{machine_id}"


def receipts(transition_id: str) -> str:
    """The folder of the receipts of a transition."""
    return f"transitions/{transition_id}"


def receipt(transition_id: str, observer: str) -> str:
    """The receipt an observer writes for a transition."""
    return f"{receipts(transition_id)}/{observer}.json"


class Places(NamedTuple):
    """The trees a coordinator reads and writes, and no others.

    Attributes:
        workspace: The working copy of this machine.
        shared: The shared folder: baseline, what machines published, decisions, receipts.
        state: Local to this machine: archive, journal, contents.
        backups: Where backups go.
        shares_backups: They go into the folder ``backups`` of `shared`, which the first one makes.
    """

    workspace: Tree
    shared: Tree
    state: Tree
    backups: Tree
    shares_backups: bool = True

    def of(self, side: Side, path: str = "") -> tuple[Tree, str]:
        """The tree of a side, and where in it a path of that side is."""
        if side is Side.MACHINE:
            return self.workspace, path
        under = BASELINE_FILES if side is Side.BASELINE else CONFLICTS
        return self.shared, f"{under}/{path}" if path else under
