"""The checks of the medium: storage, room, clocks, and what this machine notes and runs.

Owns what counts as a fault there, its words and its remedy. Pure: each check is given the evidence and returns its
finding, or nothing where there is nothing to check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from heartbeat_kit._models import MachineState
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._words import counted, said, sized
from heartbeat_kit.doctor._diagnosis import Finding, FindingOutcome
from heartbeat_kit.doctor._evidence import Evidence, Got

__all__ = ["CLOCK_TOLERANCE_MS", "MEDIUM_CHECKS", "Check", "blindness", "failure", "fine", "listed", "warning"]

Check = Callable[[Evidence], Finding | None]
_Trouble = Callable[[str, str, str], Finding]

CLOCK_TOLERANCE_MS: Final = 5_000
"""Clocks that a time service keeps differ by milliseconds; a file system may stamp in steps of two seconds."""
_SLOW_SHARE: Final = 10
"""A look or a write should take no more than this part of a beat."""
_SCARCE: Final = 200_000_000
_NONE_LEFT: Final = 1_000_000
"""Bytes. Records are small, but the temporary, the ledger and its history need room too."""
_SILENT: Final = (MachineStatus.WARNING, MachineStatus.OFFLINE)
_LONGEST: Final = 300
_SCARCE_FILES: Final = 1_000
_START: Final = "start it again, for example heartbeat-kit beat --forever under a supervisor such as systemd"
_MAKE_ROOM: Final = "make room there: without it nobody can beat or announce"
_SLOW: Final = "find out what slows the medium down, or beat less often"
_SEE: Final = "see that the share is mounted, the sync client runs, and this user may use the folder"


def fine(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check=check, outcome=FindingOutcome.OK, found=found)


def warning(check: str, found: str, remedy: str) -> Finding:
    """Something should be put right."""
    return Finding(check=check, outcome=FindingOutcome.WARNING, found=found, remedy=remedy)


def failure(check: str, found: str, remedy: str) -> Finding:
    """Something does not work, or is not to be believed."""
    return Finding(check=check, outcome=FindingOutcome.FAILED, found=found, remedy=remedy)


def listed(names: list[str], most: int = 5) -> str:
    """Some names or phrases, none of them too long, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(name if len(name) <= _LONGEST else f"{name[:_LONGEST]}…" for name in names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def storage_read(e: Evidence) -> Finding:
    """Can the machines be seen, and how fast?"""
    if e.read.trouble:
        return blindness(e.read.trouble)
    if e.blind:
        found = f"blind: the records can be read, and nobody is judged by them: {e.blind}"
        return failure("storage_read", found, "put right what it names; see the other checks as well")
    if slow := _slow("reading", e.read, e.interval_ms):
        return warning("storage_read", slow, _SLOW)
    found = f"read in {e.read.took_ms} ms: {counted(len(e.fleet), 'machine')}"
    return fine("storage_read", found)


def blindness(reason: str) -> Finding:
    """The machines cannot be seen, for this reason."""
    return failure("storage_read", f"blind, nobody can be seen: {reason}", _SEE)


def storage_write(e: Evidence) -> Finding:
    """Could a heartbeat be written?"""
    name, found = "storage_write", e.write.value
    if e.write.trouble:
        remedy = _MAKE_ROOM if e.write.is_full else _SEE
        return failure(name, f"a heartbeat could not be written: {e.write.trouble}", remedy)
    if found is None:
        return fine(name, "not tried: this storage has no probe, and only a heartbeat would tell")
    if found.trouble:
        return warning(
            name,
            found.trouble,
            "find out who damaged it: a full disk, a power cut, another program",
        )
    if slow := _slow("writing", e.write, e.interval_ms):
        return warning(name, slow, _SLOW)
    return fine(name, f"written and removed again in {e.write.took_ms} ms")


def _slow(doing: str, got: Got, interval_ms: int) -> str:
    if got.took_ms * _SLOW_SHARE <= interval_ms:
        return ""
    return f"{doing} took {said(got.took_ms)}, more than a tenth of the beat of {said(interval_ms)}"


def free_space(e: Evidence) -> Finding | None:
    """Is there room for what has to be written?"""
    rooms: list[tuple[_Trouble | None, str]] = []
    for where, got in (("the storage", e.write), ("the state directory", e.state_dir)):
        if got.is_full:
            rooms.append((failure, f"no room is left for {where}"))
        elif got.value is not None and got.value.free_bytes is not None:
            rooms.append(_room(where, got.value.free_bytes, got.value.free_files))
    if not rooms:
        return None
    found, kinds = "; ".join(note for _, note in rooms), [kind for kind, _ in rooms if kind is not None]
    if not kinds:
        return fine("free_space", found)
    return (failure if failure in kinds else warning)("free_space", found, _MAKE_ROOM)


def _room(where: str, free: int, files: int | None) -> tuple[_Trouble | None, str]:
    """What kind of trouble it is, if it is one, and what is said."""
    note = f"{sized(free)} are free for {where}"
    if files is not None and files < _SCARCE_FILES:
        return warning if files else failure, f"{note}, but room for only {counted(files, 'more file')}"
    return failure if free < _NONE_LEFT else warning if free < _SCARCE else None, note


def storage_clock(e: Evidence) -> Finding | None:
    """Does the storage's clock agree with this host's?"""
    stamped, window = None, e.write
    if e.traits.server_clock and e.read.value is not None:
        stamped, window = e.snapshot.server_time_ms, e.read
    elif e.write.value is not None:
        stamped = e.write.value.stamped_ms
    if stamped is None:
        return None
    late, early = stamped - window.finished.wall_ms, window.started.wall_ms - stamped
    off = max(late, early, 0)
    if off <= CLOCK_TOLERANCE_MS:
        return fine("storage_clock", "the storage's clock agrees with this host's")
    return warning(
        "storage_clock",
        f"the storage's clock is {said(off)} {'ahead of' if late > 0 else 'behind'} this host's",
        "synchronise both with one time service (NTP)",
    )


def peer_clocks(e: Evidence) -> Finding | None:
    """Do the other machines' clocks agree with this host's?"""
    if e.shares_clock or not e.others:
        return None
    off = {machine.machine_id: skew for machine in e.others if (skew := _skew(machine, e))}
    compared = sum(machine.machine_id in e.heard for machine in e.others)
    if not off:
        if not compared:
            hint = "none is ahead of this host's; those behind are found by listening for a beat (listen=, --listen)"
            return fine("peer_clocks", hint)
        return fine("peer_clocks", f"{compared} of {len(e.others)} compared, they agree with this host's")
    words = [f"{name} is at least {said(abs(skew))} {'ahead' if skew > 0 else 'behind'}" for name, skew in off.items()]
    ahead = sum(skew > 0 for skew in off.values())
    if len(off) >= 2 and ahead in (0, len(off)) and 2 * len(off) > len(e.others):
        return warning(
            "peer_clocks",
            f"this host's own clock is {'behind' if ahead else 'ahead'}: of {len(e.others)} others {listed(words)}",
            "synchronise this host's clock (NTP); statuses are not judged by it, but every time shown is",
        )
    return warning(
        "peer_clocks",
        listed(words),
        "synchronise their clocks (NTP); who is seen to beat is not judged by them, but the times shown are",
    )


def _skew(machine: MachineState, e: Evidence) -> int:
    """How far its clock certainly is off, in milliseconds; 0 if that cannot be said."""
    if machine.heartbeat is None:
        return 0
    # A stamp may be old, but it cannot be made later than now.
    ahead = max(machine.heartbeat.last_heartbeat_ms - e.now.wall_ms, machine.clock_skew_ms or 0)
    if ahead > CLOCK_TOLERANCE_MS:
        return ahead
    # What the medium delays, or nobody looked at, is older than it seems: so only what rose while somebody listened.
    if machine.machine_id not in e.heard or machine.clock_skew_ms is None:
        return 0
    late = -machine.clock_skew_ms - machine.allowance_ms - e.gap_ms
    return -late if late > CLOCK_TOLERANCE_MS else 0


def own_clock(e: Evidence) -> Finding | None:
    """Has this host's clock been set back?"""
    if e.noted.value is None or e.noted.value.newest_ms is None:
        return None
    back = e.noted.value.newest_ms - e.now.wall_ms
    if back <= CLOCK_TOLERANCE_MS:
        return fine("own_clock", "later than everything noted before")
    return warning(
        "own_clock",
        f"something was noted {said(back)} later than it is now: this host's clock was set back, or was wrong before",
        "synchronise this host's clock (NTP); silences noted before count again once it has caught up",
    )


def state_dir(e: Evidence) -> Finding | None:
    """Can the lock be taken, and what is noted on this host be written?"""
    if e.state_dir.trouble:
        remedy = _MAKE_ROOM if e.state_dir.is_full else "give a state_dir on a local disk that this user may write to"
        return failure("state_dir", f"no service can start: {e.state_dir.trouble}", remedy)
    return None if e.state_dir.value is None else fine("state_dir", "can be written to")


def ledger(e: Evidence) -> Finding | None:
    """Can be noted what was announced?"""
    if e.state_dir.trouble and e.ledger.trouble:
        return None  # one trouble, told once
    trouble = e.ledger.trouble or e.noted.trouble
    if trouble:
        return failure(
            "ledger",
            f"what is announced cannot be noted, so nothing is announced: {trouble}",
            "give a state_dir on a local disk that this user may write to",
        )
    if e.ledger.value is not None and e.ledger.value.trouble:
        remedy = "what cannot be read is set aside or left out, and announced again; find out who damaged it"
        return warning("ledger", e.ledger.value.trouble, remedy)
    return fine("ledger", "what is announced can be noted")


def service(e: Evidence) -> Finding:
    """Does this machine beat, and does what should beat run?"""
    own, taken = e.own, bool(e.lock.value)
    # Its stamp is of this host's own clock, so it tells more than what an observer has seen.
    age_ms = 0 if own is None or own.heartbeat is None else max(e.now.wall_ms - own.heartbeat.last_heartbeat_ms, 0)
    last = "" if own is None or own.heartbeat is None else f"its last beat is {said(age_ms)} old"
    if e.lock.trouble:
        remedy = "give a state_dir on a local disk that this user may write to"
        return failure("service", f"the lock cannot be looked at: {e.lock.trouble}", remedy)
    if e.pending is not None:
        return failure("service", f"the last beat is not stored yet: {e.pending}", _SEE)
    left = own is not None and own.heartbeat is not None and own.heartbeat.left_at_ms is not None
    silent = own is None or own.status in _SILENT or age_ms >= own.timeout_ms
    meant = left or (own is not None and own.in_maintenance)
    if taken and silent and not left:
        return failure(
            "service",
            f"a service of {e.machine_id} holds the lock and does not beat: {last or 'nothing of it is stored'}",
            "look at that process: it may be stopped, hang, write elsewhere, or its work makes no progress; restart it",
        )
    if taken:
        where = "in this process" if e.is_running else "in another process"
        return fine("service", f"runs {where}, {last or 'and has not beaten yet'}")
    saved = e.saved.value or {}
    if saved.get("isRunning") is True and saved.get("machineId") == e.machine_id and silent and not meant:
        found = f"the last service here was killed, crashed, or stopped without saving: {last or 'nothing is stored'}"
        return warning("service", found, _START)
    if own is None or own.heartbeat is None:
        return fine("service", f"{e.machine_id} does not beat, it only looks")
    if silent and not meant:
        found = f"no service of {e.machine_id} runs on this host with this state directory: {last}"
        return warning("service", found, _START)
    if left:
        return fine("service", f"{e.machine_id} said goodbye and does not run")
    return fine("service", f"no service of {e.machine_id} runs on this host with this state directory; {last}")


MEDIUM_CHECKS: Final[dict[str, tuple[Check, bool]]] = {
    "storage_read": (storage_read, False),
    "storage_write": (storage_write, False),
    "free_space": (free_space, False),
    "storage_clock": (storage_clock, False),
    "peer_clocks": (peer_clocks, True),
    "own_clock": (own_clock, False),
    "state_dir": (state_dir, False),
    "ledger": (ledger, False),
    "service": (service, True),
}
"""Each check, and whether the machines have to be seen for it."""
