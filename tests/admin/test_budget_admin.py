"""The budget's pages: what it does, how it stands, and raising it for a while."""

from __future__ import annotations

import html
import re
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from gateway.admin.budget_words import budget_sentence
from gateway.models import Budget, BudgetRaise, BudgetWindow, ConfigurationChange, Team
from gateway.services.configuration import configuration_version


@pytest.fixture
def budget(configured: None) -> Budget:
    return Budget.objects.create(name="each team", scope="team", window="total", limit_usd=Decimal(5))


def text_of(response: Any) -> str:
    return " ".join(html.unescape(re.sub(r"<[^>]+>", " ", response.content.decode())).split())


def test_the_page_shows_what_is_spent_reserved_and_left_per_subject(operations: Client, budget: Budget) -> None:
    team = Team.objects.get(name="research")
    BudgetWindow.objects.create(
        budget_id=budget.pk, subject=str(team.pk), window_epoch=0, spent_usd=Decimal(2), reserved_usd=Decimal("0.5")
    )

    assert "research $5.00 $2.00 $0.50 $2.50 It never resets." in text_of(
        operations.get(f"/admin/gateway/budget/{budget.pk}/change/")
    )


def test_the_list_says_what_is_spent_by_whom_it_is_most(operations: Client, budget: Budget) -> None:
    for name, spent in (("research", 2), ("sales", 1)):
        team, _ = Team.objects.get_or_create(name=name)
        BudgetWindow.objects.create(
            budget_id=budget.pk, subject=str(team.pk), window_epoch=0, spent_usd=Decimal(spent), reserved_usd=Decimal(0)
        )
    until = timezone.now() + timedelta(days=1)
    BudgetRaise.objects.create(
        budget=budget, amount_usd=Decimal(3), until=until, reason="a demo", made_by="ops", created_at=timezone.now()
    )

    page = text_of(operations.get("/admin/gateway/budget/"))

    assert "$2.00 of $8.00 (raised), the most of 2: research" in page


def test_the_list_says_that_nothing_is_spent(operations: Client, budget: Budget) -> None:
    assert "$0.00 of $5.00" in text_of(operations.get("/admin/gateway/budget/"))


def test_the_list_asks_the_database_no_oftener_for_many_budgets(
    operations: Client, budget: Budget, django_assert_max_num_queries: Any
) -> None:
    Budget.objects.bulk_create(
        Budget(name=f"budget {number}", scope="team", window="total", limit_usd=Decimal(5)) for number in range(30)
    )
    with django_assert_max_num_queries(20):
        operations.get("/admin/gateway/budget/")


def test_no_field_of_the_form_hides_the_browsers_window(operations: Client, budget: Budget) -> None:
    page = operations.get(f"/admin/gateway/budget/{budget.pk}/change/").content.decode()

    data = re.search(r"x-data='(\{[^']*\"scope\"[^']*\})'", html.unescape(page))
    assert data is not None
    assert '"window"' not in data.group(1)


def test_a_window_that_is_none_is_refused_at_its_field(operations: Client, budget: Budget) -> None:
    data = {"name": "each team", "scope": "team", "span": "fortnight", "limit_usd": "5", "enforcement": "block"}

    response = operations.post(f"/admin/gateway/budget/{budget.pk}/change/", data)

    assert "span" in response.context["adminform"].form.errors


SPANS = {"name": "each team", "scope": "team", "limit_usd": "5", "enforcement": "block", "alert_at_percent": "50"}


@pytest.mark.parametrize(
    ("chosen", "window"),
    [
        ({"span": "hour"}, "hour"),
        ({"span": "total", "span_seconds": "900"}, "total"),
        ({"span": "seconds", "span_seconds": "900"}, "900"),
    ],
)
def test_a_window_is_chosen_or_given_in_seconds(
    operations: Client, budget: Budget, chosen: dict[str, str], window: str
) -> None:
    operations.post(f"/admin/gateway/budget/{budget.pk}/change/", SPANS | chosen)

    budget.refresh_from_db()
    assert budget.window == window


@pytest.mark.parametrize("seconds", ["", "0", "-5", "31622401", "soon"])
def test_a_length_that_no_window_can_have_is_refused_at_its_field(
    operations: Client, budget: Budget, seconds: str
) -> None:
    data = SPANS | {"span": "seconds", "span_seconds": seconds}

    response = operations.post(f"/admin/gateway/budget/{budget.pk}/change/", data)

    assert list(response.context["adminform"].form.errors) == ["span_seconds"]


def test_a_window_in_seconds_is_shown_as_what_was_chosen(operations: Client, budget: Budget) -> None:
    Budget.objects.filter(pk=budget.pk).update(window="900")

    form = operations.get(f"/admin/gateway/budget/{budget.pk}/change/").context["adminform"].form

    assert (form["span"].value(), form["span_seconds"].value()) == ("seconds", "900")


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ({}, "Each team on its own may cost 5.00 USD per month. Requests that don't fit are refused."),
        (
            {"enforcement": "alert"},
            "Each team on its own may cost 5.00 USD per month. Nothing is refused at the limit.",
        ),
        (
            {"scope": "global", "window": "total", "shrink_output": True, "step_down_at_percent": 80},
            "Everything together may cost 5.00 USD in all. From 80 % on the route's cheap target is asked first. "
            "Requests that don't fit get a shorter answer, and are refused only where not even that fits.",
        ),
        (
            {"window": "600", "alert_at_percent": [50]},
            "Each team on its own may cost 5.00 USD every 600 seconds. Requests that don't fit are refused. "
            "Thresholds: 50 %.",
        ),
    ],
)
def test_a_sentence_says_what_a_budget_does(values: dict[str, Any], sentence: str) -> None:
    defaults = {"name": "b", "scope": "team", "limit_usd": Decimal(5), "alert_at_percent": []}

    assert budget_sentence(Budget(**{**defaults, **values})) == sentence


def test_a_raise_is_asked_for_recorded_and_announced(operations: Client, budget: Budget) -> None:
    before = configuration_version()
    until = datetime.now(UTC) + timedelta(days=1)

    response = operations.post(
        f"/admin/gateway/budget/{budget.pk}/raise/",
        {"amount_usd": "2.5", "until": until.strftime("%Y-%m-%dT%H:%M"), "reason": "the report"},
        follow=True,
    )

    row = BudgetRaise.objects.get()
    assert (row.amount_usd, row.reason, row.made_by) == (Decimal("2.5"), "the report", "operations")
    assert "limit_usd raised by 2.50 until" in ConfigurationChange.objects.latest("pk").after
    assert configuration_version() > before
    assert "$7.50" in text_of(response)


@pytest.mark.parametrize("days", [-1, 400])
def test_a_raise_that_ends_in_the_past_or_too_late_is_refused(operations: Client, budget: Budget, days: int) -> None:
    until = (datetime.now(UTC) + timedelta(days=days)).strftime("%Y-%m-%dT%H:%M")

    response = operations.post(
        f"/admin/gateway/budget/{budget.pk}/raise/", {"amount_usd": "1", "until": until, "reason": "x"}
    )

    assert "later than now" in text_of(response)
    assert not BudgetRaise.objects.exists()


def test_raises_can_be_ended_at_once_but_not_by_following_a_link(operations: Client, budget: Budget) -> None:
    now = timezone.now()
    BudgetRaise.objects.create(
        budget=budget, amount_usd=Decimal(1), until=now + timedelta(days=1), reason="x", made_by="a", created_at=now
    )
    address = f"/admin/gateway/budget/{budget.pk}/end-raises/"

    operations.get(address)
    assert BudgetRaise.objects.filter(until__gt=timezone.now()).count() == 1
    operations.post(address)
    assert BudgetRaise.objects.filter(until__gt=timezone.now()).count() == 0


def test_an_open_page_is_told_again_what_is_spent(operations: Client) -> None:
    row = Budget.objects.create(name="all", scope="global", window="total", limit_usd="50")
    page = operations.get(f"/admin/gateway/budget/{row.pk}/change/").content.decode()
    assert f'hx-get="/admin/gateway/budget/{row.pk}/standing/"' in page
    BudgetWindow.objects.create(budget_id=row.pk, subject="", window_epoch=0, spent_usd="12.5")
    assert "$12.50" in operations.get(f"/admin/gateway/budget/{row.pk}/standing/").content.decode()
