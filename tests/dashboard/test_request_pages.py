"""The log of requests: what it finds, how it pages, and what it says of what it can't do."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.contrib.auth.models import User
from django.test import Client
from django.utils import timezone
from pytest_django import DjangoAssertNumQueries

from gateway.dashboard import request_pages
from gateway.models import Completion, Team
from gateway.selectors import request_log
from tests.selectors.rows import NOON, add_attempt, add_completion

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)
LONG_ID = "req_0193a5b7c9d1"


def text_of(response: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def listed(response: Any) -> list[str]:
    return [line.id for line, _ in response.context["rows"]]


@pytest.fixture
def awkward() -> None:
    """One of each kind within the last minutes, the first the newest, and one of another month."""
    team = Team.objects.create(name="research")
    kinds: dict[str, dict[str, Any]] = {
        "plain": {},
        "stream": {"stream": True, "cache": "hit"},
        "rescued": {"fell_back": True, "provider": "anthropic", "model": "claude", "attempt_count": 3},
        "lost": {"status": "failed", "http_status": 503, "error_code": "all_targets_failed", "fell_back": True},
        "bad": {"status": "failed", "http_status": 400, "error_code": "invalid_request"},
        "poor": {"status": "refused", "http_status": 402, "error_code": "budget_exceeded", "attempt_count": 0},
        "left": {"status": "cancelled", "http_status": None},
        "orphan": {"status": "unknown", "http_status": None},
        "running": {"status": "pending", "http_status": None, "latency_ms": None},
        "drilled": {"drill_id": 7},
        "owned": {"team_id": team.pk, "team_name": "research", "conversation": "thesis-42", "api_key_name": "bot"},
        "dear": {"cost_usd": Decimal("0.5"), "latency_ms": 9000, "requested_model": "best", "route_name": "careful"},
        f"{LONG_ID}aa": {"conversation": ""},
    }
    now, rows = timezone.now(), dict[str, Completion]()
    for number, (name, values) in enumerate(kinds.items()):
        rows[name] = add_completion(name, at=now - number * timedelta(seconds=1), **values)
    add_attempt(rows["drilled"], 1, drill_id=7)
    add_attempt(rows["drilled"], 2, drill_id=8)
    add_attempt(rows["rescued"], 1, provider="openai", model="gpt-4-turbo")
    add_attempt(rows["rescued"], 2)
    add_attempt(rows["bad"], 1, provider="idle", outcome="skipped")
    rows["poor"].decision = {"simple": {"choice": "sent"}}
    rows["left"].decision = {"simple": {"choice": "kept"}}
    Completion.objects.bulk_update([rows["poor"], rows["left"]], ["decision"])
    add_completion("long-ago", at=now - timedelta(days=40))


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("outcome=failed", ["lost", "orphan"]),
        ("outcome=refused", ["bad", "poor"]),
        ("outcome=cancelled", ["left"]),
        ("outcome=unknown", ["orphan"]),
        ("outcome=pending", ["running"]),
        ("fallback=yes", ["rescued", "lost"]),
        ("fallback=yes&outcome=answered", ["rescued"]),
        ("stream=yes", ["stream"]),
        ("cache=hit", ["stream"]),
        ("error=budget_exceeded", ["poor"]),
        ("drill=yes", ["drilled"]),
        ("drill=7", ["drilled"]),
        ("drill=8", ["drilled"]),
        ("drill=9", []),
        ("tried=openai&tried_model=gpt-4-turbo", ["rescued", "drilled"]),
        ("tried=anthropic&tried_model=claude", ["rescued"]),
        ("tried=openai&tried_model=claude", []),
        ("tried=idle", []),
        ("simple=any", ["poor", "left"]),
        ("simple=kept", ["left"]),
        ("simple=strong", []),
        ("team=research", ["owned"]),
        ("team=-&key=bot", []),
        ("key=bot", ["owned"]),
        ("conversation=thesis-42", ["owned"]),
        ("route=careful", ["dear"]),
        ("asked=best", ["dear"]),
        ("provider=anthropic", ["rescued"]),
        ("model=claude", ["rescued"]),
        ("cost=0.1", ["dear"]),
        ("latency=9000", ["dear"]),
        ("id=long-ago", ["long-ago"]),
        (f"id={LONG_ID}", [f"{LONG_ID}aa"]),
        ("id=req_0", []),
        ("id=long-ago&key=bot", []),
        ("window=all&to=2026-01-01T00:00", []),
    ],
)
def test_a_filter_finds_what_it_says(
    browser_of_operator: Client, awkward: None, query: str, expected: list[str]
) -> None:
    assert listed(browser_of_operator.get(f"/requests/?{query}")) == expected


def test_without_a_filter_the_last_day_is_listed_newest_first(browser_of_operator: Client, awkward: None) -> None:
    ids = listed(browser_of_operator.get("/requests/"))

    assert ids[:2] == ["plain", "stream"]
    assert len(ids) == 13


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("outcome=sad", "Outcome: one of answered, failed, refused, cancelled, unknown, pending, begun, settled."),
        ("fallback=1", "Fallback: yes or no."),
        ("cost=much", "an amount in dollars, such as 0.05."),
        ("cost=NaN", "an amount in dollars, such as 0.05."),
        ("latency=1.5", "a whole number of milliseconds, such as 1500."),
        ("simple=cheap", "Cheap model: one of any, sent, kept, shadow, strong."),
        ("drill=x", "yes, no or a fire drill's number."),
        ("from=yesterday", "From: a moment such as 2026-11-22T14:30."),
        ("to=2026-13-45T00:00", "To: a moment such as 2026-11-22T14:30."),
        ("window=1y", "window: one of 15m, 1h, 24h, 7d, 30d, all."),
        ("key=%00", "API key: at most 200 printable characters."),
    ],
)
def test_a_filter_that_cannot_be_understood_is_told_and_left_out(
    browser_of_operator: Client, awkward: None, query: str, words: str
) -> None:
    response = browser_of_operator.get(f"/requests/?{query}")

    assert words in text_of(response)
    assert len(listed(response)) == 13


def test_from_is_included_and_to_is_not(browser_of_operator: Client) -> None:
    for number in range(3):
        add_completion(f"r{number}", at=NOON + number * MINUTE)

    response = browser_of_operator.get("/requests/?from=2026-11-22T12:00:00Z&to=2026-11-22T12:02:00%2B00:00")

    assert listed(response) == ["r1", "r0"]


def all_pages(client: Client, address: str) -> list[list[str]]:
    found = []
    while address:
        response = client.get(address)
        found.append(listed(response))
        address = response.context["next_url"]
    return found


def test_pages_follow_each_other_even_where_requests_began_at_one_moment(
    browser_of_operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_pages, "REQUESTS_PER_PAGE", 2)
    for number in range(5):
        add_completion(f"r{number}", at=NOON)

    assert all_pages(browser_of_operator, "/requests/?window=all") == [["r4", "r3"], ["r2", "r1"], ["r0"]]


def test_a_page_that_looked_through_enough_says_how_far_and_the_next_goes_on(
    browser_of_operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(request_log, "ROWS_SIFTED", 3)
    for number in range(10):
        add_completion(f"r{number}", at=NOON + number * MINUTE, api_key_name="rare" if number in (0, 6) else "agents")

    assert all_pages(browser_of_operator, "/requests/?window=all&key=rare") == [["r6"], [], ["r0"]]
    assert "back to 22 November 2026, 12:06:00" in text_of(browser_of_operator.get("/requests/?window=all&key=rare"))


def test_more_than_a_thousand_are_not_counted(browser_of_operator: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(request_log, "COUNTED", 3)
    monkeypatch.setattr(request_pages, "COUNTED", 3)
    for number in range(5):
        add_completion(f"r{number}", at=NOON)

    assert browser_of_operator.get("/requests/?window=all").context["total"] == "3+ requests"


@pytest.mark.parametrize(
    ("query", "live"),
    [("", True), ("?fallback=yes", True), ("?to=2026-11-22T12:00", False), ("?after=1.r", False), ("?id=r", False)],
)
def test_the_newest_rows_are_live_and_no_others(browser_of_operator: Client, query: str, live: bool) -> None:
    assert (b'hx-trigger="every 3s"' in browser_of_operator.get(f"/requests/{query}").content) is live


def test_the_live_part_has_the_same_rows_as_the_page(browser_of_operator: Client, awkward: None) -> None:
    page = browser_of_operator.get("/requests/?outcome=failed&window=1h")

    live = browser_of_operator.get(page.context["live_url"])

    assert listed(live) == listed(page) == ["lost", "orphan"]


@pytest.mark.parametrize("query", ["", "?outcome=failed&provider=openai", "?conversation=thesis-42"])
def test_the_page_takes_as_many_queries_for_many_requests_as_for_one(
    browser_of_operator: Client, awkward: None, django_assert_max_num_queries: DjangoAssertNumQueries, query: str
) -> None:
    """Session, user, zone; where sifting ends or the teams there are, ids, rows; five lists to choose from."""
    with django_assert_max_num_queries(11):
        browser_of_operator.get(f"/requests/{query}")


def test_an_empty_log_says_what_to_do(browser_of_operator: Client) -> None:
    assert "No requests in this time" in text_of(browser_of_operator.get("/requests/"))
    assert "No request like that" in text_of(browser_of_operator.get("/requests/?key=nobody"))


@pytest.mark.parametrize("address", ["/requests/", "/requests/live/"])
def test_who_may_not_see_requests_is_told_so(back_office: None, client: Client, address: str) -> None:
    client.force_login(User.objects.create_user("viewer", is_staff=True))

    assert client.get(address).status_code == 403


def test_a_filter_can_be_taken_away_alone(browser_of_operator: Client) -> None:
    page = browser_of_operator.get("/requests/?window=7d&key=bot&fallback=yes")

    assert page.context["query"].chips == [
        ("API key", "bot", "/requests/?window=7d&fallback=yes"),
        ("Fallback", "yes", "/requests/?window=7d&key=bot"),
    ]


@pytest.mark.parametrize(
    "query",
    [
        "",
        "outcome=failed",
        "fallback=yes&stream=no",
        "team=-&key=agents",
        "conversation=thesis-42&cost=0&latency=1",
        "drill=no&cache=bypass&error=budget_exceeded&asked=gpt-4-turbo",
        "window=all&route=default&provider=openai&model=gpt-4-turbo",
        "from=2026-01-01T00:00&outcome=answered",
    ],
)
def test_the_download_has_the_rows_of_the_page(browser_of_operator: Client, awkward: None, query: str) -> None:
    page = browser_of_operator.get(f"/requests/?{query}")

    lines = browser_of_operator.get(page.context["csv_url"]).getvalue().decode().splitlines()

    assert [line.partition(",")[0] for line in lines[1:]] == listed(page)[::-1]


def test_there_is_no_download_of_what_it_cannot_tell(browser_of_operator: Client) -> None:
    assert [browser_of_operator.get(f"/requests/?{query}").context["csv_url"] for query in ("id=r", "drill=7")] == [
        "",
        "",
    ]
