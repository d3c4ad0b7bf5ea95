"""F13–F18: a write that failed is never called a success, and damage stays where it is."""

import json

import pytest
from regression_media import INTERVAL, Medium, changes

from heartbeat_kit import ObserverHealth
from heartbeat_kit.errors import HeartbeatRegistrationError, StorageUnavailableError


def test_f13_a_beat_that_is_not_stored_is_an_error(medium):
    """register() returns only if a fresh reader finds the beat; otherwise it raises and nothing is stored."""
    service = medium.service("web-1")
    registration = service.register({"n": 1})
    assert medium.stored("web-1").last_heartbeat == registration.timestamp
    before = medium.stored("web-1")
    medium.take_away()
    with pytest.raises(HeartbeatRegistrationError, match="not stored") as caught:
        service.register({"n": 2})
    assert isinstance(caught.value.__cause__, StorageUnavailableError)
    medium.bring_back()
    assert medium.stored("web-1") == before
    assert service.register({"n": 3}).is_new_machine is False
    assert medium.stored("web-1").metadata == {"n": 3}


def test_f13_a_background_beat_that_is_not_stored_is_visible(medium, clock):
    """While background beats cannot be stored, status.pending says why and the observer calls itself blind."""
    storage = medium.storage()
    service, _ = medium.observer("web-1", storage=storage)
    clock.advance(2 * INTERVAL)
    assert service.status.pending is None
    storage.fail("put", times=1000)
    clock.advance(2 * INTERVAL)
    assert "put failed" in service.status.pending
    assert service.check(force=True).observer.health is ObserverHealth.BLIND
    storage.fail("put", times=0)
    clock.advance(2 * INTERVAL)
    assert service.status.pending is None
    assert service.check(force=True).observer.health is ObserverHealth.OK


def test_f13_a_medium_that_swallows_writes_is_noticed(medium, clock):
    """A put that reports success and stores nothing is found out by reading back."""
    storage = medium.storage()
    service, _ = medium.observer("web-1", storage=storage)
    clock.advance(2 * INTERVAL)
    storage.lose_writes()
    clock.advance(2 * INTERVAL)
    report = service.check(force=True)
    assert report.observer.health is ObserverHealth.BLIND
    assert "read back" in report.observer.reason


def test_f14_a_failed_write_is_tried_again_at_the_next_beat(medium, clock):
    """One failed beat costs one interval, not more, and takes what it carried along."""
    storage = medium.storage()
    service, _ = medium.observer("web-1", storage=storage)
    clock.advance(5 * INTERVAL)
    before = medium.stored("web-1")
    storage.fail("put", times=1)
    clock.advance(INTERVAL)
    assert medium.stored("web-1") == before
    assert service.status.pending
    clock.advance(INTERVAL)
    assert medium.stored("web-1").seq == before.seq + 1
    assert service.status.pending is None


def test_f14_metadata_of_a_beat_that_failed_is_not_lost_for_the_next_one(medium, clock):
    """The metadata of a machine survives a beat that could not be stored."""
    storage = medium.storage()
    service, _ = medium.observer("web-1", storage=storage)
    service.register({"role": "web"})
    storage.fail("put", times=3)
    clock.advance(6 * INTERVAL)
    assert medium.stored("web-1").metadata == {"role": "web"}


def test_f15_one_damaged_record_neither_spreads_nor_disappears(files, clock):
    """A damaged record stays as it was found until its machine beats again; everybody else's record is sound."""
    peers = [files.peer(f"pc-{number}") for number in range(3)]
    peers[0].stop()
    files.damage("pc-0", b'{"machineId": "pc-0", "lastHea')
    path = files.directory / "heartbeats.json"
    found = (
        json.loads(path.read_bytes())["heartbeats"]["pc-0"]
        if files.kind == "json"
        else b'{"machineId": "pc-0", "lastHea'
    )
    observer, heard = files.observer()
    clock.advance(10 * INTERVAL)
    left = (
        json.loads(path.read_bytes())["heartbeats"]["pc-0"]
        if files.kind == "json"
        else files.own_file("pc-0").read_bytes()
    )
    assert left == found
    report = observer.check(force=True)
    assert list(report.unreadable) == ["pc-0"]
    assert {machine.machine_id for machine in observer.state().online} == {"pc-1", "pc-2", "watcher"}
    assert changes(heard, "pc-1") == changes(heard, "pc-2") == []
    peers[0].start()
    clock.advance(INTERVAL)
    assert observer.check(force=True).unreadable == {}


@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"heartbeats": []}', b"\xff\xfe\x00", b"[" * 100_000])
def test_f15_a_damaged_fleet_file_does_not_erase_the_fleet(content, tmp_path, clock):
    """heartbeats.json damaged as a whole: the last good copy is used, the damage kept aside, nobody is lost."""
    medium = Medium("json", tmp_path, clock)
    peers = [medium.service(f"pc-{number}") for number in range(5)]
    for _ in range(2):
        for peer in peers:
            peer.register()
    path = medium.directory / "heartbeats.json"
    path.write_bytes(content)
    watcher = medium.service("watcher")
    assert len(watcher.state().machines) == 5
    peers[0].register()
    assert sorted(json.loads(path.read_bytes())["heartbeats"]) == [f"pc-{number}" for number in range(5)]
    (aside,) = medium.directory.glob("heartbeats.json.corrupt-*")
    assert aside.read_bytes() == content
    medium.close()


@pytest.mark.parametrize("content", [b"", b"{", b"\x00" * 300, b'{"machineId": "web-1"}'])
def test_f16_our_own_damaged_file_is_healed_by_the_next_beat(files, clock, content):
    """A 0-byte or damaged record of ours is overwritten by the next beat, and the life goes on."""
    service, heard = files.observer("web-1")
    clock.advance(5 * INTERVAL)
    seq = files.stored("web-1").seq
    path = files.directory / "heartbeats.json" if files.kind == "json" else files.own_file("web-1")
    path.write_bytes(content)
    clock.advance(INTERVAL)
    assert files.stored("web-1").seq == seq + 1
    assert service.check(force=True).unreadable == {}
    path.write_bytes(content)
    restarted = files.service("web-1", state="other")
    restarted.register()
    assert files.stored("web-1") is not None
    assert changes(heard) == []


def test_f17_one_bad_record_does_not_stop_the_others_from_being_judged(medium, clock):
    """With a bad record present, listing, check and state work, and another machine's death is still announced."""
    peers = {f"pc-{number}": medium.peer(f"pc-{number}") for number in range(4)}
    observer, heard = medium.observer()
    clock.advance(2 * INTERVAL)
    peers["pc-0"].stop()
    medium.damage("pc-0", b'{"machineId": 5}')
    peers["pc-3"].stop()
    clock.advance(medium.deadline)
    report = observer.check(force=True)
    assert list(report.unreadable) == ["pc-0"]
    assert changes(heard, "pc-3") == [("pc-3", "warning"), ("pc-3", "offline")]
    assert {machine.machine_id for machine in observer.state().online} == {"pc-1", "pc-2", "watcher"}


def test_f18_unreadable_absent_and_removed_are_three_things(medium, clock):
    """An unreadable machine stays in the totals and says why; a removed one leaves them and is announced."""
    peers = [medium.peer(machine) for machine in ("bad", "good", "removed")]
    observer, heard = medium.observer()
    clock.advance(3 * INTERVAL)
    for peer in peers:
        peer.stop()
    medium.damage("bad", b"{")
    assert observer.remove("removed")
    report = observer.check(force=True)
    state = observer.state()
    assert list(state.machines) == ["bad", "good", "watcher"]
    assert report.statistics.total_machines == state.statistics.total_machines == 3
    assert list(report.unreadable) == list(state.unreadable) == ["bad"]
    assert state["bad"].unreadable == report.unreadable["bad"]
    assert state["bad"].reason == "unreadable"
    assert state["good"].unreadable is None
    removed = [event.machine_id for event in heard.events if event.reason == "removed"]
    assert removed == ["removed"]
    counts = state.statistics
    assert counts.total_machines == (
        counts.online_count + counts.warning_count + counts.offline_count + counts.unknown_count
    )


def test_f18_a_file_that_is_missing_for_a_while_is_not_a_removal(folder, clock):
    """On a medium that delays a file may vanish and return (a sync client): counted, explained, not announced."""
    if folder.kind == "nfs":
        pytest.skip("where every write is seen at once a missing file was removed")
    peer = folder.peer("web-1")
    observer, heard = folder.observer()
    clock.advance(3 * INTERVAL)
    peer.stop()
    hidden = folder.own_file("web-1").rename(folder.directory / "hidden")
    clock.advance(2 * INTERVAL)
    state = observer.state()
    assert state["web-1"].reason == "absent"
    assert state.statistics.total_machines == 2
    hidden.rename(folder.own_file("web-1"))
    peer.start()
    clock.advance(5 * INTERVAL)
    assert observer.state()["web-1"].reason == "beating"
    assert changes(heard) == []
