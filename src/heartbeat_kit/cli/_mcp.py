"""`mcp`: serve the library to agents on standard input and output.

Owns which argument becomes which part of the host, and what is said where the extra is missing. Loaded only by whoever
serves. Standard output belongs to the protocol; logs go to standard error.
"""

from __future__ import annotations

import contextlib
from argparse import Namespace

from heartbeat_kit.cli._opening import both_sides, opened
from heartbeat_kit.errors import MissingDependencyError

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
        host = Host(service, both_sides(arguments, service), locale=arguments.locale, passive=arguments.passive_beats)
        with contextlib.closing(host):
            make_server(host).run()
    return _SERVED
