"""All breakers on one page: states, days, and orders."""

from __future__ import annotations

from datetime import timedelta

import pytest
from django.contrib.auth.models import User
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.models import BreakerTransition, Provider
from gateway.selectors.breaker_days import breaker_days
from tests.selectors.rows import NOON, add_provider, open_breaker

pytestmark = pytest.mark.django_db

HOUR = timedelta(hours=1)


def moved(provider: str, hours_ago: float, before: str, after: str, **values: object) -> None:
    BreakerTransition.objects.create(
        provider=provider, at=NOON - hours_ago * HOUR, from_state=before, to_state=after, cause=f"to {after}", **values
    )


def states(provider: str) -> list[tuple[float, str]]:
    """When each band began, in hours before now, and its state."""
    day = breaker_days(providers=[provider], now=NOON, hours=24)[provider]
    return [((NOON - band.start) / HOUR, band.state) for band in day.bands]


def test_a_day_without_changes_is_one_band_in_the_state_that_held_before() -> None:
    moved("openai", 30, "closed", "open")

    assert states("openai") == [(24, "open")]
    assert breaker_days(providers=["openai"], now=NOON, hours=24)["openai"].since == NOON - 30 * HOUR


def test_a_breaker_that_never_moved_was_closed_all_day() -> None:
    assert states("openai") == [(24, "closed")]
    assert breaker_days(providers=["openai"], now=NOON, hours=24)["openai"].since is None


def test_changes_cut_the_day_into_bands() -> None:
    moved("openai", 5, "closed", "open")
    moved("openai", 4, "open", "half_open")
    moved("openai", 3, "half_open", "closed")

    assert states("openai") == [(24, "closed"), (5, "open"), (4, "half_open"), (3, "closed")]


def test_an_order_that_keeps_a_state_does_not_begin_it_anew() -> None:
    moved("openai", 5, "closed", "open")
    moved("openai", 2, "open", "open")

    assert breaker_days(providers=["openai"], now=NOON, hours=24)["openai"].since == NOON - 5 * HOUR


def test_a_drills_breaker_is_not_the_providers() -> None:
    moved("openai", 5, "closed", "open", drill_id=3)

    assert states("openai") == [(24, "closed")]


def test_the_page_tells_every_provider_trouble_first(browser_of_operator: Client) -> None:
    add_provider("anthropic")
    add_provider("openai")
    open_breaker("openai")

    response = browser_of_operator.get("/breakers/")

    assert [row.card.breaker.provider for row in response.context["rows"]] == ["openai", "anthropic"]
    for words in ("data-countdown", "5 of 5", "83.4 %", "503 Service Unavailable", "/admin/gateway/drill/add/"):
        assert words in response.content.decode()


def test_as_many_queries_for_ten_providers_as_for_one(
    browser_of_operator: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    for number in range(10):
        add_provider(f"p{number}")
        open_breaker(f"p{number}")

    # Session, user, zone; providers, states; changes of the day, ids of those before, those before.
    with django_assert_num_queries(7):
        browser_of_operator.get("/breakers/live/")


def test_an_order_holds_and_leads_back_to_the_page(browser_of_operator: Client) -> None:
    add_provider("openai")
    order = {
        "provider": "openai",
        "action": "force_open",
        "reason": "maintenance",
        "confirmed": "yes",
        "next": "breakers",
    }

    response = browser_of_operator.post("/breakers/act/", order)

    assert response["Location"] == "/breakers/"
    assert Provider.objects.get(name="openai").forced_breaker == "open"


def test_an_order_without_a_reason_changes_nothing(browser_of_operator: Client) -> None:
    add_provider("openai")

    browser_of_operator.post("/breakers/act/", {"provider": "openai", "action": "force_open", "confirmed": "yes"})

    assert Provider.objects.get(name="openai").forced_breaker is None


def test_who_may_not_change_providers_sees_no_form_and_cannot_order(back_office: None, client: Client) -> None:
    add_provider("openai")
    client.force_login(User.objects.create_user("viewer", is_staff=True))

    assert "act-reason" not in client.get("/breakers/").content.decode()
    assert client.post("/breakers/act/", {"provider": "openai", "action": "test"}).status_code == 403


def test_without_providers_the_page_says_what_to_do(browser_of_operator: Client) -> None:
    assert "No breakers yet" in browser_of_operator.get("/breakers/").content.decode()
