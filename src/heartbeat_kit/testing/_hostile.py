"""Names that must never become a machine, a file or a key.

Owns the list. Each of them broke something somewhere: a path left its root, a file could not be made on another
system, two spellings were two machines.
"""

from __future__ import annotations

from typing import Final

__all__ = ["HOSTILE_MACHINE_IDS"]

HOSTILE_MACHINE_IDS: Final[tuple[str, ...]] = (
    "",
    " ",
    "\t\n",
    # paths
    ".",
    "..",
    "...",
    "../escaped",
    "..\\escaped",
    "a/../../escaped",
    "/etc/passwd",
    "\\\\server\\share",
    "C:\\Windows",
    "c:escaped",
    "a/b",
    "a\\b",
    "~root",
    "$HOME",
    "${HOME}",
    "%TEMP%",
    "%2e%2e%2fescaped",
    # names a file system or a key space gives a meaning of its own
    ".hidden",
    ".hbk-1-1.tmp",
    "-rf",
    "_private",
    "trailing.",
    "web.json.",
    "web:stream",
    "web*",
    "web?",
    "web|cat",
    "<web>",
    '"web"',
    "web;drop",
    "{web}",
    "con",
    "NUL",
    "aux.txt",
    "com1",
    "LPT9.json",
    # text that is not what it looks like
    "a\0b",
    "web\0.json",
    "web\n1",
    "web\r1",
    "web\x1b[31m",
    "web 1",
    "web\u00a01",
    "w\u00e9b",
    "we\u0301b",
    "\u202ebew",
    "we\u200bb",
    "\uff57eb",
    "\u0441on",
    "\U0001f4bb",
    "web\ud800",
    # length
    "x" * 64,
    "x" * 100_000,
)
"""Machine ids that `normalize_machine_id`, and so every entry point, refuses with `InvalidMachineIdError`."""
