"""One step of a run: a file from what it was to what it will be, whoever else writes to it meanwhile.

Owns the swap. Must not know a plan, a journal or the order of steps. A step may be done again by any later process, at
whatever point the one before was cut off.

What somebody saves while a step is done is never lost: the new content is exchanged with the old in one system call,
what came out is looked at, and if it is not what was expected the two are exchanged back. Where the medium cannot
exchange, the old file gets a second name first, so that what is saved into it is found. A new file that somebody puts
in its place between our last look and the replacement is the one save that can be lost there.
"""

from __future__ import annotations

import contextlib
import errno
from collections.abc import Callable
from typing import Final, NamedTuple

from heartbeat_kit.sync._journal import Step
from heartbeat_kit.sync._tree import OUR_PREFIX, TRASH, Content, Kind, Tree, UnstableFileError, holds_nothing, stat_at
from heartbeat_kit.sync._writer import Objects, Writer, parent_of

__all__ = ["Foreign", "Stepper", "run_of"]

_TURNS: Final = 64
"""How often a step gives way to somebody who saves between every two of its system calls."""
_PRIVATE: Final = 0o600
_OUT_OF_REACH: Final = frozenset({errno.EXDEV, errno.EACCES, errno.EPERM})
"""Another file system is mounted between a file and the trash, or the trash is another user's."""


class Foreign(NamedTuple):
    """A step that was not done, because somebody else changed the file.

    Attributes:
        step: Which.
        sha256: What is there now; ``None`` if nothing is, or nothing that can be read.
        size: Its size in bytes.
        why: In words.
    """

    step: Step
    sha256: str | None
    size: int
    why: str


class _Found(NamedTuple):
    """A file at a name: its hash, or ``None`` for nothing there; `odd` says why it cannot be one of ours."""

    sha256: str | None
    size: int = 0
    mode: int = _PRIVATE
    owner: tuple[int, int] | None = None
    odd: str = ""
    kind: Kind | None = None


def run_of(run_id: str) -> str:
    """What the names of a run's temporaries and displaced files hold of its id."""
    return run_id[:12]


class Stepper:
    """Does the steps of one run.

    Args:
        run_id: Of its journal; the names of temporaries are made of it, so a later process finds them.
        contents: Where the contents to write are kept, and where those of others are saved.
        check: Called right before a file is changed; raises if the run was overtaken meanwhile.
    """

    def __init__(self, run_id: str, contents: Objects, check: Callable[[], None]) -> None:
        self._run = run_of(run_id)
        self._contents = contents
        self._check = check

    def perform(self, step: Step, number: int, writer: Writer, path: str) -> Foreign | None:
        """Do one step; ``None`` if the file is now as it should be, durably.

        Args:
            step: What to do.
            number: Its place in the journal.
            writer: Of the tree the file is in.
            path: Where in that tree.

        Raises:
            OSError: It is not done, or not durably; do it again.
        """
        tree = writer.tree
        directory = parent_of(path)
        temp = self._temp(number, path)
        aside = self._aside(step.before.sha256 if step.before else "none", number)
        wanted = None if step.after is None else step.after.sha256
        expected = None if step.before is None else step.before.sha256
        if wanted is None:
            return self._delete(step, writer, path, aside)
        self._clear(number, writer, path, wanted, expected)
        found = _look(tree, path)
        if found.kind is Kind.DIRECTORY and expected is None:
            self._check()
            _remove_empty(tree, path)
            found = _look(tree, path)
        if not found.odd and found.sha256 == wanted:
            writer.ensure(directory)
            tree.sync(directory)
            return None
        if found.odd or found.sha256 != expected:
            _settle(tree, directory)
            return _foreign(step, found)
        data = self._contents.get(wanted)
        if data is None:
            raise OSError(f"the content of {path} is not in the local store any more")
        writer.ensure(directory)
        mode = found.mode if expected is not None else (step.after.mode if step.after and step.after.mode else _PRIVATE)
        tree.create(temp, data, mode=mode & 0o777, owner=found.owner)
        self._check()
        if expected is None:
            return self._put(step, tree, temp, path)
        foreign = self._swap(step, number, writer, temp, path)
        tree.sync(directory)
        return foreign

    def abandon(self, step: Step, number: int, writer: Writer, path: str) -> None:
        """Remove what was prepared for a step that is not to be done any more."""
        if step.after is not None:
            self._clear(number, writer, path, step.after.sha256, step.before.sha256 if step.before else None)

    def _temp(self, number: int, path: str) -> str:
        return f"{parent_of(path)}/{OUR_PREFIX}{self._run}-{number}.tmp".removeprefix("/")

    def _aside(self, sha256: str, number: int) -> str:
        """Where a displaced file waits, under the hash of what it held when it was displaced."""
        return f"{TRASH}/{sha256}-{self._run}-{number}"

    def settle(self, tree: Tree) -> None:
        """Make durable that displaced files are in the trash, or a power cut puts them back under temporary names."""
        _settle(tree, TRASH)

    def _put(self, step: Step, tree: Tree, temp: str, path: str) -> Foreign | None:
        try:
            tree.move(temp, path)
        except FileExistsError:
            tree.remove(temp)
            _settle(tree, parent_of(path))
            return _foreign(step, _look(tree, path))
        tree.sync(parent_of(path))
        return None

    def _swap(self, step: Step, number: int, writer: Writer, temp: str, path: str) -> Foreign | None:
        tree = writer.tree
        if step.after is None or step.before is None:
            raise AssertionError("a swap has two contents")
        if not tree.can_exchange:
            return self._replace(step, number, writer, temp, path)
        try:
            tree.exchange(temp, path)
        except OSError:
            if tree.can_exchange:
                raise
            return self._replace(step, number, writer, temp, path)  # another file system is mounted here, which cannot
        found = _look(tree, temp)
        if found.sha256 == step.before.sha256:
            self._discard(writer, temp, self._aside(found.sha256, number))
            return None
        saved: set[str] = set()
        for _ in range(_TURNS):
            if not found.odd and found.sha256 is not None:
                self._save(tree, temp, found)
                saved.add(found.sha256)
            tree.exchange(temp, path)
            found = _look(tree, temp)
            if found.sha256 == step.after.sha256 or found.sha256 in saved:
                break
        if found.sha256 == step.after.sha256 or found.sha256 in saved:
            # Our content was the file for a moment: an editor may have opened it.
            self._discard(writer, temp, self._aside(found.sha256, number))
        return _foreign(step, _look(tree, path))

    def _replace(self, step: Step, number: int, writer: Writer, temp: str, path: str) -> Foreign | None:
        """The same for a medium that cannot exchange."""
        if step.after is None or step.before is None:
            raise AssertionError("a swap has two contents")
        tree = writer.tree
        aside = self._aside(step.before.sha256, number)
        writer.ensure(TRASH)
        with contextlib.suppress(FileNotFoundError):
            tree.remove(aside)
        linked = True
        try:
            tree.link(path, aside)
        except OSError:
            linked = False  # no hard links here either; the content before is in the local store
        found = _look(tree, path)
        if found.sha256 != step.before.sha256:
            if linked:
                tree.remove(aside)
            tree.remove(temp)
            return _foreign(step, found)
        tree.replace(temp, path)
        moved = _look(tree, aside) if linked else _Found(step.before.sha256)
        if not moved.odd and moved.sha256 in (None, step.before.sha256):
            return None
        self._save(tree, aside, moved)  # somebody saved into the old file after we had looked at it
        # The next save may go into ours already: under a second name it outlives being replaced.
        ours = self._aside(step.after.sha256, number)
        with contextlib.suppress(FileNotFoundError):
            tree.remove(ours)
        with contextlib.suppress(OSError):
            tree.link(path, ours)
        tree.replace(aside, path)
        return _foreign(step, _look(tree, path))

    def _delete(self, step: Step, writer: Writer, path: str, aside: str) -> Foreign | None:
        tree = writer.tree
        expected = None if step.before is None else step.before.sha256
        writer.ensure(TRASH)
        with contextlib.suppress(FileNotFoundError, FileExistsError):
            found = _look(tree, path)
            if not found.odd and found.sha256 == expected and expected is not None:
                self._check()
                tree.move(path, aside)
        moved = _look(tree, aside)
        if moved.sha256 is not None and moved.sha256 != expected:  # saved between our look and the move
            self._save(tree, aside, moved)
            try:
                tree.move(aside, path)
            except FileExistsError:
                tree.remove(aside)  # saved again meanwhile; the one before it is in the store
        found = _look(tree, path)
        _settle(tree, parent_of(path))
        tree.sync(TRASH)
        # A later step may have put a directory there, or a file above it.
        gone = not found.odd or found.kind is Kind.DIRECTORY or _is_nowhere(tree, path)
        return None if gone and found.sha256 is None else _foreign(step, found)

    def _clear(self, number: int, writer: Writer, path: str, wanted: str, expected: str | None) -> None:
        """Discard what an earlier try left under the temporary name; somebody's save that came out there goes back."""
        tree = writer.tree
        temp = self._temp(number, path)
        try:
            left = tree.read(temp)
        except (FileNotFoundError, NotADirectoryError):
            return
        if left.sha256 not in (wanted, expected) and not self._is_part_of(left, wanted):
            self._contents.put_all([(left.sha256, left.data)])
            if tree.can_exchange and _look(tree, path).sha256 == wanted:
                tree.exchange(temp, path)
                if _look(tree, temp).sha256 != wanted:
                    tree.exchange(temp, path)  # saved once more meanwhile: the newest stays, the one before is stored
                tree.sync(parent_of(path))
        self._discard(writer, temp, self._aside(_look(tree, temp).sha256 or left.sha256, number))

    def _is_part_of(self, left: Content, wanted: str) -> bool:
        data = self._contents.get(wanted)
        return data is not None and data.startswith(left.data)

    def _save(self, tree: Tree, path: str, found: _Found) -> None:
        with contextlib.suppress(UnstableFileError, FileNotFoundError):
            content = tree.read(path)
            self._contents.put_all([(content.sha256, content.data)])
            if content.sha256 != found.sha256:
                raise UnstableFileError(f"{path} is still being written")

    def _discard(self, writer: Writer, temp: str, aside: str) -> None:
        """Let what was replaced wait a while: an editor that has it open may still write to it."""
        tree = writer.tree
        writer.ensure(TRASH)
        with contextlib.suppress(FileNotFoundError):
            tree.remove(aside)
        try:
            tree.move(temp, aside)
        except OSError as error:
            if error.errno not in _OUT_OF_REACH:
                raise
            tree.remove(temp)


def _remove_empty(tree: Tree, directory: str) -> None:
    """Remove a directory in which no file is; what is put into it meanwhile keeps it there."""
    if holds_nothing(tree, directory):
        for name, _ in tree.list(directory):
            _remove_empty(tree, f"{directory}/{name}")
        try:
            tree.rmdir(directory)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise


def _settle(tree: Tree, directory: str) -> None:
    """Make the names in a directory durable, unless somebody removed it."""
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        tree.sync(directory)


def _look(tree: Tree, path: str) -> _Found:
    try:
        stat = tree.stat(path)
    except NotADirectoryError:
        return _Found(None, odd="beneath what is no directory")
    if stat is None:
        return _Found(None)
    if stat.kind is not Kind.FILE:
        return _Found(None, odd=f"a {stat.kind}", kind=stat.kind)
    try:
        content = tree.read(path, keep=False)
    except FileNotFoundError:
        return _Found(None)
    except UnstableFileError:
        return _Found(None, stat.size, odd="being written")
    return _Found(content.sha256, content.stat.size, content.stat.mode, (content.stat.uid, content.stat.gid))


def _is_nowhere(tree: Tree, path: str) -> bool:
    """Whether a file is in the place of a directory on the way, so that nothing can be there."""
    with contextlib.suppress(NotADirectoryError):
        return stat_at(tree, path) is None
    return False


def _foreign(step: Step, found: _Found) -> Foreign:
    if found.odd:
        why = f"it is {found.odd} now"
    elif found.sha256 is None:
        why = "it was removed"
    else:
        why = "it was edited"
    return Foreign(step, found.sha256, found.size, f"{why} while the sync was under way")
