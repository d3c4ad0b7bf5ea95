"""The common time of a family of fake clocks: one heap of turns, run by whoever moves time.

Owns true time, the order of turns and what freezes them. Must not know wall clocks, dates or storage.
"""

from __future__ import annotations

import threading
from heapq import heappop, heappush

from heartbeat_kit._clock import Step

__all__ = ["FakeLoop", "Host", "Timeline"]


class Host:
    """One machine on a timeline: how far its monotonic clock fell behind true time, and what holds its loops.

    Attributes:
        slept_ms: Length of all earlier suspends; true time less this is the host's monotonic clock.
        asleep_since: True time at which the present suspend began, or ``None`` while awake.
        stalled_until: True time before which no loop of this host runs.
        loops: Loops that may still run, in order of creation.
    """

    __slots__ = ("asleep_since", "loops", "slept_ms", "stalled_until")

    def __init__(self) -> None:
        self.slept_ms = 0
        self.asleep_since: int | None = None
        self.stalled_until = 0
        self.loops: dict[FakeLoop, None] = {}


class Timeline:
    """True time in integer milliseconds and the turns that are due on it. Moves only when told to."""

    def __init__(self) -> None:
        self.now_ms = 0
        self.lock = threading.RLock()
        self._heap: list[tuple[int, int, int, FakeLoop]] = []
        self._created = 0

    def add(self, host: Host, step: Step, name: str) -> FakeLoop:
        """A new loop of `host`, due at once."""
        with self.lock:
            self._created += 1
            loop = FakeLoop(self, host, step, name, self._created)
            host.loops[loop] = None
            self.plan(loop, self.now_ms)
            return loop

    def plan(self, loop: FakeLoop, due_ms: int) -> None:
        """Let `loop` take its next turn at `due_ms`; an earlier plan of it no longer counts."""
        loop.version += 1
        asleep_since = loop.host.asleep_since
        if asleep_since is None:
            loop.due_ms = due_ms
            heappush(self._heap, (due_ms, loop.order, loop.version, loop))
        else:  # counted from when its clock stopped; `suspend` puts it on the heap when the host wakes up
            loop.due_ms = due_ms - (self.now_ms - asleep_since)

    def run_until(self, target_ms: int, event: threading.Event | None = None) -> None:
        """Move time to `target_ms`, giving every turn that is due on the way; stop early once `event` is set.

        A turn may call this again: time then moves on inside it, and the loop under way waits for its own end.
        """
        heap = self._heap
        while heap and heap[0][0] <= target_ms:
            due_ms, _, version, loop = heappop(heap)
            if loop.version != version or not loop.is_alive:
                continue  # planned anew, parked or stopped since
            self.now_ms = max(self.now_ms, due_ms)
            if loop.host.stalled_until > self.now_ms:  # its turn stays due: a sleep puts off what was due before it
                loop.version += 1
                heappush(heap, (loop.host.stalled_until, loop.order, loop.version, loop))
                continue
            self._turn(loop)
            if event is not None and event.is_set():
                return
        self.now_ms = max(self.now_ms, target_ms)

    def suspend(self, host: Host, length_ms: int) -> None:
        """Let `host` sleep for `length_ms` while everybody else goes on; its turns come later by as much."""
        until_ms = self.now_ms + length_ms
        if host.asleep_since is not None:  # asked for again by somebody who is awake: it just sleeps on
            self.run_until(until_ms)
            return
        self.fall_asleep(host)
        try:
            self.run_until(until_ms)
        finally:
            self.wake_up(host)

    def fall_asleep(self, host: Host) -> None:
        """Stop the monotonic clock and the loops of `host`, unless it sleeps already."""
        if host.asleep_since is None:
            host.asleep_since = self.now_ms
            for loop in tuple(host.loops):
                loop.version += 1  # no plan on the heap counts while it sleeps

    def wake_up(self, host: Host) -> None:
        """Let them go on, if it sleeps: what was due in 10 s is due in 10 s."""
        if host.asleep_since is None:
            return
        slept_ms = self.now_ms - host.asleep_since
        host.slept_ms += slept_ms
        host.asleep_since = None
        for loop in tuple(host.loops):
            if loop.due_ms is not None:
                self.plan(loop, loop.due_ms + slept_ms)

    def _turn(self, loop: FakeLoop) -> None:
        loop.due_ms = None
        loop.woken = False
        try:
            due_ms = loop.step() + loop.host.slept_ms
        except BaseException:
            loop.end()
            raise
        soonest_ms = self.now_ms + 1
        self.plan(loop, soonest_ms if loop.woken or due_ms < soonest_ms else due_ms)


class FakeLoop:
    """A background loop without a thread: its turns run inside the call that moves time.

    Attributes:
        due_ms: True time of its next turn; ``None`` during a turn.
        is_alive: Whether it will take another turn.
    """

    __slots__ = ("due_ms", "host", "is_alive", "name", "order", "step", "timeline", "version", "woken")

    def __init__(self, timeline: Timeline, host: Host, step: Step, name: str, order: int) -> None:
        self.timeline = timeline
        self.host = host
        self.step = step
        self.name = name
        self.order = order
        self.version = 0
        self.due_ms: int | None = None
        self.woken = False
        self.is_alive = True

    def wake(self) -> None:
        """Make the next turn due now; called during a turn, one more follows a millisecond later."""
        with self.timeline.lock:
            if self.due_ms is None:
                self.woken = True
            else:
                self.timeline.plan(self, self.timeline.now_ms)

    def stop(self, timeout_ms: int) -> bool:
        """End the loop; false only if another thread is moving time and does not finish within `timeout_ms`."""
        self.end()
        lock = self.timeline.lock
        if not lock.acquire(timeout=min(max(timeout_ms, 0) / 1000, threading.TIMEOUT_MAX)):
            return False
        lock.release()
        return True

    def end(self) -> None:
        """Take no further turn."""
        self.is_alive = False
        self.host.loops.pop(self, None)

    def __repr__(self) -> str:
        state = "ended" if not self.is_alive else "under way" if self.due_ms is None else f"due at {self.due_ms} ms"
        return f"<FakeLoop {self.name!r} {state}>"
