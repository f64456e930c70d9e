"""Which caller speaks for which provider, and what becomes of one whose settings have changed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from gateway.engine.configuration import BreakerPolicy, Provider, Timeouts
from gateway.engine.errors import UpstreamError
from gateway.engine.words import Wire
from gateway.providers.anthropic import AnthropicCaller
from gateway.providers.openai import OpenAICaller
from gateway.providers.registry import Callers
from tests.providers.conftest import an_ask, target_of
from tests.providers.raw_server import STREAM_HEAD, WAIT_SECONDS, RawServer, chunked
from tests.providers.test_answers import OK
from tests.providers.test_streams import DONE, FINISH, HEL, read_all

OPENAI = Provider("openai", Wire.OPENAI, "http://openai.invalid", api_key="sk-1")


@pytest.fixture
async def callers() -> AsyncIterator[Callers]:
    callers = Callers()
    yield callers
    await callers.aclose()


@pytest.mark.parametrize(("kind", "expected"), [(Wire.OPENAI, OpenAICaller), (Wire.ANTHROPIC, AnthropicCaller)])
async def test_a_provider_is_called_in_the_way_of_its_kind(callers: Callers, kind: Wire, expected: type[Any]) -> None:
    assert isinstance(callers.of(replace(OPENAI, kind=kind)), expected)


async def test_the_same_settings_keep_the_same_caller(callers: Callers) -> None:
    assert callers.of(OPENAI) is callers.of(replace(OPENAI))


@pytest.mark.parametrize(
    "change",
    [
        {"base_url": "http://other.invalid"},
        {"api_key": "sk-2"},
        {"api_key": None},
        {"extra_headers": {"x-team": "research"}},
        {"kind": Wire.ANTHROPIC},
        {"max_in_flight": 3},
        {"timeouts": Timeouts(connect_seconds=1)},
    ],
    ids=lambda change: next(iter(change)),
)
async def test_changed_connection_settings_make_a_new_caller(callers: Callers, change: dict[str, Any]) -> None:
    before = callers.of(OPENAI)
    after = callers.of(replace(OPENAI, **change))
    assert after is not before
    assert callers.of(replace(OPENAI, **change)) is after


@pytest.mark.parametrize(
    "change",
    [{"breaker": BreakerPolicy(failure_threshold=2)}, {"forced_breaker": "open"}, {"enabled": False}],
    ids=lambda change: next(iter(change)),
)
async def test_settings_that_are_not_of_the_connection_keep_the_caller(
    callers: Callers, change: dict[str, Any]
) -> None:
    assert callers.of(replace(OPENAI, **change)) is callers.of(OPENAI)


async def test_requests_of_two_configurations_at_once_share_one_caller_each(callers: Callers) -> None:
    """Old requests that still retry and new ones take turns."""
    newer = replace(OPENAI, api_key="sk-2")
    callers.want([newer])
    seen = {id(callers.of(provider)) for _ in range(200) for provider in (OPENAI, newer)}
    assert len(seen) == 2


async def test_an_unwanted_caller_finishes_its_stream_while_new_calls_use_the_new_one(
    callers: Callers, raw: RawServer
) -> None:
    go_on = asyncio.Event()
    raw.will(STREAM_HEAD + chunked(HEL, end=False), go_on, chunked(FINISH, DONE))
    raw.will(OK)
    provider = replace(OPENAI, base_url=raw.url)
    newer = replace(provider, api_key="sk-2")
    old = callers.of(provider)
    stream = await old.stream(an_ask(stream=True), target_of(old))
    await stream.read()
    callers.want([newer])
    new = callers.of(newer)
    await new.answer(an_ask(), target_of(new))
    go_on.set()
    assert FINISH in await read_all(stream)
    assert [seen.headers["authorization"] for seen in raw.requests] == ["Bearer sk-1", "Bearer sk-2"]
    await stream.aclose()
    assert callers.of(provider) is not old


@pytest.mark.parametrize("wanted", [[replace(OPENAI, api_key="sk-2")], []], ids=["changed", "removed"])
async def test_an_unwanted_caller_that_nobody_uses_is_closed_at_once(
    callers: Callers, raw: RawServer, wanted: list[Provider]
) -> None:
    raw.will(OK)
    old = callers.of(replace(OPENAI, base_url=raw.url))
    await old.answer(an_ask(), target_of(old))
    assert not raw.client_gone.is_set()
    callers.want(wanted)
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


async def test_an_unwanted_caller_is_closed_when_its_last_answer_has_come(callers: Callers, raw: RawServer) -> None:
    raw.will(OK)
    provider = replace(OPENAI, base_url=raw.url)
    callers.want([])
    late = callers.of(provider)
    await late.answer(an_ask(), target_of(late))
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)
    assert callers.of(provider) is not late


@pytest.mark.parametrize("stream", [False, True])
async def test_an_unwanted_caller_is_closed_when_its_last_call_has_failed(callers: Callers, stream: bool) -> None:
    provider = replace(OPENAI, base_url="http://127.0.0.1:1")
    callers.want([])
    late = callers.of(provider)
    with pytest.raises(UpstreamError):
        await (late.stream if stream else late.answer)(an_ask(stream=stream), target_of(late))
    assert callers.of(provider) is not late


async def test_closing_the_registry_closes_every_caller(raw: RawServer) -> None:
    raw.will(OK)
    callers = Callers()
    old = callers.of(replace(OPENAI, base_url=raw.url))
    await old.answer(an_ask(), target_of(old))
    await callers.aclose()
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)
