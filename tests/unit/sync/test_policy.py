"""`ConflictPolicy`: which choice a path gets."""

import pickle

import attrs
import pytest

from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.sync._policy import Choice, ConflictPolicy


def test_the_first_glob_that_matches_counts():
    policy = ConflictPolicy({"secrets/**": "decision", "*.json": "merge", "**": "machine"})
    assert policy.choice("secrets/a.json") is Choice.DECISION
    assert policy.choice("deep/down/a.json") is Choice.MERGE
    assert policy.choice("a.txt") is Choice.MACHINE
    assert ConflictPolicy({"**": "machine", "*.json": "merge"}).choice("a.json") is Choice.MACHINE


def test_what_no_glob_matches_is_left_to_a_person():
    assert ConflictPolicy().choice("a") is Choice.DECISION
    assert ConflictPolicy({"*.json": "merge"}).choice("a.txt") is Choice.DECISION


@pytest.mark.parametrize("choice", Choice)
def test_a_single_choice_is_for_every_path(choice):
    for policy in (ConflictPolicy(choice), ConflictPolicy(str(choice))):
        assert {policy.choice(path) for path in ("a", ".a", "a/b.c", "é/ü", "a b/(c)")} == {choice}
        assert policy == ConflictPolicy({"**": choice})


@pytest.mark.parametrize(
    "bad", ["theirs", {"*": "theirs"}, {"*": None}, {"*": 1}, {1: "merge"}, [("a",)], ["merge"], 3, None]
)
def test_what_is_no_choice_is_refused_with_those_that_are(bad):
    with pytest.raises(InvalidConfigurationError, match="decision, baseline, machine, merge, keep_both, newest"):
        ConflictPolicy(bad)


def test_what_is_no_glob_is_refused_at_once():
    with pytest.raises(InvalidConfigurationError):
        ConflictPolicy({"/etc/passwd": "merge"})


def test_is_a_value():
    policy = ConflictPolicy({"*.json": "merge", "**": "machine"})
    assert policy == ConflictPolicy([("*.json", "merge"), ("**", Choice.MACHINE)])
    assert hash(policy) == hash(attrs.evolve(policy))
    assert policy != ConflictPolicy({"**": "machine", "*.json": "merge"})  # the order counts
    assert pickle.loads(pickle.dumps(policy)) == policy
    assert repr(policy) == "ConflictPolicy({'*.json': 'merge', '**': 'machine'})"
    assert eval(repr(policy)) == policy  # noqa: S307 - what a repr is for
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        policy.rules = ()
