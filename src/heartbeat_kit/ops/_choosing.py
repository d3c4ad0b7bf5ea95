"""`available` and `least_loaded`: to whom work can be given. Pure.

Owns what makes a machine fit for work, and how a load is read from its metadata. Must not know where a state is from.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Callable
from decimal import Decimal
from numbers import Real
from typing import Any

from heartbeat_kit._models import FleetState, MachineState, ObserverHealth
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.errors import InvalidConfigurationError, NoMachineAvailableError

__all__ = ["available", "least_loaded"]

Where = Callable[[dict[str, Any]], object]
Load = Callable[[MachineState], float | None]


def available(state: FleetState, *, where: Where | None = None) -> tuple[MachineState, ...]:
    """The machines that work can be given to, sorted by id.

    A machine is available if it is online and nothing speaks against it: it is in no maintenance window, it is not
    flapping, and no two hosts claim to be it. Of a blind observer's state nobody is: what it says is old.

    Args:
        state: Of the fleet.
        where: Asked with the metadata of each, whether it will do.

    >>> from heartbeat_kit import HeartbeatService, MemoryStorage
    >>> service = HeartbeatService(MemoryStorage(), machine_id="scheduler")
    >>> for name, gpu in (("pc-1", True), ("pc-2", False)):
    ...     _ = service.register({"gpu": gpu}, machine_id=name)
    >>> [machine.machine_id for machine in available(service.state(), where=lambda metadata: metadata.get("gpu"))]
    ['pc-1']
    """
    return tuple(
        machine for machine in state if not _against(machine, state) and (where is None or where(machine.metadata))
    )


def least_loaded(
    state: FleetState,
    load: str | Load = "load",
    *,
    where: Where | None = None,
    sample: int | None = None,
    rng: random.Random | None = None,
) -> MachineState:
    """The available machine with the smallest load; of equals the first by id.

    A load in metadata is as old as the heartbeat that brought it, so whoever always takes the smallest sends everything
    to one machine until its next beat. Taking the better of two drawn at random (``sample=2``) keeps nearly all of the
    advantage without that (M. Mitzenmacher, *How Useful Is Old Information?*, IEEE TPDS 11(1), 2000).

    Args:
        state: Of the fleet.
        load: Where in the metadata its load is, as a key or keys joined by dots (``cpu.percent``); or a function of the
            machine. A machine without a finite number there is passed over: nobody knows its load.
        where: As for `available`.
        sample: Take the best of so many drawn at random, instead of all.
        rng: Draws; by default the generator of the module `random`.

    Raises:
        NoMachineAvailableError: There is none; the message says what speaks against each.
        InvalidConfigurationError: `sample` is no positive number, or `load` neither a key nor a function.

    >>> from heartbeat_kit import HeartbeatService, MemoryStorage
    >>> service = HeartbeatService(MemoryStorage(), machine_id="scheduler")
    >>> for name, percent in (("pc-1", 80), ("pc-2", 15), ("pc-3", 40)):
    ...     _ = service.register({"cpu": {"percent": percent}}, machine_id=name)
    >>> least_loaded(service.state(), "cpu.percent").machine_id
    'pc-2'
    """
    if sample is not None and (type(sample) is not int or sample < 1):
        raise InvalidConfigurationError(f"sample is {sample!r:.80}: expected a whole number of at least 1")
    if not callable(load) and not isinstance(load, str):
        raise InvalidConfigurationError(f"load is {load!r:.80}: expected a key of the metadata, or a function")
    of = load if callable(load) else _reader(load)
    loads = {machine.machine_id: found for machine in available(state, where=where) if (found := _number(of(machine)))}
    if not loads:
        raise NoMachineAvailableError(_nobody(state, load if isinstance(load, str) else "a load"))
    names = list(loads)
    if sample is not None and sample < len(names):
        names = sorted((rng or random).sample(names, sample))
    return state.machines[min(names, key=loads.__getitem__)]


def _against(machine: MachineState, state: FleetState) -> str:
    """What speaks against giving it work; empty if nothing does."""
    if state.observer.health is ObserverHealth.BLIND or machine.stale:
        return "not seen, the observer is blind"
    if machine.status is not MachineStatus.ONLINE:
        return str(machine.status)
    if machine.in_maintenance:
        return "in maintenance"
    if machine.flapping:
        return "flapping"
    return "in an identity conflict" if machine.identity_conflict else ""


def _reader(path: str) -> Load:
    def read(machine: MachineState) -> Any:
        found: Any = machine.metadata
        for key in path.split("."):
            found = found.get(key) if isinstance(found, dict) else None
        return found

    return read


def _number(value: Any) -> tuple[float] | None:
    """A finite number of whichever kind, in a tuple because zero is one too."""
    try:
        number = float(value) if isinstance(value, Real | Decimal) and not isinstance(value, bool) else math.nan
    except (ValueError, OverflowError):  # larger than any that is a load
        return None
    return (number,) if math.isfinite(number) else None


def _nobody(state: FleetState, load: str) -> str:
    why = Counter(_against(machine, state) or f"not wanted, or without {load} in their metadata" for machine in state)
    counts = ", ".join(f"{count} {reason}" for reason, count in sorted(why.items()))
    return f"no machine is available: {counts or 'nobody has registered'}"
