"""What an attack with real processes tries: kill -9 at any instant, and a fork while other threads hold locks."""

import collections
import os
import random
import signal
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatService, JsonFileStorage, MemoryStorage, SharedFolderStorage
from heartbeat_kit.testing import FaultyStorage

OBSERVER = """
import os, random, sys, time
from datetime import timedelta
from heartbeat_kit import HeartbeatConfig, HeartbeatService, JsonFileStorage, SharedFolderStorage

kind, share, state, journal, life = sys.argv[1:]
storage = JsonFileStorage(share) if kind == "json" else SharedFolderStorage(share, propagation_delay=timedelta(0))
ms = lambda n: timedelta(milliseconds=n)
config = HeartbeatConfig(heartbeat_interval=ms(40), offline_timeout=ms(80), check_interval=ms(10))
service = HeartbeatService(storage, config, machine_id="observer", state_dir=state)
handle = os.open(journal, os.O_WRONLY | os.O_APPEND | os.O_CREAT)

def note(event):
    os.write(handle, f"{event.id} {life}\\n".encode())
    os.fsync(handle)

service.subscribe(note)
service.start()
print("up", flush=True)
while True:
    service.register(machine_id=f"web-{random.randrange(6)}")
    time.sleep(random.random() * 0.03)
"""


@pytest.mark.parametrize("kind", ["json", "folder"])
def test_a_kill_at_any_instant_loses_no_event(tmp_path, kind):
    """Every committed event reaches the listener, within one life once, and no file is damaged."""
    share, state, journal = tmp_path / "share", tmp_path / "state", tmp_path / "journal"
    share.mkdir()
    for life in range(8):
        child = subprocess.Popen(
            [sys.executable, "-c", OBSERVER, kind, str(share), str(state), str(journal), str(life)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert child.stdout.readline() == "up\n"
        threading.Event().wait(random.Random(life).random() * 0.4)
        child.kill()
        assert child.communicate()[1] == ""
    storage = JsonFileStorage(share) if kind == "json" else SharedFolderStorage(share, propagation_delay=timedelta(0))
    service = HeartbeatService(storage, machine_id="observer", state_dir=state)
    rest = []
    service.subscribe(lambda event: rest.append((event.id, "rest")))
    service.check(force=True)
    heard = [tuple(line.split()) for line in journal.read_text().splitlines()] + rest
    committed = [event.id for event in (*service.history(), *service.fleet_history())]
    assert committed
    assert len(committed) == len(set(committed))
    assert {identifier for identifier, _ in heard} == set(committed)
    assert max(collections.Counter(heard).values()) == 1
    assert not [path for path in tmp_path.rglob("*") if "corrupt" in path.name]
    storage.close()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.parametrize("operation", ["put", "undelivered"])
@pytest.mark.filterwarnings("ignore::DeprecationWarning")
def test_a_fork_while_another_thread_holds_the_locks_does_not_hang_the_child(operation):
    """The child has a copy of the locks and none of the threads that would free them."""
    storage = FaultyStorage(MemoryStorage())
    service = HeartbeatService(storage, machine_id="web-1")
    service.subscribe(lambda _: None)
    inside, go_on = threading.Event(), threading.Event()
    storage.before(operation, lambda: (inside.set(), go_on.wait(30)))
    busy = threading.Thread(target=service.start, daemon=True)
    busy.start()
    assert inside.wait(30)
    child = os.fork()
    if child == 0:
        signal.alarm(20)  # a child that hangs is killed, and the test fails
        storage.before(operation, None)
        try:
            service.check(force=True)
            service.subscribe(print).close()
            service.reconfigure(confirm_online=2)
            service.stop()
            os._exit(0)
        except BaseException:  # noqa: BLE001 - a forked child of a test must end here
            os._exit(3)
    _, status = os.waitpid(child, 0)
    go_on.set()
    busy.join(30)
    service.stop()
    assert status == 0
