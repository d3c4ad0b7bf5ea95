"""`SharedFolderStorage`: a folder that many hosts see, one small file per machine.

Owns the layout ``<directory>/heartbeats/<machine>.json``, who writes what, and the rule that a share which has gone
is never made anew. Must not know how names are judged (`_conflicts`), how files are read (`_record_files`) or how
long a call may take (`_budget`).
"""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final, ParamSpec, TypeVar

from heartbeat_kit._heartbeat import Heartbeat
from heartbeat_kit._identity import normalize_machine_id
from heartbeat_kit.errors import StorageUnavailableError
from heartbeat_kit.storage._budget import Lane
from heartbeat_kit.storage._codec import heartbeat_to_text
from heartbeat_kit.storage._conflicts import SUFFIX, RecordFile, claim, is_candidate, judge
from heartbeat_kit.storage._files import Signature, given_directory, remove_stale_temps, replace_file, signature
from heartbeat_kit.storage._probing import probe_directory
from heartbeat_kit.storage._protocol import Probe, Snapshot, StorageTraits
from heartbeat_kit.storage._record_files import EMPTY, FolderReader, read_record

__all__ = ["SharedFolderStorage"]

P = ParamSpec("P")
T = TypeVar("T")
_RECORDS: Final = "heartbeats"


class SharedFolderStorage:
    """Heartbeats in a folder shared by hosts: NFS, SMB, Google Drive, OneDrive, Dropbox, Syncthing.

    Each machine writes its own file and no other; there is no lock, no index, and readers write nothing. It cannot
    compare-and-set, so a service keeps what it announced in its own `state_dir`.

    Args:
        directory: The shared folder; the files stand in its subfolder ``heartbeats``.
        propagation_delay: How late a write may be seen by other hosts: zero for a network file system whose clients
            see a write at once, ``None`` if that is not known, which allows a minute.
        create: Make the folder if it is missing.
        must_exist: Refuse a missing folder; without it a share that is mounted later is waited for.
        durable: Have each record on the disk before `put` returns (`fsync`); costs milliseconds.
        time_budget: How long a call may take before it is given up with `StorageUnavailableError`, because a dead
            mount does not answer at all; ``None`` waits without a limit. A write that was given up may still
            arrive later; that is harmless, since an older record never replaces a newer one.

    Raises:
        InvalidConfigurationError: The directory cannot be the one that was meant, or a duration cannot be.
        StorageUnavailableError: The directory does not answer within the budget (with `must_exist` or `create`).

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as share:
    ...     storage = SharedFolderStorage(share, propagation_delay=timedelta(seconds=60))
    ...     beat = Heartbeat(machine_id="web-1", last_heartbeat=0, incarnation=1, seq=1, interval=30_000)
    ...     storage.put(beat) is beat, list(storage.load().heartbeats), os.listdir(share)
    ...     storage.close()
    (True, ['web-1'], ['heartbeats'])
    """

    def __init__(
        self,
        directory: str | os.PathLike[str],
        *,
        propagation_delay: timedelta | None = None,
        create: bool = False,
        must_exist: bool = True,
        durable: bool = False,
        time_budget: timedelta | None = timedelta(seconds=5),
    ) -> None:
        given = os.fspath(directory) if isinstance(directory, os.PathLike) else directory
        self._reads = Lane(str(given), time_budget)
        self._writes = Lane(str(given), time_budget)
        try:
            path = self._reads.run("opening", _opened, directory, create=create, must_exist=must_exist)
        except StorageUnavailableError:
            if create or must_exist:
                raise
            # The text was found sound before the place was asked; a service starts blind and recovers.
            path = Path(given).expanduser().absolute()
        self._root = str(path)
        self._records = os.path.join(self._root, _RECORDS)
        self._durable = durable
        self._reader = FolderReader(self._records)
        self._written: dict[str, tuple[Signature, Heartbeat]] = {}
        self._was_there = False
        self._cleaned = False
        self.traits = StorageTraits(
            durable=True,
            cross_process=True,
            cross_host=True,
            coherent=isinstance(propagation_delay, timedelta) and not propagation_delay,
            propagation_delay=propagation_delay,
            location=f"folder:{self._root}",
        )

    def __repr__(self) -> str:
        return f"<SharedFolderStorage {self._root}>"

    def put(self, heartbeat: Heartbeat) -> Heartbeat:
        """Write the machine's file unless it holds a newer record; return what it holds now.

        Raises:
            StorageUnavailableError: It is not stored; if the time budget ran out it may still be later.
        """
        return self._writes.run("writing", _translated, self._put, heartbeat)

    def load(self) -> Snapshot:
        """Read what has changed since the last look. Nothing is written or deleted.

        Raises:
            StorageUnavailableError: The folder is away or does not answer.
        """
        return self._reads.run("reading", _translated, self._load)

    def get(self, machine_id: str) -> Heartbeat | None:
        """The newest readable record of one machine, conflict copies included."""
        return self._reads.run("reading", _translated, self._get, normalize_machine_id(machine_id))

    def remove(self, machine_id: str) -> bool:
        """Delete a machine's file and the conflict copies of it; true if there was one."""
        return self._writes.run("deleting", _translated, self._remove, normalize_machine_id(machine_id))

    def probe(self, machine_id: str = "") -> Probe:
        """Write a temporary file beside the heartbeats; see `HealthProbe`."""
        record = normalize_machine_id(machine_id) + SUFFIX if machine_id else ""
        return self._writes.run("writing", _translated, self._probe, record)

    def close(self) -> None:
        """Refuse every later call and end the threads of the time budget."""
        self._reads.close()
        self._writes.close()

    def _put(self, heartbeat: Heartbeat) -> Heartbeat:
        machine_id = heartbeat.machine_id
        path = f"{self._records}{os.sep}{machine_id}{SUFFIX}"
        stored = self._stored(path, machine_id)
        if stored is not None and stored.order >= heartbeat.order:
            return stored
        data = (heartbeat_to_text(heartbeat) + "\n").encode()
        try:
            written = replace_file(path, data, durable=self._durable)
        except FileNotFoundError:
            self._make_folder()
            written = replace_file(path, data, durable=self._durable)
        self._was_there = True
        self._written[machine_id] = signature(written), heartbeat
        if not self._cleaned:
            # Now and not at the start: only a file just written tells the time of the server that dates the others.
            self._cleaned = True
            remove_stale_temps(self._records, now_ns=written.st_mtime_ns)
        return heartbeat

    def _stored(self, path: str, machine_id: str) -> Heartbeat | None:
        """The record in the machine's own file; what cannot be understood there counts for nothing."""
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            self._written.pop(machine_id, None)
            return None
        self._was_there = True
        seen = signature(found)
        known = self._written.get(machine_id)
        if known is not None and known[0] == seen:
            return known[1]
        try:
            heartbeat = read_record(path, machine_id + SUFFIX, found).heartbeat
        except OSError:
            heartbeat = None  # if the folder is in trouble the write will say so
        if heartbeat is None or heartbeat.machine_id != machine_id:
            self._written.pop(machine_id, None)
            return None
        self._written[machine_id] = seen, heartbeat
        return heartbeat

    def _make_folder(self) -> None:
        if self._was_there or not os.path.isdir(self._root):
            raise self._gone()
        with contextlib.suppress(FileExistsError):  # another machine's first beat
            os.mkdir(self._records)

    def _load(self) -> Snapshot:
        try:
            snapshot = self._reader.load()
        except FileNotFoundError as error:
            self._refuse_absence(error)
            return EMPTY
        self._was_there = True
        return snapshot

    def _get(self, machine_id: str) -> Heartbeat | None:
        return judge(self._files_near(machine_id)).heartbeats.get(machine_id)

    def _remove(self, machine_id: str) -> bool:
        files = self._files_near(machine_id)
        claims = [claim(file) for file in files]
        known = {found.machine_id for found in claims if found.machine_id is not None and not found.is_copy}
        removed = False
        for file in files:
            if claim(file, known).machine_id == machine_id:
                try:
                    os.unlink(os.path.join(self._records, file.name))
                except FileNotFoundError:
                    continue
                removed = True
        return removed

    def _probe(self, record: str) -> Probe:
        try:
            return probe_directory(self._records, record=record)
        except FileNotFoundError as error:
            self._refuse_absence(error)
            return probe_directory(self._root)

    def _files_near(self, machine_id: str) -> list[RecordFile]:
        """Read the files whose names allow that they belong to the machine."""
        try:
            with os.scandir(self._records) as entries:
                near = [entry for entry in entries if is_candidate(entry.name, machine_id)]
        except FileNotFoundError as error:
            self._refuse_absence(error)
            return []
        files = []
        for entry in near:
            try:
                files.append(read_record(entry.path, entry.name, entry.stat(follow_symlinks=False)))
            except FileNotFoundError:
                continue
            except OSError as error:
                files.append(RecordFile(entry.name, None, f"cannot be read: {error.strerror or error}"))
        return files

    def _refuse_absence(self, error: FileNotFoundError) -> None:
        """A folder in which nobody has written yet is empty; one that has gone is not."""
        if self._was_there or not os.path.isdir(self._root):
            raise self._gone() from error

    def _gone(self) -> StorageUnavailableError:
        lost = self._records if os.path.isdir(self._root) else self._root
        return StorageUnavailableError(
            f"{lost} is not there: mount the share or start its sync client; it is not made anew, because what would "
            "be written to a folder of this host nobody else would see"
        )


def _opened(directory: str | os.PathLike[str], *, create: bool, must_exist: bool) -> Path:
    return given_directory(directory, create=create, must_exist=must_exist).resolve()


def _translated(call: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> T:
    try:
        return call(*args, **kwargs)
    except StorageUnavailableError:
        raise
    except OSError as error:
        raise StorageUnavailableError(f"the shared folder cannot be used now: {error}. Try again later") from error
