"""RooSync's files into a storage: what is believed, what is listed, and that the source stays as it is."""

import json
import os
from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_kit import HeartbeatService, JsonFileStorage, MachineStatus, MemoryStorage, SharedFolderStorage, to_wire
from heartbeat_kit.cli import main
from heartbeat_kit.errors import InvalidConfigurationError, InvalidMachineIdError, StorageUnavailableError
from heartbeat_kit.roosync import import_roosync
from heartbeat_kit.testing import FakeClock, FaultyStorage

NOW = datetime(2026, 1, 16, tzinfo=UTC)


def stamp(hours, minutes=0):
    """So long before now."""
    moment = NOW - timedelta(hours=hours, minutes=minutes)
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def record(machine_id, hours, **more):
    return {
        "machineId": machine_id,
        "lastHeartbeat": stamp(hours),
        "status": "online",
        "missedHeartbeats": 0,
        "metadata": {"firstSeen": stamp(1000), "lastUpdated": stamp(hours), "version": "3.1.0", "role": "primary"},
        **more,
    }


def put(path, content, hours=0):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content if isinstance(content, bytes) else json.dumps(content).encode())
    at = (NOW - timedelta(hours=hours)).timestamp()
    os.utime(path, (at, at))


def bytes_of(folder):
    return {
        path.relative_to(folder).as_posix(): (path.read_bytes(), path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def messy(tmp_path):
    """A folder of release 3.1 as six machines and two sync clients left it."""
    source = tmp_path / "shared-state"
    beats = source / "heartbeats"
    put(beats / "MyIA-AI-01.json", record("MyIA-AI-01", 5))
    put(beats / "myia-po-2024.json", record("myia-po-2024", 9))
    put(beats / "po-2024.json", record("po-2024", 2))  # the short name has the newer one
    put(beats / "myia-web1.json", b"")
    put(beats / "myia-web1 (1).json", record("myia-web1", 7))
    put(beats / "myia-web1 (conflicted copy 2026-01-15).json", record("MYIA-WEB1", 8))
    put(beats / "myia-po-2025.json", record("myia-po-2025", 30))
    put(beats / "myia-po-2025.json.tmp-4711-1768000000000", record("myia-po-2025", 20))  # whole, never renamed
    put(beats / "myia-po-2026.json.tmp-12-1768000000001", b'{"machineId": "myia-po-2026", "lastHea')
    put(beats / "myia-dev-01.json", record("myia-dev-01", -48), hours=3)  # a stamp of the day after tomorrow
    put(beats / "con.json", record("con", 1))
    put(beats / "list.json", [1, 2])
    put(beats / "no-time.json", record("no-time", 1, lastHeartbeat="yesterday"))
    put(beats / "notes.txt", b"a person's notes")
    put(source / "heartbeat-service.json", {"heartbeatInterval": 60000, "offlineTimeout": 240000})
    return source


@pytest.mark.parametrize("medium", ["memory", "json", "folder"])
def test_a_messy_folder(messy, tmp_path, clock, medium):
    storage = {
        "memory": MemoryStorage,
        "json": lambda: JsonFileStorage(tmp_path / "fleet.json", create=True),
        "folder": lambda: SharedFolderStorage(tmp_path / "new", create=True),
    }[medium]()
    before = bytes_of(messy)
    would = import_roosync(messy, storage, dry_run=True, clock=clock)
    assert not storage.load().heartbeats
    report = import_roosync(messy, storage, clock=clock)
    assert report.imported == would.imported
    assert set(report.imported) == {"myia-ai-01", "myia-po-2024", "myia-web1", "myia-po-2025", "myia-dev-01"}
    found = storage.load().heartbeats
    hours = {name: round((NOW - each.last_heartbeat).total_seconds() / 3600) for name, each in found.items()}
    assert hours == {"myia-ai-01": 5, "myia-po-2024": 2, "myia-web1": 7, "myia-po-2025": 20, "myia-dev-01": 3}
    assert dict(report.renamed) == {"po-2024": "myia-po-2024"}
    assert report.merged["myia-po-2024"] == ("heartbeats/po-2024.json", "heartbeats/myia-po-2024.json")
    assert set(report.merged) == {"myia-po-2024", "myia-web1", "myia-po-2025"}
    assert set(report.unreadable) == {
        "heartbeats/myia-web1.json",
        "heartbeats/myia-po-2026.json.tmp-12-1768000000001",
        "heartbeats/con.json",
        "heartbeats/list.json",
        "heartbeats/no-time.json",
    }
    assert "empty" in report.unreadable["heartbeats/myia-web1.json"]
    assert set(report.ahead) == {"myia-dev-01"}
    beat = found["myia-ai-01"]
    assert beat.metadata == {"version": "3.1.0", "role": "primary"}
    assert beat.first_seen == NOW - timedelta(hours=1000)
    assert beat.interval == timedelta(seconds=60)
    held = {name: each.order for name, each in found.items()}
    again = import_roosync(messy, storage, clock=clock)
    assert again.imported == ()
    assert set(again.unchanged) == set(report.imported)
    assert {name: each.order for name, each in storage.load().heartbeats.items()} == held
    assert bytes_of(messy) == before


@pytest.mark.parametrize("name", ["heartbeats.json", "heartbeat.json"])
def test_the_one_file_of_release_3_0(tmp_path, clock, name):
    put(
        tmp_path / "s" / name,
        {
            "heartbeats": {
                "myia-ai-01": record("myia-ai-01", 1),
                "myia-po-2024": {"lastHeartbeat": stamp(3), "status": "offline", "offlineSince": stamp(2)},
                "broken": "nothing",
            },
            "onlineMachines": ["myia-ai-01"],
            "statistics": {"totalMachines": 2},
        },
    )
    storage = MemoryStorage()
    report = import_roosync(tmp_path / "s", storage, clock=clock)
    assert report.imported == ("myia-ai-01", "myia-po-2024")
    assert dict(report.unreadable) == {f"{name}: broken": "a JSON str, where a record is expected"}
    assert storage.load().heartbeats["myia-po-2024"].interval == timedelta(seconds=30)
    assert import_roosync(tmp_path / "s" / name, storage, clock=clock).unchanged == report.imported


def test_of_both_layouts_the_newest_evidence_counts(tmp_path, clock):
    put(tmp_path / "heartbeats.json", {"heartbeats": {"m1": record("m1", 1), "m2": record("m2", 9)}})
    put(tmp_path / "heartbeats" / "m1.json", record("m1", 5))
    put(tmp_path / "heartbeats" / "m2.json", record("m2", 5))
    storage = MemoryStorage()
    report = import_roosync(tmp_path, storage, clock=clock)
    assert report.merged["m1"] == ("heartbeats.json: m1", "heartbeats/m1.json")
    assert report.merged["m2"] == ("heartbeats/m2.json", "heartbeats.json: m2")
    assert storage.load().heartbeats["m1"].last_heartbeat == NOW - timedelta(hours=1)


def test_newer_records_of_the_source_are_taken_and_older_ones_are_not(tmp_path, clock):
    storage = MemoryStorage()
    put(tmp_path / "heartbeats" / "m1.json", record("m1", 5))
    import_roosync(tmp_path, storage, clock=clock)
    put(tmp_path / "heartbeats" / "m1.json", record("m1", 1))
    assert import_roosync(tmp_path, storage, clock=clock).imported == ("m1",)
    put(tmp_path / "heartbeats" / "m1.json", record("m1", 3))
    assert import_roosync(tmp_path, storage, clock=clock).unchanged == ("m1",)
    assert storage.load().heartbeats["m1"].last_heartbeat == NOW - timedelta(hours=1)


def test_a_machine_that_beats_by_itself_is_left_as_it_is(messy, clock):
    storage = MemoryStorage()
    service = HeartbeatService(storage, clock=clock, machine_id="myia-ai-01")
    service.register()
    mine = storage.load().heartbeats["myia-ai-01"]
    assert "myia-ai-01" in import_roosync(messy, storage, clock=clock).unchanged
    assert storage.load().heartbeats["myia-ai-01"] == mine


def test_an_imported_machine_comes_back_with_its_first_beat(messy, clock):
    storage = MemoryStorage()
    import_roosync(messy, storage, clock=clock)
    watcher = HeartbeatService(storage, clock=clock, machine_id="watcher")
    watcher.register()
    clock.advance(3600)
    watcher.register()
    watcher.check()
    assert watcher.state()["myia-ai-01"].status is MachineStatus.OFFLINE
    back = HeartbeatService(storage, clock=clock, machine_id="myia-ai-01")
    assert not back.register().is_new_machine
    watcher.check()
    assert watcher.state()["myia-ai-01"].status is MachineStatus.ONLINE
    assert storage.load().heartbeats["myia-ai-01"].first_seen == NOW - timedelta(hours=1000)


def test_names_are_kept_apart_or_put_together_as_told(messy, clock):
    apart = import_roosync(messy, MemoryStorage(), apart=True, clock=clock)
    assert {"po-2024", "myia-po-2024"} <= set(apart.imported)
    told = import_roosync(messy, MemoryStorage(), same={"MyIA-AI-01": "brain"}, clock=clock)
    assert {"brain", "myia-po-2024"} <= set(told.imported)
    assert told.renamed == {"myia-ai-01": "brain", "po-2024": "myia-po-2024"}
    only = import_roosync(messy, MemoryStorage(), same={"MyIA-AI-01": "brain"}, apart=True, clock=clock)
    assert only.renamed == {"myia-ai-01": "brain"}
    with pytest.raises(InvalidMachineIdError):
        import_roosync(messy, MemoryStorage(), same={"a b": "c"}, clock=clock)


def test_a_short_name_of_two_long_ones_is_its_own(tmp_path, clock):
    for name in ("lab-01", "office-01", "01"):
        put(tmp_path / "heartbeats" / f"{name}.json", record(name, 1))
    report = import_roosync(tmp_path, MemoryStorage(), clock=clock)
    assert (report.renamed, report.ambiguous) == ({}, {"01": ("lab-01", "office-01")})
    assert ("01", "imported", "may be lab-01 or office-01") in report.rows()[1]
    said = import_roosync(tmp_path, MemoryStorage(), same={"01": "lab-01"}, clock=clock)
    assert (said.renamed, said.ambiguous) == ({"01": "lab-01"}, {})
    assert import_roosync(tmp_path, MemoryStorage(), apart=True, clock=clock).ambiguous == {}


def test_a_chain_of_names_ends_in_the_longest(tmp_path, clock):
    for name in ("a-b-c", "b-c", "c"):
        put(tmp_path / "heartbeats" / f"{name}.json", record(name, 1))
    assert import_roosync(tmp_path, MemoryStorage(), clock=clock).renamed == {"c": "a-b-c", "b-c": "a-b-c"}


def test_a_name_that_stands_for_one_that_stands_for_another(tmp_path, clock):
    for name in ("po", "web1", "myia-web1"):
        put(tmp_path / "heartbeats" / f"{name}.json", record(name, 1))
    report = import_roosync(tmp_path, MemoryStorage(), same={"po": "web1"}, clock=clock)
    assert report.renamed == {"po": "myia-web1", "web1": "myia-web1"}
    assert report.imported == ("myia-web1",)
    assert import_roosync(tmp_path, MemoryStorage(), same={"po": "po"}, clock=clock).renamed == {"web1": "myia-web1"}


def test_names_in_a_circle_are_refused(tmp_path, clock):
    for name in ("a", "b"):
        put(tmp_path / "heartbeats" / f"{name}.json", record(name, 1))
    storage = MemoryStorage()
    with pytest.raises(InvalidConfigurationError, match="a → b → a"):
        import_roosync(tmp_path, storage, same={"a": "b", "b": "a"}, clock=clock)
    assert storage.load().heartbeats == {}


def test_a_link_is_not_followed(tmp_path, clock):
    put(tmp_path / "heartbeats" / "web1.json", record("web1", 1))
    put(tmp_path / "elsewhere.json", record("web2", 1))
    (tmp_path / "heartbeats" / "web2.json").symlink_to(tmp_path / "elsewhere.json")
    report = import_roosync(tmp_path, MemoryStorage(), clock=clock)
    assert report.imported == ("web1",)
    assert report.unreadable == {"heartbeats/web2.json": "a link, which may lead anywhere"}


def test_metadata_that_are_no_object_are_said_to_be_left_out(tmp_path, clock):
    put(tmp_path / "heartbeats" / "web1.json", {**record("web1", 1), "metadata": ["a"]})
    report = import_roosync(tmp_path, MemoryStorage(), clock=clock)
    assert report.imported == ("web1",)
    assert "a JSON list" in report.unreadable["heartbeats/web1.json: metadata"]


def test_a_stamp_and_a_file_of_the_future_are_no_evidence(tmp_path, clock):
    put(tmp_path / "heartbeats" / "m1.json", record("m1", -48), hours=-24)
    report = import_roosync(tmp_path, MemoryStorage(), clock=clock)
    assert report.imported == ()
    assert "of the future" in report.unreadable["heartbeats/m1.json"]


def test_metadata_that_cannot_be_kept_costs_no_machine_its_record(tmp_path, clock):
    put(tmp_path / "heartbeats" / "m1.json", record("m1", 1, metadata={"note": "x" * 20_000}))
    storage = MemoryStorage()
    report = import_roosync(tmp_path, storage, clock=clock)
    assert report.imported == ("m1",)
    assert list(report.unreadable) == ["heartbeats/m1.json: metadata"]
    assert storage.load().heartbeats["m1"].metadata == {}


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs POSIX")
def test_what_is_no_file_blocks_nobody(tmp_path, clock):
    put(tmp_path / "heartbeats" / "m1.json", record("m1", 1))
    os.mkfifo(tmp_path / "heartbeats" / "m2.json")
    (tmp_path / "heartbeats" / "m3.json").mkdir()
    (tmp_path / "heartbeats" / "m4.json").symlink_to(tmp_path / "nowhere")
    report = import_roosync(tmp_path, MemoryStorage(), clock=clock)
    assert report.imported == ("m1",)
    assert set(report.unreadable) == {f"heartbeats/m{number}.json" for number in (2, 3, 4)}


def test_no_source_is_a_typed_error(tmp_path, clock):
    for place in (tmp_path / "nowhere", tmp_path):
        with pytest.raises(InvalidConfigurationError):
            import_roosync(place, MemoryStorage(), clock=clock)


def test_a_storage_that_fails_in_between_is_gone_on_with(messy, clock):
    inner = MemoryStorage()
    storage = FaultyStorage(inner)
    storage.fail("put")
    with pytest.raises(StorageUnavailableError):
        import_roosync(messy, storage, clock=clock)
    assert len(import_roosync(messy, storage, clock=clock).imported) == 5
    assert len(inner.load().heartbeats) == 5


def test_the_report_shows_itself(messy, clock):
    report = import_roosync(messy, MemoryStorage(), dry_run=True, clock=clock)
    assert repr(report) == "<ImportReport 5 machines would be imported, 0 unchanged, 5 unreadable>"
    assert "also called po-2024" in report._repr_html_()
    wire = to_wire(report)
    assert wire["dryRun"] is True
    assert json.loads(json.dumps(wire))["renamed"] == {"po-2024": "myia-po-2024"}


class TestCommandLine:
    def test_a_dry_run_then_the_import_then_nothing(self, messy, tmp_path, capsys):
        url = f"json://{tmp_path}/fleet.json?create=true"
        assert main(["import-roosync", str(messy), "--storage", url, "--dry-run"]) == 1
        said = capsys.readouterr().out
        assert said.startswith("5 machines would be imported, 0 unchanged, 5 unreadable\n")
        assert "heartbeats/con.json" in said
        assert not (tmp_path / "fleet.json").exists()
        assert main(["import-roosync", str(messy), "--storage", url, "--json"]) == 1
        assert len(json.loads(capsys.readouterr().out)["imported"]) == 5
        assert main(["import-roosync", str(messy), "--storage", url]) == 1
        assert "0 machines imported, 5 unchanged" in capsys.readouterr().out

    def test_names(self, messy, tmp_path, capsys):
        url = f"json://{tmp_path}/fleet.json?create=true"
        arguments = ["import-roosync", str(messy), "--storage", url, "--json"]
        main([*arguments, "--dry-run", "--apart"])
        assert json.loads(capsys.readouterr().out)["renamed"] == {}
        main([*arguments, "--dry-run", "--same", "po-2024=other"])
        assert json.loads(capsys.readouterr().out)["renamed"] == {"po-2024": "other"}
        assert main([*arguments, "--same", "po-2024"]) == 2
        assert capsys.readouterr().err.startswith("error INVALID_CONFIGURATION: ")

    def test_everything_read(self, tmp_path, capsys):
        put(tmp_path / "s" / "heartbeats" / "m1.json", record("m1", 1))
        url = f"json://{tmp_path}/fleet.json?create=true"
        assert main(["import-roosync", str(tmp_path / "s"), "--storage", url, "--interval", "10"]) == 0
        assert capsys.readouterr().out.startswith("1 machine imported, 0 unchanged, 0 unreadable\n")
        assert JsonFileStorage(tmp_path / "fleet.json").load().heartbeats["m1"].interval == timedelta(seconds=10)
