"""Syncing by itself: what counts, who acts, and when it waits."""

from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_kit import HeartbeatConfig, HeartbeatService, MemoryStorage, SharedFolderStorage, SyncCoordinator
from heartbeat_kit.errors import BaselineUnavailableError
from heartbeat_kit.sync import SyncOutcome
from heartbeat_kit.testing import FakeClock


class World:
    """Machines that beat into one storage, each with a working copy, over one shared folder."""

    def __init__(self, home, storage=None, config=None):
        self.home, self.clock = home, FakeClock()
        self.storage = storage or MemoryStorage()
        self.config = config or HeartbeatConfig(heartbeat_interval=timedelta(seconds=30))
        (home / "share").mkdir()
        self.told, self.autos, self.services = {}, {}, {}

    def coordinator(self, name, service):
        return SyncCoordinator(
            service, workspace=self.home / name, shared=self.home / "share", state_dir=self.home / f"state-{name}"
        )

    def start(self, *names):
        for name in names:
            (self.home / name).mkdir(exist_ok=True)
            service = HeartbeatService(
                self.storage, self.config, clock=self.clock, machine_id=name, state_dir=self.home / f"state-{name}"
            )
            coordinator = self.coordinator(name, service)
            if not (self.home / "share" / "baseline").exists():
                coordinator.adopt_baseline()
            service.start()
            self.services[name] = service
            self.told[name] = []
            self.autos[name] = coordinator.attach(on_report=self.told[name].append)
        return self

    def crash(self, name):
        """As if its process was killed: neither beats nor looks nor syncs any more."""
        self.autos.pop(name).close()
        service = self.services.pop(name)
        service.stop(save_state=False)

    def close(self):
        for name in list(self.services):
            self.crash(name)

    def reports(self, name):
        return [(r.mode.value, r.machine_id, r.outcome) for r in self.told[name] if not isinstance(r, Exception)]

    def baseline(self, path):
        return (self.home / "share" / "baseline" / "files" / path).read_text()


@pytest.fixture
def world(tmp_path):
    made = World(tmp_path)
    yield made
    made.close()


def test_a_machine_that_dies_is_preserved_once_and_brought_up_to_date_when_it_returns(world):
    world.start("m1", "m2", "m3")
    (world.home / "m1" / "app.conf").write_text("port = 1")
    world.clock.advance(60)  # published
    world.crash("m1")
    world.clock.advance(400)
    outcomes = [each for name in ("m2", "m3") for each in world.reports(name)]
    assert outcomes.count(("offline", "m1", SyncOutcome.APPLIED)) == 1
    assert set(outcomes) <= {("offline", "m1", SyncOutcome.APPLIED), ("offline", "m1", SyncOutcome.ALREADY_DONE)}
    assert world.baseline("app.conf") == "port = 1"

    (world.home / "share" / "baseline" / "files" / "motd").write_text("hello")
    world.coordinator("m2", world.services["m2"]).adopt_baseline()
    world.start("m1")
    world.clock.advance(120)
    assert world.reports("m1") == [("online", "m1", SyncOutcome.APPLIED)]
    assert world.told["m1"][0].changes.offline_duration < timedelta(minutes=3)
    assert (world.home / "m1" / "motd").read_text() == "hello"


def test_a_restart_shorter_than_a_silence_is_no_return(world):
    world.start("m1", "m2")
    world.clock.advance(90)
    world.crash("m1")
    world.clock.advance(60)
    world.start("m1")
    world.clock.advance(300)
    assert world.reports("m1") == world.reports("m2") == []


def test_nothing_is_done_where_automatic_sync_is_switched_off(tmp_path):
    world = World(tmp_path, config=HeartbeatConfig(auto_sync_enabled=False)).start("m1", "m2")
    try:
        (world.home / "m1" / "app.conf").write_text("port = 1")
        world.clock.advance(60)
        world.crash("m1")
        world.clock.advance(600)
        assert world.reports("m2") == []
        assert not (world.home / "share" / "published").exists()
    finally:
        world.close()


def test_what_happens_in_a_maintenance_window_is_let_pass_and_what_is_left_at_its_end_is_not(world):
    world.start("m1", "m2")
    world.clock.advance(60)
    now = datetime.fromtimestamp(world.clock.now().wall_ms / 1000, UTC)
    world.services["m2"].maintenance("m1", now, now + timedelta(minutes=20))
    world.crash("m1")
    world.clock.advance(900)
    assert world.reports("m2") == []
    world.clock.advance(600)
    assert [report[:2] for report in world.reports("m2")] == [("offline", "m1")]


def test_a_cascade_pauses_it_until_somebody_says_resume_and_that_outlives_a_restart(world):
    names = [f"m{number}" for number in range(1, 7)]
    world.start(*names)
    world.clock.advance(90)
    for name in names[:4]:
        world.crash(name)
    world.clock.advance(600)
    left = names[4:]
    assert all(world.autos[name].paused and world.reports(name) == [] for name in left)

    world.crash("m6")
    world.start("m6")
    assert world.autos["m6"].paused

    world.autos["m5"].resume()
    world.clock.advance(300)
    assert {machine for _, machine, _ in world.reports("m5")} == set(names[:4])
    world.crash("m5")
    world.start("m5")
    assert not world.autos["m5"].paused
    assert "0 due" in repr(world.autos["m5"])


def test_a_baseline_that_is_away_is_waited_for_and_said_once(world):
    world.start("m1", "m2")
    (world.home / "m1" / "app.conf").write_text("port = 1")
    world.clock.advance(60)
    share = world.home / "share"
    world.crash("m1")
    share.rename(world.home / "unmounted")
    world.clock.advance(1200)
    errors = [each for each in world.told["m2"] if isinstance(each, Exception)]
    assert [type(each) for each in errors] == [BaselineUnavailableError]
    assert isinstance(world.autos["m2"].last_error, BaselineUnavailableError)
    (world.home / "unmounted").rename(share)
    world.clock.advance(1200)
    assert world.reports("m2") == [("offline", "m1", SyncOutcome.APPLIED)]


def test_a_machine_that_returns_before_its_turn_is_left_alone(world):
    world.start("m1", "m2", "m3")
    world.clock.advance(60)
    auto = world.autos["m2"]
    world.crash("m1")
    world.clock.advance(239)
    world.start("m1")
    world.clock.advance(300)
    assert auto._due == {}
    assert all(report[2] is not SyncOutcome.APPLIED for report in world.reports("m2") + world.reports("m3"))


@pytest.mark.parametrize("first", ["attach", "start"])
def test_one_return_is_one_sync_whichever_tells_of_it(world, first):
    """The event of the return and the machine's own heartbeats tell of the same time away."""
    world.start("m1", "m2")
    world.clock.advance(60)
    world.crash("m1")
    world.clock.advance(600)
    service = HeartbeatService(world.storage, world.config, clock=world.clock, machine_id="m1", host="elsewhere")
    coordinator, told = world.coordinator("m1", service), []
    steps = {"attach": lambda: coordinator.attach(on_report=told.append), "start": service.start}
    made = [steps.pop(first)(), *[step() for step in steps.values()]]
    auto = next(each for each in made if hasattr(each, "paused"))
    world.clock.advance(900)
    auto.close()
    service.stop()
    assert [(report.mode, report.outcome) for report in told] == [("online", "applied")]


def test_what_was_approved_for_a_machine_it_carries_out_by_itself(world):
    world.start("m1", "m2")
    files = world.home / "share" / "baseline" / "files"
    (world.home / "m1" / "app.conf").write_text("one")
    first, second = (world.coordinator(name, world.services[name]) for name in ("m1", "m2"))
    first.apply(first.plan())
    (world.home / "m1" / "app.conf").write_text("two")
    (files / "app.conf").write_text("three")
    second.adopt_baseline()
    first.apply(first.plan())
    [decision] = second.decisions()
    assert second.approve(decision.id, action="keep_target").state == "approved"
    world.clock.advance(90)
    assert (world.home / "m1" / "app.conf").read_text() == "three"
    assert second.decisions() == ()
    world.clock.advance(300)
    assert len(world.told["m1"]) == 1


def test_what_stays_deferred_after_a_return_keeps_nobody_from_publishing(world):
    """It is looked for again, later each time; meanwhile the files of the machine are published as ever."""
    world.start("m1", "m2")
    world.clock.advance(60)
    world.crash("m1")
    world.clock.advance(600)
    (world.home / "m1" / "broken.json").write_text("{")
    world.start("m1")
    world.clock.advance(120)
    assert [list(report.deferred) for report in world.told["m1"]] == [["broken.json"]]
    (world.home / "m1" / "app.conf").write_text("port = 2")
    world.clock.advance(60)
    assert "app.conf" in (world.home / "share" / "published" / "m1" / "manifest.json").read_text()


def test_a_listener_that_raises_ends_nothing(world, caplog):
    world.start("m1", "m2")
    world.autos["m2"]._told = lambda report: 1 / 0
    world.clock.advance(60)
    world.crash("m1")
    world.clock.advance(600)
    assert "listener of an auto-sync raised" in caplog.text
    assert len(world.autos["m2"].reports) == 1


def test_on_a_medium_that_delays_the_first_in_rank_acts_and_the_others_find_its_receipt(tmp_path):
    storage = SharedFolderStorage(tmp_path / "beats", create=True, propagation_delay=timedelta(seconds=5))
    world = World(tmp_path, storage).start("m1", "m2", "m3")
    try:
        (world.home / "m1" / "app.conf").write_text("port = 1")
        world.clock.advance(120)
        world.crash("m1")
        world.clock.advance(3600)
        outcomes = sorted(each[2] for name in ("m2", "m3") for each in world.reports(name))
        assert outcomes == [SyncOutcome.ALREADY_DONE, SyncOutcome.APPLIED]
    finally:
        world.close()


def test_what_it_had_noted_damaged_is_as_nothing(world):
    world.start("m1")
    world.clock.advance(60)
    world.crash("m1")
    [note] = world.home.glob("state-m1/sync/*/m1/auto.json")
    for text in ("", "[]", "{", '{"lastBeat": "x", "resumed": 0}', '{"lastBeat": 1}'):
        note.write_text(text)
        world.start("m1")
        world.clock.advance(60)
        assert world.autos["m1"].last_error is None
        assert '"last_beat_ms": 1' in note.read_text()
        world.crash("m1")
