from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from gateway.selectors.spend import spend_timeline
from tests.selectors.rows import NOON, add_attempt, add_completion

pytestmark = pytest.mark.django_db

NOW = NOON + timedelta(minutes=30)
CENT = Decimal("0.01")


def test_each_provider_gets_what_its_own_attempts_cost() -> None:
    rescued = add_completion("rescued", provider="anthropic", cost_usd=3 * CENT)
    add_attempt(rescued, 1, provider="openai", outcome="failed", cost_usd=CENT, billing="estimated")
    add_attempt(rescued, 2, provider="anthropic", cost_usd=2 * CENT)

    timeline = spend_timeline(now=NOW, hours=2)

    assert [(one.provider, one.hourly_usd) for one in timeline.series] == [
        ("anthropic", (Decimal(0), 2 * CENT)),
        ("openai", (Decimal(0), CENT)),
    ]


def test_the_hours_follow_one_another_and_end_with_the_current_one() -> None:
    assert spend_timeline(now=NOW, hours=3).hours == (NOON - timedelta(hours=2), NOON - timedelta(hours=1), NOON)


def test_spend_falls_into_the_hour_in_which_its_completion_began() -> None:
    late = add_completion("late", at=NOON - timedelta(microseconds=1), cost_usd=CENT)
    add_attempt(late, 1, started_at=NOON + timedelta(seconds=1), cost_usd=CENT)

    assert spend_timeline(now=NOW, hours=2).series[0].hourly_usd == (CENT, Decimal(0))


def test_spend_that_no_attempt_accounts_for_is_shown_as_its_own_series() -> None:
    add_completion("orphan", provider="", status="unknown", billing="unknown", cost_usd=5 * CENT)
    settled = add_completion("settled", cost_usd=CENT)
    add_attempt(settled, 1, cost_usd=CENT)

    timeline = spend_timeline(now=NOW, hours=1)

    assert [(one.provider, one.total_usd) for one in timeline.series] == [("openai", CENT), ("", 5 * CENT)]
    assert timeline.total_usd == 6 * CENT


def test_what_lies_before_the_first_hour_is_left_out() -> None:
    old = add_completion("old", at=NOON - timedelta(hours=1, microseconds=1), cost_usd=CENT)
    add_attempt(old, 1, cost_usd=CENT)

    assert spend_timeline(now=NOW, hours=2).series == ()


def test_a_timeline_takes_two_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(2):
        spend_timeline(now=NOW, hours=24)
