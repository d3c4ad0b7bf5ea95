"""What an agent, or its client, does wrong, and what goes wrong around it: no tool does what it was not asked for."""

import asyncio
import shutil
import threading

import pytest

pytest.importorskip("mcp")

from mcp import Client
from test_mcp import GONE_S, Side, tools_of

from heartbeat_kit import HeartbeatService
from heartbeat_kit.adapters.mcp import Host, make_server
from heartbeat_kit.errors import ServiceAlreadyRunningError


@pytest.fixture
def side(tmp_path, storage, clock):
    (tmp_path / "share").mkdir()
    return Side(tmp_path, storage, clock, "pc-1")


class TestArguments:
    def test_a_name_there_is_not_is_refused_and_nothing_is_done(self, side, tmp_path):
        """``dry_run`` for ``dryRun`` must not sync in earnest."""
        (side.folder / "app.conf").write_text("port = 1\n")
        side.sync.adopt_baseline()
        side.call("register_heartbeat", machineId="pc-1")
        before = sorted((tmp_path / "share").rglob("*"))
        said = side.fails("sync_on_online", machineId="pc-1", dry_run=True)
        assert said.startswith("INVALID_CONFIGURATION: no argument dry_run: ")
        assert "dryRun" in said
        assert sorted((tmp_path / "share").rglob("*")) == before
        assert all(tool.input_schema["additionalProperties"] is False for tool in tools_of(side.host).values())

    @pytest.mark.parametrize("value", [True, 10**20, 1.5, -1, 86_400_001])
    def test_lengths_that_cannot_be(self, side, value):
        said = side.fails("start_heartbeat_service", machineId="pc-1", heartbeatInterval=value)
        assert said.startswith("INVALID_CONFIGURATION: heartbeatInterval: ")
        assert not side.service.is_running


class TestStartAndStop:
    def test_a_stop_that_meets_a_start_leaves_no_sync_behind(self, side, monkeypatch):
        """The stop comes between the start of the service and that of its sync."""
        side.sync.adopt_baseline()
        started, service_start = threading.Event(), HeartbeatService.start

        def slow(service, **given):
            status = service_start(service, **given)
            started.set()
            threading.Event().wait(0.1)
            return status

        monkeypatch.setattr(HeartbeatService, "start", slow)
        starting = threading.Thread(
            target=lambda: side.host.start("pc-1", auto_sync=True, interval_ms=None, timeout_ms=None)
        )
        starting.start()
        assert started.wait(10)
        side.host.stop(save_state=True)
        starting.join(10)
        assert (side.service.is_running, side.host.syncs_by_itself) == (False, False)

    def test_a_start_that_is_refused_changes_nothing(self, tmp_path, storage, clock):
        other = HeartbeatService(storage, clock=clock, machine_id="pc-1")
        other.start()
        service = HeartbeatService(storage, clock=clock, machine_id="pc-1")
        before = service.config
        host = Host(service)
        with pytest.raises(ServiceAlreadyRunningError):
            host.start("pc-1", auto_sync=False, interval_ms=60_000, timeout_ms=300_000)
        assert service.config == before
        other.stop()

    def test_a_first_beat_that_is_not_stored_is_said(self, side, storage):
        storage.fail("put", times=99)
        started = side.call("start_heartbeat_service", machineId="pc-1")
        assert "put failed" in started["pending"]
        side.host.close()

    def test_a_sync_is_echoed_only_where_there_is_one(self, side):
        alone = Host(side.service)

        async def ask():
            async with Client(make_server(alone)) as client:
                arguments = {"machineId": "pc-1", "enableAutoSync": True}
                return (await client.call_tool("roosync_start_heartbeat_service", arguments)).structured_content

        assert asyncio.run(ask())["config"]["autoSyncEnabled"] is False
        alone.close()
        side.sync.adopt_baseline()
        assert side.call("start_heartbeat_service", machineId="pc-1")["config"]["autoSyncEnabled"] is True
        side.host.close()


class TestTrouble:
    def test_decisions_of_a_share_that_is_away_are_not_none(self, side, tmp_path):
        (side.folder / "app.conf").write_text("port = 1\n")
        side.sync.adopt_baseline()
        side.call("register_heartbeat", machineId="pc-1")
        side.call("sync_on_online", machineId="pc-1")
        assert side.call("get_decisions")["count"] == 0
        shutil.rmtree(tmp_path / "share")
        (tmp_path / "share").mkdir()
        assert side.fails("get_decisions").startswith("BASELINE_UNAVAILABLE: ")

    def test_a_passive_heartbeat_that_failed_is_tried_again_soon(self, storage, clock):
        host = Host(HeartbeatService(storage, clock=clock, machine_id="pc-1"), passive=True)
        storage.go_down()
        host.beat()
        storage.come_back()
        host.beat()
        assert storage.calls["put"] + storage.calls["get"] == 1
        clock.advance(1)
        host.beat()
        assert "pc-1" in storage.load().heartbeats
        seen = storage.calls["put"]
        clock.advance(10)
        host.beat()
        assert storage.calls["put"] == seen

    def test_a_storage_that_hangs_stops_no_other_tool(self, side, storage):
        """More calls than any pool of the SDK has threads, all of them hanging."""
        gate = threading.Event()
        storage.before("load", lambda: gate.wait(60))

        async def ask():
            async with Client(make_server(side.host)) as client:
                hanging = [asyncio.create_task(client.call_tool("roosync_get_heartbeat_state", {})) for _ in range(45)]
                await asyncio.sleep(0.05)
                async with asyncio.timeout(20):
                    names = [tool.name for tool in (await client.list_tools()).tools]
                    answer = await client.call_tool("roosync_register_heartbeat", {"machineId": "pc-2"})
                gate.set()
                await asyncio.gather(*hanging)
                return names, answer.is_error

        try:
            names, failed = asyncio.run(ask())
        finally:
            gate.set()
        assert len(names) == 13
        assert not failed

    def test_in_french_an_error_is_the_references(self, tmp_path, storage, clock):
        (tmp_path / "share").mkdir()
        side = Side(tmp_path, storage, clock, "pc-1", locale="fr")
        side.sync.adopt_baseline()
        assert (
            side.fails("sync_on_offline", machineId="pc-2") == "MACHINE_NOT_OFFLINE: La machine pc-2 n'est pas offline"
        )


def test_a_sync_again_is_one_of_now(side):
    """Once done for a return, an edit after it takes `again`; the numbers of before are marked as such."""
    (side.folder / "app.conf").write_text("port = 1\n")
    side.sync.adopt_baseline()
    side.call("register_heartbeat", machineId="pc-1")
    assert side.call("sync_on_online", machineId="pc-1")["outcome"] == "applied"
    (side.folder / "app.conf").write_text("port = 2\n")
    assert side.call("sync_on_online", machineId="pc-1")["alreadyDone"] is True
    would = side.call("sync_on_online", machineId="pc-1", again=True, dryRun=True)
    assert (would["outcome"], would["planned"]["filesSynced"]) == ("dry_run", 1)
    done = side.call("sync_on_online", machineId="pc-1", again=True)
    assert (done["outcome"], done["changes"]) == ("applied", would["planned"])
    assert side.call("sync_on_online", machineId="pc-1", again=True)["changes"]["filesSynced"] == 0


def test_an_agent_learns_what_the_background_announced(side, clock):
    """A check says what is new to it; the events say what happened, whoever found out."""
    side.call("register_heartbeat", machineId="pc-2")
    side.call("start_heartbeat_service", machineId="pc-1", enableAutoSync=False)
    clock.advance(60)
    before = side.call("get_events")
    clock.advance(GONE_S)
    assert side.call("check_heartbeats", forceCheck=True)["newlyOfflineMachines"] == []
    found = side.call("get_events", machineId="PC-2", most=2)
    assert [event["after"] for event in found["events"]] == ["warning", "offline"]
    assert side.call("get_events")["count"] > before["count"]
    late = side.call("get_events", since=found["events"][1]["detectedAt"])
    assert [event["id"] for event in late["events"]] == [found["events"][1]["id"]]
    assert side.fails("get_events", since="yesterday").startswith("INVALID_CONFIGURATION: since is 'yesterday': ")
    assert side.fails("get_events", most=0).startswith("INVALID_CONFIGURATION: most: ")
    side.host.close()
