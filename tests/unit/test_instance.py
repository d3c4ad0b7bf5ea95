"""One running service per machine and storage on a host."""

import stat

import pytest

from heartbeat_kit import JsonFileStorage, MemoryStorage, StorageTraits, _instance
from heartbeat_kit._instance import InstanceLock, state_directory
from heartbeat_kit.errors import HeartbeatStartError, ServiceAlreadyRunningError


def traits(location=""):
    return StorageTraits(durable=True, cross_process=True, cross_host=False, coherent=True, location=location)


def test_the_directory_tells_machines_and_storages_apart(tmp_path):
    one, same, other = (MemoryStorage(traits=traits(location)) for location in ("a", "a", "b"))
    directory = state_directory(tmp_path, one, "web-1")
    assert directory == state_directory(str(tmp_path), same, "web-1")
    assert directory != state_directory(tmp_path, other, "web-1")
    assert directory.parent == state_directory(tmp_path, one, "web-2").parent
    assert (directory.name, directory.parents[1]) == ("web-1", tmp_path)


def test_without_a_location_the_class_stands_in(tmp_path):
    class Other(MemoryStorage):
        pass

    nameless = MemoryStorage(traits=traits())
    assert state_directory(tmp_path, nameless, "x") == state_directory(tmp_path, MemoryStorage(traits=traits()), "x")
    assert state_directory(tmp_path, nameless, "x") != state_directory(tmp_path, Other(traits=traits()), "x")


def test_a_location_may_be_any_path(tmp_path):
    odd = MemoryStorage(traits=traits("/mnt/\udcff"))
    assert state_directory(tmp_path, odd, "x").parents[1] == tmp_path


def test_by_default_it_is_the_users_state_directory(monkeypatch, tmp_path):
    monkeypatch.setattr(_instance.platformdirs, "user_state_path", lambda name: tmp_path / name)
    assert state_directory(None, MemoryStorage(), "x").parents[1] == tmp_path / "heartbeat_kit"


@pytest.fixture(params=["memory", "json"])
def storage(request, tmp_path):
    if request.param == "memory":
        return MemoryStorage()
    return JsonFileStorage(tmp_path / "store", create=True)


def lock(storage, tmp_path, name="web-1"):
    return InstanceLock(tmp_path / "state" / name, storage, name)


def test_the_second_is_refused_until_the_first_is_released(storage, tmp_path):
    first, second = lock(storage, tmp_path), lock(storage, tmp_path)
    first.acquire()
    with pytest.raises(ServiceAlreadyRunningError, match="already runs") as caught:
        second.acquire()
    assert caught.value.machine_id == "web-1"
    second.release()
    with pytest.raises(ServiceAlreadyRunningError):
        second.acquire()
    first.release()
    first.release()
    second.acquire()
    second.release()


def test_another_machine_is_another_service(storage, tmp_path):
    locks = [lock(storage, tmp_path, name) for name in ("web-1", "web-2")]
    for each in locks:
        each.acquire()
    for each in locks:
        each.release()


def test_another_memory_is_another_storage(tmp_path):
    """Also where the first one was dropped without a stop: its place in memory may be given to another."""
    locks = [lock(MemoryStorage(), tmp_path) for _ in range(20)]
    for each in locks:
        each.acquire()
    for each in locks:
        each.release()


def test_memory_leaves_nothing_on_disk(tmp_path):
    held = lock(MemoryStorage(), tmp_path)
    held.acquire()
    held.release()
    assert list(tmp_path.iterdir()) == []


def test_the_state_directory_is_private(tmp_path):
    held = lock(JsonFileStorage(tmp_path / "store", create=True), tmp_path)
    held.acquire()
    assert stat.S_IMODE((tmp_path / "state" / "web-1").stat().st_mode) == 0o700
    held.release()


def test_a_lock_that_cannot_be_made_says_what_to_do(tmp_path):
    (tmp_path / "state").write_text("a file where a directory is expected")
    with pytest.raises(HeartbeatStartError, match="pass a state_dir on a local disk") as caught:
        lock(JsonFileStorage(tmp_path / "store", create=True), tmp_path).acquire()
    assert not isinstance(caught.value, ServiceAlreadyRunningError)
    assert isinstance(caught.value.__cause__, OSError)
