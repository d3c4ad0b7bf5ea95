"""The command line: `beat`, `status`, `watch`, `sync` and `demo`.

Owns everything that is printed, and the exit codes. Uses the public names of the library only: whatever a command
shows, a program can have from the same calls. `_parser` says what can be asked for (`_parser_sync` of the sync), one
file a command answers, `_view` words a fleet and `_sync_view` a sync, `_terminal` draws, `_signals` waits; the demo is
a play (`_demo_play`, and `_demo_folders` for the files) that a fleet of processes (`_demo_fleet`, `_demo_errands`)
performs on a stage (`_demo_stage`) before an auditor (`_demo_audit`).
"""

from heartbeat_kit.cli._main import main

__all__ = ["main"]
