"""Providers are called for real: the simulator speaks their wires, a raw server says what the simulator wouldn't."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from typing import Any

import orjson
import pytest
import uvloop

from gateway.engine.configuration import Provider, Target
from gateway.engine.exchange import Ask
from gateway.engine.words import Wire
from gateway.providers.caller import HttpCaller
from gateway.providers.registry import make_caller
from gateway.simulator import Simulator
from tests.providers.raw_server import RawServer

LOOPS: dict[str, Callable[[], asyncio.AbstractEventLoop]] = {
    "asyncio": asyncio.new_event_loop,
    "uvloop": uvloop.new_event_loop,
}
KEY = "sk-provider-key-0123456789"
MODELS = {Wire.OPENAI: "gpt-4-turbo", Wire.ANTHROPIC: "claude-3-5-sonnet-20241022"}
PATHS = {Wire.OPENAI: "/openai/v1", Wire.ANTHROPIC: "/anthropic"}


def pytest_asyncio_loop_factories(config: Any, item: pytest.Item) -> dict[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What lies on the loop itself is tried on both: gateways run on uvloop, commands on asyncio's own."""
    return LOOPS if item.path.stem.startswith("test_pool") else {"asyncio": asyncio.new_event_loop}


@pytest.fixture
async def simulator() -> AsyncIterator[Simulator]:
    simulator = Simulator()
    await simulator.start()
    yield simulator
    await simulator.stop()


@pytest.fixture
async def raw() -> AsyncIterator[RawServer]:
    server = RawServer()
    await server.start()
    yield server
    await server.stop()


CallerFactory = Callable[..., HttpCaller]


@pytest.fixture
async def caller_for() -> AsyncIterator[CallerFactory]:
    """Makes callers (kind, base URL, settings of the provider) and closes them."""
    made: list[HttpCaller] = []

    def make(kind: Wire, base_url: str, **settings: Any) -> HttpCaller:
        settings.setdefault("api_key", KEY)
        caller = make_caller(Provider(kind.value, kind, base_url, **settings))
        assert isinstance(caller, HttpCaller)
        made.append(caller)
        return caller

    yield make
    for caller in made:
        await caller.aclose()


def target_of(caller: HttpCaller, model: str | None = None) -> Target:
    return Target.of(caller.provider, model or MODELS[caller.provider.kind])


def an_ask(
    surface: Wire = Wire.OPENAI, *, stream: bool = False, headers: dict[str, str] | None = None, **payload: Any
) -> Ask:
    content = {"model": "default", "messages": [{"role": "user", "content": "Say hello."}], "max_tokens": 64}
    content |= {"stream": stream, **payload}
    return Ask("req-1", surface, content, orjson.dumps(content), stream, headers or {})
