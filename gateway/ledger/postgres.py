"""The ledger's connection to PostgreSQL: psycopg 3 in pipeline mode, so that a group costs a handful of round trips."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg import errors, pq

from gateway.ledger.database import DatabaseAway, Row
from gateway.ledger.dialect import POSTGRES, Dialect

# A statement that waits longer (for a lock, a stuck disk) is given up and the group tried again; a process that is
# frozen inside a transaction loses it, so that it can't hold the shared budget rows for ever.
_STATEMENT_TIMEOUT_MS = 5_000
_FROZEN_TIMEOUT_MS = 10_000
_DEFAULTS: Mapping[str, Any] = {
    "connect_timeout": 2,
    "application_name": "llmops ledger",
    "keepalives_idle": 5,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 5_000,
}
# Not the row's fault: no connection, deadlock, serialization, resources; a standby; tables or rights that are missing.
_AWAY = (
    psycopg.OperationalError,
    psycopg.InterfaceError,
    psycopg.InternalError,
    errors.UndefinedTable,
    errors.UndefinedColumn,
    errors.InsufficientPrivilege,
)


class PostgresConnection:
    """A LedgerConnection. `parameters` are libpq's (host, port, dbname, user, password, sslmode …)."""

    def __init__(self, parameters: Mapping[str, Any]) -> None:
        with _translated():
            self._connection = psycopg.connect(**{**_DEFAULTS, **parameters}, autocommit=True)
            self._connection.execute(f"SET statement_timeout = {_STATEMENT_TIMEOUT_MS}".encode())
            self._connection.execute(f"SET idle_in_transaction_session_timeout = {_FROZEN_TIMEOUT_MS}".encode())
        self._pipeline: Any = None

    @property
    def dialect(self) -> Dialect:
        return POSTGRES

    def begin(self) -> None:
        with _translated():
            pipeline = self._connection.pipeline()
            pipeline.__enter__()
            self._pipeline = pipeline
            self._connection.execute(b"BEGIN")

    def commit(self) -> None:
        with _translated():
            done = self._connection.execute(b"COMMIT")
            self._leave_pipeline()
            if done.statusmessage != "COMMIT":
                raise DatabaseAway(f"the transaction ended with {done.statusmessage}")

    def rollback(self) -> None:
        with suppress(psycopg.Error):
            self._leave_pipeline()
        with suppress(psycopg.Error):
            if self._connection.info.transaction_status != pq.TransactionStatus.IDLE:
                self._connection.execute(b"ROLLBACK")

    def run(self, sql: str, rows: Sequence[Row]) -> None:
        if rows:
            with _translated(), self._connection.cursor() as cursor:
                cursor.executemany(sql.encode(), rows)

    def fetch_each(self, sql: str, rows: Sequence[Row]) -> list[list[Row]]:
        if not rows:
            return []
        with _translated(), self._connection.cursor() as cursor:
            cursor.executemany(sql.encode(), rows, returning=True)
            results = [cursor.fetchall()]
            while cursor.nextset():
                results.append(cursor.fetchall())
            return results

    def close(self) -> None:
        with suppress(psycopg.Error):
            self._connection.close()

    def _leave_pipeline(self) -> None:
        pipeline, self._pipeline = self._pipeline, None
        if pipeline is not None:
            pipeline.__exit__(None, None, None)


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except _AWAY as error:
        raise DatabaseAway(str(error)) from error
