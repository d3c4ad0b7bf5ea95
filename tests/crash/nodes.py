"""What a disk holds, and how one operation changes it.

Owns inodes, and the effects a change of the log is made of. Must not know what is durable, nor where a crash falls.
"""

from __future__ import annotations

import os
from functools import lru_cache
from hashlib import sha256
from typing import Any, NamedTuple

__all__ = ["Change", "Node", "Nodes", "os_error", "put_data", "put_mode", "put_name", "sha256_of", "split", "truncate"]


class Node(NamedTuple):
    """A file, or a directory if it has `names`. Never changed in place: views and copies share nodes."""

    mode: int
    names: dict[str, int] | None = None
    data: bytes = b""
    mtime: int = 0
    ctime: int = 0


Nodes = dict[int, Node]


def put_name(nodes: Nodes, tick: int, directory: int, name: str, inode: int | None) -> None:
    """Let a name in a directory stand for an inode, or for nothing."""
    old = nodes[directory]
    names = dict(old.names or {})
    if inode is None:
        names.pop(name, None)
    else:
        names[name] = inode
        nodes[inode] = nodes[inode]._replace(ctime=tick)
    nodes[directory] = Node(old.mode, names, b"", tick, tick)


def put_data(nodes: Nodes, tick: int, inode: int, start: int, data: bytes) -> None:
    """Write into a file; what was never written before it reads as zeros."""
    old = nodes[inode]
    whole = old.data[:start].ljust(start, b"\0") + data + old.data[start + len(data) :] if data else old.data
    nodes[inode] = Node(old.mode, None, whole, tick, tick)


def truncate(nodes: Nodes, tick: int, inode: int) -> None:
    """Take all data out of a file."""
    nodes[inode] = Node(nodes[inode].mode, None, b"", tick, tick)


def put_mode(nodes: Nodes, tick: int, inode: int, mode: int) -> None:
    """Set permission bits."""
    nodes[inode] = nodes[inode]._replace(mode=mode, ctime=tick)


class Change(NamedTuple):
    """An entry of a disk's log.

    Attributes:
        tick: Its place in the order of all changes.
        label: For people.
        effects: Functions of this module with their arguments after the tick; all happen, or none.
        waits: The inodes to be synced before it is durable; if there are none, it is.
    """

    tick: int
    label: str
    effects: tuple[tuple[Any, ...], ...]
    waits: frozenset[int]

    def apply(self, nodes: Nodes) -> None:
        """Make it so."""
        for effect, *arguments in self.effects:
            effect(nodes, self.tick, *arguments)


@lru_cache(maxsize=4096)
def sha256_of(data: bytes) -> str:
    """The hash of a content, made once."""
    return sha256(data).hexdigest()


@lru_cache(maxsize=4096)
def split(path: str) -> tuple[str, ...]:
    """The components of a relative path; none for ``""``."""
    parts = tuple(path.split("/")) if path else ()
    if {"", ".", ".."} & set(parts):
        raise ValueError(f"{path!r} is no relative path in normal form")
    return parts


def os_error(number: int, path: str) -> OSError:
    """The error of the operating system with its usual words and class."""
    return OSError(number, os.strerror(number), path)
