"""A budget's limit raised for a while: by how much, until when, why and by whom."""

from __future__ import annotations

from django.db import models

from gateway import bounds
from gateway.models.base import LABEL, inside, within
from gateway.models.budget import Budget
from gateway.models.fields import UsdField


class BudgetRaise(models.Model):
    """Adds `amount_usd` to the limit, for each subject of the budget, from its making until `until`.

    It ends by itself, or earlier when somebody sets `until` to now. Several at once add up.
    """

    budget = models.ForeignKey(Budget, models.PROTECT, related_name="raises")
    amount_usd = UsdField("amount (USD)", validators=inside(bounds.LIMIT_USD))
    until = models.DateTimeField()
    reason = models.CharField(max_length=300, validators=[LABEL])
    made_by = models.CharField("by", max_length=150)
    created_at = models.DateTimeField()

    class Meta:
        db_table = "llmops_budget_raise"
        constraints = [within("budget_raise_amount", amount_usd=bounds.LIMIT_USD)]
        indexes = [models.Index(fields=["until"], name="budget_raise_until")]

    def __str__(self) -> str:
        return f"{self.budget} raised until {self.until:%Y-%m-%d %H:%M} UTC"
