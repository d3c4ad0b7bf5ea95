"""`FrozenDict`: a mapping that cannot change."""

import pickle

import pytest

from heartbeat_kit._frozen import FrozenDict, frozen_mapping


def test_it_is_a_copy_that_cannot_change():
    source = {"b": 2, "a": 1}
    frozen = frozen_mapping(source)
    source["c"] = 3
    assert (list(frozen), frozen["a"], len(frozen)) == (["b", "a"], 1, 2)
    with pytest.raises(TypeError):
        frozen["c"] = 3
    with pytest.raises(TypeError):
        del frozen["a"]
    assert repr(frozen) == "{'b': 2, 'a': 1}"


def test_a_frozen_one_is_not_copied_again():
    frozen = FrozenDict({"a": 1})
    assert frozen_mapping(frozen) is frozen


def test_it_equals_and_pickles_like_a_mapping():
    frozen = FrozenDict({"a": [1]})
    assert frozen == {"a": [1]}
    assert pickle.loads(pickle.dumps(frozen)) == frozen
    assert FrozenDict() == {}
