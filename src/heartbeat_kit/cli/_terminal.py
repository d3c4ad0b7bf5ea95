"""`Terminal`: colours, tables and lines that come and go, where the other end can show them.

Owns what a stream is capable of and every escape sequence. Must not know heartbeats.
"""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple, TextIO

__all__ = ["Cell", "Terminal"]

_CODES: Final = {
    "bold": "1",
    "dim": "2",
    "inverse": "7",
    "red": "31",
    "green": "32",
    "yellow": "33",
    "cyan": "36",
    "grey": "90",
}
_ASCII: Final = {
    "●": "*",
    "○": "o",
    "→": "->",
    "✓": "ok",
    "✗": "!!",
    "│": "|",
    "─": "-",
    "…": "..",
    "█": "#",
    "░": ".",
    "·": "-",
}
_NO_WRAP, _WRAP = "\x1b[?7l", "\x1b[?7h"
"""What is drawn over later may not be longer than a line."""
_PLAIN_WIDTH: Final = 100
"""Prose that goes to a file is wrapped here."""


_NARROW: Final = 8
"""Nothing is drawn narrower than this, however narrow the terminal."""


class Cell(NamedTuple):
    """A piece of a table: its text and its style, names of styles separated by spaces."""

    text: str
    style: str = ""


class Terminal:
    """A stream and what it can show.

    Colours need a terminal that is not dumb, and an environment without ``NO_COLOR`` (see no-color.org).

    Args:
        stream: Where to; standard output by default.
        environ: Where ``NO_COLOR`` and ``TERM`` are looked up; ``os.environ`` by default.
    """

    def __init__(self, stream: TextIO | None = None, environ: Mapping[str, str] | None = None) -> None:
        source = os.environ if environ is None else environ
        self._stream = sys.stdout if stream is None else stream
        self._encoding = self._stream.encoding or "utf-8"
        self.moves = self._stream.isatty() and source.get("TERM") != "dumb" and _understands_escapes()
        """Whether the cursor can be moved: it is a terminal."""
        self.colours = self.moves and not source.get("NO_COLOR")
        self._transient = False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines."""
        columns, lines = shutil.get_terminal_size((_PLAIN_WIDTH, 24))
        return (columns, lines) if self.moves else (_PLAIN_WIDTH, lines)

    def paint(self, text: str, style: str) -> str:
        """The text in a style, or as it is where there are no colours."""
        if not style or not self.colours:
            return text
        return f"\x1b[{';'.join(_CODES[name] for name in style.split())}m{text}\x1b[0m"

    def line(self, text: str = "") -> None:
        """Write one line, which stays."""
        self._write(f"{self._cleared()}{text}\n")

    def prose(self, text: str, *, indent: str = "", mark: Cell | None = None, style: str = "") -> None:
        """Write a paragraph, wrapped to the width; a `mark` stands before it."""
        width, hang = min(self.size[0], _PLAIN_WIDTH), len(mark.text) + 1 if mark else 0
        wrapper = textwrap.TextWrapper(
            max(width - len(indent) - hang, _NARROW), break_long_words=False, break_on_hyphens=False
        )
        for number, line in enumerate(wrapper.wrap(text)):
            before = " " * hang if mark is None or number else f"{self.paint(*mark)} "
            self.line(f"{indent}{before}{self.paint(line, style)}")

    def passing(self, text: str) -> None:
        """Show a line that the next one replaces; where that cannot be done, show nothing."""
        if self.moves:
            self._write(f"{self._cleared()}{_NO_WRAP}{text}{_WRAP}")
            self._transient = True

    def page(self, lines: Sequence[str]) -> None:
        """Replace the whole screen; where that cannot be done, write the lines and an empty one."""
        if self.moves:
            drawn = "".join(f"{line}\x1b[K\n" for line in lines)
            self._write(f"\x1b[H{_NO_WRAP}{drawn}\x1b[J{_WRAP}")
        else:
            self._write("".join(f"{line}\n" for line in (*lines, "")))

    def begin_pages(self) -> None:
        """Clear the screen and hide the cursor."""
        if self.moves:
            self._write("\x1b[2J\x1b[?25l")

    def end_pages(self) -> None:
        """Show the cursor again."""
        if self.moves:
            self._write("\x1b[?25h")

    def table(self, columns: Sequence[str], rows: Sequence[Sequence[Cell]], *, indent: str = "") -> list[str]:
        """The lines of a table; on a terminal the last column is cut where the screen ends."""
        widths = [max([len(name), *(len(row[at].text) for row in rows)]) for at, name in enumerate(columns)]
        room = self.size[0] - len(indent) - sum(widths[:-1]) - 2 * (len(widths) - 1)
        if self.moves and widths[-1] > room:
            widths[-1] = max(room, _NARROW)
        drawn = [[Cell(name, "dim") for name in columns], *rows]
        return [(indent + "  ".join(map(self._cell, row, widths))).rstrip() for row in drawn]

    def _cell(self, cell: Cell, width: int) -> str:
        text = cell.text if len(cell.text) <= width else cell.text[: width - 1] + "…"
        return self.paint(text, cell.style) + " " * (width - len(text))

    def _cleared(self) -> str:
        transient, self._transient = self._transient, False
        return "\r\x1b[2K" if transient else ""

    def _write(self, text: str) -> None:
        try:
            text.encode(self._encoding)
        except UnicodeEncodeError:
            for sign, plain in _ASCII.items():
                text = text.replace(sign, plain)
            text = text.encode(self._encoding, "backslashreplace").decode(self._encoding)
        self._stream.write(text)
        self._stream.flush()


def _understands_escapes() -> bool:
    """Whether escape sequences work; a console of Windows has to be told to follow them."""
    if sys.platform != "win32":
        return True
    import ctypes  # noqa: PLC0415 - Windows only

    kernel = ctypes.windll.kernel32
    handle, mode = kernel.GetStdHandle(-11), ctypes.c_ulong()
    virtual_terminal = 0x0004
    return bool(
        kernel.GetConsoleMode(handle, ctypes.byref(mode))
        and kernel.SetConsoleMode(handle, mode.value | virtual_terminal)
    )
