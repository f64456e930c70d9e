"""What alerts still say: those that nothing has closed yet, and messages that never arrived."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count, Max

from gateway.models.alert import Alert, AlertDelivery

LOOK_BACK = timedelta(days=7)
OPEN_ALERTS = 10
# Pages say these from their own sources, at the moment of reading.
_TOLD_ELSEWHERE = ("breaker_", "budget_", "objective_", "ledger_spool", "drill_", "model_")


@dataclass(frozen=True, slots=True)
class UndeliveredAlerts:
    """Messages to one channel that were given up since `LOOK_BACK`."""

    channel: str
    messages: int
    last_at: datetime


def alerts_open() -> tuple[Alert, ...]:
    """The newest `OPEN_ALERTS` that nothing else on a page tells of. One query."""
    rows = Alert.objects.filter(closed_at__isnull=True).order_by("-opened_at")
    for beginning in _TOLD_ELSEWHERE:
        rows = rows.exclude(kind__startswith=beginning)
    return tuple(rows[:OPEN_ALERTS])


def alerts_undelivered(*, now: datetime) -> tuple[UndeliveredAlerts, ...]:
    """By channel's name. One query."""
    given_up = AlertDelivery.objects.filter(given_up_at__gte=now - LOOK_BACK)
    rows = given_up.values_list("channel_name").annotate(count=Count("pk"), last=Max("given_up_at"))
    return tuple(UndeliveredAlerts(*row) for row in rows.order_by("channel_name"))
