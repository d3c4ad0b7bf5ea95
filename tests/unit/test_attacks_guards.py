"""Ways in which the guards were led astray, by a whole service; each test says what ought to hold."""

from datetime import timedelta

import pytest
from guard_values import DELAYING, FAST, Scene, short

from heartbeat_kit import CascadeBrake, FleetSilent, Heartbeat, HeartbeatConfig, HeartbeatService
from heartbeat_kit.storage import SharedFolderStorage
from heartbeat_kit.testing import FakeClock

HOUR = timedelta(hours=1)


class Scheduled:
    """A synced folder, machines that beat into it, and an observer that is a new process at every look."""

    def __init__(self, place, config=None):
        self.folder, self.state, self.config = place / "share", place / "state", config
        self.folder.mkdir()
        self.clock, self.heard, self.seen, self._beats = FakeClock(), [], None, {}
        self.storage = self.opened()

    def opened(self):
        return SharedFolderStorage(self.folder, propagation_delay=timedelta(seconds=60))

    def service(self):
        made = HeartbeatService(
            self.opened(), self.config, clock=self.clock, machine_id="watcher", state_dir=self.state
        )
        made.subscribe(self.heard.append)
        return made

    def beat(self, *names, interval=30_000):
        for name in names:
            seq = self._beats[name] = self._beats.get(name, 0) + 1
            stamp = self.clock.now().wall_ms
            self.storage.put(
                Heartbeat(machine_id=name, last_heartbeat=stamp, incarnation=1, seq=seq, interval=interval)
            )

    def look(self):
        service = self.service()
        service.check(force=True)
        self.seen = service.state()
        service.stop()
        service.storage.close()

    def live(self, seconds, *names, every=300):
        """Time passes, those named beat every half minute at most, and the job runs; what it announced."""
        before, step = len(self.heard), min(every, 30) if names else every
        for passed in range(step, seconds + 1, step):
            self.clock.advance(step)
            self.beat(*names)
            if passed % every == 0:
                self.look()
        return [short(event) for event in self.heard[before:]]

    def meet(self, *names):
        """Everybody is met, and looked at twice without a beat in between, so that everybody is announced."""
        for _ in range(2):
            self.live(60, *names, every=60)
            self.look()

    def lose(self, name, how):
        """Its record is deleted, or has no bytes any more."""
        [path] = self.folder.rglob(f"{name}.json")
        if how == "gone":
            path.unlink()
        else:
            path.write_bytes(b"")


@pytest.fixture
def scheduled(tmp_path):
    return Scheduled(tmp_path)


def told(events, name):
    return [event[1] for event in events if event[0] == name]


@pytest.mark.parametrize("medium", [FAST, DELAYING], ids=["fast", "delaying"])
@pytest.mark.parametrize("trouble", ["blind", "suspended"])
def test_a_death_is_found_by_an_observer_that_is_disturbed_again_and_again(medium, trouble):
    """A mount that fails in every fourth look, a laptop that sleeps every two minutes: each is given T to settle."""
    scene = Scene(medium)
    scene.live(90, "a", "b")
    for _ in range(90):
        scene.live(90, "b")
        if trouble == "blind":
            scene.storage.fail("load")
            scene.live(30, "b")
        else:
            scene.clock.suspend(30)
            scene.live(30, "b")
    assert ("a", "offline") in scene.said


@pytest.mark.parametrize("medium", [FAST, DELAYING], ids=["fast", "delaying"])
def test_a_death_is_found_by_an_observer_that_sees_every_other_time(medium):
    scene = Scene(medium)
    scene.live(90, "a", "b")
    for _ in range(120):
        scene.live(30, "b")
        scene.storage.fail("load")
        scene.live(30, "b")
    assert ("a", "offline") in scene.said
    assert not [event for event in scene.said if event[0] == "b"]


def test_a_scheduled_observer_that_wants_confirmation_finds_a_death(tmp_path):
    job = Scheduled(tmp_path, HeartbeatConfig(confirm_offline=3))
    job.meet("a", "b")
    job.live(6 * 3600, "b")
    assert job.seen["a"].status == "offline"


def test_a_scheduled_observer_announces_a_return(scheduled):
    """At every run the record is newer than the one the run before noted; that is a rise, only nobody was there."""
    scheduled.meet("a", "b")
    scheduled.live(3600, "b")
    assert "offline" in told(map(short, scheduled.heard), "a")
    assert "online" in told(scheduled.live(3600, "a", "b"), "a")


def test_a_scheduled_observer_announces_who_is_there_before_it_dies(scheduled):
    assert told(scheduled.live(3600, "a"), "a") == ["online"]


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_a_scheduled_observer_does_not_show_a_lost_record_as_online_for_ever(scheduled, damage):
    """Each run begins the silence anew, because nothing is noted of a machine whose record was not read."""
    scheduled.meet("a", "b")
    scheduled.lose("a", damage)
    events = scheduled.live(6 * 3600, "b")
    assert "offline" in told(events, "a")


def test_a_scheduled_observer_waits_for_those_who_are_late_after_a_silence(scheduled):
    """The medium stood still for ten minutes; `a` arrives before one run, `b` and `c` before the next."""
    scheduled.meet("a", "b", "c")
    scheduled.live(600, every=60)
    scheduled.live(60, "a", every=60)
    scheduled.live(300, "a", "b", "c", every=60)
    assert "offline" not in [*told(map(short, scheduled.heard), "b"), *told(map(short, scheduled.heard), "c")]


def test_a_scheduled_observer_whose_clock_is_set_back_finds_a_death_all_the_same(scheduled):
    """Until the clock has caught up with what was noted, no run counts any silence."""
    scheduled.meet("a", "b")
    scheduled.clock.jump_wall(-HOUR * 6)
    scheduled.live(2 * 3600, "b")
    assert scheduled.seen["a"].status == "offline"


@pytest.mark.parametrize("damage", ["gone", "empty"])
def test_a_restart_while_the_record_of_a_slow_machine_is_away_buries_nobody(scheduled, damage):
    """It promises a beat every ten minutes; a new process knows that from its notes."""
    for _ in range(4):
        scheduled.beat("slow", interval=600_000)
        scheduled.live(600, "b")
    scheduled.lose("slow", damage)
    scheduled.live(1500, "b")
    assert told(map(short, scheduled.heard), "slow") == ["online"]


def test_two_processes_that_share_a_ledger_announce_one_silence_once(scheduled):
    """One knows the record of `c` from before it was cut, one does not: each names the silence after what it knows."""
    lasting = scheduled.service()
    for _ in range(10):
        scheduled.clock.advance(30)
        scheduled.beat("a", "b", "c")
        lasting.check(force=True)
    scheduled.lose("c", "empty")
    for _ in range(10):
        scheduled.clock.advance(60)
        lasting.check(force=True)
        scheduled.look()
    assert sum(isinstance(event, FleetSilent) for event in scheduled.heard) == 1


def test_a_silence_after_an_outage_in_which_nobody_was_heard_says_so():
    """The mark for "never" is moved out with the time that was lost, and read as a time in the year 1."""
    scene = Scene(DELAYING)
    scene.live(90, "a", "b")
    scene.restart()
    scene.look()
    scene.storage.fail("load")
    scene.live(60)
    scene.live(1800)
    [silence] = [event for event in scene.heard.events if isinstance(event, FleetSilent)]
    assert silence.last_heard is None


@pytest.mark.parametrize(
    ("config", "interval"),
    [(None, 600_000), (HeartbeatConfig(silence_hold=timedelta(seconds=30)), 30_000)],
    ids=["slow machines", "a short hold"],
)
def test_a_silence_is_believed_when_it_says(config, interval):
    """Nobody is offline before the offline deadline, however short the hold is."""
    scene = Scene(DELAYING, config, interval=interval)
    scene.live(1200, "a", step=600)
    scene.live(4 * 3600)
    [silence] = [event for event in scene.heard.events if isinstance(event, FleetSilent)]
    [offline] = [event for event in scene.heard.events if getattr(event, "after", "") == "offline"]
    assert abs((offline.detected_at - silence.believed_at).in_seconds()) <= 60


NAMES = [f"m{number}" for number in range(8)]


def cascades(scene):
    return sum(event[0] == "CascadeDetected" for event in scene.said)


def test_a_clock_set_back_hides_no_cascade():
    """The last one is announced "in the future" for an hour, and no other one can follow it."""
    scene = Scene(FAST)
    scene.live(90, *NAMES)
    scene.live(600, *NAMES[4:])
    scene.clock.jump_wall(-HOUR)
    scene.live(1200, *NAMES)
    scene.live(600, *NAMES[:4])
    assert cascades(scene) == 2


def test_a_clock_set_back_makes_no_cascade():
    """Three fell half an hour ago, by a clock that was an hour ahead; one falls now."""
    scene = Scene(FAST)
    scene.live(90, *NAMES)
    scene.live(600, *NAMES[3:])
    scene.clock.jump_wall(-HOUR)
    scene.live(1800, *NAMES[3:])
    scene.live(600, *NAMES[4:])
    assert cascades(scene) == 0


def maintain(scene, name, length=HOUR):
    now = scene.clock.now_utc
    scene.service.maintenance(name, now, now + length)


def test_the_brake_lets_go_of_machines_that_were_removed_in_maintenance():
    """A removal inside a window is announced with the mark only, so whoever waits for a plain one waits for ever."""
    scene, brake = Scene(FAST), CascadeBrake()
    scene.live(90, *NAMES)
    scene.live(600, *NAMES[4:])
    for name in NAMES[:4]:
        maintain(scene, name)
        scene.service.remove(name)
    scene.live(4000, *NAMES[4:])
    for event in scene.heard.events:
        brake = brake.after(event)
    assert not brake.engaged


def test_another_machine_of_the_observer_s_own_host_proves_nothing_about_the_medium():
    """Its record is on our own disk too: it goes on rising while the sync client of this host stands still."""
    scene = Scene(DELAYING)
    for _ in range(10):
        scene.beat("far-1", "far-2", host="far")
        scene.beat("watcher", "local", host="here")
        scene.live(30)
    for _ in range(24):
        scene.beat("watcher", "local", host="here")
        scene.live(30)
    assert not [event for event in scene.said if event[1] == "offline"]


def test_an_explanation_holds_no_control_characters():
    """A reason is free text from another process, and `explain()` is printed on terminals."""
    scene = Scene(FAST)
    scene.live(60, "a")
    now = scene.clock.now_utc
    scene.service.maintenance("a", now, now + HOUR, "\x1b[2Jdisk\r\n")
    assert scene.service.state()["a"].explain().isprintable()
