"""Documents that know when they are damaged: canonical JSON with a digest of itself.

Owns the form of every document of this package, and the reading of one that anybody may have written. Must not know
what the documents say. Strict: a document is accepted only byte for byte as it would be written.
"""

from __future__ import annotations

import hashlib
import itertools
import json
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

from heartbeat_kit.sync._model import File

__all__ = [
    "SCHEMA",
    "Damaged",
    "Written",
    "canonical",
    "entries_from",
    "entries_to",
    "file_from",
    "file_to",
    "seal",
    "unseal",
]

SCHEMA: Final = 1
_HEX: Final = "0123456789abcdef"
_SMALL: Final = 1 << 20
"""Bytes; larger documents are not kept in memory when they have been read."""


class Damaged(ValueError):  # noqa: N818 - a condition, turned into a typed error where it is known what is damaged
    """The bytes are not such a document; the text says why."""


class Written(tuple[bytes, ...]):
    """A value of a record that is canonical JSON already, in pieces."""

    __slots__ = ()


Parts = tuple[list[bytes], list[bytes]]


def canonical(record: Any) -> bytes:
    """The one way to write a value as JSON."""
    return json.dumps(record, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False).encode()


def seal(kind: str, record: Mapping[str, Any]) -> bytes:
    """The document of a record.

    >>> seal("demo", {"a": 1})[:9]
    b'{"a":1,"d'
    """
    parts = _parts({**record, "kind": kind, "schema": SCHEMA})
    return _document(parts, _digest(parts))


def unseal(kind: str, data: bytes) -> dict[str, Any]:
    """The record of a document.

    Raises:
        Damaged: It is no such document, or one bit of it is not as it was written.
    """
    record = _read_once(data) if len(data) <= _SMALL else _read(data)
    if record.get("kind") != kind:
        raise Damaged(f"no {kind}")
    if record.get("schema") != SCHEMA:
        raise Damaged(f"its schema is {record.get('schema')!r:.20}, this release reads {SCHEMA}")
    return dict(record)


def _read(data: bytes) -> dict[str, Any]:
    try:
        record = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise Damaged(f"no JSON ({error})") from error
    if not isinstance(record, dict):
        raise Damaged("no object")
    digest = record.pop("digest", None)
    try:
        parts = _parts(record)
    except (ValueError, RecursionError) as error:  # lone surrogates, numbers that are none
        raise Damaged(f"no canonical JSON ({error})") from error
    expected = _digest(parts)
    if digest != expected or _document(parts, expected) != data:
        raise Damaged("its digest does not fit: it was cut, changed by hand, or is still on its way")
    return record


# A run reads the archive and the manifest again after it wrote them, and the next run once more.
_read_once = lru_cache(maxsize=4)(_read)


def _parts(record: Mapping[str, Any]) -> Parts:
    """The members before and after the digest, in pieces; it is made of both, lies between, and either may be long."""
    before: list[bytes] = []
    after: list[bytes] = []
    for key, value in sorted(record.items()):
        part = before if key < "digest" else after
        part.append(b"%s%s:" % (b"," if part else b"", canonical(key)))
        if isinstance(value, Written):
            part.extend(value)
        else:
            part.append(canonical(value))
    return before, after


def _digest(parts: Parts) -> str:
    before, after = parts
    digest = hashlib.sha256(b"{")
    for piece in itertools.chain(before, [b","] if before and after else [], after, [b"}"]):
        digest.update(piece)
    return digest.hexdigest()


def _document(parts: Parts, digest: str) -> bytes:
    before, after = parts
    seal_of = b'%s"digest":"%s"%s' % (b"," if before else b"", digest.encode(), b"," if after else b"")
    return b"".join([b"{", *before, seal_of, *after, b"}\n"])


def file_to(file: File | None) -> list[Any] | None:
    """A file as it stands in a document."""
    return None if file is None else [file.sha256, file.size, file.mode]


def file_from(value: Any) -> File:
    """A file out of a document.

    Raises:
        Damaged: It is none.
    """
    if isinstance(value, list) and len(value) == 3:
        try:
            file = _file(*value)
        except TypeError:  # one of them is a list or an object
            file = None
        if file is not None:
            return file
    raise Damaged(f"{value!r:.80} is no file: expected [sha256, size, mode]")


@lru_cache(maxsize=1 << 14, typed=True)
def _file(sha256: Any, size: Any, mode: Any) -> File | None:
    """The file of these, once for all documents that name it: archive, manifest and receipts name the same ones."""
    good = isinstance(sha256, str) and len(sha256) == 64 and not sha256.strip(_HEX)
    good = good and type(size) is int and size >= 0
    good = good and (mode is None or (type(mode) is int and 0 <= mode <= 0o777))
    return File(sha256=sha256, size=size, mode=mode) if good else None


def entries_to(entries: Mapping[str, File | None]) -> dict[str, Any]:
    """Files by path as they stand in a document."""
    return {path: file_to(file) for path, file in entries.items()}


def entries_from(value: Any) -> dict[str, File]:
    """Files by path out of a document; whether the paths are good is for the reader to say.

    Raises:
        Damaged: It is no such mapping.
    """
    if not isinstance(value, dict):
        raise Damaged("its entries are no object")
    return {path: file_from(entry) for path, entry in value.items()}
