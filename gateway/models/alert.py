"""What was worth telling, and whether everybody who asked for it was told."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from gateway.models.words import AlertEvent, choices


class Alert(models.Model):
    """Something that is or was wrong with one subject (a provider, a budget), from its opening to its end: an incident.

    `opened_by` names what it was derived from: deriving it again changes nothing. `closed_by` is the id of the row that
    ended it. `closes_at` is its end where that is known beforehand, such as a budget's reset. `details` are what its
    kind needs to go on, and `link` what it is about: `budget 3`, `provider openai`.
    """

    kind = models.CharField(max_length=32, choices=choices(AlertEvent))
    subject = models.CharField(max_length=300)
    message = models.TextField()
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    opened_by = models.CharField(max_length=400)
    closed_by = models.BigIntegerField(null=True, blank=True)
    closes_at = models.DateTimeField(null=True, blank=True)
    details = models.JSONField(default=dict, blank=True)
    link = models.CharField(max_length=120, default="", blank=True)
    acknowledged_at = models.DateTimeField(null=True, blank=True)
    acknowledged_by = models.CharField(max_length=150, default="", blank=True)
    note = models.CharField("note", max_length=500, default="", blank=True)

    class Meta:
        db_table = "llmops_alert"
        ordering = ["-opened_at"]
        verbose_name = "incident"
        constraints = [
            models.UniqueConstraint(fields=["kind", "opened_by"], name="alert_cause"),
            models.UniqueConstraint(
                fields=["kind", "subject"], condition=Q(closed_at__isnull=True), name="alert_open_once"
            ),
        ]
        indexes = [
            models.Index(fields=["-opened_at"], name="alert_recent"),
            models.Index(fields=["kind", "subject"], name="alert_of_subject"),
        ]

    def __str__(self) -> str:
        return f"{self.kind}: {self.subject}"


class AlertDelivery(models.Model):
    """One message to one channel. It is due while neither `delivered_at` nor `given_up_at` is set."""

    alert = models.ForeignKey(Alert, models.CASCADE, related_name="deliveries")
    event = models.CharField(max_length=32, choices=choices(AlertEvent))
    channel_id = models.BigIntegerField()
    channel_name = models.CharField("channel", max_length=100)
    title = models.CharField(max_length=350)
    body = models.TextField()
    tries = models.PositiveSmallIntegerField(default=0)
    next_try_at = models.DateTimeField()
    delivered_at = models.DateTimeField(null=True, blank=True)
    given_up_at = models.DateTimeField(null=True, blank=True)
    last_error = models.CharField(max_length=300, default="", blank=True)

    class Meta:
        db_table = "llmops_alert_delivery"
        verbose_name = "alert message"
        constraints = [
            models.UniqueConstraint(fields=["alert", "event", "channel_id"], name="alert_delivery_once"),
        ]
        indexes = [
            models.Index(
                fields=["next_try_at"],
                name="alert_delivery_due",
                condition=Q(delivered_at__isnull=True, given_up_at__isnull=True),
            ),
        ]

    def __str__(self) -> str:
        return f"{self.title} → {self.channel_name}"


class AlertCursor(models.Model):
    """How far a source of alerts has been read.

    Rows become visible in the order of their commits, not of their ids: `position` is below every row that may still
    appear, and `seen` lists the ids above it that have been read, each with the time (seconds since 1970) of reading.
    """

    source = models.CharField(primary_key=True, max_length=40)
    position = models.BigIntegerField(default=0)
    seen = models.JSONField(default=list)

    class Meta:
        db_table = "llmops_alert_cursor"

    def __str__(self) -> str:
        return f"{self.source} {self.position}"
