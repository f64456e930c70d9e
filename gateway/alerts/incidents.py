"""Incidents: how every kind of alert opens and closes, each with one message, however many processes look.

A cause can open one incident, ever, and a subject has one open incident of a kind: the database's constraints say so,
so that whoever comes second changes nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from django.db import IntegrityError, transaction

from gateway.alerts.outbox import announce
from gateway.models import Alert
from gateway.models.words import AlertEvent

_SUBJECT_LENGTH = 300


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What is wrong with whom. `cause` names it for good; "": whatever comes after the subject's last incident."""

    kind: AlertEvent
    subject: str
    message: str
    opened_at: datetime
    cause: str = ""
    link: str = ""
    closes_at: datetime | None = None
    closed_at: datetime | None = None
    details: Mapping[str, Any] = field(default_factory=dict)


def incident_open(finding: Finding, *, now: datetime) -> bool:
    """Opens it and queues its message, unless that has been done."""
    subject = finding.subject[:_SUBJECT_LENGTH]
    cause = finding.cause or _next_cause(finding.kind, subject)
    if cause is None or Alert.objects.filter(kind=finding.kind, opened_by=cause).exists():
        return False
    try:
        with transaction.atomic():
            alert = Alert.objects.create(
                kind=finding.kind,
                subject=subject,
                message=finding.message,
                opened_at=finding.opened_at,
                opened_by=cause,
                closed_at=finding.closed_at,
                closes_at=finding.closes_at,
                link=finding.link,
                details=dict(finding.details),
            )
            announce(alert, finding.kind, finding.message, now=now)
    except IntegrityError:  # another process was first
        return False
    return True


@transaction.atomic
def incident_close(
    alert: Alert,
    *,
    at: datetime,
    now: datetime,
    event: AlertEvent | None = None,
    message: str = "",
    by: int | None = None,
) -> bool:
    """Closes it, unless that has been done; says so where the kind has an event for it."""
    still_open = Alert.objects.filter(pk=alert.pk, closed_at__isnull=True)
    if not still_open.update(closed_at=at, closed_by=by):
        return False
    if event is not None:
        announce(alert, event, message, now=now)
    return True


def incidents_expire(*, now: datetime) -> int:
    """Closes, silently, what ends by the clock."""
    over = Alert.objects.filter(closed_at__isnull=True, closes_at__lte=now)
    return sum(incident_close(alert, at=alert.closes_at or now, now=now) for alert in over)


def incident_last(kind: AlertEvent, subject: str) -> Alert | None:
    return Alert.objects.filter(kind=kind, subject=subject[:_SUBJECT_LENGTH]).order_by("-pk").first()


def incidents_open(*kinds: AlertEvent) -> list[Alert]:
    return list(Alert.objects.filter(kind__in=kinds, closed_at__isnull=True).order_by("pk"))


def _next_cause(kind: AlertEvent, subject: str) -> str | None:
    """None while the subject's last incident is open. Two processes that see the same last one name the same cause."""
    last = incident_last(kind, subject)
    if last is None:
        return f"{subject} after 0"
    return None if last.closed_at is None else f"{subject} after {last.pk}"
