"""`Diagnosis`: what was looked at, what was found, what to do.

Owns these values and how they show themselves. Must not know how anything is found out.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import attrs
from attrs import field
from pendulum import DateTime

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._times import to_datetime, to_iso
from heartbeat_kit._words import counted

__all__ = ["Diagnosis", "Finding", "FindingOutcome"]


class FindingOutcome(StrEnum):
    """What a check came to."""

    OK = "ok"
    """All is well."""
    WARNING = "warning"
    """What is said may be believed, but something should be put right."""
    FAILED = "failed"
    """Something does not work, or what is said here must not be believed."""


@attrs.frozen(kw_only=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        check: Its name, such as ``storage_write``.
        outcome: What it came to.
        found: What was found, in words.
        remedy: What to do; empty if nothing is to be done.
    """

    check: str
    outcome: FindingOutcome
    found: str
    remedy: str = ""

    def __repr__(self) -> str:
        return f"<Finding {self.check} {self.outcome}: {self.found}>"


_BY_SEVERITY = tuple(FindingOutcome)


@attrs.frozen(kw_only=True, eq=False)
class Diagnosis:
    """Everything that was looked at; iterating gives the findings.

    Attributes:
        machine_id: Who looked.
        diagnosed_at: When (UTC).
        findings: One for each check that was made.
        unchecked: Checks that could not be made, by name, with the reason.
        blind: Why the machines could not be seen at all; empty if they could.
    """

    machine_id: str
    diagnosed_at_ms: int = field(alias="diagnosed_at")
    findings: tuple[Finding, ...]
    unchecked: Mapping[str, str] = field(factory=dict, converter=frozen_mapping)
    blind: str = ""

    @property
    def diagnosed_at(self) -> DateTime:
        """When it was made, UTC."""
        return to_datetime(self.diagnosed_at_ms)

    @property
    def outcome(self) -> FindingOutcome:
        """The worst of all."""
        return max((each.outcome for each in self.findings), key=_BY_SEVERITY.index, default=FindingOutcome.OK)

    @property
    def exit_code(self) -> int:
        """What a shell is told, 0 if all is well, 1 with warnings, 2 if something failed."""
        return _BY_SEVERITY.index(self.outcome)

    @property
    def troubles(self) -> tuple[Finding, ...]:
        """What is not as it should be, the worst first."""
        found = [each for each in self.findings if each.outcome is not FindingOutcome.OK]
        return tuple(sorted(found, key=lambda each: -_BY_SEVERITY.index(each.outcome)))

    @property
    def summary(self) -> str:
        """One sentence."""
        failed = sum(each.outcome is FindingOutcome.FAILED for each in self.findings)
        warned = sum(each.outcome is FindingOutcome.WARNING for each in self.findings)
        parts = [
            "blind" if self.blind else "",
            f"{failed} failed" if failed else "",
            counted(warned, "warning") if warned else "",
            "" if failed or warned else "all is well",
            f"{len(self.unchecked)} could not be made" if self.unchecked else "",
        ]
        return f"{counted(len(self.findings), 'check')}: {', '.join(part for part in parts if part)}"

    def __getitem__(self, check: str) -> Finding:
        return {each.check: each for each in self.findings}[check]

    def __iter__(self) -> Iterator[Finding]:
        return iter(self.findings)

    def __len__(self) -> int:
        return len(self.findings)

    def __repr__(self) -> str:
        return f"<Diagnosis of {self.machine_id}: {self.summary}>"

    def __wire__(self, _locale: str) -> dict[str, Any]:
        """The shape of `to_wire`."""
        return {
            "success": self.outcome is not FindingOutcome.FAILED,
            "outcome": str(self.outcome),
            "machineId": self.machine_id,
            "diagnosedAt": to_iso(self.diagnosed_at_ms),
            "blind": self.blind or None,
            "findings": [
                {"check": each.check, "outcome": str(each.outcome), "found": each.found, "remedy": each.remedy or None}
                for each in self.findings
            ],
            "unchecked": dict(self.unchecked),
            "message": self.summary,
        }

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The columns, and a row a check."""
        rows: list[tuple[str, ...]] = [
            *((each.check, str(each.outcome), each.found, each.remedy) for each in self.findings),
            *((check, "not made", why, "") for check, why in self.unchecked.items()),
        ]
        return ("check", "outcome", "found", "what to do"), rows

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table  # noqa: PLC0415 - for notebooks only

        return html_table(*self.rows(), caption=self.summary)

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*self.rows(), caption=self.summary)
