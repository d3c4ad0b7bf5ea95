"""What a coordinator is put together of: what an `AutoSync` can do, and who may run.

Owns this wiring alone.
"""

from __future__ import annotations

from heartbeat_kit._service import HeartbeatService
from heartbeat_kit.sync._auto import Acts, Away
from heartbeat_kit.sync._deciding import approved_for
from heartbeat_kit.sync._engine import Engine
from heartbeat_kit.sync._evidence import Witness
from heartbeat_kit.sync._fence import EpochFence, Fence, NoFence
from heartbeat_kit.sync._model import SyncMode
from heartbeat_kit.sync._places import Places
from heartbeat_kit.sync._report import SyncReport
from heartbeat_kit.sync._setup import read_note, write_note
from heartbeat_kit.sync._tasks import Tasks, failing

__all__ = ["acts", "fence_of"]


def fence_of(service: HeartbeatService, places: Places) -> Fence:
    """What keeps two machines from syncing at once, where they see each other's writes."""
    if not service.storage.traits.coherent:
        return NoFence()
    return EpochFence(places.shared, f"{service.machine_id} {places.state.root}", service.clock)


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
