"""How lengths of time, sizes and numbers of things are said to people.

Owns the rounding. Must not know what they are about.
"""

from __future__ import annotations

__all__ = ["counted", "printable", "said", "sized"]


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


def printable(text: str) -> str:
    r"""The text with everything that could move a cursor or fool a reader written out, and what is no Unicode too.

    >>> printable("a\x1b[2J\u202eb")
    'a\\x1b[2J\\u202eb'
    """
    if text.isprintable():
        return text
    escaped = text.encode(errors="backslashreplace").decode()
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in escaped)


def sized(number: int) -> str:
    """A number of bytes.

    >>> sized(512), sized(1_500), sized(250_000_000), sized(38_000_000_000)
    ('512 bytes', '1.5 kB', '250 MB', '38 GB')
    """
    for unit, size in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number} bytes"
