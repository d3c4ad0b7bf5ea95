"""What a heartbeat costs on a shared folder, against writing the same bytes to a temporary file and renaming it."""

import itertools
import os
from datetime import timedelta

import pytest

from conftest import fill, heartbeat
from heartbeat_kit import SharedFolderStorage
from heartbeat_kit.storage._codec import heartbeat_to_text


def bare_write(directory, data):
    names = itertools.count()

    def write():
        temp = os.path.join(directory, f".bare-{next(names)}")
        handle = os.open(temp, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
        os.write(handle, data)
        os.close(handle)
        os.replace(temp, os.path.join(directory, "bare.txt"))

    return write


@pytest.mark.parametrize(
    ("budget", "limit"), [(None, 1.6), (timedelta(seconds=5), 2.0)], ids=["no budget", "5 s budget"]
)
def test_beat(ratio, tmp_path, budget, limit):
    storage = SharedFolderStorage(tmp_path, propagation_delay=timedelta(0), time_budget=budget)
    seq = itertools.count(1)
    storage.put(heartbeat(0, next(seq)))
    data = (heartbeat_to_text(heartbeat(0, 1)) + "\n").encode()
    ratio(
        lambda: storage.put(heartbeat(0, next(seq))),
        bare_write(tmp_path / "heartbeats", data),
        limit=limit,
        rounds=3_000,  # call by call: what a disk does with a small write depends on what came just before
    )
    storage.close()


def test_beat_of_one_among_10000_against_one_among_10(ratio, tmp_path):
    few, many = tmp_path / "few", tmp_path / "many"
    fill(few, 10)
    fill(many, 10_000)
    beats = []
    for directory in (many, few):
        storage = SharedFolderStorage(directory, propagation_delay=timedelta(0), time_budget=None)
        seq = itertools.count(2)
        beats.append(lambda storage=storage, seq=seq: storage.put(heartbeat(3, next(seq))))
    ratio(*beats, limit=1.2, rounds=3_000)
