"""Epochs: one run at a time on a share where every host sees a write at once."""

import pytest

from heartbeat_kit.errors import SyncBusyError, SyncFencedError
from heartbeat_kit.sync._fence import EpochFence, NoFence
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.testing import FakeClock


@pytest.fixture
def make(tmp_path):
    clock = FakeClock()

    def make(owner, patience_ms=1_000):
        return EpochFence(RealTree(tmp_path), owner, clock, patience_ms)

    make.clock, make.folder = clock, tmp_path / "epochs"
    return make


def test_each_run_takes_the_next_number_and_marks_it_done(make):
    for number in (1, 2, 3):
        fence = make("a")
        fence.enter()
        fence.check()
        fence.leave()
        assert (make.folder / f"{number:016d}.done").exists()


def test_a_run_under_way_is_waited_for_and_overtaken_when_it_stands_still(make):
    first, second = make("a"), make("b")
    first.enter()
    before = make.clock.now().mono_ms
    second.enter()
    assert make.clock.now().mono_ms - before >= 1_000
    second.check()
    with pytest.raises(SyncFencedError, match="another took over"):
        first.check()
    first.leave()  # says nothing of the run that overtook it
    second.check()


def test_the_own_run_that_was_cut_off_is_not_waited_for(make):
    make("a").enter()
    before = make.clock.now().mono_ms
    make("a").enter()
    assert make.clock.now().mono_ms == before


def test_whoever_holds_no_number_is_fenced(make):
    make("b").enter()
    with pytest.raises(SyncFencedError):
        make("a").check()


def test_a_number_is_never_given_twice_though_old_ones_are_forgotten(make):
    for _ in range(20):
        fence = make("a")
        fence.enter()
        fence.leave()
    numbers = sorted(int(path.stem) for path in make.folder.glob("*.json"))
    assert numbers[-1] == 20
    assert len(numbers) <= 6


def test_what_is_in_the_way_of_the_numbers_is_passed_over(make):
    make.folder.mkdir()
    for name in ("x.json", "9.json", "0000000000000099.tmp", "0000000000000005 (1).json"):
        (make.folder / name).write_text("{}")
    (make.folder / "0000000000000003.json").write_text("not json")
    fence = make("a")
    fence.enter()
    assert (make.folder / "0000000000000004.json").exists()


def test_runs_that_follow_each_other_without_end_are_not_waited_for_for_ever(make, monkeypatch):
    other = make("b")
    other.enter()
    wait = make.clock.wait

    def hurry(event, timeout_ms):
        wait(event, 900)
        other.leave()
        other.enter()

    fence = make("a", patience_ms=1_000)
    monkeypatch.setattr(make.clock, "wait", hurry)
    monkeypatch.setattr(other, "_patience_ms", 0)
    with pytest.raises(SyncBusyError, match="try again later"):
        fence.enter()


def test_where_numbers_prove_nothing_nothing_is_taken():
    fence = NoFence()
    fence.enter()
    fence.check()
    fence.leave()


def test_a_run_that_works_for_long_is_not_overtaken(make):
    first, second = make("a"), make("b")
    first.enter()
    wait = make.clock.wait
    turns = []

    def work(event, timeout_ms):
        wait(event, 500)
        turns.append(None)
        if len(turns) < 12:
            first.check()
        elif len(turns) == 12:
            first.leave()

    make.clock.wait = work
    second.enter()
    assert len(turns) == 12
    with pytest.raises(SyncFencedError):
        first.check()
