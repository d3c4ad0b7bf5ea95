"""Parsed objects that survive a re-read of their file.

Owns the memory of what a stored record became the last time. Readers compare objects by identity to skip what did
not change, so an unchanged record must stay the same object. Must not know what the records are.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Any, Generic, TypeVar

__all__ = ["Reuse"]

T = TypeVar("T")


class Reuse(Generic[T]):
    """Builds objects from raw records, and gives the earlier object again while it says the same.

    `build` gets the key and the raw record, and raises what it likes.

    Two threads may use one at a time without a lock: at worst an object is built twice.
    """

    def __init__(self, build: Callable[[str, Any], T]) -> None:
        self._build = build
        self._known: dict[str, tuple[Any, T]] = {}

    def __call__(self, key: str, raw: Any) -> T:
        known = self._known.get(key)
        if known is not None and known[0] == raw:
            return known[1]
        made = self._build(key, raw)
        if known is not None and known[1] == made:
            made = known[1]  # only what is derived beside the facts has changed
        self._known[key] = (raw, made)
        return made

    def learn(self, key: str, made: T) -> None:
        """Take `made` for the object of `key` before its record was ever read."""
        self._known[key] = (None, made)

    def keep(self, keys: Collection[str]) -> None:
        """Forget all but `keys` once the forgotten would be the greater part."""
        if len(self._known) > 2 * len(keys) + 16:
            self._known = {key: found for key, found in list(self._known.items()) if key in keys}
