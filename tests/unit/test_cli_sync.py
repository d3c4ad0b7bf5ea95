"""`sync` in this process: every subcommand, for people and as JSON, its exit codes, and what it says to type."""

import base64
import contextlib
import io
import json
import os
import re
import subprocess
import sys

import pytest

from heartbeat_kit import Heartbeat, HeartbeatService, SyncCoordinator, SyncReport, open_storage
from heartbeat_kit._words import printable
from heartbeat_kit.cli import main
from heartbeat_kit.cli._parser_sync import ACTIONS, MODES
from heartbeat_kit.cli._terminal import Cell, Terminal
from heartbeat_kit.sync import DecisionAction, SyncMode, SyncOutcome
from heartbeat_kit.sync._complete import Completion

VARIABLES = ("HEARTBEAT_INTERVAL", "OFFLINE_TIMEOUT", "NO_COLOR", "MACHINE_ID")


class Machine:
    """A machine and its folder, spoken to through the command line alone."""

    def __init__(self, name, home, capsys):
        self.name, self.home, self.capsys = name, home, capsys
        self.folder = home / name
        self.folder.mkdir()

    def write(self, path, text):
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)

    def read(self, path):
        return (self.folder / path).read_text()

    def sync(self, *arguments, code=0):
        """What is printed."""
        name = ("--machine-id", self.name, "--workspace", str(self.folder))
        assert main(["sync", *arguments, *name]) == code, self.capsys.readouterr()
        return self.capsys.readouterr().out

    def json(self, *arguments, code=0):
        """What is printed as JSON: one document, and nothing else."""
        return json.loads(self.sync(*arguments, "--json", code=code))

    def fails(self, *arguments):
        """What is said on standard error; nothing is printed."""
        name = ("--machine-id", self.name, "--workspace", str(self.folder))
        assert main(["sync", *arguments, *name]) == 2
        captured = self.capsys.readouterr()
        assert captured.err.count("\n") == 1
        return captured.err

    def beats(self, age=0, interval=30):
        """Store a heartbeat that is so many seconds old."""
        storage = open_storage(os.environ["HEARTBEAT_STORAGE"])
        with contextlib.closing(storage):
            found = storage.load().heartbeats.get(self.name)
            now = HeartbeatService(storage).clock.now().wall_ms
            storage.put(
                Heartbeat(
                    machine_id=self.name,
                    last_heartbeat=now - age * 1000,
                    incarnation=1,
                    seq=1 if found is None else found.seq + 1,
                    interval=interval * 1000,
                )
            )


@pytest.fixture
def medium():
    """Where heartbeats live; the tests that ask about them have it as a parameter."""
    return "folder"


@pytest.fixture
def home(tmp_path, monkeypatch, medium):
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    for name in ("share", "beats"):
        (tmp_path / name).mkdir()
    query = "?propagation_delay=0" if medium == "folder" else ""
    monkeypatch.setenv("HEARTBEAT_STORAGE", f"{medium}://{tmp_path}/beats{query}")
    monkeypatch.setenv("HEARTBEAT_SHARED", str(tmp_path / "share"))
    return tmp_path


@pytest.fixture
def web(home, capsys):
    """A machine with two files, beating, with a baseline of its own making."""
    machine = Machine("web-1", home, capsys)
    machine.write("app.conf", "port = 1\n")
    machine.write("etc/limits.json", "{}\n")
    machine.beats()
    machine.sync("init")
    machine.sync("online")
    return machine


@pytest.fixture
def desk(web, home, capsys):
    """Another, in step with it."""
    machine = Machine("desk", home, capsys)
    machine.beats()
    machine.sync("online")
    return machine


@pytest.fixture
def asked(web, desk):
    """The beginning of the id of a decision about app.conf of the desk, which both machines edited."""
    web.write("app.conf", "port = 2\n")
    desk.write("app.conf", "port = 3\n")
    web.sync("online", "--again")
    desk.sync("online", "--again", code=1)
    [decision] = desk.json("decisions", code=1)["decisions"]
    return decision["id"][:8]


def files(root):
    return {path.relative_to(root).as_posix(): path.read_bytes() for path in root.rglob("*") if path.is_file()}


class Screen(io.StringIO):
    encoding = "utf-8"

    def isatty(self):
        return True


class TestInit:
    def test_makes_a_baseline_and_takes_over_what_was_edited_in_it(self, web, home):
        assert web.json("init") == {
            "success": True,
            "generation": 2,
            "message": "The baseline is there, at generation 2",
        }
        (home / "share" / "baseline" / "files" / "motd").write_text("by hand")
        assert web.sync("init") == "The baseline is there, at generation 3\n"

    def test_without_one_everything_else_says_how_to_make_it(self, home, capsys):
        machine = Machine("web-1", home, capsys)
        error = machine.fails("plan")
        assert error.startswith("error BASELINE_UNAVAILABLE: ")
        assert "make one with 'heartbeat-kit sync init'" in error


class TestOnline:
    def test_gives_and_receives_and_says_how_many(self, web, desk, home):
        assert files(desk.folder) == files(web.folder) == files(home / "share" / "baseline" / "files")
        web.write("app.conf", "port = 2\n")
        printed = web.sync("online", "--again")
        assert printed.startswith("Online sync of web-1 done\n")
        assert re.search(r"^  files synced +1$", printed, re.MULTILINE)
        assert re.search(
            r"^  backup: .*/share/backups/online-sync-web-1-\d+\.json \(verified\)$", printed, re.MULTILINE
        )
        assert "to undo it: heartbeat-kit sync rollback online-sync-web-1-" in printed

    def test_json_is_the_wire_shape(self, web, desk):
        web.write("app.conf", "port = 2\n")
        report = web.json("online", "--again")
        assert (report["success"], report["machineId"], report["outcome"]) == (True, "web-1", "applied")
        assert report["changes"] == {"filesSynced": 1, "conflictsResolved": 0, "decisionsCreated": 0}
        assert os.path.exists(report["backupPath"])

    def test_is_done_once_for_each_return_unless_asked_again(self, web):
        web.write("app.conf", "port = 2\n")
        assert "was done before" in web.sync("online")
        assert web.json("online")["alreadyDone"] is True
        assert web.json("online", "--again")["changes"]["filesSynced"] == 1

    def test_a_dry_run_writes_nothing_and_says_what_would_be(self, home, capsys):
        machine = Machine("web-1", home, capsys)
        machine.write("app.conf", "port = 1\n")
        machine.beats()
        machine.sync("init")
        before = files(home)
        printed = machine.sync("online", "--dry-run")
        assert printed.startswith("Online sync of web-1 was only planned\n")
        assert re.search(r"^  files to sync +1$", printed, re.MULTILINE)
        assert machine.json("online", "--dry-run")["planned"]["filesSynced"] == 1
        assert files(home) == before

    def test_of_another_machine_is_for_that_machine_and_one(self, web, desk):
        assert "is for web-1 itself to do" in desk.sync("online", "web-1", code=1)
        assert desk.json("online", "web-1", code=1)["success"] is False

    def test_of_a_machine_that_never_beat_says_what_to_do(self, web, home, capsys):
        silent = Machine("silent", home, capsys)
        error = silent.fails("online")
        assert error.startswith("error MACHINE_NOT_ONLINE: silent is not known here")
        assert "'heartbeat-kit beat' tells that this machine is here" in error
        assert silent.json("online", "--again")["changes"]["filesSynced"] == 2

    def test_without_writing_here_files_wait(self, web, desk):
        web.write("app.conf", "port = 2\n")
        web.sync("online", "--again")
        printed = desk.sync("online", "--again", "--no-sync-from-baseline")
        assert "waits for desk: 1\n  app.conf\n" in printed
        assert desk.read("app.conf") == "port = 1\n"

    def test_without_a_backup_there_is_none(self, web, home):
        before = files(home / "share" / "backups")
        web.write("app.conf", "port = 2\n")
        assert web.json("online", "--again", "--no-backup")["backupCreated"] is False
        assert files(home / "share" / "backups") == before

    def test_backups_and_local_state_may_lie_elsewhere(self, web, home):
        web.write("app.conf", "port = 2\n")
        report = web.json("online", "--again", "--backups", str(home / "safe"))
        assert report["backupPath"].startswith(str(home / "safe"))
        web.sync("online", "--again", "--state-dir", str(home / "local"))
        assert (home / "local" / "sync").is_dir()

    def test_patterns_say_what_takes_part(self, web, home):
        for name in ("a.conf", "b.conf", "c.txt"):
            web.write(name, name)
        web.sync("online", "--again", "--include", "*.conf", "--include", "*.json", "--exclude", "b.*")
        assert set(files(home / "share" / "baseline" / "files")) == {"app.conf", "etc/limits.json", "a.conf"}

    def test_what_cannot_be_read_is_left_alone_and_named(self, web):
        web.write("etc/limits.json", "{")
        printed = web.sync("online", "--again", code=1)
        assert "left alone for now: 1\n  etc/limits.json  " in printed
        assert "etc/limits.json" in web.json("online", "--again", code=1)["deferred"]

    @pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
    @pytest.mark.parametrize("name", ["what?", "what?/file"])
    def test_a_name_that_cannot_be_synced_is_named_once(self, web, name):
        web.write(name, "x")
        printed = web.sync("online", "--again", code=1)
        assert "cannot be synced under these names: 1\n  what?  " in printed
        assert "left alone" not in printed
        assert list(web.json("online", "--again", code=1)["rejected"]) == ["what?"]

    def test_many_files_of_a_kind_are_counted(self, web):
        for number in range(60):
            web.write(f"{number}.json", "{")
        printed = web.sync("online", "--again", code=1)
        assert "left alone for now: 60\n" in printed
        assert "… and 10 more, see --json" in printed
        assert len(web.json("online", "--again", code=1)["deferred"]) == 60


class TestMassChange:
    @pytest.fixture
    def emptied(self, web):
        for number in range(20):
            web.write(f"{number}.conf", str(number))
        web.sync("online", "--again")
        for number in range(20):
            (web.folder / f"{number}.conf").unlink()
        return web

    def test_is_refused_and_the_option_that_allows_it_is_named(self, emptied):
        error = emptied.fails("online", "--again")
        assert error.startswith("error TOO_MANY_DELETES: 20 of 22 files are gone on the machine")
        assert "if it is meant, pass --allow-mass-change once" in error

    def test_is_done_if_it_is_meant(self, emptied, home):
        assert emptied.json("online", "--allow-mass-change")["changes"]["filesSynced"] == 20
        assert set(files(home / "share" / "baseline" / "files")) == {"app.conf", "etc/limits.json"}

    def test_a_plan_is_shown_before_it_is_refused(self, emptied, capsys):
        assert main(["sync", "plan", "--machine-id", "web-1", "--workspace", str(emptied.folder)]) == 2
        captured = capsys.readouterr()
        assert "refused: 20 of 22 files are gone" in captured.out
        assert "delete in baseline  0.conf " in captured.out
        assert captured.err.startswith("error TOO_MANY_DELETES: ")
        assert emptied.json("plan", code=2)["refusals"][0]["code"] == "TOO_MANY_DELETES"
        assert emptied.json("plan", "--allow-mass-change")["planned"]["filesSynced"] == 20


class TestPolicy:
    @pytest.mark.parametrize(
        ("policy", "left"),
        [
            (["machine"], "port = 3\n"),
            (["baseline"], "port = 2\n"),
            (["*.json=baseline", "*.conf=machine", "baseline"], "port = 3\n"),
            (["app.conf=baseline", "machine"], "port = 2\n"),
        ],
    )
    def test_the_first_that_fits_counts(self, web, desk, policy, left):
        web.write("app.conf", "port = 2\n")
        desk.write("app.conf", "port = 3\n")
        web.sync("online", "--again")
        rules = [argument for rule in policy for argument in ("--policy", rule)]
        assert desk.json("online", "--again", *rules)["changes"]["conflictsResolved"] == 1
        assert desk.read("app.conf") == left

    def test_one_that_is_none_is_a_typed_error(self, web):
        assert web.fails("plan", "--policy", "*.conf=mine").startswith("error INVALID_CONFIGURATION: '*.conf': 'mine' ")


class TestPlan:
    def test_shows_each_file_and_why_and_writes_nothing(self, web, home):
        web.write("app.conf", "port = 2\n")
        before = files(home)
        printed = web.sync("plan")
        assert re.match(r"Plan [0-9a-f]{8}: online sync of web-1\n\n  copy to baseline    app\.conf  ", printed)
        assert "1 file to look at: 1 to sync, 0 resolved, 0 new decisions" in printed
        assert web.json("plan")["actions"][0]["path"] == "app.conf"
        assert files(home) == before

    def test_of_nothing_says_so(self, web):
        assert web.sync("plan").endswith("\n\n  nothing to do\n")

    def test_of_another_machine_is_of_its_offline_sync(self, web, desk):
        web.write("app.conf", "port = 2\n")
        web.sync("publish")
        web.beats(age=300)
        assert "offline sync of web-1" in desk.sync("plan", "WEB-1")
        assert desk.fails("plan", "web-1", "--mode", "online").startswith("error NOT_EXECUTOR: ")
        assert desk.fails("plan", "--mode", "offline").startswith("error NOT_EXECUTOR: ")

    def test_with_a_question_is_one(self, asked, desk):
        assert "ask a person" in desk.sync("plan", code=1)

    def test_an_interrupted_run_comes_first(self, web, monkeypatch):
        def killed(*_):
            raise OSError("cut off")

        web.write("app.conf", "port = 3\n")
        with monkeypatch.context() as patch:
            patch.setattr(Completion, "complete", killed)
            web.fails("online", "--again")
        error = web.fails("plan")
        assert error.startswith("error RECOVERY_PENDING: ")
        assert "call 'heartbeat-kit sync recover'" in error

    def test_a_damaged_journal_cannot_be_finished(self, web, home):
        (web_state,) = (home / "state").rglob("web-1/archive.json")
        (web_state.parent / "journal.json").write_text("{")
        error = web.fails("plan")
        assert error.startswith("error RECOVERY_PENDING: ")
        assert "'heartbeat-kit sync recover --discard-damaged'" in error


@pytest.mark.parametrize("medium", ["folder", "json"])
class TestOffline:
    def test_preserves_what_was_published_once(self, web, desk, home):
        web.write("app.conf", "port = 2\n")
        web.sync("publish")
        web.beats(age=300)
        assert desk.json("offline", "web-1", "--dry-run")["planned"]["filesSynced"] == 1
        assert desk.sync("offline", "web-1").startswith("Offline sync of web-1 done\n")
        assert (home / "share" / "baseline" / "files" / "app.conf").read_text() == "port = 2\n"
        assert desk.json("offline", "web-1")["outcome"] == "already_done"
        assert desk.json("offline", "web-1", "--again")["changes"]["filesSynced"] == 0

    @pytest.mark.parametrize(("age", "status"), [(0, "online"), (150, "warning"), (-500, "unknown")])
    def test_of_a_machine_that_is_not_offline_says_what_to_do(self, web, desk, age, status):
        web.beats(age=age)
        error = desk.fails("offline", "web-1")
        assert error.startswith(f"error MACHINE_NOT_OFFLINE: web-1 is {status}: ")
        assert "'heartbeat-kit status --explain web-1' says why" in error

    def test_the_timeout_of_the_fleet_decides(self, web, desk):
        web.sync("publish")
        web.beats(age=150, interval=10)
        assert desk.sync("offline", "web-1", "--interval", "10", "--timeout", "60")

    def test_of_a_machine_that_published_nothing_is_one(self, web, desk):
        web.beats(age=300)
        assert "found nothing published that could be preserved" in desk.sync("offline", "web-1", code=1)

    def test_of_this_machine_is_for_others(self, web):
        assert "is for web-1 itself" not in web.fails("offline", "web-1", "--again")
        assert web.json("offline", "web-1", code=1)["outcome"] == "not_executor"

    def test_an_old_record_on_a_folder_that_delays_is_offline_by_its_stamp(self, web, desk, home, monkeypatch):
        """A single look knows the sender's stamp alone, and a sync that deletes nothing may rest on it."""
        (home / "slow").mkdir()
        monkeypatch.setenv("HEARTBEAT_STORAGE", f"folder://{home}/slow?propagation_delay=60")
        web.sync("publish")
        web.beats(age=500)
        assert desk.json("offline", "web-1")["outcome"] == "applied"


class TestPublish:
    def test_says_how_many(self, web):
        assert web.sync("publish") == "Published 2 files of web-1 (number 1)\n"
        web.write("more", "x")
        published = web.json("publish")
        assert (published["files"], published["number"], published["unknown"]) == (3, 2, {})

    def test_what_could_not_be_read_is_named_and_one(self, web):
        web.write("etc/limits.json", "{")
        assert "not read: 1\n  etc/limits.json  " in web.sync("publish", code=1)
        assert list(web.json("publish", code=1)["unknown"]) == ["etc/limits.json"]


class TestDecisions:
    def test_a_conflict_is_listed_with_what_to_type(self, asked, desk):
        printed = desk.sync("decisions", code=1)
        assert re.search(rf"^{asked}  desk     app\.conf  pending  \S", printed, re.MULTILINE)
        assert f"heartbeat-kit sync approve {asked} --action keep_target  takes the version of the baseline" in printed
        assert desk.json("decisions", code=1)["waiting"] == 1

    def test_a_sync_says_so_again_and_again(self, asked, desk):
        printed = desk.sync("online", "--again", code=1)
        assert "waits for a person: 1\n" in printed
        assert f"heartbeat-kit sync reject {asked}  leaves both as they are" in printed

    def test_none_is_zero(self, web):
        assert web.sync("decisions") == "Nothing waits for a person\n"
        assert web.json("decisions") == {"success": True, "count": 0, "waiting": 0, "decisions": []}

    @pytest.mark.parametrize(("action", "left"), [("sync_to_baseline", "port = 3\n"), ("keep_target", "port = 2\n")])
    def test_approving_carries_it_out(self, asked, desk, home, action, left):
        who = "desk" if action == "sync_to_baseline" else "the baseline"
        assert desk.sync("approve", asked, "--action", action) == f"app.conf: done, the version of {who} is taken\n"
        assert desk.read("app.conf") == (home / "share" / "baseline" / "files" / "app.conf").read_text() == left
        assert desk.sync("decisions") == "Nothing waits for a person\n"
        assert desk.json("decisions", "--all")["decisions"][0]["state"] == "applied"

    def test_approved_elsewhere_it_waits_for_its_machine(self, asked, web, desk):
        assert "the next sync of desk carries it out" in web.sync("approve", asked, "--action", "keep_target")
        assert web.json("decisions")["decisions"][0]["state"] == "approved"
        assert desk.json("online", "--again")["changes"]["conflictsResolved"] == 1

    def test_rejecting_leaves_both_as_they_are(self, asked, desk):
        assert desk.sync("reject", asked) == "app.conf: rejected, both sides stay as they are\n"
        assert desk.json("online", "--again")["changes"]["filesSynced"] == 0
        assert desk.read("app.conf") == "port = 3\n"

    def test_json_of_an_answer_is_the_decision(self, asked, desk):
        answered = desk.json("reject", asked)
        assert (answered["success"], answered["path"], answered["state"]) == (True, "app.conf", "rejected")

    def test_errors_name_what_to_type(self, asked, desk):
        assert "say --action sync_to_baseline to take the machine's version" in desk.fails("approve", asked)
        assert "'heartbeat-kit sync decisions --all' lists them" in desk.fails("reject", "nonsense")
        desk.sync("reject", asked)
        assert desk.fails("reject", asked).startswith("error DECISION_REFUSED: ")

    def test_the_choices_are_those_of_the_library(self):
        assert set(MODES) == set(SyncMode)
        assert {*ACTIONS, "manual_review"} == set(DecisionAction)


class TestBackups:
    @pytest.fixture
    def backup(self, web):
        web.write("app.conf", "port = 2\n")
        return os.path.basename(web.json("online", "--again")["backupPath"])

    def test_rolling_back_and_rolling_that_back(self, web, backup, home):
        baseline = home / "share" / "baseline" / "files" / "app.conf"
        printed = web.sync("rollback", backup)
        assert baseline.read_text() == "port = 1\n"
        undo = re.search(r"to undo it: heartbeat-kit sync rollback (\S+)$", printed, re.MULTILINE).group(1)
        assert web.json("rollback", undo)["outcome"] == "rolled_back"
        assert baseline.read_text() == "port = 2\n"

    def test_an_edit_since_is_refused_and_the_option_named(self, web, backup, home):
        (home / "share" / "baseline" / "files" / "app.conf").write_text("port = 9\n")
        error = web.fails("rollback", backup)
        assert error.startswith("error ROLLBACK_REFUSED: ")
        assert "roll back with --force" in error
        assert web.sync("rollback", backup, "--force")

    def test_verifying_counts_the_files(self, web, backup, home):
        path = str(home / "share" / "backups" / backup)
        assert web.sync("verify", path) == "The backup restores: 1 file compared\n"
        assert web.json("verify", path)["files"] == 1

    @pytest.mark.parametrize("command", ["verify", "rollback"])
    def test_a_damaged_or_missing_backup_is_a_typed_error(self, web, backup, home, command):
        path = home / "share" / "backups" / backup
        path.chmod(0o600)
        path.write_bytes(path.read_bytes()[:-40])
        assert web.fails(command, backup).startswith("error BACKUP_DAMAGED: ")
        missing = web.fails(command, "nothing.json")
        assert missing.startswith("error BACKUP_DAMAGED: there is no backup nothing.json in ")
        assert "'heartbeat-kit sync prune --dry-run'" in missing

    def test_pruning_names_what_it_removed(self, web, backup, home):
        for number in range(3):
            web.write("app.conf", f"port = 1{number}\n")
            web.sync("online", "--again")
        count = len(files(home / "share" / "backups"))
        assert web.sync("prune").startswith("Removed 0 backups")
        gone = web.json("prune", "--keep-last", "1", "--keep-days", "0")["backups"]
        assert backup in gone
        found = web.json("prune")
        assert list(found["kept"].values()) == ["the newest of web-1 that restores something"]
        assert (found["receipts"], found["temporaries"], found["dryRun"]) == (0, 0, False)
        assert len(files(home / "share" / "backups")) == count - len(gone) == 1

    def test_a_dry_run_of_pruning_says_what_would_go_and_why_the_rest_stays(self, web, backup, home):
        for number in range(3):
            web.write("app.conf", f"port = 1{number}\n")
            web.sync("online", "--again")
        before = files(home / "share")
        said = web.sync("prune", "--keep-last", "2", "--keep-days", "0", "--dry-run")
        assert files(home / "share") == before
        assert said.startswith(f"Would remove {len(files(home / 'share' / 'backups')) - 2} backups, ")
        assert backup in said
        assert "kept: 2" in said
        assert "one of the last 2 of web-1" in said

    def test_pruning_keeps_to_a_size(self, web, backup):
        assert web.sync("prune", "--max-bytes", "0").startswith("Removed 1 backup,")


class TestAgain:
    @pytest.mark.parametrize("how", ["--again", "--allow-mass-change"])
    def test_what_was_interrupted_is_finished_first(self, web, home, how):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(Completion, "complete", lambda *_: (_ for _ in ()).throw(OSError("killed")))
            web.write("app.conf", "port = 2\n")
            web.fails("online", "--again")
        assert web.fails("plan").startswith("error RECOVERY_PENDING: ")
        said = web.sync("online", how)
        assert "An interrupted run was finished first." in said
        assert (home / "share/baseline/files/app.conf").read_text() == "port = 2\n"

    def test_what_came_since_is_not_passed_over_in_silence(self, web):
        web.write("app.conf", "port = 2\n")
        assert "--again" in web.sync("online")
        assert "--again" in web.sync("online", "--dry-run")
        assert "--again" not in web.sync("online", "--again")

    def test_a_rollback_says_that_it_does_not_last_by_itself(self, web, home):
        web.write("app.conf", "port = 2\n")
        web.sync("online", "--again")
        newest = max((home / "share" / "backups").glob("*.json"), key=lambda path: path.stat().st_mtime_ns)
        assert "synced again by the next sync" in web.sync("rollback", newest.name)


class TestShow:
    def test_how_the_two_versions_differ_and_how_to_answer(self, desk, asked):
        said = desk.sync("show", asked)
        assert "-port = 2\n" in said
        assert "+port = 3\n" in said
        assert f"heartbeat-kit sync approve {asked} --action keep_target" in said

    def test_as_json_with_the_bytes(self, desk, asked):
        found = desk.json("show", asked)
        assert found["decision"]["id"].startswith(asked)
        assert base64.b64decode(found["versions"]["machine"]["base64"]) == b"port = 3\n"
        assert found["versions"]["baseline"]["size"] == len("port = 2\n")
        assert found["versions"]["base"] is None  # kept only where it may be merged

    def test_what_is_no_text_is_not_printed(self, web, desk):
        web.write("app.conf", "a\0b\x1b[31m")
        desk.write("app.conf", "port = 3\n")
        web.sync("online", "--again")
        desk.sync("online", "--again", code=1)
        [decision] = desk.json("decisions", code=1)["decisions"]
        said = desk.sync("show", decision["id"])
        assert "8 bytes, no text" in said
        assert "\x1b" not in said

    def test_one_that_is_not_there(self, desk):
        assert desk.fails("show", "0123").startswith("error UNKNOWN_DECISION: ")


class TestRecover:
    def test_nothing_to_do(self, web):
        assert web.sync("recover") == "Nothing was interrupted\n"
        assert web.json("recover")["planId"] is None

    def test_damage_is_refused_until_it_may_be_set_aside(self, web, home):
        (archive,) = (home / "state").rglob("web-1/archive.json")
        archive.write_text("{")
        error = web.fails("online", "--again")
        assert "'heartbeat-kit sync recover --discard-damaged' sets it aside" in error
        printed = web.sync("recover", "--discard-damaged")
        assert re.search(r"set aside: archive\.json\.damaged-[0-9a-f]{12}\n$", printed)
        assert web.sync("online", "--again")

    def test_an_interrupted_run_is_finished_and_named(self, web, home, monkeypatch):
        class PowerCut(BaseException):
            pass

        def cut(*_, **__):
            raise PowerCut

        web.write("app.conf", "port = 2\n")
        with monkeypatch.context() as patch:
            patch.setattr("heartbeat_kit.sync._complete.Completion.complete", cut)
            with pytest.raises(PowerCut):
                main(["sync", "online", "--again", "--machine-id", "web-1", "--workspace", str(web.folder)])
        assert re.match(r"Finished the interrupted sync [0-9a-f]{8}, of 1 file\n", web.sync("recover"))
        assert (home / "share" / "baseline" / "files" / "app.conf").read_text() == "port = 2\n"


class TestUsage:
    @pytest.mark.parametrize(
        "arguments",
        [
            [],
            ["dance"],
            ["offline"],
            ["rollback"],
            ["approve", "1", "--action", "manual_review"],
            ["plan", "--mode", "sideways"],
            ["prune", "--keep-last", "0"],
            ["prune", "--keep-days", "-1"],
            ["prune", "--keep-days", "nan"],
            ["prune", "--max-bytes", "1.5"],
        ],
    )
    def test_bad_usage_is_two(self, arguments, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["sync", *arguments])
        assert ended.value.code == 2
        assert "error: " in capsys.readouterr().err

    @pytest.mark.parametrize("more", ["--again", "--allow-mass-change"])
    def test_a_dry_run_is_of_what_is_done_once(self, web, more, capsys):
        with pytest.raises(SystemExit) as ended:
            main(["sync", "online", "--dry-run", more, "--workspace", str(web.folder)])
        assert ended.value.code == 2
        assert "'sync plan' shows what those would do" in capsys.readouterr().err

    @pytest.mark.parametrize(("variable", "option"), [("HEARTBEAT_SHARED", "--shared"), ("", "--workspace")])
    def test_a_folder_that_is_not_named_is_a_typed_error(self, home, monkeypatch, capsys, variable, option):
        monkeypatch.delenv("HEARTBEAT_WORKSPACE", raising=False)
        if variable:
            monkeypatch.delenv(variable)
            monkeypatch.setenv("HEARTBEAT_WORKSPACE", str(home))
        assert main(["sync", "plan"]) == 2
        error = capsys.readouterr().err
        assert error.startswith("error INVALID_CONFIGURATION: no ")
        assert option in error

    def test_the_environment_names_the_workspace(self, web, monkeypatch, capsys):
        monkeypatch.setenv("HEARTBEAT_WORKSPACE", str(web.folder))
        monkeypatch.setenv("MACHINE_ID", "web-1")
        assert main(["sync", "plan"]) == 0
        assert "nothing to do" in capsys.readouterr().out

    def test_each_subcommand_names_its_exit_codes(self, capsys):
        with pytest.raises(SystemExit):
            main(["sync", "--help"])
        names = re.findall(r"^    (\w+)\b", capsys.readouterr().out, re.MULTILINE)
        assert len(names) == 13, names
        for name in names:
            with pytest.raises(SystemExit) as ended:
                main(["sync", name, "--help"])
            assert ended.value.code == 0
            assert "exit codes:\n  0  " in capsys.readouterr().out


class TestHostileNames:
    HOSTILE = "ev\x1b[2J\n\u202eil"

    @pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
    def test_what_could_fool_a_reader_is_written_out(self, web, capsys):
        web.write(self.HOSTILE, "x")
        (web.folder / os.fsdecode(b"\xff")).write_text("x")
        printed = web.sync("online", "--again", code=1)
        assert "\x1b" not in printed
        assert "\u202e" not in printed
        assert "\n  ev\\x1b[2J\\n\\u202eil  " in printed
        assert "\\udcff" in printed
        assert "ev\\x1b[2J\\n\\u202eil" in web.json("online", "--again", code=1)["rejected"]

    @pytest.mark.skipif(os.name == "nt", reason="such names cannot be there")
    def test_an_error_stays_one_line(self, web, home):
        folder = home / self.HOSTILE
        folder.mkdir()
        error = web.fails("plan", "--shared", str(folder))
        assert error.startswith("error BASELINE_UNAVAILABLE: ")
        assert "ev\\x1b[2J\\n\\u202eil" in error
        assert error.rstrip("\n").isprintable()

    def test_printable_text_stays_as_it_is(self):
        assert printable("motd – é 日本") == "motd – é 日本"


@pytest.mark.parametrize("columns", ["1", "20", "200"])
@pytest.mark.parametrize(
    "command", [["online", "--again"], ["plan"], ["decisions"], ["publish"], ["verify", "{backup}"]]
)
@pytest.mark.usefixtures("asked")
def test_any_terminal_will_do(desk, home, monkeypatch, columns, command):
    desk.write("etc/limits.json", "{")
    backup = min(path.name for path in (home / "share" / "backups").iterdir())
    screen = Screen()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", columns)
    monkeypatch.setattr("sys.stdout", screen)
    arguments = [part.format(backup=backup) for part in command]
    assert main(["sync", *arguments, "--machine-id", "desk", "--workspace", str(desk.folder)]) in (0, 1)
    assert screen.getvalue()


def test_prose_has_room_on_any_terminal(monkeypatch):
    monkeypatch.setenv("COLUMNS", "3")
    screen = Screen()
    Terminal(screen, {"NO_COLOR": "1"}).prose("one two", indent="    ", mark=Cell("*"))
    assert screen.getvalue() == "    * one two\n"


def test_a_name_that_cannot_be_synced_is_left_for_a_person_by_itself(web, monkeypatch):
    report = SyncReport(
        machine_id="web-1", mode=SyncMode.ONLINE, outcome=SyncOutcome.APPLIED, synced_at=0, rejected={"a?": "why"}
    )
    monkeypatch.setattr(SyncCoordinator, "sync_on_online", lambda *_, **__: report)
    assert "a?  why" in web.sync("online", code=1)


def test_other_commands_do_not_load_the_sync():
    code = (
        "import sys; from heartbeat_kit.cli import main; main(['status', '--storage', 'memory://']); "
        "print(*[name for name in sys.modules if name.startswith('heartbeat_kit.sync')], sep='|', end='.')"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "nobody has registered here yet\n."


def test_the_command_line_and_a_program_share_one_state(web, home):
    """What the command did a coordinator in a program knows."""
    storage = open_storage(os.environ["HEARTBEAT_STORAGE"])
    with contextlib.closing(storage):
        coordinator = SyncCoordinator(
            storage,
            machine_id="web-1",
            workspace=web.folder,
            shared=home / "share",
            state_dir=home / "state" / "heartbeat_kit",
        )
        assert coordinator.plan().is_empty
        assert coordinator.sync_on_online("web-1").already_done
