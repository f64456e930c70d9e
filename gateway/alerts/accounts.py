"""A provider rejects our key, our quota is used up, or it doesn't know a model we name: told until one succeeds.

Derived from attempts: those failures have an index of their own, and successes are only looked for while an incident is
open. What a fire drill did is left out.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from django.db.models import Max

from gateway.alerts.cursors import position_note, position_read
from gateway.alerts.incidents import Finding, incident_close, incident_last, incident_open, incidents_open
from gateway.engine.words import AttemptOutcome, FailureKind
from gateway.models import Alert, Attempt
from gateway.models.completion import ACCOUNT_FAILURES
from gateway.models.words import AlertEvent

SOURCE = "account_failures"
RECENT = timedelta(hours=1)  # what failed longer ago and not since is no news
ATTEMPTS_PER_SWEEP = 20_000
# As in the index `attempt_account`: SQLite uses it only where the query says the same in the same words.
_ACCOUNT_FAILURE = f"llmops_attempt.failure IN ({', '.join(repr(kind) for kind in ACCOUNT_FAILURES)})"
_WORDS = {
    FailureKind.REJECTED_US.value: "{provider} rejects our key, account or permission. Check the provider's key.",
    FailureKind.QUOTA_EXHAUSTED.value: "Our quota at {provider} is used up. Add credit or raise it there.",
    FailureKind.MODEL_NOT_FOUND.value: "{provider} knows no model {model} or doesn't let us use it. Check the routes.",
}


def account_alerts_derive(*, now: datetime) -> int:
    """How many were opened or closed."""
    failures = Attempt.objects.filter(
        pk__gt=position_read(SOURCE), started_at__gt=now - RECENT, drill_id__isnull=True
    ).extra(where=[_ACCOUNT_FAILURE])  # noqa: S610 - a constant
    groups = list(failures.values("provider", "model", "failure").annotate(last=Max("pk")).order_by("last"))
    changed = sum(_open(group, now) for group in groups) + _close_recovered(now)
    position_note(SOURCE, max((group["last"] for group in groups), default=0), now=now)
    return changed


def _open(group: dict[str, Any], now: datetime) -> bool:
    kind, subject = _about(group)
    last = incident_last(kind, subject)
    if last is not None and (last.closed_at is None or (last.closed_by or 0) >= group["last"]):
        return False
    attempt = Attempt.objects.get(pk=group["last"])
    said = f" It said: {attempt.message[:500]}" if attempt.message else ""
    finding = Finding(
        kind=kind,
        subject=subject,
        message=f"{_WORDS[group['failure']].format(**group)} Requests go to the next target.{said}",
        opened_at=attempt.started_at,
        link=f"provider {group['provider']}",
        details={"provider": group["provider"], "model": group["model"], "row": group["last"]},
    )
    return incident_open(finding, now=now)


def _about(group: dict[str, Any]) -> tuple[AlertEvent, str]:
    if group["failure"] == FailureKind.QUOTA_EXHAUSTED:
        return AlertEvent.PROVIDER_QUOTA_EXHAUSTED, group["provider"]
    model = f" ({group['model']})" if group["failure"] == FailureKind.MODEL_NOT_FOUND else ""
    return AlertEvent.PROVIDER_AUTH_FAILED, f"{group['provider']}{model}"


def _close_recovered(now: datetime) -> int:
    alerts = incidents_open(AlertEvent.PROVIDER_AUTH_FAILED, AlertEvent.PROVIDER_QUOTA_EXHAUSTED)
    newest = Attempt.objects.order_by("-pk").values_list("pk", flat=True).first() if alerts else None
    return sum(_close(alert, newest, now) for alert in alerts) if newest is not None else 0


def _close(alert: Alert, newest: int, now: datetime) -> bool:
    """After a success of the model that had failed, at the latest of the rows looked at in one go."""
    after = alert.details["row"]
    until = min(newest, after + ATTEMPTS_PER_SWEEP)
    attempts = Attempt.objects.filter(pk__gt=after, pk__lte=until, provider=alert.details["provider"])
    success = attempts.filter(model=alert.details["model"], outcome=AttemptOutcome.SUCCEEDED, drill_id__isnull=True)
    found = success.order_by("pk").values_list("pk", "started_at").last()
    if found is not None:
        return incident_close(alert, at=max(found[1], alert.opened_at), now=now, by=found[0])
    if until > after:
        Alert.objects.filter(pk=alert.pk).update(details={**alert.details, "row": until})
    return False
