"""What users thought of an answer: `POST /v1/feedback`."""

from __future__ import annotations

from django.db import models
from django.db.models import Q

from gateway.models.completion import Completion

MAX_NOTE_CHARACTERS = 2_000
GOOD, BAD = 1, -1


class Feedback(models.Model):
    """One API key's last word on one completion. `note` is the client's text, in plain."""

    completion = models.ForeignKey(
        Completion, models.CASCADE, db_constraint=False, related_name="feedback", db_index=False
    )
    api_key_id = models.BigIntegerField()
    api_key_name = models.CharField("API key", max_length=100)
    score = models.SmallIntegerField(choices=[(GOOD, "thumbs up"), (BAD, "thumbs down")])
    note = models.CharField(max_length=MAX_NOTE_CHARACTERS, default="", blank=True)
    created_at = models.DateTimeField()
    updated_at = models.DateTimeField()

    class Meta:
        db_table = "llmops_feedback"
        verbose_name_plural = "feedback"
        constraints = [
            models.UniqueConstraint(fields=["completion", "api_key_id"], name="feedback_once_per_key"),
            models.CheckConstraint(condition=Q(score__in=(BAD, GOOD)), name="feedback_score"),
        ]
        indexes = [models.Index(fields=["-updated_at"], name="feedback_recent")]

    def __str__(self) -> str:
        return f"{self.get_score_display()} for {self.completion_id}"
