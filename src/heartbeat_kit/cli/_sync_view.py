"""What `sync` did, in words and rows.

Owns the wording and the layout. Decides nothing: it shows what the coordinator answered. Names of files come from
whoever can write to a folder, so nothing of them reaches the terminal but what can be printed.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping, Sequence
from difflib import unified_diff
from typing import Final

from heartbeat_kit._words import counted, printable
from heartbeat_kit.cli._terminal import Cell, Terminal
from heartbeat_kit.cli._view import span
from heartbeat_kit.sync import (
    Decision,
    DecisionAction,
    DecisionState,
    Pruned,
    SyncOutcome,
    SyncPlan,
    SyncReport,
    Versions,
)
from heartbeat_kit.sync._typed import typed

__all__ = ["SyncView"]

_SHOWN: Final = 50
"""So many lines of a kind; --json lists them all."""
_COUNTED: Final = {SyncOutcome.APPLIED, SyncOutcome.ALREADY_DONE, SyncOutcome.DRY_RUN, SyncOutcome.ROLLED_BACK}
_STYLES: Final = {
    SyncOutcome.NOT_EXECUTOR: "yellow bold",
    SyncOutcome.NOTHING_PUBLISHED: "yellow bold",
    SyncOutcome.VOID: "yellow bold",
    SyncOutcome.DRY_RUN: "cyan bold",
}
_DONE: Final = ("files synced", "conflicts resolved", "decisions created")
_PLANNED: Final = ("files to sync", "conflicts to resolve", "decisions to create")
_INDENT: Final = "  "
_ID: Final = 8
_LINES: Final = 200


class SyncView:
    """Shows answers.

    Args:
        terminal: Where.
    """

    def __init__(self, terminal: Terminal) -> None:
        self._terminal = terminal

    def say(self, text: str, *, names: Iterable[str] = (), reasons: Mapping[str, str] | None = None) -> None:
        """A sentence, and what it is about."""
        self._terminal.prose(printable(text))
        self._paths([(name, "") for name in names])
        if reasons:
            self._section("not read", reasons.items())

    def pruned(self, said: str, gone: Pruned) -> None:
        """What went, and why the rest stays."""
        self.say(said, names=gone.backups)
        self._section("kept", gone.kept.items())

    def report(self, report: SyncReport, waiting: Sequence[Decision] = (), known: Collection[Decision] = ()) -> None:
        """What a sync did or would do, and what is left.

        Args:
            report: Its answer.
            waiting: What nobody has answered yet.
            known: All there are, so that a short id is short for one of them only.
        """
        terminal = self._terminal
        terminal.prose(printable(report.message), style=_STYLES.get(report.outcome, "green bold"))
        if report.recovered:
            terminal.prose("An interrupted run was finished first.")
        if report.outcome in _COUNTED:
            self._counts(report)
        if report.outcome is SyncOutcome.ALREADY_DONE:
            terminal.prose(
                "It is done once for each silence or return: 'sync plan' shows what has come since, --again does it.",
                style="dim",
            )
        self._section(f"waits for {report.machine_id}", [(path, "") for path in report.pending])
        deferred = [(path, why) for path, why in report.deferred.items() if path not in report.rejected]
        self._section("left alone for now", deferred)
        self._section("cannot be synced under these names", report.rejected.items())
        if waiting:
            self._section_of_decisions(waiting, known, asked=not report.dry_run)

    def rolled_back(self, report: SyncReport) -> None:
        """What a rollback did, and that it does not last by itself."""
        self.report(report)
        self._terminal.prose(
            "What differs between the sides now is synced again by the next sync: 'sync plan' shows it.", style="dim"
        )

    def plan(self, plan: SyncPlan) -> None:
        """A plan, line by line."""
        terminal = self._terminal
        terminal.line(terminal.paint(f"Plan {plan.id[:_ID]}: {plan.mode} sync of {plan.machine_id}", "bold"))
        terminal.line()
        lines = plan.text().split("\n")
        for line in lines:
            terminal.line(_INDENT + printable(typed(line)))
        if plan.actions:
            terminal.line()
            counts = plan.planned
            terminal.prose(
                f"{counted(len(plan.actions), 'file')} to look at: {counts.files_synced} to sync, "
                f"{counts.conflicts_resolved} resolved, {counted(counts.decisions_created, 'new decision')}, "
                f"{len(plan.pending)} pending, {len(plan.deferred)} deferred",
                style="dim",
            )

    def decisions(self, shown: Sequence[Decision], known: Collection[Decision]) -> None:
        """Decisions, and how to answer those that are open."""
        if not shown:
            self._terminal.prose("Nothing waits for a person")
            return
        width = _id_width(known)
        rows = [
            [
                Cell(each.id[:width], "bold"),
                Cell(each.machine_id),
                Cell(printable(each.path)),
                Cell(str(each.state), "yellow bold" if each.state is DecisionState.PENDING else ""),
                Cell(_asked(each)),
            ]
            for each in shown
        ]
        for line in self._terminal.table(("id", "machine", "path", "state", "what it is about"), rows):
            self._terminal.line(line)
        first = next((each for each in shown if each.state is DecisionState.PENDING), None)
        if first is not None:
            self._how_to_answer(first, width)

    def versions(self, decision: Decision, found: Versions) -> None:
        """What a decision is about: the two versions it asks about, line by line."""
        terminal = self._terminal
        terminal.prose(f"{printable(decision.path)} of {decision.machine_id}: {decision.state}", style="bold")
        terminal.prose(_asked(decision))
        names = ("agreed on last", f"on {decision.machine_id}", "in the baseline")
        shas = (decision.base, decision.machine, decision.baseline)
        texts = [None if data is None else _text(data) for data in found]
        rows = [
            [Cell(name), Cell(_what(sha256, data, text))]
            for name, sha256, data, text in zip(names, shas, found, texts, strict=True)
        ]
        self._rows((), rows)
        if any(text is None and sha256 is not None for text, sha256 in zip(texts[1:], shas[1:], strict=True)):
            return
        _, mine, theirs = [(text or "").splitlines() for text in texts]
        drawn = list(unified_diff(theirs, mine, names[2], names[1], lineterm=""))
        for line in drawn[:_LINES]:
            style = {"+": "green", "-": "red"}.get(line[:1], "dim" if line[:1] == "@" else "")
            terminal.line(_INDENT + terminal.paint(printable(line), style))
        if len(drawn) > _LINES:
            terminal.line(f"{_INDENT}… and {len(drawn) - _LINES} more lines, see --json")
        if decision.state is DecisionState.PENDING:
            self._how_to_answer(decision, _ID)

    def answered(self, decision: Decision) -> None:
        """What became of a decision."""
        path, machine_id = printable(decision.path), decision.machine_id
        taken = {
            DecisionAction.SYNC_TO_BASELINE: f"the version of {machine_id} is taken",
            DecisionAction.KEEP_TARGET: "the version of the baseline is taken",
        }.get(decision.action, "")
        said = {
            DecisionState.APPLIED: f"{path}: done, {taken}",
            DecisionState.APPROVED: f"{path}: approved, {taken}; the next sync of {machine_id} carries it out",
            DecisionState.REJECTED: f"{path}: rejected, both sides stay as they are",
        }
        self._terminal.prose(said.get(decision.state, f"{path}: {decision.state}"), style="green bold")

    def _counts(self, report: SyncReport) -> None:
        counts = report.changes if report.planned is None else report.planned
        numbers = (counts.files_synced, counts.conflicts_resolved, counts.decisions_created)
        said = list(zip(_PLANNED if report.dry_run else _DONE, map(str, numbers), strict=True))
        if counts.offline_duration_ms is not None:
            said.append(("was offline for", span(counts.offline_duration_ms)))
        self._rows((), [[Cell(name), Cell(number, "bold")] for name, number in said])
        if report.backup_path is not None:
            state = "verified" if report.backup_created else "not there any more, or damaged"
            self._terminal.line(f"{_INDENT}backup: {printable(report.backup_path)} ({state})")
            if report.backup_created:
                name = printable(os.path.basename(report.backup_path))
                self._terminal.line(f"{_INDENT}to undo it: heartbeat-kit sync rollback {name}")

    def _section(self, title: str, rows: Iterable[tuple[str, str]]) -> None:
        rows = list(rows)
        if rows:
            self._terminal.line(self._terminal.paint(f"{title}: {len(rows)}", "yellow bold"))
            self._paths(rows)

    def _section_of_decisions(self, waiting: Sequence[Decision], known: Collection[Decision], *, asked: bool) -> None:
        title = "waits for a person" if asked else "would wait for a person"
        self._terminal.line(self._terminal.paint(f"{title}: {len(waiting)}", "yellow bold"))
        width = _id_width(known)
        rows = [
            [Cell(each.id[:width], "bold"), Cell(printable(each.path)), Cell(_asked(each))] for each in waiting[:_SHOWN]
        ]
        self._rows(("id", "path", "what it is about"), rows, len(waiting))
        if asked:
            self._how_to_answer(waiting[0], width)

    def _how_to_answer(self, first: Decision, width: int) -> None:
        command = f"heartbeat-kit sync approve {first.id[:width]}"
        lines = [
            (f"heartbeat-kit sync show {first.id[:width]}", "shows how the two differ"),
            (f"{command} --action sync_to_baseline", "takes the version of the machine"),
            (f"{command} --action keep_target", "takes the version of the baseline"),
            (f"heartbeat-kit sync reject {first.id[:width]}", "leaves both as they are"),
        ]
        if first.action is not DecisionAction.MANUAL_REVIEW:
            lines.insert(1, (command, f"does what is proposed, {first.action}"))
        self._terminal.line("look at it, and answer it with one of:")
        for line, effect in lines:
            self._terminal.line(f"{_INDENT}{line}  {self._terminal.paint(effect, 'dim')}")

    def _paths(self, rows: Sequence[tuple[str, str]]) -> None:
        cells = [[Cell(printable(path) or "."), Cell(printable(why), "dim")] for path, why in rows[:_SHOWN]]
        self._rows((), cells, len(rows))

    def _rows(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], total: int = 0) -> None:
        if not rows:
            return
        drawn = self._terminal.table(columns or [""] * len(rows[0]), rows, indent=_INDENT)
        for line in drawn if columns else drawn[1:]:
            self._terminal.line(line)
        if total > len(rows):
            self._terminal.line(f"{_INDENT}… and {total - len(rows)} more, see --json")


def _text(data: bytes) -> str | None:
    """A content as text, if it is one."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return None
    return None if "\0" in text else text


def _what(sha256: str | None, data: bytes | None, text: str | None) -> str:
    if sha256 is None:
        return "no file"
    if data is None:
        return f"{sha256[:_ID]}, not kept any more"
    return f"{sha256[:_ID]}, {counted(len(data), 'byte')}{'' if text is not None else ', no text'}"


def _asked(decision: Decision) -> str:
    return printable(decision.reason) or str(decision.kind).replace("_", " ")


def _id_width(known: Collection[Decision]) -> int:
    """How much of an id names one decision only."""
    ids = {each.id for each in known}
    return next((n for n in range(_ID, 32) if len({each[:n] for each in ids}) == len(ids)), 32)
