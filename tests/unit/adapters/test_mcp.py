"""The tools of the MCP server: every answer, every error, in process; over stdio in tests/concurrency."""

import asyncio
import json
import sys
from datetime import timedelta

import jsonschema
import pytest

pytest.importorskip("mcp")

from mcp import Client

from heartbeat_kit import HeartbeatService, MemoryStorage, StorageTraits, SyncCoordinator
from heartbeat_kit.adapters.mcp import Host, make_server
from heartbeat_kit.cli import main

TOOLS = {
    "roosync_register_heartbeat": {"success", "machineId", "timestamp", "status", "isNewMachine"},
    "roosync_get_offline_machines": {"success", "count", "machines", "checkedAt"},
    "roosync_get_warning_machines": {"success", "count", "machines", "checkedAt"},
    "roosync_get_heartbeat_state": {
        "success",
        "onlineMachines",
        "offlineMachines",
        "warningMachines",
        "unknownMachines",
        "unconfirmedMachines",
        "statistics",
        "retrievedAt",
    },
    "roosync_start_heartbeat_service": {"success", "machineId", "startedAt", "config", "message"},
    "roosync_stop_heartbeat_service": {"success", "stoppedAt", "stateSaved", "message"},
    "roosync_check_heartbeats": {
        "success",
        "newlyOfflineMachines",
        "newlyOnlineMachines",
        "warningMachines",
        "checkedAt",
        "summary",
        "changes",
    },
    "roosync_sync_on_offline": {"success", "machineId", "syncedAt", "backupCreated", "changes", "message"},
    "roosync_sync_on_online": {"success", "machineId", "syncedAt", "backupCreated", "changes", "message"},
    "roosync_get_decisions": {"success", "count", "waiting", "decisions"},
    "roosync_get_events": {"success", "count", "events"},
    "roosync_heartbeat_service": {"success", "message", "result"},
    "roosync_heartbeat_status": {
        "success",
        "onlineMachines",
        "offlineMachines",
        "warningMachines",
        "statistics",
        "retrievedAt",
    },
}
"""The fields of the reference that may never be missing, tool by tool."""
MACHINE = {"machineId", "lastHeartbeat", "status", "offlineSince", "warningSince", "missedHeartbeats", "metadata"}
GONE_S = 300
DELAY = timedelta(seconds=10)


class Side:
    """One machine with a host, and a client that asks its server."""

    def __init__(self, root, storage, clock, name, **options):
        self.name = name
        self.folder = root / name
        self.folder.mkdir()
        self.service = HeartbeatService(storage, clock=clock, machine_id=name, state_dir=root / f"state-{name}")
        self.sync = SyncCoordinator(
            self.service, workspace=self.folder, shared=root / "share", state_dir=root / f"state-{name}"
        )
        self.host = Host(self.service, self.sync, **options)

    def calls(self, *calls, error=False):
        """Call tools one after the other; every answer is what its tool declared."""

        async def go():
            answers = []
            async with Client(make_server(self.host)) as client:
                schemas = {tool.name: tool.output_schema for tool in (await client.list_tools()).tools}
                for name, arguments in calls:
                    answer = await client.call_tool(f"roosync_{name}", arguments)
                    assert answer.is_error is error, answer.content
                    if error:
                        answers.append(answer.content[0].text)
                        continue
                    jsonschema.validate(answer.structured_content, schemas[f"roosync_{name}"])
                    assert TOOLS[f"roosync_{name}"] <= set(answer.structured_content)
                    assert json.loads(answer.content[0].text) == answer.structured_content
                    answers.append(answer.structured_content)
            return answers

        return asyncio.run(go())

    def call(self, name, **arguments):
        return self.calls((name, arguments))[0]

    def fails(self, name, **arguments):
        return self.calls((name, arguments), error=True)[0]


@pytest.fixture
def make(tmp_path, storage, clock):
    (tmp_path / "share").mkdir()
    return lambda name="pc-1", **options: Side(tmp_path, storage, clock, name, **options)


@pytest.fixture
def side(make):
    return make()


def tools_of(host):
    async def go():
        async with Client(make_server(host)) as client:
            return (await client.list_tools()).tools

    return {tool.name: tool for tool in asyncio.run(go())}


def test_all_tools_are_there_with_schemas_and_words(side):
    tools = tools_of(side.host)
    assert set(tools) == set(TOOLS)
    for tool in tools.values():
        assert tool.description
        assert TOOLS[tool.name] <= set(tool.output_schema["properties"])
        assert tool.annotations.open_world_hint is False


def test_the_arguments_are_those_of_the_reference(side):
    arguments = {name: set(tool.input_schema["properties"]) for name, tool in tools_of(side.host).items()}
    required = {name: set(tool.input_schema.get("required", ())) for name, tool in tools_of(side.host).items()}
    assert arguments["roosync_start_heartbeat_service"] == {
        "machineId",
        "enableAutoSync",
        "heartbeatInterval",
        "offlineTimeout",
    }
    ours = {"again"}  # there was no other way to sync a machine that stays online
    assert arguments["roosync_sync_on_online"] - ours == {"machineId", "createBackup", "dryRun", "syncFromBaseline"}
    assert required["roosync_register_heartbeat"] == required["roosync_sync_on_offline"] == {"machineId"}
    assert required["roosync_heartbeat_service"] == {"action"}
    assert required["roosync_heartbeat_status"] == set()


def test_the_hints_are_true(side, make):
    """What is said to read only changes no record and announces nothing; with passive heartbeats nothing is."""
    side.sync.adopt_baseline()
    side.call("register_heartbeat", machineId="pc-2")
    reading = [name for name, tool in tools_of(side.host).items() if tool.annotations.read_only_hint]
    assert set(reading) == {
        "roosync_get_offline_machines",
        "roosync_get_warning_machines",
        "roosync_get_heartbeat_state",
        "roosync_get_decisions",
        "roosync_get_events",
    }
    held = dict(side.service.storage.load().heartbeats)
    for name in reading:
        side.call(name.removeprefix("roosync_"))
    assert dict(side.service.storage.load().heartbeats) == held
    assert side.service.history() == ()
    assert not any(tool.annotations.read_only_hint for tool in tools_of(make("pc-9", passive=True).host).values())


def test_what_may_overwrite_files_says_so(side):
    """A service that is started syncs by itself, where there are folders to sync."""
    syncs = {"roosync_sync_on_offline", "roosync_sync_on_online"}
    starts = {"roosync_start_heartbeat_service", "roosync_heartbeat_service"}
    alone = Host(HeartbeatService(MemoryStorage(), machine_id="pc-3"))
    for host, expected in ((side.host, syncs | starts), (alone, syncs)):
        assert {name for name, tool in tools_of(host).items() if tool.annotations.destructive_hint} == expected


def test_whom_only_its_own_stamp_speaks_for_is_marked(tmp_path, clock):
    """An id in a list looks like a fact."""
    far = MemoryStorage(
        traits=StorageTraits(durable=True, cross_process=True, cross_host=True, coherent=False, propagation_delay=DELAY)
    )
    HeartbeatService(far, clock=clock, machine_id="pc-2", host="elsewhere").register()
    clock.advance(GONE_S + 60)
    side = Side(tmp_path, far, clock, "pc-1")
    assert side.call("get_heartbeat_state")["unconfirmedMachines"] == ["pc-2"]
    found = side.call("get_offline_machines")
    assert (found["machines"], found["unconfirmedMachines"]) == (["pc-2"], ["pc-2"])
    assert side.call("heartbeat_status", filter="offline")["unconfirmedMachines"] == ["pc-2"]
    assert side.call("heartbeat_status", filter="online")["unconfirmedMachines"] == []
    HeartbeatService(far, clock=clock, machine_id="pc-2", host="elsewhere").register()
    assert side.call("heartbeat_status")["unconfirmedMachines"] == []


class TestPresence:
    def test_registering(self, side):
        first = side.call("register_heartbeat", machineId="PC-1", metadata={"role": "brain"})
        assert (first["machineId"], first["status"], first["isNewMachine"]) == ("pc-1", "online", True)
        assert side.call("register_heartbeat", machineId="pc-1")["isNewMachine"] is False
        found = side.call("get_heartbeat_state", includeHeartbeats=True)["heartbeats"]["pc-1"]
        assert found["metadata"] == {"role": "brain"}

    def test_a_machine_falls_silent_and_comes_back(self, side, clock):
        side.call("start_heartbeat_service", machineId="pc-1", enableAutoSync=False)
        side.call("register_heartbeat", machineId="pc-2")
        clock.advance(150)
        (found,) = side.call("get_warning_machines", includeDetails=True)["machines"]
        assert set(found) >= MACHINE
        assert (found["machineId"], found["status"], found["offlineSince"]) == ("pc-2", "warning", None)
        clock.advance(150)
        assert side.call("get_offline_machines")["machines"] == ["pc-2"]
        (found,) = side.call("get_offline_machines", includeDetails=True)["machines"]
        assert found["offlineSince"] > found["warningSince"] > found["lastHeartbeat"]
        side.call("register_heartbeat", machineId="pc-2")
        report = side.call("check_heartbeats", forceCheck=True)
        assert report["newlyOnlineMachines"] == ["pc-2"]
        assert report["changes"] == {"totalChanges": 1, "offlineCount": 0, "onlineCount": 1, "warningCount": 0}
        side.host.close()

    def test_the_status_of_all_or_of_some(self, side, clock):
        side.calls(("register_heartbeat", {"machineId": "pc-1"}), ("register_heartbeat", {"machineId": "pc-2"}))
        clock.advance(GONE_S)
        side.call("register_heartbeat", machineId="pc-1")
        found = side.call("heartbeat_status", includeHeartbeats=True, forceCheck=True, includeChanges=True)
        assert found["onlineMachines"] == ["pc-1"]
        assert found["offlineMachines"] == ["pc-2"]
        assert set(found["heartbeats"]) == {"pc-1", "pc-2"}
        assert found["changes"]["newlyOfflineMachines"] == ["pc-2"]
        some = side.call("heartbeat_status", filter="offline")
        assert (some["onlineMachines"], some["offlineMachines"]) == ([], ["pc-2"])
        assert some["statistics"]["onlineCount"] == 1
        assert not {"heartbeats", "changes"} & set(some)

    def test_starting_and_stopping(self, side):
        side.sync.adopt_baseline()
        started = side.call(
            "start_heartbeat_service", machineId="PC-1", heartbeatInterval=10_000, offlineTimeout=60_000
        )
        assert started["config"] == {"heartbeatInterval": 10_000, "offlineTimeout": 60_000, "autoSyncEnabled": True}
        assert started["message"] == "Heartbeat service started for pc-1"
        assert side.service.is_running
        refused = side.fails("start_heartbeat_service", machineId="pc-1", heartbeatInterval=20_000)
        assert "SERVICE_ALREADY_RUNNING: " in refused
        assert side.service.config.heartbeat_interval == timedelta(seconds=10)
        stopped = side.call("stop_heartbeat_service")
        assert stopped["message"] == "Heartbeat service stopped"
        assert not side.service.is_running
        side.call("start_heartbeat_service", machineId="pc-1", enableAutoSync=False)
        assert side.service.config.auto_sync_enabled is False
        assert side.service.config.offline_timeout == timedelta(seconds=60)  # only what is given changes
        side.host.close()

    def test_stopping_what_does_not_run_is_said(self, side):
        stopped = side.call("stop_heartbeat_service")
        assert stopped["success"]
        assert stopped["message"] == "No heartbeat service runs in this server: there was nothing to stop"

    def test_a_service_that_can_sync_nothing_yet_says_so_when_it_starts(self, make):
        side = make("pc-9")
        start = ("start_heartbeat_service", {"machineId": "pc-9"})
        stop = ("stop_heartbeat_service", {})
        started, _ = side.calls(start, stop)
        assert started["config"]["autoSyncEnabled"]
        assert "nothing is synced before this is mended: BASELINE_UNAVAILABLE" in started["message"]
        assert "heartbeat-kit sync init" in started["message"]
        assert "BASELINE_UNAVAILABLE" in side.fails("get_decisions")
        side.sync.adopt_baseline()
        started, _ = side.calls(start, stop)
        assert started["message"] == "Heartbeat service started for pc-9"

    def test_the_service_in_one_tool(self, side):
        registered = side.call("heartbeat_service", action="register", machineId="pc-2", metadata={"a": 1})
        assert registered["result"]["action"] == "register"
        assert registered["result"]["isNewMachine"] is True
        started = side.call("heartbeat_service", action="start", machineId="pc-1", heartbeatInterval=20_000)
        assert started["result"]["config"]["heartbeatInterval"] == 20_000
        assert side.call("heartbeat_service", action="stop")["result"]["stateSaved"] in (True, False)

    def test_a_store_that_is_away_is_blindness_and_no_offline(self, side, storage, clock):
        side.calls(("register_heartbeat", {"machineId": "pc-2"}), ("check_heartbeats", {"forceCheck": True}))
        storage.go_down()
        clock.advance(GONE_S)
        found = side.call("get_heartbeat_state")
        assert found["success"] is False
        assert found["observer"]["health"] == "blind"
        assert found["offlineMachines"] == []


class TestErrors:
    @pytest.mark.parametrize(
        ("name", "arguments", "code"),
        [
            ("register_heartbeat", {"machineId": "a b"}, "INVALID_MACHINE_ID"),
            ("register_heartbeat", {"machineId": "m", "metadata": {"x": "y" * 20_000}}, "INVALID_METADATA"),
            ("start_heartbeat_service", {"machineId": "pc-2"}, "INVALID_CONFIGURATION"),
            (
                "start_heartbeat_service",
                {"machineId": "pc-1", "heartbeatInterval": 60_000, "offlineTimeout": 1_000},
                "INVALID_CONFIGURATION",
            ),
            ("heartbeat_service", {"action": "register"}, "INVALID_MACHINE_ID"),
            ("heartbeat_service", {"action": "start", "machineId": " "}, "INVALID_MACHINE_ID"),
            ("sync_on_offline", {"machineId": "pc-2"}, "MACHINE_NOT_OFFLINE"),
            ("sync_on_online", {"machineId": "pc-1"}, "MACHINE_NOT_ONLINE"),
        ],
    )
    def test_an_error_has_its_code_and_says_what_to_do(self, side, name, arguments, code):
        side.sync.adopt_baseline()
        said = side.fails(name, **arguments)
        assert said.startswith(f"{code}: ")
        assert len(said) > len(code) + 30

    @pytest.mark.parametrize(
        ("name", "arguments"),
        [
            ("register_heartbeat", {}),
            ("start_heartbeat_service", {"machineId": "pc-1", "heartbeatInterval": 0}),
            ("start_heartbeat_service", {"machineId": "pc-1", "heartbeatInterval": "soon"}),
            ("heartbeat_service", {"action": "restart"}),
            ("heartbeat_status", {"filter": "asleep"}),
        ],
    )
    def test_arguments_that_cannot_be_are_refused(self, side, name, arguments):
        (wrong,) = {*arguments} - {"machineId"} or {"machineId"}
        assert side.fails(name, **arguments).startswith(f"INVALID_CONFIGURATION: {wrong}: ")

    def test_a_host_without_folders_syncs_nothing(self, side):
        side.host = Host(side.service)
        for name, arguments in (
            ("sync_on_offline", {"machineId": "pc-2"}),
            ("sync_on_online", {"machineId": "pc-1"}),
            ("get_decisions", {}),
        ):
            assert "INVALID_CONFIGURATION: this server syncs nothing" in side.fails(name, **arguments)

    def test_in_french(self, make):
        side = make(locale="fr")
        side.sync.adopt_baseline()
        assert side.call("register_heartbeat", machineId="pc-1")["message"] == "Heartbeat enregistré pour pc-1"
        started = side.call("start_heartbeat_service", machineId="pc-1", enableAutoSync=False)
        assert started["message"] == "Service de heartbeat démarré pour pc-1"
        assert "La machine pc-2 n'est pas offline" in side.fails("sync_on_offline", machineId="pc-2")
        for action in ("register", "start"):
            assert f"machineId est requis pour l'action {action}" in side.fails("heartbeat_service", action=action)
        found = side.call("check_heartbeats", forceCheck=True)
        assert found["summary"] == "0 machine nouvellement offline, 0 machine redevenue online"
        assert side.call("stop_heartbeat_service")["message"] == "Service de heartbeat arrêté"


class TestSync:
    def test_preserve_ask_and_bring_up_to_date(self, make, clock):
        one, two = make("pc-1"), make("pc-2")
        for each in (one, two):
            (each.folder / "app.conf").write_text("port = 1\n")
            (each.folder / "other.conf").write_text("same\n")
            each.call("register_heartbeat", machineId=each.name)
        one.sync.adopt_baseline()
        for each in (one, two):
            each.call("sync_on_online", machineId=each.name)
        (two.folder / "other.conf").write_text("its last edit\n")
        (two.folder / "app.conf").write_text("port = 3\n")
        two.sync.publish()
        (one.folder / "app.conf").write_text("port = 2\n")
        one.sync.apply(one.sync.plan())
        clock.advance(GONE_S)
        one.call("register_heartbeat", machineId="pc-1")
        before = {path: path.read_bytes() for path in one.folder.parent.rglob("*") if path.is_file()}
        would = one.call("sync_on_offline", machineId="pc-2", dryRun=True)
        assert would["planned"]["filesSynced"] == 1
        assert would["changes"]["filesSynced"] == 0
        assert {path: path.read_bytes() for path in one.folder.parent.rglob("*") if path.is_file()} == before
        done = one.call("sync_on_offline", machineId="pc-2")
        assert done["changes"] == would["planned"]
        assert done["backupCreated"] is True
        decided = one.call("get_decisions")
        assert (decided["count"], decided["waiting"]) == (1, 1)
        assert decided["decisions"][0]["path"] == "app.conf"
        assert decided["decisions"][0]["id"] in done["decisions"]
        assert one.call("sync_on_offline", machineId="pc-2")["alreadyDone"] is True
        assert one.call("sync_on_online", machineId="pc-2")["outcome"] == "not_executor"
        one.sync.approve(decided["decisions"][0]["id"], action="keep_target")
        assert one.call("get_decisions")["waiting"] == 0
        two.call("register_heartbeat", machineId="pc-2")
        two.call("check_heartbeats", forceCheck=True)
        back = two.call("sync_on_online", machineId="pc-2")
        assert back["success"] is True
        assert (two.folder / "app.conf").read_text() == "port = 2\n"

    def test_the_service_syncs_by_itself_if_it_is_enabled(self, side, monkeypatch):
        side.sync.adopt_baseline()
        attached = []
        monkeypatch.setattr(SyncCoordinator, "attach", lambda self, service: attached.append(service) or Closing())
        side.call("start_heartbeat_service", machineId="pc-1", enableAutoSync=False)
        side.call("stop_heartbeat_service")
        assert attached == []
        side.call("start_heartbeat_service", machineId="pc-1", enableAutoSync=True)
        assert attached == [side.service]
        side.call("stop_heartbeat_service")
        assert Closing.closed == 1


class Closing:
    closed = 0

    def close(self):
        Closing.closed += 1


class TestPassive:
    def test_every_call_is_a_heartbeat_at_most_one_in_each_interval(self, make, clock):
        side = make(passive=True)
        assert side.call("get_heartbeat_state")["onlineMachines"] == ["pc-1"]
        first = side.service.storage.load().heartbeats["pc-1"].order
        side.calls(*[("get_offline_machines", {})] * 5)
        assert side.service.storage.load().heartbeats["pc-1"].order == first
        clock.advance(30)
        side.call("get_offline_machines")
        assert side.service.storage.load().heartbeats["pc-1"].order > first

    def test_a_service_that_runs_beats_by_itself(self, make):
        side = make(passive=True)
        side.call("start_heartbeat_service", machineId="pc-1")
        order = side.service.storage.load().heartbeats["pc-1"].order
        side.call("get_offline_machines")
        assert side.service.storage.load().heartbeats["pc-1"].order == order
        side.host.close()

    def test_a_store_that_is_away_fails_no_call(self, make, storage):
        side = make(passive=True)
        storage.go_down()
        assert side.call("get_heartbeat_state")["success"] is False


def test_without_the_extra_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    for name in [name for name in sys.modules if name.startswith("heartbeat_kit.adapters.mcp")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp.server.mcpserver", None)
    assert main(["mcp", "--storage", "memory://"]) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error MISSING_DEPENDENCY: ")
    assert "heartbeat-kit[mcp]" in said.err
    assert said.out == ""
