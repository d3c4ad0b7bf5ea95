"""`StorageContract`: the promises of a storage as a class of tests its author subclasses.

Owns the assembly; the tests are in the four modules beside, by subject. Needs pytest.
"""

from __future__ import annotations

from heartbeat_kit.testing._contract_abilities import AbilityTests
from heartbeat_kit.testing._contract_calendar import CalendarTests
from heartbeat_kit.testing._contract_races import RaceTests
from heartbeat_kit.testing._contract_records import RecordTests

__all__ = ["StorageContract"]


class StorageContract(RecordTests, AbilityTests, CalendarTests, RaceTests):
    """Every promise of `heartbeat_kit.storage.Storage`, tested against a backend of yours.

    Subclass it, give it one fixture, and pytest runs more than forty tests::

        from functools import partial

        import pytest
        from heartbeat_kit.testing import StorageContract


        class TestMyStorage(StorageContract):
            @pytest.fixture
            def storage(self, tmp_path):
                storage = MyStorage(tmp_path)
                yield storage
                storage.close()

            def opener(self, storage):
                return partial(MyStorage, storage.directory)

    `opener` is needed once the traits say `durable` or `cross_process`; it is what a second handle and a second
    process are opened with. What the traits do not promise and the abilities not offered are skipped, with the reason.
    `damage` and `fingerprint` make two more promises checkable; `same_objects`, `contenders`, `races` and `batch`
    set what is asked.

    A test that fails says in its message what the storage has to do instead.
    """
