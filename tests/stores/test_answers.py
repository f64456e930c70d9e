"""Both stores of answers keep the same promises; Redis away is a miss at once."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from decimal import Decimal

import pytest
import redis

from gateway.engine.clock import SYSTEM_CLOCK
from gateway.stores.answers import ALONE, LEAD_UNKEPT, WAIT, AnswerStore, CachedAnswer, Lead, MemoryAnswers, Slot
from gateway.stores.redis_answers import LEASE_PREFIX, PREFIX, RedisAnswers, purge_redis
from tests.servers import free_port

pytestmark = pytest.mark.redis  # a real loop for all: which one a test gets is decided before its parameters

SLOT = Slot("d1", 1, 60)
ANSWER = CachedAnswer(b'{"a":"\xc3\xa9/\\""}', "req_1", "openai", "gpt-4o", "stop", Decimal("0.01"), 5.0, ("seed",))


@pytest.fixture
async def shared(redis_url: str) -> AsyncIterator[RedisAnswers]:
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    store = RedisAnswers(redis_url, timeout_seconds=1.0)
    await store.start()
    yield store
    await store.aclose()


@pytest.fixture(params=["memory", "redis"])
def store(request: pytest.FixtureRequest) -> AnswerStore:
    found: AnswerStore = request.getfixturevalue("shared") if request.param == "redis" else MemoryAnswers(SYSTEM_CLOCK)
    return found


async def lead(store: AnswerStore, slot: Slot = SLOT) -> int:
    looked = await store.look(slot, "me")
    assert isinstance(looked, Lead)
    assert looked.generation is not None
    return looked.generation


async def test_what_was_kept_is_found_as_it_was(store: AnswerStore) -> None:
    store.keep(SLOT, "me", await lead(store), ANSWER)
    assert await store.look(SLOT, "other") == ANSWER


async def test_another_slot_is_another_answer(store: AnswerStore) -> None:
    store.keep(SLOT, "me", await lead(store), ANSWER)
    assert isinstance(await store.look(replace(SLOT, digest="d2"), "other"), Lead)


async def test_one_process_leads_and_the_others_wait(shared: RedisAnswers) -> None:
    await lead(shared)
    assert await shared.look(SLOT, "other") == WAIT
    shared.release(SLOT, "me", alone=False)
    assert isinstance(await shared.look(SLOT, "other"), Lead)


async def test_after_an_answer_that_can_not_be_kept_nobody_waits(shared: RedisAnswers) -> None:
    await lead(shared)
    shared.release(SLOT, "me", alone=True)
    assert await shared.look(SLOT, "other") == ALONE


async def test_the_lease_of_a_dead_process_ends(shared: RedisAnswers, redis_url: str) -> None:
    await lead(shared)
    with redis.Redis.from_url(redis_url) as client:
        assert 0 < client.pttl(LEASE_PREFIX + SLOT.digest) <= 10_000  # type: ignore[operator]


async def test_an_answer_leaves_redis_with_its_time(shared: RedisAnswers, redis_url: str) -> None:
    shared.keep(SLOT, "me", await lead(shared), ANSWER)
    assert await shared.look(SLOT, "other") == ANSWER
    with redis.Redis.from_url(redis_url) as client:
        assert 50_000 < client.pttl(PREFIX + SLOT.digest) <= 60_000  # type: ignore[operator]


async def test_a_purge_of_redis_counts_and_spares_the_others(shared: RedisAnswers, redis_url: str) -> None:
    slots = [Slot(f"d{number}", number % 2, 60) for number in range(6)]
    for slot in slots:
        shared.keep(slot, "me", await lead(shared, slot), ANSWER)
    late = Slot("late", 1, 60)
    generation = await lead(shared, late)
    assert await asyncio.to_thread(purge_redis, redis_url, 1, None) == 3
    shared.keep(late, "me", generation, ANSWER)
    assert isinstance(await shared.look(late, "me"), Lead)
    assert await asyncio.to_thread(purge_redis, redis_url, None, "another") == 0
    assert await asyncio.to_thread(purge_redis, redis_url, None, "openai/gpt-4o") == 3


@pytest.mark.alone  # measures milliseconds
async def test_dead_redis_is_a_miss_within_milliseconds() -> None:
    store = RedisAnswers(f"redis://127.0.0.1:{free_port()}/0")
    await store.start()
    began = time.monotonic()
    assert await store.look(SLOT, "me") == LEAD_UNKEPT
    assert time.monotonic() - began < 0.05
    await store.aclose()


@pytest.mark.alone  # measures milliseconds
async def test_silent_redis_is_a_miss_within_its_bound() -> None:
    """One that takes connections and commands and then says nothing: the second look doesn't even wait."""

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while data := await reader.read(4096):
            if b"SCRIPT" in data:
                writer.write(b"$40\r\n" + b"a" * 40 + b"\r\n")
            elif b"EVALSHA" not in data:
                writer.write(b"+OK\r\n" * data.count(b"*"))
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        store = RedisAnswers(f"redis://127.0.0.1:{port}/0")
        await store.start()
        times = []
        for _ in range(2):
            began = time.monotonic()
            assert await store.look(SLOT, "me") == LEAD_UNKEPT
            times.append(time.monotonic() - began)
        assert times[0] < 0.2
        assert times[1] < 0.02
        await store.aclose()


async def test_memory_forgets_after_its_time() -> None:
    store = MemoryAnswers(SYSTEM_CLOCK)
    store.keep(replace(SLOT, ttl_seconds=0), "me", await lead(store), ANSWER)
    assert isinstance(await store.look(SLOT, "me"), Lead)


@pytest.mark.parametrize("bound", [{"max_entries": 2}, {"max_total_bytes": 2 * (1024 + len(ANSWER.body))}], ids=str)
async def test_memory_drops_the_least_recently_used(bound: dict[str, int]) -> None:
    store = MemoryAnswers(SYSTEM_CLOCK, **bound)
    slots = [Slot(f"d{number}", 1, 60) for number in range(3)]
    for slot in slots[:2]:
        store.keep(slot, "me", await lead(store, slot), ANSWER)
    await store.look(slots[0], "me")
    store.keep(slots[2], "me", await lead(store, slots[2]), ANSWER)
    assert [isinstance(await store.look(slot, "me"), CachedAnswer) for slot in slots] == [True, False, True]


@pytest.mark.parametrize(
    ("route_id", "model", "purged"),
    [(None, None, 2), (1, None, 1), (None, "gpt-4o", 2), (None, "openai/gpt-4o", 2), (1, "gpt-4", 0), (9, None, 0)],
)
async def test_memory_purges_what_was_named(route_id: int | None, model: str | None, purged: int) -> None:
    store = MemoryAnswers(SYSTEM_CLOCK)
    for number in (1, 2):
        slot = Slot(f"d{number}", number, 60)
        store.keep(slot, "me", await lead(store, slot), ANSWER)
    assert store.purge(route_id, model) == purged


async def test_what_was_begun_before_a_purge_is_not_kept() -> None:
    store = MemoryAnswers(SYSTEM_CLOCK)
    generation = await lead(store)
    store.purge(None, None)
    store.keep(SLOT, "me", generation, ANSWER)
    assert isinstance(await store.look(SLOT, "me"), Lead)
