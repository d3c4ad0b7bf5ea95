"""Real processes race one sync, and one that stood still wakes up when another has finished: it is done once."""

import json
import os
import select
import signal
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from sync_racer import LONG_AGO_MS, NOW_MS, StandingClock, beat, service
from sync_shares import OURS, POLICY

from heartbeat_kit import SyncCoordinator

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(signal, "SIGSTOP"), reason="needs SIGSTOP and POSIX processes"),
]

RACER = str(Path(__file__).with_name("sync_racer.py"))
ROUNDS = 100
RACERS = 8
PATIENCE_MS = 80


class Racer:
    """A process that syncs when it is told to."""

    def __init__(self, home, name, state, patience_ms=30_000):
        self.process = subprocess.Popen(
            [sys.executable, RACER, str(home), name, str(state), str(patience_ms)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        (home / name).mkdir(exist_ok=True)

    def __enter__(self):
        assert self.process.stdout.readline() == "ready\n"
        return self

    def __exit__(self, *_):
        self.process.send_signal(signal.SIGCONT)
        self.process.kill()
        self.process.communicate()

    def tell(self, line):
        self.process.stdin.write(line + "\n")
        self.process.stdin.flush()

    def hear(self):
        said = json.loads(self.process.stdout.readline())
        assert said.get("outcome") != "traceback", said["message"]
        return said

    def ask(self, line):
        self.tell(line)
        return self.hear()

    def stands_still(self):
        """Wait until it stopped itself; false if it went through instead, and has answered."""
        while not select.select([self.process.stdout], [], [], 0.002)[0]:
            pid, status = os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)
            if pid:
                assert os.WIFSTOPPED(status), status
                return True
        return False

    def go_on(self):
        self.process.send_signal(signal.SIGCONT)


class Share:
    """A share where every write is seen at once, and machines that died there."""

    def __init__(self, home):
        self.home = home
        self.share = home / "share"
        self.share.mkdir(parents=True)
        self.keeper = self.machine("keeper")
        for number in range(12):
            self.write("keeper", f"conf/{number}.conf", f"first {number}")
        self.keeper.adopt_baseline()
        self.apply(self.keeper)

    def machine(self, name):
        (self.home / name).mkdir()
        state = self.home / f"state-{name}"
        return SyncCoordinator(
            service(self.share, name, state, StandingClock()),
            workspace=self.home / name,
            shared=self.share,
            state_dir=state,
            policy=POLICY,
        )

    def write(self, name, path, text):
        target = self.home / name / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    @staticmethod
    def apply(machine):
        return machine.apply(machine.plan())

    def dies(self, number):
        """A machine published its edits and has been silent for an hour."""
        name = f"dead-{number}"
        beat(self.share, name, LONG_AGO_MS)
        dead = self.machine(name)
        self.apply(dead)
        edits = {
            f"conf/{number % 12}.conf": f"edited by {name}",
            f"conf/{(number + 5) % 12}.conf": f"edited by {name} too",
            f"new/{name}/made.conf": f"made by {name}",
        }
        for path, text in edits.items():
            self.write(name, path, text)
        dead.publish()
        return name, edits

    def manifest(self):
        return (self.share / "baseline/manifest.json").read_bytes()

    def generation(self):
        return json.loads(self.manifest())["generation"]

    def baseline(self):
        root = self.share / "baseline/files"
        return {
            str(path.relative_to(root)): path.read_bytes()
            for path in sorted(root.rglob("*"))
            if path.is_file() and not path.name.startswith(OURS)
        }

    def written(self, *folders):
        return {
            str(path.relative_to(self.share)): path.read_bytes()
            for folder in folders
            for path in sorted((self.share / folder).rglob("*"))
            if path.is_file() and not path.name.startswith(OURS)
        }

    def leftovers(self):
        return [str(path) for path in (self.share / "baseline/files").rglob(f"{OURS}*")]


@pytest.fixture
def share(tmp_path):
    return Share(tmp_path / "home")


def start(home, names, *, state=None, patience_ms=30_000):
    return [Racer(home, name, state or home / f"state-{name}", patience_ms) for name in names]


def test_eight_observers_race_one_transition_a_hundred_times(share):
    """One applies, seven find it done; one set of writes."""
    names = [f"observer-{number}" for number in range(RACERS)]
    for name in names:
        beat(share.share, name, NOW_MS)
    racers = start(share.home, names)
    winners = Counter()
    try:
        for racer in racers:
            racer.__enter__()
        for number in range(ROUNDS):
            name, edits = share.dies(number)
            generation, before = share.generation(), share.written("backups", "transitions", "decisions")
            baseline = share.baseline()
            for racer in racers:
                racer.tell(f"offline {name}")
            said = [racer.hear() for racer in racers]
            assert Counter(each["outcome"] for each in said) == {"applied": 1, "already_done": RACERS - 1}, said
            assert len({(each["changes"], each["backup"], each["transition"]) for each in said}) == 1
            assert all(each["verified"] for each in said)
            new = share.written("backups", "transitions", "decisions").keys() - before.keys()
            winner = names[[each["outcome"] for each in said].index("applied")]
            winners[winner] += 1
            assert new == {
                f"transitions/{said[0]['transition']}/{winner}.json",
                f"backups/{Path(said[0]['backup']).name}",
            }
            assert share.generation() == generation + 1
            assert share.baseline() == {**baseline, **{path: text.encode() for path, text in edits.items()}}
            assert share.leftovers() == []
    finally:
        for racer in racers:
            racer.__exit__()
    assert sum(winners.values()) == ROUNDS
    assert len(winners) > 1, "a race that always the same one wins is none"


def test_eight_processes_of_one_machine_race_its_return(share):
    """They share one local state: one applies, and the archive is whole."""
    racers = start(share.home, ["web"] * RACERS, state=share.home / "state-web")
    try:
        for racer in racers:
            racer.__enter__()
        for number in range(10):
            beat(share.share, "web", NOW_MS, seq=number + 1)
            share.write("keeper", f"conf/{number}.conf", f"from keeper {number}")
            share.apply(share.keeper)
            share.write("web", f"web/{number}.conf", f"from web {number}")
            generation = share.generation()
            for racer in racers:
                racer.tell("online web")
            said = [racer.hear() for racer in racers]
            wanted = {"applied": 1, "already_done": RACERS - 1} if number == 0 else {"already_done": RACERS}
            assert Counter(each["outcome"] for each in said) == wanted, said
            assert len({(each["changes"], each["backup"]) for each in said}) == 1
            assert share.generation() == generation + (number == 0)
            assert share.leftovers() == []
    finally:
        for racer in racers:
            racer.__exit__()


def changes_of_a_run(share, racer):
    """The changes a run makes, in order, without those before its epoch is taken."""
    name, _ = share.dies(0)
    racer.ask("told")
    assert racer.ask(f"offline {name}")["outcome"] == "applied"
    return racer.ask("told")["told"]


@pytest.mark.parametrize("moves_on", [False, True], ids=["at rest", "moved on"])
def test_who_stood_still_changes_nothing_when_it_wakes_up(share, moves_on):
    """Stopped before each change in turn, overtaken, resumed: tree and manifest stay as the other left them."""
    names = ["sleeper", "taker"]
    for name in names:
        beat(share.share, name, NOW_MS)
    ends = Counter()
    with (
        start(share.home, names[:1], patience_ms=PATIENCE_MS)[0] as sleeper,
        start(share.home, names[1:], patience_ms=PATIENCE_MS)[0] as taker,
    ):
        told = changes_of_a_run(share, sleeper)
        taken = next(number for number, (what, path) in enumerate(told, 1) if what == "move" and "epochs/" in path) + 1
        for number in range(taken, len(told) + 1):
            if told[number - 1][0] in ("write", "chmod", "fsync", "sync"):
                continue  # nothing that others see lies between this and the change before it
            for alive in names:  # on a busy computer the rounds take longer than a silence may
                beat(share.share, alive, NOW_MS, seq=number + 1)
            name, edits = share.dies(number)
            baseline = share.baseline()
            sleeper.ask("told")
            sleeper.ask(f"stop {number}")
            sleeper.tell(f"offline {name}")
            if not sleeper.stands_still():
                assert sleeper.hear()["outcome"] == "applied"  # a run makes a few changes more or less than another
                sleeper.ask("stop 0")
                continue
            said = taker.ask(f"offline {name}")
            assert said["outcome"] in ("applied", "already_done"), (number, told[number - 1], said)
            right = {**baseline, **{path: text.encode() for path, text in edits.items()}}
            assert share.baseline() == right
            if moves_on:
                (share.share / f"baseline/files/new/{name}/made.conf").unlink()
                share.keeper.adopt_baseline()
            left = share.baseline(), share.manifest(), share.written("transitions", "decisions", "backups")
            sleeper.go_on()
            woken = sleeper.hear()
            ends[woken["outcome"]] += 1
            stopped = sleeper.ask("told")["told"][number - 1]  # signs of work at its epoch come between, as time passes
            where = number, stopped, woken
            assert woken["outcome"] in ("SyncFencedError", "already_done", "applied"), where
            # Stopped between the look at its epoch and the very call that gives a file its name, it makes that call.
            at_the_call = stopped[0] in ("exchange", "move") and "baseline/files" in stopped[1]
            seen = slice(1, 2) if moves_on and at_the_call else slice(2)
            now = share.baseline(), share.manifest(), share.written("transitions", "decisions", "backups")
            assert now[seen] == left[seen], where
            sleeper.ask("recover")
            now = share.baseline(), share.manifest(), share.written("transitions", "decisions", "backups")
            assert now[seen] == left[seen], where
            if moves_on and at_the_call:
                share.keeper.adopt_baseline()
            assert share.leftovers() == [], where
    assert ends["SyncFencedError"] > 10, ends
