"""How a value of ours becomes a JSON object and comes back: names, formats and distrust, once for all records.

Owns the rules for single fields (camelCase names, UTC ISO-8601 with milliseconds and ``Z``, durations as integer
milliseconds) and the one error of an unsound record. Must not know which values there are.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final, NamedTuple

import attrs
from cattrs import Converter
from cattrs.gen import make_dict_structure_fn, make_dict_unstructure_fn, override

from heartbeat_kit._times import from_iso, to_iso
from heartbeat_kit.errors import HeartbeatKitError, InvalidHeartbeatError

__all__ = [
    "AS_IS",
    "FLAG",
    "NUMBER",
    "OPTIONAL_NUMBER",
    "OPTIONAL_STAMP",
    "OPTIONAL_TEXT",
    "STAMP",
    "TEXT",
    "TEXTS",
    "Record",
    "Rule",
    "Shape",
    "enum",
    "optional_enum",
    "shape_of",
    "structured",
]

Record = dict[str, Any]
Rule = dict[str, Any]


class Shape(NamedTuple):
    """Both directions of one class.

    Attributes:
        unstructure: A value as a JSON object.
        structure: A JSON object and the class as a value; raises whatever an unsound object makes it raise.
    """

    unstructure: Callable[[Any], Record]
    structure: Callable[[Any, Any], Any]


def _as_is(value: Any, _: Any) -> Any:
    return value


def _from_iso(value: Any, _: Any) -> int:
    return from_iso(value)


def _optional_iso(ms: int | None) -> str | None:
    return None if ms is None else to_iso(ms)


def _optional_from_iso(value: Any, _: Any) -> int | None:
    return None if value is None else from_iso(value)


def _is_type(*allowed: type) -> Callable[[Any, Any], Any]:
    def check(value: Any, _: Any) -> Any:
        if type(value) not in allowed:
            raise ValueError(f"expected {' or '.join(t.__name__ for t in allowed)}, found {type(value).__name__}")
        return value

    return check


def _texts(value: Any, _: Any) -> tuple[str, ...]:
    if type(value) is not list or any(type(item) is not str for item in value):
        raise ValueError(f"expected a list of texts, found {value!r:.80}")
    return tuple(value)


AS_IS: Final[Rule] = {"struct_hook": _as_is}
"""For a class whose own validators judge the field."""
TEXT: Final[Rule] = {"struct_hook": _is_type(str)}
OPTIONAL_TEXT: Final[Rule] = {"struct_hook": _is_type(str, type(None)), "omit_if_default": True}
TEXTS: Final[Rule] = {"unstruct_hook": list, "struct_hook": _texts}
NUMBER: Final[Rule] = {"struct_hook": _is_type(int)}
OPTIONAL_NUMBER: Final[Rule] = {"struct_hook": _is_type(int, type(None)), "omit_if_default": True}
FLAG: Final[Rule] = {"struct_hook": _is_type(bool), "omit_if_default": True}
STAMP: Final[Rule] = {"unstruct_hook": to_iso, "struct_hook": _from_iso}
OPTIONAL_STAMP: Final[Rule] = {
    "unstruct_hook": _optional_iso,
    "struct_hook": _optional_from_iso,
    "omit_if_default": True,
}


def enum(kind: type) -> Rule:
    """The rule for a member of a `StrEnum`."""
    return {"unstruct_hook": str, "struct_hook": lambda value, _: kind(value)}


def optional_enum(kind: type) -> Rule:
    """The rule for a member of a `StrEnum` or nothing."""
    return {
        "unstruct_hook": lambda value: None if value is None else str(value),
        "struct_hook": lambda value, _: None if value is None else kind(value),
        "omit_if_default": True,
    }


def shape_of(cls: type, **rules: Rule) -> Shape:
    """Build both directions for one class; its attributes are renamed to camelCase, without the unit suffix."""
    converter = Converter(detailed_validation=False)
    known = {attribute.name for attribute in attrs.fields(cls)}
    if known != set(rules):
        raise AssertionError(f"{cls.__name__}: {known ^ set(rules)} have no rule")
    overrides: dict[str, Any] = {
        name: override(rename=_camel(name.removesuffix("_ms").removesuffix("_json")), **rule)
        for name, rule in rules.items()
    }
    return Shape(
        make_dict_unstructure_fn(cls, converter, **overrides),
        make_dict_structure_fn(cls, converter, **overrides),
    )


def structured(shape: Shape, cls: type, record: Any) -> Any:
    """Build a value from parsed JSON, believing nothing. Unknown fields are passed over.

    Raises:
        InvalidHeartbeatError: A field is missing or unsound; the message names it.
    """
    if type(record) is not dict:
        raise InvalidHeartbeatError(f"expected a JSON object, found {type(record).__name__}")
    try:
        return shape.structure(record, cls)
    except HeartbeatKitError as error:
        raise InvalidHeartbeatError(f"unsound record: {error}", machine_id=error.machine_id) from error
    except KeyError as error:
        raise InvalidHeartbeatError(f"the record has no field {error}") from error
    except (ValueError, TypeError, OverflowError) as error:
        raise InvalidHeartbeatError(f"unsound record: {error}") from error


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word.capitalize() for word in rest)
