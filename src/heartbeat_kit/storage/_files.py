"""Whole files, atomically: a reader sees the old content or the new, never a part.

Owns writing (temporary file, optional fsync, replace), the prefix our temporaries carry and their clean-up, and
the identity of a file's content by its stat. Must not know what the files say.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import threading
from pathlib import Path
from typing import Final, NamedTuple

from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["TEMP_PREFIX", "Signature", "given_directory", "remove_stale_temps", "replace_file", "signature"]

TEMP_PREFIX: Final = ".hbk-"
"""Every temporary file of ours starts so; readers pass over it, sync clients are told to ignore it."""
_STALE_TEMP_NS: Final = 3_600 * 1_000_000_000
_ATTEMPTS: Final = 6
_CANNOT_SYNC: Final = frozenset({errno.EINVAL, errno.ENOTSUP, errno.ENOSYS, errno.EACCES, errno.EPERM, errno.EISDIR})
"""What SMB, FUSE and virtual machine shares answer that offer no flush of a directory: the file has its name already,
and a failure told of every write would be a lie told of every write."""
_counter = itertools.count()
_TOKEN: Final = os.urandom(4).hex()
"""Hosts that share a folder may share a process id, and in containers most do."""


class Signature(NamedTuple):
    """What tells one content of a file from the next without reading it."""

    mtime_ns: int
    size: int
    inode: int


def signature(stat: os.stat_result) -> Signature:
    """The signature of a file's stat."""
    return Signature(stat.st_mtime_ns, stat.st_size, stat.st_ino)


def replace_file(path: str, data: bytes, *, durable: bool, mode: int = 0o666) -> os.stat_result:
    """Give `path` the content `data` in one step and return its stat.

    The temporary file stands in the same directory. With `durable` the data is on the disk before it gets its name,
    and the name before this returns.

    Raises:
        OSError: Nothing changed at `path`; or, with `durable`, it changed and its name may not outlive a power cut.
    """
    directory, _ = os.path.split(path)
    temp = os.path.join(directory, f"{TEMP_PREFIX}{_TOKEN}-{os.getpid()}-{next(_counter)}.tmp")
    try:
        handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL | _CLOEXEC | _BINARY, mode)
        try:
            written = os.write(handle, data)
            while written < len(data):
                written += os.write(handle, data[written:])
            if durable:
                os.fsync(handle)
            stat = os.fstat(handle)
        finally:
            os.close(handle)
        _replace(temp, path)
    except BaseException:
        with contextlib.suppress(OSError):
            os.unlink(temp)
        raise
    if durable:
        _sync_directory(directory)
    return stat


def remove_stale_temps(directory: str, now_ns: int) -> int:
    """Delete temporaries of ours (by prefix) that are an hour older than `now_ns`; returns how many.

    Nothing else is ever deleted: what a crash of ours left behind, and not one file of anybody else.
    """
    removed = 0
    with contextlib.suppress(OSError), os.scandir(directory) as found:
        for item in found:
            if item.name.startswith(TEMP_PREFIX) and item.name.endswith(".tmp"):
                with contextlib.suppress(OSError):
                    if now_ns - item.stat(follow_symlinks=False).st_mtime_ns > _STALE_TEMP_NS:
                        os.unlink(item.path)
                        removed += 1
    return removed


def given_directory(directory: str | os.PathLike[str], *, create: bool = False, must_exist: bool = True) -> Path:
    """Check the path a user gave for a storage and return it absolute.

    Args:
        directory: The path as given.
        create: Make it if it is missing.
        must_exist: Refuse a missing path; without it a share that is mounted later is waited for.

    Raises:
        InvalidConfigurationError: It is empty, ``"undefined"``, ``"null"`` or ``"None"``, holds an unexpanded
            variable or a NUL, is no directory, or is missing where it must exist.
    """
    text = os.fspath(directory) if isinstance(directory, str | os.PathLike) else None
    if not isinstance(text, str) or not text.strip():
        raise InvalidConfigurationError(f"the directory is {directory!r}: give the path of a folder for the heartbeats")
    parts = Path(text).parts
    if any(part in {"undefined", "null", "None", "NaN"} for part in parts):
        raise InvalidConfigurationError(f"{text!r} looks like an unset variable: give the real path of the folder")
    if "${" in text or any(part.startswith("$") or (part.startswith("%") and part.endswith("%")) for part in parts):
        raise InvalidConfigurationError(f"{text!r} holds a variable that was not expanded: expand it first")
    if "\0" in text:
        raise InvalidConfigurationError(f"{text!r} holds a NUL character, which no path can")
    path = Path(text).expanduser().absolute()
    try:
        if create:
            path.mkdir(parents=True, exist_ok=True)
        if path.is_dir():
            return path
        found = path.exists()
    except OSError as error:
        raise InvalidConfigurationError(f"{path} cannot be used: {error.strerror or error}") from error
    if found:
        raise InvalidConfigurationError(f"{path} is not a folder: give one")
    if must_exist:
        raise InvalidConfigurationError(
            f"{path} does not exist: correct the path, create=True makes it (in a URL ?create=true), must_exist=False "
            "waits for a share that is mounted later"
        )
    return path


def _replace(source: str, target: str) -> None:
    """`os.replace`, tried again for up to about half a second where a virus scanner or sync client holds the target."""
    for attempt in range(_ATTEMPTS):
        try:
            os.replace(source, target)
        except PermissionError:
            if os.name != "nt" or attempt == _ATTEMPTS - 1:
                raise
            threading.Event().wait(0.01 * 2**attempt)
        else:
            return


def _sync_directory(directory: str) -> None:
    if os.name == "nt":
        return  # a directory cannot be opened there; NTFS journals the rename
    try:
        handle = os.open(directory, os.O_RDONLY | _CLOEXEC)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
    except OSError as error:
        if error.errno not in _CANNOT_SYNC:
            raise


_CLOEXEC: Final = getattr(os, "O_CLOEXEC", 0)
_BINARY: Final = getattr(os, "O_BINARY", 0)
