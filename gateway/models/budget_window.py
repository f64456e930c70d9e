"""How much of a budget is spent and reserved, per subject and window, and who holds the reservations."""

from __future__ import annotations

from django.db import models

from gateway.models.fields import UsdField


class BudgetWindow(models.Model):
    """Spent and reserved of one budget for one subject in one window.

    For a blocking budget `spent + reserved ≤ limit` at every moment.
    """

    budget_id = models.BigIntegerField()
    subject = models.CharField(max_length=160, default="", blank=True)
    window_epoch = models.BigIntegerField(
        help_text="start of the window, seconds since 1970; 0 for a budget without end"
    )
    spent_usd = UsdField("spent (USD)", default=0)
    reserved_usd = UsdField("reserved (USD)", default=0)
    # The spend at which somebody last looked whether a threshold was crossed. The ledger never writes it.
    checked_usd = UsdField("looked at (USD)", default=0, db_default=0, editable=False)

    class Meta:
        db_table = "llmops_budget_window"
        constraints = [
            models.UniqueConstraint(fields=["budget_id", "subject", "window_epoch"], name="budget_window_key"),
        ]
        indexes = [
            # Only what was spent from since the last look: finding it costs the same with a million windows.
            models.Index(
                fields=["id"], name="budget_window_unchecked", condition=models.Q(spent_usd__gt=models.F("checked_usd"))
            ),
        ]

    def __str__(self) -> str:
        return f"budget {self.budget_id} {self.subject} {self.window_epoch}"


class BudgetReservation(models.Model):
    """Room held by an unsettled completion in one budget window; gone once it is settled."""

    completion_id = models.CharField(max_length=40)
    budget_id = models.BigIntegerField()
    subject = models.CharField(max_length=160, default="", blank=True)
    window_epoch = models.BigIntegerField()
    amount_usd = UsdField("amount (USD)")

    class Meta:
        db_table = "llmops_budget_reservation"
        constraints = [
            models.UniqueConstraint(fields=["completion_id", "budget_id", "subject"], name="budget_reservation_key"),
        ]

    def __str__(self) -> str:
        return f"{self.completion_id} holds {self.amount_usd}"
