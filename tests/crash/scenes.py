"""The runs whose crashes are enumerated: two sides and what is asked, each the whole engine on a simulated disk.

Owns what lies on the disk before a run, and how a run, its recovery and its repetition are called. Must not know where
crashes fall, nor what is right afterwards.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple

from heartbeat_kit.sync._archive import Archive
from heartbeat_kit.sync._baseline import Manifest
from heartbeat_kit.sync._decision import Decision, DecisionAction, DecisionKind, DecisionState, decision_id, to_json
from heartbeat_kit.sync._engine import Engine, Task
from heartbeat_kit.sync._execute import Order
from heartbeat_kit.sync._fence import NoFence
from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._model import File, SyncMode
from heartbeat_kit.sync._places import Places
from heartbeat_kit.sync._policy import ConflictPolicy
from heartbeat_kit.sync._published import Publication
from heartbeat_kit.sync._report import SyncReport
from heartbeat_kit.sync._restoring import restore
from heartbeat_kit.sync._selection import Selection
from heartbeat_kit.sync._snapshot import DEFAULT_VALIDATORS

from .sim_disk import SimDisk
from .sim_tree import SimTree

__all__ = ["ROOTS", "Scene", "documents", "engine", "full", "offline", "rollback", "shapes", "small", "tracked"]

NOW_MS: Final = 1_800_000_000_000
BASELINE_ID: Final = "6f0c2f0e-5f9a-4a55-8a3f-0123456789ab"
ROOTS: Final = {"machine": "workspace", "baseline": "shared/baseline/files", "conflicts": "shared/baseline/conflicts"}
"""Where the tracked files of a side are on the disk."""
DOCUMENTS: Final = ("shared/baseline/manifest.json", "shared/decisions", "shared/transitions", "state/archive.json")
POLICY: Final = ConflictPolicy({"*.txt": "merge", "*.both": "keep_both"})

Tracked = dict[str, tuple[bytes, int]]
"""Content and mode of every tracked file, by side and path."""
Version = tuple[bytes, int] | bytes | None
"""Content and mode of a file (0644 if only its content is given), or nothing."""


class _Free:
    """No other process is there."""

    @contextlib.contextmanager
    def held(self) -> Iterator[None]:
        yield


def engine(disk: SimDisk) -> Engine:
    """A new process of the machine ``m1``."""
    # The folder of backups is the first run's to make, so its tree is taken as it is.
    places = Places(disk.tree("workspace"), disk.tree("shared"), disk.tree("state"), SimTree(disk, "shared/backups"))
    return Engine(
        places,
        observer="m1",
        selection=Selection(),
        policy=POLICY,
        guards=Guards(),
        validators=DEFAULT_VALIDATORS,
        lock=_Free(),
        make_fence=NoFence,
        now_ns=lambda: NOW_MS * 1_000_000,
        prepare=lambda: None,
    )


def tracked(disk: SimDisk) -> Tracked:
    """Every tracked file as it is seen; our own names are none."""
    found = {}
    for side, root in ROOTS.items():
        if disk.inode(root) is not None:
            modes = disk.modes(root)
            for path, data in disk.files(root).items():
                if not any(part.startswith(".hbk-") for part in path.split("/")):
                    found[f"{side}/{path}"] = (data, modes[path])
    return found


def documents(disk: SimDisk) -> dict[str, bytes]:
    """Manifest, archive, decisions and receipts."""
    found = {f"{top}/{path}": data for top in ("shared", "state") for path, data in disk.files(top).items()}
    return {name: data for name, data in found.items() if name.startswith(DOCUMENTS) and "/.hbk-" not in name}


class Scene:
    """A run that can be repeated from its beginning.

    Attributes:
        name: Of the scene.
        transition_id: The event its run answers; ``None`` for none.
        skip: See `SimDisk`; for the run and all that follows.
        can_exchange: See `SimDisk`.
    """

    def __init__(
        self,
        name: str,
        first: Callable[[], SimDisk],
        call: Callable[[SimDisk, int], SyncReport],
        *,
        transition_id: str | None,
    ) -> None:
        self.name = name
        self.transition_id = transition_id
        self.skip: Callable[[Any], bool] | None = None
        self.can_exchange = True
        self._first = first
        self._call = call

    @cached_property
    def _origin(self) -> SimDisk:
        return self._first()

    def __str__(self) -> str:
        return self.name

    def build(self) -> SimDisk:
        """The disk before the run."""
        disk = self._origin.after_kill()
        disk.skip, disk.can_exchange = self.skip, self.can_exchange
        return disk

    def run(self, disk: SimDisk) -> SyncReport:
        """The run."""
        return self._call(disk, 0)

    def again(self, disk: SimDisk) -> SyncReport:
        """What would be done if it were asked for once more, by another event."""
        return self._call(disk, 1)

    def recover(self, disk: SimDisk) -> None:
        """What a process begins with."""
        engine(disk).recover()

    @cached_property
    def old(self) -> Tracked:
        """The tracked files before."""
        return tracked(self._origin)

    @cached_property
    def before(self) -> dict[str, bytes]:
        """The documents before."""
        return documents(self._origin)

    @cached_property
    def done(self) -> tuple[SimDisk, SyncReport]:
        """The disk after an undisturbed run, and what it reported."""
        disk = self._origin.after_kill()
        disk.can_exchange = self.can_exchange
        return disk, self.run(disk)

    @cached_property
    def new(self) -> Tracked:
        """The tracked files afterwards."""
        return tracked(self.done[0])


class _Row(NamedTuple):
    """A path of a scene: what was agreed on, what the machine has, what the baseline has."""

    base: Version
    machine: Version
    baseline: Version


def _version(value: Version) -> tuple[bytes, int] | None:
    return (value, 0o644) if isinstance(value, bytes) else value


def _file(value: Version) -> File | None:
    version = _version(value)
    return None if version is None else _of(*version)


def _of(data: bytes, mode: int) -> File:
    return File(sha256=sha256(data).hexdigest(), size=len(data), mode=mode)


def _files(rows: Mapping[str, _Row], side: int) -> dict[str, File]:
    return {path: file for path, row in rows.items() if (file := _file(row[side])) is not None}


BASE, AFTER_M, AFTER_B = b"1\n2\n3\n4\n5\n", b"one\n2\n3\n4\n5\n", b"1\n2\n3\n4\nfive\n"
SMALL: Final = {
    "same.conf": _Row(b"same", b"same", b"same"),
    "up.conf": _Row(b"up old", b"up new", b"up old"),
    "etc/down.ini": _Row(b"down old", (b"down old", 0o640), b"down new"),
    "made/here/m.conf": _Row(None, (b"made on m", 0o755), None),
    "gone.conf": _Row(b"gone", b"gone", None),
    "ask.conf": _Row(b"ask 0", b"ask m", b"ask b"),
    "x.both": _Row(b"both 0", b"both m", b"both b"),
}
FULL: Final = {
    **SMALL,
    "over/up.conf": _Row(b"up 2 old", b"up 2 new", (b"up 2 old", 0o600)),
    "made/there/b.conf": _Row(None, None, (b"made in b", 0o600)),
    "etc/gone-m.ini": _Row(b"gone on m", None, b"gone on m"),
    "edit-m.conf": _Row(b"edit m 0", b"edit m 1", None),
    "edit-b.conf": _Row(b"edit b 0", None, b"edit b 1"),
    "notes.txt": _Row(BASE, AFTER_M, AFTER_B),
    "told.conf": _Row(b"told 0", b"told m", b"told b"),
    "met.conf": _Row(b"met 0", b"met 1", b"met 1"),
    "broken.json": _Row(b"{}", b'{"cut', b"{}"),
    "empty.conf": _Row(b"full", b"", b"full"),
    "over.conf": _Row(b"over 0", b"over 1", b"over 1"),
}
SHAPES: Final = {
    **{f"same-{number}.conf": _Row(b"same", b"same", b"same") for number in range(7)},
    "app": _Row(None, b"a file now", None),
    "app/one.conf": _Row(b"one", None, b"one"),
    "app/deep/two.conf": _Row(b"two", None, b"two"),
    "box": _Row(b"a file once", None, b"a file once"),
    "box/in.conf": _Row(None, b"in", None),
    "log": _Row(None, None, b"a file in b now"),
    "log/x.conf": _Row(b"x", b"x", None),
}
"""A file in the place of a directory, and the reverse."""


def _record(rows: Mapping[str, _Row], path: str, machine: str, **more: Any) -> Decision:
    shas = [None if file is None else file.sha256 for file in map(_file, rows[path])]
    key = decision_id(machine, path, *shas)
    base, mine, theirs = shas
    return Decision(
        id=key,
        machine_id=machine,
        path=path,
        kind=DecisionKind.EDIT_EDIT,
        base=base,
        machine=mine,
        baseline=theirs,
        **more,
    )


def _prepared(rows: Mapping[str, _Row]) -> SimDisk:
    """The baseline of some rows, with nothing else."""
    disk = SimDisk()
    disk.write("shared/baseline/.heartbeat-kit-root", f"{BASELINE_ID}\n".encode())
    for path, row in rows.items():
        if (version := _version(row.baseline)) is not None:
            disk.write(f"shared/baseline/files/{path}", *version)
    manifest = Manifest(baseline_id=BASELINE_ID, generation=4, parent="", entries=_files(rows, 2))
    disk.write("shared/baseline/manifest.json", manifest.to_bytes())
    disk.tree("workspace")
    disk.tree("state")
    return disk


def _online(rows: Mapping[str, _Row]) -> SimDisk:
    disk = _prepared(rows)
    for path, row in rows.items():
        if (version := _version(row.machine)) is not None:
            disk.write(f"workspace/{path}", *version)
    disk.write("state/archive.json", Archive(baseline_id=BASELINE_ID, entries=_files(rows, 0)).to_bytes(), 0o600)
    if "notes.txt" in rows:
        disk.write(f"state/objects/{sha256(BASE).hexdigest()}", BASE, 0o600)
        told = _record(rows, "told.conf", "m1", state=DecisionState.APPROVED, action=DecisionAction.KEEP_TARGET)
        over = _record({"over.conf": _Row(b"over 0", b"over 1", b"over 2")}, "over.conf", "m1")
        for each in (told, over):
            disk.write(f"shared/decisions/{each.id}.json", to_json(each))
    return disk


def _offline() -> SimDisk:
    rows = {path: row for path, row in FULL.items() if path not in ("broken.json", "told.conf")}
    rows["b/gone-m2.conf"] = _Row(b"gone on m2", None, b"gone on m2")
    disk = _prepared(rows)
    disk.write("workspace/mine.conf", b"of m1, not asked about")
    for row in rows.values():
        if (version := _version(row.machine)) is not None:
            disk.write(f"shared/published/m2/objects/{_of(*version).sha256}", version[0])
    disk.write(f"shared/published/m2/objects/{sha256(BASE).hexdigest()}", BASE)
    publication = Publication(
        machine_id="m2",
        baseline_id=BASELINE_ID,
        number=3,
        published_at_ms=NOW_MS - 60_000,
        entries=_files(rows, 1),
        base=_files(rows, 0),
    )
    disk.write("shared/published/m2/manifest.json", publication.to_bytes())
    return disk


def _task(machine_id: str, mode: SyncMode, transition_id: str, at_ms: int) -> Task:
    order = Order(transition_id=transition_id, evidence_ms=at_ms, synced_at_ms=at_ms)
    return Task(machine_id, mode, lambda _: order)


def _sync(machine_id: str, mode: SyncMode) -> Callable[[SimDisk, int], SyncReport]:
    def call(disk: SimDisk, turn: int) -> SyncReport:
        return engine(disk).run(_task(machine_id, mode, f"transition-{turn}", NOW_MS + turn))

    return call


def small() -> Scene:
    """A return with one file of every way a file is changed."""
    return Scene("small", lambda: _online(SMALL), _sync("m1", SyncMode.ONLINE), transition_id="transition-0")


def shapes() -> Scene:
    """A return with files that took the place of directories, and directories that took the place of a file."""
    return Scene("shapes", lambda: _online(SHAPES), _sync("m1", SyncMode.ONLINE), transition_id="transition-0")


def full() -> Scene:
    """A return with every row of the table, a merge, both kept, doubts, decisions made, carried out and overtaken."""
    return Scene("online", lambda: _online(FULL), _sync("m1", SyncMode.ONLINE), transition_id="transition-0")


def offline() -> Scene:
    """Another machine's files are preserved."""
    return Scene("offline", _offline, _sync("m2", SyncMode.OFFLINE), transition_id="transition-0")


def roll_back(disk: SimDisk, name: str, at_ms: int) -> SyncReport:
    """Roll a backup back."""
    made = engine(disk)
    with made.sessions.open() as session:
        return restore(made.places, name, session, observer="m1", now_ms=at_ms, force=False)


def rollback(of: Scene) -> Scene:
    """The rolling back of another scene's run."""
    disk, report = of.done
    name = (report.backup_path or "").rpartition("/")[2]

    def call(disk: SimDisk, turn: int) -> SyncReport:
        return roll_back(disk, name, NOW_MS + 1000 + turn)

    return Scene(f"rollback of {of.name}", disk.after_kill, call, transition_id=None)
