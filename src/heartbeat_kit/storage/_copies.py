"""Copies beside a file: the last good one, and the damaged one that is kept for a person to look at.

Owns how a copy is made without a moment in which the original is missing. Must not know what the files say.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import shutil

from heartbeat_kit.storage._files import TEMP_PREFIX

__all__ = ["keep_last_good", "set_aside"]


def keep_last_good(path: str, copy: str) -> None:
    """Make `copy` the content `path` has now: by a hard link, which costs nothing, else by copying the bytes.

    Raises:
        OSError: `copy` is as it was.
    """
    temp = os.path.join(os.path.dirname(copy), f"{TEMP_PREFIX}{os.urandom(8).hex()}.tmp")
    try:
        _copy(path, temp)
        os.replace(temp, copy)
    finally:
        # Also after success: rename does nothing where both names are links to one file already.
        with contextlib.suppress(OSError):
            os.unlink(temp)


def set_aside(path: str, label: str = "") -> str:
    """Keep the damaged file `path` as ``<path>.corrupt-<label>`` too, never over an earlier one; return that name.

    A label that is taken gets a number; without a label the number is the label.

    The file itself stays, to be replaced by its writer in one step: a crash in between leaves no gap.

    Raises:
        OSError: No copy was made.
    """
    for number in itertools.count(0 if label else 1):
        kept = f"{path}.corrupt-" + "-".join(part for part in (label, str(number or "")) if part)
        try:
            _copy(path, kept)
        except FileExistsError:
            with contextlib.suppress(OSError):
                if os.path.samefile(path, kept):
                    return kept  # set aside by a writer that died before it replaced the file
        else:
            return kept
    raise AssertionError("count() ends")


def _copy(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except (FileExistsError, FileNotFoundError):
        raise
    except OSError:  # a file system without hard links
        with open(source, "rb") as original, open(target, "xb") as copy:
            shutil.copyfileobj(original, copy)
