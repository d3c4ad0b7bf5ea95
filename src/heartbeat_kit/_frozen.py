"""A mapping that cannot change, for the fields of frozen values.

Owns that and nothing else.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["FrozenDict", "frozen_mapping"]


def frozen_mapping(value: Mapping[str, Any]) -> Mapping[str, Any]:
    """A copy of `value` that cannot change; attrs converter."""
    return value if isinstance(value, FrozenDict) else FrozenDict(value)


class FrozenDict(Mapping[str, Any]):
    """A read-only mapping that pickles, which `MappingProxyType` does not."""

    __slots__ = ("_items",)

    def __init__(self, items: Mapping[str, Any] = MappingProxyType({})) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str) -> Any:
        return self._items[key]

    def __iter__(self) -> Iterator[str]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __repr__(self) -> str:
        return repr(self._items)
