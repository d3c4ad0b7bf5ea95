"""`Listening`: what a service offers about events: whom to call when one comes, and those that came.

Owns subscription, its decorators and the view of the history. Must not know how events come about or are delivered.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import Any, TypeVar

from heartbeat_kit._dispatcher import Dispatcher, Listener, Subscription
from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import CascadeDetected, Event, FleetSilent
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._requirements import require_moment
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import EventLog, SharedLedger

__all__ = ["Listening"]

_L = TypeVar("_L", bound=Callable[[Any], Any])


class Listening:
    """Delivers through `_dispatcher`, remembers by `_ledger`."""

    _dispatcher: Dispatcher
    _ledger: SharedLedger

    def subscribe(self, listener: Listener, *, to: MachineStatus | type | None = None) -> Subscription:
        """Call `listener(event)` for each event, on the thread that found it.

        Args:
            listener: Called once an event; what it raises is logged and stops nobody.
            to: A status, for events that lead to it (a first registration is not a return, so it counts for none);
                an event class; or None for everything.
        """
        return self._dispatcher.subscribe(listener, to)

    def on_offline(self, listener: _L) -> _L:
        """Decorator: call the function when a machine goes offline or leaves."""
        self.subscribe(listener, to=MachineStatus.OFFLINE)
        return listener

    def on_online(self, listener: _L) -> _L:
        """Decorator: call the function when a machine comes back."""
        self.subscribe(listener, to=MachineStatus.ONLINE)
        return listener

    def on_warning(self, listener: _L) -> _L:
        """Decorator: call the function when a machine falls silent."""
        self.subscribe(listener, to=MachineStatus.WARNING)
        return listener

    def on_transition(self, listener: _L) -> _L:
        """Decorator: call the function at every transition."""
        self.subscribe(listener, to=Transition)
        return listener

    def history(self, machine_id: str | None = None, since: datetime | None = None) -> tuple[Transition, ...]:
        """The changes of status that were announced, oldest first, of one machine or all.

        Args:
            machine_id: Whose; by default everybody's.
            since: The earliest time of detection, an aware datetime.

        Raises:
            StorageUnavailableError: The history is out of reach.
            InvalidConfigurationError: `since` is no aware datetime.
        """
        name = None if machine_id is None else normalize_machine_id(machine_id)
        return tuple(event for event in self._past(name, since) if isinstance(event, Transition))

    def fleet_history(self, since: datetime | None = None) -> tuple[CascadeDetected | FleetSilent, ...]:
        """The events about the fleet as a whole, oldest first; arguments and errors are those of `history`."""
        return tuple(event for event in self._past(None, since) if not isinstance(event, Transition))

    def _past(self, machine_id: str | None, since: datetime | None) -> tuple[Event, ...]:
        since_ms = require_moment("since", since)
        return self._ledger.history(machine_id, since_ms) if isinstance(self._ledger, EventLog) else ()
