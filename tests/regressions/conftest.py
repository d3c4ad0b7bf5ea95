"""What every regression test may ask for: a clock, and a medium of each kind."""

import pytest
from regression_media import Medium

from heartbeat_kit.testing import FakeClock


@pytest.fixture
def clock():
    return FakeClock()


def _opened(kind, tmp_path, clock):
    medium = Medium(kind, tmp_path, clock)
    yield medium
    medium.close()


@pytest.fixture(params=["memory", "json", "nfs", "synced"])
def medium(request, tmp_path, clock):
    """Every built-in storage, the folder with and without a delay."""
    yield from _opened(request.param, tmp_path, clock)


@pytest.fixture(params=["json", "nfs", "synced"])
def files(request, tmp_path, clock):
    """Every storage that keeps files."""
    yield from _opened(request.param, tmp_path, clock)


@pytest.fixture(params=["nfs", "synced"])
def folder(request, tmp_path, clock):
    """The shared folder."""
    yield from _opened(request.param, tmp_path, clock)
