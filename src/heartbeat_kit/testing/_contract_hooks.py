"""What the author of a backend tells the storage contract about it, and the records the tests are made with.

Owns the hooks and their defaults. Must not know any backend.
"""

# ruff: noqa: S101, ARG002 - a shipped test suite asserts; the hooks name what an override is given

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from typing import Any

import attrs
import pytest

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._maintenance import MaintenanceWindow
from heartbeat_kit.storage._protocol import Storage

__all__ = ["START_MS", "ContractHooks", "assert_exact", "assert_same", "beat", "must_refuse", "window"]

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: the stamp of a beat of the contract that needs no other."""


class ContractHooks:
    """The hooks of `StorageContract`; a subclass overrides what its backend needs."""

    same_objects = True
    """Whether an unchanged record must be the same object in the next snapshot. Turn it off only knowingly: it makes
    every check of a quiet fleet cost the whole fleet."""
    contenders = 8
    """Threads, and processes, that race."""
    races = 1_000
    """Ledger moves they race for."""
    batch = 25
    """Moves per commit in that race: raise it for an engine that is slow per call."""

    def opener(self, storage: Storage) -> Callable[[], Storage] | None:
        """How anybody opens the place of `storage` once more, in this process or another.

        Return a callable that pickles, for example ``partial(MyStorage, storage.directory)`` or
        ``partial(open_storage, "mine://host/db")``. Called after `storage` was closed, too.
        """
        return None

    def reopen(self, storage: Storage) -> Storage:
        """Another handle on the place of `storage`, by `opener`.

        Override it to wait until what was written before is visible to a new reader, if your medium takes time.
        """
        return self.must_open(storage)()

    def damage(self, storage: Storage, machine_id: str) -> None:
        """Spoil the stored record of one machine the way your medium does: cut the file, write half a row."""
        pytest.skip("override damage(storage, machine_id) to show that one bad record is isolated")

    def fingerprint(self, storage: Storage) -> Any:
        """Whatever changes when anything is written: names, sizes, times and bytes of all files, a change counter."""
        return None

    @contextmanager
    def another(self, storage: Storage, *, required: bool = True) -> Iterator[Storage]:
        """A second handle for the block; without `required` it is `storage` itself where there can be no second."""
        if not required and self.opener(storage) is None and not _is_shared(storage):
            yield storage
        else:
            with closing(self.reopen(storage)) as handle:
                yield handle

    def must_open(self, storage: Storage) -> Callable[[], Storage]:
        """What `opener` returns; ends the test if that is nothing: as a failure where the traits promise more."""
        opener = self.opener(storage)
        if opener is not None:
            return opener
        if _is_shared(storage):
            pytest.fail(
                f"the traits of {storage!r} promise durable or cross_process: override opener(storage) in your "
                "subclass of StorageContract so that the promise can be tested",
                pytrace=False,
            )
        pytest.skip("the traits promise neither durable nor cross_process, and opener() opens no second handle")


def _is_shared(storage: Storage) -> bool:
    return storage.traits.durable or storage.traits.cross_process


@contextmanager
def must_refuse(kind: type[Exception], what: str, advice: str) -> Iterator[None]:
    """Fail unless the block raises `kind`, saying what was done and what to do about it."""
    try:
        yield
    except kind:
        return
    except Exception as error:
        raise AssertionError(f"{what} raised {error!r}, expected {kind.__name__}: {advice}") from error
    raise AssertionError(f"{what} raised nothing, expected {kind.__name__}: {advice}")


def beat(machine_id: str = "web-1", seq: int = 1, incarnation: int = 1, **fields: Any) -> Heartbeat:
    """A heartbeat of the contract."""
    fields.setdefault("last_heartbeat", START_MS + seq)
    fields.setdefault("interval", 30_000)
    return Heartbeat(machine_id=machine_id, seq=seq, incarnation=incarnation, **fields)


def window(
    machine_id: str = "web-1", start: int = START_MS, length: int = 3_600_000, **fields: Any
) -> MaintenanceWindow:
    """A maintenance window of the contract; times in milliseconds."""
    return MaintenanceWindow(machine_id=machine_id, start=start, end=start + length, **fields)


def assert_exact(found: Any, wanted: Any, where: str) -> None:
    """Fail unless `found` is what was stored, field by field, type by type."""
    assert type(found) is type(wanted), f"{where} gives {found!r}: return a {type(wanted).__name__}"
    for attribute in attrs.fields(type(wanted)):
        got, want = getattr(found, attribute.name), getattr(wanted, attribute.name)
        assert (type(got), got) == (type(want), want), (
            f"{where} gives {attribute.name}={got!r} ({type(got).__name__}) where {want!r} ({type(want).__name__}) was "
            "given: store every field exactly"
        )


def assert_same(found: Any, wanted: Heartbeat, where: str) -> None:
    """Fail unless `found` is `wanted`, field by field, type by type."""
    assert type(found) is Heartbeat, f"{where} gives {found!r} for {wanted!r}: return a Heartbeat"
    for attribute in attrs.fields(Heartbeat):
        got, want = getattr(found, attribute.name), getattr(wanted, attribute.name)
        assert (type(got), got) == (type(want), want), (
            f"{where} gives {wanted.machine_id} with {attribute.name}={got!r:.200} ({type(got).__name__}) where "
            f"{want!r:.200} ({type(want).__name__}) was put: store every field exactly"
        )
