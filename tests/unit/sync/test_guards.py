"""The guards: how much may be gone or changed at once, and what is not believed of one file."""

import pickle

import attrs
import pytest
from planner_values import ENTRIES, plan_of, tree

from heartbeat_kit.errors import AllChangedError, InvalidConfigurationError, SyncError, TooManyDeletesError
from heartbeat_kit.sync._decision import DecisionState
from heartbeat_kit.sync._guards import Guards, Refusal, believed, is_bare
from heartbeat_kit.sync._model import ABSENT, File, Snapshot, SyncMode, Unknown

DEFAULT = {"guards": Guards()}


def files(letters):
    """Ten files ``xxxxxxxxxx`` are f0 to f9."""
    return {f"f{n}": letter for n, letter in enumerate(letters)}


def refused(base, machine, baseline, **settings):
    found = plan_of(*(tree(files(letters)) for letters in (base, machine, baseline)), **DEFAULT | settings)
    return [(each.code, len(each.paths)) for each in found.refusals]


MANY, ALL = "TOO_MANY_DELETES", "ALL_CHANGED"


class TestDeletes:
    def test_five_of_a_few_may_go_and_a_sixth_may_not(self):
        assert refused("xxxxxxx", "00000xx", "xxxxxxx") == []
        assert refused("xxxxxxx", "000000x", "xxxxxxx") == [(MANY, 6)]

    def test_half_of_many_may_go_and_one_more_may_not(self):
        assert refused("x" * 20, "0" * 10 + "x" * 10, "x" * 20) == []
        assert refused("x" * 20, "0" * 11 + "x" * 9, "x" * 20) == [(MANY, 11)]

    def test_it_holds_for_either_side(self):
        assert refused("xxxxxxx", "xxxxxxx", "000000x") == [(MANY, 6)]

    def test_it_holds_while_the_machine_is_away(self):
        """So many questions at once are no sign of a person either."""
        assert refused("xxxxxxx", "000000x", "xxxxxxx", mode=SyncMode.OFFLINE) == [(MANY, 6)]

    def test_those_that_were_edited_on_the_other_side_count(self):
        assert refused("xxxxxxx", "000000x", "yxxxxxx") == [(MANY, 6)]

    def test_what_both_sides_deleted_does_not(self):
        assert refused("x" * 9, "0" * 8 + "x", "0" * 8 + "x") == []
        assert refused("x" * 9, "0" * 8 + "x", "000xxxxxx") == []

    def test_nor_does_what_is_unknown(self):
        assert refused("xxxxxxx", "00000?x", "xxxxxxx") == []
        assert refused("xxxxxxx", "000000x", "xxxxx?x") == []

    def test_nor_a_file_nobody_agreed_on(self):
        assert refused("0000000", "0000000", "xxxxxxx") == []

    def test_nor_what_a_person_decided_or_was_asked(self):
        away = plan_of(*(tree(files(f"{m}x")) for m in ("x" * 6, "0" * 6, "x" * 6)), mode=SyncMode.OFFLINE)
        asked = {each.id: each for each in away.decisions}
        assert len(asked) == 6
        assert refused("xxxxxxx", "000000x", "xxxxxxx", decisions=asked) == []

    def test_an_empty_side_is_refused_however_small(self):
        assert refused("x", "0", "x") == [(MANY, 1)]
        assert refused("xx", "xx", "00") == [(MANY, 2)]
        assert refused("xx", "00", "yx") == [(MANY, 2)]

    def test_a_side_that_holds_something_else_is_not_empty(self):
        assert refused("x0", "0y", "x0") == []

    def test_nor_is_one_that_could_not_be_read(self):
        trees = (tree(files("xx")), Snapshot(closed={"": "not mounted"}), tree(files("xx")))
        assert plan_of(*trees, **DEFAULT).refusals == ()
        for odd in (Snapshot(rejected={"CON": "a device"}), tree("?", "b"), tree("@", "b")):
            assert plan_of(tree("x", "a"), odd, tree("x", "a"), **DEFAULT).refusals == ()

    def test_two_empty_sides_agree(self):
        assert refused("xx", "00", "00") == []

    def test_an_empty_base_refuses_nothing(self):
        assert refused("00", "00", "xx") == refused("00", "00", "00") == []


class TestAllChanged:
    def test_six_of_six_are_refused_and_five_of_five_are_not(self):
        assert refused("xxxxxx", "yyyyyy", "xxxxxx") == [(ALL, 6)]
        assert refused("xxxxx", "yyyyy", "xxxxx") == []
        assert refused("xxxxxxx", "yyyyyyx", "xxxxxxx") == []

    def test_it_holds_for_either_side_and_while_the_machine_is_away(self):
        assert refused("xxxxxx", "xxxxxx", "yyyyyy") == [(ALL, 6)]
        assert refused("xxxxxx", "yyyyyy", "xxxxxx", mode=SyncMode.OFFLINE) == [(ALL, 6)]
        assert refused("xxxxxx", "yyyyyy", "zzzzzz") == [(ALL, 6), (ALL, 6)]

    def test_what_is_gone_is_changed_too(self):
        assert refused("xxxxxx", "yyyy00", "xxxxxx") == [(ALL, 6)]
        assert refused("xxxxxxxx", "y0000000", "xxxxxxxx") == [(MANY, 7), (ALL, 8)]
        assert refused("xxxxxx", "000000", "xxxxxx") == [(MANY, 6)]  # once is enough

    def test_one_file_that_cannot_be_read_does_not_switch_it_off(self):
        assert refused("xxxxxxx", "yyyyyy?", "xxxxxxx") == [(ALL, 6)]
        assert refused("xxxxxxx", "yyyyyyy", "xxxxxx?") == [(ALL, 6)]
        assert refused("xxxxxx", "yyyyy?", "xxxxxx") == []  # and is not counted for changed

    def test_nor_does_one_on_which_both_sides_agree(self):
        assert refused("xxxxxxx", "yyyyyyy", "yxxxxxx") == [(ALL, 6)]

    def test_new_files_beside_do_not_either(self):
        assert refused("xxxxxx00", "yyyyyy0x", "xxxxxxx0") == [(ALL, 6)]

        assert refused("xxxxxx0", "yyyyyy?", "xxxxxx0") == [(ALL, 6)]

    def test_nor_does_one_a_person_decided(self):
        (record,) = plan_of(tree("x", "f6"), tree("y", "f6"), tree("z", "f6")).decisions
        for state in (DecisionState.PENDING, DecisionState.REJECTED):
            decided = {record.id: attrs.evolve(record, state=state)}
            assert refused("xxxxxxx", "yyyyyyy", "xxxxxxz", decisions=decided) == [(ALL, 6)]

    def test_both_sides_changed_to_the_same_is_agreement(self):
        assert refused("xxxxxx", "yyyyyy", "yyyyyy") == []


def test_a_refused_plan_still_says_what_it_would_do():
    found = plan_of(*(tree(files(letters)) for letters in ("xxxxxxx", "000000x", "xxxxxxx")), **DEFAULT)
    assert len(found.effects) == 6
    assert found.text().startswith("refused: 6 of 7 files are gone on the machine, at most 5 may go at once: see that")
    assert "TOO_MANY_DELETES" in repr(found)
    assert refused("x", "0", "x", guards=Guards()) != []


def test_guards_can_be_set_and_switched_off():
    off = {"guards": Guards.off()}
    assert refused("x", "0", "x", **off) == refused("x" * 30, "0" * 30, "x" * 30, **off) == []
    assert refused("xxxxxx", "yyyyyy", "xxxxxx", **off) == []
    assert refused("xx", "yy", "xx", guards=Guards(all_changed=2)) == [(ALL, 2)]
    assert refused("xxx", "00x", "xxx", guards=Guards(deletes=1)) == [(MANY, 2)]
    assert refused("xxxx", "00xx", "xxxx", guards=Guards(deletes=1)) == []
    assert refused("xxxx", "0xxx", "xxxx", guards=Guards(deletes=0, share=0)) == [(MANY, 1)]


@pytest.mark.parametrize(
    "bad",
    [
        {"deletes": -1},
        {"deletes": 1.5},
        {"deletes": True},
        {"share": 1.1},
        {"share": -0.1},
        {"share": "half"},
        {"share": float("nan")},
        {"all_changed": -1},
        {"all_changed": None},
    ],
)
def test_a_setting_that_cannot_be_is_refused(bad):
    with pytest.raises(InvalidConfigurationError, match=next(iter(bad))):
        Guards(**bad)


@pytest.mark.parametrize(("code", "error"), [(MANY, TooManyDeletesError), (ALL, AllChangedError)])
def test_a_refusal_is_an_error_to_raise(code, error):
    raised = Refusal(code, "what to do", ("a", "b")).error("web-1")
    assert type(raised) is error
    assert isinstance(raised, SyncError)
    assert (raised.code, str(raised), raised.paths, raised.machine_id) == (code, "what to do", ("a", "b"), "web-1")
    assert pickle.loads(pickle.dumps(raised)).paths == ("a", "b")


def test_a_refusal_names_the_files_in_order():
    (refusal,) = plan_of(*(tree(files(letters)) for letters in ("xxxxxxx", "000000x", "xxxxxxx")), **DEFAULT).refusals
    assert refusal.paths == ("f0", "f1", "f2", "f3", "f4", "f5")


def test_what_is_believed_of_a_file():
    x, e, doubtful = ENTRIES["x"], ENTRIES["e"], ENTRIES["!"]
    for entry in (x, e, ABSENT, Unknown("u")):
        assert believed(entry, ABSENT) is entry
        assert believed(entry, e) is entry
    assert believed(e, x) == Unknown("empty, where it was not before")
    assert believed(doubtful, x) == believed(doubtful, ABSENT) == Unknown("no JSON")
    assert believed(doubtful, File(sha256=doubtful.sha256, size=doubtful.size)) is doubtful
    assert believed(x, Unknown("u")) is x


def test_a_bare_tree_was_read_and_holds_nothing():
    assert is_bare(Snapshot())
    assert is_bare(Snapshot(entries={"a": ABSENT}))
    for odd in (tree("x"), tree("?"), tree("@"), Snapshot(closed={"a": "b"}), Snapshot(rejected={"a": "b"})):
        assert not is_bare(odd)
