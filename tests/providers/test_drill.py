"""What a fire drill does in a provider's place, against the simulator over real HTTP."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.engine.drill import DrillFault, Injection
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import AnswerStream
from gateway.engine.words import FailureKind, Wire
from gateway.providers.caller import HttpCaller
from gateway.providers.drill import SLOW_FIRST_TOKEN_SECONDS, DrilledCaller
from gateway.simulator import Simulator
from tests.providers.conftest import PATHS, CallerFactory, an_ask, target_of

KINDS = list(Wire)
SPOILING = {
    DrillFault.CUT_STREAM: FailureKind.STREAM_BROKEN,
    DrillFault.MALFORMED: FailureKind.UNREADABLE,
}


class Sleeps(list[float]):
    async def __call__(self, seconds: float) -> None:
        self.append(seconds)


def drilled(caller: HttpCaller, fault: DrillFault, sleeps: Sleeps | None = None) -> DrilledCaller:
    drill = Injection(7, fault)
    return DrilledCaller(
        caller, replace(caller.provider, drill=drill), drill, sleeps if sleeps is not None else Sleeps()
    )


async def read_out(stream: AnswerStream) -> bytes:
    pieces = []
    while (batch := await stream.read()) is not None:
        pieces.append(batch.data)
    return b"".join(pieces)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(
    ("fault", "status", "meaning"),
    [
        (DrillFault.UNAVAILABLE, 503, FailureKind.SERVER_ERROR),
        (DrillFault.RATE_LIMITED, 429, FailureKind.RATE_LIMITED),
    ],
)
@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_means_what_the_vendors_own_would_and_sends_nothing(
    simulator: Simulator,
    caller_for: CallerFactory,
    kind: Wire,
    fault: DrillFault,
    status: int,
    meaning: FailureKind,
    stream: bool,
) -> None:
    caller = caller_for(kind, simulator.url + PATHS[kind])
    port = drilled(caller, fault)
    with pytest.raises(UpstreamError) as failed:
        await (port.stream if stream else port.answer)(an_ask(stream=stream), target_of(caller))
    error = failed.value
    assert (error.status, error.kind, error.provider, error.wire) == (status, meaning, kind.value, kind)
    assert (error.retryable, error.counts_against_breaker, error.may_be_billed) == (True, True, False)
    assert simulator.log.rows() == []


async def test_no_answer_waits_until_it_is_given_up_and_sends_nothing(
    simulator: Simulator, caller_for: CallerFactory
) -> None:
    caller = caller_for(Wire.OPENAI, simulator.url + PATHS[Wire.OPENAI])
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await drilled(caller, DrillFault.TIMEOUT).answer(an_ask(), target_of(caller))
    assert simulator.log.rows() == []


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("fault", SPOILING)
async def test_a_spoiled_plain_answer_tells_what_it_used(
    simulator: Simulator, caller_for: CallerFactory, kind: Wire, fault: DrillFault
) -> None:
    caller = caller_for(kind, simulator.url + PATHS[kind])
    with pytest.raises(UpstreamError) as failed:
        await drilled(caller, fault).answer(an_ask(), target_of(caller))
    (billed,) = simulator.log.rows()
    assert failed.value.kind is SPOILING[fault]
    assert (failed.value.retryable, failed.value.counts_against_breaker, failed.value.may_be_billed) == (True,) * 3
    assert failed.value.usage is not None
    assert failed.value.usage.output_tokens == billed.output_tokens


@pytest.mark.parametrize("kind", KINDS)
async def test_a_cut_stream_breaks_off_after_content_at_a_seam(
    simulator: Simulator, caller_for: CallerFactory, kind: Wire
) -> None:
    caller = caller_for(kind, simulator.url + PATHS[kind])
    said = " ".join(["Once upon a time"] * 30)
    ask = an_ask(kind, stream=True, messages=[{"role": "user", "content": f"[[say: {said}]]"}], max_tokens=400)
    stream = await drilled(caller, DrillFault.CUT_STREAM).stream(ask, target_of(caller))
    with pytest.raises(UpstreamError) as failed:
        await read_out(stream)
    await stream.aclose()
    assert failed.value.kind is FailureKind.STREAM_BROKEN
    assert stream.bytes_received > 0
    assert stream.finish_reason is None
    assert stream.seam is None or said.startswith(stream.seam.text)


@pytest.mark.parametrize("kind", KINDS)
async def test_a_malformed_stream_can_not_be_read_before_its_first_content(
    simulator: Simulator, caller_for: CallerFactory, kind: Wire
) -> None:
    caller = caller_for(kind, simulator.url + PATHS[kind])
    stream = await drilled(caller, DrillFault.MALFORMED).stream(an_ask(kind, stream=True), target_of(caller))
    with pytest.raises(UpstreamError) as failed:
        await read_out(stream)
    await stream.aclose()
    assert failed.value.kind is FailureKind.UNREADABLE
    assert stream.seam is None
    assert stream.bytes_received > 0


@pytest.mark.parametrize("kind", KINDS)
async def test_a_slow_first_token_comes_late_and_then_whole(
    simulator: Simulator, caller_for: CallerFactory, kind: Wire
) -> None:
    caller = caller_for(kind, simulator.url + PATHS[kind])
    sleeps = Sleeps()
    stream = await drilled(caller, DrillFault.SLOW_FIRST_TOKEN, sleeps).stream(
        an_ask(kind, stream=True), target_of(caller)
    )
    assert await read_out(stream)
    await stream.aclose()
    assert sleeps == [SLOW_FIRST_TOKEN_SECONDS]
    assert stream.finish_reason is not None
    assert stream.usage is not None


async def test_a_slow_plain_answer_comes_late(simulator: Simulator, caller_for: CallerFactory) -> None:
    caller = caller_for(Wire.OPENAI, simulator.url + PATHS[Wire.OPENAI])
    sleeps = Sleeps()
    answer = await drilled(caller, DrillFault.SLOW_FIRST_TOKEN, sleeps).answer(an_ask(), target_of(caller))
    assert (sleeps, answer.usage is not None) == ([SLOW_FIRST_TOKEN_SECONDS], True)
