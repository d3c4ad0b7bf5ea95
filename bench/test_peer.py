"""The same fleet of 1,000 on tooz's file driver: the nearest library, with its own idea of a member."""

import itertools
from datetime import timedelta

import pytest

from conftest import fill, heartbeat
from heartbeat_kit import HeartbeatService, SharedFolderStorage
from heartbeat_kit.testing import FakeClock

coordination = pytest.importorskip("tooz.coordination")
pytestmark = pytest.mark.filterwarnings("ignore")
MACHINES = 1_000


@pytest.fixture(scope="module")
def tooz_fleet(tmp_path_factory):
    url = f"file://{tmp_path_factory.mktemp('tooz')}"
    members = []
    for number in range(MACHINES):
        member = coordination.get_coordinator(url, f"machine-{number:06d}".encode())
        member.start()
        if number == 0:
            member.create_group(b"fleet").get()
        member.join_group(b"fleet", capabilities={"role": "web", "version": "3.0.0", "cpuUsage": 45.2}).get()
        members.append(member)
    return members  # never stopped: a thousand orderly stops take minutes, and the folder is thrown away


def test_check_of_1000_beside_tooz(ratio, tmp_path, tooz_fleet):
    fill(tmp_path / "ours", MACHINES)
    storage = SharedFolderStorage(tmp_path / "ours", propagation_delay=timedelta(0))
    service = HeartbeatService(storage, clock=FakeClock(), machine_id="observer", state_dir=tmp_path / "state")
    assert len(tooz_fleet[0].get_members_with_capabilities(b"fleet").get()) == MACHINES
    ratio(
        lambda: service.check(force=True),
        lambda: tooz_fleet[0].get_members_with_capabilities(b"fleet").get(),
        limit=None,
        rounds=15,
    )


def test_beat_beside_tooz(ratio, tmp_path, tooz_fleet):
    """tooz touches a file under a lock; we replace it with the new facts in it."""
    fill(tmp_path / "ours", MACHINES)
    storage = SharedFolderStorage(tmp_path / "ours", propagation_delay=timedelta(0), time_budget=None)
    seq = itertools.count(2)
    ratio(lambda: storage.put(heartbeat(3, next(seq))), tooz_fleet[3].heartbeat, limit=None, rounds=500)
