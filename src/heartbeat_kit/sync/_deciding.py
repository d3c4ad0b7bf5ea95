"""Answering decisions: what a person says becomes a record, and the next plan obeys it.

Owns the change of a record's state, and the looking up of the contents it is about. Must not know how files are
changed: an approved decision is carried out by an ordinary sync.
"""

from __future__ import annotations

from typing import NamedTuple

import attrs

from heartbeat_kit.errors import DecisionRefusedError, UnknownDecisionError
from heartbeat_kit.sync._archive import read_archive
from heartbeat_kit.sync._baseline import read_sentinel
from heartbeat_kit.sync._complete import Completion
from heartbeat_kit.sync._decision import Decision, DecisionAction, DecisionKind, DecisionState, to_json
from heartbeat_kit.sync._places import DECISIONS, OBJECTS, Places
from heartbeat_kit.sync._survey import read_decisions
from heartbeat_kit.sync._writer import Objects, Writer

__all__ = ["Versions", "answer", "approved_for", "asked", "find", "listed", "versions_of"]


def listed(places: Places, *, all_states: bool) -> tuple[Decision, ...]:
    """The open decisions, or all, by path."""
    known, _ = read_decisions(places.shared)
    wanted = [each for each in known.values() if all_states or each.is_open]
    return tuple(sorted(wanted, key=lambda each: (each.path, each.machine_id, each.id)))


def asked(places: Places, *, all_states: bool) -> tuple[Decision, ...]:
    """What `listed` gives, to somebody who believes that there is no more.

    Raises:
        BaselineUnavailableError: There is no baseline, or not the one this machine is in step with: the shared folder
            may not be mounted.
        DamagedSyncStateError: The archive cannot be understood, so nobody knows which it is.
    """
    archive = read_archive(places.state)
    read_sentinel(places.shared, None if archive is None else archive.baseline_id)
    return listed(places, all_states=all_states)


def approved_for(places: Places, machine_id: str) -> frozenset[str]:
    """The ids of what was approved for a machine and waits to be carried out."""
    waiting = (each for each in listed(places, all_states=False) if each.state is DecisionState.APPROVED)
    return frozenset(each.id for each in waiting if each.machine_id == machine_id)


def find(places: Places, decision_id: str) -> Decision:
    """The record of that id, or of the one id that begins so.

    Raises:
        UnknownDecisionError: There is none, or more than one.
    """
    known, damaged = read_decisions(places.shared)
    fits = [each for key, each in known.items() if key.startswith(decision_id)] if decision_id else []
    if len(fits) == 1:
        return fits[0]
    if decision_id in damaged:
        raise UnknownDecisionError(
            f"the record of the decision {decision_id!r} cannot be read: it is on its way, or damaged"
        )
    found = f"{len(fits)} decisions begin so" if fits else "there is no such decision"
    raise UnknownDecisionError(f"{decision_id!r:.80}: {found}; decisions() lists them")


class Versions(NamedTuple):
    """The contents a decision is about.

    Attributes:
        base: What both sides agreed on last; ``None`` for no file, or one that nobody keeps any more.
        machine: The same of the machine.
        baseline: The same of the baseline.
    """

    base: bytes | None
    machine: bytes | None
    baseline: bytes | None


def versions_of(places: Places, decision: Decision) -> Versions:
    """What is kept of the contents of a decision: all of them while it is open, but for those of a collision."""
    kept = Objects(Writer(places.shared), OBJECTS)
    shas = (decision.base, decision.machine, decision.baseline)
    return Versions(*(None if sha256 is None else kept.get(sha256) for sha256 in shas))


def answer(
    places: Places, completion: Completion, decision: Decision, state: DecisionState, action: DecisionAction | None
) -> Decision:
    """Write what a person said.

    Raises:
        DecisionRefusedError: It is closed, approving it needs an action, or nothing can come of approving it.
    """
    if not decision.is_open:
        raise DecisionRefusedError(
            f"the decision about {decision.path} is {decision.state}: only open ones can be answered",
            machine_id=decision.machine_id,
            paths=[decision.path],
        )
    if state is DecisionState.APPROVED and decision.kind is DecisionKind.COLLISION:
        raise DecisionRefusedError(
            f"{decision.reason}: no sync can have them all; rename or exclude all but one, or reject the decision",
            machine_id=decision.machine_id,
            paths=[decision.path],
        )
    action = decision.action if action is None else action
    if state is DecisionState.APPROVED and action is DecisionAction.MANUAL_REVIEW:
        raise DecisionRefusedError(
            f"the decision about {decision.path} has no proposal: say action='sync_to_baseline' to take the machine's "
            "version, or action='keep_target' to take the baseline's",
            machine_id=decision.machine_id,
            paths=[decision.path],
        )
    answered = attrs.evolve(decision, state=state, action=action)
    completion.writer(places.shared).put(f"{DECISIONS}/{decision.id}.json", to_json(answered))
    return answered
