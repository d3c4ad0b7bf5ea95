"""Recovery on request: what was finished, and what was set aside.

Owns its result, and the setting aside of local state that cannot be read. Must not know how a run is finished.
"""

from __future__ import annotations

import attrs

from heartbeat_kit.errors import DamagedSyncStateError
from heartbeat_kit.sync._archive import read_archive
from heartbeat_kit.sync._complete import Done
from heartbeat_kit.sync._journal import read_journal
from heartbeat_kit.sync._places import ARCHIVE, JOURNAL
from heartbeat_kit.sync._session import file_errors
from heartbeat_kit.sync._tree import Tree

__all__ = ["Recovery", "set_aside"]


@attrs.frozen(kw_only=True)
class Recovery:
    """What `SyncCoordinator.recover` did.

    Attributes:
        plan_id: Of the run that was finished; ``None`` if none was interrupted.
        files: How many files it was about.
        set_aside: Documents that could not be read, under their new names.
    """

    plan_id: str | None = None
    files: int = 0
    set_aside: tuple[str, ...] = ()

    @classmethod
    def of(cls, done: Done | None, aside: tuple[str, ...]) -> Recovery:
        """The result of a recovery."""
        if done is None:
            return cls(set_aside=aside)
        return cls(plan_id=done.journal.plan_id, files=len(done.journal.steps), set_aside=aside)


def set_aside(state: Tree) -> tuple[str, ...]:
    """Give a damaged journal or archive another name, which nobody reads; returns the new names."""
    moved = []
    for name, read in ((JOURNAL, read_journal), (ARCHIVE, read_archive)):
        try:
            read(state)
        except DamagedSyncStateError:
            with file_errors():
                aside = f"{name}.damaged-{_token(state, name)}"
                state.replace(name, aside)
                state.sync("")
            moved.append(aside)
    return tuple(moved)


def _token(state: Tree, name: str) -> str:
    """Of the content, so that nothing set aside before is replaced; of what has none, the time it came there."""
    try:
        return state.read(name, keep=False).sha256[:12]
    except OSError:
        found = state.stat(name)
        return f"{found.kind}-{found.ctime_ns:x}" if found is not None else "gone"
