"""More ways to lead the guards astray: long looks, local machines, scheduled observers, clocks that were ahead."""

import json
from datetime import timedelta

import pytest
from guard_values import DELAYING, FAST, UNDECLARED, Scene, short
from test_attacks_guards import NAMES, Scheduled, told

from heartbeat_kit import CascadeBrake, FleetSilent, Heartbeat, HeartbeatConfig
from heartbeat_kit._identity import default_host
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.lab import Recorder, Trace, recommend, replay

DAY = timedelta(days=1)


@pytest.fixture
def scheduled(tmp_path):
    return Scheduled(tmp_path)


def silences(events):
    return sum(isinstance(event, FleetSilent) for event in events)


class TestLongLooks:
    @pytest.mark.parametrize(
        ("hold", "every"), [(0, 600), (900, 1800), (900, 3600)], ids=["no hold", "half an hour", "an hour"]
    )
    @pytest.mark.parametrize("medium", [FAST, DELAYING], ids=["fast", "delaying"])
    def test_a_storage_that_is_back_buries_nobody_who_could_not_write(self, medium, hold, every):
        """It goes away right after a good look, everybody lives, and the observer looks first when it is back."""
        config = HeartbeatConfig(check_interval=timedelta(seconds=every), silence_hold=timedelta(seconds=hold))
        scene = Scene(medium, config)
        for _ in range(3):
            scene.live(every, "a", "b", look=False)
            scene.look()
        scene.storage.go_down()
        scene.clock.advance(every)
        scene.look()
        scene.clock.advance(every)
        scene.storage.come_back()
        scene.look()
        scene.live(300, "a", "b")
        assert scene.said == []


class TestMachinesOfTheObserversOwnHost:
    """One of them, `local`, beats all the time; it says nothing about the medium."""

    @pytest.fixture
    def live(self, scheduled):
        def live(seconds, *names, every=60):
            before = len(scheduled.heard)
            for passed in range(30, seconds + 1, 30):
                scheduled.clock.advance(30)
                scheduled.beat(*names)
                seq = passed + scheduled.clock.now().wall_ms
                stamp = scheduled.clock.now().wall_ms
                local = Heartbeat(
                    machine_id="local",
                    last_heartbeat=stamp,
                    incarnation=1,
                    seq=seq,
                    interval=30_000,
                    host=default_host(),
                )
                scheduled.storage.put(local)
                if passed % every == 0:
                    scheduled.look()
            return scheduled.heard[before:]

        live(300, "a", "b", "c")
        return live

    def test_those_who_are_late_after_a_silence_are_waited_for(self, live, scheduled):
        live(600)
        live(60, "a")
        live(300, "a", "b", "c")
        assert "offline" not in [*told(map(short, scheduled.heard), "b"), *told(map(short, scheduled.heard), "c")]

    @pytest.mark.parametrize("every", [60, 300])
    def test_a_silence_is_announced_once_by_a_scheduled_observer(self, live, every):
        assert silences(live(3600, every=every)) == 1

    def test_a_silence_is_announced_once_in_one_process(self):
        """`slow` is overdue when the silence of the others has been believed already; it is still the same one."""
        scene = Scene(DELAYING)

        def live(seconds, *names):
            for passed in range(30, seconds + 1, 30):
                scene.clock.advance(30)
                scene.beat("local", host="here")
                scene.beat(*names)
                if names and passed % 600 == 0:
                    scene.interval = 600_000
                    scene.beat("slow")
                    scene.interval = 30_000
                scene.look()

        live(1800, "a", "b")
        live(3 * 3600)
        assert silences(scene.heard.events) == 1

    def test_where_everybody_is_local_each_death_is_a_silence_of_its_own(self):
        scene = Scene(DELAYING)
        for seconds, names in ((300, "xy"), (600, "y"), (600, "xy"), (600, "y")):
            for _ in range(seconds // 30):
                scene.clock.advance(30)
                scene.beat(*names, host="here")
                scene.look()
        assert silences(scene.heard.events) == 2


class TestSilences:
    @pytest.mark.parametrize("every", [300, 1200])
    def test_records_cut_or_lost_meanwhile_make_no_other_silence(self, tmp_path, every):
        """Of a pause between two runs one timeout counts, so the last rise seems to come after the announcement."""
        job = Scheduled(tmp_path, HeartbeatConfig(silence_hold=timedelta(hours=3)))
        job.meet("a", "b", "c")
        before = len(job.heard)
        job.live(3 * every, every=every)
        job.lose("c", "empty")
        job.live(3 * every, every=every)
        job.lose("b", "gone")
        job.live(3 * every, every=every)
        assert silences(job.heard[before:]) == 1

    @pytest.mark.parametrize("seconds", [1080, 1140, 1200])
    def test_a_clock_set_back_hides_no_silence(self, seconds):
        """By the new clock everybody was heard last before the silence before was announced."""
        scene = Scene(DELAYING)
        scene.live(300, "a", "b")
        scene.live(600)
        scene.clock.jump_wall(-seconds)
        scene.live(600, "a", "b")
        scene.live(600)
        assert silences(scene.heard.events) == 2


class TestScheduled:
    @pytest.mark.parametrize("set_back", [False, True], ids=["", "clock set back"])
    @pytest.mark.parametrize("every", [60, 300])
    def test_who_was_dead_before_the_first_run_is_never_called_online(self, scheduled, every, set_back):
        """The first run notes the record, and the second takes the note for somebody's having seen it rise."""
        scheduled.beat("dead")
        scheduled.clock.advance(30 * DAY)
        scheduled.look()
        scheduled.clock.jump_wall(-3600 * set_back)
        assert told(scheduled.live(6000, "b", every=every), "dead") == ["offline"]

    def test_a_record_that_was_no_proof_of_life_is_none_at_the_next_run(self, scheduled):
        """Its last but one beat was noted long ago, and the last arrives an hour late: the stamp disagrees."""
        scheduled.meet("a", "b")
        scheduled.live(600, "a", "b")
        [path] = scheduled.folder.rglob("a.json")
        old = path.read_bytes()
        scheduled.beat("a")
        late = path.read_bytes()
        path.write_bytes(old)
        scheduled.live(7200, "b")
        path.write_bytes(late)
        assert told(scheduled.live(600, "b"), "a") == []

    @pytest.mark.parametrize("number", ["incarnation", "seq"])
    def test_a_note_that_no_record_can_reach_is_no_note(self, scheduled, number):
        """It would be newer than every record of that machine for ever, and no run would announce it again."""
        scheduled.meet("a", "b")
        [path] = scheduled.state.rglob("ledger.json")
        ledger = json.loads(path.read_text())
        ledger["observations"]["a"][number] = 10**30
        path.write_text(json.dumps(ledger))
        scheduled.live(600, "a", "b", every=60)
        assert "offline" in told(scheduled.live(2 * 3600, "b"), "a")


class TestAClockThatWasAhead:
    """For half an hour or two the clock of the observer is sixty days ahead; then it is right again."""

    def test_a_machine_removed_later_stays_removed(self, scheduled):
        """The time of the newest commit stays in the future, and every tombstone after it is too old at once."""
        scheduled.meet("a", "b")
        scheduled.clock.jump_wall(60 * DAY)
        scheduled.live(1800, "b")
        scheduled.live(600, "a", "b", every=60)
        scheduled.clock.jump_wall(-60 * DAY)
        scheduled.live(600, "a", "b", every=60)
        [path] = scheduled.folder.rglob("a.json")
        old = path.read_bytes()
        service = scheduled.service()
        service.check(force=True)
        service.remove("a")
        service.check(force=True)
        service.stop()
        scheduled.live(600, "b", every=60)
        path.write_bytes(old)
        assert told(scheduled.live(1800, "b", every=60), "a") == []

    def test_new_machines_are_met(self, scheduled):
        """A note of one who died meanwhile stays in the future, and what is noted of strangers is dropped at once."""
        scheduled.meet("a", "b")
        scheduled.clock.jump_wall(60 * DAY)
        scheduled.live(7200, "b")
        scheduled.clock.jump_wall(-60 * DAY)
        assert told(scheduled.live(3600, "b", "new"), "new") == ["online"]

    def test_the_brake_waits_for_nobody_who_fell_long_after(self):
        """By a clock that was set back by a day everything that happens for a day is before the end of the window."""
        scene, brake = Scene(FAST), CascadeBrake()
        scene.live(90, *NAMES)
        scene.live(600, *NAMES[4:])
        scene.clock.jump_wall(-DAY)
        scene.live(3600, *NAMES[1:])
        scene.live(600, *NAMES[1:7])
        for event in scene.heard.events:
            brake = brake.after(event)
        assert brake.down == {"m0"}


class TestReplay:
    @pytest.fixture
    def both(self, tmp_path):
        """What was announced live and in the replay: when, and by which id."""

        def both(medium, history):
            scene, path = Scene(medium), tmp_path / "trace"
            with Recorder(scene.service, path):
                history(scene)
            again = replay(Trace.load(path))
            said = scene.heard.events, (*again.transitions, *again.fleet_events)
            return [sorted((event.id, event.detected_at_ms) for event in events) for events in said]

        return both

    @pytest.mark.parametrize("medium", [FAST, DELAYING, UNDECLARED], ids=["fast", "delaying", "undeclared"])
    def test_a_look_that_fails_early_is_replayed_when_it_failed(self, both, medium):
        """Live, the second until it failed counts as watched; a trace says only that some look failed."""

        def history(scene):
            scene.live(90, "a", "b")
            for _ in range(60):
                scene.live(30, "b")
                scene.clock.advance(1)
                scene.storage.fail("load")
                scene.look()
                scene.clock.advance(29)
                scene.beat("b")
                scene.look()

        live, again = both(medium, history)
        assert live == again

    def test_a_peer_that_is_given_a_new_host_name_at_each_restart_is_measured(self, both):
        """Live, no delay of it is measured for twenty minutes after each; a trace does not name hosts."""

        def history(scene):
            scene.live(1200, "b")
            for beat in range(200):
                scene.clock.advance(29)
                stamp = scene.clock.now().wall_ms - (0, 5_000, 0, 40_000, 0, 80_000, 0)[beat % 7]
                scene.storage.inner.put(
                    Heartbeat(
                        machine_id="a",
                        last_heartbeat=stamp,
                        incarnation=1,
                        seq=beat + 1,
                        interval=30_000,
                        host=f"container-{beat // 30}",
                    )
                )
                scene.clock.advance(1)
                scene.beat("b")
                scene.look()
            scene.live(1200, "b")

        live, again = both(UNDECLARED, history)
        assert live == again


def test_what_was_tried_on_a_trace_that_looks_the_same_is_refused():
    """As many machines, as many looks, as long: but in the other one `a` falls silent again and again."""
    every, steady = timedelta(seconds=30), range(0, 6000, 30)
    uneven = [stamp for stamp in steady if stamp % 1500 < 900 or stamp > 5900]
    quiet, other = (Trace.of_timestamps({"a": beats, "b": steady}, interval=every) for beats in (steady, uneven))
    with pytest.raises(InvalidConfigurationError, match="tried"):
        recommend(other, tried=recommend(quiet).sweep)
