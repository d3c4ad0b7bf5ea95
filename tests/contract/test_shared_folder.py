"""`SharedFolderStorage` keeps every promise of a storage, on a medium with a delay and on one without."""

from datetime import timedelta
from functools import partial

import pytest

from heartbeat_kit.storage.shared_folder import SharedFolderStorage
from heartbeat_kit.testing import StorageContract


class TestSharedFolderStorage(StorageContract):
    delay = timedelta(seconds=60)

    @pytest.fixture
    def storage(self, tmp_path):
        self.folder = tmp_path
        storage = self.opener(None)()
        yield storage
        storage.close()

    def opener(self, storage):
        return partial(SharedFolderStorage, self.folder, propagation_delay=self.delay)

    def damage(self, storage, machine_id):
        path = self.folder / "heartbeats" / f"{machine_id}.json"
        path.write_bytes(path.read_bytes()[:40])

    def fingerprint(self, storage):
        files = sorted(path for path in self.folder.rglob("*") if path.is_file())
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}


class TestCoherentFolder(TestSharedFolderStorage):
    delay = timedelta(0)
