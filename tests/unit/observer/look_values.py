"""A pretended observer for the pure core: it keeps the memory and the ledger between looks, as the shell does."""

import attrs
from core_values import START, beat

from heartbeat_kit import Instant, Transition
from heartbeat_kit._observer import Memory, Timing, look
from heartbeat_kit.storage import Snapshot

__all__ = ["HEARD", "LOCAL", "REMOTE", "SLOW", "START", "Observer", "at", "beat"]

T = 120_000
LOCAL = Timing(heartbeat_ms=30_000, timeout_ms=T, hold_ms=900_000)
"""Writers share our clock."""
REMOTE = Timing(heartbeat_ms=30_000, timeout_ms=T, hold_ms=900_000, shared_clock=False)
"""Other hosts' clocks, a coherent medium without delay."""
SLOW = Timing(heartbeat_ms=30_000, timeout_ms=T, hold_ms=900_000, delay_ms=60_000, shared_clock=False, coherent=False)
"""A synced folder."""
HEARD = attrs.evolve(SLOW, hold_ms=0)
"""A synced folder whose silence is believed at once."""


def at(seconds, wall=None):
    """The instant `seconds` after the start, with both clocks in step unless `wall` says otherwise."""
    return Instant(START + round(1000 * (seconds if wall is None else wall)), round(1000 * seconds))


def _short(event):
    if isinstance(event, Transition):
        return (event.machine_id, str(event.after), str(event.reason))
    return (type(event).__name__, *event.machine_ids)


class Observer:
    """Looks with `look()`, commits what comes out, and remembers every event."""

    def __init__(self, timing=LOCAL, *, name="watcher", ledger=None):
        self.timing, self.name = timing, name
        self.memory, self.events = Memory(), []
        self.ledger = {} if ledger is None else ledger
        self.last = None

    def look(
        self, seconds, *beats, wall=None, took=0.0, commit=True, unreadable=None, conflicts=None, server=None, **more
    ):
        """One look; returns its events as ``(id, after, reason)``, those of the fleet as ``(kind, *ids)``."""
        started = at(seconds, wall)
        self.last = look(
            self.memory,
            Snapshot(
                heartbeats={record.machine_id: record for record in beats},
                unreadable=unreadable or {},
                conflicts=conflicts or {},
                server_time_ms=server,
            ),
            self.ledger,
            timing=self.timing,
            started=started,
            finished=Instant(started.wall_ms + round(took * 1000), started.mono_ms + round(took * 1000)),
            observer=self.name,
            owner="owner",
            **more,
        )
        self.memory = self.last.memory
        if not commit:
            return []
        made = []
        self.ledger = dict(self.ledger)
        for move in self.last.moves:
            current = self.ledger.get(move.entry.machine_id)
            if (current.event_id if current else None) == move.expected:
                self.ledger[move.entry.machine_id] = move.entry
                made.append(move.transition)
        self.events += made
        return [_short(event) for event in made]

    def verdict(self, machine_id="web-1"):
        """What it believes of a machine."""
        return str(self.memory.known[machine_id].verdict)

    @property
    def visible(self):
        """The machines it shows to people."""
        return self.memory.known.keys() - self.memory.removed

    def restarted(self):
        """A new process of the same observer: the ledger stays, the memory does not."""
        return Observer(self.timing, name=self.name, ledger=self.ledger)
