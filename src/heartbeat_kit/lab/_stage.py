"""`Stage`: the course of one simulated run: who starts when, what happens when, what is recorded.

Owns the wiring of clocks, nodes and hosts, and the plan of a run. Must not know how its arguments were given.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from heapq import heapify, heappop
from pathlib import Path
from random import Random
from typing import Final

import attrs

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._times import span_ms
from heartbeat_kit.lab._clock import LabClock
from heartbeat_kit.lab._faults import (
    Crash,
    DiskFull,
    Dst,
    Fault,
    IdentityClone,
    Leave,
    Partition,
    Pause,
    Skew,
    Stall,
    Suspend,
    UploadPause,
    WallJump,
    first_start_ms,
    lives,
    spans_of,
)
from heartbeat_kit.lab._host import LabHost, OnStart
from heartbeat_kit.lab._link import FolderLink, Link, MemoryLink
from heartbeat_kit.lab._medium import Medium
from heartbeat_kit.lab._network import Network, Node, interruptions
from heartbeat_kit.lab._quality import Span
from heartbeat_kit.lab._replica import FolderReplica, MemoryReplica, Replica
from heartbeat_kit.lab._run import Heard, Run

__all__ = ["Stage"]

_NEVER: Final = timedelta(days=366)
_FIRST: Final = 0
"""What ends comes before what begins at the same moment."""
_SECOND: Final = 1


class Stage:
    """Everything of one run."""

    def __init__(
        self,
        names: tuple[str, ...],
        watching: tuple[str, ...],
        medium: Medium,
        faults: tuple[Fault, ...],
        *,
        duration_ms: int,
        seed: int,
        config: HeartbeatConfig,
        directory: Path | None,
        on_start: OnStart | None,
    ) -> None:
        self._names, self._watching, self._medium, self._faults = names, watching, medium, faults
        self._duration_ms, self._seed, self._config = duration_ms, seed, config
        self._clock = LabClock()
        self._heard: dict[str, list[Heard]] = {name: [] for name in watching}
        self._folders: list[FolderReplica] = []
        self._stalls = {
            name: self._interruptions("stall", name, medium.stalls_per_day if name in watching else 0, Stall, Suspend)
            for name in names
        }
        self._pauses = {
            name: self._interruptions("pause", name, medium.upload_pauses_per_day, UploadPause, Suspend)
            for name in names
        }
        clones = {fault.machine: fault.clone_of for fault in faults if isinstance(fault, IdentityClone)}
        identities = {**{name: name for name in names}, **clones}
        nodes = {
            name: Node(
                name,
                machine_id,
                self._replica(name, directory),
                reads=name in watching,
                stalls=self._stalls.get(name, ()),
                pauses=self._pauses.get(name, ()),
            )
            for name, machine_id in identities.items()
        }
        self._nodes = nodes
        clock = self._clock
        network = Network(medium, seed=seed, nodes=tuple(nodes.values()), now_ms=lambda: clock.true_ms)
        skews = {fault.machine: fault.seconds_ms for fault in faults if isinstance(fault, Skew)}
        sender = attrs.evolve(config, check_interval=_NEVER)
        self._hosts = {
            name: LabHost(
                name,
                identities[name],
                clock=clock.sibling(skew=skews.get(name, 0) / 1000),
                link=_link(network, node, medium, directory),
                config=config if name in watching else sender,
                state_dir=None if directory is None else directory / name / "state",
                listener=self._listener(name) if name in watching else None,
                on_start=on_start,
            )
            for name, node in nodes.items()
        }
        beat_ms = span_ms(config.heartbeat_interval)
        self._began_ms = {
            name: first_start_ms(faults, name, Random(f"{seed}:phase:{name}").randrange(beat_ms), duration_ms)  # noqa: S311
            for name in names
        }

    def play(self) -> None:
        """Let time pass."""
        plan = self._plan()
        heapify(plan)

        def director() -> int:
            while plan and plan[0][0] <= self._clock.true_ms:
                heappop(plan)[-1]()
            return plan[0][0] if plan else 2 * self._duration_ms

        # The first loop of the family, so what happens at a moment comes before what anybody does in it.
        self._clock.loop(director, name="director")
        self._clock.advance(self._duration_ms / 1000)

    def outcome(self) -> Run:
        """What happened."""
        seeing = {name: self._hosts[name] for name in self._watching}
        return Run(
            machines=self._names,
            observers=self._watching,
            medium=self._medium,
            faults=self._faults,
            duration=self._duration_ms,
            seed=self._seed,
            config=self._config,
            alive=lives(self._faults, self._began_ms, self._duration_ms),
            heard={name: tuple(heard) for name, heard in self._heard.items()},
            upload_pauses={name: tuple(spans) for name, spans in self._pauses.items()},
            stalls={name: tuple(self._stalls[name]) for name in self._watching},
            delays={name: tuple(self._nodes[name].drawn) for name in self._watching},
            visible_delays={name: tuple(self._nodes[name].visible) for name in self._watching},
            states={
                name: host.service.state()
                for name, host in seeing.items()
                if host.service is not None and host.service.is_running
            },
        )

    def close(self) -> None:
        """End every service, without a word to anybody."""
        for host in self._hosts.values():
            if host.service is not None:
                host.service.stop(save_state=False)
        for folder in self._folders:
            folder.close()

    def _plan(self) -> list[tuple[int, int, int, Callable[[], object]]]:
        """(When, ends before beginnings, order, what) of everything that happens."""
        plan: list[tuple[int, int, int, Callable[[], object]]] = []

        def at(when_ms: int | None, what: Callable[[], object], part: int = _SECOND) -> None:
            if when_ms is not None and when_ms < self._duration_ms:
                plan.append((when_ms, part, len(plan), what))

        for fault in self._faults:
            host = self._hosts[fault.machine]
            if isinstance(fault, Crash):
                at(fault.at_ms, host.crash)
                at(fault.until_ms, host.start, _FIRST)
            elif isinstance(fault, Leave):
                at(fault.at_ms, host.leave)
                at(fault.until_ms, host.start, _FIRST)
            elif isinstance(fault, Pause):
                at(fault.at_ms, _stall(host, fault))
            elif isinstance(fault, Suspend):
                at(fault.at_ms, host.clock.fall_asleep)
                at(fault.until_ms, host.clock.wake_up, _FIRST)
            elif isinstance(fault, IdentityClone):
                at(fault.at_ms, host.start)
                at(fault.until_ms, host.crash, _FIRST)
            elif isinstance(fault, Partition | DiskFull):
                begin, end = _trouble(host.link, "cut" if isinstance(fault, Partition) else "full")
                at(fault.at_ms, begin)
                at(fault.until_ms, end, _FIRST)
            elif isinstance(fault, WallJump | Dst):
                at(fault.at_ms, _jump(host, fault.seconds_ms))
                if isinstance(fault, Dst):
                    at(fault.until_ms, _jump(host, -fault.seconds_ms))
        for name, began_ms in self._began_ms.items():
            at(began_ms, self._hosts[name].start)
        return plan

    def _interruptions(self, what: str, name: str, per_day: float, *kinds: type) -> list[Span]:
        length = self._medium.stall if what == "stall" else self._medium.upload_pause
        random = Random(f"{self._seed}:{what}:{name}")  # noqa: S311 - a simulation
        drawn = interruptions(per_day, length, random, self._duration_ms)
        return sorted([*drawn, *spans_of(self._faults, kinds, name, self._duration_ms)])

    def _replica(self, name: str, directory: Path | None) -> Replica:
        if directory is None:
            return MemoryReplica()
        folder = FolderReplica(directory / name / "share")
        self._folders.append(folder)
        return folder

    def _listener(self, name: str) -> Callable[[Event], None]:
        heard, clock = self._heard[name], self._clock
        return lambda event: heard.append(Heard(clock.true_ms, event))


def _link(network: Network, node: Node, medium: Medium, directory: Path | None) -> Link:
    if directory is None:
        return MemoryLink(network, node, medium.traits)
    return FolderLink(network, node, medium.traits, directory=directory / node.name / "share")


def _stall(host: LabHost, fault: Pause) -> Callable[[], None]:
    return lambda: host.clock.stall((fault.until_ms - fault.at_ms) / 1000)


def _jump(host: LabHost, length_ms: int) -> Callable[[], None]:
    return lambda: host.clock.jump_wall(length_ms / 1000)


def _trouble(link: Link, kind: str) -> tuple[Callable[[], None], Callable[[], None]]:
    def change(step: int) -> None:
        setattr(link, kind, getattr(link, kind) + step)

    return lambda: change(1), lambda: change(-1)
