"""The short form of `python -m bench.scale`: processes that share a PostgreSQL and a Redis keep the books together."""

from __future__ import annotations

import pytest

from bench.scale import throughput
from tests.servers import own_postgres

pytestmark = [pytest.mark.redis, pytest.mark.postgres]


def test_two_processes_on_one_database_answer_all_and_balance_the_books() -> None:
    with own_postgres() as postgres:
        measured, faults = throughput(postgres, processes=2, requests=200)
    assert (measured.processes, faults) == (2, [])
