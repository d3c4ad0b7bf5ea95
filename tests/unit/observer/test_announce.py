"""What to announce, under which id, with which times."""

import attrs
import pytest
from look_values import LOCAL, REMOTE, START, Observer, at, beat

from heartbeat_kit import Basis, MachineStatus, Reason
from heartbeat_kit._events import event_id
from heartbeat_kit._observer._announce import Announcer
from heartbeat_kit._observer._known import Known
from heartbeat_kit.storage import LedgerEntry

ONLINE, WARNING, OFFLINE, UNKNOWN = (MachineStatus(name) for name in ("online", "warning", "offline", "unknown"))


def announcer(seconds=300, timing=LOCAL):
    return Announcer("watcher", "owner-1", timing, at(seconds), START)


def entry(status, *, seq=1, reason=Reason.SILENT, since=START + 240_000, episode="episode", event="event-before"):
    return LedgerEntry(
        machine_id="web-1",
        status=status,
        event_id=event,
        reason=reason,
        since_ms=since,
        episode=episode,
        incarnation=1,
        seq=seq,
    )


def known(verdict, *, seq=1, silence=0, record=None, basis=Basis.OBSERVER):
    return Known(record or beat(seq=seq), basis, silence, START, verdict=verdict)


def moves(found, before, **more):
    return announcer(**more).moves("web-1", found, before)


def changes(found, before, **more):
    return [
        (str(move.transition.before), str(move.transition.after), str(move.transition.reason))
        for move in moves(found, before, **more)
    ]


@pytest.mark.parametrize(
    ("verdict", "seq", "before", "expected"),
    [
        (None, 1, None, []),
        (UNKNOWN, 1, None, []),
        (UNKNOWN, 2, entry(OFFLINE), []),
        (ONLINE, 1, None, [("unknown", "online", "first_seen")]),
        (ONLINE, 2, entry(UNKNOWN, reason=Reason.REMOVED), [("unknown", "online", "first_seen")]),
        (ONLINE, 2, entry(ONLINE), []),
        (WARNING, 1, None, [("unknown", "warning", "silent")]),
        (WARNING, 1, entry(ONLINE), [("online", "warning", "silent")]),
        (WARNING, 1, entry(WARNING), []),
        (OFFLINE, 1, None, [("unknown", "offline", "silent")]),
        (OFFLINE, 1, entry(ONLINE), [("online", "offline", "silent")]),
        (OFFLINE, 1, entry(WARNING), [("warning", "offline", "silent")]),
        (OFFLINE, 1, entry(OFFLINE), []),
        (ONLINE, 2, entry(WARNING), [("warning", "online", "returned")]),
        (ONLINE, 2, entry(OFFLINE), [("offline", "online", "returned")]),
        (WARNING, 2, entry(OFFLINE), [("offline", "online", "returned"), ("online", "warning", "silent")]),
        (OFFLINE, 2, entry(OFFLINE), [("offline", "online", "returned"), ("online", "offline", "silent")]),
        (WARNING, 2, entry(WARNING), [("warning", "online", "returned"), ("online", "warning", "silent")]),
        # Nothing but a newer record ends a silence:
        (ONLINE, 1, entry(OFFLINE), []),
        (ONLINE, 1, entry(WARNING), []),
        (WARNING, 1, entry(OFFLINE), []),
        (ONLINE, 0, entry(OFFLINE), []),
    ],
)
def test_from_what_was_announced_to_what_is(verdict, seq, before, expected):
    assert changes(known(verdict, seq=seq), before) == expected


def test_with_confirmation_a_rise_alone_is_no_return():
    careful = attrs.evolve(LOCAL, confirm_online=3)
    assert changes(known(OFFLINE, seq=2), entry(OFFLINE), timing=careful) == []
    assert changes(known(ONLINE, seq=2), entry(OFFLINE), timing=careful) == [("offline", "online", "returned")]


def test_moves_chain_by_compare_and_set():
    back, silent = moves(known(OFFLINE, seq=2), entry(OFFLINE))
    assert (back.expected, silent.expected) == ("event-before", back.entry.event_id)
    assert [move.owner for move in (back, silent)] == ["owner-1"] * 2
    assert moves(known(ONLINE), None)[0].expected is None


def test_a_silence_is_named_by_the_last_beat_before_it():
    warning, offline = moves(known(WARNING), entry(ONLINE))[0], moves(known(OFFLINE), entry(WARNING))[0]
    assert warning.transition.id == event_id("web-1", "warning", 1, 1)
    assert offline.transition.id == event_id("web-1", "offline", 1, 1)
    assert warning.transition.episode == offline.transition.episode == event_id("web-1", "silence", 1, 1)


def test_a_return_is_named_by_the_event_it_ends_and_shares_its_episode():
    back = moves(known(ONLINE, seq=9), entry(OFFLINE))[0].transition
    assert (back.id, back.episode) == (event_id("web-1", "event-before"), "episode")


def test_a_first_sight_is_named_by_the_first_registration_or_by_the_removal():
    record = beat(first_seen=START - 5)
    assert moves(known(ONLINE, record=record), None)[0].transition.id == event_id("web-1", "online", START - 5)
    again = moves(known(ONLINE, seq=2), entry(UNKNOWN, reason=Reason.REMOVED))[0]
    assert again.transition.id == event_id("web-1", "online", "event-before")


def test_times_are_deadlines_and_beats():
    assert moves(known(WARNING), entry(ONLINE))[0].transition.occurred_at_ms == START + 120_000
    assert moves(known(OFFLINE), entry(ONLINE))[0].transition.occurred_at_ms == START + 240_000
    back = moves(known(ONLINE, seq=2, silence=299_000), entry(OFFLINE))[0].transition
    assert (back.occurred_at_ms, back.detected_at_ms) == (START + 299_000, START + 300_000)
    assert back.offline_duration_ms == 59_000
    assert moves(known(ONLINE, silence=7_000), None)[0].transition.occurred_at_ms == START + 7_000


def test_an_offline_duration_is_that_of_a_return_from_offline_and_never_negative():
    assert moves(known(ONLINE, seq=2, silence=299_000), entry(WARNING))[0].transition.offline_duration_ms is None
    assert moves(known(ONLINE, seq=2, silence=100_000), entry(OFFLINE))[0].transition.offline_duration_ms == 0


def test_a_goodbye_is_dated_by_its_beat():
    left = known(OFFLINE, seq=2, silence=50_000, record=beat(seq=2, left_at=START + 50_000))
    assert changes(left, entry(ONLINE)) == [("online", "offline", "left")]
    found = moves(left, entry(ONLINE))[0].transition
    assert (found.occurred_at_ms, found.episode) == (START + 50_000, event_id("web-1", "silence", 1, 2))
    assert changes(left, entry(WARNING)) == [("warning", "online", "returned"), ("online", "offline", "left")]


def test_the_event_carries_its_evidence():
    found = moves(known(OFFLINE, seq=7), entry(ONLINE))[0]
    event = found.transition
    assert (event.machine_id, event.observer, event.last_heartbeat_ms) == ("web-1", "watcher", START)
    assert (event.incarnation, event.seq, event.basis) == (1, 7, Basis.OBSERVER)
    assert (found.entry.incarnation, found.entry.seq, found.entry.status) == (1, 7, OFFLINE)
    assert (found.entry.since_ms, found.entry.reason, found.entry.event_id) == (
        event.occurred_at_ms,
        event.reason,
        event.id,
    )


@pytest.mark.parametrize("basis", [Basis.STAMP, Basis.LEDGER, Basis.OBSERVER])
def test_the_event_says_whose_clock(basis):
    assert moves(known(OFFLINE, basis=basis), entry(ONLINE))[0].transition.basis is basis


def test_a_machine_known_only_from_the_ledger_is_silent_by_the_ledgers_evidence():
    gone = Known(None, Basis.OBSERVER, 0, START, verdict=OFFLINE)
    found = moves(gone, entry(ONLINE, seq=5))[0].transition
    assert (found.id, found.seq, found.last_heartbeat_ms) == (event_id("web-1", "offline", 1, 5), 5, None)


def test_a_removal_is_a_tombstone_with_the_last_evidence():
    found = announcer().removed("web-1", known(ONLINE, seq=4), entry(ONLINE, seq=3))
    assert found.expected == "event-before"
    assert found.entry == LedgerEntry(
        machine_id="web-1",
        status=UNKNOWN,
        event_id=event_id("web-1", "removed", 1, 4),
        reason=Reason.REMOVED,
        since_ms=START + 300_000,
        episode=None,
        incarnation=1,
        seq=4,
        announced_ms=START + 300_000,
    )
    assert (found.transition.before, found.transition.after) == (ONLINE, UNKNOWN)
    older_copy = announcer().removed("web-1", known(ONLINE, seq=2), entry(ONLINE, seq=3))
    assert (older_copy.entry.incarnation, older_copy.entry.seq) == (1, 3)
    only_ledger = announcer().removed("web-1", Known(None, Basis.SENDER, 0, START), entry(ONLINE, seq=3))
    assert (only_ledger.entry.incarnation, only_ledger.entry.seq) == (1, 3)
    assert only_ledger.transition.basis is Basis.OBSERVER


def test_two_observers_of_the_same_facts_compute_the_same_ids():
    """One looks often on the spot, one seldom from another host with a clock of its own."""
    near, far = Observer(LOCAL), Observer(REMOTE, name="far")
    life = [(0, 1), (20, 2), (300, 2), (320, 3)]
    for seconds, seq in life:
        near.look(seconds, beat(seq=seq, at=START + (0 if seq == 1 else 20_000 if seq == 2 else 320_000)))
        far.look(seconds, beat(seq=seq, at=START), wall=seconds - 4_000)
    assert [event.id for event in near.events] == [event.id for event in far.events]
    assert [str(event.reason) for event in near.events] == ["first_seen", "silent", "returned"]
