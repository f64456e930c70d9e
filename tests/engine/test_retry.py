"""Back-off, the decision after a failure, and the retry budget, as pure functions."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.engine.configuration import RetryBudget, RetryPolicy
from gateway.engine.errors import UpstreamError
from gateway.engine.retry import NextTarget, RetryAfter, RetryMeter, Stop, after_failure, backoff_seconds
from gateway.engine.words import FailureKind
from tests.engine.scripted import failure, rate_limited, refused, unavailable

POLICY = RetryPolicy()


def decide(error: UpstreamError, **facts: Any) -> RetryAfter | NextTarget | Stop:
    usual: dict[str, Any] = {
        "policy": POLICY,
        "retries_done": 0,
        "seconds_left": 90.0,
        "has_next_target": True,
        "may_retry": lambda: True,
        "random": lambda: 0.5,
    }
    return after_failure(error, **{**usual, **facts})


@pytest.mark.parametrize(
    ("retries_done", "low", "middle", "high"),
    [
        (0, 0.4, 0.5, 0.6),
        (1, 0.8, 1.0, 1.2),
        (2, 1.6, 2.0, 2.4),
        (3, 3.2, 4.0, 4.8),
        (4, 6.4, 8.0, 9.6),
        (5, 6.4, 8.0, 9.6),
        (40, 6.4, 8.0, 9.6),
    ],
)
def test_the_wait_doubles_up_to_its_maximum_with_a_fifth_of_jitter(
    retries_done: int, low: float, middle: float, high: float
) -> None:
    waits = [backoff_seconds(POLICY, retries_done, lambda: draw) for draw in (0.0, 0.5, 1.0)]  # noqa: B023
    assert waits == pytest.approx([low, middle, high])


@given(retries_done=st.integers(0, 100), draw=st.floats(0, 1, exclude_max=True), first=st.floats(0, 100))
def test_no_wait_is_ever_longer_than_the_maximum_and_its_jitter(retries_done: int, draw: float, first: float) -> None:
    policy = RetryPolicy(backoff_seconds=first, backoff_max_seconds=8)
    assert 0 <= backoff_seconds(policy, retries_done, lambda: draw) <= 8 * 1.2


@pytest.mark.parametrize(
    ("error", "facts", "step"),
    [
        (unavailable(), {}, RetryAfter(0.5, "retry 1 of 3 after server error")),
        (unavailable(), {"retries_done": 2}, RetryAfter(2.0, "retry 3 of 3 after server error")),
        (unavailable(), {"retries_done": 3}, NextTarget("server error after 3 retries: server_error")),
        (unavailable(), {"retries_done": 3, "has_next_target": False}, NextTarget),
        (unavailable(), {"seconds_left": 0.6}, RetryAfter),
        (unavailable(), {"seconds_left": 0.5}, NextTarget("server error: waiting would take too long")),
        (unavailable(), {"may_retry": lambda: False}, NextTarget),
        (rate_limited(0), {}, RetryAfter(0.5, "retry 1 of 3 after rate limited")),
        (rate_limited(5), {}, RetryAfter(5, "retry 1 of 3 after rate limited")),
        (rate_limited(5.01), {}, NextTarget),
        (rate_limited(5.01), {"has_next_target": False}, RetryAfter(5.01, "retry 1 of 3 after rate limited")),
        (rate_limited(90), {"has_next_target": False}, NextTarget),
        (failure(status=503, retry_after_seconds=3), {}, RetryAfter),
        (failure(FailureKind.TIMEOUT, retryable=False), {}, NextTarget("timeout: timeout")),
        (refused(FailureKind.REJECTED_US, 401), {}, NextTarget),
        (refused(FailureKind.CONTEXT_TOO_LONG, 400), {}, NextTarget),
        (refused(FailureKind.INVALID_REQUEST, 400), {}, Stop()),
        (refused(FailureKind.CONTENT_POLICY, 400), {}, Stop()),
        (refused(FailureKind.CONTENT_POLICY, 400), {"has_next_target": False}, Stop()),
    ],
)
def test_what_follows_a_failure(error: UpstreamError, facts: dict[str, Any], step: Any) -> None:
    decided = decide(error, **facts)
    assert type(decided) is step if isinstance(step, type) else decided == step


def test_a_reason_is_short_enough_for_a_row_whatever_the_provider_says() -> None:
    step = decide(failure(status=500, message="x" * 5000), retries_done=3)
    assert isinstance(step, NextTarget)
    assert len(step.reason) == 300


def test_the_retry_budget_is_spent_only_on_retries_that_are_made() -> None:
    asked = []
    decide(unavailable(), seconds_left=0.1, may_retry=lambda: asked.append(1))
    decide(refused(FailureKind.INVALID_REQUEST, 400), may_retry=lambda: asked.append(1))
    decide(unavailable(), retries_done=3, may_retry=lambda: asked.append(1))
    assert asked == []


# The budget ----------------------------------------------------------------------------------------------------------


def spent(meter: RetryMeter, budget: RetryBudget, now: float, tries: int = 1000) -> int:
    return sum(meter.spend(budget, now) for _ in range(tries))


@pytest.mark.parametrize(
    ("requests", "budget", "retries"),
    [
        (0, RetryBudget(20, 10), 100),
        (400, RetryBudget(20, 10), 100),
        (1000, RetryBudget(20, 10), 200),
        (0, RetryBudget(20, 0), 0),
        (4, RetryBudget(20, 0), 0),
        (5, RetryBudget(20, 0), 1),
        (9, RetryBudget(20, 0), 1),
        (10, RetryBudget(0, 0), 0),
        (10, RetryBudget(100, 0), 10),
    ],
)
def test_retries_are_a_share_of_requests_or_the_floor_if_that_is_more(
    requests: int, budget: RetryBudget, retries: int
) -> None:
    meter = RetryMeter()
    for _ in range(requests):
        meter.count_request(0.0)
    assert spent(meter, budget, 0.0) == retries


def test_the_budget_looks_back_ten_seconds() -> None:
    meter = RetryMeter()
    budget = RetryBudget(percent=0, floor_per_second=1)
    assert spent(meter, budget, 0.0) == 10
    assert spent(meter, budget, 9.9) == 0
    assert spent(meter, budget, 10.0) == 10


def test_old_requests_earn_no_retries() -> None:
    meter = RetryMeter()
    for _ in range(100):
        meter.count_request(0.0)
    assert spent(meter, RetryBudget(20, 0), 11.0) == 0


def test_the_meter_stays_small_over_time() -> None:
    meter = RetryMeter()
    for second in range(1000):
        meter.count_request(float(second))
        meter.spend(RetryBudget(), float(second))
    assert max(len(meter._requests), len(meter._retries)) <= 11
