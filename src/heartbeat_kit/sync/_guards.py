"""What is not believed of a tree, and what is refused of a plan: the last look before anything is written.

Owns the doubts about one file and the guards over all of them. Must not know a policy, a decision or a disk.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from operator import attrgetter
from typing import Any, Final, NamedTuple

import attrs
from attrs import field

from heartbeat_kit.errors import AllChangedError, InvalidConfigurationError, SyncError, TooManyDeletesError
from heartbeat_kit.sync._model import Absent, Entry, File, Side, Snapshot, Unknown

__all__ = ["Guards", "Refusal", "Row", "believed", "check", "is_bare"]


class Row(NamedTuple):
    """A path in the three trees, as far as they are believed."""

    path: str
    base: Entry
    machine: Entry
    baseline: Entry


def _count(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:  # noqa: ARG001 - attrs' signature
    if type(value) is not int or value < 0:
        raise InvalidConfigurationError(f"{attribute.name} is a number of files, 0 or more, found {value!r}")


def _share(instance: object, attribute: attrs.Attribute[Any], value: object) -> None:  # noqa: ARG001 - attrs' signature
    if type(value) not in (int, float) or not 0 <= value <= 1:  # type: ignore[operator]
        raise InvalidConfigurationError(f"{attribute.name} is a share between 0 and 1, found {value!r}")


@attrs.frozen(kw_only=True)
class Guards:
    """How much may be gone or changed at once before a sync is refused as a whole.

    A mount that is missing, a tool that encrypted everything, a folder restored from elsewhere: each looks like the
    work of a person, only more of it. What both sides agree on and what a person decided counts neither way; nor does
    what is not known.

    Attributes:
        deletes: So many files may always be gone from one side.
        share: So much of the files both sides agreed on may be gone from one side, if that is more. A side that
            holds nothing at all is refused whatever the numbers, unless the share is 1.
        all_changed: It is refused that one side changed everything at once, if that is at least so many files; 0 never
            refuses it. Two files edited together are ordinary work, so there has to be a floor.

    >>> Guards.off()
    Guards(deletes=0, share=1.0, all_changed=0)
    """

    deletes: int = field(default=5, validator=_count)
    share: float = field(default=0.5, validator=_share)
    all_changed: int = field(default=6, validator=_count)

    @classmethod
    def off(cls) -> Guards:
        """No guard at all, for a change that is meant."""
        return cls(deletes=0, share=1.0, all_changed=0)


_ERRORS: Final[dict[str, type[SyncError]]] = {error.code: error for error in (TooManyDeletesError, AllChangedError)}
_WHERE: Final = {Side.MACHINE: "on the machine", Side.BASELINE: "in the baseline"}
_ENTRY_OF: Final[dict[Side, Callable[[Row], Entry]]] = {
    Side.MACHINE: attrgetter("machine"),
    Side.BASELINE: attrgetter("baseline"),
}
_MEANT: Final = "see that the folder is whole and the right one; if it is meant, apply(plan(guards=Guards.off()))"


@attrs.frozen
class Refusal:
    """Why a plan must not be carried out.

    Attributes:
        code: Of the error it is.
        message: What was found, what was expected, what to do.
        paths: The files it is about, sorted.
    """

    code: str
    message: str
    paths: tuple[str, ...]

    def error(self, machine_id: str | None = None) -> SyncError:
        """The same as an error to raise."""
        return _ERRORS[self.code](self.message, machine_id=machine_id, paths=self.paths)


def believed(entry: Entry, base: Entry) -> Entry:
    """What is believed of a file: a change that may be a glitch is as good as unknown.

    Args:
        entry: What was found.
        base: What both sides agreed on last.

    >>> believed(File(sha256="e3b0", size=0), File(sha256="9f86", size=4))
    Unknown(why='empty, where it was not before')
    """
    if type(entry) is File and (entry.doubt or not entry.size) and entry != base:
        if entry.doubt:
            return Unknown(entry.doubt)
        if type(base) is File and base.size:
            return Unknown("empty, where it was not before")
    return entry


def is_bare(tree: Snapshot) -> bool:
    """Whether a tree was read and holds nothing: no file, nor anything that could be one."""
    return not tree.closed and not tree.rejected and all(type(entry) is Absent for entry in tree.entries.values())


def check(
    rows: Iterable[Row], *, guards: Guards, agreed: int, spared: int = 0, bare: Collection[Side] = ()
) -> tuple[Refusal, ...]:
    """The guards over all files.

    Args:
        rows: The files the sides do not agree on, apart from those of which something is unknown or decided.
        guards: How much is allowed.
        agreed: How many files both sides agreed on last.
        spared: How many of them count neither as changed nor as unchanged: unknown, decided, or changed on both
            sides to the same content.
        bare: The sides that hold nothing, see `is_bare`.

    Returns:
        One refusal for each guard and side that fails.
    """
    known = [row for row in rows if type(row.base) is File]
    refusals = []
    for side, entry_of in _ENTRY_OF.items():
        gone, edited = [], []
        for row in known:
            entry = entry_of(row)
            if type(entry) is Absent:
                gone.append(row.path)
            elif entry != row.base:
                edited.append(row.path)
        allowed = max(guards.deletes, guards.share * agreed)
        is_bare_side = side in bare and guards.share < 1
        if gone and (len(gone) > allowed or is_bare_side):
            found = f"{len(gone)} of {agreed} files are gone {_WHERE[side]}"
            limit = "nothing is left there" if is_bare_side else f"at most {int(allowed)} may go at once"
            message = f"{found}, {limit}: {_MEANT}"
            refusals.append(Refusal(TooManyDeletesError.code, message, tuple(sorted(gone))))
        changed = len(edited) + len(gone)
        if edited and changed == agreed - spared and 0 < guards.all_changed <= changed:
            message = f"all {changed} files changed at once {_WHERE[side]}: {_MEANT}"
            refusals.append(Refusal(AllChangedError.code, message, tuple(sorted(edited + gone))))
    return tuple(refusals)
