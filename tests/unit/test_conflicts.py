"""What a file in a shared folder is, by its name and by what it says."""

import pytest

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit.storage._conflicts import Claim, RecordFile, claim, is_candidate, is_foreign, judge


def beat(machine_id="web1", incarnation=5, seq=1, host=""):
    return Heartbeat(
        machine_id=machine_id, last_heartbeat=0, incarnation=incarnation, seq=seq, interval=30_000, host=host
    )


COPIES_OF_WEB1 = [
    "web1 (1).json",
    "web1 (X's conflicted copy 2026-01-02).json",
    "web1 (conflicted copy 2026-01-02 101112).json",
    "web1 (Copie en conflit de X (bureau) 2026-01-02).json",
    "web1.sync-conflict-20260102-101112-ABCDEFG.json",
    "web1.conflict1.json",
    "web1_conflict-20260102-101112.json",
    "web1 - Copy.json",
    "web1 - Copy (2).json",
    "web1 (1) (2).json",
    "WEB1.json",
]


@pytest.mark.parametrize("name", COPIES_OF_WEB1)
def test_a_copy_is_known_by_its_name_even_if_it_cannot_be_read(name):
    assert claim(RecordFile(name, None, "cut")) == Claim("web1", is_copy=True, reason="cut")


@pytest.mark.parametrize("name", [*COPIES_OF_WEB1, "web1-DESKTOP.json", "web1-pc.json", "Copy of web1.json"])
def test_a_readable_copy_counts_for_its_machine(name):
    assert claim(RecordFile(name, beat())) == Claim("web1", is_copy=True)


@pytest.mark.parametrize(
    "name",
    [".hbk-1-2-3.tmp", ".hbk-1.json", ".web1.json", "~$web1.json", "web1.json.tmp", "desktop.ini", "web1", "web1.JSON"],
)
def test_temporaries_and_foreign_files_are_never_opened(name):
    assert is_foreign(name)


@pytest.mark.parametrize("name", ["web1.json", *COPIES_OF_WEB1])
def test_records_and_copies_are_not_foreign(name):
    assert not is_foreign(name)
    assert is_candidate(name, "web1")


def test_the_machine_inside_decides_between_a_copy_and_a_machine_of_that_name():
    assert claim(RecordFile("web1-pc.json", beat("web1-pc"))) == Claim("web1-pc", is_copy=False)
    assert claim(RecordFile("web1-pc.json", beat("web1"))) == Claim("web1", is_copy=True)
    assert claim(RecordFile("web1.conflict1.json", beat("web1.conflict1"))) == Claim("web1.conflict1", is_copy=False)


def test_the_wrong_machine_inside_makes_the_file_s_own_machine_unreadable():
    verdict = judge([RecordFile("web1.json", beat("db1")), RecordFile("db2.json", beat("db2"))])
    assert verdict.heartbeats == {"db2": beat("db2")}
    assert list(verdict.unreadable) == ["web1"]
    assert "db1" in verdict.unreadable["web1"]
    assert verdict.conflicts == {}


def test_a_shorter_id_inside_is_no_copy_without_the_dash():
    assert list(judge([RecordFile("web10.json", beat("web1"))]).unreadable) == ["web10"]


@pytest.mark.parametrize("backwards", [False, True])
def test_the_highest_record_wins_whatever_the_order_of_reading(backwards):
    files = [
        RecordFile("web1.json", beat(seq=3, host="a")),
        RecordFile("web1 (1).json", beat(seq=9, host="b")),
        RecordFile("web1-OLD.json", beat(incarnation=4, seq=99)),
    ]
    verdict = judge(reversed(files) if backwards else files)
    assert verdict.heartbeats == {"web1": beat(seq=9, host="b")}
    assert verdict.unreadable == {}
    sentence = verdict.conflicts["web1"]
    assert "'web1.json' (from host a)" in sentence
    assert "'web1 (1).json' (from host b, the newest, used)" in sentence
    assert "'web1-OLD.json'" in sentence
    assert "MACHINE_ID" in sentence


def test_of_equal_records_the_machine_s_own_file_is_used():
    own = beat()
    verdict = judge([RecordFile("web1 (1).json", beat()), RecordFile("web1.json", own)])
    assert verdict.heartbeats["web1"] is own


def test_an_unreadable_copy_is_mentioned_and_harms_nobody():
    verdict = judge([RecordFile("web1 (1).json", None, "it is cut"), RecordFile("web1.json", beat())])
    assert verdict.heartbeats == {"web1": beat()}
    assert verdict.unreadable == {}
    assert "'web1 (1).json' (unreadable: it is cut)" in verdict.conflicts["web1"]


@pytest.mark.parametrize("name", ["WEB1.json", "web1 (1).json"])
def test_a_record_under_another_name_alone_is_no_second_host(name):
    verdict = judge([RecordFile(name, beat())])
    assert verdict.heartbeats == {"web1": beat()}
    assert verdict.conflicts["web1"] == (
        f"the record of web1 lies in {name!r} (the newest, used) and not in 'web1.json': rename it, or delete it once "
        "web1 has beaten again"
    )


def test_a_readable_copy_stands_in_for_an_unreadable_record():
    verdict = judge([RecordFile("web1.json", None, "0 bytes"), RecordFile("web1 (1).json", beat())])
    assert verdict.heartbeats == {"web1": beat()}
    assert verdict.unreadable == {}
    assert "'web1.json' (unreadable: 0 bytes)" in verdict.conflicts["web1"]


def test_a_machine_of_which_only_an_unreadable_copy_is_left_is_unreadable_not_absent():
    verdict = judge([RecordFile("web1 (1).json", None, "0 bytes")])
    assert verdict.heartbeats == {}
    assert verdict.unreadable == {"web1": "'web1 (1).json': 0 bytes"}


def test_an_unreadable_copy_with_a_host_name_belongs_to_the_machine_that_is_known():
    copy = RecordFile("web1-db-DESKTOP.json", None, "cut")
    assert list(judge([copy, RecordFile("web1.json", beat())]).conflicts) == ["web1"]
    both = [copy, RecordFile("web1.json", beat()), RecordFile("web1-db.json", beat("web1-db"))]
    assert list(judge(both).conflicts) == ["web1-db"]
    assert list(judge([copy]).unreadable) == ["web1-db-desktop"]


def test_an_unreadable_file_of_our_spelling_is_its_own_machine():
    verdict = judge([RecordFile("web1.json", beat()), RecordFile("web1-pc.json", None, "cut")])
    assert verdict.unreadable == {"web1-pc": "cut"}
    assert verdict.conflicts == {}


def test_a_copy_that_speaks_for_another_machine_does_not_count():
    verdict = judge([RecordFile("web1.json", beat()), RecordFile("web1 (1).json", beat("db1", incarnation=9))])
    assert verdict.heartbeats == {"web1": beat()}
    assert "speaks for db1" in verdict.conflicts["web1"]


@pytest.mark.parametrize("name", ["hello world.json", "con.json", "-x.json", "\udcff.json", "con (1).json"])
def test_an_unreadable_file_that_no_machine_can_own_is_nobody_s(name):
    assert judge([RecordFile(name, None, "cut"), RecordFile("db1.json", beat("db1"))]) == (
        {"db1": beat("db1")},
        {},
        {},
    )


@pytest.mark.parametrize(
    "name", ["a" + "()" * 120 + "x", "a" + "(" * 240, "a" + " - " * 80, "a" + ".conflict1" * 25 + "!"]
)
def test_a_hostile_name_costs_no_time(name):
    assert judge([RecordFile(f"{name}.json", None, "cut")]).heartbeats == {}
