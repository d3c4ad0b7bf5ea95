"""The error tree: codes, builtin bases, pickles."""

import copy
import pickle

import pytest

from heartbeat_kit import errors
from heartbeat_kit.errors import HeartbeatKitError

LEAVES = {
    errors.InvalidMachineIdError: ("INVALID_MACHINE_ID", ValueError),
    errors.MissingMachineIdError: ("HEARTBEAT_MISSING_MACHINE_ID", errors.InvalidMachineIdError),
    errors.InvalidMetadataError: ("INVALID_METADATA", ValueError),
    errors.InvalidHeartbeatError: ("INVALID_HEARTBEAT", ValueError),
    errors.InvalidConfigurationError: ("INVALID_CONFIGURATION", ValueError),
    errors.MissingDependencyError: ("MISSING_DEPENDENCY", ImportError),
    errors.UnknownMachineError: ("UNKNOWN_MACHINE", KeyError),
    errors.NoMachineAvailableError: ("NO_MACHINE_AVAILABLE", LookupError),
    errors.DamagedTraceError: ("TRACE_DAMAGED", ValueError),
    errors.StorageError: ("STORAGE_ERROR", HeartbeatKitError),
    errors.StorageUnavailableError: ("STORAGE_UNAVAILABLE", OSError),
    errors.StorageCorruptError: ("STORAGE_CORRUPT", ValueError),
    errors.StorageClosedError: ("STORAGE_CLOSED", ValueError),
    errors.SyncError: ("SYNC_ERROR", RuntimeError),
    errors.MachineNotOfflineError: ("MACHINE_NOT_OFFLINE", errors.SyncError),
    errors.MachineNotOnlineError: ("MACHINE_NOT_ONLINE", errors.SyncError),
    errors.OfflineSyncError: ("SYNC_OFFLINE_FAILED", errors.SyncError),
    errors.OnlineSyncError: ("SYNC_ONLINE_FAILED", errors.SyncError),
    errors.NotExecutorError: ("NOT_EXECUTOR", errors.SyncError),
    errors.BaselineUnavailableError: ("BASELINE_UNAVAILABLE", errors.SyncError),
    errors.TooManyDeletesError: ("TOO_MANY_DELETES", errors.SyncError),
    errors.AllChangedError: ("ALL_CHANGED", errors.SyncError),
    errors.StalePlanError: ("STALE_PLAN", errors.SyncError),
    errors.RecoveryPendingError: ("RECOVERY_PENDING", errors.SyncError),
    errors.SyncBusyError: ("SYNC_BUSY", errors.SyncError),
    errors.SyncFencedError: ("SYNC_FENCED", errors.SyncError),
    errors.SyncFileError: ("SYNC_FILE_FAILED", OSError),
    errors.DamagedSyncStateError: ("SYNC_STATE_DAMAGED", ValueError),
    errors.DamagedBackupError: ("BACKUP_DAMAGED", ValueError),
    errors.RollbackRefusedError: ("ROLLBACK_REFUSED", errors.SyncError),
    errors.UnknownDecisionError: ("UNKNOWN_DECISION", KeyError),
    errors.DecisionRefusedError: ("DECISION_REFUSED", errors.SyncError),
    errors.ServiceError: ("HEARTBEAT_SERVICE_ERROR", RuntimeError),
    errors.HeartbeatRegistrationError: ("HEARTBEAT_REGISTRATION_FAILED", errors.ServiceError),
    errors.HeartbeatCheckError: ("HEARTBEAT_CHECK_FAILED", errors.ServiceError),
    errors.HeartbeatStateError: ("HEARTBEAT_GET_STATE_FAILED", errors.ServiceError),
    errors.HeartbeatStopError: ("HEARTBEAT_STOP_FAILED", errors.ServiceError),
    errors.HeartbeatStartError: ("HEARTBEAT_START_FAILED", errors.ServiceError),
    errors.ServiceAlreadyRunningError: ("SERVICE_ALREADY_RUNNING", errors.HeartbeatStartError),
}


def test_the_table_above_is_the_whole_tree():
    exported = {getattr(errors, name) for name in errors.__all__}
    assert exported == {*LEAVES, HeartbeatKitError}
    assert HeartbeatKitError.code == "HEARTBEAT_KIT_ERROR"


@pytest.mark.parametrize(("error_type", "promise"), LEAVES.items(), ids=lambda value: getattr(value, "__name__", ""))
def test_code_and_bases(error_type, promise):
    code, base = promise
    error = error_type("what, expected, do", machine_id="web-1")
    assert (error.code, error.machine_id, error.message) == (code, "web-1", "what, expected, do")
    assert isinstance(error, base)
    assert isinstance(error, HeartbeatKitError)


@pytest.mark.parametrize("error_type", [*LEAVES, HeartbeatKitError])
@pytest.mark.parametrize("clone", [copy.copy, lambda error: pickle.loads(pickle.dumps(error))], ids=["copy", "pickle"])
def test_survives_a_process_border(error_type, clone):
    """Type, text, id and code come out as they went in; `KeyError` and `OSError` would change the text."""
    error = clone(error_type("it's 'quoted'", machine_id="web-1"))
    assert type(error) is error_type
    assert (str(error), error.message, error.machine_id, error.code) == (
        "it's 'quoted'",
        "it's 'quoted'",
        "web-1",
        error_type.code,
    )


def test_the_machine_id_is_optional():
    assert HeartbeatKitError("no machine in it").machine_id is None


def test_a_sync_error_keeps_its_paths_over_a_process_border():
    error = pickle.loads(pickle.dumps(errors.TooManyDeletesError("12 of 20", machine_id="web-1", paths=["a", "b"])))
    assert (error.paths, error.machine_id, str(error)) == (("a", "b"), "web-1", "12 of 20")
