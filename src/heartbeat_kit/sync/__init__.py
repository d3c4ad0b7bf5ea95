"""Backup-and-sync of configuration when a machine goes or returns.

The façade is `SyncCoordinator`. What it answers: `SyncPlan`, `SyncReport`, `SyncChanges`, `Decision`, `Recovery`.
What it is told: `ConflictPolicy`, `Selection`, `Guards`. `AutoSync` is what `attach` gives.
"""

from typing import TYPE_CHECKING, Any

from heartbeat_kit._lazy import load

if TYPE_CHECKING:
    from heartbeat_kit.sync._auto import AutoSync
    from heartbeat_kit.sync._changes import SyncChanges
    from heartbeat_kit.sync._coordinator import SyncCoordinator
    from heartbeat_kit.sync._deciding import Versions
    from heartbeat_kit.sync._decision import Decision, DecisionAction, DecisionKind, DecisionState
    from heartbeat_kit.sync._guards import Guards, Refusal
    from heartbeat_kit.sync._model import Absent, File, Side, SyncMode, Unknown, Unsupported
    from heartbeat_kit.sync._plan import Act, Action, Effect, SyncPlan
    from heartbeat_kit.sync._policy import Choice, ConflictPolicy
    from heartbeat_kit.sync._published import Publication
    from heartbeat_kit.sync._recovery import Recovery
    from heartbeat_kit.sync._report import SyncOutcome, SyncReport
    from heartbeat_kit.sync._retention import Pruned
    from heartbeat_kit.sync._selection import Selection
    from heartbeat_kit.sync._snapshot import DEFAULT_VALIDATORS

__all__ = [
    "DEFAULT_VALIDATORS",
    "Absent",
    "Act",
    "Action",
    "AutoSync",
    "Choice",
    "ConflictPolicy",
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

_HOMES = {
    "DEFAULT_VALIDATORS": "_snapshot",
    "Absent": "_model",
    "Act": "_plan",
    "Action": "_plan",
    "AutoSync": "_auto",
    "Choice": "_policy",
    "ConflictPolicy": "_policy",
    "Decision": "_decision",
    "DecisionAction": "_decision",
    "DecisionKind": "_decision",
    "DecisionState": "_decision",
    "Effect": "_plan",
    "File": "_model",
    "Guards": "_guards",
    "Pruned": "_retention",
    "Publication": "_published",
    "Recovery": "_recovery",
    "Refusal": "_guards",
    "Selection": "_selection",
    "Side": "_model",
    "SyncChanges": "_changes",
    "SyncCoordinator": "_coordinator",
    "SyncMode": "_model",
    "SyncOutcome": "_report",
    "SyncPlan": "_plan",
    "SyncReport": "_report",
    "Unknown": "_model",
    "Unsupported": "_model",
    "Versions": "_deciding",
}


def __getattr__(name: str) -> Any:
    return load(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
