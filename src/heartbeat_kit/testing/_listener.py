"""`RecordingListener`: remembers what a service announced.

Owns a list of events. Must not know how they come about or how they are delivered.
"""

from __future__ import annotations

from typing import Any

from heartbeat_kit._identity import normalize_machine_id

__all__ = ["RecordingListener"]


class RecordingListener:
    """A listener for tests: call it with an event and it is in `events`.

    Args:
        raises: Raised after each recording, to see what a failing listener does to the others; may be changed later.

    >>> listener = RecordingListener()
    >>> listener("an event")
    >>> listener
    <RecordingListener 1 event>
    """

    def __init__(self, *, raises: BaseException | type[BaseException] | None = None) -> None:
        self.raises = raises
        self._events: list[Any] = []

    def __call__(self, event: Any) -> None:
        """Record `event`, then raise what was asked for."""
        self._events.append(event)
        if self.raises is not None:
            raise self.raises

    @property
    def events(self) -> tuple[Any, ...]:
        """Everything received, in order."""
        return tuple(self._events)

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of the events received that have one, in order."""
        return tuple(event.id for event in self._events if hasattr(event, "id"))

    @property
    def changes(self) -> tuple[tuple[str, str], ...]:
        """``(machine id, status it went to)`` of each transition received, in order; one line to compare with."""
        return tuple((event.machine_id, str(event.after)) for event in self._events if hasattr(event, "after"))

    def of(self, machine_id: str) -> tuple[Any, ...]:
        """The events about one machine, in order."""
        wanted = normalize_machine_id(machine_id)
        return tuple(event for event in self._events if getattr(event, "machine_id", None) == wanted)

    def clear(self) -> None:
        """Forget everything received."""
        self._events.clear()

    def __repr__(self) -> str:
        count = len(self._events)
        return f"<RecordingListener {count} event{'' if count == 1 else 's'}>"
