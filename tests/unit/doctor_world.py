"""What tests of the doctor share: the judgement of a diagnosis, and machines and media to make one of.

Owns no test.
"""

from datetime import UTC, datetime, timedelta

import attrs

from heartbeat_kit import (
    HeartbeatConfig,
    HeartbeatService,
    MemoryStorage,
    StorageTraits,
)
from heartbeat_kit.doctor import FindingOutcome
from heartbeat_kit.testing import FakeClock

TWO = {"a.conf": "one\n", "b.conf": "two\n"}
SLOW = HeartbeatConfig(heartbeat_interval=timedelta(seconds=60), offline_timeout=timedelta(seconds=240))


def found(diagnosis, *checks):
    """The only troubles are those of these checks; each has a remedy. The first of them."""
    assert sorted({each.check for each in diagnosis.troubles}) == sorted(checks), list(diagnosis)
    assert all(each.remedy for each in diagnosis.troubles)
    return diagnosis[checks[0]]


def silent(diagnosis):
    assert not diagnosis.troubles, diagnosis.troubles
    assert (diagnosis.outcome, diagnosis.exit_code, diagnosis.unchecked, diagnosis.blind) == (
        FindingOutcome.OK,
        0,
        {},
        "",
    )
    assert not any(each.remedy for each in diagnosis)
    return diagnosis


def now():
    """A fake clock at the true time, because real files are stamped with it."""
    return FakeClock(datetime.now(UTC))


def beating(storage, clock, *names, state_dir=None, host=None, config=None):
    """Services that have just beaten."""
    made = [
        HeartbeatService(storage, config, clock=clock, machine_id=name, host=host or name, state_dir=state_dir)
        for name in names
    ]
    for service in made:
        service.register()
    return made


def probing(probe):
    """A storage that finds this out about itself."""

    class Medium(MemoryStorage):
        def probe(self, machine_id=""):
            return probe

    return Medium()


class Engine(MemoryStorage):
    """A storage with a clock of its own."""

    def __init__(self, at_ms):
        super().__init__(
            traits=StorageTraits(durable=False, cross_process=False, cross_host=True, coherent=True, server_clock=True)
        )
        self.at_ms = at_ms

    def load(self):
        return attrs.evolve(super().load(), server_time_ms=self.at_ms)


def beats_every(service, clock, period_ms):
    def step():
        service.register()
        return clock.now().mono_ms + period_ms

    return step
