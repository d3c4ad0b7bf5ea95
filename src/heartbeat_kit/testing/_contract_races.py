"""The contract under contention: threads of one process, and processes of their own.

Owns these tests. Must not know any backend.
"""

# ruff: noqa: S101 - a shipped test suite asserts

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Sequence

import pytest

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.storage._protocol import EventLog, SharedLedger, Storage
from heartbeat_kit.testing._contract_abilities import ledger_of
from heartbeat_kit.testing._contract_calendar import calendar_of
from heartbeat_kit.testing._contract_hooks import START_MS, ContractHooks, beat, window
from heartbeat_kit.testing._race import Seen, claim, in_processes, in_threads, put_all, schedule_all

__all__ = ["RaceTests"]

_BEATS = 20
_LOST = (
    "a put must not undo one that runs beside it (read, merge and write under one lock, or write only the one record)"
)


class RaceTests(ContractHooks):
    """Part of `StorageContract`."""

    def test_threads_beat_and_nothing_is_lost(self, storage: Storage) -> None:
        """Each thread writes a machine of its own; every beat is there."""
        seen = in_threads([(put_all, (storage, beats)) for beats in self._beats_apart()])
        self._assert_nothing_lost(storage, seen)

    def test_processes_beat_and_nothing_is_lost(self, storage: Storage) -> None:
        """Each process writes a machine of its own; every beat is there."""
        self._needs_processes(storage)
        opener = self.must_open(storage)
        seen = in_processes(opener, [(put_all, (beats,)) for beats in self._beats_apart()])
        self._assert_nothing_lost(storage, seen)

    def test_threads_race_for_one_record(self, storage: Storage) -> None:
        """Whoever comes last, the highest order stays, and no put answers with less than it was given."""
        seen = in_threads([(put_all, (storage, beats)) for beats in self._beats_together()])
        self._assert_highest_won(storage, seen)

    def test_processes_race_for_one_record(self, storage: Storage) -> None:
        """As with threads. A medium that cannot compare-and-set has one writer per record, so nothing to race for."""
        self._needs_processes(storage)
        if not isinstance(storage, SharedLedger):
            pytest.skip("a storage without SharedLedger may leave it at one writing process per machine")
        opener = self.must_open(storage)
        seen = in_processes(opener, [(put_all, (beats,)) for beats in self._beats_together()])
        self._assert_highest_won(storage, seen)

    def test_threads_win_each_move_once(self, storage: Storage) -> None:
        """Of the threads that saw one change exactly one announces it."""
        ledger_of(storage)
        machines = self._machines()
        won = in_threads([(claim, (storage, owner, machines, self.batch)) for owner in self._owners()])
        self._assert_won_once(storage, won)
        ledger = ledger_of(storage)
        for owner, ids in zip(self._owners(), won, strict=True):
            assert [event.id for event in ledger.undelivered(owner)] == ids, (
                f"{owner} is to deliver what it won, in the order in which it was committed, and nothing else"
            )

    def test_processes_win_each_move_once(self, storage: Storage) -> None:
        """Of the processes that saw one change exactly one announces it; what the dead ones left finds one heir."""
        ledger_of(storage)
        self._needs_processes(storage)
        machines = self._machines()
        works = [(claim, (owner, machines, self.batch)) for owner in self._owners()]
        self._assert_won_once(storage, won := in_processes(self.must_open(storage), works))
        ledger = ledger_of(storage)
        everything = {event for ids in won for event in ids}
        left = [event.id for event in ledger.undelivered("heir")]
        assert len(left) == len(set(left)), "undelivered gives one transition twice"
        assert set(left) == everything, (
            f"{len(everything) - len(left)} transitions left by processes that ended are given to nobody: an owner "
            "whose process has ended is dead, and what it left belongs to the first that asks"
        )
        assert ledger.undelivered("second-heir") == (), "what a dead owner left was given away twice"
        ledger.delivered(left)
        assert ledger.undelivered("heir") == (), "delivered did not mark what was inherited"

    def test_threads_schedule_and_nothing_is_lost(self, storage: Storage) -> None:
        """Each thread schedules windows of its own; every one is kept."""
        calendar_of(storage)
        lost = in_threads([(schedule_all, (storage, windows)) for windows in self._windows_apart()])
        self._assert_all_scheduled(storage, lost)

    def test_processes_schedule_and_nothing_is_lost(self, storage: Storage) -> None:
        """Each process schedules windows of its own; every one is kept."""
        calendar_of(storage)
        self._needs_processes(storage)
        works = [(schedule_all, (windows,)) for windows in self._windows_apart()]
        self._assert_all_scheduled(storage, in_processes(self.must_open(storage), works))

    def _windows_apart(self) -> list[list[MaintenanceWindow]]:
        return [[window(f"m{n}", START_MS + number) for number in range(_BEATS)] for n in range(self.contenders)]

    def _assert_all_scheduled(self, storage: Storage, lost: Sequence[Sequence[MaintenanceWindow]]) -> None:
        gone = {item for windows in lost for item in windows}
        gone |= {item for windows in self._windows_apart() for item in windows} - set(calendar_of(storage).windows())
        assert not gone, (
            f"{len(gone)} windows that were scheduled are not there, one is {min(gone, key=repr)}: a schedule must not "
            "undo one that runs beside it; read, replace and write under one lock that all processes take"
        )

    def _owners(self) -> list[str]:
        return [f"observer-{number}" for number in range(self.contenders)]

    def _machines(self) -> list[str]:
        return [f"m{number}" for number in range(self.races)]

    def _beats_apart(self) -> list[list[Heartbeat]]:
        return [[beat(f"m{n}", seq) for seq in range(1, _BEATS + 1)] for n in range(self.contenders)]

    def _beats_together(self) -> list[list[Heartbeat]]:
        # A race for each of many machines, the orders dealt like cards: contenders in step with each other must not
        # happen to come in the right order every time.
        dealer = random.Random(1)  # noqa: S311 - a race, not a secret
        deals = [dealer.sample(range(self.contenders), self.contenders) for _ in range(_BEATS)]
        return [[beat(f"m{r}", deal[n] + 1) for r, deal in enumerate(deals)] for n in range(self.contenders)]

    def _needs_processes(self, storage: Storage) -> None:
        if not storage.traits.cross_process:
            pytest.skip("the traits do not promise cross_process")

    def _assert_nothing_lost(self, storage: Storage, seen: Sequence[Sequence[Seen]]) -> None:
        for beats, looks in zip(self._beats_apart(), seen, strict=True):
            wanted = [Seen(record.order, record.order) for record in beats]
            assert list(looks) == wanted, (
                f"{beats[0].machine_id}, the one writer of its record, saw {looks} where it had put {wanted}: {_LOST}"
            )
        found = {name: record.seq for name, record in storage.load().heartbeats.items()}
        wanted_last = {f"m{number}": _BEATS for number in range(self.contenders)}
        assert found == wanted_last, f"after concurrent puts the storage holds {found}, expected {wanted_last}: {_LOST}"

    def _assert_highest_won(self, storage: Storage, seen: Sequence[Sequence[Seen]]) -> None:
        for beats, looks in zip(self._beats_together(), seen, strict=True):
            for record, look in zip(beats, looks, strict=True):
                assert look.found >= look.answered >= record.order, (
                    f"put of {record.order} answered {look.answered}, and a look after it found {look.found}: a stored "
                    "order never falls; compare and write under one lock"
                )
        found = {name: record.seq for name, record in storage.load().heartbeats.items()}
        wanted = {f"m{number}": self.contenders for number in range(_BEATS)}
        assert found == wanted, (
            f"after a race the storage holds {found}, the highest put was {wanted}: compare and write under one lock"
        )

    def _assert_won_once(self, storage: Storage, won: Sequence[Sequence[str]]) -> None:
        counts = Counter(event for ids in won for event in ids)
        often = [event for event, count in counts.items() if count > 1]
        assert not often, (
            f"{len(often)} of {self.races} moves were won more than once: read, compare and write under one lock that "
            "all processes take, or in one transaction"
        )
        assert len(counts) == self.races, f"{self.races - len(counts)} of {self.races} moves were won by nobody"
        entries = ledger_of(storage).read_ledger()
        assert {entry.event_id for entry in entries.values()} == set(counts), "the ledger lacks moves that were won"
        if isinstance(storage, EventLog):
            logged = Counter(event.id for event in storage.history())
            assert logged == counts, "the history must hold every transition that was won, once"
