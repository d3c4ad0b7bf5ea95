"""The shared baseline: its sentinel, its manifest, and what of its files can be believed.

Owns reading and announcing the baseline. Must not know a plan or a journal.

The files are plain, the manifest is written last: a file that is not as announced is still on its way, or was edited
by hand, and is unknown until somebody says `adopt_baseline()`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit.errors import BaselineUnavailableError
from heartbeat_kit.sync._model import ABSENT, Entry, File, Snapshot, Unknown
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._places import MANIFEST, SENTINEL
from heartbeat_kit.sync._sealed import Damaged, entries_from, entries_to, seal, unseal
from heartbeat_kit.sync._tree import Tree

__all__ = ["Manifest", "announced", "read_manifest", "read_sentinel"]

_KIND: Final = "heartbeat_kit.baseline"
_LIMIT: Final = 256 << 20
_UUID: Final = frozenset("0123456789abcdef-")


@attrs.frozen(kw_only=True)
class Manifest:
    """What the baseline is announced to hold.

    Attributes:
        baseline_id: The UUID of the sentinel.
        generation: Rises by one with each change.
        parent: The digest of the manifest before it; empty for the first.
        entries: Every file.
    """

    baseline_id: str
    generation: int
    parent: str
    entries: Mapping[str, File] = field(converter=frozen_mapping)

    def to_bytes(self) -> bytes:
        """The document; the same for whoever announces the same."""
        return seal(
            _KIND,
            {
                "baseline": self.baseline_id,
                "generation": self.generation,
                "parent": self.parent,
                "entries": entries_to(self.entries),
            },
        )

    def after(self, changes: Mapping[str, File | None], digest: str) -> Manifest | None:
        """The manifest of the next generation, or ``None`` if the changes change nothing.

        Args:
            changes: What is announced from now on; ``None`` for a file that is gone.
            digest: Of this manifest's bytes.
        """
        entries = {**self.entries, **changes}
        kept = {path: file for path, file in entries.items() if file is not None}
        if kept == dict(self.entries):
            return None
        return attrs.evolve(self, generation=self.generation + 1, parent=digest, entries=kept)


def read_sentinel(shared: Tree, expected: str | None) -> str:
    """The UUID of the baseline that is there; without one nothing else may be put into the shared folder.

    Args:
        shared: The shared folder.
        expected: The one that was here before, if any.

    Raises:
        BaselineUnavailableError: There is none, or another.
    """
    try:
        text = shared.read(SENTINEL, limit=256).data.decode("ascii", "replace").strip()
    except OSError as error:
        todo = "only where there never was a baseline, make one with adopt_baseline()"
        if expected is not None:
            todo = (
                f"this machine is in step with the baseline {expected}; if that was given up on purpose, point "
                "state_dir to a new place to begin anew"
            )
        raise BaselineUnavailableError(
            f"the baseline's mark {SENTINEL} cannot be read in {shared.root} ({error.strerror or error}): mount the "
            f"shared folder; {todo}"
        ) from error
    if len(text) != 36 or not _UUID.issuperset(text):
        raise BaselineUnavailableError(f"{SENTINEL} in {shared.root} holds no UUID: {text[:40]!r}")
    if expected is not None and text != expected:
        raise BaselineUnavailableError(
            f"{shared.root} holds another baseline ({text}) than this machine was kept in step with ({expected}): "
            "mount the right folder, or point state_dir to a new place to begin anew with this one"
        )
    return text


def read_manifest(shared: Tree, baseline_id: str | None) -> tuple[Manifest, str]:
    """The manifest and the digest of its bytes.

    Args:
        shared: The shared folder.
        baseline_id: Of which baseline it must be; ``None`` for whichever.

    Raises:
        BaselineUnavailableError: It is missing, damaged, or of another baseline.
    """
    try:
        found = shared.read(MANIFEST, limit=_LIMIT)
        manifest = _manifest(found.data)
    except (OSError, Damaged) as error:
        raise BaselineUnavailableError(
            f"the baseline's manifest {MANIFEST} in {shared.root} cannot be used: {error}; wait for the medium, or "
            "remove it and let adopt_baseline() announce the files as they are"
        ) from error
    if baseline_id is not None and manifest.baseline_id != baseline_id:
        raise BaselineUnavailableError(f"{MANIFEST} in {shared.root} belongs to another baseline than its sentinel")
    return manifest, found.sha256


@lru_cache(maxsize=2)  # a run reads it again before it writes the next, and the next run begins with that
def _manifest(data: bytes) -> Manifest:
    record = unseal(_KIND, data)
    entries = entries_from(record.get("entries"))
    for path in entries:
        if problem := path_problem(path):
            raise Damaged(f"its path {path!r:.80} {problem}")
    generation, parent, baseline_id = record.get("generation"), record.get("parent"), record.get("baseline")
    if type(generation) is not int or generation < 1:
        raise Damaged("its generation cannot be")
    if not isinstance(parent, str) or not isinstance(baseline_id, str):
        raise Damaged("its parent or baseline cannot be")
    return Manifest(baseline_id=baseline_id, generation=generation, parent=parent, entries=entries)


def announced(
    manifest: Manifest, actual: Snapshot, base: Mapping[str, File], machine: Snapshot, covers: Callable[[str], bool]
) -> Snapshot:
    """What of the baseline can be believed.

    A file as announced is believed. So is one that the machine has too, where the announcement is still the old one
    both agreed on: a run was cut off between its writing and its announcing. All else is unknown.

    Args:
        manifest: What is announced.
        actual: What is there.
        base: What both agreed on last.
        machine: The other side.
        covers: Which announced paths take part.
    """
    entries: dict[str, Entry] = {}
    for path, file in manifest.entries.items():
        if not covers(path):
            continue
        found = actual.entry(path)
        if isinstance(found, File) and found == file:
            # Its own mode may differ from replica to replica; the one announced is the same for all.
            entries[path] = found if found.mode == file.mode else attrs.evolve(found, mode=file.mode)
        elif found is ABSENT:
            entries[path] = Unknown("announced by the baseline's manifest, but not here yet")
        elif not isinstance(found, File) or (machine.entry(path) == found and base.get(path) == file):
            entries[path] = found
        else:
            entries[path] = Unknown("not as the baseline's manifest announces it: on its way, or edited by hand")
    for path, found in actual.entries.items():
        if path in manifest.entries:
            continue
        agreed = isinstance(found, File) and path not in base and machine.entry(path) == found
        if agreed or not isinstance(found, File):
            entries[path] = found
        else:
            entries[path] = Unknown("not announced by the baseline's manifest: on its way, or put there by hand")
    return Snapshot(entries=entries, closed=actual.closed, rejected=actual.rejected)
