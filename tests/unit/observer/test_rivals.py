"""Two hosts under one machine id."""

import pytest
from look_values import LOCAL, SLOW, Observer, beat

from heartbeat_kit._observer._known import Rival
from heartbeat_kit._observer._rivals import conflict_sentence, seen_host

PATIENCE = 240_000


def hosts(*names):
    return [beat(host=name, seq=number) for number, name in enumerate(names)]


def test_one_change_of_host_is_a_move():
    old, new = hosts("a", "b")
    rival = seen_host(old, new, None, 10, PATIENCE)
    assert rival == Rival("a", 1, 10)
    assert conflict_sentence(new, rival, None) is None


def test_a_host_that_comes_back_is_a_second_sender():
    old, new = hosts("b", "a")
    rival = seen_host(old, new, Rival("a", 1, 10), 20, PATIENCE)
    assert rival == Rival("b", 2, 20)
    assert conflict_sentence(new, rival, None) == (
        "hosts 'a' and 'b' both beat as 'web-1': set another MACHINE_ID on one of them"
    )


@pytest.mark.parametrize("pair", [("a", "a"), ("", "a"), ("a", ""), ("", "")])
def test_no_flip_without_two_names(pair):
    """A record of an older writer has no host; that is no evidence."""
    known = Rival("x", 1, 10)
    assert seen_host(*hosts(*pair), known, 20, PATIENCE) is known
    assert seen_host(*hosts(*pair), None, 20, PATIENCE) is None


def test_a_conflict_ends_after_a_while_without_a_flip():
    old, new = hosts("a", "a")
    known = Rival("b", 5, 0)
    assert seen_host(old, new, known, PATIENCE, PATIENCE) is known
    assert seen_host(old, new, known, PATIENCE + 1, PATIENCE) is None
    assert seen_host(*hosts("a", "b"), known, PATIENCE + 1, PATIENCE) == Rival("a", 1, PATIENCE + 1)


def test_copies_are_a_conflict_too():
    assert conflict_sentence(None, None, "two files") == "two files"
    assert conflict_sentence(beat(), Rival("a", 1, 0), "two files") == "two files"
    assert "both beat" in conflict_sentence(beat(), Rival("a", 2, 0), "two files")
    assert conflict_sentence(None, Rival("a", 9, 0), None) is None


def test_a_look_reports_the_conflict_until_it_is_over():
    """Patience is two timeouts, the medium's delay and the hold: 1,140 s here. Two may beat in step for long."""
    observer = Observer(LOCAL)
    for seq, host in enumerate("abab"):
        observer.look(10 * seq, beat(seq=seq, at=0, host=host))
        assert ("web-1" in observer.memory.contested) is (seq >= 2)
    assert "hosts 'b' and 'a'" in observer.memory.contested["web-1"]
    observer.look(1_170, beat(seq=9, at=0, host="b"))
    assert "web-1" in observer.memory.contested
    observer.look(1_171, beat(seq=10, at=0, host="b"))
    assert observer.memory.contested == {}


def test_a_slow_medium_makes_the_conflict_last_longer():
    observer = Observer(SLOW)
    for seq, host in enumerate("aba"):
        observer.look(10 * seq, beat(seq=seq, at=0, host=host))
    observer.look(1_220, beat(seq=9, at=0, host="a"))
    assert "web-1" in observer.memory.contested
    observer.look(1_221, beat(seq=10, at=0, host="a"))
    assert observer.memory.contested == {}
