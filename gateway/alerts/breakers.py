"""Alerts about breakers, derived from their transitions: one when a breaker opens, closed when it closes again.

A breaker that goes from half-open back to open has not opened anew. Deriving twice changes nothing, and any number of
processes may do it: the cursor's row is locked meanwhile.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from django.db import transaction

from gateway.alerts.outbox import announce
from gateway.engine.words import BreakerState
from gateway.models import Alert, AlertCursor, BreakerTransition
from gateway.models.words import AlertEvent

SOURCE = "breaker_transitions"
ROWS_PER_SWEEP = 500
LATE_COMMIT_SECONDS = 60  # a transition's row may become visible this long after rows with higher ids


def breaker_alerts_derive(*, now: datetime) -> int:
    """Reads the transitions that nobody has read yet; returns how many alerts were opened or closed."""
    with transaction.atomic():
        AlertCursor.objects.get_or_create(source=SOURCE)
        cursor = AlertCursor.objects.select_for_update().get(source=SOURCE)
        unread = BreakerTransition.objects.filter(id__gt=cursor.position).exclude(id__in=cursor.seen)
        rows = list(unread.order_by("id")[:ROWS_PER_SWEEP])
        changed = sum(_derive(row, now) for row in rows)
        if rows or cursor.seen:
            _advance(cursor, rows, now)
    return changed


def _derive(row: BreakerTransition, now: datetime) -> bool:
    if row.to_state == BreakerState.OPEN and row.from_state == BreakerState.CLOSED:
        return _open(row, now)
    if row.to_state == BreakerState.CLOSED:
        return _close(row, now)
    return False


def _open(row: BreakerTransition, now: datetime) -> bool:
    if _open_alert(row.provider) is not None:
        return False
    alert = Alert.objects.create(
        kind=AlertEvent.BREAKER_OPENED,
        subject=row.provider,
        message=_opened_message(row),
        opened_at=row.at,
        opened_by=row.pk,
    )
    announce(alert, AlertEvent.BREAKER_OPENED, alert.message, now=now)
    return True


def _close(row: BreakerTransition, now: datetime) -> bool:
    alert = _open_alert(row.provider)
    if alert is None:
        return False
    alert.closed_at = row.at
    alert.closed_by = row.pk
    alert.save(update_fields=["closed_at", "closed_by"])
    announce(alert, AlertEvent.BREAKER_CLOSED, _closed_message(alert, row), now=now)
    return True


def _open_alert(provider: str) -> Alert | None:
    return Alert.objects.filter(kind=AlertEvent.BREAKER_OPENED, subject=provider, closed_at__isnull=True).first()


def _opened_message(row: BreakerTransition) -> str:
    last_error = f" Last error: {row.last_error}" if row.last_error else ""
    return f"The breaker of {row.provider} opened: {row.cause}. Requests go to the next target.{last_error}"


def _closed_message(alert: Alert, row: BreakerTransition) -> str:
    seconds = max(0, round((row.at - alert.opened_at).total_seconds()))
    return f"The breaker of {row.provider} closed after {seconds} s: {row.cause}. Requests go to it again."


def _advance(cursor: AlertCursor, rows: list[BreakerTransition], now: datetime) -> None:
    """Moves the position up to the first row that is young enough to have neighbours still to come."""
    known = sorted({*cursor.seen, *(row.pk for row in rows)})
    settled_before = now - timedelta(seconds=LATE_COMMIT_SECONDS)
    young = BreakerTransition.objects.filter(id__in=known, at__gte=settled_before).order_by("id").values_list("id")
    first_young = young.first()
    old = [pk for pk in known if first_young is None or pk < first_young[0]]
    cursor.position = max([cursor.position, *old])
    cursor.seen = [pk for pk in known if pk > cursor.position]
    cursor.save(update_fields=["position", "seen"])
