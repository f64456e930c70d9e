"""A model that routes use will be retired by its vendor: told 30 days and 7 days before, once each.

It closes when no route uses the model any more, or with its last day: from then on the provider's refusals speak.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from gateway.alerts.cursors import turn_take
from gateway.alerts.incidents import Finding, incident_close, incident_open, incidents_open
from gateway.models.words import AlertEvent
from gateway.selectors.model_catalogue import RetiringTarget, retiring_targets

EVERY_SECONDS = 60
WARNED_DAYS_BEFORE = (7, 30)


def retirement_alerts_derive(*, now: datetime) -> int:
    """How many were opened or closed; 0 where it isn't time yet."""
    return retirements_judge(now=now) if turn_take("retirements", every_seconds=EVERY_SECONDS, now=now) else 0


def retirements_judge(*, now: datetime) -> int:
    due = _findings(retiring_targets(now), now)
    changed = 0
    for alert in incidents_open(AlertEvent.MODEL_RETIRING):
        if alert.opened_by in due:
            del due[alert.opened_by]
        else:  # also of 30 days, before that of 7 opens: a subject has one open incident
            changed += incident_close(alert, at=now, now=now)
    return changed + sum(incident_open(finding, now=now) for finding in due.values())


def _findings(targets: Iterable[RetiringTarget], now: datetime) -> dict[str, Finding]:
    """By cause: a model, its date and how long before it."""
    by_model: dict[tuple[str, str], list[RetiringTarget]] = {}
    for target in targets:
        by_model.setdefault((target.provider, target.model), []).append(target)
    found = (_finding(users, now) for users in by_model.values())
    return {finding.cause: finding for finding in found if finding is not None}


def _finding(users: list[RetiringTarget], now: datetime) -> Finding | None:
    """None while there is time, and once the day has come."""
    one = users[0]
    warned = next((days for days in WARNED_DAYS_BEFORE if one.days_left <= days), None)
    if warned is None or one.retired:
        return None
    subject = f"{one.provider}/{one.model}"
    routes = ", ".join(dict.fromkeys(user.route for user in users))
    instead = f" Its successor is {one.successor}." if one.successor else ""
    return Finding(
        kind=AlertEvent.MODEL_RETIRING,
        subject=subject,
        message=f"{subject} retires on {one.retired_on:%Y-%m-%d}. Routes that use it: {routes}.{instead}",
        opened_at=now,
        cause=f"{subject} {one.retired_on:%Y-%m-%d} {warned} days",
    )
