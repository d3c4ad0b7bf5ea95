"""The contract of `MaintenanceCalendar`, one caller at a time.

Owns these tests; a storage that offers no calendar skips them. Must not know any backend.
"""

# ruff: noqa: S101 - a shipped test suite asserts

from __future__ import annotations

from collections.abc import Sequence
from typing import cast

import pytest

from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.storage._protocol import MaintenanceCalendar, SharedLedger, Storage
from heartbeat_kit.testing._contract_hooks import START_MS, ContractHooks, assert_exact, beat, window
from heartbeat_kit.testing._race import move

__all__ = ["CalendarTests", "calendar_of"]

_LAST_MS = 253_402_300_799_999
"""9999-12-31T23:59:59.999Z: an end for who does not know one."""


def calendar_of(storage: Storage) -> MaintenanceCalendar:
    """The storage as a calendar; skips the test if it offers none."""
    if not isinstance(storage, MaintenanceCalendar):
        pytest.skip("this storage does not offer MaintenanceCalendar")
    return cast("MaintenanceCalendar", storage)


class CalendarTests(ContractHooks):
    """Part of `StorageContract`."""

    def test_calendar_starts_empty(self, storage: Storage) -> None:
        """Nothing is planned."""
        assert calendar_of(storage).windows() == (), "a new storage has no maintenance windows: return an empty tuple"

    def test_windows_round_trip(self, storage: Storage) -> None:
        """Every field of a window comes back with its value and type, and the windows by start."""
        calendar = calendar_of(storage)
        windows = (
            window("web-2", length=1),
            window("web-1", reason='disk "2" swapped\nön 磁盘 \U0001f527'),
            window("a", 0, _LAST_MS),
            window("web-1", -1_001, 1),
            window("web-1", START_MS + 1),
        )
        _schedule(storage, windows)
        found = calendar.windows()
        assert isinstance(found, tuple), f"windows gives a {type(found).__name__}: return a tuple"
        starts = [item.start_ms for item in found]
        assert starts == sorted(starts), f"windows gives them in the order of {starts}: sort them by start"
        _assert_holds(storage, windows, "windows")

    def test_windows_are_one_object_until_they_change(self, storage: Storage) -> None:
        """Who asks at every look need not compare, and what was given out stays as it was."""
        calendar = calendar_of(storage)
        _schedule(storage, [window()])
        before = calendar.windows()
        storage.put(beat())
        if isinstance(storage, SharedLedger):
            storage.commit((move("web-1"),))
        with self.another(storage, required=False) as other:
            other.put(beat(seq=2))
            assert calendar.windows() is before, (
                "windows gives another object though no window has changed: keep the tuple and give it out again"
            )
        _schedule(storage, [window("web-2")])
        assert before == (window(),), "what windows returned changed when a window was scheduled: give out a tuple"
        _assert_holds(storage, [window(), window("web-2")], "windows after another was scheduled")

    def test_window_replaces_its_like(self, storage: Storage) -> None:
        """There is one window of a machine with a start: its end and reason may be given anew."""
        calendar_of(storage)
        others = [window("web-2"), window("web-1", START_MS - 1), window("web-1", START_MS + 1)]
        longer, shorter = window(length=9_000_000, reason="more to do"), window(length=1_000, reason="done early")
        _schedule(storage, [window(), *others, longer])
        _assert_holds(storage, [longer, *others], "windows after one was made longer")
        _schedule(storage, [shorter])
        _assert_holds(storage, [shorter, *others], "windows after one was made shorter")

    def test_windows_that_ended_are_forgotten(self, storage: Storage) -> None:
        """A window that ended before the moment given is dropped; one that still ran then is kept."""
        calendar = calendar_of(storage)
        ended, just, running = (
            window(name, 0, end) for name, end in (("web-1", 999), ("web-2", 1_000), ("web-3", 5_000))
        )
        _schedule(storage, [ended, just, running])
        _assert_holds(storage, [ended, just, running], "windows when there was nothing to forget")
        calendar.schedule(window(), forget_before_ms=1_000)
        _assert_holds(storage, [just, running, window()], "windows after those that ended before 1000 were to go")

    def test_windows_through_another_handle(self, storage: Storage) -> None:
        """The calendar is the storage's, not the handle's."""
        calendar = calendar_of(storage)
        with self.another(storage) as other:
            assert calendar_of(other).windows() == (), "a new storage has no maintenance windows"
            _schedule(storage, [window(), window("web-2")])
            _assert_holds(other, [window(), window("web-2")], "windows of another handle")
            calendar_of(other).schedule(window(length=1_000), forget_before_ms=0)
            assert set(calendar.windows()) == {window(length=1_000), window("web-2")}, (
                "the first handle does not see what the second scheduled"
            )

    def test_windows_survive_close(self, storage: Storage) -> None:
        """What a durable storage has scheduled is there after every handle was closed."""
        calendar_of(storage)
        if not storage.traits.durable:
            pytest.skip("the traits do not promise durable")
        _schedule(storage, [window(reason="a long weekend"), window("web-2")])
        storage.close()
        with self.another(storage) as other:
            _assert_holds(other, [window(reason="a long weekend"), window("web-2")], "windows after a restart")

    def test_calendar_and_the_rest_are_apart(self, storage: Storage) -> None:
        """Beats and announcements leave the windows alone, and a window leaves those alone."""
        calendar_of(storage)
        storage.put(beat("web-1"))
        announced = {}
        if isinstance(storage, SharedLedger):
            first = move("web-1")
            storage.commit((first,))
            announced = {"web-1": first.entry}
        _schedule(storage, [window("web-1"), window("never-seen")])
        assert set(storage.load().heartbeats) == {"web-1"}, "scheduling changed the records"
        if isinstance(storage, SharedLedger):
            assert dict(storage.read_ledger()) == announced, "scheduling changed what was announced"
            assert len(storage.undelivered("observer")) == 1, "scheduling changed what is to be delivered"
            second = move("web-1", before=announced["web-1"].event_id, seq=2)
            storage.commit((second,))
            storage.delivered([event.id for event in storage.undelivered("observer")])
        storage.put(beat("web-1", 2))
        storage.remove("web-1")
        _assert_holds(storage, [window("web-1"), window("never-seen")], "windows after a commit, a beat and a removal")


def _schedule(storage: Storage, windows: Sequence[MaintenanceWindow]) -> None:
    for item in windows:
        calendar_of(storage).schedule(item, forget_before_ms=-10_000)


def _assert_holds(storage: Storage, windows: Sequence[MaintenanceWindow], where: str) -> None:
    found = {(item.machine_id, item.start_ms): item for item in calendar_of(storage).windows()}
    assert len(found) == len(calendar_of(storage).windows()), f"{where}: two windows of one machine with one start"
    wanted = {(item.machine_id, item.start_ms): item for item in windows}
    assert found.keys() == wanted.keys(), f"{where}: of {sorted(found)} where {sorted(wanted)} are kept"
    for key, item in wanted.items():
        assert_exact(found[key], item, where)
