"""Redis frozen, killed or emptied under a fleet: agents must not notice, and the breaker must be one again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

import pytest

from gateway.simulator.faults import Fault, FaultKind
from tests.chaos import half_open
from tests.chaos.clients import Kind, Sdk, agents
from tests.chaos.conftest import LENGTH, LONG
from tests.chaos.fleet import Fleet
from tests.chaos.meanwhile import PATIENCE_SECONDS, Outcome, while_asking
from tests.chaos.storm import ROUTE

pytestmark = [pytest.mark.chaos, pytest.mark.alone, pytest.mark.redis]

# Back-off of a rejoining process at most, and time for a busy machine.
REJOINED_WITHIN_SECONDS = 8.0
# What a request may wait for Redis (PATIENT in conftest.py), and what it takes on a busy machine without.
UNNOTICED_SECONDS = 3.0


async def frozen(running: Fleet) -> None:
    running.redis.freeze()
    try:
        await asyncio.sleep(LENGTH.away_seconds)
    finally:
        running.redis.thaw()
    await rejoined(running)


async def killed(running: Fleet) -> None:
    await asyncio.to_thread(running.redis.kill)
    await asyncio.sleep(LENGTH.away_seconds)
    await asyncio.to_thread(running.redis.start)
    await rejoined(running)


async def emptied(running: Fleet) -> None:
    running.redis.flush()
    await asyncio.sleep(LENGTH.away_seconds / 2)
    await rejoined(running)


async def rejoined(running: Fleet) -> None:
    end = time.monotonic() + REJOINED_WITHIN_SECONDS
    for gateway in running.gateways:
        while (await asyncio.to_thread(gateway.get, "/readyz"))["redis"] != "connected":
            assert time.monotonic() < end, f"{gateway.url} has not rejoined"
            await asyncio.sleep(0.05)


@pytest.mark.parametrize("breaks", [frozen, killed, emptied] if LONG else [frozen], ids=lambda breaks: breaks.__name__)
async def test_no_agent_notices_what_happens_to_redis(
    running: Fleet, seed: int, breaks: Callable[[Fleet], Awaitable[None]]
) -> None:
    outcome = await while_asking(running, ROUTE, seed, lambda: breaks(running))
    assert outcome.other_than(Kind.WHOLE) == []
    assert slowest_seconds(outcome) < UNNOTICED_SECONDS
    assert outcome.books.problems == []


@pytest.mark.parametrize("breaks", [killed, emptied] if LONG else [killed], ids=lambda breaks: breaks.__name__)
async def test_an_open_breaker_outlives_redis(running: Fleet, breaks: Callable[[Fleet], Awaitable[None]]) -> None:
    """Nobody calls the provider but one probe at a time, each a cool-down after the one before."""
    async with agents(running.urls, PATIENCE_SECONDS) as clients:
        await half_open.open_breaker(running, clients, half_open.HALF_OPEN)
        fault = running.simulator.faults.add(
            Fault(kind=FaultKind.STATUS, tag=f"{half_open.HALF_OPEN}-primary", status=503)
        )
        since = running.simulator.log.rows()[-1].seq
        began = time.monotonic()
        await breaks(running)
        asked = [each.ask(Sdk.OPENAI, half_open.HALF_OPEN) for each in clients for _ in range(10)]
        results = await asyncio.gather(*asked)
        running.simulator.faults.remove(fault)
        cooldowns = int((time.monotonic() - began) / half_open.COOLDOWN_SECONDS) + 1
        calls = len(half_open.primary_rows(running, half_open.HALF_OPEN, since))
        await half_open.reset(running, half_open.HALF_OPEN)
    assert {result.kind for result in results} == {Kind.WHOLE}
    assert calls <= cooldowns


def slowest_seconds(outcome: Outcome) -> float:
    return max(result.seconds for result in outcome.results)
