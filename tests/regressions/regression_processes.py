"""Real processes for the regression tests: children that say what happens to them, one JSON object a line."""

import json
import os
import subprocess
import sys
import textwrap
import threading
import time


class Child:
    """A Python process running a script; what it prints is collected as it comes."""

    def __init__(self, script, *arguments):
        self.process = subprocess.Popen(
            [sys.executable, "-W", "error", "-c", textwrap.dedent(script), *map(str, arguments)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONUNBUFFERED": "1"},
        )
        self.said = []
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self):
        for line in self.process.stdout:
            self.said.append(json.loads(line))

    def kill(self):
        """SIGKILL: no goodbye, no clean-up."""
        self.process.kill()
        self.end()

    def end(self):
        """Close its input, which it takes for the end, and wait; returns its exit code and what it said on stderr."""
        self.process.stdin.close()
        code = self.process.wait(30)
        self._reader.join(10)
        errors = self.process.stderr.read()
        self.process.stdout.close()
        self.process.stderr.close()
        return code, errors

    @property
    def is_open(self):
        return not self.process.stdout.closed


def until(condition, seconds):
    """Poll until `condition()` holds; false if it did not in time."""
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        threading.Event().wait(0.02)
    return True
