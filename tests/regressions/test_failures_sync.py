"""F50, F51: a backup is there or is not said to be; an automatic sync never takes content from whoever runs it."""

import errno
import json
import os
from pathlib import Path

import pytest
from sync_world import World, contents, has_valid_digest, pair, tracked, watching

from heartbeat_kit import to_wire
from heartbeat_kit.errors import HeartbeatKitError, SyncError
from heartbeat_kit.sync import SyncOutcome


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    """Nothing waits for the platter: what survives a power cut is for the simulated disk to say."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


FILES = {"a.conf": "one\n", "d/b.json": "{}", "e": "e\n"}


def changed(world):
    """A machine with something to sync in every direction."""
    machine = world.begin(files=FILES)
    machine.write("a.conf", "two\n")
    machine.write("new", "new\n")
    (machine.folder / "e").unlink()
    world.edit("d/b.json", '{"k": 1}', machine)
    return machine


def test_f50_a_backup_that_is_claimed_is_there_and_restores_every_file(world):
    machine = changed(world)
    before = contents(machine.folder), world.baseline()
    report = machine.sync.sync_on_online("m1")
    assert report.backup_created
    assert to_wire(report)["backupPath"] == report.backup_path
    assert has_valid_digest(report.backup_path)
    listed = json.loads(Path(report.backup_path).read_bytes())["files"]
    assert {(each["side"], each["path"]) for each in listed} == {
        ("baseline", "a.conf"), ("baseline", "new"), ("baseline", "e"), ("machine", "d/b.json"),
    }  # fmt: skip
    assert machine.sync.verify(report.backup_path) == 3  # "new" was not there
    machine.sync.rollback(report.backup_path)
    assert (contents(machine.folder), world.baseline()) == before


def test_f50_nothing_is_claimed_where_nothing_was_written(world):
    """No change, no backup; a dry run neither."""
    machine = world.begin(files=FILES)
    for dry_run in (True, False):
        report = machine.sync.sync_on_online("m1", dry_run=dry_run)
        assert not report.backup_created
        assert report.backup_path is None
        assert "backupPath" not in to_wire(report)
    assert len(world.backups()) == 1  # of the beginning


@pytest.mark.parametrize("how", ["refused", "short", "swallowed"])
def test_f50_without_a_backup_that_verifies_nothing_is_changed(world, monkeypatch, how):
    """The folder of backups is full, cuts what is written, or takes it and keeps nothing."""
    machine = changed(world)
    before = tracked(world, machine)
    known = world.backups()

    def spoil(event, args):
        if event == "heartbeat_kit.sync.move" and args[2].startswith("online-sync-"):
            path = Path(args[0], args[1])
            if how == "refused":
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            os.truncate(path, path.stat().st_size // 2 if how == "short" else 0)

    with watching(spoil), pytest.raises(SyncError) as caught:
        machine.sync.sync_on_online("m1")
    assert caught.value.code in ("BACKUP_DAMAGED", "SYNC_ONLINE_FAILED")
    assert tracked(world, machine) == before
    if how == "refused":
        assert world.backups() == known
    for path in set(world.backups()) - set(known):
        path.unlink()
    assert machine.sync.sync_on_online("m1").backup_created


def test_f50_a_restore_is_one_only_if_every_file_came_back(world):
    """One file that cannot be restored, edited meanwhile, fails the whole and is named."""
    machine = changed(world)
    report = machine.sync.sync_on_online("m1")
    done = []

    def edit(event, args):
        if event == "heartbeat_kit.sync.replace" and args[2] == "journal.json" and not done:
            done.append(True)
            (world.files / "a.conf").write_text("edited meanwhile\n")

    with watching(edit), pytest.raises(SyncError) as caught:
        machine.sync.rollback(report.backup_path)
    assert done
    assert caught.value.paths == ("a.conf",)
    assert (world.files / "a.conf").read_text() == "edited meanwhile\n"


@pytest.mark.parametrize("change", ["missing content", "wrong content", "one file less"])
def test_f50_half_a_backup_restores_nothing(world, change):
    machine = changed(world)
    report = machine.sync.sync_on_online("m1")
    path = Path(report.backup_path)
    record = json.loads(path.read_bytes())
    sha = next(iter(record["data"]))
    if change == "missing content":
        del record["data"][sha]
    elif change == "wrong content":
        record["data"][sha] = "AAAA"
    else:
        record["files"].pop()
    path.write_text(json.dumps(record))
    before = tracked(world, machine)
    for call in (machine.sync.verify, machine.sync.rollback):
        with pytest.raises(HeartbeatKitError) as caught:
            call(report.backup_path)
        assert caught.value.code == "BACKUP_DAMAGED"
    assert tracked(world, machine) == before


@pytest.mark.parametrize("published", [True, False])
@pytest.mark.parametrize("policy", ["decision", "machine", "baseline", "merge", "keep_both", "newest"])
def test_f51_an_offline_sync_takes_nothing_from_the_observer(world, published, policy):
    """Whatever the observer's own files are, they go nowhere, and what the fleet shares is not replaced by them."""
    first, second = pair(world, FILES, policy=policy)
    private = "of the observer alone\n"
    for path in (*FILES, "only/here"):
        second.write(path, private)
    if published:
        first.write("a.conf", "two\n")
        first.sync.publish()
    else:
        (world.share / "published/m1/manifest.json").unlink()
    world.goes(first, second)
    own, live = contents(second.folder), contents(first.folder)
    report = second.sync.sync_on_offline("m1")
    everywhere = b"".join(path.read_bytes() for path in world.share.rglob("*") if path.is_file())
    assert private.strip().encode() not in everywhere
    assert contents(second.folder) == own
    assert contents(first.folder) == live
    expected = {path: text.encode() for path, text in FILES.items()}
    assert world.baseline() == ({**expected, "a.conf": b"two\n"} if published else expected)
    assert report.outcome is (SyncOutcome.APPLIED if published else SyncOutcome.NOTHING_PUBLISHED)


def test_f51_an_automatic_sync_takes_nothing_from_the_observer(world):
    """The same by `attach`: a machine goes, and its observer's files stay its own."""
    first, second = pair(world, FILES)
    first.write("a.conf", "two\n")
    first.sync.publish()
    reports = []
    second.write("a.conf", "of the observer alone\n")
    second.write("mine", "of the observer alone\n")
    with second.sync.attach(on_report=reports.append):
        second.service.start()
        world.clock.advance(1800)
        second.service.stop()
    assert any(getattr(each, "outcome", None) is SyncOutcome.APPLIED for each in reports)
    assert world.baseline()["a.conf"] == b"two\n"
    assert "mine" not in world.baseline()
    assert second.read("a.conf") == "of the observer alone\n"
