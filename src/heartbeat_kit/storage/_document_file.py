"""`heartbeats.json` on disk: read when it changed, replaced whole, with the last good copy beside it.

Owns which content is in force: the file, else `heartbeats.json.bak`, else nothing. Must not know what is done with
the records. `look` never writes; `write` is called under the lock of all processes.
"""

from __future__ import annotations

import contextlib
import logging
import os
from typing import Final

import attrs

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._times import to_iso
from heartbeat_kit.errors import StorageCorruptError, StorageUnavailableError
from heartbeat_kit.storage._cached_file import Content, read_content, rising
from heartbeat_kit.storage._copies import keep_last_good, set_aside
from heartbeat_kit.storage._document import EMPTY_DOCUMENT, Document, DocumentReader
from heartbeat_kit.storage._document_text import DocumentWriter
from heartbeat_kit.storage._files import Signature, remove_stale_temps, replace_file, signature
from heartbeat_kit.storage._locks import unavailable

__all__ = ["DocumentFile", "Look"]

_log = logging.getLogger("heartbeat_kit")
_MAX_BYTES: Final = 64 * 2**20
"""Far above a thousand machines with the largest metadata; a larger file is not ours."""


@attrs.frozen(kw_only=True)
class Look:
    """What was found at one look.

    Attributes:
        signature: Of `heartbeats.json`; ``None`` where there is none.
        document: What is in force.
        damage: What is wrong with `heartbeats.json`, if it is damaged and `document` comes from the copy.
        lost: Also what is wrong with the copy, if that cannot be read either; `document` is empty then.
        troubles: Parts of the ledger that were left out.
    """

    signature: Signature | None
    document: Document
    damage: str | None = None
    lost: str | None = None
    troubles: tuple[str, ...] = ()


class DocumentFile:
    """The file and its copies in one directory.

    Args:
        directory: Absolute; never made here.
    """

    def __init__(self, directory: str) -> None:
        self._directory = directory
        self._path = os.path.join(directory, "heartbeats.json")
        self._copy = f"{self._path}.bak"
        self._reader = DocumentReader()
        self._writer = DocumentWriter()
        self._look: Look | None = None
        self._reported: set[str] = set()
        self._tidy = False

    @property
    def path(self) -> str:
        """Where `heartbeats.json` is."""
        return self._path

    def document(self) -> Document:
        """What is in force, at the cost of one stat while the file is unchanged.

        Raises:
            StorageUnavailableError: The directory or the file cannot be read.
            StorageCorruptError: The file is damaged and so is its copy, or it is too large to be ours.
        """
        look = self.look()
        if look.lost is not None:
            raise StorageCorruptError(
                f"{self._path} is damaged ({look.damage}) and {self._copy} is no help ({look.lost}): restore one of "
                "them from a backup, or let a machine beat: the damaged file is then kept aside and a new one begun"
            )
        return look.document

    def look(self) -> Look:
        """What is there, also if nothing of it is good. Never writes.

        Raises:
            StorageUnavailableError, StorageCorruptError: As `document`, except for damage.
        """
        with unavailable(f"reading {self._path}"):
            try:
                stamp = signature(os.stat(self._path))
                if self._look is not None and self._look.signature == stamp:
                    return self._look
                found = read_content(self._path, _MAX_BYTES)
            except FileNotFoundError:
                self._look = self._missing()
                return self._look
        look = self._look = self._understood(found)
        return look

    def write(self, before: Look, document: Document, stamp_ms: int, *, durable: bool) -> None:
        """Replace the file.

        Args:
            before: What `look` found under the same lock.
            document: The new content.
            stamp_ms: A time for the name of a damaged file that is kept aside, epoch milliseconds.
            durable: Whether it is on the disk before this returns.

        Raises:
            OSError: The file is as it was.
        """
        data = self._writer.text(document).encode()
        if len(data) > _MAX_BYTES:
            raise StorageUnavailableError(
                f"{self._path} would have {len(data)} bytes, at most {_MAX_BYTES} are read back: use another storage "
                "for a fleet of this size; nothing was stored"
            )
        self._secure(before, stamp_ms)
        stat = replace_file(self._path, data, durable=durable)
        self._look = Look(signature=rising(self._path, stat, before.signature), document=document)
        if not self._tidy:
            self._tidy = True
            remove_stale_temps(self._directory, stat.st_mtime_ns)

    def learn(self, heartbeat: Heartbeat) -> None:
        """Know a record that is about to be written, so that reading it back gives this object."""
        self._reader.learn(heartbeat)

    def _secure(self, before: Look, stamp_ms: int) -> None:
        """Keep what is about to be replaced: a good file as the copy, a damaged one aside."""
        if before.damage is None:
            if before.signature is not None:
                keep_last_good(self._path, self._copy)
            return
        label = to_iso(stamp_ms).replace("-", "").replace(":", "").replace(".", "")  # no colon in a Windows file name
        kept = [set_aside(self._path, label)]
        if before.lost is not None:
            with contextlib.suppress(FileNotFoundError):
                kept.append(set_aside(self._copy, label))
        _log.error("%s was damaged (%s); it is kept as %s", self._path, before.damage, ", ".join(kept))

    def _missing(self) -> Look:
        if not os.path.isdir(self._directory):
            raise StorageUnavailableError(f"{self._directory} is not there: mount it or make it")
        if os.path.exists(self._copy) and self._is_news("missing"):
            _log.warning(
                "%s is missing though %s is there: the fleet starts empty; copy it back if that is not meant",
                self._path,
                self._copy,
            )
        return Look(signature=None, document=EMPTY_DOCUMENT)

    def _understood(self, found: Content) -> Look:
        self._check_size(self._path, found)
        troubles: list[str] = []
        try:
            document = self._reader.read(found.data, troubles.append)
        except ValueError as error:
            return self._from_copy(found.signature, str(error))
        for trouble in troubles:
            self._complain(found.signature, trouble)
        return Look(signature=found.signature, document=document, troubles=tuple(troubles))

    def _from_copy(self, stamp: Signature, damage: str) -> Look:
        try:
            copy = read_content(self._copy, _MAX_BYTES)
            self._check_size(self._copy, copy)
            document = self._reader.read(copy.data, lambda trouble: self._complain(copy.signature, trouble))
        except (FileNotFoundError, ValueError) as error:
            lost = "it does not exist" if isinstance(error, FileNotFoundError) else str(error)
            self._complain(stamp, f"{damage}; and {self._copy}: {lost}")
            return Look(signature=stamp, document=EMPTY_DOCUMENT, damage=damage, lost=lost)
        self._complain(stamp, f"{damage}; using the last good copy {self._copy}")
        return Look(signature=stamp, document=document, damage=damage)

    def _check_size(self, path: str, found: Content) -> None:
        if found.signature.size > _MAX_BYTES:
            raise StorageCorruptError(
                f"{path} has {found.signature.size} bytes, at most {_MAX_BYTES} are read: it is no heartbeat file; "
                "move it away or correct the directory"
            )

    def _complain(self, stamp: Signature, trouble: str) -> None:
        if self._is_news(f"{stamp} {trouble}"):
            _log.error("%s is damaged: %s", self._path, trouble)

    def _is_news(self, trouble: str) -> bool:
        """Whether this is said for the first time; what was said long ago may be said again."""
        if trouble in self._reported:
            return False
        if len(self._reported) > 100:
            self._reported.clear()
        self._reported.add(trouble)
        return True
