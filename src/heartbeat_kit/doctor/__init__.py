"""The doctor: whether what heartbeat_kit says here can be believed, and what to do where it cannot.

`diagnose` looks at everything a verdict rests on: the storage, the clocks, the records, the running service and, with
a coordinator, the sync. It leaves everything as it is. Each thing looked at is a `Finding` of the `Diagnosis`.
"""

from heartbeat_kit.doctor._diagnose import diagnose
from heartbeat_kit.doctor._diagnosis import Diagnosis, Finding, FindingOutcome

__all__ = ["Diagnosis", "Finding", "FindingOutcome", "diagnose"]
