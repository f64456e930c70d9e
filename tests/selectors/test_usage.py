from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from gateway.selectors.usage import Spend, spend_total, usage_summary
from gateway.selectors.windows import TimeWindow
from tests.selectors.rows import NOON, add_completion

pytestmark = pytest.mark.django_db

HOUR = TimeWindow(NOON, NOON + timedelta(hours=1))


def test_an_empty_window_has_no_shares_and_no_means() -> None:
    summary = usage_summary(window=HOUR)

    assert (summary.completions, summary.cost_usd, summary.error_share) == (0, Decimal(0), None)
    assert (summary.fallback_success, summary.mean_response_ms, summary.mean_first_content_ms) == (None, None, None)


def test_sums_are_exact_to_the_last_digit() -> None:
    for index in range(10):
        add_completion(f"r{index}", cost_usd=Decimal("0.100000000001"))

    assert usage_summary(window=HOUR).cost_usd == Decimal("1.00000000001")
    assert spend_total(window=HOUR) == Spend(Decimal("1.00000000001"), 10)


def test_a_window_holds_its_start_but_not_its_end() -> None:
    add_completion("before", at=NOON - timedelta(microseconds=1))
    add_completion("first", at=HOUR.start)
    add_completion("last", at=HOUR.end - timedelta(microseconds=1))
    add_completion("after", at=HOUR.end)

    assert usage_summary(window=HOUR).completions == 2


def test_only_our_own_and_the_providers_failures_count_as_errors() -> None:
    add_completion("answered")
    add_completion("failed", status="failed", http_status=503)
    add_completion("timed-out", status="failed", http_status=504)
    add_completion("bad-request", status="failed", http_status=400)
    add_completion("over-budget", status="failed", http_status=429)
    add_completion("left", status="cancelled", http_status=499)
    add_completion("running", status="pending", http_status=None, latency_ms=None)

    summary = usage_summary(window=HOUR)

    assert (summary.answered, summary.failed, summary.refused, summary.cancelled, summary.pending) == (1, 2, 2, 1, 1)
    assert summary.error_share == pytest.approx(2 / 3)


def test_fallback_success_leaves_out_what_is_still_under_way() -> None:
    add_completion("rescued", fell_back=True)
    add_completion("lost", fell_back=True, status="failed", http_status=503)
    add_completion("running", fell_back=True, status="pending", http_status=None)
    add_completion("direct")

    summary = usage_summary(window=HOUR)

    assert (summary.fell_back, summary.fallback_success) == (2, 0.5)


def test_a_streams_response_time_is_the_time_to_its_first_content() -> None:
    add_completion("plain", latency_ms=2000)
    add_completion("stream", stream=True, latency_ms=9000, first_content_ms=400)
    add_completion("failed", status="failed", http_status=503, latency_ms=30_000)

    summary = usage_summary(window=HOUR)

    assert (summary.mean_response_ms, summary.mean_first_content_ms) == (1200, 400)


def test_estimated_and_unknown_amounts_are_told_apart() -> None:
    add_completion("reported", cost_usd=Decimal("0.5"))
    add_completion("estimated", cost_usd=Decimal("0.02"), billing="estimated")
    add_completion("orphan", cost_usd=Decimal("0.003"), billing="unknown", status="unknown")

    summary = usage_summary(window=HOUR)

    assert (summary.cost_usd, summary.uncertain_usd) == (Decimal("0.523"), Decimal("0.023"))


def test_a_summary_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(1):
        usage_summary(window=HOUR)
    with django_assert_num_queries(1):
        spend_total(window=HOUR)
