"""F05, F12, F45, F56 with real processes: all see all, a death is one event each, a kill loses nothing."""

import json

import pytest
from regression_media import Medium
from regression_processes import Child, until

from heartbeat_kit import JsonFileStorage
from heartbeat_kit.testing import FakeClock

pytestmark = pytest.mark.slow

MACHINES = [f"pc-{number}" for number in range(6)]

MACHINE = """
    import json, sys
    from datetime import timedelta
    from heartbeat_kit import HeartbeatConfig, HeartbeatService, SharedFolderStorage

    share, state, machine = sys.argv[1:]

    def say(**what):
        print(json.dumps(what), flush=True)

    config = HeartbeatConfig(
        heartbeat_interval=timedelta(seconds=0.4), offline_timeout=timedelta(seconds=2.4), fresh_for=timedelta(0)
    )
    storage = SharedFolderStorage(share, propagation_delay=timedelta(0))
    service = HeartbeatService(storage, config, machine_id=machine, state_dir=state)

    @service.on_transition
    def heard(event):
        say(event=event.id, machine=event.machine_id, after=str(event.after), reason=str(event.reason))

    service.start()
    for _ in sys.stdin:
        say(online=[found.machine_id for found in service.state().online])
    service.stop()
    storage.close()
"""


def test_f45_six_processes_see_six_and_each_announces_a_kill_and_a_return_once(tmp_path):
    """Six processes, one folder: each sees all six; a killed one is announced once by each other, under one id."""
    share = tmp_path / "share"
    share.mkdir()

    def start(machine):
        return Child(MACHINE, share, tmp_path / "state" / machine, machine)

    children = {machine: start(machine) for machine in MACHINES}

    def online(child):
        asked = sum("online" in line for line in child.said)
        child.process.stdin.write("who\n")
        child.process.stdin.flush()
        assert until(lambda: sum("online" in line for line in child.said) > asked, 5)
        return [line["online"] for line in child.said if "online" in line][-1]

    def events(child, machine="pc-3"):
        return [line for line in child.said if line.get("machine") == machine and line["reason"] != "first_seen"]

    def met(child):
        return sorted(line["machine"] for line in child.said if line.get("reason") == "first_seen")

    try:
        for child in children.values():
            assert until(lambda child=child: online(child) == MACHINES, 15)
        # Each has seen each beat, not only a record that may be old.
        assert until(lambda: all(met(child) == MACHINES for child in children.values()), 15)
        children.pop("pc-3").kill()
        others = list(children.values())
        assert until(lambda: all(len(events(child)) >= 2 for child in others), 15)
        children["pc-3"] = start("pc-3")
        assert until(lambda: all(len(events(child)) >= 3 for child in others), 15)
        assert until(lambda: all(online(child) == MACHINES for child in children.values()), 15)
        for child in others:
            assert [(event["after"], event["reason"]) for event in events(child)] == [
                ("warning", "silent"),
                ("offline", "silent"),
                ("online", "returned"),
            ]
            assert [event["event"] for event in events(child)] == [event["event"] for event in events(others[0])]
            spurious = {line["machine"] for line in child.said if line.get("after") == "offline"}
            assert spurious == {"pc-3"}
        for child in children.values():
            assert child.end() == (0, "")
    finally:
        for child in children.values():
            if child.is_open:
                child.kill()


REGISTER = """
    import sys
    from heartbeat_kit import HeartbeatService, open_storage

    url, state, machine = sys.argv[1:]
    service = HeartbeatService(open_storage(url), machine_id=machine, state_dir=state)
    sys.stdin.readline()
    for count in range(30):
        service.register({"count": count})
        service.register({"count": count}, machine_id="everybody")
    service.storage.close()
"""


@pytest.mark.parametrize("kind", ["json", "nfs"])
def test_f05_beats_of_many_processes_are_all_there(kind, tmp_path):
    """Six processes, each from its own memory, beat into one storage at once: every machine's last beat is stored."""
    medium = Medium(kind, tmp_path, FakeClock())
    scheme = "json" if kind == "json" else "folder"
    children = [Child(REGISTER, f"{scheme}://{medium.directory}", medium.state / name, name) for name in MACHINES]
    for child in children:
        child.process.stdin.write("go\n")
        child.process.stdin.flush()
    assert [child.end() for child in children] == [(0, "")] * 6
    assert {name: medium.stored(name).seq for name in MACHINES} == dict.fromkeys(MACHINES, 30)
    assert {name: medium.stored(name).metadata["count"] for name in MACHINES} == dict.fromkeys(MACHINES, 29)
    assert medium.stored("everybody").metadata == {"count": 29}
    medium.close()


LISTENER = """
    import json, os, sys
    from datetime import UTC, datetime, timedelta
    from heartbeat_kit import HeartbeatService, JsonFileStorage, MachineStatus, SharedFolderStorage
    from heartbeat_kit.testing import FakeClock

    kind, place, state, life, dies = sys.argv[1:]
    clock = FakeClock(datetime(2026, 1, 1, tzinfo=UTC) + timedelta(hours=int(life)))
    storage = JsonFileStorage(place) if kind == "json" else SharedFolderStorage(place, propagation_delay=timedelta(0))
    service = HeartbeatService(storage, clock=clock, machine_id="watcher", state_dir=state)

    @service.on_transition
    def heard(event):
        if event.reason == "first_seen":
            return
        if dies == "before" and event.after is MachineStatus.OFFLINE:
            os._exit(9)
        print(json.dumps({"id": event.id, "machine": event.machine_id, "after": event.after}), flush=True)
        if dies == "after" and event.after is MachineStatus.OFFLINE:
            os._exit(9)

    if life == "0":
        for _ in range(3):
            service.register(machine_id="web-1")
            clock.advance(30)
            service.check(force=True)
        for _ in range(10):
            clock.advance(30)
            service.check(force=True)
    for _ in range(3):
        clock.advance(30)
        service.check(force=True)
    print(json.dumps({"committed": [event.id for event in service.history("web-1")]}), flush=True)
    storage.close()
"""


@pytest.mark.parametrize("dies", ["before", "after"])
@pytest.mark.parametrize("kind", ["json", "nfs"])
def test_f12_a_kill_during_delivery_delivers_again_after_restart_under_the_same_id(kind, dies, tmp_path):
    """Killed in the listener: the event is stored, comes again once with its id, and what was marked does not."""
    medium = Medium(kind, tmp_path, FakeClock())

    def life(number, dies="never"):
        child = Child(LISTENER, kind, medium.directory, medium.state, number, dies)
        code, errors = child.end()
        assert errors == ""
        return code, [line for line in child.said if "id" in line], child.said

    code, first, _ = life(0, dies)
    assert code == 9
    assert [line["after"] for line in first] == ["warning"] + ["offline"] * (dies == "after")
    code, second, said = life(1)
    assert code == 0
    assert [line["after"] for line in second] == ["offline"], "the warning was marked delivered before the kill"
    committed = said[-1]["committed"]
    assert second[0]["id"] in committed
    assert len(set(committed)) == len(committed) == 3
    if dies == "after":
        assert second[0]["id"] == first[-1]["id"], "at least once, under one id"
    code, third, said = life(2)
    assert (code, third) == (0, [])
    assert said[-1]["committed"] == committed
    medium.close()


FORK = """
    import json, os, sys, threading, warnings
    from datetime import timedelta
    from heartbeat_kit import HeartbeatConfig, HeartbeatService, open_storage
    from heartbeat_kit.errors import ServiceAlreadyRunningError

    warnings.simplefilter("ignore")  # forking with threads is what this is about
    url, state = sys.argv[1:]
    config = HeartbeatConfig(heartbeat_interval=timedelta(seconds=0.1), offline_timeout=timedelta(seconds=60))
    storage = open_storage(url)
    service = HeartbeatService(storage, config, machine_id="web-1", state_dir=state)
    service.start()
    pause = threading.Event().wait

    def seq():
        return storage.load().heartbeats["web-1"].seq

    told, tell = os.pipe()
    child = os.fork()
    if child == 0:
        found = {"child": [service.is_running, service.status.is_running, threading.active_count()]}
        try:
            service.start()
            found["second"] = "started"
        except ServiceAlreadyRunningError:
            found["second"] = "refused"
        service.stop()
        found["sees"] = sorted(machine.machine_id for machine in service.state())
        os.write(tell, json.dumps(found).encode())
        os.read(0, 1)  # lives on, without beating, until the test is over
        os._exit(0)
    found = json.loads(os.read(told, 10_000))
    before = seq()
    pause(0.6)
    found["parent"] = [service.is_running, seq() > before]
    twin = HeartbeatService(open_storage(url), config, machine_id="web-1", state_dir=state)
    try:
        twin.start()
        found["lock"] = "lost"
        twin.stop()
    except ServiceAlreadyRunningError:
        found["lock"] = "kept"
    service.stop()
    before = seq()
    pause(0.6)
    found["beats of the child"] = seq() - before
    print(json.dumps(found), flush=True)
    sys.stdin.read()
    os.waitpid(child, 0)
"""


@pytest.mark.parametrize("kind", ["json", "nfs"])
def test_f56_a_forked_child_does_not_beat_as_its_parent(kind, tmp_path):
    """After fork the child neither beats nor says it runs nor breaks the parent's lock; the parent goes on."""
    medium = Medium(kind, tmp_path, FakeClock())
    child = Child(FORK, f"{'json' if kind == 'json' else 'folder'}://{medium.directory}", medium.state)
    until(lambda: child.said or child.process.poll() is not None, 20)
    code, errors = child.end()
    assert (code, errors) == (0, "")
    assert child.said == [
        {
            "child": [False, False, 1],
            "second": "refused",
            "sees": ["web-1"],
            "parent": [True, True],
            "lock": "kept",
            "beats of the child": 0,
        }
    ]
    medium.close()


def test_f05_one_reader_of_the_file_sees_what_every_process_wrote(tmp_path):
    """heartbeats.json written by processes is one whole JSON document that a fresh reader understands."""
    medium = Medium("json", tmp_path, FakeClock())
    children = [Child(REGISTER, f"json://{medium.directory}", medium.state / name, name) for name in MACHINES[:3]]
    for child in children:
        child.process.stdin.write("go\n")
        child.process.stdin.flush()
    assert [child.end() for child in children] == [(0, "")] * 3
    document = json.loads((medium.directory / "heartbeats.json").read_bytes())
    assert sorted(document["heartbeats"]) == ["everybody", *MACHINES[:3]]
    assert sorted(JsonFileStorage(medium.directory).load().heartbeats) == ["everybody", *MACHINES[:3]]
    medium.close()
