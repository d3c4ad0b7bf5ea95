"""How the laboratory says rates and tables to people.

Owns the rounding. Must not know what they are about.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

__all__ = ["markdown_table", "per_week", "times"]


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
