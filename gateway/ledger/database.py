"""The port between the ledger and a database: one connection, plain SQL, one transaction at a time."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

from gateway.ledger.dialect import Dialect

Row = tuple[Any, ...]


class DatabaseAway(Exception):
    """The database can't be used now (unreachable, locked, deadlock, shutdown); the same work may succeed later."""


class LedgerConnection(Protocol):
    """One connection, used by one thread. Every method but `rollback` and `close` may raise DatabaseAway.

    After DatabaseAway the connection is closed and a new one made; other exceptions are the statement's own fault and
    leave the connection usable after `rollback`.
    """

    @property
    def dialect(self) -> Dialect: ...

    def begin(self) -> None:
        """Begin a transaction that may write."""
        ...

    def commit(self) -> None: ...

    def rollback(self) -> None:
        """End the transaction without effect; never raises, not even without a transaction."""
        ...

    def run(self, sql: str, rows: Sequence[Row]) -> None:
        """Execute once per parameter row, in order; no results. Nothing happens without rows."""
        ...

    def fetch_each(self, sql: str, rows: Sequence[Row]) -> list[list[Row]]:
        """Execute once per parameter row, in order; the result rows of each."""
        ...

    def close(self) -> None: ...
