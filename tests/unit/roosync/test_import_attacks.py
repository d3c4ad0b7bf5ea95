"""What would go wrong with an import in hostile hands: sources that are targets, impossible times, live machines."""

import os
from datetime import timedelta

import pytest
from test_import_roosync import NOW, bytes_of, put, record

from heartbeat_kit import HeartbeatService, JsonFileStorage, MemoryStorage, SharedFolderStorage, open_storage
from heartbeat_kit.cli import main
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.roosync import import_roosync
from heartbeat_kit.testing import FakeClock


@pytest.fixture
def clock():
    return FakeClock(NOW)


@pytest.fixture
def source(tmp_path):
    put(tmp_path / "rs" / "heartbeats" / "web1.json", record("web1", 5), hours=5)
    return tmp_path / "rs"


class TestALiveMachine:
    @pytest.mark.parametrize("whole_life", [True, False])
    def test_a_machine_that_moved_over_is_not_overwritten_by_newer_files_of_its_past(self, source, clock, whole_life):
        """Neither one that runs nor one that only registers now and then, whatever RooSync's files say later."""
        storage = MemoryStorage()
        import_roosync(source, storage, clock=clock)
        service = HeartbeatService(storage, clock=clock, machine_id="web1")
        if whole_life:
            service.start()
        service.register({"role": "new"})
        put(source / "heartbeats" / "web1.json", record("web1", -0.05))
        report = import_roosync(source, storage, clock=clock)
        assert report.unchanged == ("web1",)
        own = storage.load().heartbeats["web1"]
        assert (own.metadata, own.last_heartbeat) == ({"role": "new"}, NOW)
        service.stop()

    def test_a_machine_that_moved_over_keeps_its_past(self, source, clock):
        storage = MemoryStorage()
        import_roosync(source, storage, clock=clock)
        assert not HeartbeatService(storage, clock=clock, machine_id="web1").register().is_new_machine
        own = storage.load().heartbeats["web1"]
        assert own.metadata["version"] == "3.1.0"
        assert own.first_seen == NOW - timedelta(hours=1000)

    def test_a_record_of_the_target_that_cannot_be_read_is_left_to_its_machine(self, source, tmp_path, clock):
        storage = SharedFolderStorage(tmp_path / "share", create=True)
        HeartbeatService(storage, clock=clock, machine_id="web1", state_dir=tmp_path / "s").register()
        torn = tmp_path / "share" / "heartbeats" / "web1.json"
        torn.write_bytes(b"")
        report = import_roosync(source, storage, clock=clock)
        assert (report.imported, report.unchanged, list(report.unreadable)) == ((), (), ["web1"])
        assert torn.read_bytes() == b""
        storage.close()


class TestOnePlace:
    @pytest.mark.parametrize(
        "places",
        [("rs", "rs"), ("rs", "rs/heartbeats"), ("rs/heartbeats", "rs"), ("rs/heartbeats/web1.json", "rs")],
    )
    @pytest.mark.parametrize("scheme", ["folder", "json"])
    @pytest.mark.parametrize("dry_run", [True, False])
    def test_a_target_that_is_the_source_is_refused(self, source, clock, scheme, places, dry_run):
        read, written = places
        before = bytes_of(source)
        storage = open_storage(f"{scheme}://{source.parent}/{written}")
        with pytest.raises(InvalidConfigurationError, match="only to be read"):
            import_roosync(source.parent / read, storage, clock=clock, dry_run=dry_run)
        storage.close()
        assert bytes_of(source) == before

    def test_by_another_name_too(self, source, tmp_path, clock):
        (tmp_path / "alias").symlink_to(source)
        storage = JsonFileStorage(tmp_path / "alias")
        with pytest.raises(InvalidConfigurationError, match="only to be read"):
            import_roosync(source, storage, clock=clock)
        storage.close()

    def test_a_folder_inside_it_is_refused_and_one_beside_it_is_fine(self, source, clock):
        inside = SharedFolderStorage(source / "new" / "kit", create=True)
        with pytest.raises(InvalidConfigurationError, match="only to be read"):
            import_roosync(source, inside, clock=clock)
        inside.close()
        storage = SharedFolderStorage(source.parent / "kit", create=True)
        assert import_roosync(source, storage, clock=clock).imported == ("web1",)
        storage.close()


class TestTimes:
    @pytest.mark.parametrize(
        "change",
        [
            {"lastHeartbeat": "0001-01-01T00:00:00+14:00"},
            {"lastHeartbeat": "9999-12-31T23:59:59-14:00"},
            {"firstSeen": "0001-01-01T00:00:00+14:00"},
        ],
    )
    def test_an_impossible_time_costs_nobody_else_the_import(self, source, clock, change):
        put(source / "heartbeats" / "db1.json", record("db1", 1, **change))
        storage = MemoryStorage()
        report = import_roosync(source, storage, clock=clock)
        assert "web1" in report.imported
        assert "db1" in report.imported or "heartbeats/db1.json" in report.unreadable

    @pytest.mark.parametrize("interval", [10**20, 0, -1, True, "30000"])
    def test_an_impossible_interval_is_no_promise(self, source, clock, interval):
        put(source / "heartbeat-service.json", {"heartbeatInterval": interval})
        storage = MemoryStorage()
        import_roosync(source, storage, clock=clock)
        assert storage.load().heartbeats["web1"].interval_ms == 30_000

    def test_a_stamp_of_the_future_is_not_believed_once_its_time_has_come(self, tmp_path, clock):
        """The file was written five hours ago, and says two hours from now."""
        put(tmp_path / "rs" / "heartbeats" / "web1.json", record("web1", -2), hours=5)
        storage = MemoryStorage()
        first = import_roosync(tmp_path / "rs", storage, clock=clock)
        clock.advance(timedelta(hours=3))
        again = import_roosync(tmp_path / "rs", storage, clock=clock)
        assert (first.imported, again.imported, again.unchanged) == (("web1",), (), ("web1",))
        assert storage.load().heartbeats["web1"].last_heartbeat == NOW - timedelta(hours=5)


def test_copies_and_temporaries_of_the_one_file_of_release_3_0_are_read_too(tmp_path, clock):
    fleets = {
        "heartbeat.json": 120,
        "heartbeat (1).json": 30,
        "heartbeat.json.tmp-4711-1768519800000": 3,
        "Heartbeats-PC.json": 60,
    }
    for name, hours in fleets.items():
        put(tmp_path / name, {"heartbeats": {"web1": record("web1", hours)}}, hours=hours)
    put(tmp_path / "heartbeats.json.sync-conflict.json", b"{")
    put(tmp_path / "heartbeat-service (1).json", {"heartbeatInterval": 5})
    storage = MemoryStorage()
    report = import_roosync(tmp_path, storage, clock=clock)
    assert len(report.merged["web1"]) == 4
    assert list(report.unreadable) == ["heartbeats.json.sync-conflict.json"]
    assert storage.load().heartbeats["web1"].last_heartbeat == NOW - timedelta(hours=3)


@pytest.mark.parametrize("source", ["~nosuchuser/x", "nul\0name", "x" * 300])
def test_a_source_that_cannot_be_is_a_typed_error(source, clock):
    with pytest.raises(InvalidConfigurationError):
        import_roosync(source, MemoryStorage(), clock=clock)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may look everywhere")
def test_a_source_behind_a_closed_door_is_a_typed_error(source, clock):
    source.parent.chmod(0)
    try:
        with pytest.raises(InvalidConfigurationError, match="cannot be looked at"):
            import_roosync(source, MemoryStorage(), clock=clock)
    finally:
        source.parent.chmod(0o755)


@pytest.mark.parametrize(
    "query",
    [
        "folder:{}/new?create=true",
        "folder:{}/new?create=%74rue",
        "folder:{}/new?create=true&propagation_delay=5",
        "folder:{}/new?must_exist=false&create=true",
        "json:{}/deep/new?create=yes",
        "folder:{}/new?create=true&nonsense=1",
        "folder:{}/new?create=true&create=true",
        "folder:{}/new#?create=true",
        "folder:{}/new",
        "folder:{}/file?create=true",
        "folder:{}/file/under?create=true",
        "foldr:{}/new?create=true",
        "memory:",
    ],
)
def test_a_dry_run_says_what_the_import_would_and_makes_nothing(source, tmp_path, capsys, query):
    (tmp_path / "file").write_text("a file")
    url = query.format(tmp_path)
    before = bytes_of(tmp_path), sorted(tmp_path.rglob("*"))
    dry = main(["import-roosync", str(source), "--storage", url, "--dry-run"])
    assert (bytes_of(tmp_path), sorted(tmp_path.rglob("*"))) == before
    said = capsys.readouterr()
    assert main(["import-roosync", str(source), "--storage", url]) == dry
    did = capsys.readouterr()
    assert said.err == did.err
    assert said.out.replace("would be imported", "imported").split() == did.out.split()
