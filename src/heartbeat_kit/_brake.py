"""The brake on automatic actions after a cascade.

Owns the rule when it holds and when it lets go. Pure; must not know who acts, or how an event is delivered.
"""

from __future__ import annotations

from typing import Self

import attrs
from attrs import field

from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._fleet_events import CascadeDetected, Event
from heartbeat_kit._status import MachineStatus

__all__ = ["CascadeBrake"]


@attrs.frozen(kw_only=True, repr=False)
class CascadeBrake:
    """Holds automatic actions back after a `CascadeDetected`, until the fleet recovers or somebody says `resume`.

    Give it every event in order and keep what it returns. It holds as long as one machine of the cascade is down; one
    that goes offline within the window after it belongs to it too. A machine that is online again, said goodbye or was
    removed is down no longer. Events with a mark (`Transition.flapping`, `Transition.suppressed`) say nothing here, but
    for a removal: where things stand is announced without one, and a machine that is gone stands nowhere.

    Attributes:
        down: The machines of the cascade that are still down.
        joins_from_ms: Who goes offline after this time (UTC, epoch milliseconds) belongs to the cascade as well,
        joins_until_ms: if it is before this one.

    >>> from datetime import timedelta
    >>> from heartbeat_kit import CascadeBrake
    >>> from heartbeat_kit.testing import Fleet
    >>> with Fleet(8) as fleet:
    ...     fleet.advance(60)
    ...     for name in ("m1", "m2", "m3", "m4"):
    ...         fleet.crash(name)
    ...     fleet.advance(600)
    ...     brake = CascadeBrake()
    ...     for event in fleet.events.events:
    ...         brake = brake.after(event)
    >>> brake.engaged, sorted(brake.down), brake.resume().engaged
    (True, ['m1', 'm2', 'm3', 'm4'], False)
    """

    down: frozenset[str] = frozenset()
    joins_from_ms: int = field(alias="joins_from", default=0)
    joins_until_ms: int = field(alias="joins_until", default=0)

    def __repr__(self) -> str:
        return f"<CascadeBrake {'waiting for ' + ', '.join(sorted(self.down)) if self.down else 'free'}>"

    @property
    def engaged(self) -> bool:
        """Whether to hold back."""
        return bool(self.down)

    def after(self, event: Event) -> Self:
        """The brake after an event."""
        if isinstance(event, CascadeDetected):
            return attrs.evolve(
                self,
                down=self.down.union(event.machine_ids),
                joins_from=event.detected_at_ms - event.window_ms,
                joins_until=event.detected_at_ms + event.window_ms,
            )
        if not self.down or not isinstance(event, Transition):
            return self
        marked = event.flapping or event.suppressed
        back = not marked and (event.after is MachineStatus.ONLINE or event.reason is Reason.LEFT)
        if back or event.reason is Reason.REMOVED:
            return attrs.evolve(self, down=self.down - {event.machine_id})
        if marked:
            return self
        if event.after is MachineStatus.OFFLINE and self.joins_from_ms < event.detected_at_ms < self.joins_until_ms:
            return attrs.evolve(self, down=self.down | {event.machine_id})
        return self

    def resume(self) -> Self:
        """The brake let go, whoever is still down."""
        return type(self)()
