"""Calls that nobody asked for but us: to see how a provider is doing."""

from __future__ import annotations

from django.db import models


class HealthProbe(models.Model):
    """One call and what came of it. Bounded: a provider's oldest rows go (gateway/services/provider_health.py)."""

    provider = models.CharField(max_length=100)
    at = models.DateTimeField()
    actor = models.CharField("who", max_length=150, help_text="who pressed Test now; empty for the schedule's")
    asked = models.CharField(max_length=200, help_text="the model that was called, or the list of models")
    ok = models.BooleanField("worked", default=False)
    outcome = models.CharField(max_length=24, help_text="ok, or the kind of failure")
    words = models.CharField("in words", max_length=600)
    status = models.PositiveSmallIntegerField(null=True)
    latency_ms = models.PositiveIntegerField(default=0)

    class Meta:
        db_table = "llmops_health_probe"
        indexes = [models.Index(fields=["provider", "-at"], name="health_probe_recent")]

    def __str__(self) -> str:
        return f"{self.provider}: {self.words}"


class HealthProbeTurn(models.Model):
    """When a provider's next scheduled probe is due. Moving it on is how one prober of the fleet claims it."""

    provider_id = models.BigIntegerField(primary_key=True)
    due_at = models.DateTimeField()

    class Meta:
        db_table = "llmops_health_probe_turn"

    def __str__(self) -> str:
        return f"{self.provider_id} at {self.due_at}"
