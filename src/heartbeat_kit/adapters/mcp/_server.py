"""`make_server`: the tools as a server of the Model Context Protocol.

Owns their names, their hints, and what an error is to a client. The SDK does the rest.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from importlib.metadata import version
from typing import Any, Final, NamedTuple

from mcp.server.mcpserver import MCPServer
from mcp.server.mcpserver.exceptions import ToolError
from mcp_types import ToolAnnotations

from heartbeat_kit.adapters.mcp._host import Host
from heartbeat_kit.adapters.mcp._tools import Tools
from heartbeat_kit.errors import HeartbeatKitError, MachineNotOfflineError

__all__ = ["make_server"]

_PREFIX: Final = "roosync_"
_INSTRUCTIONS: Final = (
    "Which machines of a fleet are alive, and backup-and-sync of their configuration. 'unknown' is not down: nobody "
    "can tell. 'success' false with an observer that is blind means that this server cannot see the others. Try a "
    "sync with dryRun first. An error begins with its code and says what to do."
)


class _Hints(NamedTuple):
    """What a tool does to the world beyond its answer.

    Attributes:
        reads: It changes nothing.
        destroys: It may overwrite or delete, with a backup before.
        repeats: Called again alike it does nothing more.
    """

    reads: bool = False
    destroys: bool = False
    repeats: bool = False


_TOOLS: Final = {
    "register_heartbeat": _Hints(),
    "get_offline_machines": _Hints(reads=True, repeats=True),
    "get_warning_machines": _Hints(reads=True, repeats=True),
    "get_heartbeat_state": _Hints(reads=True, repeats=True),
    "start_heartbeat_service": _Hints(),
    "stop_heartbeat_service": _Hints(repeats=True),
    "check_heartbeats": _Hints(),
    "sync_on_offline": _Hints(destroys=True, repeats=True),
    "sync_on_online": _Hints(destroys=True, repeats=True),
    "get_decisions": _Hints(reads=True, repeats=True),
    "heartbeat_service": _Hints(),
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
    server: MCPServer[Any] = MCPServer(
        "heartbeat-kit", version=version("heartbeat-kit"), instructions=_INSTRUCTIONS, log_level="WARNING"
    )
    tools = Tools(host)
    for name, hints in _TOOLS.items():
        method = getattr(tools, name)
        server.add_tool(
            _answering(method, host),
            name=f"{_PREFIX}{name}",
            description=method.__doc__,
            annotations=ToolAnnotations(
                # A passive heartbeat is a write, whatever the tool does.
                read_only_hint=hints.reads and not host.is_passive,
                destructive_hint=hints.destroys,
                idempotent_hint=hints.repeats,
                open_world_hint=False,
            ),
            structured_output=True,
        )
    return server


def _answering(method: Callable[..., Any], host: Host) -> Callable[..., Any]:
    @functools.wraps(method)
    def tool(*args: Any, **kwargs: Any) -> Any:
        host.beat()
        try:
            return method(*args, **kwargs)
        except HeartbeatKitError as error:
            message = str(error)
            if host.locale == "fr" and isinstance(error, MachineNotOfflineError):
                message = f"La machine {error.machine_id} n'est pas offline"
            raise ToolError(f"{error.code}: {message}") from error

    return tool
