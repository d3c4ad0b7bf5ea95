"""What may travel with a heartbeat, and in which text."""

import collections
import enum
import math

import pytest

from heartbeat_kit import _metadata
from heartbeat_kit.errors import InvalidMetadataError


class Colour(str, enum.Enum):  # noqa: UP042 - the older kind prints its name, which is what is tested
    RED = "red"


class Level(enum.IntEnum):
    HIGH = 3


class Half(float):
    def __repr__(self):
        return "a half"


def nested(levels):
    value = {}
    for _ in range(levels):
        value = {"in": value}
    return value


@pytest.mark.parametrize(
    ("given", "text"),
    [
        (None, "{}"),
        ({}, "{}"),
        ({"b": 1, "a": [True, None, 0.5, "é"]}, '{"a":[true,null,0.5,"é"],"b":1}'),
        ({"t": (1, 2)}, '{"t":[1,2]}'),
        (collections.ChainMap({"z": 1}, {"y": 2}), '{"y":2,"z":1}'),
        ({Colour.RED: Colour.RED}, '{"red":"red"}'),
        ({"level": Level.HIGH, "half": Half(0.5)}, '{"half":0.5,"level":3}'),
        ({"big": 2**63 - 1, "small": -(2**63)}, '{"big":9223372036854775807,"small":-9223372036854775808}'),
    ],
)
def test_one_canonical_text(given, text):
    encoded = _metadata.encode(given)
    assert encoded == text
    assert type(encoded) is _metadata.MetadataText


@pytest.mark.parametrize(
    ("given", "place"),
    [
        ("text", "JSON object"),
        ([], "JSON object"),
        (0, "JSON object"),
        ({"f": len}, r"metadata\['f'\]"),
        ({"d": {"deep": [object()]}}, r"metadata\['d'\]\['deep'\]\[0\]"),
        ({"n": math.nan}, "nan"),
        ({"n": [math.inf]}, "inf"),
        ({"n": -math.inf}, "-inf"),
        ({1: "x"}, "keys are text"),
        ({None: 1}, "keys are text"),
        ({"n": 2**63}, "64-bit"),
        ({"n": -(2**63) - 1}, "64-bit"),
        ({"s": {1, 2}}, "set"),
        ({"b": b"x"}, "bytes"),
        ({"s": "\ud800"}, "surrogate"),
        ({"\ud800": 1}, "surrogate"),
    ],
)
def test_what_json_cannot_say_everywhere_is_refused_with_its_place(given, place):
    with pytest.raises(InvalidMetadataError, match=place):
        _metadata.encode(given)


def test_depth_has_an_end():
    assert _metadata.encode(nested(32)).count("in") == 32
    with pytest.raises(InvalidMetadataError, match="nested deeper than 32"):
        _metadata.encode(nested(33))


def test_a_cycle_is_refused():
    ring = {}
    ring["again"] = [ring, ring]
    with pytest.raises(InvalidMetadataError, match="contains itself"):
        _metadata.encode(ring)


def test_a_few_shared_lists_cannot_stand_for_billions():
    value = 0
    for _ in range(31):
        value = [value, value]
    with pytest.raises(InvalidMetadataError, match="more than 10000 values"):
        _metadata.encode({"k": value})


def test_as_many_values_as_fit_are_welcome():
    assert len(_metadata.encode({"k": [0] * 4_996})) == 9_999


def test_ten_thousand_bytes_are_the_limit():
    """Bytes of UTF-8, not characters: the euro sign takes three."""
    frame = len('{"k":""}')
    assert len(_metadata.encode({"k": "x" * (10_000 - frame)})) == 10_000
    with pytest.raises(InvalidMetadataError, match="10001 bytes"):
        _metadata.encode({"k": "x" * (10_001 - frame)})
    with pytest.raises(InvalidMetadataError, match="at most 10000"):
        _metadata.encode({"k": "€" * 3_400})
