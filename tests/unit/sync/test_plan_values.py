"""`SyncPlan` and what follows from it; `SyncChanges`."""

import io
import pickle

import attrs
import pendulum
import pytest
from planner_values import ENTRIES, plan, plan_of, tree

from heartbeat_kit.sync._changes import SyncChanges
from heartbeat_kit.sync._guards import Guards
from heartbeat_kit.sync._model import ABSENT, File, Side, Snapshot, SyncMode, Unknown
from heartbeat_kit.sync._plan import Act, Action, Effect, SyncPlan, conflict_name
from heartbeat_kit.sync._policy import ConflictPolicy

X, Y, Z, W = (ENTRIES[letter] for letter in "xyzw")
TREES = (
    tree({"a": "x", "b": "x", "c": "x", "d": "x"}),
    tree({"a": "y", "b": "x", "c": "y", "d": "x", "e": "?"}),
    tree({"a": "x", "b": "y", "c": "z", "d": "x"}),
)


def some_plan(**settings):
    return plan_of(*TREES, **settings)


def test_what_follows_from_a_plan():
    found = some_plan()
    assert [(each.path, str(each.act)) for each in found.actions] == [
        ("a", "to_baseline"),
        ("b", "to_machine"),
        ("c", "decision"),
        ("e", "defer"),
    ]
    assert found.effects == (
        Effect(side=Side.BASELINE, path="a", before=X, after=Y),
        Effect(side=Side.MACHINE, path="b", before=X, after=Y),
    )
    assert found.planned == SyncChanges(files_synced=2, decisions_created=1)
    assert found.agreed == {"a": Y, "b": Y}
    assert found.deferred == {"e": "the machine: permission denied"}
    assert [each.path for each in found.decisions] == ["c"]
    assert found.pending == ()
    assert some_plan(mode=SyncMode.OFFLINE).pending == ("b",)
    assert not found.is_empty
    assert some_plan().id == found.id


def test_effects_are_in_order_of_side_then_path():
    found = plan_of(
        tree({}),
        tree({"b": "x", "z": "x", "k": "y"}),
        tree({"a": "x", "c": "x", "k": "z"}),
        policy=ConflictPolicy("keep_both"),
    )
    assert [(str(each.side), each.path) for each in found.effects] == [
        ("baseline", "b"),
        ("baseline", "z"),
        ("conflicts", "k.bbbbbbbbbbbb"),
        ("machine", "a"),
        ("machine", "c"),
        ("machine", "k"),
    ]


class TestId:
    def test_is_sha256_of_what_it_does_in_every_release(self):
        assert some_plan().id == "a67390c21e216b911fcffde8e7d9441b920cea27d69bb7eb096784f222b73f33"

    def test_every_part_of_it_counts(self):
        action = some_plan().actions[0]
        (decision,) = some_plan().decisions
        plans = [
            SyncPlan(machine_id="web-1", mode=SyncMode.ONLINE, actions=(attrs.evolve(action, **changes),))
            for changes in (
                {},
                {"path": "z"},
                {"row": 13},
                {"act": Act.MERGE},
                {"base": Y},
                {"base": ABSENT},
                {"base": Unknown("u")},
                {"machine": Z},
                {"baseline": Z},
                {"after": Z},
                {"after": None},
                {"kept": Z},
                {"resolved": True},
                {"waits": True},
                {"decision": decision},
            )
        ]
        plans += [
            attrs.evolve(plans[0], machine_id="web-2"),
            attrs.evolve(plans[0], mode=SyncMode.OFFLINE),
            attrs.evolve(plans[0], actions=()),
            attrs.evolve(plans[0], actions=(action, action)),
            attrs.evolve(plans[0], refusals=plan("x 0 x", guards=Guards()).refusals),
        ]
        assert len({each.id for each in plans}) == len(plans)
        assert len(set(plans)) == len(plans)

    def test_words_and_permissions_do_not(self):
        found = some_plan()
        action = attrs.evolve(found.actions[0], why="in other words", after=attrs.evolve(Y, mode=0o600))
        assert attrs.evolve(found, actions=(action, *found.actions[1:])).id == found.id

    def test_is_computed_once(self):
        found = some_plan()
        assert found.id is found.id


def test_an_empty_plan():
    found = plan("x x x")
    assert found.is_empty
    assert found.text() == "nothing to do"
    assert repr(found) == f"<SyncPlan web-1 online: nothing to do id={found.id[:8]}>"
    assert found.planned == SyncChanges()
    assert plan("? x x").is_empty
    assert not plan("0 x x").is_empty
    assert not plan("0 x y").is_empty
    assert not plan("0 x y", policy=ConflictPolicy("keep_both"), mode=SyncMode.OFFLINE).is_empty


def test_for_a_terminal():
    assert some_plan(mode=SyncMode.OFFLINE).text().splitlines() == [
        "copy to baseline    a  changed on the machine",
        "wait for machine    b  changed in the baseline; the machine is away",
        "ask a person        c  changed on both sides, differently",
        "defer               e  the machine: permission denied",
    ]
    assert repr(some_plan()) == (
        f"<SyncPlan web-1 online: 1 to_baseline, 1 to_machine, 1 decision, 1 defer id={some_plan().id[:8]}>"
    )
    assert "changed on the machine" in repr(some_plan().actions[0])


def test_every_act_has_its_words():
    for act in Act:
        action = Action(path="a", row=0, act=act, base=X, machine=X, baseline=X)
        assert SyncPlan(machine_id="m", mode=SyncMode.ONLINE, actions=(action,)).text()


def test_for_a_notebook():
    found = plan_of(Snapshot(), Snapshot(rejected={"<b>\udce9": "a & b"}), Snapshot())._repr_html_()
    assert "&lt;b&gt;" in found
    assert "a &amp; b" in found
    assert "web-1, online: 1 defer" in found
    assert found.encode()


def test_a_long_plan_is_cut_for_a_notebook_and_whole_in_its_text():
    found = plan_of(Snapshot(), tree({f"f{n:04}": "x" for n in range(1000)}), Snapshot())
    assert found._repr_html_().count("copy to baseline") == 200
    assert "(the first 200)" in found._repr_html_()
    assert len(found.text().splitlines()) == 1000


def test_for_rich():
    console = pytest.importorskip("rich.console").Console(width=120, record=True, file=io.StringIO())
    console.print(some_plan())
    assert "copy to machine" in console.export_text()


def test_is_a_value():
    found = some_plan()
    assert found == some_plan()
    assert hash(found) == hash(some_plan())
    assert found != some_plan(mode=SyncMode.OFFLINE)
    assert pickle.loads(pickle.dumps(found)) == found
    _ = found.id, found.effects, found.planned
    assert found == some_plan()
    again = pickle.loads(pickle.dumps(found))
    assert (again, again.id, again.effects) == (found, found.id, found.effects)
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        found.actions = ()


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("app.conf", "app.0123456789ab.conf"),
        ("etc/app/app.conf", "etc/app/app.0123456789ab.conf"),
        ("Makefile", "Makefile.0123456789ab"),
        (".bashrc", ".bashrc.0123456789ab"),
        (".config.json", ".config.0123456789ab.json"),
        ("a.tar.gz", "a.tar.0123456789ab.gz"),
        ("a.d/b", "a.d/b.0123456789ab"),
        ("a." + "s" * 60, "a." + "s" * 60 + ".0123456789ab"),
        ("n" * 255, "n" * 242 + ".0123456789ab"),
        ("n" * 250 + ".conf", "n" * 237 + ".0123456789ab.conf"),
        ("é" * 127, "é" * 121 + ".0123456789ab"),
    ],
)
def test_the_name_of_a_version_that_is_kept(path, name):
    assert conflict_name(path, "0123456789abcdef" * 4) == name
    assert all(len(part.encode()) <= 255 for part in name.split("/"))


def test_two_versions_of_one_file_have_two_names():
    assert conflict_name("a", X.sha256) != conflict_name("a", Y.sha256)


class TestChanges:
    def test_has_a_duration_as_people_read_it(self):
        assert SyncChanges().offline_duration is None
        assert SyncChanges(offline_duration=90_000).offline_duration == pendulum.duration(seconds=90)
        assert SyncChanges(offline_duration=90_000).offline_duration_ms == 90_000

    def test_says_it_in_a_line(self):
        assert repr(SyncChanges()) == "<SyncChanges 0 synced, 0 resolved, 0 decisions>"
        assert (
            repr(SyncChanges(files_synced=2, conflicts_resolved=1, decisions_created=1, offline_duration=90_000))
            == "<SyncChanges 2 synced, 1 resolved, 1 decision, after 90 s offline>"
        )

    def test_is_a_value(self):
        assert SyncChanges(files_synced=1) == SyncChanges(files_synced=1) != SyncChanges()
        assert pickle.loads(pickle.dumps(SyncChanges(offline_duration=5))) == SyncChanges(offline_duration=5)


def test_an_action_writes_only_what_differs():
    merged = Action(path="a", row=15, act=Act.MERGE, base=X, machine=Y, baseline=Z, after=W)
    assert len(merged.effects) == 2
    assert len(attrs.evolve(merged, after=Y).effects) == 1
    assert [each.side for each in attrs.evolve(merged, waits=True).effects] == [Side.BASELINE]
    for act in set(Act) - {Act.TO_BASELINE, Act.TO_MACHINE, Act.MERGE, Act.KEEP_BOTH}:
        if not act.startswith("delete"):
            assert attrs.evolve(merged, act=act).effects == ()
    kept = attrs.evolve(merged, act=Act.PENDING, kept=Y)
    assert kept.effects == (Effect(side=Side.CONFLICTS, path=conflict_name("a", Y.sha256), before=None, after=Y),)
    assert File(sha256=Y.sha256, size=11) == Y
