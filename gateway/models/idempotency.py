"""Answers kept for requests that may be sent again (`Idempotency-Key`)."""

from __future__ import annotations

from django.db import models


class IdempotencyRecord(models.Model):
    """One idempotency key of one API key's operation: first a claim with a lease, then the answer.

    `scope` and `body_hash` are SHA-256 in hex: neither the client's key nor its request is kept. `answer` is encrypted,
    and empty while the first request is under way.
    """

    scope = models.CharField(max_length=64, primary_key=True)
    body_hash = models.CharField(max_length=64)
    owner = models.CharField(max_length=64)
    claimed_until = models.DateTimeField()
    expires_at = models.DateTimeField(db_index=True)
    answer = models.TextField(default="", blank=True)

    class Meta:
        db_table = "llmops_idempotency_record"

    def __str__(self) -> str:
        return self.scope
