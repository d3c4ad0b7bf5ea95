"""Other failure detectors, for comparison on the same trace; none of them is what the library uses.

One a file, all pure and deterministic: they are told of beats and asked for their suspicion, and read no clock.
`Detector` is what `heartbeat_kit.lab.run_detector` needs, so one of your own can be compared as well.
"""

from heartbeat_kit.lab._detectors._arrival_timeout import ArrivalTimeout
from heartbeat_kit.lab._detectors._chen import ChenFreshness
from heartbeat_kit.lab._detectors._phi import PhiAccrual
from heartbeat_kit.lab._detectors._plain_timeout import PlainTimeout
from heartbeat_kit.lab._detectors._predecessor import Predecessor30, Predecessor31
from heartbeat_kit.lab._detectors._protocol import Detector

__all__ = [
    "ArrivalTimeout",
    "ChenFreshness",
    "Detector",
    "PhiAccrual",
    "PlainTimeout",
    "Predecessor30",
    "Predecessor31",
]
