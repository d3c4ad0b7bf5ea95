"""`Checker`: one look at a time, a fresh answer, delivery outside the lock."""

import os

import pytest
from core_values import START, beat

from heartbeat_kit import ObserverHealth
from heartbeat_kit._checker import Checker
from heartbeat_kit._dispatcher import Dispatcher
from heartbeat_kit._observer import Timing
from heartbeat_kit._watcher import Watcher
from heartbeat_kit.errors import HeartbeatCheckError, HeartbeatStateError
from heartbeat_kit.testing import RecordingListener


@pytest.fixture
def dispatcher(storage):
    return Dispatcher(storage, "me")


@pytest.fixture
def checker(storage, clock, dispatcher):
    timing = Timing(heartbeat_ms=30_000, timeout_ms=120_000)
    watcher = Watcher(storage, storage, clock, timing=timing, machine_id="watcher", host="", owner="me")
    return Checker(watcher, dispatcher, clock)


def test_a_fresh_look_answers_without_looking_and_without_news(checker, storage, clock):
    storage.put(beat())
    first = checker.check(None, fresh_ms=10_000)
    assert (first.newly_registered, len(first.transitions)) == (("web-1",), 1)
    clock.advance(9.999)
    storage.calls.clear()
    again = checker.check(None, fresh_ms=10_000)
    assert not storage.calls
    assert (again.newly_registered, again.transitions, again.checked_at) == ((), (), first.checked_at)
    assert again.statistics == first.statistics
    clock.advance(0.001)
    assert checker.check(None, fresh_ms=10_000).checked_at > first.checked_at


def test_every_list_of_news_is_empty_in_a_repeated_answer(checker, storage, clock):
    storage.put(beat("a"))
    storage.put(beat("b"))
    storage.put(beat("c"))
    checker.check(None)
    clock.advance(245)
    storage.put(beat("b", seq=2, at=START + 120_000))
    first = checker.check(None)
    assert (first.newly_offline, first.newly_warning) == (("a", "c"), ("b",))
    clock.advance(1)
    storage.put(beat("a", seq=2, at=START + 246_000))
    second = checker.check(None)
    assert second.newly_online == ("a",)
    again = checker.check(None, fresh_ms=1_000)
    assert (again.newly_offline, again.newly_online, again.newly_warning) == ((), (), ())
    assert again.warning == ("b",)


def test_zero_is_never_fresh(checker, storage):
    checker.check(None)
    checker.check(None, fresh_ms=0)
    assert storage.calls["load"] == 2


def test_an_expired_answer_is_not_given_again(checker, storage):
    checker.check(None)
    checker.expire()
    checker.check(None, fresh_ms=10_000)
    assert storage.calls["load"] == 2


@pytest.mark.parametrize("trouble", ["blind", "stalled"])
def test_a_look_that_could_not_judge_is_never_fresh(checker, storage, clock, trouble):
    if trouble == "blind":
        storage.fail("load")
    else:
        checker.check(None)
        clock.jump_wall(60)
    assert checker.check(None).observer.health is ObserverHealth(trouble)
    assert checker.check(None, fresh_ms=10_000).observer.health is ObserverHealth.OK


def test_listeners_run_after_the_lock_is_released(checker, storage, dispatcher):
    """A listener may ask for the state, or check again."""
    seen = []
    dispatcher.subscribe(lambda _: seen.append((len(checker.state(None)), checker.check(None).transitions)), None)
    storage.put(beat())
    checker.check(None)
    assert seen == [(1, ())]


def test_a_broken_storage_is_a_typed_error_with_its_cause(checker, storage):
    storage.fail("load", error=ZeroDivisionError("a bug"))
    with pytest.raises(HeartbeatCheckError, match="ZeroDivisionError: a bug") as check:
        checker.check(None)
    storage.fail("load", error=ZeroDivisionError("a bug"))
    with pytest.raises(HeartbeatStateError, match="ZeroDivisionError: a bug") as state:
        checker.state(None)
    assert isinstance(check.value.__cause__, ZeroDivisionError)
    assert isinstance(state.value.__cause__, ZeroDivisionError)
    assert checker.check(None).observer.health is ObserverHealth.OK


def test_a_closed_storage_is_blindness_like_any_other(checker, storage):
    storage.close()
    assert "closed" in checker.check(None).observer.reason
    assert checker.state(None).observer.health is ObserverHealth.BLIND


def test_our_own_errors_pass_unchanged(checker, storage):
    storage.fail("load", error=HeartbeatStateError("typed"))
    with pytest.raises(HeartbeatStateError, match="typed"):
        checker.check(None)
    storage.fail("load", error=HeartbeatCheckError("typed"))
    with pytest.raises(HeartbeatCheckError, match="typed"):
        checker.state(None)


def test_a_background_look_raises_nothing(checker, storage, caplog):
    storage.fail("load", error=ZeroDivisionError("a bug"))
    checker.look(None, 0)
    assert "a background look failed" in caplog.text


def test_a_background_look_says_how_late_it_is(checker, clock, dispatcher, storage):
    listener = RecordingListener()
    storage.put(beat())
    dispatcher.subscribe(listener, None)
    checker.look(None, 0)
    listener.clear()
    clock.advance(130)
    checker.look(None, 100_000)
    assert listener.events == ()


def test_a_background_look_without_listeners_lets_others_announce_first(checker, clock, storage):
    """What it finds is committed by its next look, with the times at which it was found."""
    storage.put(beat())
    checker.look(None, 0)
    assert storage.history() == ()
    found = clock.now().wall_ms
    clock.advance(30)
    storage.put(beat(seq=2))
    checker.look(None, 0)
    (event,) = storage.history()
    assert event.detected_at_ms == found
    checker.check(None)
    clock.advance(300)
    assert [e.after for e in checker.check(None).transitions] == ["offline"], "an asked check commits at once"


def test_forgetting_a_machine_makes_the_answer_stale(checker, storage):
    storage.put(beat())
    checker.check(None)
    storage.remove("web-1")
    checker.forget("web-1")
    assert checker.check(None, fresh_ms=10_000).statistics.total_machines == 0


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_does_not_hang_on_the_parents_lock(checker):
    checker._lock.acquire()
    child = os.fork()
    if child == 0:
        code = 1
        try:
            code = 0 if len(checker.state(None)) == 0 else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
