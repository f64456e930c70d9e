"""What holds for the whole organisation: its time zone and the service levels it is run by. One row."""

from __future__ import annotations

from decimal import Decimal
from zoneinfo import available_timezones

from django.core.exceptions import ValidationError
from django.db import models
from django.db.models import Q

from gateway import bounds
from gateway.models.base import inside, within
from gateway.models.fields import UsdField

ONLY_ROW = 1
DEFAULT_COMPLETIONS_DAYS = 400  # a year, and a month to compare it with

DEFAULT_ALERT_MINIMUM_COMPLETIONS = 50
DEFAULT_ALERT_MINIMUM_FAILURES = 3
DEFAULT_ALERT_FALLBACK_RATE_PERCENT = 20


class Organisation(models.Model):
    id = models.PositiveSmallIntegerField(primary_key=True, default=ONLY_ROW, editable=False)
    time_zone = models.CharField(
        max_length=64, default="UTC", help_text="Budgets' days, weeks and months follow it, such as Europe/Berlin."
    )
    availability_percent = models.DecimalField(
        max_digits=7,
        decimal_places=4,
        default=Decimal("99.9"),
        validators=inside(bounds.OBJECTIVE_PERCENT),
        help_text="Objective: share of requests that are answered.",
    )
    fallback_success_percent = models.DecimalField(
        max_digits=7,
        decimal_places=4,
        default=Decimal(95),
        validators=inside(bounds.OBJECTIVE_PERCENT),
        help_text="Objective: share of fallbacks that end in an answer.",
    )
    mean_latency_seconds = models.DecimalField(
        max_digits=10,
        decimal_places=3,
        default=Decimal(2),
        validators=inside(bounds.OBJECTIVE_SECONDS),
        help_text="Objective: average response time (a stream: time to its first content).",
    )
    conversation_cost_usd = UsdField(
        "conversation cost (USD)",
        default=Decimal("0.5"),
        validators=inside(bounds.LIMIT_USD),
        help_text="Objective: average cost of a conversation.",
    )
    alert_minimum_completions = models.PositiveIntegerField(
        "fewest requests to judge by",
        default=DEFAULT_ALERT_MINIMUM_COMPLETIONS,
        validators=inside(bounds.ALERT_MINIMUM_COMPLETIONS),
        help_text="An objective or the fallback rate is told as missed only from so many requests on.",
    )
    alert_minimum_failures = models.PositiveIntegerField(
        "fewest failures to tell",
        default=DEFAULT_ALERT_MINIMUM_FAILURES,
        validators=inside(bounds.ALERT_MINIMUM_FAILURES),
        help_text="A missed availability or fallback objective is told only from so many failed requests on.",
    )
    alert_fallback_rate_percent = models.PositiveSmallIntegerField(
        "high fallback rate (%)",
        null=True,
        blank=True,
        default=DEFAULT_ALERT_FALLBACK_RATE_PERCENT,
        validators=inside(bounds.ALERT_FALLBACK_RATE_PERCENT),
        help_text="Tell when so many percent of the last ten minutes' requests left their first target. Empty: never.",
    )
    completions_days = models.PositiveIntegerField(
        "days to keep requests",
        null=True,
        blank=True,
        default=DEFAULT_COMPLETIONS_DAYS,
        validators=inside(bounds.RETENTION_DAYS),
        help_text="Single requests and conversations older than this are deleted; sums by hour and day stay. "
        "Empty: nothing is ever deleted.",
    )

    class Meta:
        db_table = "llmops_organisation"
        verbose_name_plural = "organisation"
        constraints = [
            models.CheckConstraint(condition=Q(id=ONLY_ROW), name="organisation_one_row"),
            within(
                "organisation_numbers",
                availability_percent=bounds.OBJECTIVE_PERCENT,
                fallback_success_percent=bounds.OBJECTIVE_PERCENT,
                mean_latency_seconds=bounds.OBJECTIVE_SECONDS,
                conversation_cost_usd=bounds.LIMIT_USD,
                completions_days=bounds.RETENTION_DAYS,
            ),
            within(
                "organisation_alert_numbers",
                alert_minimum_completions=bounds.ALERT_MINIMUM_COMPLETIONS,
                alert_minimum_failures=bounds.ALERT_MINIMUM_FAILURES,
                alert_fallback_rate_percent=bounds.ALERT_FALLBACK_RATE_PERCENT,
            ),
        ]

    def __str__(self) -> str:
        return "organisation"

    def clean(self) -> None:
        if self.time_zone not in available_timezones():
            raise ValidationError({"time_zone": "Not a known time zone; write it like Europe/Berlin or UTC."})


def organisation_current() -> Organisation:
    """The one row, or its defaults (unsaved) where nobody has set anything."""
    return Organisation.objects.filter(pk=ONLY_ROW).first() or Organisation()
