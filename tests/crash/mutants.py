"""The harness, tried on protocols with a bug: each must be caught, and by how many states.

``python tests/crash/mutants.py`` seeds one bug after the other and prints a table; it fails if one goes unnoticed, or
if anything is found without a bug. Owns the bugs. Must not know what is checked, nor how the states are made.
"""

# ruff: noqa: T201, PLR0917 - as a script it prints; methods in place of others have their parameters

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from pathlib import Path
from typing import Any, Final, NamedTuple
from unittest.mock import patch

if __name__ == "__main__":  # a script has no package: give it this one (PEP 366)
    sys.path.insert(0, str(Path(__file__).parents[1]))
    __package__ = "crash"

from heartbeat_kit.sync import _execute
from heartbeat_kit.sync._complete import Completion
from heartbeat_kit.sync._execute import Executor
from heartbeat_kit.sync._fence import NoFence
from heartbeat_kit.sync._journal import read_journal
from heartbeat_kit.sync._model import Side
from heartbeat_kit.sync._steps import Stepper, _look
from heartbeat_kit.sync._tree import TRASH
from heartbeat_kit.sync._writer import Objects, Writer

from .protocol import Audit, compounds, failures, judge_edits, plain, torn_failures
from .scenes import ROOTS, Scene, full, small
from .sim_disk import Operation
from .sim_tree import SimTree

__all__ = ["MUTANTS", "Mutant", "Outcome", "try_mutant"]

Seed = Callable[[Scene], AbstractContextManager[Any]]


class Mutant(NamedTuple):
    """A protocol with one bug.

    Attributes:
        name: What is wrong.
        seed: Makes it so for a block.
        walk: Which states show it: ``plain``, ``compound``, ``edits``, ``failures`` or ``torn``.
        names: Of the files that somebody else edits.
    """

    name: str
    seed: Seed
    walk: str = "plain"
    names: tuple[str, ...] = ("machine/gone.conf", "machine/etc/down.ini", "baseline/up.conf")


class Outcome(NamedTuple):
    """What became of a mutant.

    Attributes:
        states: How many states there were, equal ones counted once.
        bad: In how many something did not hold.
        laws: What did not hold, and how often.
    """

    states: int
    bad: int
    laws: dict[str, int]


def try_mutant(mutant: Mutant, scene: Scene) -> Outcome:
    """Judge the states of a scene with a bug."""
    assert scene.new != scene.old  # as they are without it: made before it is seeded
    audit = Audit(scene, deep=False)
    with mutant.seed(scene):
        if mutant.walk == "edits":
            count, found = judge_edits(scene, only=mutant.names)
            laws = {law: sum(each.law == law for each in found) for law in sorted({each.law for each in found})}
            return Outcome(count, len({each.where for each in found}), laws)
        if mutant.walk == "failures":
            _, count = failures(audit, full=False)
        elif mutant.walk == "torn":
            count = torn_failures(audit)
        else:
            states = plain(scene) if mutant.walk == "plain" else compounds(scene)
            audit.over(states)
            count = states.distinct
    return Outcome(count, audit.bad, dict(audit.laws.most_common()))


# How bugs are made


def _unsynced(name: str, *places: str, but: str = "\0") -> Seed:
    """An fsync of a file or a sync of a directory that never happens, beneath some places."""

    def skip(operation: Operation) -> bool:
        path = f"{operation.paths[0]}/"
        return operation.name == name and path.startswith(places) and but not in path

    @contextlib.contextmanager
    def seed(scene: Scene) -> Iterator[None]:
        scene.skip = skip
        try:
            yield
        finally:
            scene.skip = None

    return seed


def _unsynced_in(owner: Any, method: str, name: str) -> Seed:
    """The same for all that one method does, wherever."""

    @contextlib.contextmanager
    def seed(scene: Scene) -> Iterator[None]:
        inside, real = [], getattr(owner, method)

        def wrapped(*arguments: Any) -> Any:
            inside.append(method)
            try:
                return real(*arguments)
            finally:
                inside.clear()

        scene.skip = lambda operation: bool(inside) and operation.name == name
        try:
            with patch.object(owner, method, wrapped):
                yield
        finally:
            scene.skip = None

    return seed


def _replaced(*patches: tuple[Any, str, Any]) -> Seed:
    """Other methods in place of the real ones."""

    @contextlib.contextmanager
    def seed(scene: Scene) -> Iterator[None]:
        with ExitStack() as stack:
            for owner, name, new in patches:
                stack.enter_context(patch.object(owner, name, new))
            yield

    return seed


# The bugs that are more than a missing sync

_perform, _complete, _announce = Stepper.perform, Completion.complete, Completion._announce
_put_new, _commit = Writer.put_new, Completion.commit


def _write_in_place(self, step, number, writer, temp, path):
    writer.tree.remove(temp)
    mode = writer.tree.stat(path).mode
    writer.tree.remove(path)
    writer.tree.create(path, self._contents.get(step.after.sha256), mode=mode)


def _exchange_blindly(self, step, number, writer, temp, path):
    writer.tree.exchange(temp, path)
    self._discard(writer, temp, self._aside(step.before.sha256, number))


def _unlink(self, step, writer, path, aside):
    if _look(writer.tree, path).sha256 == step.before.sha256:
        writer.tree.remove(path)
    writer.tree.sync(path.rpartition("/")[0])


def _ensure_unanchored(self, directory):
    if directory:
        self.ensure(directory.rpartition("/")[0])
        with contextlib.suppress(FileExistsError):
            self.tree.mkdir(directory)


def _recover_without_syncing(self, fence):
    journal = read_journal(self._places.state)
    return None if journal is None else self.complete(journal, fence)


def _commit_late(self, journal):
    self.late = journal


def _announce_then_commit(self, journal, *more):
    if getattr(self, "late", None) is not None:
        _commit(self, journal)
    _announce(self, journal, *more)


def _announce_and_end(self, journal, *more):
    self._places.state.remove("journal.json")
    self._places.state.sync("")
    _announce(self, journal, *more)


def _said_first(say: Callable[[Completion, Any], None]) -> Seed:
    def complete(self, journal, fence):
        say(self, journal)
        return _complete(self, journal, fence)

    return _replaced((Completion, "complete", complete))


def _back_up_late() -> Seed:
    todo: list[Callable[[], str]] = []

    def later(places, backup, completion, held):
        todo.append(lambda: _execute_write_backup(places, backup, completion, held))
        return backup.name

    def announce(self, *what):
        while todo:
            todo.pop()()
        _announce(self, *what)

    return _replaced((_execute, "write_backup", later), (Completion, "_announce", announce))


_execute_write_backup = _execute.write_backup


def _torn_backup(places, backup, completion, held):
    writer = completion.writer(places.backups)
    completion.writer(places.shared).ensure("backups")
    _put_new(writer, backup.name, backup.to_bytes()[:-9], mode=0o600)
    return backup.name


def _perform_but_conflicts(self, step, number, writer, path):
    return None if step.side is Side.CONFLICTS else _perform(self, step, number, writer, path)


def _create_whatever_fsync_says(self, path, data, *, mode, owner=None):
    disk = self.disk
    real, disk.step = disk.step, lambda name, *more, **kw: _suppressed(real, name, *more, **kw)
    try:
        _create(self, path, data, mode=mode, owner=owner)
    finally:
        del disk.step


def _suppressed(step, name, *more, **kw):
    try:
        return step(name, *more, **kw)
    except OSError:
        if name != "fsync":
            raise


def _put_all_trusting(self, contents):
    for sha256, data in contents:
        self._writer.ensure(self._directory)
        path = self._path(sha256)
        if self.get(sha256) is not None:
            self._tree.sync_file(path)
        else:
            with contextlib.suppress(FileNotFoundError):
                self._tree.remove(path)
            self._tree.create(path, data, mode=self._mode)
        self._tree.sync(self._directory)


_create = SimTree.create
_TRACKED: Final = tuple(ROOTS.values())

MUTANTS: Final = (
    Mutant("new content not fsynced", _unsynced("fsync", *_TRACKED)),
    Mutant("directory of a step not synced", _unsynced("sync", *_TRACKED, but=TRASH)),
    Mutant("trash not synced", _unsynced("sync", f"workspace/{TRASH}", f"shared/{TRASH}")),
    Mutant("journal's content not fsynced", _unsynced_in(Completion, "commit", "fsync")),
    Mutant("journal's name not synced", _unsynced_in(Completion, "commit", "sync")),
    Mutant(
        "journal after the steps",
        _replaced((Completion, "commit", _commit_late), (Completion, "_announce", _announce_then_commit)),
    ),
    Mutant("written in place", _replaced((Stepper, "_swap", _write_in_place))),
    Mutant("recovery without re-fsync", _replaced((Completion, "recover", _recover_without_syncing)), walk="compound"),
    Mutant("directories never anchored", _replaced((Writer, "ensure", _ensure_unanchored))),
    Mutant("no backup", _replaced((_execute, "write_backup", lambda places, backup, completion, held: backup.name))),
    Mutant("backup after the steps", _back_up_late()),
    Mutant("backup's content not fsynced", _unsynced("fsync", "shared/backups/")),
    Mutant("backup's name not synced", _unsynced("sync", "shared/backups/")),
    Mutant("backup torn and not verified", _replaced((_execute, "write_backup", _torn_backup))),
    Mutant("journal removed before manifest and archive", _replaced((Completion, "_announce", _announce_and_end))),
    Mutant("manifest before the files", _said_first(lambda self, journal: _announce(self, journal, (), NoFence()))),
    Mutant("archive before the files", _said_first(lambda self, journal: self._archive(journal, journal.agreed))),
    Mutant(
        "receipt before the files",
        _said_first(lambda self, journal: self._receipt(journal, journal.planned, journal.agreed)),
    ),
    Mutant("local contents not fsynced", _unsynced("fsync", "state/objects/")),
    Mutant("names of local contents not synced", _unsynced("sync", "state/objects/")),
    Mutant("conflicts store not written", _replaced((Stepper, "perform", _perform_but_conflicts))),
    Mutant("decision's contents not pinned", _replaced((Executor, "_pin", lambda self, survey, decision, paths: None))),
    Mutant("decision's contents not fsynced", _unsynced("fsync", "shared/objects/")),
    Mutant("temporary of the run before not cleared", _replaced((Stepper, "_clear", lambda self, *where: None))),
    Mutant(
        "displaced edit thrown away",
        _replaced((Stepper, "_swap", _exchange_blindly)),
        walk="edits",
        names=("machine/etc/down.ini",),
    ),
    Mutant("deleted by unlink", _replaced((Stepper, "_delete", _unlink)), walk="edits", names=("machine/gone.conf",)),
    Mutant("failed fsync passed over", _replaced((SimTree, "create", _create_whatever_fsync_says)), walk="failures"),
    Mutant(
        "content trusted after its sync failed",
        _replaced((Objects, "put_all", _put_all_trusting)),
        walk="torn",
    ),
)
"""Every one of them must be caught."""
NONE: Final = Mutant("none", _replaced())


def main() -> int:
    """Try all and print the table."""
    print(f"{'bug':<46}{'walk':<10}{'caught in':>9} of {'states':<8}by")
    failed = False
    for walk in ("plain", "compound", "edits", "failures", "torn"):
        failed |= _tried(NONE._replace(walk=walk), expected=False)
    for mutant in MUTANTS:
        failed |= _tried(mutant, expected=True)
    print("every bug was caught" if not failed else "FAILED: a bug went unnoticed, or something was found without one")
    return int(failed)


def _tried(mutant: Mutant, *, expected: bool) -> bool:
    outcome = try_mutant(mutant, full() if mutant.walk in ("plain", "compound") else small())
    wrong = bool(outcome.bad) is not expected
    laws = ", ".join(f"{law} {count}" for law, count in outcome.laws.items())
    counts = f"{outcome.bad:>9} of {outcome.states:<8}"
    print(f"{mutant.name:<46}{mutant.walk:<10}{counts}{laws}{'  <-- WRONG' if wrong else ''}", flush=True)
    return wrong


if __name__ == "__main__":
    raise SystemExit(main())
