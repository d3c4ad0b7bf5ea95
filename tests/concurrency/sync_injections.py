"""Lets the k-th system call of a kind fail, or kills before it, by strace, and looks at what the next run makes of it.

Owns the tracing. It attaches to a forked child that stands still, so the k-th call is counted from the beginning of
the sync, and no interpreter starts. ``python sync_injections.py FOLDER`` prints the figures as JSON, or a traceback.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import subprocess
import sys
import time
import traceback
from collections.abc import Callable
from pathlib import Path

from sync_kills import Campaign

from heartbeat_kit.errors import HeartbeatKitError

CALLS = (
    *("write", "pwrite64", "fsync", "fdatasync", "rename", "renameat", "renameat2"),
    *("link", "linkat", "unlink", "unlinkat", "mkdir", "mkdirat"),
)
EFFECTS = {"ENOSPC": "error=ENOSPC", "EIO": "error=EIO", "EACCES": "error=EACCES", "SIGKILL": "signal=SIGKILL"}
REFUSED = 10
_ANYBODY = ctypes.c_ulong(-1)
_SET_PTRACER = 0x59616D61


class NotTracedError(Exception):
    """A process of this system cannot be traced."""


def traced(act: Callable[[], object], log: str, *options: str) -> int:
    """Run in a forked child under strace; how it ended, as `os.waitpid` says it."""
    child = os.fork()
    if not child:
        code = 1
        try:
            ctypes.CDLL(None).prctl(_SET_PTRACER, _ANYBODY, 0, 0, 0)  # where only descendants may be traced
            os.kill(os.getpid(), signal.SIGSTOP)
            act()
            code = 0
        except HeartbeatKitError:
            code = REFUSED
        except BaseException:  # noqa: BLE001 - a child that raised must not run the rest of its parent
            traceback.print_exc()
        finally:
            os._exit(code)
    os.waitpid(child, os.WUNTRACED)
    tracer = subprocess.Popen(["strace", "-qq", "-o", log, "-p", str(child), *options], stderr=subprocess.PIPE)
    while b"TracerPid:\t0\n" in Path(f"/proc/{child}/status").read_bytes():
        if tracer.poll() is not None:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
            raise NotTracedError(tracer.stderr.read().decode() if tracer.stderr else "")
        time.sleep(0.001)
    os.kill(child, signal.SIGCONT)
    ended = os.waitpid(child, 0)[1]
    tracer.wait()
    if tracer.stderr:
        tracer.stderr.close()
    return ended


class Injections(Campaign):
    """All injections into one run.

    Args:
        place: An empty folder.
    """

    def __init__(self, place: Path) -> None:
        super().__init__(place, "few")
        self.log = str(place / "log")

    def count(self) -> dict[str, int]:
        """How often the run makes each kind of call."""
        self.world.load(self.kept)
        assert traced(self.act, self.log, "-e", f"trace={','.join(CALLS)}") == 0
        made = [line.partition("(")[0] for line in Path(self.log).read_text().splitlines()]
        return {call: made.count(call) for call in CALLS if call in made}

    def all(self) -> dict[str, object]:
        """Inject each effect at each call; the figures."""
        counts = self.count()
        ends: dict[str, int] = {}
        for call, times in counts.items():
            for k in range(1, times + 1):
                for effect, injection in EFFECTS.items():
                    which = f"{effect} at {call} {k}"
                    self.world.load(self.kept)
                    inject = f"inject={call}:{injection}:when={k}"
                    end = self.judge(traced(self.act, "/dev/null", "-e", f"trace={call}", "-e", inject), which)
                    ends[f"{effect} {end}"] = ends.get(f"{effect} {end}", 0) + 1
                    self.figures["kills"] += 1
                    self.look_once(which)
        return {**self.figures, "states": len(self.seen), "ends": ends, "calls": counts}

    def judge(self, ended: int, which: str) -> str:
        """A run ends by the kill, with an error of ours, or with all done; never otherwise."""
        if os.WIFSIGNALED(ended):
            assert os.WTERMSIG(ended) == signal.SIGKILL, which
            assert which.startswith("SIGKILL"), which
            return "killed"
        code = os.waitstatus_to_exitcode(ended)
        assert code in (0, REFUSED), f"{which}: it ended with {code}"
        if code == 0:
            assert self.world.tracked(*self.machines) == self.new, f"{which}: said to be done, but is not"
            backups = list((self.world.share / "backups").glob("online-sync-m1-*.json"))
            for backup in backups:
                self.world.coordinator(self.runner).verify(backup)
            assert len(backups) == len(list((self.kept / "share/backups").glob("online-sync-m1-*.json"))) + 1, which
        return "done" if code == 0 else "refused"


def main() -> None:
    """Print the figures."""
    sys.stdout.write(json.dumps(Injections(Path(sys.argv[1])).all()) + "\n")


if __name__ == "__main__":
    main()
