"""`SqliteStorage` keeps every promise of a storage."""

import sqlite3
from contextlib import closing
from functools import partial

import pytest
from sqlite_storage import SqliteStorage

from heartbeat_kit.testing import StorageContract


class TestSqliteStorage(StorageContract):
    @pytest.fixture
    def storage(self, tmp_path):
        storage = SqliteStorage(tmp_path / "fleet.db")
        yield storage
        storage.close()

    def opener(self, storage):
        return partial(SqliteStorage, storage.path)

    def damage(self, storage, machine_id):
        with closing(sqlite3.connect(storage.path)) as database, database:
            database.execute("UPDATE heartbeats SET metadata = '{' WHERE machine_id = ?", [machine_id])

    def fingerprint(self, storage):
        return storage.path.stat().st_mtime_ns, storage.path.read_bytes()
