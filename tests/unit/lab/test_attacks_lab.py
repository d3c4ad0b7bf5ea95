"""Ways to ask the laboratory for what cannot be; each must be refused by name, none may give a wrong figure."""

from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab import IdentityClone, Medium, Skew, Trace, recommend, simulate, sweep

TRACE = Trace.of_timestamps({"web-1": range(0, 600, 30)}, interval=timedelta(seconds=30))


def clone(at, until, of="m2"):
    return IdentityClone("twin", at=at, until=until, clone_of=of)


@pytest.mark.parametrize(
    ("faults", "word"),
    [
        ((clone(60, 600), clone(300, 900)), "beats already"),
        ((clone(60, 600), clone(60, 90)), "beats already"),
        ((clone(60, 600), clone(700, 900, of="m1")), "one id"),
        ((Skew("m1", 5), Skew("m1", 10)), "two skews"),
    ],
    ids=["overlapping clones", "clones at one moment", "one host as two machines", "two skews"],
)
def test_faults_that_contradict_each_other_are_refused(faults, word):
    """The run would bring about something else than `Run.alive` says, and score the difference as mistakes."""
    with pytest.raises(InvalidConfigurationError, match=word):
        simulate(3, Medium.coherent(), faults, duration=1200)


def test_a_clone_may_come_back_and_two_hosts_may_be_clones():
    other = IdentityClone("triplet", at=300, until=800, clone_of="m1")
    faults = (clone(60, 300), clone(300, 900), other, Skew("m1", 5), Skew("m2", 5))
    assert simulate(3, Medium.coherent(), faults, duration=1200).quality().mistakes == 0


@pytest.mark.parametrize("medium", [None, "cloud"])
def test_what_is_no_medium_is_refused(medium):
    with pytest.raises(InvalidConfigurationError, match="Medium"):
        simulate(2, medium, duration=60)


def test_a_directory_that_is_a_file_is_refused(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(InvalidConfigurationError, match="directory"):
        simulate(2, Medium.coherent(), duration=60, directory=tmp_path / "file")


@pytest.mark.parametrize(
    "ask",
    [lambda: sweep(TRACE, HeartbeatConfig()), lambda: recommend(TRACE, intervals=timedelta(minutes=1))],
    ids=["sweep", "recommend"],
)
def test_one_where_several_are_expected_is_refused(ask):
    with pytest.raises(InvalidConfigurationError, match="expected several"):
        ask()


def test_two_settings_of_one_name_are_refused():
    """A table with two rows of one name cannot be read, and `Sweep[name]` would answer with the first."""
    with pytest.raises(InvalidConfigurationError, match="two settings are called"):
        sweep(TRACE, [HeartbeatConfig(silence_hold=timedelta(minutes=minutes)) for minutes in (5, 15)])


def test_two_settings_of_one_name_have_names_of_their_own_in_a_mapping():
    found = sweep(TRACE, {f"hold {n}": HeartbeatConfig(silence_hold=timedelta(minutes=n)) for n in (5, 15)})
    assert [row.name for row in found] == ["hold 5", "hold 15"]
