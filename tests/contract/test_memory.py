"""`MemoryStorage` keeps every promise of a storage."""

import pytest

from heartbeat_kit.storage import MemoryStorage
from heartbeat_kit.testing import StorageContract


class TestMemoryStorage(StorageContract):
    @pytest.fixture
    def storage(self):
        return MemoryStorage()
