"""Truth across restarts: what a process that runs only now and then may say of others, on a folder of several hosts."""

from datetime import timedelta

import pytest

from heartbeat_kit import Basis, HeartbeatService, MachineStatus, SharedFolderStorage
from heartbeat_kit.testing import FakeClock

INSTANT = timedelta(0)
SKEWS = [0, 600, -600]


class Site:
    """A folder, a true clock, a watcher that is a new process each time, and a machine on another host."""

    def __init__(self, folder, state_dir, skew=0):
        self.folder, self.state_dir = folder, state_dir
        self.clock, self.others_clock = FakeClock(), FakeClock()
        self.others_clock.jump_wall(skew)
        self.events = []

    def storage(self):
        return SharedFolderStorage(self.folder, create=True, propagation_delay=INSTANT)

    def wait(self, seconds):
        self.clock.advance(seconds)
        self.others_clock.advance(seconds)

    def beat(self):
        HeartbeatService(self.storage(), clock=self.others_clock, machine_id="web-1", host="elsewhere").register()

    def watcher(self):
        return HeartbeatService(
            self.storage(), clock=self.clock, machine_id="watcher", host="here", state_dir=self.state_dir
        )

    def state(self):
        return self.watcher().state()["web-1"]

    def check(self):
        service = self.watcher()
        self.events += [(event.machine_id, str(event.after)) for event in service.check(force=True).transitions]
        return service.state()["web-1"]

    def pass_time(self, seconds, *, beats=True):
        """The machine beats every 30 s meanwhile, or not."""
        for turn in range(seconds // 5):
            self.wait(5)
            if beats and turn % 6 == 0:
                self.beat()

    def measure(self):
        """A few looks close together: how far the clocks are apart is known then."""
        for _ in range(3):
            self.beat()
            self.check()
            self.wait(25)

    def of(self, machine_id="web-1"):
        return [after for name, after in self.events if name == machine_id]


@pytest.fixture
def site(tmp_path, request):
    return Site(tmp_path / "share", tmp_path / "state", getattr(request, "param", 0))


def test_whom_nobody_saw_beat_does_not_beat_because_the_observer_restarts(site):
    """Once met, a dead machine's record was taken for a live one's by the next process."""
    site.beat()
    site.wait(600)
    for _ in range(3):
        seen = site.check()
        assert (seen.status, seen.basis, seen.reason) == (MachineStatus.OFFLINE, Basis.SENDER, "unconfirmed")
        site.wait(2)
    assert site.of() == []


def test_but_watched_for_a_whole_deadline_in_all_it_is_offline_and_announced_once(site):
    """A job every minute finds a death, though none of its processes lives for as long as the deadline."""
    site.beat()
    site.wait(600)
    for _ in range(10):
        seen = site.check()
        site.wait(60)
    assert (seen.status, seen.basis) == (MachineStatus.OFFLINE, Basis.LEDGER)
    assert site.of() == ["offline"]


@pytest.mark.parametrize("skew", SKEWS)
def test_after_everybody_died_a_single_look_does_not_say_that_they_beat(tmp_path, skew):
    """It was said for as long as the hold, by every look that noted nothing."""
    site = Site(tmp_path / "share", tmp_path / "state", skew)
    for _ in range(10):
        site.beat()
        site.check()
        site.wait(20)
    site.beat()  # the last one, which nobody noted
    for silent in range(20, 1_200, 20):
        site.wait(20)
        seen = site.state()
        if silent < (120 if skew >= 0 else 100):  # how slow a clock is is known but for the time between two looks
            assert (seen.status, seen.basis) == (MachineStatus.ONLINE, Basis.LEDGER)
        else:
            assert (seen.basis, seen.reason) in ((Basis.SENDER, "unconfirmed"), (Basis.SENDER, "future_stamp"))


@pytest.mark.parametrize("skew", SKEWS)
@pytest.mark.parametrize("every", [60, 300, 3_600])
def test_a_living_machine_is_online_for_a_job_however_wrong_its_clock_is(tmp_path, skew, every):
    site = Site(tmp_path / "share", tmp_path / "state", skew)
    site.measure()
    for _ in range(6):
        site.pass_time(every)
        seen = site.check()
    assert (seen.status, seen.basis) == (MachineStatus.ONLINE, Basis.LEDGER)
    assert set(site.of()) <= {"online"}


@pytest.mark.parametrize("skew", SKEWS)
def test_of_a_clock_that_was_never_measured_a_job_every_hour_announces_no_death(tmp_path, skew):
    """It cannot tell a clock that is ten minutes slow from a machine that beat for fifty minutes and died."""
    site = Site(tmp_path / "share", tmp_path / "state", skew)
    for _ in range(6):
        site.pass_time(3_600)
        seen = site.check()
    assert site.of() == (["online"] if skew == 0 else [])
    assert (seen.basis is Basis.SENDER) == (skew != 0)


def test_a_machine_that_beats_by_day_is_not_online_every_morning_before_it_starts(site):
    """The age of its last record was taken for the error of its clock, and all later ones believed by that."""
    for _ in range(4):
        site.pass_time(3_600)
        site.wait(15 * 3_600)
        assert (site.state().status, site.check().basis) == (MachineStatus.OFFLINE, Basis.SENDER)
    assert site.of() == []


def test_what_is_believed_by_its_stamp_makes_no_older_stamp_believable(site):
    """Each run allowed for a timeout more, until the dead were online."""
    site.measure()
    for times in range(1, 8):
        site.pass_time(600)
        site.wait(80 * times)
        seen = site.check()
        assert (seen.status is MachineStatus.ONLINE) == (times == 1), times
    assert "online" not in site.of()[1:]


def test_a_clock_that_starts_where_it_stood_days_ago_brings_nobody_back(site):
    """A note looks young by it; but a stamp that lies hours ahead shows that it lost them."""
    site.measure()
    site.pass_time(3_600)
    site.wait(3 * 86_400)
    site.clock.jump_wall(-3 * 86_400 - 3_600)
    assert site.state().status is not MachineStatus.ONLINE
    assert site.check().status is not MachineStatus.ONLINE
    assert site.of()[1:] == []


@pytest.mark.parametrize("skew", SKEWS)
def test_a_return_between_two_jobs_far_apart_is_announced_however_wrong_its_clock_is(tmp_path, skew):
    """How far the clock is off is remembered through a long silence, of which only some was counted."""
    site = Site(tmp_path / "share", tmp_path / "state", skew)
    site.measure()
    for beats in (True, True, False, False, False, False, True):
        site.pass_time(3_600, beats=beats)
        site.check()
    assert site.of()[-2:] == ["offline", "online"]


@pytest.mark.parametrize("skew", SKEWS)
def test_a_death_between_two_jobs_is_found_and_announced_once(tmp_path, skew):
    site = Site(tmp_path / "share", tmp_path / "state", skew)
    for _ in range(5):
        site.beat()
        site.check()
        site.wait(25)
    site.beat()
    for _ in range(8):
        site.wait(300)
        seen = site.check()
    assert seen.status is MachineStatus.OFFLINE
    assert site.of()[-1] == "offline"
    assert site.of().count("offline") == 1


def test_the_silence_of_one_that_was_announced_goes_on_growing(site):
    """It stood still, because of the time in which nobody ran at most one timeout is counted."""
    for _ in range(3):
        site.beat()
        site.check()
        site.wait(25)
    for _ in range(6):
        site.wait(120)
        site.check()
    before = site.state().age
    site.wait(3_600)
    assert site.state().age - before == timedelta(seconds=3_600)
    assert site.of().count("offline") == 1


@pytest.mark.parametrize("offset", [0, 5, 14])
def test_two_hosts_that_beat_in_step_under_one_id_find_out(tmp_path, caplog, offset):
    """Each look found the same one of them, because looks and beats have one period; but the beats met each other."""
    clock, services = FakeClock(), []
    for host in ("rack-a", "rack-b"):
        storage = SharedFolderStorage(tmp_path / "share", create=True, propagation_delay=INSTANT)
        services.append(
            HeartbeatService(storage, clock=clock, machine_id="web-1", host=host, state_dir=tmp_path / host)
        )
        services[-1].start()
        clock.advance(offset)
    clock.advance(300)
    for service in services:
        conflict = service.state()["web-1"].identity_conflict
        assert "'rack-a'" in conflict
        assert "'rack-b'" in conflict
    assert caplog.text.count("identity conflict of web-1") == len(services)
    services[1].stop()
    clock.advance(3_000)
    assert services[0].state()["web-1"].identity_conflict is None
    services[0].stop()


def test_a_machine_that_moved_is_no_conflict(tmp_path):
    clock = FakeClock()
    for host in ("rack-a", "rack-b"):
        storage = SharedFolderStorage(tmp_path / "share", create=True, propagation_delay=INSTANT)
        service = HeartbeatService(storage, clock=clock, machine_id="web-1", host=host, state_dir=tmp_path / host)
        service.start()
        clock.advance(300)
        assert service.state()["web-1"].identity_conflict is None
        service.stop()
