"""The laws of the planner, over trees hypothesis makes up. Plans are carried out on dictionaries."""

import random
from itertools import pairwise

import attrs
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from planner_values import ENTRIES, LETTERS, plan_of, tree

from heartbeat_kit.sync._decision import DecisionAction, DecisionState
from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._model import ABSENT, File, Side, Snapshot, SyncMode
from heartbeat_kit.sync._plan import Act, conflict_name
from heartbeat_kit.sync._policy import Choice, ConflictPolicy

PATHS = ("a", "b.json", "c/d", "c/e.json", "f/g/h", "i")
COLLIDING = (*PATHS, "A", "C/d", "c/d/x", "i/j")
SETTLING = (Choice.BASELINE, Choice.MACHINE, Choice.KEEP_BOTH)


def merge(path, base, machine, baseline):
    """The same whichever side is which; for some contents impossible."""
    if {LETTERS.get(machine), LETTERS.get(baseline)} == {"y", "z"}:
        return None
    digest = "".join(sorted((machine.sha256[:21], baseline.sha256[:21]))) + base.sha256[:22]
    return File(sha256=digest, size=99)


def rows(letters, paths=PATHS):
    """``{path: (base, machine, baseline)}``."""
    return st.dictionaries(st.sampled_from(paths), st.tuples(*[st.sampled_from(letters)] * 3))


def snapshots(found):
    return [tree({path: row[at] for path, row in found.items()}) for at in range(3)]


policies = st.lists(
    st.tuples(st.sampled_from(["**", "*.json", "c/**", "a", "f/"]), st.sampled_from(Choice)), max_size=4
).map(ConflictPolicy)
settling = st.lists(st.tuples(st.sampled_from(["*.json", "c/**", "a"]), st.sampled_from(SETTLING)), max_size=3).flatmap(
    lambda rules: st.sampled_from(SETTLING).map(lambda last: ConflictPolicy([*rules, ("**", last)]))
)
modes = st.sampled_from(
    [{"mode": SyncMode.ONLINE}, {"mode": SyncMode.ONLINE, "sync_from_baseline": False}, {"mode": SyncMode.OFFLINE}]
)
known = rows("0xyz")
clean = rows("0xyze!")
anything = rows("0xyze!?@", COLLIDING)


def mirrored(policy):
    """The policy that treats the machine as this one treats the baseline, and the other way round."""
    other = {Choice.BASELINE: Choice.MACHINE, Choice.MACHINE: Choice.BASELINE}
    return ConflictPolicy([(pattern, other.get(choice, choice)) for pattern, choice in policy.rules])


def carry_out(plan, trees):
    """The trees after a plan: base, machine, baseline, and the losing versions that are kept."""
    base, machine, baseline = ({p: e for p, e in each.entries.items() if e is not ABSENT} for each in trees)
    places = {Side.MACHINE: machine, Side.BASELINE: baseline, Side.CONFLICTS: {}}
    for effect in plan.effects:
        place = places[effect.side]
        assert place.get(effect.path) == effect.before
        assert effect.before != effect.after
        if effect.after is None:
            del place[effect.path]
        else:
            place[effect.path] = effect.after
    for path, file in plan.agreed.items():
        base.pop(path, None)
        if file is not None:
            base[path] = file
    return base, machine, baseline, places[Side.CONFLICTS]


def again(plan, trees, **settings):
    """The plan of a second run right after the first."""
    base, machine, baseline, kept = carry_out(plan, trees)
    after = [attrs.evolve(each, entries=e) for each, e in zip(trees, (base, machine, baseline), strict=True)]
    records = {each.id: each for each in plan.decisions}
    return plan_of(*after, merge=merge, decisions=records, **settings), kept


@given(known, settling)
def test_law_01_both_sides_agree_after_a_clean_run(found, policy):
    trees = snapshots(found)
    base, machine, baseline, _ = carry_out(plan_of(*trees, policy=policy), trees)
    assert base == machine == baseline


@given(known, policies, modes)
def test_law_01_the_base_never_claims_an_agreement_that_is_none(found, policy, mode):
    trees = snapshots(found)
    plan = plan_of(*trees, policy=policy, merge=merge, **mode)
    _, machine, baseline, _ = carry_out(plan, trees)
    waiting = set(plan.pending)
    for path, file in plan.agreed.items():
        assert machine.get(path) == file  # also of a merge that waits: it is what the machine has
        assert baseline.get(path) == file or path in waiting
    open_paths = {each.path for each in plan.actions if each.act in (Act.DECISION, Act.PENDING)} | waiting
    assert {p for p in found if machine.get(p) != baseline.get(p)} == open_paths


@given(anything, policies, modes)
def test_law_02_agreeing_or_deferred_paths_are_not_written(found, policy, mode):
    plan = plan_of(*snapshots(found), policy=policy, merge=merge, **mode)
    written = {each.path for each in plan.effects if each.side is not Side.CONFLICTS}
    for path, (_, machine, baseline) in found.items():
        if machine == baseline or {*found[path]} & {"?", "@"}:
            assert path not in written
    assert not written & set(plan.deferred)
    assert not set(plan.agreed) & set(plan.deferred)


@given(anything, policies, modes)
def test_law_03_nothing_is_invented(found, policy, mode):
    """What is written somewhere was on the other side, or is what the merge made of the three."""
    plan = plan_of(*snapshots(found), policy=policy, merge=merge, **mode)
    for effect in plan.effects:
        if effect.side is Side.CONFLICTS:
            assert effect.path in {conflict_name(p, effect.after.sha256) for p in found}
            assert effect.after in {ENTRIES[row[1]] for row in found.values()}
            continue
        base, machine, baseline = (ENTRIES[letter] for letter in found[effect.path])
        other = baseline if effect.side is Side.MACHINE else machine
        if (effect.after or ABSENT) != other:
            assert effect.after == merge(effect.path, base, machine, baseline)


@given(anything, policies, modes)
def test_law_04_a_second_run_has_nothing_to_do(found, policy, mode):
    trees = snapshots(found)
    plan = plan_of(*trees, policy=policy, merge=merge, **mode)
    second, kept = again(plan, trees, policy=policy, **mode)
    counts = attrs.astuple(second.planned)
    assert counts == (0, 0, 0, None)
    assert second.agreed == {}
    assert all(each.side is Side.CONFLICTS and kept[each.path] == each.after for each in second.effects)
    assert set(second.pending) == set(plan.pending)
    assert set(second.deferred) == set(plan.deferred)


@given(clean, policies)
@example({"a": ("x", "x", "0"), "i": ("x", "0", "y")}, ConflictPolicy("merge"))
def test_law_05_sides_and_policy_swapped_together_swap_the_effects(found, policy):
    """Of a machine that is there, in any row; only keep_both has a side of its own."""
    policy = ConflictPolicy([rule for rule in policy.rules if rule[1] is not Choice.KEEP_BOTH])
    base, machine, baseline = snapshots(found)
    settings = {"merge": merge, "guards": Guards(deletes=1, all_changed=2)}
    one = plan_of(base, machine, baseline, policy=policy, **settings)
    other = plan_of(base, baseline, machine, policy=mirrored(policy), **settings)
    swapped = {Side.MACHINE: Side.BASELINE, Side.BASELINE: Side.MACHINE}
    assert {attrs.evolve(each, side=swapped[each.side]) for each in one.effects} == set(other.effects)
    assert (one.planned, one.agreed, set(one.deferred)) == (other.planned, other.agreed, set(other.deferred))
    assert sorted(each.code for each in one.refusals) == sorted(each.code for each in other.refusals)


@given(anything, policies, modes)
def test_law_06_a_lost_archive_deletes_nothing(found, policy, mode):
    _, machine, baseline = snapshots(found)
    plan = plan_of(Snapshot(), machine, baseline, policy=policy, merge=merge, **mode)
    assert all(each.after is not None for each in plan.effects)
    assert not any(each.act.startswith("delete") for each in plan.actions)


@given(anything, policies, modes, st.data())
def test_law_07_an_unknown_never_adds_a_write(found, policy, mode, data):
    if not found:
        return
    before = plan_of(*snapshots(found), policy=policy, merge=merge, **mode)
    path, at = data.draw(st.sampled_from(sorted(found))), data.draw(st.integers(0, 2))
    row = list(found[path])
    row[at] = data.draw(st.sampled_from("?@"))
    after = plan_of(*snapshots({**found, path: tuple(row)}), policy=policy, merge=merge, **mode)
    assert set(after.effects) <= set(before.effects)
    assert path not in {each.path for each in after.effects}
    assert set(after.agreed) <= set(before.agreed)


@given(rows("0xyze!?@"), st.integers(0, 2), st.sampled_from(["", "c", "f", "f/g", "i"]), policies, modes)
def test_law_07_nor_does_a_directory_that_cannot_be_entered(found, at, closed, policy, mode):
    trees = snapshots(found)
    before = plan_of(*trees, policy=policy, merge=merge, **mode)
    inside = [p for p in found if not closed or p.startswith(f"{closed}/")]
    left = {p: e for p, e in trees[at].entries.items() if p not in inside}
    trees[at] = Snapshot(entries=left, closed={closed: "permission denied"})
    after = plan_of(*trees, policy=policy, merge=merge, **mode)
    assert not {each.path for each in after.effects} & set(inside)
    assert set(after.effects) <= set(before.effects)


@given(anything, anything, policies, modes)
def test_law_08_the_plan_of_a_union_is_the_union_of_the_plans(left, right, policy, mode):
    policy = ConflictPolicy([(glob, choice) for glob, choice in policy.rules if "/" not in glob.strip("/*")])
    left, right = ({f"{top}/{p}": row for p, row in each.items()} for top, each in (("l", left), ("r", right)))
    one, two, both = (
        plan_of(*snapshots(found), policy=policy, merge=merge, **mode) for found in (left, right, {**left, **right})
    )
    assert both.actions == one.actions + two.actions
    assert set(both.effects) == {*one.effects, *two.effects}


@given(known, policies)
def test_law_09_no_version_is_lost_but_the_one_both_had_or_a_policy_gave_up(found, policy):
    trees = snapshots(found)
    plan = plan_of(*trees, policy=policy, merge=merge)
    _, machine, baseline, kept = carry_out(plan, trees)
    for path, row in found.items():
        base, *sides = (ENTRIES[letter] for letter in row)
        given_up = policy.choice(path) in (Choice.MACHINE, Choice.BASELINE, Choice.MERGE)
        for file in sides:
            if isinstance(file, File) and file != base and not given_up:
                assert file in (machine.get(path), baseline.get(path), kept.get(conflict_name(path, file.sha256)))


@given(clean, policies, modes)
def test_law_15_and_19_counts_equal_an_independent_diff(found, policy, mode):
    """Counted from the trees before and after alone."""
    trees = snapshots(found)
    plan = plan_of(*trees, policy=policy, merge=merge, **mode)
    _, *after, _ = carry_out(plan, trees)
    before = [{p: e for p, e in each.entries.items() if e is not ABSENT} for each in trees]
    synced = resolved = 0
    for path in found:
        a, m, b = (each.get(path) for each in before)
        m2, b2 = (each.get(path) for each in after)
        now_agree = m != b and m2 == b2
        synced += now_agree
        conflict = len({a, m, b}) == 3 and (a is not None or None not in (m, b))
        merged_for_later = b2 not in (m, b) and m2 == m
        resolved += conflict and (now_agree or merged_for_later or _subsumed(plan, path))
    assert plan.planned.files_synced == synced
    assert plan.planned.conflicts_resolved == resolved
    assert plan.planned.decisions_created == len({each.id for each in plan.decisions}) == len(plan.decisions)


def _subsumed(plan, path):
    """A merge that equals the baseline, while the machine is away: nothing is written, and it is settled."""
    return any(each.path == path and each.waits and not each.effects for each in plan.actions)


@given(known, st.sampled_from([DecisionAction.SYNC_TO_BASELINE, DecisionAction.KEEP_TARGET]))
def test_what_a_person_approves_is_done_and_then_nothing_is_left(found, answer):
    trees = snapshots(found)
    first = plan_of(*trees)
    records = {each.id: attrs.evolve(each, state=DecisionState.APPROVED, action=answer) for each in first.decisions}
    second = plan_of(*trees, decisions=records)
    assert second.decisions == ()
    base, machine, baseline, _ = carry_out(second, trees)
    assert base == machine == baseline
    for path in {each.path for each in first.decisions}:
        assert LETTERS[machine.get(path, ABSENT)] == found[path][1 if answer == "sync_to_baseline" else 2]


@given(known, policies)
def test_while_the_machine_is_away_nothing_of_it_is_written_and_nothing_deleted(found, policy):
    plan = plan_of(*snapshots(found), policy=policy, merge=merge, mode=SyncMode.OFFLINE)
    assert all(each.side is not Side.MACHINE and each.after is not None for each in plan.effects)


@given(known, policies)
def test_what_was_preserved_while_it_was_away_is_completed_when_it_returns(found, policy):
    """An offline run and then an online one: whatever nobody has to decide is agreed on, with no conflict added."""
    trees = snapshots(found)
    away = plan_of(*trees, policy=policy, merge=merge, mode=SyncMode.OFFLINE)
    base, machine, baseline, _ = carry_out(away, trees)
    records = {each.id: each for each in away.decisions}
    back = [Snapshot(entries=each) for each in (base, machine, baseline)]
    returned = plan_of(*back, policy=policy, merge=merge, decisions=records)
    assert returned.planned.decisions_created == 0
    _, machine, baseline, _ = carry_out(returned, back)
    left = {path for path in found if machine.get(path) != baseline.get(path)}
    assert left == {each.path for each in away.decisions}


@given(anything, policies, modes, st.randoms(use_true_random=False))
def test_the_order_of_the_entries_makes_no_difference(found, policy, mode, chance: random.Random):
    trees = snapshots(found)
    shuffled = []
    for each in trees:
        items = list(each.entries.items())
        chance.shuffle(items)
        shuffled.append(Snapshot(entries=dict(items)))
    one, other = (plan_of(*each, policy=policy, merge=merge, **mode) for each in (trees, shuffled))
    assert one == other
    assert one.id == other.id
    assert [each.path for each in one.actions] == sorted(each.path for each in one.actions)


@given(anything, policies, modes)
def test_total_and_consistent(found, policy, mode):
    """Every path is somewhere exactly once, and every view of the plan can be asked for."""
    plan = plan_of(*snapshots(found), policy=policy, merge=merge, guards=Guards(), **mode)
    paths = [each.path for each in plan.actions]
    assert all(one < other for one, other in pairwise(paths))
    assert set(paths) <= set(found)
    still = {p for p, row in found.items() if len({*row}) == 1 and row[0] not in "?@"}
    assert set(found) - set(paths) <= still
    assert repr(plan)
    assert plan.text()
    assert plan._repr_html_()
    assert len(plan.id) == 64
    if plan.is_empty:
        assert (plan.effects, plan.agreed, plan.decisions) == ((), {}, ())


@pytest.mark.parametrize("choice", Choice)
def test_nothing_in_nothing_out(choice):
    assert plan_of(Snapshot(), Snapshot(), Snapshot(), policy=ConflictPolicy(choice)).actions == ()
