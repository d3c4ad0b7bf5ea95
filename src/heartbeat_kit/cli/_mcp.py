"""`mcp`: serve the library to agents on standard input and output.

Owns which argument becomes which part of the host, and what is said where the extra is missing. Loaded only by whoever
serves. Standard output belongs to the protocol; logs go to standard error.
"""

from __future__ import annotations

import contextlib
import os
from argparse import Namespace

from heartbeat_kit import HeartbeatService, SyncCoordinator
from heartbeat_kit.cli._opening import SHARED_VARIABLE, WORKSPACE_VARIABLE, opened
from heartbeat_kit.errors import InvalidConfigurationError, MissingDependencyError

__all__ = ["run"]

_SERVED = 0


def run(arguments: Namespace) -> int:
    """Serve until the client goes."""
    try:
        from heartbeat_kit.adapters.mcp import Host, make_server  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "pydantic", "typing_extensions"):
            raise
        raise MissingDependencyError("an MCP server needs the package mcp: pip install 'heartbeat-kit[mcp]'") from error
    with opened(arguments) as service:
        host = Host(service, _coordinator(arguments, service), locale=arguments.locale, passive=arguments.passive_beats)
        with contextlib.closing(host):
            make_server(host).run()
    return _SERVED


def _coordinator(arguments: Namespace, service: HeartbeatService) -> SyncCoordinator | None:
    workspace = arguments.workspace or os.environ.get(WORKSPACE_VARIABLE, "").strip()
    shared = arguments.shared or os.environ.get(SHARED_VARIABLE, "").strip()
    if not workspace and not shared:
        return None
    if not workspace or not shared:
        raise InvalidConfigurationError("to sync give both --workspace and --shared, or neither")
    return SyncCoordinator(service, workspace=workspace, shared=shared, state_dir=arguments.state_dir)
