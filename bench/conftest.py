"""Ratios to a floor measured in the same run, turn by turn, so a busy machine slows both."""

import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from heartbeat_kit import Heartbeat
from heartbeat_kit._metadata import encode

NOW_MS = 1_768_519_800_000
METADATA = encode({"role": "web", "version": "3.0.0", "cpuUsage": 45.2})  # once, as a beater keeps it between beats


@pytest.fixture
def ratio(benchmark: Any) -> Callable[..., float]:
    """`ratio(ours, floor)`: the median of ours over the median of the floor, alternating."""

    def measure(
        ours: Callable[[], object],
        floor: Callable[[], object],
        *,
        limit: float | None,
        rounds: int = 30,
        calls: int = 1,
    ) -> float:
        floors: list[float] = []

        def floor_turn() -> None:
            began = time.perf_counter()
            for _ in range(calls):
                floor()
            floors.append((time.perf_counter() - began) / calls)

        def ours_turn() -> None:
            for _ in range(calls):
                ours()

        floor()
        ours()
        benchmark.pedantic(ours_turn, setup=floor_turn, rounds=rounds, iterations=1)
        mine, base = benchmark.stats.stats.median / calls, statistics.median(floors)
        benchmark.extra_info.update(ours_us=mine * 1e6, floor_us=base * 1e6, ratio=mine / base, limit=limit)
        return mine / base

    return measure


def heartbeat(number: int, seq: int = 1) -> Heartbeat:
    return Heartbeat(
        machine_id=f"machine-{number:06d}",
        last_heartbeat=NOW_MS + seq,
        incarnation=NOW_MS,
        seq=seq,
        interval=30_000,
        metadata=METADATA,
        host="bench",
    )


def fill(directory: Path, machines: int) -> None:
    from heartbeat_kit import SharedFolderStorage

    storage = SharedFolderStorage(directory, create=True, time_budget=None)
    for number in range(machines):
        storage.put(heartbeat(number))
    storage.close()
