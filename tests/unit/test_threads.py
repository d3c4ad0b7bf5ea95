"""Threads that hold up neither an event loop nor the end of the process."""

import os
import subprocess
import sys
import threading
import time
from concurrent.futures import wait

import pytest

from heartbeat_kit import _threads
from heartbeat_kit._threads import DaemonThreads


def alive(name):
    return sum(thread.name == name for thread in threading.enumerate())


def until(condition, seconds=5):
    limit = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < limit
        time.sleep(0.005)


def test_a_call_and_what_it_returns_or_raises():
    threads = DaemonThreads(2, "calls")
    assert threads.submit(pow, 2, 10).result(5) == 1024
    with pytest.raises(ZeroDivisionError):
        threads.submit(divmod, 1, 0).result(5)
    threads.shutdown()
    until(lambda: not alive("calls"))


def test_no_more_threads_than_the_limit_and_every_call_is_made():
    threads, inside, most, lock = DaemonThreads(3, "limited"), [0], [0], threading.Lock()

    def call(number):
        with lock:
            inside[0] += 1
            most[0] = max(most[0], inside[0])
        time.sleep(0.002)
        with lock:
            inside[0] -= 1
        return number

    made = [threads.submit(call, number) for number in range(60)]
    assert [each.result(10) for each in made] == list(range(60))
    assert most[0] == 3
    assert alive("limited") <= 3
    threads.shutdown()
    until(lambda: not alive("limited"))


def test_a_call_never_waits_for_one_that_hangs_while_there_is_room():
    threads, gate = DaemonThreads(8, "gated"), threading.Event()
    hanging = [threads.submit(gate.wait) for _ in range(7)]
    for number in range(200):
        assert threads.submit(int, number).result(5) == number
    late = threads.submit(gate.wait)
    behind = threads.submit(int, 3)
    assert not wait([behind], 0.05).done
    assert behind.cancel()
    gate.set()
    assert all(each.result(5) for each in (*hanging, late))
    assert behind.cancelled()
    threads.shutdown()


def test_threads_with_nothing_to_do_end_and_others_are_made_again(monkeypatch):
    monkeypatch.setattr(_threads, "_IDLE_S", 0.02)
    threads = DaemonThreads(2, "idle")
    for _ in range(3):
        assert threads.submit(int, 1).result(5) == 1
        until(lambda: not alive("idle"))


def test_many_callers_at_once_lose_no_call(monkeypatch):
    """Threads that end for want of work and calls that come just then."""
    monkeypatch.setattr(_threads, "_IDLE_S", 0.0005)
    threads, wrong = DaemonThreads(4, "busy"), []

    def caller():
        for number in range(300):
            if threads.submit(int, number).result(10) != number:
                wrong.append(number)
            if number % 17 == 0:
                threads.shutdown()
                time.sleep(0.001)

    callers = [threading.Thread(target=caller) for _ in range(6)]
    for each in callers:
        each.start()
    for each in callers:
        each.join(60)
    assert not any(each.is_alive() for each in callers)
    assert not wrong
    until(lambda: not alive("busy"))


def test_a_call_that_hangs_does_not_keep_the_process():
    code = (
        "import threading\nfrom heartbeat_kit._threads import DaemonThreads\n"
        "DaemonThreads(1, 'hangs').submit(threading.Event().wait)\nprint('end')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "end\n"


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_child_has_threads_of_its_own():
    code = (
        "import os, sys\nfrom heartbeat_kit._threads import DaemonThreads\n"
        "threads = DaemonThreads(1, 'both')\nassert threads.submit(int, 1).result(5) == 1\n"
        "child = os.fork()\nassert threads.submit(int, 2).result(5) == 2\n"
        "if child: sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))"
    )
    assert subprocess.run([sys.executable, "-W", "ignore", "-c", code], timeout=30, check=False).returncode == 0


def test_a_call_whose_thread_cannot_be_made_is_not_made_later(monkeypatch):
    threads, made = DaemonThreads(1, "refused"), []

    def refuse(_):
        raise RuntimeError("can't start new thread")

    with monkeypatch.context() as patch:
        patch.setattr(threading.Thread, "start", refuse)
        with pytest.raises(RuntimeError):
            threads.submit(made.append, "refused")
    threads.submit(made.append, "second").result(5)
    assert made == ["second"]
    threads.shutdown()
