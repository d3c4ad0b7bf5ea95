"""`AsyncHeartbeatService`: the same service, awaited, and an event loop that nothing stops."""

import asyncio
import gc
import inspect
import subprocess
import sys
import threading
from datetime import timedelta

import pytest

from heartbeat_kit import HeartbeatConfig, HeartbeatService, MachineStatus, _checker
from heartbeat_kit.aio import AsyncHeartbeatService
from heartbeat_kit.errors import HeartbeatRegistrationError, InvalidConfigurationError, InvalidMachineIdError

GONE_S = 300


def test_every_method_of_the_service_is_there_with_its_parameters():
    """What calls back is a stream here, and what names a place is the service itself."""
    left_out = {"subscribe", "on_offline", "on_online", "on_warning", "on_transition", "tap", "progress"}
    named = {"clock", "host", "state_dir", "storage"}
    public = {name for name in dir(HeartbeatService) if not name.startswith("_")} - left_out - named
    for name in public:
        theirs, ours = getattr(HeartbeatService, name), getattr(AsyncHeartbeatService, name)
        if callable(theirs):
            assert inspect.iscoroutinefunction(ours), name
            assert list(inspect.signature(ours).parameters) == list(inspect.signature(theirs).parameters), name
            defaults = [each.default for each in inspect.signature(theirs).parameters.values()]
            assert [each.default for each in inspect.signature(ours).parameters.values()] == defaults, name


def test_a_life_in_the_event_loop(storage, clock):
    async def live():
        async with AsyncHeartbeatService(storage, clock=clock, machine_id="web-1") as service:
            await service.start()
            assert service.is_running
            assert service.status.machine_id == service.machine_id == "web-1"
            await service.register({"role": "web"})
            await service.register(machine_id="db-1")
            assert len((await service.check(force=True)).transitions) == 2
            assert (await service.state())["web-1"].status is MachineStatus.ONLINE
            await service.reconfigure(offline_timeout=timedelta(seconds=240))
            assert service.config.offline_timeout == timedelta(seconds=240)
            assert await service.remove("db-1")
            assert await service.prune() == ()
            assert {each.machine_id for each in await service.history()} == {"db-1", "web-1"}
            assert await service.fleet_history() == ()
            until = (await service.state())["web-1"].last_heartbeat
            window = await service.maintenance("web-1", until, until + timedelta(hours=1), "new disk")
            assert window.reason == "new disk"
        assert not service.is_running

    asyncio.run(live())


def test_events_come_while_others_look(storage, clock):
    async def follow():
        web = HeartbeatService(storage, clock=clock, machine_id="web-1")
        web.register()
        async with AsyncHeartbeatService(storage, clock=clock, machine_id="watcher") as service:
            stream = service.events(to=MachineStatus.OFFLINE)
            everything = service.events()
            await service.start()

            async def alert():
                return [(event.machine_id, event.after) async for event in stream]

            task = asyncio.create_task(alert())
            await asyncio.to_thread(clock.advance, GONE_S)
            assert (await asyncio.wait_for(anext(everything), 30)).after is MachineStatus.ONLINE
        seen = await asyncio.wait_for(task, 30)  # the end of the service is the end of the stream
        assert seen == [("web-1", MachineStatus.OFFLINE)]
        rest = [event.after async for event in everything]
        assert MachineStatus.OFFLINE in rest  # what came before the end can still be taken

    asyncio.run(follow())


def test_a_closed_stream_hears_nothing_more_and_one_beside_it_everything(storage, clock):
    async def follow():
        service = AsyncHeartbeatService(storage, clock=clock, machine_id="web-1")
        async with service.events() as closed:
            await service.register()
        other = service.events()
        await service.check(force=True)
        assert [event async for event in closed] == []
        assert (await anext(other)).machine_id == "web-1"
        await service.stop()
        assert [event async for event in other] == []

    asyncio.run(follow())


def test_a_service_that_lives_long_keeps_no_closed_stream(storage, clock):
    async def follow():
        service = AsyncHeartbeatService(storage, clock=clock, machine_id="web-1")
        for _ in range(50):
            async with service.events():
                pass
        kept = service.events()
        gc.collect()
        assert list(service._streams) == [kept]

    asyncio.run(follow())


def test_a_store_that_hangs_never_blocks_the_event_loop(storage, clock):
    """Only the event loop can let the store go on: if it were blocked, this would never end."""
    go_on = threading.Event()
    storage.before("load", lambda *_: go_on.wait(60))

    async def look():
        service = AsyncHeartbeatService(storage, clock=clock, machine_id="web-1")
        looks = [asyncio.create_task(service.state()) for _ in range(20)]
        for _ in range(100):
            await asyncio.sleep(0)
        assert not any(each.done() for each in looks)
        go_on.set()
        assert {len(each) for each in await asyncio.gather(*looks)} == {0}

    asyncio.run(look())


def test_who_stops_waiting_stops_nobody_else(storage, clock):
    go_on = threading.Event()
    storage.before("load", lambda *_: go_on.wait(60))

    async def look():
        service = AsyncHeartbeatService(storage, clock=clock, machine_id="web-1")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(service.state(), 0.01)
        go_on.set()
        assert len(await service.state()) == 0

    asyncio.run(look())


def test_waiting_for_a_machine(storage, clock):
    async def wait():
        service = AsyncHeartbeatService(storage, clock=clock, machine_id="web-1")
        assert not await service.wait_for("web-1", "online", 5)
        await service.register()
        assert await service.wait_for("web-1", MachineStatus.ONLINE, timedelta(seconds=5))
        assert not await service.wait_for("web-1", "offline", 2.5)
        with pytest.raises(InvalidConfigurationError):
            await service.wait_for("web-1", "asleep", 5)

    asyncio.run(wait())


def test_errors_are_those_of_the_service(storage, clock):
    async def fail():
        service = AsyncHeartbeatService(storage, clock=clock, machine_id="web-1")
        with pytest.raises(InvalidMachineIdError):
            await service.register(machine_id="a b")
        storage.go_down()
        with pytest.raises(HeartbeatRegistrationError):
            await service.register()

    asyncio.run(fail())


def test_a_service_there_is_already(storage, clock):
    inner = HeartbeatService(storage, clock=clock, machine_id="web-1")
    service = AsyncHeartbeatService(inner)
    assert service.service is inner
    assert "web-1" in repr(service)
    for more in ({"config": HeartbeatConfig()}, {"machine_id": "web-2"}):
        with pytest.raises(InvalidConfigurationError):
            AsyncHeartbeatService(inner, **more)


def test_an_event_after_the_end_of_its_loop_is_nobodys_and_raises_nothing(storage, clock, caplog):
    inner = HeartbeatService(storage, clock=clock, machine_id="web-1")

    async def begin():
        AsyncHeartbeatService(inner).events()

    asyncio.run(begin())
    inner.register()
    assert len(inner.check(force=True).transitions) == 1
    assert caplog.records == []


def test_the_package_itself_loads_no_event_loop():
    code = "import heartbeat_kit, sys; heartbeat_kit.HeartbeatService; print('heartbeat_kit.aio' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "False\n"


def test_many_who_wait_hold_up_nobody_else(storage):
    """Forty waiters of a storage that answers at once; a call beside them is done before any of their waits."""

    async def live():
        async with AsyncHeartbeatService(storage, machine_id="web-1") as service:
            waits = [asyncio.create_task(service.wait_for("db-1", "online", 60)) for _ in range(40)]
            await asyncio.sleep(0.05)
            for _ in range(3):
                async with asyncio.timeout(5):
                    await service.register()
            assert not any(each.done() for each in waits)
            await service.register(machine_id="db-1")
            async with asyncio.timeout(10):
                assert all(await asyncio.gather(*waits))

    asyncio.run(live())


def test_calls_that_hang_for_ever_do_not_hold_up_the_end(storage, clock, monkeypatch):
    monkeypatch.setattr(_checker, "_PATIENCE_S", 0.05)
    gate = threading.Event()

    async def live():
        async with asyncio.timeout(20):
            async with AsyncHeartbeatService(storage, clock=clock, machine_id="web-1") as service:
                await service.start()
                storage.before("load", lambda: gate.wait(60))
                for _ in range(10):
                    with pytest.raises(TimeoutError):
                        async with asyncio.timeout(0.02):
                            await service.state()
                assert service.is_running
            assert not service.is_running

    try:
        asyncio.run(live())
    finally:
        gate.set()


def test_a_hanging_call_does_not_keep_the_process():
    code = """
import asyncio, threading
from heartbeat_kit import MemoryStorage
from heartbeat_kit.aio import AsyncHeartbeatService
from heartbeat_kit.testing import FaultyStorage

async def live():
    storage = FaultyStorage(MemoryStorage())
    storage.before("put", threading.Event().wait)
    async with AsyncHeartbeatService(storage, machine_id="web-1") as service:
        try:
            async with asyncio.timeout(0.05):
                await service.register()
        except TimeoutError:
            print("given up")

asyncio.run(live())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=30, check=True)
    assert done.stdout == "given up\n"


def test_a_stop_in_another_loop_ends_the_streams_of_this_one(storage, clock):
    service = AsyncHeartbeatService(storage, clock=clock, machine_id="web-1")

    async def listen(began):
        stream = service.events()
        began.set()
        async with asyncio.timeout(20):
            return [event async for event in stream]

    began, heard = threading.Event(), []
    listener = threading.Thread(target=lambda: heard.append(asyncio.run(listen(began))))
    listener.start()
    assert began.wait(10)
    asyncio.run(service.stop())
    listener.join(20)
    assert heard == [[]]


def test_a_stream_read_in_another_loop_says_so(storage, clock):
    """It would wait for ever."""
    service = AsyncHeartbeatService(storage, clock=clock, machine_id="watcher")

    async def made():
        return service.events()

    async def read(stream):
        return await anext(stream)

    stream = asyncio.run(made())
    with pytest.raises(InvalidConfigurationError, match="another event loop"):
        asyncio.run(read(stream))
    asyncio.run(stream.aclose())


def test_no_thread_of_it_is_left_after_the_end(storage, clock):
    async def live():
        async with AsyncHeartbeatService(storage, clock=clock, machine_id="leaves-nothing") as service:
            await asyncio.gather(*(service.register() for _ in range(5)))

    asyncio.run(live())
    for _ in range(500):
        left = [thread.name for thread in threading.enumerate() if "leaves-nothing" in thread.name]
        if not left:
            break
        threading.Event().wait(0.01)
    assert left == []
