"""Period and filters: read from the address, kept by links, explained where they can't be used."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from django.test import RequestFactory
from django.utils import timezone

from gateway.dashboard.scope import Scope, scope_of
from gateway.dashboard.scope_bar import bar_context
from gateway.selectors.usage_cells import UsageFilter
from tests.selectors.rows import NOON

BERLIN = ZoneInfo("Europe/Berlin")


def scope(query: str) -> Scope:
    return scope_of(RequestFactory().get(f"/?{query}"), now=NOON, zone=BERLIN)


@pytest.mark.parametrize(
    ("query", "start"),
    [
        ("", NOON - timedelta(days=1)),
        ("period=1h", NOON - timedelta(hours=1)),
        ("period=7d", NOON - timedelta(days=7)),
        ("period=30d", NOON - timedelta(days=30)),
        ("period=today", datetime(2026, 11, 21, 23, tzinfo=UTC)),
        ("period=month", datetime(2026, 10, 31, 23, tzinfo=UTC)),
    ],
)
def test_a_period_ends_now_and_begins_where_its_name_says(query: str, start: datetime) -> None:
    assert (scope(query).window.start, scope(query).window.end) == (start, NOON)


def test_last_month_is_the_organisations_whole_month_before_this_one() -> None:
    """In October Berlin's clocks go back."""
    window = scope("period=last-month").window

    assert (window.start, window.end) == (datetime(2026, 9, 30, 22, tzinfo=UTC), datetime(2026, 10, 31, 23, tzinfo=UTC))


def test_the_date_fields_of_last_month_name_its_own_first_and_last_day(db: None) -> None:
    with timezone.override(BERLIN):
        bar = bar_context(scope("period=last-month"), page="spend")

    assert (bar["first_day"], bar["last_day"]) == ("2026-10-01", "2026-10-31")


def test_days_from_and_to_are_both_included_and_the_organisations() -> None:
    """In October Berlin's clocks go back: the month is an hour longer."""
    window = scope("period=custom&from=2026-10-01&to=2026-10-31").window

    assert window.start == datetime(2026, 9, 30, 22, tzinfo=UTC)
    assert window.end == datetime(2026, 10, 31, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("period=year", "There is no period “year”"),
        ("period=custom", "Choose the first day"),
        ("period=custom&from=2026-11-01&to=soon", "Choose the last day, written like"),
        ("period=custom&from=2026-11-02&to=2026-11-01", "lies before the first one"),
        ("period=custom&from=2027-01-01&to=2027-01-02", "is still to come"),
        ("period=custom&from=2010-01-01&to=2026-01-02", "at most ten years"),
        ("period=custom&from=0001-01-01&to=9999-12-31", "Choose a first day after"),
    ],
)
def test_a_period_that_cannot_be_used_is_explained_and_the_last_day_shown(query: str, said: str) -> None:
    told = scope(query)

    assert said in told.problem
    assert told.window.start == NOON - timedelta(days=1)


@pytest.mark.parametrize(
    "query",
    [
        "period=24h",
        "period=7d&team=%28none%29&api_key=agents&route=default&provider=openai&model=gpt-4-turbo",
        "period=custom&team=a%26b&from=2026-10-01&to=2026-10-31",
    ],
)
def test_an_address_made_from_a_scope_means_the_same(query: str) -> None:
    assert scope(query).query == query
    assert scope(scope(query).query) == scope(query)


def test_empty_filters_are_none_and_keys_without_a_team_are_an_empty_name() -> None:
    assert scope("team=&route=+").where == UsageFilter()
    assert scope("team=(none)").where == UsageFilter(team="")
