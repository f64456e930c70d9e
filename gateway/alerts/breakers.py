"""Alerts about breakers, derived from their transitions: one when a breaker opens, closed when it closes again.

A breaker that goes from half-open back to open has not opened anew. Deriving twice changes nothing, and any number of
processes may do it: the cursor's row is locked meanwhile. The breaker of a fire drill alerts only where the drill asks
for it, under a subject that says drill, and at the latest the end of the drill closes its alert.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any

from django.db import transaction

from gateway.alerts.outbox import announce
from gateway.engine.drill import lane_name, lane_parts
from gateway.engine.words import BreakerState
from gateway.models import Alert, AlertCursor, BreakerTransition, Drill
from gateway.models.words import AlertEvent

SOURCE = "breaker_transitions"
ROWS_PER_SWEEP = 500
# A row may become visible this long after one with a higher id has been read: longer than the ledger lets a transaction
# last. When the transition happened says nothing: its row may have waited for the database through a long outage.
LATE_COMMIT_SECONDS = 60


def breaker_alerts_derive(*, now: datetime) -> int:
    """Reads the transitions that nobody has read yet; returns how many alerts were opened or closed."""
    with transaction.atomic():
        AlertCursor.objects.get_or_create(source=SOURCE)
        cursor = AlertCursor.objects.select_for_update().get(source=SOURCE)
        seen = _seen(cursor)
        unread = BreakerTransition.objects.filter(id__gt=cursor.position).exclude(id__in=list(seen))
        rows = list(unread.order_by("id")[:ROWS_PER_SWEEP])
        changed = sum(_derive(row, now) for row in rows) + _close_of_ended_drills(now)
        if rows or seen:
            _advance(cursor, seen | {row.pk: now.timestamp() for row in rows}, now)
    return changed


def _derive(row: BreakerTransition, now: datetime) -> bool:
    if row.drill_id is not None and not Drill.objects.running(now).filter(pk=row.drill_id, alerts=True).exists():
        return False
    if row.to_state == BreakerState.OPEN and row.from_state == BreakerState.CLOSED:
        return _open(row, now)
    if row.to_state == BreakerState.CLOSED:
        return _close(row, now)
    return False


def _open(row: BreakerTransition, now: datetime) -> bool:
    if _open_alert(_subject(row)) is not None:
        return False
    alert = Alert.objects.create(
        kind=AlertEvent.BREAKER_OPENED,
        subject=_subject(row),
        message=_opened_message(row),
        opened_at=row.at,
        opened_by=str(row.pk),
        link=f"provider {row.provider}",
    )
    announce(alert, AlertEvent.BREAKER_OPENED, alert.message, now=now)
    return True


def _close(row: BreakerTransition, now: datetime) -> bool:
    alert = _open_alert(_subject(row))
    if alert is None:
        return False
    alert.closed_at = row.at
    alert.closed_by = row.pk
    alert.save(update_fields=["closed_at", "closed_by"])
    announce(alert, AlertEvent.BREAKER_CLOSED, _closed_message(alert, row), now=now)
    return True


def _close_of_ended_drills(now: datetime) -> int:
    """A drill's breaker is asked nothing any more once the drill is over, so it never closes by itself."""
    open_ones = Alert.objects.filter(kind=AlertEvent.BREAKER_OPENED, closed_at__isnull=True)
    drills = {alert: lane_parts(alert.subject)[1] for alert in open_ones.filter(subject__contains=" (drill ")}
    running = set(Drill.objects.running(now).values_list("pk", flat=True)) if drills else set()
    ended = [alert for alert, drill_id in drills.items() if drill_id is not None and drill_id not in running]
    for alert in ended:
        alert.closed_at = now
        alert.save(update_fields=["closed_at"])
        announce(alert, AlertEvent.BREAKER_CLOSED, f"The fire drill that opened {alert.subject} is over.", now=now)
    return len(ended)


def _subject(row: BreakerTransition) -> str:
    return row.provider if row.drill_id is None else lane_name(row.provider, row.drill_id)


def _open_alert(subject: str) -> Alert | None:
    return Alert.objects.filter(kind=AlertEvent.BREAKER_OPENED, subject=subject, closed_at__isnull=True).first()


def _opened_message(row: BreakerTransition) -> str:
    last_error = f" Last error: {row.last_error}" if row.last_error else ""
    drill = "" if row.drill_id is None else f"Fire drill {row.drill_id}, no real outage. "
    return f"{drill}The breaker of {row.provider} opened: {row.cause}. Requests go to the next target.{last_error}"


def _closed_message(alert: Alert, row: BreakerTransition) -> str:
    seconds = max(0, round((row.at - alert.opened_at).total_seconds()))
    return f"The breaker of {_subject(row)} closed after {seconds} s: {row.cause}. Requests go to it again."


def _seen(cursor: AlertCursor) -> dict[int, float]:
    """The ids above the position that have been read, and when."""
    entries: list[Any] = cursor.seen
    # An id without a time was written before times were kept.
    pairs = (entry if isinstance(entry, list) else (entry, 0.0) for entry in entries)
    return {int(pk): float(read_at) for pk, read_at in pairs}


def _advance(cursor: AlertCursor, seen: dict[int, float], now: datetime) -> None:
    """Moves the position up to the highest id that was read so long ago that no lower one is still to come."""
    settled_before = now.timestamp() - LATE_COMMIT_SECONDS
    cursor.position = max([cursor.position, *(pk for pk, read_at in seen.items() if read_at < settled_before)])
    cursor.seen = sorted([pk, read_at] for pk, read_at in seen.items() if pk > cursor.position)
    cursor.save(update_fields=["position", "seen"])
