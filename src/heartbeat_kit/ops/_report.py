"""`AvailabilityReport`: what a time was like, machine by machine.

Owns these values, the figures that follow from them, and how they show themselves. Must not know where they are from.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs
from attrs import field
from pendulum import DateTime, Duration

from heartbeat_kit._events import Transition
from heartbeat_kit._fleet_events import CascadeDetected, FleetSilent
from heartbeat_kit._frozen import frozen_mapping
from heartbeat_kit._status import MachineStatus
from heartbeat_kit._times import optional_datetime, to_datetime, to_duration, to_iso
from heartbeat_kit._words import counted, said

if TYPE_CHECKING:
    import pandas

__all__ = ["AvailabilityReport", "MachineAvailability", "Outage"]


@attrs.frozen(kw_only=True)
class Outage:
    """A time in which a machine was offline, at least a part of which lies in the report's.

    Attributes:
        began: When (UTC): the deadline that passed, or the goodbye; the beginning of the report if nobody knows.
        ended: When it beat again, or ``None`` if it had not by the end of the report.
        offline: How long it lasted, within the report.
        planned: It began in a maintenance window, or with a goodbye.
        carried_over: It had begun before the report.
        last_heartbeat: The last stamp before it, if it is known.
    """

    began_ms: int = field(alias="began")
    ended_ms: int | None = field(alias="ended")
    offline_ms: int = field(alias="offline")
    planned: bool = False
    carried_over: bool = False
    last_heartbeat_ms: int | None = field(alias="last_heartbeat", default=None)

    @property
    def began(self) -> DateTime:
        """When it began, UTC."""
        return to_datetime(self.began_ms)

    @property
    def ended(self) -> DateTime | None:
        """When it ended, UTC."""
        return optional_datetime(self.ended_ms)

    @property
    def offline(self) -> Duration:
        """How long it lasted, within the report."""
        return to_duration(self.offline_ms)

    @property
    def last_heartbeat(self) -> DateTime | None:
        """The last stamp before it, UTC."""
        return optional_datetime(self.last_heartbeat_ms)


@attrs.frozen(kw_only=True)
class MachineAvailability:
    """One machine in the time of a report. Online, warning, offline, planned and unknown add up to it.

    Attributes:
        machine_id: Which.
        status: At the end of the report.
        online: How long it was online.
        warning: How long it was silent, and not offline.
        offline: How long it was offline, planned times apart.
        planned: How long it was offline in maintenance, or after a goodbye.
        unknown: How long nobody knew of it.
        outages: The times it was offline, in their order.
    """

    machine_id: str
    status: MachineStatus
    online_ms: int = field(alias="online", default=0)
    warning_ms: int = field(alias="warning", default=0)
    offline_ms: int = field(alias="offline", default=0)
    planned_ms: int = field(alias="planned", default=0)
    unknown_ms: int = field(alias="unknown", default=0)
    outages: tuple[Outage, ...] = ()

    @property
    def online(self) -> Duration:
        """How long it was online."""
        return to_duration(self.online_ms)

    @property
    def warning(self) -> Duration:
        """How long it was silent, and not offline."""
        return to_duration(self.warning_ms)

    @property
    def offline(self) -> Duration:
        """How long it was offline, planned times apart."""
        return to_duration(self.offline_ms)

    @property
    def planned(self) -> Duration:
        """How long it was offline as planned."""
        return to_duration(self.planned_ms)

    @property
    def unknown(self) -> Duration:
        """How long nobody knew of it."""
        return to_duration(self.unknown_ms)

    @property
    def availability(self) -> float | None:
        """Uptime by uptime and downtime, 0 to 1; planned and unknown times count neither way. ``None`` without any."""
        up = self.online_ms + self.warning_ms
        return up / (up + self.offline_ms) if up + self.offline_ms else None

    @property
    def unplanned(self) -> tuple[Outage, ...]:
        """The outages nobody had planned."""
        return tuple(outage for outage in self.outages if not outage.planned)

    @property
    def mean_time_to_repair(self) -> Duration | None:
        """How long an outage that ended lasted on average, from its beginning (MTTR), planned ones apart.

        ``None`` if none ended.
        """
        ended = [outage.ended_ms - outage.began_ms for outage in self.unplanned if outage.ended_ms is not None]
        return to_duration(sum(ended) // len(ended)) if ended else None

    @property
    def mean_time_between_failures(self) -> Duration | None:
        """Uptime by the number of outages that began in the report (MTBF), planned ones apart; ``None`` if none did."""
        failures = sum(not outage.carried_over for outage in self.unplanned)
        return to_duration((self.online_ms + self.warning_ms) // failures) if failures else None


@attrs.frozen(kw_only=True, eq=False)
class AvailabilityReport:
    """What a time was like; iterating gives the machines.

    Attributes:
        since: Its beginning (UTC).
        until: Its end.
        machines: `MachineAvailability` by machine id, sorted by id.
        transitions: The changes of status of the time, in their order.
        fleet_events: The cascades and silences of the fleet.
        note: What a reader must know to believe it; empty if nothing.
    """

    since_ms: int = field(alias="since")
    until_ms: int = field(alias="until")
    machines: Mapping[str, MachineAvailability] = field(converter=frozen_mapping)
    transitions: tuple[Transition, ...] = ()
    fleet_events: tuple[CascadeDetected | FleetSilent, ...] = ()
    note: str = ""

    @property
    def since(self) -> DateTime:
        """Its beginning, UTC."""
        return to_datetime(self.since_ms)

    @property
    def until(self) -> DateTime:
        """Its end, UTC."""
        return to_datetime(self.until_ms)

    @property
    def summary(self) -> str:
        """One sentence."""
        outages = sum(len(machine.unplanned) for machine in self)
        down = sum(any(outage.ended_ms is None for outage in machine.unplanned) for machine in self)
        parts = [
            f"{counted(len(self), 'machine')} in {said(self.until_ms - self.since_ms)}",
            counted(outages, "outage"),
        ]
        parts += [f"{down} offline at the end"] if down else []
        parts += [counted(len(self.fleet_events), "event") + " of the whole fleet"] if self.fleet_events else []
        return ", ".join(parts)

    def __getitem__(self, machine_id: str) -> MachineAvailability:
        return self.machines[machine_id]

    def __iter__(self) -> Iterator[MachineAvailability]:
        return iter(self.machines.values())

    def __len__(self) -> int:
        return len(self.machines)

    def __repr__(self) -> str:
        return f"<AvailabilityReport {to_iso(self.since_ms)} to {to_iso(self.until_ms)}: {self.summary}>"

    def __str__(self) -> str:
        return self.text()

    def text(self) -> str:
        """The report for people: a headline and a table, for a mail or a log."""
        columns, rows = self.rows()
        table = [columns, *rows]
        widths = [max(map(len, column)) for column in zip(*table, strict=True)]
        lines = ["  ".join(map(str.ljust, line, widths)).rstrip() for line in table]
        head = f"{to_iso(self.since_ms)} to {to_iso(self.until_ms)}: {self.summary}"
        events = [repr(event)[1:-1] for event in self.fleet_events]
        return "\n".join([head, *([self.note] if self.note else []), "", *lines, *([""] if events else []), *events])

    def rows(self) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
        """The columns, and a row a machine."""
        return ("machine", "status", "available", "outages", "longest", "offline", "planned", "unknown"), [
            (
                machine.machine_id,
                str(machine.status),
                "–" if machine.availability is None else f"{_percent(machine.availability)} %",
                str(len(machine.unplanned)),
                said(max((outage.offline_ms for outage in machine.unplanned), default=None)),
                said(machine.offline_ms),
                said(machine.planned_ms),
                said(machine.unknown_ms),
            )
            for machine in self
        ]

    def to_pandas(self) -> pandas.DataFrame:
        """One row a machine, indexed by machine id; times are Timedeltas, ``availability`` is 0 to 1 or NaN.

        Raises:
            MissingDependencyError: pandas is not installed.
        """
        from heartbeat_kit._tables import import_pandas  # noqa: PLC0415 - pandas is optional

        pd = import_pandas()
        spans = ("online", "warning", "offline", "planned", "unknown")
        columns: dict[str, Any] = {
            "status": [str(machine.status) for machine in self],
            "availability": pd.array([machine.availability for machine in self], dtype="float64"),
            "outages": [len(machine.unplanned) for machine in self],
            **{name: [getattr(machine, f"{name}_ms") for machine in self] for name in spans},
        }
        frame: pandas.DataFrame = pd.DataFrame(columns, index=pd.Index(list(self.machines), name="machine_id"))
        for name in spans:
            frame[name] = pd.to_timedelta(frame[name], unit="ms")
        return frame

    def __wire__(self, _locale: str) -> dict[str, Any]:
        """The shape of `to_wire`."""
        return {
            "success": True,
            "since": to_iso(self.since_ms),
            "until": to_iso(self.until_ms),
            "machines": {machine.machine_id: _machine(machine) for machine in self},
            "fleetEvents": [event.id for event in self.fleet_events],
            "note": self.note or None,
            "message": self.summary,
        }

    def _repr_html_(self) -> str:
        from heartbeat_kit._tables import html_table  # noqa: PLC0415 - for notebooks only

        return html_table(*self.rows(), caption=self.summary)

    def __rich__(self) -> Any:
        from heartbeat_kit._tables import rich_table  # noqa: PLC0415 - rich is optional

        return rich_table(*self.rows(), caption=self.summary)


def _percent(share: float) -> str:
    """Rounded down, so that 100 means that nothing was missing.

    >>> _percent(1.0), _percent(0.99999), _percent(0.5)
    ('100', '99.99', '50.00')
    """
    return "100" if share == 1 else f"{int(share * 10_000) / 100:.2f}"


def _machine(machine: MachineAvailability) -> dict[str, Any]:
    return {
        "status": str(machine.status),
        "availability": machine.availability,
        "onlineMs": machine.online_ms,
        "warningMs": machine.warning_ms,
        "offlineMs": machine.offline_ms,
        "plannedMs": machine.planned_ms,
        "unknownMs": machine.unknown_ms,
        "outages": [
            {
                "began": to_iso(outage.began_ms),
                "ended": None if outage.ended_ms is None else to_iso(outage.ended_ms),
                "offlineMs": outage.offline_ms,
                "planned": outage.planned,
            }
            for outage in machine.outages
        ],
    }
