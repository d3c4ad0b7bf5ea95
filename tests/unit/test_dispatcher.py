"""`Dispatcher`: persist, deliver, mark; each listener once."""

import logging

import pytest
from core_values import event

from heartbeat_kit import MachineStatus, MemoryStorage, Reason, Transition
from heartbeat_kit._dispatcher import Dispatcher
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.storage import LedgerEntry, Move
from heartbeat_kit.testing import FaultyStorage, RecordingListener


@pytest.fixture
def ledger():
    return FaultyStorage(MemoryStorage())


@pytest.fixture
def dispatcher(ledger):
    return Dispatcher(ledger, "me")


def commit(ledger, *events, owner="me"):
    """Commit events as a look would; returns what was won."""
    won = []
    for found in events:
        before = ledger.inner.read_ledger().get(found.machine_id)
        entry = LedgerEntry(
            machine_id=found.machine_id,
            status=found.after,
            event_id=found.id,
            reason=found.reason,
            since_ms=found.occurred_at_ms,
        )
        move = Move(expected=before.event_id if before else None, entry=entry, transition=found, owner=owner)
        won += [move.transition for move in ledger.inner.commit([move])]
    return won


ONE, TWO, THREE = (event(name) for name in ("web-1", "web-2", "web-3"))


def test_events_come_in_the_order_of_their_commit(ledger, dispatcher):
    listener = RecordingListener()
    dispatcher.subscribe(listener, None)
    dispatcher.deliver(commit(ledger, TWO, ONE))
    assert listener.events == (TWO, ONE)
    dispatcher.deliver(commit(ledger, THREE))
    assert listener.events == (TWO, ONE, THREE)
    assert ledger.inner.undelivered("me") == ()


def test_what_others_committed_is_not_ours(ledger, dispatcher):
    listener = RecordingListener()
    dispatcher.subscribe(listener, None)
    commit(ledger, ONE, owner="another")
    dispatcher.deliver(())
    assert listener.events == ()


def test_without_listeners_nothing_is_taken_over_and_our_own_is_done_with(ledger, dispatcher):
    """What another left waits for somebody who listens; a listener who comes later hears no old news of ours."""
    commit(ledger, ONE)
    dispatcher.deliver(commit(ledger, TWO))
    assert ledger.calls["undelivered"] == 0
    assert ledger.inner.undelivered("me") == (ONE,)
    listener = RecordingListener()
    dispatcher.subscribe(listener, None)
    dispatcher.deliver(())
    assert listener.events == (ONE,)


def test_what_an_earlier_run_left_is_delivered_at_the_first_call(ledger, dispatcher):
    commit(ledger, ONE)
    listener = RecordingListener()
    dispatcher.subscribe(listener, None)
    dispatcher.deliver(())
    assert listener.events == (ONE,)


def test_it_is_marked_after_delivery_not_before(ledger, dispatcher):
    seen = []
    dispatcher.subscribe(lambda _: seen.append((ledger.inner.undelivered("me"), ledger.calls["delivered"])), None)
    dispatcher.deliver(commit(ledger, ONE))
    assert seen == [((ONE,), 0)]
    assert ledger.calls["delivered"] == 1


def test_a_listener_that_raises_silences_nobody(ledger, dispatcher, caplog):
    bad, good = RecordingListener(raises=ValueError("of the user")), RecordingListener()
    dispatcher.subscribe(bad, None)
    dispatcher.subscribe(good, None)
    with caplog.at_level(logging.ERROR, logger="heartbeat_kit"):
        dispatcher.deliver(commit(ledger, ONE, TWO))
    assert bad.events == good.events == (ONE, TWO)
    assert [record.levelname for record in caplog.records] == ["ERROR"] * 2
    assert ONE.id in caplog.text
    assert "of the user" in caplog.text
    dispatcher.deliver(())
    assert good.events == (ONE, TWO)
    assert ledger.inner.undelivered("me") == ()


def test_a_listener_subscribed_twice_is_called_once(ledger, dispatcher):
    listener = RecordingListener()
    for to in (None, Transition, MachineStatus.OFFLINE):
        dispatcher.subscribe(listener, to)
    dispatcher.deliver(commit(ledger, ONE))
    assert listener.events == (ONE,)


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit])
def test_an_interrupt_keeps_the_rest_for_the_next_check(ledger, dispatcher, interrupt):
    """The event under way is delivered again under the same id: at least once."""
    first, listener = RecordingListener(), RecordingListener()
    dispatcher.subscribe(first, None)

    def once(found):
        if found is TWO and len(first.of("web-2")) == 1:
            raise interrupt

    dispatcher.subscribe(once, None)
    dispatcher.subscribe(listener, None)
    won = commit(ledger, ONE, TWO, THREE)
    with pytest.raises(interrupt):
        dispatcher.deliver(won)
    assert listener.events == (ONE,)
    assert ledger.inner.undelivered("me") == (TWO, THREE)
    dispatcher.deliver(())
    assert listener.events == (ONE, TWO, THREE)
    assert first.ids == (ONE.id, TWO.id, TWO.id, THREE.id)
    assert ledger.inner.undelivered("me") == ()


@pytest.mark.parametrize("error", [None, OSError("disk")], ids=["typed", "plain"])
def test_marking_that_fails_calls_nobody_twice(ledger, dispatcher, error, caplog):
    listener = RecordingListener()
    dispatcher.subscribe(listener, None)
    ledger.fail("delivered", times=2, error=error)
    dispatcher.deliver(commit(ledger, ONE))
    assert "marking them so failed" in caplog.text
    dispatcher.deliver(())
    dispatcher.deliver(commit(ledger, TWO))
    assert listener.events == (ONE, TWO)
    assert ledger.inner.undelivered("me") == ()
    ledger.calls.clear()
    dispatcher.deliver(())
    assert ledger.calls["delivered"] == 0


def test_marking_that_fails_during_an_interrupt_calls_nobody_twice(ledger, dispatcher):
    listener = RecordingListener()
    dispatcher.subscribe(listener, None)

    def once(found):
        if found is TWO and len(listener.of("web-2")) == 1:
            raise KeyboardInterrupt

    dispatcher.subscribe(once, None)
    ledger.fail("delivered")
    won = commit(ledger, ONE, TWO)
    with pytest.raises(KeyboardInterrupt):
        dispatcher.deliver(won)
    dispatcher.deliver(())
    assert listener.ids == (ONE.id, TWO.id, TWO.id)


@pytest.mark.parametrize("error", [None, OSError("disk")], ids=["typed", "plain"])
def test_reading_that_fails_is_tried_again(ledger, dispatcher, error, caplog):
    listener = RecordingListener()
    dispatcher.subscribe(listener, None)
    ledger.fail("undelivered", error=error)
    dispatcher.deliver(commit(ledger, ONE))
    assert listener.events == ()
    assert "cannot be read" in caplog.text
    dispatcher.deliver(())
    assert listener.events == (ONE,)


def test_many_events_are_marked_in_batches(ledger, dispatcher):
    """At most 32 would be delivered again after a crash."""
    many = [event(f"web-{number}") for number in range(70)]
    marked = []
    dispatcher.subscribe(lambda _: marked.append(ledger.calls["delivered"]), None)
    dispatcher.deliver(commit(ledger, *many))
    assert marked == [0] * 32 + [1] * 32 + [2] * 6
    assert ledger.inner.undelivered("me") == ()


def test_a_listener_may_check_again_within_its_call(ledger, dispatcher):
    """Events of the inner delivery come at once, the outer one goes on, nobody hears twice."""
    heard = []

    def listener(found):
        heard.append(found.machine_id)
        if found is ONE:
            dispatcher.deliver(commit(ledger, THREE))

    dispatcher.subscribe(listener, None)
    dispatcher.deliver(commit(ledger, ONE, TWO))
    assert heard == ["web-1", "web-3", "web-2"]
    assert ledger.inner.undelivered("me") == ()


def test_a_subscription_ends(ledger, dispatcher):
    listener, other = RecordingListener(), RecordingListener()
    with dispatcher.subscribe(listener, None) as subscription:
        dispatcher.subscribe(other, None)
        dispatcher.deliver(commit(ledger, ONE))
    subscription.close()
    dispatcher.deliver(commit(ledger, TWO))
    assert (listener.events, other.events) == ((ONE,), (ONE, TWO))


@pytest.mark.parametrize(
    ("to", "wanted"),
    [
        (None, {"offline", "returned", "first_seen", "removed"}),
        (Transition, {"offline", "returned", "first_seen", "removed"}),
        (int, set()),
        (MachineStatus.OFFLINE, {"offline"}),
        ("offline", {"offline"}),
        (MachineStatus.ONLINE, {"returned"}),
        (MachineStatus.WARNING, set()),
        (MachineStatus.UNKNOWN, {"removed"}),
    ],
)
def test_who_hears_what(dispatcher, to, wanted):
    """A first registration leads to online, but nobody came back."""
    events = {
        "offline": event(),
        "returned": event(after=MachineStatus.ONLINE, reason=Reason.RETURNED),
        "first_seen": event(after=MachineStatus.ONLINE, reason=Reason.FIRST_SEEN),
        "removed": event(after=MachineStatus.UNKNOWN, reason=Reason.REMOVED),
    }
    subscription = dispatcher.subscribe(print, to)
    assert {name for name, found in events.items() if subscription.wants(found)} == wanted


@pytest.mark.parametrize("to", ["nonsense", 5, object()])
def test_a_target_that_cannot_be_is_refused(dispatcher, to):
    with pytest.raises(InvalidConfigurationError, match="to="):
        dispatcher.subscribe(print, to)


def test_a_listener_must_be_callable(dispatcher):
    with pytest.raises(InvalidConfigurationError, match="expected something to call"):
        dispatcher.subscribe("print", None)


def test_repr_names_the_listener(dispatcher):
    assert repr(dispatcher.subscribe(print, None)) == "<Subscription print to everything>"
    assert repr(dispatcher.subscribe(print, MachineStatus.OFFLINE)) == "<Subscription print to offline>"
    assert (
        repr(dispatcher.subscribe(RecordingListener(), None))
        == "<Subscription <RecordingListener 0 events> to everything>"
    )
