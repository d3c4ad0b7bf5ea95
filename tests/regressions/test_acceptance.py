"""The acceptance of the whole: two days on a synced folder with everything that happens there.

Six machines that all observe each other, 5 to 60 s of delay, two stalls a day of each observer, 0-byte reads,
conflict copies, records that go back, a clock ten minutes off, a daylight-saving change there and back, one suspend,
a short cut, a full disk, and one real death.
"""

from datetime import timedelta

import pytest
from acceptance import SLOWEST, acceptance, turmoil

from heartbeat_kit import HeartbeatConfig
from heartbeat_kit._times import span_ms


def must_hold(found):
    """No false offline, nothing told twice, nobody missed, and the death found in time."""
    assert not found.false_offline, str(found)
    assert found.duplicates == 0, str(found)
    assert found.missed == 0, str(found)
    assert found.found_after.keys() == {"m1", "m2", "m3", "m4", "m6"}, str(found)
    # Timeout, allowance and one look, counted from when the last beat came in: it was up to `SLOWEST` on its way.
    late = {
        name: found.found_after[name] for name in found.undisturbed if found.found_after[name] > found.bound + SLOWEST
    }
    assert not late, str(found)


@pytest.mark.parametrize("seed", [*range(3), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(3, 20))])
def test_two_days_of_a_synced_folder(seed):
    must_hold(acceptance(seed))


def test_a_measured_allowance_does_it_too():
    must_hold(acceptance(1, propagation_delay=None))


def test_timeouts_far_shorter_than_the_stalls():
    """Two minutes of patience against stalls of ten: only the guards stand between them and a false alarm."""
    must_hold(acceptance(1, hours=24, config=HeartbeatConfig()))


def test_the_run_is_hard_enough():
    """The same with the hold of a silent fleet switched off: the living are buried."""
    found = acceptance(0, hours=12, config=HeartbeatConfig(silence_hold=timedelta(0)))
    assert len(found.false_offline) >= 5


@pytest.mark.parametrize("seed", [*range(5), *(pytest.param(seed, marks=pytest.mark.slow) for seed in range(5, 20))])
def test_whatever_happens_the_living_are_not_buried(seed):
    """A death that was over before it was noticed may be announced while the news of the return is on its way."""
    run = turmoil(seed, hours=12)
    slowest_ms = max(max(delays) for delays in run.delays.values()) + span_ms(run.config.heartbeat_interval)
    assert not [mistake for mistake in run.mistakes() if mistake.alive_for_ms > slowest_ms]
    assert (run.quality().duplicates, run.quality().missed) == (0, 0)
    assert run.quality().detections > 10


def test_real_folders(tmp_path):
    """Four hours on six real folders tell the same story as in memory, to the byte."""
    found = acceptance(7, hours=4, directory=tmp_path)
    must_hold(found)
    assert found.run.digest == acceptance(7, hours=4).run.digest
