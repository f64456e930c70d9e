"""Fire drills: faults that operations inject on purpose for a while. Rows are kept: they are the drill's history."""

from __future__ import annotations

from datetime import datetime, timedelta

from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Coalesce, Least

from gateway.engine.drill import DrillFault

LONGEST_SECONDS = 3600
_LONGEST = timedelta(seconds=LONGEST_SECONDS)
FAULT_WORDS = {
    DrillFault.UNAVAILABLE: "503: the provider says it is unavailable",
    DrillFault.RATE_LIMITED: "429: the provider says we ask too often",
    DrillFault.TIMEOUT: "no answer: the provider stays silent until the time-out",
    DrillFault.SLOW_FIRST_TOKEN: "slow first token: the answer begins 20 s late (really calls and pays the provider)",
    DrillFault.CUT_STREAM: "cut answer: it breaks off after its first words (really calls and pays the provider)",
    DrillFault.MALFORMED: "malformed: the answer can't be read (really calls and pays the provider)",
}


class DrillQuerySet(models.QuerySet["Drill"]):
    def running(self, now: datetime) -> DrillQuerySet:
        """Begun, not stopped, and not over by the clock."""
        return self.filter(stopped_at__isnull=True, starts_at__lte=now, ends_at__gt=now)

    def ended_between(self, start: datetime, end: datetime) -> DrillQuerySet:
        """Drills whose end lies in `start` (not included) to `end` (included), the first ended first."""
        ended = self.annotate(ended_at=Least("ends_at", Coalesce("stopped_at", "ends_at")))
        return ended.filter(ended_at__gt=start, ended_at__lte=end).order_by("ended_at", "pk")


class Drill(models.Model):
    """One drill. It ends by itself at `ends_at`, whoever is still alive then; `stopped_at` is an earlier end.

    Without a provider it concerns the first target of the route; without a route all of them; without keys every key.
    """

    provider = models.ForeignKey(
        "gateway.Provider",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Who seems to be broken. Empty: whoever is the first target of the route.",
    )
    route = models.ForeignKey(
        "gateway.Route",
        models.PROTECT,
        null=True,
        blank=True,
        related_name="+",
        help_text="Only requests of this route. Empty: every route that uses the provider.",
    )
    fault = models.CharField(
        max_length=24,
        choices=[(fault.value, words) for fault, words in FAULT_WORDS.items()],
        help_text="What agents' requests run into.",
    )
    share_percent = models.PositiveSmallIntegerField(
        "share of requests (%)",
        default=10,
        validators=[MinValueValidator(1), MaxValueValidator(100)],
        help_text="How many of the requests are drilled, 1 to 100. The others notice nothing.",
    )
    keys = models.ManyToManyField(
        "gateway.ApiKey",
        blank=True,
        db_table="llmops_drill_key",
        verbose_name="API keys",
        help_text="Only requests of these keys. None chosen: every key.",
    )
    note = models.CharField(max_length=200, blank=True, help_text="Why, for whoever reads the report later.")
    alerts = models.BooleanField(
        "send real alerts",
        default=False,
        help_text="Alert channels hear of the drill's breaker, marked as a drill. Off: nobody is woken.",
    )
    starts_at = models.DateTimeField(editable=False)
    ends_at = models.DateTimeField(editable=False)
    started_by = models.CharField(max_length=150, editable=False)
    stopped_at = models.DateTimeField(null=True, blank=True, editable=False)
    stopped_by = models.CharField(max_length=150, blank=True, editable=False)

    objects = DrillQuerySet.as_manager()

    class Meta:
        db_table = "llmops_drill"
        verbose_name = "fire drill"
        indexes = [models.Index(fields=["-starts_at"], name="drill_recent")]
        constraints = [
            models.CheckConstraint(
                condition=Q(provider__isnull=False) | Q(route__isnull=False),
                name="drill_concerns_something",
                violation_error_message="A drill needs a provider, a route, or both.",
            ),
            models.CheckConstraint(
                condition=Q(share_percent__gte=1, share_percent__lte=100),
                name="drill_share",
                violation_error_message="The share of requests must be 1 to 100 %.",
            ),
            models.CheckConstraint(
                condition=Q(ends_at__gt=F("starts_at"), ends_at__lte=F("starts_at") + _LONGEST),
                name="drill_is_bounded",
                violation_error_message="A drill lasts at most an hour.",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.pk}: {self.fault} at {self.subject}"

    @property
    def subject(self) -> str:
        """What it concerns, in words."""
        if self.provider is None:
            return f"the first target of route {self.route.name}" if self.route is not None else "nothing"
        return self.provider.name if self.route is None else f"{self.provider.name} (route {self.route.name})"

    @property
    def ends(self) -> datetime:
        """When it ended, or will."""
        return self.ends_at if self.stopped_at is None else min(self.ends_at, self.stopped_at)

    def running(self, now: datetime) -> bool:
        return self.starts_at <= now < self.ends
