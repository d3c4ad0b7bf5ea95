"""Verdicts in words."""

import pytest
from core_values import START, beat, machine

from heartbeat_kit import Basis, MachineStatus
from heartbeat_kit._explain import _BASIS, _REASONS, explain


@pytest.mark.parametrize("reason", _REASONS)
@pytest.mark.parametrize("basis", Basis)
def test_every_reason_and_basis_has_words(reason, basis):
    text = explain(machine(reason=reason, basis=basis))
    assert _REASONS[reason] in text
    assert _BASIS[basis].format(observer="watcher") in text


def test_says_who_saw_what_when_and_what_comes_next():
    text = explain(
        machine(
            "web-1",
            MachineStatus.WARNING,
            reason="silent",
            age=150_000,
            since=START + 120_000,
            next_deadline=START + 240_000,
            heartbeat=beat(incarnation=5, seq=7),
            unreadable="cut after 12 bytes",
            identity_conflict="hosts 'a' and 'b'",
        )
    )
    for part in (
        "web-1 is warning because it is silent.",
        "#5.7, stamped 2026-01-01T00:00:00.000Z; a silence of 2.5 min",
        "It promises a beat every 30 s and may be silent for 2.0 min",
        "5 beats are missing.",
        "It has been warning since 2026-01-01T00:02:00.000Z.",
        "If it stays silent its status worsens at 2026-01-01T00:04:00.000Z.",
        "Its record: cut after 12 bytes.",
        "Identity conflict: hosts 'a' and 'b'.",
        "Seen by watcher at 2026-01-01T00:01:05.000Z.",
    ):
        assert part in text


def test_says_nothing_it_does_not_know():
    text = explain(machine(heartbeat=None, reason="never_seen", status=MachineStatus.UNKNOWN))
    assert text == (
        "web-1 is unknown because no readable record of it was ever seen. Seen by watcher at 2026-01-01T00:01:05.000Z."
    )


def test_a_blind_observer_says_so():
    assert "it is blind now, so this is what it knew before." in explain(machine(stale=True))


@pytest.mark.parametrize(
    ("age", "words"),
    [
        (0, "0 s"),
        (1_500, "1.5 s"),
        (119_999, "119.999 s"),
        (120_000, "2.0 min"),
        (7_199_000, "120.0 min"),
        (7_200_000, "2.0 h"),
    ],
)
def test_spans_in_words(age, words):
    assert f"a silence of {words}, " in explain(machine(age=age))


@pytest.mark.parametrize(("age", "words"), [(-3_000, "3 s"), (-600_000, "10.0 min")])
def test_a_stamp_of_the_future_is_no_silence(age, words):
    assert f"a stamp {words} ahead of the clock here, " in explain(machine(age=age))
