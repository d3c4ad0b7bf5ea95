"""One run at a time on a share where every host sees a write at once: numbered epochs, taken by exclusive creation.

Owns the epochs in the shared folder. Must not know what a run does. A run that was overtaken while it stood still
finds a higher number than its own, and does nothing more (a fencing token, as in Chubby's sequencers). Where the
medium delays, a number proves nothing and `NoFence` says so by doing nothing.
"""

from __future__ import annotations

import contextlib
import json
import re
import threading
from typing import Final, NamedTuple, Protocol

from heartbeat_kit._clock import Clock
from heartbeat_kit.errors import SyncBusyError, SyncFencedError
from heartbeat_kit.sync._places import EPOCHS
from heartbeat_kit.sync._tree import Tree
from heartbeat_kit.sync._writer import Writer

__all__ = ["EpochFence", "Fence", "NoFence"]

_TAKEN, _DONE = ".json", ".done"
_NUMBER: Final = re.compile(r"\d{16}\.json")
_PACE_MS: Final = 25
_KEPT: Final = 4
_ENOUGH: Final = 20
"""So many times the patience is waited for runs that follow each other."""


class Fence(Protocol):
    """Keeps runs on other hosts apart from this one."""

    def enter(self) -> None:
        """Begin a run.

        Raises:
            SyncBusyError: Another run is under way and goes on.
        """
        ...

    def check(self) -> None:
        """Nobody has overtaken us.

        Raises:
            SyncFencedError: Somebody has.
        """
        ...

    def leave(self) -> None:
        """End the run."""
        ...


class NoFence:
    """For media that delay: what runs do there is the same whoever does it."""

    def enter(self) -> None:
        """Nothing to take."""

    def check(self) -> None:
        """Nothing to find."""

    def leave(self) -> None:
        """Nothing to give back."""


class _Epoch(NamedTuple):
    number: int
    is_open: bool


class EpochFence:
    """For media whose writes every host sees at once.

    Args:
        shared: The shared folder.
        owner: Who runs: a name for this machine and its local state. A run of its own that is still open was cut off,
            for it holds the local lock now.
        clock: To wait by.
        patience_ms: How long another's run may stand still before it is overtaken.
    """

    def __init__(self, shared: Tree, owner: str, clock: Clock, patience_ms: int = 60_000) -> None:
        self._shared = shared
        self._owner = owner
        self._clock = clock
        self._patience_ms = patience_ms
        self._mine: int | None = None
        self._said_ms = self._turns = 0

    def enter(self) -> None:
        """Take the next number, once the run before is done, was ours, or has stood still too long."""
        writer = Writer(self._shared)
        writer.ensure(EPOCHS)
        waiting_for, since = b"", 0
        never, began = threading.Event(), self._clock.now().mono_ms
        while True:
            newest = self._newest()
            now = self._clock.now().mono_ms
            holder = self._holder(newest.number)
            if holder != waiting_for:
                waiting_for, since = holder, now
            free = not newest.is_open or _owner(holder) == self._owner
            if free or now - since >= self._patience_ms:
                number = newest.number + 1
                # Never there without its owner: who is cut off in between would wait for itself as for a stranger.
                if writer.put_new(_path(number), self._record(0)):
                    self._mine, self._said_ms, self._turns = number, now, 0
                    self._forget(number)
                    return
            if now - began > _ENOUGH * self._patience_ms:
                raise SyncBusyError("other runs follow each other without end: try again later")
            self._clock.wait(never, _PACE_MS)

    def check(self) -> None:
        """Say that we are at work, if that is due; then look for a higher number, so nothing lies after the look."""
        now = self._clock.now().mono_ms
        if self._mine is not None and now - self._said_ms >= self._patience_ms // 4:
            self._said_ms, self._turns = now, self._turns + 1
            Writer(self._shared).put(_path(self._mine), self._record(self._turns))
        newest = self._newest().number
        if self._mine is None or newest != self._mine:
            raise SyncFencedError(
                f"the run of {self._owner} stood still so long that another took over (epoch {newest} after "
                f"{self._mine}): what was left to do is not done"
            )

    def leave(self) -> None:
        """Mark the number as done."""
        mine, self._mine = self._mine, None
        if mine is not None:
            with contextlib.suppress(OSError):
                self._shared.create(_path(mine, _DONE), b"", mode=0o644)

    def _newest(self) -> _Epoch:
        names = {name for name, _ in self._shared.list(EPOCHS)}
        taken = [int(name.removesuffix(_TAKEN)) for name in names if _NUMBER.fullmatch(name)]
        newest = max(taken, default=0)
        return _Epoch(newest, is_open=newest > 0 and f"{newest:016d}{_DONE}" not in names)

    def _record(self, turns: int) -> bytes:
        return json.dumps({"owner": self._owner, "turns": turns}).encode()

    def _holder(self, number: int) -> bytes:
        """What the holder of a number says; it changes while the holder is at work."""
        try:
            return b"%d " % number + self._shared.read(_path(number), limit=4096).data
        except OSError:
            return b"%d " % number

    def _forget(self, number: int) -> None:
        """Numbers long past; the newest is never removed, or it would be given twice."""
        for name, _ in self._shared.list(EPOCHS):
            stem = name.partition(".")[0]
            if stem.isdigit() and int(stem) < number - _KEPT:
                with contextlib.suppress(OSError):
                    self._shared.remove(f"{EPOCHS}/{name}")


def _owner(holder: bytes) -> str | None:
    try:
        return str(json.loads(holder.partition(b" ")[2])["owner"])
    except (ValueError, TypeError, KeyError):
        return None


def _path(number: int, suffix: str = _TAKEN) -> str:
    return f"{EPOCHS}/{number:016d}{suffix}"
