"""How near the measured allowance comes to the medium's own p99 jitter: many simulated observers, one number each.

``python bench/allowance.py`` takes about a minute; ``--machines 3`` shows what few peers do to it, ``--beat 10`` what
beats faster than the medium do.
"""

import argparse
import statistics
from datetime import timedelta

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit.lab import Medium, simulate


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--machines", type=int, default=20, help="everyone observes")
    parser.add_argument("--seeds", type=int, default=10, help="runs")
    parser.add_argument("--hours", type=float, default=4, help="length of a run")
    parser.add_argument("--beat", type=float, default=30, help="seconds between two heartbeats")
    given = parser.parse_args()
    beat = timedelta(seconds=given.beat)
    config = HeartbeatConfig(heartbeat_interval=beat, check_interval=beat, offline_timeout=4 * beat)
    found = []
    for seed in range(given.seeds):
        services = {}
        run = simulate(
            given.machines,
            Medium.cloud(),
            duration=timedelta(hours=given.hours),
            seed=seed,
            config=config,
            observers="all",
            on_start=lambda service, machine_id, services=services: services.update({machine_id: service}),
        )
        true = run.medium_p99_jitter.total_seconds()
        found += [service.state().observer.medium.allowance.total_seconds() / true for service in services.values()]
    near = sum(0.8 <= share <= 1.2 for share in found)
    print(
        f"{len(found)} observers of {given.machines - 1} peers, a beat every {given.beat:g} s, {given.hours:g} h: "
        f"allowance / p99 jitter drawn = {statistics.mean(found):.2f} ± {statistics.stdev(found):.2f} "
        f"({min(found):.2f} to {max(found):.2f}); within 20 %: {near}"
    )


if __name__ == "__main__":
    main()
