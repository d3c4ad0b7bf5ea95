"""A mapping that cannot change, for the fields of frozen values.

Owns that and nothing else.
"""

from __future__ import annotations

from collections.abc import ItemsView, Iterator, KeysView, Mapping, ValuesView
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

    # What `Mapping` makes of the three above costs a Python call an item.

    def __contains__(self, key: object) -> bool:
        return key in self._items

    def get(self, key: str, default: Any = None) -> Any:
        """The value of a key, or `default`."""
        return self._items.get(key, default)

    def keys(self) -> KeysView[str]:
        """The keys."""
        return self._items.keys()

    def items(self) -> ItemsView[str, Any]:
        """The pairs of keys and values."""
        return self._items.items()

    def values(self) -> ValuesView[Any]:
        """The values."""
        return self._items.values()

    def __repr__(self) -> str:
        return repr(self._items)
