"""Fleets that come from RooSync: its heartbeat files, read once into any storage.

`import_roosync` reads what releases 3.0 and 3.1 of RooSync left in their shared folder, changes none of it, and stores
the newest evidence of each machine. What it made of every file is in its `ImportReport`.
"""

from heartbeat_kit.roosync._importing import import_roosync
from heartbeat_kit.roosync._report import ImportReport

__all__ = ["ImportReport", "import_roosync"]
