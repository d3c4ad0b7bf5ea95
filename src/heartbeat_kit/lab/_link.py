"""Links: the storage as one machine of the laboratory has it.

Owns the `Storage` over a replica and the faults between a service and it. Must not know how records travel.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import attrs

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import StorageUnavailableError
from heartbeat_kit.lab._ledger import HostLedger
from heartbeat_kit.lab._network import Network, Node
from heartbeat_kit.storage import Observation, Snapshot, StorageTraits
from heartbeat_kit.storage._keeps_ledger import KeepsLedger

__all__ = ["FolderLink", "Link", "MemoryLink"]


class Link:
    """A storage that reads and writes one machine's replica and sends what is written.

    Args:
        network: Where to.
        node: Whose.
        traits: What it declares.

    Attributes:
        cut: How many reasons there are why nothing works.
        full: How many reasons there are why no write works.
    """

    def __init__(self, network: Network, node: Node, traits: StorageTraits) -> None:
        self.traits = traits
        self.cut = 0
        self.full = 0
        self._network = network
        self._node = node

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Write into the replica and send, unless a newer one is there."""
        self._reach(writing=True)
        node = self._node
        stored = node.replica.put(heartbeat)
        if stored is heartbeat:
            self._network.send(node, heartbeat.machine_id, heartbeat)
        return stored

    def get(self, machine_id: str) -> Heartbeat | None:
        """One record of the replica as it is now."""
        self._reach()
        return self._node.replica.get(normalize_machine_id(machine_id))

    def load(self) -> Snapshot:
        """The replica as it is now."""
        self._reach()
        return self._node.replica.load()

    def remove(self, machine_id: str) -> bool:
        """Remove from the replica, and send that."""
        self._reach(writing=True)
        name = normalize_machine_id(machine_id)
        removed = self._node.replica.remove(name)
        self._network.send(self._node, name, None)
        return removed

    def close(self) -> None:
        """The laboratory closes what it opened."""

    def _reach(self, *, writing: bool = False) -> None:
        if self.cut:
            raise StorageUnavailableError(f"{self._node.name} is cut off from the medium (Partition)")
        if self.full and writing:
            raise StorageUnavailableError(f"no space is left on the device of {self._node.name} (DiskFull)")
        self._node.receive(self._network.now_ms())

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self._node.name}>"


class MemoryLink(KeepsLedger, Link):
    """A link that has the host's ledger with it, as a `LocalLedger` in memory."""

    def __init__(self, network: Network, node: Node, traits: StorageTraits) -> None:
        super().__init__(network, node, traits)
        self._ledger: HostLedger = HostLedger()

    def observations(self) -> Mapping[str, Observation]:
        """When this host saw each machine's newest record rise."""
        return self._ledger.observations()

    def note(self, observations: Mapping[str, Observation]) -> None:
        """Keep observations."""
        self._ledger.note(observations)


class FolderLink(Link):
    """A link to a real folder; the service keeps its ledger in a state directory of its own."""

    def __init__(self, network: Network, node: Node, traits: StorageTraits, *, directory: Path) -> None:
        place = attrs.evolve(traits, durable=True, cross_process=True, location=f"folder:{directory}")
        super().__init__(network, node, place)
