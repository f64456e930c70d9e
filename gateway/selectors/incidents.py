"""Incidents as people and programs read them."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from gateway.models import Alert


@dataclass(frozen=True, slots=True)
class Incident:
    """`about` is what it concerns, as `budget 3`, `provider openai`, `drill 7`, or ""."""

    id: int
    kind: str
    subject: str
    message: str
    opened_at: datetime
    closed_at: datetime | None
    acknowledged_at: datetime | None
    acknowledged_by: str
    note: str
    about: str


def incident_list(*, open_only: bool, kind: str | None, limit: int) -> list[Incident]:
    """The newest first. One query."""
    rows = Alert.objects.order_by("-opened_at", "-pk")
    if open_only:
        rows = rows.filter(closed_at__isnull=True)
    if kind is not None:
        rows = rows.filter(kind=kind)
    return [incident_of(row) for row in rows[:limit]]


def incident_of(row: Alert) -> Incident:
    return Incident(
        id=row.pk,
        kind=row.kind,
        subject=row.subject,
        message=row.message,
        opened_at=row.opened_at,
        closed_at=row.closed_at,
        acknowledged_at=row.acknowledged_at,
        acknowledged_by=row.acknowledged_by,
        note=row.note,
        about=row.link,
    )
