"""Every tile leads to the rows it was counted from: the list behind it holds as many."""

from __future__ import annotations

import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone

from tests.selectors.rows import add_completion, add_conversation, add_provider, open_breaker


@pytest.fixture
def awkward_day(operator: User) -> None:
    """One of each kind today, and one in another month."""
    now = timezone.now()
    kinds: dict[str, dict[str, Any]] = {
        "answered": {},
        "stream": {"stream": True, "first_content_ms": 300},
        "rescued": {"fell_back": True},
        "lost": {"fell_back": True, "status": "failed", "http_status": 503},
        "timed-out": {"status": "failed", "http_status": 504},
        "bad-request": {"status": "failed", "http_status": 400},
        "throttled": {"status": "failed", "http_status": 429, "error_code": "rate_limit_exceeded"},
        "hit": {"cache": "hit", "provider": "", "model": "", "saved_usd": Decimal("0.02"), "cost_usd": Decimal(0)},
        "running": {"status": "pending", "http_status": None, "latency_ms": None},
    }
    for name, values in kinds.items():
        add_completion(name, at=now - timedelta(microseconds=1), **values)
    add_completion("turned-away", at=now - timedelta(microseconds=1), status="refused", http_status=401)
    add_completion("long-ago", at=now - timedelta(days=40), fell_back=True)


@pytest.mark.parametrize(
    ("key", "rows"),
    [
        ("spend", 8),
        ("spend-today", 8),
        ("spend-month", 8),
        ("tokens", 8),
        ("requests", 9),
        ("errors", 3),
        ("availability", 4),
        ("fallbacks", 1),
        ("response", 4),
        ("first-content", 1),
        ("cache", 1),
    ],
)
def test_the_list_behind_a_tile_holds_its_rows(
    awkward_day: None, browser_of_operator: Client, key: str, rows: int
) -> None:
    tiles = browser_of_operator.get("/dashboard/figures/").context["tiles"]
    href = next(tile.href for tile in tiles if tile.key == key)

    response = browser_of_operator.get(href)

    assert href.startswith("/requests/?")
    assert response.context["query"].problems == []
    assert len(response.context["rows"]) == rows


def test_a_providers_card_leads_to_its_history_and_its_failed_attempts(browser_of_operator: Client) -> None:
    add_provider("openai")
    open_breaker("openai")

    (card,) = browser_of_operator.get("/dashboard/providers/").context["providers"]

    assert browser_of_operator.get(card.history_url).status_code == 200
    assert browser_of_operator.get(card.attempts_url).status_code == 200


@pytest.mark.parametrize(("name", "ids"), [("log_url", ["r"]), ("key_url", ["r", "same-key"])])
def test_a_request_leads_to_the_log_and_to_the_requests_of_its_key(
    browser_of_operator: Client, name: str, ids: list[str]
) -> None:
    for request_id, key in (("r", "batch & co"), ("same-key", "batch & co"), ("other", "agents")):
        add_completion(request_id, api_key_name=key)
    page = browser_of_operator.get("/completions/r/")

    response = browser_of_operator.get(page.context[name])

    assert sorted(line.id for line, _ in response.context["rows"]) == ids


def test_a_request_that_no_key_sent_names_none(browser_of_operator: Client) -> None:
    add_completion("r", api_key_name="")

    assert browser_of_operator.get("/completions/r/").context["key_url"] == ""


def test_all_requests_of_the_overview_are_the_whole_log(browser_of_operator: Client) -> None:
    for number in range(3):
        add_completion(f"r{number}", at=timezone.now() - timedelta(days=40 * number))
    body = browser_of_operator.get("/").content.decode()
    href = re.search(r'id="all-requests" href="([^"]+)"', body)

    assert href is not None
    assert len(browser_of_operator.get(href[1]).context["rows"]) == 3


def test_a_completion_leads_to_its_conversation(browser_of_operator: Client) -> None:
    add_completion("r", team_id=2, conversation="talk")
    add_conversation("talk", team_id=2)
    page = browser_of_operator.get("/completions/r/")

    response = browser_of_operator.get(page.context["conversation_url"])

    assert [line.id for line in response.context["completions"]] == ["r"]
