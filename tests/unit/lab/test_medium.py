"""What a medium does to records on their way, and that it does the same in memory and in real folders."""

import statistics
from datetime import timedelta
from random import Random

import pytest

from heartbeat_kit import Heartbeat
from heartbeat_kit.errors import InvalidConfigurationError, StorageUnavailableError
from heartbeat_kit.lab import Lognormal, Medium, Span, Uniform
from heartbeat_kit.lab._link import FolderLink, MemoryLink
from heartbeat_kit.lab._network import Network, Node, interruptions, p99_jitter
from heartbeat_kit.lab._replica import FolderReplica, MemoryReplica

DAY = 86_400_000


def beat(machine_id, seq, incarnation=1):
    return Heartbeat(
        machine_id=machine_id, last_heartbeat=1000 * seq, incarnation=incarnation, seq=seq, interval=30_000, host="h"
    )


class Bench:
    """Two machines and a reader on a medium, with time in hand."""

    def __init__(self, medium, *, stalls=(), pauses=(), seed=1, directory=None, names=("a", "b", "eye")):
        self.now_ms = 0
        self.nodes = {
            name: Node(
                name,
                name.removesuffix("2") if name == "a2" else name,
                MemoryReplica() if directory is None else FolderReplica(directory / name / "share"),
                reads=name == "eye",
                stalls=stalls if name == "eye" else (),
                pauses=pauses if name == "a" else (),
            )
            for name in names
        }
        network = Network(medium, seed=seed, nodes=tuple(self.nodes.values()), now_ms=lambda: self.now_ms)
        self.links = {
            name: MemoryLink(network, node, medium.traits)
            if directory is None
            else FolderLink(network, node, medium.traits, directory=directory / name)
            for name, node in self.nodes.items()
        }

    def put(self, at, machine, seq):
        self.now_ms = at
        return self.links[machine].put(beat(machine, seq))

    def sees(self, at, machine="a", reader="eye"):
        """The beat number a reader finds; None if there is no record, 'unreadable' if it cannot be read."""
        self.now_ms = at
        snapshot = self.links[reader].load()
        if machine in snapshot.unreadable:
            return "unreadable"
        found = snapshot.heartbeats.get(machine)
        return found and found.seq


def steady(seconds, **more):
    """A medium that always takes equally long."""
    return Medium(name="steady", propagation_delay=60, delay=Uniform(least=seconds, most=seconds), **more)


@pytest.fixture(params=["memory", "folder"])
def bench(request, tmp_path):
    """Both kinds of replica."""
    directory = tmp_path if request.param == "folder" else None
    return lambda medium, **more: Bench(medium, directory=directory, **more)


def test_a_coherent_medium_shows_a_write_at_once(bench):
    stage = bench(Medium.coherent())
    stage.put(5, "a", 1)
    assert stage.sees(5) == 1


def test_a_record_travels_as_long_as_drawn_and_its_writer_sees_it_at_once(bench):
    stage = bench(steady(8))
    stage.put(0, "a", 1)
    assert [stage.sees(at) for at in (0, 7_999, 8_000)] == [None, None, 1]
    stage.put(9_000, "a", 2)
    assert stage.sees(9_000, reader="a") == 2
    assert [stage.sees(at) for at in (9_000, 16_999, 17_000)] == [1, 1, 2]


def test_machines_that_do_not_read_receive_nothing_of_others(bench):
    stage = bench(steady(1))
    stage.put(0, "a", 1)
    assert stage.sees(DAY, reader="b") is None


def test_a_newer_record_is_not_overwritten_by_a_later_arrival_of_an_older_one(bench):
    stage = bench(Medium(name="wild", delay=Uniform(least=0, most=100), propagation_delay=100), seed=4)
    for seq in range(1, 40):
        stage.put(seq * 1000, "a", seq)
    found = [stage.sees(40_000 + at * 1000) for at in range(101)]
    assert found == sorted(found)
    assert found[-1] == 39
    reader = stage.nodes["eye"]
    assert len(reader.drawn) == 39 > len(reader.visible)  # some were overtaken, and that is known


@pytest.mark.parametrize("accident", ["reordered", "empty"])
def test_an_accident_of_an_overtaken_record_does_not_hide_the_newest(bench, accident):
    wild = Medium(name="wild", delay=Uniform(least=0, most=100), propagation_delay=100, **{accident: 1.0})
    for seed in range(5):
        stage = bench(wild, seed=seed, names=(f"a{seed}", "eye"))
        for seq in range(1, 20):
            stage.put(seq * 1000, f"a{seed}", seq)
        assert stage.sees(DAY, f"a{seed}") == 19


def test_every_way_has_chances_of_its_own():
    wild = Medium(name="wild", delay=Uniform(least=0, most=1000), propagation_delay=100)
    stage, alone = Bench(wild), Bench(wild, names=("b", "eye"))
    for seq in range(1, 6):
        stage.put(seq, "a", seq)
    for seq in range(1, 6):
        stage.put(seq, "b", seq)
        alone.put(seq, "b", seq)
    of_a, of_b = stage.nodes["eye"].drawn[:5], stage.nodes["eye"].drawn[5:]
    assert of_a != of_b
    assert of_b == alone.nodes["eye"].drawn  # whoever else there is changes nothing


def test_during_a_stall_nothing_new_is_seen_and_afterwards_everything_due(bench):
    stage = bench(steady(8), stalls=[Span(10_000, 60_000), Span(50_000, 90_000), Span(55_000, 65_000)])
    for seq, at in enumerate((0, 5_000, 70_000, 85_000), start=1):
        stage.put(at, "a", seq)
    assert [stage.sees(at) for at in (9_000, 89_999, 90_000, 93_000)] == [1, 1, 3, 4]


def test_of_what_is_written_in_an_upload_pause_only_the_newest_leaves(bench):
    stage = bench(steady(8), pauses=[Span(10_000, 60_000)])
    for seq, at in enumerate((0, 20_000, 40_000, 59_999), start=1):
        stage.put(at, "a", seq)
    assert [stage.sees(at) for at in (8_000, 67_999, 68_000)] == [1, 1, 4]
    assert stage.nodes["eye"].visible == [8_000, 8_000]
    assert stage.sees(59_999, reader="a") == 4


def test_the_pause_of_one_sender_is_not_another_ones(bench):
    stage = bench(steady(8), pauses=[Span(0, 60_000)])
    stage.put(0, "a", 1)
    stage.put(0, "b", 1)
    assert (stage.sees(8_000, "a"), stage.sees(8_000, "b")) == (None, 1)


def test_a_file_that_is_being_replaced_is_unreadable_for_a_moment(bench):
    stage = bench(steady(8, empty=1.0, empty_for=Uniform(least=3, most=3)))
    stage.put(0, "a", 1)
    assert [stage.sees(at) for at in (4_999, 5_000, 7_999, 8_000)] == [None, "unreadable", "unreadable", 1]
    assert stage.sees(5_000, "a", reader="a") == 1
    stage.put(20_000, "a", 2)
    assert [stage.sees(at) for at in (24_999, 25_000, 28_000)] == [1, "unreadable", 2]


def test_a_stall_may_begin_while_a_file_is_empty(bench):
    stage = bench(steady(8, empty=1.0, empty_for=Uniform(least=3, most=3)), stalls=[Span(6_000, 300_000)])
    stage.put(0, "a", 1)
    assert [stage.sees(at) for at in (5_500, 299_999, 300_000)] == ["unreadable", "unreadable", 1]


def test_an_older_record_overwrites_a_newer_one_for_a_while(bench):
    stage = bench(steady(8, reordered=1.0, reordered_for=Uniform(least=10, most=10)))
    stage.put(0, "a", 1)
    stage.put(30_000, "a", 2)
    assert [stage.sees(at) for at in (38_000, 38_001, 48_000, 48_001)] == [2, 1, 1, 2]


def test_a_newer_record_ends_such_a_while(bench):
    stage = bench(steady(8, reordered=1.0, reordered_for=Uniform(least=100, most=100)))
    for seq, at in enumerate((0, 30_000, 40_000), start=1):
        stage.put(at, "a", seq)
    assert [stage.sees(at) for at in (38_001, 48_000, 48_001, 148_002)] == [1, 3, 2, 3]


def test_a_conflict_copy_stands_beside_the_record_until_it_goes(bench):
    stage = bench(steady(8, conflicted=1.0, conflicted_for=Uniform(least=100, most=100)))
    stage.put(0, "a", 1)

    def conflicts(at):
        stage.now_ms = at
        return sorted(stage.links["eye"].load().conflicts)

    assert [conflicts(at) for at in (7_999, 8_000, 107_999, 108_000)] == [[], ["a"], ["a"], []]
    assert stage.sees(50_000) == 1


def test_a_lost_write_reaches_nobody_and_its_writer_does_not_know(bench):
    stage = bench(steady(8, lost=1.0))
    assert stage.put(0, "a", 1).seq == 1
    assert stage.sees(DAY) is None
    assert stage.sees(DAY, reader="a") == 1


def test_a_removal_travels_too_and_an_older_record_does_not_undo_it(bench):
    stage = bench(Medium(name="wild", delay=Uniform(least=0, most=100), propagation_delay=100), seed=9)
    for seq in range(1, 30):
        stage.put(seq * 1000, "a", seq)
    assert stage.links["a"].remove("A") is True
    assert [stage.sees(at) for at in (200_000, 300_000)] == [None, None]
    stage.put(300_000, "a", 50)
    assert stage.sees(DAY) == 50


def test_two_hosts_under_one_id_overwrite_each_other(bench):
    stage = bench(steady(8), names=("a", "a2", "eye"))
    stage.put(0, "a", 1)
    stage.now_ms = 9_000
    assert stage.links["a2"].put(beat("a", 1)).seq == 1
    assert stage.links["a2"].put(beat("a", 2)) == beat("a", 2)
    assert stage.sees(17_000, "a", reader="a") == stage.sees(17_000) == 2


def test_a_late_record_of_another_host_does_not_overwrite_a_newer_one_of_its_own(bench):
    stage = bench(steady(8), names=("a", "a2", "eye"))
    stage.links["a2"].put(beat("a", 1))
    stage.put(5_000, "a", 2)
    assert stage.sees(8_000, "a", reader="a") == 2


def test_a_cut_link_does_nothing_and_a_full_one_still_reads(bench):
    stage = bench(steady(8))
    stage.put(0, "a", 1)
    link = stage.links["eye"]
    link.full = 1
    assert stage.sees(8_000) == 1
    for write in (lambda: link.put(beat("eye", 1)), lambda: link.remove("a")):
        with pytest.raises(StorageUnavailableError, match="no space is left on the device of eye"):
            write()
    link.full, link.cut = 0, 1
    for call in (link.load, lambda: link.get("a"), lambda: link.put(beat("eye", 1)), lambda: link.remove("a")):
        with pytest.raises(StorageUnavailableError, match="eye is cut off"):
            call()
    link.cut = 0
    assert link.put(beat("eye", 1)) == beat("eye", 1)
    link.close()
    assert repr(link).endswith("Link of eye>")


def test_get_reads_one_record(bench):
    stage = bench(steady(8))
    stage.put(0, "a", 1)
    assert stage.links["eye"].get("a") is None
    stage.now_ms = 8_000
    assert stage.links["eye"].get(" A ").seq == 1


def test_both_kinds_of_replica_see_the_same(tmp_path):
    """Everything at once, looked at every second."""
    medium = Medium.cloud(empty=0.3, reordered=0.3, conflicted=0.2, lost=0.1, conflicted_for=Uniform(least=5, most=40))
    seen = []
    for directory in (None, tmp_path):
        stage = Bench(medium, directory=directory, stalls=[Span(100_000, 160_000)], pauses=[Span(200_000, 250_000)])
        story = []
        for second in range(400):
            stage.now_ms = second * 1000
            if second % 10 == 0:
                stage.put(stage.now_ms, "a", second + 1)
            if second % 15 == 0:
                stage.put(stage.now_ms, "b", second + 1)
            found = stage.links["eye"].load()
            story.append((dict(found.heartbeats), dict(found.unreadable), dict(found.conflicts)))
        seen.append((story, stage.nodes["eye"].drawn, stage.nodes["eye"].visible))
    assert seen[0] == seen[1]
    assert any(unreadable for _, unreadable, _ in seen[0][0])
    assert any(conflicts for _, _, conflicts in seen[0][0])


def test_an_unchanged_snapshot_is_the_same_object(bench):
    stage = bench(steady(8))
    stage.put(0, "a", 1)
    stage.now_ms = 9_000
    first = stage.links["eye"].load()
    assert stage.links["eye"].load() is first


def test_the_lognormal_delay_has_the_median_and_the_p99_it_was_given():
    delay, random = Lognormal(median=8, p99=50), Random(7)
    drawn = sorted(delay.draw(random) for _ in range(20_000))
    assert statistics.median(drawn) == pytest.approx(8_000, rel=0.03)
    assert drawn[int(0.99 * len(drawn))] == pytest.approx(50_000, rel=0.1)


def test_limits_of_a_delay_hold():
    random = Random(1)
    cut = Lognormal(median=8, p99=50, least=5, most=60)
    drawn = [cut.draw(random) for _ in range(5_000)]
    assert (min(drawn), max(drawn)) == (5_000, 60_000)
    even = [Uniform(least=1, most=1.002).draw(random) for _ in range(200)]
    assert set(even) == {1000, 1001, 1002}


def test_interruptions_are_as_many_a_day_as_asked_for():
    length = Uniform(least=60, most=600)
    spans = interruptions(2, length, Random(3), 5 * DAY)
    assert [sum(day * DAY <= start < (day + 1) * DAY for start, _ in spans) for day in range(5)] == [2] * 5
    assert all(60_000 <= end - start <= 600_000 for start, end in spans)
    assert interruptions(0, length, Random(3), DAY) == []
    some = sum(len(interruptions(0.5, length, Random(seed), DAY)) for seed in range(400))
    assert 160 < some < 240


def test_p99_jitter():
    assert p99_jitter([]) is None
    assert p99_jitter([7]) == 0
    assert p99_jitter(list(range(1, 201))) == 197


def test_presets():
    assert Medium.coherent().traits.coherent
    assert Medium.nfs().traits.propagation_delay.total_seconds() == 5
    assert not Medium.nfs().traits.coherent
    assert Medium.cloud().traits.propagation_delay is None
    cloud = Medium.cloud(median=timedelta(seconds=3), p99=9, propagation_delay=60, stalls_per_day=1, lost=0)
    assert (cloud.delay, cloud.stalls_per_day, cloud.lost) == (Lognormal(median=3, p99=9), 1, 0)
    assert cloud.traits.propagation_delay.total_seconds() == 60
    assert cloud.upload_pauses_per_day == 0


@pytest.mark.parametrize(
    ("make", "names"),
    [
        (lambda: Medium(name="x", lost=1.5), "lost is 1.5"),
        (lambda: Medium(name="x", empty=-0.1), "empty"),
        (lambda: Medium(name="x", stalls_per_day=-1), "stalls_per_day"),
        (lambda: Medium(name="x", stalls_per_day=True), "stalls_per_day"),
        (lambda: Medium(name="x", is_coherent=True, propagation_delay=0, lost=0.5), "x is coherent and has lost"),
        (lambda: Medium(name="x", is_coherent=True, propagation_delay=3), "propagation_delay"),
        (lambda: Medium(name="x", is_coherent=True), "propagation_delay"),
        (lambda: Uniform(least=5, most=4), "most is 4 s"),
        (lambda: Lognormal(median=5, p99=4), "p99 is 4 s"),
        (lambda: Lognormal(median=0, p99=4), "median is 0"),
        (lambda: Lognormal(median=1, p99=4, least=9, most=8), "most is 8 s"),
        (lambda: Uniform(least="1", most=4), "'1' is no length"),
        (lambda: Uniform(least=-1, most=4), "negative"),
        (lambda: Uniform(least=float("nan"), most=4), "nan"),
    ],
)
def test_a_medium_that_cannot_be_is_refused(make, names):
    with pytest.raises(InvalidConfigurationError, match=names):
        make()
