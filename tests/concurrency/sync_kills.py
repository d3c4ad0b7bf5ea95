"""Kills a sync before each of its changes in turn, and looks at what the next run makes of it.

Owns the killing and the looking. A process of its own, so that it may fork: it has one thread and warm imports, and a
kill costs what the sync costs. ``python sync_kills.py FOLDER SCENARIO`` prints the figures as JSON, or a traceback.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
import traceback
from collections.abc import Callable
from pathlib import Path

from sync_shares import MERGED, OBJECTS, TRASH, World, few, gone, hashes, returned, umask

from heartbeat_kit import SyncPlan, SyncReport
from heartbeat_kit.sync._model import Side
from heartbeat_kit.sync._real_tree import AUDIT_PREFIX

_CHANGES = ("os.rename", "os.remove", "os.mkdir", "os.rmdir", "os.link", "os.symlink", "os.truncate", "os.chmod")
_WRITES = os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_APPEND


class Deadline:
    """Ends this process with SIGKILL before its k-th change; counts all of them if `k` is 0."""

    def __init__(self, k: int) -> None:
        self.k = k
        self.count = 0
        self.kinds: dict[str, int] = {}

    def __call__(self, event: str, arguments: tuple[object, ...]) -> None:
        ours = event.startswith(AUDIT_PREFIX)
        writes = event == "open" and isinstance(arguments[2], int) and bool(arguments[2] & _WRITES)
        if not (ours or writes or event in _CHANGES):
            return
        self.count += 1
        self.kinds[event] = self.kinds.get(event, 0) + 1
        if self.count == self.k:
            os.kill(os.getpid(), signal.SIGKILL)


def in_child(act: Callable[[], object]) -> int:
    """Run in a forked child; how it ended, as `os.waitpid` says it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            act()
            code = 0
        except BaseException:  # noqa: BLE001 - a child that raised must not run the rest of its parent
            traceback.print_exc()
        finally:
            os._exit(code)
    return os.waitpid(child, 0)[1]


class Campaign:
    """All kills of one action.

    Args:
        place: An empty folder.
        scenario: ``online``, ``offline``, ``rollback``, or ``few`` for an online run of a few files.
    """

    def __init__(self, place: Path, scenario: str) -> None:
        umask()
        self.scenario = scenario
        self.world = World(place / "world")
        self.kept, self.cut = place / "kept", place / "cut"
        self.seen: set[str] = set()
        self.ended: set[str] = set()
        self.machines = ("m1", "m2") if scenario == "offline" else ("m1",)
        make = {"offline": gone, "few": few}.get(scenario, returned)
        self.name = make(self.world)
        self.runner = "m2" if scenario == "offline" else "m1"
        self.before = self.world.tracked(*self.machines)
        self.acts = self.acts_now()
        if scenario == "rollback":
            report = self.run(self.runner)
            assert report.backup_path is not None
            self.backup = report.backup_path
        self.world.save(self.kept)
        self.old = self.world.tracked(*self.machines)
        self.act()
        self.new = self.world.tracked(*self.machines)
        assert self.old != self.new
        assert self.world.leftovers() == []
        self.figures = {"paths": len(self.acts), "kills": 0, "old": 0, "finished by recover": 0}

    def plan_now(self) -> SyncPlan:
        """What would be done now."""
        mode = "offline" if self.scenario == "offline" else "online"
        return self.world.coordinator(self.runner).plan(self.name, mode=mode)

    def acts_now(self) -> dict[str, str]:
        """The paths it would do something about; how a merge ends depends on an ancestor that a run lets go of."""
        return {each.path: "" if each.path == MERGED else str(each.act) for each in self.plan_now().actions}

    def run(self, observer: str) -> SyncReport:
        """The sync itself, by a new coordinator."""
        coordinator, clock = self.world.coordinator(observer), self.world.clock
        begun = clock.now().wall_ms
        try:
            run = coordinator.sync_on_offline if self.scenario == "offline" else coordinator.sync_on_online
            return run(self.name)
        finally:  # however long it had to wait for one that was killed: what it writes is then the same each time
            clock.jump_wall((begun - clock.now().wall_ms) / 1000)

    def act(self) -> SyncReport:
        """What is killed."""
        if self.scenario == "rollback":
            return self.world.coordinator(self.runner).rollback(self.backup)
        return self.run(self.runner)

    def all(self) -> dict[str, object]:
        """Kill at each change; the figures."""
        self.world.load(self.kept)
        counting = Deadline(0)
        read, write = os.pipe()

        def count() -> None:
            sys.addaudithook(counting)
            self.act()
            os.write(write, json.dumps(counting.kinds).encode())

        assert in_child(count) == 0
        kinds: dict[str, int] = json.loads(os.read(read, 1 << 16))
        for k in range(1, sum(kinds.values()) + 1):
            self.world.load(self.kept)
            deadline = Deadline(k)

            def doomed(deadline: Deadline = deadline) -> None:
                sys.addaudithook(deadline)
                self.act()

            ended = in_child(doomed)
            assert os.WIFSIGNALED(ended), f"kill {k}: it ended with {ended}"
            assert os.WTERMSIG(ended) == signal.SIGKILL, f"kill {k}: it ended with {ended}"
            self.figures["kills"] += 1
            self.look_once(f"{self.scenario}, kill {k}")
        return {**self.figures, "states": len(self.seen), "ends": len(self.ended), "events": kinds}

    def look_once(self, which: str) -> None:
        """Look at what is there, unless the same was looked at: an fsync changes nothing that a kill would show."""
        state = self.world.fingerprint()
        if state in self.seen:
            return
        self.seen.add(state)
        try:
            self.look()
        except BaseException as error:
            error.add_note(which)
            raise

    def look(self) -> None:
        """What is there at once, after the next run, and after a rollback."""
        cut = self.world.tracked(*self.machines)
        for path, seen in cut.items():
            assert seen in (self.old.get(path), self.new.get(path)), f"{path} is neither old nor new: {seen}"
        self.kept_whole()
        committed = any(self.world.home.glob("state-*/sync/*/*/journal.json"))
        finish = self.look_rollback if self.scenario == "rollback" else self.look_sync
        shutil.rmtree(self.cut, ignore_errors=True)
        self.world.save(self.cut)
        finish()
        self.world.load(self.cut)
        self.recover(committed=committed)
        finish()

    def recover(self, *, committed: bool) -> None:
        """`recover()` leaves the old tree or the new one, and does nothing the second time."""
        found = self.world.coordinator(self.runner).recover()
        tree = self.world.tracked(*self.machines)
        if committed:
            assert found.plan_id is not None
            assert tree == self.new
            self.figures["finished by recover"] += 1
        else:
            assert found.plan_id is None
            assert tree in (self.old, self.new)
            if tree == self.old:
                self.figures["old"] += 1
        assert self.world.coordinator(self.runner).recover().plan_id is None
        assert self.world.tracked(*self.machines) == tree
        assert self.world.leftovers() == []
        self.kept_whole()

    def look_sync(self) -> None:
        """After the next sync: all done, once, provably undoable."""
        if self.scenario == "offline":
            other = self.run("m3")  # it takes over after its patience, and finds the same to do
            assert str(other.outcome) in ("applied", "already_done")
            assert self.world.tracked(*self.machines) == self.new
            manifest = (self.world.share / "baseline/manifest.json").read_bytes()
        report = self.run(self.runner)
        assert str(report.outcome) in ("applied", "already_done")
        if self.scenario == "offline" and not other.deferred:  # a merge half announced is for who made it
            assert (self.world.share / "baseline/manifest.json").read_bytes() == manifest
        assert self.world.tracked(*self.machines) == self.new
        assert self.world.leftovers() == []
        self.kept_whole()
        if (end := self.world.fingerprint(TRASH, OBJECTS)) in self.ended:
            return
        self.ended.add(end)
        coordinator = self.world.coordinator(self.runner)
        plan = self.plan_now()
        assert [each for each in plan.effects if each.side is not Side.CONFLICTS] == []
        assert not plan.deferred
        again = self.run(self.runner)
        assert again.already_done
        assert again.changes == report.changes
        if (
            self.scenario != "offline" or again.backup_created
        ):  # who found all done changed nothing, so backed up nothing
            assert again.backup_created
            assert again.backup_path is not None
            coordinator.verify(again.backup_path)
            coordinator.rollback(again.backup_path)
        for cut in sorted((self.world.share / "backups").glob("offline-*.json")):
            coordinator.rollback(cut)  # another finished what the killed run had begun: each has a part of the old
        assert self.world.tracked(*self.machines) == self.before
        if self.scenario != "offline":
            assert self.acts_now() == self.acts
        assert self.world.leftovers() == []

    def look_rollback(self) -> None:
        """After a killed rollback: it can be done again, and undone."""
        coordinator = self.world.coordinator(self.runner)
        coordinator.recover()
        assert self.world.leftovers() == []
        if self.world.tracked(*self.machines) != self.new:
            assert self.world.tracked(*self.machines) == self.old
            coordinator.rollback(self.backup)
        assert self.world.tracked(*self.machines) == self.new == self.before
        self.kept_whole()
        if (end := self.world.fingerprint(TRASH, OBJECTS)) in self.ended:
            return
        self.ended.add(end)
        assert self.acts_now() == self.acts
        restores = sorted((self.world.share / "backups").glob("restore-*.json"))
        whole = [each for each in restores if coordinator.verify(each) > 0]
        coordinator.rollback(whole[0])
        assert self.world.tracked(*self.machines) == self.old
        assert self.world.leftovers() == []

    def kept_whole(self) -> None:
        """No content there was before is lost: it is current, in a store, in the trash or in a backup."""
        lost = (hashes(self.old) | hashes(self.before)) - self.world.contents()
        assert lost == set()


def main() -> None:
    """Print the figures of one scenario."""
    place, scenario = sys.argv[1:]
    sys.stdout.write(json.dumps(Campaign(Path(place), scenario).all()) + "\n")


if __name__ == "__main__":
    main()
