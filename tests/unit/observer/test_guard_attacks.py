"""Ways in which the guards can be led astray; each test says what ought to hold."""

import attrs
import pytest
from guard_values import DELAYING, Scene
from look_values import LOCAL, SLOW, START, Observer, beat

from heartbeat_kit import CascadeDetected, FleetSilent, MaintenanceWindow
from heartbeat_kit._observer._flapping import flaps
from heartbeat_kit.storage import Observation

QUICK = attrs.evolve(LOCAL, heartbeat_ms=5_000, timeout_ms=10_000, slot_ms=10_000)


def test_the_flap_score_is_exact_at_30_percent():
    """Ages 1, 3, 5, 14, 15, 19 weigh 6.0 of 20, that is 30 %; the floats add up to 29.999999999999993."""
    assert flaps(False, tuple(sorted(100 - age for age in (1, 3, 5, 14, 15, 19))), 100)


def test_a_restart_in_the_middle_of_flapping_keeps_the_mark():
    """The next process believes the ledger that it flaps; the first change it sees itself is no reason to stop."""
    observer, seq = Observer(QUICK), 1
    for seconds in range(0, 90, 10):
        if seconds % 20 == 0:
            seq, stamp = seq + 1, START + seconds * 1000
        observer.look(seconds, beat(seq=seq, at=stamp, interval=5_000))
    assert observer.events[-1].flapping
    again = observer.restarted()
    for seconds in range(90, 120, 10):
        if seconds % 20 == 0:
            seq, stamp = seq + 1, START + seconds * 1000
        again.look(seconds, beat(seq=seq, at=stamp, interval=5_000))
    assert [event.flapping for event in again.events] == [True] * len(again.events) != []


def test_one_silence_is_one_event_across_a_restart_that_finds_old_stamps():
    """`b`'s clock is a day slow, and the new process has no note of it: at its first look its stamp says offline."""
    observer, day = Observer(SLOW), 86_400_000

    def records(seq):
        return beat("a", seq=seq), beat("b", seq=seq, at=START - day)

    observer.look(0, *records(1))
    observer.look(10, *records(2))
    for seconds in range(60, 310, 30):
        observer.look(seconds, *records(2))
    again = observer.restarted()
    noted = {"a": Observation(incarnation=1, seq=2, seen_ms=START + 310_000, silent_ms=300_000)}
    for seconds in range(310, 900, 30):
        again.look(seconds, *records(2), observations=noted)
    told = [event for event in (*observer.events, *again.events) if isinstance(event, FleetSilent)]
    assert len(told) == 1


def test_one_silence_is_one_event_across_a_restart_after_the_first_is_believed():
    """`a` is believed offline at 1,090 s, `b` is held until 1,150 s; in between the observer restarts."""
    observer = Observer(SLOW)
    observer.look(0, beat("a"), beat("b"))
    observer.look(10, beat("a", seq=2), beat("b"))
    observer.look(70, beat("a", seq=2), beat("b", seq=2))
    records = beat("a", seq=2), beat("b", seq=2)
    for seconds in range(100, 1_120, 30):
        observer.look(seconds, *records)
    assert (observer.verdict("a"), observer.verdict("b")) == ("offline", "unknown")
    again = observer.restarted()
    noted = {
        name: Observation(incarnation=1, seq=2, seen_ms=START + 1_090_000, silent_ms=1_090_000 - at)
        for name, at in (("a", 10_000), ("b", 70_000))
    }
    for seconds in range(1_120, 1_300, 10):
        again.look(seconds, *records, observations=noted)
    told = [event for event in (*observer.events, *again.events) if isinstance(event, FleetSilent)]
    assert len(told) == 1


def test_machines_believed_one_after_the_other_after_a_hold_are_a_cascade():
    """Eight die within three minutes and are believed within three minutes, a look apart: a cascade by any clock."""
    observer = Observer(SLOW)
    names = "abcdefgh"
    observer.look(0, *(beat(name) for name in names))
    seqs = dict.fromkeys(names, 2)
    seconds = 30
    for dead in range(8):
        for name in names[dead:]:
            seqs[name] += 1
        observer.look(seconds, *(beat(name, seq=seqs[name]) for name in names))
        seconds += 30
    for later in range(seconds, 1_800, 30):
        observer.look(later, *(beat(name, seq=seqs[name]) for name in names))
    assert sum(getattr(event, "after", "") == "offline" for event in observer.events) == 8
    assert any(isinstance(event, CascadeDetected) for event in observer.events)


def test_back_in_the_very_look_that_ends_the_window_owes_nothing():
    """Offline was said with a mark only, so a plain "offline → online" tells listeners of a return from nowhere."""
    observer = Observer(LOCAL)
    windows = (MaintenanceWindow(machine_id="web-1", start=START + 1, end=START + 400_000),)
    for seconds in range(0, 400, 20):
        observer.look(seconds, beat(), windows=windows)
    observer.look(400, beat(seq=2, at=START + 399_000), windows=windows)
    plain = [(str(event.before), str(event.after)) for event in observer.events if not event.suppressed]
    assert ("offline", "online") not in plain


@pytest.mark.parametrize("count", [1, 2])
def test_the_reason_of_a_silence_counts_as_people_do(count):
    scene = Scene(DELAYING)
    names = ["web-1", "web-2"][:count]
    scene.live(90, *names)
    scene.live(240)
    reason = scene.look().observer.reason
    assert ("1 machine is overdue" if count == 1 else "2 machines are overdue") in reason


@pytest.mark.parametrize("period", [106, 115, 119, 120])
def test_a_medium_that_brings_news_every_two_minutes_hides_no_death(period):
    """Each rise of `b` ends a silence of more than 105 s and gives `a` another 120 s: it must be found all the same."""
    observer = Observer(SLOW)
    for seconds in range(0, 4 * 3_600, 5):
        observer.look(seconds, beat("a", seq=2 if seconds else 1), beat("b", seq=1 + seconds // period))
    assert observer.verdict("a") == "offline"


def test_a_machine_first_met_offline_in_maintenance_is_announced_at_its_end():
    """Nothing was announced of it before the window; still offline at the end, it is announced once."""
    observer = Observer(LOCAL)
    windows = (MaintenanceWindow(machine_id="web-1", start=START, end=START + 100_000),)
    record = beat(at=START - 10**9)
    for seconds in range(0, 300, 20):
        observer.look(seconds, record, windows=windows)
    assert [(str(event.after), event.suppressed) for event in observer.events] == [
        ("offline", True),
        ("offline", False),
    ]
