"""`Beater`: the life of a sender."""

import os
import threading

import pytest
from core_values import START, beat

from heartbeat_kit import Instant, MemoryStorage, _metadata
from heartbeat_kit._beater import Beater
from heartbeat_kit.errors import StorageUnavailableError
from heartbeat_kit.testing import FaultyStorage


class NoLookup:
    """A storage without the ability to read one record."""

    def __init__(self, inner):
        self.inner = inner

    traits = property(lambda self: self.inner.traits)

    def put(self, heartbeat):
        return self.inner.put(heartbeat)

    def load(self):
        return self.inner.load()

    def remove(self, machine_id):
        return self.inner.remove(machine_id)

    def close(self):
        self.inner.close()


@pytest.fixture(params=[False, True], ids=["lookup", "no lookup"])
def storage(request):
    return NoLookup(MemoryStorage()) if request.param else MemoryStorage()


def at(seconds):
    return Instant(START + 1_000 * seconds, 1_000 * seconds)


def stored(storage):
    return storage.load().heartbeats["web-1"]


def beater(storage, host="here"):
    return Beater(storage, "web-1", host)


def test_a_first_beat(storage):
    outcome = beater(storage).beat(at(5), 30_000, metadata=_metadata.encode({"a": 1}))
    assert outcome.is_new
    assert outcome.heartbeat == stored(storage)
    assert stored(storage) == beat(
        at=START + 5_000, incarnation=START + 5_000, seq=1, metadata={"a": 1}, host="here", first_seen=START + 5_000
    )


def test_later_beats_rise_and_keep_what_was_said(storage):
    sender = beater(storage)
    sender.beat(at(0), 30_000, metadata=_metadata.encode({"a": 1}))
    outcome = sender.beat(at(30), 60_000)
    assert not outcome.is_new
    assert outcome.heartbeat == beat(
        at=START + 30_000, incarnation=START, seq=2, interval=60_000, metadata={"a": 1}, host="here", first_seen=START
    )
    assert sender.stored == stored(storage) == outcome.heartbeat


def test_metadata_can_be_replaced_and_cleared(storage):
    sender = beater(storage)
    for given in ({"a": 1}, {"b": 2}, {}):
        sender.beat(at(0), 30_000, metadata=_metadata.encode(given))
        assert stored(storage).metadata == given


def test_one_shot_senders_continue_the_stored_life(storage):
    beater(storage).beat(at(0), 30_000, metadata=_metadata.encode({"a": 1}))
    outcome = beater(storage).beat(at(9), 30_000)
    assert (outcome.heartbeat.order, outcome.is_new) == ((START, 2), False)
    assert (outcome.heartbeat.metadata, outcome.heartbeat.first_seen_ms) == ({"a": 1}, START)


@pytest.mark.parametrize(("later", "life"), [(60, START + 60_000), (-3_600, START + 1), (0, START + 1)])
def test_a_start_begins_a_life_above_the_stored_one_and_the_wall_clock(storage, later, life):
    """Whatever was done to the clock in between."""
    beater(storage).beat(at(0), 30_000)
    sender = beater(storage)
    sender.begin()
    assert sender.beat(at(later), 30_000).heartbeat.order == (life, 1)
    assert sender.beat(at(later), 30_000).heartbeat.order == (life, 2)
    assert stored(storage).first_seen_ms == START


def test_a_first_start_is_the_wall_clock_even_before_the_epoch(storage):
    sender = beater(storage)
    sender.begin()
    assert sender.beat(Instant(-5, 0), 30_000).heartbeat.order == (0, 1)


def test_a_life_forgotten_is_outlived_by_the_next(storage):
    """Removed and beating again in the same millisecond, or after the clock was set back."""
    sender = beater(storage)
    first = sender.beat(at(0), 30_000).heartbeat
    storage.remove("web-1")
    sender.forget()
    assert sender.stored is None
    again = sender.beat(at(-60), 30_000)
    assert again.is_new
    assert again.heartbeat.order > first.order


def test_a_storage_away_at_the_start_is_read_at_the_first_success():
    storage = FaultyStorage(MemoryStorage())
    storage.put(beat(at=START, incarnation=START + 10**9, seq=7, first_seen=5))
    sender = beater(storage)
    sender.begin()
    storage.go_down("no disk")
    for seconds in (0, 30):
        with pytest.raises(StorageUnavailableError):
            sender.beat(at(seconds), 30_000)
        assert sender.pending == "no disk"
        assert sender.stored is None
    storage.come_back()
    assert sender.beat(at(60), 30_000).heartbeat.order == (START + 10**9 + 1, 1)
    assert stored(storage).first_seen_ms == 5
    assert sender.pending is None


@pytest.mark.parametrize("failing", ["get", "put"])
@pytest.mark.parametrize("earlier", [0, 2])
def test_the_next_beat_carries_everything_a_failed_one_did(failing, earlier):
    storage = FaultyStorage(MemoryStorage())
    sender = beater(storage)
    for second in range(earlier):
        sender.beat(at(second), 30_000, metadata=_metadata.encode({"old": 1}))
    sender.forget()
    storage.fail(failing)
    with pytest.raises(StorageUnavailableError):
        sender.beat(at(10), 30_000, metadata=_metadata.encode({"new": 2}))
    sender.beat(at(20), 30_000)
    assert stored(storage).metadata == {"new": 2}
    sender.beat(at(30), 30_000)
    assert (stored(storage).metadata, stored(storage).seq) == ({"new": 2}, earlier + 2)


def test_an_error_without_words_is_pending_by_its_name():
    storage = FaultyStorage(MemoryStorage())
    storage.fail("put", error=OSError())
    sender = beater(storage)
    with pytest.raises(OSError, match=r"^$"):
        sender.beat(at(0), 30_000)
    assert sender.pending == "OSError"


def test_two_processes_interleave_in_one_life(storage):
    one, two = beater(storage), beater(storage)
    orders = [sender.beat(at(second), 30_000).heartbeat.order for second, sender in enumerate((one, two) * 4)]
    assert orders == [(START, seq) for seq in range(1, 9)]


def test_a_running_service_goes_on_in_its_life_after_a_one_shot(storage):
    service = beater(storage)
    service.begin()
    service.beat(at(0), 30_000)
    beater(storage).beat(at(1), 30_000)
    assert service.beat(at(2), 30_000).heartbeat.order == (START, 3)


@pytest.mark.parametrize(("host", "kept"), [("here", {"a": 2}), ("elsewhere", {"a": 1})])
def test_what_another_process_of_the_host_said_stays_and_what_another_host_said_does_not(storage, host, kept):
    service = beater(storage)
    service.begin()
    service.beat(at(0), 30_000, metadata=_metadata.encode({"a": 1}))
    beater(storage, host).beat(at(10), 30_000, metadata=_metadata.encode({"a": 2}))
    service.beat(at(30), 30_000)
    assert stored(storage).metadata == kept
    assert (service.met is None) == (host == "here")


def test_a_one_shot_follows_a_service_that_began_a_new_life(storage):
    shot, service = beater(storage), beater(storage)
    shot.beat(at(0), 30_000)
    service.begin()
    service.beat(at(5), 30_000)
    assert shot.beat(at(6), 30_000).heartbeat.order == (START + 5_000, 2)


def test_a_service_that_meets_a_newer_life_begins_one_above_it(storage):
    """Another host under the same id: both go on, and observers see the hosts alternate."""
    one, two = beater(storage, "a"), beater(storage, "b")
    for sender in (one, two):
        sender.begin()
    one.beat(at(0), 30_000)
    two.beat(at(10), 30_000)
    assert stored(storage).order == (START + 10_000, 1)
    assert one.beat(at(20), 30_000).heartbeat.order == (START + 10_001, 1)
    assert two.beat(at(30), 30_000).heartbeat.order == (START + 10_002, 1)


def test_the_earliest_first_sight_is_kept(storage):
    sender = beater(storage)
    sender.beat(at(0), 30_000)
    storage.put(beat(at=START, incarnation=START + 9, first_seen=7))
    assert sender.beat(at(1), 30_000).heartbeat.first_seen_ms == 7
    storage.put(beat(at=START, incarnation=START + 99, first_seen=START))
    assert sender.beat(at(2), 30_000).heartbeat.first_seen_ms == 7


def test_a_machine_that_meets_a_record_at_its_first_beat_is_not_new(storage):
    sender = beater(storage)
    put, raced = storage.put, []

    def racing(heartbeat):
        if not raced:
            raced.append(put(beat(at=START, incarnation=START + 5, seq=3)))
        return put(heartbeat)

    storage.put = racing
    outcome = sender.beat(at(0), 30_000)
    assert (outcome.heartbeat.order, outcome.is_new) == ((START + 5, 4), False)


def test_a_storage_that_always_knows_better_is_given_up():
    class Contrary(MemoryStorage):
        puts = 0

        def put(self, heartbeat):
            self.puts += 1
            return beat(at=START, incarnation=heartbeat.incarnation, seq=heartbeat.seq + 1)

    storage = Contrary()
    with pytest.raises(StorageUnavailableError, match="too many senders") as caught:
        beater(storage).beat(at(0), 30_000)
    assert (storage.puts, caught.value.machine_id) == (100, "web-1")


def test_a_goodbye_and_a_return(storage):
    sender = beater(storage)
    assert sender.beat(at(0), 30_000, leaving=True).heartbeat.left_at_ms == START
    assert sender.beat(at(1), 30_000).heartbeat.left_at_ms is None


def test_threads_share_one_sender_without_losing_a_beat(storage):
    sender = beater(storage)
    threads = [threading.Thread(target=lambda: [sender.beat(at(0), 30_000) for _ in range(50)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert stored(storage).seq == 200


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
@pytest.mark.filterwarnings("ignore:This process:DeprecationWarning")
def test_a_forked_child_starts_afresh_and_does_not_hang_on_the_parents_lock(storage):
    sender = beater(storage)
    sender.begin()
    sender.beat(at(0), 30_000)
    sender.pending = "of the parent"
    sender._lock.acquire()  # another thread of the parent is within a beat
    child = os.fork()
    if child == 0:
        code = 1
        try:
            heartbeat = sender.beat(at(9), 30_000).heartbeat  # continues as a one-shot would
            code = 0 if heartbeat.order == (START, 2) and sender.pending is None else 2
        finally:
            os._exit(code)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    sender._lock.release()
    assert sender.pending == "of the parent"
