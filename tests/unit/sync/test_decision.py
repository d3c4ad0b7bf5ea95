"""`Decision`: its id, its bytes, and bytes that are none."""

import json
import pickle
import re

import attrs
import pytest

from heartbeat_kit.errors import DamagedSyncStateError
from heartbeat_kit.sync._decision import (
    Decision,
    DecisionAction,
    DecisionKind,
    DecisionState,
    decision_id,
    from_json,
    to_json,
)

A, B, C = "aa" * 32, "bb" * 32, "cc" * 32


def decision(machine_id="web-1", path="etc/é.conf", base=A, machine=B, baseline=C, **more):
    return Decision(
        id=decision_id(machine_id, path, base, machine, baseline),
        machine_id=machine_id,
        path=path,
        base=base,
        machine=machine,
        baseline=baseline,
        **{"kind": DecisionKind.EDIT_EDIT, "reason": "changed on both sides"} | more,
    )


def test_an_id_is_made_of_the_evidence_alone():
    evidence = ["web-1", "app.conf", A, B, C]
    found = {decision_id(*evidence)}
    for at, other in enumerate(["web-2", "app.con", B, C, A]):
        found.add(decision_id(*evidence[:at], other, *evidence[at + 1 :]))
    for at in (2, 3, 4):
        for other in (None, "", "null", "None"):
            found.add(decision_id(*evidence[:at], other, *evidence[at + 1 :]))
    found |= {decision_id("web-1a", "pp.conf", A, B, C), decision_id("web-1", "app.conf\0" + A, A, B, C)}
    assert len(found) == 1 + 5 + 12 + 2
    assert all(len(each) == 32 and set(each) <= set("0123456789abcdef") for each in found)


def test_an_id_is_the_same_in_every_release():
    """Machines of different releases must name one conflict alike."""
    assert decision_id("web-1", "app.conf", None, A, B) == "5cbf2756ffe45604cd459721585abc07"


def test_a_document_is_the_same_in_every_release():
    assert to_json(decision(base=None)).decode() == (
        f'{{"action":"manual_review","base":null,"baseline":"{C}","id":"{decision(base=None).id}",'
        f'"kind":"edit_edit","machine":"{B}","machineId":"web-1","path":"etc/é.conf",'
        '"reason":"changed on both sides","schema":1,"state":"pending"}\n'
    )


@pytest.mark.parametrize("state", DecisionState)
@pytest.mark.parametrize("kind", DecisionKind)
@pytest.mark.parametrize("action", DecisionAction)
def test_what_is_written_is_read(state, kind, action):
    for contents in ({}, {"base": None}, {"machine": None}, {"baseline": None}):
        written = decision(state=state, kind=kind, action=action, **contents)
        assert from_json(to_json(written)) == written


def test_open_until_it_is_closed():
    assert [state for state in DecisionState if decision(state=state).is_open] == ["pending", "approved"]


def test_the_contents_it_pins():
    assert decision().pinned == (A, B, C)
    assert decision(base=None, machine=None).pinned == (C,)
    assert decision(baseline=A).pinned == (A, B)
    assert decision(kind=DecisionKind.COLLISION).pinned == ()


def record(**changes):
    return {**json.loads(to_json(decision())), **changes}


def as_bytes(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode() + b"\n"


def with_id(**changes):
    """A record whose id fits what it says."""
    found = record(**changes)
    evidence = (found[name] for name in ("machineId", "path", "base", "machine", "baseline"))
    return as_bytes({**found, "id": decision_id(*evidence)})


def without(name):
    return as_bytes({key: value for key, value in record().items() if key != name})


def test_the_helper_writes_as_we_do():
    assert as_bytes(record()) == with_id() == to_json(decision())


WRONG = [None, 1, True, [], {}, "", "x"]


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"", id="empty"),
        pytest.param(b"\xff\xfe", id="no UTF-8"),
        pytest.param(b"\xef\xbb\xbf" + to_json(decision()), id="BOM"),
        pytest.param(to_json(decision()).decode().encode("utf-16"), id="UTF-16"),
        pytest.param(b"[" * 100_000, id="deep list"),
        pytest.param(b'{"a":' * 100_000, id="deep object"),
        pytest.param(b"9" * 10_000, id="long number"),
        *(pytest.param(as_bytes(value), id=f"whole {value!r}") for value in WRONG),
        *(pytest.param(without(name), id=f"no {name}") for name in record()),
        *(
            pytest.param(as_bytes(record(**{name: value})), id=f"{name} {value!r}")
            for name in record()
            for value in (*WRONG, "\0", 1.0, "\U0001f600")
            if record()[name] != value
            and not (name == "reason" and isinstance(value, str))
            and not (name == "schema" and value == 1 and type(value) is not int)
        ),
        pytest.param(as_bytes(record(schema=2)), id="later schema"),
        pytest.param(as_bytes(record(schema=True)), id="schema true"),
        pytest.param(as_bytes(record(schema=1.0)), id="schema 1.0"),
        pytest.param(as_bytes(record(id=decision(path="b").id)), id="another id"),
        pytest.param(as_bytes(record(more=1)), id="another field"),
        *(pytest.param(with_id(path=path), id=f"path {path!r}") for path in ("../a", "/a", "a\0b", "", "con", "a//b")),
        *(pytest.param(with_id(machineId=name), id=f"machine {name!r}") for name in ("WEB-1", "../x", "", "a b", " a")),
        *(pytest.param(with_id(base=sha), id=f"base {sha[:4]!r}") for sha in (A[:-1], A + "a", A.upper(), "g" * 64)),
        pytest.param(to_json(decision())[:-1], id="no newline"),
        pytest.param(to_json(decision()) + b"\n", id="two newlines"),
        pytest.param(to_json(decision()).replace(b":", b": "), id="other spaces"),
        pytest.param(to_json(decision()).replace("é".encode(), b"\\u00e9"), id="other escapes"),
        pytest.param(to_json(decision()).replace(b'{"action"', b'{"action":"manual_review","action"'), id="twice"),
        pytest.param(to_json(decision()).replace(b"changed", b"\\ud800"), id="lone surrogate"),
        pytest.param(to_json(decision()).replace(b"etc/", b"\\ud800/"), id="lone surrogate in the path"),
    ],
)
def test_bytes_that_are_no_decision(data):
    with pytest.raises(DamagedSyncStateError, match="the decision cannot be used"):
        from_json(data)


def test_the_error_says_what_is_wrong():
    for data, what in (
        (as_bytes(record(id=decision(path="b").id)), "its id is not that of what it says"),
        (as_bytes(record(schema=2)), "its schema is 2, this release reads 1"),
        (with_id(path="../a"), "its path '../a' cannot be: it has the part"),
        (without("state"), "state is None, expected text"),
    ):
        with pytest.raises(DamagedSyncStateError, match=re.escape(what)):
            from_json(data)


def test_every_byte_cut_or_flipped():
    """Whatever is left is refused, or differs in its words for people alone."""
    whole = to_json(decision())
    for at in range(len(whole)):
        for damaged in (whole[:at], *(whole[:at] + bytes([whole[at] ^ bit]) + whole[at + 1 :] for bit in (1, 32, 128))):
            try:
                found = from_json(damaged)
            except DamagedSyncStateError:
                continue
            assert found.reason != decision().reason
            assert attrs.evolve(found, reason=decision().reason) == decision()


def test_is_a_value():
    assert decision() == decision()
    assert hash(decision()) == hash(decision())
    assert pickle.loads(pickle.dumps(decision())) == decision()
    assert repr(decision()) == (f"<Decision {decision().id[:8]} edit_edit etc/é.conf of web-1: pending, manual_review>")
    with pytest.raises(attrs.exceptions.FrozenInstanceError):
        decision().state = DecisionState.APPROVED
