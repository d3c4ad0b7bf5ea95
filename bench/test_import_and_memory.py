"""What `import heartbeat_kit` costs beside its dependencies, and what a machine costs in memory."""

import statistics
import subprocess
import sys
import tracemalloc

import attrs
import pytest

from heartbeat_kit import HeartbeatService, MemoryStorage
from heartbeat_kit.testing import FakeClock

DEPENDENCIES = "import attrs, cattrs, filelock, pendulum, platformdirs"
TIMED = "import time; t = time.perf_counter(); {}; print(time.perf_counter() - t)"


@pytest.mark.parametrize(
    ("statement", "limit"),
    [("import heartbeat_kit", 1.25), ("from heartbeat_kit import HeartbeatService, MemoryStorage", None)],
    ids=["import", "first use"],
)
def test_import(benchmark, statement, limit):
    """The time inside the interpreter, not its start; medians of alternating fresh processes.

    Names are loaded on first use, so the second row is what a program that embeds a service pays.
    """

    def once(code):
        out = subprocess.run([sys.executable, "-c", TIMED.format(code)], capture_output=True, text=True, check=True)
        return float(out.stdout)

    ours, floor = [], []

    def turn():
        floor.append(once(DEPENDENCIES))
        ours.append(once(statement))

    benchmark.pedantic(turn, rounds=25, iterations=1, warmup_rounds=2)
    mine, base = statistics.median(ours), statistics.median(floor)
    benchmark.extra_info.update(ours_us=mine * 1e6, floor_us=base * 1e6, ratio=mine / base, limit=limit)


def test_memory_of_an_observer(benchmark):
    """Bytes a machine at 100,000: storage, memory and ledger of one process, metadata of three keys included."""
    from conftest import heartbeat

    def build():
        storage, clock = MemoryStorage(), FakeClock()
        for number in range(100_000):
            storage.put(attrs.evolve(heartbeat(number), metadata={"role": "web", "load": 45.2, "serial": number}))
        service = HeartbeatService(storage, clock=clock, machine_id="observer")
        service.check(force=True)
        return storage, service

    tracemalloc.start()
    kept = build()
    each = tracemalloc.get_traced_memory()[0] / 100_000
    tracemalloc.stop()
    del kept
    benchmark.pedantic(lambda: None, rounds=1)
    benchmark.extra_info.update(bytes_per_machine=each, ratio=each / 1024, limit=1.0, ours_us=0, floor_us=0)
