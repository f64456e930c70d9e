"""A budget: how much may be spent by whom in which time, and what happens on the way there."""

from __future__ import annotations

import re
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from gateway import bounds
from gateway.models.base import LABEL, ConfigurationRow, inside, one_of, percents, unique_among_alive, within
from gateway.models.fields import UsdField
from gateway.models.provider import Provider
from gateway.models.route import Route
from gateway.models.team import ApiKey, Team
from gateway.models.words import BudgetScope, BudgetWindowUnit, Enforcement, choices

# The column that names the subject of a scope; the other scopes have none.
SUBJECT_COLUMNS = {
    BudgetScope.TEAM.value: "team",
    BudgetScope.API_KEY.value: "api_key",
    BudgetScope.ROUTE.value: "route",
    BudgetScope.PROVIDER.value: "provider",
}


def default_alert_percents() -> list[int]:
    return [50, 80, 100]


class Budget(ConfigurationRow):
    """`limit_usd` for each subject of `scope` (or for the one named) in each window."""

    name = models.CharField(max_length=100, validators=[LABEL])
    scope = models.CharField(
        max_length=14, choices=choices(BudgetScope), help_text="Whose spend is counted: everybody's, a team's, …"
    )
    team = models.ForeignKey(Team, models.PROTECT, null=True, blank=True, help_text="Empty: each team on its own.")
    api_key = models.ForeignKey(
        ApiKey, models.PROTECT, null=True, blank=True, verbose_name="API key", help_text="Empty: each key on its own."
    )
    route = models.ForeignKey(Route, models.PROTECT, null=True, blank=True, help_text="Empty: each route on its own.")
    provider = models.ForeignKey(
        Provider, models.PROTECT, null=True, blank=True, help_text="Empty: each provider on its own."
    )
    window = models.CharField(
        max_length=10,
        default=BudgetWindowUnit.MONTH.value,
        help_text="hour, day, week, month (in the organisation's time zone), total, or a number of seconds.",
    )
    limit_usd = UsdField("limit (USD)", validators=inside(bounds.LIMIT_USD))
    enforcement = models.CharField(
        max_length=8,
        choices=choices(Enforcement),
        default=Enforcement.BLOCK.value,
        help_text="At the limit: block refuses requests, alert only tells.",
    )
    alert_at_percent = models.JSONField(
        default=default_alert_percents, blank=True, help_text="Tell when so many percent are spent: [50, 80, 100]."
    )
    step_down_at_percent = models.PositiveSmallIntegerField(
        null=True,
        blank=True,
        validators=inside(bounds.STEP_DOWN_PERCENT),
        help_text="From this share on use the cheapest target. Empty: never.",
    )
    shrink_output = models.BooleanField(
        default=False, help_text="Shorten answers to what is left instead of refusing the request."
    )

    class Meta:
        db_table = "llmops_budget"
        ordering = ["name"]
        constraints = [
            unique_among_alive("budget_name_in_use", "name", label="budget"),
            one_of("scope", BudgetScope, "budget_scope"),
            one_of("enforcement", Enforcement, "budget_enforcement"),
            within("budget_numbers", limit_usd=bounds.LIMIT_USD, step_down_at_percent=bounds.STEP_DOWN_PERCENT),
            *(
                models.CheckConstraint(
                    condition=Q(scope=scope) | Q(**{f"{column}__isnull": True}),
                    name=f"budget_subject_{column}",
                    violation_error_message=f"Only a budget of scope {scope} may name a {column.replace('_', ' ')}.",
                )
                for scope, column in SUBJECT_COLUMNS.items()
            ),
        ]

    def __str__(self) -> str:
        return self.name

    @property
    def subject(self) -> Any:
        """The team, key, route or provider it is for, or None for each one."""
        column = SUBJECT_COLUMNS.get(self.scope)
        return getattr(self, column) if column else None

    @property
    def subject_id(self) -> int | None:
        column = SUBJECT_COLUMNS.get(self.scope)
        return getattr(self, f"{column}_id") if column else None

    def clean(self) -> None:
        problem = window_problem(self.window)
        if problem:
            raise ValidationError({"window": problem})
        percents(self.alert_at_percent, "alert_at_percent", bounds.ALERT_PERCENT)


def window_problem(window: str) -> str | None:
    """What is wrong with a budget's window, as a sentence, or None."""
    if window in set(BudgetWindowUnit):
        return None
    if re.fullmatch(r"[1-9][0-9]{0,8}", window) and bounds.WINDOW_SECONDS.holds(int(window)):
        return None
    return f"must be {', '.join(BudgetWindowUnit)} or a number of seconds, {bounds.WINDOW_SECONDS}"
