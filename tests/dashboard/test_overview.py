from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import time_machine
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from gateway.ledger.spool import Spool
from gateway.models import Organisation
from tests.ledger.books import intent
from tests.selectors.rows import NOON, add_attempt, add_completion, add_provider, open_breaker

# Session, user, organisation; the bar's names; running drills; providers; service levels, budgets and what alerts,
# models and drills say; figures (period, today, month, times, budgets, chart); recent.
SHARED_QUERIES, BAR_QUERIES, DRILL_QUERIES, PROVIDER_QUERIES, SERVICE_QUERIES = 3, 5, 1, 2, 17
FIGURE_QUERIES, RECENT_QUERIES = 10, 1


def text_of(client: Client, address: str) -> str:
    """What a reader sees: the page without tags, white space folded."""
    body = client.get(address).content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_a_newcomer_is_told_how_to_begin(browser_of_operator: Client) -> None:
    text = text_of(browser_of_operator, "/")

    assert "No providers yet" in text
    assert "curl http://testserver/v1/chat/completions" in text
    assert "Bearer YOUR-KEY" in text


def test_what_waits_in_the_ledgers_spool_asks_for_attention(
    browser_of_operator: Client, settings: Any, tmp_path: Path
) -> None:
    settings.LLMOPS_SPOOL_FOLDER = tmp_path
    Spool(tmp_path).append(intent())

    assert "1 record waits in the ledger's local spool" in text_of(browser_of_operator, "/dashboard/providers/")


def test_a_provider_that_never_failed_is_working(browser_of_operator: Client) -> None:
    add_provider("openai")

    text = text_of(browser_of_operator, "/dashboard/providers/")

    assert "openai" in text
    assert "Working" in text
    assert "No failures seen." in text


def test_an_open_breaker_shows_its_failures_its_next_test_and_the_last_error(browser_of_operator: Client) -> None:
    add_provider("openai")
    status = open_breaker("openai")

    body = browser_of_operator.get("/dashboard/providers/").content.decode()

    assert status.next_probe_at is not None
    assert f'data-countdown datetime="{status.next_probe_at.isoformat()}"' in body
    assert ">5</dd>" in body
    assert ">83.4 %</dd>" in body
    assert "The server is overloaded." in body


def test_a_breaker_held_by_hand_says_so_and_why(browser_of_operator: Client) -> None:
    add_provider("openai", forced_breaker="open", forced_breaker_reason="maintenance")

    assert "Held open by hand : maintenance" in text_of(browser_of_operator, "/dashboard/providers/")


def test_what_providers_say_is_shown_as_text_never_as_markup(browser_of_operator: Client) -> None:
    add_provider("openai")
    open_breaker("openai", last_error="<script>alert(1)</script>")

    body = browser_of_operator.get("/dashboard/providers/").content.decode()

    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in body


def test_spend_of_today_and_of_the_month_come_from_the_rows(browser_of_operator: Client) -> None:
    now = timezone.now()
    completion = add_completion("r1", at=now - timedelta(microseconds=1), cost_usd=Decimal("0.0123456"))
    add_attempt(completion, 1, cost_usd=Decimal("0.0123456"))

    body = browser_of_operator.get("/dashboard/figures/").content.decode()

    assert body.count('title="exactly $0.0123456"') == 3  # and of the page's own period
    assert '"0.0123456"' in body  # the chart's own data


@pytest.mark.parametrize(("zone", "spent"), [("UTC", "$7.77"), ("Pacific/Auckland", "$0.00")])
def test_a_day_begins_at_the_organisations_midnight(operator: User, client: Client, zone: str, spent: str) -> None:
    """In Auckland the day began at 11:00 UTC."""
    Organisation.objects.create(time_zone=zone)
    add_completion("r1", at=NOON - timedelta(minutes=90), cost_usd=Decimal("7.77"))

    with time_machine.travel(NOON, tick=False):
        client.force_login(operator)
        tiles = client.get("/dashboard/figures/").context["tiles"]

    assert {tile.key: tile.value for tile in tiles}["spend-today"] == spent


def test_the_last_requests_link_to_their_explanation(browser_of_operator: Client) -> None:
    add_completion("req_1", fell_back=True, provider="anthropic", model="claude-3-5-sonnet-20241022")

    body = browser_of_operator.get("/dashboard/recent/").content.decode()

    assert 'href="/completions/req_1/"' in body
    assert "fallback" in body
    assert "claude-3-5-sonnet-20241022" in body


@pytest.mark.parametrize(
    ("address", "queries"),
    [
        (
            "/",
            SHARED_QUERIES
            + BAR_QUERIES
            + DRILL_QUERIES
            + PROVIDER_QUERIES
            + SERVICE_QUERIES
            + FIGURE_QUERIES
            + RECENT_QUERIES,
        ),
        ("/dashboard/drills/", SHARED_QUERIES + DRILL_QUERIES),
        ("/dashboard/providers/", SHARED_QUERIES + PROVIDER_QUERIES),
        ("/dashboard/service/", SHARED_QUERIES + SERVICE_QUERIES),
        ("/dashboard/figures/", SHARED_QUERIES + FIGURE_QUERIES),
        ("/dashboard/recent/", SHARED_QUERIES + RECENT_QUERIES),
    ],
)
def test_pages_take_the_same_few_queries_however_many_rows(
    browser_of_operator: Client, django_assert_num_queries: DjangoAssertNumQueries, address: str, queries: int
) -> None:
    for index in range(20):
        add_provider(f"p{index}")
        open_breaker(f"p{index}")
        add_attempt(add_completion(f"r{index}", at=timezone.now(), provider=f"p{index}", cost_usd=Decimal(1)), 1)

    with django_assert_num_queries(queries):
        browser_of_operator.get(address)


def test_a_providers_card_says_over_what_time_its_failure_rate_is(browser_of_operator: Client) -> None:
    """Four failures in a row of an hour ago beside 0 % are no contradiction."""
    add_provider("openai")
    open_breaker("openai")
    assert "<dt>Failure rate, last minute</dt>" in browser_of_operator.get("/dashboard/providers/").content.decode()
