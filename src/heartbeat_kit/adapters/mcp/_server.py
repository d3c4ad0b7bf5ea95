"""`make_server`: the tools as a server of the Model Context Protocol.

Owns their names, their hints, and what an error is to a client. The SDK does the rest.
"""

from __future__ import annotations

import asyncio
import functools
import inspect
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from mcp.server.mcpserver import Context, MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import CallToolResult, InputRequiredResult, TextContent, Tool, ToolAnnotations
from pydantic import ValidationError

from heartbeat_kit._threads import DaemonThreads
from heartbeat_kit.adapters.mcp._host import Host
from heartbeat_kit.adapters.mcp._tools import Tools
from heartbeat_kit.errors import HeartbeatKitError, InvalidConfigurationError, MachineNotOfflineError
from heartbeat_kit.sync._typed import typed

__all__ = ["make_server"]

_PREFIX: Final = "roosync_"
_INSTRUCTIONS: Final = (
    "Which machines of a fleet are alive, and backup-and-sync of their configuration. 'unknown' is not down: nobody "
    "can tell. 'success' false with an observer that is blind means that this server cannot see the others. Try a "
    "sync with dryRun first. An error begins with its code and says what to do."
)


_CALLS: Final = 64
"""Calls at once before the next one waits; the protocol itself never does."""


class _Hints(NamedTuple):
    """What a tool does to the world beyond its answer.

    Attributes:
        reads: It changes nothing.
        destroys: It may overwrite or delete, with a backup before.
        starts: It starts a service, which syncs by itself where the host can.
        repeats: Called again alike it does nothing more.
    """

    reads: bool = False
    destroys: bool = False
    starts: bool = False
    repeats: bool = False


_TOOLS: Final = {
    "register_heartbeat": _Hints(),
    "get_offline_machines": _Hints(reads=True, repeats=True),
    "get_warning_machines": _Hints(reads=True, repeats=True),
    "get_heartbeat_state": _Hints(reads=True, repeats=True),
    "start_heartbeat_service": _Hints(starts=True),
    "stop_heartbeat_service": _Hints(repeats=True),
    "check_heartbeats": _Hints(),
    "sync_on_offline": _Hints(destroys=True, repeats=True),
    "sync_on_online": _Hints(destroys=True, repeats=True),
    "get_decisions": _Hints(reads=True, repeats=True),
    "get_events": _Hints(reads=True, repeats=True),
    "heartbeat_service": _Hints(starts=True),
    "heartbeat_status": _Hints(),
}


def make_server(host: Host) -> MCPServer[Any]:
    """A server with all tools; ``server.run()`` serves on standard input and output.

    Args:
        host: What the tools act on. It is the caller's to close.

    >>> import asyncio
    >>> from mcp import Client
    >>> from heartbeat_kit import HeartbeatService, MemoryStorage
    >>> async def ask():
    ...     server = make_server(Host(HeartbeatService(MemoryStorage(), machine_id="pc-1")))
    ...     async with Client(server) as client:
    ...         answer = await client.call_tool("roosync_register_heartbeat", {"machineId": "PC-1"})
    ...         return answer.structured_content["machineId"], answer.structured_content["status"]
    >>> asyncio.run(ask())
    ('pc-1', 'online')
    """
    server = _Server("heartbeat-kit", version=version("heartbeat-kit"), instructions=_INSTRUCTIONS, log_level="WARNING")
    tools, threads = Tools(host), DaemonThreads(_CALLS, f"mcp {host.service.machine_id}")
    ends = DaemonThreads(1, f"mcp {host.service.machine_id} ends")  # calls that hang must not hold up the stop
    for name, hints in _TOOLS.items():
        method = getattr(tools, name)
        server.known[f"{_PREFIX}{name}"] = tuple(inspect.signature(method).parameters)
        server.add_tool(
            _answering(method, host, ends if name == "stop_heartbeat_service" else threads),
            name=f"{_PREFIX}{name}",
            description=method.__doc__,
            annotations=ToolAnnotations(
                # A passive heartbeat is a write, whatever the tool does.
                read_only_hint=hints.reads and not host.is_passive,
                destructive_hint=hints.destroys or (hints.starts and host.can_sync),
                idempotent_hint=hints.repeats,
                open_world_hint=False,
            ),
            structured_output=True,
        )
    return server


class _Server(MCPServer[Any]):
    """Says of an argument that there is none of that name, where the SDK drops it, and begins an error with its code.

    Dropped, a mistyped ``dryRun`` would carry out what was only to be looked at.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.known: dict[str, tuple[str, ...]] = {}
        """The arguments of each tool."""

    async def list_tools(self) -> list[Tool]:
        """As the SDK has it, with schemas that allow nothing else."""
        found = await super().list_tools()
        for tool in found:
            tool.input_schema = {**tool.input_schema, "additionalProperties": False}
        return found

    async def call_tool(
        self, name: str, arguments: dict[str, Any], context: Context[Any, Any] | None = None
    ) -> CallToolResult | InputRequiredResult:
        """As the SDK has it, with errors that begin with a code."""
        known = self.known.get(name)
        if known is not None and (unknown := sorted(set(arguments) - set(known))):
            return _refusal(f"no argument {', '.join(unknown)}: {name} has {', '.join(known) or 'none'}")
        try:
            return await super().call_tool(name, arguments, context)
        except ToolError as error:
            if not isinstance(error.__cause__, ValidationError):
                raise
            wrong = (f"{'.'.join(map(str, each['loc']))}: {each['msg']}" for each in error.__cause__.errors())
            return _refusal("; ".join(wrong))


def _refusal(message: str) -> CallToolResult:
    return _failed(f"{InvalidConfigurationError.code}: {message}; nothing was done")


def _failed(text: str) -> CallToolResult:
    return CallToolResult(content=[TextContent(type="text", text=text)], is_error=True)


def _answering(method: Callable[..., Any], host: Host, threads: DaemonThreads) -> Callable[..., Any]:
    def answer(*args: Any, **kwargs: Any) -> Any:
        host.beat()
        try:
            return method(*args, **kwargs)
        except HeartbeatKitError as error:
            message = typed(str(error))
            if host.locale == "fr" and isinstance(error, MachineNotOfflineError):
                message = f"La machine {error.machine_id} n'est pas offline"
            return _failed(f"{error.code}: {message}")

    @functools.wraps(method)
    async def tool(*args: Any, **kwargs: Any) -> Any:
        """On a thread that the end of the server does not wait for."""
        call = functools.partial(answer, *args, **kwargs)
        return await asyncio.get_running_loop().run_in_executor(threads, call)

    return tool
