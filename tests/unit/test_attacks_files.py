"""What an attack on the disk found: listings that miss a file, and directories that cannot be flushed."""

import errno
import os
import stat

import pytest
from core_values import beat

from heartbeat_kit import JsonFileStorage, SharedFolderStorage
from heartbeat_kit.errors import StorageUnavailableError

NAMES = ("web-1", "web-2", "web-3")


class Listing:
    """A listing in which one file stands nowhere, as one that was replaced while it was read."""

    def __init__(self, entries, missing):
        self._entries, self._missing = entries, missing

    def __enter__(self):
        return (entry for entry in self._entries.__enter__() if entry.name != self._missing)

    def __exit__(self, *exc):
        self._entries.__exit__(*exc)


@pytest.fixture
def missed(monkeypatch):
    """Let listings miss a file; call with its name, or None."""
    scandir, missing = os.scandir, []
    monkeypatch.setattr(os, "scandir", lambda path: Listing(scandir(path), missing[-1] if missing else None))
    return missing.append


def folder(directory):
    return SharedFolderStorage(directory, time_budget=None)


@pytest.fixture
def share(tmp_path):
    storage = folder(tmp_path)
    for name in NAMES:
        storage.put(beat(name))
    return tmp_path


def test_a_file_that_a_listing_misses_is_still_there(share, missed):
    reader = folder(share)
    before = reader.load()
    missed("web-2.json")
    assert set(reader.load().heartbeats) == set(NAMES)
    assert reader.load().heartbeats["web-2"] is before.heartbeats["web-2"]


def test_a_change_in_a_file_that_a_listing_misses_is_seen(share, missed):
    reader = folder(share)
    reader.load()
    folder(share).put(beat("web-2", seq=2))
    missed("web-2.json")
    assert reader.load().heartbeats["web-2"].seq == 2


def test_the_first_listing_may_miss_a_file_too(share, missed):
    """On a coherent folder the ledger's machines without a record would be announced as removed."""
    missed("web-2.json")
    assert set(folder(share).load().heartbeats) == set(NAMES)


def test_a_file_that_is_gone_is_gone(share):
    reader = folder(share)
    reader.load()
    (share / "heartbeats" / "web-2.json").unlink()
    assert set(reader.load().heartbeats) == {"web-1", "web-3"}


@pytest.fixture
def directory_sync(monkeypatch):
    """Let the flush of directories, and of nothing else, fail with an error number."""
    fsync, code = os.fsync, []

    def guarded(handle):
        if code and stat.S_ISDIR(os.fstat(handle).st_mode):
            raise OSError(code[-1], os.strerror(code[-1]))
        fsync(handle)

    monkeypatch.setattr(os, "fsync", guarded)
    return code.append


@pytest.mark.parametrize("opened", [JsonFileStorage, SharedFolderStorage])
def test_a_share_that_cannot_flush_directories_stores_all_the_same(tmp_path, directory_sync, opened):
    """SMB and FUSE answer EINVAL: the record has its name, so it is no failure."""
    storage = opened(tmp_path, durable=True)
    directory_sync(errno.EINVAL)
    assert storage.put(beat()) == beat()
    assert opened(tmp_path).load().heartbeats == {"web-1": beat()}


def test_a_disk_that_fails_to_flush_a_directory_is_told(tmp_path, directory_sync):
    storage = JsonFileStorage(tmp_path, durable=True)
    directory_sync(errno.EIO)
    with pytest.raises(StorageUnavailableError):
        storage.put(beat())
