"""Deletes what is older than it shall be kept, in short transactions, so that requests never wait long for it.

What has not been added up yet is left alone: the sums by hour and day outlive the rows they were made of.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.ledger.turns import short_transaction
from gateway.models.budget_window import BudgetReservation
from gateway.models.completion import Attempt, Completion, Conversation, Fallback
from gateway.models.feedback import Feedback
from gateway.models.organisation import organisation_current
from gateway.models.rollup import UsageHourChanged, UsageProgress
from gateway.models.stored_content import StoredContent
from gateway.selectors.outcomes import PENDING

ROWS_PER_TRANSACTION = 200
TRANSACTIONS_PER_RUN = 100


def completions_prune(*, now: datetime) -> int:
    """How many completions were deleted. May run any number of times, also at the same time."""
    before = _prune_before(now)
    if before is None:
        return 0
    deleted = 0
    for _ in range(TRANSACTIONS_PER_RUN):
        count = _chunk_delete(before)
        deleted += count
        if count < ROWS_PER_TRANSACTION:
            break
    _conversations_delete(before)
    return deleted


def _prune_before(now: datetime) -> datetime | None:
    """What began before may go, or None."""
    days = organisation_current().completions_days
    progress = UsageProgress.objects.first()
    if days is None or progress is None or progress.until is None:
        return None
    changed = UsageHourChanged.objects.order_by("starts_at").first()
    latest = now - timedelta(days=days)
    return min(latest, progress.until, changed.starts_at if changed else latest)


@short_transaction()
def _chunk_delete(before: datetime) -> int:
    old = Completion.objects.filter(created_at__lt=before).exclude(PENDING).order_by("created_at")
    ids = list(old.values_list("pk", flat=True)[:ROWS_PER_TRANSACTION])
    for rows in (Attempt.objects, Fallback.objects, Feedback.objects, BudgetReservation.objects, StoredContent.objects):
        rows.filter(completion_id__in=ids).delete()
    Completion.objects.filter(pk__in=ids).delete()
    return len(ids)


def _conversations_delete(before: datetime) -> None:
    old = Conversation.objects.filter(last_seen_at__lt=before).order_by("last_seen_at")
    for _ in range(TRANSACTIONS_PER_RUN):
        ids = list(old.values_list("pk", flat=True)[:ROWS_PER_TRANSACTION])
        with short_transaction():
            Conversation.objects.filter(pk__in=ids, last_seen_at__lt=before).delete()
        if len(ids) < ROWS_PER_TRANSACTION:
            return
