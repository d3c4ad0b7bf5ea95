"""SIGKILL before every change a sync makes: the old tree or the new one, nothing lost, nothing of ours left behind."""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork and SIGKILL"),
]

KILLS = str(Path(__file__).with_name("sync_kills.py"))


@pytest.mark.parametrize("scenario", ["online", "offline", "rollback"])
def test_a_kill_before_any_change_leaves_the_old_tree_or_the_new(memory, scenario):
    """Then `recover()`, the next run, a plan that is empty, a backup that verifies, a rollback to exactly the old."""
    ran = subprocess.run(
        [sys.executable, KILLS, str(memory), scenario], capture_output=True, text=True, timeout=600, check=False
    )
    assert ran.returncode == 0, ran.stderr
    figures = json.loads(ran.stdout)
    assert figures["kills"] == sum(figures["events"].values())
    assert figures["kills"] > 200
    assert figures["paths"] >= 12
    assert figures["states"] > 60
    assert figures["old"] > 0, "no kill came before the commit point"
    assert figures["finished by recover"] > 0, "no kill came after the commit point"
