"""Deletes incidents that are over since long, with their messages, in short transactions.

Open ones stay. So do those of budgets that never reset: their windows are looked at with every spending, and the
incident is what says that it has been told.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db.models import Q

from gateway.ledger.turns import short_transaction
from gateway.models import Alert
from gateway.models.organisation import organisation_current
from gateway.models.words import AlertEvent

INCIDENTS_PER_TRANSACTION = 200
TRANSACTIONS_PER_RUN = 100
# A model's coming retirement is told 30 days ahead, once, whatever routes do meanwhile.
LEAST_DAYS = 40
# As `WatchedWindow.cause` writes a window that never resets: it began at second 0.
_ENDLESS = Q(kind=AlertEvent.BUDGET_BLOCKED, opened_by__endswith=" 0") | Q(
    kind=AlertEvent.BUDGET_THRESHOLD, opened_by__regex=r" 0 [0-9]+$"
)


def incidents_prune(*, now: datetime) -> int:
    """How many were deleted. May run any number of times, also at the same time."""
    days = organisation_current().completions_days
    if days is None:
        return 0
    before = now - timedelta(days=max(days, LEAST_DAYS))
    deleted = 0
    for _ in range(TRANSACTIONS_PER_RUN):
        count = _chunk_delete(before)
        deleted += count
        if count < INCIDENTS_PER_TRANSACTION:
            break
    return deleted


@short_transaction()
def _chunk_delete(before: datetime) -> int:
    # By the index of openings: nothing closes before it opens.
    over = Alert.objects.filter(opened_at__lt=before, closed_at__lt=before).exclude(_ENDLESS).order_by("opened_at")
    ids = list(over.values_list("pk", flat=True)[:INCIDENTS_PER_TRANSACTION])
    Alert.objects.filter(pk__in=ids).delete()
    return len(ids)
