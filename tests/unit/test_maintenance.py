"""Maintenance windows: the value, and planning one through a service."""

from datetime import UTC, datetime, timedelta

import attrs
import pytest
from core_values import START
from guard_values import FAST, Scene, short

from heartbeat_kit import HeartbeatService, MaintenanceWindow, MemoryStorage
from heartbeat_kit.errors import InvalidConfigurationError, InvalidMachineIdError, StorageUnavailableError
from heartbeat_kit.testing import FakeClock, RecordingListener

HOUR = 3_600_000
DAY = 24 * HOUR


def window(**more):
    return MaintenanceWindow(**{"machine_id": "web-1", "start": START, "end": START + HOUR, **more})


class TestValue:
    @pytest.mark.parametrize(
        ("moment", "holds"), [(START - 1, False), (START, True), (START + HOUR - 1, True), (START + HOUR, False)]
    )
    def test_it_is_half_open(self, moment, holds):
        assert window().holds_at(moment) is holds

    def test_the_shortest_lasts_a_millisecond(self):
        short = window(end=START + 1)
        assert [short.holds_at(START + ms) for ms in (-1, 0, 1)] == [False, True, False]

    @pytest.mark.parametrize("end", [START, START - 1])
    def test_it_ends_after_it_begins(self, end):
        with pytest.raises(InvalidConfigurationError, match="give a start and a later end"):
            window(end=end)

    @pytest.mark.parametrize("name", ["start", "end"])
    @pytest.mark.parametrize("moment", [1.5, "2026-01-01", None, True, 10**15, -(10**15)])
    def test_its_times_are_whole_milliseconds_of_the_calendar(self, name, moment):
        with pytest.raises(InvalidConfigurationError, match=f"the {name} of the maintenance of 'web-1'"):
            window(**{name: moment})

    def test_its_machine_id_is_normalised(self):
        assert window(machine_id=" Web-1 ").machine_id == "web-1"
        with pytest.raises(InvalidMachineIdError):
            window(machine_id="../x")

    def test_times_for_people(self):
        assert window().start.isoformat() == "2026-01-01T00:00:00+00:00"
        assert window().end.isoformat() == "2026-01-01T01:00:00+00:00"

    def test_one_line(self):
        line = "<MaintenanceWindow web-1 2026-01-01T00:00:00+00:00 to 2026-01-01T01:00:00+00:00"
        assert repr(window()) == line + ">"
        assert repr(window(reason="disk")) == line + ": disk>"

    def test_it_is_frozen(self):
        with pytest.raises(attrs.exceptions.FrozenInstanceError):
            window().reason = "other"


NAMES = ("web-1", "web-2")


@pytest.fixture
def scene():
    scene = Scene(FAST)
    scene.live(60, *NAMES)
    return scene


def plan(scene, name="web-1", *, begins=0, lasts=600, reason=""):
    now = scene.clock.now_utc
    return scene.service.maintenance(name, now.add(seconds=begins), now.add(seconds=begins + lasts), reason)


class TestPlanning:
    def test_it_answers_with_the_window(self, scene):
        planned = plan(scene, " WEB-1 ", begins=60, lasts=90, reason="disk")
        assert (planned.machine_id, planned.reason) == ("web-1", "disk")
        assert planned.end - planned.start == timedelta(seconds=90)
        assert scene.storage.windows() == (planned,)

    def test_any_time_zone_will_do(self, scene):
        zone = datetime.fromisoformat("2026-01-01T02:00:00+02:00")
        assert scene.service.maintenance("web-1", zone, zone + timedelta(hours=1)).start_ms == START

    @pytest.mark.parametrize(
        ("start", "end"),
        [
            (datetime(2026, 1, 1), datetime(2026, 1, 2, tzinfo=UTC)),  # noqa: DTZ001 - naive on purpose
            (datetime(2026, 1, 1, tzinfo=UTC), None),
            (None, datetime(2026, 1, 1, tzinfo=UTC)),
            (START, START + HOUR),
            (datetime(2026, 1, 2, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
            (datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)),
        ],
        ids=["naive", "no end", "no start", "numbers", "backwards", "empty"],
    )
    def test_times_that_cannot_be(self, scene, start, end):
        with pytest.raises(InvalidConfigurationError):
            scene.service.maintenance("web-1", start, end)
        assert scene.storage.windows() == ()

    def test_a_reason_is_a_text(self, scene):
        now = scene.clock.now_utc
        with pytest.raises(InvalidConfigurationError, match="expected a text"):
            scene.service.maintenance("web-1", now, now.add(hours=1), 7)

    def test_a_machine_id_is_one(self, scene):
        with pytest.raises(InvalidMachineIdError):
            plan(scene, "../x")

    def test_a_ledger_without_a_calendar_says_so(self):
        class Old:
            """Has a ledger and no calendar."""

            def __init__(self):
                inner = MemoryStorage()
                self.traits, self.put, self.load, self.remove = inner.traits, inner.put, inner.load, inner.remove
                self.close, self.read_ledger, self.commit = inner.close, inner.read_ledger, inner.commit
                self.undelivered, self.delivered = inner.undelivered, inner.delivered

        clock = FakeClock()
        service = HeartbeatService(Old(), clock=clock, machine_id="watcher")
        with pytest.raises(InvalidConfigurationError, match="Old keeps no calendar"):
            service.maintenance("web-1", clock.now_utc, clock.now_utc.add(hours=1))
        assert str(service.check().observer.health) == "ok"

    def test_a_storage_that_is_away_does_not_keep_it(self, scene):
        scene.storage.fail("schedule")
        with pytest.raises(StorageUnavailableError):
            plan(scene)
        assert scene.storage.windows() == ()

    def test_the_same_start_replaces_it(self, scene):
        plan(scene, lasts=600)
        plan(scene, lasts=60, reason="shorter")
        assert [each.reason for each in scene.storage.windows()] == ["shorter"]

    def test_what_ended_a_week_ago_is_forgotten(self, scene):
        plan(scene, "web-2", lasts=60)
        old = plan(scene, lasts=61)
        scene.clock.advance(7 * 86_400 + 61)
        new = plan(scene)
        assert scene.storage.windows() == (old, new)
        scene.clock.advance(2)
        plan(scene, begins=5)
        assert old not in scene.storage.windows()


class TestEffect:
    def test_status_stays_true_and_events_are_marked(self, scene):
        plan(scene, reason="disk")
        assert scene.live(300, "web-2") == [("web-1", "warning", "s"), ("web-1", "offline", "s")]
        state = scene.service.state()["web-1"]
        assert (str(state.status), state.in_maintenance, state.maintenance.reason) == ("offline", True, "disk")
        assert "It is in maintenance until 2026-01-01T00:11:00.000Z (disk)" in state.explain()
        assert not scene.service.state()["web-2"].in_maintenance
        assert "maintenance" not in scene.service.state()["web-2"].explain()

    def test_back_inside_nothing_is_owed(self, scene):
        plan(scene)
        scene.live(300, "web-2")
        assert scene.live(60, *NAMES) == [("web-1", "online", "s")]
        assert scene.live(900, *NAMES) == []

    def test_still_offline_at_the_end_it_is_announced_once(self, scene):
        plan(scene)
        scene.live(570, "web-2")
        assert scene.live(30, "web-2") == [("web-1", "offline")]
        assert scene.live(900, "web-2") == []
        assert scene.live(60, *NAMES) == [("web-1", "online")]

    def test_offline_before_and_back_inside(self, scene):
        scene.live(300, "web-2")
        plan(scene)
        assert scene.live(300, *NAMES) == [("web-1", "online", "s")]
        assert scene.live(900, *NAMES) == [("web-1", "online")]

    def test_a_first_registration_inside_is_not_repeated(self, scene):
        plan(scene, "new")
        scene.live(900, *NAMES, "new")
        assert [(str(event.reason), event.suppressed) for event in scene.heard.of("new")] == [("first_seen", True)]

    def test_a_window_in_the_future_changes_nothing_yet(self, scene):
        plan(scene, begins=3_600)
        assert scene.live(300, "web-2") == [("web-1", "warning"), ("web-1", "offline")]
        assert not scene.service.state()["web-1"].in_maintenance

    def test_it_can_be_ended_early(self, scene):
        start = scene.clock.now_utc
        scene.service.maintenance("web-1", start, start.add(hours=10))
        scene.live(300, "web-2")
        scene.service.maintenance("web-1", start, scene.clock.now_utc)
        assert scene.live(30, "web-2") == [("web-1", "offline")]

    def test_it_survives_a_restart(self, scene):
        plan(scene)
        scene.live(300, "web-2")
        scene.restart()
        scene.live(240, "web-2")
        assert [each for each in scene.said if len(each) == 2] == []
        assert scene.live(900, "web-2") == [("web-1", "offline")]

    def test_whoever_shares_the_ledger_keeps_to_it(self, scene):
        """Planned by one service, obeyed by another, and what is owed is announced by one of the two."""
        plan(scene)
        other, heard = HeartbeatService(scene.storage, clock=scene.clock, machine_id="other"), RecordingListener()
        other.subscribe(heard)
        for _ in range(30):
            scene.clock.advance(30)
            scene.beat("web-2")
            other.check(force=True)
            scene.look()
        told = sorted((*heard.of("web-1"), *scene.heard.of("web-1")), key=lambda event: event.detected_at_ms)
        assert [short(event)[1:] for event in told] == [
            ("online",),
            ("warning", "s"),
            ("offline", "s"),
            ("offline",),
        ]

    def test_a_goodbye_inside_is_announced_again_at_the_end(self, scene):
        plan(scene)
        scene.beat("web-1", left_at=scene.clock.now().wall_ms)
        assert scene.live(30, "web-2") == [("web-1", "offline", "s")]
        assert scene.live(900, "web-2") == [("web-1", "offline")]
        assert str(scene.heard.events[-1].reason) == "left"
        assert scene.heard.events[-1].before == "online"

    def test_removed_inside_nothing_is_owed(self, scene):
        plan(scene)
        scene.service.remove("web-1")
        assert scene.live(30, "web-2") == [("web-1", "unknown", "s")]
        assert scene.live(900, "web-2") == []

    def test_the_history_keeps_both(self, scene):
        plan(scene)
        scene.live(900, "web-2")
        kept = [(str(event.after), event.suppressed) for event in scene.service.history("web-1")]
        assert kept == [("online", False), ("warning", True), ("offline", True), ("offline", False)]


class TestSeenAndEnded:
    @pytest.fixture
    def planned(self, storage, clock):
        service = HeartbeatService(storage, clock=clock, machine_id="watcher")
        now = clock.now_utc
        hour = timedelta(hours=1)
        service.maintenance("db-1", now - hour, now + hour, "disk")
        service.maintenance("db-1", now + 5 * hour, now + 6 * hour)
        service.maintenance("web-1", now, now + hour)
        return service

    def test_they_are_listed_by_start(self, planned):
        assert [(each.machine_id, each.reason) for each in planned.maintenance_windows()] == [
            ("db-1", "disk"),
            ("web-1", ""),
            ("db-1", ""),
        ]
        assert len(planned.maintenance_windows("DB-1")) == 2
        assert planned.maintenance_windows("nobody") == ()

    def test_what_holds_now_is_ended_now_and_the_rest_stays(self, planned, clock):
        (ended,) = planned.end_maintenance("db-1")
        assert (ended.end, ended.reason) == (clock.now_utc, "disk")
        assert planned.end_maintenance("db-1") == ()
        assert len(planned.maintenance_windows("db-1")) == 2
        planned.register(machine_id="db-1")
        assert not planned.state()["db-1"].in_maintenance

    def test_one_that_began_just_now(self, planned, clock):
        (ended,) = planned.end_maintenance("web-1")
        assert ended.end_ms - ended.start_ms == 1

    def test_a_ledger_without_a_calendar_has_none(self):
        class Plain:
            def read_ledger(self): ...
            def commit(self, moves): ...
            def undelivered(self, owner): ...
            def delivered(self, ids): ...

        service = HeartbeatService(MemoryStorage(), machine_id="watcher")
        service._ledger = Plain()
        assert service.maintenance_windows() == ()
        with pytest.raises(InvalidConfigurationError, match="no calendar"):
            service.maintenance("db-1", datetime.now(UTC), datetime.now(UTC) + timedelta(hours=1))
