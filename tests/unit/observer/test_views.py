"""What people see."""

import attrs
import pytest
from look_values import HEARD, LOCAL, REMOTE, SLOW, START, Observer, at, beat

from heartbeat_kit import Basis, ObserverHealth, ObserverState
from heartbeat_kit._observer import fleet_state


def view(observer, seconds, wall=None, health=ObserverHealth.OK):
    who = ObserverState(health=health, since=START, machine_id="watcher")
    return fleet_state(observer.memory, observer.timing, at(seconds, wall), who, START + 5)


def one(observer, seconds, **more):
    return view(observer, seconds, **more)["web-1"]


@pytest.fixture
def observer():
    found = Observer(LOCAL)
    found.look(0, beat())
    found.look(1, beat())
    return found


def offsets(state):
    return [
        None if moment is None else moment - START
        for moment in (state.since_ms, state.warning_since_ms, state.offline_since_ms, state.next_deadline_ms)
    ]


def test_online(observer):
    state = one(observer, 10)
    assert (str(state.status), state.reason, state.age_ms, state.timeout_ms) == ("online", "beating", 10_000, 120_000)
    assert offsets(state) == [0, None, None, 120_000]
    assert (state.episode, state.stale, state.basis, state.observer) == (None, False, Basis.STAMP, "watcher")


def test_warning_and_offline_are_dated_by_their_deadlines(observer):
    observer.look(130, beat())
    observer.look(131, beat())
    state = one(observer, 135)
    assert (str(state.status), state.reason) == ("warning", "silent")
    assert offsets(state) == [120_000, 120_000, None, 240_000]
    episode = state.episode
    observer.look(500, beat())
    observer.look(501, beat())
    state = one(observer, 505)
    assert (str(state.status), state.missed_heartbeats) == ("offline", 16)
    assert offsets(state) == [240_000, 120_000, 240_000, None]
    assert state.episode == episode == observer.events[-1].episode


def test_what_is_not_announced_yet_is_dated_the_same(observer):
    observer.look(500, beat(), commit=False)
    state = one(observer, 505)
    assert offsets(state) == [240_000, 120_000, 240_000, None]
    assert state.episode is None


def test_a_goodbye(observer):
    observer.look(60, beat(seq=2, at=START + 50_000, left_at=START + 50_000))
    observer.look(61, beat(seq=2, at=START + 50_000, left_at=START + 50_000))
    state = one(observer, 70)
    assert (str(state.status), state.reason) == ("offline", "left")
    assert offsets(state) == [50_000, None, 50_000, None]


def test_a_goodbye_not_announced_yet_is_dated_by_its_beat(observer):
    observer.look(60, beat(seq=2, at=START + 50_000, left_at=START + 50_000), commit=False)
    assert offsets(one(observer, 70)) == [50_000, None, 50_000, None]


def test_a_return(observer):
    observer.look(250, beat())
    back = beat(seq=2, at=START + 260_000)
    observer.look(270, back)
    observer.look(271, back)
    state = one(observer, 275)
    assert (str(state.status), state.age_ms) == ("online", 15_000)
    assert offsets(state) == [260_000, None, None, 380_000]
    assert state.episode is None


def test_online_since_is_the_return_not_the_last_beat(observer):
    observer.look(30, beat(seq=2, at=START + 30_000))
    observer.look(60, beat(seq=3, at=START + 60_000))
    assert offsets(one(observer, 61))[0] == 0


def test_the_ledgers_dates_count_only_for_the_same_silence(observer):
    """Another silence, announced by nobody yet, has dates and an episode of its own."""
    observer.look(130, beat())
    risen = beat(seq=2, at=START + 140_000)
    observer.look(270, risen, commit=False)
    observer.look(271, risen, commit=False)
    state = one(observer, 275)
    assert offsets(state) == [260_000, 260_000, None, 380_000]
    assert state.episode is None


def test_another_hosts_first_record_is_only_suggested():
    observer = Observer(REMOTE)
    observer.look(0, beat(at=START - 150_000))
    state = one(observer, 5)
    assert (str(state.status), state.basis, state.reason) == ("warning", Basis.SENDER, "unconfirmed")
    assert (state.age_ms, state.since, state.clock_skew) == (155_000, None, None)
    assert state.offline_since is None


@pytest.mark.parametrize(("ahead", "seconds"), [(-100, 20), (-150, 90), (60, 180), (119, 239)])
def test_what_a_stamp_suggests_worsens_by_that_stamp(ahead, seconds):
    """Whoever looks just before the time that was told sees the same, and then it is worse."""
    observer = Observer(REMOTE)
    record = beat(at=START + 1000 * ahead)
    observer.look(0, record)
    first = one(observer, 5)
    assert first.next_deadline_ms == START + 1000 * seconds
    observer.look(seconds - 0.001, record)
    assert one(observer, seconds - 0.001).status is first.status
    observer.look(seconds, record)
    assert one(observer, seconds).status is not first.status


def test_skew_is_known_after_a_rise():
    observer = Observer(REMOTE)
    observer.look(0, beat(at=START + 600_000))
    observer.look(30, beat(seq=2, at=START + 630_000))
    state = one(observer, 40)
    assert (state.clock_skew_ms, state.age_ms, state.basis) == (600_000, 10_000, Basis.OBSERVER)
    assert state.reason == "beating"


@pytest.mark.parametrize(("ahead", "reason"), [(120_000, "future_stamp"), (119_999, "unconfirmed")])
def test_a_stamp_from_the_future(ahead, reason):
    observer = Observer(REMOTE)
    observer.look(0, beat(at=START + ahead))
    assert one(observer, 0).reason == reason
    assert one(observer, 0).status == ("unknown" if reason == "future_stamp" else "online")


def test_unreadable_and_absent_and_never_seen():
    observer = Observer(SLOW)
    observer.look(0, beat("a"), beat("b"), unreadable={"c": "cut"})
    observer.look(10, beat("a"), unreadable={"a2": "x", "c": "cut"})
    observer.look(11, unreadable={"a": "zero bytes", "c": "cut"})
    state = view(observer, 12)
    assert {found.machine_id: found.reason for found in state} == {
        "a": "unreadable",
        "a2": "absent",
        "b": "absent",
        "c": "unreadable",
    }
    assert state.unreadable == {"a": "zero bytes", "c": "cut"}
    assert (state["c"].heartbeat, state["c"].timeout_ms, state["c"].status) == (None, 120_000, "unknown")
    assert state["a"].unreadable == "zero bytes"
    assert state["c"].next_deadline is None


def test_one_known_only_from_the_ledger_keeps_the_ledgers_dates():
    observer = Observer(HEARD)
    observer.look(0, beat())
    observer.look(10, beat(seq=2))
    for seconds in range(60, 400, 60):
        observer.look(seconds, beat(seq=2))
    again = observer.restarted()
    again.look(400)
    state = one(again, 401)
    assert (str(state.status), state.heartbeat, state.reason) == ("offline", None, "absent")
    assert state.episode == observer.events[-1].episode


def test_waiting_for_confirmation():
    observer = Observer(attrs.evolve(LOCAL, confirm_offline=2))
    observer.look(0, beat())
    observer.look(130, beat())
    assert (one(observer, 131).reason, str(one(observer, 131).status)) == ("pending", "online")


def test_settling_after_a_disturbance(observer):
    observer.look(100, beat(), late_ms=50_000)
    assert one(observer, 110).reason == "beating"
    assert one(observer, 169).reason == "beating"
    state = one(observer, 170)
    assert (state.reason, str(state.status)) == ("settling", "online")
    assert offsets(state)[3] == 220_000
    assert one(observer, 220).reason == "beating"


def test_who_was_removed_by_this_service_is_not_shown(observer):
    observer.look(2, unreadable={"web-1": "cut"})
    assert view(observer, 2).unreadable == {"web-1": "cut"}
    observer.memory = observer.memory.without("web-1")
    assert len(view(observer, 2)) == 0
    assert view(observer, 2).unreadable == {}


def test_a_fleet_is_sorted_and_says_when_it_was_seen():
    observer = Observer()
    observer.look(0, beat("c"), beat("a"), beat("b"))
    state = view(observer, 7)
    assert list(state.machines) == ["a", "b", "c"]
    assert (state.retrieved_at_ms, state.last_check_ms) == (START + 7_000, START + 5)
    assert not state["a"].stale


def test_what_a_blind_observer_knows_is_stale(observer):
    assert one(observer, 10, health=ObserverHealth.BLIND).stale
    assert not one(observer, 10, health=ObserverHealth.STALLED).stale


def test_an_identity_conflict_is_shown(observer):
    observer.look(2, beat(), conflicts={"web-1": "two files"})
    assert one(observer, 3).identity_conflict == "two files"
