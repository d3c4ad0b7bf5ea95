"""`FaultyStorage`: transparent until told to fail, and then only as told."""

from itertools import combinations

import pytest

from heartbeat_kit.errors import (
    InvalidConfigurationError,
    InvalidMachineIdError,
    StorageClosedError,
    StorageCorruptError,
    StorageUnavailableError,
)
from heartbeat_kit.storage import (
    BulkWriter,
    EventLog,
    HealthProbe,
    MaintenanceCalendar,
    MemoryStorage,
    RecordLookup,
    ServiceConfigStore,
    SharedLedger,
    Snapshot,
    Storage,
    StorageTraits,
)
from heartbeat_kit.testing import FakeClock, FaultyStorage, StorageContract
from heartbeat_kit.testing._contract_hooks import beat, window
from heartbeat_kit.testing._race import move

ABILITIES = {
    RecordLookup: ("get",),
    BulkWriter: ("put_many",),
    HealthProbe: ("probe",),
    SharedLedger: ("read_ledger", "commit", "undelivered", "delivered"),
    EventLog: ("history",),
    MaintenanceCalendar: ("windows", "schedule"),
    ServiceConfigStore: ("save_service", "load_service"),
}
CALLS = {
    "put": (beat(),),
    "load": (),
    "remove": ("web-1",),
    "get": ("web-1",),
    "put_many": ((beat(),),),
    "probe": ("web-1",),
    "read_ledger": (),
    "commit": ((move("web-1"),),),
    "undelivered": ("me",),
    "delivered": (("id",),),
    "history": ("web-1", 0),
    "windows": (),
    "schedule": (window(),),
    "save_service": ({"a": 1},),
    "load_service": (),
}
KEYWORDS = {"schedule": {"forget_before_ms": 0}}


def call(storage, name):
    return getattr(storage, name)(*CALLS[name], **KEYWORDS.get(name, {}))


@pytest.fixture
def storage():
    storage = FaultyStorage(MemoryStorage())
    for name in ("web-1", "web-2"):
        storage.put(beat(name))
    return storage


class TestWithoutFaults(StorageContract):
    """The whole contract holds through the wrapper."""

    @pytest.fixture
    def storage(self):
        return FaultyStorage(MemoryStorage())


@pytest.mark.parametrize("count", range(len(ABILITIES) + 1))
def test_offers_exactly_the_abilities_of_the_storage_inside(count):
    for offered in combinations(ABILITIES, count):
        names = ["put", "load", "remove", "close", *(name for ability in offered for name in ABILITIES[ability])]
        kind = type("Partial", (), {name: getattr(MemoryStorage, name) for name in names})
        inner = kind()
        inner.traits = MemoryStorage().traits
        storage = FaultyStorage(inner)
        assert isinstance(storage, Storage)
        assert isinstance(storage, FaultyStorage)
        assert [ability for ability in ABILITIES if isinstance(storage, ability)] == list(offered)


def test_subclass_keeps_its_own_methods_and_gets_the_abilities():
    class Noisy(FaultyStorage):
        def commit(self, moves):
            return "mine"

    storage = Noisy(MemoryStorage())
    assert isinstance(storage, Noisy)
    assert isinstance(storage, EventLog)
    assert storage.commit(()) == "mine"


def test_forwards_arguments_and_answers():
    class Echo:
        traits = MemoryStorage().traits

        def close(self):
            return None

    heard = []

    def echo(name):
        def answer(self, *given, **more):
            heard.append((name, given, more))
            return (name, *given)

        return answer

    for name in CALLS:
        setattr(Echo, name, echo(name))
    storage = FaultyStorage(Echo())
    for name, arguments in CALLS.items():
        expected = None if name in {"delivered", "schedule", "save_service"} else (name, *arguments)
        assert call(storage, name) == expected
    assert heard == [(name, arguments, KEYWORDS.get(name, {})) for name, arguments in CALLS.items()]


def test_wraps_another_faulty_storage():
    outer = FaultyStorage(FaultyStorage(MemoryStorage()))
    outer.inner.go_down()
    with pytest.raises(StorageUnavailableError):
        outer.history()


def test_traits_are_those_of_the_storage_inside_or_the_ones_given():
    traits = StorageTraits(durable=True, cross_process=True, cross_host=True, coherent=False, propagation_delay=None)
    inner = MemoryStorage()
    assert FaultyStorage(inner).traits is inner.traits
    assert FaultyStorage(inner, traits=traits).traits is traits


def test_down_every_operation_raises_with_the_reason_and_nothing_happens(storage):
    storage.go_down(reason="the share is not mounted")
    for name in CALLS:
        with pytest.raises(StorageUnavailableError, match="the share is not mounted"):
            call(storage, name)
    assert not storage.inner.read_ledger()
    assert not storage.inner.windows()
    assert set(storage.inner.load().heartbeats) == {"web-1", "web-2"}
    storage.come_back()
    assert set(storage.load().heartbeats) == {"web-1", "web-2"}


def test_down_can_still_be_closed(storage):
    storage.go_down()
    storage.close()
    with pytest.raises(StorageClosedError):
        storage.inner.load()


@pytest.mark.parametrize("operation", CALLS)
def test_fail_strikes_as_often_as_told_and_that_operation_only(operation):
    storage = FaultyStorage(MemoryStorage())
    storage.fail(operation, times=2)
    for name in CALLS:
        if name != operation:
            call(storage, name)
    for _ in range(2):
        with pytest.raises(StorageUnavailableError, match=f"{operation} failed"):
            call(storage, operation)
    call(storage, operation)


@pytest.mark.parametrize("error", [StorageCorruptError("gone"), KeyboardInterrupt])
def test_fail_raises_what_is_given(storage, error):
    storage.fail("commit", error=error)
    with pytest.raises(error if isinstance(error, type) else type(error)):
        storage.commit((move("web-1"),))
    assert not storage.read_ledger()


def test_fail_can_be_taken_back(storage):
    storage.fail("put", times=5)
    storage.fail("put", times=0)
    assert storage.put(beat(seq=2)).seq == 2


@pytest.mark.parametrize("operation", ["puts", "close", "", "_begin"])
def test_unknown_operation_is_refused_with_the_known_ones(storage, operation):
    for ask in (lambda: storage.fail(operation), lambda: storage.before(operation, print)):
        with pytest.raises(InvalidConfigurationError, match=r"put, load, remove, get, .*history"):
            ask()


def test_operation_the_storage_inside_lacks_is_refused():
    class Plain:
        traits = MemoryStorage().traits
        put = load = remove = close = lambda self: None

    with pytest.raises(InvalidConfigurationError, match=r"expected one of put, load, remove$"):
        FaultyStorage(Plain()).fail("commit")


def test_corrupt_record_is_unreadable_until_healed(storage):
    storage.corrupt(" WEB-1", "0 bytes")
    storage.put(beat("web-1", 2))
    snapshot = storage.load()
    assert set(snapshot.heartbeats) == {"web-2"}
    assert snapshot.unreadable == {"web-1": "0 bytes"}
    assert storage.get("web-1") is None
    storage.heal("Web-1")
    assert storage.load().heartbeats["web-1"].seq == storage.get("web-1").seq == 2
    assert not storage.load().unreadable


def test_hidden_record_is_absent_everywhere_until_shown(storage):
    storage.corrupt("web-1")
    storage.hide("WEB-1")
    snapshot = storage.load()
    assert (set(snapshot.heartbeats), dict(snapshot.unreadable)) == ({"web-2"}, {})
    storage.heal("web-1")
    assert storage.get("web-1") is None
    assert set(storage.load().heartbeats) == {"web-2"}
    storage.show("web-1")
    assert storage.get("web-1").seq == 1
    assert set(storage.load().heartbeats) == {"web-1", "web-2"}


def test_hiding_keeps_the_rest_of_the_snapshot(storage):
    class Rich(MemoryStorage):
        def load(self):
            return Snapshot(
                heartbeats=super().load().heartbeats,
                unreadable={"bad-1": "cut", "bad-2": "cut"},
                conflicts={"web-1": "two copies", "web-2": "two copies"},
                server_time_ms=7,
            )

    storage = FaultyStorage(Rich())
    storage.hide("web-1")
    storage.hide("bad-1")
    assert storage.load() == Snapshot(
        heartbeats={}, unreadable={"bad-2": "cut"}, conflicts={"web-2": "two copies"}, server_time_ms=7
    )


@pytest.mark.parametrize("method", ["corrupt", "heal", "hide", "show"])
def test_machine_ids_are_checked(storage, method):
    with pytest.raises(InvalidMachineIdError):
        getattr(storage, method)("../escaped")


def test_frozen_reads_stay_at_one_moment_while_writes_go_on(storage):
    storage.freeze()
    storage.put(beat("web-1", 2))
    storage.put(beat("web-3"))
    storage.remove("web-2")
    assert {name: record.seq for name, record in storage.load().heartbeats.items()} == {"web-1": 1, "web-2": 1}
    assert (storage.get("web-1").seq, storage.get("web-3")) == (1, None)
    storage.thaw()
    assert {name: record.seq for name, record in storage.load().heartbeats.items()} == {"web-1": 2, "web-3": 1}


def test_lost_writes_report_success_and_store_nothing(storage):
    storage.lose_writes()
    assert storage.put(beat("web-1", 2)).seq == 2
    assert storage.load().heartbeats["web-1"].seq == 1
    storage.lose_writes(False)
    storage.put(beat("web-1", 3))
    assert storage.load().heartbeats["web-1"].seq == 3


def test_close_ends_every_pretence(storage):
    storage.freeze()
    storage.lose_writes()
    storage.close()
    for name in CALLS:
        with pytest.raises(StorageClosedError):
            call(storage, name)


def test_calls_are_counted_the_failed_ones_too(storage):
    storage.calls.clear()
    storage.load()
    storage.go_down()
    for _ in range(2):
        with pytest.raises(StorageUnavailableError):
            storage.load()
    storage.close()
    assert storage.calls == {"load": 3, "close": 1}


def test_hook_runs_before_the_operation_and_can_make_it_slow(storage):
    clock, seen = FakeClock(), []
    storage.before("put", lambda: (clock.advance(7), seen.append(storage.inner.get("web-1").seq)))
    storage.put(beat("web-1", 2))
    assert (clock.monotonic, seen) == (7, [1])
    storage.before("put", None)
    storage.put(beat("web-1", 3))
    assert clock.monotonic == 7


def test_hook_can_raise_and_can_take_the_storage_down_for_its_own_call(storage):
    def boom():
        raise ZeroDivisionError

    storage.before("load", boom)
    with pytest.raises(ZeroDivisionError):
        storage.load()
    storage.before("load", storage.go_down)
    with pytest.raises(StorageUnavailableError):
        storage.load()


def test_unfaulted_load_is_the_very_snapshot_of_the_storage_inside():
    snapshot = Snapshot(heartbeats={})
    inner = MemoryStorage()
    inner.load = lambda: snapshot
    assert FaultyStorage(inner).load() is snapshot


def test_repr_lists_the_faults(storage):
    assert repr(storage) == "<FaultyStorage healthy over <MemoryStorage 2 machines>>"
    storage.go_down()
    storage.freeze()
    storage.lose_writes()
    storage.fail("put", times=3)
    storage.corrupt("web-1")
    storage.hide("web-2")
    assert repr(storage) == (
        "<FaultyStorage down, frozen, losing writes, put fails 3x, 1 corrupt, 1 hidden over <MemoryStorage 2 machines>>"
    )
