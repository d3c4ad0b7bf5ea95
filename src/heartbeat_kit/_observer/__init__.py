"""The observer: (what I knew, what the storage holds, an instant) → (what I know, what to announce).

Owns every decision about presence. Pure: it reads no clock, touches no storage, calls nobody. One noun a file:

- what goes in: `_timing` (the numbers in force), `_known` (memory), `_sighting` (whose clock), `_jitter` and
  `_allowance` (how late the medium is);
- when not to judge: `_guard` (stalls, sleeps, clocks, blindness), `_silence` (of everybody);
- what is so: `_verdict` (what a silence means), `_rivals` (two hosts under one id), `_flapping`;
- what is said: `_announce` (changes), `_marks` (flapping and maintenance), `_cascade` (many at once);
- how it runs: `_pass` (over the machines), `_look` (the whole), `_notes` (what the next run must know), `_views` and
  `_report` (what people see).
"""

from heartbeat_kit._observer._allowance import Allowance
from heartbeat_kit._observer._known import Known, Memory
from heartbeat_kit._observer._look import Look, look
from heartbeat_kit._observer._notes import news_of
from heartbeat_kit._observer._report import check_report
from heartbeat_kit._observer._timing import Timing
from heartbeat_kit._observer._views import fleet_state

__all__ = ["Allowance", "Known", "Look", "Memory", "Timing", "check_report", "fleet_state", "look", "news_of"]
