"""The pytest plugin: its fixtures, and that nobody pays for them who does not use them."""

import textwrap

import pytest


@pytest.fixture
def run(pytester):
    """Run a module of tests in a pytest of its own, where the installed plugin is found by its entry point."""

    def run(code, *options):
        pytester.makepyfile(textwrap.dedent(code))
        return pytester.runpytest_subprocess("-q", *options)

    return run


def test_nothing_is_imported_for_tests_that_use_nothing(run):
    run(
        """
        import sys

        def test_of_somebody_else():
            assert "_heartbeat_kit_pytest" in sys.modules
            assert [name for name in sys.modules if name.split(".")[0] in ("heartbeat_kit", "pendulum", "attrs")] == []
        """
    ).assert_outcomes(passed=1)


def test_fixtures_are_listed_with_what_they_are(run):
    listed = run("", "--fixtures")
    listed.stdout.fnmatch_lines(
        [
            "heartbeat_clock -- *",
            "*A `FakeClock`: time that moves when the test says so*",
            "heartbeat_storage -- *",
            "*An empty `MemoryStorage`*",
            "heartbeat_service -- *",
            '*A `HeartbeatService` of "test-machine"*',
            "heartbeat_fleet -- *",
            "*A maker of simulated fleets*",
        ]
    )


def test_clock_storage_and_service_belong_together(run):
    run(
        """
        from heartbeat_kit import MemoryStorage
        from heartbeat_kit.testing import FakeClock

        def test_service(heartbeat_service, heartbeat_clock, heartbeat_storage):
            assert type(heartbeat_clock) is FakeClock
            assert type(heartbeat_storage) is MemoryStorage
            assert heartbeat_service.storage is heartbeat_storage
            assert heartbeat_service.machine_id == "test-machine"
            assert not heartbeat_service.is_running
            heartbeat_service.register(machine_id="web-1")
            heartbeat_service.start()
            heartbeat_clock.advance(600)
            assert heartbeat_service.state()["web-1"].status == "offline"
            assert heartbeat_service.state()["test-machine"].status == "online"
        """
    ).assert_outcomes(passed=1)


def test_service_is_stopped_and_its_storage_closed_at_the_end(run):
    run(
        """
        import pytest
        from heartbeat_kit.errors import StorageClosedError

        kept = []

        def test_one(heartbeat_service):
            heartbeat_service.start()
            kept.append(heartbeat_service)

        def test_other(heartbeat_service):
            assert heartbeat_service is not kept[0]
            assert not kept[0].is_running
            with pytest.raises(StorageClosedError):
                kept[0].storage.load()
        """
    ).assert_outcomes(passed=2)


def test_storage_can_be_overridden_and_local_state_is_not_in_tmp_path(run):
    run(
        """
        import pytest
        from heartbeat_kit import SharedFolderStorage

        @pytest.fixture
        def heartbeat_storage(tmp_path):
            return SharedFolderStorage(tmp_path)

        def test_on_a_folder(heartbeat_service, tmp_path):
            heartbeat_service.start()
            assert list(heartbeat_service.state().machines) == ["test-machine"]
            assert not list(tmp_path.rglob("service.lock"))
        """
    ).assert_outcomes(passed=1)


def test_fleet_runs_on_the_clock_of_the_test_and_is_stopped_at_the_end(run):
    run(
        """
        import pytest
        from heartbeat_kit import JsonFileStorage

        kept = []

        @pytest.mark.parametrize("machines", [2, ["m1", "b"]])
        def test_fleet(heartbeat_fleet, heartbeat_clock, machines):
            fleet = heartbeat_fleet(machines)
            heartbeat_clock.advance(60)
            fleet.crash("m1")
            fleet.advance(300)
            assert [str(status) for status in fleet.statuses().values()] == ["offline", "online"]
            assert fleet.clock is heartbeat_clock
            kept.append(fleet)

        def test_two_fleets_on_disk(heartbeat_fleet, tmp_path):
            for name in ("x", "y"):
                (tmp_path / name).mkdir()
                fleet = heartbeat_fleet(storage=JsonFileStorage(tmp_path / name))
                fleet.advance(60)
                assert list(fleet.statuses()) == ["m1", "m2", "m3"]
                kept.append(fleet)

        def test_all_are_stopped():
            assert len(kept) == 4
            assert not any(s.is_running for f in kept for s in (f.observer, *f.machines.values()))
        """
    ).assert_outcomes(passed=4)
