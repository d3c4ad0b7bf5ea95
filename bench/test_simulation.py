"""What a simulated machine-day costs: 2,880 heartbeats and looks of a real service, on each kind of medium.

The floor is what a simulation without judgement must do for the same beats and looks: take each from a heap of due
times, make the record, put it into a `MemoryStorage`; load that, and compare each machine's stamp with a deadline.
Both in CPU time, a machine-day each; 20 machines for a day, one of them observes.
"""

import heapq
import statistics
import time
from datetime import timedelta

import attrs
import pytest

from conftest import NOW_MS, heartbeat
from heartbeat_kit import HeartbeatConfig, MemoryStorage
from heartbeat_kit.lab import Medium, simulate

MACHINES = 20
BEAT_MS, DAY_MS, DEADLINE_MS = 30_000, 86_400_000, 240_000
BEATS = DAY_MS // BEAT_MS
CONFIG = HeartbeatConfig(heartbeat_interval=timedelta(milliseconds=BEAT_MS))
ROUNDS = 3


def bare_day():
    storage = MemoryStorage()
    records = [heartbeat(number) for number in range(MACHINES)]
    due = [(number * BEAT_MS // MACHINES, number) for number in range(MACHINES)]
    due.append((BEAT_MS - 1, MACHINES))  # the observer's looks
    looks = late = 0
    while due[0][0] < DAY_MS:
        now_ms, number = due[0]
        heapq.heapreplace(due, (now_ms + BEAT_MS, number))
        if number < MACHINES:
            last = records[number]
            records[number] = attrs.evolve(last, last_heartbeat=NOW_MS + now_ms, seq=last.seq + 1)
            storage.put(records[number])
        else:
            looks += 1
            oldest_ms = NOW_MS + now_ms - DEADLINE_MS
            late += sum(beat.last_heartbeat_ms < oldest_ms for beat in storage.load().heartbeats.values())
    assert (looks, late) == (BEATS, 0)
    assert [record.seq for record in records] == [1 + BEATS] * MACHINES


@pytest.mark.parametrize(
    ("medium", "limit"), [(Medium.cloud(), 12), (Medium.coherent(), 10)], ids=["cloud", "coherent"]
)
def test_simulated_machine_day(benchmark, medium, limit):
    """In milliseconds it is the first column; the ratio is what a slow machine does not change."""
    mine, floors, looks = [], [], []

    def start(service, name):
        if name == "m1":
            service.tap(looks.append)

    def floor_turn():
        began = time.process_time()
        bare_day()
        floors.append((time.process_time() - began) / MACHINES)

    def ours_turn():
        looks.clear()
        began = time.process_time()
        run = simulate(MACHINES, medium, duration=timedelta(days=1), seed=len(mine), config=CONFIG)
        mine.append((time.process_time() - began) / MACHINES)
        assert not run.mistakes()

    simulate(MACHINES, medium, duration=timedelta(hours=1), config=CONFIG, on_start=start)
    assert len(looks) >= 3_600_000 // BEAT_MS - 1  # it does look every interval
    benchmark.pedantic(ours_turn, setup=floor_turn, rounds=ROUNDS, iterations=1)
    ours, base = statistics.median(mine), statistics.median(floors)
    benchmark.extra_info.update(ours_us=ours * 1e6, floor_us=base * 1e6, ratio=ours / base, limit=limit)
