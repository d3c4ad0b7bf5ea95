"""The brake after a cascade: what engages it, what belongs to it, what lets it go."""

import attrs
import pytest

from heartbeat_kit import CascadeBrake, CascadeDetected, FleetSilent, MachineStatus, Reason, Transition
from heartbeat_kit.testing import Fleet

NOW, WINDOW = 1_768_519_800_000, 300_000
CASCADE = CascadeDetected(
    id="c", observer="w", machine_ids=("m1", "m2"), began_at=NOW - 1, detected_at=NOW, threshold=1, window=WINDOW
)
ENGAGED = CascadeBrake().after(CASCADE)


def event(name, after, reason, at=NOW, **marks):
    return Transition(
        id=f"{name}-{after}", machine_id=name, before=MachineStatus.WARNING, after=after, reason=reason, observer="w",
        occurred_at=at, detected_at=at, **marks,
    )  # fmt: skip


def offline(name, at=NOW, **marks):
    return event(name, MachineStatus.OFFLINE, Reason.SILENT, at, **marks)


def online(name, **marks):
    return event(name, MachineStatus.ONLINE, Reason.RETURNED, **marks)


def fed(brake, *events):
    for each in events:
        brake = brake.after(each)
    return brake


def test_it_is_free_until_there_is_a_cascade():
    silence = FleetSilent(id="s", observer="w", machine_ids=("m1",), detected_at=NOW, believed_at=NOW + 1)
    assert not fed(CascadeBrake(), offline("m1"), offline("m2"), silence).engaged
    assert ENGAGED.engaged
    assert fed(ENGAGED, silence) == ENGAGED


def test_the_last_to_return_lets_it_go():
    one = fed(ENGAGED, offline("m1"), offline("m2"), online("m2"))
    assert one.down == {"m1"}
    assert not fed(one, online("m1")).engaged


@pytest.mark.parametrize("reason", [Reason.LEFT, Reason.REMOVED])
def test_who_left_or_was_removed_is_waited_for_no_longer(reason):
    assert fed(ENGAGED, event("m1", MachineStatus.OFFLINE, reason)).down == {"m2"}


@pytest.mark.parametrize(("after", "joins"), [(WINDOW - 1, True), (WINDOW, False)])
def test_who_follows_within_the_window_belongs_to_it(after, joins):
    assert ("m3" in fed(ENGAGED, offline("m3", NOW + after)).down) is joins


def test_a_warning_changes_nothing():
    assert fed(ENGAGED, event("m1", MachineStatus.WARNING, Reason.SILENT)) == ENGAGED


@pytest.mark.parametrize("mark", ["flapping", "suppressed"])
def test_marked_events_change_nothing(mark):
    marked = {mark: True}
    assert fed(ENGAGED, online("m1", **marked), online("m2", **marked), offline("m3", **marked)) == ENGAGED


def test_resume_lets_go_and_who_follows_does_not_engage_it_again():
    assert not fed(ENGAGED.resume(), offline("m3", NOW + 1)).engaged


def test_a_second_cascade_is_added_and_its_window_counts():
    later = attrs.evolve(CASCADE, machine_ids=("m3",), detected_at=NOW + WINDOW)
    brake = fed(ENGAGED, online("m1"), later, offline("m4", NOW + 2 * WINDOW - 1))
    assert brake.down == {"m2", "m3", "m4"}


def test_what_is_told_again_after_a_kill_changes_nothing():
    once = fed(CascadeBrake(), CASCADE, offline("m1"), offline("m2"))
    assert fed(once, CASCADE, offline("m1"), offline("m2")) == once


def test_a_real_fleet_that_recovers():
    with Fleet(8) as fleet:
        fleet.advance(60)
        for name in ("m1", "m2", "m3", "m4"):
            fleet.crash(name)
        fleet.advance(600)
        down = fed(CascadeBrake(), *fleet.events.events)
        for name in ("m1", "m2", "m3", "m4"):
            fleet.revive(name)
        fleet.advance(60)
        assert down.down == {"m1", "m2", "m3", "m4"}
        assert not fed(CascadeBrake(), *fleet.events.events).engaged
