"""Machines around a synced folder in which everything happens in any order: no edit is lost, and all agree at last."""

import contextlib
import hashlib
import os
import shutil
import sys
import tempfile
from datetime import timedelta
from pathlib import Path

from hypothesis import HealthCheck, note, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule
from sync_world import Killed, failing_at

from heartbeat_kit import MemoryStorage
from heartbeat_kit.errors import BaselineUnavailableError, SyncError
from heartbeat_kit.storage import StorageTraits
from heartbeat_kit.sync import Guards
from heartbeat_kit.testing import FakeClock

from .cloud_folder import MARK, Backups, CloudFolder, Memory, files
from .cloud_people import Person, beat_all, edited

OVERWRITTEN = ("mine.ini", "theirs.ini")
PATHS = ("a.conf", "d/c.conf", "keep/e.ini", "j.json", "lines.txt", *OVERWRITTEN)
SYNCED_FOLDER = StorageTraits(
    durable=True, cross_process=True, cross_host=True, coherent=False, propagation_delay=timedelta(seconds=5)
)
ROUNDS = 12

machine = st.integers(0, 2)
path = st.sampled_from(PATHS)
which = st.integers(0, 1 << 16)
crash_at = st.one_of(st.none(), st.none(), st.integers(1, 90))


class SyncedFolder(RuleBasedStateMachine):
    def __init__(self):
        super().__init__()
        self.root = Path(tempfile.mkdtemp(prefix="heartbeat-kit-cloud-"))
        self.people = []
        self.running = contextlib.ExitStack()

    @initialize(machines=st.sampled_from([3, 3, 2]), first=st.lists(path, unique=True, max_size=4))
    def begin(self, machines, first):
        self.clock, self.storage = FakeClock(), MemoryStorage(traits=SYNCED_FOLDER)
        names = [f"m{number}" for number in range(1, machines + 1)]
        self.cloud = CloudFolder(self.root, names)
        self.running.enter_context(self.cloud.running())
        self.memory, self.backups = Memory(), Backups()
        self.deleted, self.number = set(), 0
        self.people = [Person(self, name) for name in names]
        for each in first:
            self.save(self.people[0], each)
        self.people[0].sync.adopt_baseline()
        self.people[0].again()
        self.cloud.settle()
        for each in self.people[1:]:
            (each.share / "baseline" / "files").mkdir(exist_ok=True)
            each.again()
            self.cloud.settle()

    def teardown(self):
        try:
            if self.people and sys.exc_info()[0] is None:  # else it failed already
                self.come_to_rest()
        finally:
            if self.people:
                self.cloud.heal()
            self.running.close()
            shutil.rmtree(self.root)

    # What people do

    @rule(who=machine, path=path, line=which)
    def edit(self, who, path, line):
        self.save(self.one(who), path, line)

    @rule(who=machine, path=path)
    def delete(self, who, path):
        one = self.one(who)
        if one.has(path) is not None:
            self.memory.replaced(one.has(path), None)
            self.deleted.add(path)
            (one.folder / path).unlink()

    @rule(who=machine, whom=machine, path=path)
    def save_the_same(self, who, whom, path):
        """The same content as another person has."""
        one, data = self.one(who), self.one(whom).has(path)
        if data is not None:
            self.write(one, path, data)

    @rule(path=path, line=which, apart=st.integers(0, 5))
    def all_edit(self, path, line, apart):
        for number, one in enumerate(self.people):
            self.save(one, path, line + number * apart)

    # What the medium does

    @rule(who=machine, nth=which)
    def transfer_one(self, who, nth):
        name = self.one(who).name
        if moving := self.cloud.paths(name):
            self.cloud.transfer(name, moving[nth % len(moving)])

    @rule(who=machine, backwards=st.booleans())
    def transfer_all_of_one(self, who, backwards):
        name = self.one(who).name
        for path in sorted(self.cloud.paths(name), reverse=backwards):
            self.cloud.transfer(name, path)

    @rule(
        who=machine,
        nth=which,
        how=st.sampled_from(["empty", "vanish", "hold"]),
        where=st.sampled_from(["", "baseline/files/"]),
        meanwhile=st.booleans(),
    )
    def trouble(self, who, nth, how, where, meanwhile):
        one = self.one(who)
        if there := sorted(path for path, data in files(one.share).items() if data and path.startswith(where)):
            getattr(self.cloud, how)(one.name, there[nth % len(there)])
        if meanwhile and not one.is_away:
            self.do(one, one.again, None)

    @rule()
    def heal(self):
        self.cloud.heal()

    # What the machines do

    @rule(who=machine, at=crash_at)
    def whole_round(self, who, at):
        """What a quiet day does: all arrives, the machine syncs, all goes out."""
        one = self.one(who)
        self.heal()
        self.transfer_all_of_one(who, backwards=False)
        if not one.is_away:
            one.beat()
            self.do(one, one.again, at)
        self.transfer_all_of_one(who, backwards=False)

    @rule(who=machine, how=st.sampled_from(["again", "life", "careful"]), calm=st.booleans(), at=crash_at)
    def online(self, who, how, calm, at):
        one = self.one(who)
        if calm:
            self.cloud.heal()
        if one.is_away:
            return
        if how == "life":
            one.start()
        one.beat()
        self.do(
            one,
            {
                "again": one.again,
                "life": lambda: one.sync.sync_on_online(one.name),
                "careful": lambda: one.sync.apply(one.sync.plan(sync_from_baseline=False)),
            }[how],
            at,
        )

    @rule(who=machine, at=crash_at)
    def publish(self, who, at):
        one = self.one(who)
        if not one.is_away:
            self.do(one, one.sync.publish, at)

    @rule(who=machine, orderly=st.booleans(), seen=st.booleans())
    def go_away(self, who, orderly, seen):
        gone = self.one(who)
        others = [each for each in self.people if each is not gone and not each.is_away]
        if gone.is_away or not others:
            return
        if orderly:
            self.do(gone, gone.sync.publish, None)
            self.transfer_all_of_one(who, backwards=False)
        beat_all(self.clock, [gone, *others], 3)
        gone.is_away = True
        beat_all(self.clock, others, 20)
        if seen:
            for number, each in enumerate(self.people):
                if each in others:
                    self.transfer_all_of_one(number, backwards=False)
                    self.do(each, lambda each=each: each.sync.sync_on_offline(gone.name), None)

    @precondition(lambda self: any(each.is_away for each in self.people))
    @rule(who=machine, whom=machine, at=crash_at)
    def offline(self, who, whom, at):
        one, away = self.one(who), [each for each in self.people if each.is_away]
        if one.is_away:
            return
        one.beat()
        gone = away[whom % len(away)]
        self.do(one, lambda: one.sync.sync_on_offline(gone.name), at)

    @precondition(lambda self: any(each.is_away for each in self.people))
    @rule()
    def come_back(self):
        for each in self.people:
            if each.is_away:
                each.is_away = False
                each.start()

    @rule(who=machine, at=crash_at)
    def recover(self, who, at):
        one = self.one(who)
        self.do(one, one.sync.recover, at)

    @rule(who=machine, nth=which, answer=st.sampled_from(["sync_to_baseline", "keep_target", "reject"]), at=crash_at)
    def decide(self, who, nth, answer, at):
        one = self.one(who)
        self.transfer_all_of_one(who, backwards=False)
        try:
            waiting = one.sync.decisions()
        except BaselineUnavailableError:  # a glitch shows a share that looks like another
            return
        if waiting:
            decision = waiting[nth % len(waiting)]
            if answer == "reject":
                self.do(one, lambda: one.sync.reject(decision.id), at)
            else:
                self.overrule(decision, answer)
                self.do(one, lambda: one.sync.approve(decision.id, action=answer), at)

    @rule(who=machine, force=st.booleans(), at=crash_at)
    def roll_back(self, who, force, at):
        one = self.one(who)
        if force:
            self.cloud.heal()  # nobody forces away what a glitch shows him
        folder = one.share / "backups"
        made = (
            sorted(folder.glob(f"*-{one.name}-*.json"), key=lambda each: each.stat().st_mtime_ns)
            if folder.is_dir()
            else []
        )
        if made:
            self.do(one, lambda: one.sync.rollback(made[-1], force=force), at, is_rollback=True)

    @rule(who=machine, last=st.integers(1, 3))
    def prune(self, who, last):
        self.forget_backups(self.one(who), last)

    # What must hold

    @invariant()
    def nothing_is_lost(self):
        if not self.people:
            return
        kept = self.cloud.contents()
        for each in self.people:
            kept.update(files(each.folder, ours=False).values())
            kept |= self.backups.contents(each.share / "backups")
            if each.journal() is not None:  # its run is finished from these
                kept.update(files(each.journal().parent / "objects").values())
        lost = self.memory.lost(kept)
        assert not lost, f"lost: {lost}"

    def come_to_rest(self):
        """Everything arrives, everybody syncs until nothing happens: then all agree, but for what a person decides."""
        self.cloud.heal()
        for each in self.people:
            each.is_away = False
            each.start()
        self.until_quiet()
        self.cloud.settle()
        self.people[0].sync.adopt_baseline()  # a person takes the files as the medium left them
        self.until_quiet()
        self.agree({"decision", "settled"})
        for one in self.people:
            self.save(one, "a.conf")
            self.watched(one, one.again)
            self.forget_backups(one, 1)
            self.cloud.settle()
            self.nothing_is_lost()
        for _ in range(ROUNDS):
            if sum(self.answer_all(one) for one in self.people) == 0:
                break
            self.until_quiet()
        self.agree({"settled"})
        self.nothing_is_lost()
        for one in self.people:
            assert one.journal() is None
            for backup in (one.share / "backups").glob("*.json"):
                if MARK not in backup.name:
                    one.sync.verify(backup)

    def answer_all(self, one):
        """The person takes the baseline's version of everything; returns how many questions there were."""
        mine = [each for each in one.sync.decisions() if each.machine_id == one.name]
        for decision in mine:
            self.overrule(decision, "keep_target")
            one.sync.approve(decision.id, action="keep_target")
            self.cloud.settle()
        return len(mine)

    def until_quiet(self):
        for _ in range(ROUNDS):
            busy = False
            for one in self.people:
                self.cloud.settle()
                self.watched(one, one.sync.recover)
                plan = one.sync.plan(guards=Guards.off())
                if not plan.is_empty:
                    busy = True
                    note(f"{one.name}: {plan.text()}")
                    self.watched(one, lambda one=one, plan=plan: one.sync.apply(plan))
                self.nothing_is_lost()
            if not busy:
                self.cloud.settle()
                return
        raise AssertionError("they never come to rest")

    def agree(self, allowed):
        for one in self.people:
            plan = one.sync.plan(guards=Guards.off())
            assert {each.act for each in plan.actions if MARK not in each.path} <= allowed, plan.text()
            spared = {each.path for each in plan.actions}
            mine = {p: data for p, data in files(one.folder, ours=False).items() if p not in spared}
            theirs = {p: data for p, data in one.baseline().items() if p not in spared and MARK not in p}
            assert mine == theirs, one.name

    # How it is done

    def one(self, who):
        return self.people[who % len(self.people)]

    def save(self, one, path, line=0):
        self.number += 1
        self.write(one, path, edited(path, one.has(path), self.number, line))

    def write(self, one, path, data):
        self.memory.saved(data)
        self.memory.replaced(one.has(path), data)
        (one.folder / path).parent.mkdir(parents=True, exist_ok=True)
        (one.folder / path).write_bytes(data)

    def overrule(self, decision, answer):
        """The person knows both contents, and chooses one of them."""
        known = {hashlib.sha256(data).hexdigest(): data for data in self.memory.contents()}
        contents = [known.get(decision.machine), known.get(decision.baseline)]
        winner, loser = contents if answer == "sync_to_baseline" else reversed(contents)
        self.memory.replaced(loser, winner)
        if winner is None:
            self.deleted.add(decision.path)

    def do(self, one, action, at, *, is_rollback=False):
        """Let a machine do something, perhaps killed at one of its writes; a refusal is as good as success."""
        self.clock.advance(1)
        try:
            if at is None:
                self.watched(one, action, is_rollback=is_rollback)
            else:
                with failing_at(at, Killed()):
                    self.watched(one, action, is_rollback=is_rollback)
        except Killed:
            note(f"{one.name} was killed")
            one.start()
        except SyncError as error:
            note(f"{one.name}: {error.code}: {error}")

    def forget_backups(self, one, last):
        backups = one.share / "backups"
        before = self.backups.contents(backups)
        self.do(one, lambda: one.sync.prune(keep_last=last, keep_within=timedelta(0)), None)
        # What a policy overruled was in the backups alone; everything else must be kept elsewhere as well.
        pruned = before - self.backups.contents(backups)
        self.memory.given_up(data for data in pruned if data.startswith(tuple(each.encode() for each in OVERWRITTEN)))

    def watched(self, one, action, *, is_rollback=False):
        before = (files(one.folder, ours=False), one.baseline())
        one.is_rolling_back |= is_rollback
        try:
            result = action()
            note(f"{one.name}: {result!r:.200}")
        finally:
            after = (files(one.folder, ours=False), one.baseline())
            for old, new in zip(before, after, strict=True):
                for path in old.keys() | new.keys():
                    was, now = old.get(path), new.get(path)
                    if was == now:
                        continue
                    if one.is_rolling_back:
                        self.memory.replaced(was, now)
                        if now is None:
                            self.deleted.add(path)
                    elif now is None:
                        assert path in self.deleted, f"{path} was deleted on {one.name}, and nobody deleted it"
                    elif now not in self.memory.contents():  # merged
                        for side in before:
                            self.memory.replaced(side.get(path), now)
            one.is_rolling_back &= one.journal() is not None


SyncedFolder.TestCase.settings = settings(
    max_examples=int(os.environ.get("SYNC_CLOUD_EXAMPLES", "40")),
    stateful_step_count=int(os.environ.get("SYNC_CLOUD_STEPS", "30")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
TestSyncedFolder = SyncedFolder.TestCase
