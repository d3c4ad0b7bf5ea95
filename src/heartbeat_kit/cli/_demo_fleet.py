"""The cast of the demo: one process for each machine, each a real `heartbeat-kit beat --forever --announce`.

Owns the processes, what they print, and that none of them is left, nor of their errands. Must not know the play.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import IO, Any, Final, Protocol

from heartbeat_kit.cli._demo_errands import Answer, Errands
from heartbeat_kit.cli._demo_site import Site

__all__ = ["Fleet", "ProcessFleet"]

_PATIENCE: Final = 10.0
_OUR_VARIABLES: Final = frozenset({"HEARTBEAT_INTERVAL", "OFFLINE_TIMEOUT", "AUTO_SYNC", "HEARTBEAT_STORAGE"})
if sys.platform == "win32":
    _GROUP = subprocess.CREATE_NEW_PROCESS_GROUP  # a polite end is a Ctrl-Break there, and it goes to a whole group
else:
    _GROUP = 0  # the machines stay in our group: whatever the terminal sends to us reaches them too

Event = Mapping[str, Any]


class Fleet(Protocol):
    """The machines as the play needs them."""

    def start(self, machine_id: str, *, leave: bool = False) -> None:
        """Switch a machine on; with `leave` it says goodbye when it is asked to end."""
        ...

    def kill(self, machine_id: str) -> None:
        """End a machine without a warning."""
        ...

    def ask_to_end(self, machine_id: str) -> None:
        """Ask a machine to end in its own way."""
        ...

    def describe(self, machine_id: str) -> str:
        """What became of a machine's process, in a word or two."""
        ...

    def announced_by(self, machine_id: str) -> Sequence[Event]:
        """The events a machine has announced so far, as JSON objects."""
        ...

    def sync(self, machine_id: str, *arguments: str) -> Future[Answer]:
        """Have a machine run `heartbeat-kit sync`."""
        ...

    def accidents(self) -> list[str]:
        """A sentence for each machine that ended or spoke as nobody wanted it to."""
        ...

    def stop(self) -> list[str]:
        """End everybody; a sentence for each machine that did not end well. Safe to call twice."""
        ...


class _Machine:
    """One machine: the process of its current life, and what it said in all of them."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[str]
        self.end = ""
        """How it is meant to have ended: ``killed``, ``ended``, or empty while it should run."""
        self.events: list[Event] = []
        self.noise: list[str] = []
        self.reader: threading.Thread


class ProcessFleet:
    """Machines that are processes of this host.

    Args:
        site: Where they beat, keep their lock and ledger, and write their troubles (``log``).
        beat_seconds: Their interval.
        timeout_seconds: Their T.
    """

    def __init__(self, site: Site, *, beat_seconds: float, timeout_seconds: float) -> None:
        timing = ("--interval", f"{beat_seconds:g}", "--timeout", f"{timeout_seconds:g}")
        self._arguments = [
            *(sys.executable, "-m", "heartbeat_kit", "beat", "--forever", "--announce"),
            *("--storage", site.url, "--state-dir", str(site.state), *timing),
        ]
        self._logs = site.folder / "log"
        self._logs.mkdir()
        self._environment = {name: value for name, value in os.environ.items() if name not in _OUR_VARIABLES}
        self._machines: dict[str, _Machine] = {}
        self._errands = Errands(site, self._environment, timing)

    def start(self, machine_id: str, *, leave: bool = False) -> None:
        """Start its process."""
        machine = self._machines.setdefault(machine_id, _Machine())
        with self._log(machine_id).open("a", encoding="utf-8") as log:
            machine.process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
                [*self._arguments, "--machine-id", machine_id, *(["--leave"] if leave else [])],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=log,
                text=True,
                encoding="utf-8",
                env={**self._environment, "PYTHONIOENCODING": "utf-8"},
                creationflags=_GROUP,
            )
        machine.end = ""
        output = machine.process.stdout
        machine.reader = threading.Thread(
            target=_listen, args=(machine, output), name=f"demo-{machine_id}", daemon=True
        )
        machine.reader.start()

    def kill(self, machine_id: str) -> None:
        """SIGKILL, or what Windows has for it."""
        machine = self._machines[machine_id]
        machine.end = "killed"
        machine.process.kill()
        machine.process.wait(_PATIENCE)

    def ask_to_end(self, machine_id: str) -> None:
        """SIGTERM, or what Windows has for it."""
        machine = self._machines[machine_id]
        machine.end = "ended"
        _ask(machine.process)

    def describe(self, machine_id: str) -> str:
        """The process id, or how it ended."""
        machine = self._machines.get(machine_id)
        if machine is None:
            return "not started"
        if machine.process.poll() is None:
            return f"pid {machine.process.pid}"
        return machine.end or f"died ({machine.process.returncode})"

    def announced_by(self, machine_id: str) -> Sequence[Event]:
        """What its process printed."""
        return tuple(self._machines[machine_id].events)

    def sync(self, machine_id: str, *arguments: str) -> Future[Answer]:
        """A process of its own, beside the one that beats."""
        return self._errands.send(machine_id, *arguments)

    def accidents(self) -> list[str]:
        """Processes that ended by themselves, and output that is no event."""
        found = []
        for machine_id, machine in self._machines.items():
            code = machine.process.poll()
            if code is not None and not machine.end:
                found.append(f"{machine_id} ended by itself with exit code {code}{self._last_words(machine_id)}")
            found += [f"{machine_id} printed {line!r:.200}, which is no event" for line in machine.noise]
        return found

    def stop(self) -> list[str]:
        """Ask everybody at once, then wait; who does not listen is killed, and named."""
        found = []
        self._errands.stop()
        running = {name: machine for name, machine in self._machines.items() if machine.process.poll() is None}
        for machine in running.values():
            machine.end = machine.end or "ended"
            _ask(machine.process)
        for machine_id, machine in self._machines.items():
            try:
                code = machine.process.wait(_PATIENCE)
            except subprocess.TimeoutExpired:
                machine.process.kill()
                machine.process.wait()
                found.append(f"{machine_id} did not end within {_PATIENCE:g} s of being asked to, and was killed")
                continue
            finally:
                machine.reader.join(_PATIENCE)
            if machine.end == "ended" and code != 0:
                found.append(
                    f"{machine_id} was asked to end and did with exit code {code}{self._last_words(machine_id)}"
                )
        return found

    def _log(self, machine_id: str) -> Path:
        return self._logs / f"{machine_id}.txt"

    def _last_words(self, machine_id: str) -> str:
        with contextlib.suppress(OSError):
            lines = self._log(machine_id).read_text(encoding="utf-8", errors="replace").split("\n")
            words = " / ".join(line.strip() for line in lines if line.strip())
            if words:
                return f", saying: {words[-400:]}"
        return ""


def _listen(machine: _Machine, output: IO[str]) -> None:
    with output:
        for line in output:
            try:
                event = json.loads(line)
                machine.events.append({"id": event["id"], "machineId": event.get("machineId", "the fleet"), **event})
            except (ValueError, TypeError, KeyError, AttributeError):
                machine.noise.append(line.rstrip())


def _ask(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(OSError):  # it has ended meanwhile
        if sys.platform == "win32":
            process.send_signal(signal.CTRL_BREAK_EVENT)
        else:
            process.terminate()
