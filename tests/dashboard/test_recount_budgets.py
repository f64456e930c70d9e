"""Budgets as shown equal the spend of the rows in their present windows, whose edges are the organisation's."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from django.test import Client

from gateway.models import Budget, BudgetWindow, Team
from tests.dashboard.recount import NOW, begun, both_databases, cost, day, shown_usd, text_of
from tests.selectors.rows import add_provider

RESERVED = Decimal("0.0021")
HOUR = datetime(2026, 10, 31, 23, tzinfo=UTC)
# Name: its window, where it begins, whose spend it counts; the month began half an hour ago, the week on a Monday.
BUDGETS: dict[str, tuple[str, datetime | None, dict[str, object]]] = {
    "all, month": ("month", day(11, 1), {}),
    "all, week": ("week", day(10, 26), {}),
    "all, day": ("day", day(11, 1), {}),
    "all, hour": ("hour", HOUR, {}),
    "all, ever": ("total", None, {}),
    "research, week": ("week", day(10, 26), {"team_name": "research"}),
}


@pytest.fixture(autouse=True)
def budgets(awkward: Client) -> None:
    """Each with its present window as the ledger keeps it, and with one before, which is over."""
    for name, (window, start, same) in BUDGETS.items():
        team = Team.objects.get(name="research") if same else None
        budget = Budget.objects.create(
            name=name, scope="team" if team else "global", team=team, window=window, limit_usd=Decimal("2.50")
        )
        subject, epoch = str(team.pk) if team else "", 0 if start is None else int(start.timestamp())
        add_window(budget, subject, epoch, spent(start, same), RESERVED)
        if start is not None:
            add_window(budget, subject, epoch - 3600 * 24 * 7, Decimal(99), Decimal(99))


def add_window(budget: Budget, subject: str, epoch: int, spent_usd: Decimal, reserved_usd: Decimal) -> None:
    BudgetWindow.objects.create(
        budget_id=budget.pk, subject=subject, window_epoch=epoch, spent_usd=spent_usd, reserved_usd=reserved_usd
    )


def spent(start: datetime | None, same: dict[str, object]) -> Decimal:
    return cost(begun(start or datetime(2000, 1, 1, tzinfo=UTC), NOW, **same))


@both_databases
def test_each_budget_on_the_spend_page_is_what_its_window_has_cost(awkward: Client) -> None:
    bars = {bar.use.standing.name: bar for bar in awkward.get("/spend/").context["budgets"]}

    assert set(bars) == set(BUDGETS)
    for name, (_, start, same) in BUDGETS.items():
        one, amount = bars[name].use.standing, spent(start, same)
        assert (one.spent_usd, one.reserved_usd) == (amount, RESERVED), name
        assert one.remaining_usd == Decimal("2.50") - amount - RESERVED
        assert bars[name].used == pytest.approx(float((amount + RESERVED) / Decimal("2.50")))


@both_databases
def test_scripts_are_told_the_same_of_budgets(awkward: Client) -> None:
    told: dict[str, dict[str, Any]] = {one["name"]: one for one in awkward.get("/api/budgets").json()}

    for name, (_, start, same) in BUDGETS.items():
        assert Decimal(told[name]["spent_usd"]) == spent(start, same), name
        assert Decimal(told[name]["reserved_usd"]) == RESERVED


def test_the_tile_of_the_month_tells_the_share_of_its_budget(awkward: Client) -> None:
    tiles = {tile.key: tile for tile in awkward.get("/dashboard/figures/").context["tiles"]}
    share = 100 * (spent(day(11, 1), {}) + RESERVED) / Decimal("2.50")

    assert tiles["spend-month"].note == f"{share:.1f} % of $2.50 used (all, month)"
    assert shown_usd(tiles["spend-month"].exact) == spent(day(11, 1), {})


def test_what_is_left_of_a_budget_is_not_shown_as_all_of_it_while_something_is_taken(awkward: Client) -> None:
    add_provider("openai")
    budget = Budget.objects.create(name="barely", scope="global", window="total", limit_usd=Decimal(10))
    add_window(budget, "", 0, Decimal("0.0000021"), Decimal(0))

    assert "$9.999997 $10.00 never" in text_of(awkward.get("/spend/").content.decode())
