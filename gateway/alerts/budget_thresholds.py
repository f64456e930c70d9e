"""A budget's spend crossed a percentage: told once per budget, subject, window and percentage.

Windows that were spent from since the last look are few and have an index of their own, however many windows there are.
A settlement that crosses several percentages is told once for each: every channel then has the same history.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from decimal import Decimal

from django.db.models import F

from gateway.alerts.budget_windows import Key, WatchedWindow, watched_windows
from gateway.alerts.incidents import Finding, incident_open
from gateway.ledger.money import usd_text
from gateway.models import Alert, BudgetWindow
from gateway.models.words import AlertEvent

WINDOWS_PER_STEP = 500
STEPS_PER_SWEEP = 10


def budget_thresholds_derive(*, now: datetime) -> int:
    """How many were opened."""
    opened, after = 0, 0
    for _ in range(STEPS_PER_SWEEP):
        unchecked = BudgetWindow.objects.filter(spent_usd__gt=F("checked_usd"), pk__gt=after)
        rows = list(unchecked.order_by("pk")[:WINDOWS_PER_STEP])
        if not rows:
            break
        opened += _judge(rows, now)
        # What is spent meanwhile stays above what we saw, so the window is looked at again.
        for row in rows:
            row.checked_usd = row.spent_usd
        BudgetWindow.objects.bulk_update(rows, ["checked_usd"])
        after = rows[-1].pk
    return opened


def _judge(rows: list[BudgetWindow], now: datetime) -> int:
    spent = {_key(row): row.spent_usd for row in rows}
    findings = {
        finding.cause: finding
        for window in watched_windows(spent, now=now).values()
        for finding in _crossed(window, spent[window.key], now)
    }
    told = Alert.objects.filter(kind=AlertEvent.BUDGET_THRESHOLD, opened_by__in=list(findings))
    for cause in told.values_list("opened_by", flat=True):
        del findings[cause]
    return sum(incident_open(finding, now=now) for finding in findings.values())


def _key(row: BudgetWindow) -> Key:
    return row.budget_id, row.subject, row.window_epoch


def _crossed(window: WatchedWindow, spent_usd: Decimal, now: datetime) -> Iterator[Finding]:
    if window.is_old(now):
        return
    for percent in sorted(window.budget.alert_at_percent):
        if spent_usd * 100 >= window.limit_usd * percent:
            yield Finding(
                kind=AlertEvent.BUDGET_THRESHOLD,
                subject=f"{window.title}: {percent} %",
                message=(
                    f"{percent} % of the budget {window.title} are spent: {usd_text(spent_usd)} of "
                    f"{usd_text(window.limit_usd)} USD. {window.resets}"
                ),
                opened_at=now,
                cause=f"{window.cause} {percent}",
                closes_at=window.closes_at(now),
                link=f"budget {window.key[0]}",
            )
