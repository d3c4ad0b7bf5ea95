"""The MCP server as agents use it: real processes, the protocol on standard input and output, one shared folder."""

import asyncio
import contextlib
import json
import os
import re
import signal
import subprocess
import sys

import pytest

pytest.importorskip("mcp")

from mcp import Client
from mcp.client.stdio import StdioServerParameters, stdio_client

pytestmark = [pytest.mark.slow, pytest.mark.skipif(os.name == "nt", reason="needs POSIX")]

INTERVAL_S, TIMEOUT_S = "0.3", "4"
PATIENCE_S = 60


@contextlib.asynccontextmanager
async def serving(root, name):
    """A client of a server of this machine; the server is a process of its own."""
    (root / name).mkdir(exist_ok=True)
    noted = root / f"{name}.pid"
    parameters = StdioServerParameters(
        command="sh",
        args=["-c", f'echo $$ > "{noted}"; exec "$@"', "sh", *command(root, name, "mcp")],
        env={**os.environ},
        cwd=str(root),
    )
    with open(root / f"{name}.log", "a") as log:
        async with Client(stdio_client(parameters, errlog=log)) as client:
            yield client


def command(root, name, *words):
    """What a person types, or an agent's client, for this machine."""
    return [
        *(sys.executable, "-m", "heartbeat_kit", *words),
        *("--storage", f"folder:{root}/beats?propagation_delay=0", "--machine-id", name),
        *("--interval", INTERVAL_S, "--timeout", TIMEOUT_S),
        *("--workspace", str(root / name), "--shared", str(root / "share"), "--state-dir", str(root / f"s-{name}")),
    ]


async def sync(root, name, *words):
    """A sync typed in a terminal."""
    done = await asyncio.to_thread(
        subprocess.run, command(root, name, "sync", *words), capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


async def call(client, tool, **arguments):
    answer = await client.call_tool(f"roosync_{tool}", arguments)
    assert not answer.is_error, answer.content
    return answer.structured_content


async def until(client, tool, holds, **arguments):
    """Ask again until the answer is as it should be."""
    async with asyncio.timeout(PATIENCE_S):
        while not holds(found := await call(client, tool, **arguments)):
            await asyncio.sleep(0.1)
    return found


def test_a_strangers_path(tmp_path):
    """Tools are listed, two machines beat, one is killed, called warning and then offline, and what it had is kept."""
    (tmp_path / "beats").mkdir()
    (tmp_path / "share").mkdir()

    async def walk():
        async with serving(tmp_path, "pc-1") as one:
            names = {tool.name for tool in (await one.list_tools()).tools}
            assert {"roosync_register_heartbeat", "roosync_sync_on_offline", "roosync_heartbeat_status"} <= names
            for name in ("pc-1", "pc-2"):
                (tmp_path / name).mkdir(exist_ok=True)
                (tmp_path / name / "app.conf").write_text("port = 1\n")
            await sync(tmp_path, "pc-1", "init")
            await call(one, "register_heartbeat", machineId="pc-1")
            await call(one, "start_heartbeat_service", machineId="pc-1", enableAutoSync=False)
            await call(one, "sync_on_online", machineId="pc-1")
            with contextlib.suppress(BaseExceptionGroup, OSError):
                async with serving(tmp_path, "pc-2") as two:
                    await call(two, "start_heartbeat_service", machineId="pc-2", enableAutoSync=False)
                    await until(one, "get_heartbeat_state", lambda found: "pc-2" in found["onlineMachines"])
                    await until(two, "get_heartbeat_state", lambda found: "pc-1" in found["onlineMachines"])
                    await call(two, "sync_on_online", machineId="pc-2")
                    (tmp_path / "pc-2" / "app.conf").write_text("port = 2\n")
                    await sync(tmp_path, "pc-2", "publish")
                    os.kill(int((tmp_path / "pc-2.pid").read_text()), signal.SIGKILL)
            await until(one, "get_warning_machines", lambda found: found["machines"] == ["pc-2"])
            await until(one, "get_offline_machines", lambda found: found["machines"] == ["pc-2"])
            (tmp_path / "pc-1" / "app.conf").write_text("port = 3\n")
            await sync(tmp_path, "pc-1", "online", "--again")
            would = await call(one, "sync_on_offline", machineId="pc-2", dryRun=True)
            assert would["planned"]["decisionsCreated"] == 1
            done = await call(one, "sync_on_offline", machineId="pc-2")
            assert done["changes"] == would["planned"]
            decided = await call(one, "get_decisions")
            assert [each["path"] for each in decided["decisions"]] == ["app.conf"]
            refused = await one.call_tool("roosync_sync_on_offline", {"machineId": "pc-1"})
            assert refused.structured_content["outcome"] == "not_executor"
            await call(one, "stop_heartbeat_service")

    asyncio.run(walk())


HELD = """
import signal, sys, threading
from heartbeat_kit import HeartbeatService, MemoryStorage
from heartbeat_kit.cli import _mcp
from heartbeat_kit.testing import FaultyStorage

class Arguments:
    locale, passive_beats, workspace, shared, state_dir = "en", False, None, None, None

@_mcp.contextlib.contextmanager
def opened(_):
    storage = FaultyStorage(MemoryStorage())
    def held():
        print("it hangs", file=sys.stderr, flush=True)
        if sys.argv[1:]:
            signal.pthread_kill(threading.get_ident(), int(sys.argv[1]))
        threading.Event().wait()
    storage.before("load", held)
    yield HeartbeatService(storage, machine_id="pc-1")

_mcp.opened = opened
raise SystemExit(_mcp.run(Arguments))
"""


@contextlib.contextmanager
def raw(*words):
    """A server that was greeted, and its pipes."""
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    with subprocess.Popen(words, **pipes) as server:
        try:
            tell(
                server,
                "initialize",
                protocolVersion="2025-06-18",
                capabilities={},
                clientInfo={"name": "raw", "version": "0"},
            )
            assert b'"result"' in server.stdout.readline()
            yield server
        finally:
            server.kill()


@contextlib.contextmanager
def held(root, *number):
    """A server with a call under way that its storage never answers; a signal given goes to the thread of that call."""
    (root / "held.py").write_text(HELD)
    with raw(sys.executable, str(root / "held.py"), *(str(int(each)) for each in number)) as server:
        tell(server, "tools/call", name="roosync_get_heartbeat_state", arguments={})
        assert server.stderr.readline() == b"it hangs\n"
        yield server


def tell(server, method, **parameters):
    message = {"jsonrpc": "2.0", "id": 1, "method": method, "params": parameters}
    server.stdin.write(json.dumps(message).encode() + b"\n")
    server.stdin.flush()


@pytest.fixture
def words(tmp_path):
    for name in ("beats", "share", "pc-1"):
        (tmp_path / name).mkdir()
    return command(tmp_path, "pc-1", "mcp")


def test_a_call_that_hangs_keeps_no_server_alive(tmp_path):
    """Its client goes while a storage does not answer: the process ends."""
    with held(tmp_path) as server:
        server.stdin.close()
        assert server.wait(PATIENCE_S) == 0


def test_a_signal_that_another_thread_takes_ends_the_server(tmp_path):
    """Nothing wakes the event loop then; as little does a signal that comes just before the loop begins to wait."""
    with held(tmp_path, signal.SIGTERM) as server:
        assert server.wait(PATIENCE_S) == 128 + signal.SIGTERM


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_server_and_its_heartbeats(words, number):
    """Though nothing comes on its standard input; it tells what a shell expects."""
    with raw(*words) as server:
        tell(server, "tools/call", name="roosync_start_heartbeat_service", arguments={"machineId": "pc-1"})
        assert b"startedAt" in server.stdout.readline()
        server.send_signal(number)
        assert server.wait(PATIENCE_S) == 128 + number
        assert b"Traceback" not in server.stderr.read()


def test_what_it_logs_is_a_line_each(words, tmp_path):
    """Whatever is installed to draw on terminals: somebody reads this in a file."""
    with raw(*words) as server:
        tell(server, "tools/call", name="roosync_start_heartbeat_service", arguments={"machineId": "pc-1"})
        assert b"startedAt" in server.stdout.readline()
        (tmp_path / "beats").rename(tmp_path / "away")
        line = server.stderr.readline().decode()
    assert re.fullmatch(r"[-\d]+ [:,\d]+ WARNING .*pc-1.*\n", line)


def test_a_client_that_reads_no_more_is_no_crash(words):
    with raw(*words) as server:
        server.stdout.close()
        tell(server, "ping")
        with contextlib.suppress(BrokenPipeError):
            server.stdin.close()
        assert server.wait(PATIENCE_S) in (0, 141)
        assert b"Traceback" not in server.stderr.read()
