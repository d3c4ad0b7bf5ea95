"""The table of fifteen rows: what becomes of one path, given what is known of it on three sides.

Owns the table, the policies for its two conflicts, and what a person's answer changes in it. Must not know other paths,
a disk or a clock.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Final

import attrs

from heartbeat_kit.sync._decision import Decision, DecisionAction, DecisionKind, DecisionState, decision_id
from heartbeat_kit.sync._guards import Row, believed
from heartbeat_kit.sync._model import Absent, Entry, File, SyncMode, Unknown, Unsupported
from heartbeat_kit.sync._plan import Act, Action
from heartbeat_kit.sync._policy import Choice, ConflictPolicy

__all__ = ["Merge", "Table"]

Merge = Callable[[str, File, File, File], File | None]
"""Makes one file of two: path, base, machine, baseline to the merged content, or ``None`` if it takes a person."""

_WHY: Final = {
    3: "added on both sides with the same content",
    4: "deleted on both sides",
    5: "changed on both sides to the same content",
    6: "new on the machine",
    7: "new in the baseline",
    8: "deleted on the machine",
    9: "deleted in the baseline",
    10: "changed on the machine",
    11: "changed in the baseline",
    12: "added on both sides with different content",
    13: "changed on the machine, deleted in the baseline: an edit outweighs a delete",
    14: "deleted on the machine, changed in the baseline: an edit outweighs a delete",
    15: "changed on both sides, differently",
}
_TO_BASELINE_ROWS: Final = frozenset({6, 8, 10, 13})
_TO_MACHINE_ROWS: Final = frozenset({7, 9, 11, 14})
_EDIT_BEATS_DELETE: Final = frozenset({13, 14})
_ODD: Final = (Unknown, Unsupported)
_NAMED: Final = 20
"""So many names of a collision are in its reason."""


def _number(row: Row) -> int:
    """Which row of the table it is; the sides differ, and all is known."""
    _, a, m, b = row
    if m == a:
        return 7 if type(a) is Absent else 9 if type(b) is Absent else 11
    if b == a:
        return 6 if type(a) is Absent else 8 if type(m) is Absent else 10
    if type(a) is Absent:
        return 12
    return 13 if type(b) is Absent else 14 if type(m) is Absent else 15


@attrs.frozen(kw_only=True)
class Table:
    """The rules for one path.

    Attributes:
        mode: Whether the machine is back or away.
        machine_id: Which machine.
        policy: What becomes of conflicts.
        sync_from_baseline: Whether the machine is written, if it is there.
        decisions: The records there are, by id.
        asked: The paths they are about.
        merge: Makes one file of two.
    """

    mode: SyncMode
    machine_id: str
    policy: ConflictPolicy
    sync_from_baseline: bool
    decisions: Mapping[str, Decision]
    asked: frozenset[str]
    merge: Merge | None

    @property
    def _waits_for(self) -> str:
        """Why the machine's side is not written; empty if it is."""
        if self.mode is SyncMode.OFFLINE:
            return "the machine is away"
        return "" if self.sync_from_baseline else "nothing is taken from the baseline this time"

    def action(self, row: Row) -> Action:
        """What becomes of a path on which the three sides do not agree."""
        path, a, m, b = row
        if odd := _oddity(row):
            return _act(row, 0, Act.DEFER, why=odd)
        if m == b:
            number = 3 if type(a) is Absent else 4 if type(m) is Absent else 5
            return _act(row, number, Act.CONVERGED, after=_file(m), why=_WHY[number])
        number = _number(row)
        if path in self.asked and (decided := self._as_decided(row, number)) is not None:
            return decided
        why, resolved = _WHY[number], number in _EDIT_BEATS_DELETE
        if number == 8 and self.mode is SyncMode.OFFLINE:
            return self._ask(row, number, DecisionKind.DELETE, f"{why}; {self._waits_for}")
        if number in _TO_BASELINE_ROWS:
            return self._push(row, number, why, resolved=resolved)
        if number in _TO_MACHINE_ROWS:
            return self._pull(row, number, why, resolved=resolved)
        return self._conflict(row, number, why)

    def _push(self, row: Row, number: int, why: str, *, resolved: bool, decision: Decision | None = None) -> Action:
        after = _file(row.machine)
        act = Act.DELETE_IN_BASELINE if after is None else Act.TO_BASELINE
        return _act(row, number, act, after=after, why=why, resolved=resolved, decision=decision)

    def _pull(self, row: Row, number: int, why: str, *, resolved: bool, decision: Decision | None = None) -> Action:
        if waits := self._waits_for:
            return _act(row, number, Act.PENDING, why=f"{why}; {waits}", decision=decision)
        after = _file(row.baseline)
        act = Act.DELETE_ON_MACHINE if after is None else Act.TO_MACHINE
        return _act(row, number, act, after=after, why=why, resolved=resolved, decision=decision)

    def _conflict(self, row: Row, number: int, why: str) -> Action:
        match self.policy.choice(row.path):
            case Choice.MACHINE:
                return self._push(row, number, f"{why}; the machine's version wins", resolved=True)
            case Choice.BASELINE:
                return self._pull(row, number, f"{why}; the baseline's version wins", resolved=True)
            case Choice.KEEP_BOTH:
                return self._keep_both(row, number, why)
            case Choice.MERGE:
                return self._merged(row, number, why)
            case Choice.NEWEST:
                why = f"{why}; this release does not decide which is newest"
        return self._ask_conflict(row, number, why)

    def _keep_both(self, row: Row, number: int, why: str) -> Action:
        kept, waits = _file(row.machine), self._waits_for
        if not waits:
            why = f"{why}; the baseline's version wins, the machine's is kept"
            return _act(row, number, Act.KEEP_BOTH, after=_file(row.baseline), kept=kept, resolved=True, why=why)
        # On a machine that is there its version is safe where it is; of one that is away it is kept at once.
        away = self.mode is SyncMode.OFFLINE
        return _act(row, number, Act.PENDING, kept=kept if away else None, why=f"{why}; {waits}")

    def _merged(self, row: Row, number: int, why: str) -> Action:
        _, a, m, b = row
        if not isinstance(a, File) or not isinstance(m, File) or not isinstance(b, File):
            return self._ask_conflict(row, number, f"{why}; there is no version to merge from")
        merged = self.merge(row.path, a, m, b) if self.merge else None
        if merged is None or not isinstance(believed(merged, a), File):
            return self._ask_conflict(row, number, f"{why}; they do not merge")
        waits = self._waits_for if merged != m else ""
        if waits and self.mode is SyncMode.ONLINE:
            return _act(row, number, Act.PENDING, why=f"{why}; {waits}")
        why = f"{why}; both edits fit together" + (f", {waits}" if waits else "")
        return _act(row, number, Act.MERGE, after=merged, resolved=True, waits=bool(waits), why=why)

    def _ask_conflict(self, row: Row, number: int, why: str) -> Action:
        return self._ask(row, number, DecisionKind.ADD_ADD if number == 12 else DecisionKind.EDIT_EDIT, why)

    def _ask(self, row: Row, number: int, kind: DecisionKind, why: str) -> Action:
        contents = _contents(row)
        decision = Decision(
            id=decision_id(self.machine_id, row.path, *contents),
            machine_id=self.machine_id,
            path=row.path,
            kind=kind,
            base=contents[0],
            machine=contents[1],
            baseline=contents[2],
            action=_proposed(kind),
            reason=why,
        )
        return _act(row, number, Act.DECISION, decision=decision, is_new=True, why=why)

    def _as_decided(self, row: Row, number: int) -> Action | None:
        """What a record of the same evidence says; ``None`` if there is none, or it has been closed."""
        found = self.decisions.get(decision_id(self.machine_id, row.path, *_contents(row)))
        why = _WHY[number]
        match found:
            case Decision(state=DecisionState.APPROVED, action=DecisionAction.SYNC_TO_BASELINE):
                return self._push(row, number, f"{why}; approved", resolved=True, decision=found)
            case Decision(state=DecisionState.APPROVED, action=DecisionAction.KEEP_TARGET):
                return self._pull(row, number, f"{why}; approved", resolved=True, decision=found)
            case Decision(state=DecisionState.PENDING | DecisionState.APPROVED):
                return _act(row, number, Act.DECISION, decision=found, why=f"{why}; nobody has decided yet")
            case Decision(state=DecisionState.REJECTED):
                return _act(row, number, Act.SETTLED, decision=found, why=f"{why}; rejected")
            case Decision(state=DecisionState.ROLLED_BACK):
                # A person took it back: not even the table or a policy may do it again unasked.
                again = attrs.evolve(found, state=DecisionState.PENDING, action=_proposed(found.kind))
                return _act(row, number, Act.DECISION, decision=again, is_new=True, why=f"{why}; it was rolled back")
        return None

    def collision(self, rows: list[Row]) -> dict[str, Action]:
        """All names of a collision, deferred; the first asks, once everything about them is known."""
        group = [row.path for row in rows]
        more = f" and {len(group) - _NAMED} more" if len(group) > _NAMED else ""
        why = f"one name on some systems: {', '.join(group[:_NAMED])}{more}"
        odd = {row.path: said for row in rows if (said := _oddity(row))}
        if odd:
            also = next(f"{path}: {said}" for path, said in odd.items())
            return {row.path: _act(row, 0, Act.DEFER, why=odd.get(row.path, f"{why}; {also}")) for row in rows}
        actions = {row.path: _act(row, 0, Act.DEFER, why=why) for row in rows}
        contents = zip(*(_contents(row) for row in rows), strict=True)
        base, machine, baseline = (_digest(group, shas) for shas in contents)
        key = decision_id(self.machine_id, group[0], base, machine, baseline)
        decision = Decision(
            id=key,
            machine_id=self.machine_id,
            path=group[0],
            kind=DecisionKind.COLLISION,
            base=base,
            machine=machine,
            baseline=baseline,
            reason=why,
        )
        found = self.decisions.get(key)
        is_new = found is None or not (found.is_open or found.state is DecisionState.REJECTED)
        first = actions[group[0]]
        actions[group[0]] = attrs.evolve(first, decision=decision if is_new else found, is_new=is_new)
        return actions


def _oddity(row: Row) -> str:
    """What keeps a path from being compared, and on which side; empty if nothing does."""
    sides = (("what was agreed on", row.base), ("the machine", row.machine), ("the baseline", row.baseline))
    return next((f"{where}: {entry.why}" for where, entry in sides if isinstance(entry, _ODD)), "")


def _act(
    row: Row,
    number: int,
    act: Act,
    *,
    after: File | None = None,
    kept: File | None = None,
    resolved: bool = False,
    waits: bool = False,
    decision: Decision | None = None,
    is_new: bool = False,
    why: str,
) -> Action:
    return Action(
        path=row.path,
        row=number,
        act=act,
        base=row.base,
        machine=row.machine,
        baseline=row.baseline,
        after=after,
        kept=kept,
        resolved=resolved,
        waits=waits,
        decision=decision,
        is_new=is_new,
        why=why,
    )


def _proposed(kind: DecisionKind) -> DecisionAction:
    return DecisionAction.SYNC_TO_BASELINE if kind is DecisionKind.DELETE else DecisionAction.MANUAL_REVIEW


def _file(entry: Entry) -> File | None:
    return entry if isinstance(entry, File) else None


def _contents(row: Row) -> tuple[str | None, str | None, str | None]:
    return _sha256(row.base), _sha256(row.machine), _sha256(row.baseline)


def _sha256(entry: Entry) -> str | None:
    return entry.sha256 if isinstance(entry, File) else None


def _digest(group: list[str], contents: Iterable[str | None]) -> str | None:
    """One digest for all contents of a group; ``None`` if there is none."""
    found = list(zip(group, contents, strict=True))
    if all(sha is None for _, sha in found):
        return None
    return hashlib.sha256(json.dumps(found).encode()).hexdigest()
