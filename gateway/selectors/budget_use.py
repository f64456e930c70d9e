"""Budgets as pages show them: how much of each is used. Those of single conversations are told with conversations."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from gateway.models import Budget
from gateway.models.words import BudgetScope, Enforcement
from gateway.selectors.budget_status import BudgetStanding, standings_of

NEAR_ITS_END = Decimal("0.8")


@dataclass(frozen=True, slots=True)
class BudgetUse:
    """Shares are of the limit, 0 to 1, and beyond where only alerts hold."""

    id: int
    standing: BudgetStanding

    @property
    def spent_share(self) -> Decimal:
        return self._share(self.standing.spent_usd)

    @property
    def used_share(self) -> Decimal:
        """Spent and reserved."""
        return self._share(self.standing.spent_usd + self.standing.reserved_usd)

    @property
    def near_its_end(self) -> bool:
        return self.used_share >= NEAR_ITS_END

    @property
    def blocks(self) -> bool:
        return self.standing.enforcement == Enforcement.BLOCK

    @property
    def title(self) -> str:
        """`research month (research)`: the budget and whom it counts, where its name doesn't say so."""
        one = self.standing
        return one.name if one.subject is None or one.subject in one.name else f"{one.name} ({one.subject})"

    def _share(self, amount_usd: Decimal) -> Decimal:
        return amount_usd / self.standing.limit_usd if self.standing.limit_usd else Decimal(1)


def budget_uses(*, now: datetime, subjects_per_budget: int) -> tuple[BudgetUse, ...]:
    """The fullest first. At most eight queries."""
    rows = Budget.objects.alive().exclude(scope=BudgetScope.CONVERSATION.value)
    budgets = list(rows.select_related("team", "api_key", "route", "provider").order_by("name"))
    ids = {budget.name: budget.pk for budget in budgets}
    standings = standings_of(budgets, now=now, subjects_per_budget=subjects_per_budget)
    uses = (BudgetUse(ids[standing.name], standing) for standing in standings)
    return tuple(sorted(uses, key=lambda use: (-use.used_share, use.standing.name, use.standing.subject or "")))
