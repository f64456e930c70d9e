"""A transaction of Django's in its turn with the ledger's writers.

SQLite has one writer at a time and hands its lock to whoever asks first, so that short transactions one after the other
would starve the ledger's. Those that come in rows take turns by the ledger's own file lock.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext

from django.db import transaction

from gateway.ledger.connections import ledger_lock_path
from gateway.ledger.fairlock import in_turn


@contextmanager
def short_transaction() -> Iterator[None]:
    """For one of many in a row; on PostgreSQL, and within another transaction, it is a transaction and nothing else: who
    holds SQLite's lock already must not wait for the file's."""
    path = None if transaction.get_connection().in_atomic_block else ledger_lock_path()
    with in_turn(path) as lock, lock.held() if lock else nullcontext(), transaction.atomic():
        yield
