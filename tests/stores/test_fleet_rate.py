"""The failure rate is the fleet's where Redis is shared, and costs no round trip."""

from __future__ import annotations

import asyncio

import pytest

from gateway.engine.breaker import Outcome
from tests.stores.conftest import OPENAI, Ear, Fleet, Hand, OwnRedis, attempt, until

pytestmark = pytest.mark.redis


async def test_every_process_shows_the_rate_of_all(fleet: Fleet) -> None:
    one, other = await fleet.member(), await fleet.member()
    for _ in range(3):
        await attempt(one, Outcome.SUCCESS)
    await attempt(other, Outcome.FAILURE)
    for store in (one, other):
        await until(lambda store=store: store.reading(OPENAI).failure_rate == 0.25, "the rate of all")


async def test_successes_that_nobody_tells_are_in_it_within_two_seconds(fleet: Fleet) -> None:
    one, other = await fleet.member(), await fleet.member()
    await attempt(other, Outcome.FAILURE)
    await attempt(one, Outcome.SUCCESS)
    await asyncio.gather(*(attempt(one, Outcome.SUCCESS) for _ in range(8)))
    took = await until(lambda: other.reading(OPENAI).failure_rate == 0.1, "the successes of the other")
    assert took < 3


async def test_it_slides_over_a_minute(fleet: Fleet, hand: Hand) -> None:
    one, other = await fleet.member(), await fleet.member()
    await attempt(one, Outcome.FAILURE)
    await until(lambda: other.reading(OPENAI).failure_rate == 1.0, "the failure is known")
    hand.move(66)
    assert (one.reading(OPENAI).failure_rate, other.reading(OPENAI).failure_rate) == (0.0, 0.0)


async def test_with_redis_away_it_is_this_processs_own(own_fleet: Fleet, own_redis: OwnRedis) -> None:
    one, other = await own_fleet.member(Ear()), await own_fleet.member(Ear())
    await attempt(one, Outcome.FAILURE)
    await attempt(other, Outcome.SUCCESS)
    await until(lambda: one.reading(OPENAI).failure_rate == 0.5, "the rate of all")
    own_redis.stop()
    await until(lambda: one.reading(OPENAI).failure_rate == 1.0, "its own rate")
