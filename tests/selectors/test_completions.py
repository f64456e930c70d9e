from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from pytest_django import DjangoAssertNumQueries

from gateway.models import Price
from gateway.selectors.completions import ConversationTotals, completion_list_recent, completion_story
from gateway.selectors.prices import price_terms
from tests.selectors.rows import NOON, add_attempt, add_completion, add_conversation, add_fallback

pytestmark = pytest.mark.django_db


def test_the_newest_completions_come_first_and_no_more_than_asked_for() -> None:
    for minute in range(4):
        add_completion(f"r{minute}", at=NOON + timedelta(minutes=minute))

    assert [line.id for line in completion_list_recent(limit=3)] == ["r3", "r2", "r1"]


def test_a_list_takes_one_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for index in range(3):
        add_completion(f"r{index}")

    with django_assert_num_queries(1):
        completion_list_recent(limit=3)


def test_there_is_no_story_of_an_unknown_request() -> None:
    assert completion_story(request_id="nowhere") is None


def test_a_storys_attempts_stand_in_order_on_the_completions_time_line() -> None:
    completion = add_completion("r", latency_ms=2500)
    add_attempt(completion, 2, started_at=NOON + timedelta(milliseconds=1500), latency_ms=1000)
    add_attempt(completion, 1, latency_ms=400)

    story = completion_story(request_id="r")

    assert story is not None
    assert [(one.number, one.offset_ms, one.latency_ms) for one in story.attempts] == [(1, 0, 400), (2, 1500, 1000)]
    assert story.span_ms == 2500


def test_the_time_line_covers_attempts_that_outlast_the_completion() -> None:
    """A client that left is done before the call to the provider is."""
    completion = add_completion("r", status="cancelled", latency_ms=100)
    add_attempt(completion, 1, started_at=NOON + timedelta(milliseconds=50), latency_ms=300)

    story = completion_story(request_id="r")

    assert story is not None
    assert story.span_ms == 350


def test_a_story_tells_the_totals_of_its_own_teams_conversation() -> None:
    for team_id, cost in ((1, "0.25"), (2, "9")):
        add_conversation("talk", team_id=team_id, completions=team_id, cost_usd=Decimal(cost))
    add_completion("r", team_id=1, conversation="talk")

    story = completion_story(request_id="r")

    assert story is not None
    assert story.conversation_totals == ConversationTotals(1, Decimal("0.25"))


def test_a_story_takes_four_queries(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    completion = add_completion("r")
    for number in (1, 2, 3):
        add_attempt(completion, number)
    add_fallback(completion)

    with django_assert_num_queries(4):
        completion_story(request_id="r")


def test_prices_are_found_even_when_they_are_out_of_use() -> None:
    price = Price.objects.create(
        kind="openai",
        model="gpt-4-turbo",
        input_per_mtok=Decimal(10),
        output_per_mtok=Decimal(30),
        archived_at=NOON,
    )

    assert [terms.output_per_mtok for terms in price_terms(ids=[price.pk])] == [Decimal(30)]


def test_no_prices_need_no_query(django_assert_num_queries: DjangoAssertNumQueries) -> None:
    with django_assert_num_queries(0):
        assert price_terms(ids=[]) == ()
