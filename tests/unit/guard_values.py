"""A service that looks on demand, machines that beat when a test says so, and everything that was announced."""

from datetime import timedelta

from heartbeat_kit import Heartbeat, HeartbeatService, MemoryStorage
from heartbeat_kit.storage import StorageTraits
from heartbeat_kit.testing import FakeClock, FaultyStorage, RecordingListener

__all__ = ["DELAYING", "FAST", "UNDECLARED", "Scene", "short"]


def _medium(**more):
    return StorageTraits(durable=False, cross_process=False, cross_host=True, **more)


DELAYING = _medium(coherent=False, propagation_delay=timedelta(seconds=60))
"""Other hosts' clocks, up to a minute late."""
UNDECLARED = _medium(coherent=False, propagation_delay=None)
"""Other hosts' clocks, late by nobody knows how much."""
FAST = _medium(coherent=True)
"""Other hosts' clocks, no delay."""


def short(event):
    """``(machine, status, marks)`` of a transition, ``(kind, *machines)`` of an event about the fleet."""
    if hasattr(event, "after"):
        marks = "f" * event.flapping + "s" * event.suppressed
        return (event.machine_id, str(event.after), marks) if marks else (event.machine_id, str(event.after))
    return (type(event).__name__, *event.machine_ids)


class Scene:
    """One storage, one observer of it, and machines that beat into it."""

    def __init__(self, traits=None, config=None, *, interval=30_000):
        self.interval = interval
        self.clock, self.heard = FakeClock(), RecordingListener()
        self.storage = FaultyStorage(MemoryStorage(traits=traits))
        self.config, self._beats = config, {}
        self.restart()

    def restart(self):
        """A new process of the observer: what is stored stays."""
        self.service = HeartbeatService(self.storage, self.config, clock=self.clock, machine_id="watcher", host="here")
        self.service.subscribe(self.heard)

    def beat(self, *names, **more):
        """One more beat of each, now."""
        for name in names:
            self._beats[name] = self._beats.get(name, 0) + 1
            self.storage.inner.put(
                Heartbeat(
                    machine_id=name,
                    last_heartbeat=self.clock.now().wall_ms,
                    incarnation=1,
                    seq=self._beats[name],
                    interval=self.interval,
                    **more,
                )
            )

    def look(self):
        """One look."""
        return self.service.check(force=True)

    def live(self, seconds, *names, step=30, look=True):
        """Let time pass; who is named beats at each step, and somebody looks. Returns what was announced."""
        before = len(self.heard.events)
        for _ in range(round(seconds / step)):
            self.clock.advance(step)
            self.beat(*names)
            if look:
                self.look()
        return [short(event) for event in self.heard.events[before:]]

    def status(self, name):
        """What people are shown."""
        return str(self.service.state()[name].status)

    @property
    def health(self):
        """How the observer sees."""
        return str(self.service.state().observer.health)

    @property
    def said(self):
        """Everything announced but first registrations."""
        return [short(event) for event in self.heard.events if getattr(event, "reason", "") != "first_seen"]
