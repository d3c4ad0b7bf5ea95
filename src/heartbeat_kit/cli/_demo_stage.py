"""The stage of the demo: the timeline, the acts and their tables, as people see them.

Owns layout and wording of single lines. Must not know what comes next, nor whether it was right.
"""

from __future__ import annotations

from collections.abc import Iterable

from heartbeat_kit import FleetState, MachineStatus, Reason, Transition
from heartbeat_kit._clock import Instant
from heartbeat_kit.cli._terminal import Cell, Terminal
from heartbeat_kit.cli._view import STYLES, span, status_cell

__all__ = ["Stage"]

_INDENT = "    "
_BAR = 24
_HAPPENED = {
    Reason.FIRST_SEEN: "is here, for the first time",
    Reason.RETURNED: "is back",
    Reason.LEFT: "said goodbye",
    Reason.REMOVED: "was removed",
}


class Stage:
    """Draws on a terminal.

    Args:
        terminal: Where.
        began: The beginning of the timeline.
    """

    def __init__(self, terminal: Terminal, began: Instant) -> None:
        self._terminal = terminal
        self._began_ms = began.mono_ms
        self._acts = 0

    def title(self, text: str, *paragraphs: str) -> None:
        """The head of the play."""
        self._terminal.line(self._terminal.paint(text, "bold"))
        for paragraph in paragraphs:
            self._terminal.prose(paragraph)

    def act(self, title: str, *paragraphs: str) -> None:
        """The next act."""
        self._acts += 1
        terminal = self._terminal
        number, rule = f"Act {self._acts}", "─" * max(min(terminal.size[0], 80) - len(title) - 8, 3)
        terminal.line()
        terminal.line(
            f"{terminal.paint(number, 'cyan bold')}  {terminal.paint(title, 'bold')} {terminal.paint(rule, 'dim')}"
        )
        for paragraph in paragraphs:
            terminal.prose(paragraph)
        terminal.line()

    def event(self, now: Instant, event: Transition) -> None:
        """What the observer was told by the library."""
        paint = self._terminal.paint
        change = f"{paint(str(event.before), STYLES[event.before])} → {paint(str(event.after), STYLES[event.after])}"
        self.moment(now, f"{paint(f'{event.machine_id:<8}', 'bold')}  {change}  {paint(_story(event), 'dim')}")

    def moment(self, now: Instant, text: str) -> None:
        """One line of the timeline."""
        stamp = f"{(now.mono_ms - self._began_ms) / 1000:5.1f} s"
        self._terminal.line(f"{self._terminal.paint(stamp, 'cyan')}  {text}")

    def aside(self, text: str) -> str:
        """What belongs to a line of the timeline, and is not its subject."""
        return self._terminal.paint(text, "dim")

    def remark(self, text: str) -> None:
        """A sentence of the narrator."""
        self._terminal.prose(text, indent=_INDENT)

    def table(self, state: FleetState, processes: dict[str, str]) -> None:
        """Everybody as the observer believes them to be."""
        rows = [
            [
                Cell(machine.machine_id, "bold"),
                Cell(processes.get(machine.machine_id, "")),
                status_cell(machine.status),
                Cell("" if machine.heartbeat is None else f"{span(machine.age_ms)} ago"),
                Cell(machine.reason.replace("_", " ")),
            ]
            for machine in state
        ]
        columns = ("machine", "process", "status", "last sign of life", "why")
        self._terminal.line()
        for line in self._terminal.table(columns, rows, indent=_INDENT):
            self._terminal.line(line)
        self._terminal.line()

    def silence(self, machine_id: str, age_ms: int, timeout_ms: int) -> None:
        """How long a machine has been silent, as a bar with a mark at the warning; on a terminal only."""
        status = MachineStatus.ONLINE if age_ms < timeout_ms else MachineStatus.WARNING
        done = min(max(age_ms, 0) * _BAR // (2 * timeout_ms), _BAR)
        bar = "█" * done + "░" * (_BAR - done)
        bar = f"{bar[: _BAR // 2]}│{bar[_BAR // 2 :]}│"
        self._terminal.passing(
            f"{_INDENT}{machine_id} silent for {age_ms / 1000:4.1f} s {self._terminal.paint(bar, STYLES[status])} "
            f"{timeout_ms / 1000:g} s warning, {2 * timeout_ms / 1000:g} s offline"
        )

    def verdict(self, findings: Iterable[str], problems: Iterable[str]) -> None:
        """What was checked, and what was wrong."""
        terminal = self._terminal
        terminal.line()
        for finding in findings:
            terminal.prose(finding, mark=Cell("✓", "green bold"))
        for problem in problems:
            terminal.prose(problem, mark=Cell("✗", "red bold"))

    def command(self, text: str) -> None:
        """Something to type; never wrapped."""
        self._terminal.line(f"{_INDENT}{text}")

    def last(self, text: str, *, good: bool) -> None:
        """The last line."""
        self._terminal.line()
        self._terminal.prose(text, style="green bold" if good else "red bold")


def _story(event: Transition) -> str:
    silent = event.occurred_at_ms - (event.last_heartbeat_ms or event.occurred_at_ms)
    if event.reason is Reason.SILENT:
        return f"silent for {span(silent)}"
    if event.offline_duration_ms is not None:
        return f"{_HAPPENED[event.reason]}, after {span(event.offline_duration_ms)} offline"
    return _HAPPENED[event.reason]
