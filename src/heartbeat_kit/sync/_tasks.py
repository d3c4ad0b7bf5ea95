"""What is asked of the engine: tasks, made of what the heartbeats say.

Owns who may ask for what, the transition each sync answers, and how failures are named. Must not know how a task is
done.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator

from heartbeat_kit._events import event_id
from heartbeat_kit.errors import (
    HeartbeatKitError,
    NotExecutorError,
    OfflineSyncError,
    OnlineSyncError,
    SyncError,
    SyncFileError,
)
from heartbeat_kit.sync._auto import Away
from heartbeat_kit.sync._decision import DecisionState
from heartbeat_kit.sync._engine import Task
from heartbeat_kit.sync._evidence import Witness
from heartbeat_kit.sync._execute import Order
from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._model import SyncMode
from heartbeat_kit.sync._survey import Survey

__all__ = ["Tasks", "failing"]


class Tasks:
    """Makes tasks for one machine.

    Args:
        machine_id: This machine.
        witness: Who knows which machines are alive.
        now_ms: The wall clock, epoch milliseconds.
        done_at: When a transition was answered (epoch milliseconds), by its receipt; ``None`` if it was not.
    """

    def __init__(
        self, machine_id: str, witness: Witness, now_ms: Callable[[], int], done_at: Callable[[str], int | None]
    ) -> None:
        self._machine_id = machine_id
        self._witness = witness
        self._now_ms = now_ms
        self._done_at = done_at

    def offline(self, machine_id: str, *, create_backup: bool, answers: bool = True) -> Task:
        """Preserve what a machine published, void as soon as it is back.

        Args:
            machine_id: Which.
            create_backup: Whether to write a backup for people.
            answers: Whether it is the answer to the machine's going, given once; else it is done whenever asked.

        Raises:
            MachineNotOfflineError: It is not offline.
        """
        evidence = self._witness.offline(machine_id)

        def order(_: Survey) -> Order:
            return Order(
                transition_id=evidence.transition_id if answers else None,
                evidence_ms=evidence.evidence_ms,
                synced_at_ms=self._now_ms(),
                create_backup=create_backup,
                still_valid=lambda: self._witness.why_void(machine_id, evidence),
            )

        return Task(machine_id, SyncMode.OFFLINE, order)

    def online(self, *, create_backup: bool, away: Away | None = None, again: bool = False) -> Task:
        """Bring this machine up to date, once for each return.

        Args:
            create_backup: Whether to write a backup for people.
            again: However often it was done for this return.
            away: The time it was away, where that is known; else the last return there is a sign of.

        Raises:
            MachineNotOnlineError: It is not online.
        """
        self._witness.online(self._machine_id)
        if again:
            return self.whenever(self._machine_id, SyncMode.ONLINE, create_backup=create_backup)

        def order(survey: Survey) -> Order:
            transition_id, offline_ms = self._return(survey)
            if away is not None:
                # A time away in the same life leaves no other sign than itself: what was done before it ended is of
                # an earlier one.
                done_ms = self._done_at(transition_id)
                if done_ms is not None and done_ms < away.since_ms + away.duration_ms:
                    transition_id = event_id(self._machine_id, "online sync", "away", away.since_ms)
                offline_ms = away.duration_ms
            now_ms = self._now_ms()
            return Order(
                transition_id=transition_id,
                evidence_ms=now_ms,
                synced_at_ms=now_ms,
                create_backup=create_backup,
                offline_ms=offline_ms,
            )

        return Task(self._machine_id, SyncMode.ONLINE, order)

    def whenever(
        self, machine_id: str, mode: SyncMode, *, create_backup: bool = True, guards: Guards | None = None
    ) -> Task:
        """What a plan is made of: no answer to anything, so done as often as it is asked for.

        Raises:
            NotExecutorError: The files it is about are not on this machine, or nowhere else.
            MachineNotOfflineError: An offline sync of a machine that is not offline.
        """
        own = machine_id == self._machine_id
        if own is not (mode is SyncMode.ONLINE):
            where = f"an offline sync is for others to do, and this is {machine_id}" if own else f"{machine_id} does it"
            raise NotExecutorError(f"{mode} sync of {machine_id}: {where}; nothing was changed", machine_id=machine_id)
        if mode is SyncMode.OFFLINE:
            return self.offline(machine_id, create_backup=create_backup, answers=False)._replace(guards=guards)

        def order(_: Survey) -> Order:
            now_ms = self._now_ms()
            return Order(transition_id=None, evidence_ms=now_ms, synced_at_ms=now_ms, create_backup=create_backup)

        return Task(machine_id, mode, order, guards=guards)

    def _return(self, survey: Survey) -> tuple[str, int | None]:
        """The id of this machine's last return, and how long it had been away.

        It is the machine's own affair, so it is made of what the machine can know: its life, the last return that was
        announced here, the last time others preserved its files, and what was approved.
        """
        name, told = self._machine_id, self._witness.last_return(self._machine_id)
        preserved = next((each for each in reversed(survey.receipts) if each.operation == "offline"), None)
        evidence: tuple[str | int, ...] = (
            self._witness.life(name),
            told.id if told is not None else "",
            preserved.transition_id if preserved is not None else "",
            # What a person approved since is carried out by the next sync, also of the same return.
            *sorted(key for key, each in survey.decisions.items() if each.state is DecisionState.APPROVED),
        )
        if told is not None:
            return event_id(name, "online sync", *evidence), told.offline_duration_ms
        away = None if preserved is None else max(self._now_ms() - preserved.synced_at_ms, 0)
        return event_id(name, "online sync", *evidence), away


@contextlib.contextmanager
def failing(mode: SyncMode, machine_id: str) -> Iterator[None]:
    """Refusals go through as they are, by their own codes; whatever fails is chained to the error of the sync."""
    error = OfflineSyncError if mode is SyncMode.OFFLINE else OnlineSyncError
    try:
        yield
    except SyncError as cause:
        if not isinstance(cause, SyncFileError):
            raise
        raise error(f"{mode} sync of {machine_id} failed: {cause}", machine_id=machine_id, paths=cause.paths) from cause
    except (HeartbeatKitError, OSError) as cause:
        raise error(f"{mode} sync of {machine_id} failed: {cause}", machine_id=machine_id) from cause
