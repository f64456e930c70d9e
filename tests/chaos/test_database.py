"""The database locked under a fleet: who can't be booked is told so, who was accepted is answered, nothing is lost."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from contextlib import closing
from pathlib import Path

import pytest

from tests.chaos.clients import Kind
from tests.chaos.conftest import LENGTH
from tests.chaos.fleet import Fleet
from tests.chaos.meanwhile import while_asking
from tests.chaos.storm import ROUTE

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.redis]

LEDGER_UNAVAILABLE = 503


async def test_a_locked_database_costs_clear_errors_at_most_and_no_settlement(running: Fleet, seed: int) -> None:
    async def locked() -> None:
        await asyncio.sleep(0.3)
        await asyncio.to_thread(hold_lock, running.data_dir / "llmops.sqlite3", LENGTH.away_seconds)
        await asyncio.sleep(0.3)

    outcome = await while_asking(running, ROUTE, seed, locked)
    assert outcome.other_than(Kind.WHOLE, Kind.ERROR, statuses={LEDGER_UNAVAILABLE}) == []
    assert outcome.kinds[Kind.WHOLE] > 0
    assert outcome.books.problems == []


def hold_lock(path: Path, seconds: float) -> None:
    """As a careless administrator would: a transaction that nobody else can write beside."""
    with closing(sqlite3.connect(path, timeout=30, isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        try:
            time.sleep(seconds)
        finally:
            connection.execute("ROLLBACK")
