"""A blocking budget refused a request: told for the first refusal in each window of each subject, until the reset."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from django.db.models import Min

from gateway.alerts.breakers import LATE_COMMIT_SECONDS
from gateway.alerts.budget_windows import Key, watched_windows
from gateway.alerts.incidents import Finding, incident_open
from gateway.ledger.money import usd_text
from gateway.models import Alert, AlertCursor, Completion
from gateway.models.words import AlertEvent

SOURCE = "budget_refusals"
FIRST_LOOK = timedelta(hours=1)
# As in the index `completion_budget_refused`: SQLite uses it only where the query says the same in the same words.
_REFUSED_BY_BUDGET = "llmops_completion.error_code = 'budget_exceeded' AND llmops_completion.status = 'refused'"


def budget_refusals_derive(*, now: datetime) -> int:
    """How many were opened. Rows are read again for a while, since some become visible late."""
    since = _since(now)
    rows = Completion.objects.filter(finished_at__gt=since).extra(where=[_REFUSED_BY_BUDGET])  # noqa: S610 - a constant
    window = ("decision__window__budget_id", "decision__window__subject", "decision__window__window_epoch")
    groups = list(rows.values_list(*window).annotate(first=Min("finished_at")).order_by())
    # The database hands out a subject made of digits as a number.
    opened = _open({(pk, str(subject), epoch): at for pk, subject, epoch, at in groups if pk is not None}, now)
    if groups or now - since > FIRST_LOOK:
        position = int(now.timestamp()) - LATE_COMMIT_SECONDS
        AlertCursor.objects.update_or_create(source=SOURCE, defaults={"position": position})
    return opened


def _since(now: datetime) -> datetime:
    cursor = AlertCursor.objects.filter(source=SOURCE).first()
    return now - FIRST_LOOK if cursor is None else datetime.fromtimestamp(cursor.position, UTC)


def _open(first: dict[Key, Any], now: datetime) -> int:
    causes = {" ".join(map(str, key)): key for key in first}
    told = Alert.objects.filter(kind=AlertEvent.BUDGET_BLOCKED, opened_by__in=list(causes))
    for cause in told.values_list("opened_by", flat=True):
        del first[causes[cause]]
    if not first:
        return 0
    opened = 0
    for key, window in watched_windows(first, now=now).items():
        finding = Finding(
            kind=AlertEvent.BUDGET_BLOCKED,
            subject=window.title,
            message=(
                f"The budget {window.title} refuses requests: they might cost more than what is left of its "
                f"{usd_text(window.limit_usd)} USD. {window.resets} Its limit can be raised for a while."
            ),
            opened_at=first[key],
            cause=window.cause,
            closes_at=window.closes_at(now),
            link=f"budget {key[0]}",
        )
        opened += not window.is_old(now) and incident_open(finding, now=now)
    return opened
