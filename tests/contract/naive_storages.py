"""A small sound storage, and what becomes of it in careless hands: one class per mistake.

Each mistake is one that a predecessor, a peer or a first draft made.
"""

import copy
import pickle
import threading
from contextlib import contextmanager
from pathlib import Path

import attrs

from heartbeat_kit._events import Transition
from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import StorageClosedError, StorageCorruptError
from heartbeat_kit.storage import MemoryStorage, Probe, Snapshot, StorageTraits

TRAITS = StorageTraits(durable=True, cross_process=False, cross_host=False, coherent=True)


class Place:
    """What is stored, whoever has a handle on it. A record that is no heartbeat is a damaged one."""

    def __init__(self):
        self.records, self.ledger, self.outbox, self.log = {}, {}, {}, []
        self.calendar = ()
        self.service = None
        self.writes = 0
        self.lock = threading.RLock()

    def __getstate__(self):
        return {name: value for name, value in vars(self).items() if name != "lock"}


class Sound:
    """Every promise kept, over a `Place` that any number of handles share."""

    traits = TRAITS

    def __init__(self, place=None):
        self.place = place or Place()
        self.closed = False

    @contextmanager
    def opened(self):
        if self.closed:
            raise StorageClosedError("closed")
        with self.place.lock:
            yield self.place

    def put(self, heartbeat):
        with self.opened() as place:
            stored = place.records.get(heartbeat.machine_id)
            if not isinstance(stored, str | None) and stored.order >= heartbeat.order:
                return stored
            place.records[heartbeat.machine_id] = heartbeat
            place.writes += 1
            return heartbeat

    def get(self, machine_id):
        with self.opened() as place:
            found = place.records.get(normalize_machine_id(machine_id))
            return None if isinstance(found, str) else found

    def load(self):
        with self.opened() as place:
            bad = {name: "damaged" for name, record in place.records.items() if isinstance(record, str)}
            good = {name: record for name, record in place.records.items() if name not in bad}
            return Snapshot(heartbeats=good, unreadable=bad)

    def remove(self, machine_id):
        with self.opened() as place:
            found = place.records.pop(normalize_machine_id(machine_id), None) is not None
            place.writes += found
            return found

    def close(self):
        self.closed = True

    def read_ledger(self):
        with self.opened() as place:
            return dict(place.ledger)

    def commit(self, moves):
        with self.opened() as place:
            return tuple(move for move in moves if self.made(place, move))

    def made(self, place, move):
        current = place.ledger.get(move.entry.machine_id)
        if (current.event_id if current else None) != move.expected:
            return False
        place.ledger[move.entry.machine_id] = move.entry
        place.outbox[move.transition.id] = move
        place.log.append(move.transition)
        return True

    def undelivered(self, owner):
        with self.opened() as place:
            return tuple(move.transition for move in place.outbox.values() if move.owner == owner)

    def delivered(self, ids):
        with self.opened() as place:
            for event in ids:
                place.outbox.pop(event, None)

    def history(self, machine_id=None, since_ms=None):
        wanted = None if machine_id is None else normalize_machine_id(machine_id)
        with self.opened() as place:
            return tuple(
                event
                for event in place.log
                if self.concerns(event, wanted) and (since_ms is None or event.detected_at_ms >= since_ms)
            )

    def concerns(self, event, machine_id):
        return machine_id in (None, getattr(event, "machine_id", None))

    def windows(self):
        with self.opened() as place:
            return place.calendar

    def schedule(self, window, *, forget_before_ms):
        with self.opened() as place:
            kept = [known for known in place.calendar if self.stays(known, window, forget_before_ms)]
            place.calendar = tuple(sorted([*kept, window], key=lambda item: (item.start_ms, item.machine_id)))

    def stays(self, known, window, forget_before_ms):
        same = (known.machine_id, known.start_ms) == (window.machine_id, window.start_ms)
        return not same and known.end_ms >= forget_before_ms

    def save_service(self, record):
        with self.opened() as place:
            place.service = copy.deepcopy(record)

    def load_service(self):
        with self.opened() as place:
            return copy.deepcopy(place.service)

    def put_many(self, heartbeats):
        return tuple(map(self.put, heartbeats))

    def probe(self, machine_id=""):
        with self.opened():
            return Probe()


class TraitsAsDict(Sound):
    traits = attrs.asdict(TRAITS)


class RemoveAlwaysTrue(Sound):
    def remove(self, machine_id):
        super().remove(machine_id)
        return True


def _storing(**changes):
    """A storage that stores each heartbeat with some fields as a careless schema keeps them."""

    class Careless(Sound):
        def put(self, heartbeat):
            super().put(attrs.evolve(heartbeat, **{name: change(heartbeat) for name, change in changes.items()}))
            return heartbeat

    return Careless


LosesFirstSeen = _storing(first_seen=lambda beat: beat.last_heartbeat_ms)
LosesMetadata = _storing(metadata=lambda _: {})
WholeSeconds = _storing(last_heartbeat=lambda beat: beat.last_heartbeat_ms // 1000 * 1000)
FloatCounters = _storing(seq=lambda beat: int(float(beat.seq)) & (2**63 - 1))
ZeroIsNone = _storing(left_at=lambda beat: beat.left_at_ms or None)
AsciiHost = _storing(host=lambda beat: beat.host.encode("ascii", "replace").decode())


class WritesBehind(Sound):
    def __init__(self, place=None):
        super().__init__(place)
        self.real, self.place = self.place, Place()

    def close(self):
        self.real.records.update(self.place.records)
        super().close()


class ForgetsOnClose(Sound):
    def close(self):
        self.place.records.clear()
        super().close()


class TakesPrefixForCopy(Sound):
    def load(self):
        found = super().load().heartbeats
        copies = {name: "a copy" for name in found if name.rpartition("-")[0] in found}
        return Snapshot(heartbeats={name: found[name] for name in found if name not in copies}, conflicts=copies)


class LastWriterWins(Sound):
    def put(self, heartbeat):
        with self.opened() as place:
            place.records[heartbeat.machine_id] = heartbeat
            return heartbeat


class StampDecides(Sound):
    def put(self, heartbeat):
        stored = self.get(heartbeat.machine_id)
        if stored is not None and stored.last_heartbeat_ms >= heartbeat.last_heartbeat_ms:
            return stored
        return LastWriterWins.put(self, heartbeat)


class EqualReplaces(Sound):
    def put(self, heartbeat):
        stored = self.get(heartbeat.machine_id)
        return stored if stored is not None and stored.order > heartbeat.order else LastWriterWins.put(self, heartbeat)


class ComparesWithMemory(Sound):
    def __init__(self, place=None):
        super().__init__(place)
        self.seen = {}

    def put(self, heartbeat):
        stored = self.seen.get(heartbeat.machine_id)
        if stored is not None and stored.order >= heartbeat.order:
            return stored
        self.seen[heartbeat.machine_id] = heartbeat
        return LastWriterWins.put(self, heartbeat)


class LiveSnapshot(Sound):
    def load(self):
        with self.opened() as place:
            return Snapshot(heartbeats=place.records)


class DecodesAnew(Sound):
    def load(self):
        found = super().load().heartbeats
        return Snapshot(heartbeats={name: attrs.evolve(record) for name, record in found.items()})


class CachesForEver(Sound):
    cached = None

    def load(self):
        self.cached = self.cached or super().load()
        return self.cached


class LoadStampsItself(Sound):
    def load(self):
        self.place.writes += 1
        return super().load()


class LoadRewrites(Sound):
    """The predecessor marked machines on disk while it looked at them."""

    def load(self):
        before = super().load()
        with self.opened() as place:
            place.records = {name: attrs.evolve(record, host="seen") for name, record in place.records.items()}
        return before


class OneBadSpoilsAll(Sound):
    def load(self):
        snapshot = super().load()
        if snapshot.unreadable:
            raise StorageCorruptError("a record cannot be read")
        return snapshot


class BadIsAbsent(Sound):
    def load(self):
        return Snapshot(heartbeats=super().load().heartbeats)


class DeletesBad(Sound):
    def load(self):
        snapshot = super().load()
        for name in snapshot.unreadable:
            del self.place.records[name]
        return snapshot


class BadStaysBad(Sound):
    """Reads before it writes, so its own damaged record can never be rewritten."""

    def put(self, heartbeat):
        return heartbeat if isinstance(self.place.records.get(heartbeat.machine_id), str) else super().put(heartbeat)


class WritesItsView(Sound):
    """The predecessor: every save writes the fleet as this process remembers it."""

    def __init__(self, place=None):
        super().__init__(place)
        self.view = {}

    def put(self, heartbeat):
        self.view[heartbeat.machine_id] = heartbeat
        with self.opened() as place:
            place.records.update(self.view)
        return heartbeat

    def load(self):
        self.view.update(super().load().heartbeats)
        return super().load()


class RawIds(Sound):
    def get(self, machine_id):
        return self.place.records.get(machine_id)


class RemoveMakesRoom(Sound):
    """Refuses in the end, but has touched the place by then."""

    def remove(self, machine_id):
        self.place.writes += 1
        return super().remove(machine_id)


class NeverCloses(Sound):
    def close(self):
        """Nothing."""


class CloseOnce(Sound):
    def close(self):
        with self.opened():
            self.closed = True


class ClockWithoutTime(Sound):
    traits = attrs.evolve(TRAITS, server_clock=True)


class UndeliveredIsNone(Sound):
    def undelivered(self, owner):
        return super().undelivered(owner) or None


class LedgerLosesEpisode(Sound):
    def read_ledger(self):
        return {name: attrs.evolve(entry, episode=None) for name, entry in super().read_ledger().items()}


class LedgerLosesSteady(Sound):
    def read_ledger(self):
        return {name: attrs.evolve(entry, steady=None) for name, entry in super().read_ledger().items()}


class StatusAsText(Sound):
    def read_ledger(self):
        return {name: attrs.evolve(entry, status=str(entry.status)) for name, entry in super().read_ledger().items()}


class EveryKeyIsAMachine(Sound):
    def made(self, place, move):
        normalize_machine_id(move.entry.machine_id)
        return super().made(place, move)


class DeliversTransitions(Sound):
    def undelivered(self, owner):
        return tuple(event for event in super().undelivered(owner) if isinstance(event, Transition))


class MachinesAsList(Sound):
    """As JSON gives them back."""

    def undelivered(self, owner):
        return tuple(
            attrs.evolve(event, machine_ids=list(event.machine_ids)) if hasattr(event, "machine_ids") else event
            for event in super().undelivered(owner)
        )


class SetsWithoutComparing(Sound):
    def made(self, place, move):
        return super().made(
            place, attrs.evolve(move, expected=getattr(place.ledger.get(move.entry.machine_id), "event_id", None))
        )


class AllOrNothing(Sound):
    def commit(self, moves):
        with self.opened() as place:
            before = copy.deepcopy(place.__getstate__())
            won = super().commit(moves)
            if len(won) < len(moves):
                vars(place).update(before)
                return ()
            return won


class LiveLedger(Sound):
    def read_ledger(self):
        with self.opened() as place:
            return place.ledger


class AskingMarks(Sound):
    def undelivered(self, owner):
        found = super().undelivered(owner)
        self.delivered([event.id for event in found])
        return found


class GivesToAnybody(Sound):
    def undelivered(self, owner):
        with self.opened() as place:
            return tuple(move.transition for move in place.outbox.values())


class LedgerInTheHandle(Sound):
    def __init__(self, place=None):
        super().__init__(place)
        records, self.place = self.place.records, Place()
        self.place.records = records


class RemoveForgetsTheLedger(Sound):
    def remove(self, machine_id):
        self.place.ledger.pop(normalize_machine_id(machine_id), None)
        return super().remove(machine_id)


class HistoryUntilDelivered(Sound):
    def delivered(self, ids):
        super().delivered(ids)
        self.place.log = [event for event in self.place.log if event.id not in ids]


class HistoryExclusive(Sound):
    def history(self, machine_id=None, since_ms=None):
        return super().history(machine_id, None if since_ms is None else since_ms + 1)


class HistoryOfTransitions(Sound):
    def concerns(self, event, machine_id):
        return isinstance(event, Transition) and super().concerns(event, machine_id)


class HistoryByMention(Sound):
    def concerns(self, event, machine_id):
        return super().concerns(event, machine_id) or machine_id in getattr(event, "machine_ids", ())


class CalendarOfNone(Sound):
    def windows(self):
        return super().windows() or None


def _scheduling(**changes):
    """A storage that keeps each window with some fields as a careless schema keeps them."""

    class Careless(Sound):
        def schedule(self, window, *, forget_before_ms):
            changed = attrs.evolve(window, **{name: change(window) for name, change in changes.items()})
            super().schedule(changed, forget_before_ms=forget_before_ms)

    return Careless


WindowsLoseReason = _scheduling(reason=lambda _: "")
WindowsInWholeSeconds = _scheduling(start=lambda window: window.start_ms // 1000 * 1000)
WindowsEndAsFloat = _scheduling(end=lambda window: float(window.end_ms))


class WindowsAsScheduled(Sound):
    def schedule(self, window, *, forget_before_ms):
        self.place.calendar = (*self.place.calendar, window)


class WindowsAnew(Sound):
    def windows(self):
        return (*super().windows(),)


class LiveWindows(Sound):
    """Gives out the list it goes on changing."""

    def __init__(self, place=None):
        super().__init__(place)
        self.live = []

    def windows(self):
        self.live[:] = super().windows()
        return self.live


class OneWindowAMachine(Sound):
    def stays(self, known, window, forget_before_ms):
        return known.machine_id != window.machine_id and super().stays(known, window, forget_before_ms)


class OneWindowAStart(Sound):
    def stays(self, known, window, forget_before_ms):
        return known.start_ms != window.start_ms and super().stays(known, window, forget_before_ms)


class WindowsOnlyGrow(Sound):
    def schedule(self, window, *, forget_before_ms):
        longer = [known for known in self.windows() if not super(WindowsOnlyGrow, self).stays(known, window, 0)]
        if all(known.end_ms < window.end_ms for known in longer):
            super().schedule(window, forget_before_ms=forget_before_ms)


class NeverForgetsWindows(Sound):
    def stays(self, known, window, forget_before_ms):
        return super().stays(known, window, -(2**63))


class ForgetsByStart(Sound):
    def stays(self, known, window, forget_before_ms):
        return super().stays(known, window, forget_before_ms) and known.start_ms >= forget_before_ms


class ForgetsWindowsOnClose(Sound):
    def close(self):
        self.place.calendar = ()
        super().close()


class CommitDropsWindows(Sound):
    def made(self, place, move):
        place.calendar = ()
        return super().made(place, move)


class RemoveDropsWindows(Sound):
    def remove(self, machine_id):
        self.place.calendar = ()
        return super().remove(machine_id)


class ManyAreEchoed(Sound):
    def put_many(self, heartbeats):
        super().put_many(heartbeats)
        return tuple(heartbeats)


class ManyOverwrite(Sound):
    def put_many(self, heartbeats):
        found = super().put_many(heartbeats)
        self.place.records.update({heartbeat.machine_id: heartbeat for heartbeat in heartbeats})
        return found


class ProbesWithABeat(Sound):
    """Finds out whether it can be written to by writing what everybody sees."""

    def probe(self, machine_id=""):
        self.put(Heartbeat(machine_id="probe", last_heartbeat=0, incarnation=1, seq=1, interval=1_000))
        return super().probe()


class ProbeLeavesTraces(Sound):
    def probe(self, machine_id=""):
        with self.opened() as place:
            place.writes += 1
        return super().probe()


class ProbesWhenClosed(Sound):
    def probe(self, machine_id=""):
        return Probe()


class ProbeAsDict(Sound):
    def probe(self, machine_id=""):
        return attrs.asdict(super().probe())


class ServiceByReference(Sound):
    def load_service(self):
        return self.place.service


class ServiceMerges(Sound):
    def save_service(self, record):
        super().save_service({**(self.place.service or {}), **record})


class Unlocked(Sound):
    """Reads the whole place, and some time later writes the whole place."""

    @contextmanager
    def opened(self):
        if self.closed:
            raise StorageClosedError("closed")
        mine = Place()
        vars(mine).update(copy.deepcopy(self.read()))
        yield mine
        threading.Event().wait(0.001)  # what a disk or a network takes
        self.write(mine.__getstate__())

    def read(self):
        return self.place.__getstate__()

    def write(self, state):
        vars(self.place).update(state)


class UnlockedFile(Unlocked):
    """The same over one file that processes share."""

    traits = attrs.evolve(TRAITS, cross_process=True)

    def __init__(self, path):
        super().__init__()
        self.path = Path(path)

    def read(self):
        return pickle.loads(self.path.read_bytes()) if self.path.exists() else Place().__getstate__()

    def write(self, state):
        temp = self.path.with_name(f"{threading.get_native_id()}.tmp")
        temp.write_bytes(pickle.dumps(state))
        temp.replace(self.path)


class InMemoryAfterAll(MemoryStorage):
    """Promises what it cannot keep; its author has not noticed."""

    def __init__(self):
        super().__init__(traits=attrs.evolve(TRAITS, cross_process=True))
