"""Streams: invisible fallback before the first content, honest errors after it (DESIGN, "Streams")."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.engine.completion import Completion
from gateway.engine.configuration import Timeouts
from gateway.engine.errors import AllTargetsFailed, DeadlineExceeded, GatewayError, UpstreamAnswer
from gateway.engine.exchange import StreamBatch
from gateway.engine.flight import PREAMBLE_LIMIT_BYTES
from gateway.engine.live_stream import LiveStream
from gateway.engine.words import AttemptOutcome, BreakerState, FailureKind, FinishReason
from tests.engine.scripted import (
    FALLBACK,
    HANG,
    PRIMARY,
    USAGE,
    Stream,
    Wait,
    World,
    failure,
    frame,
    rate_limited,
    target,
    text,
    unavailable,
)
from tests.virtual_time import stall

HELLO = Stream.of(frame(b"role "), text(b"hel"), text(b"lo"))


async def begin(completion: Completion) -> LiveStream:
    live = await completion.obtain()
    assert isinstance(live, LiveStream)
    return live


async def read_all(live: LiveStream) -> bytes:
    pieces = []
    while (data := await live.read()) is not None:
        pieces.append(data)
    return b"".join(pieces)


def broken() -> Any:
    return failure(FailureKind.STREAM_BROKEN, may_be_billed=True)


async def test_a_whole_stream_arrives_in_order_and_its_terminator_stays_with_the_caller(world: World) -> None:
    world.script("primary", HELLO)
    live = await begin(world.completion(stream=True))
    assert await read_all(live) == b"role hello"
    assert (live.terminator, live.finish_reason) == (b"[end]", FinishReason.STOP)


async def test_the_first_read_brings_everything_up_to_the_first_content(world: World) -> None:
    world.script("primary", Stream.of(frame(b"a"), frame(b""), frame(b"b"), text(b"c"), text(b"d")))
    live = await begin(world.completion(stream=True))
    assert [await live.read(), await live.read(), await live.read()] == [b"abc", b"d", None]


async def test_events_that_become_nothing_are_not_sent_as_empty_pieces(world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), frame(b""), frame(b""), text(b"b")))
    live = await begin(world.completion(stream=True))
    assert [await live.read(), await live.read(), await live.read()] == [b"a", b"b", None]


async def test_a_finished_stream_reports_its_success_at_its_end_and_not_before(world: World) -> None:
    world.script("primary", unavailable(), HELLO)
    completion = world.completion(stream=True)
    live = await begin(completion)
    assert world.breakers.reading(PRIMARY).consecutive_failures == 1
    assert (live.attempt.outcome, world.engine.gate(PRIMARY).in_flight) == (None, 1)
    await read_all(live)
    assert world.breakers.reading(PRIMARY).consecutive_failures == 0
    assert (live.attempt.outcome, world.engine.gate(PRIMARY).in_flight) == (AttemptOutcome.SUCCEEDED, 0)
    assert world.primary.streams[0].closed


async def test_a_finished_stream_records_time_to_first_content_usage_and_bytes(world: World) -> None:
    world.script("primary", Stream.of(Wait(1), frame(b"role "), Wait(0.5), text(b"hello"), Wait(2)))
    live = await begin(world.completion(stream=True))
    await read_all(live)
    attempt = live.attempt
    assert (attempt.first_content_ms, attempt.latency_ms, attempt.bytes_received) == (1500, 3500, 10)
    assert (attempt.usage, attempt.upstream_id) == (USAGE, "up-stream")


async def test_an_answer_without_content_is_an_answer(world: World) -> None:
    world.script("primary", Stream.of(frame(b"role ")))
    live = await begin(world.completion(stream=True))
    assert await read_all(live) == b"role "
    assert live.attempt.outcome is AttemptOutcome.SUCCEEDED


# Before the first content --------------------------------------------------------------------------------------------


async def test_a_stream_that_breaks_before_its_first_content_is_retried_invisibly(world: World) -> None:
    world.script("primary", Stream.of(frame(b"gone "), broken()), HELLO)
    completion = world.completion(stream=True)
    assert await read_all(await begin(completion)) == b"role hello"
    assert (world.primary.calls, world.primary.streams[0].closed) == (2, True)
    assert completion.attempts[0].may_be_billed


async def test_a_stream_that_fails_before_its_first_content_falls_back_invisibly(world: World) -> None:
    world.script("primary", *[Stream.of(frame(b"gone "), broken()) for _ in range(4)])
    world.script("fallback", HELLO)
    completion = world.completion(stream=True)
    assert await read_all(await begin(completion)) == b"role hello"
    assert [step.to_target.name for step in completion.fallbacks] == ["fallback/model"]
    assert all(stream.closed for stream in world.primary.streams)


async def test_before_any_content_the_client_gets_a_status_and_no_stream(world: World) -> None:
    for name in ("primary", "fallback"):
        world.script(name, *[Stream.of(frame(b"gone "), broken()) for _ in range(4)])
    with pytest.raises(AllTargetsFailed):
        await world.completion(stream=True).obtain()


@pytest.mark.parametrize("script", [HANG, Stream.of(HANG), Stream.of(frame(b"role "), HANG)])
async def test_without_first_content_in_time_the_fallback_is_asked_at_once(world: World, script: Any) -> None:
    world.script("primary", script)
    world.script("fallback", HELLO)
    completion = world.completion(stream=True)
    assert await read_all(await begin(completion)) == b"role hello"
    assert (world.primary.calls, world.fallback.called_at, world.sleeps) == (1, [12.0], [])
    error = completion.attempts[0].error
    assert error is not None
    assert error.message == "no first content within 12 s"
    assert all(stream.closed for stream in world.primary.streams)


async def test_pings_do_not_pass_for_content(world: World) -> None:
    world.script("primary", Stream.of(*[step for _ in range(30) for step in (frame(b"ping "), Wait(1))]))
    world.script("fallback", HELLO)
    await begin(world.completion(stream=True))
    assert world.fallback.called_at == [12.0]


async def test_a_preamble_without_end_is_cut_off(world: World) -> None:
    flood = Stream.of(*[frame(b"x" * 65536) for _ in range(PREAMBLE_LIMIT_BYTES // 65536 + 1)], HANG)
    world.script("primary", *[flood] * 4)
    world.script("fallback", HELLO)
    completion = world.completion(stream=True)
    await begin(completion)
    error = completion.attempts[0].error
    assert error is not None
    assert error.kind is FailureKind.UNREADABLE
    assert all(stream.closed for stream in world.primary.streams)


async def test_the_deadline_bounds_the_wait_for_the_first_content_only(world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), *[step for _ in range(20) for step in (Wait(10), text(b"b"))]))
    live = await begin(world.completion(stream=True, deadline_seconds=5))
    assert await read_all(live) == b"a" + b"b" * 20
    assert world.time() == 200.0


async def test_the_deadline_ends_the_wait_for_the_first_content(world: World) -> None:
    world.script("primary", Stream.of(frame(b"role "), HANG))
    with pytest.raises(DeadlineExceeded):
        await world.completion(stream=True, deadline_seconds=5).obtain()
    assert (world.time(), world.primary.streams[0].closed) == (5.0, True)


# After the first content ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "expected", "status"),
    [
        (broken(), AllTargetsFailed, 503),
        (failure(status=529), AllTargetsFailed, 503),
        (rate_limited(), UpstreamAnswer, 429),
        (failure(FailureKind.TIMEOUT, retryable=False), DeadlineExceeded, 504),
    ],
    ids=["broken", "overloaded", "rate limited", "timed out"],
)
async def test_a_break_after_the_first_content_is_an_error_in_the_stream(
    world: World, error: Any, expected: type[GatewayError], status: int
) -> None:
    world.script("primary", Stream.of(text(b"hel"), error))
    live = await begin(world.completion(stream=True))
    assert await live.read() == b"hel"
    with pytest.raises(expected) as caught:
        await live.read()
    assert caught.value.status == status
    assert (world.primary.calls, world.fallback.calls) == (1, 0)


async def test_a_broken_stream_is_closed_counted_against_the_breaker_and_may_be_billed(world: World) -> None:
    world.script("primary", Stream.of(text(b"hel"), broken()))
    live = await begin(world.completion(stream=True))
    with pytest.raises(GatewayError):
        await read_all(live)
    assert (live.attempt.outcome, live.attempt.may_be_billed) == (AttemptOutcome.FAILED, True)
    assert live.attempt.bytes_received == 3
    assert (world.primary.streams[0].closed, world.engine.gate(PRIMARY).in_flight) == (True, 0)
    assert world.breakers.reading(PRIMARY).consecutive_failures == 1


async def test_an_in_band_error_is_told_with_its_providers_name(world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), failure(FailureKind.REJECTED_US, status=401, retryable=False)))
    live = await begin(world.completion(stream=True))
    with pytest.raises(GatewayError, match=r"^primary refuses"):
        await read_all(live)


async def test_a_stream_that_stands_still_is_ended(world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), Wait(14.9), text(b"b"), HANG))
    live = await begin(world.completion(stream=True))
    with pytest.raises(DeadlineExceeded):
        await read_all(live)
    assert world.time() == pytest.approx(29.9)
    assert world.primary.streams[0].closed
    assert live.attempt.error is not None
    assert live.attempt.error.message == "the stream stood still for 15 s"


async def test_comments_and_dribbled_bytes_are_no_signs_of_life(world: World) -> None:
    comment = StreamBatch(b": processing\n\n", has_content=False, has_event=False)
    dribble = StreamBatch(b"", has_content=False, has_event=False)
    world.script("primary", Stream.of(text(b"a"), Wait(6), comment, Wait(6), dribble, Wait(6), text(b"b")))
    live = await begin(world.completion(stream=True))
    with pytest.raises(DeadlineExceeded):
        await read_all(live)
    assert world.time() == pytest.approx(15)


async def test_an_event_without_content_is_a_sign_of_life(world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), Wait(14), frame(b"ping"), Wait(14), text(b"b")))
    live = await begin(world.completion(stream=True))
    assert await read_all(live) == b"apingb"


async def test_a_stream_has_a_longest_time(world: World) -> None:
    bounded = target(PRIMARY, timeouts=Timeouts(stream_max_seconds=60))
    world.script("primary", Stream.of(text(b"a"), *[step for _ in range(99) for step in (Wait(7), text(b"b"))]))
    live = await begin(world.completion(bounded, stream=True))
    with pytest.raises(DeadlineExceeded):
        await read_all(live)
    assert world.time() == 60.0
    assert live.attempt.error is not None
    assert live.attempt.error.message == "the stream took more than 60 s"


async def test_the_longest_time_holds_for_a_provider_that_never_pauses(world: World) -> None:
    bounded = target(PRIMARY, timeouts=Timeouts(stream_max_seconds=60))
    world.script("primary", Stream.of(*[text(b"x") for _ in range(1000)]))
    live = await begin(world.completion(bounded, stream=True))
    for _ in range(60):
        assert await live.read() == b"x"
        stall(1)  # the client takes its time, and the next piece is there already
    with pytest.raises(DeadlineExceeded):
        await live.read()


# Clients that leave --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("error", [asyncio.CancelledError(), ConnectionResetError()], ids=["cancelled", "reset"])
async def test_a_client_that_leaves_a_stream_closes_it_and_says_nothing_about_the_provider(
    world: World, error: BaseException
) -> None:
    world.script("primary", Stream.of(text(b"hel"), HANG))
    live = await begin(world.completion(stream=True))
    await live.read()
    await live.abandon(error)
    assert (live.attempt.outcome, live.attempt.may_be_billed) == (AttemptOutcome.CANCELLED, True)
    assert (live.attempt.bytes_received, world.primary.streams[0].closed) == (3, True)
    assert world.engine.gate(PRIMARY).in_flight == 0
    assert world.breakers.reading(PRIMARY).failure_rate == 0.0


async def test_a_client_that_leaves_before_the_first_content_closes_the_stream(world: World) -> None:
    world.script("primary", Stream.of(frame(b"role "), HANG))
    completion = world.completion(stream=True)
    obtaining = asyncio.create_task(completion.obtain())
    await asyncio.sleep(1)
    obtaining.cancel()
    await asyncio.gather(obtaining, return_exceptions=True)
    assert (completion.attempts[0].outcome, completion.attempts[0].bytes_received) == (AttemptOutcome.CANCELLED, 5)
    assert (world.primary.streams[0].closed, world.engine.gate(PRIMARY).in_flight) == (True, 0)


# Probes --------------------------------------------------------------------------------------------------------------


async def probe_with(world: World, script: Any) -> Completion:
    await world.open_breaker()
    await asyncio.sleep(60)
    world.script("primary", script)
    return world.completion(target(PRIMARY), target(FALLBACK), stream=True)


async def test_a_streamed_probe_succeeds_at_its_first_content(world: World) -> None:
    live = await begin(await probe_with(world, HELLO))
    assert (live.attempt.probe, world.state()) == (True, BreakerState.CLOSED)


async def test_a_streamed_probe_reports_once(world: World) -> None:
    """What breaks after the first content of a probe is not a second outcome."""
    live = await begin(await probe_with(world, Stream.of(text(b"a"), broken())))
    with pytest.raises(GatewayError):
        await read_all(live)
    assert world.breakers.reading(PRIMARY).consecutive_failures == 0


async def test_a_streamed_probe_without_content_fails(world: World) -> None:
    completion = await probe_with(world, Stream.of(frame(b"role "), HANG))
    world.script("fallback", HELLO)
    assert await read_all(await begin(completion)) == b"role hello"
    assert world.state() is BreakerState.OPEN


async def test_a_streamed_probe_whose_client_leaves_in_time_is_given_back(world: World) -> None:
    obtaining = asyncio.create_task((await probe_with(world, Stream.of(HANG))).obtain())
    await asyncio.sleep(1)
    obtaining.cancel()
    await asyncio.gather(obtaining, return_exceptions=True)
    world.script("primary", HELLO)
    live = await begin(world.completion(stream=True))
    assert live.attempt.probe


async def test_a_reasoning_target_keeps_its_streamed_probe_for_its_longer_first_token_time_out(world: World) -> None:
    thinker = target(PRIMARY, timeouts=replace(PRIMARY.timeouts, first_token_seconds=60))
    await world.open_breaker()
    await asyncio.sleep(60)
    world.script("primary", Stream.of(Wait(55), text(b"a")))
    world.script("fallback", HELLO)
    probing = asyncio.create_task(world.completion(thinker, stream=True).obtain())
    await asyncio.sleep(50)
    await begin(world.completion(thinker, target(FALLBACK), stream=True))
    assert (world.primary.calls, world.fallback.calls) == (1, 1)
    await probing
    assert world.state() is BreakerState.CLOSED


async def test_a_client_that_does_not_read_is_not_held_against_the_provider(world: World) -> None:
    """The stream's longest time is over, but the provider would have been in time."""
    owner = replace(PRIMARY, timeouts=Timeouts(stream_max_seconds=100), max_in_flight=1)
    world.script("primary", Stream.of(text(b"a"), text(b"b"), text(b"c")))
    completion = world.completion(target(owner), stream=True)
    live = await begin(completion)
    await live.read()
    stall(101)
    with pytest.raises(DeadlineExceeded, match="the client took 101 s"):
        await live.read()
    assert completion.attempts[0].outcome is AttemptOutcome.FAILED
    assert completion.attempts[0].may_be_billed
    assert world.breakers.reading(owner).consecutive_failures == 0
    assert world.breakers.reading(owner).failure_rate == 0
    assert (world.primary.streams[0].closed, world.engine.gate(owner).in_flight) == (True, 0)


async def test_a_stream_that_takes_too_long_is_held_against_the_provider_when_the_client_read_at_once(
    world: World,
) -> None:
    owner = replace(PRIMARY, timeouts=Timeouts(stream_max_seconds=100, stall_seconds=90))
    world.script("primary", Stream.of(text(b"a"), Wait(80), text(b"b"), Wait(80), text(b"c")))
    live = await begin(world.completion(target(owner), stream=True))
    await live.read()
    stall(5)
    with pytest.raises(GatewayError):
        await read_all(live)
    assert world.breakers.reading(owner).consecutive_failures == 1
