"""What the heartbeats of many machines cost into one JSON file: together, against writing its bytes once."""

import itertools

from test_beat import bare_write

from heartbeat_kit import HeartbeatService, JsonFileStorage
from heartbeat_kit.ops import Gateway
from heartbeat_kit.testing import FakeClock

MACHINES = 1_000
NAMES = [f"machine-{number:06d}" for number in range(MACHINES)]


def test_flush_of_1000(ratio, tmp_path):
    (tmp_path / "bare").mkdir()
    storage, clock = JsonFileStorage(tmp_path), FakeClock()
    gateway = Gateway(HeartbeatService(storage, clock=clock, machine_id="gateway", state_dir=tmp_path / "state"))

    def flush():
        clock.advance(1)
        for name in NAMES:
            gateway.report(name)
        assert len(gateway.flush().stored) == MACHINES

    flush()
    data = (tmp_path / "heartbeats.json").read_bytes()
    ratio(flush, bare_write(tmp_path / "bare", data), limit=None)
    storage.close()


def test_flush_of_1000_against_each_alone(ratio, tmp_path):
    """Against a hundred of them, one after the other; the ratio of a thousand would be ten times as small."""
    together, alone = JsonFileStorage(tmp_path / "a", create=True), JsonFileStorage(tmp_path / "b", create=True)
    clock = FakeClock()
    sides = [
        HeartbeatService(storage, clock=clock, machine_id="gateway", state_dir=tmp_path / "state")
        for storage in (together, alone)
    ]
    gateway, service = Gateway(sides[0]), sides[1]
    others = Gateway(sides[1])
    for each in (gateway, others):
        for name in NAMES:
            each.report(name)
        each.flush()
    turn = itertools.cycle(range(10))

    def flush():
        clock.advance(1)
        for name in NAMES:
            gateway.report(name)
        gateway.flush()

    def one_by_one():
        clock.advance(1)
        first = next(turn) * 100
        for name in NAMES[first : first + 100]:
            service.register(machine_id=name)

    ratio(flush, one_by_one, limit=1.0, rounds=10)
    together.close()
    alone.close()
