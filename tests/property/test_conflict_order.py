"""Conflict copies: the outcome depends on what the files say, never on the order in which they are read."""

from hypothesis import given
from hypothesis import strategies as st

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.storage._conflicts import RecordFile, judge

NAMES = [
    "web1.json",
    "web1 (1).json",
    "web1 (2).json",
    "web1 (X's conflicted copy 2026-01-02).json",
    "web1.sync-conflict-20260102-101112-ABCDEFG.json",
    "web1.conflict1.json",
    "web1-DESKTOP.json",
    "web1-pc.json",
    "WEB1.json",
    "Copy of web1.json",
]


@st.composite
def copies(draw):
    files = []
    for name in draw(st.lists(st.sampled_from(NAMES), unique=True, min_size=1)):
        order = draw(st.none() | st.tuples(st.integers(0, 3), st.integers(0, 3)))
        heartbeat = None
        if order is not None:
            heartbeat = Heartbeat(
                machine_id="web1", last_heartbeat=0, incarnation=order[0], seq=order[1], interval=1, host=name
            )
        files.append(RecordFile(name, heartbeat, "" if heartbeat else "cut"))
    return files


@given(copies(), st.randoms(use_true_random=False))
def test_the_highest_record_wins_in_any_order(files, random):
    expected = judge(files)
    shuffled = files[:]
    random.shuffle(shuffled)
    assert judge(shuffled) == expected
    readable = [file.heartbeat.order for file in files if file.heartbeat is not None]
    if readable:
        assert expected.heartbeats["web1"].order == max(readable)
        assert "web1" not in expected.unreadable
    else:
        assert expected.heartbeats == {}


@given(copies())
def test_every_copy_is_named(files):
    verdict = judge(files)
    named = verdict.conflicts.get("web1", "")
    # An unreadable "web1-pc" may be a machine, an unreadable "Copy of web1" anything, and without a web1.json an
    # unreadable "web1-DESKTOP" too.
    unsure = {"web1-pc.json", "Copy of web1.json", "web1-DESKTOP.json"}
    certain = [file.name for file in files if file.name != "web1.json" and (file.heartbeat or file.name not in unsure)]
    assert all(repr(name) in named for name in certain)
    if all(file.name == "web1.json" for file in files):
        assert verdict.conflicts == {}
