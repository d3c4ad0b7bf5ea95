"""The public surface is a promise: what is here can be imported, and nothing else is."""

import heartbeat_kit
import heartbeat_kit.errors
import heartbeat_kit.lab
import heartbeat_kit.storage
import heartbeat_kit.sync
import heartbeat_kit.testing

PUBLIC = [
    "Basis",
    "CascadeBrake",
    "CascadeDetected",
    "CheckReport",
    "Clock",
    "ConflictPolicy",
    "DEFAULT_HEARTBEAT_INTERVAL",
    "DEFAULT_OFFLINE_TIMEOUT",
    "Decision",
    "Event",
    "FleetSilent",
    "FleetState",
    "Heartbeat",
    "HeartbeatConfig",
    "HeartbeatService",
    "Instant",
    "JsonFileStorage",
    "MachineState",
    "MachineStatus",
    "MaintenanceWindow",
    "MediumState",
    "MemoryStorage",
    "ObserverHealth",
    "ObserverState",
    "Reason",
    "Registration",
    "ServiceStatus",
    "SharedFolderStorage",
    "Statistics",
    "Storage",
    "StorageTraits",
    "Subscription",
    "SyncChanges",
    "SyncCoordinator",
    "SyncPlan",
    "SyncReport",
    "SystemClock",
    "Transition",
    "classify",
    "default_machine_id",
    "normalize_machine_id",
    "open_storage",
    "to_wire",
]


def test_the_package_exports_exactly_its_promise():
    assert sorted(heartbeat_kit.__all__) == sorted(PUBLIC)
    assert all(hasattr(heartbeat_kit, name) for name in PUBLIC)
    assert set(PUBLIC) <= set(dir(heartbeat_kit))


def test_every_listed_name_of_the_other_public_modules_exists():
    public = heartbeat_kit
    for module in (public.errors, public.storage, public.sync, public.testing, public.lab):
        assert all(hasattr(module, name) for name in module.__all__), module


def test_an_unknown_name_is_an_attribute_error():
    assert not hasattr(heartbeat_kit, "HeartbeatServices")
    assert not hasattr(heartbeat_kit.storage, "RedisStorage")
    assert not hasattr(heartbeat_kit.sync, "SyncCoordinators")


def test_the_service_has_exactly_the_promised_methods():
    promised = [
        "check",
        "clock",
        "config",
        "end_maintenance",
        "fleet_history",
        "history",
        "host",
        "is_running",
        "machine_id",
        "maintenance",
        "maintenance_windows",
        "on_offline",
        "on_online",
        "on_transition",
        "on_warning",
        "progress",
        "prune",
        "reconfigure",
        "register",
        "remove",
        "start",
        "state",
        "state_dir",
        "status",
        "stop",
        "storage",
        "subscribe",
        "tap",
        "wait_for",
    ]
    public = [name for name in dir(heartbeat_kit.HeartbeatService) if not name.startswith("_")]
    assert sorted(public) == sorted(promised)


def test_the_coordinator_has_exactly_the_promised_methods():
    promised = [
        "adopt_baseline",
        "apply",
        "approve",
        "attach",
        "decisions",
        "machine_id",
        "plan",
        "prune",
        "publish",
        "recover",
        "reject",
        "rollback",
        "service",
        "sync_on_offline",
        "sync_on_online",
        "verify",
        "versions",
    ]
    public = [name for name in dir(heartbeat_kit.SyncCoordinator) if not name.startswith("_")]
    assert sorted(public) == sorted(promised)


def test_the_module_of_syncs_exports_exactly_its_promise():
    promised = [
        "Absent",
        "Act",
        "Action",
        "AutoSync",
        "Choice",
        "ConflictPolicy",
        "DEFAULT_VALIDATORS",
        "Decision",
        "DecisionAction",
        "DecisionKind",
        "DecisionState",
        "Effect",
        "File",
        "Guards",
        "Pruned",
        "Publication",
        "Recovery",
        "Refusal",
        "Selection",
        "Side",
        "SyncChanges",
        "SyncCoordinator",
        "SyncMode",
        "SyncOutcome",
        "SyncPlan",
        "SyncReport",
        "Unknown",
        "Unsupported",
        "Versions",
    ]
    assert sorted(heartbeat_kit.sync.__all__) == sorted(promised)
    assert set(promised) <= set(dir(heartbeat_kit.sync))
    for name in set(promised) & set(PUBLIC):
        assert getattr(heartbeat_kit.sync, name) is getattr(heartbeat_kit, name)


def test_error_codes_are_stable_and_each_belongs_to_one_class():
    classes = [getattr(heartbeat_kit.errors, name) for name in heartbeat_kit.errors.__all__]
    codes = {cls.__name__: cls.code for cls in classes}
    assert len(set(codes.values())) == len(codes)
    assert codes == {
        "HeartbeatKitError": "HEARTBEAT_KIT_ERROR",
        "InvalidMachineIdError": "INVALID_MACHINE_ID",
        "MissingMachineIdError": "HEARTBEAT_MISSING_MACHINE_ID",
        "InvalidMetadataError": "INVALID_METADATA",
        "InvalidHeartbeatError": "INVALID_HEARTBEAT",
        "InvalidConfigurationError": "INVALID_CONFIGURATION",
        "MissingDependencyError": "MISSING_DEPENDENCY",
        "UnknownMachineError": "UNKNOWN_MACHINE",
        "NoMachineAvailableError": "NO_MACHINE_AVAILABLE",
        "DamagedTraceError": "TRACE_DAMAGED",
        "StorageError": "STORAGE_ERROR",
        "StorageUnavailableError": "STORAGE_UNAVAILABLE",
        "StorageCorruptError": "STORAGE_CORRUPT",
        "StorageClosedError": "STORAGE_CLOSED",
        "SyncError": "SYNC_ERROR",
        "MachineNotOfflineError": "MACHINE_NOT_OFFLINE",
        "MachineNotOnlineError": "MACHINE_NOT_ONLINE",
        "OfflineSyncError": "SYNC_OFFLINE_FAILED",
        "OnlineSyncError": "SYNC_ONLINE_FAILED",
        "NotExecutorError": "NOT_EXECUTOR",
        "BaselineUnavailableError": "BASELINE_UNAVAILABLE",
        "TooManyDeletesError": "TOO_MANY_DELETES",
        "AllChangedError": "ALL_CHANGED",
        "StalePlanError": "STALE_PLAN",
        "RecoveryPendingError": "RECOVERY_PENDING",
        "SyncBusyError": "SYNC_BUSY",
        "SyncFencedError": "SYNC_FENCED",
        "SyncFileError": "SYNC_FILE_FAILED",
        "DamagedSyncStateError": "SYNC_STATE_DAMAGED",
        "DamagedBackupError": "BACKUP_DAMAGED",
        "RollbackRefusedError": "ROLLBACK_REFUSED",
        "UnknownDecisionError": "UNKNOWN_DECISION",
        "DecisionRefusedError": "DECISION_REFUSED",
        "ServiceError": "HEARTBEAT_SERVICE_ERROR",
        "HeartbeatRegistrationError": "HEARTBEAT_REGISTRATION_FAILED",
        "HeartbeatCheckError": "HEARTBEAT_CHECK_FAILED",
        "HeartbeatStateError": "HEARTBEAT_GET_STATE_FAILED",
        "HeartbeatStopError": "HEARTBEAT_STOP_FAILED",
        "HeartbeatStartError": "HEARTBEAT_START_FAILED",
        "ServiceAlreadyRunningError": "SERVICE_ALREADY_RUNNING",
    }
