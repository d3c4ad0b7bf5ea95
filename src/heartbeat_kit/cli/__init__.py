"""The command line: `beat`, `status`, `watch` and `demo`.

Owns everything that is printed, and the exit codes. Uses the public names of the library only: whatever a command
shows, a program can have from the same calls. `_parser` says what can be asked for, one file a command answers,
`_view` words a fleet, `_terminal` draws, `_signals` waits; the demo is a play (`_demo_play`) that a fleet of processes
(`_demo_fleet`) performs on a stage (`_demo_stage`) before an auditor (`_demo_audit`).
"""

from heartbeat_kit.cli._main import main

__all__ = ["main"]
