"""The archive: what this machine and the baseline agreed on at the last success. Local to the machine.

Owns its document. Must not know how agreement came about. A missing archive is an empty base: everything is met for
the first time, so nothing is ever deleted for the lack of one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Final

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit.errors import DamagedSyncStateError
from heartbeat_kit.sync._model import File
from heartbeat_kit.sync._places import ARCHIVE
from heartbeat_kit.sync._sealed import Damaged, entries_from, entries_to, seal, unseal
from heartbeat_kit.sync._tree import Tree

__all__ = ["Archive", "read_archive"]

_KIND: Final = "heartbeat_kit.archive"
_KEPT: Final = 1 << 16
"""How many receipts are remembered as taken in: more than a share holds, for one that was forgotten would count anew
and bring back the base of its time."""


@attrs.frozen(kw_only=True)
class Archive:
    """What both sides agreed on.

    Attributes:
        baseline_id: With which baseline.
        entries: The files, by path.
        taken: The transitions whose receipts are part of it, oldest first.
    """

    baseline_id: str
    entries: Mapping[str, File] = field(factory=dict, converter=frozen_mapping)
    taken: tuple[str, ...] = ()

    def after(self, agreed: Mapping[str, File | None], taken: Iterable[str] = ()) -> Archive:
        """The archive with what was agreed on since."""
        entries = {**self.entries, **agreed}
        seen = dict.fromkeys([*self.taken, *taken])
        return attrs.evolve(
            self,
            entries={path: file for path, file in entries.items() if file is not None},
            taken=tuple(seen)[-_KEPT:],
        )

    def to_bytes(self) -> bytes:
        """The document."""
        return seal(
            _KIND,
            {
                "baseline": self.baseline_id,
                "entries": entries_to(self.entries),
                "taken": list(self.taken),
            },
        )


def read_archive(state: Tree) -> Archive | None:
    """The archive, or ``None`` if there is none.

    Raises:
        DamagedSyncStateError: It is there and cannot be understood.
    """
    try:
        return _archive(state.read(ARCHIVE).data)
    except FileNotFoundError:
        return None
    except (OSError, Damaged) as error:
        raise DamagedSyncStateError(
            f"the archive {ARCHIVE} in {state.root} cannot be used: {error}; recover(discard_damaged=True) sets it "
            "aside and begins anew: nothing is deleted, files that differ become decisions"
        ) from error


@lru_cache(maxsize=2)  # a run reads it again before it writes the next
def _archive(data: bytes) -> Archive:
    record = unseal(_KIND, data)
    baseline_id, taken = record.get("baseline"), record.get("taken")
    if not isinstance(baseline_id, str):
        raise Damaged("its baseline cannot be")
    if not isinstance(taken, list) or not all(isinstance(each, str) for each in taken):
        raise Damaged("its receipts cannot be")
    return Archive(baseline_id=baseline_id, entries=entries_from(record.get("entries")), taken=tuple(taken))
