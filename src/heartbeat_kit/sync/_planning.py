"""From a survey to a plan, with the contents that merging made.

Owns finding the three contents of a merge and checking what came of it. Changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import NamedTuple

from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._merge import merge
from heartbeat_kit.sync._model import File, Side, Snapshot, SyncMode
from heartbeat_kit.sync._places import OBJECTS, Places, published
from heartbeat_kit.sync._plan import SyncPlan
from heartbeat_kit.sync._planner import make_plan
from heartbeat_kit.sync._policy import ConflictPolicy
from heartbeat_kit.sync._selection import compile_glob
from heartbeat_kit.sync._snapshot import Validator, doubt_of
from heartbeat_kit.sync._survey import Survey
from heartbeat_kit.sync._tree import Tree
from heartbeat_kit.sync._writer import Objects, Writer

__all__ = ["Planned", "Planning"]


class Planned(NamedTuple):
    """A plan, and the contents it made.

    Attributes:
        plan: The plan.
        merged: Contents by hash that are on neither side yet.
    """

    plan: SyncPlan
    merged: dict[str, bytes]


class Planning:
    """Makes plans.

    Args:
        places: The trees, to read the contents of a merge.
        policy: What becomes of conflicts.
        validators: What a merged file must pass.
    """

    def __init__(self, places: Places, policy: ConflictPolicy, validators: Sequence[Validator]) -> None:
        self._places = places
        self._policy = policy
        self._validators = validators

    def plan(self, survey: Survey, guards: Guards, *, sync_from_baseline: bool) -> Planned:
        """The plan of what was surveyed."""
        merged: dict[str, bytes] = {}

        def merging(path: str, base: File, machine: File, baseline: File) -> File | None:
            data = self._merged(survey, path, base, machine, baseline)
            if data is None:
                return None
            sha256 = hashlib.sha256(data).hexdigest()
            merged[sha256] = data
            return File(sha256=sha256, size=len(data), mode=machine.mode)

        plan = make_plan(
            Snapshot(entries=survey.base),
            survey.machine,
            survey.baseline,
            mode=survey.mode,
            machine_id=survey.machine_id,
            policy=self._policy,
            guards=guards,
            sync_from_baseline=sync_from_baseline,
            decisions=survey.decisions,
            merge=merging,
        )
        return Planned(plan, merged)

    def _merged(self, survey: Survey, path: str, base: File, machine: File, baseline: File) -> bytes | None:
        theirs = _content(*self._places.of(Side.BASELINE, path), baseline.sha256)
        stores = [Objects(Writer(self._places.state), OBJECTS), self._published(survey), self._pinned()]
        ancestor = next((data for store in stores if (data := store.get(base.sha256)) is not None), None)
        if survey.mode is SyncMode.ONLINE:
            ours = _content(*self._places.of(Side.MACHINE, path), machine.sha256)
        else:
            ours = self._published(survey).get(machine.sha256)
        if ancestor is None or ours is None or theirs is None:
            return None
        data = merge(path, ancestor, ours, theirs)
        if data is None or any(compile_glob(glob)(path) and doubt_of(check, data) for glob, check in self._validators):
            return None
        return data

    def _published(self, survey: Survey) -> Objects:
        return Objects(Writer(self._places.shared), f"{published(survey.machine_id)}/objects")

    def _pinned(self) -> Objects:
        return Objects(Writer(self._places.shared), OBJECTS)


def _content(tree: Tree, path: str, sha256: str) -> bytes | None:
    try:
        found = tree.read(path)
    except OSError:
        return None
    return found.data if found.sha256 == sha256 else None
