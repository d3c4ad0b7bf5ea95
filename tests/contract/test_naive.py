"""The contract can fail: for each of its tests there is a careless storage that it catches, for the right reason."""

from functools import partial

import pytest

from heartbeat_kit.errors import HeartbeatKitError
from heartbeat_kit.testing import StorageContract

from . import naive_storages as naive

CAUGHT = [
    ("test_is_a_storage", naive.TraitsAsDict, "make it a StorageTraits"),
    ("test_empty_storage_loads_empty", naive.RemoveAlwaysTrue, "returns False"),
    ("test_round_trip", naive.LosesFirstSeen, "first_seen_ms"),
    ("test_round_trip", naive.LosesMetadata, "metadata_json"),
    ("test_round_trip", naive.WholeSeconds, "last_heartbeat_ms"),
    ("test_round_trip", naive.FloatCounters, "seq"),
    ("test_round_trip", naive.ZeroIsNone, "left_at_ms"),
    ("test_round_trip", naive.AsciiHost, "host"),
    ("test_round_trip_through_another_handle", naive.WritesBehind, "lists"),
    ("test_survives_close", naive.ForgetsOnClose, "after a restart"),
    ("test_names_that_look_alike_stay_apart", naive.TakesPrefixForCopy, "lists"),
    ("test_newer_record_wins_in_every_order", naive.LastWriterWins, "keep the stored record"),
    ("test_newer_record_wins_in_every_order", naive.StampDecides, "keep the stored record"),
    ("test_newer_record_wins_in_every_order", naive.EqualReplaces, "keep the stored record"),
    ("test_older_record_from_another_handle_does_not_win", naive.ComparesWithMemory, "this handle remembers"),
    ("test_snapshot_never_changes", naive.LiveSnapshot, "not the live mapping"),
    ("test_unchanged_records_are_the_same_objects", naive.DecodesAnew, "decoded again"),
    ("test_unchanged_records_are_the_same_objects", naive.CachesForEver, "missed a write"),
    ("test_load_writes_nothing", naive.LoadStampsItself, "must not write"),
    ("test_load_writes_nothing", naive.LoadRewrites, "two loads in a row differ"),
    ("test_one_bad_record_is_isolated", naive.OneBadSpoilsAll, "cannot be read"),
    ("test_one_bad_record_is_isolated", naive.BadIsAbsent, "it is not absent"),
    ("test_one_bad_record_is_isolated", naive.DeletesBad, "leave it as it is"),
    ("test_one_bad_record_is_isolated", naive.BadStaysBad, "after the next beat"),
    ("test_remove_is_final", naive.WritesItsView, "brought a removed one back"),
    ("test_remove_is_not_undone_by_a_late_writer", naive.WritesItsView, "that was removed"),
    ("test_hostile_machine_ids_are_refused", naive.RawIds, "normalize_machine_id"),
    ("test_hostile_machine_ids_are_refused", naive.RemoveMakesRoom, "wrote something"),
    ("test_close_is_final_and_idempotent", naive.NeverCloses, "put after close raised nothing"),
    ("test_close_is_final_and_idempotent", naive.CloseOnce, "closed"),
    ("test_traits_tell_the_truth", naive.ClockWithoutTime, "server_time_ms"),
    ("test_traits_tell_the_truth", naive.CachesForEver, "another handle sees beat"),
    ("test_ledger_starts_empty", naive.UndeliveredIsNone, "empty tuple"),
    ("test_ledger_round_trip", naive.LedgerLosesEpisode, "episode"),
    ("test_ledger_round_trip", naive.StatusAsText, "status"),
    ("test_ledger_round_trip", naive.LedgerLosesSteady, "steady"),
    ("test_events_about_the_fleet", naive.EveryKeyIsAMachine, "cannot name a machine"),
    ("test_events_about_the_fleet", naive.DeliversTransitions, "events are to be delivered"),
    ("test_events_about_the_fleet", naive.MachinesAsList, "machine_ids"),
    ("test_events_about_the_fleet", naive.SetsWithoutComparing, "made twice"),
    ("test_commit_compares_before_it_sets", naive.SetsWithoutComparing, "compare, then set"),
    ("test_commit_compares_before_it_sets", naive.AllOrNothing, "takes no other along"),
    ("test_ledger_mapping_never_changes", naive.LiveLedger, "give out a copy"),
    ("test_undelivered_until_marked", naive.AskingMarks, "asking does not mark"),
    ("test_living_owner_keeps_its_events", naive.GivesToAnybody, "gets its own"),
    ("test_ledger_through_another_handle", naive.LedgerInTheHandle, "announced it again"),
    ("test_records_and_ledger_are_apart", naive.RemoveForgetsTheLedger, "changed what was announced"),
    ("test_history", naive.HistoryUntilDelivered, "must not remove"),
    ("test_history", naive.HistoryExclusive, "inclusive"),
    ("test_history_of_the_fleet", naive.HistoryOfTransitions, "about the fleet too"),
    ("test_history_of_the_fleet", naive.HistoryByMention, "of no machine"),
    ("test_history_of_the_fleet", naive.HistoryExclusive, "every kind of event"),
    ("test_history_through_another_handle", naive.LedgerInTheHandle, "every handle"),
    ("test_put_many", naive.ManyAreEchoed, "of each heartbeat"),
    ("test_put_many", naive.ManyOverwrite, "unless a newer one"),
    ("test_probe", naive.ProbeAsDict, "return a Probe"),
    ("test_probe", naive.ProbesWithABeat, "not to be seen"),
    ("test_probe", naive.ProbeLeavesTraces, "takes away"),
    ("test_probe", naive.ProbesWhenClosed, "answers nothing"),
    ("test_service_record", naive.ServiceByReference, "return a copy"),
    ("test_service_record", naive.ServiceMerges, "does not merge"),
    ("test_calendar_starts_empty", naive.CalendarOfNone, "empty tuple"),
    ("test_windows_round_trip", naive.WindowsLoseReason, "reason"),
    ("test_windows_round_trip", naive.WindowsInWholeSeconds, "are kept"),
    ("test_windows_round_trip", naive.WindowsEndAsFloat, "expected epoch milliseconds"),
    ("test_windows_round_trip", naive.WindowsAsScheduled, "by start"),
    ("test_windows_round_trip", naive.LiveWindows, "return a tuple"),
    ("test_windows_are_one_object_until_they_change", naive.WindowsAnew, "keep the tuple"),
    ("test_windows_are_one_object_until_they_change", naive.LiveWindows, "give out a tuple"),
    ("test_window_replaces_its_like", naive.WindowsAsScheduled, "two windows of one machine"),
    ("test_window_replaces_its_like", naive.OneWindowAMachine, "made longer"),
    ("test_window_replaces_its_like", naive.OneWindowAStart, "made longer"),
    ("test_window_replaces_its_like", naive.WindowsOnlyGrow, "made shorter"),
    ("test_windows_that_ended_are_forgotten", naive.NeverForgetsWindows, "were to go"),
    ("test_windows_that_ended_are_forgotten", naive.ForgetsByStart, "were to go"),
    ("test_windows_through_another_handle", naive.LedgerInTheHandle, "another handle"),
    ("test_windows_survive_close", naive.ForgetsWindowsOnClose, "after a restart"),
    ("test_calendar_and_the_rest_are_apart", naive.CommitDropsWindows, "after a commit"),
    ("test_calendar_and_the_rest_are_apart", naive.RemoveDropsWindows, "and a removal"),
    ("test_threads_beat_and_nothing_is_lost", naive.Unlocked, "must not undo"),
    ("test_threads_race_for_one_record", naive.Unlocked, "under one lock"),
    ("test_threads_win_each_move_once", naive.Unlocked, "won more than once"),
    ("test_threads_schedule_and_nothing_is_lost", naive.Unlocked, "must not undo"),
    ("test_processes_beat_and_nothing_is_lost", naive.UnlockedFile, "must not undo"),
    ("test_processes_race_for_one_record", naive.UnlockedFile, "under one lock"),
    ("test_processes_win_each_move_once", naive.UnlockedFile, "won more than once"),
    ("test_processes_schedule_and_nothing_is_lost", naive.UnlockedFile, "must not undo"),
]
TESTS = {name for name in dir(StorageContract) if name.startswith("test_")}


class OverPlace(StorageContract):
    """The contract with every hook, for the storages of `naive_storages`."""

    contenders, races, batch = 3, 60, 5

    def opener(self, storage):
        kind = type(storage)
        return partial(kind, storage.path if isinstance(storage, naive.UnlockedFile) else storage.place)

    def damage(self, storage, machine_id):
        storage.place.records[machine_id] = "{cut"

    def fingerprint(self, storage):
        return dict(storage.place.records), storage.place.writes


class TestSound(OverPlace):
    """The storage they are all made from keeps every promise, so what is caught is the mistake."""

    @pytest.fixture
    def storage(self):
        return naive.Sound()


@pytest.mark.parametrize(
    ("name", "kind", "reason"), CAUGHT, ids=[f"{name}-{kind.__name__}" for name, kind, _ in CAUGHT]
)
def test_a_careless_storage_is_caught(name, kind, reason, tmp_path):
    storage = kind(tmp_path / "place") if issubclass(kind, naive.UnlockedFile) else kind()
    with pytest.raises((AssertionError, HeartbeatKitError)) as caught:
        getattr(OverPlace(), name)(storage)
    assert reason in str(caught.value)


def test_every_test_of_the_contract_catches_somebody():
    assert {name for name, _, _ in CAUGHT} == TESTS


@pytest.mark.parametrize("name", sorted(name for name in TESTS if "another_handle" in name or "processes" in name))
def test_a_promise_that_cannot_be_tested_is_a_failure_not_a_skip(name):
    with pytest.raises(pytest.fail.Exception, match="override opener"):
        getattr(StorageContract(), name)(naive.InMemoryAfterAll())


def test_a_process_that_cannot_open_the_storage_fails_the_race(tmp_path):
    class Unopenable(OverPlace):
        def opener(self, storage):
            return partial(naive.UnlockedFile, None)  # no path

    with pytest.raises(TypeError):
        Unopenable().test_processes_beat_and_nothing_is_lost(naive.UnlockedFile(tmp_path / "place"))
