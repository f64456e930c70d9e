"""A fire drill ended: told once, with its report. Its failures raise no other alert unless the drill asks for it."""

from __future__ import annotations

from datetime import datetime, timedelta

from gateway.alerts.incidents import Finding, incident_open
from gateway.models import Alert
from gateway.models.words import AlertEvent
from gateway.selectors.drills import DrillLine, drill_report, drills_ended

RECENT = timedelta(hours=1)


def drill_alerts_derive(*, now: datetime) -> int:
    """How many were told."""
    ended = {str(line.id): line for line in drills_ended(after=now - RECENT, until=now)}
    told = Alert.objects.filter(kind=AlertEvent.DRILL_FINISHED, opened_by__in=list(ended))
    for cause in told.values_list("opened_by", flat=True):
        del ended[cause]
    return sum(_tell(line, now) for line in ended.values())


def _tell(line: DrillLine, now: datetime) -> bool:
    finding = Finding(
        kind=AlertEvent.DRILL_FINISHED,
        subject=f"drill {line.id} ({line.subject})",
        message=_report(line, now),
        opened_at=line.ended_at,
        closed_at=line.ended_at,
        cause=str(line.id),
        link=f"drill {line.id}",
    )
    return incident_open(finding, now=now)


def _report(line: DrillLine, now: datetime) -> str:
    end = f"was stopped by {line.stopped_by}" if line.stopped_at is not None else "ended by itself"
    report = drill_report(drill_id=line.id, now=now)
    if report is None or not report.affected:
        return f"Fire drill {line.id} ({line.fault} at {line.subject}) {end}. It touched no request."
    rescued = "" if report.rescued_percent is None else f" ({report.rescued_percent:.1f} % of those that needed it)"
    pending = f", {report.pending} still under way" if report.pending else ""
    return (
        f"Fire drill {line.id} ({line.fault} at {line.subject}) {end}. Of {report.affected} requests it touched "
        f"{report.answered} were answered, {report.rescued} of them by another target{rescued}; "
        f"{report.failed} failed{pending}."
    )
