"""What a look costs: at an unchanged folder, at a folder for the first time, at 100,000 machines in memory."""

import itertools
import json
import os
import statistics
import time
from datetime import timedelta

import attrs

from conftest import NOW_MS, fill, heartbeat
from heartbeat_kit import HeartbeatService, MemoryStorage, SharedFolderStorage
from heartbeat_kit.testing import FakeClock


def test_check_of_10000_unchanged_files(ratio, tmp_path):
    fill(tmp_path, 10_000)
    folder = str(tmp_path / "heartbeats")
    storage = SharedFolderStorage(tmp_path, propagation_delay=timedelta(0))
    service = HeartbeatService(storage, clock=FakeClock(), machine_id="observer", state_dir=tmp_path / "state")
    service.check(force=True)

    def bare():
        return [entry.stat() for entry in os.scandir(folder)]

    ratio(lambda: service.check(force=True), bare, limit=1.5, rounds=40)
    storage.close()


def test_first_load_of_10000_files(ratio, tmp_path):
    fill(tmp_path, 10_000)
    folder = str(tmp_path / "heartbeats")

    def bare():
        found = []
        for entry in os.scandir(folder):
            with open(entry.path, "rb") as file:
                found.append(json.loads(file.read()))
        return found

    def ours():
        storage = SharedFolderStorage(tmp_path, propagation_delay=timedelta(0))
        assert len(storage.load().heartbeats) == 10_000
        storage.close()

    ratio(ours, bare, limit=2.5, rounds=8)


def fleet_in_memory(machines):
    storage, clock = MemoryStorage(), FakeClock()
    now = clock.now().wall_ms
    for number in range(machines):
        storage.put(attrs.evolve(heartbeat(number), last_heartbeat=now, incarnation=now))
    service = HeartbeatService(storage, clock=clock, machine_id="observer")
    service.check(force=True)
    service.check(force=True)
    return storage, clock, service


def bare_comparisons(machines):
    stamps = {f"machine-{number:06d}": NOW_MS + number for number in range(machines)}

    def bare(deadline=NOW_MS + 240_000):
        late = []
        for name, stamp in stamps.items():
            if stamp >= deadline:
                late.append(name)
        return late

    return bare


def test_check_of_100000_unchanged_in_memory(ratio):
    _, _, service = fleet_in_memory(100_000)
    ratio(lambda: service.check(force=True), bare_comparisons(100_000), limit=10, rounds=20)


def test_check_of_100000_in_memory_after_everybody_beat(benchmark):
    """No limit was set for it; it shows what a change costs beside what a quiet machine costs."""
    storage, clock, service = fleet_in_memory(100_000)
    records = list(storage.load().heartbeats.values())
    seq, bare, floors = itertools.count(2), bare_comparisons(100_000), []

    def beat_all():
        number = next(seq)
        for record in records:
            storage.put(attrs.evolve(record, last_heartbeat=clock.now().wall_ms, seq=number))
        began = time.perf_counter()
        bare()
        floors.append(time.perf_counter() - began)

    benchmark.pedantic(lambda: service.check(force=True), setup=beat_all, rounds=5, iterations=1)
    mine, base = benchmark.stats.stats.median, statistics.median(floors)
    benchmark.extra_info.update(ours_us=mine * 1e6, floor_us=base * 1e6, ratio=mine / base, limit=None)
