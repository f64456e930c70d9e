"""Spend over time, by provider: hour by hour, exact."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import CharField, Func, Sum

from gateway.models.completion import Attempt
from gateway.selectors.usage import ZERO_USD, completions_within
from gateway.selectors.windows import TimeWindow, window_last_hours

_HOUR = timedelta(hours=1)
_HOUR_FORMAT = "%Y-%m-%d %H"


class UtcHour(Func):
    """The UTC hour of a time as text, `2026-11-22 15`: SQLite stores times as such text, so no function of Python's
    runs per row, as it would for Django's `TruncHour`."""

    output_field = CharField()

    def as_sqlite(self, compiler: Any, connection: Any, **context: Any) -> Any:
        return super().as_sql(compiler, connection, template="SUBSTR(%(expressions)s, 1, 13)", **context)

    def as_postgresql(self, compiler: Any, connection: Any, **context: Any) -> Any:
        template = "TO_CHAR(%(expressions)s AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24')"
        return super().as_sql(compiler, connection, template=template, **context)


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
    """The last `hours` hours, the current one included, by the provider of each attempt. Two queries.

    The series add up to the completions' own costs: a completion without attempts counts under "".
    """
    window = window_last_hours(now=now.astimezone(UTC), hours=hours)
    starts = tuple(window.start + index * _HOUR for index in range(hours))
    amounts = _provider_hours(window)
    for hour, cost_usd in _completion_hours(window).items():
        attributed = sum((by_hour.get(hour, ZERO_USD) for by_hour in amounts.values()), ZERO_USD)
        if cost_usd != attributed:
            amounts.setdefault("", {})[hour] = cost_usd - attributed
    series = sorted((_series(name, by_hour, starts) for name, by_hour in amounts.items()), key=_dearest_first)
    return SpendTimeline(window, starts, tuple(series), sum((one.total_usd for one in series), ZERO_USD))


def _provider_hours(window: TimeWindow) -> dict[str, dict[str, Decimal]]:
    rows = (
        Attempt.objects.filter(completion__created_at__gte=window.start, completion__created_at__lt=window.end)
        .exclude(cost_usd=0)
        .values_list("provider", UtcHour("completion__created_at"))
        .annotate(cost=Sum("cost_usd"))
        .order_by()
    )
    amounts: defaultdict[str, dict[str, Decimal]] = defaultdict(dict)
    for provider, hour, cost in rows:
        amounts[provider][hour] = cost
    return dict(amounts)


def _completion_hours(window: TimeWindow) -> dict[str, Decimal]:
    rows = (
        completions_within(window)
        .exclude(cost_usd=0)
        .values_list(UtcHour("created_at"))
        .annotate(cost=Sum("cost_usd"))
        .order_by()
    )
    return dict(rows)


def _series(provider: str, by_hour: dict[str, Decimal], starts: tuple[datetime, ...]) -> SpendSeries:
    hourly = tuple(by_hour.get(start.strftime(_HOUR_FORMAT), ZERO_USD) for start in starts)
    return SpendSeries(provider, hourly, sum(hourly, ZERO_USD))


def _dearest_first(series: SpendSeries) -> tuple[bool, Decimal, str]:
    return (series.provider == "", -series.total_usd, series.provider)
