"""The checks of the fleet: its records, who beats as whom, and whether promises and thresholds agree.

Owns what counts as a fault there, its words and its remedy. Pure. All of them need the machines to be seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from heartbeat_kit._models import MachineState, ObserverHealth
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import span_ms
from heartbeat_kit._words import counted, said
from heartbeat_kit.doctor._checks import Check, failure, fine, listed, warning
from heartbeat_kit.doctor._diagnosis import Finding
from heartbeat_kit.doctor._evidence import Evidence

__all__ = ["FLEET_CHECKS"]


def records(e: Evidence) -> Finding:
    """Can every record be read?"""
    bad = e.fleet.unreadable
    if not bad:
        return fine("records", f"{counted(len(e.snapshot.heartbeats), 'record')}, all readable")
    return warning(
        "records",
        listed([f"{name} cannot be read: {why}" for name, why in bad.items()]),
        "its machine's next beat replaces a damaged file; if none comes, delete it, or forget the machine with "
        "heartbeat-kit remove; a folder in its place has to be moved away",
    )


def copies(e: Evidence) -> Finding:
    """Does every machine have one record?"""
    found = e.snapshot.conflicts
    if not found:
        return fine("copies", "one record a machine")
    remedy = "give each host an id of its own, then delete the copies; the newest record is what counts meanwhile"
    return warning("copies", listed(list(found.values()), most=2), remedy)


def identity(e: Evidence) -> Finding:
    """Does one host stand behind each machine?"""
    rivals = [
        machine.identity_conflict
        for machine in e.fleet
        if machine.identity_conflict and machine.identity_conflict != e.snapshot.conflicts.get(machine.machine_id)
    ]
    rivals += [said for said in e.rivals if said not in rivals]
    own = e.own
    beat = None if own is None else own.heartbeat
    if own is not None and beat is not None and beat.host and beat.host != e.host and beat.left_at_ms is None:
        alive = own.status is MachineStatus.ONLINE
        if alive and not own.identity_conflict and (e.lock.value or e.machine_id in e.heard):
            rivals.append(f"hosts {beat.host!r} and {e.host!r} both beat as {e.machine_id!r}")
        elif alive and not rivals:
            return warning(
                "identity",
                f"the last beat of {e.machine_id!r} came from host {beat.host!r}, and this host is {e.host!r}",
                "nothing, if the machine was renamed or somebody beats on its behalf; else two hosts share the id "
                "(listening tells), and one needs another MACHINE_ID",
            )
    if not rivals:
        return fine("identity", "no two hosts were seen under one id")
    return failure(
        "identity",
        listed(rivals, most=3),
        "set another MACHINE_ID on one of them: while both beat under one id the death of neither is seen",
    )


def thresholds(e: Evidence) -> Finding:
    """Do the beats that are promised and the timeouts agree?"""
    slow = [
        f"{machine.machine_id} promises a beat every {said(machine.heartbeat.interval_ms)} and is given "
        f"{said(machine.timeout_ms)} instead of {said(e.timeout_ms)}"
        for machine in e.others
        if machine.heartbeat is not None and machine.timeout_ms > e.timeout_ms
    ]
    troubles = [listed(slow, most=3)] if slow else []
    if not e.traits.coherent and 2 * e.timeout_ms < 5 * e.interval_ms:
        troubles.append(
            f"T is {said(e.timeout_ms)}, less than 2.5 beats of {said(e.interval_ms)}: when this medium stands still a "
            "warning may come before that is noticed"
        )
    saved = e.saved.value or {}
    ours = {"heartbeatInterval": e.interval_ms, "offlineTimeout": e.timeout_ms}
    if e.saved.trouble:
        troubles.append(f"what the running service has cannot be read: {e.saved.trouble}")
    elif e.lock.value and saved.get("isRunning") is True and saved.get("machineId") == e.machine_id:
        troubles += [
            f"the running service has {name} {said(saved[name])}, this diagnosis {said(value)}"
            for name, value in ours.items()
            if type(saved.get(name)) is int and saved[name] != value
        ]
    elif (own := e.own) is not None and own.status is MachineStatus.ONLINE and own.interval is not None:
        promised = span_ms(own.interval)
        if promised != e.interval_ms:
            troubles.append(
                f"this machine promises a beat every {said(promised)}, and here {said(e.interval_ms)} is configured"
            )
    if not troubles:
        return fine(
            "thresholds",
            f"a beat every {said(e.interval_ms)}, a warning after {said(e.timeout_ms)}, offline after "
            f"{said(2 * e.timeout_ms)}",
        )
    return warning(
        "thresholds",
        "; ".join(troubles),
        "configure every machine and every observer alike, with a T of at least 2.5 beats where the medium delays "
        "(HEARTBEAT_INTERVAL, OFFLINE_TIMEOUT)",
    )


def medium(e: Evidence) -> Finding | None:
    """Does the medium keep what it promises?"""
    state = e.fleet.observer.medium
    if state is None:
        return None
    if state.slower_than_declared:
        remedy = "declare a longer propagation_delay, or none to have it measured"
        return warning("medium", state.explain(), remedy)
    return fine("medium", state.explain())


def fleet(e: Evidence) -> Finding:
    """Is anybody there, and is anybody else heard?"""
    state = e.fleet
    known = e.noted.value.machines if e.noted.value is not None else ()
    if not len(state) and known:
        return failure(
            "fleet",
            f"nobody is here, and {counted(len(known), 'machine')} once announced here: {listed(list(known))}",
            "see that the share is mounted and is the one it was; beat here again only if it was emptied on purpose",
        )
    if not len(state):
        return warning(
            "fleet",
            "nobody has registered here yet",
            "see that it is the right place; a first beat is sent by heartbeat-kit beat",
        )
    silent = [
        m for m in e.others if m.status in (MachineStatus.WARNING, MachineStatus.OFFLINE) or m.reason == "fleet_silent"
    ]
    if state.observer.health is ObserverHealth.FLEET_SILENT or (
        len(silent) == len(e.others) > 1 and not e.shares_clock and _fell_together(silent)
    ):
        return warning(
            "fleet",
            f"none of the {len(e.others)} other machines is heard: more likely what is between them and this host",
            "see that the share is the same one everywhere, and that its sync client runs here",
        )
    lost = [m.machine_id for m in state.unknown if m.reason in ("expected", "never_seen", "absent")]
    if lost:
        return warning(
            "fleet",
            f"{listed(lost)}: expected or known, and no record is there",
            "start it there, or take it out of expected, or forget it with heartbeat-kit remove",
        )
    numbers = state.statistics
    counts = {
        "online": numbers.online_count,
        "in warning": numbers.warning_count,
        "offline": numbers.offline_count,
        "unknown": numbers.unknown_count,
    }
    return fine("fleet", ", ".join(f"{count} {word}" for word, count in counts.items() if count))


def _fell_together(silent: Sequence[MachineState]) -> bool:
    """Whether they fell silent within one timeout of each other, as if by one cause."""
    ages = [machine.age_ms for machine in silent]
    return max(ages) - min(ages) <= max(machine.timeout_ms + machine.allowance_ms for machine in silent)


FLEET_CHECKS: Final[dict[str, tuple[Check, bool]]] = {
    "records": (records, True),
    "copies": (copies, True),
    "identity": (identity, True),
    "thresholds": (thresholds, True),
    "medium": (medium, True),
    "fleet": (fleet, True),
}
"""As `MEDIUM_CHECKS`."""
