"""The acceptance run: two days of everything that happens to a synced folder, and what must be true of them.

``python tests/regressions/acceptance.py 0 20`` writes the figures of seeds 0 to 19.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from random import Random
from typing import NamedTuple

from heartbeat_kit import HeartbeatConfig, MachineStatus
from heartbeat_kit.lab import (
    Crash,
    DiskFull,
    Dst,
    Leave,
    Lognormal,
    Medium,
    Mistake,
    Partition,
    Pause,
    Run,
    Skew,
    Suspend,
    WallJump,
    simulate,
)

HOUR = 3600
DEAD = "m5"
DIES_AT = 33 * HOUR
SLOWEST = 60
CONFIG = HeartbeatConfig.synced_folder()


class Figures(NamedTuple):
    """What an acceptance run is judged by; times in seconds."""

    run: Run
    false_offline: tuple[Mistake, ...]
    false_warning: tuple[Mistake, ...]
    duplicates: int
    missed: int
    found_after: dict[str, float]
    """By observer: from the crash to the announcement that held."""
    undisturbed: frozenset[str]
    """Observers whose sync client did not stand still when the death was to be noticed."""
    bound: float
    """``2 T + allowance + one look``."""

    def __str__(self) -> str:
        found = ", ".join(
            f"{name} {seconds:.0f}{'' if name in self.undisturbed else ' (stalled)'}"
            for name, seconds in sorted(self.found_after.items())
        )
        return (
            f"seed {self.run.seed}: {len(self.false_offline)} false offline, {len(self.false_warning)} false warning, "
            f"{self.duplicates} duplicates, {self.missed} missed; the crash found after {found} s "
            f"(2T + allowance + look: {self.bound:.0f} s)\n  {self.run.quality()!r}"
        )


def medium(propagation_delay: float | None = SLOWEST) -> Medium:
    """5 to 60 s of delay, two stalls a day of each observer, 0-byte reads, conflict copies, reordering."""
    return Medium.cloud(
        delay=Lognormal(median=8, p99=50, least=5, most=SLOWEST),
        propagation_delay=propagation_delay,
        stalls_per_day=2,
        lost=0,
    )


def acceptance(
    seed: int,
    *,
    hours: int = 48,
    propagation_delay: float | None = SLOWEST,
    config: HeartbeatConfig = CONFIG,
    directory: Path | None = None,
) -> Figures:
    """Six machines that all observe; of a shorter run the faults come proportionally earlier."""
    unit = hours / 48 * HOUR
    dies_at = 33 * unit
    run = simulate(
        6,
        medium(propagation_delay),
        [
            Skew("m2", 600),
            Dst("m3", at=26 * unit, until=41 * unit),
            Suspend("m4", at=10 * unit, until=10 * unit + 2700),
            Partition("m6", at=17 * unit, until=17 * unit + 240),
            DiskFull("m1", at=21 * unit, until=21 * unit + 120),
            Crash(DEAD, at=dies_at),
        ],
        duration=hours * HOUR,
        seed=seed,
        observers="all",
        config=config,
        directory=directory,
    )
    return figures(run, dies_at)


def figures(run: Run, dies_at: float) -> Figures:
    """Read a run."""
    bound = run.bound_ms / 1000
    watching = [name for name in run.observers if name != DEAD]
    found = {}
    for name in watching:
        line = run.timeline(name, DEAD)
        if line[-1][1] is MachineStatus.OFFLINE:
            found[name] = line[-1][0] - dies_at
    needed = dies_at + bound + SLOWEST
    undisturbed = frozenset(
        name
        for name in watching
        if not any(start / 1000 < needed and end / 1000 > dies_at - bound for start, end in run.stalls[name])
    )
    quality = run.quality()
    return Figures(
        run=run,
        false_offline=run.mistakes(),
        false_warning=run.mistakes(suspicion="warning"),
        duplicates=quality.duplicates,
        missed=quality.missed,
        found_after=found,
        undisturbed=undisturbed,
        bound=bound,
    )


def turmoil(seed: int, *, hours: int = 24) -> Run:
    """Six machines that crash, leave, stop and sleep every few hours, with clocks that jump, on any medium."""
    random, end, faults = Random(seed), hours * HOUR, []
    for machine in (f"m{number}" for number in range(1, 7)):
        at = 600 + random.randrange(1800, 6 * HOUR)
        while at < end - 3000:
            until = at + random.choice([30, 90, 200, 400, 900, 2000, 5000])
            faults.append(random.choice([Crash, Leave, Pause, Suspend])(machine, at=at, until=until))
            at = until + random.randrange(1800, 6 * HOUR)
        faults.append(Skew(machine, random.choice([-600, 0, 3, 600, 100_000])))
        faults.append(WallJump(machine, at=random.randrange(end), seconds=random.choice([-3600, -60, 7, 600])))
        faults.append(Dst(machine, at=random.randrange(end)))
    media = [
        Medium.cloud(),
        Medium.cloud(propagation_delay=SLOWEST),
        Medium.cloud(median=20, p99=200),
        Medium.nfs(),
        Medium.coherent(),
    ]
    config = random.choice([HeartbeatConfig(), CONFIG])
    return simulate(6, media[seed % 5], faults, duration=end, seed=seed, observers=3, config=config)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="The acceptance run, seed after seed.")
    parser.add_argument("first", type=int, nargs="?", default=0)
    parser.add_argument("end", type=int, nargs="?", default=20, help="the first seed that is not run any more")
    given = parser.parse_args()
    for number in range(given.first, given.end):
        sys.stdout.write(f"{acceptance(number)}\n")
