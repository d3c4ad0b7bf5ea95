"""What an `AutoSync` can do, put together of the parts of a coordinator.

Owns this wiring alone.
"""

from __future__ import annotations

from heartbeat_kit.sync._auto import Acts, Away
from heartbeat_kit.sync._deciding import approved_for
from heartbeat_kit.sync._engine import Engine
from heartbeat_kit.sync._evidence import Witness
from heartbeat_kit.sync._model import SyncMode
from heartbeat_kit.sync._report import SyncReport
from heartbeat_kit.sync._setup import read_note, write_note
from heartbeat_kit.sync._tasks import Tasks, failing

__all__ = ["acts"]


def acts(engine: Engine, tasks: Tasks, witness: Witness, machine_id: str) -> Acts:
    """What a coordinator of this machine can do unattended."""
    places = engine.places

    def online(away: Away | None) -> SyncReport:
        with failing(SyncMode.ONLINE, machine_id):
            return engine.run(tasks.online(create_backup=True, away=away))

    def offline(other: str) -> SyncReport:
        with failing(SyncMode.OFFLINE, other):
            return engine.run(tasks.offline(other, create_backup=True))

    return Acts(
        offline=offline,
        online=online,
        publish=lambda: engine.publish(machine_id),
        approved=lambda: approved_for(places, machine_id),
        transition=lambda other: witness.offline(other).transition_id,
        online_machines=witness.online_machines,
        read_note=lambda: read_note(places.state),
        write_note=lambda data: write_note(places.state, data),
    )
