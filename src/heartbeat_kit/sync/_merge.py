"""Two edits of one file made into one, if no judgement is needed for it.

Owns which files are merged how, and the bound on their size. Must not know a disk, a policy or a validator: whether
the result may be written is asked elsewhere.
"""

from __future__ import annotations

from typing import Final

from heartbeat_kit.sync._merge_json import merge_json
from heartbeat_kit.sync._merge_text import merge_text

__all__ = ["MAX_BYTES", "merge"]

MAX_BYTES: Final = 2 * 1024 * 1024
"""Of each version; a larger file is not merged."""


def merge(path: str, base: bytes, ours: bytes, theirs: bytes) -> bytes | None:
    """Both edits of a file in one, or ``None`` where somebody has to judge.

    ``*.json`` is merged per key (`merge_json`), other text per line (`merge_text`), anything else not at all. It never
    raises, whatever the bytes.

    Args:
        path: Name of the file; only its suffix matters.
        base: What both sides agreed on last.
        ours: Our edit of it; where nothing else decides, its form is kept.
        theirs: The other edit.

    >>> merge("app.json", b'{"port": 1, "host": "a"}', b'{"port": 2, "host": "a"}', b'{"port": 1, "host": "b"}')
    b'{"port": 2, "host": "b"}'
    >>> print(merge("app.json", b'{"port": 1}', b'{"port": 2}', b'{"port": 3}'))
    None
    """
    if theirs in (ours, base):
        return ours
    if base == ours:
        return theirs
    if max(len(base), len(ours), len(theirs)) > MAX_BYTES:
        return None
    if path.lower().endswith(".json"):
        return merge_json(base, ours, theirs)
    return merge_text(base, ours, theirs)
