from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.dashboard.completion_page import BAR_UNITS, MIN_BAR_UNITS, TimeBar, headline, steps, time_bar
from gateway.models import Completion, Price
from gateway.selectors.completions import AttemptStory, CompletionStory, completion_story
from tests.selectors.rows import NOON, add_attempt, add_completion, add_fallback

pytestmark = pytest.mark.django_db

SONNET = "claude-3-5-sonnet-20241022"


@pytest.fixture
def rescued() -> Completion:
    """OpenAI failed, Anthropic answered."""
    price = Price.objects.create(kind="anthropic", model=SONNET, input_per_mtok=Decimal(3), output_per_mtok=Decimal(15))
    completion = add_completion(
        "req_1",
        provider="anthropic",
        model=SONNET,
        fell_back=True,
        attempt_count=2,
        latency_ms=3100,
        team_name="research",
        conversation="thesis-42",
        cost_usd=Decimal("0.0089652"),
        decision={
            "route": "default",
            "reason": "asked by name",
            "targets": ["openai/gpt-4-turbo", "openai/unpriced"],
            "left_out_without_price": ["openai/unpriced"],
            "budget_checks": [{"budget": "research month", "room_usd": "12.50"}],
        },
        dropped_params=["logit_bias"],
    )
    add_attempt(
        completion,
        1,
        provider="openai",
        model="gpt-4-turbo",
        outcome="failed",
        failure="timeout",
        status=None,
        latency_ms=1200,
        billing="none",
    )
    add_attempt(completion, 2, started_at=NOON + timedelta(milliseconds=1230), latency_ms=1870, price_id=price.pk)
    add_fallback(completion)
    return completion


def story_of(request_id: str) -> CompletionStory:
    story = completion_story(request_id=request_id)
    assert story is not None
    return story


def text_of(client: Client, request_id: str) -> str:
    body = client.get(f"/completions/{request_id}/").content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


@pytest.mark.parametrize(
    "words",
    [
        pytest.param("After openai/gpt-4-turbo failed, anthropic answered", id="the whole in one sentence"),
        pytest.param("thesis-42", id="the conversation"),
        pytest.param("research", id="the team"),
        pytest.param("Route default : asked by name. Its targets", id="why this route"),
        pytest.param("openai/unpriced left out no price is known for it", id="the targets, and why one was left out"),
        pytest.param("budget checks budget: research month; room usd: 12.50", id="what else was decided"),
        pytest.param("First target. The provider did not answer in time.", id="a failure in words"),
        pytest.param("after 1.8 s: 503 three times.", id="the fallback, its moment and its reason"),
        pytest.param("It cost $0.00120 extra.", id="what the fallback cost"),
        pytest.param("does not take it: logit_bias", id="what was dropped"),
        pytest.param("$0.0089652, from the provider's own count.", id="the exact cost and its source"),
        pytest.param("$15.00", id="the price it was charged at"),
    ],
)
def test_the_page_tells(browser_of_operator: Client, rescued: Completion, words: str) -> None:
    assert words in text_of(browser_of_operator, rescued.pk)


def test_an_unknown_request_gets_a_page_that_says_so(browser_of_operator: Client) -> None:
    response = browser_of_operator.get("/completions/nowhere/")

    assert response.status_code == 404
    assert "No request with this id" in response.content.decode()


def test_the_page_takes_a_fixed_number_of_queries(
    browser_of_operator: Client, rescued: Completion, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    """Session, user, organisation; completion, attempts, fallbacks, conversation; budgets then; prices; neighbours."""
    with django_assert_num_queries(13):
        browser_of_operator.get(f"/completions/{rescued.pk}/")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "openai answered with gpt-4-turbo. It took 1.0 s and cost $0.50."),
        ({"cache": "hit", "cost_usd": Decimal(0)}, "The cache answered. It took 1.0 s and cost $0.00."),
        ({"status": "pending"}, "This request is still under way."),
        ({"status": "unknown"}, "We stopped before this request ended; its reserved amount of $0.50 was charged."),
        ({"status": "cancelled"}, "The client left before the answer was complete, after 1.0 s. It cost $0.50."),
        (
            {"status": "failed", "http_status": 503},
            "This request was not answered: status 503 after 1.0 s. It cost $0.50.",
        ),
        (
            {"status": "refused", "http_status": 429},
            "This request was refused before it began: status 429. It cost nothing.",
        ),
    ],
)
def test_the_headline_says_how_it_ended(values: dict[str, Any], sentence: str) -> None:
    add_completion("r", **{"cost_usd": Decimal("0.5")} | values)

    assert headline(story_of("r")) == sentence


@pytest.mark.parametrize("status", ["answered", "pending", "unknown", "cancelled", "failed", "refused"])
def test_a_request_without_attempts_has_a_page(browser_of_operator: Client, status: str) -> None:
    add_completion("r", status=status, latency_ms=None, billing="none", finished_at=None)

    assert browser_of_operator.get("/completions/r/").status_code == 200


def test_what_was_not_asked_is_said_to_be_passed_over_and_to_have_asked_for_nothing(
    browser_of_operator: Client,
) -> None:
    completion = add_completion("r")
    add_attempt(
        completion,
        1,
        model="gpt-4-turbo",
        outcome="skipped",
        failure="breaker_open",
        retry_after_seconds=18.131150722503662,
    )
    add_attempt(completion, 2, provider="anthropic", model=SONNET)
    add_fallback(completion)

    told = text_of(browser_of_operator, "r")

    assert "After openai/gpt-4-turbo was passed over, " in told
    assert "asked us to wait" not in told


def test_a_wait_that_the_provider_asked_for_is_told_in_rounded_seconds(browser_of_operator: Client) -> None:
    add_attempt(
        add_completion("r"), 1, outcome="failed", failure="rate_limited", retry_after_seconds=18.131150722503662
    )

    assert "It asked us to wait 18.1 s." in text_of(browser_of_operator, "r")


def test_a_fallback_stands_before_the_attempt_it_leads_to(rescued: Completion) -> None:
    assert [step.fallback is not None for step in steps(story_of(rescued.pk))] == [False, True]


def test_a_target_that_was_passed_over_is_not_where_a_fallback_leads() -> None:
    completion = add_completion("r")
    add_attempt(completion, 1, provider="anthropic", model=SONNET, outcome="skipped", latency_ms=0)
    add_attempt(completion, 2, provider="anthropic", model=SONNET)
    add_fallback(completion)

    assert [step.fallback is not None for step in steps(story_of("r"))] == [False, True]


@pytest.mark.parametrize(
    ("offset_ms", "latency_ms", "first_ms", "bar"),
    [
        pytest.param(0, 1000, None, TimeBar(0, 500, None), id="the first half"),
        pytest.param(1000, 1000, 500, TimeBar(500, 500, 750), id="the second half with its first words"),
        pytest.param(0, 0, None, TimeBar(0, MIN_BAR_UNITS, None), id="too short to see"),
        pytest.param(2000, 0, None, TimeBar(BAR_UNITS - MIN_BAR_UNITS, MIN_BAR_UNITS, None), id="at the very end"),
    ],
)
def test_time_bars_stay_on_the_line_and_can_be_seen(
    offset_ms: int, latency_ms: int, first_ms: int | None, bar: TimeBar
) -> None:
    completion = add_completion("r", latency_ms=2000)
    started_at = NOON + timedelta(milliseconds=offset_ms)
    add_attempt(completion, 1, started_at=started_at, latency_ms=latency_ms, first_content_ms=first_ms)
    attempt: AttemptStory = story_of("r").attempts[0]

    assert time_bar(attempt, 2000) == bar


def test_its_neighbours_in_the_conversation_are_one_step_away(browser_of_operator: Client) -> None:
    for number in range(3):
        add_completion(f"r{number}", at=NOON + timedelta(minutes=number), conversation="talk")
    add_completion("other", at=NOON + timedelta(seconds=90), conversation="talk", team_id=9)

    page = browser_of_operator.get("/completions/r1/").content.decode()

    assert 'id="previous-request" href="/completions/r0/"' in page
    assert 'id="following-request" href="/completions/r2/"' in page


def test_requests_that_named_no_conversation_are_no_neighbours(browser_of_operator: Client) -> None:
    for number in range(2):
        add_completion(f"r{number}", at=NOON + timedelta(minutes=number), conversation="")

    assert "Neighbours" not in browser_of_operator.get("/completions/r1/").content.decode()


def test_the_time_between_attempts_is_told() -> None:
    completion = add_completion("r", latency_ms=3000)
    add_attempt(completion, 1, started_at=NOON + timedelta(milliseconds=40), latency_ms=300, outcome="failed")
    add_attempt(completion, 2, started_at=NOON + timedelta(milliseconds=840), latency_ms=300, retry=1, outcome="failed")
    add_attempt(completion, 3, started_at=NOON + timedelta(milliseconds=1145), latency_ms=900)

    assert [step.pause_words for step in steps(story_of("r"))] == [
        "40 ms until it was sent: checks, budgets, and waiting for a place.",
        "500 ms of waiting before trying again.",
        "",
    ]


def test_a_charge_leads_to_its_price_version(browser_of_operator: Client, rescued: Completion) -> None:
    price = Price.objects.get()

    page = browser_of_operator.get(f"/completions/{rescued.pk}/").content.decode()

    assert f'href="/admin/gateway/price/{price.pk}/change/"' in page
    assert browser_of_operator.get(f"/admin/gateway/price/{price.pk}/change/").status_code == 200


def test_what_users_thought_is_told_with_the_clients_text_as_text(browser_of_operator: Client) -> None:
    completion = add_completion("req_1")
    completion.feedback.create(
        api_key_id=1, api_key_name="agents", score=-1, note="<b>Wrong</b>", created_at=NOON, updated_at=NOON
    )
    page = browser_of_operator.get("/completions/req_1/").content.decode()
    assert "thumbs down" in page
    assert "&lt;b&gt;Wrong&lt;/b&gt;" in page
