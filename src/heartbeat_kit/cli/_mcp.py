"""`mcp`: serve the library to agents on standard input and output.

Owns which argument becomes which part of the host, and what is said where the extra is missing. Loaded only by whoever
serves. Standard output belongs to the protocol; logs go to standard error.
"""

from __future__ import annotations

import contextlib
import logging
import os
import threading
from argparse import Namespace
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from heartbeat_kit.cli._opening import both_sides, opened
from heartbeat_kit.cli._signals import StopSignals
from heartbeat_kit.errors import MissingDependencyError

if TYPE_CHECKING:
    from heartbeat_kit.adapters.mcp import Host

__all__ = ["run"]

_SERVED = 0
_LOG_LINE: Final = "%(asctime)s %(levelname)s %(message)s"
_PATIENCE_S: Final = 10.0
"""The end waits so long for a heartbeat or a sync under way."""


def run(arguments: Namespace) -> int:
    """Serve until the client goes."""
    try:
        from heartbeat_kit.adapters.mcp import Host, make_server  # noqa: PLC0415 - the extra may be missing
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] not in ("mcp", "mcp_types", "pydantic", "typing_extensions"):
            raise
        raise MissingDependencyError("an MCP server needs the package mcp: pip install 'heartbeat-kit[mcp]'") from error
    logging.basicConfig(level=logging.WARNING, format=_LOG_LINE)  # before the SDK lays out pages for a terminal
    with opened(arguments) as service:
        host = Host(service, both_sides(arguments, service), locale=arguments.locale, passive=arguments.passive_beats)
        with contextlib.closing(host), _ended_by_signals(host):
            try:
                make_server(host).run()
            except BaseExceptionGroup as group:  # the SDK runs several tasks at once
                if group.subgroup(BrokenPipeError) is None:
                    raise
                raise BrokenPipeError("the client reads no more") from group
    return _SERVED


@contextlib.contextmanager
def _ended_by_signals(host: Host) -> Iterator[None]:
    """While it serves, a request to stop ends the heartbeats and then the process, whatever waits on standard input."""
    with StopSignals() as signals:
        # On another thread: this one waits in an event loop, which not every signal wakes, or may hold any lock.
        watching = threading.Thread(target=_end_when_asked, args=(signals, host), daemon=True)
        watching.start()
        try:
            yield
        finally:
            signals.stop()
            watching.join()


def _end_when_asked(signals: StopSignals, host: Host) -> None:
    signals.wait()
    if signals.received is None:
        return  # the client went
    closing = threading.Thread(target=host.close, daemon=True)
    closing.start()
    closing.join(_PATIENCE_S)
    os._exit(signals.exit_code)
