"""F26, F27, F35, F39: a beat costs one small file, a quiet check nothing, an import nothing, and nothing is printed."""

import os
import subprocess
import sys
import textwrap

import pytest
from regression_media import INTERVAL, TIMEOUT, Medium, fingerprint, writes_below

from heartbeat_kit import JsonFileStorage, SharedFolderStorage
from heartbeat_kit.errors import InvalidConfigurationError

FLEET = 6


def test_f26_a_beat_writes_one_own_small_file(folder, clock):
    """Six machines, one hour: each beat replaces its machine's own file, under 1 kB, and nothing else is written."""
    services = [folder.observer(f"pc-{number}", clock=folder.clock_of())[0] for number in range(FLEET)]
    clock.advance(4 * INTERVAL)
    before = {number: folder.stored(f"pc-{number}").seq for number in range(FLEET)}
    with writes_below(folder.directory) as log:
        clock.advance(3600)
    beats = sum(folder.stored(f"pc-{number}").seq - before[number] for number in range(FLEET))
    assert beats >= FLEET * 3600 // INTERVAL
    assert len(log.files) == beats, "one file a beat, none for a check"
    assert set(log.files) == {str(folder.own_file(f"pc-{number}")) for number in range(FLEET)}
    kinds = {event for event, _ in log.events}
    assert kinds == {"open", "os.rename"}
    assert len(log.events) == 2 * beats
    assert all(folder.own_file(f"pc-{number}").stat().st_size < 1000 for number in range(FLEET))
    for service in services:
        service.stop()


def test_f26_the_size_of_a_beat_does_not_grow_with_the_fleet(folder, clock):
    """In a fleet of two hundred a beat still writes one file of a few hundred bytes."""
    service = folder.service("pc-0")
    service.register()
    alone = folder.own_file("pc-0").stat().st_size
    for number in range(1, 200):
        folder.service(f"pc-{number}", state="shared").register()
    clock.advance(INTERVAL)
    with writes_below(folder.directory) as log:
        service.register()
        service.check(force=True)
    assert log.files == [str(folder.own_file("pc-0"))]
    assert folder.own_file("pc-0").stat().st_size == alone


def test_f27_a_check_that_changes_nothing_writes_nothing(medium, clock):
    """A hundred checks and states of a settled fleet: no write, no rename, no rewritten byte, anywhere."""
    for number in range(FLEET):
        medium.service(f"pc-{number}").register()
    watcher = medium.service("watcher")
    for _ in range(20):
        watcher.check(force=True)
        clock.advance(INTERVAL)
    assert len(watcher.state().offline) == FLEET
    places = [medium.directory, medium.state]
    before = fingerprint(*places)
    with writes_below(*places) as log:
        for _ in range(100):
            clock.advance(INTERVAL)
            assert watcher.check(force=True).transitions == ()
            watcher.check()
            watcher.state()
    assert log.events == []
    assert fingerprint(*places) == before


def test_f27_an_observer_of_a_beating_fleet_writes_rarely_and_only_at_home(folder, clock):
    """While others beat the observer writes nothing into the folder, and locally at most once in half a timeout."""
    for number in range(FLEET):
        folder.peer(f"pc-{number}")
    watcher = folder.service("watcher")
    for _ in range(10):
        clock.advance(INTERVAL)
        watcher.check(force=True)
    home = folder.state / "watcher"
    with writes_below(folder.directory, home) as log:
        for _ in range(120):
            clock.advance(INTERVAL)
            watcher.check(force=True)
    own = [path for path in log.files if path.startswith(str(home))]
    assert 0 < len(own) <= 120 * INTERVAL // (TIMEOUT // 2) + 1
    others = {path for path in log.files if not path.startswith(str(home))}
    assert others == {str(folder.own_file(f"pc-{number}")) for number in range(FLEET)}


def test_f27_the_shared_file_of_a_quiet_fleet_is_not_rewritten_by_looks(tmp_path, clock):
    """heartbeats.json: a running observer rewrites it for its own beats alone, not once per machine or look."""
    medium = Medium("json", tmp_path, clock)
    for number in range(FLEET):
        medium.service(f"pc-{number}").register()
    medium.observer()
    clock.advance(3 * TIMEOUT)
    before = medium.stored("watcher").seq
    with writes_below(medium.directory) as log:
        clock.advance(3600)
    beats = medium.stored("watcher").seq - before
    rewritten = [path for path in log.files if path.endswith("heartbeats.json")]
    assert len(rewritten) == beats
    medium.close()


def run(script, tmp_path, **environment):
    """Run a script in a process of its own, in an empty folder that is also its home."""
    home = tmp_path / "home"
    home.mkdir()
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("MACHINE", "ROOSYNC", "XDG"))}
    clean.update(HOME=str(home), PYTHONDONTWRITEBYTECODE="1", **environment)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script), str(tmp_path)],
        cwd=home,
        env=clean,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done, home


def test_f35_import_and_construction_create_nothing(tmp_path):
    """Importing everything and constructing a service of each kind makes no file, no folder and no thread."""
    for name in ("share", "json"):
        (tmp_path / name).mkdir()
    done, home = run(
        """
        import sys, threading
        touched = []
        def hook(event, args):
            if event == "open" and isinstance(args[2], int) and args[2] & 0o1103:
                touched.append((event, str(args[0])))
            elif event in ("os.mkdir", "os.rename", "os.remove", "os.link", "socket.connect"):
                touched.append((event, str(args[0])))
        sys.addaudithook(hook)
        import heartbeat_kit, heartbeat_kit.testing, heartbeat_kit.errors
        from heartbeat_kit import HeartbeatService, JsonFileStorage, MemoryStorage, SharedFolderStorage
        root = sys.argv[1]
        assert threading.active_count() == 1
        services = [
            HeartbeatService(storage)
            for storage in (MemoryStorage(), JsonFileStorage(root + "/json"), SharedFolderStorage(root + "/share"))
        ]
        for service in services:
            service.status, service.is_running, service.config, repr(service)
        assert all(path == "/dev/null" for _, path in touched), touched
        """,
        tmp_path,
        MACHINE_ID="web-1",
        ROOSYNC_SHARED_PATH=str(tmp_path / "production"),
        SHARED_PATH=str(tmp_path / "production"),
    )
    assert done.returncode == 0, done.stderr.decode()
    assert sorted(path.name for path in tmp_path.rglob("*")) == ["home", "json", "share"]
    assert list(home.iterdir()) == []


@pytest.mark.parametrize("directory", ["", "undefined/heartbeats", "${ROOSYNC_SHARED_PATH}", "missing"])
def test_f35_a_folder_that_was_not_meant_is_refused_and_not_made(directory, tmp_path, monkeypatch):
    """No path is invented: an unset, unexpanded or missing one is an error, and nothing appears on disk."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ROOSYNC_SHARED_PATH", str(tmp_path))
    for kind in (JsonFileStorage, SharedFolderStorage):
        with pytest.raises(InvalidConfigurationError):
            kind(directory)
    assert list(tmp_path.iterdir()) == []


def test_f39_nothing_is_ever_printed(tmp_path):
    """A whole life with deaths, damage, outages and a raising listener leaves stdout and stderr empty."""
    done, _ = run(
        """
        import os, sys, threading
        from datetime import timedelta
        from pathlib import Path
        from heartbeat_kit import HeartbeatService, JsonFileStorage, MemoryStorage, SharedFolderStorage
        from heartbeat_kit.errors import HeartbeatKitError
        from heartbeat_kit.testing import FakeClock, FaultyStorage

        root = Path(sys.argv[1])
        def life(name, inner):
            clock, storage = FakeClock(), FaultyStorage(inner)
            service = HeartbeatService(storage, clock=clock, machine_id="watcher", state_dir=root / name / "state")
            @service.on_transition
            def angry(event):
                raise RuntimeError("a listener that raises")
            service.start()
            for _ in range(3):
                service.register({"role": "web"}, machine_id="web-1")
                clock.advance(30)
            storage.corrupt("web-2", "damaged")
            for path in (root / name).rglob("web-1*.json"):
                path.write_bytes(b"")
            clock.advance(900)
            storage.go_down("away")
            clock.advance(900)
            try:
                service.register()
            except HeartbeatKitError:
                pass
            service.check(force=True), service.state(), repr(service.state())
            storage.come_back()
            clock.suspend(3600)
            clock.jump_wall(-600)
            clock.advance(900)
            storage.fail("load", error=KeyError("a bug in a storage"))
            clock.advance(60)
            service.history(), service.remove("web-1"), service.prune(timedelta(0))
            service.stop(leave=True)
            storage.close()
        (root / "folder" / "store").mkdir(parents=True)
        (root / "json" / "store").mkdir(parents=True)
        life("memory", MemoryStorage())
        life("folder", SharedFolderStorage(root / "folder" / "store", propagation_delay=timedelta(0)))
        life("json", JsonFileStorage(root / "json" / "store"))
        real = HeartbeatService(MemoryStorage(), machine_id="watcher", state_dir=root / "real")
        real.start()
        threading.Event().wait(0.05)
        real.stop()
        """,
        tmp_path,
    )
    assert done.returncode == 0, done.stderr.decode()
    assert done.stdout == b""
    assert done.stderr == b""
