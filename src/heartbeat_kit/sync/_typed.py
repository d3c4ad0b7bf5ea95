"""The advice of errors in the words of a terminal, for whoever has no Python at hand.

Owns the words. Must not know who shows them.
"""

from __future__ import annotations

from typing import Final

__all__ = ["typed"]

_TYPED: Final = {
    "recover(discard_damaged=True)": "'heartbeat-kit sync recover --discard-damaged'",
    "recover()": "'heartbeat-kit sync recover'",
    "adopt_baseline()": "'heartbeat-kit sync init'",
    "decisions()": "'heartbeat-kit sync decisions --all'",
    "register() or start() its service": "see that it beats",
    "prune(dry_run=True)": "'heartbeat-kit sync prune --dry-run'",
    "apply(plan(guards=Guards.off()))": "pass --allow-mass-change once",
    "with force=True": "with --force",
    "action='sync_to_baseline'": "--action sync_to_baseline",
    "action='keep_target'": "--action keep_target",
    "point state_dir": "point --state-dir",
}
"""What the errors of the library call in Python, and what does the same at a terminal."""


def typed(text: str) -> str:
    """A sentence of the library, with what is called in Python replaced by what is typed at a terminal."""
    for called, command in _TYPED.items():
        text = text.replace(called, command)
    return text
