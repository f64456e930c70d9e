"""The durable local spool: where the ledger's records wait for a database that is away.

One append-only file per process, locked while its process lives, so that whoever comes next may take over what a dead
process left. A record is its length, its checksum and its JSON. It is handed to the operating system before anybody is
told, so it survives the death of any process of ours, as everything durable here (docs/decisions/0016-ledger-spool.md).
"""

from __future__ import annotations

import fcntl
import logging
import os
import secrets
import struct
import threading
import time
import zlib
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gateway.engine.errors import LedgerUnavailable
from gateway.ledger.records import Intent, Settlement
from gateway.ledger.spool_codec import SpooledRecord, record_decode, record_encode

logger = logging.getLogger(__name__)

SPOOL_SUFFIX = ".spool"
DEFAULT_MAX_BYTES = 256 * 1024 * 1024
# Allocated when the file is made, so that a disk that is full later has room for it.
ALLOCATED_BYTES = 1024 * 1024
# Kept free for the settlement of every intent that was let in: a settlement is never refused for want of room.
_SETTLEMENT_BYTES = 16 * 1024
_HEADER = struct.Struct("<II")  # length, CRC-32; a length of zero is the end


class Spool:
    """One file of the folder. Any thread may append; one thread at a time drains (`peek`, then `forget`)."""

    def __init__(self, folder: Path, *, max_bytes: int = DEFAULT_MAX_BYTES) -> None:
        self.folder = folder
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._file: int | None = None
        self._path = Path()
        self._end = 0
        self._drained = 0
        self._records = 0
        self._ids: set[str] = set()
        self._owed: set[str] = set()  # intents that were let in and whose settlement is to come

    @classmethod
    def adopt(cls, path: Path) -> Spool | None:
        """Take over what a dead process left in `path`; None while its process lives, or when it is gone."""
        spool = cls(path.parent)
        try:
            file = os.open(path, os.O_RDWR | os.O_CLOEXEC)
        except OSError:
            return None
        if not _locked(file):
            os.close(file)
            return None
        spool._file, spool._path = file, path
        spool._read_in()
        return spool

    @property
    def path(self) -> Path:
        return self._path

    @property
    def name(self) -> str:
        """The file's, by which the process is known: it is locked while the process lives; "" without a file."""
        return self._path.name

    @property
    def records(self) -> int:
        """Records that wait."""
        return self._records

    @property
    def is_empty(self) -> bool:
        return self._records == 0

    @property
    def has_room(self) -> bool:
        """Whether one more intent and its settlement would be taken."""
        owed = len(self._owed) + 1  # and as much again for the intent itself
        return self._end + (owed + 1) * _SETTLEMENT_BYTES <= self._max_bytes

    def holds(self, identity: str) -> bool:
        """Whether something of this completion waits here; then the rest of it must wait behind it."""
        return identity in self._ids

    def prepare(self) -> None:
        """Make the file while there is room on the disk. A failure is told when the file is needed."""
        with self._lock, suppress(OSError):
            self._open()

    def append(self, record: SpooledRecord) -> None:
        """Durable when it returns. Raises LedgerUnavailable when the spool is full or can't be written."""
        payload = record_encode(record, time.time())
        with self._lock:
            if isinstance(record, Intent):
                self._check_room()
            try:
                self._write(_HEADER.pack(len(payload), zlib.crc32(payload)) + payload)
            except OSError as error:
                logger.error("the ledger's spool can't be written: %s", error)
                raise LedgerUnavailable(
                    "The ledger's database is away and its local spool can't be written.", retry_after_seconds=1
                ) from error
            self._note(record)

    def peek(self, count: int) -> tuple[list[SpooledRecord], int]:
        """The next records, at most `count`, and the position after them."""
        with self._lock:
            start, end, file = self._drained, self._end, self._file
        if file is None or start == end:
            return [], start
        records: list[SpooledRecord] = []
        position = start
        for payload, after in _payloads(file, start, end):
            record = _decoded(payload)
            position = after
            if record is not None:
                records.append(record)
            if len(records) == count:
                break
        return records, position

    def forget(self, position: int, records: int) -> None:
        """What is before `position` is in the database; once that is everything, the file begins anew."""
        with self._lock:
            self._drained = position
            self._records = max(0, self._records - records)
            if position == self._end:
                self._ids, self._owed = set(), set()
                with suppress(OSError):  # then the next records go behind these
                    self._reset()

    def close(self) -> None:
        """Leave the file to whoever comes next, who writes what it holds and ends its process' leases. Appending opens
        a new one."""
        with self._lock:
            if self._file is None:
                return
            os.close(self._file)
            self._file, self._end, self._drained, self._records = None, 0, 0, 0
            self._ids, self._owed = set(), set()

    def remove(self) -> None:
        """All that it held is in the database."""
        with self._lock, suppress(OSError):
            self._path.unlink()
        self.close()

    def _check_room(self) -> None:
        if not self.has_room:
            raise LedgerUnavailable(
                "The ledger's database is away and its local spool is full; nothing was sent to a provider.",
                retry_after_seconds=5,
            )

    def _open(self) -> int:
        if self._file is None:
            self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._path, self._file = _made(self.folder)
            with suppress(OSError):  # a file system that can't promise room
                os.posix_fallocate(self._file, 0, min(ALLOCATED_BYTES, self._max_bytes))
        return self._file

    def _write(self, data: bytes) -> None:
        file = self._open()
        try:
            written = os.pwrite(file, data, self._end)
            if written < len(data):
                os.pwrite(file, data[written:], self._end + written)
        except OSError:
            with suppress(OSError):  # where it fails too, the checksum tells the torn record apart
                os.pwrite(file, bytes(_HEADER.size), self._end)
            raise
        self._end += len(data)

    def _note(self, record: SpooledRecord) -> None:
        self._records += 1
        self._ids.add(record.id)
        if isinstance(record, Intent):
            self._owed.add(record.id)
        elif isinstance(record, Settlement):
            self._owed.discard(record.id)

    def _reset(self) -> None:
        """Begin anew. A crash in the midst of it leaves records that are in the database: written again, they change
        nothing."""
        assert self._file is not None
        if self._end > ALLOCATED_BYTES:
            os.ftruncate(self._file, ALLOCATED_BYTES)
        os.pwrite(self._file, bytes(min(self._end, ALLOCATED_BYTES)), 0)
        self._end = self._drained = self._records = 0

    def _read_in(self) -> None:
        assert self._file is not None
        size = os.fstat(self._file).st_size
        for payload, after in _payloads(self._file, 0, size):
            self._end = after
            self._records += _decoded(payload) is not None


def spool_paths(folder: Path) -> list[Path]:
    return sorted(folder.glob(f"*{SPOOL_SUFFIX}"))


def spooled_payloads(path: Path) -> Iterator[bytes]:
    """What waits in a file, whoever's it is. Raises OSError."""
    file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        for payload, _ in _payloads(file, 0, os.fstat(file).st_size):
            yield payload
    finally:
        os.close(file)


def _made(folder: Path) -> tuple[Path, int]:
    """A file of our own. One that somebody took over in the moment before it was locked has lost its name."""
    while True:
        path = folder / f"{os.getpid()}-{secrets.token_hex(6)}{SPOOL_SUFFIX}"
        file = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
        if _locked(file):
            return path, file
        os.close(file)


def _locked(file: int) -> bool:
    """Whether the lock is ours now, and the file still has a name."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return os.fstat(file).st_nlink > 0


def _payloads(file: int, start: int, end: int) -> Iterator[tuple[bytes, int]]:
    """Whole records with the position after each; a torn one, which only the last can be, ends it."""
    position = start
    while position + _HEADER.size <= end:
        length, checksum = _HEADER.unpack(os.pread(file, _HEADER.size, position))
        if not length:
            return
        # No more than there is: a damaged length may name gigabytes.
        payload = os.pread(file, min(length, end - position), position + _HEADER.size)
        if len(payload) < length or zlib.crc32(payload) != checksum:
            logger.warning(
                "a torn record ends the ledger's spool at byte %d: nobody was told that it was kept", position
            )
            return
        position += _HEADER.size + length
        yield payload, position


def _decoded(payload: bytes) -> SpooledRecord | None:
    try:
        return record_decode(payload)[0]
    except (ValueError, KeyError, TypeError) as error:
        logger.error("the ledger's spool holds a record that can't be read: %s: %.500r", error, payload)
        return None
