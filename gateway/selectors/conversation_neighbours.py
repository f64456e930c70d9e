"""The requests before and after one in its conversation."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from django.db.models import Q, QuerySet

from gateway.models import Completion


@dataclass(frozen=True, slots=True)
class Neighbours:
    """Request ids; None at either end."""

    before: str | None
    after: str | None


def conversation_neighbours(*, request_id: str, team_id: int, conversation: str, created_at: datetime) -> Neighbours:
    """Two queries, along the conversation's index; none for a request that named no conversation."""
    if not conversation:
        return Neighbours(None, None)
    rows = Completion.objects.filter(team_id=team_id, conversation=conversation)
    earlier = rows.filter(created_at__lte=created_at).filter(Q(created_at__lt=created_at) | Q(pk__lt=request_id))
    later = rows.filter(created_at__gte=created_at).filter(Q(created_at__gt=created_at) | Q(pk__gt=request_id))
    return Neighbours(_first(earlier.order_by("-created_at", "-pk")), _first(later.order_by("created_at", "pk")))


def _first(rows: QuerySet[Completion]) -> str | None:
    return next(iter(rows.values_list("pk", flat=True)[:1]), None)
