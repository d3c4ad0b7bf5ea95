"""Faults: what happens to which machine when, as frozen values.

Owns the faults, the checks of a list of them and the machines' true lives that follow from it. Must not know how a
fault is brought about.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import pairwise
from typing import Final

import attrs
from attrs import field

from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import InvalidConfigurationError, UnknownMachineError
from heartbeat_kit.lab._lengths import length_ms, optional_length_ms, signed_ms
from heartbeat_kit.lab._quality import Span

__all__ = [
    "Crash",
    "DiskFull",
    "Dst",
    "Fault",
    "IdentityClone",
    "Leave",
    "Partition",
    "Pause",
    "Skew",
    "Stall",
    "Suspend",
    "UploadPause",
    "WallJump",
    "check_faults",
    "first_start_ms",
    "lives",
    "spans_of",
]


@attrs.frozen
class _Fault:
    """Something that happens to one machine.

    Attributes:
        machine: Its id.
    """

    machine: str = field(converter=normalize_machine_id)


@attrs.frozen
class _Moment(_Fault):
    at_ms: int = field(alias="at", converter=length_ms, kw_only=True)


@attrs.frozen
class _OpenSpan(_Moment):
    """From `at`, until `until` or the end of the run; seconds or timedeltas since the start of the run."""

    until_ms: int | None = field(alias="until", default=None, converter=optional_length_ms, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _must_last(self, self.at_ms, self.until_ms)


@attrs.frozen
class _ClosedSpan(_Moment):
    """From `at` until `until`; seconds or timedeltas since the start of the run."""

    until_ms: int = field(alias="until", converter=length_ms, kw_only=True)

    def __attrs_post_init__(self) -> None:
        _must_last(self, self.at_ms, self.until_ms)


def _must_last(fault: _Fault, at_ms: int, until_ms: int | None) -> None:
    if until_ms is not None and until_ms <= at_ms:
        raise InvalidConfigurationError(
            f"{type(fault).__name__} of {fault.machine} ends at {until_ms / 1000:g} s: expected a time after its "
            f"beginning at {at_ms / 1000:g} s"
        )


class Crash(_OpenSpan):
    """The process is killed (SIGKILL); with `until` a new one starts then, as a new life."""


class Leave(_OpenSpan):
    """The service stops with a goodbye; with `until` a new one starts then."""


class Pause(_ClosedSpan):
    """The process is stopped (SIGSTOP): both its clocks go on, nothing in it runs."""


class Suspend(_ClosedSpan):
    """The host sleeps: its wall clock goes on, its monotonic clock, its processes and its sync client do not."""


class Partition(_ClosedSpan):
    """The machine is cut off from the medium: what it reads and writes fails. The machine is alive."""


class DiskFull(_ClosedSpan):
    """What the machine writes fails, what it reads does not. The machine is alive."""


class Stall(_ClosedSpan):
    """The machine's sync client downloads nothing."""


class UploadPause(_ClosedSpan):
    """The machine's sync client uploads nothing. No observer can tell this from a dead machine."""


@attrs.frozen
class Skew(_Fault):
    """The machine's wall clock is ahead by so many seconds from the beginning, or behind if negative."""

    seconds_ms: int = field(alias="seconds", converter=signed_ms)


@attrs.frozen
class WallJump(_Moment):
    """The machine's wall clock is set forward by so many seconds, or back if negative."""

    seconds_ms: int = field(alias="seconds", converter=signed_ms, kw_only=True)


@attrs.frozen
class Dst(_OpenSpan):
    """A host whose wall clock wrongly follows daylight saving: forward by an hour, with `until` back again then."""

    seconds_ms: int = field(alias="seconds", default=3600, converter=signed_ms, kw_only=True)


@attrs.frozen
class IdentityClone(_ClosedSpan):
    """Another host beats under the id of a machine. `machine` is the host's own name, no machine of the fleet."""

    clone_of: str = field(converter=normalize_machine_id, kw_only=True)


Fault = (
    Crash | DiskFull | Dst | IdentityClone | Leave | Partition | Pause | Skew | Stall | Suspend | UploadPause | WallJump
)
"""Whatever can happen."""

_NOT_ALIVE: Final = (Crash, Leave, Pause, Suspend)


def check_faults(faults: Iterable[Fault], machines: Collection[str], duration_ms: int) -> tuple[Fault, ...]:
    """The faults as a tuple, if they can happen.

    Raises:
        UnknownMachineError: To a machine that is not there.
        InvalidConfigurationError: What is no fault, begins after the run, ends a life that has ended, gives a machine
            two skews, clones a machine by one of the fleet, or lets one host be two clones at once.
    """
    given = tuple(faults)
    for fault in given:
        if not isinstance(fault, Fault):
            raise InvalidConfigurationError(f"{fault!r} is no fault: expected one such as Crash('m1', at=60)")
        clone = isinstance(fault, IdentityClone)
        concerned = fault.clone_of if isinstance(fault, IdentityClone) else fault.machine
        if concerned not in machines:
            raise UnknownMachineError(
                f"{type(fault).__name__} of {concerned!r}, which is not in the fleet: expected one of "
                f"{', '.join(machines)}",
                machine_id=concerned,
            )
        if clone and fault.machine in machines:
            raise InvalidConfigurationError(
                f"{fault.machine} is a machine of the fleet: a clone is another host, give it another name"
            )
        if not isinstance(fault, Skew) and fault.at_ms >= duration_ms:
            raise InvalidConfigurationError(
                f"{type(fault).__name__} of {fault.machine} at {fault.at_ms / 1000:g} s would never happen: the run "
                f"ends at {duration_ms / 1000:g} s"
            )
    _check_skews([fault for fault in given if isinstance(fault, Skew)])
    _check_clones([fault for fault in given if isinstance(fault, IdentityClone)])
    ending = [fault for fault in given if isinstance(fault, _NOT_ALIVE)]
    for machine in sorted({fault.machine for fault in ending}):
        mine = sorted((fault for fault in ending if fault.machine == machine), key=lambda fault: fault.at_ms)
        for first, second in pairwise(mine):
            if first.until_ms is None or second.at_ms < first.until_ms:
                raise InvalidConfigurationError(
                    f"{type(second).__name__} of {machine} at {second.at_ms / 1000:g} s: it is not alive then, because "
                    f"of its {type(first).__name__} at {first.at_ms / 1000:g} s; let one end before the next begins"
                )
    return given


def _check_skews(skews: Sequence[Skew]) -> None:
    names = [skew.machine for skew in skews]
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidConfigurationError(
            f"{', '.join(twice)} has two skews: give one, or a WallJump for what comes later"
        )


def _check_clones(clones: Sequence[IdentityClone]) -> None:
    """A host has one identity, and one process at a time: the end of one clone would be the end of the other."""
    for first, second in pairwise(sorted(clones, key=lambda clone: (clone.machine, clone.at_ms))):
        if first.machine != second.machine:
            continue
        if first.clone_of != second.clone_of:
            raise InvalidConfigurationError(
                f"{first.machine} would be a clone of {first.clone_of} and of {second.clone_of}: "
                "a host beats under one id, give the second clone another name"
            )
        if second.at_ms < first.until_ms:
            raise InvalidConfigurationError(
                f"IdentityClone {second.machine} at {second.at_ms / 1000:g} s: it beats already, from "
                f"{first.at_ms / 1000:g} s to {first.until_ms / 1000:g} s; let one end before the next begins, or give "
                "it another name"
            )


def spans_of(faults: Iterable[Fault], kinds: tuple[type, ...], machine: str, duration_ms: int) -> list[Span]:
    """When faults of these kinds hold for a machine."""
    return [
        Span(fault.at_ms, duration_ms if fault.until_ms is None else fault.until_ms)
        for fault in faults
        if isinstance(fault, kinds) and fault.machine == machine and isinstance(fault, _OpenSpan | _ClosedSpan)
    ]


def first_start_ms(faults: Iterable[Fault], machine: str, planned_ms: int, duration_ms: int) -> int:
    """When a machine starts that should at `planned_ms`: then, or when what keeps it from living is over."""
    start_ms = planned_ms
    for gap in sorted(spans_of(faults, _NOT_ALIVE, machine, duration_ms)):
        if gap.start_ms <= start_ms < gap.end_ms:
            start_ms = gap.end_ms
    return start_ms


def lives(faults: Sequence[Fault], began_ms: Mapping[str, int], duration_ms: int) -> dict[str, tuple[Span, ...]]:
    """When each machine id was alive, that is, when somebody beat under it.

    Args:
        faults: What happened.
        began_ms: When each machine started.
        duration_ms: Length of the run.
    """
    found: dict[str, tuple[Span, ...]] = {}
    for machine, start_ms in began_ms.items():
        spans, here_ms = [], start_ms
        for gap in sorted(spans_of(faults, _NOT_ALIVE, machine, duration_ms)):
            spans.append(Span(here_ms, gap.start_ms))
            here_ms = max(gap.end_ms, here_ms)
        spans.append(Span(here_ms, duration_ms))
        spans += [
            Span(fault.at_ms, fault.until_ms)
            for fault in faults
            if isinstance(fault, IdentityClone) and fault.clone_of == machine
        ]
        found[machine] = tuple(sorted(span for span in spans if span.end_ms > span.start_ms))
    return found
