"""The harness sees the bugs it is there for; all of them, on the larger scene, are tried by `mutants.main`."""

import pytest

from .mutants import MUTANTS, NONE, try_mutant
from .scenes import small

SLOW = {
    "new content not fsynced",
    "directory of a step not synced",
    "local contents not fsynced",
    "names of local contents not synced",
    "decision's contents not fsynced",
    "failed fsync passed over",
}
"""They are caught in hundreds of states, and those take their time."""


@pytest.mark.parametrize("mutant", [each for each in MUTANTS if each.name not in SLOW], ids=lambda each: each.name)
def test_a_bug_is_caught(mutant):
    outcome = try_mutant(mutant, small())
    assert outcome.bad, f"in none of {outcome.states} states"
    assert outcome.bad < outcome.states, "a bug that shows everywhere proves little of the harness"


def test_nothing_is_caught_where_there_is_no_bug():
    outcome = try_mutant(NONE, small())
    assert outcome.bad == 0, outcome.laws
    assert outcome.states > 400
