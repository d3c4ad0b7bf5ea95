"""F05–F08, F24, F28, F46, F55: a record is its machine's alone, and nothing is lost or revived through us."""

import itertools
import os
import threading
from datetime import timedelta

import pytest
from regression_media import INTERVAL, changes, fingerprint

from heartbeat_kit import HeartbeatConfig, HeartbeatService, MachineStatus


def test_f05_beats_of_many_writers_are_all_there(medium):
    """Each of eight services with its own handle beats 25 times at once; every last beat is stored."""
    services = [medium.service(f"pc-{number}") for number in range(8)]
    gate = threading.Barrier(len(services))

    def beat(service):
        gate.wait()
        for count in range(25):
            service.register({"count": count})

    threads = [threading.Thread(target=beat, args=(service,)) for service in services]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    found = {number: medium.stored(f"pc-{number}") for number in range(8)}
    assert {number: (beat.seq, beat.metadata) for number, beat in found.items()} == {
        number: (25, {"count": 24}) for number in range(8)
    }


def test_f06_what_is_judged_was_read_in_this_look(medium, clock):
    """A peer that beat after the observer's last look is judged by that beat, by check and by state alike."""
    peer = medium.service("web-1", clock=medium.clock_of())
    watcher = medium.service("watcher")
    for _ in range(3):
        peer.register()
        watcher.check(force=True)
        clock.advance(INTERVAL)
    for _ in range(10):
        clock.advance(100)
        peer.register({"at": clock.monotonic})
        assert watcher.state()["web-1"].metadata == {"at": clock.monotonic}
        clock.advance(100)
        peer.register({"at": clock.monotonic})
        report = watcher.check(force=True)
        assert report.transitions == ()
        assert watcher.state()["web-1"].metadata == {"at": clock.monotonic}


def test_f07_peers_files_never_change_through_an_observer(folder, clock):
    """Through hours of looks, deaths, a removal and a return, no file changes but by its own machine."""
    peers = [folder.peer(f"pc-{number}") for number in range(3)]
    folder.own_file("damaged").write_bytes(b"")
    observer, heard = folder.observer()
    clock.advance(folder.deadline)
    for peer in peers:
        peer.stop()
    records = folder.directory / "heartbeats"
    before = fingerprint(records)
    clock.advance(2 * 3600)
    after = fingerprint(records)
    changed = {path for path in before.keys() | after.keys() if before.get(path) != after.get(path)}
    assert changed == {str(folder.own_file("watcher"))}
    assert [machine.machine_id for machine in observer.state().offline] == ["pc-0", "pc-1", "pc-2"]
    observer.remove("pc-0")
    observer.stop()
    clock.advance(3600)
    assert "pc-0" not in observer.state()
    assert not folder.own_file("pc-0").exists(), "a removed machine is not resurrected"
    assert len(changes(heard, "pc-1")) == 2


def test_f08_only_our_own_stale_temporaries_are_cleaned_up(files, clock):
    """Files of peers in flight, orphans of others and live locks stay; what a crash of ours left an hour ago goes."""
    peer = files.peer("web-1")
    place = files.directory / "heartbeats" if files.cross_host else files.directory
    kept = ["empty.json", "web-2.json.tmp-123-456", ".sync.ffs_db", "web-3.json.lock", ".hbk-live-1-1.tmp", "x.tmp"]
    stale = place / ".hbk-dead-1-1.tmp"
    for name in [*kept, stale.name]:
        (place / name).write_bytes(b"")
    now = stale.stat().st_mtime
    for name in kept:
        if name != ".hbk-live-1-1.tmp":
            os.utime(place / name, (now - 86_400, now - 86_400))
    os.utime(stale, (now - 86_400, now - 86_400))
    observer, _ = files.observer()
    clock.advance(files.deadline)
    observer.stop()
    peer.stop()
    assert not stale.exists()
    assert {name for name in kept if (place / name).exists()} == set(kept)


@pytest.mark.parametrize("order", list(itertools.permutations(range(3))))
def test_f24_of_conflict_copies_the_highest_beat_wins_in_any_order(order, folder, clock):
    """Stale copies beside a fresh file, or a fresh copy beside a stale file, never turn the machine offline."""
    peer = folder.service("web-1", clock=folder.clock_of())
    watcher = folder.service("watcher")
    versions = []
    names = ["web-1.json", "web-1 (1).json", "web-1.sync-conflict-20260102-101112-ABCDEFG.json"]
    for _ in range(3):
        peer.register()
        versions.append(folder.own_file("web-1").read_bytes())
        clock.advance(INTERVAL)
    watcher.check(force=True)
    for name, version in zip(names, order, strict=True):
        (folder.directory / "heartbeats" / name).write_bytes(versions[version])
    newest = 3
    for _ in range(20):
        clock.advance(INTERVAL)
        report = watcher.check(force=True)
        assert report.newly_offline == report.newly_warning == ()
        assert watcher.state()["web-1"].heartbeat.seq == newest
        assert "web-1" in report.identity_conflicts
        newest += 1
        peer.register()
    assert watcher.state()["web-1"].status is MachineStatus.ONLINE


def test_f24_a_late_older_record_never_replaces_a_newer_one(medium, clock):
    """A replayed old beat, whoever writes it, changes neither the record nor the verdict."""
    peer = medium.service("web-1")
    peer.register()
    old = medium.stored("web-1")
    clock.advance(INTERVAL)
    peer.register()
    newest = medium.stored("web-1")
    assert medium.storage().put(old) == newest
    assert medium.stored("web-1") == newest


def test_f28_metadata_round_trips_and_survives_a_restart(medium, clock):
    """Metadata given once is what every reader shows, after plain beats and after a restart, until it is replaced."""
    metadata = {"role": "wéb", "load": 0.5, "tags": ["a", None, True], "nested": {"n": 2**62}, "emoji": "💻"}
    service = medium.service("web-1")
    service.register(metadata)
    watcher = medium.service("watcher", clock=medium.clock_of())
    assert watcher.state()["web-1"].metadata == metadata
    service.start()
    clock.advance(3 * INTERVAL)
    service.stop()
    assert watcher.state()["web-1"].metadata == metadata
    clock.advance(INTERVAL)
    restarted = medium.peer("web-1")
    clock.advance(INTERVAL)
    assert watcher.state()["web-1"].metadata == metadata
    restarted.register({})
    assert watcher.state()["web-1"].metadata == {}


def test_f46_remove_is_final_until_the_machine_beats_again(medium, clock):
    """A removed machine stays away while others look, beat, stop or restart; its own beat brings it back."""
    victim = medium.service("victim", clock=medium.clock_of())
    victim.register({"n": 1})
    others = [medium.observer(f"watcher-{number}", clock=medium.clock_of())[0] for number in range(2)]
    clock.advance(3 * INTERVAL)
    assert others[0].remove("victim")
    assert "victim" not in others[0].state()
    for _ in range(2):
        for other in others:
            clock.advance(2 * INTERVAL)
            other.stop()
            clock.advance(INTERVAL)
            other.start()
    clock.advance(2 * 3600)
    for other in others:
        other.check(force=True)
        assert "victim" not in other.state()
    assert medium.stored("victim") is None
    victim.register()
    clock.advance(2 * INTERVAL)
    for other in others:
        assert other.state()["victim"].status is MachineStatus.ONLINE


def test_f46_a_machine_registered_again_at_once_is_seen(medium):
    """Remove and register within one tick of the clock: the machine is there again."""
    watcher = medium.service("watcher")
    watcher.register(machine_id="web-1")
    watcher.check(force=True)
    watcher.remove("web-1")
    watcher.check(force=True)
    assert "web-1" not in watcher.state()
    watcher.register(machine_id="web-1")
    assert watcher.state()["web-1"].status is MachineStatus.ONLINE


def test_f55_reads_never_delete(medium, clock):
    """A year after their last beat all records are still there, however often they were looked at."""
    for number in range(3):
        medium.service(f"pc-{number}").register()
    before = {number: medium.stored(f"pc-{number}") for number in range(3)}
    watcher = medium.service("watcher", config=HeartbeatConfig(silence_hold=timedelta(0)))
    for _ in range(12):
        clock.advance(30 * 86_400)
        watcher.check(force=True)
        watcher.state()
        watcher.history()
        watcher.wait_for("pc-0", "online", 1)
    assert {number: medium.stored(f"pc-{number}") for number in range(3)} == before
    assert len(watcher.state().machines) == 3
    late = HeartbeatService(medium.storage(), clock=clock, machine_id="late", state_dir=medium.state / "late")
    assert len(late.state().machines) == 3
