"""The medium at work in one run: what was written, what is on its way, what each reader has by now.

Owns the deliveries: their delays, their accidents and the truth about them. Deliveries are drawn when a record is
written and take effect when their reader looks, so nothing happens on the timeline for them. Must not know services.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from heapq import heappop, heappush
from random import Random
from typing import Final

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.lab._medium import Medium, Uniform
from heartbeat_kit.lab._quality import Span
from heartbeat_kit.lab._replica import Replica, Version

__all__ = ["Network", "Node", "interruptions", "p99_jitter"]

_DAY_MS: Final = 86_400_000
_SHOW, _EMPTY, _BACK, _COPY, _UNCOPY = range(5)


def interruptions(per_day: float, length: Uniform, random: Random, duration_ms: int) -> list[Span]:
    """Spans at random times: in each day of the run `per_day` of them, of a part of a day as large a part.

    >>> len(interruptions(2, Uniform(least=60, most=600), Random(1), 2 * 86_400_000))
    4
    """
    spans = []
    for day_ms in range(0, duration_ms, _DAY_MS):
        rest_ms = min(_DAY_MS, duration_ms - day_ms)
        wanted = per_day * rest_ms / _DAY_MS
        for _ in range(int(wanted) + (random.random() < wanted % 1)):
            start_ms = day_ms + random.randrange(rest_ms)
            spans.append(Span(start_ms, start_ms + length.draw(random)))
    return spans


def p99_jitter(delays: Sequence[int]) -> int | None:
    """The 99th percentile (nearest rank) less the smallest, in milliseconds."""
    return sorted(delays)[-(-99 * len(delays) // 100) - 1] - min(delays) if delays else None


class _Calendar:
    """Spans in which something stands still."""

    def __init__(self, spans: Iterable[Span]) -> None:
        self._starts: list[int] = []
        self._ends: list[int] = []
        for start_ms, end_ms in sorted(spans):
            if self._ends and start_ms <= self._ends[-1]:
                self._ends[-1] = max(self._ends[-1], end_ms)
            else:
                self._starts.append(start_ms)
                self._ends.append(end_ms)

    def after(self, moment_ms: int) -> int:
        """The moment, or the end of the span it falls into."""
        place = bisect_right(self._starts, moment_ms) - 1
        return self._ends[place] if place >= 0 and moment_ms < self._ends[place] else moment_ms


class Node:
    """One machine on the medium: its replica, and what is on the way to it.

    Args:
        name: Of the host.
        machine_id: As whom it beats.
        replica: What it has.
        reads: It looks at others, so their records travel to it.
        stalls: When it downloads nothing.
        pauses: When it uploads nothing.

    Attributes:
        drawn: The delay of every delivery to it, milliseconds.
        visible: The same of those whose record became the newest it had.
    """

    def __init__(
        self,
        name: str,
        machine_id: str,
        replica: Replica,
        *,
        reads: bool,
        stalls: Iterable[Span],
        pauses: Iterable[Span],
    ) -> None:
        self.name = name
        self.machine_id = machine_id
        self.replica = replica
        self.reads = reads
        self.drawn: list[int] = []
        self.visible: list[int] = []
        self.routes: list[_Route] = []
        self.random = Random()  # noqa: S311 - a simulation
        self.last: Version | None = None
        self._stalls = _Calendar(stalls)
        self.pauses = _Calendar(pauses)
        self._due: list[tuple[int, int, int, Version, int]] = []
        self._planned = 0
        self._newest: dict[str, int] = {}

    def plan(self, due_ms: int, what: int, version: Version, detail: int = 0) -> None:
        """Let something happen to the replica at `due_ms`, or when its stall then ends.

        Args:
            due_ms: When.
            what: One of the constants above.
            version: Of which file, with which content.
            detail: The delay of a version that is shown; what an older one may overwrite, by number.
        """
        self._planned += 1
        heappush(self._due, (self._stalls.after(due_ms), self._planned, what, version, detail))

    def wrote(self, version: Version) -> None:
        """Its own write is the newest it has."""
        self._newest[version.machine_id] = version.number

    def receive(self, now_ms: int) -> None:
        """Let everything happen that is due."""
        due = self._due
        while due and due[0][0] <= now_ms:
            _, _, what, version, detail = heappop(due)
            if not version.superseded:
                self._take(what, version, detail)

    def _take(self, what: int, version: Version, detail: int) -> None:
        newest = self._newest.get(version.machine_id, 0)
        if what == _SHOW:
            if version.number < newest:
                return
            if version.number > newest:
                self._newest[version.machine_id] = version.number
                self.visible.append(detail)
            self.replica.show(version)
        elif what == _EMPTY:
            if version.number > newest:
                self.replica.empty(version.machine_id)
        elif what == _BACK:
            if detail == newest:
                self.replica.show(version)
        elif what == _COPY:
            self.replica.add_copy(version)
        else:
            self.replica.drop_copy(version)


class _Route:
    """The way from one node to another, with a chance of its own, so that no other way changes what happens here."""

    def __init__(self, medium: Medium, reader: Node, random: Random) -> None:
        self._reader = reader
        self._random = random
        self._delay = medium.delay
        self._medium = medium
        self._smooth = not (medium.empty or medium.reordered or medium.conflicted)
        self._before: Version | None = None

    def carry(self, version: Version) -> None:
        """Send a version on its way."""
        random, reader, sent_ms = self._random, self._reader, version.sent_ms
        delay_ms = 0 if self._delay is None else self._delay.draw(random)
        due_ms = sent_ms + delay_ms
        reader.drawn.append(delay_ms)
        if not self._smooth:
            self._accidents(version, due_ms)
        reader.plan(due_ms, _SHOW, version, delay_ms)
        self._before = version

    def _accidents(self, version: Version, due_ms: int) -> None:
        medium, random, reader, before = self._medium, self._random, self._reader, self._before
        if random.random() < medium.empty:
            reader.plan(max(version.sent_ms, due_ms - medium.empty_for.draw(random)), _EMPTY, version)
        if random.random() < medium.reordered and before is not None:
            reader.plan(due_ms + 1, _BACK, before, version.number)
            reader.plan(due_ms + 1 + medium.reordered_for.draw(random), _SHOW, version)
        if random.random() < medium.conflicted:
            reader.plan(due_ms, _COPY, version)
            reader.plan(due_ms + medium.conflicted_for.draw(random), _UNCOPY, version)


class Network:
    """All nodes and the ways between them.

    Args:
        medium: What it is like.
        seed: Decides everything that is drawn.
        nodes: Everybody.
        now_ms: True time.
    """

    def __init__(self, medium: Medium, *, seed: int, nodes: Sequence[Node], now_ms: Callable[[], int]) -> None:
        self._medium = medium
        self.now_ms = now_ms
        self._written = 0
        for sender in nodes:
            sender.random = Random(f"{seed}:writes:{sender.name}")  # noqa: S311 - a simulation
            sender.routes = [
                _Route(medium, reader, Random(f"{seed}:way:{sender.name}:{reader.name}"))  # noqa: S311
                for reader in nodes
                if reader is not sender and (reader.reads or reader.machine_id == sender.machine_id)
            ]

    def send(self, sender: Node, machine_id: str, heartbeat: Heartbeat | None) -> None:
        """Something was written into the sender's replica: let it travel."""
        self._written += 1
        now_ms = self.now_ms()
        leaves_ms = sender.pauses.after(now_ms)
        data = b"" if heartbeat is None else sender.replica.data_of(machine_id)
        version = Version(self._written, machine_id, heartbeat, data, leaves_ms)
        sender.wrote(version)
        if leaves_ms > now_ms:
            if sender.last is not None and sender.last.machine_id == machine_id and sender.last.sent_ms == leaves_ms:
                sender.last.superseded = True
            sender.last = version
        if self._medium.lost and sender.random.random() < self._medium.lost:
            return
        for route in sender.routes:
            route.carry(version)
