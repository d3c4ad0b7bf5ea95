"""`make_plan`: three trees in, one plan out. The heart of the sync.

Owns what is looked at across paths: which are worth a look, collisions, guards. What becomes of one path is `_table`'s.
Must not know a disk, a clock, or how anything it plans is done: the same trees make the same plan on every machine.

The table compares, path by path, the base (what both sides agreed on last), the machine and the baseline. It is that of
three-way synchronisers such as Unison (Pierce and Vouillon, "What's in Unison?", 2004), with two additions: an edit
outweighs a delete, and while a machine is away nothing is deleted and nothing of it is written.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

import attrs

from heartbeat_kit._frozen import FrozenDict
from heartbeat_kit.sync._decision import Decision, DecisionKind
from heartbeat_kit.sync._guards import Guards, Refusal, Row, believed, check, is_bare
from heartbeat_kit.sync._model import ABSENT, Absent, Entry, File, Side, Snapshot, SyncMode, Unknown, Unsupported
from heartbeat_kit.sync._paths import collisions
from heartbeat_kit.sync._plan import Act, Action, SyncPlan
from heartbeat_kit.sync._policy import ConflictPolicy
from heartbeat_kit.sync._table import Merge, Table

__all__ = ["make_plan"]

_SPARED: Final = frozenset({Act.DEFER, Act.CONVERGED})
_WAYS: Final = (
    frozenset({Act.CONVERGED, Act.TO_BASELINE, Act.DELETE_IN_BASELINE}),
    frozenset({Act.CONVERGED, Act.TO_MACHINE, Act.DELETE_ON_MACHINE}),
    frozenset({Act.CONVERGED, Act.PENDING}),
)
_NAMED: Final = 3
"""What the guards count neither as changed nor as unchanged; nor what a person decided or was asked before."""


def make_plan(
    base: Snapshot,
    machine: Snapshot,
    baseline: Snapshot,
    *,
    mode: SyncMode,
    machine_id: str,
    policy: ConflictPolicy = ConflictPolicy(),  # noqa: B008 - a frozen value
    guards: Guards = Guards(),  # noqa: B008 - a frozen value
    sync_from_baseline: bool = True,
    decisions: Mapping[str, Decision] = FrozenDict(),
    merge: Merge | None = None,
) -> SyncPlan:
    """What a sync is to do.

    Every path goes through these, in this order: anything unknown or unsupported defers it, as do a change that may be
    a glitch (`believed`) and a name that collides with another; a record of the same evidence decides it, if a person
    answered or was asked; the table does, and the policy for its two conflicts. The guards see the whole.

    Args:
        base: What both sides agreed on last; empty if nobody knows, and then nothing is deleted.
        machine: The working copy; in `SyncMode.OFFLINE` what the machine published.
        baseline: The shared baseline.
        mode: Whether the machine is back, or away: then nothing of it is written, and nothing is deleted but what a
            person approved.
        machine_id: Whose working copy it is.
        policy: What becomes of conflicts.
        guards: What is refused as a whole.
        sync_from_baseline: Also bring the machine up to date; what that would write waits otherwise.
        decisions: The records there are, by id.
        merge: Makes one file of two; without it every merge is left to a person.

    >>> old, new = File(sha256="0a", size=1), File(sha256="0b", size=1)
    >>> plan = make_plan(
    ...     Snapshot(entries={"app.conf": old}),
    ...     Snapshot(entries={"app.conf": new}),
    ...     Snapshot(entries={"app.conf": old}),
    ...     mode=SyncMode.ONLINE, machine_id="web-1",
    ... )
    >>> print(plan.text())
    copy to baseline    app.conf  changed on the machine
    """
    views = [_view(tree) for tree in (base, machine, baseline)]
    rows = _rows_of(*views)
    table = Table(
        mode=SyncMode(mode),
        machine_id=machine_id,
        policy=policy,
        sync_from_baseline=sync_from_baseline,
        decisions=decisions,
        asked=frozenset(decision.path for decision in decisions.values()),
        merge=merge,
    )
    actions = _actions(rows, views[1], views[2], table)
    agreed = sum(type(entry) is File for entry in views[0].entries.values())
    return SyncPlan(
        machine_id=machine_id,
        mode=table.mode,
        actions=tuple(actions[path] for path in sorted(actions)),
        refusals=_refusals(actions, rows, {Side.MACHINE: machine, Side.BASELINE: baseline}, agreed, guards),
    )


class _View(NamedTuple):
    """A snapshot, prepared for many questions."""

    entries: dict[str, Entry]
    closed: Mapping[str, str]
    rejected: Mapping[str, str]
    entry: Callable[[str], Entry]


def _view(tree: Snapshot) -> _View:
    """The snapshot, with all that is beneath something odd as unknown as that."""
    entries, closed, rejected = dict(tree.entries), tree.closed, tree.rejected
    odd = {path: entry.why for path, entry in entries.items() if isinstance(entry, Unknown | Unsupported)}
    blocked = {**odd, **closed, **rejected}

    def entry_of(path: str) -> Entry:
        if path in rejected:
            return Unsupported(rejected[path])
        found = entries.get(path)
        if found is not None:
            return found
        if path in closed:
            return Unknown(closed[path])
        parent = path
        while parent:
            parent = parent.rpartition("/")[0]
            if parent in blocked:
                return Unknown(blocked[parent])
        return ABSENT

    return _View(
        entries=entries,
        closed=closed,
        rejected=rejected,
        entry=entry_of if blocked else lambda path: entries.get(path, ABSENT),
    )


def _rows_of(base: _View, machine: _View, baseline: _View) -> dict[str, Row]:
    """The paths of which not all three trees say the same, or not all say something."""
    in_base, in_machine, in_baseline = base.entry, machine.entry, baseline.entry
    rows = {}
    for path in set().union(*(names for tree in (base, machine, baseline) for names in tree[:3])):
        a, m, b = in_base(path), in_machine(path), in_baseline(path)
        if m == b:  # nothing will be written, so it need not be believed
            if m == a and (type(a) is File or type(a) is Absent):
                continue
        else:
            m, b = believed(m, a), believed(b, a)
        rows[path] = Row(path, a, m, b)
    return rows


def _actions(rows: Mapping[str, Row], machine: _View, baseline: _View, table: Table) -> dict[str, Action]:
    actions: dict[str, Action] = {}
    if rows:
        for path, group in collisions(_present(rows, machine, baseline)).items():
            if path == group[0] and any(rows[each].machine != rows[each].baseline for each in group if each in rows):
                members = [rows.get(each) or _unchanged(each, machine) for each in group]
                actions.update(_one_way(members, table) or table.collision(members))
    for path, row in rows.items():
        if path not in actions:
            actions[path] = table.action(row)
    return actions


def _one_way(members: list[Row], table: Table) -> dict[str, Action] | None:
    """What becomes of a file in the place of a directory, or the reverse, if one side has only to follow the other.

    If all of it is copied to one side, and nothing collides once it is, nobody need be asked.
    """
    first, *others = (row.path for row in members)
    if not all(path.startswith(f"{first}/") for path in others):
        return None  # two spellings of one name
    actions = {row.path: table.action(row) for row in members}
    acts = {action.act for action in actions.values()}
    left = [row.path for row in members if isinstance(actions[row.path].after, File)]
    if any(acts <= way for way in _WAYS):
        return actions if not collisions(left) else None
    questions = {path: each for path, each in actions.items() if each.act is Act.DECISION}
    asks_to_delete = all(each.decision and each.decision.kind is DecisionKind.DELETE for each in questions.values())
    if not (questions and asks_to_delete and acts <= {*_WAYS[0], Act.DECISION}) or collisions(left):
        return None
    why = f"{', '.join(list(questions)[:_NAMED])} must go first, and a person is asked"
    waiting = {path for path, each in actions.items() if each.act is Act.TO_BASELINE}
    return {
        path: attrs.evolve(each, act=Act.DEFER, after=None, resolved=False, decision=None, why=why)
        if path in waiting
        else each
        for path, each in actions.items()
    }


def _present(rows: Mapping[str, Row], machine: _View, baseline: _View) -> set[str]:
    """Every name that one of the sides has, or may have: no collision vanishes because a file cannot be read."""
    trees = (machine, baseline)
    present = {path for tree in trees for path, entry in tree.entries.items() if type(entry) is not Absent}
    if any(tree.closed for tree in trees):
        hidden = {path for path, row in rows.items() if Unknown in (type(row.machine), type(row.baseline))}
        present |= hidden.difference(machine.closed, baseline.closed)
    return present


def _unchanged(path: str, tree: _View) -> Row:
    entry = tree.entry(path)
    return Row(path, entry, entry, entry)


def _refusals(
    actions: Mapping[str, Action], rows: Mapping[str, Row], trees: Mapping[Side, Snapshot], agreed: int, guards: Guards
) -> tuple[Refusal, ...]:
    counted, spared = [], 0
    for path, each in actions.items():
        waits = each.act is Act.PENDING and each.kept is None  # nothing is done about it now
        if not waits and each.act not in _SPARED and (each.decision is None or each.is_new):
            counted.append(rows[path])
        elif type(each.base) is File:
            spared += 1
    if not counted:
        return ()
    bare = [side for side, tree in trees.items() if is_bare(tree)]
    return check(counted, guards=guards, agreed=agreed, spared=spared, bare=bare)
