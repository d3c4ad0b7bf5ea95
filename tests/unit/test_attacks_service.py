"""What an attack on the service found: races, re-entrance, arguments of the wrong type, events told twice."""

import threading
from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_kit import HeartbeatConfig, HeartbeatService, MemoryStorage, StorageTraits, classify
from heartbeat_kit.errors import HeartbeatKitError, InvalidConfigurationError
from heartbeat_kit.testing import FakeClock, FaultyStorage, RecordingListener

PATIENCE = 10
"""Seconds after which a thread that should have ended counts as hung."""


def ended(*targets):
    """Run each target in a thread of its own; true if all of them end."""
    threads = [threading.Thread(target=target, daemon=True) for target in targets]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(PATIENCE)
    return not any(thread.is_alive() for thread in threads)


def test_what_one_thread_delivers_no_other_delivers_again():
    """B reads what waits, A finishes and marks it, B claims: the event must not come twice."""
    storage = FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, clock=FakeClock(), machine_id="watcher")
    heard, a_listens, a_may_end = RecordingListener(), threading.Event(), threading.Event()
    service.subscribe(heard)

    def hold_a(event):
        if event.machine_id == "a":
            a_listens.set()
            a_may_end.wait(PATIENCE)

    service.subscribe(hold_a)
    service.register(machine_id="a")
    first = threading.Thread(target=lambda: service.check(force=True), daemon=True)
    first.start()
    assert a_listens.wait(PATIENCE)
    service.register(machine_id="b")
    undelivered = storage.inner.undelivered

    def slow(owner):
        waiting = undelivered(owner)
        a_may_end.set()
        first.join(0.3)  # the time in which A would finish between the reading and the claim
        return waiting

    storage.inner.undelivered = slow
    service.check(force=True)
    first.join(PATIENCE)
    assert sorted(event.machine_id for event in heard.events) == ["a", "b"]


def test_a_stop_during_a_start_stops():
    """The start is in its first beat when the stop comes: nothing runs afterwards, and nothing is locked."""
    storage = FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, machine_id="web-1")
    beating, go_on = threading.Event(), threading.Event()

    def slow_put():
        beating.set()
        go_on.wait(PATIENCE)

    storage.before("put", slow_put)
    starting = threading.Thread(target=service.start, daemon=True)
    starting.start()
    assert beating.wait(PATIENCE)
    stopping = threading.Thread(target=service.stop, daemon=True)
    stopping.start()
    stopping.join(0.1)
    go_on.set()
    starting.join(PATIENCE)
    stopping.join(PATIENCE)
    assert not stopping.is_alive()
    assert not service.is_running
    with service:
        assert service.start().is_running


@pytest.mark.parametrize("call", ["check", "state", "register"])
@pytest.mark.parametrize(("operation", "outer"), [("load", "check"), ("load", "state"), ("put", "register")])
def test_a_signal_handler_may_call_what_it_interrupted(call, operation, outer):
    """A handler runs on the thread it interrupts, inside the storage as well as anywhere else."""
    storage = FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, clock=FakeClock(), machine_id="web-1")
    service.register()
    answers = []

    def handler():
        storage.before(operation, None)
        answers.append(getattr(service, call)())

    storage.before(operation, handler)
    assert ended(getattr(service, outer))
    assert len(answers) == 1
    assert str(service.state()["web-1"].status) == "online"


def test_a_slow_storage_under_a_fake_clock_does_not_hang_a_running_service():
    """Time that passes in a look on demand lets the background look take its turn, on the same thread."""
    clock, storage = FakeClock(), FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, clock=clock, machine_id="web-1")
    service.start()
    storage.before("load", lambda: (storage.before("load", None), clock.advance(100)))
    assert ended(lambda: service.check(force=True))
    assert [str(machine.status) for machine in service.state()] == ["online"]
    service.stop()


def test_a_longer_timeout_announces_nothing_of_a_record_that_cannot_be_read():
    """Known from the ledger alone: nothing but a newer record ends a silence, and no id comes twice."""
    clock, storage, heard = FakeClock(), FaultyStorage(MemoryStorage()), RecordingListener()
    HeartbeatService(storage, clock=clock, machine_id="before").register(machine_id="web-1")
    clock.advance(250)
    first = HeartbeatService(storage, clock=clock, machine_id="watcher")
    first.subscribe(heard)
    first.check(force=True)
    assert heard.changes == (("web-1", "offline"),)
    storage.corrupt("web-1")
    again = HeartbeatService(storage, HeartbeatConfig(silence_hold=timedelta(0)), clock=clock, machine_id="watcher")
    again.subscribe(heard)
    for _ in range(10):
        clock.advance(30)
        again.check(force=True)
    again.reconfigure(offline_timeout=timedelta(seconds=200))
    for _ in range(60):
        clock.advance(30)
        again.check(force=True)
    assert heard.changes == (("web-1", "offline"),)
    assert len(set(heard.ids)) == len(heard.ids)


def medium(cross_host):
    """Memory that hosts share, or the processes of one host."""
    return FaultyStorage(
        MemoryStorage(traits=StorageTraits(durable=False, cross_process=False, cross_host=cross_host, coherent=True))
    )


@pytest.mark.parametrize("cross_host", [False, True])
@pytest.mark.parametrize("query", [False, True])
def test_a_first_look_that_hangs_makes_nobody_look_older(cross_host, query):
    """The record is a second old when the load returns; the five minutes were the observer's."""
    clock, storage, heard = FakeClock(), medium(cross_host), RecordingListener()
    sender = HeartbeatService(storage, clock=clock, machine_id="web-1")
    sender.register()
    watcher = HeartbeatService(storage, clock=clock, machine_id="watcher")
    watcher.subscribe(heard)

    def hang():
        storage.before("load", None)
        clock.advance(300)
        sender.register()
        clock.advance(1)

    storage.before("load", hang)
    if query:
        watcher.state()
    watcher.check(force=True)
    clock.advance(29)
    watcher.check(force=True)
    assert str(watcher.state()["web-1"].status) == "online"
    assert ("web-1", "offline") not in heard.changes


def test_a_clock_that_is_set_buries_nobody_who_could_not_be_read_until_now():
    """No stamp is believed in the look that meets the jump, not even of a record met for the first time."""
    clock, storage, heard = FakeClock(), medium(cross_host=False), RecordingListener()
    sender = HeartbeatService(storage, clock=clock, machine_id="web-1")
    sender.register()
    clock.advance(250)
    HeartbeatService(storage, clock=clock, machine_id="before").check(force=True)
    storage.corrupt("web-1")
    watcher = HeartbeatService(storage, clock=clock, machine_id="watcher")
    watcher.subscribe(heard)
    watcher.check(force=True)
    sender.register()
    storage.heal("web-1")
    clock.jump_wall(3600)
    watcher.check(force=True)
    clock.advance(30)
    sender.register()
    watcher.check(force=True)
    assert heard.changes == (("web-1", "online"),)


WRONG = [None, "x", b"x", -1, float("nan"), float("inf"), [], {}, object(), datetime(2026, 1, 1)]  # noqa: DTZ001 - naive on purpose


@pytest.mark.parametrize(
    "value",
    WRONG,
    ids=lambda value: type(value).__name__ + "-" + str(value)[:8] if type(value) is not object else "object",
)
@pytest.mark.parametrize(
    ("call", "allowed"),
    [
        (lambda service, value: service.wait_for("web-1", "online", value), (-1,)),
        (lambda service, value: service.prune(value), ()),
        (lambda service, value: service.history(since=value), (None,)),
        (lambda _, value: HeartbeatService(MemoryStorage(), machine_id="a", clock=value), (None,)),
        (lambda _, value: HeartbeatService(MemoryStorage(), machine_id="a", state_dir=value), (None, "x")),
        (lambda _, value: classify(datetime.now(UTC), datetime.now(UTC), offline_timeout=value), ()),
    ],
    ids=["wait_for", "prune", "history", "clock", "state_dir", "classify"],
)
def test_an_argument_of_the_wrong_type_is_a_typed_error(call, allowed, value):
    service = HeartbeatService(MemoryStorage(), clock=FakeClock(), machine_id="watcher")
    if any(value is one or value == one for one in allowed):
        call(service, value)
        return
    with pytest.raises(InvalidConfigurationError, match=r"expected|give the path"):
        call(service, value)


@pytest.mark.parametrize("moment", ["x", 1, b"x"])
def test_what_is_no_time_is_not_classified(moment):
    now = datetime.now(UTC)
    for arguments in ((moment, now), (now, moment)):
        with pytest.raises(HeartbeatKitError, match="expected a datetime"):
            classify(*arguments)
