"""What the tests of `FakeClock` share: a loop that notes its turns."""

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z, where a `FakeClock` starts."""


class Ticker:
    """A loop that runs every `every_ms` and notes the monotonic time of its turns, in seconds."""

    def __init__(self, clock, every_ms=10_000, name="tick", log=None):
        self.clock, self.every_ms, self.name = clock, every_ms, name
        self.turns = []
        self.log = log if log is not None else []
        self.loop = clock.loop(self.step, name=name)

    def step(self):
        now_ms = self.clock.now().mono_ms
        self.turns.append(now_ms / 1000)
        self.log.append(self.name)
        return now_ms + self.every_ms
