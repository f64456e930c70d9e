from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
import time_machine
from django.test import Client
from pytest_django import DjangoAssertNumQueries

from gateway.models import Budget, BudgetWindow, Organisation, Team
from tests.selectors.rows import NOON, add_provider

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")


@pytest.fixture(autouse=True)
def at_noon() -> Any:
    with time_machine.travel(NOON, tick=False):
        yield


def add_budget(name: str, scope: str = "global", **values: Any) -> Budget:
    return Budget.objects.create(name=name, scope=scope, **{"limit_usd": Decimal(5), **values})


def use(budget: Budget, subject: str, starts_at: str | None, spent: Decimal, reserved: Decimal = Decimal(0)) -> None:
    epoch = 0 if starts_at is None else int(datetime.fromisoformat(starts_at).replace(tzinfo=UTC).timestamp())
    BudgetWindow.objects.create(
        budget_id=budget.pk, subject=subject, window_epoch=epoch, spent_usd=spent, reserved_usd=reserved
    )


def budgets(api: Client) -> list[dict[str, Any]]:
    response = api.get("/api/budgets")
    assert response.status_code == 200, response.content
    return list(response.json())


def test_a_budget_shows_what_its_current_window_holds(api: Client) -> None:
    team = Team.objects.create(name="research")
    budget = add_budget("research month", "team", team=team, limit_usd=Decimal(500))
    use(budget, str(team.pk), "2026-10-01", Decimal(499))
    use(budget, str(team.pk), "2026-11-01", 12 * CENT, 3 * CENT)

    assert budgets(api) == [
        {
            "name": "research month",
            "scope": "team",
            "subject": "research",
            "team": None,
            "limit_usd": "500.00",
            "raised_usd": "0.00",
            "raised_until": None,
            "spent_usd": "0.12",
            "reserved_usd": "0.03",
            "remaining_usd": "499.85",
            "window": "month",
            "window_starts_at": "2026-11-01T00:00:00Z",
            "resets_at": "2026-12-01T00:00:00Z",
            "enforcement": "block",
            "other_subjects": 0,
        }
    ]


def test_every_budget_in_use_appears_even_if_nothing_was_spent(api: Client) -> None:
    openai = add_provider("openai")
    add_budget("all")
    add_budget("each key", "api_key", enforcement="alert")
    add_budget("openai", "provider", provider=openai)
    add_budget("over", archived_at=NOON)

    told = [(one["name"], one["subject"], one["spent_usd"], one["reserved_usd"]) for one in budgets(api)]

    assert told == [
        ("all", None, "0.00", "0.00"),
        ("each key", None, "0.00", "0.00"),
        ("openai", "openai", "0.00", "0.00"),
    ]


def test_a_budget_of_each_one_has_a_row_per_subject_dearest_first(api: Client) -> None:
    teams = [Team.objects.create(name=name) for name in ("research", "sales")]
    budget = add_budget("each team", "team")
    for cents, team in enumerate(teams, start=1):
        use(budget, str(team.pk), "2026-11-01", cents * CENT)

    assert [(one["subject"], one["spent_usd"]) for one in budgets(api)] == [("sales", "0.02"), ("research", "0.01")]


def test_a_conversations_subject_is_its_id_beside_its_team(api: Client) -> None:
    team = Team.objects.create(name="research")
    budget = add_budget("per conversation", "conversation", window="total")
    use(budget, f"{team.pk}:talk:1", None, 2 * CENT)
    use(budget, "0:talk:1", None, CENT)

    told = [(one["subject"], one["team"], one["spent_usd"], one["resets_at"]) for one in budgets(api)]

    assert told == [("talk:1", "research", "0.02", None), ("talk:1", None, "0.01", None)]


def test_a_budget_of_very_many_subjects_is_cut_and_says_so(api: Client) -> None:
    budget = add_budget("per conversation", "conversation", window="total")
    other = add_budget("other", "conversation", window="total")
    use(other, "0:c", None, CENT)
    for index in range(103):
        use(budget, f"0:c-{index:03}", None, index * CENT)

    told = [one for one in budgets(api) if one["name"] == "per conversation"]

    assert len(told) == 100
    assert (told[0]["subject"], {one["other_subjects"] for one in told}) == ("c-102", {3})


@pytest.mark.parametrize(
    ("window", "starts_at", "resets_at"),
    [
        ("hour", "2026-11-22T12:00:00Z", "2026-11-22T13:00:00Z"),
        ("day", "2026-11-21T23:00:00Z", "2026-11-22T23:00:00Z"),
        ("week", "2026-11-15T23:00:00Z", "2026-11-22T23:00:00Z"),
        ("month", "2026-10-31T23:00:00Z", "2026-11-30T23:00:00Z"),
        ("total", None, None),
    ],
)
def test_windows_follow_the_organisations_time_zone(
    api: Client, window: str, starts_at: str | None, resets_at: str | None
) -> None:
    Organisation.objects.create(time_zone="Europe/Berlin")
    budget = add_budget("all", window=window)
    use(budget, "", starts_at.removesuffix("Z") if starts_at else None, CENT)

    (told,) = budgets(api)

    assert (told["window"], told["window_starts_at"], told["resets_at"]) == (window, starts_at, resets_at)
    assert told["spent_usd"] == "0.01"


def test_a_window_of_seconds_is_a_number(api: Client) -> None:
    add_budget("all", window="7200")

    (told,) = budgets(api)

    assert (told["window"], told["resets_at"]) == (7200, "2026-11-22T14:00:00Z")


def test_no_budgets_are_an_empty_list(api: Client) -> None:
    assert budgets(api) == []


def test_the_list_takes_seven_queries_however_many_budgets(
    api: Client, django_assert_num_queries: DjangoAssertNumQueries
) -> None:
    team, openai = Team.objects.create(name="research"), add_provider("openai")
    for index in range(5):
        use(add_budget(f"teams {index}", "team"), str(team.pk), "2026-11-01", CENT)
        use(add_budget(f"providers {index}", "provider"), str(openai.pk), "2026-11-01", CENT)

    with django_assert_num_queries(7):  # the key, budgets, time zone, raises, windows, names of teams and of providers
        api.get("/api/budgets")
