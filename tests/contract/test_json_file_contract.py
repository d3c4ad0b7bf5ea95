"""`JsonFileStorage` keeps every promise of a storage."""

import json
from functools import partial

import pytest

from heartbeat_kit.storage import JsonFileStorage
from heartbeat_kit.testing import StorageContract


class TestJsonFileStorage(StorageContract):
    @pytest.fixture
    def directory(self, tmp_path):
        return tmp_path

    @pytest.fixture
    def storage(self, directory):
        storage = JsonFileStorage(directory)
        yield storage
        storage.close()

    @pytest.fixture(autouse=True)
    def _remember(self, directory):
        self.directory = directory

    def opener(self, storage):
        return partial(JsonFileStorage, self.directory)

    def damage(self, storage, machine_id):
        path = self.directory / "heartbeats.json"
        record = json.loads(path.read_text())
        record["heartbeats"][machine_id] = {"machineId": machine_id, "lastHeartbeat": "yesterday"}
        path.write_text(json.dumps(record))

    def fingerprint(self, storage):
        return {
            item.name: (item.stat().st_mtime_ns, item.read_bytes())
            for item in self.directory.iterdir()
            if item.is_file()
        }
