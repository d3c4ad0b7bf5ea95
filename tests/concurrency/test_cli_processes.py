"""`beat --forever` as real processes: it ends at once when asked, is missed when killed, and stays single."""

import json
import os
import re
import signal
import subprocess
import sys
import time

import pytest

from heartbeat_kit import open_storage

pytestmark = pytest.mark.slow

PROGRAM = [sys.executable, "-m", "heartbeat_kit"]
PACE = ["--interval", "0.2", "--timeout", "1"]
PATIENCE_S = 60


@pytest.fixture
def share(tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


@pytest.fixture
def url(share):
    return f"folder://{share}?propagation_delay=0"


@pytest.fixture
def environment(tmp_path, url):
    ours = {"HEARTBEAT_STORAGE": url, "XDG_STATE_HOME": str(tmp_path / "state"), "MACHINE_ID": "desk"}
    ambient = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}  # output is buffered
    return {**ambient, **ours}


@pytest.fixture
def begin(environment):
    """Start `beat --forever`; what still runs at the end is killed."""
    running = []

    def start(machine_id, *arguments, stdout=subprocess.PIPE):
        process = subprocess.Popen(
            [*PROGRAM, "beat", "--forever", "--machine-id", machine_id, *PACE, *arguments],
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            env=environment,
        )
        running.append(process)
        return process

    yield start
    for process in running:
        process.kill()
        process.communicate()


def run(environment, *arguments):
    return subprocess.run(
        [*PROGRAM, *arguments], capture_output=True, text=True, env=environment, timeout=PATIENCE_S, check=False
    )


def eventually(holds, seconds=30):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if holds():
            return True
        time.sleep(0.05)
    return holds()


def stored(url, machine_id):
    storage = open_storage(url)
    try:
        return storage.load().heartbeats.get(machine_id)
    finally:
        storage.close()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_at_once_and_cleanly(begin, url, number):
    # A beat every 10 minutes: an end that waited for the next one would be seen.
    process = begin("web-1", "--interval", "600", "--timeout", "1200")
    assert process.stdout.readline() == "beating as web-1 every 600 s, until SIGINT or SIGTERM\n"
    process.send_signal(number)
    out, errors = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out, errors) == (0, "stopped\n", "")
    assert stored(url, "web-1").left_at is None


def test_leave_says_goodbye(begin, url, environment):
    process = begin("web-1", "--leave")
    process.stdout.readline()
    process.terminate()
    out, _ = process.communicate(timeout=PATIENCE_S)
    assert (process.returncode, out) == (0, "stopped, said goodbye\n")
    assert stored(url, "web-1").left_at is not None
    shown = run(environment, "status", *PACE)
    assert shown.returncode == 1
    assert "left" in shown.stdout


def test_status_sees_a_living_machine_and_misses_a_killed_one(begin, environment):
    process = begin("web-1")
    process.stdout.readline()
    assert run(environment, "status", *PACE).returncode == 0
    process.kill()
    process.wait()
    assert eventually(lambda: json.loads(run(environment, "status", "--json", *PACE).stdout)["offlineMachines"])
    assert run(environment, "status", *PACE).returncode == 1


def test_survivors_announce_a_kill_once_each_under_one_id(begin):
    names = ["web-1", "web-2", "web-3"]
    machines = {name: begin(name, "--announce") for name in names}
    said = {name: [] for name in names}

    def listen(name, after, about):
        """Read on until `name` has announced this of everybody in `about`."""
        missing = set(about)
        while missing:
            event = json.loads(machines[name].stdout.readline())
            said[name].append(event)
            if event["after"] == after:
                missing.discard(event["machineId"])

    for name in names:
        listen(name, "online", names)
    machines["web-3"].kill()
    survivors = ["web-1", "web-2"]
    for name in survivors:
        listen(name, "offline", ["web-3"])
    for name in survivors:
        machines[name].terminate()
        said[name] += map(json.loads, machines[name].communicate(timeout=PATIENCE_S)[0].splitlines())
        assert machines[name].returncode == 0
    ids = [[event["id"] for event in said[name] if event["after"] == "offline"] for name in survivors]
    assert len(ids[0]) == 1
    assert ids[0] == ids[1]
    assert {event["machineId"] for name in survivors for event in said[name] if event["after"] == "warning"} <= {
        "web-3"
    }


def test_a_second_service_of_the_same_machine_is_refused(begin):
    first, second = begin("web-1"), None
    first.stdout.readline()
    second = begin("web-1")
    out, errors = second.communicate(timeout=PATIENCE_S)
    assert (second.returncode, out) == (2, "")
    assert errors.startswith("error SERVICE_ALREADY_RUNNING: ")
    assert first.poll() is None


def test_a_killed_service_can_be_started_again_and_is_the_same_machine_in_a_new_life(begin, url):
    first = begin("web-1", "--metadata", '{"role": "web"}')
    first.stdout.readline()
    before = stored(url, "web-1")
    first.kill()
    first.wait()
    begin("web-1").stdout.readline()
    after = stored(url, "web-1")
    assert after.incarnation > before.incarnation
    assert after.metadata == {"role": "web"}


def test_without_a_reader_of_its_events_it_ends(begin):
    process = begin("web-1", "--announce")
    process.stdout.readline()
    process.stdout.close()
    begin("web-2").stdout.readline()
    assert process.wait(PATIENCE_S) == 141
    assert process.stderr.read() == ""


def test_a_share_that_is_away_is_warned_of_and_gets_the_metadata_when_it_comes(begin, share, url):
    share.rmdir()
    process = begin("web-1", "--storage", f"{url}&must_exist=false", "--metadata", '{"role": "web"}')
    assert "is not there" in process.stderr.readline()
    assert process.stdout.readline().startswith("beating as web-1")
    share.mkdir()
    assert eventually(lambda: stored(url, "web-1") is not None)
    assert stored(url, "web-1").metadata == {"role": "web"}


@pytest.mark.parametrize("arguments", [["status"], ["status", "--help"], ["beat"], ["watch", "--every", "60"]])
def test_a_closed_pipe_ends_it_without_a_word(environment, arguments):
    reading, writing = os.pipe()
    os.close(reading)
    ended = subprocess.run(
        [*PROGRAM, *arguments], stdout=writing, stderr=subprocess.PIPE, env=environment, timeout=PATIENCE_S, check=False
    )
    os.close(writing)
    assert (ended.returncode, ended.stderr) == (141, b"")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs a device that is always full")
def test_a_full_disk_behind_its_output_is_said_in_one_line(environment):
    with open("/dev/full", "w") as full:
        ended = subprocess.run(
            [*PROGRAM, "status"],
            stdout=full,
            stderr=subprocess.PIPE,
            env=environment,
            timeout=PATIENCE_S,
            check=False,
            text=True,
        )
    assert ended.returncode == 2
    assert re.fullmatch(r"error OPERATING_SYSTEM: .*No space left on device\n", ended.stderr)


def test_watch_ends_with_zero_when_interrupted(environment):
    with subprocess.Popen(
        [*PROGRAM, "watch", "--every", "60"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as watching:
        watching.stdout.readline()
        watching.send_signal(signal.SIGINT)
        assert watching.wait(PATIENCE_S) == 0
        assert watching.stderr.read() == ""


HANGS = """
import sys, threading
from heartbeat_kit.cli import main
from heartbeat_kit.storage import SharedFolderStorage

def hang(*_):
    print("it hangs", file=sys.stderr, flush=True)
    threading.Event().wait()

setattr(SharedFolderStorage, sys.argv[1], hang)
sys.exit(main(sys.argv[2:]))
"""


@pytest.mark.parametrize(
    ("operation", "command", "number", "code"),
    [
        ("load", ["watch"], signal.SIGINT, 0),
        ("load", ["watch"], signal.SIGTERM, 0),
        ("put", ["beat", "--forever"], signal.SIGTERM, 143),
        ("put", ["beat", "--forever"], signal.SIGINT, 130),
        ("put", ["beat"], signal.SIGINT, 130),
    ],
)
def test_a_storage_that_hangs_holds_nobody_who_wants_to_leave(environment, operation, command, number, code):
    with subprocess.Popen(
        [sys.executable, "-c", HANGS, operation, *command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
    ) as hanging:
        assert hanging.stderr.readline() == "it hangs\n"
        hanging.send_signal(number)
        try:
            assert hanging.wait(PATIENCE_S) == code
        finally:
            hanging.kill()
        assert hanging.stderr.read() == ""


@pytest.mark.parametrize("closed", [">&-", ">&- 2>&-"])
def test_closed_outputs_are_written_to_by_nobody(environment, closed):
    words = " ".join([*PROGRAM, "beat"])
    ended = subprocess.run(
        ["sh", "-c", f"{words} {closed}"], env=environment, stderr=subprocess.PIPE, timeout=PATIENCE_S, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, b"")
