"""`simulate`: a fleet on a medium with faults, in virtual time, with the real service on every machine.

Owns what the words of a call mean and which of them are refused. The run itself is `_stage`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

from heartbeat_kit._config import HeartbeatConfig
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit._requirements import require_config
from heartbeat_kit.errors import InvalidConfigurationError, UnknownMachineError
from heartbeat_kit.lab._faults import (
    Fault,
    check_faults,
)
from heartbeat_kit.lab._host import OnStart
from heartbeat_kit.lab._lengths import Length, length_ms
from heartbeat_kit.lab._medium import Medium
from heartbeat_kit.lab._run import Run
from heartbeat_kit.lab._stage import Stage

__all__ = ["simulate"]


def simulate(
    machines: int | Iterable[str],
    medium: Medium,
    faults: Iterable[Fault] = (),
    *,
    duration: Length,
    seed: int = 0,
    observers: int | str | Iterable[str] = 1,
    config: HeartbeatConfig | None = None,
    directory: str | Path | None = None,
    on_start: OnStart | None = None,
) -> Run:
    """Let a fleet live through `duration` of virtual time.

    On every machine runs a real `HeartbeatService` under a clock of its own. Observers look every `check_interval`
    and keep a ledger of their own; the others only beat. Machines start at a random moment of the first heartbeat
    interval, so they do not beat in step. Equal arguments give equal runs, to the byte (`Run.digest`).

    Args:
        machines: How many (``m1``, ``m2``, …), or their ids.
        medium: What the records travel on.
        faults: What happens.
        duration: How long; seconds or a timedelta.
        seed: Decides everything that is drawn.
        observers: The first so many machines, some by id, or ``"all"``.
        config: The timings of everybody.
        directory: A new or empty directory: every machine gets a real `SharedFolderStorage` on a folder of its own
            there, and the medium copies files between them. By default all that is in memory; the deliveries are the
            same.
        on_start: Called with each service and the name of its host before it starts, in every life: subscribe,
            record.

    Raises:
        InvalidConfigurationError: Something that cannot be; the message names it.
        UnknownMachineError: A fault or an observer that is no machine of the fleet.

    >>> from heartbeat_kit.lab import Crash, Medium, simulate
    >>> run = simulate(3, Medium.nfs(), [Crash("m2", at=600)], duration=1200)
    >>> [(second // 60, str(status)) for second, status in run.timeline("m1", "m2")]
    [(0.0, 'unknown'), (0.0, 'online'), (12.0, 'warning'), (14.0, 'offline')]
    """
    names, watching = _ids(machines, observers)
    if not isinstance(faults, Iterable):
        raise InvalidConfigurationError(f"faults is {faults!r:.80}: expected several, such as [Crash('m1', at=60)]")
    if not isinstance(medium, Medium):
        raise InvalidConfigurationError(f"medium is {medium!r:.80}: expected a Medium, such as Medium.coherent()")
    duration_ms = length_ms(duration)
    if not duration_ms:
        raise InvalidConfigurationError("duration is 0: a run needs time to pass")
    given = check_faults(faults, names, duration_ms)
    stage = Stage(
        names, watching, medium, given, duration_ms=duration_ms, seed=seed, config=require_config(config),
        directory=_empty_directory(directory), on_start=on_start,
    )  # fmt: skip
    try:
        stage.play()
        return stage.outcome()
    finally:
        stage.close()


def _ids(
    machines: int | Iterable[str], observers: int | str | Iterable[str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    if isinstance(machines, str):
        raise InvalidConfigurationError(f"machines is {machines!r}: expected a number, or a list of ids")
    given = [f"m{number}" for number in range(1, machines + 1)] if isinstance(machines, int) else machines
    names = tuple(normalize_machine_id(name) for name in given)
    if twice := sorted({name for name in names if names.count(name) > 1}):
        raise InvalidConfigurationError(f"{', '.join(twice)} given twice: every machine needs its own id")
    if isinstance(observers, int):
        watching: Sequence[str] = names[: max(observers, 0)]
        wanted = observers
    else:
        named = names if observers == "all" else [observers] if isinstance(observers, str) else observers
        watching = tuple(dict.fromkeys(normalize_machine_id(name) for name in named))
        wanted = len(watching)
    if not names or not watching or wanted != len(watching):
        raise InvalidConfigurationError(
            f"{len(names)} machines and {wanted} observers: expected at least one of each, and observers among them"
        )
    if strangers := [name for name in watching if name not in names]:
        raise UnknownMachineError(
            f"observer {strangers[0]!r} is not in the fleet: expected some of {', '.join(names)}",
            machine_id=strangers[0],
        )
    return names, tuple(watching)


def _empty_directory(directory: str | Path | None) -> Path | None:
    if directory is None:
        return None
    path = Path(directory).absolute()
    try:
        path.mkdir(parents=True, exist_ok=True)
        used = any(path.iterdir())
    except OSError as error:
        raise InvalidConfigurationError(f"directory {path} cannot be used: {error}") from error
    if used:
        raise InvalidConfigurationError(f"{path} is not empty: what an earlier run left would be seen by this one")
    return path
