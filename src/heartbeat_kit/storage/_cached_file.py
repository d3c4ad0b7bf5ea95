"""A file that is read again only when it changed.

Owns reading a file together with its signature, and making sure that two contents never share one. Must not know
what the files say.
"""

from __future__ import annotations

import contextlib
import os
from typing import NamedTuple

from heartbeat_kit.storage._files import Signature, signature

__all__ = ["Content", "read_content", "rising"]


class Content(NamedTuple):
    """The bytes of a file and the signature they had."""

    signature: Signature
    data: bytes


def read_content(path: str, limit: int | None = None) -> Content:
    """Read a file; of one larger than `limit` bytes only the signature.

    Raises:
        OSError: It is missing, or cannot be read.
    """
    with open(path, "rb") as file:
        stamp = signature(os.fstat(file.fileno()))
        return Content(stamp, b"" if limit is not None and stamp.size > limit else file.read())


def rising(path: str, stat: os.stat_result, before: Signature | None) -> Signature:
    """Give the file just written under a lock a later mtime than the content it replaced; return its signature.

    A kernel's file times tick every few milliseconds and a freed inode number goes to the next file made: without
    this, two contents a few writes apart can have one signature, and a writer would build on the wrong one.
    """
    if before is not None and stat.st_mtime_ns <= before.mtime_ns:
        with contextlib.suppress(OSError):
            os.utime(path, ns=(stat.st_atime_ns, before.mtime_ns + 1))
            stat = os.stat(path)
    return signature(stat)
