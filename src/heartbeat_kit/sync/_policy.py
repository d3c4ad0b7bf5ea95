"""`ConflictPolicy`: what becomes of a file that both sides changed.

Owns the choices and which of them a path gets. Must not know a conflict, nor what a choice does with it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

import attrs
from attrs import field

from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.sync._selection import compile_glob

__all__ = ["Choice", "ConflictPolicy"]


class Choice(StrEnum):
    """What becomes of a conflict."""

    DECISION = "decision"
    """Neither side changes; a person is asked."""
    BASELINE = "baseline"
    """The baseline's version wins."""
    MACHINE = "machine"
    """The machine's version wins."""
    MERGE = "merge"
    """Both are merged if that can be done without a doubt; a person is asked otherwise."""
    KEEP_BOTH = "keep_both"
    """The baseline's version wins, and the machine's is kept under ``conflicts/`` beside it."""
    NEWEST = "newest"
    """The newer version wins. Not decided by this release: a person is asked."""


_ALLOWED: Final = ", ".join(Choice)


def _to_rules(value: Any) -> tuple[tuple[str, Choice], ...]:
    if isinstance(value, str):
        value = {"**": value}
    if not isinstance(value, Mapping | Iterable):
        raise InvalidConfigurationError(
            f"a conflict policy is one of {_ALLOWED}, or a mapping of globs to them, found {type(value).__name__}"
        )
    pairs = list(value.items() if isinstance(value, Mapping) else value)
    return tuple(_to_rule(pair) for pair in pairs)


def _to_rule(pair: Any) -> tuple[str, Choice]:
    if not isinstance(pair, tuple | list) or len(pair) != 2 or not isinstance(pair[0], str):
        raise InvalidConfigurationError(f"a rule is a glob and one of {_ALLOWED}, found {pair!r:.80}")
    pattern, chosen = pair
    try:
        choice = Choice(chosen)
    except ValueError:
        raise InvalidConfigurationError(
            f"{pattern!r}: {chosen!r:.80} is no choice, expected one of {_ALLOWED}"
        ) from None
    _matcher(pattern)
    return pattern, choice


@lru_cache(maxsize=1024)
def _matcher(pattern: str) -> Callable[[str], bool]:
    return compile_glob(pattern)


@attrs.frozen(repr=False)
class ConflictPolicy:
    """What becomes of a file that both sides changed, by its path.

    Args:
        rules: One `Choice` for every path; or a mapping of globs, in the manner of ``.gitignore``, to choices, of
            which the first that matches counts. What none matches is left to a person.

    Raises:
        InvalidConfigurationError: A choice or a glob is none.

    >>> policy = ConflictPolicy({"secrets/**": "decision", "*.json": "merge"})
    >>> policy.choice("app/settings.json"), policy.choice("notes.txt")
    (<Choice.MERGE: 'merge'>, <Choice.DECISION: 'decision'>)
    """

    rules: tuple[tuple[str, Choice], ...] = field(converter=_to_rules, default=())

    def choice(self, path: str) -> Choice:
        """What becomes of a conflict at `path`."""
        for pattern, choice in self.rules:
            if _matcher(pattern)(path):
                return choice
        return Choice.DECISION

    def __repr__(self) -> str:
        rules = ", ".join(f"{pattern!r}: '{choice}'" for pattern, choice in self.rules)
        return f"ConflictPolicy({{{rules}}})"
