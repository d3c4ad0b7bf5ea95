"""The guards over whatever a fleet, a medium, an observer and a calendar may do."""

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbeat_kit import FleetSilent, Heartbeat, Instant, MachineStatus, MaintenanceWindow, Reason, Transition
from heartbeat_kit._observer import Memory, Timing, look
from heartbeat_kit._observer._silence import patience_ms
from heartbeat_kit.storage import Snapshot

START = 1_767_225_600_000
T, BEAT, SLOT, WINDOW_SLOTS = 120_000, 30_000, 30_000, 20
OTHERS = ("b", "c", "d", "e")

timings = st.builds(
    Timing,
    heartbeat_ms=st.just(BEAT),
    timeout_ms=st.just(T),
    delay_ms=st.sampled_from([0, 60_000]),
    hold_ms=st.sampled_from([0, 300_000, 900_000]),
    shared_clock=st.booleans(),
    coherent=st.booleans(),
    slot_ms=st.just(SLOT),
)
delaying = timings.map(lambda timing: attrs.evolve(timing, delay_ms=60_000, shared_clock=False, coherent=False))


def record(name, seq, now):
    return Heartbeat(machine_id=name, last_heartbeat=START + now, incarnation=1, seq=seq, interval=BEAT)


class World:
    """One observer, the records it is shown, and everything it announced."""

    def __init__(self, timing, windows=()):
        self.timing, self.windows, self.now = timing, windows, 0
        self.memory, self.ledger, self.events, self.records = Memory(), {}, [], {}

    def beat(self, *names):
        for name in names:
            seq = self.records[name].seq + 1 if name in self.records else 1
            self.records[name] = record(name, seq, self.now)

    def look(self, how="look", jump=0, late_ms=0):
        """Returns what this look announced."""
        if how == "restart":
            self.memory = Memory()
        now = Instant(START + self.now + jump, self.now)
        seen = look(
            self.memory,
            Snapshot(heartbeats=dict(self.records)),
            self.ledger,
            timing=self.timing,
            started=now,
            finished=now,
            observer="watcher",
            late_ms=late_ms,
            count=how != "query",
            windows=self.windows,
        )
        self.memory = seen.memory
        if how in ("query", "lost"):
            return []
        for move in seen.moves:
            current = self.ledger.get(move.entry.machine_id)
            assert (current.event_id if current else None) == move.expected
            self.ledger = {**self.ledger, move.entry.machine_id: move.entry}
        self.events += [move.transition for move in seen.moves]
        return [move.transition for move in seen.moves]

    def verdict(self, name):
        return self.memory.known[name].verdict

    def of(self, name):
        return [event for event in self.events if isinstance(event, Transition) and event.machine_id == name]

    @property
    def silences(self):
        return [event for event in self.events if isinstance(event, FleetSilent)]


heard = st.sets(st.sampled_from(OTHERS))
"""Which of the others are heard before a look."""
ways = st.sampled_from(["look", "look", "look", "look", "late", "jump", "query", "lost", "restart"])


@given(
    timings,
    st.integers(1_000, T - 1),
    st.lists(st.tuples(st.integers(0, 400_000), heard, ways), max_size=40),
)
def test_who_is_heard_regularly_is_never_announced_offline_whatever_the_others_do(timing, period, script):
    """Nor warned about, nor called unknown by this process once it was heard, in a silence of all others or after."""
    world, shown = World(timing), -1
    world.beat(*OTHERS)
    for after_ms, names, how in script:
        world.now += after_ms
        world.beat(*sorted(names))
        if world.now // period > shown:
            shown = world.now // period
            world.records["a"] = record("a", shown + 1, shown * period)
        jump = 600_000 if how == "jump" and not timing.shared_clock else 0
        world.look(how, jump, after_ms if how == "late" else 0)
    assert {event.after for event in world.of("a")} <= {MachineStatus.ONLINE}


@given(
    delaying,
    st.lists(st.tuples(st.integers(1_000, 59_000), st.booleans(), heard), min_size=30, max_size=90),
)
def test_a_dead_machine_is_found_whoever_else_is_silent(timing, script):
    """At the latest after its deadline, the hold, a settle period and one look."""
    world = World(timing)
    world.beat("a", *OTHERS)
    world.look()
    world.now = 1_000
    world.beat("a", *OTHERS)
    world.look()
    warning = 1_000 + T + timing.delay_ms
    latest = max(warning + T, warning + timing.hold_ms) + T + 59_000
    silent = False
    for pause, turn, names in script:
        world.now += pause
        silent = silent is not turn
        world.beat(*(sorted(names) if not silent else ()))
        world.look()
        if world.now >= latest:
            assert world.verdict("a") is MachineStatus.OFFLINE
        if world.now < warning:
            assert world.verdict("a") is MachineStatus.ONLINE
    told = [event.after for event in world.of("a")]
    assert told.count(MachineStatus.OFFLINE) <= 1
    assert told[-1] is MachineStatus.OFFLINE or world.now < latest


@given(delaying, st.integers(20_000, 400_000), st.integers(1_000, 30_000))
def test_a_dead_machine_is_found_however_seldom_the_others_are_heard(timing, period, pause):
    """News of somebody else every now and then: neither always nor never, so each piece ends a silence."""
    world = World(timing)
    world.beat("a", "b")
    world.look()
    world.now, shown = 1_000, 0
    world.beat("a")
    world.look()
    latest = 1_000 + T + timing.delay_ms + max(T, timing.hold_ms) + T + pause  # hold, settle, look
    while world.now < latest:
        world.now += pause
        if world.now // period > shown:
            shown = world.now // period
            world.beat("b")
        world.look()
    assert world.verdict("a") is MachineStatus.OFFLINE


@given(
    delaying,
    st.lists(
        st.tuples(
            st.integers(1, 90_000),
            st.sampled_from([(), (), (), (), (), ("b",), ("b", "c"), OTHERS]),
            st.sampled_from(["look", "look", "look", "query", "lost", "late"]),
        ),
        max_size=60,
    ),
)
def test_a_fleet_silence_is_told_at_most_once(timing, script):
    """Between two rises of anybody, whatever is lost, asked or late; and never while somebody was just heard."""
    world = World(timing)
    world.beat(*OTHERS)
    world.look()
    since, told = None, 0
    for pause, names, how in script:
        world.now += pause
        world.beat(*names)
        if names:
            since, told = world.now, 0
        made = world.look(how, late_ms=pause if how == "late" else 0)
        silences = [event for event in made if isinstance(event, FleetSilent)]
        told += len(silences)
        assert told <= 1
        if silences and since is not None:
            assert world.now - since > patience_ms(timing, BEAT)
    assert len({event.id for event in world.silences}) == len(world.silences)


quick = st.builds(
    Timing,
    heartbeat_ms=st.just(BEAT),
    timeout_ms=st.just(60_000),
    slot_ms=st.sampled_from([SLOT, 4 * SLOT]),
    shared_clock=st.booleans(),
    coherent=st.just(True),
)
ups = st.lists(st.tuples(st.booleans(), st.integers(1, 6)), max_size=14)
"""Up or down, for so many slots."""
spans = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 60)), max_size=3)
"""Maintenance: from this slot on, for so many."""


def lived(timing, script, windows, *, ends_up, how="look"):
    """A machine that is up and down as the script says, then for good; a look each slot; every mark has fallen."""
    world = World(
        timing,
        tuple(
            MaintenanceWindow(machine_id="a", start=START + first * SLOT, end=START + (first + length) * SLOT)
            for first, length in windows
        ),
    )
    world.beat("a")
    world.look()
    for up, slots in [*script, (ends_up, 130 + 2 * WINDOW_SLOTS * timing.slot_ms // SLOT)]:
        for number in range(slots):
            world.now += SLOT
            if up:
                world.beat("a")
            world.look(how if number == 0 else "look")
    return world


@settings(max_examples=60, deadline=None)
@given(quick, ups, spans, st.booleans(), st.sampled_from(["look", "lost", "query", "restart"]))
def test_who_passes_over_marked_events_ends_with_the_truth(timing, script, windows, ends_up, how):
    """Once the marks have fallen, the last plain event says what the machine is, and nothing is owed."""
    world = lived(timing, script, windows, ends_up=ends_up, how=how)
    entry = world.ledger["a"]
    truth = MachineStatus.ONLINE if ends_up else MachineStatus.OFFLINE
    assert world.verdict("a") is truth
    assert (entry.status, entry.flapping, entry.steady) == (truth, False, None) or entry.steady is truth
    plain = [event for event in world.of("a") if not event.flapping and not event.suppressed]
    assert [event.after for event in plain][-1:] in ([truth], [])
    assert plain or truth is MachineStatus.ONLINE, "only a first registration in maintenance goes without a plain word"
    assert len({event.id for event in world.of("a")}) == len(world.of("a"))


@settings(max_examples=60, deadline=None)
@given(quick, ups, spans, st.booleans())
def test_events_chain_with_the_marks_and_without(timing, script, windows, ends_up):
    """A marked event begins where the last event ended, a plain one where the last plain one did.

    A first registration is known to everybody, even in maintenance.
    """
    world = lived(timing, script, windows, ends_up=ends_up)
    last = plain = MachineStatus.UNKNOWN
    for event in world.of("a"):
        marked = event.flapping or event.suppressed
        assert event.before is (last if marked else plain)
        last = event.after
        if not marked or event.reason is Reason.FIRST_SEEN:
            plain = event.after
