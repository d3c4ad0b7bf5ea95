"""One process of a race of syncs: told what to do line by line, it answers with a line of JSON each.

Owns the process and the place of its run where it stops itself. ``python sync_racer.py HOME NAME STATE PATIENCE_MS``;
each line of its input is ``offline ID``, ``online ID``, ``recover``, or ``stop EVENT PATH`` (stop the next run with
SIGSTOP before that change). Its clock stands at a time at which every machine that beats at ``NOW_MS`` is online.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import sys
import traceback
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from sync_shares import POLICY, umask

from heartbeat_kit import Heartbeat, HeartbeatService, SharedFolderStorage, SyncCoordinator
from heartbeat_kit._clock import SystemClock
from heartbeat_kit.errors import HeartbeatKitError
from heartbeat_kit.sync import _wiring
from heartbeat_kit.sync._fence import EpochFence
from heartbeat_kit.sync._real_tree import AUDIT_PREFIX
from heartbeat_kit.testing import FakeClock

NOW = datetime(2026, 1, 1, tzinfo=UTC)
NOW_MS = int(NOW.timestamp() * 1000)
LONG_AGO_MS = NOW_MS - 3_600_000


class StandingClock(FakeClock):
    """A wall clock that stands, so that all agree who is online; waiting takes real time."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self._real = SystemClock()

    def now(self) -> Any:
        return super().now()._replace(mono_ms=self._real.now().mono_ms)

    def wait(self, event: Any, timeout_ms: int) -> bool:
        return self._real.wait(event, timeout_ms)


def beat(share: Path, machine_id: str, at_ms: int, seq: int = 1) -> None:
    """Put a heartbeat of a machine into the share, as if it had sent it then."""
    storage = SharedFolderStorage(share, propagation_delay=timedelta(0), time_budget=None)
    storage.put(Heartbeat(machine_id=machine_id, last_heartbeat=at_ms, incarnation=1, seq=seq, interval=30_000))
    storage.close()


def service(share: Path, name: str, state: Path, clock: Any = None) -> HeartbeatService:
    """Who looks at the heartbeats, on a share where every write is seen at once."""
    storage = SharedFolderStorage(share, propagation_delay=timedelta(0), time_budget=None)
    return HeartbeatService(storage, clock=clock or StandingClock(), machine_id=name, state_dir=state / "beats")


class Stop:
    """Stops this process before a change."""

    def __init__(self) -> None:
        self.wanted: Callable[[str, str], bool] | None = None
        self.told: list[tuple[str, str]] = []

    def __call__(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event.startswith(AUDIT_PREFIX):
            what, path = event.removeprefix(AUDIT_PREFIX), " ".join(map(str, arguments[1:]))
            self.told.append((what, path))
            if self.wanted is not None and self.wanted(what, path):
                self.wanted = None
                os.kill(os.getpid(), signal.SIGSTOP)


def answer(line: str, make: Callable[[], SyncCoordinator], stop: Stop) -> dict[str, Any]:
    """Do what a line says."""
    word, *rest = line.split()
    if word == "stop":
        number = int(rest[0])
        begun = len(stop.told)
        stop.wanted = lambda what, path: len(stop.told) - begun == number
        return {"said": "ok"}
    if word == "told":
        told, stop.told = stop.told, []
        return {"told": told}
    try:
        coordinator = make()
        if word == "recover":
            return {"outcome": "recovered", "plan": coordinator.recover().plan_id}
        report = (coordinator.sync_on_offline if word == "offline" else coordinator.sync_on_online)(*rest)
    except HeartbeatKitError as error:
        cause = "" if error.__cause__ is None else type(error.__cause__).__name__
        return {"outcome": type(error).__name__, "cause": cause, "message": str(error)}
    return {
        "outcome": str(report.outcome),
        "changes": repr(report.changes),
        "backup": report.backup_path,
        "verified": report.backup_created,
        "pending": list(report.pending),
        "transition": report.transition_id,
        "note": report.note,
    }


def main() -> None:
    """Answer until the input ends."""
    umask()
    home, name, state, patience_ms = Path(sys.argv[1]), sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    _wiring.EpochFence = functools.partial(EpochFence, patience_ms=patience_ms)
    stop = Stop()
    sys.addaudithook(stop)
    me = service(home / "share", name, state)

    @functools.cache
    def make() -> SyncCoordinator:
        return SyncCoordinator(
            me, workspace=home / name, shared=home / "share", state_dir=state, policy=POLICY, backups=None
        )

    sys.stdout.write("ready\n")
    sys.stdout.flush()
    for line in sys.stdin:
        try:
            said = answer(line, make, stop)
        except BaseException:  # noqa: BLE001 - the parent shows it
            said = {"outcome": "traceback", "message": traceback.format_exc()}
        sys.stdout.write(json.dumps(said) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    main()
