"""Files of every released layout are read, and what has not changed in them is written as it was."""

import json
import shutil
from pathlib import Path

import pytest

from heartbeat_kit._events import Basis, Reason, Transition
from heartbeat_kit._status import MachineStatus
from heartbeat_kit.storage import JsonFileStorage, LedgerEntry, LocalLedger
from heartbeat_kit.storage._event_codec import event_from_record, event_to_record
from heartbeat_kit.storage._ledger_state import LedgerReader
from heartbeat_kit.storage._ledger_text import LedgerWriter, compact

SCHEMA_1 = Path(__file__).parents[1] / "fixtures" / "schema_1"
START = 1_768_519_800_000  # 2026-01-15T23:30:00Z
RETURNED = Transition(
    id=f"{5:032}",
    machine_id="web-1",
    before=MachineStatus.OFFLINE,
    after=MachineStatus.ONLINE,
    reason=Reason.RETURNED,
    observer="watcher",
    occurred_at=START + 300_000,
    detected_at=START + 300_250,
    last_heartbeat=START + 300_000,
    incarnation=START,
    seq=9,
    offline_duration=60_000,
    basis=Basis.LEDGER,
)
AWAY = LedgerEntry(
    machine_id="web-2",
    status=MachineStatus.OFFLINE,
    event_id=f"{6:032}",
    reason=Reason.LEFT,
    since_ms=START + 310_000,
    episode="episode-2",
    incarnation=START,
    seq=7,
)


@pytest.fixture(params=["fleet", "local"])
def ledger(request, tmp_path):
    """A ledger of the first release, as both kinds of it keep one."""
    shutil.copytree(SCHEMA_1, tmp_path, dirs_exist_ok=True)
    ledger = JsonFileStorage(tmp_path) if request.param == "fleet" else LocalLedger(tmp_path)
    yield ledger
    ledger.close()


def test_a_ledger_of_the_first_release_is_read_whole(ledger, caplog):
    """What it knows nothing of has its default."""
    assert dict(ledger.read_ledger())["web-2"] == AWAY
    assert [event.id[-1] for event in ledger.history()] == ["1", "2", "3", "4", "5", "6"]
    assert [event.id[-1] for event in ledger.undelivered("heir")] == ["4", "5", "6"]
    assert ledger.history("web-1")[-1] == ledger.undelivered("heir")[1] == RETURNED
    assert ledger.windows() == ()
    assert caplog.text == ""


def test_a_transition_is_written_as_it_was(tmp_path):
    for line in (SCHEMA_1 / "heartbeat-events.jsonl").read_text().splitlines():
        assert compact(event_to_record(event_from_record(json.loads(line)))) == line


@pytest.mark.parametrize("name", ["ledger.json", "heartbeats.json"])
def test_a_ledger_without_news_is_written_as_it_was(name):
    text = (SCHEMA_1 / name).read_text()
    record = json.loads(text)
    state = LedgerReader().read(record.get("ledger", record), pytest.fail)
    assert LedgerWriter().members(state) in text
