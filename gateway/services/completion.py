"""Obtaining a completion for a client: binds the configuration snapshot, the ledger and the engine.

Order of things: the key's limits, parse, the cache where the route has one (`response_cache.py`), find the route,
reserve the most it can cost (the intent; `opening.py`), obtain, settle (`work.py`), answer. The settlement is durable
before a plain answer leaves and before a stream's terminator does.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable

from gateway.engine.configuration import Route
from gateway.engine.errors import GatewayError
from gateway.engine.exchange import Answer
from gateway.engine.live_stream import LiveStream
from gateway.services.call import Call
from gateway.services.content_keeping import content_kept
from gateway.services.idempotency import IDEMPOTENCY_KEY, idempotent
from gateway.services.limits import Admission, limits_admit
from gateway.services.opening import completion_open
from gateway.services.response_cache import Making, answer_cached
from gateway.services.runtime import Runtime
from gateway.services.stream_reply import StreamingReply, StreamReply, WholeStream, give_up
from gateway.services.work import PlainReply, Work
from gateway.wires import ParsedRequest, parse_call

# How long a stream's status line waits for its first content, since an error after it can only be told in-band
# (docs/decisions/0006-keep-alive.md). The strictest common proxies give up after 30 s without a byte.
HEADERS_AFTER_SECONDS = 25.0


async def completion_obtain(runtime: Runtime, call: Call) -> PlainReply | StreamingReply:
    """A settled plain answer, or a stream that settles itself before its terminator. Raises GatewayError."""
    try:
        admission = await limits_admit(runtime.limits, call)
    except GatewayError as error:
        runtime.refusals.add(runtime.snapshot, call, None, error)
        raise
    try:
        parsed = parse_call(call.operation, call.body)
        if IDEMPOTENCY_KEY in call.headers:
            reply = await idempotent(runtime, call, parsed, lambda: _obtain(runtime, call, parsed, admission))
        else:
            reply = await _obtain(runtime, call, parsed, admission)
    except GatewayError as error:
        error.headers = {"x-llmops-cache": "bypass", **admission.headers, **error.headers}
        raise
    finally:
        if not admission.owned:  # nothing was asked of a provider
            admission.finish(tokens=0)
    return reply


async def _obtain(
    runtime: Runtime, call: Call, parsed: ParsedRequest, admission: Admission
) -> PlainReply | WholeStream:
    """From the cache, where the route has one and the answer is there; else made."""

    def make(making: Making) -> Awaitable[PlainReply | StreamReply]:
        return _make(runtime, call, parsed, admission, making)

    async def obtained(route: Route | None) -> PlainReply | WholeStream:
        if route is None or route.cache is None:
            return await make(Making())
        return await answer_cached(runtime, call, parsed, admission, route, make)

    route = runtime.snapshot.routes.get(parsed.model)
    if route is not None and route.store_content:
        return await content_kept(runtime.content, call, route, admission, lambda: obtained(route))
    return await obtained(route)


async def _make(
    runtime: Runtime, call: Call, parsed: ParsedRequest, admission: Admission, making: Making
) -> PlainReply | StreamReply:
    began = runtime.clock.monotonic()
    try:
        work = await completion_open(runtime, call, parsed, making.waited_seconds)
    except GatewayError as error:
        runtime.refusals.add(runtime.snapshot, call, parsed, error)
        raise
    work.cache, making.work = making.cache, work
    work.admission, admission.owned = admission, True
    work.opened_seconds = runtime.clock.monotonic() - began
    obtaining = asyncio.ensure_future(work.completion.obtain()) if parsed.stream else None
    try:
        if obtaining is not None:
            await _wait_for_content(work, obtaining)
            return StreamReply(work, obtaining)
        answer = await work.completion.obtain()
    except BaseException as error:
        if obtaining is not None:
            await give_up(obtaining)
        await work.settle_failure(error)
        raise
    assert isinstance(answer, Answer)
    return await work.settle_answer(answer)


async def _wait_for_content(work: Work, obtaining: asyncio.Future[Answer | LiveStream]) -> None:
    """Until the stream has content, or until its headers must not wait any longer. Raises what `obtaining` raises."""
    try:
        async with work.runtime.clock.timeout(HEADERS_AFTER_SECONDS):
            await asyncio.shield(obtaining)
    except TimeoutError:
        if obtaining.done():
            obtaining.result()
