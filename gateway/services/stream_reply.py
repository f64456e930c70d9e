"""A stream on its way to the client: it settles itself before its terminator."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from gateway.engine.clock import Clock
from gateway.engine.errors import GatewayError
from gateway.engine.exchange import Answer
from gateway.engine.live_stream import LiveStream
from gateway.engine.words import Operation, Wire
from gateway.ledger.money import usd_text
from gateway.services.settling import Ending, Receipt
from gateway.services.work import Work
from gateway.wires import cost_comment, render_responses_error, render_stream_error

COMMENT = b": keep-alive\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


class StreamingReply(Protocol):
    """What is sent to a client event by event."""

    clock: Clock
    keep_alive: bytes
    headers: dict[str, str]

    async def read(self) -> bytes | None:
        """The next bytes; None once it has ended."""
        ...

    async def break_off(self, error: GatewayError) -> bytes:
        """End it for a reason of ours; what its client is told in the stream, nothing if that has ended already."""
        ...

    async def leave(self, error: BaseException) -> None:
        """The client has left; again and after the end it does nothing."""
        ...


class WholeStream(StreamingReply, Protocol):
    """A stream that knows when it has ended as it should, terminator included."""

    whole: bool


class StreamReply:
    """A stream on its way to the client. Read it until None; `leave` when the client has left before.

    `keep_alive` is what may be sent while `read` waits.
    """

    def __init__(self, work: Work, obtaining: asyncio.Future[Answer | LiveStream]) -> None:
        self.clock = work.runtime.clock
        self.keep_alive = COMMENT
        self.operation = work.call.operation
        self._work = work
        self._obtaining = obtaining
        self._ended = False
        self.whole = False  # ended as it should, terminator included
        self._sent = b""  # the last bytes the client got
        self.headers = work.headers()
        if work.budget_remaining_usd is not None:
            self.headers["x-llmops-budget-remaining-usd"] = usd_text(work.budget_remaining_usd)

    async def read(self) -> bytes | None:
        """The next bytes for the client; the last ones carry the cost and the terminator, or an in-band error."""
        if self._ended:
            return None
        try:
            live = await self._obtaining
            assert isinstance(live, LiveStream)
            data = await live.read()
        except GatewayError as error:
            return await self._break_off(error)
        if data is None:
            return await self._finish(live)
        if self._work.call.operation.surface is Wire.ANTHROPIC:
            self.keep_alive = PING  # the first piece brought message_start
        self._sent = data
        return data

    async def _finish(self, live: LiveStream) -> bytes:
        self._ended = True
        ending = Ending(200, finish_reason=live.finish_reason, model=live.attempt.target.model)
        receipt = await self._work.settle(ending)
        self.whole = True
        return cost_comment(self._costs(live, receipt)) + live.terminator

    async def _break_off(self, error: GatewayError) -> bytes:
        self._ended = True
        await self._work.settle(Ending(error.status, error=error))
        call = self._work.call
        if call.operation is Operation.RESPONSES:
            return render_responses_error(error, self._sent)
        return render_stream_error(call.operation.surface, error, call.request_id)

    def _costs(self, live: LiveStream, receipt: Receipt) -> dict[str, Any]:
        target = live.attempt.target
        total_usd = receipt.conversation_cost_usd
        return {
            "cost_usd": usd_text(receipt.cost_usd),
            "conversation_cost_usd": None if total_usd is None else usd_text(total_usd),
            "provider": target.provider.name,
            "model": target.model,
            "attempts": sum(attempt.sent for attempt in self._work.completion.attempts),
        }

    async def break_off(self, error: GatewayError) -> bytes:
        """End it for a reason of ours; what its client is told in the stream, nothing if that has ended already."""
        if self._ended:
            return b""
        self._ended = True
        await give_up(self._obtaining)
        return await self._break_off(error)

    async def leave(self, error: BaseException) -> None:
        """The client has left: close the provider's stream and settle in the background."""
        if self._ended:
            return
        self._ended = True
        try:
            await give_up(self._obtaining)
        finally:
            await self._work.settle_failure(error)


async def give_up(obtaining: asyncio.Future[Answer | LiveStream]) -> None:
    """The client has left before its stream began."""
    obtaining.cancel()
    (reply,) = await asyncio.gather(obtaining, return_exceptions=True)
    if isinstance(reply, LiveStream):
        await reply.abandon(asyncio.CancelledError())
