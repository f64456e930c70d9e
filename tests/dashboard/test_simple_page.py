"""The page of the cheap model: every number from rows."""

from __future__ import annotations

import html
import re
from datetime import timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.dashboard.simple_page import verdict
from gateway.engine.proportions import Share
from gateway.models import Feedback, Price, Route, Target
from gateway.selectors.windows import TimeWindow
from gateway.services.simple_report import RouteReport, simple_report
from tests.dashboard.simple_rows import NOW, add_decided
from tests.selectors.rows import add_attempt, add_provider


@pytest.fixture
def route(db: None) -> Route:
    provider = add_provider("openai")
    for model, input_price, output_price in (("gpt-3.5-turbo", "0.5", "1.5"), ("gpt-4-turbo", "10", "30")):
        Price.objects.create(
            kind="openai", model=model, input_per_mtok=Decimal(input_price), output_per_mtok=Decimal(output_price)
        )
    row = Route.objects.create(name="default", simple_mode="25%")
    Target.objects.create(route=row, provider=provider, model="gpt-4-turbo")
    Target.objects.create(route=row, provider=provider, model="gpt-3.5-turbo", simple=True)
    return row


def report_of(name: str = "default") -> RouteReport:
    report = simple_report(TimeWindow(NOW - timedelta(hours=1), NOW + timedelta(hours=1)))
    return next(one for one in report.routes if one.route == name)


def text_of(client: Client, address: str = "/simple/") -> str:
    body = client.get(address).content.decode()
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", body)).split())


def test_saved_is_the_strong_models_price_for_the_same_tokens_less_what_was_paid(route: Route) -> None:
    add_decided("req_1", "sent")
    add_decided("req_2", "kept")
    assert report_of().saved_usd == Decimal("0.013") - Decimal("0.00065")


def test_a_cheap_call_that_the_strong_model_had_to_follow_is_a_loss(route: Route) -> None:
    row = add_decided("req_1", "sent", model="gpt-4-turbo", fell_back=True, cost_usd=Decimal("0.01365"))
    add_attempt(row, 1, model="gpt-3.5-turbo", cost_usd=Decimal("0.00065"))
    add_attempt(row, 2, model="gpt-4-turbo", cost_usd=Decimal("0.013"))
    report = report_of()
    assert report.saved_usd == Decimal("-0.00065")
    assert report.escalated == ["req_1"]
    assert report.sent.trouble == 1


def test_a_cheap_answer_that_was_given_for_want_of_a_better_one_claims_nothing(route: Route) -> None:
    add_decided("req_1", "sent", fell_back=True)
    assert report_of().saved_usd == 0


def test_shadow_tells_what_it_would_save_and_has_saved_nothing(route: Route) -> None:
    add_decided("req_1", "shadow")
    report = report_of()
    assert (report.saved_usd, report.would_save_usd) == (0, Decimal("0.013") - Decimal("0.00065"))


def test_without_a_price_nothing_is_estimated_and_that_is_counted(route: Route) -> None:
    Price.objects.filter(model="gpt-4-turbo").update(archived_at=NOW)
    add_decided("req_1", "sent")
    report = report_of()
    assert (report.saved_usd, report.unpriced) == (0, 1)


def test_only_those_whom_chance_divided_are_compared(route: Route) -> None:
    add_decided("req_1", "sent", thumb=-1)
    add_decided("req_2", "sent", thumb=1)
    add_decided("req_3", "sent", thumb=-1, reason="caller")
    add_decided("req_4", "kept", thumb=1)
    add_decided("req_6", "sent", thumb=-1, mode="on")
    add_decided("req_5", "strong", thumb=-1)
    report = report_of()
    assert (report.diced.disliked, report.control.disliked) == (Share(1, 2), Share(0, 1))
    assert report.sent.thumbs_down == 3
    assert set(report.disliked) == {"req_1", "req_3", "req_6"}


def test_the_worst_word_on_a_request_counts_once(route: Route) -> None:
    row = add_decided("req_1", "sent", thumb=1)
    Feedback.objects.create(completion=row, api_key_id=2, api_key_name="b", score=-1, created_at=NOW, updated_at=NOW)
    assert report_of().diced.disliked == Share(1, 1)


@pytest.mark.parametrize(
    ("values", "trouble"),
    [({}, 0), ({"finish_reason": "length"}, 1), ({"finish_reason": "refusal"}, 1), ({"status": "failed"}, 1),
     ({"fell_back": True}, 1), ({"finish_reason": "stop"}, 0)],
)  # fmt: skip
def test_trouble_is_the_same_for_both_groups(route: Route, values: dict[str, Any], trouble: int) -> None:
    add_decided("req_1", "sent", **values)
    add_decided("req_2", "kept", **values)
    report = report_of()
    assert (report.diced.trouble, report.control.trouble) == (trouble, trouble)


@pytest.mark.parametrize(
    ("sent", "control", "words", "tone"),
    [
        (Share(5, 100), Share(0, 0), "No comparison", ""),
        (Share(5, 10), Share(0, 10), "Too few", ""),
        (Share(40, 100), Share(10, 100), "Worse than the strong model", "bad"),
        (Share(10, 100), Share(40, 100), "Better than the strong model", "good"),
        (Share(11, 100), Share(10, 100), "No difference that chance couldn't make", ""),
    ],
)
def test_the_comparison_is_said_in_words(sent: Share, control: Share, words: str, tone: str) -> None:
    told = verdict(sent, control)
    assert told[0].startswith(words)
    assert told[1] == tone


def test_the_page_shows_mode_share_savings_and_what_decided(browser_of_operator: Client, route: Route) -> None:
    add_decided("req_1", "sent", thumb=-1)
    add_decided("req_2", "strong", reason="tools")
    text = text_of(browser_of_operator)
    for words in ("25% of the simple conversations are sent", "50.0 %", "1 of 2 decisions", "Tools complex 1 50.0 %"):
        assert words in text
    assert "/completions/req_1/" in browser_of_operator.get("/simple/").content.decode()


def test_a_filter_narrows_the_page(browser_of_operator: Client, route: Route) -> None:
    add_decided("req_1", "sent", team_name="research")
    assert "Nothing was decided here" in text_of(browser_of_operator, "/simple/?team=sales")


def test_without_a_cheap_model_the_page_says_how_to_begin(browser_of_operator: Client) -> None:
    assert "No route has a cheap model" in text_of(browser_of_operator)


def test_the_queries_dont_grow_with_the_rows(route: Route, django_assert_num_queries: DjangoAssertNumQueries) -> None:
    for number in range(30):
        add_decided(f"req_{number}", "sent", thumb=1)
    with django_assert_num_queries(6):
        report_of()
