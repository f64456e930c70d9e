"""When no target is left, those that failed in passing and have tries left are asked once more (decision 13)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.completion import Completion
from gateway.engine.configuration import RetryBudget, Timeouts
from gateway.engine.errors import AllTargetsFailed, DeadlineExceeded, GatewayError, UpstreamAnswer
from gateway.engine.live_stream import LiveStream
from gateway.engine.words import FailureKind, StreamRecovery
from tests.engine.scripted import (
    ANSWER,
    FALLBACK,
    HANG,
    NO_RETRIES,
    PRIMARY,
    Stream,
    World,
    failure,
    provider,
    rate_limited,
    refused,
    target,
    text,
    unavailable,
)

SILENT = failure(FailureKind.TIMEOUT, retryable=False, may_be_billed=True)
THRIFTY = provider(retry_budget=RetryBudget(percent=0, floor_per_second=0))


def asked(completion: Completion) -> list[tuple[str, int]]:
    """Who was really asked, and as which retry."""
    return [(attempt.target.provider.name, attempt.retry) for attempt in completion.attempts if attempt.sent]


def breaking(*said: bytes) -> Stream:
    return Stream.of(*(text(each) for each in said), failure(FailureKind.STREAM_BROKEN, may_be_billed=True))


async def read_all(live: Any) -> bytes:
    assert isinstance(live, LiveStream)
    pieces = []
    while (data := await live.read()) is not None:
        pieces.append(data)
    return b"".join(pieces)


async def test_two_silent_targets_are_asked_once_more_in_the_routes_order(world: World) -> None:
    world.script("primary", HANG, ANSWER)
    world.script("fallback", HANG)
    hasty = Timeouts(attempt_seconds=5)
    completion = world.completion(target(PRIMARY, timeouts=hasty), target(FALLBACK, timeouts=hasty))
    assert await completion.obtain() is ANSWER
    assert asked(completion) == [("primary", 0), ("fallback", 0), ("primary", 1)]
    assert [step.to_target.provider.name for step in completion.fallbacks] == ["fallback", "primary"]


async def test_long_silences_are_not_waited_for_twice(world: World) -> None:
    """The error could no longer be told as a status."""
    world.script("primary", HANG)
    world.script("fallback", HANG)
    slow = Timeouts(attempt_seconds=12)
    completion = world.completion(target(PRIMARY, timeouts=slow), target(FALLBACK, timeouts=slow))
    with pytest.raises(DeadlineExceeded):
        await completion.obtain()
    assert asked(completion) == [("primary", 0), ("fallback", 0)]
    assert world.time() == 24


async def test_there_is_no_third_round(world: World) -> None:
    for name in ("primary", "fallback"):
        world.script(name, SILENT, SILENT, ANSWER)
    completion = world.completion()
    with pytest.raises(DeadlineExceeded):
        await completion.obtain()
    assert asked(completion) == [("primary", 0), ("fallback", 0), ("primary", 1), ("fallback", 1)]


async def test_a_route_without_a_fallback_leaves_a_silent_provider_at_once(world: World) -> None:
    world.script("primary", HANG, ANSWER)
    with pytest.raises(DeadlineExceeded):
        await world.completion(target(PRIMARY)).obtain()
    assert world.primary.calls == 1


async def test_the_last_target_is_asked_again_while_the_breaker_of_the_first_is_open(world: World) -> None:
    await world.open_breaker(PRIMARY)
    world.script("fallback", SILENT, ANSWER)
    completion = world.completion()
    assert await completion.obtain() is ANSWER
    assert asked(completion) == [("fallback", 0), ("fallback", 1)]


async def test_the_second_round_has_only_the_tries_that_are_left(world: World) -> None:
    world.script("primary", *[unavailable() for _ in range(4)])
    world.script("fallback", unavailable(), unavailable(), SILENT, unavailable(), ANSWER)
    completion = world.completion()
    with pytest.raises(GatewayError):
        await completion.obtain()
    assert asked(completion)[4:] == [("fallback", 0), ("fallback", 1), ("fallback", 2), ("fallback", 3)]


@pytest.mark.parametrize(
    "last",
    [rate_limited(60), refused(FailureKind.REJECTED_US, 401), refused(FailureKind.CONTEXT_TOO_LONG, 400)],
    ids=["told to wait", "our key", "too long"],
)
async def test_who_would_say_the_same_is_not_asked_again(world: World, last: Any) -> None:
    world.script("primary", last, ANSWER)
    world.script("fallback", SILENT, SILENT)
    with pytest.raises(GatewayError):
        await world.completion().obtain()
    assert world.primary.calls == 1


async def test_what_a_provider_says_of_the_request_ends_it_at_once(world: World) -> None:
    world.script("primary", SILENT, ANSWER)
    world.script("fallback", refused(FailureKind.CONTENT_POLICY, 400))
    with pytest.raises(UpstreamAnswer):
        await world.completion().obtain()
    assert world.primary.calls == 1


async def test_a_target_without_retries_is_asked_once(world: World) -> None:
    world.script("primary", SILENT, ANSWER)
    world.script("fallback", SILENT, ANSWER)
    with pytest.raises(DeadlineExceeded):
        await world.completion(target(PRIMARY, retry=NO_RETRIES), target(FALLBACK, retry=NO_RETRIES)).obtain()
    assert (world.primary.calls, world.fallback.calls) == (1, 1)


async def test_the_second_round_is_paid_from_the_retry_budget(world: World) -> None:
    world.script("primary", SILENT, ANSWER)
    world.script("fallback", SILENT, SILENT)
    with pytest.raises(DeadlineExceeded):
        await world.completion(target(THRIFTY), target(FALLBACK)).obtain()
    assert (world.primary.calls, world.fallback.calls) == (1, 2)


async def test_a_stream_that_breaks_twice_goes_on_where_it_began(world: World) -> None:
    world.script("primary", breaking(b"hel"), Stream.of(text(b"o")))
    world.script("fallback", breaking(b"l"))
    completion = world.completion(stream=True, recovery=StreamRecovery.CONTINUE)
    assert await read_all(await completion.obtain()) == b"hello"
    assert asked(completion) == [("primary", 0), ("fallback", 0), ("primary", 1)]


async def test_a_stream_of_the_last_target_is_continued_by_that_target(world: World) -> None:
    await world.open_breaker(PRIMARY)
    world.script("fallback", breaking(b"hel"), Stream.of(text(b"lo")))
    completion = world.completion(stream=True, recovery=StreamRecovery.CONTINUE)
    assert await read_all(await completion.obtain()) == b"hello"


async def test_a_stream_that_goes_on_breaking_ends_with_an_error(world: World) -> None:
    for name in ("primary", "fallback"):
        world.script(name, *[breaking(b"l") for _ in range(4)])
    completion = world.completion(stream=True, recovery=StreamRecovery.CONTINUE)
    with pytest.raises(AllTargetsFailed):
        await read_all(await completion.obtain())
    assert asked(completion) == [("primary", 0), ("fallback", 0), ("primary", 1), ("fallback", 1)]
