"""Whose clock measures a silence."""

import attrs
import pytest
from look_values import HEARD, LOCAL, REMOTE, SLOW, START, Observer, at, beat

from heartbeat_kit import MachineStatus, Reason
from heartbeat_kit._clock import Instant
from heartbeat_kit._events import Basis
from heartbeat_kit._observer._known import Known
from heartbeat_kit._observer._sighting import as_announced, first_sight, noted_only, risen
from heartbeat_kit.storage import LedgerEntry, Observation

NOW = at(1_000)


def entry(status=MachineStatus.OFFLINE, incarnation=1, seq=1):
    return LedgerEntry(
        machine_id="web-1",
        status=status,
        event_id="e",
        reason=Reason.SILENT,
        since_ms=START,
        incarnation=incarnation,
        seq=seq,
    )


class TestFirstSight:
    @pytest.mark.parametrize("age", [0, 1, 119_999, 500_000])
    def test_a_stamp_of_our_own_clock_is_believed(self, age):
        record = beat(at=NOW.wall_ms - age)
        found = first_sight(record, LOCAL, NOW, None, None)
        assert found == Known(record, Basis.STAMP, NOW.mono_ms - age, NOW.wall_ms - age)

    @pytest.mark.parametrize("ahead", [1, 119_999])
    def test_a_stamp_slightly_ahead_is_a_beat_of_now(self, ahead):
        record = beat(at=NOW.wall_ms + ahead)
        assert first_sight(record, LOCAL, NOW, None, None) == Known(record, Basis.STAMP, NOW.mono_ms, NOW.wall_ms)

    def test_a_stamp_a_timeout_ahead_proves_nothing(self):
        record = beat(at=NOW.wall_ms + 120_000)
        assert first_sight(record, LOCAL, NOW, None, None) == Known(record, Basis.SENDER, NOW.mono_ms, NOW.wall_ms)

    def test_ahead_is_measured_by_the_machines_own_timeout(self):
        assert first_sight(beat(at=NOW.wall_ms + 200_000, interval=60_000), LOCAL, NOW, None, None).basis is Basis.STAMP

    def test_the_storages_own_clock_comes_first(self):
        record = beat(at=NOW.wall_ms + 595_000)
        assert first_sight(record, LOCAL, NOW, None, NOW.wall_ms + 600_000).silence_ms == NOW.mono_ms - 5_000

    def test_another_hosts_stamp_is_only_shown(self):
        record = beat(at=NOW.wall_ms - 500_000)
        assert first_sight(record, REMOTE, NOW, None, None) == Known(record, Basis.SENDER, NOW.mono_ms, NOW.wall_ms)

    @pytest.mark.parametrize(
        ("ago", "age"), [(0, 0), (50_000, 50_000), (120_000, 120_000), (10**9, 120_000), (-5_000, 0)]
    )
    def test_what_an_earlier_process_noted_counts_for_one_timeout_at_most(self, ago, age):
        noted = Observation(incarnation=1, seq=1, seen_ms=NOW.wall_ms - ago)
        found = first_sight(beat(), REMOTE, NOW, noted, None)
        assert found == Known(beat(), Basis.LEDGER, NOW.mono_ms - age, noted.seen_ms, met=True)

    @pytest.mark.parametrize(("incarnation", "seq"), [(1, 2), (2, 1)])
    def test_a_note_about_a_newer_record_counts_for_nothing(self, incarnation, seq):
        noted = Observation(incarnation=incarnation, seq=seq, seen_ms=NOW.wall_ms - 50_000)
        assert first_sight(beat(), REMOTE, NOW, noted, None).basis is Basis.SENDER

    @pytest.mark.parametrize("ago", [0, 50_000, 119_999, -119_999])
    def test_a_record_newer_than_one_noted_a_short_time_ago_rose_meanwhile(self, ago):
        """Whatever its stamp says: proof of life, from now on."""
        noted = Observation(incarnation=1, seq=0, seen_ms=NOW.wall_ms - ago)
        skew = NOW.wall_ms - (START - 10**8) - ago if ago >= 0 else 0
        found = first_sight(beat(at=START - 10**8), REMOTE, NOW, noted, None)
        assert found == Known(beat(at=START - 10**8), Basis.LEDGER, NOW.mono_ms, NOW.wall_ms, skew_ms=skew)

    @pytest.mark.parametrize(("ahead", "basis"), [(119_999, Basis.LEDGER), (120_000, Basis.SENDER)])
    def test_a_stamp_that_lies_far_ahead_makes_no_note_young(self, ahead, basis):
        """Our clock may have stood still since: then it is only seen how far the two are apart."""
        noted = Observation(incarnation=1, seq=0, seen_ms=NOW.wall_ms - 5_000, skew_ms=-60_000)
        found = first_sight(beat(at=NOW.wall_ms + 60_000 + ahead), REMOTE, NOW, noted, None)
        assert (found.basis, found.skew_ms) == (basis, -60_000 - ahead)

    @pytest.mark.parametrize(
        ("before", "off", "ago", "after"),
        [
            (0, 0, 30_000, 0),  # it may be right
            (0, 20_000, 30_000, 0),
            (0, 600_000, 30_000, 570_000),  # it was sent since the note
            (590_000, 600_000, 30_000, 590_000),
            (630_000, 600_000, 30_000, 600_000),  # and before it was read
            (0, -600_000, 30_000, -600_000),
            (0, 600_000, 119_999, 480_001),
            (0, 600_000, 120_000, 0),  # it may be as old as that
            (-7_000, 600_000, 120_000, -7_000),
        ],
    )
    def test_a_rise_between_looks_close_together_tells_how_far_a_clock_is_off(self, before, off, ago, after):
        noted = Observation(incarnation=1, seq=0, seen_ms=NOW.wall_ms - ago, skew_ms=before)
        record = beat(at=NOW.wall_ms - off)
        assert first_sight(record, REMOTE, NOW, noted, None).skew_ms == after
        last = Instant(NOW.wall_ms - ago, NOW.mono_ms - ago)
        seen = risen(record, REMOTE, last, NOW, trust_stamp=True, server_ms=None, skew_ms=before)
        assert (seen.basis, seen.skew_ms) == (Basis.OBSERVER, after)

    def test_what_a_medium_delays_is_no_error_of_a_clock(self):
        noted = Observation(incarnation=1, seq=0, seen_ms=NOW.wall_ms - 30_000)
        assert first_sight(beat(at=NOW.wall_ms - 85_000), SLOW, NOW, noted, None).skew_ms == 0
        assert first_sight(beat(at=NOW.wall_ms - 95_000), SLOW, NOW, noted, None).skew_ms == 5_000

    @pytest.mark.parametrize(
        ("age", "basis"),
        [
            (-120_000, Basis.SENDER),
            (-119_999, Basis.LEDGER),
            (0, Basis.LEDGER),
            (119_999, Basis.LEDGER),
            (120_000, Basis.SENDER),
        ],
    )
    @pytest.mark.parametrize("skew", [0, 600_000, -600_000])
    @pytest.mark.parametrize("ago", [120_000, 10**8])
    def test_of_one_noted_longer_ago_its_own_stamp_must_agree(self, age, basis, skew, ago):
        """It may have returned and died while nobody looked. How far its clock is off is known."""
        noted = Observation(incarnation=1, seq=0, seen_ms=NOW.wall_ms - ago, skew_ms=skew)
        assert first_sight(beat(at=NOW.wall_ms - age - skew), REMOTE, NOW, noted, None).basis is basis

    def test_a_short_time_is_a_timeout_of_the_machine_and_the_delay(self):
        slow = beat(at=START - 10**8, interval=600_000)
        for timing, limit in ((REMOTE, 2_400_000), (SLOW, 2_460_000)):
            for ago, basis in ((limit - 1, Basis.LEDGER), (limit, Basis.SENDER)):
                noted = Observation(incarnation=1, seq=0, seen_ms=NOW.wall_ms - ago)
                assert first_sight(slow, timing, NOW, noted, None).basis is basis

    @pytest.mark.parametrize(("silent", "basis"), [(0, Basis.SENDER), (189_999, Basis.SENDER), (190_000, Basis.LEDGER)])
    def test_what_was_only_met_is_no_more_than_that_until_it_was_watched_for_a_whole_deadline(self, silent, basis):
        noted = Observation(incarnation=1, seq=1, seen_ms=NOW.wall_ms - 50_000, silent_ms=silent, rose=False)
        found = first_sight(beat(), REMOTE, NOW, noted, None)
        assert (found.basis, found.silence_ms) == (basis, NOW.mono_ms - silent - 50_000)

    @pytest.mark.parametrize("seq", [0, 1])
    def test_looks_that_agreed_before_go_on_counting(self, seq):
        noted = Observation(
            incarnation=1, seq=seq, seen_ms=NOW.wall_ms, candidate=MachineStatus.OFFLINE, agreed=2, interval_ms=30_000
        )
        found = first_sight(beat(), REMOTE, NOW, noted, None)
        assert (found.candidate, found.agreed) == (MachineStatus.OFFLINE, 2)


class TestNotedOnly:
    """A machine whose record is not there, or cannot be read, in the first look of a process."""

    def test_its_silence_goes_on_by_its_own_promise(self):
        noted = Observation(
            incarnation=1, seq=1, seen_ms=NOW.wall_ms - 10**9, silent_ms=500_000, interval_ms=600_000, agreed=1,
            candidate=MachineStatus.WARNING,
        )  # fmt: skip
        found = noted_only(noted, MachineStatus.ONLINE, REMOTE, NOW)
        age = 500_000 + 2_400_000
        assert found == Known(
            None, Basis.LEDGER, NOW.mono_ms - age, noted.seen_ms - 500_000, MachineStatus.ONLINE, promised_ms=600_000,
            candidate=MachineStatus.WARNING, agreed=1,
        )  # fmt: skip
        assert found.interval_ms == 600_000


class TestAsAnnounced:
    """Only a newer record ends a silence that was announced."""

    @pytest.mark.parametrize(
        ("status", "timing", "least"),
        [
            (MachineStatus.WARNING, REMOTE, 120_000),
            (MachineStatus.OFFLINE, REMOTE, 1_240_000),
            (MachineStatus.WARNING, SLOW, 180_000),
            (MachineStatus.OFFLINE, SLOW, 1_300_000),
        ],
    )
    @pytest.mark.parametrize("basis", [Basis.LEDGER, Basis.SENDER])
    def test_the_silence_is_at_least_as_long_as_it_was(self, status, timing, least, basis):
        """One that was announced as offline has lasted ever since, whatever was counted."""
        short = Known(beat(), basis, NOW.mono_ms - 50_000, 7)
        assert as_announced(short, entry(status), timing, NOW) == Known(beat(), Basis.LEDGER, NOW.mono_ms - least, 7)

    def test_a_clock_set_back_since_makes_it_no_shorter(self):
        short = Known(beat(), Basis.LEDGER, NOW.mono_ms, 7)
        later = attrs.evolve(entry(), since_ms=NOW.wall_ms + 10**6)
        assert as_announced(short, later, REMOTE, NOW).silence_ms == NOW.mono_ms - 240_000

    def test_a_longer_silence_stays(self):
        long = Known(beat(), Basis.STAMP, NOW.mono_ms - 1_900_000, 7)
        assert as_announced(long, entry(), LOCAL, NOW) == long

    @pytest.mark.parametrize(
        ("known", "announced"),
        [
            (Known(beat(seq=2), Basis.LEDGER, 0, 0), entry()),
            (Known(beat(incarnation=2, seq=0), Basis.LEDGER, 0, 0), entry()),
            (Known(beat(), Basis.LEDGER, 999_000, 0), entry(MachineStatus.ONLINE)),
            (Known(None, Basis.SENDER, 999_000, 0), entry()),
        ],
        ids=["risen", "new life", "online", "no record"],
    )
    def test_everything_else_is_as_it_was_sighted(self, known, announced):
        assert as_announced(known, announced, REMOTE, NOW) is known

    def test_the_promise_counts(self):
        short = Known(beat(interval=60_000), Basis.LEDGER, NOW.mono_ms, 7)
        lately = attrs.evolve(entry(), since_ms=NOW.wall_ms)
        assert as_announced(short, lately, REMOTE, NOW).silence_ms == NOW.mono_ms - 480_000


class TestRisen:
    LAST, DONE = at(990), at(1_003)

    def sight(self, stamp, timing=LOCAL, *, trust=True, server=None):
        return risen(beat(at=stamp), timing, self.LAST, self.DONE, trust_stamp=trust, server_ms=server)

    def test_our_own_clocks_stamp_dates_the_beat(self):
        found = self.sight(self.DONE.wall_ms - 4_000)
        assert (found.basis, found.silence_ms) == (Basis.STAMP, 999_000)
        assert found.rose_wall_ms == self.DONE.wall_ms - 4_000

    @pytest.mark.parametrize(("stamp", "rose"), [(-50_000, 990_000), (50_000, 1_003_000)])
    def test_between_the_last_look_and_now(self, stamp, rose):
        """It was not there at the last look and is now, whatever the stamp says."""
        assert self.sight(self.DONE.wall_ms + stamp).silence_ms == rose

    def test_the_storages_own_clock_comes_first(self):
        assert (
            self.sight(self.DONE.wall_ms + 600_000 - 1_000, server=self.DONE.wall_ms + 600_000).silence_ms == 1_002_000
        )

    @pytest.mark.parametrize(("timing", "trust"), [(REMOTE, True), (LOCAL, False), (SLOW, True)])
    def test_without_a_clock_we_share_it_rose_when_we_saw_it(self, timing, trust):
        found = self.sight(self.DONE.wall_ms - 4_000, timing, trust=trust)
        assert found == Known(beat(at=self.DONE.wall_ms - 4_000), Basis.OBSERVER, self.DONE.mono_ms, self.DONE.wall_ms)


class TestInALook:
    @pytest.mark.parametrize("skew", [-600, 600, -5, 10**7])
    @pytest.mark.parametrize("timing", [REMOTE, SLOW], ids=["remote", "slow"])
    def test_the_skew_of_another_host_changes_no_verdict(self, timing, skew):
        observer = Observer(timing)
        for seq in range(20):
            observer.look(30 * seq, beat(seq=seq, at=START + 1_000 * (30 * seq + skew)))
            assert seq == 0 or observer.verdict() == "online"
        assert [(str(event.after), str(event.reason)) for event in observer.events] == [("online", "first_seen")]

    def test_the_first_look_announces_nothing_of_another_host(self):
        observer = Observer(REMOTE)
        assert observer.look(0, beat(at=START - 150_000)) == []
        assert observer.verdict() == "warning"
        assert observer.memory.known["web-1"].basis is Basis.SENDER

    def test_it_is_announced_when_it_rises(self):
        observer = Observer(REMOTE)
        observer.look(0, beat(at=START - 10**9))
        assert observer.look(30, beat(seq=2, at=START - 10**9)) == [("web-1", "online", "first_seen")]

    def test_or_when_it_was_silent_for_the_whole_deadline(self):
        observer = Observer(HEARD)
        for seconds in range(0, 300, 60):
            assert observer.look(seconds, beat()) == []
        assert observer.look(299.999, beat()) == []
        assert observer.look(300, beat()) == [("web-1", "offline", "silent")]
        assert observer.events[0].basis is Basis.OBSERVER

    def test_whom_a_stamp_shows_offline_is_watched_as_patiently_as_anybody(self):
        """Time in which nobody looked does not count for more because a sender's clock is behind."""
        observer = Observer(HEARD)
        old = beat(at=START - 10**9)
        observer.look(0, old)
        assert observer.verdict() == "offline"
        assert observer.look(5_000, old) == []
        assert observer.look(5_100, old) == []
        assert observer.look(5_179.999, old) == []
        assert observer.look(5_180, old) == [("web-1", "offline", "silent")]

    @pytest.mark.parametrize("timing", [REMOTE, HEARD], ids=["remote", "slow"])
    def test_nor_is_it_announced_in_a_stalled_look_or_while_settling(self, timing):
        observer = Observer(timing)
        old = beat(at=START - 10**9)
        observer.look(0, old)
        for seconds in range(50, 301, 50):
            assert observer.look(seconds, old, late_ms=1) == []
        assert observer.look(419.999, old) == []
        assert observer.verdict() == "offline"
        assert observer.look(420, old) == [("web-1", "offline", "silent")]

    def test_what_a_stamp_suggested_spares_no_confirmation(self):
        observer = Observer(attrs.evolve(REMOTE, confirm_offline=3))
        old = beat(at=START - 10**9)
        for seconds in (0, 100, 200, 240, 250):
            assert observer.look(seconds, old) == []
        assert observer.look(260, old) == [("web-1", "offline", "silent")]

    def test_nor_does_it_end_the_hold_of_a_record_that_cannot_be_read(self):
        observer = Observer(REMOTE)
        observer.look(0, beat(at=START - 10**9))
        for seconds in range(60, 240 + 900, 60):
            assert observer.look(seconds, unreadable={"web-1": "cut"}) == []
        assert observer.look(240 + 900, unreadable={"web-1": "cut"}) == [("web-1", "offline", "silent")]

    def test_a_slow_load_makes_nobody_look_older(self):
        observer = Observer(REMOTE)
        observer.look(0, beat())
        observer.look(30, beat(seq=2), took=20)
        assert observer.look(169.999, beat(seq=2)) == []
        assert observer.look(170, beat(seq=2)) == [("web-1", "warning", "silent")]

    @pytest.mark.parametrize("timing", [LOCAL, REMOTE, HEARD], ids=["local", "remote", "slow"])
    @pytest.mark.parametrize("stop", [150, 210, 250, 500])
    @pytest.mark.parametrize("pause", [1, 60, 10_000])
    def test_a_restart_of_the_observer_repeats_nothing_and_brings_nobody_back(self, timing, stop, pause):
        """One silence, one warning, one offline, however many processes watch it."""
        observer = Observer(timing)
        observer.look(0, beat())
        rose = beat(seq=2, at=START + 1_000)
        observer.look(1, rose)
        for seconds in range(10, stop + 1, 10):
            observer.look(seconds, rose)
        again = observer.restarted()
        noted = {"web-1": Observation(incarnation=1, seq=2, seen_ms=START + 1_000)}
        for seconds in range(stop + pause, stop + pause + 1_000, 10):
            again.look(seconds, rose, observations=noted)
        changes = [(str(event.before), str(event.after)) for event in (*observer.events, *again.events)]
        assert changes in (
            [("unknown", "online"), ("online", "warning"), ("warning", "offline")],
            [("unknown", "online"), ("online", "offline")],
        )
        assert again.look(stop + pause + 1_000, beat(seq=3, at=START)) == [("web-1", "online", "returned")]

    def test_a_clock_set_back_between_two_processes_brings_nobody_back(self):
        observer = Observer(LOCAL)
        observer.look(0, beat())
        observer.look(300, beat())
        again = observer.restarted()
        for seconds in range(300, 700, 20):
            assert again.look(seconds, beat(), wall=seconds - 280) == []
            assert again.verdict() == "offline"
