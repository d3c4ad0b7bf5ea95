"""What those who run a fleet would otherwise write again: whom to give work, how the day was, many beats at once.

`available` and `least_loaded` choose machines from a state; `availability` and `daily_report` reckon what the events of
a time come to; `Gateway` beats for many machines that cannot do it themselves.
"""

from heartbeat_kit.ops._availability import availability
from heartbeat_kit.ops._choosing import available, least_loaded
from heartbeat_kit.ops._daily import daily_report
from heartbeat_kit.ops._gateway import Flush, Gateway
from heartbeat_kit.ops._report import AvailabilityReport, MachineAvailability, Outage

__all__ = [
    "AvailabilityReport",
    "Flush",
    "Gateway",
    "MachineAvailability",
    "Outage",
    "availability",
    "available",
    "daily_report",
    "least_loaded",
]
