"""Budgets: who may spend how much, and what happens at the limit."""

from __future__ import annotations

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from gateway.admin.base import NOT_IN_FORCE, ConfigurationAdmin, ConfigurationForm
from gateway.admin.fields import PercentsField
from gateway.ledger.money import usd_text
from gateway.models import Budget
from gateway.models.budget import SUBJECT_COLUMNS, default_alert_percents
from gateway.models.words import BudgetScope


class BudgetForm(ConfigurationForm):
    alert_at_percent = PercentsField(
        label="Tell at (percent)",
        initial=default_alert_percents,
        help_text="Tell when so many percent are spent, such as 50, 80, 100.",
    )

    class Meta:
        model = Budget
        exclude = ()

    def clean(self) -> dict[str, Any]:
        """Only the subject that belongs to the scope is kept; the form hides the others."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        for scope, column in SUBJECT_COLUMNS.items():
            if data.get("scope") != scope:
                data[column] = None
        return data


@admin.register(Budget)
class BudgetAdmin(ConfigurationAdmin):
    form = BudgetForm
    list_display = ("name", "scope", "whose", "window", "limit", "enforcement")
    list_filter = (*ConfigurationAdmin.list_filter, "scope", "enforcement")
    list_select_related = tuple(SUBJECT_COLUMNS.values())
    conditional_fields = {column: f"scope == '{scope}'" for scope, column in SUBJECT_COLUMNS.items()}
    fieldsets = (
        (None, {"fields": ("name", "scope", *SUBJECT_COLUMNS.values(), "window", "limit_usd", "enforcement")}),
        (
            "On the way there",
            {"fields": ("alert_at_percent", "step_down_at_percent", "shrink_output"), "description": NOT_IN_FORCE},
        ),
    )

    def formfield_for_foreignkey(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        kwargs["queryset"] = db_field.remote_field.model.objects.alive()
        return super().formfield_for_foreignkey(db_field, request, **kwargs)

    @admin.display(description="for")
    def whose(self, row: Budget) -> str:
        if row.scope == BudgetScope.GLOBAL:
            return "everybody together"
        return str(row.subject) if row.subject else f"each {row.get_scope_display()}"

    @admin.display(description="limit (USD)")
    def limit(self, row: Budget) -> str:
        return usd_text(row.limit_usd)
