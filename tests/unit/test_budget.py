"""A time budget for calls that may never return."""

import gc
import os
import threading
import time
import traceback
import weakref
from datetime import timedelta

import pytest

from heartbeat_kit.errors import InvalidConfigurationError, StorageClosedError, StorageUnavailableError
from heartbeat_kit.storage._budget import Lane

SOON = timedelta(milliseconds=30)
LONG = timedelta(seconds=20)


def threads(place):
    return [thread for thread in threading.enumerate() if place in thread.name]


class Mount:
    """Something to call that hangs until it is released."""

    def __init__(self):
        self.answers = threading.Event()
        self.entered = threading.Event()
        self.calls = 0

    def read(self, value=None):
        self.calls += 1
        self.entered.set()
        assert self.answers.wait(20)
        return value


@pytest.fixture
def mount():
    mount = Mount()
    yield mount
    mount.answers.set()


@pytest.fixture
def lane(request):
    lane = Lane(request.node.name, SOON)
    yield lane
    lane.close()


@pytest.mark.parametrize("budget", [SOON, LONG, None])
def test_the_result_and_the_arguments_pass_through(budget):
    lane = Lane("x", budget)
    assert lane.run("joining", lambda *args, **kwargs: (args, kwargs), 1, key=2) == ((1,), {"key": 2})
    lane.close()


@pytest.mark.parametrize("budget", [LONG, None])
def test_an_error_of_the_call_reaches_the_caller_with_its_traceback(budget):
    def broken():
        raise ZeroDivisionError("mine")

    lane = Lane("x", budget)
    with pytest.raises(ZeroDivisionError, match="mine") as caught:
        lane.run("dividing", broken)
    assert "broken" in [frame.name for frame in traceback.extract_tb(caught.value.__traceback__)]
    assert lane.run("adding", lambda: 2) == 2
    lane.close()


def test_no_budget_means_the_caller_s_own_thread():
    lane = Lane("own-thread", None)
    assert lane.run("asking", threading.current_thread) is threading.current_thread()
    assert threads("own-thread") == []
    lane.close()


def test_a_budget_means_one_other_thread_for_all_calls():
    lane = Lane("one-thread", LONG)
    seen = {lane.run("asking", threading.current_thread) for _ in range(5)}
    assert len(seen) == 1
    (worker,) = seen
    assert worker is not threading.current_thread()
    assert worker.daemon
    lane.close()


def test_a_call_that_hangs_is_given_up_and_named(lane, mount):
    with pytest.raises(StorageUnavailableError, match=r"reading .*0\.03 s.*hangs"):
        lane.run("reading", mount.read)


def test_while_a_call_hangs_others_fail_at_once_and_make_no_thread(mount):
    lane = Lane("stuck-place", SOON)
    with pytest.raises(StorageUnavailableError):
        lane.run("reading", mount.read)
    lane._seconds = 20.0  # whoever waits now would be noticed
    began = time.monotonic()
    for _ in range(100):
        with pytest.raises(StorageUnavailableError, match=r"listing .*was not tried: an earlier reading"):
            lane.run("listing", mount.read)
    assert time.monotonic() - began < 5
    assert mount.calls == 1
    assert len(threads("stuck-place")) == 1
    mount.answers.set()
    lane.close()


def test_the_lane_works_again_by_itself_when_the_call_returns(lane, mount):
    with pytest.raises(StorageUnavailableError):
        lane.run("reading", mount.read)
    (worker,) = threads("works_again")
    mount.answers.set()
    while lane._worker.hung is None or not lane._worker.hung.finished:
        assert worker.is_alive()
    assert lane.run("reading", mount.read, "back") == "back"
    assert threads("works_again") == [worker]


def test_a_call_whose_turn_never_came_is_not_made(mount):
    lane = Lane("x", LONG)
    first = threading.Thread(target=lane.run, args=("reading", mount.read))
    first.start()
    assert mount.entered.wait(20)
    lane._seconds = 0.03
    made = []
    with pytest.raises(StorageUnavailableError, match=r"waited 0\.03 s for its turn.*was not tried"):
        lane.run("writing", made.append, 1)
    mount.answers.set()
    first.join()
    lane._seconds = 20.0
    assert lane.run("reading", lambda: "fine") == "fine"
    assert made == []
    lane.close()


@pytest.mark.parametrize("budget", [LONG, None])
def test_calls_of_many_threads_are_made_one_at_a_time(budget):
    lane = Lane("x", budget)
    inside = []
    overlaps = []

    def call(number):
        inside.append(number)
        overlaps.append(len(inside))
        os.stat(os.curdir)
        inside.remove(number)
        return number

    results = []

    def caller(start):
        results.extend(lane.run("calling", call, number) for number in range(start, start + 50))

    callers = [threading.Thread(target=caller, args=(base,)) for base in range(0, 400, 50)]
    for thread in callers:
        thread.start()
    for thread in callers:
        thread.join()
    assert sorted(results) == list(range(400))
    assert set(overlaps) == {1}
    lane.close()


def test_close_ends_the_idle_thread_and_refuses_further_calls():
    lane = Lane("closing-place", LONG)
    lane.run("reading", int)
    assert len(threads("closing-place")) == 1
    lane.close()
    lane.close()
    assert threads("closing-place") == []
    with pytest.raises(StorageClosedError):
        lane.run("reading", int)


def test_close_does_not_wait_for_a_call_that_hangs_and_its_thread_ends_with_it(mount):
    lane = Lane("hanging-place", SOON)
    with pytest.raises(StorageUnavailableError):
        lane.run("reading", mount.read)
    lane._seconds = 20.0
    (worker,) = threads("hanging-place")
    lane.close()
    assert worker.is_alive()
    mount.answers.set()
    worker.join(20)
    assert not worker.is_alive()


def test_a_lane_that_nobody_closed_leaves_no_thread():
    lane = Lane("forgotten-place", LONG)
    lane.run("reading", int)
    (worker,) = threads("forgotten-place")
    del lane
    gc.collect()
    worker.join(20)
    assert not worker.is_alive()


def test_the_worker_keeps_nothing_of_the_last_call_alive():
    class Big:
        pass

    lane = Lane("x", LONG)
    gone = threading.Event()
    big = Big()
    weakref.finalize(big, gone.set)
    lane.run("reading", lambda value: None, big)
    lane.run("reading", int)
    del big
    gc.collect()
    assert gone.wait(20)
    lane.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("hanging", [False, True])
@pytest.mark.filterwarnings("ignore:This process .* is multi-threaded:DeprecationWarning")
def test_a_forked_child_gets_a_worker_of_its_own(hanging, mount):
    lane = Lane("x", LONG)
    lane.run("reading", int)
    if hanging:
        caller = threading.Thread(target=lane.run, args=("reading", mount.read))
        caller.start()
        assert mount.entered.wait(20)
    child = os.fork()
    if child == 0:
        try:
            lane._seconds = 10.0
            fine = lane.run("reading", lambda: 7) == 7
            lane.close()
            os._exit(0 if fine else 1)
        finally:
            os._exit(2)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    mount.answers.set()
    assert lane.run("reading", lambda: 8) == 8
    if hanging:
        caller.join()
    lane.close()


@pytest.mark.parametrize("budget", [timedelta(0), timedelta(seconds=-1), 5, "5"])
def test_a_budget_that_cannot_be_is_refused(budget):
    with pytest.raises(InvalidConfigurationError, match="time_budget"):
        Lane("x", budget)


def test_the_longest_budget_there_is_works():
    lane = Lane("x", timedelta.max)
    assert lane.run("reading", lambda: 3) == 3
    lane.close()
