"""One machine beside a synced folder: the person's files, the replica, and the process that syncs the two.

Owns the making of a machine and of what a person saves. Must not know what happens to it, nor in which order.
"""

import json
from datetime import timedelta

from heartbeat_kit import HeartbeatConfig, HeartbeatService, SyncCoordinator
from heartbeat_kit.sync import Guards

from .cloud_folder import files

POLICY = {"keep/": "keep_both", "*.json": "merge", "*.txt": "merge", "mine.ini": "machine", "theirs.ini": "baseline"}
BEAT_S = 30
QUICK = HeartbeatConfig(silence_hold=timedelta(0))


class Person:
    """One machine: the person's files, the replica beside them, and the process that syncs the two."""

    def __init__(self, world, name):
        self.world, self.name = world, name
        self.folder = world.root / name
        self.folder.mkdir()
        self.share = world.cloud.replicas[name]
        self.state = world.root / f"state-{name}"
        self.is_away = False
        self.is_rolling_back = False
        self.start()

    def start(self):
        """A new process."""
        world = self.world
        world.clock.advance(1)
        self.service = HeartbeatService(
            world.storage,
            QUICK,
            clock=world.clock,
            machine_id=self.name,
            state_dir=world.root / f"service-{self.name}",
        )
        self.sync = SyncCoordinator(
            self.service, workspace=self.folder, shared=self.share, state_dir=self.state, policy=POLICY
        )
        self.beat()

    def beat(self):
        self.service.register()
        self.service.check()

    def has(self, path):
        place = self.folder / path
        return place.read_bytes() if place.is_file() else None

    def again(self):
        self.sync.recover()
        return self.sync.apply(self.sync.plan(guards=Guards.off()))

    def baseline(self):
        return files(self.share / "baseline" / "files", ours=False)

    def journal(self):
        return next(self.state.glob("sync/*/*/journal.json"), None)


def beat_all(clock, people, times):
    """So many heartbeats and looks of these people's machines, and silence of all others."""
    for _ in range(times):
        clock.advance(BEAT_S)
        for each in people:
            each.beat()


def edited(path, now, number, line):
    """A new version of a file, made of what is there; of one that can be merged only one part is new."""
    if path.endswith(".json"):
        record = {} if now is None else json.loads(now)
        return json.dumps({**record, "xyz"[line % 3]: number}, indent=1).encode()
    if path.endswith(".txt"):
        lines = [f"line {each}" for each in range(9)] if now is None else now.decode().split("\n")
        lines[line % len(lines)] = f"edit {number}"
        return "\n".join(lines).encode()
    return f"{path} {number}".encode()
