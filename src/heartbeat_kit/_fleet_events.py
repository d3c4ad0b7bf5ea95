"""Events about the fleet as a whole: many machines at once, or everybody silent.

Owns the two values and the union of all events. Must not know how an event is found, stored or delivered.
"""

from __future__ import annotations

import attrs
from attrs import field
from pendulum import DateTime, Duration

from heartbeat_kit._events import Transition
from heartbeat_kit._times import optional_datetime, to_datetime, to_duration

__all__ = ["CascadeDetected", "Event", "FleetSilent"]


@attrs.frozen(kw_only=True)
class CascadeDetected:
    """Many machines went offline within a short time: more likely one cause than many, so think before acting.

    Machines that are a warning and would follow within the window count as well: those that died together are warnings
    together. So it comes before the first of many that died at once goes offline, and in any case before the
    transitions of the look that found it.

    Attributes:
        id: Made of the evidence alone, as a `Transition`'s.
        observer: The machine id of the observer.
        machine_ids: The machines that went offline within the window, or will if they stay silent, sorted.
        began_at: The first of their deadlines (UTC).
        detected_at: When the observer found out (UTC).
        threshold: More machines than this make a cascade.
        window: How close together.
    """

    id: str
    observer: str
    machine_ids: tuple[str, ...]
    began_at_ms: int = field(alias="began_at")
    detected_at_ms: int = field(alias="detected_at")
    threshold: int
    window_ms: int = field(alias="window")

    @property
    def began_at(self) -> DateTime:
        """The first of the deadlines that passed, UTC."""
        return to_datetime(self.began_at_ms)

    @property
    def detected_at(self) -> DateTime:
        """When the observer found out, UTC."""
        return to_datetime(self.detected_at_ms)

    @property
    def window(self) -> Duration:
        """The time within which the machines went offline."""
        return to_duration(self.window_ms)

    def __repr__(self) -> str:
        return (
            f"<CascadeDetected {len(self.machine_ids)} machines since {self.began_at.isoformat()} "
            f"({', '.join(self.machine_ids)}) id={self.id[:8]}>"
        )


@attrs.frozen(kw_only=True)
class FleetSilent:
    """Nobody is heard on a medium that delays: more likely the medium stands still than that everybody died.

    The machines concerned read `unknown` until somebody is heard or `HeartbeatConfig.silence_hold` has passed.

    Attributes:
        id: Made of the newest records known, so one silence has one id.
        observer: The machine id of the observer; another one may hear somebody.
        machine_ids: The machines whose deadline had passed when the silence was noticed, sorted.
        last_heard: When the last record was seen to rise (UTC), or ``None`` if nobody was heard in this run.
        detected_at: When the observer noticed (UTC).
        believed_at: When the silence of the first of them is believed, if nobody is heard (UTC).
    """

    id: str
    observer: str
    machine_ids: tuple[str, ...]
    last_heard_ms: int | None = field(alias="last_heard", default=None)
    detected_at_ms: int = field(alias="detected_at")
    believed_at_ms: int = field(alias="believed_at")

    @property
    def last_heard(self) -> DateTime | None:
        """When the last record was seen to rise, UTC."""
        return optional_datetime(self.last_heard_ms)

    @property
    def detected_at(self) -> DateTime:
        """When the observer noticed, UTC."""
        return to_datetime(self.detected_at_ms)

    @property
    def believed_at(self) -> DateTime:
        """When the silence is believed if nobody is heard, UTC."""
        return to_datetime(self.believed_at_ms)

    def __repr__(self) -> str:
        return (
            f"<FleetSilent seen by {self.observer} at {self.detected_at.isoformat()}: {len(self.machine_ids)} "
            f"machine{'' if len(self.machine_ids) == 1 else 's'} ({', '.join(self.machine_ids)}) id={self.id[:8]}>"
        )


Event = Transition | CascadeDetected | FleetSilent
"""Whatever a listener may be called with."""
