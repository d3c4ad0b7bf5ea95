"""One look at the fleet: memory and a snapshot in, memory and proposed moves out.

Owns the order of a look. An unchanged record before its deadline costs one dictionary lookup and two comparisons;
everything else is delegated to the file that owns the rule. Pure.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import TypeVar

import attrs

from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Reason
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit._observer._announce import Announcer
from heartbeat_kit._observer._cascade import cascade
from heartbeat_kit._observer._guard import Disruption, detect
from heartbeat_kit._observer._known import NEVER, Memory
from heartbeat_kit._observer._marks import owes
from heartbeat_kit._observer._pass import Pass, Rise
from heartbeat_kit._observer._rivals import conflict_sentence
from heartbeat_kit._observer._silence import SILENCE_KEY, Silence
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._observer._verdict import believed_ms
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import LedgerEntry, Move, Observation, Snapshot

__all__ = ["Look", "look"]

_OFFSET_STEP_MS = 1_000
T = TypeVar("T")
_NO_OBSERVATIONS: Mapping[str, Observation] = MappingProxyType({})


@attrs.frozen(kw_only=True)
class Look:
    """The outcome of one look.

    Attributes:
        memory: What is known now.
        moves: What should be announced.
        disruption: Why nothing worse may be said in this look, if so.
        rises: The records that rose, for the measure of the medium's jitter.
    """

    memory: Memory
    moves: tuple[Move, ...]
    disruption: Disruption
    rises: tuple[Rise, ...]


def look(
    memory: Memory,
    snapshot: Snapshot,
    ledger: Mapping[str, LedgerEntry],
    *,
    timing: Timing,
    started: Instant,
    finished: Instant,
    observer: str,
    host: str = "",
    owner: str = "",
    late_ms: int = 0,
    count: bool = True,
    observations: Mapping[str, Observation] = _NO_OBSERVATIONS,
    windows: tuple[MaintenanceWindow, ...] = (),
    between: tuple[Heartbeat, ...] = (),
) -> Look:
    """Look once.

    Args:
        memory: What was known.
        snapshot: What the storage holds.
        ledger: What was announced.
        timing: The numbers in force.
        started: Both clocks before the snapshot was taken; silence is judged at this instant.
        finished: Both clocks after it; proof of life is dated by this one, so a slow load makes nobody look older.
        observer: The machine id of the observer.
        host: The host name it signs with: what others on it write proves nothing about a medium between hosts.
        owner: Who delivers the events.
        late_ms: How late a background loop is where that counts as a stall.
        count: Whether this look counts towards confirmation; a query does not.
        observations: What an earlier process of this observer noted.
        windows: The maintenance windows.
        between: Records under the observer's own id that it wrote, or met when it did, and that looks may have missed.
    """
    disruption = detect(memory, started, late_ms, min(timing.slot_ms, timing.timeout_ms))
    if memory.last is None:
        memory = attrs.evolve(memory, watermark=memory.watermark._replace(begun_ms=started.mono_ms))
    owing = memory.owing if ledger is memory.ledger else _owing(ledger)
    pass_ = Pass(
        memory=memory,
        snapshot=snapshot,
        ledger=ledger,
        timing=timing,
        started=started,
        finished=finished,
        disruption=disruption,
        observations=observations,
        owing=owing,
        observer=observer,
        host=host,
        count=count,
        between=between,
    )
    pass_.run()
    offset = memory.offset_ms
    if memory.last is None or abs(started.wall_ms - started.mono_ms - offset) > _OFFSET_STEP_MS:
        offset = started.wall_ms - started.mono_ms
    announcer = Announcer(observer, owner, timing, started, offset, windows)
    updates, moves = pass_.updates, list[Move]()
    for machine_id in pass_.announceable:
        made = announcer.moves(machine_id, updates[machine_id], ledger.get(machine_id))
        if made:
            updates[machine_id] = attrs.evolve(updates[machine_id], wake_ms=-NEVER)  # until the ledger agrees
            moves += made
    leaving = {}  # out of sight, but remembered until the ledger agrees: no query, no failed commit may eat the news
    for machine_id, known in pass_.gone.items():
        entry = ledger.get(machine_id)
        if entry is not None and entry.reason is not Reason.REMOVED:
            moves.append(announcer.removed(machine_id, known, entry))
            leaving[machine_id] = attrs.evolve(known, wake_ms=-NEVER)
    dropped = pass_.gone.keys() - leaving.keys()
    everybody = _merged(memory.known, {**updates, **leaving}, dropped)
    silence = memory.silence if any(each.held for each in updates.values()) else None  # who is held is always visited
    if silence is None and (held := {name: believed_ms(each, timing) for name, each in updates.items() if each.held}):
        others = {name: each for name, each in everybody.items() if name in held or pass_.may_travel(name, each)}
        silence = Silence.of(held, others, pass_.watermark, started.mono_ms, observations)
    if silence is not None:
        entry = ledger.get(SILENCE_KEY)
        told = silence.move(entry, observer=observer, owner=owner, offset_ms=offset)
        moves += [told] if told is not None else []
    if brake := cascade(ledger, moves, timing, started.wall_ms, observer=observer, owner=owner):
        moves.insert(0, brake)  # before the changes it is about
    return Look(
        memory=attrs.evolve(
            memory,
            known=everybody,
            troubled=_troubled(memory, pass_),
            contested=_contested(memory, pass_),
            removed=frozenset((memory.removed - updates.keys() - dropped) | leaving.keys()),
            ledger=ledger,
            last=started,
            offset_ms=offset,
            blind_ms=None,
            watermark=pass_.watermark,
            silence=silence,
            owing=owing,
            windows=windows,
        ),
        moves=tuple(moves),
        disruption=disruption,
        rises=tuple(pass_.rises),
    )


def _owing(ledger: Mapping[str, LedgerEntry]) -> frozenset[str]:
    """The machines of which a marked announcement may have to be made again without its mark."""
    return frozenset(name for name, entry in ledger.items() if owes(entry))


def _troubled(memory: Memory, pass_: Pass) -> Mapping[str, MachineStatus]:
    verdicts = {name: known.verdict or MachineStatus.UNKNOWN for name, known in pass_.updates.items()}
    fine = [name for name, verdict in verdicts.items() if verdict is MachineStatus.ONLINE]
    for name in fine:
        del verdicts[name]
    return _merged(memory.troubled, verdicts, [*fine, *pass_.gone])


def _contested(memory: Memory, pass_: Pass) -> Mapping[str, str]:
    sentences, settled = {}, list(pass_.gone)
    for name, known in pass_.updates.items():
        sentence = conflict_sentence(known.heartbeat, known.rival, known.copies)
        if sentence is None:
            settled.append(name)
        else:
            sentences[name] = sentence
    return _merged(memory.contested, sentences, settled)


def _merged(before: Mapping[str, T], changed: Mapping[str, T], dropped: Iterable[str]) -> Mapping[str, T]:
    """`before` with the changes; itself if there are none, so a quiet look copies nothing."""
    gone = [name for name in dropped if name in before]
    if not changed and not gone:
        return before
    merged = {**before, **changed}
    for name in gone:
        merged.pop(name, None)
    return merged
