"""How the laboratory says lengths of time and numbers of things to people.

Owns the rounding. Must not know what they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["counted", "markdown_table", "per_week", "said", "times"]


def said(ms: int | None) -> str:
    """A length of time, coarser the longer it is; a dash where there is none.

    >>> [said(ms) for ms in (None, 1_500, 90_000, 315_000, 360_000, 9_000_000, 300_000_000)]
    ['–', '1.5 s', '90 s', '5 min 15 s', '6 min', '2 h 30 min', '3 d 11 h']
    """
    if ms is None:
        return "–"
    if ms < 10_000:
        return f"{ms / 1000:.3g} s"
    seconds = round(ms / 1000)
    if seconds < 120:
        return f"{seconds} s"
    minutes, hours = seconds // 60, seconds // 3600
    parts = (
        ((minutes, "min"), (seconds % 60, "s"))
        if minutes < 120
        else ((hours, "h"), (minutes % 60, "min"))
        if hours < 48
        else ((hours // 24, "d"), (hours % 24, "h"))
    )
    return " ".join(f"{number} {unit}" for number, unit in parts if number)


def counted(number: int, noun: str) -> str:
    """A number of things.

    >>> counted(0, "look"), counted(1, "look"), counted(2, "look")
    ('0 looks', '1 look', '2 looks')
    """
    return f"{number} {noun}{'' if number == 1 else 's'}"


def times(number: float) -> str:
    """How often.

    >>> times(0), times(1), times(2.5)
    ('0 times', 'once', '2.5 times')
    """
    return "once" if number == 1 else f"{number:g} times"


def per_week(rate: float) -> str:
    """A rate, with as many digits as mean something.

    >>> per_week(0), per_week(4.6667), per_week(8166.2)
    ('0 a week', '4.67 a week', '8,166 a week')
    """
    return f"{rate:,.0f} a week" if rate >= 100 else f"{rate:.3g} a week"


def markdown_table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """A table for plain text.

    >>> print(markdown_table(("beat", "T"), [("30 s", "2 min")]))
    | beat | T |
    | --- | --- |
    | 30 s | 2 min |
    """
    lines = [columns, ["---" for _ in columns], *rows]
    return "\n".join(f"| {' | '.join(cell.replace('|', '/') for cell in line)} |" for line in lines)
