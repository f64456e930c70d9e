"""The four service levels the organisation is run by, from rows, over 24 hours and 30 days (DESIGN, Objectives)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, Q, Sum

from gateway.models import Conversation
from gateway.models.organisation import Organisation, organisation_current
from gateway.selectors.usage_cells import Usage, share
from gateway.selectors.usage_read import usage_over_each
from gateway.selectors.windows import TimeWindow

DAY = timedelta(hours=24)
MONTH = timedelta(days=30)
_PICO = Decimal("1e-12")  # what a row can hold; means are told no finer


@dataclass(frozen=True, slots=True)
class Measure:
    """A value over one stretch of time, None where nothing was counted, and how many completions were."""

    value: float | None
    counted: int


@dataclass(frozen=True, slots=True)
class CostMeasure:
    """`mean_usd` and the share (0 to 1) of conversations that cost more than the objective; None without any."""

    mean_usd: Decimal | None
    share_above: float | None
    conversations: int


@dataclass(frozen=True, slots=True)
class Objective:
    """`at_least`: the target is a floor, else a ceiling. Percent or seconds, as its name says."""

    target: Decimal
    at_least: bool
    last_24h: Measure
    last_30d: Measure

    def met(self, measure: Measure) -> bool | None:
        if measure.value is None:
            return None
        return measure.value >= float(self.target) if self.at_least else measure.value <= float(self.target)

    def failures(self, measure: Measure) -> int | None:
        """How many were lost; None for an objective that counts none."""
        if not self.at_least:
            return None
        return 0 if measure.value is None else round(measure.counted * (100 - measure.value) / 100)

    @property
    def error_budget_left_percent(self) -> float | None:
        """Of the failures (or the time) that 30 days allow, how much is unused: 100 with none, below 0 when missed."""
        value, target = self.last_30d.value, float(self.target)
        used, allowed = (0.0 if value is None else value, target)
        if self.at_least:
            used, allowed = (0.0 if value is None else 100 - value, 100 - target)
        return None if allowed == 0 else 100 * (1 - used / allowed)


@dataclass(frozen=True, slots=True)
class CostObjective:
    target_usd: Decimal
    last_24h: CostMeasure
    last_30d: CostMeasure

    def met(self, measure: CostMeasure) -> bool | None:
        return None if measure.mean_usd is None else measure.mean_usd <= self.target_usd

    @property
    def error_budget_left_percent(self) -> float | None:
        mean_usd = self.last_30d.mean_usd or Decimal(0)
        return None if self.target_usd == 0 else float(100 * (1 - mean_usd / self.target_usd))


@dataclass(frozen=True, slots=True)
class Fewest:
    """From how many requests (fallbacks, conversations) and failures on anybody is told of a missed objective."""

    completions: int
    failures: int

    def reached_by(self, counted: int, failures: int | None) -> bool:
        """`failures` is None where an objective counts none: times and amounts."""
        return counted >= self.completions and (failures is None or failures >= self.failures)


@dataclass(frozen=True, slots=True)
class ServiceLevels:
    availability_percent: Objective
    fallback_success_percent: Objective
    mean_latency_seconds: Objective
    conversation_cost_usd: CostObjective
    fewest: Fewest


def service_levels(*, now: datetime) -> ServiceLevels:
    """At most eight queries. The windows end at `now` and count completions by their beginning, but no drills."""
    organisation = organisation_current()
    windows = [TimeWindow(now - length, now) for length in (DAY, MONTH)]
    day, month = (usage.without_drills() for usage in usage_over_each(windows))
    return ServiceLevels(
        availability_percent=Objective(
            organisation.availability_percent, True, _availability(day), _availability(month)
        ),
        fallback_success_percent=Objective(
            organisation.fallback_success_percent, True, _fallback_success(day), _fallback_success(month)
        ),
        mean_latency_seconds=Objective(organisation.mean_latency_seconds, False, _latency(day), _latency(month)),
        conversation_cost_usd=_conversation_cost(organisation, now),
        fewest=Fewest(organisation.alert_minimum_completions, organisation.alert_minimum_failures),
    )


def _percent(part: int, whole: int) -> Measure:
    """One division, so that 999 of 1,000 are the very number 99.9 and meet it."""
    return Measure(100 * part / whole if whole else None, whole)


def _availability(usage: Usage) -> Measure:
    return _percent(usage.answered, usage.answered + usage.failed)


def _fallback_success(usage: Usage) -> Measure:
    return _percent(usage.fell_back_answered, usage.fell_back)


def _latency(usage: Usage) -> Measure:
    mean_ms = usage.mean_response_ms
    return Measure(None if mean_ms is None else mean_ms / 1000, usage.responses)


def _conversation_cost(organisation: Organisation, now: datetime) -> CostObjective:
    """The whole cost so far of each conversation that was active in the window."""
    limit_usd = organisation.conversation_cost_usd
    active = {"day": Q(last_seen_at__gte=now - DAY), "month": Q(last_seen_at__gte=now - MONTH)}
    aggregates: dict[str, Any] = {}
    for name, condition in active.items():
        aggregates[f"{name}_count"] = Count("pk", filter=condition)
        aggregates[f"{name}_above"] = Count("pk", filter=condition & Q(cost_usd__gt=limit_usd))
        aggregates[f"{name}_cost"] = Sum("cost_usd", filter=condition, default=0)
    sums = Conversation.objects.filter(active["month"]).aggregate(**aggregates)
    return CostObjective(limit_usd, _cost_measure(sums, "day"), _cost_measure(sums, "month"))


def _cost_measure(sums: dict[str, Any], name: str) -> CostMeasure:
    count, above, cost_usd = (sums[f"{name}_{part}"] for part in ("count", "above", "cost"))
    mean_usd = (cost_usd / count).quantize(_PICO) if count else None
    return CostMeasure(mean_usd, share(above, count), count)
