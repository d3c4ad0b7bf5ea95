"""Real system calls fail or are the last one: each write, fsync, rename, removal and directory of a sync in turn."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.slow

INJECTIONS = str(Path(__file__).with_name("sync_injections.py"))


def why_not():
    """Why no process can be traced here; empty if one can."""
    if not sys.platform.startswith("linux"):
        return "strace is for Linux"
    if shutil.which("strace") is None:
        return "strace is not installed"
    tried = subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, text=True, check=False)
    return "" if tried.returncode == 0 else f"strace is refused: {tried.stderr.strip()}"


def test_a_failing_call_is_refused_and_finished_by_the_next_run(memory):
    """ENOSPC, EIO, EACCES and SIGKILL at each call: a typed error or all done; then as after any kill."""
    if reason := why_not():
        pytest.skip(reason)
    ran = subprocess.run(
        [sys.executable, INJECTIONS, str(memory)], capture_output=True, text=True, timeout=900, check=False
    )
    if "NotTracedError" in ran.stderr:
        pytest.skip(f"strace may not attach: {ran.stderr.splitlines()[-1]}")
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)
    calls = sum(figures["calls"].values())
    assert {"write", "fsync", "renameat2"} <= figures["calls"].keys()
    assert figures["kills"] == 4 * calls > 200
    assert figures["ends"]["SIGKILL killed"] == calls, "a kill that did not come shows nothing"
    for error in ("ENOSPC", "EIO", "EACCES"):
        assert figures["ends"][f"{error} refused"] > calls / 2
    assert figures["old"] > 0
    assert figures["finished by recover"] > 0
