"""Rows of batches as intake and the worker leave them. Only what a test is about needs saying."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.utils import timezone

from gateway.models import Batch, BatchJob, BatchLine


def add_batch(name: str = "batch_1", *, at: datetime | None = None, **values: Any) -> Batch:
    """Of three lines, under way; it began `at`, now unless told otherwise."""
    at = at or timezone.now()
    defaults: dict[str, Any] = {
        "wire": "openai",
        "operation": "chat",
        "team_name": "research",
        "api_key_id": 1,
        "api_key_name": "agents",
        "state": "in_progress",
        "input_file_id": "file-1",
        "line_count": 3,
        "expires_at": at + timedelta(days=1),
        "lease_until": at,
    }
    return Batch.objects.create(id=name, created_at=at, **defaults | values)


def add_batch_with_lines(*outcomes: str) -> Batch:
    """One job, one line for each outcome; "" is under way. A succeeded line cost $0.25, every line reserved $0.75."""
    batch = add_batch(line_count=len(outcomes))
    BatchJob.objects.create(
        batch=batch, provider="openai", model="gpt-4-turbo", token="job_1", state="running", created_at=batch.created_at
    )
    for number, outcome in enumerate(outcomes, start=1):
        BatchLine.objects.create(
            batch=batch,
            number=number,
            custom_id=f"line-{number}",
            state="done" if outcome else "sent",
            outcome=outcome,
            completion_id=f"req_{number}",
            cost_usd=Decimal("0.25") if outcome == "succeeded" else Decimal(0),
            reserved_usd=Decimal("0.75"),
            request=b"secret",
        )
    return batch
