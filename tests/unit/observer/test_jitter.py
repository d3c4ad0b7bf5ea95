"""The measured allowance of a medium that delays."""

import math
import random
import time
from bisect import bisect_right
from itertools import pairwise

import pytest

from heartbeat_kit._observer._jitter import JitterMeter

SIGMA = math.log(50 / 8) / 2.3263  # lognormal: median 8 s, p99 50 s


def lognormal(rng):
    return 8_000 * math.exp(SIGMA * rng.gauss(0, 1))


def coherent(rng):
    return rng.uniform(0, 1_000)


class Model:
    """Senders on a medium with independent delays, and one observer that looks every 30 s.

    `rises` are the arguments of `JitterMeter.rose`, in order; `truth_ms` is the p99 of the medium's own draws over
    their least, for the beats of the window.
    """

    def __init__(self, seed, *, delay=lognormal, senders=19, beats=215, beat_ms=30_000, look_ms=30_000, stalls=()):
        rng = random.Random(seed)
        end = beats * beat_ms
        phase = rng.uniform(0, look_ms)
        looks = [int(phase + look_ms * i) for i in range(int((end - phase) // look_ms))]
        drawn, rises = [], []
        for sender in range(senders):
            sent, at = [], 0.0
            while (at := at + beat_ms * (1 - 0.1 * rng.random())) < end:
                sent.append(int(at))
            delays = [int(delay(rng)) for _ in sent]
            drawn += delays[-200:]
            arrivals = sorted((held(s + d, stalls), k) for k, (s, d) in enumerate(zip(sent, delays, strict=True)))
            times, newest, shown = [a for a, _ in arrivals], [], -1
            for _, k in arrivals:
                shown = max(shown, k)
                newest.append(shown)
            before = -1
            for unseen, seen in pairwise(looks):
                i = bisect_right(times, seen)
                if i and newest[i - 1] > before:
                    before = newest[i - 1]
                    rises.append((seen, unseen, f"m{sender}", before, sent[before]))
        self.rises = sorted(rises)
        self.interval_ms = beat_ms
        self.truth_ms = sorted(drawn)[int(len(drawn) * 0.99)] - min(drawn)

    def feed(self, meter, *, skews=None, observer_ms=0):
        for seen, unseen, name, seq, stamp in self.rises:
            meter.rose(
                name,
                incarnation=1,
                seq=seq,
                stamp_ms=stamp + (skews or {}).get(name, 0),
                interval_ms=self.interval_ms,
                unseen_ms=unseen + observer_ms,
                seen_ms=seen + observer_ms,
            )
        return meter


def held(at, stalls):
    return next((end for start, end in stalls if start < at < end), at)


class Sender:
    """One sender whose beats are looked for every second, so a delay is known to a second."""

    def __init__(self, meter, name="web1"):
        self.meter = meter
        self.name = name
        self.now_ms = 0
        self.seq = 0
        self.incarnation = 1
        self.sender_ms = 0
        self.observer_ms = 0

    def beat(self, delay_ms=1_000, *, lost=0):
        self.now_ms += 30_000 * (lost + 1)
        self.seq += lost + 1
        seen = self.now_ms + delay_ms + self.observer_ms
        self.meter.rose(
            self.name,
            incarnation=self.incarnation,
            seq=self.seq,
            stamp_ms=self.now_ms + self.sender_ms,
            interval_ms=30_000,
            unseen_ms=seen - 1_000,
            seen_ms=seen,
        )
        self.now_ms += max(delay_ms - 30_000, 0)  # the next one is seen later than this one

    def beats(self, count, delay_ms=1_000):
        for i in range(count):
            self.beat(delay_ms + 400 * (i % 10))


@pytest.fixture
def meter():
    return JitterMeter()


@pytest.fixture
def sender(meter):
    return Sender(meter)


def test_nothing_is_said_before_fifty_beats(meter, sender):
    sender.beats(49)
    assert (meter.samples, meter.p99_ms) == (49, None)
    sender.beat()
    assert meter.samples == 50
    assert 2_500 < meter.p99_ms < 5_000


@pytest.mark.parametrize("seed", range(6))
def test_the_p99_of_the_model_within_twenty_percent(seed):
    model = Model(seed)
    assert model.feed(JitterMeter()).p99_ms == pytest.approx(model.truth_ms, rel=0.2)


def test_slow_beats_within_twenty_percent():
    model = Model(2, beat_ms=60_000)
    assert model.feed(JitterMeter()).p99_ms == pytest.approx(model.truth_ms, rel=0.2)


def test_clock_skew_changes_nothing():
    model = Model(1)
    plain = model.feed(JitterMeter())
    skews = {f"m{i}": 977_001 * (i - 9) for i in range(19)}
    skewed = model.feed(JitterMeter(), skews=skews, observer_ms=-123_456_789)
    assert (skewed.p99_ms, skewed.samples) == (plain.p99_ms, plain.samples)


@pytest.mark.parametrize("beat_ms", [10_000, 30_000, 60_000])
def test_the_wait_for_a_look_is_not_the_mediums(beat_ms):
    """Looks are 30 s apart, delays below a second."""
    meter = Model(3, delay=coherent, senders=5, beat_ms=beat_ms).feed(JitterMeter())
    assert meter.p99_ms < 6_000


def measured_with_missing(lost, *, lives=False):
    """The p99 of the same delays, where before every twentieth rise so many beats are missing."""
    meter = JitterMeter()
    sender = Sender(meter)
    for i in range(200):
        if i % 20 == 0:
            sender.incarnation += lives
        sender.beat(40_000 if i % 50 == 49 else 400 * (i % 10), lost=lost if i % 20 == 0 else 0)
    return meter.p99_ms


def test_a_beat_that_was_replaced_before_it_was_seen_was_late():
    assert measured_with_missing(1) > 1.2 * measured_with_missing(0)


def test_between_two_lives_no_beat_is_missing():
    assert measured_with_missing(1, lives=True) == measured_with_missing(0)


def test_many_beats_missing_in_a_row_are_one_event_not_many_delays():
    """A sender that is alone cannot tell a stall from the way its beats are."""
    assert measured_with_missing(5) == pytest.approx(measured_with_missing(0), rel=0.05)


def test_a_sender_set_forward_begins_anew(meter, sender):
    sender.beats(100)
    sender.sender_ms += 300_000
    sender.beat()
    assert (meter.samples, meter.p99_ms) == (1, None)
    sender.beats(60)
    assert meter.p99_ms < 6_000


def test_a_sender_set_back_begins_anew_with_the_fifth_late_beat(meter, sender):
    sender.beats(100)
    sender.sender_ms -= 300_000
    sender.beats(4)
    assert meter.samples == 100
    sender.beat()
    assert meter.samples == 5
    sender.beats(60)
    assert meter.p99_ms < 6_000


def test_a_step_of_one_sender_leaves_the_others(meter, sender):
    other = Sender(meter, "web2")
    for i in range(100):
        sender.beat(400 * (i % 10))
        other.beat(400 * (i % 10))
    before = meter.p99_ms
    sender.sender_ms -= 300_000
    for i in range(60):
        sender.beat(400 * (i % 10))
        other.beat(400 * (i % 10))
    assert meter.samples == 160 + 60
    assert meter.p99_ms == pytest.approx(before, rel=0.2)


def test_late_beats_that_are_followed_by_a_punctual_one_were_late(meter, sender):
    sender.beats(150)
    sender.observer_ms = 200_000
    sender.beats(4)
    sender.now_ms += 200_000
    sender.observer_ms = 0
    sender.beats(46)
    assert meter.samples == 200
    assert meter.p99_ms > 30_000


def test_a_suspend_of_the_observer_begins_anew(meter, sender):
    sender.beats(100)
    sender.now_ms += 3_600_000
    sender.observer_ms -= 3_600_000
    sender.beats(60)
    assert meter.samples == 60
    assert meter.p99_ms < 6_000


def test_a_small_step_is_not_called_one(meter, sender):
    sender.beats(100)
    sender.sender_ms += 50_000
    sender.beat()
    assert meter.samples == 101


def test_a_new_life_keeps_the_window_and_loses_no_beat(meter, sender):
    sender.beats(100)
    sender.incarnation += 1
    sender.seq = 5_000
    sender.beats(10)
    assert meter.samples == 110
    assert meter.p99_ms < 6_000


def test_no_value_exceeds_ten_minutes(meter, sender):
    """A third of the beats are an hour late, each alone, so that no clock seems to have been set."""
    for i in range(200):
        sender.beat(3_600_000 if i % 3 == 2 else 1_000)
    assert 300_000 < meter.p99_ms <= 600_000


def test_the_same_delay_for_every_beat_is_no_jitter(meter, sender):
    for _ in range(100):
        sender.beat(20_000)
    assert 0 <= meter.p99_ms < 2_000


def test_the_oldest_beat_of_a_machine_leaves(meter, sender):
    for _ in range(200):
        sender.beat()
        sender.beat(40_000)
    assert meter.samples == 200
    assert meter.p99_ms > 30_000
    sender.beats(250)
    assert meter.samples == 200
    assert meter.p99_ms < 6_000


def test_the_floor_leaves_with_its_beat(meter, sender):
    """A path that became slower by 30 s for good has no more jitter than before, a window later."""
    sender.beats(50)
    sender.beats(260, delay_ms=31_000)
    assert meter.p99_ms < 6_000
    sender.sender_ms += 80_000
    sender.beat(31_000)
    assert meter.samples == 1


def test_memory_is_bounded(meter):
    senders = [Sender(meter, f"m{i}") for i in range(60)]
    for _ in range(220):
        for sender in senders:
            sender.beat()
    assert meter.samples == 8_000


def test_a_machine_that_fell_silent_gives_its_place_to_the_next(meter):
    others = [Sender(meter, f"m{i}") for i in range(40)]
    for _ in range(10):
        for sender in others:
            sender.beat()
    late = Sender(meter, "late")
    late.now_ms = others[0].now_ms
    late.beats(10)
    assert meter.samples == 400
    for _ in range(24):
        others[0].beat()
    late.now_ms = others[0].now_ms
    late.beats(20)
    assert meter.samples == 400 + 24 - 10 + 20


def test_a_removed_machine_no_longer_counts(meter, sender):
    sender.beats(60)
    meter.forget("web1")
    meter.forget("nobody")
    assert (meter.samples, meter.p99_ms) == (0, None)


@pytest.mark.parametrize("minutes", [1, 2, 5, 10])
def test_a_medium_that_stood_still_is_not_jitter(minutes):
    stalls = [(start * 60_000, (start + minutes) * 60_000) for start in (50, 80)]
    stalled = Model(2, stalls=stalls).feed(JitterMeter())
    assert stalled.p99_ms == pytest.approx(Model(2).truth_ms, rel=0.2)


def test_a_gap_of_many_beats_is_not_counted_beat_by_beat(meter, sender):
    """Numbers that rise by 40,000 a beat cost no 40,000 steps."""
    started = time.process_time()
    for _ in range(200):
        sender.seq += 40_000
        sender.now_ms += 15_000
        sender.beat()
    assert time.process_time() - started < 1
    assert meter.p99_ms < 6_000


def test_a_rise_is_cheap():
    model = Model(4)
    started = time.process_time()
    model.feed(JitterMeter())
    assert (time.process_time() - started) / len(model.rises) < 100e-6
