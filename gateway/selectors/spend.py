"""Spend over time, by provider: hour by hour, exact."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal

from gateway.selectors.usage_cells import ZERO_USD
from gateway.selectors.usage_read import usage_by_step
from gateway.selectors.windows import TimeWindow, window_last_hours

_HOUR = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class SpendSeries:
    """One provider's spend per hour. `provider` is "" for what no attempt accounts for (orphans of a crash)."""

    provider: str
    hourly_usd: tuple[Decimal, ...]
    total_usd: Decimal


@dataclass(frozen=True, slots=True)
class SpendTimeline:
    """Spend of consecutive hours, oldest first; `hours` are their starts in UTC. Dearest provider first."""

    window: TimeWindow
    hours: tuple[datetime, ...]
    series: tuple[SpendSeries, ...]
    total_usd: Decimal


def spend_timeline(*, now: datetime, hours: int) -> SpendTimeline:
    """The last `hours` hours, the current one included, by the provider of each attempt. At most five queries.

    The series add up to the completions' own costs: what no attempt accounts for counts under "".
    """
    window = window_last_hours(now=now.astimezone(UTC), hours=hours)
    starts = tuple(window.start + index * _HOUR for index in range(hours))
    steps = [TimeWindow(start, min(start + _HOUR, window.end)) for start in starts]
    amounts: defaultdict[str, dict[int, Decimal]] = defaultdict(dict)
    for (step, provider), usage in usage_by_step(steps, by=("provider",)).items():
        if usage.cost_usd:
            amounts[provider][step] = usage.cost_usd
    series = sorted((_series(name, by_hour, hours) for name, by_hour in amounts.items()), key=_dearest_first)
    return SpendTimeline(window, starts, tuple(series), sum((one.total_usd for one in series), ZERO_USD))


def _series(provider: str, by_hour: dict[int, Decimal], hours: int) -> SpendSeries:
    hourly = tuple(by_hour.get(hour, ZERO_USD) for hour in range(hours))
    return SpendSeries(provider, hourly, sum(hourly, ZERO_USD))


def _dearest_first(series: SpendSeries) -> tuple[bool, Decimal, str]:
    return (series.provider == "", -series.total_usd, series.provider)
