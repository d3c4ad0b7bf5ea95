"""Machines that should be there and never beat: listed, never announced."""

from datetime import timedelta

import attrs
import pytest
from guard_values import DELAYING, FAST, Scene
from look_values import LOCAL, REMOTE, SLOW, START, Observer, beat

from heartbeat_kit import HeartbeatConfig

MEDIA = pytest.mark.parametrize("timing", [LOCAL, REMOTE, SLOW], ids=["local", "remote", "slow"])
BOTH = pytest.mark.parametrize("traits", [FAST, DELAYING], ids=["coherent", "synced"])
EXPECTING = HeartbeatConfig(expected=["web-1", "web-2"])


@MEDIA
def test_it_is_unknown_from_the_first_look_on_and_never_an_event(timing):
    observer = Observer(attrs.evolve(timing, expected=frozenset({"web-1"})))
    for seconds in range(0, 2_000, 30):
        assert observer.look(seconds) == []
        assert observer.verdict() == "unknown"
        assert observer.memory.troubled == {"web-1": "unknown"}


@MEDIA
def test_it_is_no_part_of_a_silence(timing):
    """Who was never heard cannot fall silent."""
    observer = Observer(attrs.evolve(timing, expected=frozenset({"web-1"})))
    for seconds in range(0, 1_000, 30):
        observer.look(seconds, beat("web-2", seq=seconds + 1, at=START + seconds * 1000))
    assert observer.memory.silence is None
    assert [event.machine_id for event in observer.events] == ["web-2"]


@BOTH
class TestService:
    def test_people_see_it(self, traits):
        """In the state with a reason, in the report, in the counts, in words."""
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1")
        report, state = scene.look(), scene.service.state()
        assert report.unknown == ("web-2",)
        assert report.statistics.unknown_count == 1
        assert report.statistics.total_machines == 2
        assert (str(state["web-2"].status), state["web-2"].reason) == ("unknown", "expected")
        assert "is expected and was never seen to beat" in state["web-2"].explain()
        assert [each.machine_id for each in state.unknown] == ["web-2"]
        assert state["web-2"].heartbeat is None

    def test_nothing_is_announced_of_it(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(3_000, "web-1")
        assert {event.machine_id for event in scene.heard.events} == {"web-1"}
        assert scene.health == "ok"

    def test_nor_after_a_restart(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1")
        scene.restart()
        scene.live(600, "web-1")
        assert scene.look().unknown == ("web-2",)
        assert {event.machine_id for event in scene.heard.events} == {"web-1"}

    def test_its_first_beat_registers_it(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1")
        scene.beat("web-2")
        assert scene.look().unknown == ()
        scene.live(60, "web-1", "web-2")
        assert [str(event.reason) for event in scene.heard.of("web-2")] == ["first_seen"]
        assert scene.service.state()["web-2"].reason == "beating"

    def test_from_then_on_it_is_one_like_any_other(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1", "web-2")
        scene.live(600, "web-1")
        assert [str(event.after) for event in scene.heard.of("web-2")] == ["online", "warning", "offline"]

    def test_reconfigure_adds_and_removes_it(self, traits):
        scene = Scene(traits)
        scene.live(60, "web-1")
        assert scene.look().unknown == ()
        scene.service.reconfigure(expected=["web-2", "web-3"])
        assert scene.look().unknown == ("web-2", "web-3")
        scene.service.reconfigure(expected=["web-3"])
        assert scene.look().unknown == ("web-3",)
        scene.service.reconfigure(expected=[])
        assert scene.look().unknown == ()
        assert "web-3" not in scene.service.state()
        assert scene.service.state().statistics.total_machines == 1
        assert {event.machine_id for event in scene.heard.events} == {"web-1"}

    def test_remove_hides_it_until_it_beats(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1")
        assert scene.service.remove("web-2") is False
        assert scene.look().unknown == ()
        assert "web-2" not in scene.service.state()
        scene.live(60, "web-1", "web-2")
        assert [str(event.reason) for event in scene.heard.of("web-2")] == ["first_seen"]

    def test_one_that_beat_and_was_removed_is_expected_again(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1", "web-2")
        assert scene.service.remove("web-2")
        scene.live(90, "web-1")
        assert scene.look().unknown == ("web-2",)
        assert [str(event.reason) for event in scene.heard.of("web-2")] == ["first_seen", "removed"]
        assert scene.service.state()["web-2"].reason == "expected"

    def test_a_record_that_cannot_be_read_is_that(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1")
        scene.storage.corrupt("web-2", "cut")
        scene.beat("web-2")
        scene.look()
        assert scene.service.state()["web-2"].reason == "unreadable"
        assert scene.look().unknown == ("web-2",)

    def test_blind_it_is_still_listed(self, traits):
        scene = Scene(traits, EXPECTING)
        scene.live(60, "web-1")
        scene.storage.go_down("away")
        report = scene.look()
        assert (str(report.observer.health), report.unknown) == ("blind", ("web-2",))


def test_nobody_is_pruned_for_having_never_beaten():
    scene = Scene(FAST, EXPECTING)
    scene.live(60, "web-1")
    assert scene.service.prune(timedelta(0)) == ()
    assert scene.look().unknown == ("web-2",)
