"""The response cache on the way of one request: may it be answered from there, and may its answer be kept.

What is the same request, what is kept and who makes what is missing: docs/cache.md. Requests of routes without a cache
never come here.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from gateway.engine.configuration import Route, RouteCache
from gateway.engine.errors import GatewayError
from gateway.services.cache_hits import give_cached
from gateway.services.call import Call
from gateway.services.limits import Admission
from gateway.services.runtime import Runtime
from gateway.services.shared_answers import Lead, Turn
from gateway.services.stream_reply import StreamReply, WholeStream
from gateway.services.work import PlainReply, Work
from gateway.stores.answers import MAX_ENTRY_BYTES, CachedAnswer, Slot
from gateway.wires import ParsedRequest
from gateway.wires.assembly import Assembly
from gateway.wires.identity import bypass_reason, request_digest
from gateway.wires.whole import is_whole

# Of the client's headers those that change the answer.
_TELLING_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta", "x-llmops-tier")


@dataclass(slots=True)
class Making:
    """How an answer is made; `work` is there once its intent is."""

    cache: str = "bypass"
    waited_seconds: float = 0.0
    work: Work | None = None


Make = Callable[[Making], Awaitable[PlainReply | StreamReply]]


async def answer_cached(
    runtime: Runtime, call: Call, parsed: ParsedRequest, admission: Admission, route: Route, make: Make
) -> PlainReply | WholeStream:
    """The kept answer, or one that is made, once for all who ask the same at the same time. Raises GatewayError."""
    assert route.cache is not None
    allowed = call.key.routes is None or route.name in call.key.routes
    orders = _cache_orders(call.headers.get("cache-control", ""))
    slot = answer_slot(call, parsed, route, route.cache) if allowed and "no-store" not in orders else None
    if slot is None:
        return await make(Making())
    if "no-cache" in orders:
        return await _Making(runtime, call, _unshared(runtime, slot, call)).lead(make, 0.0)
    arrived_at, began = datetime.now(UTC), runtime.clock.monotonic()
    try:
        found = await runtime.answers.find(slot, call.request_id, route.deadline_seconds)
        if isinstance(found, CachedAnswer):
            return await give_cached(runtime, call, parsed, admission, route, found, arrived_at)
    except GatewayError as error:
        runtime.refusals.add(runtime.snapshot, call, parsed, error)
        raise
    waited_seconds = runtime.clock.monotonic() - began
    if found is None:
        return await make(Making("miss", waited_seconds))
    return await _Making(runtime, call, found).lead(make, waited_seconds)


def _unshared(runtime: Runtime, slot: Slot, call: Call) -> Lead:
    """For a request that wants a new answer, which others may have afterwards."""
    return runtime.answers.unshared(slot, call.request_id)


def _cache_orders(header: str) -> set[str]:
    """The words of `Cache-Control`; `max-age=0` asks for a new answer too."""
    words = {word.strip().lower() for word in header.split(",")} if header else set()
    return words | {"no-cache"} if "max-age=0" in words else words


def answer_slot(call: Call, parsed: ParsedRequest, route: Route, cache: RouteCache) -> Slot | None:
    """Where an answer to this request is kept; None where none may be given or kept."""
    if bypass_reason(call.operation, parsed, call.body) is not None:
        return None
    terms: dict[str, Any] = {
        "route": route.id,
        "targets": cache.fingerprint,
        "for": _audience(call, cache),
        "headers": [call.headers.get(name) for name in _TELLING_HEADERS],
    }
    digest = request_digest(call.operation, parsed, call.body, terms)
    return None if digest is None else Slot(digest, route.id, cache.ttl_seconds)


def _audience(call: Call, cache: RouteCache) -> str:
    """Who may be given the answer; a key without a team shares with nobody."""
    if cache.shared:
        return "route"
    return f"key {call.key.id}" if call.key.team_id is None else f"team {call.key.team_id}"


class _Making:
    """One answer made for its client and for those who wait for the same one."""

    def __init__(self, runtime: Runtime, call: Call, lead: Lead) -> None:
        self._runtime, self._call, self._lead = runtime, call, lead
        self._making = Making("miss")

    async def lead(self, make: Make, waited_seconds: float) -> PlainReply | WholeStream:
        """In a task of its own: the client may leave, and the answer be wanted all the same."""
        self._making.waited_seconds = waited_seconds
        task: asyncio.Future[PlainReply | StreamReply] = asyncio.ensure_future(make(self._making))
        try:
            reply = await asyncio.shield(task)
        except GatewayError:
            self._lead.give_up(Turn.ALONE)
            raise
        except BaseException as error:
            await self._left(task, error)
            raise
        if isinstance(reply, StreamReply):
            return SharedStream(self._runtime, reply, self)
        self._share_plain(reply)
        return reply

    @property
    def wanted(self) -> bool:
        return self._lead.wanted and not self._runtime.breaking_off

    async def _left(self, task: asyncio.Future[PlainReply | StreamReply], error: BaseException) -> None:
        if self.wanted and not task.done():
            self._runtime.in_background(self._go_on(task))
            return
        task.cancel()
        (reply,) = await asyncio.gather(task, return_exceptions=True)
        self.give_up(Turn.AGAIN)
        if isinstance(reply, StreamReply):
            await reply.leave(error)

    async def _go_on(self, task: asyncio.Future[PlainReply | StreamReply]) -> None:
        try:
            reply = await task
            if isinstance(reply, StreamReply):
                await SharedStream(self._runtime, reply, self).drain()
            else:
                self._share_plain(reply)
        except GatewayError:
            """It is settled, and those who waited are told below."""
        finally:
            self.give_up(Turn.ALONE)

    def _share_plain(self, reply: PlainReply) -> None:
        if len(reply.body) > MAX_ENTRY_BYTES:
            self.give_up(Turn.ALONE)
        else:
            self._share(orjson.loads(reply.body), reply.body)

    def share_stream(self, assembly: Assembly) -> None:
        work = self._making.work
        served = work.completion.served if work is not None else None
        answer = assembly.answer(served.usage) if served is not None else None
        if answer is None:
            self.give_up(Turn.ALONE)
        else:
            self._share(answer, orjson.dumps(answer))

    def give_up(self, turn: Turn) -> None:
        self._lead.give_up(turn)

    def _share(self, document: dict[str, Any], body: bytes) -> None:
        answer = self._answer(body) if is_whole(self._call.operation, document) else None
        if answer is None or len(body) > MAX_ENTRY_BYTES:
            self._lead.give_up(Turn.ALONE)
        else:
            self._lead.share(answer)

    def _answer(self, body: bytes) -> CachedAnswer | None:
        """None for what a budget made smaller or two providers made together: that is not what the route answers."""
        work = self._making.work
        served = None if work is None else work.completion.served
        if work is None or served is None or work.receipt is None or work.adjusted:
            return None
        if work.completion.began is not served or served.usage is None:
            return None
        target, finish = served.target, work.finish_reason
        return CachedAnswer(
            body=body,
            request_id=self._call.request_id,
            provider=target.provider.name,
            model=target.model,
            finish_reason=finish.value if finish is not None else "",
            cost_usd=work.receipt.cost_usd,
            made_at=self._runtime.clock.now(),
            dropped_params=served.dropped_params,
        )


class SharedStream:
    """A stream read by its client and put together for the others; where its client leaves it is read on for them."""

    def __init__(self, runtime: Runtime, reply: StreamReply, making: _Making) -> None:
        self._runtime, self._reply, self._making = runtime, reply, making
        self._assembly = Assembly(reply.operation)
        self._reading: asyncio.Future[bytes | None] | None = None
        self._left = False
        self.whole = False
        self.clock, self.headers, self.keep_alive = reply.clock, reply.headers, reply.keep_alive

    async def read(self) -> bytes | None:
        """In a task of its own: who leaves in the middle must not tear the provider's stream."""
        if self._reading is None:
            self._reading = asyncio.ensure_future(self._reply.read())
        data = await asyncio.shield(self._reading)
        self._reading = None
        self.keep_alive = self._reply.keep_alive
        if data is None:
            self._making.give_up(Turn.ALONE)
            return None
        self._assembly.feed(data)
        if self._reply.whole and not self.whole:
            self.whole = True
            self._making.share_stream(self._assembly)
        return data

    async def drain(self) -> None:
        """Read on to the end for those who wait."""
        while await self.read() is not None:
            pass

    async def break_off(self, error: GatewayError) -> bytes:
        await self._stop_reading()
        self._making.give_up(Turn.ALONE)
        return await self._reply.break_off(error)

    async def leave(self, error: BaseException) -> None:
        if self._left:
            return
        self._left = True
        if self._making.wanted:
            self._runtime.in_background(self.drain())
            return
        await self._stop_reading()
        self._making.give_up(Turn.AGAIN)
        await self._reply.leave(error)

    async def _stop_reading(self) -> None:
        reading, self._reading = self._reading, None
        if reading is not None:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
