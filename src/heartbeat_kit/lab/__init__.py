"""The laboratory: simulate a fleet, record a real one, replay it under other settings, and score what comes out.

Owns the map of this package. Everything is loaded on first use; nothing here needs more than the library itself.

    >>> from heartbeat_kit.lab import Crash, Medium, simulate
    >>> run = simulate(3, Medium.coherent(), [Crash("m3", at=600)], duration=1800)
    >>> run.quality().mistakes, run.quality().detections
    (0, 1)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from heartbeat_kit._lazy import load

if TYPE_CHECKING:
    from heartbeat_kit.lab._compare import Comparison, DetectorRun, compare, run_detector
    from heartbeat_kit.lab._detectors import (
        ArrivalTimeout,
        ChenFreshness,
        Detector,
        PhiAccrual,
        PlainTimeout,
        Predecessor30,
        Predecessor31,
    )
    from heartbeat_kit.lab._faults import (
        Crash,
        DiskFull,
        Dst,
        Fault,
        IdentityClone,
        Leave,
        Partition,
        Pause,
        Skew,
        Stall,
        Suspend,
        UploadPause,
        WallJump,
    )
    from heartbeat_kit.lab._medium import Lognormal, Medium, Uniform
    from heartbeat_kit.lab._quality import Quality, Span, assess
    from heartbeat_kit.lab._recommend import Recommendation, recommend
    from heartbeat_kit.lab._recorder import Recorder
    from heartbeat_kit.lab._replay import Outcome, Replay, Suspicion, replay
    from heartbeat_kit.lab._run import Heard, Mistake, Run
    from heartbeat_kit.lab._simulate import simulate
    from heartbeat_kit.lab._sweep import Sweep, SweepRow, sweep
    from heartbeat_kit.lab._trace import ObserverFacts, Trace, TraceLook

__all__ = [
    "ArrivalTimeout",
    "ChenFreshness",
    "Comparison",
    "Crash",
    "Detector",
    "DetectorRun",
    "DiskFull",
    "Dst",
    "Fault",
    "Heard",
    "IdentityClone",
    "Leave",
    "Lognormal",
    "Medium",
    "Mistake",
    "ObserverFacts",
    "Outcome",
    "Partition",
    "Pause",
    "PhiAccrual",
    "PlainTimeout",
    "Predecessor30",
    "Predecessor31",
    "Quality",
    "Recommendation",
    "Recorder",
    "Replay",
    "Run",
    "Skew",
    "Span",
    "Stall",
    "Suspend",
    "Suspicion",
    "Sweep",
    "SweepRow",
    "Trace",
    "TraceLook",
    "Uniform",
    "UploadPause",
    "WallJump",
    "assess",
    "compare",
    "recommend",
    "replay",
    "run_detector",
    "simulate",
    "sweep",
]

_MODULES = {
    "_compare": (
        "Comparison",
        "DetectorRun",
        "compare",
        "run_detector",
    ),
    "_detectors": (
        "ArrivalTimeout",
        "ChenFreshness",
        "Detector",
        "PhiAccrual",
        "PlainTimeout",
        "Predecessor30",
        "Predecessor31",
    ),
    "_faults": (
        "Crash",
        "DiskFull",
        "Dst",
        "Fault",
        "IdentityClone",
        "Leave",
        "Partition",
        "Pause",
        "Skew",
        "Stall",
        "Suspend",
        "UploadPause",
        "WallJump",
    ),
    "_medium": (
        "Lognormal",
        "Medium",
        "Uniform",
    ),
    "_quality": (
        "Quality",
        "Span",
        "assess",
    ),
    "_recommend": (
        "Recommendation",
        "recommend",
    ),
    "_recorder": ("Recorder",),
    "_replay": (
        "Outcome",
        "Replay",
        "Suspicion",
        "replay",
    ),
    "_run": (
        "Heard",
        "Mistake",
        "Run",
    ),
    "_simulate": ("simulate",),
    "_sweep": (
        "Sweep",
        "SweepRow",
        "sweep",
    ),
    "_trace": (
        "ObserverFacts",
        "Trace",
        "TraceLook",
    ),
}
_HOMES = {name: module for module, names in _MODULES.items() for name in names}


def __getattr__(name: str) -> Any:
    return load(__name__, _HOMES, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
