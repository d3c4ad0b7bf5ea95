"""`open_storage`: from a URL to a storage.

Owns the built-in schemes, what their URLs may say, and the look-up of other schemes among entry points. Must not
know how a storage works.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import SplitResult, parse_qsl, unquote, urlsplit

from heartbeat_kit.errors import InvalidConfigurationError, MissingDependencyError
from heartbeat_kit.storage._protocol import Storage
from heartbeat_kit.storage.memory import MemoryStorage
from heartbeat_kit.storage.shared_folder import SharedFolderStorage

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["ENTRY_POINTS", "open_existing", "open_storage"]

ENTRY_POINTS: Final = "heartbeat_kit.storages"
"""Group in which a package announces a storage: the name is the scheme, the object a callable ``(url) -> Storage``."""
_RESERVED: Final = frozenset({"mysql", "postgresql", "redis", "rediss", "sqlite"})
_DRIVE: Final = re.compile(r"/[A-Za-z]:(?:/|$)")
_BOOLEANS: Final = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}


def open_storage(url: str) -> Storage:
    """Open the storage a URL names.

    Args:
        url: ``memory://``; ``json:///path`` with the queries ``create``, ``must_exist``, ``durable``;
            ``folder:///path`` with these and ``propagation_delay`` (seconds) and ``time_budget`` (seconds or
            ``none``); or the scheme of an installed package. ``json:some/dir`` is a relative path, ``/C:/share`` a
            Windows drive, and a special character in a path is percent-encoded.

    Raises:
        InvalidConfigurationError: The URL cannot be, or its scheme is not known.
        MissingDependencyError: No installed package offers the scheme, or the one that does cannot be imported.

    >>> open_storage("memory://")
    <MemoryStorage 0 machines>
    """
    if not isinstance(url, str):
        raise InvalidConfigurationError(f"a storage URL is text such as 'folder:///srv/share', found {url!r:.80}")
    try:
        parts = urlsplit(url)
    except ValueError as error:
        raise InvalidConfigurationError(f"the storage URL cannot be read: {error}") from error
    opener = _BUILT_IN.get(parts.scheme)
    if opener is not None:
        return opener(parts)
    if not parts.scheme:
        raise InvalidConfigurationError(
            f"the storage URL has no scheme: write for example 'folder:///srv/share', not a bare path; "
            f"known schemes are {_listed(_BUILT_IN)}"
        )
    return _from_entry_point(parts.scheme, url)


def open_existing(url: str) -> Storage | None:
    """Open the storage a URL names, if it is there; ``None`` if it would be made.

    Raises:
        InvalidConfigurationError, MissingDependencyError: As `open_storage`.
    """
    place = there = _to_be_made(url)
    while there and not os.path.lexists(there):
        there = os.path.dirname(there)
    return None if place and there != place and os.path.isdir(there or ".") else open_storage(url)


def _to_be_made(url: str) -> str | None:
    """The folder that opening a sound URL would make, if it is not there."""
    try:
        parts = urlsplit(url) if isinstance(url, str) else None
    except ValueError:
        return None  # opening it says what is wrong
    known = _SETTINGS.get(parts.scheme) if parts is not None else None
    if parts is None or known is None or not _settings(parts, **known).get("create"):
        return None
    return os.path.expanduser(_path(parts))


def _memory(parts: SplitResult) -> Storage:
    if parts.netloc or parts.path.strip("/") or parts.query or parts.fragment:
        raise InvalidConfigurationError("memory:// takes no host, no path and no query: write just 'memory://'")
    return MemoryStorage()


def _json(parts: SplitResult) -> Storage:
    # Here and not at the top: whoever opens a folder should not pay for the lock and the ledger of a file.
    from heartbeat_kit.storage.json_file import JsonFileStorage  # noqa: PLC0415

    settings = _settings(parts, **_SETTINGS["json"])
    return JsonFileStorage(_path(parts), **settings)


def _folder(parts: SplitResult) -> Storage:
    settings = _settings(parts, **_SETTINGS["folder"])
    return SharedFolderStorage(_path(parts), **settings)


_BUILT_IN: Final[Mapping[str, Callable[[SplitResult], Storage]]] = {
    "folder": _folder,
    "json": _json,
    "memory": _memory,
}


def _path(parts: SplitResult) -> str:
    scheme = parts.scheme
    if parts.netloc:
        raise InvalidConfigurationError(
            f"{scheme}://{parts.netloc}{parts.path} names a host, {parts.netloc!r}, where none can be: "
            f"write {scheme}:///{parts.netloc}{parts.path} for an absolute path (three slashes), "
            f"{scheme}:{parts.netloc}{parts.path} for a relative one"
        )
    if parts.fragment:
        raise InvalidConfigurationError(f"a {scheme}: URL has no fragment: write a '#' in the path as %23")
    try:
        path = unquote(parts.path, errors="strict")
    except UnicodeDecodeError as error:
        raise InvalidConfigurationError(f"the path {parts.path!r} is not percent-encoded UTF-8: {error}") from error
    return path[1:] if _DRIVE.match(path) else path


def _settings(parts: SplitResult, **known: Callable[[str], Any]) -> dict[str, Any]:
    settings: dict[str, Any] = {}
    for key, value in parse_qsl(parts.query, keep_blank_values=True):
        if key not in known:
            raise InvalidConfigurationError(
                f"a {parts.scheme}: URL has no setting {key!r}: allowed are {_listed(known)}"
            )
        if key in settings:
            raise InvalidConfigurationError(f"{key} is given twice in the {parts.scheme}: URL: give it once")
        try:
            settings[key] = known[key](value)
        except ValueError as error:
            raise InvalidConfigurationError(f"{key}={value!r} in the {parts.scheme}: URL: expected {error}") from error
    return settings


def _boolean(text: str) -> bool:
    try:
        return _BOOLEANS[text.lower()]
    except KeyError:
        raise ValueError("true or false") from None


def _delay(text: str) -> timedelta:
    seconds = _seconds(text)
    if seconds is None or seconds < 0:
        raise ValueError("seconds, zero or more; leave it out if the delay is not known")
    return timedelta(seconds=seconds)


def _budget(text: str) -> timedelta | None:
    if text.lower() == "none":
        return None
    seconds = _seconds(text)
    if seconds is None or timedelta(seconds=seconds) <= timedelta(0):
        raise ValueError("seconds, more than zero, or none")
    return timedelta(seconds=seconds)


def _seconds(text: str) -> float | None:
    """The number of seconds, or ``None`` if the text is no duration a timedelta can hold."""
    try:
        seconds = float(text)
        timedelta(seconds=seconds)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) else None


_FILES: Final[Mapping[str, Callable[[str], Any]]] = {
    "create": _boolean,
    "must_exist": _boolean,
    "durable": _boolean,
}
_SETTINGS: Final[Mapping[str, Mapping[str, Callable[[str], Any]]]] = {
    "folder": {**_FILES, "propagation_delay": _delay, "time_budget": _budget},
    "json": _FILES,
}
"""What the URL of a scheme that has a folder may say, and how that is read."""


def _from_entry_point(scheme: str, url: str) -> Storage:
    from importlib.metadata import entry_points  # noqa: PLC0415 - costs milliseconds that built-in schemes need not pay

    offered = entry_points(group=ENTRY_POINTS)
    for entry in offered:
        if entry.name == scheme:
            return _opened(entry, url)
    # The URL itself stays out of the messages: it may hold a password.
    known = _listed({*_BUILT_IN, *(entry.name for entry in offered)})
    base = scheme.split("+", 1)[0]
    if base in _RESERVED:
        raise MissingDependencyError(
            f"{scheme}: storages are not part of this release and no installed package offers one: available are "
            f"{known}. A package can provide it as an entry point {scheme!r} in the group {ENTRY_POINTS!r}"
        )
    raise InvalidConfigurationError(
        f"no storage has the scheme {scheme!r}: known are {known}. A path of Windows is written folder:///C:/share"
    )


def _opened(entry: EntryPoint, url: str) -> Storage:
    package = entry.dist.name if entry.dist is not None else None
    try:
        opener = entry.load()
    except Exception as error:  # an import runs anybody's code
        source = f"the package {package}" if package else f"the entry point {entry.value!r}"
        remedy = f"install it completely: pip install --upgrade {package}" if package else "install it completely"
        raise MissingDependencyError(
            f"{source} offers {entry.name}: storages, but {entry.value!r} cannot be imported "
            f"({type(error).__name__}: {error}); {remedy}"
        ) from error
    storage = opener(url)
    if not isinstance(storage, Storage):
        raise InvalidConfigurationError(
            f"{entry.value!r} of {package or 'an unknown package'} returned {type(storage).__name__!r} for the scheme "
            f"{entry.name!r}, not a storage: it lacks one of traits, put, load, remove, close"
        )
    return storage


def _listed(names: Any) -> str:
    return ", ".join(sorted(names))
