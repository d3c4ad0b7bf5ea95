"""`Decision`: what a sync leaves to a person, as a value and as the document that is stored of it.

Owns the record, its id and its bytes. Must not know how a decision is found, stored or carried out.

The id and the bytes are made of the evidence alone, so two machines that meet one conflict write one record.
"""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum
from typing import Any, Final

import attrs

from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import DamagedSyncStateError, InvalidMachineIdError
from heartbeat_kit.sync._paths import path_problem
from heartbeat_kit.sync._sealed import SCHEMA, canonical

__all__ = ["Decision", "DecisionAction", "DecisionKind", "DecisionState", "decision_id", "from_json", "to_json"]

_HEX: Final = frozenset("0123456789abcdef")


class DecisionState(StrEnum):
    """Where a decision stands."""

    PENDING = "pending"
    """Nobody has answered yet."""
    APPROVED = "approved"
    """A person said yes; the next run carries it out."""
    REJECTED = "rejected"
    """A person said no: both sides stay as they are while they are as they were."""
    APPLIED = "applied"
    """It was carried out."""
    ROLLED_BACK = "rolled_back"
    """It was carried out, and taken back."""
    SUPERSEDED = "superseded"
    """What it was about has changed since."""


class DecisionAction(StrEnum):
    """What approving a decision does."""

    SYNC_TO_BASELINE = "sync_to_baseline"
    """The baseline becomes as the machine is."""
    KEEP_TARGET = "keep_target"
    """The baseline stays, and the machine becomes as it is."""
    MANUAL_REVIEW = "manual_review"
    """Nothing yet: it cannot be approved without saying which of the other two."""


class DecisionKind(StrEnum):
    """What a decision is about."""

    EDIT_EDIT = "edit_edit"
    """Both sides changed the file, differently."""
    ADD_ADD = "add_add"
    """Both sides have the file, with different content, and never agreed on one."""
    DELETE = "delete"
    """A machine that is away had deleted the file."""
    COLLISION = "collision"
    """Several names that are one name on some file systems."""
    FOREIGN_EDIT = "foreign_edit"
    """Somebody edited the file while it was being synced."""


_APPROVED: Final = {
    DecisionAction.MANUAL_REVIEW: "nothing yet: say sync_to_baseline (the machine's) or keep_target (the baseline's)",
    DecisionAction.SYNC_TO_BASELINE: "sync_to_baseline: the machine's version goes to the baseline",
    DecisionAction.KEEP_TARGET: "keep_target: the baseline's version stays, and the machine takes it",
}


@attrs.frozen(kw_only=True)
class Decision:
    """One question to a person.

    Attributes:
        id: Made of the machine, the path and the three contents.
        machine_id: Whose working copy it is about.
        path: Of the file; of a collision, the first of the names.
        kind: What it is about.
        base: SHA-256 of the content both sides agreed on last; ``None`` for no file. Of a collision, a digest over
            all its names.
        machine: The same of the machine.
        baseline: The same of the baseline.
        state: Where it stands.
        action: What approving it does: what is proposed, until a person says otherwise.
        reason: In words.
    """

    id: str
    machine_id: str
    path: str
    kind: DecisionKind
    base: str | None
    machine: str | None
    baseline: str | None
    state: DecisionState = DecisionState.PENDING
    action: DecisionAction = DecisionAction.MANUAL_REVIEW
    reason: str = ""

    @property
    def is_open(self) -> bool:
        """Whether something is still to come of it."""
        return self.state in (DecisionState.PENDING, DecisionState.APPROVED)

    @property
    def pinned(self) -> tuple[str, ...]:
        """The contents that must be kept while it is open; of a collision none, as its files stay where they are."""
        if self.kind is DecisionKind.COLLISION:
            return ()
        return tuple(dict.fromkeys(each for each in (self.base, self.machine, self.baseline) if each is not None))

    def __wire__(self, _locale: str) -> dict[str, Any]:
        """The shape of `to_wire`."""
        return {
            "id": self.id,
            "machineId": self.machine_id,
            "path": self.path,
            "kind": str(self.kind),
            "base": self.base,
            "machine": self.machine,
            "baseline": self.baseline,
            "state": str(self.state),
            "action": str(self.action),
            "reason": self.reason,
        }

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table  # noqa: PLC0415 - for notebooks only

        return html_table(*self._rows(), caption=f"{self.path} of {self.machine_id}: {self.state}")

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*self._rows(), caption=f"{self.path} of {self.machine_id}: {self.state}")

    def _rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        contents = (("agreed on last", self.base), ("the machine", self.machine), ("the baseline", self.baseline))
        rows: list[tuple[str, ...]] = [
            ("what it is about", self.reason or str(self.kind)),
            *((name, "no file" if sha256 is None else sha256[:8]) for name, sha256 in contents),
            ("approving it does", _APPROVED.get(self.action, str(self.action))),
            ("id", self.id),
        ]
        return ("what", "which"), rows

    def __repr__(self) -> str:
        return f"<Decision {self.id[:8]} {self.kind} {self.path} of {self.machine_id}: {self.state}, {self.action}>"


def decision_id(machine_id: str, path: str, base: str | None, machine: str | None, baseline: str | None) -> str:
    """The id of a decision: 128 bits of SHA-256 over the evidence, so whoever meets the conflict computes one id.

    >>> decision_id("web-1", "app.conf", None, "a", "b") != decision_id("web-1", "app.conf", "", "a", "b")
    True
    """
    # Netstrings (Bernstein, 1997): no path can be so that two parts look like two others, and "-" is no netstring.
    parts = ["-" if each is None else f"{len(each)}:{each}," for each in (machine_id, path, base, machine, baseline)]
    return hashlib.sha256("".join(parts).encode(errors="surrogatepass")).hexdigest()[:32]


def to_json(decision: Decision) -> bytes:
    """The document of a decision: the same bytes whoever writes it."""
    return canonical({**decision.__wire__("en"), "schema": SCHEMA}) + b"\n"


def from_json(data: bytes) -> Decision:
    """The decision of a document, which anybody may have written.

    Raises:
        DamagedSyncStateError: It is no such document, or not byte for byte as it would be written.
    """
    try:
        return _decision(json.loads(data.decode()), data)
    except (ValueError, RecursionError) as error:
        raise DamagedSyncStateError(
            f"the decision cannot be used: {error}; wait for the medium, or remove the file: the next sync that meets "
            "the conflict writes it again"
        ) from error


def _decision(record: Any, data: bytes) -> Decision:
    if not isinstance(record, dict):
        raise ValueError(f"expected an object, found {type(record).__name__}")  # noqa: TRY004 - one type for stored data
    if type(record.get("schema")) is not int or record["schema"] != SCHEMA:
        raise ValueError(f"its schema is {record.get('schema')!r:.20}, this release reads {SCHEMA}")
    machine_id, path, reason = (_text(record, name) for name in ("machineId", "path", "reason"))
    contents = [_content(record, name) for name in ("base", "machine", "baseline")]
    _check_names(machine_id, path)
    expected = decision_id(machine_id, path, *contents)
    if record.get("id") != expected:
        raise ValueError("its id is not that of what it says")
    decision = Decision(
        id=expected,
        machine_id=machine_id,
        path=path,
        kind=DecisionKind(_text(record, "kind")),
        base=contents[0],
        machine=contents[1],
        baseline=contents[2],
        state=DecisionState(_text(record, "state")),
        action=DecisionAction(_text(record, "action")),
        reason=reason,
    )
    if to_json(decision) != data:
        raise ValueError("it is not as it would be written: it was changed by hand, or is of a later release")
    return decision


def _check_names(machine_id: str, path: str) -> None:
    try:
        named = normalize_machine_id(machine_id)
    except InvalidMachineIdError as error:
        raise ValueError(str(error)) from error
    if named != machine_id:
        raise ValueError(f"its machine id {machine_id!r:.80} is not as it is stored")
    if problem := path_problem(path):
        raise ValueError(f"its path {path!r:.80} cannot be: {problem}")


def _text(record: dict[str, Any], name: str) -> str:
    value = record.get(name)
    if not isinstance(value, str):
        raise ValueError(f"{name} is {value!r:.40}, expected text")  # noqa: TRY004 - one type for stored data
    return value


def _content(record: dict[str, Any], name: str) -> str | None:
    if name not in record:
        raise ValueError(f"{name} is missing")
    value = record[name]
    if value is not None and not (isinstance(value, str) and len(value) == 64 and _HEX.issuperset(value)):
        raise ValueError(f"{name} is {value!r:.80}, expected 64 hexadecimal digits or null")
    return value
