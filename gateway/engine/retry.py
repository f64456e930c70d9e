"""What follows a failed attempt: the same target again, the next one, or the end. Pure decisions; DESIGN section 7."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from gateway.engine.configuration import RetryBudget, RetryPolicy
from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind

JITTER_LOW, JITTER_SPAN = 0.8, 0.4  # a wait is multiplied by 0.8 to 1.2
RETRY_BUDGET_WINDOW_SECONDS = 10.0

# These speak about the client's request, not about the provider: the answer is passed on.
PASSED_ON = frozenset({FailureKind.INVALID_REQUEST, FailureKind.CONTENT_POLICY})


@dataclass(frozen=True, slots=True)
class RetryAfter:
    """Ask the same target again after `wait_seconds`."""

    wait_seconds: float
    reason: str


@dataclass(frozen=True, slots=True)
class NextTarget:
    reason: str


@dataclass(frozen=True, slots=True)
class Stop:
    """No other target would do better: tell the client."""


def backoff_seconds(policy: RetryPolicy, retries_done: int, random: Callable[[], float]) -> float:
    """`backoff * 2ⁿ`, at most `backoff_max`, times 0.8 to 1.2; n counts from 0."""
    plain: float = min(policy.backoff_seconds * 2**retries_done, policy.backoff_max_seconds)
    return plain * (JITTER_LOW + JITTER_SPAN * random())


def after_failure(
    error: UpstreamError,
    *,
    policy: RetryPolicy,
    retries_done: int,
    seconds_left: float,
    has_next_target: bool,
    may_retry: Callable[[], bool],
    random: Callable[[], float],
) -> RetryAfter | NextTarget | Stop:
    """Decide what follows `error`.

    `seconds_left` is what the route's deadline leaves; `may_retry` spends one retry of the provider's budget and is
    asked last. A wait that doesn't fit the deadline is never begun.
    """
    if error.kind in PASSED_ON:
        return Stop()
    if not error.retryable or retries_done >= policy.retries:
        return NextTarget(_gave_up(error, retries_done))
    wait_seconds = _wait(error, policy, retries_done, has_next_target, random)
    if wait_seconds is None or wait_seconds >= seconds_left:
        return NextTarget(f"{error.kind.words}: waiting would take too long")
    if not may_retry():
        return NextTarget(f"{error.kind.words}: the provider's retry budget is spent")
    return RetryAfter(wait_seconds, f"retry {retries_done + 1} of {policy.retries} after {error.kind.words}")


def _wait(
    error: UpstreamError, policy: RetryPolicy, retries_done: int, has_next_target: bool, random: Callable[[], float]
) -> float | None:
    """Seconds to wait before the retry; None when the provider asks for a longer wait than another target costs."""
    asked_seconds = error.retry_after_seconds
    if not asked_seconds:  # "at once" from everyone, or a date that has passed, would hammer a provider in trouble
        return backoff_seconds(policy, retries_done, random)
    if asked_seconds > policy.retry_after_max_seconds and has_next_target:
        return None
    return asked_seconds


def _gave_up(error: UpstreamError, retries_done: int) -> str:
    after = f" after {retries_done} {'retry' if retries_done == 1 else 'retries'}" if retries_done else ""
    return f"{error.kind.words}{after}: {error.message}"[:300]


class RetryMeter:
    """One provider's retry budget in this process: retries ≤ max(percent of requests, floor) over ten seconds.

    A request is the first try of a completion at this provider; its retries are not counted as requests, else an
    outage would pay for more of them.
    """

    def __init__(self) -> None:
        self._requests: deque[tuple[float, int]] = deque()  # (second, count)
        self._retries: deque[tuple[float, int]] = deque()

    def count_request(self, now: float) -> None:
        _count(self._requests, now)

    def spend(self, budget: RetryBudget, now: float) -> bool:
        """True, and one retry is spent, if the budget has room."""
        requests = _sum(self._requests, now)
        allowed = max(requests * budget.percent / 100, budget.floor_per_second * RETRY_BUDGET_WINDOW_SECONDS)
        if _sum(self._retries, now) + 1 > allowed:
            return False
        _count(self._retries, now)
        return True


def _count(buckets: deque[tuple[float, int]], now: float) -> None:
    second = float(int(now))
    if buckets and buckets[-1][0] == second:
        buckets[-1] = (second, buckets[-1][1] + 1)
        return
    _expire(buckets, now)
    buckets.append((second, 1))


def _sum(buckets: deque[tuple[float, int]], now: float) -> int:
    _expire(buckets, now)
    return sum(count for _, count in buckets)


def _expire(buckets: deque[tuple[float, int]], now: float) -> None:
    while buckets and buckets[0][0] <= now - RETRY_BUDGET_WINDOW_SECONDS:
        buckets.popleft()
