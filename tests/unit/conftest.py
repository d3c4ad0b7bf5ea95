"""What tests of one unit share: time that moves on request, and a storage that fails on request.

A module that needs others of the name has its own.
"""

import pytest

from heartbeat_kit import MemoryStorage
from heartbeat_kit.testing import FakeClock, FaultyStorage


@pytest.fixture
def clock():
    return FakeClock()


@pytest.fixture
def storage():
    return FaultyStorage(MemoryStorage())
