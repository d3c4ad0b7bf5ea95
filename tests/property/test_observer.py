"""The observer over whatever sequences of snapshots a fleet and its storage may show it."""

import attrs
from hypothesis import given, settings
from hypothesis import strategies as st

from heartbeat_kit import Heartbeat, Instant, MachineStatus, ObserverHealth, ObserverState, Transition, to_wire
from heartbeat_kit._events import Basis
from heartbeat_kit._observer import Memory, Timing, fleet_state, look
from heartbeat_kit._times import MAX_MS, MIN_MS
from heartbeat_kit.storage import Observation, Snapshot

START = 1_767_225_600_000
T = 120_000
NAMES = ("a", "b", "c")

timings = st.builds(
    Timing,
    heartbeat_ms=st.just(30_000),
    timeout_ms=st.just(T),
    delay_ms=st.sampled_from([0, 60_000]),
    hold_ms=st.sampled_from([0, 900_000]),
    confirm_offline=st.integers(1, 3),
    confirm_online=st.integers(1, 3),
    shared_clock=st.booleans(),
    coherent=st.booleans(),
)
plain = timings.map(lambda timing: attrs.evolve(timing, confirm_offline=1, confirm_online=1))


class World:
    """One observer with its memory, its ledger and what it announced."""

    def __init__(self, timing, name="watcher", skew_ms=0):
        self.timing, self.name, self.skew_ms = timing, name, skew_ms
        self.memory, self.ledger, self.noted, self.events = Memory(), {}, {}, []

    def look(self, mono_ms, heartbeats, *, unreadable=None, late_ms=0, wall_jump=0, count=True, commit=True):
        now = Instant(START + mono_ms + self.skew_ms + wall_jump, mono_ms)
        seen = look(
            self.memory,
            Snapshot(heartbeats=heartbeats, unreadable=unreadable or {}),
            self.ledger,
            timing=self.timing,
            started=now,
            finished=now,
            observer=self.name,
            late_ms=late_ms,
            count=count,
            observations=self.noted,
        )
        self.memory = seen.memory
        if not commit:
            return ()
        for move in seen.moves:
            current = self.ledger.get(move.entry.machine_id)
            assert (current.event_id if current else None) == move.expected
            self.ledger = {**self.ledger, move.entry.machine_id: move.entry}
            self.events.append(move.transition)
        return tuple(move.transition for move in seen.moves)

    @property
    def transitions(self):
        """What was announced of machines."""
        return [event for event in self.events if isinstance(event, Transition)]

    @property
    def shown(self):
        """The statuses people see."""
        memory = self.memory
        return {name: known.verdict for name, known in memory.known.items() if name not in memory.removed}

    def restart(self):
        """A new process: what was announced and noted stays."""
        self.noted = {
            name: Observation(
                incarnation=known.heartbeat.incarnation,
                seq=known.heartbeat.seq,
                seen_ms=known.rose_wall_ms,
                skew_ms=known.rose_wall_ms - known.heartbeat.last_heartbeat_ms,
                rose=known.basis is not Basis.SENDER,
            )
            for name, known in self.memory.known.items()
            if known.heartbeat is not None
        }
        self.memory = Memory()


def record(name, life, seq, stamp, **more):
    return Heartbeat(machine_id=name, last_heartbeat=stamp, incarnation=life, seq=seq, interval=30_000, **more)


steps = st.lists(
    st.tuples(
        st.integers(0, 400_000),
        st.tuples(
            *(
                st.sampled_from(["beat", "beat", "silent", "silent", "silent", "life", "old", "leave", "bad", "gone"])
                for _ in NAMES
            )
        ),
        st.sampled_from(["look", "look", "look", "late", "jump", "query", "lost", "restart"]),
    ),
    max_size=25,
)


class Fleet:
    """Three machines that do what a script says, and the storage that shows it."""

    def __init__(self):
        self.records, self.shown, self.now = {}, {}, 0

    def step(self, after_ms, actions):
        """What the storage shows after `after_ms`: readable records and unreadable ones."""
        self.now += after_ms
        unreadable = {}
        for name, action in zip(NAMES, actions, strict=True):
            last = self.records.get(name)
            life, seq = (last.incarnation, last.seq) if last else (1, 0)
            stamp = START + self.now
            if action == "beat" or (action == "silent" and last is None):
                self.records[name] = self.shown[name] = record(name, life, seq + 1, stamp)
            elif action == "life":
                self.records[name] = self.shown[name] = record(name, life + 1, 1, stamp)
            elif action == "leave":
                self.records[name] = self.shown[name] = record(name, life, seq + 1, stamp, left_at=stamp)
            elif action == "silent":
                self.shown.setdefault(name, last)
            elif action == "old" and last is not None:
                self.shown[name] = record(name, max(life - 1, 0), seq, stamp)
            elif action == "bad":
                self.shown.pop(name, None)
                unreadable[name] = "cut"
            elif action == "gone":
                self.shown.pop(name, None)
        return dict(self.shown), unreadable


def play(world, script):
    fleet = Fleet()
    for after_ms, actions, how in script:
        heartbeats, unreadable = fleet.step(after_ms, actions)
        if how == "restart":
            world.restart()
        made = world.look(
            fleet.now,
            heartbeats,
            unreadable=unreadable,
            late_ms=after_ms if how == "late" else 0,
            wall_jump=3_600_000 if how == "jump" else 0,
            count=how != "query",
            commit=how not in ("query", "lost"),
        )
        yield fleet.now, heartbeats, unreadable, made


@given(timings, steps)
def test_events_of_a_machine_chain_and_never_repeat(timing, script):
    """Each begins where the one before ended, changes something, and has an id of its own."""
    world = World(timing)
    for _ in play(world, script):
        pass
    for name in NAMES:
        chain = [event for event in world.transitions if event.machine_id == name]
        statuses = [MachineStatus.UNKNOWN, *(event.after for event in chain)]
        assert [event.before for event in chain] == statuses[:-1]
        assert all(event.before is not event.after for event in chain)
        assert len({event.id for event in chain}) == len(chain)


@given(timings, steps)
def test_a_second_look_at_the_same_facts_says_nothing(timing, script):
    world = World(attrs.evolve(timing, confirm_offline=1, confirm_online=1))
    for now, heartbeats, unreadable, _ in play(world, script):
        world.look(now, heartbeats, unreadable=unreadable)
        assert world.look(now, heartbeats, unreadable=unreadable) == ()


@given(timings, steps)
def test_memory_agrees_with_itself(timing, script):
    """The lists a report is made of are those of the states."""
    world = World(timing)
    for _ in play(world, script):
        memory = world.memory
        trouble = {name: status for name, status in world.shown.items() if status is not MachineStatus.ONLINE}
        assert trouble == memory.troubled
        assert memory.removed <= memory.known.keys()


@given(timings, steps)
def test_passing_over_quiet_machines_changes_nothing(timing, script):
    """An unchanged object before its deadline is not looked at; an equal copy of it is."""
    lazy, eager = World(timing), World(timing)
    thorough = eager.look
    eager.look = lambda now, heartbeats, **more: thorough(
        now, {name: attrs.evolve(found) for name, found in heartbeats.items()}, **more
    )
    for _ in zip(play(lazy, script), play(eager, script), strict=True):
        assert lazy.events == eager.events
        assert lazy.shown == eager.shown


@given(plain, steps, st.integers(-(10**9), 10**9), st.booleans())
def test_observers_of_the_same_facts_compute_the_same_ids(timing, script, skew, remote):
    """Whatever their own wall clocks say, where other hosts' clocks are not trusted."""
    timing = attrs.evolve(timing, shared_clock=False)
    script = [(after, actions, "look") for after, actions, _ in script]
    one, two = World(timing), World(timing, name="other", skew_ms=skew if remote else 0)
    for world in (one, two):
        for _ in play(world, script):
            pass
    assert [event.id for event in one.transitions] == [event.id for event in two.transitions]
    assert [event.episode for event in one.transitions] == [event.episode for event in two.transitions]


@given(
    timings,
    st.lists(st.integers(1, T - 1), min_size=1, max_size=40),
    st.lists(
        st.tuples(
            st.integers(0, 300_000), st.sampled_from(["look", "look", "late", "jump", "query", "lost", "restart"])
        ),
        max_size=30,
    ),
    st.integers(-(10**8), 10**8),
)
def test_a_record_that_rises_at_least_every_timeout_is_never_called_offline(timing, pauses, looks, skew):
    """Nor warned about, however seldom or late somebody looks, whatever is done to our clock or the sender's."""
    skew = 0 if timing.shared_clock else skew
    world, beats = World(timing), [0]
    for pause in pauses:
        beats.append(beats[-1] + pause)
    now = 0
    for after_ms, how in looks:
        now = min(now + after_ms, beats[-1])
        if how == "restart":
            world.restart()
        seq = sum(1 for beat in beats if beat <= now)
        heartbeats = {"a": record("a", 1, seq, START + beats[seq - 1] + skew)}
        jump = 0 if timing.shared_clock else 600_000
        world.look(
            now,
            heartbeats,
            late_ms=after_ms if how == "late" else 0,
            wall_jump=jump if how == "jump" else 0,
            count=how != "query",
            commit=how not in ("query", "lost"),
        )
        assert {event.after for event in world.transitions} <= {MachineStatus.ONLINE}


@given(plain, st.lists(st.integers(1, 59_999), min_size=1, max_size=60))
def test_a_dead_machine_is_found_by_whoever_looks_often_enough(timing, looks):
    """Within deadline + one look; the only peer on a medium that delays within deadline + hold + one look.

    Exactly one warning and one offline are announced at most, and where it is held, one silence and one offline.
    """
    world = World(timing)
    world.look(0, {"a": record("a", 1, 1, START)})
    world.look(1, {"a": record("a", 1, 2, START + 1)})
    now, dead = 1, record("a", 1, 2, START + 1)
    warning = 1 + timing.timeout_ms + timing.delay_ms
    offline = warning + timing.timeout_ms
    held = timing.delay_ms > 0 and timing.hold_ms > 0
    believed = max(offline, warning + timing.hold_ms) if held else offline
    for pause in looks:
        now += pause
        world.look(now, {"a": dead})
        silent = "unknown" if held else "warning"
        expected = "online" if now < warning else silent if now < believed else "offline"
        assert str(world.memory.known["a"].verdict) == expected
    told = [str(event.after) for event in world.transitions if event.machine_id == "a"][1:]
    said = ["warning"] * (now >= warning and not held) + ["offline"] * (now >= believed)
    assert told == said, "looks are closer than a timeout, so a warning is never passed over"
    assert len(world.events) - len(world.transitions) == (held and now >= warning), "one silence, where it is held"


wild = st.builds(
    Heartbeat,
    machine_id=st.sampled_from(NAMES),
    last_heartbeat=st.integers(MIN_MS, MAX_MS) | st.sampled_from([MIN_MS, MAX_MS, START]),
    incarnation=st.integers(0, 2**63 - 1),
    seq=st.integers(0, 2**63 - 1),
    interval=st.integers(1, MAX_MS) | st.sampled_from([1, 30_000, MAX_MS]),
    left_at=st.none() | st.integers(MIN_MS, MAX_MS),
    first_seen=st.integers(MIN_MS, MAX_MS),
    host=st.sampled_from(["", "x", "y"]),
)


@settings(max_examples=60)
@given(
    timings,
    st.lists(
        st.tuples(
            st.integers(0, 10**12), st.integers(-(10**15), 10**15), st.lists(wild, max_size=4), st.integers(0, 10**12)
        ),
        max_size=8,
    ),
)
def test_no_arithmetic_of_ours_raises(timing, script):
    """Neither in a look nor in what people and programs are shown of it."""
    world, now = World(attrs.evolve(timing, heartbeat_ms=1, timeout_ms=31_622_400_000)), 0
    for after_ms, jump, found, late_ms in script:
        now += after_ms
        world.look(now, {each.machine_id: each for each in found}, wall_jump=jump, late_ms=late_ms)
        instant = Instant(START + now + jump, now)
        observer = ObserverState(health=ObserverHealth.OK, since=START, machine_id="watcher")
        state = fleet_state(world.memory, world.timing, instant, observer, None)
        assert to_wire(state, include_heartbeats=True)
        assert state._repr_html_()
        for machine in state:
            assert machine.explain()
            shown = (machine.age, machine.timeout, machine.since, machine.next_deadline, machine.clock_skew)
            assert repr(shown)
            assert machine.missed_heartbeats >= 0
    for event in world.transitions:
        assert to_wire(event)
        assert repr((event, event.occurred_at, event.offline_duration))
