"""`RichPages`: one look after another, drawn in place by rich.

Owns what rich is asked to draw. Loaded only where rich is installed and the other end is a terminal. Follows a change
of the window's size, wraps what is too long, and leaves the screen as it was.
"""

from __future__ import annotations

from rich.console import Console, Group
from rich.live import Live
from rich.style import Style
from rich.table import Table
from rich.text import Text

from heartbeat_kit.cli._view import COLUMNS, FleetView

__all__ = ["RichPages"]

_NAMES = {"inverse": "reverse", "grey": "bright_black"}
"""Styles of ours that rich calls otherwise."""


class RichPages:
    """Pages of a terminal.

    Args:
        colours: Whether it may show colours.
        console: Where to; standard output by default.
    """

    def __init__(self, *, colours: bool, console: Console | None = None) -> None:
        self._console = Console(no_color=not colours, highlight=False) if console is None else console
        self._live = Live(console=self._console, screen=True, auto_refresh=False)
        self._last: Group | None = None

    def begin(self) -> None:
        """Take the screen."""
        self._live.start()

    def show(self, view: FleetView) -> None:
        """Replace what is shown."""
        table = Table(*COLUMNS, box=None, pad_edge=False, header_style="dim", padding=(0, 2, 0, 0))
        for row in view.rows:
            table.add_row(*(Text(cell.text, style=_style(cell.style)) for cell in row))
        above, below = map(Text.from_ansi, view.above), map(Text.from_ansi, view.below)
        self._last = Group(*above, *((Text(), table) if view.rows else ()), *below)
        self._live.update(self._last, refresh=True)

    def end(self) -> None:
        """Give the screen back, and leave the last look on it."""
        self._live.stop()
        if self._last is not None:
            self._console.print(self._last)


def _style(names: str) -> Style:
    return Style.parse(" ".join(_NAMES.get(name, name) for name in names.split()))
