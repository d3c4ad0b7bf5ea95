"""Whether a directory can be written to, found out without leaving anything in it.

Owns the probe of a directory: what is written, what is measured, that it goes again. Must not know whose it is.
"""

from __future__ import annotations

import contextlib
import os
import shutil

from heartbeat_kit.storage._codec import MAX_RECORD_BYTES
from heartbeat_kit.storage._files import TEMP_PREFIX, replace_file
from heartbeat_kit.storage._protocol import Probe

__all__ = ["nearest_directory", "probe_directory"]


def probe_directory(directory: str, trouble: str = "") -> Probe:
    """Write as much as the largest record has, the way records are written, and remove it.

    Its name is that of a temporary: readers pass over it, and what a kill leaves behind is removed like one.

    Args:
        directory: Where; it must be there.
        trouble: What is known to be wrong there.

    Raises:
        OSError: It cannot be done.
    """
    path = os.path.join(directory, f"{TEMP_PREFIX}probe-{os.urandom(8).hex()}.tmp")
    try:
        written = replace_file(path, b"\0" * MAX_RECORD_BYTES, durable=False)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    return Probe(
        stamped_ms=written.st_mtime_ns // 1_000_000,
        free_bytes=shutil.disk_usage(directory).free,
        free_files=_free_files(directory),
        trouble=trouble,
    )


def nearest_directory(path: str) -> str:
    """The path, or the nearest folder above it that is there."""
    while not os.path.isdir(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path


def _free_files(directory: str) -> int | None:
    if not hasattr(os, "statvfs"):
        return None
    found = os.statvfs(directory)
    return found.f_favail if found.f_files else None  # file systems without a table of files count none
