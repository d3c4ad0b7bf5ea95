"""Which names can be synced: the same file on every system, or reported and never touched.

Owns the rule for a path, the names that are passed over in silence, and which paths cannot live side by side. Must not
know a disk, a pattern or what happens to a path that is refused. Nothing here ever changes a name.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable
from typing import Final

from heartbeat_kit.errors import InvalidConfigurationError
from heartbeat_kit.sync._tree import OUR_PREFIX

__all__ = ["collisions", "is_passed_over", "path_problem", "require_path"]

_LONGEST_PATH: Final = 1024
_LONGEST_COMPONENT: Final = 255
_DEEPEST: Final = 32

_OURS: Final = (OUR_PREFIX, ".heartbeat-kit-root")
_RESERVED: Final = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$"]
    + [f"{stem}{digit}" for stem in ("com", "lpt") for digit in "0123456789¹²³"]
)
"""Stems Windows keeps for devices, with any extension; it takes superscript digits for digits."""

_ORDINARY: Final = re.compile(
    r"""(?aix) (?: COMPONENT / ){0,31} COMPONENT """.replace(
        "COMPONENT",
        r"""(?: (?! (?:con|prn|aux|nul|com[0-9]|lpt[0-9])[ ]*(?:[./]|\Z) | \.hbk- | \.heartbeat )
                \.? [a-z0-9_] [a-z0-9_. ,+@=~\#%-]*+ (?<![. ]) )""",
    )
)
"""Most paths there are. What it leaves out is judged slowly; it must never take what the slow judgement refuses."""

_CONTROL: Final = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_FORBIDDEN: Final = re.compile(r'[<>:"|?*]')
_DRIVE: Final = re.compile(r"[A-Za-z]:")
_IGNORABLE: Final = re.compile(
    "[\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u202a-\u202e\u2060-\u206f\u3164\ufe00-\ufe0f"
    "\ufeff\uffa0\ufff0-\ufff8\U0001bca0-\U0001bca3\U0001d173-\U0001d17a\U000e0000-\U000e0fff]"
)
"""Unicode's Default_Ignorable_Code_Point: HFS+ and the case-folding folders of ext4 and F2FS do not see them."""

_CONFLICT_COPY: Final = re.compile(
    r"""(?ix)
    # Dropbox and Nextcloud
    \( .* (?: conflicted\ copy | copie\ en\ conflit | in\ konflikt\ stehende\ kopie | copia\ en\ conflicto
           | copia\ in\ conflitto | c[oó]pia\ em\ conflito ) .* [0-9]{4}-[0-9]{2}-[0-9]{2} .* \)
    | \.sync-conflict-[0-9]{8}-[0-9]{6} (?: -[a-z0-9]+ )? (?: \. | \Z )  # Syncthing
    | \.conflict[0-9]+ (?: \. | \Z )                                     # rclone bisync
    | _conflict-[0-9]{8}-[0-9]{6} (?: \. | \Z )                          # ownCloud
    """
)
"""Only what no person would write. "x (1).json" and "x-LAPTOP.json" are good names, so they are synced."""

_PASSED_OVER: Final = frozenset(
    [
        "4913",  # Vim looks whether it may write here
        *("desktop.ini", "thumbs.db", "ehthumbs.db", ".ds_store", "icon\r"),
        *(".sync", ".stfolder", ".stversions", ".dropbox", ".dropbox.cache", ".dropbox.attr"),
        *(".owncloudsync.log", ".nextcloudsync.log", ".tmp.drivedownload", ".tmp.driveupload"),
    ]
)
_PASSED_OVER_STARTS: Final = (
    *("._", ".~lock.", ".#", "~$"),  # macOS beside a file, LibreOffice, Emacs, Microsoft Office
    *(".nfs", ".fuse_hidden", ".goutputstream-"),
)
_PASSED_OVER_SHAPES: Final = re.compile(
    r"""(?sx)
      .+ (?: ~ | \.tmp | \.crdownload | \.opdownload | \.part | \.partial | \.filepart | \.download
           | \.kate-swp | ___jb_tmp___ | ___jb_old___ )
    | \. (?: .*\. )? sw[a-px]                         # Vim
    | \#.+\#                                          # Emacs
    | .+\.rclone_chunk\..+
    | \..+\.~[0-9a-f]+                                # Nextcloud, ownCloud: a download
    | \.(?: sync_[0-9a-f]+ | csync_journal ) \.db (?: -shm | -wal | -journal )?  # the same: their database
    """
)


def path_problem(path: str) -> str | None:
    """Why a path cannot be synced, or ``None``.

    A path is relative to its root, its parts joined by ``/``. It is refused, never mended, if some system we support
    could not hold it, would take it for something else, or if it is no file of the user's:

    ====================================================  ================================================
    Refused                                               Because
    ====================================================  ================================================
    empty, ``/a``, ``a//b``, ``a/``, ``.``, ``..``        no relative path, or another spelling of one
    a drive, a UNC path, a backslash                      means another place on Windows
    ``< > : " | ? *``, a dot or space at the end          Windows cannot name it, or drops it
    ``con``, ``nul.txt``, ``com1``, ``lpt²``, ``conin$``  a device on Windows
    control characters, line separators, bidi overrides   shows as something it is not
    undecodable or not in normal form C                   comes back from another system as another name
    parts over 255 bytes, over 32 parts, over 1024 bytes  does not fit everywhere
    ``.hbk-…``, ``.heartbeat-kit-root``                   ours
    ``a.sync-conflict-20240101-101112.json`` and such     a conflict copy of a sync client
    ====================================================  ================================================

    Args:
        path: Relative, POSIX; undecodable bytes as surrogates, as `os.fsdecode` gives them.

    Returns:
        Part of a sentence, such as ``"it is absolute"``; it holds no character that cannot be shown.

    >>> path_problem("etc/app.json")
    >>> path_problem("etc/nul.txt")
    "'nul.txt' is the name of a device on Windows"
    """
    if len(path) <= _LONGEST_COMPONENT and _ORDINARY.fullmatch(path) and "conflict" not in path.lower():
        return None
    return _problem_of_path(path)


def _problem_of_path(path: str) -> str | None:
    if not path:
        return "it is empty"
    if _SURROGATE.search(path):
        return "its name is not valid UTF-8"
    if path.startswith(("\\\\", "//")):
        return "it is a UNC path"
    if path.startswith("/"):
        return "it is absolute"
    if _DRIVE.match(path):
        return f"it starts with the drive {path[:2]!r}"
    if "\\" in path:
        return "it holds a backslash, parts are joined by '/'"
    if found := _CONTROL.search(path):
        return f"it holds the control character U+{ord(found[0]):04X}"
    if not unicodedata.is_normalized("NFC", path):
        return "it is not in Unicode normal form C, another system would spell it differently"
    if (size := len(path.encode())) > _LONGEST_PATH:
        return f"it is {size} bytes long, more than {_LONGEST_PATH}"
    components = path.split("/")
    if len(components) > _DEEPEST:
        return f"it is {len(components)} levels deep, more than {_DEEPEST}"
    return next((problem for problem in map(_problem_of_component, components) if problem), None)


def _problem_of_component(name: str) -> str | None:
    if not name:
        return "it has an empty part: '//', or '/' at the end"
    if name in {".", ".."}:
        return f"it has the part {name!r}"
    if (size := len(name.encode())) > _LONGEST_COMPONENT:
        return f"{_shown(name)} is {size} bytes long, more than {_LONGEST_COMPONENT}"
    if found := _FORBIDDEN.search(name):
        return f"{_shown(name)} holds {found[0]!r}, which Windows forbids"
    if name.endswith((".", " ")):
        return f"{_shown(name)} ends with a {'dot' if name.endswith('.') else 'space'}, which Windows drops"
    if name.partition(".")[0].rstrip(" ").lower() in _RESERVED:
        return f"{_shown(name)} is the name of a device on Windows"
    if _folded(name).startswith(_OURS):
        return f"{_shown(name)} is a name heartbeat_kit keeps for itself"
    if _CONFLICT_COPY.search(name):
        return f"{_shown(name)} is a conflict copy made by a sync client"
    return None


def require_path(path: object) -> str:
    """Return a path that can be synced, or say what is wrong with it.

    Args:
        path: As for `path_problem`.

    Raises:
        InvalidConfigurationError: It is no text, or `path_problem` finds something.

    >>> require_path("etc/app.json")
    'etc/app.json'
    >>> require_path("../app.json")
    Traceback (most recent call last):
        ...
    heartbeat_kit.errors.InvalidConfigurationError: '../app.json' cannot be synced: it has the part '..'; expected a \
path below the folder, such as 'etc/app.json'
    """
    if not isinstance(path, str):
        raise InvalidConfigurationError(f"a path is text such as 'etc/app.json', found {type(path).__name__}")
    problem = path_problem(path)
    if problem is not None:
        raise InvalidConfigurationError(
            f"{_shown(path)} cannot be synced: {problem}; expected a path below the folder, such as 'etc/app.json'"
        )
    return path


def _shown(text: str, longest: int = 80) -> str:
    return repr(text) if len(text) <= longest else f"{text[:longest]!r}…"


def is_passed_over(name: str) -> bool:
    """Whether a directory entry is ignored in silence: nobody means it to be kept, and it comes and goes.

    Temporary and partial files of editors, browsers and sync clients, what a system keeps beside people's files, and
    our own temporaries. Letters count in any case, because the systems that write most of these do not tell it apart;
    only our own prefix is exact. ``*.tmp`` is passed over, ``*.temp`` and ``*.bak`` are not: people name files so.
    Folders of version control are not either; exclude them by a pattern.

    Args:
        name: One part of a path, of a file or a directory.

    >>> [name for name in ("app.json", ".app.json.swp", "app.json~", ".git") if is_passed_over(name)]
    ['.app.json.swp', 'app.json~']
    """
    if name.startswith(OUR_PREFIX):
        return True
    lowered = name.lower()
    return (
        lowered in _PASSED_OVER
        or lowered.startswith(_PASSED_OVER_STARTS)
        or _PASSED_OVER_SHAPES.fullmatch(lowered) is not None
    )


def _folded(text: str) -> str:
    """The one text for all spellings some file system takes for the same name (Unicode, D145 canonical caseless)."""
    if text.isascii():
        return text.lower()
    decomposed = unicodedata.normalize("NFD", _IGNORABLE.sub("", text))
    return unicodedata.normalize("NFD", decomposed.casefold())


def collisions(paths: Iterable[str]) -> dict[str, tuple[str, ...]]:
    """Which paths cannot live side by side on every file system, and with which others.

    Two paths collide if they, or directories on the way to them, are spelled differently and yet the same to a file
    system that ignores case, normal form or invisible characters; or if one is a file where the other has a directory.

    Args:
        paths: All paths of a tree; one given twice counts once.

    Returns:
        For each path in trouble the sorted group it belongs to, itself included. A path without trouble is not in it.

    >>> collisions(["etc/App.json", "etc/app.json", "etc/x"])
    {'etc/App.json': ('etc/App.json', 'etc/app.json'), 'etc/app.json': ('etc/App.json', 'etc/app.json')}
    >>> sorted(collisions(["log", "log/today", "A/x", "a/y"]))
    ['A/x', 'a/y', 'log', 'log/today']
    """
    given = sorted(set(paths))
    files: dict[str, str] = {}
    directories: dict[str, str] = {}
    folded_parents = {"": ""}
    troubled: set[str] = set()
    for path in given:
        folded = _folded(f"/{path}")
        if files.setdefault(folded, path) != path:
            troubled.add(folded)
        parent = path.rpartition("/")[0]
        while parent not in folded_parents:
            folded = folded_parents[parent] = _folded(f"/{parent}")
            if directories.setdefault(folded, parent) != parent:
                troubled.add(folded)
            parent = parent.rpartition("/")[0]
    troubled.update(files.keys() & directories.keys())
    if not troubled:
        return {}
    # The topmost name in trouble makes the group: all beneath one spelling collides with all beneath another.
    tops = {parent: _topmost(folded, troubled) for parent, folded in folded_parents.items()}
    groups: dict[str, list[str]] = {}
    for path in given:
        top = tops[path.rpartition("/")[0]] or _folded(f"/{path}")
        if top in troubled:
            groups.setdefault(top, []).append(path)
    return {path: group for members in groups.values() for group in [tuple(members)] for path in members}


def _topmost(directory: str, troubled: set[str]) -> str:
    end = directory.find("/", 1)
    while end != -1:
        if directory[:end] in troubled:
            return directory[:end]
        end = directory.find("/", end + 1)
    return directory if directory in troubled else ""
