"""Plain answers: what comes whole, what breaks, and what may have been billed when it broke."""

from __future__ import annotations

import asyncio
import gzip
import socket
import tracemalloc
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import orjson
import pytest

from gateway.engine.configuration import Timeouts
from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind, FinishReason, Wire
from gateway.providers import caller as caller_module
from gateway.providers.openai import OpenAICaller
from gateway.simulator import Fault, FaultKind, Simulator
from tests.providers.conftest import MODELS, PATHS, CallerFactory, an_ask, target_of
from tests.providers.raw_server import CLOSE, HANG, RESET, WAIT_SECONDS, RawServer, reply
from tests.servers import free_port

ANSWER = orjson.dumps(
    {
        "id": "chatcmpl-1",
        "model": "gpt-4-turbo",
        "choices": [{"index": 0, "message": {"role": "assistant", "content": "hello"}, "finish_reason": "stop"}],
        "usage": {"prompt_tokens": 5, "completion_tokens": 1},
    }
)
OK = reply(200, ANSWER, content_type="application/json")


async def failure_of(caller: caller_module.HttpCaller) -> UpstreamError:
    with pytest.raises(UpstreamError) as caught:
        await caller.answer(an_ask(), target_of(caller))
    assert caught.value.counts_against_breaker
    return caught.value


@pytest.mark.parametrize("surface", list(Wire))
@pytest.mark.parametrize("kind", list(Wire))
async def test_each_surface_is_answered_by_each_provider_and_knows_its_usage(
    simulator: Simulator, caller_for: CallerFactory, surface: Wire, kind: Wire
) -> None:
    caller = caller_for(kind, simulator.url + PATHS[kind])
    answer = await caller.answer(an_ask(surface, max_tokens=1000), target_of(caller))
    (line,) = simulator.bill().lines()
    assert answer.usage is not None
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (line.input_tokens, line.output_tokens)
    assert (answer.finish_reason, answer.model) == (FinishReason.STOP, MODELS[kind])
    assert answer.text
    assert answer.upstream_id
    assert ("choices" in orjson.loads(answer.body)) is (surface is Wire.OPENAI)


async def test_on_the_same_wire_the_answer_passes_byte_for_byte(raw: RawServer, caller_for: CallerFactory) -> None:
    odd = ANSWER.replace(b'"id"', b'  "future_field": 1.50, "id"')
    raw.will(reply(200, odd))
    caller = caller_for(Wire.OPENAI, raw.url)
    assert (await caller.answer(an_ask(), target_of(caller))).body == odd


async def test_a_refused_connection_was_never_billed(caller_for: CallerFactory) -> None:
    error = await failure_of(caller_for(Wire.OPENAI, f"http://127.0.0.1:{free_port()}"))
    assert (error.kind, error.status, error.may_be_billed, error.retryable) == (
        FailureKind.CONNECTION, None, False, True,
    )  # fmt: skip
    assert error.message.startswith("no connection: ")


async def test_an_unknown_host_was_never_billed(caller_for: CallerFactory) -> None:
    error = await failure_of(caller_for(Wire.OPENAI, "http://nowhere.invalid"))
    assert (error.kind, error.may_be_billed, error.retryable) == (FailureKind.CONNECTION, False, True)


@contextmanager
def silent_listener() -> Iterator[str]:
    """The URL of a listener whose queue is full: it lets connections hang, as a firewall does."""
    with ExitStack() as stack:
        listener = stack.enter_context(socket.socket())
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        for _ in range(4):
            one = stack.enter_context(socket.socket())
            one.setblocking(False)
            one.connect_ex(listener.getsockname())
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


async def test_a_silent_connect_is_a_time_out_that_was_never_billed(caller_for: CallerFactory) -> None:
    with silent_listener() as url:
        error = await failure_of(caller_for(Wire.OPENAI, url, timeouts=Timeouts(connect_seconds=0.05)))
    assert (error.kind, error.may_be_billed, error.retryable) == (FailureKind.TIMEOUT, False, False)
    assert error.message == "no connection within 0.05 s"


async def test_a_call_cancelled_while_it_connects_was_never_on_the_wire(caller_for: CallerFactory) -> None:
    ask = an_ask()
    with silent_listener() as url:
        caller = caller_for(Wire.OPENAI, url)
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await caller.answer(ask, target_of(caller))
    assert ask.passage.on_wire is False


async def test_a_call_that_waits_for_a_pooled_connection_was_never_on_the_wire(
    raw: RawServer, caller_for: CallerFactory
) -> None:
    raw.will(HANG)
    caller, waits = caller_for(Wire.OPENAI, raw.url, max_in_flight=1), an_ask()
    first = asyncio.create_task(caller.answer(an_ask(), target_of(caller)))
    await asyncio.wait_for(raw.received.wait(), WAIT_SECONDS)
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.02):
            await caller.answer(waits, target_of(caller))
    first.cancel()
    await asyncio.gather(first, return_exceptions=True)
    assert waits.passage.on_wire is False


async def test_a_call_cancelled_after_sending_was_on_the_wire(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(HANG)
    caller, ask = caller_for(Wire.OPENAI, raw.url), an_ask()
    call = asyncio.create_task(caller.answer(ask, target_of(caller)))
    await asyncio.wait_for(raw.received.wait(), WAIT_SECONDS)
    call.cancel()
    await asyncio.gather(call, return_exceptions=True)
    assert ask.passage.on_wire is True


@pytest.mark.parametrize("step", [RESET, CLOSE], ids=["reset", "closed"])
async def test_a_connection_that_breaks_after_sending_may_be_billed(
    raw: RawServer, caller_for: CallerFactory, step: object
) -> None:
    raw.will(step)
    error = await failure_of(caller_for(Wire.OPENAI, raw.url))
    assert (error.kind, error.may_be_billed, error.retryable) == (FailureKind.CONNECTION, True, True)
    assert error.message.startswith("the connection broke before an answer")


@pytest.mark.parametrize("step", [RESET, CLOSE], ids=["reset", "closed"])
async def test_a_cut_body_may_be_billed(raw: RawServer, caller_for: CallerFactory, step: object) -> None:
    raw.will(OK[:-20], step)
    error = await failure_of(caller_for(Wire.OPENAI, raw.url))
    assert (error.kind, error.may_be_billed, error.retryable) == (FailureKind.CONNECTION, True, True)


@pytest.mark.parametrize(
    "sent",
    [
        b"",
        b"<html>Bad gateway</html>",
        b"null",
        b"[]",
        b'{"object": "chat.completion"}',
        b'{"choices": []}',
        b'{"choices": [{}]}',
        b'{"choices": "x"}',
        ANSWER[:-1],
    ],
    ids=["empty", "html", "null", "list", "no choices", "empty choices", "no message", "text", "cut json"],
)
async def test_a_200_that_is_no_answer_is_unreadable_and_may_be_billed(
    raw: RawServer, caller_for: CallerFactory, sent: bytes
) -> None:
    raw.will(reply(200, sent, content_type="text/html"))
    error = await failure_of(caller_for(Wire.OPENAI, raw.url))
    assert (error.kind, error.may_be_billed, error.retryable) == (FailureKind.UNREADABLE, True, True)


async def test_what_is_no_http_is_a_broken_connection(raw: RawServer, caller_for: CallerFactory) -> None:
    raw.will(b"SSH-2.0-OpenSSH_9.2\r\n\r\n", CLOSE)
    assert (await failure_of(caller_for(Wire.OPENAI, raw.url))).kind is FailureKind.CONNECTION


async def test_a_redirect_is_not_followed(raw: RawServer, caller_for: CallerFactory) -> None:
    """It would send the key and the prompt to wherever it points."""
    raw.will(reply(307, location=f"{raw.url}/elsewhere"))
    error = await failure_of(caller_for(Wire.OPENAI, raw.url))
    assert (error.kind, error.status, len(raw.requests)) == (FailureKind.UNREADABLE, 307, 1)


async def test_an_oversized_answer_is_cut_off(
    raw: RawServer, caller_for: CallerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(caller_module, "ANSWER_LIMIT_BYTES", 100_000)
    raw.will(b"HTTP/1.1 200 OK\r\ncontent-length: 9999999\r\n\r\n" + b"x" * 200_000, HANG)
    error = await failure_of(caller_for(Wire.OPENAI, raw.url))
    assert (error.kind, error.message) == (FailureKind.UNREADABLE, "the answer is larger than 100000 bytes")
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


@pytest.mark.parametrize(
    "rest",
    [(b"x" * 200_000, HANG), (b"x", RESET), (b"", CLOSE)],
    ids=["oversized", "reset", "cut"],
)
async def test_an_error_reply_that_cannot_be_read_is_judged_by_its_status(
    raw: RawServer, caller_for: CallerFactory, rest: tuple[object, ...]
) -> None:
    raw.will(b"HTTP/1.1 503 Nope\r\ncontent-length: 9999999\r\nretry-after: 2\r\n\r\n", *rest)
    error = await failure_of(caller_for(Wire.OPENAI, raw.url))
    assert (error.kind, error.status, error.body) == (FailureKind.SERVER_ERROR, 503, b"")
    assert (error.retry_after_seconds, error.may_be_billed) == (2.0, False)


@pytest.mark.parametrize("sent", [b"", OK[:60], OK[:-20]], ids=["before headers", "in headers", "in the body"])
async def test_cancelling_a_call_closes_the_connection_upstream(
    raw: RawServer, caller_for: CallerFactory, sent: bytes
) -> None:
    raw.will(sent, HANG)
    caller = caller_for(Wire.OPENAI, raw.url)
    call = asyncio.create_task(caller.answer(an_ask(), target_of(caller)))
    await asyncio.wait_for(raw.received.wait(), WAIT_SECONDS)
    call.cancel()
    with pytest.raises(asyncio.CancelledError):
        await call
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


@pytest.mark.parametrize("size", [1_500_000, 20_000_000])
async def test_a_large_request_arrives_whole(raw: RawServer, caller_for: CallerFactory, size: int) -> None:
    raw.will(OK)
    caller = caller_for(Wire.OPENAI, raw.url)
    await caller.answer(an_ask(messages=[{"role": "user", "content": "x" * size}]), target_of(caller))
    (seen,) = raw.requests
    assert int(seen.headers["content-length"]) == len(seen.body) > size
    assert seen.body.count(b"x") >= size


async def test_dropped_parameters_are_named(simulator: Simulator, caller_for: CallerFactory) -> None:
    caller = caller_for(Wire.ANTHROPIC, simulator.url + PATHS[Wire.ANTHROPIC])
    answer = await caller.answer(an_ask(seed=7), target_of(caller))
    assert answer.dropped_params == ("seed",)


async def test_a_reset_of_the_simulator_is_the_same_as_a_real_one(
    simulator: Simulator, caller_for: CallerFactory
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.RESET))
    error = await failure_of(caller_for(Wire.ANTHROPIC, simulator.url + PATHS[Wire.ANTHROPIC]))
    assert (error.kind, error.may_be_billed) == (FailureKind.CONNECTION, True)


async def test_a_compressed_answer_is_decoded_although_none_was_asked_for(
    raw: RawServer, caller_for: CallerFactory
) -> None:
    raw.will(reply(200, gzip.compress(ANSWER), content_encoding="gzip"))
    caller = caller_for(Wire.OPENAI, raw.url)
    assert (await caller.answer(an_ask(), target_of(caller))).body == ANSWER


async def test_a_small_answer_that_unfolds_without_end_is_given_up_at_the_limit(
    raw: RawServer, caller_for: CallerFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Piece by piece: 200 MB of zeros compress to 200 KB, which arrive in one packet."""
    monkeypatch.setattr(caller_module, "ANSWER_LIMIT_BYTES", 1024 * 1024)
    raw.will(reply(200, gzip.compress(bytes(200_000_000)), content_encoding="gzip"))
    caller = caller_for(Wire.OPENAI, raw.url)
    tracemalloc.start()
    failure = await failure_of(caller)
    peak_bytes = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert failure.kind is FailureKind.UNREADABLE
    assert peak_bytes < 50_000_000


async def test_an_answer_that_is_not_compressed_as_it_says_is_a_failure(
    raw: RawServer, caller_for: CallerFactory
) -> None:
    raw.will(reply(200, ANSWER, content_encoding="gzip"))
    caller = caller_for(Wire.OPENAI, raw.url)
    assert (await failure_of(caller)).kind is FailureKind.CONNECTION


async def test_the_sdks_own_calls_work_over_the_same_connections(
    simulator: Simulator, caller_for: CallerFactory
) -> None:
    caller = caller_for(Wire.OPENAI, simulator.url + PATHS[Wire.OPENAI])
    assert isinstance(caller, OpenAICaller)
    models = await caller.sdk.models.list()
    assert MODELS[Wire.OPENAI] in [model.id for model in models.data]


async def test_connections_that_were_closed_are_not_opened_again(raw: RawServer, caller_for: CallerFactory) -> None:
    caller = caller_for(Wire.OPENAI, raw.url)
    await caller.aclose()
    with pytest.raises(RuntimeError, match="closed"):
        await caller.answer(an_ask(), target_of(caller))
