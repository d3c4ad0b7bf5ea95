"""The demo: real processes that leave nothing behind, and a virtual fleet that misbehaves to see it notice."""

import contextlib
import functools
import io
import os
import re
import shlex
import signal
import subprocess
import sys
import time
from concurrent.futures import Future
from datetime import timedelta

import attrs
import pytest

from heartbeat_kit import HeartbeatConfig, HeartbeatService, MachineStatus, Reason, Transition, open_storage, to_wire
from heartbeat_kit.cli import _demo, _opening, main
from heartbeat_kit.cli._demo_audit import (
    Pace,
    agreement,
    differences,
    exactly,
    in_time,
    same_silence,
    saved_once,
)
from heartbeat_kit.cli._demo_errands import Answer, Errands, answer_of
from heartbeat_kit.cli._demo_site import Site
from heartbeat_kit.testing import FakeClock

ONLINE, WARNING, OFFLINE = MachineStatus.ONLINE, MachineStatus.WARNING, MachineStatus.OFFLINE


class VirtualFleet:
    """Machines in this process, each with a clock of its own in one virtual time; sabotaged by overriding."""

    root: FakeClock
    latest: "VirtualFleet"

    def __init__(self, site, *, beat_seconds, timeout_seconds):
        type(self).latest = self
        VirtualFleet.latest = self
        self.site, self.url, self.folder = site, site.url, site.folder
        timing = ("--interval", f"{beat_seconds:g}", "--timeout", f"{timeout_seconds:g}")
        self.errands = Errands(site, {}, timing)
        self.config = HeartbeatConfig(
            heartbeat_interval=timedelta(seconds=beat_seconds), offline_timeout=timedelta(seconds=timeout_seconds)
        )
        self.lives, self.events, self.leaving = {}, {}, {}
        self.stops = 0

    def start(self, machine_id, *, leave=False):
        clock, lives = self.root.sibling(), self.lives.setdefault(machine_id, [])
        service = HeartbeatService(
            open_storage(self.url),
            self.config,
            clock=clock,
            machine_id=machine_id,
            state_dir=self.folder / f"life-{len(lives)}",
        )
        service.on_transition(lambda event: self.announce(machine_id, to_wire(event)))
        self.events.setdefault(machine_id, [])
        self.leaving[machine_id] = leave
        lives.append((clock, service))
        service.start()

    def announce(self, machine_id, event):
        self.events[machine_id].append(event)

    def kill(self, machine_id):
        self.lives[machine_id][-1][0].kill()

    def ask_to_end(self, machine_id):
        self.lives[machine_id][-1][1].stop(leave=self.leaving[machine_id])

    def describe(self, machine_id):
        return "virtual"

    def announced_by(self, machine_id):
        return self.events[machine_id]

    def sync(self, machine_id, *arguments):
        """The real command on the real files, in this process and in virtual time."""
        printed, errors = io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(printed), contextlib.redirect_stderr(errors):
            code = main(self.errands.arguments(machine_id, *arguments))
        answered = Future()
        answered.set_result(self.answer(answer_of(machine_id, arguments, code, printed.getvalue(), errors.getvalue())))
        return answered

    def answer(self, answer):
        return answer

    def accidents(self):
        return []

    def stop(self):
        self.stops += 1
        self.errands.stop()
        for lives in self.lives.values():
            for _, service in lives:
                service.stop()
                service.storage.close()
        return []


class VirtualSignals:
    """Waiting moves virtual time; after `patience` waits somebody presses Ctrl-C."""

    patience = None
    exit_code = 128 + signal.SIGINT

    def __init__(self):
        self.stopping = False
        self.waits = 0

    def __enter__(self):
        return self

    def __exit__(self, *exc):
        pass

    def wait(self, seconds):
        self.waits += 1
        VirtualFleet.root.advance(seconds)
        self.stopping = self.waits == self.patience
        return self.stopping


@pytest.fixture
def play(monkeypatch, tmp_path, capsys):
    """Perform the demo in virtual time with a fleet of a class; gives the exit code and what was printed."""
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    def perform(fleet=VirtualFleet, *arguments, patience=None):
        VirtualFleet.root = FakeClock()
        monkeypatch.setattr(VirtualSignals, "patience", patience)
        monkeypatch.setattr(_demo, "SystemClock", lambda: VirtualFleet.root)
        monkeypatch.setattr(_demo, "StopSignals", VirtualSignals)
        monkeypatch.setattr(_demo, "ProcessFleet", fleet)
        monkeypatch.setattr(_opening, "HeartbeatService", functools.partial(HeartbeatService, clock=VirtualFleet.root))
        return main(["demo", *arguments]), capsys.readouterr().out

    yield perform
    assert VirtualFleet.latest.stops == 1


def wrong(printed):
    """The problems the verdict names, each unwrapped to one line."""
    joined = re.sub(r"\n  (?=\S)", " ", printed)
    return [line.removeprefix("✗ ") for line in joined.splitlines() if line.startswith("✗")]


class TestVirtual:
    def test_a_sound_fleet_is_found_sound_and_nothing_is_left(self, play, tmp_path):
        code, printed = play()
        assert (code, wrong(printed)) == (0, [])
        assert printed.rstrip().splitlines()[-1].startswith("Everything was as it should be.")
        assert list(tmp_path.iterdir()) == []

    @pytest.mark.parametrize("arguments", [["--machines", "3"], ["--machines", "9", "--seconds-per-beat", "30"]])
    def test_other_sizes_and_paces_are_sound_too(self, play, arguments):
        code, printed = play(VirtualFleet, *arguments)
        assert (code, wrong(printed)) == (0, [])

    def test_a_kept_folder_is_named_and_there(self, play, tmp_path, capsys):
        code, printed = play(VirtualFleet, "--keep")
        command = shlex.split(re.search(r"heartbeat-kit (status .*)", printed).group(1))
        assert code == 0
        assert command[3:] == ["--interval", "1", "--timeout", "4"]
        assert main(command) == 1
        assert "5 machines" in capsys.readouterr().out

    def test_an_interruption_stops_everybody_and_removes_the_folder(self, play, tmp_path):
        code, printed = play(patience=40)
        assert code == 130
        assert "Interrupted; nothing is left" in printed
        assert list(tmp_path.iterdir()) == []

    def test_a_machine_that_cannot_be_killed_is_noticed(self, play, tmp_path):
        class Immortal(VirtualFleet):
            def kill(self, machine_id):
                pass

        code, printed = play(Immortal)
        assert code == 1
        assert re.search(r"waited .* for pc-2 to be announced warning, in vain", printed)
        assert list(tmp_path.iterdir()) == []

    def test_a_second_victim_is_noticed(self, play):
        class Clumsy(VirtualFleet):
            def kill(self, machine_id):
                super().kill(machine_id)
                super().kill("pc-4")

        code, printed = play(Clumsy)
        assert code == 1
        assert "pc-4 was warning at a look, where it should have been online" in wrong(printed)

    def test_a_survivor_that_says_it_twice_is_noticed(self, play):
        class Parrot(VirtualFleet):
            def announce(self, machine_id, event):
                times = 2 if (machine_id, event["machineId"], event["after"]) == ("pc-4", "pc-2", "warning") else 1
                for _ in range(times):
                    super().announce(machine_id, event)

        code, printed = play(Parrot)
        assert code == 1
        assert re.fullmatch(r"pc-4 announced event [0-9a-f]{8} \(pc-2 warning\) 2 times", "\n".join(wrong(printed)))

    def test_a_survivor_with_another_event_id_is_noticed(self, play):
        class Liar(VirtualFleet):
            def announce(self, machine_id, event):
                if (machine_id, event["after"]) == ("pc-1", "offline") and event["machineId"] == "pc-2":
                    event = {**event, "id": "0" * 32}
                super().announce(machine_id, event)

        code, printed = play(Liar)
        assert code == 1
        assert "pc-1 announced an event 00000000 that nobody else knows" in wrong(printed)
        assert len(wrong(printed)) == 2

    def test_a_survivor_that_says_nothing_is_noticed(self, play):
        class Mute(VirtualFleet):
            def announce(self, machine_id, event):
                if machine_id != "pc-4" or event["after"] != "offline":
                    super().announce(machine_id, event)

        code, printed = play(Mute)
        assert code == 1
        assert "for the others to announce pc-2 offline, in vain" in printed

    def test_a_machine_that_dies_by_itself_is_named(self, play):
        class Frail(VirtualFleet):
            def accidents(self):
                return ["pc-4 ended by itself with exit code -11"] if self.root.monotonic > 7 else []

        code, printed = play(Frail)
        assert (code, wrong(printed)) == (1, ["pc-4 ended by itself with exit code -11"])

    def test_a_machine_that_never_starts_is_noticed(self, play):
        class Absent(VirtualFleet):
            def start(self, machine_id, *, leave=False):
                if machine_id != "pc-4":
                    super().start(machine_id, leave=leave)
                self.events.setdefault(machine_id, [])

        code, printed = play(Absent)
        assert code == 1
        assert "for every machine to be online and announced, in vain" in printed

    def test_a_machine_that_ends_without_a_goodbye_is_noticed(self, play):
        class Rude(VirtualFleet):
            def ask_to_end(self, machine_id):
                self.kill(machine_id)

        code, printed = play(Rude)
        assert code == 1
        assert "pc-3 was warning at a look, where it should have been offline or online" in wrong(printed)

    def test_a_machine_that_does_not_end_is_named(self, play):
        class Stubborn(VirtualFleet):
            def stop(self):
                return [*super().stop(), "pc-1 did not end within 10 s of being asked to, and was killed"]

        code, printed = play(Stubborn)
        assert (code, len(wrong(printed))) == (1, 1)

    def test_a_folder_that_stays_is_named(self, play, monkeypatch):
        monkeypatch.setattr("shutil.rmtree", lambda *_, **__: None)
        code, printed = play()
        assert code == 1
        assert re.fullmatch(r"the temporary folder .* could not be removed", "\n".join(wrong(printed)))

    def test_an_observer_that_loses_its_storage_is_noticed(self, play, monkeypatch):
        class Thief(VirtualFleet):
            def kill(self, machine_id):
                super().kill(machine_id)
                os.rename(self.folder / "share" / "heartbeats", self.folder / "stolen")

        code, printed = play(Thief)
        assert code == 1
        assert "not there" in "\n".join(wrong(printed))


def told_otherwise(asked, **changes):
    """A fleet whose answers to one subcommand say something else."""

    class Liar(VirtualFleet):
        def answer(self, answer):
            if not answer.asked.startswith(f"sync {asked}"):
                return answer
            return answer._replace(result={**answer.result, **changes})

    return Liar


def meddling(asked, meddle):
    """A fleet where somebody does something to the files right after one of the subcommands."""

    class Meddling(VirtualFleet):
        def answer(self, answer):
            if answer.asked.startswith(f"sync {asked}"):
                meddle(self.site)
            return answer

    return Meddling


def overwrite(*path):
    return lambda site: site.folder.joinpath(*path).write_text("meddled")


BASELINE = ("share", "baseline", "files")
PC_2 = ("machines", "pc-2")


class TestFolders:
    """What becomes of the files is compared byte for byte, and what the syncs say of it is not believed."""

    @pytest.mark.parametrize(
        ("fleet", "found"),
        [
            (
                meddling("publish", lambda site: (site.workspace("pc-4") / "app.conf").unlink()),
                "'sync online --again' of pc-4 was",
            ),
            (
                meddling("online", overwrite(*BASELINE, "app.conf")),
                "exit code 1, saying: applied: 3 synced, app.conf left",
            ),
            (meddling("offline", overwrite(*BASELINE, "app.conf")), "the baseline is not as it should be: app.conf"),
            (meddling("offline", overwrite(*PC_2, "new")), "the folder of pc-2 is not as it should be: new"),
            (told_otherwise("offline", outcome="applied"), "one should have done it: 3 applied"),
            (told_otherwise("offline", decisions=[]), "0 decisions were made, expected one about limits.conf"),
            (told_otherwise("approve", state="pending"), "is pending, expected approved"),
            (told_otherwise("online", changes={"filesSynced": 0}), "of pc-2 was applied with 0 synced"),
            (told_otherwise("online", outcome="void"), "of pc-2 was void with 3 synced"),
            (meddling("approve", overwrite(*PC_2, "app.conf")), "the folder of pc-2 is not as it should be: app.conf"),
            (
                meddling("rollback online", overwrite(*PC_2, "motd.txt")),
                "the rollback is not as it should be: pc-2/motd.txt",
            ),
            (
                meddling("rollback restore", overwrite(*BASELINE, "notes", "todo.txt")),
                "the rollback of the rollback is not as it should be: baseline/notes/todo.txt",
            ),
        ],
    )
    def test_what_is_not_as_it_should_be_is_named(self, play, tmp_path, fleet, found):
        code, printed = play(fleet)
        assert code == 1
        assert any(found in problem for problem in wrong(printed)), wrong(printed)
        assert list(tmp_path.iterdir()) == []

    def test_a_sync_that_fails_is_named_with_what_it_said(self, play):
        class Deaf(VirtualFleet):
            def sync(self, machine_id, *arguments):
                return super().sync(machine_id, *(["offline", "pc-3"] if arguments[0] == "offline" else arguments))

        code, printed = play(Deaf)
        assert code == 1
        assert "pc-1      sync offline pc-3 → no answer\n" in printed
        [problem] = wrong(printed)
        assert problem.startswith(
            "'sync offline pc-3' of pc-1 ended with exit code 2, saying: error MACHINE_NOT_OFFLINE:"
        )

    def test_a_sync_that_never_ends_ends_the_play(self, play):
        class Hanging(VirtualFleet):
            def sync(self, machine_id, *arguments):
                return Future() if arguments[0] == "publish" else super().sync(machine_id, *arguments)

        code, printed = play(Hanging)
        assert (code, wrong(printed)) == (1, ["waited 20 s for the syncs to end, in vain"])

    def test_what_was_saved_must_be_saved_once(self):
        done = {"outcome": "applied", "changes": {"filesSynced": 1, "decisionsCreated": 1}, "backupCreated": True}
        first = Answer("pc-1", "sync offline pc-2", 1, done, "")
        second = first._replace(machine_id="pc-3", result={**done, "outcome": "already_done"})
        assert saved_once([first, second], synced=1, decisions=1) == []
        assert len(saved_once([first, first], synced=1, decisions=1)) == 1
        assert len(saved_once([second, second], synced=1, decisions=1)) == 1
        assert saved_once([first, second], synced=2, decisions=1) == [
            f"{name} counts 1 files preserved and 1 decisions, expected 2 and 1" for name in ("pc-1", "pc-3")
        ]
        bare = first._replace(result={**done, "backupCreated": False})
        assert saved_once([bare, second], synced=1, decisions=1) == [
            "pc-1 knows of no verified backup of what was preserved"
        ]

    def test_trees_differ_in_a_byte_in_a_name_or_not_at_all(self):
        assert differences("it", {"a": b"1"}, {"a": b"1"}) == []
        assert differences("it", {"a": b"1", "b": b"", "c": b"3"}, {"a": b"2", "c": b"3", "d": b""}) == [
            "it is not as it should be: a, b, d"
        ]


class TestErrands:
    @pytest.fixture
    def slow(self, tmp_path, monkeypatch):
        """Errands whose program never ends, and says so."""
        program = tmp_path / "python"
        program.write_text("#!/bin/sh\necho $$ > $(dirname $0)/started\nexec sleep 600\n")
        program.chmod(0o700)
        monkeypatch.setattr(sys, "executable", str(program))
        return Errands(Site(tmp_path), os.environ, ())

    @pytest.mark.skipif(os.name == "nt", reason="the program is a shell script")
    def test_what_still_runs_at_the_end_is_ended(self, slow, tmp_path):
        errand = slow.send("pc-1", "online")
        deadline = time.monotonic() + 30
        while not (tmp_path / "started").exists() or not (tmp_path / "started").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)
        slow.stop()
        assert errand.result(30).code == -signal.SIGKILL
        with pytest.raises(ProcessLookupError):
            os.kill(int((tmp_path / "started").read_text()), 0)

    def test_nothing_starts_after_the_end(self, slow, tmp_path):
        slow.stop()
        with pytest.raises(RuntimeError):
            slow.send("pc-1", "online")
        assert not (tmp_path / "started").exists()


def tampering(tamper):
    """A service that tells its listeners `tamper(event)`, a list, instead of each event."""

    class Tampering(HeartbeatService):
        def on_transition(self, listener):
            def tell(event):
                for told in tamper(event):
                    listener(told)

            return super().on_transition(tell)

    return Tampering


def of_victim(event, after):
    return event.machine_id == "pc-2" and event.after is after and event.reason is not Reason.FIRST_SEEN


class TestUntrueObserver:
    """The play believes its own observer no more than anybody else."""

    @pytest.mark.parametrize(
        ("tamper", "found"),
        [
            (lambda e: [e, e] if e.reason is Reason.LEFT else [e], "pc-3 was announced offline (left) 2 times"),
            (
                lambda e: [attrs.evolve(e, last_heartbeat=e.last_heartbeat_ms - 1)] if of_victim(e, WARNING) else [e],
                "the warning of pc-2 does not rest on its last heartbeat",
            ),
            (
                lambda e: [attrs.evolve(e, occurred_at=e.occurred_at_ms + 9_000)] if of_victim(e, OFFLINE) else [e],
                "the offline of pc-2 was dated",
            ),
            (
                lambda e: [attrs.evolve(e, episode="another")] if of_victim(e, ONLINE) else [e],
                "do not share one episode",
            ),
        ],
    )
    def test_what_it_announces_is_compared_with_what_happened(self, play, monkeypatch, tamper, found):
        monkeypatch.setattr(_demo, "HeartbeatService", tampering(tamper))
        code, printed = play()
        assert code == 1
        assert any(found in problem for problem in wrong(printed))

    def test_a_warning_it_never_announces_is_noticed(self, play, monkeypatch):
        monkeypatch.setattr(_demo, "HeartbeatService", tampering(lambda e: [] if of_victim(e, WARNING) else [e]))
        code, printed = play()
        assert code == 1
        assert "for pc-2 to be announced warning, in vain" in "\n".join(wrong(printed))

    def test_a_status_shown_before_its_deadline_is_noticed(self, play, monkeypatch):
        class Hasty(HeartbeatService):
            def state(self):
                state = super().state()
                if "pc-2" not in state or state["pc-2"].age_ms < 2_000:
                    return state
                hasty = attrs.evolve(state["pc-2"], status=OFFLINE)
                return attrs.evolve(state, machines={**state.machines, "pc-2": hasty})

        monkeypatch.setattr(_demo, "HeartbeatService", Hasty)
        code, printed = play()
        assert code == 1
        assert any(re.match(r"pc-2 was offline at a look only \d\.\d\d s after", problem) for problem in wrong(printed))


def transition(after=WARNING, reason=Reason.SILENT, **changes):
    values = {
        "id": "a" * 32,
        "machine_id": "pc-2",
        "before": ONLINE,
        "after": after,
        "reason": reason,
        "observer": "observer",
        "occurred_at": 4_000,
        "detected_at": 4_200,
        "last_heartbeat": 0,
        "incarnation": 1,
        "seq": 7,
        "episode": "silence",
    }
    return Transition(**{**values, **changes})


class TestAudit:
    PACE = Pace.of(1_000)

    @pytest.mark.parametrize(("heard_ms", "count"), [(3_999, 1), (4_000, 0), (6_000, 0), (6_001, 1)])
    def test_a_warning_is_in_time_from_its_deadline_to_two_looks_and_the_slack_later(self, heard_ms, count):
        assert len(in_time(transition(), 1, self.PACE, last_beat_ms=0, heard_ms=heard_ms)) == count

    @pytest.mark.parametrize("occurred_ms", [3_999, 6_001])
    def test_a_warning_dated_wrongly_is_found(self, occurred_ms):
        event = transition(occurred_at=occurred_ms)
        assert "was dated" in in_time(event, 1, self.PACE, last_beat_ms=0, heard_ms=4_100)[0]

    def test_a_verdict_that_rests_on_another_beat_is_found(self):
        (found,) = in_time(transition(last_heartbeat=1), 1, self.PACE, last_beat_ms=0, heard_ms=4_100)
        assert "does not rest on its last heartbeat" in found

    @pytest.mark.parametrize(("times", "count"), [(0, 1), (1, 0), (2, 1)])
    def test_exactly_once_is_neither_never_nor_twice(self, times, count):
        assert len(exactly([transition()] * times, [("pc-2", WARNING, Reason.SILENT)])) == count

    def test_an_event_nobody_expected_is_found(self):
        assert exactly([transition()], []) == ["pc-2 was announced warning (silent) 1 times, expected 0"]

    def test_one_silence_has_one_episode_a_duration_and_a_new_life(self):
        warning = transition()
        offline = transition(OFFLINE, occurred_at=8_000)
        back = transition(ONLINE, Reason.RETURNED, occurred_at=9_500, incarnation=2, offline_duration=1_500)
        assert same_silence(warning, offline, back) == []
        assert "episode" in same_silence(attrs.evolve(warning, episode="other"), offline, back)[0]
        assert "3000 ms" in same_silence(warning, offline, attrs.evolve(back, offline_duration=3_000))[0]
        assert "None ms" in same_silence(warning, offline, attrs.evolve(back, offline_duration=None))[0]
        assert "same life" in same_silence(warning, offline, attrs.evolve(back, incarnation=1))[0]

    def test_another_machine_agrees_only_with_the_same_ids_once_each(self):
        told = to_wire(transition())
        assert agreement("pc-1", [told], [transition()]) == []
        assert agreement("pc-1", [told, told], [transition()])[0].endswith("2 times")
        assert agreement("pc-1", [], [transition()])[0].endswith("0 times")
        assert "nobody else knows" in agreement("pc-1", [told], [])[0]


DEMO = [sys.executable, "-m", "heartbeat_kit", "demo"]


def start(tmp_path, *arguments):
    return subprocess.Popen(
        [*DEMO, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        encoding="utf-8",
        env={**os.environ, "TMPDIR": str(tmp_path), "PYTHONIOENCODING": "utf-8", "MACHINE_ID": "somebody else"},
    )


def processes(tmp_path):
    """Processes whose command line names our temporary folder."""
    found = []
    for entry in os.listdir("/proc"):
        if entry.isdigit():
            with contextlib.suppress(OSError), open(f"/proc/{entry}/cmdline", "rb") as file:
                if os.fsencode(tmp_path) in file.read():
                    found.append(int(entry))
    return found


def read_until(demo, text):
    lines = []
    for line in demo.stdout:
        lines.append(line)
        if text in line:
            return "".join(lines)
    raise AssertionError(f"{text!r} never came: {''.join(lines)}{demo.stderr.read()}")


@pytest.mark.slow
@pytest.mark.skipif(not os.path.isdir("/proc/self"), reason="finds processes in /proc")
class TestReal:
    def test_everything_is_as_it_should_be_and_nothing_is_left(self, tmp_path):
        demo = start(tmp_path)
        printed, errors = demo.communicate(timeout=120)
        assert (demo.returncode, wrong(printed), errors) == (0, [], "")
        assert len(re.findall(r"^ *\d+\.\d s  pc-2 +online → warning ", printed, re.MULTILINE)) == 1
        assert len(re.findall(r"^ *\d+\.\d s  pc-2 +warning → offline ", printed, re.MULTILINE)) == 1
        assert len(re.findall(r"^ *\d+\.\d s  pc-2 +offline → online ", printed, re.MULTILINE)) == 1
        assert len(re.findall(r"sync offline pc-2 → applied: 1 synced, 1 asked$", printed, re.MULTILINE)) == 1
        assert len(re.findall(r"sync offline pc-2 → already done: 1 synced, 1 asked$", printed, re.MULTILINE)) == 2
        assert "\x1b" not in printed
        assert list(tmp_path.iterdir()) == []
        assert processes(tmp_path) == []

    @pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
    def test_an_interruption_leaves_nothing(self, tmp_path, number):
        with start(tmp_path) as demo:
            read_until(demo, "kill pc-2")
            assert len(processes(tmp_path)) == 3
            demo.send_signal(number)
            printed = demo.stdout.read()
            assert demo.wait(60) == 128 + number
            assert "Interrupted; nothing is left" in printed
            assert demo.stderr.read() == ""
        assert list(tmp_path.iterdir()) == []
        assert processes(tmp_path) == []

    def test_an_interruption_amid_the_syncs_leaves_nothing(self, tmp_path):
        with start(tmp_path) as demo:
            read_until(demo, "sync init")
            demo.send_signal(signal.SIGTERM)
            printed = demo.stdout.read()
            assert demo.wait(60) == 128 + signal.SIGTERM
            assert "Interrupted; nothing is left" in printed
        assert list(tmp_path.iterdir()) == []
        assert processes(tmp_path) == []

    def test_a_machine_killed_from_outside_is_named(self, tmp_path):
        with start(tmp_path) as demo:
            printed = read_until(demo, "kill pc-2")
            os.kill(int(re.search(r"pc-4 +pid (\d+)", printed).group(1)), signal.SIGKILL)
            printed = demo.stdout.read()
            assert demo.wait(60) == 1
            assert "pc-4 ended by itself with exit code -9" in wrong(printed)[0]
        assert list(tmp_path.iterdir()) == []
        assert processes(tmp_path) == []

    def test_machines_end_by_themselves_when_the_demo_is_killed(self, tmp_path):
        with start(tmp_path) as demo:
            read_until(demo, "kill pc-2")
            demo.kill()
        deadline = time.monotonic() + 60
        while processes(tmp_path) and time.monotonic() < deadline:
            time.sleep(0.2)
        assert processes(tmp_path) == []
