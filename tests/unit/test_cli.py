"""The command line in this process: answers, exit codes, looks, and that looking writes nothing."""

import io
import json
import os
import signal
import sys
import threading
import time
from datetime import timedelta
from importlib.metadata import version

import pytest

from heartbeat_kit import Heartbeat, HeartbeatConfig, HeartbeatService, JsonFileStorage, MachineStatus, open_storage
from heartbeat_kit.cli import main
from heartbeat_kit.cli._signals import StopSignals
from heartbeat_kit.cli._terminal import Cell, Terminal
from heartbeat_kit.cli._view import span
from heartbeat_kit.testing import FakeClock

SCHEMES = ["folder", "json"]


@pytest.fixture(autouse=True)
def a_home_of_our_own(monkeypatch, tmp_path):
    home = tmp_path / "home"
    home.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_STATE_HOME", str(home))
    monkeypatch.setenv("MACHINE_ID", "desk")
    for name in ("HEARTBEAT_STORAGE", "HEARTBEAT_INTERVAL", "OFFLINE_TIMEOUT", "NO_COLOR"):
        monkeypatch.delenv(name, raising=False)
    return home


@pytest.fixture
def share(tmp_path):
    folder = tmp_path / "share"
    folder.mkdir()
    return folder


@pytest.fixture
def url(share):
    return f"folder://{share}?propagation_delay=0"


def put(url, machine_id, *, age=0, seq=1, interval=30, **more):
    """Store a heartbeat that is so many seconds old."""
    storage = open_storage(url)
    now = HeartbeatService(storage)._clock.now().wall_ms
    storage.put(
        Heartbeat(
            machine_id=machine_id,
            last_heartbeat=now - int(age * 1000),
            incarnation=1,
            seq=seq,
            interval=interval * 1000,
            **more,
        )
    )
    storage.close()


def tree(*roots):
    """Every file and folder with its content and the time it was written."""
    return {
        str(path): (path.stat().st_mtime_ns, path.read_bytes() if path.is_file() else None)
        for root in roots
        for path in (root, *root.rglob("*"))
    }


class Screen(io.StringIO):
    """A terminal, as far as a program can tell."""

    encoding = "utf-8"

    def isatty(self):
        return True


class TestStatus:
    def test_everybody_online_is_zero(self, url, capsys):
        put(url, "web-1")
        assert main(["status", "--storage", url]) == 0
        assert "1 machine: 1 online" in capsys.readouterr().out

    @pytest.mark.parametrize(("age", "status"), [(130, "warning"), (250, "offline"), (-500, "unknown")])
    def test_anybody_who_is_not_online_is_one_and_is_shown(self, url, capsys, age, status):
        put(url, "web-1")
        put(url, "web-2", age=age)
        assert main(["status", "--storage", url]) == 1
        row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("web-2"))
        assert f" {status} " in row

    def test_an_empty_storage_is_no_healthy_fleet(self, url, capsys):
        assert main(["status", "--storage", url]) == 1
        assert capsys.readouterr().out == "nobody has registered here yet\n"

    def test_a_storage_out_of_sight_is_blind_and_two(self, share, url, capsys):
        share.rmdir()
        assert main(["status", "--storage", f"{url}&must_exist=false"]) == 2
        assert capsys.readouterr().out.startswith(f"blind: {share} is not there")

    def test_json_of_a_storage_out_of_sight_says_so_too(self, share, url, capsys):
        share.rmdir()
        assert main(["status", "--json", "--storage", f"{url}&must_exist=false"]) == 2
        assert json.loads(capsys.readouterr().out)["success"] is False

    def test_json_is_the_wire_shape_with_every_machine(self, url, capsys):
        put(url, "web-1", metadata={"role": "web"})
        assert main(["status", "--json", "--storage", url]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert answer["onlineMachines"] == ["web-1"]
        assert answer["heartbeats"]["web-1"]["metadata"] == {"role": "web"}

    def test_timeout_and_interval_are_in_force(self, url):
        put(url, "web-1", age=5, interval=1)
        assert main(["status", "--storage", url]) == 0
        assert main(["status", "--storage", url, "--interval", "1", "--timeout", "4"]) == 1

    def test_the_environment_sets_the_timeout_and_an_argument_overrules_it(self, url, monkeypatch):
        put(url, "web-1", age=5, interval=1)
        monkeypatch.setenv("HEARTBEAT_INTERVAL", "1000")
        monkeypatch.setenv("OFFLINE_TIMEOUT", "4000")
        assert main(["status", "--storage", url]) == 1
        assert main(["status", "--storage", url, "--timeout", "60"]) == 0

    def test_explain_answers_for_one_machine_alone(self, url, capsys):
        put(url, "web-1")
        put(url, "web-2", age=500)
        assert main(["status", "--storage", url, "--explain", "web-1"]) == 0
        assert capsys.readouterr().out.startswith("web-1 is online")
        assert main(["status", "--storage", url, "--explain", "WEB-2"]) == 1
        assert capsys.readouterr().out.startswith("web-2 is offline")

    def test_explain_of_a_stranger_is_a_typed_error(self, url, capsys):
        put(url, "web-1")
        assert main(["status", "--storage", url, "--explain", "web-9"]) == 2
        assert capsys.readouterr().err == "error UNKNOWN_MACHINE: no machine 'web-9' here; known are: web-1\n"

    def test_an_unreadable_record_is_shown_with_its_reason(self, share, url, capsys):
        put(url, "web-1")
        (share / "heartbeats" / "web-2.json").write_bytes(b"{")
        assert main(["status", "--storage", url]) == 1
        row = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("web-2"))
        assert "unknown" in row
        assert "never" in row
        assert "unreadable, " in row


class TestLookingWritesNothing:
    @pytest.mark.parametrize("scheme", SCHEMES)
    @pytest.mark.parametrize(
        "command", [["status"], ["status", "--json"], ["watch", "--count", "2", "--every", "0.01"]]
    )
    def test_commands_leave_storage_and_state_directory_as_they_are(
        self, scheme, command, share, a_home_of_our_own, capsys
    ):
        url = f"{scheme}://{share}"
        put(url, "web-1", age=300)
        before = tree(share, a_home_of_our_own)
        main([*command, "--storage", url])
        assert "web-1" in capsys.readouterr().out
        assert tree(share, a_home_of_our_own) == before

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_an_empty_folder_stays_empty(self, scheme, share, a_home_of_our_own):
        before = tree(share, a_home_of_our_own)
        main(["status", "--storage", f"{scheme}://{share}"])
        assert tree(share, a_home_of_our_own) == before
        assert list(share.iterdir()) == []

    @pytest.mark.parametrize("scheme", SCHEMES)
    def test_a_service_that_is_made_and_asked_creates_nothing(self, scheme, share, tmp_path):
        service = HeartbeatService(open_storage(f"{scheme}://{share}"), machine_id="me", state_dir=tmp_path / "state")
        service.state()
        assert list(share.iterdir()) == []
        assert not (tmp_path / "state").exists()

    def test_no_event_is_consumed(self, share, capsys):
        clock = FakeClock()
        storage = JsonFileStorage(share)
        watcher = HeartbeatService(storage, clock=clock, machine_id="desk")
        watcher.register(machine_id="web-1")
        watcher.check()
        clock.advance(300)
        assert main(["status", "--storage", f"json://{share}"]) == 1
        assert watcher.check().newly_offline == ("web-1",)


class TestStorageArgument:
    def test_the_environment_names_it(self, url, monkeypatch):
        put(url, "web-1")
        monkeypatch.setenv("HEARTBEAT_STORAGE", url)
        assert main(["status"]) == 0

    def test_the_argument_wins(self, url, monkeypatch):
        put(url, "web-1")
        monkeypatch.setenv("HEARTBEAT_STORAGE", "folder:///nowhere/at/all")
        assert main(["status", "--storage", url]) == 0

    @pytest.mark.parametrize("set_to", [None, "  "])
    def test_none_is_a_typed_error_that_says_what_to_do(self, set_to, monkeypatch, capsys):
        if set_to is not None:
            monkeypatch.setenv("HEARTBEAT_STORAGE", set_to)
        assert main(["status"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error INVALID_CONFIGURATION: no storage is named")
        assert "HEARTBEAT_STORAGE" in error


class TestBeat:
    def test_one_line_says_whose_and_that_it_is_new(self, url, capsys):
        assert main(["beat", "--storage", url, "--machine-id", " Web-1 "]) == 0
        first = capsys.readouterr().out
        assert first.startswith("stored a heartbeat of web-1, which is new here, at 20")
        assert main(["beat", "--storage", url, "--machine-id", "web-1"]) == 0
        assert "new" not in capsys.readouterr().out

    def test_without_an_id_it_is_this_machine(self, url):
        main(["beat", "--storage", url])
        assert list(open_storage(url).load().heartbeats) == ["desk"]

    def test_metadata_and_promise_are_stored_and_metadata_stays(self, url):
        main(["beat", "--storage", url, "--metadata", '{"role": "web"}', "--interval", "45"])
        main(["beat", "--storage", url, "--interval", "50"])
        stored = open_storage(url).load().heartbeats["desk"]
        assert (stored.metadata, stored.interval_ms, stored.seq) == ({"role": "web"}, 50_000, 2)

    def test_json_is_the_wire_shape(self, url, capsys):
        assert main(["beat", "--json", "--storage", url]) == 0
        answer = json.loads(capsys.readouterr().out)
        assert (answer["success"], answer["machineId"], answer["isNewMachine"]) == (True, "desk", True)

    @pytest.mark.parametrize("metadata", ["{", "[1]", '{"load": NaN}', "[" * 100_000])
    def test_bad_metadata_is_a_typed_error_and_nothing_is_stored(self, url, share, metadata, capsys):
        assert main(["beat", "--storage", url, "--metadata", metadata]) == 2
        captured = capsys.readouterr()
        assert captured.err.startswith("error INVALID_METADATA: ")
        assert "Traceback" not in captured.err
        assert captured.out == ""
        assert list(share.iterdir()) == []

    def test_a_storage_that_does_not_take_it_is_a_typed_error(self, share, url, capsys):
        (share / "heartbeats").write_text("a file where the folder should be")
        assert main(["beat", "--storage", url]) == 2
        assert capsys.readouterr().err.startswith("error HEARTBEAT_REGISTRATION_FAILED: ")


class TestWatch:
    def test_prints_one_block_a_look_and_marks_what_changed(self, url, capsys, monkeypatch):
        put(url, "web-1")

        def between_looks(self, seconds=None):
            put(url, "web-3")
            waits.append(seconds)
            return False

        waits = []
        monkeypatch.setattr(StopSignals, "wait", between_looks)
        assert main(["watch", "--storage", url, "--count", "2", "--every", "7"]) == 0
        first, second = capsys.readouterr().out.strip().split("\n\nseen by")
        assert "new" not in first
        assert "web-3    ● online" in second
        assert "new!" in second
        assert waits == [7.0]

    def test_says_what_a_machine_was_before_and_who_is_gone(self, share, url, capsys, monkeypatch):
        put(url, "web-1")
        put(url, "web-2")
        looks = []

        def between_looks(self, seconds=None):
            if not looks:
                put(url, "web-1", seq=2, left_at=1)
                (share / "heartbeats" / "web-2.json").unlink()
            looks.append(seconds)
            return False

        monkeypatch.setattr(StopSignals, "wait", between_looks)
        main(["watch", "--storage", url, "--count", "2"])
        last = capsys.readouterr().out.split("seen by")[2]
        assert "was online!, left" in last
        assert "web-2 is gone, it was online" in last

    def test_a_request_to_stop_ends_it_with_zero(self, url, monkeypatch, capsys):
        monkeypatch.setattr(StopSignals, "wait", lambda self, seconds: self.stop())
        assert main(["watch", "--storage", url]) == 0
        assert capsys.readouterr().out.count("seen by desk") == 1

    def test_on_a_terminal_the_screen_is_replaced_and_the_cursor_comes_back(self, url, monkeypatch):
        """Without rich."""
        monkeypatch.setitem(sys.modules, "heartbeat_kit.cli._rich_pages", None)
        put(url, "web-1")
        screen = Screen()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setattr("sys.stdout", screen)
        main(["watch", "--storage", url, "--count", "1"])
        text = screen.getvalue()
        assert text.startswith("\x1b[2J\x1b[?25l\x1b[H\x1b[?7l")
        assert text.endswith("\x1b[J\x1b[?7h\x1b[?25h")

    @pytest.mark.parametrize("no_color", ["", "1"])
    def test_rich_draws_on_a_screen_of_its_own_and_leaves_the_last_look(self, url, monkeypatch, no_color):
        pytest.importorskip("rich")
        put(url, "web-1")
        screen = Screen()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("COLUMNS", "100")
        monkeypatch.setenv("NO_COLOR", no_color)
        monkeypatch.setattr("sys.stdout", screen)
        main(["watch", "--storage", url, "--count", "2", "--every", "0.01"])
        drawn, left = screen.getvalue().split("\x1b[?1049l")
        assert drawn.startswith("\x1b[?1049h")
        assert drawn.count("seen by desk") == 2
        assert "web-1" in left
        assert drawn.count("\x1b[?25l") <= (drawn + left).count("\x1b[?25h")
        assert ("\x1b[32m" in drawn) is not bool(no_color)

    def test_a_fleet_taller_than_the_terminal_shows_trouble_first(self, url, monkeypatch):
        monkeypatch.setitem(sys.modules, "heartbeat_kit.cli._rich_pages", None)
        for number in range(30):
            put(url, f"web-{number:02}", age=500 if number == 29 else 0)
        screen = Screen()
        monkeypatch.setenv("TERM", "xterm")
        monkeypatch.setenv("LINES", "20")
        monkeypatch.setenv("COLUMNS", "80")
        monkeypatch.setattr("sys.stdout", screen)
        main(["watch", "--storage", url, "--count", "1"])
        text = screen.getvalue()
        assert text.count("\n") <= 20
        assert "web-29" in text
        assert "… and 19 more" in text


class TestUsage:
    def test_version(self, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["--version"])
        assert ended.value.code == 0
        assert capsys.readouterr().out == f"heartbeat-kit {version('heartbeat-kit')}\n"

    @pytest.mark.parametrize("command", ["beat", "status", "watch", "demo"])
    def test_help_names_the_exit_codes(self, command, capsys):
        with pytest.raises(SystemExit) as ended:
            main([command, "--help"])
        assert ended.value.code == 0
        assert "exit codes:\n  0  " in capsys.readouterr().out

    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["dance"],
            ["beat", "--leave"],
            ["beat", "--announce"],
            ["beat", "--forever", "--json"],
            ["status", "--json", "--explain", "web-1"],
            ["status", "--timeout", "0"],
            ["status", "--timeout", "nan"],
            ["status", "--timeout", "1e300"],
            ["status", "--interval", "soon"],
            ["watch", "--count", "0"],
            ["watch", "--count", "٣"],
            ["demo", "--machines", "2"],
            ["demo", "--machines", "25"],
            ["demo", "--seconds-per-beat", "0.1"],
        ],
    )
    def test_bad_usage_is_two(self, arguments, capsys):
        with pytest.raises(SystemExit) as ended:
            main(arguments)
        assert ended.value.code == 2
        assert "error: " in capsys.readouterr().err

    def test_a_timeout_one_late_beat_would_break_names_the_arguments(self, url, capsys):
        assert main(["status", "--storage", url, "--timeout", "3"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error INVALID_CONFIGURATION: offline_timeout (3 s)")
        assert "--interval and --timeout" in error


class TestOutput:
    @pytest.mark.parametrize(
        ("failure", "code", "said"),
        [
            (BrokenPipeError("reader gone"), 141, ""),
            (OSError(28, "No space left on device"), 2, "error OPERATING_SYSTEM: [Errno 28] No space left on device\n"),
            (KeyboardInterrupt(), 130, ""),
        ],
    )
    def test_output_that_cannot_be_written_ends_without_a_traceback(self, failure, code, said, monkeypatch, capsys):
        class Broken(io.StringIO):
            encoding = "utf-8"

            def write(self, text):
                raise failure

        monkeypatch.setattr("sys.stdout", Broken())
        assert main(["status", "--storage", "memory://"]) == code
        assert capsys.readouterr().err == said

    @pytest.mark.parametrize(
        ("environ", "coloured", "moves"),
        [
            ({"TERM": "xterm"}, True, True),
            ({"TERM": "xterm", "NO_COLOR": "1"}, False, True),
            ({"TERM": "xterm", "NO_COLOR": ""}, True, True),
            ({"TERM": "dumb"}, False, False),
        ],
    )
    def test_a_terminal_gets_what_it_can_show(self, environ, coloured, moves):
        terminal = Terminal(Screen(), environ)
        assert (terminal.paint("x", "red") != "x", terminal.moves) == (coloured, moves)

    def test_a_file_gets_plain_text_and_no_passing_lines(self):
        stream = io.StringIO()
        terminal = Terminal(stream, {"TERM": "xterm"})
        terminal.passing("for a moment")
        terminal.line(terminal.paint("kept", "green bold"))
        terminal.page(["one", "two"])
        assert stream.getvalue() == "kept\none\ntwo\n\n"

    def test_a_passing_line_is_cleared_by_the_next(self):
        screen = Screen()
        terminal = Terminal(screen, {})
        terminal.passing("for a moment")
        terminal.line("kept")
        assert screen.getvalue() == "\x1b[?7lfor a moment\x1b[?7h\r\x1b[2Kkept\n"

    def test_a_paragraph_hangs_from_its_mark(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "12")
        screen = Screen()
        Terminal(screen, {"NO_COLOR": "1"}).prose("one two three", indent=" ", mark=Cell("*", "red"))
        assert screen.getvalue() == " * one two\n   three\n"

    def test_a_stream_without_our_signs_gets_others(self):
        raw = io.BytesIO()
        stream = io.TextIOWrapper(raw, encoding="ascii")
        Terminal(stream, {}).line("● online → é")
        assert raw.getvalue() == b"* online -> \\xe9\n"

    def test_columns_line_up_whatever_is_coloured(self):
        plain, coloured = Terminal(io.StringIO(), {}), Terminal(Screen(), {"TERM": "xterm"})
        rows = [[Cell("a", "red"), Cell("1")], [Cell("bbb"), Cell("22")]]
        assert plain.table(["x", "y"], rows, indent="  ") == ["  x    y", "  a    1", "  bbb  22"]
        assert coloured.table(["x", "y"], rows)[1] == "\x1b[31ma\x1b[0m    1"

    def test_the_last_column_ends_where_the_terminal_does(self, monkeypatch):
        monkeypatch.setenv("COLUMNS", "20")
        lines = Terminal(Screen(), {}).table(["id", "why"], [[Cell("web-1"), Cell("a very long explanation")]])
        assert lines[1] == "web-1  a very long …"

    @pytest.mark.parametrize(
        ("ms", "text"),
        [
            (0, "0.0 s"),
            (-20, "0.0 s"),
            (-1_500, "-1.5 s"),
            (9_940, "9.9 s"),
            (119_000, "119 s"),
            (120_000, "2 min"),
            (7_200_000, "2.0 h"),
            (172_800_000, "2 d"),
        ],
    )
    def test_spans_read_like_speech(self, ms, text):
        assert span(ms) == text


class TestStopSignals:
    @pytest.fixture(autouse=True)
    def handlers_stay(self):
        before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
        yield
        for number, handler in before.items():
            assert signal.getsignal(number) is handler

    def test_a_signal_ends_the_wait_and_is_remembered(self):
        with StopSignals() as signals:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
            began = time.monotonic()
            assert signals.wait(30)
            assert signals.received == signal.SIGTERM
            assert signals.wait(30), "later waits end at once"
            assert time.monotonic() - began < 10

    @pytest.mark.skipif(os.name == "nt", reason="needs POSIX")
    def test_whoever_waits_hears_a_signal_that_no_handler_could_answer_yet(self):
        """The main thread runs no Python here until the wait is over, and another thread takes the signal."""
        with StopSignals() as signals:
            waiting = threading.Thread(target=signals.wait, args=(30,))
            waiting.start()
            threading.Timer(0.05, lambda: signal.pthread_kill(threading.get_ident(), signal.SIGTERM)).start()
            waiting.join(10)
            assert not waiting.is_alive()
            assert signals.received == signal.SIGTERM

    def test_a_wait_of_any_length_is_ended(self):
        with StopSignals() as signals:
            threading.Timer(0.05, signals.stop).start()
            assert signals.wait(1e12)

    def test_what_may_hang_is_broken_off(self):
        with StopSignals() as signals:
            threading.Timer(0.05, os.kill, (os.getpid(), signal.SIGTERM)).start()
            with pytest.raises(KeyboardInterrupt), signals.breaking_off():
                time.sleep(30)
            with pytest.raises(KeyboardInterrupt), signals.breaking_off():
                pytest.fail("it was asked before")
            os.kill(os.getpid(), signal.SIGTERM)  # and afterwards it is only noted
            assert signals.received == signal.SIGTERM

    def test_another_thread_may_ask(self):
        with StopSignals() as signals:
            threading.Timer(0.05, signals.stop).start()
            assert signals.wait()
            assert signals.received is None

    def test_without_a_request_the_time_passes(self):
        with StopSignals() as signals:
            assert not signals.wait(0.01)
            assert not signals.wait(0)
            assert not signals.stopping

    def test_what_is_ignored_stays_ignored(self):
        before = signal.signal(signal.SIGTERM, signal.SIG_IGN)
        try:
            with StopSignals() as signals:
                os.kill(os.getpid(), signal.SIGTERM)
                assert not signals.wait(0.05)
        finally:
            signal.signal(signal.SIGTERM, before)


def test_a_status_agrees_with_the_service_of_this_machine(share, capsys):
    """What a running service of this host noted, the command reads from its state directory."""
    url = f"folder://{share}?propagation_delay=0"
    config = HeartbeatConfig(heartbeat_interval=timedelta(seconds=30))
    with HeartbeatService(open_storage(url), config, machine_id="desk") as service:
        service.start()
        assert service.wait_for("desk", MachineStatus.ONLINE, 10)
        assert main(["status", "--storage", url]) == 0
    assert "desk" in capsys.readouterr().out
