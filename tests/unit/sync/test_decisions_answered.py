"""Decisions: asked once, answered by a person, carried out here or by whom it concerns, taken back, asked again."""

import json
import os
from os.path import commonpath

import pytest
from sync_world import World, fingerprint, pair, put, tracked

from heartbeat_kit import to_wire
from heartbeat_kit.errors import DecisionRefusedError, HeartbeatKitError, UnknownDecisionError
from heartbeat_kit.sync import Act, DecisionAction, DecisionKind, DecisionState

STATES = DecisionState


@pytest.fixture(autouse=True)
def _in_memory(monkeypatch):
    """Nothing waits for the platter: what survives a power cut is for the simulated disk to say."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def world(tmp_path):
    return World(tmp_path)


def in_conflict(world, path="a.conf"):
    """A machine and the one decision about a file both sides changed."""
    machine = world.begin(files={path: "one\n", "e": "e\n"})
    machine.write(path, "machine\n")
    world.edit(path, "baseline\n", machine)
    report = machine.again()
    assert report.changes.decisions_created == 1
    (decision,) = report.decisions
    return machine, decision


def away_in_conflict(world):
    """The same of a machine that is away, met by another."""
    first, second = pair(world, {"a.conf": "one\n", "e": "e\n"})
    first.write("a.conf", "machine\n")
    first.sync.publish()
    world.edit("a.conf", "baseline\n", second)
    world.goes(first, second)
    (decision,) = second.sync.sync_on_offline("m1").decisions
    return first, second, decision


def state_of(coordinator, decision):
    (found,) = [each for each in coordinator.decisions(all_states=True) if each.id == decision.id]
    return found.state


def test_every_report_says_what_still_waits_for_a_person(world):
    machine, decision = in_conflict(world)
    for report in (machine.sync.sync_on_online("m1"), machine.again(), machine.sync.sync_on_online("m1", dry_run=True)):
        assert report.waiting == (decision.id,)
        assert report.message.endswith("; 1 decision for a person to make")
        assert to_wire(report)["waiting"] == [decision.id]
    machine.sync.reject(decision.id)
    assert machine.again().waiting == ()


def test_a_conflict_changes_neither_side_and_asks_once(world):
    machine, decision = in_conflict(world)
    assert machine.read("a.conf") == "machine\n"
    assert world.baseline()["a.conf"] == b"baseline\n"
    assert decision.kind is DecisionKind.EDIT_EDIT
    assert decision.state is STATES.PENDING
    assert decision.machine_id == "m1"
    assert machine.sync.decisions() == (decision,)
    again = machine.again()
    assert again.changes.decisions_created == 0
    assert machine.sync.decisions() == (decision,)


def test_its_contents_are_pinned_until_it_is_closed(world):
    _machine, decision = in_conflict(world)
    pinned = {path.name: path.read_text() for path in (world.share / "objects").iterdir()}
    assert pinned[decision.machine] == "machine\n"
    assert pinned[decision.baseline] == "baseline\n"


@pytest.mark.parametrize(("action", "wins"), [("sync_to_baseline", "machine\n"), ("keep_target", "baseline\n")])
def test_approving_really_applies(world, action, wins):
    machine, decision = in_conflict(world)
    done = machine.sync.approve(decision.id, action=action)
    assert done.state is STATES.APPLIED
    assert done.action == action
    assert machine.read("a.conf") == wins
    assert world.baseline()["a.conf"] == wins.encode()
    assert machine.sync.decisions() == ()
    assert machine.sync.decisions(all_states=True) == (done,)
    assert machine.again().changes.files_synced == 0


def test_only_the_path_of_the_decision_is_synced_by_an_approval(world):
    machine, decision = in_conflict(world)
    machine.write("e", "edited\n")
    machine.sync.approve(decision.id, action=DecisionAction.KEEP_TARGET)
    assert world.baseline()["e"] == b"e\n"
    assert machine.again().changes.files_synced == 1


def test_an_approval_is_backed_up_and_can_be_rolled_back_which_asks_again(world):
    machine, decision = in_conflict(world)
    known = set(world.backups())
    machine.sync.approve(decision.id, action="sync_to_baseline")
    (backup,) = set(world.backups()) - known
    machine.sync.rollback(backup)
    assert world.baseline()["a.conf"] == b"baseline\n"
    assert machine.read("a.conf") == "machine\n"
    assert state_of(machine.sync, decision) is STATES.ROLLED_BACK
    report = machine.again()
    assert report.changes.decisions_created == 1
    (again,) = machine.sync.decisions()
    assert (again.id, again.state) == (decision.id, STATES.PENDING)
    assert machine.sync.approve(again.id, action="keep_target").state is STATES.APPLIED
    assert machine.read("a.conf") == "baseline\n"


def test_without_a_proposal_an_action_is_needed(world):
    machine, decision = in_conflict(world)
    before = tracked(world, machine)
    for action in (None, DecisionAction.MANUAL_REVIEW, "manual_review"):
        with pytest.raises(DecisionRefusedError) as caught:
            machine.sync.approve(decision.id, action=action)
        assert caught.value.code == "DECISION_REFUSED"
    assert machine.sync.decisions() == (decision,)
    assert tracked(world, machine) == before


def test_an_action_there_is_not_is_refused_by_type(world):
    machine, decision = in_conflict(world)
    with pytest.raises(HeartbeatKitError):
        machine.sync.approve(decision.id, action="bogus")
    assert machine.sync.decisions() == (decision,)


def test_a_rejection_leaves_both_sides_until_one_changes(world):
    machine, decision = in_conflict(world)
    before = tracked(world, machine)
    assert machine.sync.reject(decision.id).state is STATES.REJECTED
    report = machine.again()
    assert report.changes.decisions_created == report.changes.files_synced == 0
    assert machine.sync.decisions() == ()
    assert tracked(world, machine) == before
    assert [each.act for each in machine.sync.plan().actions] == [Act.SETTLED]
    machine.write("a.conf", "machine again\n")
    report = machine.again()
    assert report.changes.decisions_created == 1
    assert machine.sync.decisions()[0].id != decision.id


def test_a_closed_decision_cannot_be_answered(world):
    machine, decision = in_conflict(world)
    machine.sync.reject(decision.id)
    for call in (machine.sync.reject, lambda key: machine.sync.approve(key, action="keep_target")):
        with pytest.raises(DecisionRefusedError):
            call(decision.id)


def test_the_beginning_of_an_id_is_enough_if_it_is_the_only_one(world):
    machine, _decision = in_conflict(world)
    put(machine.folder / "e", "machine\n")
    world.edit("e", "baseline\n", machine)
    machine.again()
    first, second = machine.sync.decisions()
    with pytest.raises(UnknownDecisionError):
        machine.sync.approve("", action="keep_target")
    with pytest.raises(UnknownDecisionError):
        machine.sync.approve("not-hexadecimal")
    common = commonpath([first.id, second.id])
    if common:
        with pytest.raises(UnknownDecisionError, match="2 decisions begin so"):
            machine.sync.reject(common)
    length = len(common) + 1
    assert machine.sync.reject(first.id[:length]).id == first.id
    assert machine.sync.approve(second.id[:length], action="keep_target").id == second.id


def test_a_decision_overtaken_by_events_is_superseded(world):
    machine, decision = in_conflict(world)
    machine.write("a.conf", "baseline\n")
    report = machine.again()
    assert report.changes.decisions_created == 0
    assert state_of(machine.sync, decision) is STATES.SUPERSEDED
    assert machine.sync.decisions() == ()
    with pytest.raises(DecisionRefusedError):
        machine.sync.approve(decision.id, action="keep_target")


def test_an_answer_to_what_has_changed_since_is_not_carried_out(world):
    """Approved, while the file became another: the answer was to another question."""
    machine, decision = in_conflict(world)
    machine.write("a.conf", "something else\n")
    found = machine.sync.approve(decision.id, action="keep_target")
    assert found.state in (STATES.APPROVED, STATES.SUPERSEDED)
    assert machine.read("a.conf") == "something else\n"
    assert world.baseline()["a.conf"] == b"baseline\n"
    machine.again()
    assert state_of(machine.sync, decision) is STATES.SUPERSEDED
    (new,) = machine.sync.decisions()
    assert new.id != decision.id


def test_an_evidence_that_comes_back_asks_again_under_the_same_id(world):
    machine, decision = in_conflict(world)
    machine.write("a.conf", "something else\n")
    machine.again()
    machine.write("a.conf", "machine\n")
    report = machine.again()
    assert report.changes.decisions_created == 1
    assert [each.id for each in machine.sync.decisions()] == [decision.id]


class TestOfAnotherMachine:
    def test_of_a_machine_that_is_away_what_can_be_done_is_done(self, world):
        first, second, decision = away_in_conflict(world)
        done = second.sync.approve(decision.id, action="sync_to_baseline")
        assert done.state is STATES.APPLIED
        assert world.baseline()["a.conf"] == b"machine\n"
        assert first.read("a.conf") == "machine\n"
        world.returns(first, second)
        assert first.sync.sync_on_online("m1").changes.files_synced == 0

    def test_what_only_the_machine_can_do_waits_for_it(self, world):
        first, second, decision = away_in_conflict(world)
        before = fingerprint(first.folder)
        waits = second.sync.approve(decision.id, action="keep_target")
        assert waits.state is STATES.APPROVED
        assert fingerprint(first.folder) == before
        assert world.baseline()["a.conf"] == b"baseline\n"
        world.returns(first, second)
        report = first.sync.sync_on_online("m1")
        assert report.changes.files_synced == 1
        assert report.changes.conflicts_resolved == 1
        assert first.read("a.conf") == "baseline\n"
        assert state_of(second.sync, decision) is STATES.APPLIED

    def test_of_a_machine_that_is_there_it_waits_for_its_next_sync(self, world):
        first, second = pair(world, {"a.conf": "one\n"})
        first.write("a.conf", "machine\n")
        world.edit("a.conf", "baseline\n", first)
        (decision,) = first.again().decisions
        second.beat()
        assert second.sync.approve(decision.id, action="sync_to_baseline").state is STATES.APPROVED
        assert world.baseline()["a.conf"] == b"baseline\n"
        first.again()
        assert world.baseline()["a.conf"] == b"machine\n"
        assert state_of(second.sync, decision) is STATES.APPLIED

    def test_a_deletion_of_a_machine_that_is_away_is_asked_and_proposed(self, world):
        first, second = pair(world, {"a.conf": "one\n", "e": "e\n"})
        (first.folder / "a.conf").unlink()
        first.sync.publish()
        world.goes(first, second)
        (decision,) = second.sync.sync_on_offline("m1").decisions
        assert decision.kind is DecisionKind.DELETE
        assert decision.action is DecisionAction.SYNC_TO_BASELINE
        assert world.baseline()["a.conf"] == b"one\n"
        assert second.sync.approve(decision.id).state is STATES.APPLIED
        assert "a.conf" not in world.baseline()
        world.returns(first, second)
        first.sync.sync_on_online("m1")
        assert not (first.folder / "a.conf").exists()

    def test_a_rejection_elsewhere_holds_for_the_machine(self, world):
        first, second, decision = away_in_conflict(world)
        second.sync.reject(decision.id)
        world.returns(first, second)
        report = first.sync.sync_on_online("m1")
        assert report.changes.decisions_created == report.changes.files_synced == 0
        assert first.read("a.conf") == "machine\n"

    def test_two_observers_that_meet_one_conflict_write_one_record(self, world):
        _first, _second, decision = away_in_conflict(world)
        third = world.machine("m3")
        third.beat()
        data = (world.share / "decisions" / f"{decision.id}.json").read_bytes()
        (world.share / "decisions" / f"{decision.id}.json").unlink()
        for receipt in world.share.glob("transitions/*/*.json"):
            receipt.unlink()
        assert [each.id for each in third.sync.sync_on_offline("m1").decisions] == [decision.id]
        assert (world.share / "decisions" / f"{decision.id}.json").read_bytes() == data


class TestCollisions:
    def test_names_that_are_one_name_elsewhere_ask_once_and_no_approval_writes_them(self, world):
        machine = world.begin(files={"a.conf": "one\n", "e": "e\n"})
        machine.write("A.conf", "other\n")
        report = machine.again()
        assert set(report.deferred) == {"A.conf", "a.conf"}
        (decision,) = machine.sync.decisions()
        assert decision.kind is DecisionKind.COLLISION
        before = tracked(world, machine)
        for action in (None, "sync_to_baseline", "keep_target"):
            with pytest.raises(DecisionRefusedError):
                machine.sync.approve(decision.id, action=action)
        assert machine.sync.decisions() == (decision,)  # nothing was done, so nothing may be said to be
        assert tracked(world, machine) == before
        assert machine.again().changes.decisions_created == 0
        assert machine.sync.reject(decision.id).state is STATES.REJECTED

    def test_a_collision_that_is_gone_is_superseded(self, world):
        machine = world.begin(files={"a.conf": "one\n"})
        machine.write("A.conf", "other\n")
        machine.again()
        (decision,) = machine.sync.decisions()
        (machine.folder / "A.conf").rename(machine.folder / "b.conf")
        report = machine.again()
        assert report.changes.files_synced == 1
        assert state_of(machine.sync, decision) is STATES.SUPERSEDED


def test_the_shape_on_the_wire_and_on_the_disk(world):
    _machine, decision = in_conflict(world)
    wire = to_wire(decision)
    assert wire == {
        "id": decision.id,
        "machineId": "m1",
        "path": "a.conf",
        "kind": "edit_edit",
        "base": decision.base,
        "machine": decision.machine,
        "baseline": decision.baseline,
        "state": "pending",
        "action": "manual_review",
        "reason": decision.reason,
    }
    stored = json.loads((world.share / "decisions" / f"{decision.id}.json").read_bytes())
    assert stored == {**wire, "schema": 1}
