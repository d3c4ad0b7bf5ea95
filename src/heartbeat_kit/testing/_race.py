"""What the contenders of the storage contract do: in threads, or in processes of their own.

Owns the starting line and the work between it and the finish. Importable without pytest, because a fresh process
imports it.
"""

from __future__ import annotations

import multiprocessing
import random
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from typing import Any, NamedTuple

from heartbeat_kit._events import Reason, Transition, event_id
from heartbeat_kit._fleet_events import CascadeDetected, Event, FleetSilent
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage._protocol import LedgerEntry, Move

__all__ = ["Seen", "claim", "fleet_moves", "in_processes", "in_threads", "move", "put_all", "schedule_all"]

_PATIENCE_S = 120
NOTHING = (-1, -1)
"""The order of no record at all."""
Work = tuple[Callable[..., Any], tuple[Any, ...]]
_line: Any = None


class Seen(NamedTuple):
    """The orders a writer saw around one `put`.

    Attributes:
        answered: Of what `put` returned.
        found: Of what `load` gave right after it; on a medium that delays, where that proves nothing, as answered.
    """

    answered: tuple[int, int]
    found: tuple[int, int]


def in_threads(works: Sequence[Work]) -> list[Any]:
    """Run every work in a thread of its own, all starting together; their results, or the first exception."""
    barrier = threading.Barrier(len(works))
    with ThreadPoolExecutor(len(works)) as pool:
        futures = [pool.submit(_start, barrier, function, arguments) for function, arguments in works]
        return [future.result() for future in futures]


def in_processes(opener: Callable[[], Any], works: Sequence[Work]) -> list[Any]:
    """Run every work in a fresh process on a storage of its own, passed first; their results, or the first exception.

    The processes have ended, without closing their storage, when this returns.
    """
    context = multiprocessing.get_context("spawn")
    barrier = context.Barrier(len(works))
    with ProcessPoolExecutor(len(works), mp_context=context, initializer=_draw_line, initargs=(barrier,)) as pool:
        futures = [pool.submit(_open_and_start, opener, function, arguments) for function, arguments in works]
        return [future.result() for future in futures]


def put_all(storage: Any, heartbeats: Sequence[Heartbeat]) -> list[Seen]:
    """Put one after another; for each, what `put` answered and what a look right after it found."""
    seen = []
    for heartbeat in heartbeats:
        answered = storage.put(heartbeat).order
        if storage.traits.coherent:
            record = storage.load().heartbeats.get(heartbeat.machine_id)
            seen.append(Seen(answered, record.order if record else NOTHING))
        else:
            seen.append(Seen(answered, answered))
    return seen


def claim(storage: Any, owner: str, machines: Sequence[str], batch: int) -> list[str]:
    """Try to announce every machine, in an order of the owner's own; the ids of the events won."""
    mine = list(machines)
    random.Random(owner).shuffle(mine)  # noqa: S311 - a race, not a secret
    won: list[str] = []
    for start in range(0, len(mine), batch):
        moves = [move(machine, owner=owner) for machine in mine[start : start + batch]]
        won += [made.transition.id for made in storage.commit(moves)]
    return won


def schedule_all(storage: Any, windows: Sequence[MaintenanceWindow]) -> list[MaintenanceWindow]:
    """Schedule one window after another; those that were not there right after they were scheduled."""
    lost = []
    for window in windows:
        storage.schedule(window, forget_before_ms=0)
        if window not in storage.windows():
            lost.append(window)
    return lost


def fleet_moves(*machine_ids: str, owner: str = "observer", at: int = 0) -> tuple[Move, ...]:
    """A move for each kind of event about the fleet, of which `machine_ids` are the machines concerned."""
    cascade, heard, unheard = (event_id(kind, at, *machine_ids) for kind in ("cascade", "silence", "silence of a run"))
    return (
        _fleet_move(
            "*cascade",
            CascadeDetected(
                id=cascade,
                observer="observer",
                machine_ids=machine_ids,
                began_at=at - 1,
                detected_at=at,
                threshold=3,
                window=60_000,
            ),
            owner,
        ),
        _fleet_move(
            "*silence",
            FleetSilent(
                id=heard,
                observer="observer",
                machine_ids=machine_ids,
                last_heard=at - 240_000,
                detected_at=at,
                believed_at=at + 3_600_000,
            ),
            owner,
        ),
        _fleet_move(
            "*silence of a run",
            FleetSilent(
                id=unheard, observer="observer", machine_ids=(), last_heard=None, detected_at=at, believed_at=at
            ),
            owner,
        ),
    )


def _fleet_move(key: str, event: Event, owner: str) -> Move:
    entry = LedgerEntry(
        machine_id=key,
        status=MachineStatus.UNKNOWN,
        event_id=event.id,
        reason=Reason.SILENT,
        since_ms=event.detected_at_ms,
    )
    return Move(expected=None, entry=entry, transition=event, owner=owner)


def move(machine_id: str, *, before: str | None = None, owner: str = "observer", seq: int = 1, at: int = 0) -> Move:
    """A move that announces `machine_id` offline on the evidence of `seq`, replacing the event `before`."""
    event = event_id(machine_id, "offline", 1, seq)
    return Move(
        expected=before,
        entry=LedgerEntry(
            machine_id=machine_id,
            status=MachineStatus.OFFLINE,
            event_id=event,
            reason=Reason.SILENT,
            since_ms=at,
            episode=event,
            incarnation=1,
            seq=seq,
        ),
        transition=Transition(
            id=event,
            machine_id=machine_id,
            before=MachineStatus.ONLINE,
            after=MachineStatus.OFFLINE,
            reason=Reason.SILENT,
            observer="observer",
            occurred_at=at,
            detected_at=at,
            last_heartbeat=None,
            incarnation=1,
            seq=seq,
            episode=event,
        ),
        owner=owner,
    )


def _start(barrier: Any, function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    barrier.wait(_PATIENCE_S)
    return function(*arguments)


def _draw_line(barrier: Any) -> None:
    global _line  # noqa: PLW0603 - a barrier reaches a fresh process only through its initializer
    _line = barrier


def _open_and_start(opener: Callable[[], Any], function: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    try:
        storage = opener()
    except BaseException:
        _line.abort()
        raise
    return _start(_line, function, (storage, *arguments))
