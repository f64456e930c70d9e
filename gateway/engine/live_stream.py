"""A stream whose first content has arrived: from here on the client is listening."""

from __future__ import annotations

from gateway.engine.attempt import Attempt
from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import AnswerStream, StreamBatch
from gateway.engine.flight import Flight, timed_out
from gateway.engine.verdict import verdict
from gateway.engine.words import FinishReason


class LiveStream:
    """Read it until None, settle, then send `terminator`; or `abandon` it when the client has left."""

    def __init__(self, flight: Flight, stream: AnswerStream, first: list[bytes]) -> None:
        self._flight = flight
        self._stream = stream
        self._first: bytes | None = b"".join(first)
        self._began = flight.clock.monotonic()

    @property
    def attempt(self) -> Attempt:
        return self._flight.attempt

    @property
    def terminator(self) -> bytes:
        """What closes the stream on the surface's wire; complete once `read` has returned None."""
        return self._stream.terminator

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._stream.finish_reason

    async def read(self) -> bytes | None:
        """The next events in the surface's wire, None when the answer is complete.

        Raises the GatewayError that the client is told in-band when the provider breaks the stream.
        """
        if self._first is not None:
            first, self._first = self._first, None
            return first
        try:
            return await self._next()
        except UpstreamError as error:
            await self.abandon(error)
            raise verdict([self.attempt]) from error

    async def _next(self) -> bytes | None:
        while True:
            batch = await self._read_in_time()
            if batch is None:
                await self._complete()
                return None
            if batch.data:
                return batch.data

    async def _complete(self) -> None:
        self._flight.note(self._stream)
        await self._stream.aclose()
        await self._flight.succeed()

    async def _read_in_time(self) -> StreamBatch | None:
        timeouts = self.attempt.target.timeouts
        left_seconds = self._began + timeouts.stream_max_seconds - self._flight.clock.monotonic()
        if left_seconds <= 0:  # a time-out alone would never come while data is always there already
            raise self._silent(left_seconds)
        try:
            async with self._flight.clock.timeout(min(timeouts.stall_seconds, left_seconds)):
                return await self._stream.read()
        except TimeoutError:
            raise self._silent(left_seconds) from None

    def _silent(self, left_seconds: float) -> UpstreamError:
        timeouts = self.attempt.target.timeouts
        if left_seconds < timeouts.stall_seconds:
            return timed_out(self.attempt.target, f"the stream took more than {timeouts.stream_max_seconds:g} s")
        return timed_out(self.attempt.target, f"the stream stood still for {timeouts.stall_seconds:g} s")

    async def abandon(self, error: BaseException) -> None:
        """End it before its time: the provider broke it (an UpstreamError) or the client left (anything else)."""
        self._flight.note(self._stream)
        try:
            await self._stream.aclose()
        finally:
            await (self._flight.fail(error) if isinstance(error, UpstreamError) else self._flight.leave())
