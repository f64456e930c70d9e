"""The ledger's connection to SQLite: WAL, `synchronous=NORMAL`, write transactions that lock at their start."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from contextlib import suppress
from types import TracebackType

from gateway.ledger.database import DatabaseAway, Row
from gateway.ledger.dialect import SQLITE, Dialect

# How long BEGIN waits for a writer that doesn't take the file lock (the back office) before the group is tried again.
BUSY_SECONDS = 1.0
# So many pages of 4 KiB may gather in the log before a commit moves them into the file, for which it needs two fsyncs:
# one completion in 60 waited for that with SQLite's 1,000. A longer log also has more pages that were written again
# since, and moves each of them once.
_LOG_PAGES = 4_000
# A row's own fault. The rest (locked, full, unreadable, damaged, not migrated) is the database's.
_OWN_FAULT = (sqlite3.IntegrityError, sqlite3.DataError, sqlite3.ProgrammingError, sqlite3.NotSupportedError)


class SqliteConnection:
    """A LedgerConnection to the file at `path` (or a `file:` URI)."""

    def __init__(self, path: str, *, busy_seconds: float = BUSY_SECONDS) -> None:
        with _translated:
            self._connection = sqlite3.connect(
                path, timeout=busy_seconds, isolation_level=None, uri=path.startswith("file:")
            )
            self._connection.execute("PRAGMA journal_mode=WAL")
            self._connection.execute("PRAGMA synchronous=NORMAL")
            self._connection.execute(f"PRAGMA wal_autocheckpoint={_LOG_PAGES}")

    @property
    def dialect(self) -> Dialect:
        return SQLITE

    def begin(self) -> None:
        with _translated:
            self._connection.execute("BEGIN IMMEDIATE")

    def commit(self) -> None:
        with _translated:
            self._connection.execute("COMMIT")

    def rollback(self) -> None:
        with suppress(sqlite3.Error):
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")

    def run(self, sql: str, rows: Sequence[Row]) -> None:
        if rows:
            with _translated:
                self._connection.executemany(sql, rows)

    def fetch_each(self, sql: str, rows: Sequence[Row]) -> list[list[Row]]:
        with _translated:
            execute = self._connection.execute
            return [execute(sql, row).fetchall() for row in rows]

    def close(self) -> None:
        with suppress(sqlite3.Error):
            self._connection.close()


class _Translated:
    """SQLite's exceptions as the ledger knows them. A class, since every statement passes here."""

    def __enter__(self) -> None:
        pass

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if isinstance(error, sqlite3.DatabaseError) and not isinstance(error, _OWN_FAULT):
            raise DatabaseAway(str(error)) from error


_translated = _Translated()
