"""Failure detectors on one simulated cloud folder, ours and others', judged on the very same looks.

``python bench/detectors.py`` makes the table of `docs/concepts/how-sure-can-it-be.md` (two to five minutes);
``--days 2`` makes a quick one, ``--upload-pauses 1`` lets senders' own sync clients pause as well.
"""

import argparse
import random
import time
from datetime import timedelta

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit.lab import (
    ArrivalTimeout,
    ChenFreshness,
    Comparison,
    Crash,
    DetectorRun,
    Medium,
    PhiAccrual,
    PlainTimeout,
    Predecessor30,
    Predecessor31,
    assess,
    simulate,
)

T = timedelta(seconds=120)
BEAT = timedelta(seconds=30)
HOUR = 3600
OTHERS = {
    "plain timeout T on the sender's stamp": PlainTimeout(T),
    "plain timeout 2T on the sender's stamp": PlainTimeout(2 * T),
    "predecessor 3.0": Predecessor30(),
    "predecessor 3.1": Predecessor31(),
    "timeout T on arrival": ArrivalTimeout(T),
    "Chen, margin 60 s": ChenFreshness(timedelta(seconds=60), interval=BEAT),
    "phi accrual, threshold 8": PhiAccrual(8, interval=BEAT),
}


class Listener:
    """Tells the other detectors what the observer sees, look by look."""

    def __init__(self, observer):
        self.running = {name: DetectorRun(detector) for name, detector in OTHERS.items()}
        self.newest = {}
        self.observer = observer

    def start(self, service, machine_id):
        if machine_id == self.observer:
            self.service = service
            service.tap(self.look)

    def look(self, sighting):
        risen = [
            beat
            for name, beat in sighting.snapshot.heartbeats.items()
            if name != self.observer and beat.order > self.newest.get(name, (-1, -1))
        ]
        self.newest |= {beat.machine_id: beat.order for beat in risen}
        for detector in self.running.values():
            detector.look(sighting.finished.mono_ms, sighting.finished, risen)


def deaths(machines, days, seed):
    """One crash a day, of anybody but the observer, for one to two hours."""
    chance = random.Random(f"deaths {seed}")
    for day in range(int(days)):
        at = day * 24 * HOUR + chance.uniform(1, 21) * HOUR
        yield Crash(chance.choice(machines[1:]), at=at, until=at + chance.uniform(1, 2) * HOUR)


def main():
    parser = argparse.ArgumentParser(
        description=__doc__.splitlines()[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--days", type=float, default=60, help="length of the run")
    parser.add_argument("--machines", type=int, default=20, help="the first of them observes")
    parser.add_argument("--stalls", type=float, default=2, help="pauses of the observer's sync client a day")
    parser.add_argument("--upload-pauses", type=float, default=0, help="pauses of each sender's sync client a day")
    parser.add_argument("--seed", type=int, default=1, help="decides everything that is drawn")
    given = parser.parse_args()
    machines = [f"m{number}" for number in range(1, given.machines + 1)]
    medium = Medium.cloud(stalls_per_day=given.stalls, upload_pauses_per_day=given.upload_pauses)
    listener = Listener(machines[0])
    began = time.process_time()
    run = simulate(
        machines,
        medium,
        tuple(deaths(machines, given.days, given.seed)),
        duration=timedelta(days=given.days),
        seed=given.seed,
        config=HeartbeatConfig(offline_timeout=T, heartbeat_interval=BEAT),
        observers=[machines[0]],
        on_start=listener.start,
    )
    spent = time.process_time() - began
    duration_ms = int(given.days * 86_400_000)
    truth = {name: spans for name, spans in run.alive.items() if name != listener.observer}
    qualities = {
        "**heartbeat_kit**, offline": run.quality(),
        "**heartbeat_kit**, warning or offline": run.quality(suspicion="warning"),
    }
    for name, running in listener.running.items():
        suspected = {machine: spans for machine, spans in running.spans(duration_ms).items() if machine in truth}
        qualities[name] = assess(alive=truth, suspected=suspected, duration_ms=duration_ms)
    caption = f"{given.machines} machines, {given.days:g} days, seed {given.seed}"
    print(
        f"{caption}; {given.stalls:g} stalls of the observer's sync client a day, {given.upload_pauses:g} of senders'\n"
    )
    print(Comparison(qualities=qualities, caption=caption))
    medium_state = listener.service.state().observer.medium
    print(f"\nthe medium's p99 jitter: {run.medium_p99_jitter.total_seconds():.1f} s drawn, ", end="")
    print(f"{run.visible_p99_jitter.total_seconds():.1f} s of the beats that were ever the newest; ", end="")
    print(f"the measured allowance at the end: {medium_state.allowance.total_seconds():.0f} s")
    in_pause = sum(mistake.in_upload_pause for mistake in run.mistakes())
    print(f"false offline: {len(run.mistakes())}, of them while the sender's own client paused: {in_pause}")
    print(f"{spent * 1000 / (given.machines * given.days):.0f} ms of CPU a machine-day, the others' detectors included")


if __name__ == "__main__":
    main()
