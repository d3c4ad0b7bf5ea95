"""Real processes share one folder: nothing is lost, nothing is ever seen half-written, peers are left alone."""

import hashlib
import signal
import subprocess
import sys
import textwrap

import pytest

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.storage import SharedFolderStorage
from heartbeat_kit.storage._codec import heartbeat_from_bytes, heartbeat_to_text

pytestmark = pytest.mark.slow

WRITER = textwrap.dedent(
    """
    import sys
    from datetime import timedelta
    from itertools import count
    from heartbeat_kit._heartbeat import Heartbeat
    from heartbeat_kit.storage import SharedFolderStorage

    directory, machine_id, beats = sys.argv[1:]
    storage = SharedFolderStorage(directory, time_budget=timedelta(seconds=60))
    for seq in range(1, int(beats) + 1) if int(beats) else count(1):
        beat = Heartbeat(
            machine_id=machine_id, last_heartbeat=seq, incarnation=1, seq=seq, interval=30_000,
            metadata={"filler": "x" * (seq % 7 * 1000)},
        )
        assert storage.put(beat).seq >= seq
        print(seq, flush=True)
    storage.close()
    """
)


def start(directory, machine_id, beats):
    return subprocess.Popen(
        [sys.executable, "-c", WRITER, str(directory), machine_id, str(beats)], stdout=subprocess.PIPE, text=True
    )


def hashes(folder):
    return {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in folder.iterdir()}


def quiet_files(records):
    """What others left in the folder: a sound record, damaged ones, copies, files of a sync client."""
    sound = heartbeat_to_text(
        Heartbeat(machine_id="quiet", last_heartbeat=1, incarnation=1, seq=1, interval=30_000)
    ).encode()
    for name, content in {
        "quiet.json": sound,
        "quiet (1).json": sound,
        "empty.json": b"",
        "cut.json": sound[:30],
        "desktop.ini": b"[x]",
        ".sync.tmp": b"in flight",
    }.items():
        (records / name).write_bytes(content)


def test_six_writers_lose_nothing_and_a_reader_sees_only_whole_records(tmp_path):
    records = tmp_path / "heartbeats"
    records.mkdir()
    quiet_files(records)
    before = hashes(records)
    machines = [f"pc-{number}" for number in range(6)]
    reader = SharedFolderStorage(tmp_path, time_budget=None)
    writers = [start(tmp_path, machine, 200) for machine in machines]
    last = dict.fromkeys(machines, 0)
    looks = 0
    while any(writer.poll() is None for writer in writers):
        snapshot = reader.load()
        assert sorted(snapshot.unreadable) == ["cut", "empty"]
        assert list(snapshot.conflicts) == ["quiet"]
        for machine in machines:
            if machine in snapshot.heartbeats:
                assert snapshot.heartbeats[machine].seq >= last[machine]
                last[machine] = snapshot.heartbeats[machine].seq
            else:
                assert last[machine] == 0, "a machine that was there is never seen missing"
        looks += 1
    for writer in writers:
        output, _ = writer.communicate()
        assert writer.returncode == 0
        assert output.split()[-1] == "200"
    assert looks > 10
    final = SharedFolderStorage(tmp_path).load()
    assert {machine: final.heartbeats[machine].seq for machine in machines} == dict.fromkeys(machines, 200)
    after = hashes(records)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [f"{machine}.json" for machine in machines]


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="needs SIGKILL")
def test_a_writer_killed_at_any_moment_leaves_a_whole_file_and_the_last_beat_it_reported(tmp_path):
    for round_number in range(8):
        machine = f"victim-{round_number}"
        writer = start(tmp_path, machine, 0)
        reported = [int(writer.stdout.readline()) for _ in range(5 + 17 * round_number)]
        writer.kill()
        rest, _ = writer.communicate()
        complete = [int(line) for line in rest.splitlines(keepends=True) if line.endswith("\n")]
        stored = heartbeat_from_bytes((tmp_path / "heartbeats" / f"{machine}.json").read_bytes())
        assert stored.seq >= (reported + complete)[-1]
    snapshot = SharedFolderStorage(tmp_path).load()
    assert len(snapshot.heartbeats) == 8
    assert snapshot.unreadable == {}
    assert snapshot.conflicts == {}


def test_two_processes_that_beat_as_one_machine_leave_one_whole_record(tmp_path):
    writers = [start(tmp_path, "shared", 200) for _ in range(2)]
    for writer in writers:
        writer.communicate()
        assert writer.returncode == 0
    stored = SharedFolderStorage(tmp_path).load()
    assert list(stored.heartbeats) == ["shared"]
    # Without a lock a process that looked just before the other wrote may put its own, slightly older beat on top;
    # the last beat of whoever ended last is there, or a newer one.
    assert stored.heartbeats["shared"].seq == 200
    assert stored.unreadable == {}


def test_hosts_with_one_process_id_never_share_a_temporary_file(tmp_path):
    script = (
        "import os, sys; from heartbeat_kit.storage._files import replace_file; os.getpid = lambda: 7\n"
        "os.replace = lambda source, target: print(os.path.basename(source))\n"
        "replace_file(sys.argv[1], b'x', durable=False)"
    )
    names = {
        subprocess.run(
            [sys.executable, "-c", script, str(tmp_path / "web1.json")], capture_output=True, text=True, check=True
        ).stdout
        for _ in range(2)
    }
    assert len(names) == 2
    assert all(name.startswith(".hbk-") for name in names)
