"""`JsonFileStorage` under real processes: nothing lost, nothing twice, nothing torn, whoever is killed when."""

import json
import os
import random
import signal
import subprocess
import sys
import threading
from contextlib import closing
from pathlib import Path

import pytest

from heartbeat_kit.storage import JsonFileStorage

PROCESSES = 8
PRELUDE = """
import sys
from datetime import timedelta
from heartbeat_kit._events import Reason, Transition
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import JsonFileStorage, LedgerEntry, Move

storage = JsonFileStorage(sys.argv[1], lock_timeout=timedelta(seconds=30))
me = sys.argv[2]

def beat(machine_id, seq):
    return Heartbeat(machine_id=machine_id, last_heartbeat=seq, incarnation=1, seq=seq, interval=30_000)

def move(event, machine_id, expected=None):
    entry = LedgerEntry(machine_id=machine_id, status=MachineStatus.OFFLINE, event_id=event, reason=Reason.SILENT,
                        since_ms=0)
    transition = Transition(id=event, machine_id=machine_id, before=MachineStatus.ONLINE, after=MachineStatus.OFFLINE,
                            reason=Reason.SILENT, observer=me, occurred_at=0, detected_at=0)
    return Move(expected=expected, entry=entry, transition=transition, owner=me)

def say(text):
    sys.stdout.write(f"{text}\\n")
    sys.stdout.flush()

say("ready")
sys.stdin.readline()
"""
BEAT_ALONE = """
for seq in range(1, 201):
    assert storage.put(beat(me, seq)).seq == seq
"""
BEAT_AS_ONE = """
won = 0
while won < 200:
    stored = storage.get("shared")
    mine = beat("shared", stored.seq + 1 if stored else 1)
    won += storage.put(mine) is mine
"""
READ = """
before = {}
while len(before) < 8 or min(before.values()) < 200:
    snapshot = storage.load()
    assert not snapshot.unreadable
    now = {key: record.seq for key, record in snapshot.heartbeats.items()}
    assert all(now.get(key, 0) >= seq for key, seq in before.items()), "a look at an older file after a newer one"
    before = now
"""
NURSERY = """
import os
for line in sys.stdin:
    me = line.strip()
    child = os.fork()
    if not child:
        os.write(1, f"{os.getpid()}\\n".encode())
        seq = storage.get(me).seq if storage.get(me) else 0
        while True:
            seq += 1
            storage.put(beat(me, seq))
            os.write(1, f"{seq}\\n".encode())
    os.waitpid(child, 0)
    say("dead")
"""
RACE = """
won = []
for start in range(0, 1000, 20):
    moves = [move(f"{me}-{n}", f"m{n}") for n in range(start, start + 20)]
    won += [made.transition.id for made in storage.commit(moves)]
say(" ".join(won))
"""
COMMIT_AND_STAY = """
storage.commit([move(f"{me}-{n}", f"{me}-m{n}") for n in range(5)])
say("committed")
sys.stdin.readline()
"""
ADOPT = """
mine = []
for _ in range(20):
    mine = storage.undelivered(me)
say(" ".join(event.id for event in mine))
sys.stdin.readline()
"""


def start(folder, name, body):
    script = PRELUDE + body
    child = subprocess.Popen(
        [sys.executable, "-c", script, str(folder), name],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=os.environ | {"PYTHONDONTWRITEBYTECODE": "1"},
    )
    assert child.stdout.readline() == "ready\n"
    return child


def go(child):
    child.stdin.write("go\n")
    child.stdin.flush()


def finish(*children):
    """Let all run at once and return what each said."""
    for child in children:
        go(child)
    said = [child.communicate()[0] for child in children]
    assert [child.returncode for child in children] == [0] * len(children)
    return said


def kill(child):
    child.kill()
    child.wait()
    child.stdin.close()
    child.stdout.close()


def leftovers(folder):
    return [item.name for item in Path(folder).iterdir() if item.name.endswith(".tmp")]


@pytest.mark.slow
def test_eight_processes_beat_and_no_beat_is_lost_nor_a_torn_file_seen(tmp_path):
    """Each beats as itself 200 times, with two more that only read."""
    writers = [start(tmp_path, f"p{n}", BEAT_ALONE) for n in range(PROCESSES)]
    readers = [start(tmp_path, f"r{n}", READ) for n in range(2)]
    finish(*readers, *writers)
    with closing(JsonFileStorage(tmp_path)) as storage:
        found = storage.load()
    assert {key: record.seq for key, record in found.heartbeats.items()} == {f"p{n}": 200 for n in range(PROCESSES)}
    assert not leftovers(tmp_path)
    assert not list(tmp_path.glob("*.corrupt-*"))


@pytest.mark.slow
def test_eight_processes_count_in_one_record_and_no_count_is_lost(tmp_path):
    """Read, add one, put, again if another was first: 1,600 in the end, not one less."""
    finish(*(start(tmp_path, f"p{n}", BEAT_AS_ONE) for n in range(PROCESSES)))
    with closing(JsonFileStorage(tmp_path)) as storage:
        assert storage.get("shared").seq == 200 * PROCESSES


@pytest.mark.slow
def test_a_thousand_moves_are_won_once_each_by_eight_processes(tmp_path):
    """Every event is one process's, in the ledger, in the history once, and in the outbox of the winner."""
    said = finish(*(start(tmp_path, f"p{n}", RACE) for n in range(PROCESSES)))
    won = [event for text in said for event in text.split()]
    assert len(won) == len(set(won)) == 1000
    with closing(JsonFileStorage(tmp_path)) as storage:
        assert sorted(entry.event_id for entry in storage.read_ledger().values()) == sorted(won)
        assert sorted(event.id for event in storage.history()) == sorted(won)
        assert sorted(event.id for event in storage.undelivered("heir")) == sorted(won), "all winners have ended"
    lines = (tmp_path / "heartbeat-events.jsonl").read_text().splitlines()
    assert len(lines) == len({json.loads(line)["id"] for line in lines}) == 1000


@pytest.mark.slow
def test_a_writer_killed_a_hundred_times_loses_no_beat_it_was_told_is_stored(tmp_path):
    """At random moments, with another writer beside it; the file always parses and never goes back."""
    luck = random.Random(7)
    nursery, neighbour = start(tmp_path, "nursery", NURSERY), start(tmp_path, "neighbour", NURSERY)
    for child in (nursery, neighbour):
        go(child)
    neighbour.stdin.write("neighbour\n")
    neighbour.stdin.flush()
    other = int(neighbour.stdout.readline())
    reader = JsonFileStorage(tmp_path)
    for number in range(100):
        name = f"w{number % 5}"
        nursery.stdin.write(f"{name}\n")
        nursery.stdin.flush()
        pid = int(nursery.stdout.readline())
        stored = int(nursery.stdout.readline())
        threading.Event().wait(luck.uniform(0, 0.01))
        os.kill(pid, signal.SIGKILL)
        for line in iter(nursery.stdout.readline, "dead\n"):
            stored = int(line)
        json.loads((tmp_path / "heartbeats.json").read_bytes())
        assert reader.get(name).seq >= stored
    os.kill(other, signal.SIGKILL)
    beats = [int(line) for line in iter(neighbour.stdout.readline, "dead\n")]
    assert reader.get("neighbour").seq >= beats[-1] > 100, "the neighbour was held up"
    assert not list(tmp_path.glob("*.corrupt-*"))
    reader.close()
    kill(nursery)
    kill(neighbour)


@pytest.mark.slow
def test_events_of_a_killed_owner_go_to_exactly_one_of_two_and_those_of_a_living_one_to_none(tmp_path):
    """SIGKILL frees the owner at once; SIGSTOP does not make it dead."""
    dead, alive = start(tmp_path, "dead", COMMIT_AND_STAY), start(tmp_path, "alive", COMMIT_AND_STAY)
    for child in (dead, alive):
        go(child)
        assert child.stdout.readline() == "committed\n"
    heirs = [start(tmp_path, f"heir-{n}", ADOPT) for n in range(2)]
    alive.send_signal(signal.SIGSTOP)
    kill(dead)
    for child in heirs:
        go(child)
    shares = [child.stdout.readline().split() for child in heirs]
    assert sorted(shares) == [[], [f"dead-{n}" for n in range(5)]]
    alive.send_signal(signal.SIGCONT)
    finish(*heirs)
    with closing(JsonFileStorage(tmp_path)) as storage:
        assert [event.id for event in storage.undelivered("alive-too")] == [f"dead-{n}" for n in range(5)]
    finish(alive)
