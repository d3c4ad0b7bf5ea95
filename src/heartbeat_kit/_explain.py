"""A verdict in words: `MachineState.explain()`.

Owns the sentences. Must not decide anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from heartbeat_kit._events import Basis
from heartbeat_kit._times import to_iso

if TYPE_CHECKING:
    from heartbeat_kit._models import MachineState

__all__ = ["explain"]

_BASIS = {
    Basis.OBSERVER: "measured on {observer}'s own clock since it saw the record rise",
    Basis.STAMP: "measured from the stored stamp, which is made by a clock {observer} shares",
    Basis.LEDGER: "measured from what an earlier run of {observer} noted",
    Basis.SENDER: "suggested only by the sender's own stamp, not confirmed by {observer} yet, so nothing is announced",
}
_REASONS = {
    "beating": "it beats",
    "silent": "it is silent",
    "left": "it said goodbye",
    "unreadable": "its record cannot be read, and the last one that could is what counts",
    "absent": "its record is not there at the moment, and the last one seen is what counts",
    "expected": "it is expected and was never seen to beat",
    "fleet_silent": "it is silent, but nobody on another host is heard either: more likely the medium, which delays, "
    "stands still",
    "never_seen": "no readable record of it was ever seen",
    "future_stamp": "its stamp lies in the future, which proves nothing; its next beat will",
    "unconfirmed": "its own stamp says so, which is all there is until its next beat is seen here",
    "pending": "more looks must agree before its status moves",
    "settling": "it has not beaten since the observer was disturbed, and is given time to",
}


def explain(state: MachineState) -> str:
    """One paragraph: what is believed, why, on whose clock, and what comes next."""
    basis = _BASIS[state.basis].format(observer=state.observer)
    why = f"because {_REASONS[state.reason]}"
    if state.stale:
        why = f"by what {state.observer} knew before it went blind: then {_REASONS[state.reason]}"
    parts = [f"{state.machine_id} is {state.status} {why}."]
    beat = state.heartbeat
    if beat is not None and beat.left_at_ms is not None:
        parts.append(
            f"Its goodbye is #{beat.incarnation}.{beat.seq}, dated {to_iso(beat.left_at_ms)} by the sender's own stamp."
        )
    elif beat is not None:
        parts.append(
            f"Its last heartbeat is #{beat.incarnation}.{beat.seq}, stamped {to_iso(beat.last_heartbeat_ms)}; "
            f"{_silence(state)}, {basis}."
        )
        parts.append(
            f"It promises a beat every {_span(beat.interval_ms)} and may be silent for {_span(state.timeout_ms)} "
            f"before a warning, twice that before it is offline{_allowance(state)}; "
            f"{state.missed_heartbeats} beats are missing."
        )
    if state.since_ms is not None:
        parts.append(f"It has been {state.status} since {to_iso(state.since_ms)}.")
    if state.next_deadline_ms is not None and not state.stale:
        parts.append(f"If it stays silent its status worsens at {to_iso(state.next_deadline_ms)}.")
    if state.cascade_ms is not None:
        parts.append(
            f"It is one of many that went offline together (a cascade, announced at {to_iso(state.cascade_ms)}): more "
            "likely one cause than many."
        )
    if state.flapping:
        parts.append("It keeps changing (flapping): its events are marked, and what it settles on is announced.")
    if state.maintenance is not None:
        why = f" ({state.maintenance.reason})" if state.maintenance.reason else ""
        parts.append(f"It is in maintenance until {to_iso(state.maintenance.end_ms)}{why}: its events are suppressed.")
    if state.unreadable:
        parts.append(f"Its record: {state.unreadable}.")
    if state.identity_conflict:
        parts.append(f"Identity conflict: {state.identity_conflict}.")
    stale = "; it is blind now, so this is what it knew before" if state.stale else ""
    parts.append(f"Seen by {state.observer} at {to_iso(state.retrieved_at_ms)}{stale}.")
    # Reasons are free text from other processes, and this is printed on terminals.
    return "".join(sign if sign.isprintable() else " " for sign in " ".join(parts))


def _silence(state: MachineState) -> str:
    ahead = f"a stamp {_span(-state.age_ms)} ahead of the clock here"
    return f"a silence of {_span(state.age_ms)}" if state.age_ms >= 0 else ahead


def _allowance(state: MachineState) -> str:
    return f", and {_span(state.allowance_ms)} more each time because the medium delays" if state.allowance_ms else ""


def _span(ms: int) -> str:
    seconds = ms / 1000
    if seconds < 120:
        return f"{seconds:g} s"
    return f"{seconds / 60:.1f} min" if seconds < 7_200 else f"{seconds / 3600:.1f} h"
