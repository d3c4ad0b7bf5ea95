"""What a sync costs beside reading the files, a plan beside looking at its paths, a backup beside writing its bytes.

The files are 1,000 of 2 KiB in 20 directories, those of the working copy and the same in the baseline. The floors:
reading and hashing all of them once (of both sides, as no sync can know less of files it never saw), three walks over
a dict of the paths, one file of the backup's bytes written durably.
"""

import hashlib
import itertools
import os
import random
from datetime import UTC, datetime

import pytest

from heartbeat_kit import HeartbeatService, MemoryStorage, SyncCoordinator
from heartbeat_kit.storage import StorageTraits
from heartbeat_kit.sync import Guards, SyncMode
from heartbeat_kit.sync._backup import Backup, Kept
from heartbeat_kit.sync._complete import Completion
from heartbeat_kit.sync._execute import write_backup
from heartbeat_kit.sync._model import File, Side, Snapshot
from heartbeat_kit.sync._places import Places
from heartbeat_kit.sync._planner import make_plan
from heartbeat_kit.sync._real_tree import RealTree
from heartbeat_kit.testing import FakeClock

FILES, DIRECTORIES, SIZE = 1_000, 20, 2_048
PATHS = 100_000
LATER = datetime(2100, 1, 1, tzinfo=UTC)
"""Long after the files were made, so what was read once need not be read again."""
SYNCED_FOLDER = StorageTraits(durable=True, cross_process=True, cross_host=True, coherent=False, propagation_delay=None)
chance = random.Random(1)


def name_of(number):
    return f"app-{number % DIRECTORIES:02}/file-{number:04}.conf"


class Machine:
    """A machine that agrees with its baseline."""

    def __init__(self, root):
        self.root = root
        self.folder, self.share = root / "workspace", root / "share"
        self.share.mkdir()
        for number in range(FILES):
            self.save(number)
        self.service = HeartbeatService(MemoryStorage(traits=SYNCED_FOLDER), clock=FakeClock(LATER), machine_id="m1")
        self.service.register()
        self.sync = self.new_process()
        self.sync.adopt_baseline()
        self.run(self.sync)

    def save(self, number):
        path = self.folder / name_of(number)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(chance.randbytes(SIZE))

    def new_process(self):
        return SyncCoordinator(
            self.service, workspace=self.folder, shared=self.share, state_dir=self.root / "state", guards=Guards.off()
        )

    def run(self, sync):
        """One sync of now, however often there was one: `sync_on_online` does this once for each return."""
        self.service.clock.advance(1)
        return sync._engine.run(sync._tasks.whenever("m1", SyncMode.ONLINE))


def hash_all(directory):
    with os.scandir(directory) as entries:
        for entry in entries:
            if entry.is_dir():
                hash_all(entry.path)
            else:
                with open(entry.path, "rb") as file:
                    hashlib.sha256(file.read()).hexdigest()


@pytest.fixture(scope="module")
def machine(tmp_path_factory):
    return Machine(tmp_path_factory.mktemp("sync"))


@pytest.mark.parametrize("sides", [2, 1], ids=["both sides", "one side"])
@pytest.mark.parametrize("process", ["running", "new", "running, fsync left out", "new, fsync left out"])
def test_sync_of_one_changed_among_1000(ratio, machine, monkeypatch, process, sides):
    """The limit is for a process that runs on; a new one reads every file itself. A run waits for the disk 21 times."""
    numbers, folders = itertools.cycle(range(FILES)), [machine.folder, machine.share / "baseline" / "files"][:sides]
    if "fsync" in process:
        monkeypatch.setattr(os, "fsync", lambda _: None)

    def floor():
        for folder in folders:
            hash_all(folder)

    def sync():
        machine.save(next(numbers))
        if process.startswith("new"):
            machine.sync = machine.new_process()
        assert machine.run(machine.sync).changes.files_synced == 1

    ratio(sync, floor, limit=2 if process == "running" and sides == 2 else None, rounds=40)


def file_of(number):
    return File(sha256=f"{number:064x}", size=number, mode=0o600)


@pytest.mark.parametrize("changed", [1, PATHS // 10], ids=["one changed", "a tenth changed"])
def test_plan_of_100000_paths(ratio, benchmark, changed):
    """Beside three walks over a dict of the paths; the limit is the issue's 2 s."""
    trees = [{f"{name_of(number)}-{number}": file_of(number) for number in range(PATHS)} for _ in range(3)]
    trees[1].update({path: file_of(PATHS) for path in itertools.islice(trees[1], changed)})
    base, machine, baseline = (Snapshot(entries=tree) for tree in trees)

    def floor():
        for tree in trees:
            for path, file in tree.items():
                if trees[0][path] is not file:
                    pass

    def plan():
        made = make_plan(base, machine, baseline, mode=SyncMode.ONLINE, machine_id="m1", guards=Guards.off())
        assert len(made.actions) == changed
        assert made.id

    ratio(plan, floor, limit=None, rounds=10)
    assert benchmark.stats.stats.min < 2


@pytest.mark.parametrize("changed", [1, FILES], ids=["1 file", "1000 files"])
def test_backup(ratio, tmp_path, changed):
    """Written, read again and every hash compared, beside writing its bytes durably to one file."""
    shared, state = (tmp_path / name for name in ("share", "state"))
    for folder in (tmp_path / "workspace", shared, state):
        folder.mkdir()
    places = Places(RealTree(tmp_path / "workspace"), RealTree(shared), RealTree(state), RealTree(shared / "backups"))
    completion = Completion(places, "m1", lambda _: False)
    contents = [chance.randbytes(SIZE) for _ in range(changed)]
    hashed = [(hashlib.sha256(data).hexdigest(), data) for data in contents]
    completion.local.put_all(hashed)
    kept = tuple(
        Kept(side=Side.BASELINE, path=name_of(number), before=File(sha256=sha, size=SIZE, mode=0o600), after=None)
        for number, (sha, _) in enumerate(hashed)
    )
    times = itertools.count(1)

    def backup():
        made = Backup(
            operation="online",
            machine_id="m1",
            taken_at_ms=next(times),
            plan_id="0" * 64,
            files=kept,
            agreed={each.path: each.before for each in kept},
            manifest="0" * 64,
        )
        return write_backup(places, made, completion, dict(hashed))

    data = (shared / "backups" / backup()).read_bytes()

    def floor():
        handle = os.open(shared / "backups" / f"bare-{next(times)}", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        os.write(handle, data)
        os.fsync(handle)
        os.close(handle)
        directory = os.open(shared / "backups", os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)

    ratio(backup, floor, limit=3, rounds=40)
