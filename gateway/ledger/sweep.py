"""Settles what crashed processes left behind."""

from __future__ import annotations

from contextlib import nullcontext
from datetime import datetime
from pathlib import Path

from gateway.engine.words import Billing, CompletionStatus
from gateway.ledger.database import LedgerConnection
from gateway.ledger.fairlock import in_turn
from gateway.ledger.group import Group, group_apply
from gateway.ledger.money import pico_to_usd
from gateway.ledger.records import Settlement
from gateway.ledger.rows import settlement_row
from gateway.ledger.statements import statements_for

# A transaction of this many stays below 50 ms, so that requests never wait long for it.
_CHUNK = 50


def orphans_settle(connection: LedgerConnection, now: datetime, *, lock_path: Path | None = None) -> int:
    """Settle every completion whose lease is over at its reservation, as "unknown"; how many there were.

    What a crashed process may have spent is thereby charged in full; a process that lived after all corrects it with
    its own settlement. Several sweeps may run at once; with `lock_path` they take turns with the writers of SQLite.
    Raises DatabaseAway; what was settled before that stays settled.
    """
    total = 0
    with in_turn(lock_path) as lock:
        while settlements := _orphans(connection, now):
            rows = [settlement_row(settlement, connection.dialect) for settlement in settlements]
            with nullcontext() if lock is None else lock.held():
                group_apply(connection, Group(settlements=rows))
            total += len(rows)
    return total


def _orphans(connection: LedgerConnection, now: datetime) -> list[Settlement]:
    sql = statements_for(connection.dialect).orphans_read
    found = connection.fetch_each(sql, [(connection.dialect.moment(now), _CHUNK)])[0]
    return [_settlement(identity, reserved, now) for identity, reserved in sorted(found)]


def _settlement(identity: str, reserved: int, now: datetime) -> Settlement:
    return Settlement(
        id=identity,
        finished_at=now,
        status=CompletionStatus.UNKNOWN,
        http_status=0,
        error_message="The process that served this request ended before it was settled.",
        cost_usd=pico_to_usd(reserved),
        billing=Billing.UNKNOWN,
    )
