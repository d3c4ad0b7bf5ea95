"""`MediumState`: how late the medium is, as declared and as measured.

Owns the value. Must not know how the jitter is measured.
"""

from __future__ import annotations

import attrs
from attrs import field
from pendulum import Duration

from heartbeat_kit._times import to_duration

__all__ = ["MediumState"]


@attrs.frozen(kw_only=True)
class MediumState:
    """The medium between the machines, on a storage that delays.

    Attributes:
        allowance: What both deadlines of every machine are shifted by now.
        declared: The storage's `propagation_delay`, or ``None`` if it declares none; then the allowance is measured.
        measured: The 99th percentile of the jitter of the newest beats, or ``None`` while fewer than 50 are known.
        samples: Beats measured.
    """

    allowance_ms: int = field(alias="allowance")
    declared_ms: int | None = field(alias="declared", default=None)
    measured_ms: int | None = field(alias="measured", default=None)
    samples: int = 0

    @property
    def allowance(self) -> Duration:
        """The allowance in force."""
        return to_duration(self.allowance_ms)

    @property
    def declared(self) -> Duration | None:
        """The delay the storage declares."""
        return None if self.declared_ms is None else to_duration(self.declared_ms)

    @property
    def measured(self) -> Duration | None:
        """The jitter measured here."""
        return None if self.measured_ms is None else to_duration(self.measured_ms)

    @property
    def slower_than_declared(self) -> bool:
        """The medium breaks its promise, so machines may look silent that are not."""
        return None not in (self.declared_ms, self.measured_ms) and (self.measured_ms or 0) > (self.declared_ms or 0)

    def explain(self) -> str:
        """One sentence for people."""
        measured = "not measured yet" if self.measured_ms is None else f"measured as {self.measured_ms / 1000:g} s"
        text = f"the medium's jitter is {measured}, and {self.allowance_ms / 1000:g} s are allowed for it"
        if self.slower_than_declared:
            text += (
                f"; that is more than the declared {(self.declared_ms or 0) / 1000:g} s: "
                "declare a longer propagation_delay, or none to have it measured"
            )
        return text

    def __repr__(self) -> str:
        slow = ", slower than declared" if self.slower_than_declared else ""
        return f"<MediumState allowance={self.allowance_ms / 1000:g}s from {self.samples} beats{slow}>"
