"""What tests of the doctor share: a folder on disk that every machine sees at once."""

from datetime import timedelta

import pytest

from heartbeat_kit import SharedFolderStorage


@pytest.fixture
def share(tmp_path):
    (tmp_path / "share").mkdir()
    storage = SharedFolderStorage(tmp_path / "share", propagation_delay=timedelta(0))
    yield storage
    storage.close()
