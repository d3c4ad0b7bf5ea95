"""What a machine published of its working copy, for others to preserve when it is gone.

Owns the publication: a manifest, written last, over contents kept by their hash. Must not know who reads it, or why.
One writer, the machine itself. A content that is missing or wrong is unknown, never absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit.sync._model import Entry, File, Snapshot, Unknown
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._places import published
from heartbeat_kit.sync._sealed import Damaged, entries_from, entries_to, seal, unseal
from heartbeat_kit.sync._tree import Tree

__all__ = ["Publication", "as_snapshot", "is_spent", "note_synced", "read_publication"]

_KIND: Final = "heartbeat_kit.publication"
_SYNCED: Final = "heartbeat_kit.synced"


@attrs.frozen(kw_only=True, repr=False)
class Publication:
    """A machine's working copy as it was.

    Attributes:
        machine_id: Whose.
        baseline_id: For which baseline.
        number: Rises by one with each publication.
        published_at_ms: When, by the machine's clock.
        entries: Its files.
        unknown: Paths it could not read then, with the reason.
        base: What it had agreed on with the baseline by then.
        taken: The transitions whose receipts are part of that base.
    """

    machine_id: str
    baseline_id: str
    number: int
    published_at_ms: int
    entries: Mapping[str, File] = field(converter=frozen_mapping)
    unknown: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    base: Mapping[str, File] = field(factory=dict, converter=frozen_mapping)
    taken: tuple[str, ...] = ()

    def __repr__(self) -> str:
        unknown = f", {len(self.unknown)} unknown" if self.unknown else ""
        return f"<Publication {self.number} of {self.machine_id}: {len(self.entries)} files{unknown}>"

    def same_as(self, other: Publication) -> bool:
        """Whether it says the same as another, but for its number and its time."""
        return attrs.evolve(self, number=0, published_at_ms=0) == attrs.evolve(other, number=0, published_at_ms=0)

    def to_bytes(self) -> bytes:
        """The document."""
        return seal(
            _KIND,
            {
                "machineId": self.machine_id,
                "baseline": self.baseline_id,
                "number": self.number,
                "publishedAt": self.published_at_ms,
                "entries": entries_to(self.entries),
                "unknown": dict(self.unknown),
                "base": entries_to(self.base),
                "taken": list(self.taken),
            },
        )


def read_publication(shared: Tree, machine_id: str, baseline_id: str) -> tuple[Publication, str] | None:
    """What the machine published last and the digest of its manifest, or ``None`` if it never did.

    Raises:
        Damaged: It cannot be understood, or belongs to another machine or baseline.
        OSError: It cannot be read.
    """
    try:
        found = shared.read(f"{published(machine_id)}/manifest.json")
    except FileNotFoundError:
        return None
    record = unseal(_KIND, found.data)
    unknown, taken = record.get("unknown"), record.get("taken")
    number, at = record.get("number"), record.get("publishedAt")
    if record.get("machineId") != machine_id or record.get("baseline") != baseline_id:
        raise Damaged("it belongs to another machine or baseline")
    if not isinstance(unknown, dict) or not all(isinstance(why, str) for why in unknown.values()):
        raise Damaged("its unknown paths cannot be")
    if not isinstance(taken, list) or not all(isinstance(each, str) for each in taken):
        raise Damaged("its receipts cannot be")
    if type(number) is not int or type(at) is not int:
        raise Damaged("its number or time cannot be")
    entries, base = entries_from(record.get("entries")), entries_from(record.get("base"))
    for path in {*entries, *base, *filter(None, unknown)}:  # what could not be read may be the root itself
        if problem := path_problem(path):
            raise Damaged(f"its path {path!r:.80} {problem}")
    publication = Publication(
        machine_id=machine_id,
        baseline_id=baseline_id,
        number=number,
        published_at_ms=at,
        entries=entries,
        unknown=unknown,
        base=base,
        taken=tuple(taken),
    )
    return publication, found.sha256


def note_synced(shared: Tree, machine_id: str) -> tuple[str, bytes] | None:
    """Where and what a machine notes when it synced: what it had published by then says nothing new any more.

    Returns:
        A path and a document; ``None`` if it never published.

    Raises:
        OSError: The publication cannot be read.
    """
    folder = published(machine_id)
    try:
        digest = shared.read(f"{folder}/manifest.json", keep=False).sha256
    except FileNotFoundError:
        return None
    return f"{folder}/synced.json", seal(_SYNCED, {"machineId": machine_id, "publication": digest})


def is_spent(shared: Tree, machine_id: str, digest: str) -> bool:
    """Whether the machine synced since it published this, so that the baseline has it all, and perhaps newer work."""
    try:
        noted = unseal(_SYNCED, shared.read(f"{published(machine_id)}/synced.json").data)
    except (OSError, Damaged):
        return False
    return noted.get("publication") == digest


def as_snapshot(
    publication: Publication,
    announced: Mapping[str, File],
    covers: Callable[[str], bool],
    is_here: Callable[[str, File], bool],
) -> Snapshot:
    """The publication as the machine's side of an offline plan.

    Args:
        publication: What was published.
        announced: What the baseline announces.
        covers: Which paths take part.
        is_here: Whether the content of a path, where it would be needed, has arrived whole.
    """
    entries: dict[str, Entry] = {}
    for path in {*publication.entries, *publication.base}:
        file = publication.entries.get(path)
        if not covers(path) and file not in (publication.base.get(path), announced.get(path)):
            entries[path] = Unknown(
                "the patterns of this coordinator leave it out: one with wider patterns preserves it"
            )
    for path, file in publication.entries.items():
        if covers(path):
            entries[path] = file if is_here(path, file) else Unknown("published, but its content is not here yet")
    closed = {}
    for path, why in publication.unknown.items():
        if path:
            entries[path] = Unknown(f"the machine could not read it when it published ({why})")
        closed[path] = why
    return Snapshot(entries=entries, closed=closed)
