"""What the tests of real processes share."""

import os
import tempfile
from pathlib import Path

import pytest


@pytest.fixture
def memory(tmp_path):
    """A folder in memory if that can be: a kill leaves what the kernel has, whatever the disk has by then."""
    place = "/dev/shm"  # noqa: S108 - the folder made in it has a name of its own
    if not os.access(place, os.W_OK):
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=place) as folder:
        yield Path(folder)
