"""Every state a crash can leave behind while something runs, and while it recovers.

Owns where the crashes fall and which states are told apart. Must not know what a disk is made of, nor what is right:
the caller checks each state. It imports no disk, so that a script beside it can import it as well as a test.

A process is stopped by copying the disk in passing: a kill changes nothing, so the copy is what `SimDisk.crash_at` and
`SimDisk.after_kill` would give, and one run gives all of them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from .sim_disk import Operation, SimDisk

__all__ = ["CrashState", "CrashStates", "compound", "crash_states"]


class CrashState(NamedTuple):
    """What a crash left behind.

    Attributes:
        label: When it came and what it kept.
        k: How many operations had been done, of the run.
        disk: The state; the caller may do with it what it likes.
        j: How many operations had been done, of the recovery, where there was one.
        cut: Whether it was a power cut; otherwise it was a kill.
        promised: The disk as it stood when the run, or after it the recovery, had returned: what a caller was told is
            there, so that it must have survived. ``None`` if nothing had returned. To be read only.
    """

    label: str
    k: int
    disk: SimDisk
    j: int | None = None
    cut: bool = True
    promised: SimDisk | None = None


class CrashStates(Iterator[CrashState]):
    """Crash states one after the other, made as they are asked for.

    A power cut's state is left out if another one was equal to it, with an equal promise: an old state is right before
    the return and wrong after it. Kills are all there; equal to the eye, they may differ in what is pending.

    Attributes:
        raw: How many states were met so far.
        distinct: How many of them were handed out.
    """

    def __init__(self, produce: Callable[[CrashStates], Iterator[CrashState]]) -> None:
        self.raw = self.distinct = 0
        self._seen: set[tuple[str, str]] = set()
        self._states = produce(self)

    def __next__(self) -> CrashState:
        state = next(self._states)
        self.distinct += 1
        return state

    def cuts(self, disk: SimDisk, known: set[int], *, full: bool, **facts: Any) -> Iterator[CrashState]:
        """The power cuts of a disk; `known` are the subsets already met on copies of it, with the same promise."""
        at, promised = facts.pop("label", ""), facts.get("promised")
        promise = promised.digest() if promised else ""
        for label, kept in disk.subsets(full=full):
            self.raw += 1
            if kept not in known:
                known.add(kept)
                cut = disk.cut(kept)
                if (key := (cut.digest(), promise)) not in self._seen:
                    self._seen.add(key)
                    yield CrashState(f"{at}{label}", disk=cut, **facts)


def crash_states(build: Callable[[], SimDisk], run: Callable[[SimDisk], None], *, full: bool = True) -> CrashStates:
    """A kill before each operation of a run and after the last, and the power cuts at the same points."""

    def produce(states: CrashStates) -> Iterator[CrashState]:
        known: set[int] = set()
        for k, at, disk in _stops(build(), run):
            promised = None if at else disk
            states.raw += 1
            yield CrashState(f"kill {at or 'at the end'}", k, disk.after_kill(), cut=False, promised=promised)
            known = known if at else set()
            label = f"power cut {at or 'at the end'}, kept: "
            yield from states.cuts(disk, known, full=full, label=label, k=k, promised=promised)

    return CrashStates(produce)


def compound(
    build: Callable[[], SimDisk],
    run: Callable[[SimDisk], None],
    recover: Callable[[SimDisk], None],
    *,
    full: bool = False,
) -> CrashStates:
    """A kill before each operation of a run and after the last, and the power cuts at each point of the recovery."""

    def produce(states: CrashStates) -> Iterator[CrashState]:
        for k, at, killed in _stops(build(), run):
            known: set[int] = set()
            for j, then, disk in _stops(killed.after_kill(), recover):
                promised = disk if not then else None if at else killed
                known = known if then else set()
                label = f"kill {at or 'at the end'}; in recovery power cut {then or 'at the end'}, kept: "
                yield from states.cuts(disk, known, full=full, label=label, k=k, j=j, promised=promised)

    return CrashStates(produce)


def _stops(disk: SimDisk, run: Callable[[SimDisk], None]) -> Iterator[tuple[int, str, SimDisk]]:
    """Run something to its end; the number of each operation, what it is (empty after the last), the disk before it."""
    hook = disk.hook
    taken: list[tuple[int, str, SimDisk]] = []

    def watch(k: int, operation: Operation) -> None:
        if hook is not None:
            hook(k, operation)
        taken.append((k, f"before {k} {operation.name} {' '.join(operation.paths)}", disk.after_kill()))

    disk.hook = watch
    try:
        run(disk)
    finally:
        disk.hook = hook
    yield from taken
    yield len(taken), "", disk.after_kill()
