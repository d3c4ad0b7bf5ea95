"""The contract of the optional abilities, one caller at a time: ledger, event log, service configuration.

Owns these tests; what a storage does not offer is skipped. Must not know any backend.
"""

# ruff: noqa: S101 - a shipped test suite asserts

from __future__ import annotations

from typing import cast

import attrs
import pytest

from heartbeat_kit._events import Basis, Reason, Transition
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.errors import StorageClosedError
from heartbeat_kit.storage._protocol import (
    BulkWriter,
    EventLog,
    HealthProbe,
    Move,
    Probe,
    ServiceConfigStore,
    SharedLedger,
    Storage,
)
from heartbeat_kit.testing._contract_hooks import START_MS, ContractHooks, assert_exact, beat, must_refuse
from heartbeat_kit.testing._race import fleet_moves, move

__all__ = ["AbilityTests", "ledger_of"]


def ledger_of(storage: Storage) -> SharedLedger:
    """The storage as a ledger; skips the test if it offers none."""
    if not isinstance(storage, SharedLedger):
        pytest.skip("this storage does not offer SharedLedger")
    return storage


def _log_of(storage: Storage) -> tuple[SharedLedger, EventLog]:
    if not isinstance(storage, EventLog):
        pytest.skip("this storage does not offer EventLog")
    return ledger_of(storage), cast("EventLog", storage)


def _full_move(machine_id: str) -> Move:
    """A move in which every optional field is set."""
    plain = move(machine_id, at=START_MS)
    return attrs.evolve(
        plain,
        entry=attrs.evolve(
            plain.entry,
            status=MachineStatus.ONLINE,
            reason=Reason.RETURNED,
            episode=None,
            incarnation=2**63 - 1,
            seq=2**63 - 1,
            flapping=True,
            suppressed=True,
            steady=MachineStatus.WARNING,
        ),
        transition=Transition(
            id=plain.transition.id,
            machine_id=machine_id,
            before=MachineStatus.OFFLINE,
            after=MachineStatus.ONLINE,
            reason=Reason.RETURNED,
            observer="other-host",
            occurred_at=START_MS,
            detected_at=START_MS + 1,
            last_heartbeat=0,
            incarnation=2**63 - 1,
            seq=2**63 - 1,
            offline_duration=0,
            basis=Basis.LEDGER,
            flapping=True,
            suppressed=True,
        ),
    )


class AbilityTests(ContractHooks):
    """Part of `StorageContract`."""

    def test_ledger_starts_empty(self, storage: Storage) -> None:
        """Nothing announced, nothing to deliver."""
        ledger = ledger_of(storage)
        assert dict(ledger.read_ledger()) == {}, "a new storage has announced nothing"
        assert ledger.undelivered("observer") == (), "a new storage has nothing to deliver: return an empty tuple"
        assert ledger.commit(()) == (), "committing no moves wins none"

    def test_ledger_round_trip(self, storage: Storage) -> None:
        """Every field of an entry and of a transition comes back with its value and type."""
        ledger = ledger_of(storage)
        moves = (move("web-1", at=START_MS), _full_move("web-2"))
        assert ledger.commit(moves) == moves, "commit returns the moves made, in their order"
        entries, events = ledger.read_ledger(), ledger.undelivered("observer")
        assert set(entries) == {"web-1", "web-2"}, f"the ledger holds {sorted(entries)}"
        assert len(events) == 2, f"two transitions are to be delivered, found {events}"
        for made, event in zip(moves, events, strict=True):
            assert_exact(entries[made.entry.machine_id], made.entry, "read_ledger")
            assert_exact(event, made.transition, "undelivered")

    def test_events_about_the_fleet(self, storage: Storage) -> None:
        """They are committed, delivered and kept as those of a machine are, under keys that are no machine ids."""
        ledger = ledger_of(storage)
        moves = (move("web-1"), *fleet_moves("web-1", "web-2", at=START_MS))
        assert ledger.commit(moves) == moves, (
            "a key that begins with * is about the fleet: do not take it for a machine id"
        )
        assert ledger.commit(moves) == (), "a move about the fleet was made twice: compare, then set"
        entries, events = ledger.read_ledger(), ledger.undelivered("observer")
        assert set(entries) == {made.entry.machine_id for made in moves}, f"the ledger holds {sorted(entries)}"
        assert len(events) == len(moves), f"{len(moves)} events are to be delivered, found {events}"
        for made, event in zip(moves, events, strict=True):
            assert_exact(entries[made.entry.machine_id], made.entry, "read_ledger")
            assert_exact(event, made.transition, "undelivered")
        assert not storage.load().heartbeats, "an event about the fleet is listed as a machine"
        ledger.delivered([event.id for event in events])
        assert ledger.undelivered("observer") == (), "delivered did not mark an event about the fleet"

    def test_commit_compares_before_it_sets(self, storage: Storage) -> None:
        """Only a move whose expectation holds is made; the others of the same call are not affected."""
        ledger = ledger_of(storage)
        first = move("web-1", seq=1)
        assert ledger.commit((first,)) == (first,), "a move that expects no entry is made where there is none"
        assert ledger.commit((first,)) == (), "a move that expects no entry was made over one: compare, then set"
        early = move("web-1", seq=3, before="somebody else's event")
        assert ledger.commit((early,)) == (), "a move was made though it expected another event in force"
        absent = move("web-2", seq=1, before=first.entry.event_id)
        second = move("web-1", seq=2, before=first.entry.event_id)
        third = move("web-1", seq=3, before=second.entry.event_id)
        other = move("web-3", seq=1)
        made = ledger.commit((absent, second, third, other))
        assert made == (second, third, other), (
            f"commit made {[item.entry for item in made]}: try the moves one after another, each against what the ones "
            "before it left; a refused move takes no other along"
        )
        found = {name: entry.event_id for name, entry in ledger.read_ledger().items()}
        assert found == {"web-1": third.entry.event_id, "web-3": other.entry.event_id}, f"the ledger holds {found}"
        assert [event.id for event in ledger.undelivered("observer")] == [
            item.transition.id for item in (first, second, third, other)
        ], "undelivered gives the transitions of the moves made, in the order of their commit, and no others"

    def test_ledger_mapping_never_changes(self, storage: Storage) -> None:
        """What read_ledger returned stays as it was."""
        ledger = ledger_of(storage)
        ledger.commit((move("web-1"),))
        before = ledger.read_ledger()
        ledger.commit((move("web-2"),))
        assert set(before) == {"web-1"}, "the mapping changed after read_ledger returned it: give out a copy"

    def test_undelivered_until_marked(self, storage: Storage) -> None:
        """A transition is to be delivered until it is marked, and never again."""
        ledger = ledger_of(storage)
        moves = tuple(move(f"web-{number}") for number in (3, 1, 2))
        ledger.commit(moves)
        ids = [made.transition.id for made in moves]
        for _ in range(2):
            assert [event.id for event in ledger.undelivered("observer")] == ids, (
                "undelivered gives all that is not marked, in the order of the commit; asking does not mark"
            )
        ledger.delivered((ids[1], "unknown"))
        assert [event.id for event in ledger.undelivered("observer")] == [ids[0], ids[2]], (
            "delivered marks only its ids"
        )
        ledger.delivered(ids)
        ledger.delivered(ids)
        assert ledger.undelivered("observer") == (), "a delivered transition is handed out again"
        assert set(ledger.read_ledger()) == {"web-1", "web-2", "web-3"}, (
            "delivering an event does not unmake the announcement"
        )

    def test_living_owner_keeps_its_events(self, storage: Storage) -> None:
        """While the handle that committed is open, nobody else is given its transitions."""
        ledger = ledger_of(storage)
        mine, theirs = move("web-1", owner="owner-1"), move("web-2", owner="owner-2")
        ledger.commit((mine, theirs))
        assert [event.id for event in ledger.undelivered("owner-1")] == [mine.transition.id], (
            "an owner gets its own events"
        )
        with self.another(storage, required=False) as other:
            found = ledger_of(other).undelivered("owner-3")
            assert found == (), f"{found} was handed to another owner while the one that committed lives: told twice"
        assert ledger.undelivered("owner-2") == (theirs.transition,), "an owner lost its events"

    def test_ledger_through_another_handle(self, storage: Storage) -> None:
        """What one handle announced another does not announce again."""
        ledger = ledger_of(storage)
        with self.another(storage) as other:
            shared = ledger_of(other)
            assert dict(shared.read_ledger()) == {}, "a new storage has announced nothing"
            first = move("web-1")
            ledger.commit((first,))
            assert shared.commit((move("web-1", owner="other"),)) == (), (
                "a second handle announced it again: compare with what is stored, not with what the handle remembers"
            )
            second = move("web-1", before=first.entry.event_id, seq=2)
            assert shared.commit((second,)) == (second,), "a second handle cannot go on from what the first announced"
            assert dict(ledger.read_ledger()) == {"web-1": second.entry}, (
                "the first handle does not see the second's move"
            )
            for made in shared.commit((_full_move("web-2"), *fleet_moves("web-1"))):
                found = ledger.read_ledger().get(made.entry.machine_id)
                assert_exact(found, made.entry, f"read_ledger of another handle for {made.entry.machine_id!r}")

    def test_records_and_ledger_are_apart(self, storage: Storage) -> None:
        """A beat leaves the ledger alone, and a removed machine stays announced until somebody announces otherwise."""
        ledger = ledger_of(storage)
        storage.put(beat("web-1"))
        made = move("web-1")
        ledger.commit((made,))
        storage.put(beat("web-1", 2))
        storage.put(beat("web-2"))
        storage.remove("web-1")
        assert dict(ledger.read_ledger()) == {"web-1": made.entry}, "put or remove changed what was announced"
        assert set(storage.load().heartbeats) == {"web-2"}, "commit changed the records"

    def test_history(self, storage: Storage) -> None:
        """A committed transition is in the history, in order, by machine and by time; delivery does not remove it."""
        ledger, log = _log_of(storage)
        assert log.history() == (), "a new storage has no history: return an empty tuple"
        first = move("web-1", at=100)
        moves = (first, move("web-2", at=300), move("web-1", before=first.entry.event_id, seq=2, at=200))
        for made in moves:
            ledger.commit((made,))
        ledger.commit((move("web-1", seq=9),))  # refused, so it never happened
        events = tuple(made.transition for made in moves)
        assert log.history() == events, "history gives every committed transition, once, in the order of the commit"
        ledger.delivered([event.id for event in events])
        assert log.history() == events, "delivery must not remove a transition from the history"
        assert log.history("WEB-1") == (events[0], events[2]), "history of one machine: normalise the id, then filter"
        assert log.history("web-9") == (), "a machine nothing happened to has no history"
        assert log.history(since_ms=200) == events[1:], "since_ms is inclusive and is compared with detected_at"
        assert log.history("web-1", 201) == (), "machine_id and since_ms together mean both"
        full = _full_move("web-5")
        ledger.commit((full,))
        assert_exact(log.history("web-5")[0], full.transition, "history")

    def test_history_of_the_fleet(self, storage: Storage) -> None:
        """Events about the fleet are in the history in their turn, and belong to no machine."""
        ledger, log = _log_of(storage)
        moves = (move("web-1", at=100), *fleet_moves("web-1", at=200), move("web-2", at=300))
        ledger.commit(moves)
        events = tuple(made.transition for made in moves)
        assert log.history() == events, "history gives events about the fleet too, in the order of the commit"
        ledger.delivered([event.id for event in events])
        for found, wanted in zip(log.history(), events, strict=True):
            assert_exact(found, wanted, "history")
        assert log.history("web-1") == events[:1], "an event about the fleet is of no machine, whomever it names"
        assert log.history(since_ms=200) == events[1:], "since_ms is compared with detected_at of every kind of event"

    def test_history_through_another_handle(self, storage: Storage) -> None:
        """The history is the storage's, not the handle's."""
        ledger, _ = _log_of(storage)
        made = (move("web-1"), _full_move("web-2"), *fleet_moves("web-1", "web-2"))
        ledger.commit(made)
        with self.another(storage) as other:
            found = _log_of(other)[1].history()
            assert [event.id for event in found] == [item.transition.id for item in made], (
                "an event that was committed is in the history of every handle as soon as commit returns"
            )
            for event, item in zip(found, made, strict=True):
                assert_exact(event, item.transition, "history of another handle")

    def test_put_many(self, storage: Storage) -> None:
        """Many at once are stored as one after the other would be, and each answer is of its own heartbeat."""
        if not isinstance(storage, BulkWriter):
            pytest.skip("this storage does not offer BulkWriter")
        writer = cast("BulkWriter", storage)
        assert writer.put_many(()) == (), "no heartbeats, nothing stored"
        storage.put(newer := beat("web-2", seq=9))
        given = (beat("web-1"), beat("web-2"), beat("web-3"), beat("web-1", seq=2))
        found = writer.put_many(given)
        assert found == (given[0], newer, given[2], given[3]), (
            f"put_many gives {found}: of each heartbeat what is stored of its machine then, a newer record included"
        )
        assert storage.load().heartbeats == {"web-1": given[3], "web-2": newer, "web-3": given[2]}, (
            "put_many stores each heartbeat unless a newer one of its machine is stored"
        )

    def test_probe(self, storage: Storage) -> None:
        """A probe tells of the medium, and leaves what is stored as it was; a closed storage is not probed."""
        if not isinstance(storage, HealthProbe):
            pytest.skip("this storage does not offer HealthProbe")
        probing = cast("HealthProbe", storage)
        storage.put(beat("web-1"))
        before, files = storage.load(), self.fingerprint(storage)
        found = probing.probe()
        assert type(found) is Probe, f"probe gives {found!r}: return a Probe"
        assert found.trouble == "", f"nothing is wrong here, and the probe says {found.trouble!r}"
        after = storage.load()
        assert (after.heartbeats, after.unreadable, after.conflicts) == (
            before.heartbeats,
            before.unreadable,
            before.conflicts,
        ), "a probe is not to be seen in what is stored"
        assert self.fingerprint(storage) == files, "a probe takes away what it wrote"
        storage.close()
        with must_refuse(StorageClosedError, "probe() after close()", "a closed storage answers nothing"):
            probing.probe()

    def test_service_record(self, storage: Storage) -> None:
        """The configuration a service runs with is kept whole, replaced whole, and given out as a copy."""
        if not isinstance(storage, ServiceConfigStore):
            pytest.skip("this storage does not offer ServiceConfigStore")
        store = cast("ServiceConfigStore", storage)
        assert store.load_service() is None, "nothing saved yet is None"
        record = {"heartbeatInterval": 30_000, "autoSync": True, "nested": {"list": [1, 2.5, None, "\u00e9"]}, "old": 1}
        store.save_service(record)
        found = store.load_service()
        assert found == record, f"load_service gives {found!r} for {record!r}"
        assert found is not None
        found["autoSync"] = False
        assert store.load_service() == record, "a caller's edit of what load_service returned leaked in: return a copy"
        store.save_service({"heartbeatInterval": 5_000})
        assert store.load_service() == {"heartbeatInterval": 5_000}, (
            "save_service replaces the record, it does not merge"
        )
        assert not storage.load().heartbeats, "the service record is listed as a machine"
