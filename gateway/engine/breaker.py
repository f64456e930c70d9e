"""The circuit breaker's rules, without I/O: one `Breaker` per provider, told the time by its caller.

closed ──threshold consecutive failures──▶ open ──cool-down over, one probe let through──▶ half-open
  ▲                                          ▲                                                │
  └──────────── the probe succeeds ──────────┼──────────────── the probe fails ◀──────────────┘

Every admitted attempt gets a `Permit` and gives it back with one outcome. A permit is fenced by a generation: reports
of attempts that began before the breaker last opened or closed count for the failure rate only.

"In a row" goes by when attempts began: silence is noticed late, so a time-out may be reported after attempts that began
later have succeeded. Such a failure is stale; it says nothing about the provider as it is now, and isn't counted. Only
where most attempts fail a success now and then excuses nothing: there failures count in the order of their reports.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gateway.engine.configuration import BreakerPolicy, Provider
from gateway.engine.words import BreakerState

RATE_WINDOW_SECONDS = 60.0
RATE_BUCKET_SECONDS = 5.0
# Fewer outcomes than these within the window don't tell whether a provider mostly fails.
LEAST_OUTCOMES = 20
# A probe is given up this long after its attempt must have ended, so that a dead prober can't wedge the breaker.
PROBE_GRACE_SECONDS = 5.0
OUT_OF_REACH = 1_000_000_000


class Outcome(StrEnum):
    SUCCESS = "success"
    FAILURE = "failure"
    NONE = "none"  # the client left, or nothing was sent: says nothing about the provider


@dataclass(frozen=True, slots=True)
class Permit:
    """`admitted_at` is wall time, as the breaker's store knows it."""

    provider: str
    generation: int
    admitted_at: float
    probe: bool = False


@dataclass(frozen=True, slots=True)
class Refusal:
    """Not now. `next_probe_at` is wall time, None while operations force the breaker open."""

    provider: str
    next_probe_at: float | None


@dataclass(frozen=True, slots=True)
class BreakerReading:
    """What people see of a breaker; times are wall time."""

    state: BreakerState
    consecutive_failures: int
    failure_rate: float
    opened_at: float | None
    next_probe_at: float | None
    last_error: str


@dataclass(frozen=True, slots=True)
class BreakerChange:
    """Something worth a row: a change of state (`before` differs from the reading's), or news of failures."""

    provider: str
    at: float
    before: BreakerState
    reading: BreakerReading
    cause: str
    request_id: str


class BreakerStore(Protocol):
    """Where breakers live: in this process, or shared by a fleet. Each call is one atomic step."""

    async def admit(self, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        """`longest_seconds` is what the attempt may take until its report; a probe that hasn't reported soon after is
        dead, and another may follow."""
        ...

    def is_closed(self, provider: Provider) -> bool:
        """Whether a retry is worth waiting for, as far as this process knows."""
        ...

    async def report(
        self, provider: Provider, permit: Permit, outcome: Outcome, *, error: str = "", request_id: str = ""
    ) -> None: ...

    def reading(self, provider: Provider) -> BreakerReading: ...


class FailureRate:
    """Successes and failures of the last minute, in buckets."""

    def __init__(self) -> None:
        self._buckets: deque[list[float]] = deque()  # [bucket start, successes, failures]

    def add(self, now: float, *, failed: bool) -> None:
        start = now - now % RATE_BUCKET_SECONDS
        if not self._buckets or self._buckets[-1][0] != start:
            self._expire(now)
            self._buckets.append([start, 0, 0])
        self._buckets[-1][2 if failed else 1] += 1

    def counts(self, now: float) -> tuple[float, float]:
        """Successes and failures within the window."""
        self._expire(now)
        return sum(bucket[1] for bucket in self._buckets), sum(bucket[2] for bucket in self._buckets)

    def value(self, now: float) -> float:
        successes, failures = self.counts(now)
        return failures / (successes + failures) if failures else 0.0

    def mostly_fails(self, now: float) -> bool:
        """Whether more than half of the outcomes are failures, and there are enough of them to say so."""
        successes, failures = self.counts(now)
        return failures > successes and successes + failures >= LEAST_OUTCOMES

    def _expire(self, now: float) -> None:
        while self._buckets and self._buckets[0][0] <= now - RATE_WINDOW_SECONDS:
            self._buckets.popleft()


@dataclass(slots=True)
class Breaker:
    """One provider's breaker. Methods that change the state return the cause in words, else None."""

    state: BreakerState = BreakerState.CLOSED
    consecutive_failures: int = 0
    opened_at: float | None = None
    last_error: str = ""
    generation: int = 0
    probe_expires_at: float | None = None
    answered_from: float = 0.0  # when the latest of the attempts that have succeeded began
    rate: FailureRate = field(default_factory=FailureRate)

    def admit(self, provider: Provider, now: float, longest_seconds: float) -> Permit | Refusal:
        """A permit, or when to ask again. Raises nothing; changes the state only by letting a probe through."""
        if provider.forced_breaker == "open":
            return Refusal(provider.name, None)
        if provider.forced_breaker == "closed" or self.state is BreakerState.CLOSED:
            return Permit(provider.name, self.generation, now)
        next_probe_at = self.next_probe_at(provider.breaker)
        if next_probe_at is not None and now < next_probe_at:
            return Refusal(provider.name, next_probe_at)
        return self._probe(provider, now, longest_seconds)

    def next_probe_at(self, policy: BreakerPolicy) -> float | None:
        if self.state is BreakerState.OPEN and self.opened_at is not None:
            return self.opened_at + policy.cooldown_seconds
        return self.probe_expires_at if self.state is BreakerState.HALF_OPEN else None

    def report(self, provider: Provider, permit: Permit, outcome: Outcome, error: str, now: float) -> str | None:
        """Take an attempt's outcome; returns the cause if the state changed."""
        stale = outcome is Outcome.FAILURE and self.is_stale(permit, now)
        if outcome is not Outcome.NONE:
            self.rate.add(now, failed=outcome is Outcome.FAILURE)
        if outcome is Outcome.FAILURE:
            self.last_error = error[:500]
        if permit.generation != self.generation or not provider_is_judged(provider, permit, self.state) or stale:
            return None
        if outcome is Outcome.SUCCESS:
            self.answer(permit)
        if permit.probe:
            return self._report_probe(outcome, now)
        return self._report_closed(failure_threshold(provider), outcome, now)

    def is_stale(self, permit: Permit, now: float) -> bool:
        """Whether a failure says nothing: an attempt that began later has already succeeded, as most do.

        Nothing has begun after `now`: where the clock was set back, what it said before is forgotten.
        """
        self.answered_from = min(self.answered_from, now)
        return permit.admitted_at < self.answered_from and not self.rate.mostly_fails(now)

    def answer(self, permit: Permit) -> None:
        """An attempt has succeeded: failures of what began before it are stale."""
        self.answered_from = max(self.answered_from, permit.admitted_at)

    def reset(self) -> None:
        """Closed, nothing counted: what operations ask for when they know better."""
        self.state, self.consecutive_failures, self.opened_at = BreakerState.CLOSED, 0, None
        self.probe_expires_at, self.last_error = None, ""
        self.generation += 1

    def reading(self, provider: Provider, now: float) -> BreakerReading:
        forced = provider.forced_breaker
        state = BreakerState(forced) if forced else self.state
        next_probe_at = None if forced else self.next_probe_at(provider.breaker)
        rate = self.rate.value(now)
        return BreakerReading(state, self.consecutive_failures, rate, self.opened_at, next_probe_at, self.last_error)

    def _probe(self, provider: Provider, now: float, longest_seconds: float) -> Permit:
        self.state = BreakerState.HALF_OPEN
        self.generation += 1
        self.probe_expires_at = now + longest_seconds + PROBE_GRACE_SECONDS
        return Permit(provider.name, self.generation, now, probe=True)

    def _report_closed(self, threshold: int, outcome: Outcome, now: float) -> str | None:
        if outcome is Outcome.SUCCESS:
            self.consecutive_failures = 0
        elif outcome is Outcome.FAILURE:
            self.consecutive_failures += 1
            if self.consecutive_failures >= threshold:
                self._open(now)
                return f"{self.consecutive_failures} consecutive failures"
        return None

    def _report_probe(self, outcome: Outcome, now: float) -> str | None:
        if outcome is Outcome.NONE:
            self.probe_expires_at = now  # given back: the next request probes
            return None
        if outcome is Outcome.SUCCESS:
            self.reset()
            return "the probe succeeded"
        self.consecutive_failures += 1
        self._open(now)
        return "the probe failed"

    def _open(self, now: float) -> None:
        self.state, self.opened_at, self.probe_expires_at = BreakerState.OPEN, now, None
        self.generation += 1


def provider_is_judged(provider: Provider, permit: Permit, state: BreakerState) -> bool:
    """Whether an outcome counts: always, unless operations hold the breaker. Held closed, failures are still counted
    for people to see; held open, nothing is."""
    if provider.forced_breaker is None:
        return True
    return provider.forced_breaker == "closed" and not permit.probe and state is BreakerState.CLOSED


def failure_threshold(provider: Provider) -> int:
    """Failures in a row that open the breaker; out of reach while operations hold it closed."""
    return provider.breaker.failure_threshold if provider.forced_breaker is None else OUT_OF_REACH


ChangeListener = Callable[[BreakerChange], None]
