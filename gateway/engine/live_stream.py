"""A stream whose first content has arrived: from here on the client is listening."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from gateway.engine.attempt import Attempt
from gateway.engine.errors import AllTargetsFailed, DeadlineExceeded, UpstreamError
from gateway.engine.exchange import AnswerStream, Seam, StreamBatch
from gateway.engine.flight import Flight, timed_out
from gateway.engine.words import FailureKind, FinishReason

# The most that is held back of one answer before any of it is sent.
BUFFER_LIMIT_BYTES = 8 * 1024 * 1024
# A stream that took too long says nothing about the provider when the client held it up for more than this part of it.
CLIENT_SHARE = 0.1


class Leg:
    """One attempt's part of the answer. `began` is the (monotonic) time that its longest time counts from."""

    def __init__(self, flight: Flight, stream: AnswerStream, first: list[bytes], began: float) -> None:
        self.began = began
        self._flight = flight
        self._stream = stream
        self._first = b"".join(first)
        self._ended = False
        self._given_at: float | None = None  # when the last piece went out; the client's time until the next is asked
        self._client_seconds = 0.0
        self._silent_seconds = (
            0.0  # waited for the provider since its last event; comments and parts of events are none
        )

    @property
    def attempt(self) -> Attempt:
        return self._flight.attempt

    @property
    def terminator(self) -> bytes:
        return self._stream.terminator

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._stream.finish_reason

    @property
    def seam(self) -> Seam | None:
        return self._stream.seam

    @property
    def seconds_left(self) -> float:
        return self.began + self.attempt.target.timeouts.stream_max_seconds - self._flight.clock.monotonic()

    async def read(self) -> bytes | None:
        """The next events in the surface's wire, None when the answer is complete. Raises UpstreamError when the
        provider breaks it, DeadlineExceeded when the client took its longest time up; `abandon` it then."""
        now = self._flight.clock.monotonic
        if self._given_at is not None:
            self._client_seconds += now() - self._given_at
        try:
            return await self._next()
        finally:
            self._given_at = now()

    async def _next(self) -> bytes | None:
        if self._first:
            first, self._first = self._first, b""
            return first
        while not self._ended:
            try:
                batch = await self._read_in_time()
            except UpstreamError as error:
                batch = self._whole_after(error)
            if batch is None:
                await self._complete()
            elif batch.data:
                return batch.data
        return None

    def _whole_after(self, error: UpstreamError) -> StreamBatch:
        """The end of an answer that was complete before its stream failed. Raises the failure if it wasn't."""
        if self.finish_reason is None:
            raise error
        try:
            return self._stream.end()
        except UpstreamError:
            raise error from None

    async def hold_back(self) -> None:
        """Read all of it before any is given out. Raises UpstreamError when it breaks, AllTargetsFailed when it is
        larger than may be held back."""
        pieces: list[bytes] = []
        size = 0
        try:
            while (data := await self.read()) is not None:
                pieces.append(data)
                size += len(data)
                if size > BUFFER_LIMIT_BYTES:
                    raise _too_large()
        except BaseException as error:
            await self.abandon(error)
            if isinstance(error, UpstreamError) and size > BUFFER_LIMIT_BYTES:
                raise AllTargetsFailed(f"{error.message}. Use another stream_recovery for such answers.") from error
            raise
        self._first = b"".join(pieces)

    async def _complete(self) -> None:
        self._ended = True
        self._flight.note(self._stream)
        await self._stream.aclose()
        await self._flight.succeed()

    async def _read_in_time(self) -> StreamBatch | None:
        left_seconds = self.seconds_left
        if left_seconds <= 0:  # a time-out alone would never come while data is always there already
            raise self._overdue()
        stall_seconds = max(0.0, self.attempt.target.timeouts.stall_seconds - self._silent_seconds)
        began = self._flight.clock.monotonic()
        try:
            async with self._flight.clock.timeout(min(stall_seconds, left_seconds)):
                batch = await self._stream.read()
        except TimeoutError:
            raise self._silent(stall_seconds, left_seconds) from None
        waited_seconds = self._flight.clock.monotonic() - began
        self._silent_seconds = 0.0 if batch is None or batch.has_event else self._silent_seconds + waited_seconds
        return batch

    def _silent(self, stall_seconds: float, left_seconds: float) -> UpstreamError | DeadlineExceeded:
        timeouts = self.attempt.target.timeouts
        if left_seconds < stall_seconds:
            return self._overdue()
        return timed_out(self.attempt.target, f"the stream stood still for {timeouts.stall_seconds:g} s")

    def _overdue(self) -> UpstreamError | DeadlineExceeded:
        """Held against the provider unless the client has its share in it."""
        limit_seconds = self.attempt.target.timeouts.stream_max_seconds
        message = f"the stream took more than {limit_seconds:g} s"
        if self._client_seconds > limit_seconds * CLIENT_SHARE:
            return DeadlineExceeded(f"{message}; the client took {self._client_seconds:.0f} s of it to read")
        return timed_out(self.attempt.target, message)

    async def abandon(self, error: BaseException) -> None:
        """End it before its time, once: the provider broke it (an UpstreamError), its time is up (a DeadlineExceeded),
        or the client left (anything else)."""
        if self._ended:
            return
        self._ended = True
        self._flight.note(self._stream)
        try:
            await self._stream.aclose()
        finally:
            judged = isinstance(error, UpstreamError | DeadlineExceeded)
            await (self._flight.fail(error) if judged else self._flight.leave())


def _too_large() -> UpstreamError:
    limit_mib = BUFFER_LIMIT_BYTES // 1024 // 1024
    message = f"The answer is larger than {limit_mib} MiB, the most that the stream_recovery 'buffer' holds back"
    return UpstreamError(FailureKind.UNREADABLE, message, may_be_billed=True)


GoOn = Callable[[Leg, UpstreamError], Awaitable[Leg]]


class LiveStream:
    """One answer on its way to the client, of one leg or, where one broke and another went on, of several.

    Read it until None, settle, then send `terminator`; or `abandon` it when the client has left. `go_on` gives the leg
    that follows a broken one, or raises the GatewayError that the client is told.
    """

    def __init__(self, leg: Leg, go_on: GoOn) -> None:
        self._leg = leg
        self._go_on = go_on

    @property
    def attempt(self) -> Attempt:
        """The attempt that is being read."""
        return self._leg.attempt

    @property
    def terminator(self) -> bytes:
        """What closes the stream on the surface's wire; complete once `read` has returned None."""
        return self._leg.terminator

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._leg.finish_reason

    async def read(self) -> bytes | None:
        """The next events in the surface's wire, None when the answer is complete.

        Raises the GatewayError that the client is told in-band when the stream is broken for good.
        """
        while True:
            try:
                return await self._leg.read()
            except UpstreamError as error:
                await self._leg.abandon(error)
                self._leg = await self._go_on(self._leg, error)
            except DeadlineExceeded as error:
                await self._leg.abandon(error)
                raise

    async def abandon(self, error: BaseException) -> None:
        """The client has left (any error but an UpstreamError)."""
        await self._leg.abandon(error)
