"""Breaker states as rows, for people and for processes that don't serve requests."""

from __future__ import annotations

from django.db import models

from gateway.engine.words import BreakerState

_STATES = [(word.value, word.value.replace("_", " ")) for word in BreakerState]


class BreakerStatus(models.Model):
    """The latest known state of a provider's breaker."""

    provider = models.CharField(max_length=100, primary_key=True)
    state = models.CharField(max_length=12, choices=_STATES, default=BreakerState.CLOSED.value)
    since = models.DateTimeField()
    consecutive_failures = models.PositiveIntegerField(default=0)
    failure_rate = models.FloatField(default=0, help_text="share of failed attempts over the sliding window, 0 to 1")
    opened_at = models.DateTimeField(null=True)
    next_probe_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="", blank=True)

    class Meta:
        db_table = "llmops_breaker_status"
        verbose_name_plural = "breaker states"

    def __str__(self) -> str:
        return f"{self.provider}: {self.state}"


class BreakerTransition(models.Model):
    """One change of a breaker's state and its cause."""

    provider = models.CharField(max_length=100)
    at = models.DateTimeField()
    from_state = models.CharField(max_length=12, choices=_STATES)
    to_state = models.CharField(max_length=12, choices=_STATES)
    cause = models.CharField(max_length=300)
    consecutive_failures = models.PositiveIntegerField(default=0)
    last_error = models.TextField(default="", blank=True)
    request_id = models.CharField(max_length=40, default="", blank=True)
    drill_id = models.BigIntegerField("fire drill", null=True, help_text="whose breaker it was; empty: the real one")

    class Meta:
        db_table = "llmops_breaker_transition"
        indexes = [
            models.Index(fields=["provider", "-at"], name="breaker_timeline"),
            models.Index(
                fields=["drill_id", "at"], name="breaker_of_drill", condition=models.Q(drill_id__isnull=False)
            ),
        ]

    def __str__(self) -> str:
        drill = "" if self.drill_id is None else f" (drill {self.drill_id})"
        return f"{self.provider}{drill}: {self.from_state} → {self.to_state}"
