"""Two things `os` cannot do: swap two names in one step, and rename without ever replacing.

Owns the call of ``renameat2`` (Linux 3.15 and later) and what its refusals mean. Must not know paths, trees or
fallbacks. Elsewhere, and on a file system that cannot, both functions raise ``ENOTSUP``, and nothing has changed.
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable
from functools import cache
from typing import Final

__all__ = ["exchange", "is_supported", "move_noreplace"]

_NOREPLACE: Final = 1
_EXCHANGE: Final = 2
_NUMBERS: Final = {"x86_64": 316, "aarch64": 276}
"""Of the system call, for a C library older than the kernel (glibc before 2.28, musl before 1.2.6)."""
_CANNOT: Final = frozenset({errno.ENOSYS, errno.EINVAL, errno.ENOTSUP, errno.EOPNOTSUPP})
"""How kernels say that they, or this file system, do not know the flag: NFS, SMB and FUSE answer ``EINVAL``, an old
kernel or a sandbox ``ENOSYS``."""
_Call = Callable[[int, bytes, int, bytes, int], int]


def is_supported() -> bool:
    """Whether this system has the call at all; whether a file system takes it shows when it is tried."""
    return _renameat2() is not None


def exchange(first_fd: int, first: str, second_fd: int, second: str) -> None:
    """Swap two names in one step; at no moment is either of them missing.

    Args:
        first_fd: The directory of the first name.
        first: A single name in it.
        second_fd: The directory of the second name.
        second: A single name in it.

    Raises:
        OSError: ``ENOTSUP`` where it cannot be done, or what the kernel says; nothing changed.
    """
    _rename(first_fd, first, second_fd, second, _EXCHANGE)


def move_noreplace(source_fd: int, source: str, target_fd: int, target: str) -> None:
    """Give a file another name, unless something has that name already.

    Args:
        source_fd: The directory of the name it has.
        source: A single name in it.
        target_fd: The directory of the name it gets.
        target: A single name in it.

    Raises:
        FileExistsError: Something has the name.
        OSError: ``ENOTSUP`` where it cannot be done, or what the kernel says; nothing changed.
    """
    _rename(source_fd, source, target_fd, target, _NOREPLACE)


def _rename(first_fd: int, first: str, second_fd: int, second: str, flag: int) -> None:
    call = _renameat2()
    number = call(first_fd, os.fsencode(first), second_fd, os.fsencode(second), flag) if call else errno.ENOSYS
    if number in _CANNOT:
        raise OSError(errno.ENOTSUP, "the system or this file system has no such rename", first, None, second)
    if number:
        raise OSError(number, os.strerror(number), first, None, second)


@cache
def _renameat2() -> _Call | None:
    """The call, which answers with an errno or 0; ``None`` where there is none."""
    if sys.platform != "linux":
        return None
    try:
        import ctypes  # noqa: PLC0415 - only a sync that writes needs it

        libc = ctypes.CDLL(None, use_errno=True)
    except (ImportError, OSError):
        return None
    arguments = (ctypes.c_int, ctypes.c_char_p, ctypes.c_int, ctypes.c_char_p, ctypes.c_uint)
    try:
        function = libc.renameat2
        leading: tuple[int, ...] = ()
        function.argtypes = arguments
    except AttributeError:
        number = _NUMBERS.get(os.uname().machine)
        if number is None or sys.maxsize < 2**32:  # a 32-bit process numbers its calls otherwise
            return None
        function, leading = libc.syscall, (number,)
        function.argtypes = (ctypes.c_long, *arguments)
        function.restype = ctypes.c_long

    def call(first_fd: int, first: bytes, second_fd: int, second: bytes, flag: int) -> int:
        failed = function(*leading, first_fd, first, second_fd, second, flag) != 0
        return ctypes.get_errno() if failed else 0

    return call
