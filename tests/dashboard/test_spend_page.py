from __future__ import annotations

import csv
import html
import io
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from gateway.dashboard.charts import COLORS, series_colors
from gateway.models import Alert, AlertDelivery, Budget, BudgetWindow, Route, Target
from tests.selectors.rows import add_attempt, add_completion, add_conversation, add_provider, open_breaker

CENT = Decimal("0.01")
# Session, user, organisation; the bar's names; chart and tops; budgets; conversations, their teams, the objective.
SPEND_QUERIES = 19


def text_of(client: Client, address: str) -> str:
    body = client.get(address).content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.fixture
def spent(browser_of_operator: Client) -> Client:
    """Two teams' spend of this minute, a part of it estimated."""
    now = timezone.now() - timedelta(milliseconds=1)
    for name, team, cost in (("a", "research", 3), ("b", "=support", 5)):
        add_attempt(add_completion(name, at=now, team_name=team, cost_usd=cost * CENT), 1, cost_usd=cost * CENT)
    cut = add_completion("cut", at=now, team_name="research", cost_usd=2 * CENT)
    add_attempt(cut, 1, cost_usd=2 * CENT, billing="estimated")
    return browser_of_operator


def test_the_tables_file_holds_the_exact_amounts_of_the_page(spent: Client) -> None:
    response = spent.get("/spend/table.csv?by=team")
    lines = list(csv.reader(io.StringIO(response.content.decode())))

    assert lines[0] == ["from", "'=support (USD)", "research (USD)", "total (USD)"]
    assert lines[-1] == ["total", "0.05", "0.05", "0.10"]
    assert 'filename="spend-by-team-' in response["Content-Disposition"]


def test_a_filter_narrows_every_number_of_the_page(spent: Client) -> None:
    context = spent.get("/spend/?team=research").context

    assert (context["whole"].cost_usd, context["whole"].estimated_usd) == (5 * CENT, 2 * CENT)
    assert context["chart"].total == "$0.0500"


def test_links_keep_the_period_and_the_filters(spent: Client) -> None:
    body = html.unescape(spent.get("/spend/?period=7d&team=research&by=model").content.decode())

    assert 'href="/?period=7d&team=research"' in body
    assert 'href="?period=30d&team=research&by=model"' in body
    assert 'href="/spend/table.csv?period=7d&team=research&by=model"' in body


def test_the_list_behind_the_spend_holds_its_rows(spent: Client) -> None:
    page = spent.get("/spend/?team=research")

    assert len(spent.get(page.context["rows_url"]).context["rows"]) == 2


def test_every_request_of_the_period_can_be_had_as_a_file(spent: Client) -> None:
    url = spent.get("/spend/?team=research").context["completions_csv_url"]

    lines = b"".join(spent.get(url).streaming_content).decode().splitlines()  # type: ignore[attr-defined]

    assert len(lines) == 3


def test_a_period_without_spend_says_so(browser_of_operator: Client) -> None:
    assert "Nothing was spent in the last 7 days." in text_of(browser_of_operator, "/spend/?period=7d")


def test_the_spend_page_takes_the_same_few_queries_however_many_rows(
    browser_of_operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    now = timezone.now()
    for index in range(20):
        add_attempt(add_completion(f"r{index}", at=now, api_key_name=f"k{index}", cost_usd=CENT), 1, cost_usd=CENT)
        add_conversation(f"c{index}", last_seen_at=now, cost_usd=CENT)

    with django_assert_num_queries(SPEND_QUERIES):
        browser_of_operator.get("/spend/?by=api_key")


def test_a_name_keeps_its_colour_whoever_stands_beside_it() -> None:
    names = ("openai", "anthropic", "gpt-4-turbo", "claude-3-5-sonnet-20241022")

    together = series_colors(names)

    assert together == {name: series_colors([name])[name] for name in names}
    assert len(set(series_colors(f"name-{index}" for index in range(9)).values())) == 9
    assert all(0 <= place < COLORS for place in together.values())


def test_a_quiet_organisation_is_told_that_all_is_well(browser_of_operator: Client) -> None:
    assert "All is well" in text_of(browser_of_operator, "/dashboard/service/")


def budget(spent_usd: int) -> None:
    Budget.objects.create(name="everything", scope="global", window="total", limit_usd=Decimal(10))
    BudgetWindow.objects.create(budget_id=Budget.objects.get().pk, window_epoch=0, spent_usd=Decimal(spent_usd))


def target(model: str) -> None:
    route = Route.objects.create(name="default")
    Target.objects.create(route=route, provider=add_provider("openai"), model=model)


def undelivered() -> None:
    now = timezone.now()
    alert = Alert.objects.create(kind="breaker_opened", subject="openai", opened_at=now, opened_by=1)
    facts: dict[str, Any] = {"event": "breaker_opened", "channel_id": 1, "channel_name": "slack", "next_try_at": now}
    AlertDelivery.objects.create(alert=alert, given_up_at=now, **facts)


def held_closed() -> None:
    add_provider("openai", forced_breaker="closed", forced_breaker_reason="calm")


def failed() -> None:
    for number in range(50):
        add_completion(f"x{number}", at=timezone.now() - timedelta(seconds=1), status="failed", http_status=503)


def broken() -> None:
    add_provider("openai")
    open_breaker("openai")


@pytest.mark.parametrize(
    ("requests", "failures", "verdict"),
    [
        (1, 1, "too few to tell"),
        (49, 49, "too few to tell"),
        (50, 2, "too few to tell"),
        (50, 3, "missed"),
        (50, 0, "met"),
        (0, 0, "no data yet"),
    ],
)
def test_an_objective_is_missed_from_as_many_on_as_alerts_need(
    browser_of_operator: Client, requests: int, failures: int, verdict: str
) -> None:
    for number in range(requests):
        status = "failed" if number < failures else "answered"
        add_completion(f"x{number}", at=timezone.now() - timedelta(seconds=1), status=status)

    context = browser_of_operator.get("/dashboard/service/").context

    assert {card.key: card.verdict for card in context["objectives"]}["availability"] == verdict
    assert any(item.key == "objective-availability" for item in context["attention"]) is (verdict == "missed")


@pytest.mark.parametrize(
    ("trouble", "said"),
    [
        (broken, "openai gets no requests since"),
        (held_closed, "is held closed by hand: calm."),
        (lambda: budget(8), "Budget everything: 80.0 % used, $8.00 of $10.00."),
        (lambda: budget(13), "Budget everything: 130 % used, $13.00 of $10.00, so it refuses requests."),
        (lambda: target("gpt-4-turbo"), "last day for gpt-4-turbo: 23 October 2026; route default uses it."),
        (lambda: target("unheard-of"), "No price is known for unheard-of, so route default can't use it."),
        (undelivered, "1 alert message could not be delivered to slack"),
        (failed, "Answered requests missed the objective: 0 % in the last 24 hours"),
    ],
)
def test_what_needs_a_person_is_said_in_a_sentence(browser_of_operator: Client, trouble: Any, said: str) -> None:
    trouble()

    sentences = [item.sentence for item in browser_of_operator.get("/dashboard/service/").context["attention"]]

    assert any(said in sentence for sentence in sentences), sentences
