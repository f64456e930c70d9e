"""Objectives missed and recovered, and a high fallback rate: measured once a minute, by one process.

Few requests prove nothing: the organisation's minimum counts must be reached. What was missed has recovered once it is
clearly met, by a tenth, so that a value at the edge isn't told again and again.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from django.db.models import Count

from gateway.alerts.cursors import turn_take
from gateway.alerts.incidents import Finding, incident_close, incident_open, incidents_open
from gateway.ledger.money import usd_text
from gateway.models import Alert, Completion
from gateway.models.organisation import Organisation, organisation_current
from gateway.models.words import AlertEvent
from gateway.selectors.objectives import Fewest, Objective, ServiceLevels, service_levels
from gateway.selectors.outcomes import DRILLED, FELL_BACK, PENDING, TURNED_AWAY

EVERY_SECONDS = 60
FALLBACK_WINDOW = timedelta(minutes=10)
CLEARLY_MET = 0.9  # of what is allowed
FALLBACKS = "fallbacks"


@dataclass(frozen=True, slots=True)
class Rate:
    """`used` of `allowed` (failures, seconds or dollars), from `counted` requests; None: nothing to measure."""

    kind: AlertEvent
    subject: str
    used: float | None
    allowed: float
    counted: int
    failures: int | None
    words: str

    def missed(self, organisation: Organisation) -> bool:
        fewest = Fewest(organisation.alert_minimum_completions, organisation.alert_minimum_failures)
        return self.used is not None and self.used > self.allowed and fewest.reached_by(self.counted, self.failures)

    @property
    def recovered(self) -> bool:
        return self.used is None or self.used <= self.allowed * CLEARLY_MET


def rate_alerts_derive(*, now: datetime) -> int:
    """How many were opened or closed; 0 where it isn't time yet."""
    return rates_judge(now=now) if turn_take("rates", every_seconds=EVERY_SECONDS, now=now) else 0


def rates_judge(*, now: datetime) -> int:
    organisation = organisation_current()
    open_ones = {
        (alert.kind, alert.subject): alert
        for alert in incidents_open(AlertEvent.OBJECTIVE_MISSED, AlertEvent.FALLBACK_RATE_HIGH)
    }
    return sum(
        _judge(rate, open_ones.get((rate.kind, rate.subject)), organisation, now)
        for rate in (*_objectives(service_levels(now=now)), *_fallbacks(organisation, now))
    )


def _judge(rate: Rate, alert: Alert | None, organisation: Organisation, now: datetime) -> bool:
    if alert is None:
        if not rate.missed(organisation):
            return False
        finding = Finding(kind=rate.kind, subject=rate.subject, message=rate.words, opened_at=now)
        return incident_open(finding, now=now)
    if not rate.recovered:
        return False
    event = AlertEvent.OBJECTIVE_RECOVERED if rate.kind == AlertEvent.OBJECTIVE_MISSED else None
    return incident_close(alert, at=now, now=now, event=event, message=f"Met again. {rate.words}")


def _objectives(levels: ServiceLevels) -> Iterator[Rate]:
    shares = {"availability": levels.availability_percent, "fallback success": levels.fallback_success_percent}
    for name, objective in shares.items():
        yield from _share(name, objective)
    latency = levels.mean_latency_seconds
    for window, measure in (("24 hours", latency.last_24h), ("30 days", latency.last_30d)):
        value = "none measured" if measure.value is None else f"{measure.value:.2f} s"
        goal = f"the objective is {latency.target.normalize():f} s."
        words = f"Mean response time over {window}: {value}, of {measure.counted} answers; {goal}"
        yield _rate(f"mean latency ({window})", measure.value, float(latency.target), measure.counted, None, words)
    cost = levels.conversation_cost_usd
    for window, costs in (("24 hours", cost.last_24h), ("30 days", cost.last_30d)):
        mean = None if costs.mean_usd is None else float(costs.mean_usd)
        value = "none" if costs.mean_usd is None else f"{usd_text(costs.mean_usd)} USD"
        goal = f"the objective is {usd_text(cost.target_usd)} USD."
        words = f"Mean cost of {costs.conversations} conversations of {window}: {value}; {goal}"
        yield _rate(f"conversation cost ({window})", mean, float(cost.target_usd), costs.conversations, None, words)


def _share(name: str, objective: Objective) -> Iterator[Rate]:
    target = float(objective.target)
    for window, measure in (("24 hours", objective.last_24h), ("30 days", objective.last_30d)):
        lost = None if measure.value is None else 100 - measure.value
        failures = objective.failures(measure)
        value = "none measured" if measure.value is None else f"{measure.value:.3f} %"
        counted = f"{failures} of {measure.counted} failed"
        words = f"{name.capitalize()} over {window}: {value}, {counted}; the objective is {target:g} %."
        yield _rate(f"{name} ({window})", lost, 100 - target, measure.counted, failures, words)


def _rate(subject: str, used: float | None, allowed: float, counted: int, failures: int | None, words: str) -> Rate:
    return Rate(AlertEvent.OBJECTIVE_MISSED, subject, used, allowed, counted, failures, words)


def _fallbacks(organisation: Organisation, now: datetime) -> Iterator[Rate]:
    allowed = organisation.alert_fallback_rate_percent
    recent = Completion.objects.filter(created_at__gt=now - FALLBACK_WINDOW).exclude(PENDING | TURNED_AWAY | DRILLED)
    counts = recent.aggregate(all=Count("pk"), fell_back=Count("pk", filter=FELL_BACK))
    # Without a limit, and with nothing asked, whatever is open closes.
    used = 100 * counts["fell_back"] / counts["all"] if counts["all"] and allowed is not None else None
    words = f"{counts['fell_back']} of the {counts['all']} requests of the last ten minutes left their first target"
    yield Rate(
        AlertEvent.FALLBACK_RATE_HIGH,
        FALLBACKS,
        used,
        float(allowed or 0),
        counts["all"],
        None,
        f"{words}; from {allowed} % on it is told. Look at the breakers and the providers' last errors.",
    )
