"""Whether a directory can be written to, found out without leaving anything in it.

Owns the probe of a directory: what is written, what is measured, that it goes again. Must not know whose it is.
"""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import stat

from heartbeat_kit.storage._codec import MAX_RECORD_BYTES
from heartbeat_kit.storage._files import TEMP_PREFIX, replace_file
from heartbeat_kit.storage._protocol import Probe

__all__ = ["nearest_directory", "probe_directory"]


def probe_directory(directory: str, trouble: str = "", record: str = "") -> Probe:
    """Write as much as the largest record has, the way records are written, and remove it.

    Its name is that of a temporary: readers pass over it, and what a kill leaves behind is removed like one.

    Args:
        directory: Where; it must be there.
        trouble: What is known to be wrong there.
        record: The name of a file that would be replaced.

    Raises:
        OSError: It cannot be done.
    """
    if record:
        _require_replaceable(os.path.join(directory, record), directory)
    path = os.path.join(directory, f"{TEMP_PREFIX}probe-{os.urandom(8).hex()}.tmp")
    try:
        written = replace_file(path, b"\0" * MAX_RECORD_BYTES, durable=False)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)
    room = shutil.disk_usage(directory)
    return Probe(
        stamped_ms=written.st_mtime_ns // 1_000_000,
        free_bytes=room.free if room.total else None,  # some file systems tell no size
        free_files=_free_files(directory),
        trouble=trouble,
    )


def nearest_directory(path: str) -> str:
    """The path, or the nearest folder above it that is there.

    Raises:
        NotADirectoryError: Something else stands in its way.
    """
    path = os.path.abspath(path)
    while not os.path.isdir(path):
        if os.path.lexists(path) or os.path.dirname(path) == path:
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), path)
        path = os.path.dirname(path)
    return path


def _require_replaceable(path: str, directory: str) -> None:
    """Raise if a file could not be replaced though others can be written beside it."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), path)
    if not hasattr(os, "geteuid"):
        return
    above = os.stat(directory)
    if above.st_mode & stat.S_ISVTX and os.geteuid() not in (0, found.st_uid, above.st_uid):
        raise PermissionError(errno.EPERM, "it belongs to somebody else in a folder with the sticky bit", path)


def _free_files(directory: str) -> int | None:
    if not hasattr(os, "statvfs"):
        return None
    found = os.statvfs(directory)
    return found.f_favail if found.f_files else None  # file systems without a table of files count none
