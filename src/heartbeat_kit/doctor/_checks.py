"""The checks of the medium: storage, room, clocks, and what this machine notes and runs.

Owns what counts as a fault there, its words and its remedy. Pure: each check is given the evidence and returns its
finding, or nothing where there is nothing to check.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from heartbeat_kit._models import MachineState
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._words import counted, said
from heartbeat_kit.doctor._diagnosis import Finding, Outcome
from heartbeat_kit.doctor._evidence import Evidence, Got
from heartbeat_kit.storage import Probe

__all__ = ["CLOCK_TOLERANCE_MS", "MEDIUM_CHECKS", "Check", "blindness", "finding", "listed"]

Check = Callable[[Evidence], Finding | None]

CLOCK_TOLERANCE_MS: Final = 5_000
"""Clocks that a time service keeps differ by milliseconds; a file system may stamp in steps of two seconds."""
_SLOW_SHARE: Final = 10
"""A look or a write should take no more than this part of a beat."""
_SCARCE: Final = 200_000_000
_NONE_LEFT: Final = 1_000_000
"""Bytes. Records are small, but the temporary, the ledger and its history need room too."""
_SCARCE_FILES: Final = 1_000
_SLOW: Final = "find out what slows the medium down, or beat less often"
_SEE: Final = "see that the share is mounted, the sync client runs, and this user may use the folder"


def finding(check: str, outcome: Outcome, found: str, remedy: str = "") -> Finding:
    """A finding; what is well needs no remedy."""
    return Finding(check=check, outcome=outcome, found=found, remedy="" if outcome is Outcome.OK else remedy)


def listed(names: list[str], most: int = 5) -> str:
    """Some names, and how many more there are.

    >>> listed(["a", "b", "c"], most=2)
    'a, b and 1 more'
    """
    shown = ", ".join(names[:most])
    return shown if len(names) <= most else f"{shown} and {len(names) - most} more"


def storage_read(e: Evidence) -> Finding:
    """Can the machines be seen, and how fast?"""
    if e.blind:
        return blindness(e.blind)
    if slow := _slow("reading", e.read, e.interval_ms):
        return finding("storage_read", Outcome.WARNING, slow, _SLOW)
    found = f"read in {e.read.took_ms} ms: {counted(len(e.fleet), 'machine')}"
    return finding("storage_read", Outcome.OK, found)


def blindness(reason: str) -> Finding:
    """The machines cannot be seen, for this reason."""
    return finding("storage_read", Outcome.FAILED, f"blind, nobody can be seen: {reason}", _SEE)


def storage_write(e: Evidence) -> Finding:
    """Could a heartbeat be written?"""
    name, found = "storage_write", e.write.value
    if e.write.trouble:
        return finding(name, Outcome.FAILED, f"a heartbeat could not be written: {e.write.trouble}", _SEE)
    if found is None:
        return finding(name, Outcome.OK, "not tried: this storage has no probe, and only a heartbeat would tell")
    if found.trouble:
        return finding(
            name, Outcome.WARNING, found.trouble, "find out who damaged it: a full disk, a power cut, another program"
        )
    if slow := _slow("writing", e.write, e.interval_ms):
        return finding(name, Outcome.WARNING, slow, _SLOW)
    return finding(name, Outcome.OK, f"written and removed again in {e.write.took_ms} ms")


def _slow(doing: str, got: Got, interval_ms: int) -> str:
    if got.took_ms * _SLOW_SHARE <= interval_ms:
        return ""
    return f"{doing} took {said(got.took_ms)}, more than a tenth of the beat of {said(interval_ms)}"


def free_space(e: Evidence) -> Finding | None:
    """Is there room for what has to be written?"""
    places = [("the storage", e.write.value), ("the state directory", e.ledger.value)]
    known = [(where, probe) for where, probe in places if probe is not None and probe.free_bytes is not None]
    if not known:
        return None
    worst, notes = Outcome.OK, []
    for where, probe in known:
        outcome, note = _room(where, probe)
        worst = max(worst, outcome, key=list(Outcome).index)
        notes.append(note)
    return finding("free_space", worst, "; ".join(notes), "make room there: without it nobody can beat or announce")


def _room(where: str, probe: Probe) -> tuple[Outcome, str]:
    free, files = probe.free_bytes or 0, probe.free_files
    note = f"{free / 1e9:.3g} GB are free for {where}"
    if files is not None and files < _SCARCE_FILES:
        return Outcome.WARNING if files else Outcome.FAILED, f"{note}, but room for only {counted(files, 'more file')}"
    return Outcome.FAILED if free < _NONE_LEFT else Outcome.WARNING if free < _SCARCE else Outcome.OK, note


def storage_clock(e: Evidence) -> Finding | None:
    """Does the storage's clock agree with this host's?"""
    stamped, window = None, e.write
    if e.traits.server_clock and e.read.value is not None:
        stamped, window = e.snapshot.server_time_ms, e.read
    elif isinstance(e.write.value, Probe):
        stamped = e.write.value.stamped_ms
    if stamped is None:
        return None
    late, early = stamped - window.finished.wall_ms, window.started.wall_ms - stamped
    off = max(late, early, 0)
    if off <= CLOCK_TOLERANCE_MS:
        return finding("storage_clock", Outcome.OK, "the storage's clock agrees with this host's")
    return finding(
        "storage_clock",
        Outcome.WARNING,
        f"the storage's clock is {said(off)} {'ahead of' if late > 0 else 'behind'} this host's",
        "synchronise both with one time service (NTP)",
    )


def peer_clocks(e: Evidence) -> Finding | None:
    """Do the other machines' clocks agree with this host's?"""
    if e.shares_clock or not e.others:
        return None
    off = {machine.machine_id: skew for machine in e.others if (skew := _skew(machine, e))}
    compared = sum(machine.clock_skew_ms is not None for machine in e.others)
    if not off:
        if not compared:
            hint = "not compared: no other machine was seen to beat; listening for one beat compares them"
            return finding("peer_clocks", Outcome.OK, f"{hint} (listen=, --listen)")
        return finding(
            "peer_clocks", Outcome.OK, f"{compared} of {len(e.others)} compared, they agree with this host's"
        )
    words = [f"{name} is at least {said(abs(skew))} {'ahead' if skew > 0 else 'behind'}" for name, skew in off.items()]
    ahead = sum(skew > 0 for skew in off.values())
    if len(off) >= 2 and ahead in (0, len(off)) and 2 * len(off) > len(e.others):
        return finding(
            "peer_clocks",
            Outcome.WARNING,
            f"this host's own clock is {'behind' if ahead else 'ahead'}: of {len(e.others)} others {listed(words)}",
            "synchronise this host's clock (NTP); statuses are not judged by it, but every time shown is",
        )
    return finding(
        "peer_clocks",
        Outcome.WARNING,
        listed(words),
        "synchronise their clocks (NTP); no status is judged by them, but the times shown are",
    )


def _skew(machine: MachineState, e: Evidence) -> int:
    """How far its clock certainly is off, in milliseconds; 0 if that cannot be said."""
    if machine.heartbeat is None:
        return 0
    if machine.clock_skew_ms is None:  # its stamp may be old, but it cannot be made later than now
        ahead = machine.heartbeat.last_heartbeat_ms - e.now.wall_ms
        return ahead if ahead > CLOCK_TOLERANCE_MS else 0
    # What the medium delays, or nobody looked at yet, looks like a clock that is behind.
    late = -machine.clock_skew_ms - machine.allowance_ms - e.look_ms
    if late > CLOCK_TOLERANCE_MS:
        return -late
    return machine.clock_skew_ms if machine.clock_skew_ms > CLOCK_TOLERANCE_MS else 0


def own_clock(e: Evidence) -> Finding | None:
    """Has this host's clock been set back?"""
    if e.noted.value is None:
        return None
    back = e.noted.value - e.now.wall_ms
    if back <= CLOCK_TOLERANCE_MS:
        return finding("own_clock", Outcome.OK, "later than everything noted before")
    return finding(
        "own_clock",
        Outcome.WARNING,
        f"something was noted {said(back)} later than it is now: this host's clock was set back, or was wrong before",
        "synchronise this host's clock (NTP); silences noted before count again once it has caught up",
    )


def ledger(e: Evidence) -> Finding:
    """Can be noted what was announced?"""
    trouble = e.ledger.trouble or e.noted.trouble
    if trouble:
        return finding(
            "ledger",
            Outcome.FAILED,
            f"what is announced cannot be noted, so nothing is announced: {trouble}",
            "give a state_dir on a local disk that this user may write to",
        )
    if e.ledger.value is not None and e.ledger.value.trouble:
        remedy = "nothing to do by hand: it is set aside and begun anew; machines that are offline are announced again"
        return finding("ledger", Outcome.WARNING, e.ledger.value.trouble, remedy)
    return finding("ledger", Outcome.OK, "what is announced can be noted")


def service(e: Evidence) -> Finding:
    """Does this machine beat, and does what should beat run?"""
    own, taken = e.own, bool(e.lock.value)
    last = "" if own is None or own.heartbeat is None else f"its last beat is {said(max(own.age_ms, 0))} old"
    if e.lock.trouble:
        remedy = "give a state_dir on a local disk that this user may write to"
        return finding("service", Outcome.FAILED, f"the lock cannot be looked at: {e.lock.trouble}", remedy)
    if e.pending is not None:
        return finding("service", Outcome.FAILED, f"the last beat is not stored yet: {e.pending}", _SEE)
    silent = own is None or own.status in (MachineStatus.WARNING, MachineStatus.OFFLINE)
    if taken and silent:
        return finding(
            "service",
            Outcome.FAILED,
            f"a service of {e.machine_id} holds the lock and does not beat: {last or 'nothing of it is stored'}",
            "look at that process: it may be stopped, hang, write elsewhere, or its work makes no progress; restart it",
        )
    if taken:
        where = "in this process" if e.is_running else "in another process"
        return finding("service", Outcome.OK, f"runs {where}, {last}")
    saved = e.saved.value or {}
    if saved.get("isRunning") is True and saved.get("machineId") == e.machine_id and silent:
        return finding(
            "service",
            Outcome.WARNING,
            f"the last service here ended without stop(), killed or crashed: {last or 'nothing of it is stored'}",
            "start it again, for example heartbeat-kit beat --forever under a supervisor such as systemd",
        )
    if own is None or own.heartbeat is None:
        return finding("service", Outcome.OK, f"{e.machine_id} does not beat, it only looks")
    if silent and own.heartbeat.left_at_ms is None and not own.in_maintenance:
        return finding(
            "service",
            Outcome.WARNING,
            f"no service of {e.machine_id} runs on this host: {last}",
            "start it again, for example heartbeat-kit beat --forever under a supervisor such as systemd",
        )
    if own.heartbeat.left_at_ms is not None:
        return finding("service", Outcome.OK, f"{e.machine_id} said goodbye and does not run")
    return finding("service", Outcome.OK, f"no service of {e.machine_id} runs on this host; {last}")


MEDIUM_CHECKS: Final[dict[str, tuple[Check, bool]]] = {
    "storage_read": (storage_read, False),
    "storage_write": (storage_write, False),
    "free_space": (free_space, False),
    "storage_clock": (storage_clock, False),
    "peer_clocks": (peer_clocks, True),
    "own_clock": (own_clock, False),
    "ledger": (ledger, False),
    "service": (service, True),
}
"""Each check, and whether the machines have to be seen for it."""
