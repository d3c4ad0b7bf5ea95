"""Owners: the living keep what they committed, the dead are inherited from at once."""

import os
import traceback

import pytest
from ledger_values import move

from heartbeat_kit.storage import JsonFileStorage
from heartbeat_kit.storage._owners import OwnerLocks


def ids(events):
    return [item.id for item in events]


def owner_files(folder):
    return sorted(item.name for item in folder.glob(".hbk-owner-*"))


@pytest.fixture
def pair(tmp_path):
    first, second = JsonFileStorage(tmp_path), JsonFileStorage(tmp_path)
    yield first, second
    first.close()
    second.close()


def test_a_living_owner_is_not_taken_over(pair):
    first, second = pair
    first.commit([move("e1", owner="one")])
    assert second.undelivered("two") == ()
    assert ids(first.undelivered("one")) == ["e1"]


def test_a_closed_owner_is_taken_over_once(tmp_path, pair):
    """By the first who asks; the others get nothing, and the dead owner's file goes."""
    first, second = pair
    first.commit([move("e1", owner="one"), move("e2", "web-2", owner="one")])
    first.close()
    assert ids(second.undelivered("two")) == ["e1", "e2"]
    third = JsonFileStorage(tmp_path)
    assert third.undelivered("three") == ()
    assert owner_files(tmp_path) == [".hbk-owner-two.lock"]
    second.delivered(["e1", "e2"])
    assert second.undelivered("two") == ()
    third.close()


def test_an_owner_that_asks_again_after_a_restart_lives_again(tmp_path, pair):
    """Its own events are its own, and nobody takes them while it holds them."""
    first, second = pair
    first.commit([move("e1", owner="one")])
    first.close()
    assert ids(second.undelivered("one")) == ["e1"]
    third = JsonFileStorage(tmp_path)
    assert third.undelivered("three") == ()
    third.close()


def test_a_forked_child_is_not_the_owner_and_frees_nothing(tmp_path, pair):
    """In the child the parent's events are nobody's to deliver; its end leaves the parent's lock in force."""
    first, second = pair
    first.commit([move("e1", owner="one")])
    child = os.fork()
    if not child:
        code = 1
        try:
            assert first.undelivered("one") == ()
            assert first.undelivered("child") == (), "the parent lives"
            first.close()
            code = 0
        except BaseException:  # noqa: BLE001 - a forked child of a test must end here
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert owner_files(tmp_path) == [".hbk-owner-one.lock"]
    assert second.undelivered("two") == ()
    assert ids(first.undelivered("one")) == ["e1"]


def test_a_forked_child_can_write_for_itself(tmp_path, pair):
    """The locks it inherited are renewed: no deadlock, no error."""
    first, _ = pair
    first.commit([move("e1", owner="one")])
    child = os.fork()
    if not child:
        code = 1
        try:
            assert len(first.commit([move("e2", "web-2", owner="child")])) == 1
            code = 0
        except BaseException:  # noqa: BLE001 - a forked child of a test must end here
            traceback.print_exc()
        finally:
            os._exit(code)
    assert os.waitpid(child, 0)[1] == 0
    assert ids(first.undelivered("one")) == ["e1", "e2"], "the child is dead, its event is inherited"


def test_lock_files_of_the_dead_are_swept_and_those_of_the_living_stay(tmp_path, pair):
    first, second = pair
    first.commit([move("e1", owner="one")])
    (tmp_path / ".hbk-owner-gone.lock").touch()
    second.commit([move("e2", "web-2", owner="two")])
    assert owner_files(tmp_path) == [".hbk-owner-one.lock", ".hbk-owner-two.lock"]


@pytest.mark.parametrize("token", ["../../x", "A b", "", "x" * 300, "é\0", "con:\\"])
def test_any_token_is_a_plain_file_name(tmp_path, token):
    owners = OwnerLocks(str(tmp_path))
    owners.hold([token])
    other = OwnerLocks(str(tmp_path))
    assert other.dead([token]) == frozenset()
    assert len(owner_files(tmp_path)) == 1
    owners.close()
    assert other.dead([token]) == {token}
    other.bury([token])
    assert list(tmp_path.iterdir()) == []
