"""A fleet's probes, seen from outside: 4 processes and 50 requests at each of them at once."""

from __future__ import annotations

import pytest

from tests.chaos.clients import agents
from tests.chaos.conftest import LENGTH
from tests.chaos.fleet import Fleet
from tests.chaos.half_open import PATIENCE_SECONDS, one_round, table

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.redis]


async def test_two_hundred_requests_at_half_open_are_one_probe(running: Fleet) -> None:
    """The opening was known to all processes in less than a second, too."""
    async with agents(running.urls, PATIENCE_SECONDS) as clients:
        rounds = [
            await one_round(running, clients, succeeds=bool(number % 2)) for number in range(LENGTH.half_open_rounds)
        ]
    assert not any(made.problems for made in rounds), table(rounds)
    assert all(made.turned_away >= 100 for made in rounds), table(rounds)
