"""Redis slow, frozen, stopped or emptied: requests carry on within the bound, and the process rejoins."""

from __future__ import annotations

import asyncio
import time

import pytest
import redis

from gateway.engine.breaker import Outcome, Permit, Refusal
from gateway.stores.redis_breakers import RedisBreakers
from gateway.stores.redis_line import RedisLine
from tests.stores.conftest import OPENAI, Ear, Fleet, Hand, OwnRedis, attempt, open_it, until

pytestmark = pytest.mark.redis

TIMEOUT_SECONDS = 0.02
# For the bound itself: what a busy machine may add to it.
SLACK_SECONDS = 0.25


def joined(store: RedisBreakers) -> bool:
    return store.status.away_reason is None


async def test_a_frozen_redis_costs_one_bound_and_then_nothing(own_redis: OwnRedis, own_fleet: Fleet) -> None:
    store = await own_fleet.member(timeout_seconds=TIMEOUT_SECONDS)
    await until(lambda: joined(store), "connected")
    with own_redis.frozen():
        began = time.monotonic()
        await open_it(store)
        assert time.monotonic() - began < TIMEOUT_SECONDS + SLACK_SECONDS
        assert isinstance(await store.admit(OPENAI, 30), Refusal)
        assert not joined(store)
    await until(lambda: joined(store), "it rejoins")


async def test_a_burst_at_a_frozen_redis_waits_together(own_redis: OwnRedis, own_fleet: Fleet) -> None:
    store = await own_fleet.member(timeout_seconds=TIMEOUT_SECONDS)
    permits = [await store.admit(OPENAI, 30) for _ in range(200)]
    with own_redis.frozen():
        began = time.monotonic()
        await asyncio.gather(
            *(store.report(OPENAI, one, Outcome.FAILURE) for one in permits if isinstance(one, Permit))
        )
        assert time.monotonic() - began < TIMEOUT_SECONDS + SLACK_SECONDS
    assert not store.is_closed(OPENAI)


async def test_the_breaker_a_process_opened_alone_is_everybodys_after_it_rejoins(
    own_redis: OwnRedis, own_fleet: Fleet
) -> None:
    one, other = await own_fleet.member(), await own_fleet.member()
    own_redis.stop()
    await until(lambda: not joined(one) and not joined(other), "it is missed")
    await open_it(one)
    assert other.is_closed(OPENAI)
    own_redis.start()
    await until(lambda: joined(one) and joined(other), "both rejoin")
    await until(lambda: not other.is_closed(OPENAI), "the other knows")
    assert isinstance(await one.admit(OPENAI, 30), Refusal)


async def test_an_open_breaker_is_still_open_after_redis_restarts_empty(
    own_redis: OwnRedis, own_fleet: Fleet, hand: Hand
) -> None:
    store = await own_fleet.member()
    await open_it(store)
    own_redis.stop()
    own_redis.start()
    await until(lambda: not joined(store) or commands_of(own_redis, "evalsha"), "it notices")
    await until(lambda: joined(store), "it rejoins")
    assert isinstance(await store.admit(OPENAI, 30), Refusal)
    assert not (await own_fleet.member()).is_closed(OPENAI)


async def test_a_flushed_redis_is_told_again_what_the_processes_know(fleet: Fleet, hand: Hand) -> None:
    one, other = await fleet.member(), await fleet.member()
    await open_it(one)
    await until(lambda: not other.is_closed(OPENAI), "the other knows")
    with redis.Redis.from_url(fleet.url) as client:
        client.flushall()
        client.script_flush()
        await until(lambda: client.exists("llmops:breaker:openai") == 1, "it is told again")
    assert isinstance(await other.admit(OPENAI, 30), Refusal)
    hand.move(60)
    permits = [await store.admit(OPENAI, 30) for store in (one, other)]
    assert [isinstance(one, Permit) for one in permits] == [True, False]


async def test_a_flush_while_attempts_are_under_way_loses_no_failure(fleet: Fleet) -> None:
    store = await fleet.member()
    for _ in range(4):
        await attempt(store, Outcome.FAILURE)
    with redis.Redis.from_url(fleet.url) as client:
        client.flushall()
    await attempt(store, Outcome.FAILURE)
    assert not store.is_closed(OPENAI)


async def test_a_process_that_starts_without_redis_serves_and_joins_later(
    own_redis: OwnRedis, own_fleet: Fleet
) -> None:
    own_redis.stop()
    store = await own_fleet.member()
    assert store.status.words.startswith("away: ")
    await open_it(store)
    assert isinstance(await store.admit(OPENAI, 30), Refusal)
    own_redis.start()
    await until(lambda: joined(store), "it joins")
    assert not (await own_fleet.member()).is_closed(OPENAI)


async def test_alone_the_process_probes_and_closes_by_itself(own_redis: OwnRedis, own_fleet: Fleet, hand: Hand) -> None:
    ear = Ear()
    store = await own_fleet.member(ear)
    await open_it(store)
    own_redis.stop()
    await until(lambda: not joined(store), "it is missed")
    ear.steps()
    hand.move(60)
    await attempt(store, Outcome.SUCCESS)
    assert [cause for *_, cause in ear.steps()] == ["the cool-down is over: one probe", "the probe succeeded"]


async def test_a_probe_granted_in_an_answer_that_never_came_is_given_to_the_next(
    own_redis: OwnRedis, own_fleet: Fleet, hand: Hand
) -> None:
    store = await own_fleet.member(timeout_seconds=0.1)
    watcher = await own_fleet.member()
    await open_it(store)
    hand.move(60)
    with own_redis.frozen():
        permit = await store.admit(OPENAI, 30)
        assert isinstance(permit, Permit)  # its own
        await store.report(OPENAI, permit, Outcome.NONE)
    await until(lambda: joined(store) and joined(watcher), "all are back")
    # Redis heard of the grant first and of its return when the process was back: so does the watcher, in its own time.
    await until(lambda: (watcher.reading(OPENAI).next_probe_at or 0.0) <= hand.now(), "the watcher has heard of both")
    assert isinstance(await watcher.admit(OPENAI, 30), Permit)


async def test_going_away_is_logged_once(
    own_redis: OwnRedis, own_fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    store = await own_fleet.member()
    own_redis.stop()
    await until(lambda: not joined(store), "it is missed")
    await open_it(store)
    assert sum("Redis is away" in record.getMessage() for record in caplog.records) == 1


@pytest.mark.parametrize("url", ["redis://user:hunter2@127.0.0.1:1/0", "redis://user:hunter2#@127.0.0.1:1/0"])
async def test_the_reason_never_holds_the_password(url: str, hand: Hand) -> None:
    store = RedisBreakers(url, hand.clock, Ear())
    await store.start([OPENAI])
    assert "hunter2" not in store.status.words
    await store.aclose()


def commands_of(own_redis: OwnRedis, name: str) -> bool:
    with redis.Redis.from_url(own_redis.url) as client:
        return f"cmdstat_{name}" in client.info("commandstats")


async def test_a_hanging_up_that_is_cancelled_leaves_no_connection_behind(empty_redis: str) -> None:
    """As when the process stops while it has just lost its line."""
    line = RedisLine(empty_redis, timeout_seconds=2.0)
    await line.connect()
    hanging_up = asyncio.ensure_future(line.hang_up())
    await asyncio.sleep(0)
    hanging_up.cancel()
    await asyncio.gather(hanging_up, return_exceptions=True)
    await line.hang_up()
    with redis.Redis.from_url(empty_redis) as client:
        await until(lambda: len(client.client_list()) == 1, "only the asker is connected")
