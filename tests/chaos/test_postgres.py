"""PostgreSQL gone for ten seconds under a fleet. Only in the long form."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest

from tests.chaos.clients import Kind
from tests.chaos.conftest import LENGTH, document
from tests.chaos.fleet import Fleet, fleet
from tests.chaos.meanwhile import ask_while
from tests.chaos.proxy import Wire
from tests.chaos.storm import ROUTE

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.redis, pytest.mark.postgres]

LEDGER_UNAVAILABLE = 503
SETTLED_WITHIN_SECONDS = 30.0


@pytest.fixture(scope="module")
def wire(postgres_url: str) -> Iterator[Wire]:
    with Wire(urlsplit(postgres_url).port or 5432) as made:
        yield made


@pytest.fixture(scope="module")
def on_postgres(wire: Wire, tmp_path_factory: pytest.TempPathFactory, seed: int) -> Iterator[Fleet]:
    env = {"DATABASE_URL": f"postgres://llmops@127.0.0.1:{wire.port}/postgres"}
    with fleet(tmp_path_factory.mktemp("postgres"), document, processes=2, seed=seed, env=env) as started:
        yield started


async def test_a_database_that_is_gone_costs_clear_errors_at_most_and_no_settlement(
    on_postgres: Fleet, wire: Wire, postgres_url: str, seed: int
) -> None:
    async def gone() -> None:
        await asyncio.sleep(1)
        wire.cut()
        await asyncio.sleep(LENGTH.away_seconds)
        wire.mend()
        await asyncio.sleep(5)

    results = await ask_while(on_postgres.urls, ROUTE, seed, gone)
    wrong = [result for result in results if result.kind not in (Kind.WHOLE, Kind.ERROR)]
    assert [f"{result.kind.value}: {result.error}" for result in wrong] == []
    assert {result.status for result in results if result.kind is Kind.ERROR} <= {LEDGER_UNAVAILABLE}
    assert results[-1].kind is Kind.WHOLE
    assert await asyncio.to_thread(unsettled, postgres_url) == (0, 0)


def unsettled(url: str) -> tuple[Any, ...]:
    """Pending completions, and pico-dollars reserved; zero and zero once all that was accepted is settled."""
    sql = (
        "SELECT (SELECT count(*) FROM llmops_completion WHERE status = 'pending'),"
        " (SELECT coalesce(sum(reserved_usd), 0) FROM llmops_budget_window)"
    )
    end = time.monotonic() + SETTLED_WITHIN_SECONDS
    with psycopg.connect(url.replace("postgres://", "postgresql://"), autocommit=True) as connection:
        while True:
            row = connection.execute(sql).fetchone()
            assert row is not None
            if tuple(map(int, row)) == (0, 0) or time.monotonic() > end:
                return tuple(map(int, row))
            time.sleep(0.2)
