"""Which paths of a tree are synced: patterns to include and to exclude.

Owns the pattern language and `Selection`. Must not know a disk, nor which names are possible at all (`_paths`).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final

import attrs
from attrs import field

from heartbeat_kit.errors import InvalidConfigurationError

__all__ = ["Selection", "compile_glob"]

_LONGEST_PATTERN: Final = 1024
_DEEPEST: Final = 32
_HERE_OR_BENEATH: Final = r"(?:/|\Z)"
_BENEATH: Final = "/"
_COMPONENT_ENDS: Final = r"(?=/|\Z)"

_ALL: Final = ("**",)


def _patterns(value: str | Iterable[str]) -> tuple[str, ...]:
    if isinstance(value, str):
        return (_normal(value),)
    # A wrong type goes to the validator, which knows the name of the field.
    return tuple(_normal(pattern) for pattern in value) if isinstance(value, Iterable) else value


def _normal(pattern: str) -> str:
    return unicodedata.normalize("NFC", pattern) if isinstance(pattern, str) else pattern


def _usable(_: Any, attribute: attrs.Attribute[Any], value: Any) -> None:
    if not isinstance(value, tuple):
        raise InvalidConfigurationError(
            f"{attribute.name} is {value!r}: expected a pattern or several, such as ['*.json', 'etc/**']"
        )
    if attribute.name == "include" and not value:
        raise InvalidConfigurationError("include is empty: nothing would be synced; leave it out to include everything")
    for pattern in value:
        try:
            _parsed(pattern)
        except InvalidConfigurationError as error:
            raise InvalidConfigurationError(f"{attribute.name}: {error}") from error


@attrs.frozen(kw_only=True)
class Selection:
    """What is synced: every path some pattern of `include` matches and none of `exclude`.

    The patterns are those of ``.gitignore``, without its exceptions (``!``): excludes always win.

    ==============  ==================================================  ==========================  ==================
    Pattern         Matches                                             for example                 but not
    ==============  ==================================================  ==========================  ==================
    ``*.json``      no ``/`` inside: a name at any depth, and if it     ``a.json``, ``x/y/a.json``  ``a.json.bak``
                    is a directory everything beneath
    ``cache/``      ``/`` at the end: everything beneath a directory,   ``cache/x``, ``a/cache/x``  the file ``cache``
                    no file of that name
    ``etc/*.ini``   ``/`` inside: from the root on                      ``etc/a.ini``               ``x/etc/a.ini``
    ``./a.ini``     ``./`` first: from the root on                      ``a.ini``                   ``x/a.ini``
    ``etc/**``      ``**`` goes through directories, any number         ``etc/a``, ``etc/x/y``      ``etc`` as a file
    ``**/a/*.b``    of them, none included                              ``a/x.b``, ``x/y/a/z.b``    ``a/x/z.b``
    ``l?g*``        ``?`` one character, ``*`` any number, no ``/``     ``log``, ``lag1``           ``l/g``
    ``a[0-9_]``     one of these characters                             ``a7``, ``a_``              ``ab``
    ``a[!0-9]``     one character, none of these                        ``ab``                      ``a7``
    ==============  ==================================================  ==========================  ==================

    Upper and lower case differ. ``[*]``, ``[?]`` and ``[[]`` stand for the characters themselves; braces have no
    meaning. Patterns are brought to Unicode normal form C, as all paths are.

    Attributes:
        include: Patterns; one may be given as text.
        exclude: Patterns; one may be given as text.

    Raises:
        InvalidConfigurationError: A pattern that is empty, absolute, leaves the folder or means nothing.

    >>> selection = Selection(include=["*.json", "etc/**"], exclude="cache/")
    >>> [path for path in ("a.json", "etc/hosts", "etc/cache/a.json", "b.txt") if selection.covers(path)]
    ['a.json', 'etc/hosts']
    >>> Selection(exclude="/etc/cache")
    Traceback (most recent call last):
        ...
    heartbeat_kit.errors.InvalidConfigurationError: exclude: the pattern '/etc/cache' is absolute: patterns are \
relative to the folder, write 'etc/cache' or './cache'
    """

    include: tuple[str, ...] = field(default=_ALL, converter=_patterns, validator=_usable)
    exclude: tuple[str, ...] = field(default=(), converter=_patterns, validator=_usable)

    def covers(self, path: str) -> bool:
        """Whether the file at `path` is synced.

        Args:
            path: Relative, POSIX, in normal form C.
        """
        included = self.include == _ALL or _any_of(self.include).match(path) is not None
        return included and (not self.exclude or _any_of(self.exclude).match(path) is None)

    def may_hold(self, directory: str) -> bool:
        """Whether a directory is worth entering.

        False only if nothing beneath can be covered: the directory is excluded as a whole, or no pattern of `include`
        leads into it.

        Args:
            directory: Relative, POSIX; ``""`` is the root.

        >>> selection = Selection(include="etc/*/a.json", exclude="cache/")
        >>> [name for name in ("", "etc", "etc/x", "etc/x/y", "var", "etc/cache") if selection.may_hold(name)]
        ['', 'etc', 'etc/x']
        """
        if not directory:
            return True
        if self.exclude and _any_of(self.exclude).match(f"{directory}/") is not None:
            return False
        return _on_the_way_to(self.include).match(directory) is not None


def compile_glob(pattern: str) -> Callable[[str], bool]:
    """Return the test whether a path matches one pattern of the language of `Selection`.

    Args:
        pattern: See `Selection`.

    Raises:
        InvalidConfigurationError: A pattern that is empty, absolute, leaves the folder or means nothing.

    >>> compile_glob("etc/**/*.json")("etc/a/b/c.json")
    True
    """
    _parsed(pattern)
    match = _any_of((_normal(pattern),)).match
    return lambda path: match(path) is not None


def _parsed(pattern: str) -> tuple[tuple[str, ...], bool]:
    """The components of a pattern from the root on, checked, and whether it means a directory only."""
    if not isinstance(pattern, str):
        raise InvalidConfigurationError(f"a pattern is text such as '*.json', found {pattern!r:.80}")
    shown = f"the pattern {pattern!r}" if len(pattern) <= 80 else f"the pattern {pattern[:80]!r}…"
    if not pattern:
        raise InvalidConfigurationError(f"{shown} is empty: write '**' for everything")
    if len(pattern) > _LONGEST_PATTERN:
        raise InvalidConfigurationError(f"{shown} has {len(pattern)} characters: use at most {_LONGEST_PATTERN}")
    if "\\" in pattern:
        raise InvalidConfigurationError(
            f"{shown} holds a backslash: directories are joined by '/', and [*] stands for the character itself"
        )
    if pattern.startswith("/") or re.match(r"[A-Za-z]:", pattern):
        raise InvalidConfigurationError(
            f"{shown} is absolute: patterns are relative to the folder, write 'etc/cache' or './cache'"
        )
    if pattern.startswith("!"):
        raise InvalidConfigurationError(
            f"{shown} starts with '!', but nothing takes an exclude back: exclude less, or write '?' for a real '!'"
        )
    body = pattern.removesuffix("/")
    components = body.removeprefix("./").split("/")
    if any(component in {"", ".", ".."} for component in components):
        raise InvalidConfigurationError(
            f"{shown} has an empty part, '.' or '..': write names and wildcards joined by single '/'"
        )
    if "/" not in body:
        components.insert(0, "**")
    names = ["**" if set(component) == {"*"} and component != "*" else component for component in components]
    for name in names:
        for _ in _parts(name, shown):
            pass
    if names[-1] == "**":
        names[-1] = "*"  # the same, because what lies beneath a match is matched
    return tuple(names), body != pattern


_PART: Final = re.compile(r"\*\*+|\[!?+\]?+[^\]]*+\]|.", re.DOTALL)


def _parts(component: str, shown: str = "") -> Iterator[str]:
    """The parts of one component: ``*``, ``**``, or a regular expression for exactly one character, never ``/``."""
    for found in _PART.finditer(component):
        part = found[0]
        if part[0] == "*":
            yield part[:2]
        elif part == "?":
            yield "[^/]"
        elif part == "[":
            raise InvalidConfigurationError(
                f"{shown} has '[' without ']' before the next '/': write [[] for the character"
            )
        elif part[0] == "[":
            yield _character_class(part[1:-1], shown)
        else:
            yield re.escape(part)


def _character_class(text: str, shown: str) -> str:
    negated = text.startswith("!")
    if text.startswith("^"):
        raise InvalidConfigurationError(f"{shown} has '[^': write [!abc] for any character but these")
    members, given = [], text[negated:]
    at = 0
    while at < len(given):
        if given[at + 1 : at + 2] == "-" and at + 2 < len(given):
            first, last = given[at], given[at + 2]
            if first > last:
                raise InvalidConfigurationError(f"{shown} has the empty range {first}-{last}: write [{last}-{first}]")
            members.append(f"{re.escape(first)}-{re.escape(last)}")
            at += 3
        else:
            members.append(re.escape(given[at]))
            at += 1
    return f"[^/{''.join(members)}]" if negated else f"(?!/)[{''.join(members)}]"


def _expression(components: Sequence[str], end: str) -> str:
    """A regular expression that matches in time that grows with the path, whatever the pattern.

    Between two wildcards of a pattern stands a text of fixed length, and the first place it fits leaves most room for
    the rest, so each search is final once it succeeds: an atomic group, as in `fnmatch.translate`. What begins after
    ``**`` may contain ``*``; it is searched as a whole in the same way, because a ``*`` does not leave its component
    and a later start never ends earlier.
    """
    out: list[str] = []
    open_wide = open_narrow = False
    for number, component in enumerate(components):
        if number and components[number - 1] != "**":
            out.append("/")
        for part in ["**/"] if component == "**" else _parts(component):
            if part[0] != "*":
                out.append(part)
                continue
            out.append(")" * open_narrow)
            open_narrow = part == "*"
            if not open_narrow:
                out.append(")" * open_wide)
                open_wide = True
            out.append({"*": "(?>[^/]*?", "**": "(?>.*?", "**/": "(?>(?:[^/]++/)*?"}[part])
    return "".join([*out, end, ")" * (open_narrow + open_wide)])


@lru_cache(maxsize=256)
def _any_of(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the start of every path one of the patterns matches."""
    parsed = map(_parsed, patterns)
    ways = (_expression(names, _BENEATH if directory else _HERE_OR_BENEATH) for names, directory in parsed)
    return re.compile("|".join(ways), re.DOTALL)


@lru_cache(maxsize=256)
def _on_the_way_to(patterns: tuple[str, ...]) -> re.Pattern[str]:
    """Matches the start of every directory that may hold a path one of the patterns matches."""
    ways = []
    for pattern in patterns:
        way, depth = "", 0
        for component in _parsed(pattern)[0][:_DEEPEST]:
            if "**" in component:
                break
            way += _expression([component], _COMPONENT_ENDS) + r"(?:\Z|/"
            depth += 1
        ways.append(way + ")" * depth)
    return re.compile("|".join(ways))
