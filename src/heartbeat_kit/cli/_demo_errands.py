"""The errands of the demo: real `heartbeat-kit sync` processes, one for each.

Owns these processes, and that none of them is left. Must not know the play.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import sys
import threading
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, Final, NamedTuple

from heartbeat_kit.cli._demo_site import Site

__all__ = ["AT_ONCE", "Answer", "Errands", "answer_of"]

AT_ONCE: Final = 4
"""So many run; more would only slow each other down, and the machines that beat."""


class Answer(NamedTuple):
    """How an errand ended.

    Attributes:
        machine_id: Who was sent.
        asked: What it was asked, as it would be typed.
        code: The exit code.
        result: What it printed.
        errors: What it said on standard error.
    """

    machine_id: str
    asked: str
    code: int
    result: Mapping[str, Any]
    errors: str


class Errands:
    """Runs them, a few at once.

    Args:
        site: Where the machines' folders are.
        environment: Of the processes.
        timing: The arguments that say what a silence is.
    """

    def __init__(self, site: Site, environment: Mapping[str, str], timing: tuple[str, ...]) -> None:
        self._site = site
        self._environment = environment
        self._timing = timing
        self._pool = ThreadPoolExecutor(AT_ONCE, thread_name_prefix="demo-errand")
        self._running: set[subprocess.Popen[str]] = set()
        self._lock = threading.Lock()
        self._ended = False

    def send(self, machine_id: str, *arguments: str) -> Future[Answer]:
        """Run `heartbeat-kit sync` as a machine; the answer comes when it has ended."""
        return self._pool.submit(self._run, machine_id, arguments)

    def stop(self) -> None:
        """End what still runs. A sync may be killed at any point, and nobody needs the answer any more."""
        with self._lock:
            self._ended = True
            for process in self._running:
                process.kill()
        self._pool.shutdown(cancel_futures=True)

    def _run(self, machine_id: str, arguments: tuple[str, ...]) -> Answer:
        command = [sys.executable, "-m", "heartbeat_kit", *self.arguments(machine_id, *arguments)]
        with self._lock:
            if self._ended:
                return answer_of(machine_id, arguments, 1, "", "the demo had ended")
            process = subprocess.Popen(  # noqa: S603 - our own interpreter and our own arguments
                command,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                encoding="utf-8",
                env={**self._environment, "PYTHONIOENCODING": "utf-8"},
            )
            self._running.add(process)
        try:
            printed, errors = process.communicate()
        finally:
            with self._lock:
                self._running.discard(process)
        return answer_of(machine_id, arguments, process.returncode, printed, errors)

    def arguments(self, machine_id: str, *arguments: str) -> list[str]:
        """The whole command line of an errand, after the program's name."""
        site = self._site
        return [
            *("sync", *arguments, "--json", "--storage", site.url, "--machine-id", machine_id),
            *("--workspace", str(site.workspace(machine_id)), "--shared", str(site.share)),
            *("--state-dir", str(site.state), *self._timing),
        ]


def answer_of(machine_id: str, arguments: tuple[str, ...], code: int, printed: str, errors: str) -> Answer:
    """The answer in what a process printed; no JSON is no answer."""
    try:
        result = json.loads(printed)
    except ValueError:
        result = None
    asked = shlex.join(("sync", *arguments))
    return Answer(machine_id, asked, code, result if isinstance(result, dict) else {}, errors.strip())
