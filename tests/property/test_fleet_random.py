"""Whatever happens to the observer and to clocks: no false death, and every real one found once and in time."""

from datetime import timedelta

from hypothesis import given, settings
from hypothesis import strategies as st

from heartbeat_kit import MachineStatus
from heartbeat_kit.testing import Fleet

T, LOOK = 120, 30
SECONDS = st.integers(1, 900)
MEDIA = st.sampled_from([0, 5, 60])
EVERYBODY = st.sampled_from(["m1", "m2", "observer"])
SKEW = st.tuples(st.just("skew"), st.integers(-4_000, 4_000), EVERYBODY)
HARMLESS = st.lists(
    st.one_of(
        st.tuples(st.just("advance"), SECONDS, st.none()),
        SKEW,
        st.tuples(st.sampled_from(["stall_observer", "partition"]), SECONDS, st.none()),
        st.tuples(st.just("suspend_observer"), st.sampled_from([3, 20, 300, 8 * 3600]), st.none()),
    ),
    max_size=12,
)


def fleet_of(machines, delay):
    return Fleet(machines, propagation_delay=timedelta(seconds=delay))


def let(fleet, happenings):
    """Let things happen; a partition of the observer lasts as long as is said, a stall may overlap what follows."""
    for word, seconds, who in happenings:
        if word == "skew":
            fleet.skew(who, seconds)
        elif word == "partition":
            fleet.partition("observer")
            fleet.advance(seconds)
            fleet.heal("observer")
        else:
            getattr(fleet, word)(seconds)


def offline(fleet):
    return [event.machine_id for event in fleet.events.events if event.after is MachineStatus.OFFLINE]


@settings(max_examples=60, deadline=None)
@given(delay=MEDIA, happenings=HARMLESS)
def test_nobody_who_beats_is_ever_announced_as_silent(delay, happenings):
    """Neither offline nor warning, during the disturbances or in the hour after them; and each comes just once."""
    with fleet_of(2, delay) as fleet:
        let(fleet, happenings)
        fleet.advance(3600)
        assert sorted(fleet.events.changes) == [("m1", "online"), ("m2", "online"), ("observer", "online")]
        assert set(fleet.statuses().values()) == {MachineStatus.ONLINE}


@settings(max_examples=60, deadline=None)
@given(delay=MEDIA, before=HARMLESS, skew=SKEW, revived_after=st.one_of(st.none(), SECONDS))
def test_a_death_is_found_in_time_and_announced_once(delay, before, skew, revived_after):
    """Its last record is seen at most a delay and a look after the death, its silence is believed 2T + delay later.

    A look more finds that out. The observer must be able to judge: what disturbed it before is over, or its settle
    period runs out meanwhile, because that is one T.
    """
    with fleet_of(2, delay) as fleet:
        let(fleet, before)
        fleet.advance(900)  # the longest stall, begun last, is over by then
        fleet.crash("m1")
        died = fleet.elapsed
        fleet.advance(1)
        let(fleet, [skew] if skew[2] != "observer" else [])
        fleet.advance(delay + LOOK + 2 * T + delay + LOOK - 1)
        assert offline(fleet) == ["m1"]
        found = fleet.timeline("m1")[-1]
        assert found[1] is MachineStatus.OFFLINE
        assert found[0] - died >= 2 * T - LOOK  # and not before its time
        fleet.advance(3600)
        assert offline(fleet) == ["m1"]
        if revived_after is not None:
            fleet.revive("m1")
            fleet.advance(revived_after + delay + LOOK)
            # No word of the warning here: who was never seen to rise before it died is announced as offline at once.
            assert [str(status) for _, status in fleet.timeline("m1")][-2:] == ["offline", "online"]
        assert len(set(fleet.events.ids)) == len(fleet.events.ids)


@settings(max_examples=40, deadline=None)
@given(delay=MEDIA, after=HARMLESS)
def test_a_death_amid_disturbances_is_found_once_after_them(delay, after):
    """Time in which nobody could look does not count, and a settle period may follow; then it is found, once."""
    with fleet_of(2, delay) as fleet:
        fleet.advance(300)
        fleet.crash("m1")
        let(fleet, after)
        stalls = sum(seconds for word, seconds, _ in after if word == "stall_observer")
        fleet.advance(stalls + delay + LOOK + 2 * T + delay + LOOK + T)
        assert offline(fleet) == ["m1"]
        assert [status for name, status in fleet.events.changes if name != "m1"] == ["online", "online"]
