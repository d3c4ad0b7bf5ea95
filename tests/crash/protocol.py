"""Every state that crashes, failures and foreign edits can leave behind, judged.

``python tests/crash/protocol.py`` enumerates everything and prints how much that was. Owns the walks over the states,
and what is done to each before it is judged. Must not know how the engine keeps the laws.
"""

# ruff: noqa: T201 - as a script it prints

from __future__ import annotations

import contextlib
import errno
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final, NamedTuple

if __name__ == "__main__":  # a script has no package: give it this one (PEP 366)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    __package__ = "crash"

from heartbeat_kit.errors import SyncError
from heartbeat_kit.sync._report import SyncReport

from .crash_states import CrashState, CrashStates, compound, crash_states
from .laws import AFTER, BEFORE, View, announced, clean, difference, l10_documents, l10_old_or_new
from .scenes import ROOTS, Scene, full, offline, roll_back, rollback, shapes, small, tracked
from .sim_disk import Crash, SimDisk

__all__ = ["Audit", "Edit", "Violation", "compounds", "failures", "judge_edits", "plain", "torn_failures"]

ERRNOS: Final = (errno.ENOSPC, errno.EIO, errno.EACCES)


class Violation(NamedTuple):
    """A state in which something does not hold.

    Attributes:
        law: Which.
        where: In which state.
        what: What was found.
    """

    law: str
    where: str
    what: str


RECOVERS, SETTLES, RESTORES = "recovers", "L4 once more is nothing", "L13 rollback restores"
TYPED: Final = "L18 typed error"
FOREIGN: Final = "L9 foreign edit"


class Audit:
    """Judges crash states, each distinct one once.

    Args:
        scene: Whose states.
        deep: Also run it again, twice, and roll it back and forth.

    Attributes:
        violations: All that was found.
        bad: How many of the states were so.
        judged: How many were different to the eye.
    """

    def __init__(self, scene: Scene, *, deep: bool = True) -> None:
        self.scene = scene
        self.deep = deep
        self.violations: list[Violation] = []
        self.bad = self.judged = 0
        self._known: dict[tuple[str, str], tuple[tuple[str, str], ...]] = {}
        self._settled: dict[tuple[object, ...], tuple[tuple[str, str], ...]] = {}
        self._finished: dict[tuple[object, ...], tuple[tuple[str, str], ...]] = {}

    @property
    def laws(self) -> Counter[str]:
        """How often each law was broken."""
        return Counter(each.law for each in self.violations)

    def over(self, states: Iterator[CrashState]) -> None:
        """Judge states."""
        for state in states:
            self.state(state.disk, state.promised, f"{self.scene.name}: {state.label}")

    def state(self, disk: SimDisk, promised: SimDisk | None, where: str) -> bool:
        """Judge one state; whether all holds."""
        key = disk.digest(), promised.digest() if promised else ""
        if key not in self._known:
            self.judged += 1
            self._known[key] = tuple(self._judge(disk, promised))
        found = self._known[key]
        self.violations += [Violation(law, where, what) for law, what in found]
        self.bad += bool(found)
        return not found

    def _judge(self, disk: SimDisk, promised: SimDisk | None) -> Iterator[tuple[str, str]]:
        scene, found = self.scene, View(disk)
        for law, check in BEFORE.items():
            if what := check(scene, found):
                yield law, what
        recovered = disk.after_kill()
        try:
            scene.recover(recovered)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is a finding
            yield RECOVERS, repr(error)
            return
        view, told = View(recovered), None if promised is None else View(promised)
        for law, after in AFTER.items():
            if what := after(scene, view, told):
                yield law, what
        if not self.deep:
            return
        key = (view.essence, disk.inode("state/journal.json") is None)
        if key not in self._settled:
            self._settled[key] = (*self._rerun(disk), *self._settle(recovered.after_kill()))
        yield from self._settled[key]

    def _rerun(self, disk: SimDisk) -> Iterator[tuple[str, str]]:
        """The same run once more in place of a mere recovery."""
        scene = self.scene
        try:
            scene.run(disk)
        except Exception as error:  # noqa: BLE001
            yield RECOVERS, f"run again: {error!r}"
            return
        view = View(disk)
        if what := l10_old_or_new(scene, view, View(scene.done[0])):
            yield "L10 old or new", f"run again: {what}"
        if what := l10_documents(scene, view, View(scene.done[0])):
            yield "L10 documents", f"run again: {what}"

    def _settle(self, disk: SimDisk) -> Iterator[tuple[str, str]]:
        """From the state after recovery to the end."""
        scene, report = self.scene, self.scene.done[1]
        try:
            if tracked(disk) == scene.old or scene.transition_id is not None:
                again = scene.run(disk)
                if again.changes != report.changes:
                    yield SETTLES, f"{again.changes} instead of {report.changes}"
        except Exception as error:  # noqa: BLE001
            yield SETTLES, repr(error)
            return
        view = View(disk)
        if what := difference(view.tracked, scene.new):
            yield SETTLES, what
            return
        if (key := view.essence[:-1]) not in self._finished:
            self._finished[key] = tuple(self._finish(disk))
        yield from self._finished[key]

    def _finish(self, disk: SimDisk) -> Iterator[tuple[str, str]]:
        """From the new state back, and forth again; and once more what is done already."""
        scene, report = self.scene, self.scene.done[1]
        try:
            name, back = _name(report), disk.after_kill()
            undone = roll_back(back, name, report.synced_at_ms + 50_000)
            if what := difference(tracked(back), scene.old):
                yield RESTORES, what
            roll_back(back, _name(undone), report.synced_at_ms + 60_000)
            if what := difference(tracked(back), scene.new):
                yield RESTORES, f"and back: {what}"
            if what := announced(scene, View(back), None):
                yield RESTORES, f"manifest: {what}"
            more = scene.again(disk).changes
            if more.files_synced or more.conflicts_resolved or more.decisions_created or tracked(disk) != scene.new:
                yield SETTLES, f"{more}; {difference(tracked(disk), scene.new)}"
        except Exception as error:  # noqa: BLE001
            yield SETTLES, repr(error)


def _name(report: SyncReport) -> str:
    return (report.backup_path or "").rpartition("/")[2]


# The walks


def plain(scene: Scene, *, full: bool = True) -> CrashStates:
    """Every crash of the run."""
    return crash_states(scene.build, lambda disk: _run(scene, disk), full=full)


def compounds(scene: Scene, *, full: bool = False) -> CrashStates:
    """A kill, and a power cut at every point of the recovery."""
    return compound(scene.build, lambda disk: _run(scene, disk), scene.recover, full=full)


def failures(audit: Audit, errnos: tuple[int, ...] = ERRNOS, *, step: int = 1, full: bool = True) -> tuple[int, int]:
    """Each primitive fails once: the run says so by its type, and the state is judged, with and without a power cut.

    Returns:
        How many failures there were, and how many states were judged after them.
    """
    scene, count, states = audit.scene, 0, 0
    first = scene.build()
    scene.run(first)
    for number in range(0, len(first.operations), step):
        for error in errnos if step == 1 else (errnos[number % len(errnos)],):
            disk = scene.build()
            disk.fail_at = (number, error)
            where = f"{scene.name}: {first.operations[number]} fails with {errno.errorcode[error]}"
            promised = None
            count += 1
            try:
                scene.run(disk)
                promised = disk
            except SyncError:
                pass
            except Exception as wrong:  # noqa: BLE001
                audit.violations.append(Violation(TYPED, where, repr(wrong)))
                audit.bad += 1
            for label, cut in [("no crash", disk.after_kill()), *disk.power_cuts(full=full)]:
                states += 1
                audit.state(cut, promised, f"{where}, {label}")
    return count, states


def torn_failures(audit: Audit) -> int:
    """Each sync fails, a kill follows at once, another run ends well, the power is cut; how many states that was."""
    scene, states = audit.scene, 0
    first = scene.build()
    scene.run(first)
    for number, operation in enumerate(first.operations):
        if operation.name in ("fsync", "sync"):
            disk = scene.build()
            disk.fail_at, disk.crash_at = (number, errno.EIO), number + 1
            with contextlib.suppress(Crash, SyncError):
                scene.run(disk)
            then = disk.after_kill()
            scene.run(then)
            for label, cut in then.power_cuts():
                states += 1
                audit.state(cut, then, f"{scene.name}: {operation} fails, kill, run again, power cut: {label}")
    return states


class Edit(NamedTuple):
    """Somebody saves a file while the run is under way."""

    at: int
    name: str
    data: bytes
    in_place: bool


def edits(
    scene: Scene, *, kills: int = 0, only: tuple[str, ...] = (), since: int = 0
) -> Iterator[tuple[Edit, SimDisk]]:
    """Somebody saves each file the run changes before each of its operations, in either way; the disk two runs later.

    Args:
        scene: The run.
        kills: Kill it before each of so many operations after that; 0 for no kill.
        only: These files, if any are given.
        since: From this operation on.
    """
    first = scene.build()
    scene.run(first)
    names = sorted({*scene.old, *scene.new})
    changed = [
        name for name in names if scene.old.get(name) != scene.new.get(name) and name.split("/")[0] != "conflicts"
    ]
    for at in range(since, len(first.operations)):
        for name in only or changed:
            for in_place in (True, False):
                edit = Edit(at, name, f"saved before {at}".encode(), in_place)
                for kill in range(at + 1, at + 1 + kills) if kills else (None,):
                    disk = _edited(scene, edit, kill)
                    if disk is not None:
                        yield edit, disk


def _edited(scene: Scene, edit: Edit, kill: int | None) -> SimDisk | None:
    disk = scene.build()
    side, _, within = edit.name.partition("/")
    path = f"{ROOTS[side]}/{within}"
    parent = path.rpartition("/")[0]

    def save(number: int, _: object) -> None:
        # Nobody can save beneath a file, nor where a directory is.
        there, above = (None if inode is None else disk.node(inode) for inode in map(disk.inode, (path, parent)))
        is_directory = above is not None and above.names is not None
        if number == edit.at and is_directory and (there is None or there.names is None):
            disk.hook = None
            disk.edit(path, edit.data, in_place=edit.in_place)

    disk.hook, disk.crash_at = save, kill
    with contextlib.suppress(Crash, SyncError):
        scene.run(disk)
    if disk.hook is not None:
        return None
    disk = disk.after_kill()
    with contextlib.suppress(SyncError):  # a rollback is refused where somebody edited, once the first is finished
        scene.again(disk)
    return disk


def judge_edits(
    scene: Scene, *, kills: int = 0, only: tuple[str, ...] = (), since: int = 0
) -> tuple[int, list[Violation]]:
    """Whether every save of somebody else is found again."""
    count, found = 0, []
    for edit, disk in edits(scene, kills=kills, only=only, since=since):
        count += 1
        where = f"{scene.name}: {edit}"
        view = View(disk)
        if edit.data not in view.kept:
            found.append(Violation(FOREIGN, where, "lost"))
        if what := clean(scene, view, None):
            found.append(Violation("journal and temporaries gone", where, what))
        replaced = scene.old.get(edit.name, (b"", 0))[0]  # by the editor, perhaps before anybody saw it
        if lost := {data for data, _ in scene.old.values()} - view.kept - {replaced}:
            found.append(Violation("L9 nothing lost", where, str(lost)))
    return count, found


def _run(scene: Scene, disk: SimDisk) -> None:
    scene.run(disk)


# The whole


def main() -> int:
    """Enumerate everything and print how much it was."""
    online, begun, total, bad = full(), time.monotonic(), 0, 0
    print(f"{'scene':<22}{'walk':<34}{'raw':>9}{'distinct':>10}{'judged':>8}{'violations':>12}{'seconds':>9}")
    shaped = shapes()
    scenes = [small(), online, offline(), rollback(online), shaped, rollback(shaped), _no_exchange(small())]
    for scene in scenes:
        for walk, work in WALKS.items():
            start, audit = time.monotonic(), Audit(scene, deep=walk == "crash of the run")
            raw, distinct = work(audit)
            total, bad = total + raw, bad + audit.bad
            _row(scene.name, walk, (raw, distinct, audit.judged), audit.bad, start)
            for each in audit.violations[:5]:
                print(f"    {each.law}: {each.where}: {each.what}")
    for scene, kills in ((small(), 0), (small(), 4), (rollback(small()), 0)):
        start = time.monotonic()
        count, found = judge_edits(scene, kills=kills)
        total, bad = total + count, bad + len(found)
        walk = f"foreign edits, killed {kills} times" if kills else "foreign edits"
        _row(scene.name, walk, (count, count, count), len(found), start)
        for each in found[:5]:
            print(f"    {each.law}: {each.where}: {each.what}")
    print(f"{total} states, {bad} violations, {time.monotonic() - begun:.0f} s")
    return int(bad > 0)


def _no_exchange(scene: Scene) -> Scene:
    scene.can_exchange, scene.name = False, f"{scene.name}, no exchange"
    return scene


def _over(audit: Audit, states: CrashStates) -> tuple[int, int]:
    audit.over(states)
    return states.raw, states.distinct


def _twice(count: int) -> tuple[int, int]:
    return count, count


WALKS: Final[dict[str, Callable[[Audit], tuple[int, int]]]] = {
    "crash of the run": lambda audit: _over(audit, plain(audit.scene)),
    "kill, crash of the recovery": lambda audit: _over(audit, compounds(audit.scene)),
    "each operation fails, power cut": lambda audit: _twice(failures(audit)[1]),
    "sync fails, kill, run, power cut": lambda audit: _twice(torn_failures(audit)),
}


def _row(scene: str, walk: str, counts: tuple[int, int, int], bad: int, start: float) -> None:
    numbers = "{:>9}{:>10}{:>8}".format(*counts)
    print(f"{scene:<22}{walk:<34}{numbers}{bad:>12}{time.monotonic() - start:>9.1f}", flush=True)


if __name__ == "__main__":
    raise SystemExit(main())
