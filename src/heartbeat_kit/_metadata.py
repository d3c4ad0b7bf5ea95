"""Metadata: a JSON object, checked and kept as canonical text.

Owns what may travel with a heartbeat. Keeping text instead of a dict makes a heartbeat truly frozen: whoever reads
the metadata gets a copy of their own. Must not know storage or models.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from itertools import count
from typing import Any

from heartbeat_kit.errors import InvalidMetadataError

__all__ = ["EMPTY", "MAX_BYTES", "MetadataText", "encode"]


class MetadataText(str):
    """Canonical JSON text that `encode` made; a plain string is not trusted to be one."""

    __slots__ = ()


EMPTY = MetadataText("{}")
MAX_BYTES = 10_000
"""Largest metadata, as UTF-8 JSON without spaces (the predecessor's recommendation, here a limit)."""
_MAX_DEPTH = 32
_INT64 = 2**63


def encode(metadata: Mapping[str, Any] | None) -> MetadataText:
    """Return the canonical JSON text of `metadata` (sorted keys, no spaces).

    Args:
        metadata: An object of strings, finite numbers, 64-bit integers, booleans, None, lists and such objects.

    Raises:
        InvalidMetadataError: Anything JSON cannot say the same way everywhere; the message names the place.

    >>> encode({"role": "web", "load": 0.5})
    '{"load":0.5,"role":"web"}'
    """
    if metadata is None or (isinstance(metadata, Mapping) and not metadata):
        return EMPTY
    if not isinstance(metadata, Mapping):
        raise InvalidMetadataError(f"metadata is a JSON object (a dict), found {type(metadata).__name__}")
    text = _dump(_checked(metadata, "metadata", 0, count()))
    size = len(text.encode())
    if size > MAX_BYTES:
        raise InvalidMetadataError(
            f"metadata takes {size} bytes as JSON, at most {MAX_BYTES} may travel with a heartbeat"
        )
    return text


def _dump(value: Any) -> MetadataText:
    return MetadataText(json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False))


def _checked(value: Any, place: str, depth: int, counter: Iterator[int]) -> Any:
    if next(counter) > MAX_BYTES:  # each value takes a byte at least; a few shared lists can stand for billions
        raise InvalidMetadataError(
            f"metadata holds more than {MAX_BYTES} values, which do not fit its {MAX_BYTES} bytes"
        )
    if depth > _MAX_DEPTH:
        raise InvalidMetadataError(f"{place[:200]} is nested deeper than {_MAX_DEPTH} levels or contains itself")
    if isinstance(value, str):
        return _text(value, place)
    if value is None or isinstance(value, bool):
        return value
    if isinstance(value, int):
        if not -_INT64 <= value < _INT64:
            raise InvalidMetadataError(f"{place} does not fit a 64-bit integer: store it as text")
        return int(value)
    if isinstance(value, float):
        if not math.isfinite(value):
            raise InvalidMetadataError(f"{place} is {value}, which JSON cannot hold: use None or leave it out")
        return float(value)
    if isinstance(value, Mapping):
        return {
            _key(key, place): _checked(item, f"{place}[{key!r}]", depth + 1, counter) for key, item in value.items()
        }
    if isinstance(value, list | tuple):
        return [_checked(item, f"{place}[{index}]", depth + 1, counter) for index, item in enumerate(value)]
    raise InvalidMetadataError(
        f"{place} is a {type(value).__name__}, which JSON cannot hold: use text, numbers, bools, None, lists, dicts"
    )


def _key(key: Any, place: str) -> str:
    if not isinstance(key, str):
        raise InvalidMetadataError(f"{place} has the key {key!r}, keys are text: use str({key!r})")
    return _text(key, place)


def _text(value: str, place: str) -> str:
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise InvalidMetadataError(f"{place} holds text that is not valid Unicode (a lone surrogate)") from error
    return str.__str__(value)  # the text itself, where a subclass (an enum) would print its name
