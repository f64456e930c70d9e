"""One attempt under way, from its permit to its outcome."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

from gateway.engine.attempt import Attempt, skipped
from gateway.engine.breaker import BreakerStore, Outcome, Permit
from gateway.engine.clock import Clock
from gateway.engine.configuration import Provider, Target
from gateway.engine.deadline import Deadline
from gateway.engine.errors import DeadlineExceeded, GatewayError, UpstreamError
from gateway.engine.exchange import Answer, AnswerStream, Ask, Caller, Passage
from gateway.engine.gate import Gate, GateFull
from gateway.engine.words import AttemptOutcome, FailureKind

logger = logging.getLogger(__name__)

# Failures that are found before anything is sent; they say nothing about the provider.
_NEVER_SENT = frozenset({FailureKind.OVERLOADED, FailureKind.UNTRANSLATABLE})
# Of the route's deadline: who had so much of it and gave no answer is held responsible for it.
DEADLINE_SHARE = 0.9
# What a stream may bring before its first content; there are a few hundred bytes of it.
PREAMBLE_LIMIT_BYTES = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Tower:
    """What a flight needs of the process: who calls its provider, the breakers, the provider's gate, the time.

    The caller is asked for when it is used: one that nobody uses may be closed.
    """

    caller_of: Callable[[Provider], Caller]
    breakers: BreakerStore
    gate: Gate
    clock: Clock


def _ask_for(attempt: Attempt, ask: Ask) -> Ask:
    """The ask with a passage of the attempt's own; the first attempt takes the one that the ask came with."""
    if attempt.number == 1 and ask.trace is None:
        return ask
    return replace(ask, passage=Passage(), forwarded_headers=_traced_headers(ask, attempt))


def _traced_headers(ask: Ask, attempt: Attempt) -> Mapping[str, str]:
    """The client's, with a `traceparent` of the attempt's own where the completion is traced."""
    if ask.trace is None:
        return ask.forwarded_headers
    attempt.span_id = ask.trace.new_span_id()
    return {**ask.forwarded_headers, "traceparent": ask.trace.header(attempt.span_id)}


class Flight:
    """Holds its permit and its place until the attempt has ended, and then reports exactly once.

    A plain call has ended when `answer` returns or raises; a stream stays in flight until `succeed` or `fail`.
    """

    def __init__(self, tower: Tower, ask: Ask, attempt: Attempt, permit: Permit, deadline: Deadline) -> None:
        self.attempt = attempt
        self.clock = tower.clock
        self._tower = tower
        self._ask = _ask_for(attempt, ask)
        self._passage = self._ask.passage
        self._permit = permit
        self._deadline = deadline
        self._began = tower.clock.monotonic()
        self._holds_place = False
        self._reported = False

    @property
    def target(self) -> Target:
        return self.attempt.target

    async def answer(self) -> Answer:
        """A whole answer. Raises UpstreamError, or DeadlineExceeded when the route's time is up."""
        try:
            await self._take_place()
            limit_seconds = self.target.timeouts.attempt_seconds
            async with self._deadline.bound(limit_seconds, lambda: self._no("answer", limit_seconds)):
                answer = await self._tower.caller_of(self.target.provider).answer(self._ask, self.target)
        except BaseException as error:
            failure = await self._failed(error)
            if failure is error:
                raise  # an error that is its own cause would never be freed, nor the request its traceback holds
            raise failure from error
        self.attempt.usage, self.attempt.upstream_id = answer.usage, answer.upstream_id
        self.attempt.dropped_params = answer.dropped_params
        self.attempt.rate_limits = answer.rate_limits
        await self.succeed()
        return answer

    async def stream(self) -> tuple[AnswerStream, list[bytes]]:
        """A stream and what has come of it, up to its first content (or its end, if it has none).

        A streamed probe has succeeded here. Raises as `answer` does, with the stream closed.
        """
        try:
            await self._take_place()
            limit_seconds = self.target.timeouts.first_token_seconds
            async with self._deadline.bound(limit_seconds, lambda: self._no("first content", limit_seconds)):
                return await self._open_stream()
        except BaseException as error:
            failure = await self._failed(error)
            if failure is error:
                raise  # an error that is its own cause would never be freed, nor the request its traceback holds
            raise failure from error

    async def _failed(self, error: BaseException) -> BaseException:
        """What to raise: the error, or for one that nobody foresaw a failure that another target may make up for."""
        await self.fail(error)
        if isinstance(error, UpstreamError | GatewayError) or not isinstance(error, Exception):
            return error
        logger.exception("the call to %s failed in a way nobody foresaw", self.target.name)
        assert self.attempt.error is not None
        return self.attempt.error

    async def _open_stream(self) -> tuple[AnswerStream, list[bytes]]:
        stream = await self._tower.caller_of(self.target.provider).stream(self._ask, self.target)
        try:
            first = await read_to_content(stream)
            self.attempt.first_content_ms = self._elapsed_ms()
            if self.attempt.probe:
                await self._report(Outcome.SUCCESS, "")
        except BaseException:
            self.note(stream)
            await stream.aclose()
            raise
        self.note(stream)
        return stream, first

    def note(self, stream: AnswerStream) -> None:
        """Keep what is known of the stream, also of one that is cut."""
        self.attempt.usage = stream.usage
        self.attempt.upstream_id = stream.upstream_id
        self.attempt.bytes_received = stream.bytes_received
        self.attempt.dropped_params = stream.dropped_params
        self.attempt.rate_limits = stream.rate_limits

    async def succeed(self) -> None:
        self.attempt.outcome = AttemptOutcome.SUCCEEDED
        await self._land(Outcome.SUCCESS, "")

    async def fail(self, error: BaseException) -> None:
        """The attempt ended without an answer: the provider's fault (an UpstreamError), the request's (any other
        GatewayError; the deadline's is the provider's if it had its chance), ours (any other Exception), or the client
        has left (anything else)."""
        if isinstance(error, UpstreamError):
            await self._fail_upstream(error)
        elif isinstance(error, DeadlineExceeded):
            await self._fail_at_deadline(error)
        elif isinstance(error, GatewayError):
            await self._skip(UpstreamError(FailureKind.INVALID_REQUEST, error.message, param=error.param))
        elif isinstance(error, Exception):
            await self._fail_unjudged(FailureKind.UNREADABLE, f"the gateway failed on it: {type(error).__name__}")
        else:
            await self.leave()

    async def leave(self) -> None:
        """The client has left."""
        self.attempt.outcome = AttemptOutcome.CANCELLED
        await self._land(Outcome.NONE, "")

    async def _fail_unjudged(self, kind: FailureKind, message: str) -> None:
        """A failure that says nothing about the provider, who may bill the attempt all the same."""
        provider = self.target.provider.name
        self.attempt.error = UpstreamError(kind, message, provider=provider, may_be_billed=self.attempt.sent)
        self.attempt.outcome = AttemptOutcome.FAILED
        await self._land(Outcome.NONE, "")

    async def _fail_at_deadline(self, error: DeadlineExceeded) -> None:
        if self._had_its_chance():
            await self._fail_upstream(timed_out(self.target, error.message))
        else:
            await self._fail_unjudged(FailureKind.TIMEOUT, error.message)

    def _had_its_chance(self) -> bool:
        """Whether the route's deadline left the provider enough time to be judged by: as long as it has for a first
        token, or the deadline nearly whole if that is less; and in any case longer than connecting may take."""
        if self.attempt.first_content_ms is not None:
            return False  # it answered; what ran out is the client's patience with its own reading
        timeouts = self.target.timeouts
        enough_seconds = min(timeouts.first_token_seconds, DEADLINE_SHARE * self._deadline.limit_seconds)
        had_seconds = self.clock.monotonic() - self._began
        return self._holds_place and had_seconds >= max(enough_seconds, timeouts.connect_seconds)

    async def _skip(self, error: UpstreamError) -> None:
        """Nothing was sent."""
        self.attempt.error = error
        self.attempt.outcome, self.attempt.sent = AttemptOutcome.SKIPPED, False
        await self._land(Outcome.NONE, "")

    async def _fail_upstream(self, error: UpstreamError) -> None:
        provider = self.target.provider
        error.provider, error.wire = error.provider or provider.name, error.wire or provider.kind
        if error.kind in _NEVER_SENT:
            await self._skip(error)
            return
        self.attempt.error = error
        self.attempt.rate_limits = error.rate_limits
        self.attempt.usage = error.usage if error.usage is not None else self.attempt.usage
        self.attempt.outcome = AttemptOutcome.FAILED
        await self._land(Outcome.FAILURE if error.counts_against_breaker else Outcome.SUCCESS, str(error))

    async def _take_place(self) -> None:
        try:
            await self._tower.gate.enter(self.target.provider, self._deadline.seconds_left)
        except GateFull as full:
            raise skipped(FailureKind.OVERLOADED, str(full), retry_after_seconds=1) from None
        self._holds_place = True
        self.attempt.sent = True
        self._began = self.clock.monotonic()

    async def _land(self, outcome: Outcome, error: str) -> None:
        self.attempt.latency_ms = self._elapsed_ms()
        self.attempt.on_wire = self._passage.on_wire
        if self._holds_place:
            self._holds_place = False
            self._tower.gate.leave()
        await self._report(outcome, error)

    async def _report(self, outcome: Outcome, error: str) -> None:
        """Tell the breaker, once."""
        if self._reported:
            return
        self._reported = True
        await self._tower.breakers.report(
            self.target.provider.lane, self._permit, outcome, error=error, request_id=self._ask.request_id
        )

    def _no(self, what: str, limit_seconds: float) -> UpstreamError:
        return timed_out(self.target, f"no {what} within {limit_seconds:g} s")

    def _elapsed_ms(self) -> int:
        return int((self.clock.monotonic() - self._began) * 1000)


async def read_to_content(stream: AnswerStream) -> list[bytes]:
    """Read until there is content, or until the answer has ended without any. Raises UpstreamError when what comes
    before it has no end."""
    pieces: list[bytes] = []
    size = 0
    while (batch := await stream.read()) is not None:
        if batch.data:
            pieces.append(batch.data)
            size += len(batch.data)
        if batch.has_content:
            break
        if size > PREAMBLE_LIMIT_BYTES:
            raise _endless_preamble()
    return pieces


def _endless_preamble() -> UpstreamError:
    return UpstreamError(
        FailureKind.UNREADABLE,
        f"the stream brought more than {PREAMBLE_LIMIT_BYTES} bytes and no content",
        retryable=True,
        counts_against_breaker=True,
        may_be_billed=True,
    )


def timed_out(target: Target, message: str) -> UpstreamError:
    return UpstreamError(
        FailureKind.TIMEOUT,
        message,
        provider=target.provider.name,
        counts_against_breaker=True,
        may_be_billed=True,
    )
