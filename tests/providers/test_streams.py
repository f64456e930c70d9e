"""Streams from a socket to the surface's events: whole, cut, malformed, cancelled."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind, FinishReason, Wire
from gateway.providers.caller import SseStream
from gateway.simulator import Fault, FaultKind, Simulator
from tests.providers.conftest import PATHS, CallerFactory, an_ask, target_of
from tests.providers.raw_server import CLOSE, HANG, RESET, STREAM_HEAD, WAIT_SECONDS, RawServer, chunked, reply


def chunk(text: str = "", finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": {"content": text} if text else {}, "finish_reason": finish}
    return b"data: " + orjson.dumps({"id": "chatcmpl-1", "model": "gpt-4-turbo", "choices": [choice]}) + b"\n\n"


HEL, LO, FINISH, DONE = chunk("hel"), chunk("lo"), chunk(finish="stop"), b"data: [DONE]\n\n"


async def opened(
    caller_for: CallerFactory, url: str, kind: Wire = Wire.OPENAI, surface: Wire | None = None
) -> SseStream:
    caller = caller_for(kind, url)
    return await caller.stream(an_ask(surface or kind, stream=True, max_tokens=400), target_of(caller))


async def read_all(stream: SseStream) -> bytes:
    out = b""
    while (batch := await stream.read()) is not None:
        out += batch.data
    return out


@pytest.mark.parametrize("surface", list(Wire))
@pytest.mark.parametrize("kind", list(Wire))
async def test_each_surface_gets_whole_streams_of_each_provider_with_usage(
    simulator: Simulator, caller_for: CallerFactory, surface: Wire, kind: Wire
) -> None:
    stream = await opened(caller_for, simulator.url + PATHS[kind], kind, surface)
    data = await read_all(stream) + stream.terminator
    (line,) = simulator.bill().lines()
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (line.input_tokens, line.output_tokens)
    assert stream.finish_reason is FinishReason.STOP
    assert data.endswith(DONE if surface is Wire.OPENAI else b'{"type":"message_stop"}\n\n')
    assert stream.upstream_id
    await stream.aclose()


async def test_content_is_told_from_what_comes_before_it(simulator: Simulator, caller_for: CallerFactory) -> None:
    stream = await opened(caller_for, simulator.url + PATHS[Wire.ANTHROPIC], Wire.ANTHROPIC)
    seen = []
    while (batch := await stream.read()) is not None:
        seen.append(batch.has_content)
    assert any(seen)
    await stream.aclose()


async def test_the_bytes_of_the_provider_are_counted(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(STREAM_HEAD + chunked(HEL, LO, FINISH, DONE))
    stream = await opened(caller_for, raw.url)
    await read_all(stream)
    assert stream.bytes_received == len(HEL + LO + FINISH + DONE)
    await stream.aclose()


async def test_events_may_be_split_anywhere(raw: RawServer, caller_for: CallerFactory) -> None:
    whole = HEL + LO + FINISH + DONE
    raw.will(STREAM_HEAD + chunked(*[whole[i : i + 7] for i in range(0, len(whole), 7)]))
    stream = await opened(caller_for, raw.url)
    assert await read_all(stream) == HEL + LO + FINISH
    await stream.aclose()


@pytest.mark.parametrize(
    "steps",
    [
        (chunked(HEL, LO, FINISH, DONE),),
        (chunked(HEL, LO, FINISH),),
        (chunked(HEL, LO, FINISH, end=False), CLOSE),
        (chunked(HEL, LO, FINISH, end=False), RESET),
        (chunked(HEL, b"data: {broken\n\n", LO, FINISH, DONE),),
        (chunked(HEL, b": ping\n\n", LO, FINISH, DONE),),
        (chunked(HEL, LO, FINISH, DONE, end=False), HANG),
    ],
    ids=["whole", "no terminator", "closed after finish", "reset after finish", "malformed event",
         "comment", "never ends"],
)  # fmt: skip
async def test_a_stream_that_has_said_everything_is_whole(
    raw: RawServer, caller_for: CallerFactory, steps: tuple[object, ...]
) -> None:
    raw.will(STREAM_HEAD, *steps)
    stream = await opened(caller_for, raw.url)
    data = await asyncio.wait_for(read_all(stream), WAIT_SECONDS)
    assert data.count(b"hel") == data.count(b'"lo"') == 1
    assert await stream.read() is None
    await stream.aclose()


@pytest.mark.parametrize(
    "steps",
    [
        (chunked(HEL, LO, end=False), CLOSE),
        (chunked(HEL, LO, end=False), RESET),
        (chunked(HEL, LO),),
        (chunked(HEL, LO, DONE),),
        (chunked(HEL, LO, b'data: {"error": {"message": "boom", "type": "server_error"}}\n\n'),),
    ],
    ids=["closed", "reset", "ended without a finish", "terminator without a finish", "error event"],
)
async def test_a_stream_that_breaks_never_looks_complete(
    raw: RawServer, caller_for: CallerFactory, steps: tuple[object, ...]
) -> None:
    raw.will(STREAM_HEAD, *steps)
    stream = await opened(caller_for, raw.url)
    with pytest.raises(UpstreamError) as caught:
        await read_all(stream)
    assert (caught.value.may_be_billed, caught.value.counts_against_breaker) == (True, True)
    await stream.aclose()


@pytest.mark.parametrize("body", [b"", b"<html>Bad gateway</html>", b'{"choices": []}'], ids=["empty", "html", "json"])
async def test_a_200_that_is_no_stream_breaks_before_any_content(
    raw: RawServer, caller_for: CallerFactory, body: bytes
) -> None:
    raw.will(reply(200, body, content_type="text/html"))
    stream = await opened(caller_for, raw.url)
    with pytest.raises(UpstreamError) as caught:
        await read_all(stream)
    assert (caught.value.kind, caught.value.retryable) == (FailureKind.STREAM_BROKEN, True)
    await stream.aclose()


@pytest.mark.parametrize("kind", list(Wire))
@pytest.mark.parametrize("fault", [FaultKind.CUT, FaultKind.ERROR_EVENT])
async def test_what_was_sent_before_a_break_still_arrives(
    simulator: Simulator, caller_for: CallerFactory, kind: Wire, fault: FaultKind
) -> None:
    simulator.faults.add(Fault(kind=fault, after_tokens=5))
    stream = await opened(caller_for, simulator.url + PATHS[kind], kind)
    seen = b""

    async def read_on() -> None:
        nonlocal seen
        while (batch := await stream.read()) is not None:
            seen += batch.data

    with pytest.raises(UpstreamError):
        await read_on()
    assert seen.count(b"data: ") > 1
    await stream.aclose()


@pytest.mark.parametrize("steps", [(chunked(HEL, end=False), HANG), (HANG,)], ids=["after content", "before content"])
async def test_closing_a_stream_early_closes_the_connection_upstream(
    raw: RawServer, caller_for: CallerFactory, steps: tuple[object, ...]
) -> None:
    raw.will(STREAM_HEAD, *steps)
    stream = await opened(caller_for, raw.url)
    if len(steps) > 1:
        await stream.read()
    await stream.aclose()
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)
    assert await stream.read() is None


async def test_cancelling_a_read_and_closing_ends_the_call_upstream(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(STREAM_HEAD + chunked(HEL, end=False), HANG)
    stream = await opened(caller_for, raw.url)
    await stream.read()
    reading = asyncio.create_task(stream.read())
    await asyncio.sleep(0)
    reading.cancel()
    with pytest.raises(asyncio.CancelledError):
        await reading
    await stream.aclose()
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


async def test_cancelling_while_the_provider_says_nothing_closes_the_connection(
    raw: RawServer, caller_for: CallerFactory
) -> None:
    raw.will(HANG)
    opening = asyncio.create_task(opened(caller_for, raw.url))
    await asyncio.wait_for(raw.received.wait(), WAIT_SECONDS)
    opening.cancel()
    await asyncio.gather(opening, return_exceptions=True)
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


async def test_usage_is_asked_of_the_provider_and_kept_from_a_client_that_did_not_ask(
    raw: RawServer, caller_for: CallerFactory
) -> None:
    usage = b'data: {"id":"c","choices":[],"usage":{"prompt_tokens":5,"completion_tokens":2}}\n\n'
    raw.will(STREAM_HEAD + chunked(HEL, LO, FINISH, usage, DONE))
    stream = await opened(caller_for, raw.url)
    assert b"prompt_tokens" not in await read_all(stream)
    assert orjson.loads(raw.requests[0].body)["stream_options"] == {"include_usage": True}
    assert stream.usage is not None
    assert (stream.usage.input_tokens, stream.usage.output_tokens) == (5, 2)
    await stream.aclose()


USAGE = b'data: {"id":"chatcmpl-1","choices":[],"usage":{"prompt_tokens":7,"completion_tokens":3}}\n\n'


@pytest.mark.parametrize(
    ("sent", "output_tokens"),
    [(HEL + LO + FINISH + USAGE, 3), (HEL + LO + FINISH, None), (HEL + USAGE, None)],
)
async def test_usage_of_a_stream_that_is_left_is_told_once_it_is_final(
    raw: RawServer, caller_for: CallerFactory, sent: bytes, output_tokens: int | None
) -> None:
    raw.will(STREAM_HEAD + chunked(sent, end=False), HANG)
    stream = await opened(caller_for, raw.url)
    assert await stream.read() is not None
    await stream.aclose()
    assert (stream.usage.output_tokens if stream.usage else None) == output_tokens
