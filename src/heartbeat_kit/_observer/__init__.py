"""The observer: (what I knew, what the storage holds, an instant) → (what I know, what to announce).

Owns every decision about presence. Pure: it reads no clock, touches no storage, calls nobody. One noun a file:
`_timing` (the numbers in force), `_known` (memory), `_sighting` (whose clock), `_guard` (when not to judge),
`_verdict` (what a silence means), `_announce` (what to say), `_rivals` (two hosts under one id), `_look` (one pass),
`_notes` (what the next run
must know), `_views` (what people see).
"""

from heartbeat_kit._observer._allowance import Allowance
from heartbeat_kit._observer._known import Known, Memory
from heartbeat_kit._observer._look import Look, look
from heartbeat_kit._observer._notes import news_of
from heartbeat_kit._observer._report import check_report
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._observer._views import fleet_state

__all__ = ["Allowance", "Known", "Look", "Memory", "Timing", "check_report", "fleet_state", "look", "news_of"]
