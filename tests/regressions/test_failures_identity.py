"""F01, F02, F25: one machine has one name, and a name never leaves its folder."""

import json
import socket

import pytest
from regression_media import Medium, changes

from heartbeat_kit import Heartbeat, HeartbeatService, MemoryStorage, default_machine_id, normalize_machine_id
from heartbeat_kit.errors import InvalidMachineIdError
from heartbeat_kit.testing import HOSTILE_MACHINE_IDS


def test_f01_every_spelling_at_every_entry_point_is_one_machine(medium, clock):
    """Register, state, remove, wait_for and history agree on one machine, however its id is spelt."""
    service = medium.service("  MyIA-Web1 ")
    assert service.machine_id == "myia-web1"
    service.register({"role": "web"})
    service.register(machine_id="MYIA-WEB1")
    medium.service("watcher").register(machine_id="\tmyia-Web1\n")
    report = service.check(force=True)
    assert report.statistics.total_machines == 1
    state = service.state()
    assert list(state.machines) == ["myia-web1"]
    assert state["MyIA-Web1"].machine_id == "myia-web1"
    assert "MYIA-web1" in state
    assert service.wait_for("MyIA-Web1", "online", 0)
    assert service.remove("MyIA-WEB1")
    assert list(service.state().machines) == []
    assert all(event.machine_id == "myia-web1" for event in service.history("MyIA-Web1"))


def test_f01_the_file_name_and_the_payload_agree(files):
    """On disk the normalised id is the file's name (or key) and the id inside."""
    files.service("MyIA-Web1").register()
    files.service("MYIA-WEB1", state="other").register()
    if files.kind == "json":
        stored = json.loads((files.directory / "heartbeats.json").read_bytes())["heartbeats"]
        assert {key: record["machineId"] for key, record in stored.items()} == {"myia-web1": "myia-web1"}
    else:
        (path,) = (files.directory / "heartbeats").iterdir()
        assert path.name == "myia-web1.json"
        assert json.loads(path.read_bytes())["machineId"] == "myia-web1"


def test_f01_a_folder_with_files_in_both_spellings_shows_one_machine(folder, clock):
    """A file of an older spelling beside the machine's own is a copy of it, not a second machine."""
    peer = folder.peer("myia-web1")
    folder.own_file("MyIA-Web1").write_bytes(folder.own_file("myia-web1").read_bytes())
    observer, heard = folder.observer()
    clock.advance(folder.deadline * 2)
    assert list(observer.state().machines) == ["myia-web1", "watcher"]
    assert changes(heard) == []
    peer.stop()
    clock.advance(folder.deadline)
    assert changes(heard) == [("myia-web1", "warning"), ("myia-web1", "offline")]


def test_f02_one_source_says_who_we_are(monkeypatch):
    """MACHINE_ID wins over ROOSYNC_MACHINE_ID, that over the host name, and the service asks no other source."""
    monkeypatch.setattr(socket, "gethostname", lambda: "Host-9")
    for variable in ("MACHINE_ID", "ROOSYNC_MACHINE_ID"):
        monkeypatch.delenv(variable, raising=False)

    def everybody():
        service = HeartbeatService(MemoryStorage())
        return {default_machine_id(), service.machine_id, service.register().machine_id, service.status.machine_id}

    assert everybody() == {"host-9"}
    monkeypatch.setenv("ROOSYNC_MACHINE_ID", "Roo-1")
    assert everybody() == {"roo-1"}
    monkeypatch.setenv("MACHINE_ID", "Main-1")
    assert everybody() == {"main-1"}


def test_f02_two_hosts_under_one_id_are_reported_as_a_conflict(medium, clock):
    """Two hosts that beat as one machine are named in report and state; two processes of one host are not."""
    observer = medium.service("watcher")
    senders = []
    for machine, host in (("twin", "alpha"), ("single", "gamma"), ("twin", "beta"), ("single", "gamma")):
        senders.append(medium.service(machine, clock=medium.clock_of(), host=host, state=f"sender-{len(senders)}"))
    for _ in range(6):
        for sender in senders:
            sender.register()
            clock.advance(15)
            report = observer.check(force=True)
    assert list(report.identity_conflicts) == ["twin"]
    assert "alpha" in report.identity_conflicts["twin"]
    assert "beta" in report.identity_conflicts["twin"]
    state = observer.state()
    assert state["twin"].identity_conflict == report.identity_conflicts["twin"]
    assert state["single"].identity_conflict is None


@pytest.mark.parametrize("hostile", HOSTILE_MACHINE_IDS, ids=lambda name: ascii(name[:20]))
def test_f25_hostile_ids_are_refused_at_every_entry_point(hostile, tmp_path, clock):
    """No id that could leave the folder or mean something to a system becomes a machine, and nothing is written."""
    outside = tmp_path / "outside"
    inside = outside / "share"
    inside.mkdir(parents=True)
    medium = Medium("nfs", inside, clock)
    service = medium.service("watcher")
    storage = medium.storage()
    attempts = [
        lambda: normalize_machine_id(hostile),
        lambda: service.register(machine_id=hostile),
        lambda: service.remove(hostile),
        lambda: service.wait_for(hostile, "online", 0),
        lambda: service.history(hostile),
        lambda: storage.get(hostile),
        lambda: storage.remove(hostile),
        lambda: Heartbeat(machine_id=hostile, last_heartbeat=0, incarnation=1, seq=1, interval=1),
        lambda: HeartbeatService(medium.storage(), machine_id=hostile, state_dir=tmp_path / "s"),
    ]
    for attempt in attempts:
        with pytest.raises(InvalidMachineIdError):
            attempt()
    assert hostile not in service.state()
    medium.close()
    assert [path for path in outside.rglob("*") if path.is_file()] == []
    assert sorted(path.name for path in outside.iterdir()) == ["share"]
