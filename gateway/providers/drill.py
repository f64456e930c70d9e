"""A provider's caller while a fire drill plays the provider's part: the engine can't tell the difference.

What never reaches the provider (503, 429, no answer) costs nothing. The other faults call it and spoil what it answers,
which is charged as it always is.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import Protocol

import orjson

from gateway.engine.configuration import Provider, Target
from gateway.engine.drill import DrillFault, Injection
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Answer, AnswerStream, Ask, Caller, Seam, StreamBatch
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason
from gateway.providers.caller import broken

# How late the first token of a drilled stream (or the whole of a plain answer) comes: later than the default time-out.
SLOW_FIRST_TOKEN_SECONDS = 20.0
# How many pieces of content a drilled stream brings before it is cut: few, so that something is left to be cut off.
PIECES_BEFORE_CUT = 1

_ERROR_TYPES: dict[DrillFault, tuple[int, str]] = {
    DrillFault.UNAVAILABLE: (503, "server_error"),
    DrillFault.RATE_LIMITED: (429, "rate_limit_error"),
}
Sleep = Callable[[float], Awaitable[None]]


class VendorCaller(Caller, Protocol):
    """A caller that knows its vendor's error table."""

    def classify(self, status: int, headers: Mapping[str, str], body: bytes) -> UpstreamError: ...


class DrilledCaller:
    """A `Caller` that decorates the provider's own."""

    def __init__(self, inner: VendorCaller, provider: Provider, drill: Injection, sleep: Sleep) -> None:
        self._inner = inner
        self._provider = provider
        self._drill = drill
        self._sleep = sleep

    async def answer(self, ask: Ask, target: Target) -> Answer:
        await self._refuse()
        answer = await self._inner.answer(ask, target)
        if self._drill.fault is not DrillFault.SLOW_FIRST_TOKEN:
            raise _spoiled(self._provider, self._drill, answer.usage)
        await self._sleep(SLOW_FIRST_TOKEN_SECONDS)
        return answer

    async def stream(self, ask: Ask, target: Target) -> AnswerStream:
        await self._refuse()
        stream = await self._inner.stream(ask, target)
        return DrilledStream(stream, self._provider, self._drill, self._sleep)

    async def aclose(self) -> None:
        await self._inner.aclose()

    async def _refuse(self) -> None:
        """What a provider does that isn't there; returns where it is asked first."""
        fault = self._drill.fault
        if fault is DrillFault.TIMEOUT:
            await asyncio.Event().wait()  # until the attempt's time-out, or its client, ends it
        if fault in _ERROR_TYPES:
            raise self._error(*_ERROR_TYPES[fault])

    def _error(self, status: int, kind: str) -> UpstreamError:
        """Read by the vendor's own error table, like any reply of this status."""
        told = {"message": f"HTTP {status}, injected by fire drill {self._drill.drill_id}", "type": kind}
        error = self._inner.classify(status, {}, orjson.dumps({"type": "error", "error": told}))
        error.provider, error.wire = self._provider.name, self._provider.kind
        return error


class DrilledStream:
    """An `AnswerStream` that comes late, is cut after its first pieces, or can't be read."""

    def __init__(self, inner: AnswerStream, provider: Provider, drill: Injection, sleep: Sleep) -> None:
        self._inner = inner
        self._provider = provider
        self._drill = drill
        self._sleep = sleep
        self._pieces = 0  # of content, given out
        self._seam: Seam | None = None  # after the last of them: what is held back has never been said

    @property
    def _spoils(self) -> bool:
        return self._drill.fault is not DrillFault.SLOW_FIRST_TOKEN

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage

    @property
    def finish_reason(self) -> FinishReason | None:
        return None if self._spoils else self._inner.finish_reason

    @property
    def upstream_id(self) -> str | None:
        return self._inner.upstream_id

    @property
    def seam(self) -> Seam | None:
        return self._seam if self._spoils else self._inner.seam

    @property
    def bytes_received(self) -> int:
        return self._inner.bytes_received

    @property
    def dropped_params(self) -> tuple[str, ...]:
        return self._inner.dropped_params

    @property
    def rate_limits(self) -> Mapping[str, str]:
        return self._inner.rate_limits

    @property
    def terminator(self) -> bytes:
        return self._inner.terminator

    async def read(self) -> StreamBatch | None:
        if not self._spoils:
            return await self._late()
        if self._pieces >= PIECES_BEFORE_CUT:
            raise _spoiled(self._provider, self._drill)
        batch = await self._inner.read()
        if batch is None or self._inner.finish_reason is not None or self._unreadable(batch):
            raise _spoiled(self._provider, self._drill)
        if batch.has_content:
            self._pieces += 1
        self._seam = self._inner.seam
        return batch

    async def _late(self) -> StreamBatch | None:
        batch = await self._inner.read()
        if self._pieces == 0 and (batch is None or batch.has_content):
            self._pieces = 1
            await self._sleep(SLOW_FIRST_TOKEN_SECONDS)
        return batch

    def _unreadable(self, batch: StreamBatch) -> bool:
        return self._drill.fault is DrillFault.MALFORMED and batch.has_content

    def end(self) -> StreamBatch:
        if self._spoils:
            raise _spoiled(self._provider, self._drill)
        return self._inner.end()

    async def aclose(self) -> None:
        await self._inner.aclose()


def _spoiled(provider: Provider, drill: Injection, usage: Usage | None = None) -> UpstreamError:
    """The failure of an answer that did come; `usage` is what the provider bills for it, where that is known."""
    cut = drill.fault is DrillFault.CUT_STREAM
    what = "the answer was cut" if cut else "the answer could not be read"
    kind = FailureKind.STREAM_BROKEN if cut else FailureKind.UNREADABLE
    error = broken(provider.name, kind, f"{what}, injected by fire drill {drill.drill_id}")
    error.usage = usage
    return error
