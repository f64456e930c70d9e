"""Stores run in virtual time; on a real Redis the waiting is real, and a hand moves the time that breakers go by."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import redis

from gateway.engine.breaker import BreakerChange, BreakerStore, Outcome, Permit
from gateway.engine.clock import SYSTEM_CLOCK
from gateway.engine.configuration import BreakerPolicy, Provider
from gateway.engine.words import BreakerState, Wire
from gateway.stores.redis_breakers import RedisBreakers
from tests import servers
from tests.virtual_time import EPOCH_SECONDS, VirtualClock, loop_factories

OPENAI = Provider("openai", Wire.OPENAI, "http://openai.invalid")
QUICK = replace(OPENAI, breaker=BreakerPolicy(cooldown_seconds=1))
PATIENCE_SECONDS = 10.0


def pytest_asyncio_loop_factories(config: Any, item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    if item.get_closest_marker("redis"):
        return {"real": asyncio.new_event_loop}
    return loop_factories(config, item)


@pytest.fixture
def virtual() -> VirtualClock:
    return VirtualClock()


class Ear:
    """Hears the changes a store announces."""

    def __init__(self) -> None:
        self.heard: list[BreakerChange] = []

    def __call__(self, change: BreakerChange) -> None:
        self.heard.append(change)

    def steps(self) -> list[tuple[BreakerState, BreakerState, int, str]]:
        """Before, after, consecutive failures, cause; and forget them."""
        told = [(c.before, c.reading.state, c.reading.consecutive_failures, c.cause) for c in self.heard]
        self.heard.clear()
        return told


@pytest.fixture
def ear() -> Ear:
    return Ear()


async def attempt(store: BreakerStore, outcome: Outcome, provider: Provider = OPENAI) -> None:
    permit = await store.admit(provider, 30)
    assert isinstance(permit, Permit)
    await store.report(provider, permit, outcome, error="boom", request_id="req-9")


async def open_it(store: BreakerStore) -> None:
    for _ in range(5):
        await attempt(store, Outcome.FAILURE)


class Hand:
    """The breakers' time, moved by hand: everybody's clock and Redis' own."""

    def __init__(self) -> None:
        self.seconds = EPOCH_SECONDS
        self.clock = replace(SYSTEM_CLOCK, now=self.now)

    def now(self) -> float:
        return self.seconds

    def move(self, seconds: float) -> None:
        self.seconds += seconds


@pytest.fixture
def hand() -> Hand:
    return Hand()


@pytest.fixture
def empty_redis(redis_url: str) -> str:
    """The session's Redis, emptied."""
    with redis.Redis.from_url(redis_url) as client:
        client.flushall()
    return redis_url


@dataclass
class Fleet:
    """Makes stores as processes have them, all on one Redis; closes them at the end.

    Its time-out is generous, so that only a Redis that is really away counts as away on a busy machine.
    """

    url: str
    hand: Hand
    members: list[RedisBreakers]

    async def member(
        self, ear: Ear | None = None, *, timeout_seconds: float = 2.0, remembered_opened_at: float | None = None
    ) -> RedisBreakers:
        store = RedisBreakers(
            self.url, self.hand.clock, ear or Ear(), timeout_seconds=timeout_seconds, server_now=self.hand.now
        )
        self.members.append(store)
        if remembered_opened_at is not None:
            store.seed(OPENAI.name, remembered_opened_at, 5, "503")
        await store.start([OPENAI])
        return store


async def make_fleet(url: str, hand: Hand) -> AsyncIterator[Fleet]:
    fleet = Fleet(url, hand, [])
    yield fleet
    for member in fleet.members:
        await member.aclose()


@pytest.fixture
async def fleet(empty_redis: str, hand: Hand) -> AsyncIterator[Fleet]:
    async for made in make_fleet(empty_redis, hand):
        yield made


class OwnRedis:
    """A Redis that a test may freeze, stop and start again at the same address."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._port = servers.free_port()
        self._running = ExitStack()
        self.start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._port}/0"

    def start(self) -> None:
        self._process = self._running.enter_context(servers.redis_process(self._folder, self._port))

    def stop(self) -> None:
        self._running.close()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        self._process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self._process.send_signal(signal.SIGCONT)


@pytest.fixture
def own_redis(tmp_path: Path) -> Iterator[OwnRedis]:
    made = OwnRedis(tmp_path)
    yield made
    made.stop()


@pytest.fixture
async def own_fleet(own_redis: OwnRedis, hand: Hand) -> AsyncIterator[Fleet]:
    async for made in make_fleet(own_redis.url, hand):
        yield made


async def until(fact: Callable[[], bool], what: str, seconds: float = PATIENCE_SECONDS) -> float:
    """Wait for a fact that another process brings about; the seconds it took. Fails when it doesn't come true."""
    loop = asyncio.get_running_loop()
    began = loop.time()
    while not fact():
        assert loop.time() - began < seconds, f"not within {seconds:g} s: {what}"
        await asyncio.sleep(0.005)
    return loop.time() - began
