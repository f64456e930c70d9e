"""The list of conversations, and one conversation's page."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.dashboard import conversation_pages
from gateway.models import Budget, BudgetWindow, Team
from tests.selectors.rows import NOON, add_completion, add_conversation

pytestmark = pytest.mark.django_db

MINUTE = timedelta(minutes=1)


def text_of(response: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def listed(response: Any) -> list[str]:
    return [line.id for line, _ in response.context["rows"]]


@pytest.fixture
def three(monkeypatch: pytest.MonkeyPatch) -> Team:
    """Three conversations of one team, two on a page."""
    monkeypatch.setattr(conversation_pages, "CONVERSATIONS_PER_PAGE", 2)
    team = Team.objects.create(name="research")
    for number in range(3):
        add_conversation(f"talk-{number}", team_id=team.pk, last_seen_at=NOON + number * MINUTE, completions=2)
    return team


def test_the_last_used_conversation_comes_first_and_pages_follow_each_other(
    browser_of_operator: Client, three: Team
) -> None:
    first = browser_of_operator.get("/conversations/")
    second = browser_of_operator.get("/conversations/" + first.context["next_url"])

    assert (listed(first), listed(second)) == (["talk-2", "talk-1"], ["talk-0"])
    assert second.context["next_url"] == ""


def test_conversations_last_used_at_one_moment_are_each_on_one_page(
    browser_of_operator: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conversation_pages, "CONVERSATIONS_PER_PAGE", 2)
    for number in range(5):
        add_conversation(f"talk-{number}")
    found, address = [], "/conversations/"
    while address:
        page = browser_of_operator.get(address)
        found += listed(page)
        address = page.context["next_url"] and "/conversations/" + page.context["next_url"]

    assert sorted(found) == [f"talk-{number}" for number in range(5)]


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("?id=talk-1", ["talk-1"]),
        ("?id=nothing", []),
        ("?team=0", []),
        ("?team=none", ["talk-2", "talk-1"]),
        ("?after=garbage", ["talk-2", "talk-1"]),
        ("?after=9.%00", ["talk-2", "talk-1"]),
    ],
)
def test_a_filter_narrows_the_list(browser_of_operator: Client, three: Team, query: str, expected: list[str]) -> None:
    assert listed(browser_of_operator.get("/conversations/" + query)) == expected


def test_the_list_takes_as_many_queries_for_many_conversations_as_for_one(
    browser_of_operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    Budget.objects.create(name="each talk", scope="conversation", window="total", limit_usd=Decimal("0.5"))
    for number in range(20):
        add_conversation(f"talk-{number}")

    # Session, user, zone; teams, conversations; budgets, raises, zone, windows; the teams to choose from.
    with django_assert_num_queries(10):
        browser_of_operator.get("/conversations/")


@pytest.fixture
def talk(db: None) -> Team:
    team = Team.objects.create(name="research")
    for number, model in enumerate(["gpt-4-turbo", "gpt-4-turbo", "gpt-3.5-turbo"]):
        add_completion(f"req_{number}", at=NOON + number * MINUTE, conversation="talk", team_id=team.pk, model=model,
                       cost_usd=Decimal("0.05"))  # fmt: skip
    add_completion("req_other", conversation="talk")
    add_conversation("talk", team_id=team.pk, completions=3, cost_usd=Decimal("0.15"), input_tokens=1234,
                     output_tokens=567, last_seen_at=NOON + 2 * MINUTE)  # fmt: skip
    return team


def test_a_page_tells_turns_cost_tokens_models_and_what_is_left_of_the_cap(
    browser_of_operator: Client, talk: Team
) -> None:
    budget = Budget.objects.create(name="each talk", scope="conversation", window="total", limit_usd=Decimal("0.5"))
    subject = f"{talk.pk}:talk"
    BudgetWindow.objects.create(
        budget_id=budget.pk, subject=subject, window_epoch=0, spent_usd=Decimal("0.15"), reserved_usd=Decimal("0.1")
    )

    text = text_of(browser_of_operator.get(f"/conversations/talk/?team={talk.pk}"))

    for words in ("3 turns for $0.15, $0.25 left of its cap", "1,234 / 567", "2 min 0 s", "gpt-4-turbo openai 2 $0.10"):
        assert words in text


def test_its_requests_stand_in_order_and_lead_to_their_stories(browser_of_operator: Client, talk: Team) -> None:
    response = browser_of_operator.get(f"/conversations/talk/?team={talk.pk}")

    assert [line.id for line in response.context["completions"]] == ["req_0", "req_1", "req_2"]
    assert 'href="/completions/req_1/"' in response.content.decode()


def test_its_requests_come_in_pages(browser_of_operator: Client, talk: Team, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversation_pages, "REQUESTS_PER_PAGE", 2)
    first = browser_of_operator.get(f"/conversations/talk/?team={talk.pk}")

    second = browser_of_operator.get(first.context["next_url"])

    assert [line.id for line in second.context["completions"]] == ["req_2"]


def test_a_page_takes_a_fixed_number_of_queries(
    browser_of_operator: Client, talk: Team, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    # Session, user, zone; the conversation, its team, budgets of conversations; requests, models.
    with django_assert_num_queries(8):
        browser_of_operator.get(f"/conversations/talk/?team={talk.pk}")


@pytest.mark.parametrize("address", ["/conversations/nothing/", "/conversations/talk/?team=99"])
def test_an_unknown_conversation_is_a_404_in_words(browser_of_operator: Client, talk: Team, address: str) -> None:
    response = browser_of_operator.get(address)

    assert response.status_code == 404
    assert "There is no such conversation" in text_of(response)
