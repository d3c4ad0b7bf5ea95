"""The planner, row by row: every row with every policy in every mode against a table written from the specification."""

from itertools import product

import attrs
import pytest
from planner_values import ENTRIES, PATH, counts, effects, outcome, plan, plan_of, tree

from heartbeat_kit.sync._decision import DecisionAction, DecisionKind, DecisionState, decision_id
from heartbeat_kit.sync._model import File, Snapshot, SyncMode
from heartbeat_kit.sync._plan import Act
from heartbeat_kit.sync._policy import Choice, ConflictPolicy

ONLINE = {"mode": SyncMode.ONLINE}
ONE_WAY = {"mode": SyncMode.ONLINE, "sync_from_baseline": False}
OFFLINE = {"mode": SyncMode.OFFLINE}
OFFLINE_ONE_WAY = {"mode": SyncMode.OFFLINE, "sync_from_baseline": False}

ROWS = """
0 0 0 | nothing                                         | nothing                                         | nothing
x x x | nothing                                         | nothing                                         | nothing
0 x x | 3 converged: no effect, 0/0/0, base x           | 3 converged: no effect, 0/0/0, base x           | 3 converged: no effect, 0/0/0, base x
x 0 0 | 4 converged: no effect, 0/0/0, base 0           | 4 converged: no effect, 0/0/0, base 0           | 4 converged: no effect, 0/0/0, base 0
x y y | 5 converged: no effect, 0/0/0, base y           | 5 converged: no effect, 0/0/0, base y           | 5 converged: no effect, 0/0/0, base y
0 x 0 | 6 to_baseline: B:0>x, 1/0/0, base x             | 6 to_baseline: B:0>x, 1/0/0, base x             | 6 to_baseline: B:0>x, 1/0/0, base x
0 0 x | 7 to_machine: M:0>x, 1/0/0, base x              | 7 pending: no effect, 0/0/0, base -             | 7 pending: no effect, 0/0/0, base -
x 0 x | 8 delete_in_baseline: B:x>0, 1/0/0, base 0      | 8 delete_in_baseline: B:x>0, 1/0/0, base 0      | 8 decision: no effect, 0/0/1, base -
x x 0 | 9 delete_on_machine: M:x>0, 1/0/0, base 0       | 9 pending: no effect, 0/0/0, base -             | 9 pending: no effect, 0/0/0, base -
x y x | 10 to_baseline: B:x>y, 1/0/0, base y            | 10 to_baseline: B:x>y, 1/0/0, base y            | 10 to_baseline: B:x>y, 1/0/0, base y
x x y | 11 to_machine: M:x>y, 1/0/0, base y             | 11 pending: no effect, 0/0/0, base -            | 11 pending: no effect, 0/0/0, base -
x y 0 | 13 to_baseline: B:0>y, 1/1/0, base y            | 13 to_baseline: B:0>y, 1/1/0, base y            | 13 to_baseline: B:0>y, 1/1/0, base y
x 0 y | 14 to_machine: M:0>y, 1/1/0, base y             | 14 pending: no effect, 0/0/0, base -            | 14 pending: no effect, 0/0/0, base -
"""  # noqa: E501 - a table
"""What was agreed on, the machine, the baseline | online | online with nothing from the baseline | offline."""

CONFLICTS = """
0 x y | decision  | 12 decision: no effect, 0/0/1, base -           | 12 decision: no effect, 0/0/1, base -   | 12 decision: no effect, 0/0/1, base -
0 x y | newest    | 12 decision: no effect, 0/0/1, base -           | 12 decision: no effect, 0/0/1, base -   | 12 decision: no effect, 0/0/1, base -
0 x y | merge     | 12 decision: no effect, 0/0/1, base -           | 12 decision: no effect, 0/0/1, base -   | 12 decision: no effect, 0/0/1, base -
0 x y | machine   | 12 to_baseline: B:y>x, 1/1/0, base x            | 12 to_baseline: B:y>x, 1/1/0, base x    | 12 to_baseline: B:y>x, 1/1/0, base x
0 x y | baseline  | 12 to_machine: M:x>y, 1/1/0, base y             | 12 pending: no effect, 0/0/0, base -    | 12 pending: no effect, 0/0/0, base -
0 x y | keep_both | 12 keep_both: C:0>x M:x>y, 1/1/0, base y        | 12 pending: no effect, 0/0/0, base -    | 12 pending: C:0>x, 0/0/0, base -
x y z | decision  | 15 decision: no effect, 0/0/1, base -           | 15 decision: no effect, 0/0/1, base -   | 15 decision: no effect, 0/0/1, base -
x y z | newest    | 15 decision: no effect, 0/0/1, base -           | 15 decision: no effect, 0/0/1, base -   | 15 decision: no effect, 0/0/1, base -
x y z | merge     | 15 merge: B:z>w M:y>w, 1/1/0, base w            | 15 pending: no effect, 0/0/0, base -    | 15 merge: B:z>w, 0/1/0, base y
x y z | machine   | 15 to_baseline: B:z>y, 1/1/0, base y            | 15 to_baseline: B:z>y, 1/1/0, base y    | 15 to_baseline: B:z>y, 1/1/0, base y
x y z | baseline  | 15 to_machine: M:y>z, 1/1/0, base z             | 15 pending: no effect, 0/0/0, base -    | 15 pending: no effect, 0/0/0, base -
x y z | keep_both | 15 keep_both: C:0>y M:y>z, 1/1/0, base z        | 15 pending: no effect, 0/0/0, base -    | 15 pending: C:0>y, 0/0/0, base -
"""  # noqa: E501 - a table
"""What was agreed on, the machine, the baseline | policy | online | nothing from the baseline | offline."""


def cells(text):
    return [[cell.strip() for cell in line.split("|")] for line in text.strip().splitlines()]


def merge_to(letter):
    return lambda *_: ENTRIES.get(letter)


def check_cells(row, policy, expected):
    settings = {"policy": ConflictPolicy(policy), "merge": merge_to("w")}
    assert outcome(plan(row, **ONLINE, **settings)) == expected[0]
    assert outcome(plan(row, **ONE_WAY, **settings)) == expected[1]
    assert outcome(plan(row, **OFFLINE, **settings)) == expected[2]
    assert outcome(plan(row, **OFFLINE_ONE_WAY, **settings)) == expected[2]


@pytest.mark.parametrize("policy", Choice)
@pytest.mark.parametrize(("row", "online", "one_way", "offline"), cells(ROWS))
def test_a_row_without_conflict(row, online, one_way, offline, policy):
    """What it comes to is the same whatever the policy."""
    check_cells(row, policy, (online, one_way, offline))


@pytest.mark.parametrize(("row", "policy", "online", "one_way", "offline"), cells(CONFLICTS))
def test_a_conflict(row, policy, online, one_way, offline):
    check_cells(row, policy, (online, one_way, offline))


def test_the_tables_are_complete():
    """Every way in which three contents can be equal, different or absent is a row, and every policy has its line."""
    canonical = set()
    for entries in product("0xyz", repeat=3):
        names = {"0": "0"}
        for entry in entries:
            names.setdefault(entry, "xyz"[len(names) - 1])
        canonical.add(" ".join(names[entry] for entry in entries))
    rows = {line[0] for line in cells(ROWS)}
    assert rows | {"0 x y", "x y z"} == canonical
    assert len(canonical) == 15
    assert sorted((line[0], line[1]) for line in cells(CONFLICTS)) == sorted(product(["0 x y", "x y z"], Choice))


@pytest.mark.parametrize("odd", ["?", "@"])
@pytest.mark.parametrize("at", [0, 1, 2])
@pytest.mark.parametrize("others", list(product("0xyz", repeat=2)))
@pytest.mark.parametrize("mode", [ONLINE, ONE_WAY, OFFLINE])
def test_anything_unknown_or_unsupported_defers_the_path(odd, at, others, mode):
    entries = [*others]
    entries.insert(at, odd)
    for policy in Choice:
        found = plan(" ".join(entries), policy=ConflictPolicy(policy), merge=merge_to("w"), **mode)
        assert outcome(found) == "0 defer: no effect, 0/0/0, base -"
        assert found.is_empty
        assert ENTRIES[odd].why in found.deferred[PATH]


@pytest.mark.parametrize("odd", ["?", "@"])
def test_three_times_the_same_unknown_is_no_agreement(odd):
    assert outcome(plan(f"{odd} {odd} {odd}")) == "0 defer: no effect, 0/0/0, base -"
    assert outcome(plan(f"x {odd} {odd}")) == "0 defer: no effect, 0/0/0, base -"


@pytest.mark.parametrize(
    ("row", "expected"),
    [
        ("x e x", "0 defer: no effect, 0/0/0, base -"),
        ("x x e", "0 defer: no effect, 0/0/0, base -"),
        ("x e 0", "0 defer: no effect, 0/0/0, base -"),
        ("x e y", "0 defer: no effect, 0/0/0, base -"),
        ("0 e 0", "6 to_baseline: B:0>e, 1/0/0, base e"),
        ("0 0 e", "7 to_machine: M:0>e, 1/0/0, base e"),
        ("e 0 e", "8 delete_in_baseline: B:e>0, 1/0/0, base 0"),
        ("e x e", "10 to_baseline: B:e>x, 1/0/0, base x"),
        ("x e e", "5 converged: no effect, 0/0/0, base e"),
        ("x ! x", "0 defer: no effect, 0/0/0, base -"),
        ("x x !", "0 defer: no effect, 0/0/0, base -"),
        ("0 ! 0", "0 defer: no effect, 0/0/0, base -"),
        ("! ! !", "nothing"),
        ("! ! x", "11 to_machine: M:!>x, 1/0/0, base x"),
        ("x ! !", "5 converged: no effect, 0/0/0, base !"),
    ],
)
def test_a_change_that_may_be_a_glitch_is_unknown(row, expected):
    """Empty over what was not, or failing its validator; but what both sides have is written nowhere."""
    assert outcome(plan(row)) == expected


def test_a_merge_needs_a_function_that_succeeds():
    merged = ConflictPolicy("merge")
    for merge in (None, merge_to("none"), merge_to("!"), merge_to("e")):
        found = plan("x y z", policy=merged, merge=merge)
        assert outcome(found) == "15 decision: no effect, 0/0/1, base -"
        assert "do not merge" in found.actions[0].why


def test_a_merge_that_equals_one_side_writes_the_other_only():
    merged = ConflictPolicy("merge")
    assert outcome(plan("x y z", policy=merged, merge=merge_to("z"))) == "15 merge: M:y>z, 1/1/0, base z"
    assert outcome(plan("x y z", policy=merged, merge=merge_to("y"))) == "15 merge: B:z>y, 1/1/0, base y"
    same = plan("x y z", policy=merged, merge=merge_to("y"), **OFFLINE)
    assert outcome(same) == "15 merge: B:z>y, 1/1/0, base y"  # the machine has it already: they do agree
    assert same.pending == ()
    assert outcome(plan("x y z", policy=merged, merge=merge_to("y"), **ONE_WAY)) == "15 merge: B:z>y, 1/1/0, base y"
    there = plan("x y z", policy=merged, merge=merge_to("z"), **OFFLINE)
    assert outcome(there) == "15 merge: no effect, 0/1/0, base y"
    assert not there.is_empty  # the archive has to learn of it


def test_what_a_merge_is_given():
    seen = []
    plan("x y z", policy=ConflictPolicy("merge"), merge=lambda *given: seen.append(given))
    assert seen == [(PATH, ENTRIES["x"], ENTRIES["y"], ENTRIES["z"])]


def test_an_offline_merge_is_a_plain_copy_when_the_machine_returns():
    """The base moved to what the machine published, so it is no conflict again."""
    away = plan("x y z", policy=ConflictPolicy("merge"), merge=merge_to("w"), **OFFLINE)
    assert away.pending == (PATH,)
    assert away.agreed == {PATH: ENTRIES["y"]}
    assert outcome(plan("y y w")) == "11 to_machine: M:y>w, 1/0/0, base w"


def test_the_policy_is_that_of_the_path():
    files = [{f"{name}.{kind}": letter for name in "ab" for kind in ("ini", "conf")} for letter in "xyz"]
    found = plan_of(*map(tree, files), policy=ConflictPolicy({"a.*": "machine", "*.ini": "baseline"}))
    assert {each.path: str(each.act) for each in found.actions} == {
        "a.conf": "to_baseline",
        "a.ini": "to_baseline",
        "b.conf": "decision",
        "b.ini": "to_machine",
    }


def test_the_permissions_of_what_is_copied_go_with_it():
    private = File(sha256="ab" * 32, size=3, mode=0o600)
    found = plan_of(Snapshot(), Snapshot(entries={"key": private}), Snapshot())
    assert found.effects[0].after.mode == 0o600


def test_what_is_beneath_a_closed_directory_is_unknown():
    found = plan_of(tree("x", "etc/app.conf"), Snapshot(closed={"etc": "permission denied"}), tree("x", "etc/app.conf"))
    assert found.deferred == {"etc": "the machine: permission denied", "etc/app.conf": "the machine: permission denied"}
    assert found.is_empty
    root = plan_of(tree("x"), Snapshot(closed={"": "no such folder"}), tree("y"))
    assert set(root.deferred) == {"", PATH}
    assert root.text().splitlines()[0].split() == ["defer", ".", "the", "machine:", "no", "such", "folder"]


def test_what_is_beneath_a_link_is_unknown_not_gone():
    """Somebody put a link in the place of a folder; what was in it must not be deleted in the baseline."""
    found = plan_of(tree("x", "etc/app.conf"), tree("@", "etc"), tree("x", "etc/app.conf"))
    assert set(found.deferred) == {"etc", "etc/app.conf"}
    assert found.is_empty


def test_beneath_a_link_nobody_deleted_anything():
    found = plan_of(tree("x", "etc/app.conf"), tree("@", "etc"), Snapshot())
    assert (set(found.deferred), found.agreed) == ({"etc", "etc/app.conf"}, {})


def test_rejected_names_are_reported_and_never_touched():
    for at in range(3):
        trees = [tree("x", "CON"), tree("y", "CON"), tree("x", "CON")]
        trees[at] = Snapshot(rejected={"CON": "a device on Windows"})
        found = plan_of(*trees)
        assert found.effects == ()
        assert "a device on Windows" in found.deferred["CON"]
    beneath = plan_of(tree("x", "aux/a"), Snapshot(rejected={"aux": "a device on Windows"}), tree("x", "aux/a"))
    assert set(beneath.deferred) == {"aux", "aux/a"}


def test_a_name_that_is_no_unicode_has_a_place_in_a_plan():
    found = plan_of(Snapshot(), Snapshot(rejected={"caf\udce9": "its name is not valid UTF-8"}), Snapshot())
    assert len(found.id) == 64
    assert r"caf\udce9" in found.text()
    assert found.text().encode()


class TestCollisions:
    def test_all_names_wait_and_one_record_asks(self):
        found = plan_of(tree({}), tree({"README": "x", "b": "x"}), tree({"Readme": "y", "b": "x"}))
        assert {each.path: str(each.act) for each in found.actions} == {
            "README": "defer",
            "Readme": "defer",
            "b": "converged",
        }
        (decision,) = found.decisions
        assert (decision.path, decision.kind) == ("README", DecisionKind.COLLISION)
        assert "README, Readme" in decision.reason
        assert decision.pinned == ()
        assert decision.action is DecisionAction.MANUAL_REVIEW
        assert counts(found) == "0/0/1"
        assert decision.id == decision_id("web-1", "README", decision.base, decision.machine, decision.baseline)

    def test_a_record_is_made_once_and_again_when_it_was_closed(self):
        trees = (tree({}), tree({"a": "x"}), tree({"A": "y"}))
        (decision,) = plan_of(*trees).decisions
        for state in DecisionState:
            found = plan_of(*trees, decisions={decision.id: attrs.evolve(decision, state=state)})
            open_or_no = state in (DecisionState.PENDING, DecisionState.APPROVED, DecisionState.REJECTED)
            assert bool(found.decisions) is not open_or_no
            assert set(found.deferred) == {"a", "A"}
            assert all(each.state is DecisionState.PENDING for each in found.decisions)

    def test_another_content_is_another_record(self):
        ids = {plan_of(tree({}), tree({"a": m}), tree({"A": b})).decisions[0].id for m, b in ("xy", "xz", "yz", "yx")}
        assert len(ids) == 4

    def test_what_both_sides_have_needs_none(self):
        both = {"a": "x", "A": "y"}
        assert plan_of(tree(both), tree(both), tree(both)).is_empty
        first = plan_of(tree({}), tree(both), tree(both))
        assert (first.agreed, counts(first)) == ({"a": ENTRIES["x"], "A": ENTRIES["y"]}, "0/0/0")

    def test_a_member_that_did_not_change_waits_too(self):
        found = plan_of(tree({"a": "x", "A": "y"}), tree({"a": "z", "A": "y"}), tree({"a": "x", "A": "y"}))
        assert set(found.deferred) == {"a", "A"}
        assert counts(found) == "0/0/1"

    def test_an_unknown_member_still_collides_and_nobody_is_asked_yet(self):
        found = plan_of(tree({}), tree({"a": "x"}), tree({"A": "?"}))
        assert set(found.deferred) == {"a", "A"}
        assert counts(found) == "0/0/0"

    def test_nor_does_it_vanish_with_a_directory_that_cannot_be_entered(self):
        closed = Snapshot(closed={"etc": "permission denied"})
        found = plan_of(tree("x", "etc/app"), closed, tree({"etc/app": "x", "etc/App": "y"}))
        assert set(found.deferred) == {"etc", "etc/app", "etc/App"}
        apart = plan_of(tree("x", "etc/app"), closed, tree({"ETC/app": "y"}))
        assert set(apart.deferred) == {"etc", "etc/app", "ETC/app"}

    def test_a_file_where_the_other_side_has_a_folder(self):
        found = plan_of(tree({}), tree({"log": "x"}), tree({"log/today": "y"}))
        assert set(found.deferred) == {"log", "log/today"}
        assert counts(found) == "0/0/1"

    def test_a_large_group_names_the_first(self):
        names = {f"Docs/{n:03}": "x" for n in range(50)}
        (decision,) = plan_of(tree({}), tree(names), tree({"docs/a": "y"})).decisions
        assert decision.reason.endswith("Docs/019 and 31 more")


class TestExistingDecisions:
    CONFLICTS = ("0 x y", "x y z")

    @staticmethod
    def record(row, **changes):
        """The record of a row's evidence."""
        a, m, b = (getattr(ENTRIES[letter], "sha256", None) for letter in row.split())
        made = plan("x y z").decisions[0]
        key = decision_id("web-1", PATH, a, m, b)
        return attrs.evolve(made, id=key, base=a, machine=m, baseline=b, **changes)

    def with_record(self, row, settings=ONLINE, **changes):
        record = self.record(row, **changes)
        return plan(row, decisions={record.id: record}, **settings), record

    @pytest.mark.parametrize("row", ["0 x y", "x y z", "x 0 x", "x y x"])
    @pytest.mark.parametrize("settings", [ONLINE, ONE_WAY, OFFLINE])
    def test_a_pending_one_is_waited_for(self, row, settings):
        found, record = self.with_record(row, settings)
        assert found.actions[0].act is Act.DECISION
        assert found.actions[0].decision == record
        assert (effects(found), counts(found), found.agreed) == ("", "0/0/0", {})
        assert found.is_empty

    @pytest.mark.parametrize("policy", Choice)
    def test_nor_does_a_policy_answer_for_the_person(self, policy):
        found, _ = self.with_record("x y z", ONLINE | {"policy": ConflictPolicy(policy), "merge": merge_to("w")})
        assert found.actions[0].act is Act.DECISION

    @pytest.mark.parametrize(
        ("row", "expected"),
        [
            ("0 x y", "12 to_baseline: B:y>x, 1/1/0, base x"),
            ("x y z", "15 to_baseline: B:z>y, 1/1/0, base y"),
            ("x 0 x", "8 delete_in_baseline: B:x>0, 1/0/0, base 0"),
            ("x 0 y", "14 delete_in_baseline: B:y>0, 1/1/0, base 0"),
        ],
    )
    def test_approved_for_the_baseline(self, row, expected):
        """Also while the machine is away: what a person approved may even delete."""
        for settings in (ONLINE, ONE_WAY, OFFLINE):
            found, record = self.with_record(
                row, settings, state=DecisionState.APPROVED, action=DecisionAction.SYNC_TO_BASELINE
            )
            assert outcome(found) == expected
            assert found.actions[0].decision == record
            assert found.actions[0].resolved
            assert not found.actions[0].is_new

    @pytest.mark.parametrize(
        ("row", "expected", "waiting"),
        [
            ("0 x y", "12 to_machine: M:x>y, 1/1/0, base y", "12 pending: no effect, 0/0/0, base -"),
            ("x y z", "15 to_machine: M:y>z, 1/1/0, base z", "15 pending: no effect, 0/0/0, base -"),
            ("x 0 x", "8 to_machine: M:0>x, 1/0/0, base x", "8 pending: no effect, 0/0/0, base -"),
            ("x y 0", "13 delete_on_machine: M:y>0, 1/1/0, base 0", "13 pending: no effect, 0/0/0, base -"),
        ],
    )
    def test_approved_for_the_machine(self, row, expected, waiting):
        changes = {"state": DecisionState.APPROVED, "action": DecisionAction.KEEP_TARGET}
        assert outcome(self.with_record(row, ONLINE, **changes)[0]) == expected
        for settings in (ONE_WAY, OFFLINE):
            found, record = self.with_record(row, settings, **changes)
            assert outcome(found) == waiting
            assert found.actions[0].decision == record

    def test_approved_without_saying_what_waits(self):
        found, _ = self.with_record("x y z", state=DecisionState.APPROVED)
        assert outcome(found) == "15 decision: no effect, 0/0/0, base -"

    @pytest.mark.parametrize("row", ["0 x y", "x y z", "x 0 x", "x y x"])
    def test_rejected_leaves_both_sides(self, row):
        for settings in (ONLINE, OFFLINE):
            found, _ = self.with_record(row, settings, state=DecisionState.REJECTED)
            assert found.actions[0].act is Act.SETTLED
            assert found.is_empty

    @pytest.mark.parametrize("state", [DecisionState.APPLIED, DecisionState.SUPERSEDED, DecisionState.ROLLED_BACK])
    @pytest.mark.parametrize("row", CONFLICTS)
    def test_a_closed_one_is_opened_again(self, row, state):
        found, record = self.with_record(row, state=state, action=DecisionAction.KEEP_TARGET)
        (again,) = found.decisions
        assert (again.id, again.state) == (record.id, DecisionState.PENDING)
        assert again.action is DecisionAction.MANUAL_REVIEW
        assert counts(found) == "0/0/1"

    def test_an_applied_one_stands_in_nobodys_way(self):
        """Only a rolled back one does: what a person took back is not done again unasked."""
        for state, expected in (
            (DecisionState.APPLIED, Act.DELETE_IN_BASELINE),
            (DecisionState.SUPERSEDED, Act.DELETE_IN_BASELINE),
            (DecisionState.ROLLED_BACK, Act.DECISION),
        ):
            found, _ = self.with_record("x 0 x", state=state, kind=DecisionKind.DELETE)
            assert found.actions[0].act is expected
        assert found.decisions[0].action is DecisionAction.SYNC_TO_BASELINE

    def test_one_of_other_evidence_says_nothing(self):
        rejected = self.record("x y w", state=DecisionState.REJECTED)
        assert plan("x y z", decisions={rejected.id: rejected}).planned.decisions_created == 1
        foreign = attrs.evolve(self.record("x y z"), machine_id="web-2")
        assert plan("x y z", machine_id="web-2", decisions={foreign.id: foreign}).planned.decisions_created == 1

    def test_what_is_asked_for_a_delete(self):
        (decision,) = plan("x 0 x", **OFFLINE).decisions
        assert (decision.kind, decision.action) == (DecisionKind.DELETE, DecisionAction.SYNC_TO_BASELINE)
        assert (decision.base, decision.machine, decision.baseline) == ("aa" * 32, None, "aa" * 32)
        assert [plan(row).decisions[0].kind for row in self.CONFLICTS] == [DecisionKind.ADD_ADD, DecisionKind.EDIT_EDIT]
        assert {plan(row).decisions[0].action for row in self.CONFLICTS} == {DecisionAction.MANUAL_REVIEW}


def test_every_action_says_why():
    for row in ("0 x x", "x 0 0", "x y y", "0 x 0", "0 0 x", "x 0 x", "x x 0", "x y x", "x x y", "0 x y", "x y 0"):
        for settings in (ONLINE, OFFLINE):
            assert plan(row, **settings).actions[0].why
    assert "newest" in plan("x y z", policy=ConflictPolicy("newest")).decisions[0].reason
    assert "the machine is away" in plan("x x y", **OFFLINE).actions[0].why
    assert "no version to merge from" in plan("0 x y", policy=ConflictPolicy("merge")).actions[0].why
