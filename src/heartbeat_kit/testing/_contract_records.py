"""The contract of `put`, `load`, `get`, `remove`, `close` and the traits, one caller at a time.

Owns these tests. Must not know any backend.
"""

# ruff: noqa: S101 - a shipped test suite asserts

from __future__ import annotations

from itertools import permutations
from typing import Any

import pytest

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._times import MAX_MS, MIN_MS
from heartbeat_kit.errors import InvalidMachineIdError, StorageClosedError
from heartbeat_kit.storage._protocol import (
    EventLog,
    MaintenanceCalendar,
    RecordLookup,
    ServiceConfigStore,
    SharedLedger,
    Snapshot,
    Storage,
    StorageTraits,
)
from heartbeat_kit.testing._contract_hooks import START_MS, ContractHooks, assert_same, beat, must_refuse, window
from heartbeat_kit.testing._hostile import HOSTILE_MACHINE_IDS

__all__ = ["RecordTests"]

_MOST = 2**63 - 1
_LOOKALIKES = (
    *("web", "web-1", "web-1-1", "web.1", "web_1", "web1", "web.json", "web.conflict1", "web-web", "w", "0"),
    *("heartbeats", "heartbeat-service", "index", "ledger", "x" * 63, "web.sync-conflict-20260102-101112-abcdefg"),
)
"""Machines whose names look like each other, like a conflict copy of each other, or like a file of a storage."""
_NOT_TEXT: tuple[Any, ...] = (None, 7, b"web-1", ["web-1"])


def _records() -> tuple[Heartbeat, ...]:
    """A record for each way a field can be hard to store."""
    nested: Any = "bottom"
    for _ in range(15):
        nested = {"in": [nested]}
    return (
        beat("plain"),
        beat("zero", 0, 0, last_heartbeat=0, interval=1, first_seen=0, left_at=0),
        beat("before-1970", last_heartbeat=-1, first_seen=-86_400_001, left_at=-1),
        beat("least", 0, 0, last_heartbeat=MIN_MS, interval=1, first_seen=MAX_MS, left_at=MIN_MS),
        beat("most", _MOST, _MOST, last_heartbeat=MAX_MS, interval=MAX_MS, first_seen=MIN_MS, host="h" * 255),
        beat("left", left_at=START_MS + 7, first_seen=START_MS - 1, host="rack 7 / \u00e9t\u00e9"),
        beat(
            "unicode",
            metadata={"\u540d\u524d": "\u5143\u6c17 \U0001f4bb \u202e\u05d0", "": "\x00\x01\x7f\u2028\r\n\t\"'\\/</b>"},
        ),
        beat("numbers", metadata={"ints": [_MOST, -(2**63), 0, 2**53 + 1], "floats": [0.1, -0.0, 1.0, 1e308, 5e-324]}),
        beat("kinds", metadata={"yes": True, "no": False, "none": None, "one": 1, "text": "1", "list": [], "dict": {}}),
        beat("nested", metadata={"a": nested}),
        beat("large", metadata={"text": "\u00e9" * 4_990}),
        beat("keys", metadata={"machineId": "other", "__proto__": 1, "seq": "x", "$ref": "#", "a.b": 1, "status": 0}),
    )


class RecordTests(ContractHooks):
    """Part of `StorageContract`."""

    def test_is_a_storage(self, storage: Storage) -> None:
        """The methods of the protocol are there, and traits that do not change."""
        assert isinstance(storage, Storage), f"{storage!r} lacks one of traits, put, load, remove, close"
        assert isinstance(storage.traits, StorageTraits), f"traits is {storage.traits!r}: make it a StorageTraits"
        assert storage.traits == storage.traits, "traits differ from one reading to the next: declare them once"

    def test_empty_storage_loads_empty(self, storage: Storage) -> None:
        """Nothing stored is an empty snapshot, not an error."""
        snapshot = storage.load()
        assert isinstance(snapshot, Snapshot), f"load returned {snapshot!r}: return a Snapshot"
        assert not snapshot.heartbeats, f"a new storage holds {dict(snapshot.heartbeats)}: the fixture must start empty"
        assert not snapshot.unreadable, f"a new storage lists {dict(snapshot.unreadable)} as unreadable"
        assert storage.remove("web-1") is False, "remove of a machine that is not there returns False"

    def test_round_trip(self, storage: Storage) -> None:
        """Every field comes back with its value and type, from this handle."""
        for record in _records():
            assert_same(storage.put(record), record, "put")
        self._assert_holds(storage, _records(), "load")

    def test_round_trip_through_another_handle(self, storage: Storage) -> None:
        """Every field comes back with its value and type, from a handle that did not write it."""
        for record in _records():
            storage.put(record)
        with self.another(storage) as other:
            self._assert_holds(other, _records(), "load of another handle")

    def test_survives_close(self, storage: Storage) -> None:
        """What a durable storage has stored is there after every handle was closed."""
        if not storage.traits.durable:
            pytest.skip("the traits do not promise durable")
        for record in _records():
            storage.put(record)
        storage.close()
        with self.another(storage) as other:
            self._assert_holds(other, _records(), "load after a restart")

    def test_names_that_look_alike_stay_apart(self, storage: Storage) -> None:
        """No machine is taken for a copy of another, or for a file of the storage's own."""
        records = [beat(name, number + 1) for number, name in enumerate(_LOOKALIKES)]
        for record in records:
            storage.put(record)
        self._assert_holds(storage, records, "load")
        snapshot = storage.load()
        assert not snapshot.unreadable, f"sound records are listed as unreadable: {dict(snapshot.unreadable)}"
        assert not snapshot.conflicts, f"different machines are listed as copies of one: {dict(snapshot.conflicts)}"

    def test_newer_record_wins_in_every_order(self, storage: Storage) -> None:
        """Whatever order records arrive in, the highest (incarnation, seq) stays; an equal one is a replay."""
        orders = ((1, 1), (1, 2), (2, 0), (1, 2))
        for number, arrival in enumerate(permutations(range(len(orders)))):
            machine = f"m{number}"
            kept: Heartbeat | None = None
            for which in arrival:
                incarnation, seq = orders[which]
                # The stamps run against the order: they are the sender's clock and decide nothing.
                record = beat(machine, seq, incarnation, last_heartbeat=START_MS - seq, metadata={"copy": which})
                if kept is None or record.order > kept.order:
                    kept = record
                returned = storage.put(record)
                assert returned == kept, (
                    f"put of {record!r} returned {returned!r} where {kept!r} is the newest: compare Heartbeat.order, "
                    "keep the stored record unless the new one is higher, and return what is stored now"
                )
            assert kept is not None
            found = storage.load().heartbeats.get(machine)
            assert found == kept, (
                f"after arrivals {[orders[which] for which in arrival]} the storage holds {found!r}, expected {kept!r}"
            )

    def test_older_record_from_another_handle_does_not_win(self, storage: Storage) -> None:
        """A replay through a handle that never saw the newer record changes nothing."""
        with self.another(storage) as other:
            storage.put(beat(seq=1))
            other.load()
            storage.put(beat(seq=5))
            assert other.put(beat(seq=2)).seq == 5, (
                "put compared with what this handle remembers, not with what is stored"
            )
        assert_same(storage.load().heartbeats.get("web-1"), beat(seq=5), "load")

    def test_snapshot_never_changes(self, storage: Storage) -> None:
        """What load returned stays as it was, whatever happens to the storage."""
        storage.put(beat("web-1"))
        storage.put(beat("web-2"))
        before = storage.load()
        storage.put(beat("web-1", 2))
        storage.put(beat("web-3"))
        storage.remove("web-2")
        storage.load()
        assert {name: record.seq for name, record in before.heartbeats.items()} == {"web-1": 1, "web-2": 1}, (
            "a snapshot changed after load returned it: give out a copy, not the live mapping"
        )

    def test_unchanged_records_are_the_same_objects(self, storage: Storage) -> None:
        """A record nobody wrote is the same object in the next snapshot; a written one is not missed."""
        if not self.same_objects:
            pytest.skip("same_objects is turned off")
        with self.another(storage, required=False) as reader:
            for number in range(5):
                storage.put(beat(f"web-{number}"))
            first = reader.load().heartbeats
            storage.put(beat("web-3", 2))
            second = reader.load().heartbeats
            assert second["web-3"].seq == 2, "load answered from a cache that missed a write"
            changed = [name for name in first if second[name] is not first[name] and name != "web-3"]
            assert not changed, f"{changed} were decoded again though nobody wrote them: keep what has not changed"

    def test_load_writes_nothing(self, storage: Storage) -> None:
        """Reading leaves no trace, through this handle or another."""
        for name in ("web-1", "web-2"):
            storage.put(beat(name))
        trace, first = self.fingerprint(storage), storage.load()
        assert storage.load() == first, "two loads in a row differ: load must not change what is stored"
        with self.another(storage, required=False) as other:
            assert other.load().heartbeats == first.heartbeats, "another handle loads something else"
            if isinstance(other, RecordLookup):
                found = [other.get(name) for name in first.heartbeats]
                assert found == list(first.heartbeats.values()), f"get gives {found}, load gives {first.heartbeats}"
                assert other.get("web-3") is None, "get of a machine that is not there returns None"
            assert self.fingerprint(storage) == trace, "reading wrote something: load and get must not write or delete"

    def test_one_bad_record_is_isolated(self, storage: Storage) -> None:
        """A record that cannot be read is listed as unreadable; the others are unaffected; its next beat heals it."""
        for name in ("web-1", "web-2", "web-3"):
            storage.put(beat(name))
        self.damage(storage, "web-2")
        trace = self.fingerprint(storage)
        with self.another(storage, required=False) as other:
            snapshot = other.load()
            assert set(snapshot.heartbeats) == {"web-1", "web-3"}, (
                f"with web-2 damaged, load gives {sorted(snapshot.heartbeats)}: skip the bad record, keep the others"
            )
            assert set(snapshot.unreadable) == {"web-2"}, (
                f"unreadable is {dict(snapshot.unreadable)}: list the damaged machine there, it is not absent"
            )
            assert snapshot.unreadable["web-2"], "say in unreadable why the record cannot be read"
            if isinstance(other, RecordLookup):
                assert other.get("web-2") is None, "get of a record that cannot be read returns None"
        assert self.fingerprint(storage) == trace, "reading a bad record wrote or deleted something: leave it as it is"
        storage.put(beat("web-2", 2))
        healed = storage.load()
        assert_same(healed.heartbeats.get("web-2"), beat("web-2", 2), "load after the next beat")
        assert not healed.unreadable, f"the next beat did not heal the record: {dict(healed.unreadable)}"

    def test_remove_is_final(self, storage: Storage) -> None:
        """A removed machine is gone until it beats again."""
        storage.put(beat("web-1"))
        storage.put(beat("web-2"))
        assert storage.remove(" WEB-1 ") is True, "remove normalises the id and returns True for what was there"
        assert storage.remove("web-1") is False, "a second remove returns False"
        assert set(storage.load().heartbeats) == {"web-2"}, "a removed machine is still listed, or took another along"
        if isinstance(storage, RecordLookup):
            assert storage.get("web-1") is None, "get still finds a removed machine"
        storage.put(beat("web-2", 2))
        assert set(storage.load().heartbeats) == {"web-2"}, "the beat of another machine brought a removed one back"
        storage.put(beat("web-1", 2))
        assert set(storage.load().heartbeats) == {"web-1", "web-2"}, "a removed machine that beats again must be back"

    def test_remove_is_not_undone_by_a_late_writer(self, storage: Storage) -> None:
        """A handle that remembers a removed machine does not bring it back by writing another."""
        with self.another(storage) as late:
            storage.put(beat("web-1"))
            late.put(beat("web-2"))
            late.load()
            assert storage.remove("web-1") is True, "remove must find what another handle may have seen"
            late.put(beat("web-2", 2))
            assert set(late.load().heartbeats) == {"web-2"}, "a handle goes on listing a machine that was removed"
        assert set(storage.load().heartbeats) == {"web-2"}, (
            "a late writer brought a removed machine back: write the one record, never the fleet as you remember it"
        )
        with self.another(storage) as fresh:
            assert set(fresh.load().heartbeats) == {"web-2"}, "the removed machine is back for a new reader"

    def test_hostile_machine_ids_are_refused(self, storage: Storage) -> None:
        """No id that `normalize_machine_id` refuses reaches the medium, by any door."""
        storage.put(beat("web-1"))
        trace, before = self.fingerprint(storage), storage.load()
        doors: list[tuple[str, Any]] = [("remove", storage.remove)]
        if isinstance(storage, RecordLookup):
            doors.append(("get", storage.get))
        if isinstance(storage, EventLog):
            doors.append(("history", storage.history))
        for name in (*HOSTILE_MACHINE_IDS, *_NOT_TEXT):
            for door, operation in doors:
                if name is None and door == "history":
                    continue  # there it means all machines
                with must_refuse(InvalidMachineIdError, f"{door}({name!r:.80})", "call normalize_machine_id first"):
                    operation(name)
            with must_refuse(InvalidMachineIdError, f"Heartbeat(machine_id={name!r:.80})", "do not replace the class"):
                beat(name)
        assert storage.load() == before, "a refused machine id changed what is stored"
        assert self.fingerprint(storage) == trace, "a refused machine id wrote something"

    def test_close_is_final_and_idempotent(self, storage: Storage) -> None:
        """After close every method raises StorageClosedError; close itself may be called again."""
        storage.put(beat())
        storage.close()
        storage.close()
        calls: list[tuple[Any, ...]] = [(storage.put, beat(seq=2)), (storage.load,), (storage.remove, "web-1")]
        if isinstance(storage, RecordLookup):
            calls += [(storage.get, "web-1")]
        if isinstance(storage, SharedLedger):
            calls += [
                (storage.read_ledger,),
                (storage.commit, ()),
                (storage.undelivered, "me"),
                (storage.delivered, ()),
            ]
        if isinstance(storage, EventLog):
            calls += [(storage.history,)]
        if isinstance(storage, MaintenanceCalendar):
            keep = storage.schedule

            def schedule() -> None:
                keep(window(), forget_before_ms=0)

            calls += [(storage.windows,), (schedule,)]
        if isinstance(storage, ServiceConfigStore):
            calls += [(storage.save_service, {}), (storage.load_service,)]
        for operation, *arguments in calls:
            with must_refuse(StorageClosedError, f"{operation.__name__} after close", "check it in every method"):
                operation(*arguments)
        assert isinstance(storage.traits, StorageTraits), "traits can be read after close"

    def test_traits_tell_the_truth(self, storage: Storage) -> None:
        """A server clock is reported, and handles on one place agree about it and see each other's writes at once."""
        stamp = storage.load().server_time_ms
        if storage.traits.server_clock:
            assert type(stamp) is int, f"server_clock is promised and server_time_ms is {stamp!r}: report it in load"
        else:
            assert stamp is None, "server_time_ms is set: promise server_clock in the traits, or leave it out"
        with self.another(storage) as other:
            assert other.traits == storage.traits, f"two handles differ: {other.traits} and {storage.traits}"
            if storage.traits.coherent:
                for seq in range(1, 21):
                    storage.put(beat(seq=seq))
                    seen = other.load().heartbeats.get("web-1")
                    assert seen is not None, "coherent is promised and another handle does not see a write"
                    assert seen.seq == seq, f"coherent is promised and another handle sees beat {seen.seq}, not {seq}"

    def _assert_holds(self, storage: Storage, records: Any, where: str) -> None:
        found = storage.load().heartbeats
        assert set(found) == {record.machine_id for record in records}, f"{where} lists {sorted(found)}"
        for record in records:
            assert_same(found[record.machine_id], record, where)
            if isinstance(storage, RecordLookup):
                assert_same(storage.get(record.machine_id.upper()), record, where.replace("load", "get"))
