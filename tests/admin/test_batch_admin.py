"""Batches in the back office: looked at and cancelled, never edited."""

from __future__ import annotations

import pytest
from django.test import Client

from gateway.models import Batch, ConfigurationChange
from tests.batch_rows import add_batch_with_lines


@pytest.fixture
def batch(db: None) -> Batch:
    """Two lines answered, one under way."""
    return add_batch_with_lines("succeeded", "succeeded", "")


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
