"""Obtaining one completion: the one loop every request goes through, whatever surface or provider."""

from __future__ import annotations

import logging
import random as random_module
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace

from gateway.engine.attempt import Attempt, FallbackStep, skipped
from gateway.engine.breaker import BreakerStore, Permit, Refusal
from gateway.engine.clock import SYSTEM_CLOCK, Clock
from gateway.engine.configuration import Provider, Target
from gateway.engine.deadline import Deadline
from gateway.engine.errors import GatewayError, UpstreamAnswer, UpstreamError
from gateway.engine.escalation import NOT_GOOD_ENOUGH, PassedOver
from gateway.engine.exchange import Answer, Ask, Caller, Continuation, Seam
from gateway.engine.flight import Flight, Tower
from gateway.engine.gate import Gate
from gateway.engine.live_stream import Leg, LiveStream
from gateway.engine.retry import PASSED_ON, NextTarget, RetryAfter, RetryMeter, Stop, after_failure
from gateway.engine.routing import Plan, fits_window
from gateway.engine.second_round import second_round, tries
from gateway.engine.verdict import verdict
from gateway.engine.words import AttemptOutcome, FailureKind, StreamRecovery

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class Engine:
    """What every completion of this process shares. `caller_of` gives a provider's caller; randomness is for jitter."""

    caller_of: Callable[[Provider], Caller]
    breakers: BreakerStore
    clock: Clock = SYSTEM_CLOCK
    random: Callable[[], float] = random_module.random
    gates: dict[str, Gate] = field(default_factory=dict)
    meters: dict[str, RetryMeter] = field(default_factory=dict)

    def tower(self, provider: Provider) -> Tower:
        return Tower(self.caller_of, self.breakers, self.gate(provider.sender), self.clock)

    def gate(self, provider: Provider) -> Gate:
        gate = self.gates.get(provider.name)
        return gate if gate is not None else self.gates.setdefault(provider.name, Gate(self.clock))

    def meter(self, provider: Provider) -> RetryMeter:
        meter = self.meters.get(provider.name)
        return meter if meter is not None else self.meters.setdefault(provider.name, RetryMeter())


class Completion:
    """One client call on its way to an answer.

    `obtain` walks the plan's targets in order and gives each its tries, and once more those that may do better
    (`second_round`); a stream that breaks later walks on from where `obtain` stopped. Whatever happens is left in
    `attempts` and `fallbacks`, also when it raises or is cancelled.
    `before_paid_again` is awaited with every attempt that follows one the provider may have billed, before it is begun;
    a GatewayError from it ends the completion.

    What the plan's cheap target refused or didn't finish is asked of the next one, and given out all the same when no
    other target answers (`engine/escalation.py`).
    """

    def __init__(
        self,
        engine: Engine,
        ask: Ask,
        plan: Plan,
        *,
        deadline_seconds: float,
        recovery: StreamRecovery = StreamRecovery.ERROR,
        before_paid_again: Callable[[Attempt], Awaitable[None]] | None = None,
    ) -> None:
        self.ask = ask
        self.plan = plan
        self.attempts: list[Attempt] = []
        self.fallbacks: list[FallbackStep] = []
        self.deadline = Deadline(engine.clock, deadline_seconds)
        self.began: Attempt | None = None  # the attempt that brought what the client got first
        self._engine = engine
        self._clock = engine.clock
        self._deadline_seconds = deadline_seconds
        self._recovery = recovery
        self._remaining: list[tuple[int, Target]] = []
        self._went_round = False
        self._patience = self.deadline  # bounds the wait until the answer begins, or goes on
        self._seam: Seam | None = None
        self._stream_began: float | None = None
        self._refused_prefill: Target | None = None
        self._before_paid_again = before_paid_again
        self._passed_over: PassedOver | None = None

    @property
    def served(self) -> Attempt | None:
        """The last attempt that was sent: the one that answered, if any did."""
        if self._passed_over is not None and self._passed_over.given_out:
            return self._passed_over.attempt
        return next((attempt for attempt in reversed(self.attempts) if attempt.sent), None)

    async def obtain(self) -> Answer | LiveStream:
        """The whole answer, or a stream whose first content has arrived.

        Raises the GatewayError that the last failure means; InvalidRequest at once when no target could do better.
        """
        self._remaining = list(enumerate(self.plan.targets))
        reply = await self._walk_or_passed_over()
        self.began = self.served
        return LiveStream(reply, self._go_on) if isinstance(reply, Leg) else reply

    async def _walk_or_passed_over(self) -> Answer | Leg:
        try:
            return await self._walk(self.plan.first_reason, None)
        except GatewayError:
            if self._passed_over is None:
                raise
            return self._passed_over.give_out()

    async def _walk(self, reason: str, previous: Target | None) -> Answer | Leg:
        """Ask the remaining targets, one after the other."""
        while self._remaining or self._go_round_again():
            index, target = self._remaining.pop(0)
            if previous is not None and previous is not target:
                self._patience.check()  # a step that nobody can take is none
                self._fall_back(previous, target, reason)
            reply = await self._try_target(index, target, reason)
            if not isinstance(reply, NextTarget | Stop):
                return reply
            if isinstance(reply, Stop):
                break
            reason, previous = reply.reason, target
            self._remaining = [(i, candidate) for i, candidate in self._remaining if self._may_fit(candidate)]
        raise verdict(self.attempts)

    async def _go_on(self, broken: Leg, error: UpstreamError) -> Leg:
        """The rest of an answer that broke off, from the next target that gives it. Raises GatewayError."""
        seam = broken.seam
        if seam is None or not self._may_go_on(broken, error):
            raise verdict([broken.attempt]) from error
        self._seam, self._stream_began = seam, broken.began
        self._patience = Deadline(self._clock, self._deadline_seconds)
        reason = f"stream broke after {len(seam.text)} characters; continued ({error})"
        try:
            leg = await self._walk(reason[:300], broken.attempt.target)
        except UpstreamAnswer:
            # What a provider says of our request for the rest is not about what the client asked.
            raise verdict([broken.attempt]) from error
        assert isinstance(leg, Leg)
        return leg

    def _may_go_on(self, broken: Leg, error: UpstreamError) -> bool:
        wanted = self._recovery is StreamRecovery.CONTINUE and error.kind not in PASSED_ON
        return wanted and broken.seconds_left > 0 and (bool(self._remaining) or self._go_round_again())

    def _go_round_again(self) -> bool:
        """Once, when no target is left: those that failed in passing and have tries left are remaining anew."""
        if self._went_round:
            return False
        self._went_round = True
        second = [(i, target) for i, target in enumerate(self.plan.targets) if self._may_fit(target)]
        self._remaining = second_round(second, self.attempts, self._may_retry, elapsed_ms=self._patience.elapsed_ms)
        return bool(self._remaining)

    def _may_retry(self, provider: Provider) -> bool:
        return self._engine.meter(provider.lane).spend(provider.retry_budget, self._clock.monotonic())

    async def _try_target(self, index: int, target: Target, reason: str) -> Answer | Leg | NextTarget | Stop:
        """All tries at one target: a reply, or what follows."""
        retries_done = tries(self.attempts, index)
        while True:
            self._patience.check()
            attempt = await self._begin_attempt(index, target, retries_done, reason)
            try:
                return await self._judged(await self._attempt(attempt), attempt)
            except UpstreamError as error:
                if error.refuses_prefill and self._prefills(target):
                    self._refused_prefill, reason = target, "asked again without prefill"
                    continue
                step = self._after(error, attempt)
                error.__traceback__ = None  # the attempt keeps the error; its frames would keep attempt and request
            if not isinstance(step, RetryAfter):
                return step
            await self._clock.sleep(step.wait_seconds)
            retries_done, reason = retries_done + 1, step.reason

    async def _judged(self, reply: Answer | Leg, attempt: Attempt) -> Answer | Leg | NextTarget:
        """The reply, or the step to the next target where the cheap one's isn't good enough."""
        if not self._stands_in(attempt) or reply.finish_reason not in NOT_GOOD_ENOUGH:
            return reply
        if isinstance(reply, Leg):
            await reply.hold_back()  # its end is known, so little of it is still to come
        self._passed_over = PassedOver.of(reply, attempt)
        return NextTarget(self._passed_over.reason)

    def _stands_in(self, attempt: Attempt) -> bool:
        """Whether a cheap model was asked in place of a strong one that can still be asked."""
        return self._seam is None and attempt.target.name == self.plan.cheap and bool(self._remaining)

    async def _attempt(self, attempt: Attempt) -> Answer | Leg:
        """One try. Raises UpstreamError when it gave no answer."""
        provider = attempt.target.provider
        tower = self._tower(attempt)
        permit = await self._admit(attempt)
        attempt.probe = permit.probe
        if attempt.retry == 0:  # retries earn no further retries
            self._engine.meter(provider.lane).count_request(self._clock.monotonic())
        ask = self._ask_of(attempt.target)
        flight = Flight(tower, ask, attempt, permit, self._patience)
        if not ask.stream:
            return await flight.answer()
        stream, first = await flight.stream()
        began = self._stream_began if self._stream_began is not None else self._clock.monotonic()
        leg = Leg(flight, stream, first, began)
        if self._recovery is StreamRecovery.BUFFER:
            await leg.hold_back()
        return leg

    def _tower(self, attempt: Attempt) -> Tower:
        """What the call needs, before the breaker is asked. Raises UpstreamError for an unusable provider."""
        provider = attempt.target.provider
        try:
            return self._engine.tower(provider)
        except Exception as error:
            logger.exception("provider %s can't be called as it is configured", provider.name)
            attempt.outcome = AttemptOutcome.FAILED
            message = f"{provider.name} can't be called as it is configured ({type(error).__name__})"
            attempt.error = UpstreamError(FailureKind.CONNECTION, message, provider=provider.name)
            raise attempt.error from error

    def _ask_of(self, target: Target) -> Ask:
        """What the client asked; once a stream has broken, for the rest of it."""
        if self._seam is None:
            return self.ask
        return replace(self.ask, continuation=Continuation(self._seam, self._prefills(target)))

    def _prefills(self, target: Target) -> bool:
        """Whether a continuation is asked with prefill, which a target may refuse whatever is known of it."""
        return self._seam is not None and target.traits.takes_prefill and target is not self._refused_prefill

    async def _admit(self, attempt: Attempt) -> Permit:
        admission = await self._engine.breakers.admit(
            attempt.target.provider.lane, self._longest_seconds(attempt.target)
        )
        if isinstance(admission, Permit):
            return admission
        attempt.outcome = AttemptOutcome.SKIPPED
        attempt.error = _breaker_open(admission, self._clock.now())
        raise attempt.error

    def _longest_seconds(self, target: Target) -> float:
        """How long an attempt may be under way before the breaker hears of it, its wait for a place included."""
        timeouts = target.timeouts
        limit_seconds = timeouts.first_token_seconds if self.ask.stream else timeouts.attempt_seconds
        return target.provider.queue_timeout_seconds + limit_seconds

    def _after(self, error: UpstreamError, attempt: Attempt) -> RetryAfter | NextTarget | Stop:
        provider = attempt.target.provider
        step = after_failure(
            error,
            policy=attempt.target.retry,
            retries_done=attempt.retry,
            seconds_left=self._patience.seconds_left,
            has_next_target=bool(self._remaining),
            may_retry=lambda: self._may_retry(provider),
            random=self._engine.random,
        )
        if self._seam is not None and error.kind is FailureKind.INVALID_REQUEST:
            return NextTarget(f"{error.kind.words}: {error.message}"[:300])  # it refused our request, not the client's
        if isinstance(step, Stop) and self._stands_in(attempt):
            return NextTarget(f"the cheap model turned it down: {error.kind.words}: {error.message}"[:300])
        if isinstance(step, RetryAfter) and not self._engine.breakers.is_closed(provider.lane):
            return NextTarget(f"{error.kind.words}, and the breaker of {provider.name} has opened")
        return step

    async def _begin_attempt(self, index: int, target: Target, retry: int, reason: str) -> Attempt:
        attempt = Attempt(len(self.attempts) + 1, target, index, retry, reason[:300], self._clock.now())
        continuation = self._ask_of(target).continuation
        attempt.bytes_added = continuation.bytes_added if continuation is not None else 0
        if self._before_paid_again is not None and any(before.may_be_billed for before in self.attempts):
            try:
                await self._before_paid_again(attempt)
            except GatewayError:
                if self.attempts[-1].target_index != index:
                    self.fallbacks.pop()  # a step that was not taken is none
                raise
            attempt.started_at = self._clock.now()
        self.attempts.append(attempt)
        return attempt

    def _fall_back(self, previous: Target, target: Target, reason: str) -> None:
        step = FallbackStep(len(self.fallbacks) + 1, previous, target, reason, self.deadline.elapsed_ms)
        self.fallbacks.append(step)

    def _may_fit(self, target: Target) -> bool:
        """After "context too long" only a target that may hold more is worth asking."""
        last = self.attempts[-1]
        too_long = last.error is not None and last.error.kind is FailureKind.CONTEXT_TOO_LONG
        return not too_long or fits_window(target, last.target)


def _breaker_open(refusal: Refusal, now: float) -> UpstreamError:
    if refusal.next_probe_at is None:
        return skipped(FailureKind.BREAKER_OPEN, f"operations hold the breaker of {refusal.provider} open")
    wait_seconds = max(0.0, refusal.next_probe_at - now)
    message = f"the breaker of {refusal.provider} is open, next probe in {wait_seconds:.0f} s"
    return skipped(FailureKind.BREAKER_OPEN, message, retry_after_seconds=wait_seconds)
