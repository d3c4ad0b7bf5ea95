"""`ImportReport`: what an import made of every file.

Owns the report and how it shows itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
from attrs import field

from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._words import counted

__all__ = ["ImportReport"]


@attrs.frozen(kw_only=True)
class ImportReport:
    """What an import did, or would do.

    Attributes:
        imported: Machines that are new to the storage, or known to it by an older record only.
        unchanged: Machines of which the storage has this record already, or a newer one.
        merged: Machines with more than one record, with the files of all, the believed one first.
        renamed: Names under which a machine had records too, with the name it has now.
        unreadable: What could not be understood, by file, with the reason.
        ambiguous: Short names that may stand for one of several long ones, with those; each is kept as a machine of its
            own, unless you say which it is.
        ahead: Machines whose stamp lies in the future, with what was taken instead.
        dry_run: Nothing was stored.
    """

    imported: tuple[str, ...]
    unchanged: tuple[str, ...]
    merged: Mapping[str, tuple[str, ...]] = field(converter=frozen_mapping)
    renamed: Mapping[str, str] = field(converter=frozen_mapping)
    unreadable: Mapping[str, str] = field(converter=frozen_mapping)
    ahead: Mapping[str, str] = field(converter=frozen_mapping)
    ambiguous: Mapping[str, tuple[str, ...]] = field(factory=dict, converter=frozen_mapping)
    dry_run: bool

    @property
    def message(self) -> str:
        """One sentence."""
        done = "would be imported" if self.dry_run else "imported"
        return (
            f"{counted(len(self.imported), 'machine')} {done}, {len(self.unchanged)} unchanged, "
            f"{len(self.unreadable)} unreadable"
        )

    def __repr__(self) -> str:
        return f"<ImportReport {self.message}>"

    def __wire__(self, _locale: str) -> dict[str, Any]:
        """The shape of `to_wire`."""
        return {
            "success": True,
            "dryRun": self.dry_run,
            "imported": list(self.imported),
            "unchanged": list(self.unchanged),
            "merged": {name: list(files) for name, files in self.merged.items()},
            "renamed": dict(self.renamed),
            "unreadable": dict(self.unreadable),
            "ahead": dict(self.ahead),
            "ambiguous": {name: list(others) for name, others in self.ambiguous.items()},
            "message": self.message,
        }

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table  # noqa: PLC0415 - for notebooks only

        return html_table(*self.rows(), caption=self.message)

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*self.rows(), caption=self.message)

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The columns, and a row a machine or unreadable file."""
        rows: list[tuple[str, ...]] = [
            *((name, "would be imported" if self.dry_run else "imported", self._notes(name)) for name in self.imported),
            *((name, "unchanged", self._notes(name)) for name in self.unchanged),
            *((name, "unreadable", why) for name, why in self.unreadable.items()),
        ]
        return ("machine or file", "what became of it", "notes"), rows

    def _notes(self, name: str) -> str:
        others = ", ".join(other for other, known in self.renamed.items() if known == name)
        files = self.merged.get(name, ())
        notes = [
            f"newest of {', '.join(files)}" if files else "",
            f"also called {others}" if others else "",
            self.ahead.get(name, ""),
            f"may be {' or '.join(self.ambiguous[name])}" if name in self.ambiguous else "",
        ]
        return "; ".join(note for note in notes if note)
