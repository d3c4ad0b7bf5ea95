"""`report` and `maintenance` in this process: answers, exit codes, and whose history and calendar it is."""

import argparse
import json
from datetime import UTC, datetime, timedelta

import pytest

from heartbeat_kit import Heartbeat, HeartbeatService, open_storage
from heartbeat_kit.cli import main
from heartbeat_kit.cli._arguments import moment
from heartbeat_kit.testing import FakeClock


@pytest.fixture(autouse=True)
def a_home_of_our_own(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MACHINE_ID", "desk")
    for name in ("HEARTBEAT_INTERVAL", "OFFLINE_TIMEOUT", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["folder", "json"])
def url(request, tmp_path, monkeypatch):
    (tmp_path / "share").mkdir()
    place = f"{request.param}://{tmp_path}/share"
    monkeypatch.setenv("HEARTBEAT_STORAGE", place)
    return place


@pytest.fixture
def past(url):
    """A service of an hour ago, by whose ledger web-1 was offline for half of it."""
    clock = FakeClock(datetime.now(UTC) - timedelta(hours=1))
    service = HeartbeatService(open_storage(url), clock=clock)
    beat(service, seq=1)
    service.check()
    for _ in range(30):
        clock.advance(60)
        service.check()
    clock.advance(60)
    beat(service, seq=2)
    service.check()
    return service


def beat(service, *, seq):
    now = service.clock.now().wall_ms
    service.storage.put(Heartbeat(machine_id="web-1", last_heartbeat=now, incarnation=1, seq=seq, interval=30_000))


def windows(capsys):
    assert main(["maintenance", "list", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


class TestReport:
    def test_an_outage_is_shown_and_is_an_exit_code(self, past, capsys):
        assert main(["report"]) == 1
        lines = capsys.readouterr().out.splitlines()
        assert "1 outage" in lines[0]
        assert lines[2].split()[:3] == ["machine", "status", "available"]
        assert lines[3].startswith("web-1")

    def test_as_json(self, past, capsys):
        assert main(["report", "--json"]) == 1
        wire = json.loads(capsys.readouterr().out)
        (outage,) = wire["machines"]["web-1"]["outages"]
        assert 20 * 60_000 < outage["offlineMs"] < 30 * 60_000
        assert not outage["planned"]

    def test_a_day_without_one(self, url, capsys):
        now = datetime.now(UTC)
        storage = open_storage(url)
        storage.put(
            Heartbeat(machine_id="web-1", last_heartbeat=int(now.timestamp() * 1000), incarnation=1, seq=1, interval=1)
        )
        storage.close()
        assert main(["report", "--day", now.date().isoformat()]) == 0
        assert "0 outages" in capsys.readouterr().out

    def test_who_cannot_see_anybody_does_not_say_that_all_is_well(self, tmp_path, capsys):
        assert main(["report", "--storage", f"folder:{tmp_path}/nowhere?must_exist=false", "--json"]) == 2
        assert json.loads(capsys.readouterr().out)["success"] is False

    def test_it_is_that_of_the_service_of_this_machine(self, past, capsys):
        """On a folder each observer has a history of its own; a JSON file has one for all."""
        main(["report", "--machine-id", "other", "--json"])
        outages = json.loads(capsys.readouterr().out)["machines"]["web-1"]["outages"]
        assert len(outages) == (0 if past.storage.traits.cross_host else 1)

    def test_it_writes_nothing(self, url, tmp_path, capsys):
        before = sorted(tmp_path.rglob("*"))
        assert main(["report"]) == 0
        assert sorted(tmp_path.rglob("*")) == before

    @pytest.mark.parametrize(
        "words", [["--day", "yesterday"], ["--tz", "Mars/Olympus", "--day", "2026-01-01"], ["--tz", "x"]]
    )
    def test_times_that_cannot_be(self, url, words, capsys):
        try:
            code = main(["report", *words])
        except SystemExit as end:
            code = end.code
        assert code == 2
        assert words[1] in capsys.readouterr().err


class TestMaintenance:
    def test_a_window_of_now(self, url, capsys):
        assert main(["maintenance", "plan", "WEB-1", "--for", "3600", "--reason", "new disk"]) == 0
        shown = capsys.readouterr().out.splitlines()[1].split()
        assert shown[0] == "web-1"
        assert shown[-5:] == ["60", "min", "holds", "new", "disk"]
        (window,) = windows(capsys)
        assert (window["machineId"], window["reason"]) == ("web-1", "new disk")

    def test_a_service_that_is_there_already_keeps_to_it(self, url, capsys):
        service = HeartbeatService(open_storage(url))
        service.check()
        assert service.maintenance_windows() == ()
        main(["maintenance", "plan", "web-1", "--for", "60"])
        (window,) = service.maintenance_windows("web-1")
        assert window.holds_at(service.clock.now().wall_ms)

    def test_it_says_whose_calendar_a_folder_has(self, url, capsys):
        main(["maintenance", "list"])
        shown = capsys.readouterr().out
        assert shown.startswith("no maintenance")
        assert ("Kept for the service of desk" in shown) == url.startswith("folder")

    @pytest.mark.parametrize("more", [["--for", "1e12"], ["--from", "9999-12-31T23:00+00:00", "--for", "86400"]])
    def test_no_window_outlasts_the_calendar(self, url, capsys, more):
        assert main(["maintenance", "plan", "web-1", *more]) == 2
        assert "INVALID_CONFIGURATION" in capsys.readouterr().err

    def test_a_window_to_come_can_be_planned_again_shorter(self, url, capsys):
        begin = "2999-01-15T22:00+01:00"
        main(["maintenance", "plan", "web-1", "--from", begin, "--for", "7200"])
        assert "planned" in capsys.readouterr().out
        main(["maintenance", "plan", "web-1", "--from", begin, "--until", "2999-01-15T22:30+01:00"])
        capsys.readouterr()
        assert windows(capsys) == [
            {
                "machineId": "web-1",
                "start": "2999-01-15T21:00:00.000Z",
                "end": "2999-01-15T21:30:00.000Z",
                "reason": None,
            }
        ]

    def test_one_that_holds_is_ended_once(self, url, capsys):
        main(["maintenance", "plan", "web-1", "--for", "3600"])
        assert main(["maintenance", "end", "web-1"]) == 0
        assert "ended" in capsys.readouterr().out
        assert main(["maintenance", "end", "web-1"]) == 1
        capsys.readouterr()
        assert windows(capsys) == []

    def test_an_end_before_the_start_is_refused(self, url, capsys):
        assert main(["maintenance", "plan", "web-1", "--until", "2001-01-01"]) == 2
        assert "error INVALID_CONFIGURATION: the maintenance of 'web-1' ends at 2001" in capsys.readouterr().err

    def test_a_reason_cannot_move_the_cursor(self, url, capsys):
        main(["maintenance", "plan", "web-1", "--for", "60", "--reason", "a\x1b[2J"])
        assert "\x1b" not in capsys.readouterr().out


class TestRemove:
    def test_a_machine_is_forgotten_once(self, past, capsys):
        assert main(["remove", "WEB-1"]) == 0
        assert capsys.readouterr().out == "web-1 is removed\n"
        assert main(["remove", "web-1"]) == 1
        assert capsys.readouterr().out == "web-1 was not there\n"
        assert "web-1" not in past.storage.load().heartbeats

    def test_a_name_that_cannot_be(self, url, capsys):
        assert main(["remove", "../x"]) == 2
        assert "INVALID_MACHINE_ID" in capsys.readouterr().err


def test_a_moment_without_an_offset_is_local_time():
    assert moment("2026-01-15T22:00") == datetime(2026, 1, 15, 22).astimezone()
    assert moment("2026-01-15T22:00Z") == datetime(2026, 1, 15, 22, tzinfo=UTC)
    for text in ("tomorrow", "", "0001-01-01T00:00+14:00", "2026-02-30"):
        with pytest.raises(argparse.ArgumentTypeError, match="is no point of time"):
            moment(text)
