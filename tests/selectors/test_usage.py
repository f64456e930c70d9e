from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.db import connection
from pytest_django import DjangoAssertNumQueries

from gateway.selectors.usage_read import usage_over
from gateway.selectors.usage_rows import pending_within
from gateway.selectors.windows import TimeWindow
from tests.selectors.rows import NOON, add_attempt, add_completion

pytestmark = pytest.mark.django_db

HOUR = TimeWindow(NOON, NOON + timedelta(hours=1))


def test_an_empty_window_has_no_shares_and_no_means() -> None:
    usage = usage_over(HOUR)

    assert (usage.completions, usage.cost_usd, usage.error_share) == (0, Decimal(0), None)
    assert (usage.fallback_success, usage.mean_response_ms, usage.mean_first_content_ms) == (None, None, None)


def test_sums_are_exact_to_the_last_digit() -> None:
    for index in range(10):
        add_completion(f"r{index}", cost_usd=Decimal("0.100000000001"))

    usage = usage_over(HOUR)
    assert (usage.cost_usd, usage.completions) == (Decimal("1.00000000001"), 10)


def test_a_window_holds_its_start_but_not_its_end() -> None:
    add_completion("before", at=NOON - timedelta(microseconds=1))
    add_completion("first", at=HOUR.start)
    add_completion("last", at=HOUR.end - timedelta(microseconds=1))
    add_completion("after", at=HOUR.end)

    assert usage_over(HOUR).completions == 2


def test_only_our_own_and_the_providers_failures_count_as_errors() -> None:
    add_completion("answered")
    add_completion("failed", status="failed", http_status=503)
    add_completion("timed-out", status="failed", http_status=504)
    add_completion("bad-request", status="failed", http_status=400)
    add_completion("over-budget", status="failed", http_status=429, error_code="budget_exceeded")
    add_completion("left", status="cancelled", http_status=499)
    add_completion("running", status="pending", http_status=None, latency_ms=None)

    usage = usage_over(HOUR)

    assert (usage.answered, usage.failed, usage.refused, usage.cancelled) == (1, 2, 2, 1)
    assert pending_within(HOUR) == 1
    assert usage.error_share == pytest.approx(2 / 3)


@pytest.mark.parametrize(
    ("http_status", "error_code", "attempts"),
    [
        (429, "rate_limit_exceeded", 1),
        (429, "rate_limited", 1),
        (429, "insufficient_quota", 1),
        (429, "overloaded", 0),
        (429, "overloaded", 2),
        (404, "model_not_found", 1),
        (404, "not_found_error", 1),
        (409, "conflict", 4),
        (500, "internal_error", 1),
        (502, "upstream_rejected", 1),
        (503, "breaker_open", 0),
        (503, "ledger_unavailable", 0),
        (503, "shutting_down", 1),
        (504, "deadline_exceeded", 2),
        (503, "invalid_request", 1),
        (None, "", 0),
    ],
)
def test_what_is_not_answered_counts_as_failed(http_status: int | None, error_code: str, attempts: int) -> None:
    add_completion("row", status="failed", http_status=http_status, error_code=error_code, attempt_count=attempts)

    assert (usage_over(HOUR).failed, usage_over(HOUR).refused) == (1, 0)


@pytest.mark.parametrize(
    ("http_status", "error_code", "attempts"),
    [
        (400, "invalid_request", 0),
        (400, "some_code_of_a_provider", 1),
        (400, "context_length_exceeded", 1),
        (403, "content_policy", 1),
        (401, "invalid_api_key", 0),
        (403, "not_allowed", 0),
        (404, "model_not_found", 0),
        (413, "request_too_large", 0),
        (422, "idempotency_mismatch", 0),
        (429, "rate_limited", 0),
        (429, "budget_exceeded", 0),
        (429, "budget_exceeded", 2),
    ],
)
def test_the_clients_own_errors_and_limits_are_refusals(http_status: int, error_code: str, attempts: int) -> None:
    add_completion("row", status="failed", http_status=http_status, error_code=error_code, attempt_count=attempts)

    assert (usage_over(HOUR).failed, usage_over(HOUR).refused) == (0, 1)


def test_a_completion_lost_in_a_crash_has_failed() -> None:
    add_completion("orphan", status="unknown", http_status=0)

    assert usage_over(HOUR).error_share == 1


def test_fallback_success_leaves_out_what_is_still_under_way() -> None:
    add_completion("rescued", fell_back=True)
    add_completion("lost", fell_back=True, status="failed", http_status=503)
    add_completion("running", fell_back=True, status="pending", http_status=None)
    add_completion("direct")

    usage = usage_over(HOUR)

    assert (usage.fell_back, usage.fallback_success) == (2, 0.5)


def test_a_streams_response_time_is_the_time_to_its_first_content() -> None:
    add_completion("plain", latency_ms=2000)
    add_completion("stream", stream=True, latency_ms=9000, first_content_ms=400)
    add_completion("failed", status="failed", http_status=503, latency_ms=30_000)

    usage = usage_over(HOUR)

    assert (usage.mean_response_ms, usage.mean_first_content_ms) == (1200, 400)


def test_estimated_and_unknown_amounts_are_told_apart() -> None:
    add_attempt(add_completion("reported", cost_usd=Decimal("0.5")), 1, cost_usd=Decimal("0.5"))
    estimated = add_completion("estimated", cost_usd=Decimal("0.02"), billing="estimated")
    add_attempt(estimated, 1, cost_usd=Decimal("0.02"), billing="estimated")
    add_completion("orphan", cost_usd=Decimal("0.003"), billing="unknown", status="unknown")

    usage = usage_over(HOUR)

    assert (usage.cost_usd, usage.uncertain_usd) == (Decimal("0.523"), Decimal("0.023"))


def test_a_sum_takes_a_handful_of_queries(django_assert_max_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_max_num_queries(5):
        usage_over(HOUR)


@pytest.mark.sqlite  # its plan, in its words
def test_what_is_under_way_is_found_among_the_unsettled_alone(
    django_assert_num_queries: DjangoAssertNumQueries,
) -> None:
    with django_assert_num_queries(1) as captured:
        pending_within(HOUR)
    with connection.cursor() as cursor:
        cursor.execute(f"EXPLAIN QUERY PLAN {captured[0]['sql']}")
        assert "completion_unsettled" in str(cursor.fetchall())


def test_what_is_under_way_belongs_to_the_window_in_which_it_began() -> None:
    for minutes in (-1, 0, 59, 60):
        add_completion(f"r{minutes}", at=NOON + timedelta(minutes=minutes), status="pending", http_status=None)

    assert pending_within(HOUR) == 2


def test_a_request_refused_before_it_began_is_no_completion_and_no_failure() -> None:
    add_completion("answered")
    add_completion("refused", status="refused", http_status=429, error_code="budget_exceeded", billing="none")

    usage = usage_over(TimeWindow(NOON - timedelta(hours=1), NOON + timedelta(hours=1)))

    assert (usage.completions, usage.answered, usage.refused, usage.failed) == (1, 1, 1, 0)
