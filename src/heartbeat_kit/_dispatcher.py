"""`Dispatcher`: brings committed events to the listeners, each once, whatever a listener does.

Owns subscriptions and the order persist → deliver → mark delivered. Must not know how an event came about.
"""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Sequence
from typing import Any, Final, Self

from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._fleet_events import Event
from heartbeat_kit._status import MachineStatus, named_status
from heartbeat_kit.errors import InvalidConfigurationError, StorageError
from heartbeat_kit.storage import SharedLedger

__all__ = ["Dispatcher", "Listener", "Subscription"]

Listener = Callable[[Any], Any]
Target = MachineStatus | type | None
_log = logging.getLogger("heartbeat_kit")
_BATCH: Final = 32
"""Events delivered between two writes of "delivered": at most so many are delivered again after a crash."""


class Subscription:
    """One listener's interest; close it, or use it as a context manager, to end it."""

    def __init__(self, dispatcher: Dispatcher, listener: Listener, to: Target) -> None:
        self._dispatcher = dispatcher
        self.listener = listener
        self.to = to

    def wants(self, event: Event) -> bool:
        """Whether the event is of the kind or leads to the status that was subscribed to.

        A first registration leads to online but nobody came back: only listeners of all transitions hear of it.
        """
        if isinstance(self.to, MachineStatus):
            return isinstance(event, Transition) and event.after is self.to and event.reason is not Reason.FIRST_SEEN
        return self.to is None or isinstance(event, self.to)

    def close(self) -> None:
        """Stop listening. Safe to call twice."""
        self._dispatcher.drop(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<Subscription {getattr(self.listener, '__qualname__', self.listener)!s} to {self.to or 'everything'}>"


class Dispatcher:
    """The listeners of one service.

    Args:
        ledger: Where committed events wait until they are delivered.
        owner: The name under which this service commits them.
    """

    def __init__(self, ledger: SharedLedger, owner: str) -> None:
        self._ledger = ledger
        self._owner = owner
        self._subscriptions: tuple[Subscription, ...] = ()
        self._under_way: set[str] = set()
        self._unmarked: list[str] = []
        self._renew()

    def subscribe(self, listener: Listener, to: Target) -> Subscription:
        """Call `listener(event)` for every event that fits.

        Raises:
            InvalidConfigurationError: The listener cannot be called, or `to` is neither a status nor an event class.
        """
        if not callable(listener):
            raise InvalidConfigurationError(f"the listener is {listener!r}: expected something to call with an event")
        if isinstance(to, str) and not isinstance(to, MachineStatus):
            to = named_status("to", to)
        if to is not None and not isinstance(to, MachineStatus | type):
            raise InvalidConfigurationError(f"to={to!r}: expected a MachineStatus, an event class or None")
        subscription = Subscription(self, listener, to)
        with self._guarded():
            self._subscriptions = (*self._subscriptions, subscription)
        return subscription

    def drop(self, subscription: Subscription) -> None:
        """End a subscription."""
        with self._guarded():
            self._subscriptions = tuple(s for s in self._subscriptions if s is not subscription)

    @property
    def has_listeners(self) -> bool:
        """Whether anybody would hear of an event."""
        return bool(self._subscriptions)

    def deliver(self, committed: Sequence[Event]) -> None:
        """Deliver what waits: what was just committed, and what a process that died left behind.

        Without listeners nothing is taken over, so that it waits for a service that has some.

        Args:
            committed: What this service just committed.
        """
        self._guarded()
        if not self._subscriptions:
            with self._lock:
                self._unmarked += [event.id for event in committed]
        if self._unmarked:
            self._mark()
        if not self._subscriptions:
            return
        try:
            mine = self._claim()
        except (StorageError, OSError) as error:
            _log.warning("the events that wait for delivery cannot be read, the next look tries again: %s", error)
            return
        try:
            while mine:
                self._deliver_batch(mine[:_BATCH])
                del mine[:_BATCH]
        except BaseException:  # a listener ended the thread: what it did not finish waits for the next look
            with self._lock:
                self._under_way.difference_update(event.id for event in mine if event.id not in self._unmarked)
            raise

    def _claim(self) -> list[Event]:
        """What waits and no other thread is delivering right now.

        No thread lets go of its events between the reading and the claim: what it finished then would come twice.
        """
        with self._claiming:
            waiting = self._ledger.undelivered(self._owner)
            with self._lock:
                mine = [event for event in waiting if event.id not in self._under_way]
                self._under_way.update(event.id for event in mine)
        return mine

    def _deliver_batch(self, events: list[Event]) -> None:
        try:
            for event in events:
                self._call_listeners(event)
                with self._lock:
                    self._unmarked.append(event.id)
        finally:
            self._mark()

    def _mark(self) -> None:
        """Mark what was delivered. While that fails the ids stay under way here, so nobody is called twice."""
        with self._lock:
            ids = list(self._unmarked)
        try:
            self._ledger.delivered(ids)
        except (StorageError, OSError) as error:
            _log.warning("%d events were delivered, marking them so failed and is tried again: %s", len(ids), error)
            return
        with self._claiming, self._lock:
            self._unmarked = [event for event in self._unmarked if event not in ids]
            self._under_way.difference_update(ids)

    def _call_listeners(self, event: Event) -> None:
        called: list[Listener] = []
        for subscription in self._subscriptions:
            if subscription.wants(event) and subscription.listener not in called:
                called.append(subscription.listener)
                try:
                    subscription.listener(event)
                except Exception:  # noqa: BLE001 - one listener must not silence another
                    _log.exception("a listener raised on transition %s (%r); the others are called", event.id, event)

    def _guarded(self) -> threading.RLock:
        if self._pid != os.getpid():  # a fork: another thread of the parent may have held a lock, or be delivering
            self._renew()
        return self._lock

    def _renew(self) -> None:
        self._pid = os.getpid()
        self._lock, self._claiming = threading.RLock(), threading.RLock()
        self._under_way, self._unmarked = set(), []
