"""Brings what waits in spools into the database, a chunk at a time, so that requests never wait long for it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from gateway.ledger.database import DatabaseAway, LedgerConnection
from gateway.ledger.dialect import Dialect
from gateway.ledger.fairlock import FairFileLock, in_turn
from gateway.ledger.group import Group, group_apply
from gateway.ledger.records import Extension, Intent, Settlement
from gateway.ledger.rows import extension_row, intent_row, settlement_row
from gateway.ledger.spool import Spool, spool_paths
from gateway.ledger.spool_codec import SpooledRecord
from gateway.ledger.statements import statements_for

logger = logging.getLogger(__name__)

# A transaction of this many stays below 50 ms.
_CHUNK = 50


class Drainage:
    """A process's own spool, and those of dead processes that it has taken over. For the writer's thread."""

    def __init__(self, own: Spool) -> None:
        self._own = own
        self._adopted: list[Spool] = []

    @property
    def pending(self) -> bool:
        return bool(self._adopted) or not self._own.is_empty

    def look_around(self) -> None:
        """Take over what dead processes left."""
        for path in spool_paths(self._own.folder):
            if path != self._own.path and (spool := Spool.adopt(path)) is not None:
                level = logging.WARNING if spool.records else logging.INFO  # without records, only leases end
                logger.log(level, "%d records of a process that ended are taken over", spool.records)
                self._adopted.append(spool)

    def step(self, connection: LedgerConnection, lock: FairFileLock | None) -> None:
        """Write the next chunk. Raises DatabaseAway; nothing is forgotten then."""
        if not self._own.is_empty:
            chunk_drain(self._own, connection, lock)
        elif self._adopted:
            spool = self._adopted[-1]
            chunk_drain(spool, connection, lock)
            if spool.is_empty:
                leases_end(connection, spool.name, lock)
                self._adopted.pop().remove()

    def close(self) -> None:
        """Leave what is left to whoever comes next."""
        for spool in self._adopted:
            spool.close()
        self._adopted = []
        self._own.close()


def dead_spools_drain(connection: LedgerConnection, folder: Path, *, lock_path: Path | None = None) -> int:
    """Write all that dead processes left in `folder`, and end their leases; how many records there were.

    Raises DatabaseAway.
    """
    total = 0
    with in_turn(lock_path) as lock:
        for path in spool_paths(folder):
            spool = Spool.adopt(path)
            if spool is None:
                continue
            total += spool.records
            try:
                while not spool.is_empty:
                    chunk_drain(spool, connection, lock)
                leases_end(connection, spool.name, lock)
            except BaseException:
                spool.close()
                raise
            spool.remove()
    return total


def leases_end(connection: LedgerConnection, holder: str, lock: FairFileLock | None) -> None:
    """What a dead process had opened and not settled is an orphan from now on: nobody else could settle it."""
    now = connection.dialect.moment(datetime.now(UTC))
    with nullcontext() if lock is None else lock.held():
        try:
            connection.begin()
            connection.run(statements_for(connection.dialect).lease_end, [(now, holder, now)])
            connection.commit()
        except BaseException:
            connection.rollback()
            raise


def chunk_drain(spool: Spool, connection: LedgerConnection, lock: FairFileLock | None) -> None:
    """Write the spool's next records, then forget them. After a crash in between they are written again: no matter.

    Of one completion a transaction takes one kind of record only, so the intents go first, the settlements last.
    """
    records, position = spool.peek(_CHUNK)
    for kind in (Intent, Extension, Settlement):
        _apply(connection, lock, [record for record in records if isinstance(record, kind)])
    spool.forget(position, len(records))


def _apply(connection: LedgerConnection, lock: FairFileLock | None, records: Sequence[SpooledRecord]) -> None:
    """Write them in one transaction; where one is bad, halve until it is alone, and tell."""
    if not records:
        return
    try:
        with nullcontext() if lock is None else lock.held():
            outcome = group_apply(connection, _group(records, connection.dialect))
    except DatabaseAway:
        raise
    except Exception as error:
        if len(records) == 1:
            logger.error("the ledger can't write a spooled record: %s: %s", error, records[0])
            return
        middle = len(records) // 2
        _apply(connection, lock, records[:middle])
        _apply(connection, lock, records[middle:])
        return
    for verdict in outcome.settled:
        if isinstance(verdict, Exception):
            logger.error("the ledger can't write a spooled settlement: %s", verdict)


def _group(records: Sequence[SpooledRecord], dialect: Dialect) -> Group:
    unique = {record.id: record for record in records}  # the last word of each counts
    ordered = [unique[identity] for identity in sorted(unique)]
    make: dict[type, tuple[str, Callable[[Any], Any]]] = {
        Intent: ("opens", lambda record: intent_row(record, dialect)),
        Extension: ("extensions", extension_row),
        Settlement: ("settlements", lambda record: settlement_row(record, dialect)),
    }
    name, row = make[type(ordered[0])]
    return Group(**{name: [row(record) for record in ordered]})
