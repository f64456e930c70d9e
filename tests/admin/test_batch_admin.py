"""Batches in the back office: looked at and cancelled, never edited."""

from __future__ import annotations

from datetime import timedelta
from decimal import Decimal

import pytest
from django.test import Client
from django.utils import timezone

from gateway.models import Batch, BatchJob, BatchLine, ConfigurationChange


@pytest.fixture
def batch(db: None) -> Batch:
    """Two lines answered, one under way."""
    now = timezone.now()
    batch = Batch.objects.create(
        id="batch_1",
        wire="openai",
        operation="chat",
        team_name="research",
        api_key_id=1,
        api_key_name="agents",
        state="in_progress",
        input_file_id="file-1",
        line_count=3,
        created_at=now,
        expires_at=now + timedelta(days=1),
        lease_until=now,
    )
    BatchJob.objects.create(
        batch=batch, provider="openai", model="gpt-4-turbo", token="job_1", state="running", created_at=now
    )
    for number, outcome in enumerate(("succeeded", "succeeded", ""), start=1):
        BatchLine.objects.create(
            batch=batch,
            number=number,
            custom_id=f"line-{number}",
            state="done" if outcome else "sent",
            outcome=outcome,
            completion_id=f"req_{number}",
            cost_usd=Decimal("0.25") if outcome else Decimal(0),
            reserved_usd=Decimal("0.75"),
            request=b"secret",
        )
    return batch


def test_the_list_tells_progress_and_cost(operations: Client, batch: Batch) -> None:
    page = operations.get("/admin/gateway/batch/").content.decode()
    assert "2 of 3" in page
    assert "$0.5" in page


def test_a_batch_shows_its_parts_and_what_it_still_holds(operations: Client, batch: Batch) -> None:
    page = operations.get("/admin/gateway/batch/batch_1/change/").content.decode()
    assert "2 succeeded, 0 errored, 0 expired, 0 cancelled" in page
    assert "$0.75" in page
    assert "gpt-4-turbo" in page


def test_cancelling_asks_for_no_more_of_it(operations: Client, batch: Batch) -> None:
    operations.post("/admin/gateway/batch/", {"action": "cancel", "_selected_action": ["batch_1"]})
    batch.refresh_from_db()
    assert batch.cancelling_at is not None


def test_the_history_tells_once_who_cancelled(operations: Client, batch: Batch) -> None:
    for _ in range(2):
        operations.post("/admin/gateway/batch/", {"action": "cancel", "_selected_action": ["batch_1"]})
    (row,) = ConfigurationChange.objects.filter(section="batches")
    assert (row.name, row.after) == ("batch_1", "cancelled")
    assert row.actor
