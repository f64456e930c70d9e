"""Limits of keys: the same table holds in one process and through Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from gateway.engine.clock import SYSTEM_CLOCK
from gateway.stores.key_limits import LEASE_SECONDS, Asked, Limits, LimitStore, Standing
from gateway.stores.memory_limits import MemoryLimits
from gateway.stores.redis_limits import RedisLimits
from tests.stores.conftest import Hand, OwnRedis, until

pytestmark = pytest.mark.redis  # real time on the loop; the stores' own time is moved by hand

PATIENT_SECONDS = 2.0


@pytest.fixture(params=["memory", "redis"])
async def store(request: pytest.FixtureRequest, hand: Hand) -> AsyncIterator[LimitStore]:
    made: LimitStore
    if request.param == "memory":
        made = MemoryLimits(hand.clock)
    else:
        made = redis_limits(request.getfixturevalue("empty_redis"), hand)
    await made.start()
    yield made
    await made.aclose()


def redis_limits(url: str, hand: Hand, timeout_seconds: float = PATIENT_SECONDS) -> RedisLimits:
    return RedisLimits(url, hand.clock, timeout_seconds=timeout_seconds, server_now=hand.now)


def asked(request_id: str, *, tokens: int = 0, key_id: int = 1, **limits: int) -> Asked:
    return Asked(key_id, request_id, Limits(**limits), tokens)


async def refused_by(store: LimitStore, *asks: Asked) -> list[str | None]:
    return [(await store.take(each)).refused_by for each in asks]


async def test_requests_beyond_the_limit_are_refused(store: LimitStore) -> None:
    asks = [asked(f"r{n}", requests_per_minute=2) for n in range(3)]
    assert await refused_by(store, *asks) == [None, None, "requests_per_minute"]


async def test_room_is_there_when_the_refusal_said_it_would_be(store: LimitStore, hand: Hand) -> None:
    await store.take(asked("a", requests_per_minute=1))
    hand.move(20.5)
    refusal = await store.take(asked("b", requests_per_minute=1))
    hand.move(refusal.retry_after_seconds - 0.01)
    assert await refused_by(store, asked("b", requests_per_minute=1)) == ["requests_per_minute"]
    hand.move(0.01)
    assert await refused_by(store, asked("b", requests_per_minute=1)) == [None]


async def test_no_sixty_seconds_hold_more_than_the_limit(store: LimitStore, hand: Hand) -> None:
    let_in: list[float] = []
    for n in range(150):
        if (await store.take(asked(f"r{n}", requests_per_minute=7))).refused_by is None:
            let_in.append(hand.now())
        hand.move(1)
    assert all(sum(start <= at < start + 60 for at in let_in) <= 7 for start in let_in)
    assert len(let_in) == 21


async def test_a_refused_request_counts_for_nothing(store: LimitStore) -> None:
    limits = {"requests_per_minute": 5, "tokens_per_minute": 10}
    await store.take(asked("a", tokens=8, **limits))
    assert await refused_by(store, asked("b", tokens=8, **limits)) == ["tokens_per_minute"]
    verdict = await store.take(asked("c", tokens=2, **limits))
    assert (used(verdict.requests), used(verdict.tokens)) == (2, 10)


async def test_what_was_guessed_too_much_is_given_back(store: LimitStore) -> None:
    first = asked("a", tokens=10, tokens_per_minute=10)
    store.finish(first, await store.take(first), 4)
    assert await refused_by(store, asked("b", tokens=6, tokens_per_minute=10)) == [None]


async def test_what_was_guessed_too_little_counts_from_the_end_on(store: LimitStore, hand: Hand) -> None:
    first = asked("a", tokens=1, tokens_per_minute=10)
    verdict = await store.take(first)
    hand.move(90)  # a long stream: what was counted at its beginning has left the window
    store.finish(first, verdict, 11)
    assert await refused_by(store, asked("b", tokens=1, tokens_per_minute=10)) == ["tokens_per_minute"]


async def test_places_are_given_back_at_the_end(store: LimitStore) -> None:
    first, second = asked("a", max_parallel=1), asked("b", max_parallel=1)
    verdict = await store.take(first)
    assert await refused_by(store, second) == ["max_parallel"]
    store.finish(first, verdict, None)
    assert await refused_by(store, second) == [None]


async def test_keys_do_not_share_their_limits(store: LimitStore) -> None:
    asks = [asked("a", key_id=1, requests_per_minute=1), asked("b", key_id=2, requests_per_minute=1)]
    assert await refused_by(store, *asks) == [None, None]


async def test_the_standing_says_what_is_left_and_when_all_is(store: LimitStore, hand: Hand) -> None:
    await store.take(asked("a", requests_per_minute=5))
    hand.move(10)
    standing = (await store.take(asked("b", requests_per_minute=5))).requests
    assert standing is not None
    assert (standing.limit, standing.remaining) == (5, 3)
    assert 59 < standing.reset_seconds <= 60


async def test_two_processes_share_one_limit_under_concurrency(empty_redis: str, hand: Hand) -> None:
    stores = [redis_limits(empty_redis, hand), redis_limits(empty_redis, hand)]
    for each in stores:
        await each.start()
    asks = [stores[n % 2].take(asked(f"r{n}", requests_per_minute=50, max_parallel=1000)) for n in range(200)]
    verdicts = await asyncio.gather(*asks)
    assert sum(verdict.refused_by is None for verdict in verdicts) == 50
    for each in stores:
        await each.aclose()


async def test_the_place_of_a_process_that_died_is_free_after_its_lease(empty_redis: str, hand: Hand) -> None:
    dead, living = redis_limits(empty_redis, hand), redis_limits(empty_redis, hand)
    await dead.start()
    await living.start()
    await dead.take(asked("a", max_parallel=1))
    await dead.aclose()
    assert await refused_by(living, asked("b", max_parallel=1)) == ["max_parallel"]
    hand.move(LEASE_SECONDS)
    assert await refused_by(living, asked("b", max_parallel=1)) == [None]
    await living.aclose()


async def test_with_redis_away_a_process_counts_for_itself_and_joins_again(own_redis: OwnRedis, hand: Hand) -> None:
    store = redis_limits(own_redis.url, hand)
    await store.start()
    limit = {"requests_per_minute": 2}
    assert await refused_by(store, asked("a", **limit)) == [None]
    own_redis.stop()
    assert await refused_by(store, asked("b", **limit), asked("c", **limit)) == [None, "requests_per_minute"]
    own_redis.start()
    await until(lambda: store.away_reason is None, "the store joins again")
    await store.aclose()


async def test_a_frozen_redis_holds_a_request_no_longer_than_the_bound(own_redis: OwnRedis, hand: Hand) -> None:
    store = redis_limits(own_redis.url, hand, timeout_seconds=0.02)
    await store.start()
    with own_redis.frozen():
        began = SYSTEM_CLOCK.monotonic()
        assert await refused_by(store, asked("a", requests_per_minute=1)) == [None]
        assert SYSTEM_CLOCK.monotonic() - began < 1.0
    await store.aclose()


async def test_a_client_that_leaves_while_redis_is_asked_holds_no_place(own_redis: OwnRedis, hand: Hand) -> None:
    store = redis_limits(own_redis.url, hand, timeout_seconds=10)
    await store.start()
    with own_redis.frozen():
        taking = asyncio.ensure_future(store.take(asked("a", max_parallel=1)))
        await asyncio.sleep(0)
        taking.cancel()
        await asyncio.gather(taking, return_exceptions=True)
    assert await refused_by(store, asked("b", max_parallel=1)) == [None]
    await store.aclose()


def used(standing: Standing | None) -> int:
    assert standing is not None
    return standing.used
