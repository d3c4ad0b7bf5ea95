"""`Diagnosis` and the command: what people, notebooks, scripts and shells see of it."""

import io
import json
import pickle
import re

import pytest
from doctor_world import TWO, probing
from sync_world import World

from heartbeat_kit import HeartbeatService, MemoryStorage, to_wire
from heartbeat_kit.cli import main
from heartbeat_kit.doctor import Diagnosis, Finding, FindingOutcome, diagnose
from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.storage import Probe

FINDINGS = (
    Finding(check="storage_read", outcome=FindingOutcome.OK, found="read in 1 ms: 2 machines"),
    Finding(check="copies", outcome=FindingOutcome.WARNING, found="two <files>", remedy="delete one"),
    Finding(check="identity", outcome=FindingOutcome.FAILED, found="two hosts", remedy="rename one"),
)


def diagnosis(*findings, **fields):
    return Diagnosis(machine_id="web-1", diagnosed_at=0, findings=findings, **fields)


@pytest.fixture
def shell(tmp_path, monkeypatch):
    (tmp_path / "share").mkdir()
    monkeypatch.setenv("HEARTBEAT_STORAGE", f"folder://{tmp_path}/share")
    monkeypatch.chdir(tmp_path)

    def run(*words):
        return main([*words, "--machine-id", "web-1", "--state-dir", str(tmp_path / "state")])

    return run


@pytest.mark.parametrize(
    ("count", "outcome", "code", "summary"),
    [
        (0, FindingOutcome.OK, 0, "0 checks: all is well"),
        (1, FindingOutcome.OK, 0, "1 check: all is well"),
        (2, FindingOutcome.WARNING, 1, "2 checks: 1 warning"),
        (3, FindingOutcome.FAILED, 2, "3 checks: 1 failed, 1 warning"),
    ],
)
def test_the_worst_counts(count, outcome, code, summary):
    made = diagnosis(*FINDINGS[:count])
    assert (made.outcome, made.exit_code, made.summary, len(made)) == (outcome, code, summary, count)


def test_troubles_come_with_the_worst_first():
    assert [each.check for each in diagnosis(*FINDINGS).troubles] == ["identity", "copies"]


def test_it_is_a_value():
    made = diagnosis(*FINDINGS, unchecked={"fleet": "blind"}, blind="away")
    back = pickle.loads(pickle.dumps(made))
    assert (back.findings, dict(back.unchecked), back.blind) == (made.findings, {"fleet": "blind"}, "away")
    assert repr(made) == "<Diagnosis of web-1: 3 checks: blind, 1 failed, 1 warning, 1 could not be made>"
    assert repr(FINDINGS[1]) == "<Finding copies warning: two <files>>"
    with pytest.raises(KeyError):
        made["no such check"]


def test_the_wire_shape():
    wire = to_wire(diagnosis(*FINDINGS, unchecked={"fleet": "blind"}, blind="away"))
    assert wire["success"] is False
    assert (wire["outcome"], wire["blind"], wire["unchecked"]) == ("failed", "away", {"fleet": "blind"})
    assert wire["findings"][1] == {
        "check": "copies",
        "outcome": "warning",
        "found": "two <files>",
        "remedy": "delete one",
    }
    assert wire["diagnosedAt"] == "1970-01-01T00:00:00.000Z"
    json.dumps(wire)


def test_a_notebook_shows_an_escaped_table_with_a_dot_an_outcome():
    html = diagnosis(*FINDINGS, unchecked={"fleet": "blind"})._repr_html_()
    assert "two &lt;files&gt;" in html
    assert len(set(re.findall(r"color:(#\w+)", html))) == 4


def test_rich_shows_a_table():
    console = pytest.importorskip("rich.console")
    shown = console.Console(width=120, record=True, file=io.StringIO())
    shown.print(diagnosis(*FINDINGS))
    assert "rename one" in shown.export_text()


def test_arguments_that_cannot_be_are_refused():
    service = HeartbeatService(MemoryStorage(), machine_id="web-1")
    for call in (
        lambda: diagnose("folder:///share"),
        lambda: diagnose(service, listen="long"),
        lambda: diagnose(service, newest_backups=-1),
        lambda: diagnose(service, newest_backups=True),
    ):
        with pytest.raises(InvalidConfigurationError):
            call()


def test_a_storage_without_a_probe_is_not_judged():
    class Plain:
        def __init__(self):
            self.inner = MemoryStorage()
            self.traits, self.put, self.load = self.inner.traits, self.inner.put, self.inner.load
            self.remove, self.close = self.inner.remove, self.inner.close

    service = HeartbeatService(Plain(), machine_id="web-1", state_dir="nowhere")
    service.register()
    made = diagnose(service)
    assert made["storage_write"].outcome is FindingOutcome.OK
    assert "not tried" in made["storage_write"].found


class TestCommand:
    def test_a_healthy_fleet(self, shell, capsys):
        shell("beat")
        capsys.readouterr()
        assert shell("doctor") == 0
        out = capsys.readouterr().out
        assert "ok      storage read   read in" in out
        assert "checks: all is well." in out

    def test_a_warning_and_what_to_do(self, shell, capsys):
        assert shell("doctor") == 1
        out = capsys.readouterr().out
        assert re.search(r"warning fleet +nobody has registered here yet\n +→ see that it is the right place", out)

    def test_json_and_a_file(self, shell, capsys, tmp_path):
        shell("beat")
        capsys.readouterr()
        assert shell("doctor", "--json", "--save", "found.json") == 0
        printed = json.loads(capsys.readouterr().out)
        assert printed == json.loads((tmp_path / "found.json").read_text())
        assert printed["outcome"] == "ok"
        assert {each["check"] for each in printed["findings"]} >= {"storage_write", "service", "records"}

    def test_it_says_blind_where_there_is_nothing_to_see(self, capsys, tmp_path):
        code = main(["doctor", "--storage", f"folder://{tmp_path}/away", "--machine-id", "web-1"])
        out = capsys.readouterr().out
        assert code == 2
        assert "failed  storage read  blind, nobody can be seen" in out
        assert "Not checked (blind: the machines cannot be seen): storage write," in out
        assert list(tmp_path.iterdir()) == []

    def test_the_sync_too(self, shell, capsys, tmp_path):
        for name in ("etc", "both"):
            (tmp_path / name).mkdir()
        sides = ("--workspace", "etc", "--shared", "both")
        shell("beat")
        shell("sync", "init", *sides)
        capsys.readouterr()
        assert shell("doctor", *sides) == 0
        assert "sync journal" in capsys.readouterr().out

    def test_a_workspace_that_is_not_there_is_a_finding_among_others(self, shell, capsys, tmp_path):
        (tmp_path / "both").mkdir()
        shell("beat")
        capsys.readouterr()
        assert shell("doctor", "--workspace", "gone", "--shared", "both") == 2
        out = capsys.readouterr().out
        assert "failed  sync plan" in out
        assert "nothing can be synced" in out
        assert "ok      storage read" in out
        assert "Not checked (the folders cannot be used): sync journal, sync backups, sync decisions." in out

    def test_a_place_it_cannot_be_saved_in_is_an_error(self, shell, capsys):
        assert shell("doctor", "--save", "no/such/folder/found.json") == 2
        assert "error OPERATING_SYSTEM" in capsys.readouterr().err


def test_room_is_said_for_each_place():
    service = HeartbeatService(probing(Probe(free_bytes=5 * 10**9)), machine_id="web-1")
    service.register()
    assert diagnose(service)["free_space"].found == "5 GB are free for the storage"


def test_the_sync_is_looked_at_though_the_storage_is_away(tmp_path):
    world = World(tmp_path)
    machine = world.begin(files=TWO)
    world.storage.close()
    made = diagnose(machine.service, machine.sync)
    assert made.blind
    assert made["sync_backups"].outcome is FindingOutcome.OK
