"""`SyncPlan`: what a sync will do, path by path, before anything is done.

Owns the plan and all that follows from it: effects, counts, what both sides agree on afterwards. Must not know how a
plan is made, nor how it is carried out.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from enum import StrEnum
from functools import cached_property
from typing import Any, Final

import attrs

from heartbeat_kit._words import printable
from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._decision import Decision
from heartbeat_kit.sync._guards import Refusal
from heartbeat_kit.sync._model import Absent, Entry, File, Side, SyncMode, Unsupported

__all__ = ["Act", "Action", "Effect", "SyncPlan", "conflict_name", "printable"]

_CONFLICT_ROWS: Final = range(12, 16)
_NAME_BYTES: Final = 255
_MARK_BYTES: Final = 13
_SHOWN: Final = 200
"""So many lines a notebook is given; `SyncPlan.text` has them all."""


class Act(StrEnum):
    """What becomes of a path."""

    CONVERGED = "converged"
    """Both sides came to agree by themselves; only the archive has to learn of it."""
    TO_BASELINE = "to_baseline"
    TO_MACHINE = "to_machine"
    DELETE_IN_BASELINE = "delete_in_baseline"
    DELETE_ON_MACHINE = "delete_on_machine"
    MERGE = "merge"
    KEEP_BOTH = "keep_both"
    """The baseline's version goes to the machine, and the machine's is kept."""
    DECISION = "decision"
    """A person is asked."""
    PENDING = "pending"
    """What is to be done on the machine waits for it."""
    DEFER = "defer"
    """Something is not known; nothing is done until it is."""
    SETTLED = "settled"
    """A person decided that both sides stay as they are."""


_DONE: Final = {
    Act.TO_BASELINE,
    Act.TO_MACHINE,
    Act.DELETE_IN_BASELINE,
    Act.DELETE_ON_MACHINE,
    Act.MERGE,
    Act.KEEP_BOTH,
}
"""The acts after which both sides agree."""
_WORDS: Final = {
    Act.CONVERGED: "nothing to do",
    Act.TO_BASELINE: "copy to baseline",
    Act.TO_MACHINE: "copy to machine",
    Act.DELETE_IN_BASELINE: "delete in baseline",
    Act.DELETE_ON_MACHINE: "delete on machine",
    Act.MERGE: "merge",
    Act.KEEP_BOTH: "keep both",
    Act.DECISION: "ask a person",
    Act.PENDING: "wait for machine",
    Act.DEFER: "defer",
    Act.SETTLED: "leave as decided",
}


@attrs.frozen(kw_only=True, weakref_slot=False)
class Effect:
    """One file that is written or deleted.

    Attributes:
        side: Where.
        path: Relative to the root of that side; of a version that is kept, its `conflict_name`.
        before: What is there, or ``None`` for nothing.
        after: What will be there, or ``None`` for nothing.
    """

    side: Side
    path: str
    before: File | None
    after: File | None


@attrs.frozen(kw_only=True, weakref_slot=False)
class Action:
    """What becomes of one path, and why.

    Attributes:
        path: Which.
        row: Of the table in the concepts, 1 to 15; 0 where something is unknown, so that no row applies.
        act: What is done.
        base: What both sides agreed on last.
        machine: What the machine has; when it is away, what it published.
        baseline: What the baseline has.
        after: What is written; ``None`` for nothing.
        kept: A losing version that is kept under ``conflicts/``.
        resolved: It was a conflict, or a decision, and is settled.
        waits: The machine's side of a merge waits for it: only the baseline is written.
        decision: The record it asks with, or that it carries out.
        is_new: The record did not exist before, or had been closed.
        why: In words.
    """

    path: str
    row: int
    act: Act
    base: Entry
    machine: Entry
    baseline: Entry
    after: File | None = None
    kept: File | None = None
    resolved: bool = False
    waits: bool = False
    decision: Decision | None = None
    is_new: bool = False
    why: str = ""

    @property
    def effects(self) -> tuple[Effect, ...]:
        """The files it writes or deletes; none where the content is there already."""
        if self.act not in _DONE and self.kept is None:
            return ()
        effects = []
        if self.kept is not None:
            name = conflict_name(self.path, self.kept.sha256)
            effects.append(Effect(side=Side.CONFLICTS, path=name, before=None, after=self.kept))
        if self.act in _DONE:
            sides = [(Side.BASELINE, self.baseline)]
            if not self.waits:
                sides.append((Side.MACHINE, self.machine))
            for side, entry in sides:
                before = entry if isinstance(entry, File) else None
                if before != self.after:
                    effects.append(Effect(side=side, path=self.path, before=before, after=self.after))
        return tuple(effects)

    @property
    def is_synced(self) -> bool:
        """Whether both sides agree after it, because of it."""
        return self.act in _DONE and not self.waits

    @property
    def is_resolved(self) -> bool:
        """Whether it settles a conflict, that is one of rows 12 to 15."""
        return self.resolved and self.row in _CONFLICT_ROWS

    def __repr__(self) -> str:
        return f"<Action {self.act} {self.path} (row {self.row}): {self.why}>"


@attrs.frozen(kw_only=True, repr=False)
class SyncPlan:
    """What a sync will do. Two plans are equal if they do the same.

    Attributes:
        machine_id: Whose working copy is synced.
        mode: Whether the machine is back or away.
        actions: One a path, sorted by it; paths that are as they were on both sides have none.
        refusals: Why it must not be carried out. Its actions and effects are listed all the same, so that a person
            sees what was refused: **whoever carries out a plan looks here first**.
    """

    machine_id: str
    mode: SyncMode
    actions: tuple[Action, ...] = ()
    refusals: tuple[Refusal, ...] = ()

    @cached_property
    def id(self) -> str:
        """SHA-256 of all it will do, 64 hexadecimal digits."""
        record = [
            self.machine_id,
            self.mode,
            [
                (
                    each.path,
                    each.row,
                    each.act,
                    _plain(each.base),
                    _plain(each.machine),
                    _plain(each.baseline),
                    _plain(each.after),
                    _plain(each.kept),
                    each.resolved,
                    each.waits,
                    each.decision.id if each.decision else None,
                )
                for each in self.actions
            ],
            [refusal.code for refusal in self.refusals],
        ]
        # ASCII, so that a name that is no Unicode has a place in it.
        return hashlib.sha256(json.dumps(record, separators=(",", ":")).encode()).hexdigest()

    @cached_property
    def effects(self) -> tuple[Effect, ...]:
        """Every file that is written or deleted, by side, then path."""
        return tuple(sorted((e for each in self.actions for e in each.effects), key=lambda e: (e.side, e.path)))

    @cached_property
    def planned(self) -> SyncChanges:
        """The counts of the run, if nothing moves in between.

        A version that is kept counts for nothing by itself, nor does a merge of which only the baseline learns yet
        count as synced: the sides do not agree until the machine has it.
        """
        return SyncChanges(
            files_synced=sum(each.is_synced for each in self.actions),
            conflicts_resolved=sum(each.is_resolved for each in self.actions),
            decisions_created=sum(each.is_new for each in self.actions),
        )

    @property
    def agreed(self) -> dict[str, File | None]:
        """What the base becomes, by path, where both sides agree afterwards; ``None`` for no file.

        A merge made while the machine is away is no agreement, but the base moves nevertheless: to the version the
        machine published, as that went into the merge. When the machine returns with it, only the baseline has
        changed since, and the merge is copied to it; when it returns with a later edit, that edit and the merge both
        descend from it. With the old base either would be a conflict once more.
        """
        return {
            each.path: _file(each.machine) if each.waits else each.after
            for each in self.actions
            if each.act in _DONE or each.act is Act.CONVERGED
        }

    @property
    def deferred(self) -> dict[str, str]:
        """The paths of which something is not known, with the reason; what cannot be printed is escaped."""
        return {printable(each.path): printable(each.why) for each in self.actions if each.act is Act.DEFER}

    @property
    def pending(self) -> tuple[str, ...]:
        """The paths that wait for the machine."""
        return tuple(each.path for each in self.actions if each.act is Act.PENDING or each.waits)

    @property
    def decisions(self) -> tuple[Decision, ...]:
        """The records to be made."""
        return tuple(each.decision for each in self.actions if each.is_new and each.decision)

    @property
    def is_empty(self) -> bool:
        """Whether there is nothing to do, for no file, no record and no archive."""
        return not any(
            each.act in _DONE or each.act is Act.CONVERGED or each.is_new or each.kept for each in self.actions
        )

    def text(self) -> str:
        """The plan for a terminal: a line for each path, with what becomes of it and why."""
        lines = [f"refused: {refusal.message}" for refusal in self.refusals]
        rows = _rows(self.actions)
        width = max((len(path) for _, path, _ in rows), default=0)
        lines += [f"{what:<18}  {path:<{min(width, 60)}}  {why}".rstrip() for what, path, why in rows]
        return "\n".join(lines) if lines else "nothing to do"

    def __wire__(self, locale: str) -> dict[str, Any]:
        """The shape of `to_wire`."""
        return {
            "success": not self.refusals,
            "machineId": self.machine_id,
            "mode": str(self.mode),
            "planId": self.id,
            "planned": self.planned.__wire__(locale),
            "refusals": [{"code": each.code, "message": each.message} for each in self.refusals],
            "actions": [
                {
                    "path": printable(each.path),
                    "row": each.row,
                    "act": str(each.act),
                    "why": printable(each.why),
                    **({"decision": each.decision.id} if each.decision else {}),
                }
                for each in self.actions
            ],
            "message": self._summary(),
        }

    def __repr__(self) -> str:
        return f"<SyncPlan {self.machine_id} {self._summary()} id={self.id[:8]}>"

    def _summary(self) -> str:
        counts = Counter(each.act for each in self.actions)
        found = ", ".join(f"{counts[act]} {act}" for act in Act if counts[act]) or "nothing to do"
        refused = f", refused: {', '.join(dict.fromkeys(each.code for each in self.refusals))}" if self.refusals else ""
        return f"{self.mode}: {found}{refused}"

    def _shown(self) -> tuple[tuple[str, ...], list[tuple[str, ...]], str]:
        more = len(self.actions) - _SHOWN
        caption = f"{self.machine_id}, {self._summary()}{f' (the first {_SHOWN})' if more > 0 else ''}"
        return ("what", "path", "why"), _rows(self.actions[:_SHOWN]), caption

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table  # noqa: PLC0415 - for notebooks only

        columns, rows, caption = self._shown()
        return html_table(columns, rows, caption=caption)

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import rich_table  # noqa: PLC0415 - rich is optional

        columns, rows, caption = self._shown()
        return rich_table(columns, rows, caption=caption)


def conflict_name(path: str, sha256: str) -> str:
    """The name under ``conflicts/`` of a version of `path` that lost: of its content, so it is always the same.

    >>> conflict_name("etc/app.conf", "9f86d081884c7d65")
    'etc/app.9f86d081884c.conf'
    """
    directory, slash, name = path.rpartition("/")
    stem, dot, suffix = name.rpartition(".")
    if not stem or len(suffix.encode(errors="surrogatepass")) > 32:
        stem, dot, suffix = name, "", ""
    room = _NAME_BYTES - _MARK_BYTES - len(f"{dot}{suffix}".encode(errors="surrogatepass"))
    short = stem.encode(errors="surrogatepass")[:room].decode(errors="ignore")
    return f"{directory}{slash}{short}.{sha256[:12]}{dot}{suffix}"


def _rows(actions: tuple[Action, ...]) -> list[tuple[str, ...]]:
    return [(_WORDS[each.act], printable(each.path or "."), printable(each.why)) for each in actions]


def _file(entry: Entry) -> File | None:
    return entry if isinstance(entry, File) else None


def _plain(entry: Entry | None) -> object:
    if isinstance(entry, File):
        return entry.sha256, entry.size
    if entry is None or isinstance(entry, Absent):
        return None
    return "unsupported" if isinstance(entry, Unsupported) else "unknown"  # not why: that differs from system to system
