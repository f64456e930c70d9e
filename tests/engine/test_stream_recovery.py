"""What follows when a stream breaks after its first content: continue, error or buffer (DESIGN, "Streams")."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.engine.catalogue import ModelTraits
from gateway.engine.completion import Completion
from gateway.engine.configuration import RetryPolicy, Timeouts
from gateway.engine.errors import AllTargetsFailed, DeadlineExceeded, GatewayError
from gateway.engine.exchange import Continuation
from gateway.engine.live_stream import BUFFER_LIMIT_BYTES, LiveStream
from gateway.engine.words import AttemptOutcome, BreakerState, FailureKind, FinishReason, StreamRecovery
from tests.engine.scripted import (
    FALLBACK,
    HANG,
    NO_RETRIES,
    PRIMARY,
    Stream,
    Wait,
    World,
    failure,
    frame,
    provider,
    refused,
    target,
    text,
    unavailable,
)

THIRD = provider("third")
FIRST_OF_THREE = (target(PRIMARY), target(FALLBACK), target(THIRD))
PREFILLING = target(FALLBACK, traits=ModelTraits(takes_prefill=True))
REST = Stream.of(text(b"lo"))


def broken(kind: FailureKind = FailureKind.STREAM_BROKEN) -> Any:
    return failure(kind, may_be_billed=True)


def hel_then(*steps: Any) -> Stream:
    return Stream.of(text(b"hel"), *steps)


def continuing(world: World, *targets: Any, **options: Any) -> Completion:
    return world.completion(*targets, stream=True, recovery=StreamRecovery.CONTINUE, **options)


def buffering(world: World, *targets: Any, **options: Any) -> Completion:
    return world.completion(*targets, stream=True, recovery=StreamRecovery.BUFFER, **options)


async def read_all(completion: Completion) -> bytes:
    live = await completion.obtain()
    assert isinstance(live, LiveStream)
    pieces = []
    while (data := await live.read()) is not None:
        pieces.append(data)
    return b"".join(pieces)


def continuations(world: World, name: str) -> list[Continuation]:
    found = [ask.continuation for ask in world.caller(name).asks]
    assert all(each is not None for each in found)
    return [each for each in found if each is not None]


# Continue -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "end",
    [broken(), failure(FailureKind.CONNECTION), failure(status=529), failure(FailureKind.UNREADABLE), HANG],
    ids=["cut", "reset", "in-band error", "unreadable", "stall"],
)
async def test_the_next_target_goes_on_from_the_text_already_sent(world: World, end: Any) -> None:
    world.script("primary", hel_then(end))
    world.script("fallback", REST)
    completion = continuing(world)
    assert await read_all(completion) == b"hello"
    assert [each.seam.text for each in continuations(world, "fallback")] == ["hel"]
    assert [attempt.outcome for attempt in completion.attempts] == [AttemptOutcome.FAILED, AttemptOutcome.SUCCEEDED]
    assert world.primary.streams[0].closed
    assert world.sleeps == []


async def test_a_continuation_is_a_fallback_whose_reason_tells_how_far_the_answer_came(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", REST)
    completion = continuing(world)
    await read_all(completion)
    (step,) = completion.fallbacks
    assert step.reason == "stream broke after 3 characters; continued (stream broken: stream_broken)"
    assert completion.attempts[1].reason == step.reason
    assert completion.began is completion.attempts[0]


async def test_each_attempt_has_its_own_outcome_at_its_breaker(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", unavailable(), REST)
    await read_all(continuing(world))
    assert world.breakers.reading(PRIMARY).consecutive_failures == 1
    assert world.breakers.reading(FALLBACK).consecutive_failures == 0


async def test_several_breaks_in_a_row_are_continued(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", Stream.of(text(b"l"), broken()))
    world.script("third", Stream.of(text(b"o")))
    completion = continuing(world, *FIRST_OF_THREE)
    assert await read_all(completion) == b"hello"
    assert [each.seam.text for each in continuations(world, "third")] == ["hell"]
    assert len(completion.fallbacks) == 2


async def test_a_continuation_that_fails_before_its_first_content_is_retried_as_any_attempt(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", unavailable(), Stream.of(frame(b""), broken()), REST)
    assert await read_all(continuing(world)) == b"hello"
    assert world.fallback.calls == 3
    assert world.sleeps == [0.5, 1.0]


async def test_a_target_whose_breaker_is_open_is_passed_by(world: World) -> None:
    await world.open_breaker(FALLBACK)
    world.script("primary", hel_then(broken()))
    world.script("third", REST)
    assert await read_all(continuing(world, *FIRST_OF_THREE)) == b"hello"
    assert world.fallback.calls == 0


@pytest.mark.parametrize(("takes", "prefill"), [(PREFILLING, True), (target(FALLBACK), False)])
async def test_prefill_goes_to_targets_that_take_it(world: World, takes: Any, prefill: bool) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", REST)
    await read_all(continuing(world, target(PRIMARY), takes))
    assert [each.prefill for each in continuations(world, "fallback")] == [prefill]


async def test_a_target_that_refuses_prefill_is_asked_once_more_without(world: World) -> None:
    refusal = failure(
        FailureKind.INVALID_REQUEST, status=400, retryable=False, counts_against_breaker=False, refuses_prefill=True
    )
    world.script("primary", hel_then(broken()))
    world.script("fallback", refusal, REST)
    completion = continuing(world, target(PRIMARY), PREFILLING)
    assert await read_all(completion) == b"hello"
    assert [each.prefill for each in continuations(world, "fallback")] == [True, False]
    assert completion.attempts[2].reason == "asked again without prefill"
    assert world.sleeps == []


async def test_a_target_that_goes_on_refusing_is_left(world: World) -> None:
    refusals = [
        failure(FailureKind.INVALID_REQUEST, status=400, retryable=False, refuses_prefill=True) for _ in range(3)
    ]
    world.script("primary", hel_then(broken()))
    world.script("fallback", *refusals)
    world.script("third", REST)
    assert await read_all(continuing(world, target(PRIMARY), PREFILLING, target(THIRD))) == b"hello"
    assert world.fallback.calls == 2


async def test_a_refusal_of_our_request_for_the_rest_is_not_told_as_the_clients_fault(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", refused(FailureKind.INVALID_REQUEST, 400))
    with pytest.raises(AllTargetsFailed, match=r"primary/model: stream_broken\.$"):
        await read_all(continuing(world, target(PRIMARY, retry=NO_RETRIES), target(FALLBACK)))


@pytest.mark.parametrize(
    "kind", [FailureKind.CONTENT_POLICY, FailureKind.INVALID_REQUEST], ids=["content policy", "invalid"]
)
async def test_what_is_said_of_the_clients_request_ends_the_stream(world: World, kind: FailureKind) -> None:
    world.script("primary", hel_then(refused(kind, 400)))
    with pytest.raises(GatewayError) as caught:
        await read_all(continuing(world))
    assert caught.value.status == 400
    assert world.fallback.calls == 0


async def test_what_cannot_be_continued_ends_with_an_error(world: World) -> None:
    world.script("primary", hel_then(broken()))
    live = await continuing(world).obtain()
    assert isinstance(live, LiveStream)
    world.primary.streams[0].continuable = False
    await live.read()
    with pytest.raises(AllTargetsFailed):
        await live.read()
    assert world.fallback.calls == 0


async def test_without_a_target_left_it_ends_with_an_error(world: World) -> None:
    world.script("primary", hel_then(broken()))
    with pytest.raises(AllTargetsFailed):
        await read_all(continuing(world, target(PRIMARY)))
    assert world.primary.calls == 1


async def test_when_every_continuation_fails_it_ends_with_an_error_that_lists_them(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", *[unavailable() for _ in range(4)])
    with pytest.raises(AllTargetsFailed) as caught:
        await read_all(continuing(world, target(PRIMARY, retry=NO_RETRIES), target(FALLBACK)))
    assert caught.value.details["attempts"][0] == "primary/model: stream_broken"
    assert len(caught.value.details["attempts"]) == 5


async def test_error_asks_nobody_to_go_on(world: World) -> None:
    world.script("primary", hel_then(broken()))
    with pytest.raises(AllTargetsFailed):
        await read_all(world.completion(stream=True, recovery=StreamRecovery.ERROR))
    assert world.fallback.calls == 0


async def test_a_continuation_waits_for_its_first_content_as_long_as_its_target_may_take(world: World) -> None:
    """The route's deadline bounds the wait for the answer's beginning; this is the wait for its going on."""
    world.script("primary", Stream.of(text(b"hel"), Wait(14), text(b""), Wait(14), text(b""), Wait(14), broken()))
    world.script("fallback", HANG)
    world.script("third", REST)
    assert await read_all(continuing(world, *FIRST_OF_THREE, deadline_seconds=20)) == b"hello"
    assert world.caller("third").called_at == [42.0 + 12.0]


async def test_the_wait_for_the_rest_is_bounded_by_the_deadline_anew(world: World) -> None:
    slow = [target(each, timeouts=Timeouts(first_token_seconds=60)) for each in (FALLBACK, THIRD)]
    world.script("primary", hel_then(Wait(10), broken()))
    world.script("fallback", HANG)
    world.script("third", HANG)
    with pytest.raises(DeadlineExceeded):
        await read_all(continuing(world, target(PRIMARY), *slow, deadline_seconds=90))
    assert world.time() == 100.0


async def test_the_longest_time_holds_for_all_parts_together(world: World) -> None:
    bounded = [target(each, timeouts=Timeouts(stream_max_seconds=60)) for each in (PRIMARY, FALLBACK, THIRD)]
    drip = [step for _ in range(99) for step in (Wait(7), text(b"x"))]
    world.script("primary", Stream.of(text(b"a"), *drip[:10], broken()))
    world.script("fallback", Stream.of(text(b"b"), *drip))
    with pytest.raises(DeadlineExceeded):
        await read_all(continuing(world, *bounded))
    assert (world.time(), world.caller("third").calls) == (60.0, 0)


async def test_a_client_that_leaves_amid_a_continuation_cancels_it(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", Stream.of(frame(b""), HANG))
    completion = continuing(world)
    reading = asyncio.create_task(read_all(completion))
    await asyncio.sleep(1)
    reading.cancel()
    await asyncio.gather(reading, return_exceptions=True)
    assert [attempt.outcome for attempt in completion.attempts] == [AttemptOutcome.FAILED, AttemptOutcome.CANCELLED]
    assert world.fallback.streams[0].closed
    assert world.engine.gate(FALLBACK).in_flight == 0


async def test_a_client_that_leaves_after_a_break_changes_nothing_of_what_broke(world: World) -> None:
    world.script("primary", hel_then(broken()))
    completion = continuing(world, target(PRIMARY))
    live = await completion.obtain()
    assert isinstance(live, LiveStream)
    await live.read()
    with pytest.raises(GatewayError):
        await live.read()
    await live.abandon(asyncio.CancelledError())
    assert completion.attempts[0].outcome is AttemptOutcome.FAILED


async def test_a_continuation_may_be_a_probe(world: World) -> None:
    await world.open_breaker(FALLBACK)
    await asyncio.sleep(60)
    world.script("primary", hel_then(broken()))
    world.script("fallback", REST)
    completion = continuing(world)
    assert await read_all(completion) == b"hello"
    assert (completion.attempts[1].probe, world.state(FALLBACK)) == (True, BreakerState.CLOSED)


@pytest.mark.parametrize("end", [HANG, broken()], ids=["stall", "cut"])
async def test_an_answer_that_was_complete_before_its_stream_failed_is_complete(world: World, end: Any) -> None:
    world.script("primary", Stream.of(text(b"hello"), FinishReason.STOP, end))
    completion = continuing(world)
    assert await read_all(completion) == b"hello end"
    assert (completion.attempts[0].outcome, world.fallback.calls) == (AttemptOutcome.SUCCEEDED, 0)


# Buffer ---------------------------------------------------------------------------------------------------------------


async def test_a_buffered_answer_comes_at_once_when_it_is_whole(world: World) -> None:
    world.script("primary", hel_then(Wait(10), text(b"lo"), Wait(3)))
    completion = buffering(world)
    live = await completion.obtain()
    assert isinstance(live, LiveStream)
    assert world.time() == 13.0
    assert [await live.read(), await live.read()] == [b"hello", None]
    assert completion.attempts[0].outcome is AttemptOutcome.SUCCEEDED


async def test_a_buffered_answer_that_breaks_is_tried_again_from_the_beginning(world: World) -> None:
    world.script("primary", hel_then(broken()), Stream.of(text(b"hello")))
    completion = buffering(world)
    assert await read_all(completion) == b"hello"
    assert (world.primary.calls, completion.fallbacks) == (2, [])
    assert completion.attempts[0].may_be_billed


async def test_a_buffered_answer_falls_back_from_the_beginning(world: World) -> None:
    world.script("primary", hel_then(HANG))
    world.script("fallback", Stream.of(text(b"hello")))
    completion = buffering(world)
    assert await read_all(completion) == b"hello"
    assert world.fallback.asks[0].continuation is None
    assert completion.began is completion.attempts[1]


async def test_when_every_target_breaks_a_buffered_answer_is_an_error_before_any_content(world: World) -> None:
    world.script("primary", hel_then(broken()))
    world.script("fallback", hel_then(broken()))
    targets = [target(each, retry=NO_RETRIES) for each in (PRIMARY, FALLBACK)]
    with pytest.raises(AllTargetsFailed):
        await buffering(world, *targets).obtain()


async def test_what_is_held_back_is_bounded(world: World) -> None:
    mib = text(b"x" * 1024 * 1024)
    world.script("primary", Stream.of(*[mib] * (BUFFER_LIMIT_BYTES // 1024 // 1024 + 1), HANG))
    completion = buffering(world)
    with pytest.raises(AllTargetsFailed, match="larger than 8 MiB"):
        await completion.obtain()
    assert (world.primary.calls, world.fallback.calls) == (1, 0)
    assert (completion.attempts[0].outcome, completion.attempts[0].may_be_billed) == (AttemptOutcome.FAILED, True)
    assert world.breakers.reading(PRIMARY).consecutive_failures == 0
    assert world.primary.streams[0].closed


async def test_a_client_that_leaves_while_an_answer_is_held_back_closes_the_stream(world: World) -> None:
    world.script("primary", hel_then(HANG))
    completion = buffering(world)
    obtaining = asyncio.create_task(completion.obtain())
    await asyncio.sleep(1)
    obtaining.cancel()
    await asyncio.gather(obtaining, return_exceptions=True)
    assert completion.attempts[0].outcome is AttemptOutcome.CANCELLED
    assert (world.primary.streams[0].closed, world.engine.gate(PRIMARY).in_flight) == (True, 0)


async def test_a_buffered_answer_is_begun_again_within_the_deadline_only(world: World) -> None:
    patient = target(PRIMARY, retry=RetryPolicy(retries=3), timeouts=Timeouts(stall_seconds=100))
    world.script("primary", hel_then(Wait(95), broken()), Stream.of(text(b"hello")))
    with pytest.raises(GatewayError):
        await buffering(world, patient, deadline_seconds=90).obtain()
    assert world.primary.calls == 1
