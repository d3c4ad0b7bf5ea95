"""What a time was like: the reckoning against fleets whose story is known, and against chance."""

import datetime as dt
import pickle
from datetime import UTC, datetime, timedelta

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from heartbeat_kit import Basis, HeartbeatService, MachineStatus, MemoryStorage, Reason, Transition, to_wire
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.ops import MachineAvailability, availability, daily_report
from heartbeat_kit.testing import FakeClock, FaultyStorage, Fleet

HOUR_S = 3_600
DAY = timedelta(days=1)
START = datetime(2026, 1, 1, tzinfo=UTC)
NAMES = {status.value: status for status in MachineStatus}


def told(*steps, machine_id="web-1"):
    """Transitions at hours of the day: ``(hour, before, after)``, then marks, and the hour it was found out."""
    made = []
    for number, (hour, before, after, *marks) in enumerate(steps):
        at = in_ms(hour)
        made.append(
            Transition(
                id=f"{machine_id}-{number}",
                machine_id=machine_id,
                before=NAMES[before],
                after=NAMES[after],
                reason=next((mark for mark in marks if isinstance(mark, Reason)), Reason.SILENT),
                observer="watcher",
                occurred_at=at,
                detected_at=next((in_ms(mark) for mark in marks if isinstance(mark, int)), at + 1_000),
                suppressed="suppressed" in marks,
            )
        )
    return made


def in_ms(hour):
    return int((START + timedelta(hours=hour)).timestamp() * 1000)


def report(*steps, since=0, until=24):
    events = told(*steps)
    made = availability(events, START + timedelta(hours=since), START + timedelta(hours=until))
    return made["web-1"]


def hours(machine):
    found = (machine.online_ms, machine.warning_ms, machine.offline_ms, machine.planned_ms, machine.unknown_ms)
    return tuple(ms / 3_600_000 for ms in found)


class TestReckoning:
    def test_a_day_with_one_outage(self):
        machine = report((6, "online", "warning"), (8, "warning", "offline"), (11, "offline", "online"))
        assert hours(machine) == (19, 2, 3, 0, 0)
        assert machine.availability == pytest.approx(21 / 24)
        (outage,) = machine.outages
        assert (outage.began, outage.ended) == (START + timedelta(hours=8), START + timedelta(hours=11))
        assert machine.mean_time_to_repair == timedelta(hours=3)
        assert machine.mean_time_between_failures == timedelta(hours=21)

    def test_an_outage_over_both_ends_counts_only_what_is_inside(self):
        machine = report(
            (-5, "warning", "offline"), (3, "offline", "online"), (20, "online", "offline"), since=1, until=22
        )
        assert hours(machine) == (17, 0, 4, 0, 0)
        assert [outage.ended is None for outage in machine.outages] == [False, True]
        assert machine.outages[0].began == START - timedelta(hours=5)
        assert machine.outages[0].offline == timedelta(hours=2)
        assert [outage.carried_over for outage in machine.outages] == [True, False]
        assert machine.mean_time_to_repair == timedelta(hours=8), "from its beginning"
        assert machine.mean_time_between_failures == timedelta(hours=17), "one began"
        assert machine.status is MachineStatus.OFFLINE

    def test_planned_times_count_neither_way(self):
        machine = report(
            (2, "online", "offline", Reason.LEFT),
            (4, "offline", "online", Reason.RETURNED),
            (10, "online", "offline", "suppressed"),
            (12, "offline", "online", "suppressed"),
        )
        assert hours(machine) == (20, 0, 0, 4, 0)
        assert (machine.availability, len(machine.outages), machine.unplanned) == (1.0, 2, ())

    def test_what_begins_in_a_window_before_the_time_is_planned(self):
        assert hours(report((6, "offline", "online", "suppressed"))) == (18, 0, 0, 6, 0)

    def test_an_outage_that_outlasts_its_window_is_one_of_both_kinds(self):
        """At the end of the window it is announced plainly."""
        machine = report((6, "online", "offline", "suppressed"), (6, "online", "offline", 9), (10, "offline", "online"))
        assert hours(machine) == (20, 0, 1, 3, 0)
        assert [outage.planned for outage in machine.outages] == [True, False]

    def test_a_removal_is_no_return(self, clock):
        service = HeartbeatService(MemoryStorage(), clock=clock, machine_id="watcher")
        service.register(machine_id="web-1")
        service.check()
        clock.advance(10 * 3_600)
        service.check()
        service.remove("web-1")
        service.check()
        clock.advance(3_600)
        machine = daily_report(service)["web-1"]
        assert [(outage.ended, outage.offline.hours) for outage in machine.outages] == [(None, 9)]
        assert machine.mean_time_to_repair is None

    def test_a_return_at_the_very_end_ends_the_outage(self):
        (outage,) = report((6, "online", "offline"), (24, "offline", "online")).outages
        assert outage.ended == START + DAY

    def test_what_happens_at_the_very_end_is_its_status_then(self):
        machine = report((24, "online", "offline"))
        assert (machine.status, machine.offline_ms, machine.outages) == (MachineStatus.OFFLINE, 0, ())

    def test_a_machine_that_came_and_was_removed(self):
        machine = report((6, "unknown", "online", Reason.FIRST_SEEN), (18, "online", "unknown", Reason.REMOVED))
        assert hours(machine) == (12, 0, 0, 0, 12)
        assert machine.availability == 1.0

    def test_a_machine_of_which_nothing_was_known_then_is_not_in_it(self):
        made = availability(told((30, "unknown", "online", Reason.FIRST_SEEN)), START, START + DAY)
        assert len(made) == 0

    def test_an_event_dated_before_the_one_committed_before_it(self):
        """The story goes on in the order of commit."""
        machine = report((6, "online", "offline"), (5, "offline", "online"), (7, "online", "warning"))
        assert hours(machine) == (7, 17, 0, 0, 0)

    def test_an_outage_is_one_though_an_event_falls_on_its_moment(self):
        machine = report((4, "online", "offline"), (6, "offline", "online"), (6, "online", "offline"))
        assert len(machine.outages) == 1
        assert hours(machine) == (4, 0, 20, 0, 0)

    @given(
        st.lists(st.tuples(st.floats(-10, 34), st.sampled_from([*NAMES]), st.booleans()), min_size=1, max_size=12),
        st.floats(0, 12),
        st.floats(12.5, 24),
    )
    def test_whatever_happened_every_moment_is_in_one_of_five(self, found, since, until):
        steps, before = [], "unknown"
        for hour, after, suppressed in sorted(found):
            steps.append((hour, before, after, *(["suppressed"] if suppressed else [])))
            before = after
        made = availability(told(*steps), START + timedelta(hours=since), START + timedelta(hours=until))
        for machine in made:
            parts = (machine.online_ms, machine.warning_ms, machine.offline_ms, machine.planned_ms, machine.unknown_ms)
            assert sum(parts) == made.until_ms - made.since_ms
            assert min(parts) >= 0
            assert sum(outage.offline_ms for outage in machine.outages if outage.planned) <= machine.planned_ms
            assert sum(outage.offline_ms for outage in machine.unplanned) == machine.offline_ms


class TestDaily:
    @pytest.fixture
    def fleet(self):
        with Fleet(3) as fleet:
            yield fleet

    def test_a_fleet_whose_story_is_known(self, fleet):
        fleet.advance(10 * HOUR_S)
        fleet.crash("m2")
        fleet.advance(2 * HOUR_S)
        fleet.revive("m2")
        fleet.advance(11 * HOUR_S)
        fleet.leave("m3")
        fleet.advance(2 * HOUR_S)
        made = daily_report(fleet.observer)
        assert made.until_ms - made.since_ms == 86_400_000
        assert made["m1"].availability == 1.0
        down_s = made["m2"].offline_ms / 1000
        assert 2 * HOUR_S - 300 < down_s < 2 * HOUR_S
        (outage,) = made["m2"].outages
        assert outage.ended is not None
        assert made["m3"].availability == 1.0
        assert made["m3"].planned_ms == pytest.approx(2 * HOUR_S * 1000, rel=0.01)
        assert made.note == ""
        assert {event.machine_id for event in made.transitions} == {"m2", "m3"}

    def test_a_calendar_day_of_a_time_zone(self, fleet):
        """New year in Paris begins an hour before it does here."""
        fleet.advance(30 * HOUR_S)
        paris = daily_report(fleet.observer, dt.date(2026, 1, 1), tz="Europe/Paris")
        assert paris.since == START - timedelta(hours=1)
        assert paris.until == START + timedelta(hours=23)
        today = daily_report(fleet.observer, dt.date(2026, 1, 2))
        assert today.until == START + timedelta(hours=30)

    def test_the_day_of_the_change_of_clocks_is_shorter(self):
        service = HeartbeatService(MemoryStorage(), clock=FakeClock(START + 90 * DAY), machine_id="watcher")
        spring = daily_report(service, dt.date(2026, 3, 29), tz="Europe/Paris")
        assert spring.until_ms - spring.since_ms == 23 * HOUR_S * 1000

    @pytest.mark.parametrize(
        ("day", "tz"),
        [
            (dt.date(2026, 1, 2), "UTC"),
            (dt.date(2025, 12, 31), "Mars/Olympus"),
            (dt.date(2025, 12, 31), "../../etc/passwd"),
            ("2025-12-31", "UTC"),
            (START, "UTC"),
        ],
    )
    def test_days_that_cannot_be(self, fleet, day, tz):
        with pytest.raises(InvalidConfigurationError):
            daily_report(fleet.observer, day, tz=tz)

    def test_nobody_announces_anything_and_yet_it_is_told_what_is_known(self):
        clock = FakeClock(START)
        service = HeartbeatService(MemoryStorage(), clock=clock, machine_id="watcher")
        service.register(machine_id="web-1")
        clock.advance(10 * HOUR_S)
        machine = daily_report(service)["web-1"]
        assert machine.unknown_ms == 14 * HOUR_S * 1000
        assert machine.offline_ms == (10 * HOUR_S - 240) * 1000
        assert machine.status is MachineStatus.OFFLINE

    def test_a_goodbye_of_yesterday_is_planned_today(self, fleet):
        fleet.advance(18 * HOUR_S)
        fleet.leave("m2")
        fleet.advance(15 * HOUR_S)
        fleet.revive("m2")
        fleet.advance(HOUR_S)
        machine = daily_report(fleet.observer, dt.date(2026, 1, 2))["m2"]
        assert machine.planned_ms == pytest.approx(9 * HOUR_S * 1000, rel=0.01)
        assert (machine.offline_ms, machine.availability) == (0, 1.0)

    def test_an_outage_of_yesterday_is_none_the_less_one_when_it_is_repaired_in_a_window(self, fleet):
        fleet.advance(18 * HOUR_S)
        fleet.crash("m2")
        fleet.advance(14 * HOUR_S)
        now = fleet.clock.now_utc
        fleet.observer.maintenance("m2", now, now + timedelta(hours=2))
        fleet.advance(HOUR_S)
        fleet.revive("m2")
        fleet.advance(HOUR_S)
        machine = daily_report(fleet.observer, dt.date(2026, 1, 2))["m2"]
        assert machine.offline_ms == pytest.approx(9 * HOUR_S * 1000, rel=0.01)
        assert machine.planned_ms == 0
        assert machine.mean_time_between_failures is None, "it began yesterday"

    def test_a_window_counts_neither_way_though_the_outage_goes_on_after_it(self, fleet):
        fleet.advance(HOUR_S)
        now = fleet.clock.now_utc
        fleet.observer.maintenance("m2", now, now + timedelta(hours=4))
        fleet.crash("m2")
        fleet.advance(6 * HOUR_S)
        machine = daily_report(fleet.observer)["m2"]
        assert machine.planned_ms == pytest.approx(4 * HOUR_S * 1000, rel=0.03)
        assert machine.offline_ms == pytest.approx(2 * HOUR_S * 1000, rel=0.03)

    def test_a_medium_that_stands_still_now_does_not_undo_the_day(self):
        with Fleet(3, propagation_delay=timedelta(seconds=30), cross_host=True) as fleet:
            fleet.advance(48 * HOUR_S)
            for name in ("m1", "m2", "m3"):
                fleet.partition(name)
            fleet.advance(600)
            assert fleet.observer.state()["m1"].status is MachineStatus.UNKNOWN
            made = daily_report(fleet.observer)
        assert made["m1"].online_ms > 23 * HOUR_S * 1000
        assert "fleet_silent" in made.note

    def test_a_silence_that_only_the_senders_clock_suggests_is_no_outage(self):
        clock = FakeClock(START)
        delay = timedelta(seconds=30)
        traits = attrs.evolve(MemoryStorage().traits, cross_host=True, coherent=False, propagation_delay=delay)
        far = MemoryStorage(traits=traits)
        HeartbeatService(far, clock=clock, machine_id="web-1", host="elsewhere").register()
        clock.advance(30 * HOUR_S)
        service = HeartbeatService(far, clock=clock, machine_id="watcher", host="here")
        assert service.state()["web-1"].basis is Basis.SENDER
        made = daily_report(service)
        assert (made["web-1"].outages, made["web-1"].unknown_ms) == ((), 24 * HOUR_S * 1000)
        assert made.note == "nothing but their own clocks says that these are silent now: web-1"

    def test_a_blind_observer_says_so(self):
        storage = FaultyStorage(MemoryStorage())
        service = HeartbeatService(storage, clock=FakeClock(START), machine_id="watcher")
        service.register(machine_id="web-1")
        storage.fail("load", times=99)
        assert "blind" in daily_report(service).note


class TestShown:
    @pytest.fixture
    def made(self):
        events = told((6, "online", "offline"), (7, "offline", "online"))
        events += told((1, "unknown", "online"), machine_id="db")
        return availability(events, START, START + DAY, note="mind the gap")

    def test_as_text(self, made):
        assert str(made).splitlines() == [
            "2026-01-01T00:00:00.000Z to 2026-01-02T00:00:00.000Z: 2 machines in 24 h, 1 outage",
            "mind the gap",
            "",
            "machine  status  available  outages  longest  offline  planned  unknown",
            "db       online  100 %      0        –        0 s      0 s      60 min",
            "web-1    online  95.83 %    1        60 min   60 min   0 s      0 s",
        ]

    def test_as_a_value(self, made):
        back = pickle.loads(pickle.dumps(made))
        assert dict(back.machines) == dict(made.machines)
        assert [machine.machine_id for machine in made] == ["db", "web-1"]
        assert repr(made).startswith("<AvailabilityReport 2026-01-01T00:00:00.000Z to")

    def test_as_json(self, made):
        wire = to_wire(made)
        assert wire["machines"]["web-1"]["outages"] == [
            {
                "began": "2026-01-01T06:00:00.000Z",
                "ended": "2026-01-01T07:00:00.000Z",
                "offlineMs": 3_600_000,
                "planned": False,
            }
        ]
        assert wire["note"] == "mind the gap"

    def test_as_tables(self, made):
        assert "95.83 %" in made._repr_html_()
        pytest.importorskip("rich")
        assert made.__rich__().row_count == 2

    def test_as_a_data_frame(self, made):
        pandas = pytest.importorskip("pandas")
        frame = made.to_pandas()
        assert list(frame.index) == ["db", "web-1"]
        assert frame.index.name == "machine_id"
        assert frame.loc["web-1", "offline"] == pandas.Timedelta(hours=1)
        assert frame.loc["web-1", "availability"] == made["web-1"].availability
        assert frame.loc["web-1", "outages"] == 1

    def test_a_data_frame_of_machines_nobody_knew(self):
        pandas = pytest.importorskip("pandas")
        empty = availability((), START, START + DAY)
        assert list(empty.to_pandas().columns)[:3] == ["status", "availability", "outages"]
        unknown = MachineAvailability(machine_id="a", status=MachineStatus.UNKNOWN)
        frame = attrs.evolve(empty, machines={"a": unknown}).to_pandas()
        assert pandas.isna(frame.loc["a", "availability"])
        assert (frame["online"] + frame["offline"]).sum() == pandas.Timedelta(0)

    def test_times_that_cannot_be(self):
        for since, until in ((START, START), (START, START - DAY), (datetime(2026, 1, 1), START), (None, START)):  # noqa: DTZ001
            with pytest.raises(InvalidConfigurationError):
                availability((), since, until)
