"""A storage for heartbeat_kit in one SQLite file: the example of the guide "Write a storage"."""

import json
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from urllib.parse import unquote, urlsplit

from heartbeat_kit import Heartbeat, StorageTraits, normalize_machine_id
from heartbeat_kit.errors import InvalidHeartbeatError, StorageClosedError, StorageUnavailableError
from heartbeat_kit.storage import Snapshot

TABLE = """
CREATE TABLE IF NOT EXISTS heartbeats (
    machine_id TEXT PRIMARY KEY, last_heartbeat, incarnation, seq, interval, metadata, first_seen, host, left_at
)
"""


class SqliteStorage:
    """Heartbeats in a SQLite file on a local disk; every process of the host may use it."""

    # begin: open
    def __init__(self, path: str | Path) -> None:
        self.path = Path(path).resolve()
        self.traits = StorageTraits(
            durable=True,
            cross_process=True,
            cross_host=False,
            coherent=True,
            location=f"sqlite-file:{self.path}",
        )
        self._closed = False
        self._seen: dict[str, tuple[tuple, Heartbeat]] = {}
        with self._connected() as database:
            database.execute(TABLE)

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        """A connection for one call: nothing to share between threads, nothing to inherit by a fork."""
        if self._closed:
            raise StorageClosedError("this storage was closed: open a new one")
        try:
            with closing(sqlite3.connect(self.path, timeout=5, isolation_level=None)) as database:
                yield database
        except sqlite3.Error as error:
            raise StorageUnavailableError(f"{self.path} cannot be used now: {error}") from error

    # end: open
    # begin: put
    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Store a heartbeat unless one as new or newer is stored; return what is stored now."""
        with self._connected() as database:
            database.execute("BEGIN IMMEDIATE")  # the others wait from here to the commit
            stored = self._find(database, heartbeat.machine_id)
            if stored is not None and stored.order >= heartbeat.order:
                database.execute("ROLLBACK")
                return stored
            database.execute("REPLACE INTO heartbeats VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)", to_row(heartbeat))
            database.execute("COMMIT")
            return heartbeat

    def _find(self, database: sqlite3.Connection, machine_id: str) -> Heartbeat | None:
        row = database.execute("SELECT * FROM heartbeats WHERE machine_id = ?", [machine_id]).fetchone()
        try:
            return None if row is None else from_row(row)
        except InvalidHeartbeatError:
            return None  # a damaged record is no record: the next heartbeat replaces it

    # end: put
    # begin: load
    def load(self) -> Snapshot:
        """Read everything; one bad record does not spoil the others."""
        with self._connected() as database:
            rows = database.execute("SELECT * FROM heartbeats").fetchall()
        seen, heartbeats, unreadable = {}, {}, {}
        for row in rows:
            machine_id = row[0]
            try:
                known = self._seen.get(machine_id)
                heartbeats[machine_id] = known[1] if known is not None and known[0] == row else from_row(row)
                seen[machine_id] = row, heartbeats[machine_id]
            except InvalidHeartbeatError as error:
                unreadable[machine_id] = str(error)
        self._seen = seen
        return Snapshot(heartbeats=heartbeats, unreadable=unreadable)

    # end: load
    # begin: rest
    def remove(self, machine_id: str) -> bool:
        """Forget a machine; true if it was there."""
        wanted = normalize_machine_id(machine_id)
        with self._connected() as database:
            return database.execute("DELETE FROM heartbeats WHERE machine_id = ?", [wanted]).rowcount > 0

    def close(self) -> None:
        """Refuse every later call."""
        self._closed = True

    # end: rest


# begin: rows
def to_row(heartbeat: Heartbeat) -> tuple:
    """A heartbeat as a row: integers and text, nothing that a driver could convert."""
    return (
        heartbeat.machine_id,
        heartbeat.last_heartbeat_ms,
        heartbeat.incarnation,
        heartbeat.seq,
        heartbeat.interval_ms,
        heartbeat.metadata_json,
        heartbeat.first_seen_ms,
        heartbeat.host,
        heartbeat.left_at_ms,
    )


def from_row(row: tuple) -> Heartbeat:
    """A row as a heartbeat.

    Raises:
        InvalidHeartbeatError: Something in it is unsound.
    """
    machine_id, last_heartbeat, incarnation, seq, interval, metadata, first_seen, host, left_at = row
    try:
        return Heartbeat(
            machine_id=machine_id,
            last_heartbeat=last_heartbeat,
            incarnation=incarnation,
            seq=seq,
            interval=interval,
            metadata=json.loads(metadata),
            first_seen=first_seen,
            host=host,
            left_at=left_at,
        )
    except (ValueError, TypeError) as error:  # the errors of Heartbeat are ValueErrors, and so are those of json
        raise InvalidHeartbeatError(f"unsound record: {error}") from error


# end: rows
# begin: opener
def open_sqlite(url: str) -> SqliteStorage:
    """The storage of ``sqlite-file:///path/to/file.db``."""
    return SqliteStorage(unquote(urlsplit(url).path))


# end: opener
