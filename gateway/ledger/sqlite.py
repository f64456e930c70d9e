"""The ledger's connection to SQLite: WAL, `synchronous=NORMAL`, a fair queue between processes."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from gateway.ledger.database import DatabaseAway, Row
from gateway.ledger.dialect import SQLITE, Dialect
from gateway.ledger.fairlock import FairFileLock

# How long BEGIN waits for a writer that doesn't take the file lock (the back office) before the group is tried again.
BUSY_SECONDS = 1.0


class SqliteConnection:
    """A LedgerConnection. `lock_path` names the file lock that all ledger writers of this database share."""

    def __init__(self, path: str, *, lock_path: Path | None = None, busy_seconds: float = BUSY_SECONDS) -> None:
        with _translated():
            self._connection = sqlite3.connect(
                path,
                timeout=busy_seconds,
                isolation_level=None,
                check_same_thread=False,
                uri=path.startswith("file:"),
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
        self._lock = FairFileLock(lock_path) if lock_path is not None else None

    @property
    def dialect(self) -> Dialect:
        return SQLITE

    def begin(self) -> None:
        if self._lock is not None:
            self._lock.acquire()
        with _translated():
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        with _translated():
            self._connection.execute("COMMIT")
        self._release()

    def rollback(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
        self._release()

    def run(self, sql: str, rows: Sequence[Row]) -> None:
        if rows:
            with _translated():
                self._connection.executemany(sql, rows)

    def fetch_each(self, sql: str, rows: Sequence[Row]) -> list[list[Row]]:
        with _translated():
            execute = self._connection.execute
            return [execute(sql, row).fetchall() for row in rows]

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()
        if self._lock is not None:
            self._lock.close()
            self._lock = None

    def _release(self) -> None:
        if self._lock is not None:
            self._lock.release()


@contextmanager
def _translated() -> Iterator[None]:
    """Locked, unreadable, full or not migrated: OperationalError. A row's own fault: IntegrityError, DataError, …"""
    try:
        yield
    except sqlite3.OperationalError as error:
        raise DatabaseAway(str(error)) from error
