"""Metadata comes back as it went in, or is refused."""

import json
import pickle

from hypothesis import given
from hypothesis import strategies as st

from heartbeat_kit import Heartbeat
from heartbeat_kit._metadata import MAX_BYTES, encode
from heartbeat_kit.errors import InvalidMetadataError

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
leaves = (
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | texts
)
values = st.recursive(
    leaves,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=20,
)
objects = st.dictionaries(texts, values, max_size=6)
odd_keys = st.text(max_size=3) | st.integers()
anything = st.recursive(
    leaves | st.floats() | st.integers() | st.text() | st.binary(max_size=4) | st.just(object()),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(odd_keys, inner, max_size=3) | st.tuples(inner),
    max_leaves=10,
)


def record(metadata):
    return Heartbeat(machine_id="web-1", last_heartbeat=0, incarnation=1, seq=1, interval=1, metadata=metadata)


@given(objects)
def test_round_trip(given):
    made = record(given)
    assert made.metadata == given
    assert pickle.loads(pickle.dumps(made)) == made
    assert hash(made) == hash(record(json.loads(encode(given))))


@given(objects)
def test_the_text_is_canonical(given):
    turned = dict(reversed(list(given.items())))
    assert encode(given) == encode(turned) == encode(json.loads(encode(given)))
    assert len(encode(given).encode()) <= MAX_BYTES


@given(anything)
def test_total(thing):
    """Either sound JSON or a typed error, never anything else."""
    try:
        text = encode(thing)
    except InvalidMetadataError:
        return
    assert isinstance(json.loads(text), dict)
    assert json.loads(text) == json.loads(encode(json.loads(text)))
