"""`heartbeats.json` as text: the reference's shape, one machine per line.

Owns the layout and the view of statuses for people, which is made when the file is written anyway and never read
back. Lines are kept by record, so a beat costs its own line and one join. Must not know files, nor a clock: ages are
taken against the newest stamp in the file.
"""

from __future__ import annotations

from typing import NamedTuple

from heartbeat_kit._config import DEFAULT_HEARTBEAT_INTERVAL, DEFAULT_OFFLINE_TIMEOUT
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._status import MachineStatus, status_of_age
from heartbeat_kit._times import span_ms, to_iso
from heartbeat_kit.storage._codec import heartbeat_to_text
from heartbeat_kit.storage._document import Document
from heartbeat_kit.storage._ledger_text import LedgerWriter, compact
from heartbeat_kit.storage._protocol import LedgerEntry

__all__ = ["DocumentWriter"]

_TIMEOUT_MS = span_ms(DEFAULT_OFFLINE_TIMEOUT)
_INTERVAL_MS = span_ms(DEFAULT_HEARTBEAT_INTERVAL)


class _View(NamedTuple):
    """What people see of a machine beside its facts."""

    status: MachineStatus
    since_ms: int
    missed: int


class _Line(NamedTuple):
    heartbeat: Heartbeat
    timeout_ms: int
    head: str
    tail: str
    view: _View
    text: str


class DocumentWriter:
    """Writes documents one after another, under the file's lock."""

    def __init__(self) -> None:
        self._lines: dict[str, _Line] = {}
        self._ledger = LedgerWriter()

    def text(self, document: Document) -> str:
        """The whole file."""
        newest = max((record.last_heartbeat_ms for record in document.heartbeats.values()), default=0)
        entries = document.ledger.entries
        before, lines = self._lines, {}
        for key, heartbeat in document.heartbeats.items():
            line = before.get(key)
            if line is None or line.heartbeat is not heartbeat:
                line = _new_line(heartbeat, newest, entries.get(key))
            else:
                view = _view(heartbeat, line.timeout_ms, newest, entries.get(key))
                if view != line.view:
                    line = line._replace(view=view, text=_text(line.head, view, line.tail))
            lines[key] = line
        self._lines = lines
        records = [line.text for line in lines.values()]
        records += [f"{compact(key)}:{compact(raw)}" for key, raw in document.damaged.items()]
        body = ",\n".join(records)
        return (
            f'{{\n"schemaVersion":{document.schema},\n"heartbeats":{{\n{body}\n}},\n'
            f'{self._summary(document)},\n"ledger":{{{self._ledger.members(document.ledger)}}}'
            + "".join(f",\n{compact(key)}:{compact(value)}" for key, value in document.foreign.items())
            + "\n}\n"
        )

    def _summary(self, document: Document) -> str:
        by_status: dict[MachineStatus, list[str]] = {status: [] for status in MachineStatus}
        for key, line in self._lines.items():
            by_status[line.view.status].append(key)
        last = document.ledger.last_commit_ms
        statistics = {
            "totalMachines": len(self._lines) + len(document.damaged),
            **{f"{status}Count": len(by_status[status]) for status in MachineStatus},
            "unreadableCount": len(document.damaged),
            "lastHeartbeatCheck": None if last is None else to_iso(last),
        }
        lists = (f'"{status}Machines":{compact(by_status[status])}' for status in MachineStatus)
        return ",\n".join([*lists, f'"statistics":{compact(statistics)}'])


def _new_line(heartbeat: Heartbeat, newest_ms: int, entry: LedgerEntry | None) -> _Line:
    timeout = max(_TIMEOUT_MS, _TIMEOUT_MS * heartbeat.interval_ms // _INTERVAL_MS)
    view = _view(heartbeat, timeout, newest_ms, entry)
    head, facts = heartbeat_to_text(heartbeat).split(',"incarnation":', 1)
    head = f'"{heartbeat.machine_id}":{head}'
    tail = f',"incarnation":{facts}'
    return _Line(heartbeat, timeout, head, tail, view, _text(head, view, tail))


def _view(heartbeat: Heartbeat, timeout_ms: int, newest_ms: int, entry: LedgerEntry | None) -> _View:
    age = newest_ms - heartbeat.last_heartbeat_ms
    missed = age // heartbeat.interval_ms
    if entry is not None and _announced(heartbeat, entry):
        return _View(entry.status, entry.since_ms, missed)
    if heartbeat.left_at_ms is not None:
        return _View(MachineStatus.OFFLINE, heartbeat.left_at_ms, missed)
    status = status_of_age(age, timeout_ms)
    bands = 2 if status is MachineStatus.OFFLINE else 1
    return _View(status, heartbeat.last_heartbeat_ms + bands * timeout_ms, missed)


def _announced(heartbeat: Heartbeat, entry: LedgerEntry) -> bool:
    """Whether what was announced still holds: nothing newer came, or more beats of a life announced online."""
    if heartbeat.order <= (entry.incarnation, entry.seq):
        return True
    return (
        entry.status is MachineStatus.ONLINE
        and heartbeat.incarnation == entry.incarnation
        and heartbeat.left_at_ms is None
    )


def _text(head: str, view: _View, tail: str) -> str:
    offline = f'"{to_iso(view.since_ms)}"' if view.status is MachineStatus.OFFLINE else "null"
    warning = f'"{to_iso(view.since_ms)}"' if view.status is MachineStatus.WARNING else "null"
    return (
        f'{head},"status":"{view.status}","offlineSince":{offline},"warningSince":{warning},'
        f'"missedHeartbeats":{view.missed}{tail}'
    )
