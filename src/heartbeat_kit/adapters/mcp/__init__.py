"""The library as tools for agents, by the Model Context Protocol. Needs the extra ``mcp``.

`make_server` gives a server whose tools have the names and the answers of RooSync's; `Host` is what they act on. From a
terminal it is ``heartbeat-kit mcp``.
"""

from heartbeat_kit.adapters.mcp._host import Host
from heartbeat_kit.adapters.mcp._server import make_server

__all__ = ["Host", "make_server"]
