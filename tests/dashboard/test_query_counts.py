"""What each page asks of the database: a fixed number of queries, however many rows there are."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.contrib import admin
from django.db import connection
from django.db.models import Model
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse
from django.utils import timezone

from gateway.models import BreakerTransition, ConfigurationChange, HealthProbe
from tests.selectors.rows import add_attempt, add_completion, add_conversation, add_fallback, add_provider

pytestmark = pytest.mark.django_db

FEW, MANY = 2, 8

# Of each page the most it may ask, which is about what it asks.
PAGES = {
    "/": 50,
    "/?period=30d&provider=openai&model=gpt-4-turbo&route=default": 50,
    "/dashboard/providers/": 6,
    "/dashboard/service/": 25,
    "/dashboard/figures/": 20,
    "/dashboard/recent/": 5,
    "/dashboard/drills/": 5,
    "/spend/?by=model": 22,
    "/spend/table.csv?by=team": 6,
    "/breakers/": 9,
    "/breakers/live/": 9,
    "/providers/openai/": 18,
    "/providers/openai/live/": 18,
    "/requests/": 12,
    "/requests/?provider=openai&outcome=answered": 13,
    "/requests/live/": 6,
    "/completions/row-0-0/": 12,
    "/conversations/": 9,
    "/conversations/c-0-0/": 12,
    "/models/": 8,
    "/api/breakers": 5,
    "/api/budgets": 6,
    "/api/alerts": 4,
    "/api/alert-messages": 4,
    "/api/changes": 5,
    "/api/keys": 4,
    "/api/drills": 4,
    "/api/status": 12,
    "/api/spend?group_by=model": 5,
    "/api/spend?group_by=conversation": 4,
    "/api/completions/row-0-0": 8,
    "/metrics": 7,
    "/api/completions.csv?from=2026-01-01T00:00:00Z": 4,
}
ADMIN_LIST = 12


@pytest.fixture
def configured(db: None) -> None:
    add_provider("openai")
    add_provider("anthropic", kind="anthropic")


def add_rows(batch: int, count: int) -> None:
    """Completions with a failed attempt before the one that answered, and all that operations leave behind."""
    now = timezone.now()
    for index in range(count):
        at = now - timedelta(minutes=2 + batch * MANY + index)
        named = {"conversation": f"c-{batch}-{index}", "team_id": index % 2, "stream": index % 2 == 0}
        row = add_completion(f"row-{batch}-{index}", at=at, attempt_count=2, cost_usd=Decimal("0.01"), **named)
        add_attempt(row, 1, outcome="failed", failure="server_error", provider="anthropic")
        add_attempt(row, 2, cost_usd=Decimal("0.01"))
        add_fallback(row)
        add_conversation(f"c-{batch}-{index}", cost_usd=Decimal("0.01"), last_seen_at=at, first_seen_at=at)
        moved = {"from_state": "closed", "to_state": "open", "cause": "5 in a row"}
        BreakerTransition.objects.create(provider="openai", at=at, **moved)
        HealthProbe.objects.create(provider="openai", at=at, actor="", asked="m", outcome="ok", words="answered")
        ConfigurationChange.objects.create(at=at, actor="olive", action="changed", section="teams", name=f"t {index}")


def before_and_after(client: Client, address: str) -> tuple[int, int]:
    """The queries for few rows and for many."""
    add_rows(0, FEW)
    queries_of(client, address)  # the first may make a row of which there is only one
    few = queries_of(client, address)
    add_rows(1, MANY)
    return few, queries_of(client, address)


def queries_of(client: Client, address: str) -> int:
    with CaptureQueriesContext(connection) as captured:
        response = client.get(address)
        if response.streaming:
            list(response.streaming_content)
    assert response.status_code in (200, 302)  # the only row of its kind is its own list
    return len(captured)


@pytest.mark.parametrize("address", PAGES)
def test_a_page_asks_no_more_for_many_rows_than_for_few(
    browser_of_operator: Client, configured: None, address: str
) -> None:
    few, many = before_and_after(browser_of_operator, address)
    assert many == few
    assert many <= PAGES[address]


@pytest.mark.parametrize("model", admin.site._registry, ids=lambda model: model._meta.model_name)
def test_an_admin_list_asks_no_more_for_many_rows_than_for_few(
    browser_of_operator: Client, configured: None, model: type[Model]
) -> None:
    address = reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")
    few, many = before_and_after(browser_of_operator, address)
    assert many == few
    assert many <= ADMIN_LIST
