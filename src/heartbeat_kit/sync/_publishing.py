"""Publishing the working copy, so that others can preserve it when this machine is gone.

Owns the order: contents first, then the manifest, then what no manifest names any more. Must not know who reads it.
"""

from __future__ import annotations

from collections.abc import Iterator

from heartbeat_kit.sync._complete import Completion
from heartbeat_kit.sync._model import File, Snapshot, Unknown, Unsupported
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._places import Places, published
from heartbeat_kit.sync._published import Publication, read_publication
from heartbeat_kit.sync._sealed import Damaged
from heartbeat_kit.sync._survey import Agreed
from heartbeat_kit.sync._writer import Objects

__all__ = ["publish"]


def publish(
    places: Places,
    machine_id: str,
    own: tuple[str, Agreed, Snapshot],
    *,
    completion: Completion,
    now_ms: int,
) -> Publication:
    """Publish the working copy of this machine; what is published already is not written again.

    Args:
        places: The trees.
        machine_id: This machine.
        own: As `Surveyor.own` read it.
        completion: Whose writers and stores are used.
        now_ms: The time it says.

    Raises:
        OSError: What was published before still stands.
    """
    baseline_id, agreed, machine = own
    shared, base = places.shared, agreed.base
    folder = published(machine_id)
    try:
        found = read_publication(shared, machine_id, baseline_id)
    except Damaged:
        found = None
    before = found[0] if found else None
    entries: dict[str, File] = {}
    unknown: dict[str, str] = dict(machine.closed)
    for path, entry in machine.entries.items():
        if isinstance(entry, File):
            if entry.doubt and base.get(path) != entry:
                unknown[path] = entry.doubt
            else:
                entries[path] = entry
        elif isinstance(entry, Unknown | Unsupported):
            unknown[path] = entry.why
    objects = Objects(completion.writer(shared), f"{folder}/objects")
    here = objects.sizes()

    def contents() -> Iterator[tuple[str, bytes]]:
        for path, file in sorted(entries.items()):
            if here.get(file.sha256) == file.size:
                continue
            data = _read(places, path, file)
            if data is None:
                del entries[path]
                unknown[path] = "it changed while it was published"
            else:
                yield file.sha256, data
        for sha256 in sorted(ancestors - here.keys()):
            data = completion.local.get(sha256)
            if data is not None:
                yield sha256, data

    ancestors = {f.sha256 for path, f in base.items() if completion.keeps(path)}
    objects.put_all(contents())
    publication = Publication(
        machine_id=machine_id,
        baseline_id=baseline_id,
        number=before.number + 1 if before else 1,
        published_at_ms=now_ms,
        entries=entries,
        # A name that can be on no other machine is in no base, so nobody asks for it there.
        unknown={path: why for path, why in unknown.items() if not path or path_problem(path) is None},
        base=base,
        taken=(*agreed.known, *agreed.fresh),
    )
    if before is not None and before.same_as(publication):
        return before
    completion.writer(shared).put(f"{folder}/manifest.json", publication.to_bytes())
    needed = {file.sha256 for file in entries.values()} | ancestors
    for sha256 in here.keys() - needed:
        objects.remove(sha256)
    return publication


def _read(places: Places, path: str, file: File) -> bytes | None:
    try:
        content = places.workspace.read(path)
    except OSError:
        return None
    return content.data if content.sha256 == file.sha256 else None
