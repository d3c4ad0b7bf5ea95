"""`Watcher`: read the clock, load, look, commit; blindness and recovery."""

import logging
from datetime import timedelta

import pytest
from core_values import START, beat

from heartbeat_kit import MemoryStorage, ObserverHealth, StorageTraits
from heartbeat_kit._beater import Beater
from heartbeat_kit._observer import Timing
from heartbeat_kit._watcher import Watcher
from heartbeat_kit.storage import LocalLedger, Observation

LOCAL = Timing(heartbeat_ms=30_000, timeout_ms=120_000)
REMOTE = Timing(heartbeat_ms=30_000, timeout_ms=120_000, shared_clock=False)


def watch(storage, clock, *, ledger=None, timing=LOCAL):
    return Watcher(storage, ledger or storage, clock, timing=timing, machine_id="watcher", host="", owner="me")


@pytest.fixture
def watcher(storage, clock):
    return watch(storage, clock)


@pytest.fixture
def own(storage, clock):
    sender = Beater(storage, "watcher", "here")
    sender.beat(clock.now(), 30_000)
    return sender


def test_a_report_names_what_this_look_announced(watcher, storage, clock):
    for name in ("a", "b", "c"):
        storage.put(beat(name))
    first = watcher.check(None, 0)
    assert first.newly_registered == ("a", "b", "c")
    assert (first.newly_online, first.newly_offline, first.newly_warning, first.warning) == ((), (), (), ())
    clock.advance(130)
    storage.put(beat("c", seq=2, at=START + 130_000))
    second = watcher.check(None, 0)
    assert (second.newly_warning, second.warning, second.newly_offline) == (("a", "b"), ("a", "b"), ())
    clock.advance(111)
    storage.put(beat("b", seq=2, at=START + 241_000))
    third = watcher.check(None, 0)
    assert (third.newly_offline, third.newly_online, third.newly_warning) == (("a",), ("b",), ())
    assert [event.machine_id for event in third.transitions] == ["a", "b"]
    numbers = third.statistics
    assert (numbers.total_machines, numbers.online_count, numbers.offline_count) == (3, 2, 1)
    assert (numbers.warning_count, numbers.unknown_count) == (0, 0)
    assert (third.checked_at_ms, numbers.last_heartbeat_check_ms) == (START + 241_000, START + 241_000)


def test_a_goodbye_is_newly_offline_and_a_removal_is_nothing_of_the_kind(watcher, storage, clock):
    storage.put(beat("a"))
    storage.put(beat("b"))
    watcher.check(None, 0)
    clock.advance(1)
    storage.put(beat("a", seq=2, at=START, left_at=START))
    storage.remove("b")
    report = watcher.check(None, 0)
    assert report.newly_offline == ("a",)
    assert [str(event.reason) for event in report.transitions] == ["left", "removed"]
    assert report.statistics.total_machines == 1


def test_a_machine_that_left_twice_in_one_look_is_named_once(watcher, storage, clock):
    storage.put(beat())
    watcher.check(None, 0)
    clock.advance(250)
    watcher.check(None, 0)
    storage.put(beat(seq=2, at=START + 1_000))
    clock.advance(250)
    report = watcher.check(None, 0)
    assert (report.newly_online, report.newly_offline) == (("web-1",), ("web-1",))


def test_a_check_that_changes_nothing_writes_nothing(watcher, storage, clock):
    storage.put(beat())
    watcher.check(None, 0)
    storage.calls.clear()
    for _ in range(3):
        clock.advance(30)
        watcher.check(None, 0)
    assert storage.calls == {"load": 3, "read_ledger": 3, "windows": 3}


def test_a_query_has_no_effects(watcher, storage, clock):
    """It sees what is true, and the next check still announces it."""
    storage.put(beat())
    storage.calls.clear()
    clock.advance(130)
    for _ in range(3):
        assert watcher.state(None)["web-1"].status == "warning"
    assert storage.calls == {"load": 3, "read_ledger": 3, "windows": 3}
    assert watcher.check(None, 0).newly_warning == ("web-1",)


def test_a_query_does_not_eat_a_removal(watcher, storage):
    storage.put(beat())
    watcher.check(None, 0)
    storage.remove("web-1")
    assert len(watcher.state(None)) == len(watcher.state(None)) == 0
    assert [str(event.reason) for event in watcher.check(None, 0).transitions] == ["removed"]


def test_the_last_check_is_no_query(watcher, clock):
    assert watcher.state(None).last_check_ms is None
    watcher.check(None, 0)
    clock.advance(5)
    assert watcher.state(None).last_check_ms == START


@pytest.mark.parametrize("operation", ["load", "read_ledger"])
@pytest.mark.parametrize("error", [None, OSError("disk")], ids=["typed", "plain"])
class TestBlind:
    """The storage is away: statuses stay, nothing is announced, and nothing is made up afterwards."""

    def test_statuses_keep_and_are_stale(self, watcher, storage, clock, operation, error):
        storage.put(beat())
        watcher.check(None, 0)
        clock.advance(300)
        storage.fail(operation, times=3, error=error)
        report = watcher.check(None, 0)
        assert (report.observer.health, report.transitions) == (ObserverHealth.BLIND, ())
        assert report.statistics.online_count == 1
        assert report.statistics.last_heartbeat_check_ms == START
        state = watcher.state(None)
        assert (str(state["web-1"].status), state["web-1"].stale) == ("online", True)
        clock.advance(5)
        assert watcher.check(None, 0).observer.since_ms == report.observer.since_ms
        assert watcher.check(None, 0).observer.health is ObserverHealth.OK

    def test_recovery_brings_no_storm(self, watcher, storage, clock, operation, error):
        storage.put(beat("alive"))
        storage.put(beat("dead"))
        watcher.check(None, 0)
        clock.advance(30)
        storage.fail(operation, times=100, error=error)
        for _ in range(100):
            clock.advance(30)
            watcher.check(None, 0)
        storage.put(beat("alive", seq=2, at=clock.now().wall_ms))
        clock.advance(1)
        assert watcher.check(None, 0).transitions == ()
        seen = []
        for second in range(1, 300):
            clock.advance(1)
            storage.put(beat("alive", seq=2 + second, at=clock.now().wall_ms))
            seen += [(event.machine_id, str(event.after), second) for event in watcher.check(None, 0).transitions]
        assert seen == [("dead", "warning", 120), ("dead", "offline", 210)]  # one look was not lost


def test_a_storage_away_from_the_beginning_is_blind_and_recovers(watcher, storage, clock, caplog):
    storage.go_down("not mounted")
    with caplog.at_level(logging.INFO, logger="heartbeat_kit"):
        report = watcher.check(None, 0)
        assert (report.observer.health, report.observer.reason) == (ObserverHealth.BLIND, "not mounted")
        assert report.statistics.total_machines == 0
        watcher.check(None, 0)
        storage.come_back()
        storage.put(beat())
        assert watcher.check(None, 0).newly_registered == ("web-1",)
    assert [record.getMessage() for record in caplog.records] == [
        "observer watcher is blind: not mounted",
        "observer watcher sees again",
    ]


def test_an_error_without_words_is_named(watcher, storage):
    storage.fail("load", error=OSError())
    assert watcher.check(None, 0).observer.reason == "OSError"


class TestOwnBeat:
    """An observer whose own beat cannot be written or read back cannot judge others."""

    def test_a_pending_beat_blinds(self, watcher, storage, own, clock):
        storage.put(beat())
        watcher.check(own, 0)
        storage.fail("put")
        with pytest.raises(OSError, match="put failed"):
            own.beat(clock.now(), 30_000)
        storage.calls.clear()
        report = watcher.check(own, 0)
        assert "own heartbeat cannot be written: put failed" in report.observer.reason
        assert storage.calls["load"] == 0
        own.beat(clock.now(), 30_000)
        assert watcher.check(own, 0).observer.health is ObserverHealth.OK

    @pytest.mark.parametrize("how", ["hide", "freeze"])
    def test_a_beat_that_cannot_be_read_back_blinds(self, watcher, storage, own, clock, how):
        watcher.check(own, 0)
        if how == "hide":
            storage.hide("watcher")
        else:
            storage.freeze()
            clock.advance(30)
            own.beat(clock.now(), 30_000)
        assert "cannot be read back" in watcher.check(own, 0).observer.reason
        storage.show("watcher")
        storage.thaw()
        assert watcher.check(own, 0).observer.health is ObserverHealth.OK

    def test_a_beat_during_the_load_is_not_held_against_it(self, watcher, storage, own, clock):
        """What must be read back is what was stored before the load began."""
        storage.before("load", storage.freeze)
        storage.before("read_ledger", lambda: own.beat(clock.now(), 30_000))
        assert watcher.check(own, 0).observer.health is ObserverHealth.OK

    def test_somebody_who_does_not_beat_needs_no_beat(self, watcher, storage):
        assert watcher.check(None, 0).observer.health is ObserverHealth.OK
        assert watcher.check(Beater(storage, "watcher", "here"), 0).observer.health is ObserverHealth.OK


def test_what_cannot_be_recorded_is_not_announced(watcher, storage, clock):
    storage.put(beat())
    watcher.check(None, 0)
    clock.advance(250)
    storage.fail("commit")
    report = watcher.check(None, 0)
    assert (report.transitions, report.newly_offline) == ((), ())
    assert "cannot be recorded" in report.observer.reason
    clock.advance(1)
    assert watcher.check(None, 0).newly_offline == ("web-1",)
    clock.advance(1)
    assert watcher.check(None, 0).newly_offline == ()


def test_a_return_that_cannot_be_recorded_is_announced_later(watcher, storage, clock):
    storage.put(beat())
    watcher.check(None, 0)
    clock.advance(250)
    watcher.check(None, 0)
    storage.put(beat(seq=2, at=START + 250_000))
    storage.fail("commit", error=OSError("disk full"))
    assert watcher.check(None, 0).newly_online == ()
    clock.advance(1)
    assert watcher.check(None, 0).newly_online == ("web-1",)


def test_of_two_observers_one_announces(storage, clock):
    storage.put(beat())
    one, two = watch(storage, clock), watch(storage, clock)
    assert one.check(None, 0).newly_registered == ("web-1",)
    assert two.check(None, 0).transitions == ()
    clock.advance(130)
    storage.before("commit", lambda: (storage.before("commit", None), two.check(None, 0)))
    report = one.check(None, 0)
    assert (report.transitions, report.warning) == ((), ("web-1",))
    assert one.check(None, 0).transitions == ()


def test_a_slow_load_is_judged_by_the_clock_before_it(watcher, storage, clock):
    storage.put(beat())
    watcher.check(None, 0)
    clock.advance(100)
    storage.before("load", lambda: clock.advance(60))
    report = watcher.check(None, 0)
    assert (report.checked_at_ms, report.transitions) == (START + 100_000, ())


def test_a_stalled_look_says_so_and_worsens_nothing(watcher, storage, clock):
    storage.put(beat())
    watcher.check(None, 0)
    clock.advance(300)
    report = watcher.check(None, 290_000)
    assert (report.observer.health, report.transitions) == (ObserverHealth.STALLED, ())
    assert report.observer.reason == "this look came 290.0 s later than planned"


def test_an_unreadable_record_is_logged_once_per_change(watcher, storage, caplog):
    storage.put(beat())
    for reason in ("cut", "cut", "0 bytes"):
        storage.corrupt("web-1", reason)
        report = watcher.check(None, 0)
        assert report.unreadable == {"web-1": reason}
    storage.heal("web-1")
    assert watcher.check(None, 0).unreadable == {}
    storage.corrupt("web-1", "0 bytes")
    watcher.check(None, 0)
    assert [record.getMessage().rsplit(": ")[-1] for record in caplog.records] == ["cut", "0 bytes", "0 bytes"]


def test_forgetting(watcher, storage):
    storage.put(beat())
    watcher.check(None, 0)
    storage.remove("web-1")
    watcher.forget("web-1")
    assert len(watcher.state(None)) == 0
    assert [str(event.reason) for event in watcher.check(None, 0).transitions] == ["removed"]


class TestNotes:
    """What a local ledger is told, so that the next process knows when a record rose."""

    @pytest.fixture
    def folder(self):
        traits = StorageTraits(
            durable=True, cross_process=True, cross_host=True, coherent=False, propagation_delay=timedelta(0)
        )
        return MemoryStorage(traits=traits)

    @pytest.fixture
    def ledger(self, tmp_path):
        ledger = LocalLedger(tmp_path / "state")
        yield ledger
        ledger.close()

    def test_rises_are_noted_every_half_timeout(self, folder, ledger, clock):
        watcher = watch(folder, clock, ledger=ledger, timing=REMOTE)
        folder.put(beat())
        watcher.check(None, 0)
        met = Observation(incarnation=1, seq=1, seen_ms=START, interval_ms=30_000, rose=False)
        assert ledger.observations() == {"web-1": met}
        for second in range(1, 60):
            clock.advance(1)
            folder.put(beat(seq=1 + second))
            watcher.check(None, 0)
        assert ledger.observations()["web-1"].seq == 1
        clock.advance(1)
        watcher.check(None, 0)
        assert ledger.observations()["web-1"] == Observation(
            incarnation=1, seq=60, seen_ms=START + 59_000, interval_ms=30_000, skew_ms=58_000
        )

    def test_nothing_new_is_not_written(self, folder, ledger, clock, tmp_path):
        watcher = watch(folder, clock, ledger=ledger, timing=REMOTE)
        folder.put(beat(left_at=START))
        watcher.check(None, 0)
        before = (tmp_path / "state" / "ledger.json").stat().st_mtime_ns
        clock.advance(61)
        watcher.check(None, 0)
        assert (tmp_path / "state" / "ledger.json").stat().st_mtime_ns == before

    def test_they_are_stored_when_asked_for(self, folder, ledger, clock):
        watcher = watch(folder, clock, ledger=ledger, timing=REMOTE)
        folder.put(beat())
        watcher.check(None, 0)
        clock.advance(1)
        folder.put(beat(seq=2))
        watcher.check(None, 0)
        assert watcher.remember()
        assert ledger.observations()["web-1"].seq == 2

    def test_a_query_notes_nothing(self, folder, ledger, clock):
        watcher = watch(folder, clock, ledger=ledger, timing=REMOTE)
        folder.put(beat())
        watcher.state(None)
        assert ledger.observations() == {}

    def test_where_stamps_are_our_own_there_is_nothing_to_note(self, folder, ledger, clock):
        watcher = watch(folder, clock, ledger=ledger, timing=LOCAL)
        folder.put(beat())
        watcher.check(None, 0)
        assert watcher.remember()
        assert ledger.observations() == {}

    def test_a_shared_ledger_keeps_no_notes(self, watcher):
        assert not watcher.remember()

    def test_notes_that_cannot_be_written_blind_and_are_not_claimed(self, folder, ledger, clock, monkeypatch):
        watcher = watch(folder, clock, ledger=ledger, timing=REMOTE)
        folder.put(beat())

        def fail(_):
            raise OSError("disk full")

        monkeypatch.setattr(ledger, "note", fail)
        report = watcher.check(None, 0)
        assert (report.observer.health, report.observer.reason) == (
            ObserverHealth.BLIND,
            "observations cannot be recorded: disk full",
        )
        assert not watcher.remember()

    def test_the_next_process_goes_on_from_them(self, folder, ledger, clock):
        first = watch(folder, clock, ledger=ledger, timing=REMOTE)
        folder.put(beat(at=START - 10**9))
        first.check(None, 0)
        clock.advance(1)
        folder.put(beat(seq=2, at=START - 10**9))
        first.check(None, 0)
        first.remember()
        clock.advance(60)
        second = watch(folder, clock, ledger=ledger, timing=REMOTE)
        state = second.state(None)["web-1"]
        assert (str(state.basis), state.age_ms, str(state.status)) == ("ledger", 60_000, "online")
        clock.advance(60)
        assert second.check(None, 0).newly_warning == ("web-1",)
