"""`manage.py books` sees every sum that disagrees with its rows, and nothing where all agree."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from decimal import Decimal

import pytest

from gateway.models import BudgetReservation, BudgetWindow, Completion, Conversation, UsageCell
from gateway.selectors.books import books_audit
from gateway.services.rollups import rollups_refresh
from tests.selectors.rows import NOON, add_attempt, add_completion, add_conversation

pytestmark = pytest.mark.django_db

CENT = Decimal("0.01")


@pytest.fixture
def books() -> None:
    """Two requests of two days, one conversation, and a third request under way that holds room in a budget."""
    for number, days in enumerate((3, 1)):
        row = add_completion(f"r{number}", at=NOON - timedelta(days=days), cost_usd=CENT)
        add_attempt(row, 1, cost_usd=CENT)
    add_completion("r9", status="pending", conversation="c-2")
    add_conversation("c-1", cost_usd=2 * CENT, first_seen_at=NOON - timedelta(days=3))
    window = {"budget_id": 1, "subject": "", "window_epoch": 0}
    BudgetReservation.objects.create(completion_id="r9", amount_usd=CENT, **window)
    BudgetWindow.objects.create(reserved_usd=CENT, **window)
    rollups_refresh(now=NOON + timedelta(hours=2))


def test_books_that_agree_have_no_faults(books: None) -> None:
    audit = books_audit()
    assert (audit.completions, audit.cost_usd, audit.pending, audit.faults) == (3, 2 * CENT, 1, ())


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (
            lambda: Conversation.objects.update(cost_usd=CENT),
            "conversation c-1 (team 0) has 0.01 USD, its requests 0.02",
        ),
        (
            lambda: BudgetWindow.objects.update(reserved_usd=0),
            "budget 1 holds 0.00 USD reserved, requests under way 0.01 USD",
        ),
        (lambda: BudgetReservation.objects.all().delete(), "holds 0.01 USD reserved, requests under way 0.00 USD"),
        (lambda: Completion.objects.filter(pk="r1").update(cost_usd=0), "its requests are 0.00 USD"),
        (lambda: UsageCell.objects.filter(hours=24).update(cost_usd=5 * CENT), "is added up to 0.05 USD, its hours to"),
    ],
)
def test_a_sum_that_disagrees_is_told(books: None, spoil: Callable[[], object], said: str) -> None:
    spoil()
    assert said in "\n".join(books_audit().faults)


def test_totals_whose_rows_retention_deleted_are_no_fault(books: None) -> None:
    Completion.objects.filter(pk="r0").delete()
    assert books_audit().faults == ()
