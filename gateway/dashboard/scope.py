"""What the overview and the spend page look at: a stretch of time and a set of filters, both part of the address.

    ?period=24h&team=research&provider=openai
    ?period=custom&from=2026-10-01&to=2026-10-31

Days are the organisation's. A period that can't be understood is answered with a sentence and the default's figures.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from enum import StrEnum
from urllib.parse import urlencode

from django.http import HttpRequest, QueryDict

from gateway.selectors.usage_cells import UsageFilter
from gateway.selectors.windows import TimeWindow, window_last_month, window_this_month, window_today


class Period(StrEnum):
    HOUR = "1h"
    DAY = "24h"
    WEEK = "7d"
    MONTH = "30d"
    TODAY = "today"
    THIS_MONTH = "month"
    LAST_MONTH = "last-month"
    CUSTOM = "custom"


DEFAULT_PERIOD = Period.DAY
# In the order of the picker: what the button says, what a sentence says.
PERIOD_WORDS = {
    Period.HOUR: ("Last hour", "in the last hour"),
    Period.DAY: ("24 hours", "in the last 24 hours"),
    Period.WEEK: ("7 days", "in the last 7 days"),
    Period.MONTH: ("30 days", "in the last 30 days"),
    Period.TODAY: ("Today", "today"),
    Period.THIS_MONTH: ("This month", "this month"),
    Period.LAST_MONTH: ("Last month", "last month"),
}
_LENGTHS = {
    Period.HOUR: timedelta(hours=1),
    Period.DAY: timedelta(days=1),
    Period.WEEK: timedelta(days=7),
    Period.MONTH: timedelta(days=30),
}
NO_TEAM = "(none)"  # keys without a team, in addresses
FILTERS = ("team", "api_key", "route", "provider", "model")
LONGEST_DAYS = 3660
_NAME_CHARACTERS = 200
_OLDEST = date(2000, 1, 1)


@dataclass(frozen=True, slots=True)
class Scope:
    """`days` are the first and the last one of a custom period, both included. `problem`: what could not be used."""

    period: Period
    window: TimeWindow
    where: UsageFilter
    days: tuple[date, date] | None = None
    problem: str = ""

    @property
    def words(self) -> str:
        """The period within a sentence: `in the last 24 hours`, `from 1 October to 31 October 2026`."""
        if self.days is None:
            return PERIOD_WORDS[self.period][1]
        first, last = self.days
        if first == last:
            return f"on {_day(last)}"
        return f"from {_day(first) if first.year != last.year else f'{first.day} {first:%B}'} to {_day(last)}"

    @property
    def filters(self) -> dict[str, str]:
        """What is filtered, as addresses say it."""
        chosen = ((name, getattr(self.where, name)) for name in FILTERS)
        return {name: value or NO_TEAM for name, value in chosen if value is not None}

    @property
    def query(self) -> str:
        """For addresses of pages that look at the same."""
        return self.query_with()

    def query_with(self, **changes: str | None) -> str:
        """With other values; None removes one."""
        values: dict[str, str | None] = {"period": self.period.value, **self.filters}
        if self.days is not None:
            values |= {"from": self.days[0].isoformat(), "to": self.days[1].isoformat()}
        return urlencode({name: value for name, value in (values | changes).items() if value is not None})


def scope_of(request: HttpRequest, *, now: datetime, zone: tzinfo) -> Scope:
    """What the address asks for. `now` is where relative periods end, but for last month."""
    where, asked = _where(request.GET), request.GET.get("period", "") or DEFAULT_PERIOD.value
    try:
        period = Period(asked)
    except ValueError:
        words = ", ".join(Period)
        return _default(where, now, zone, f"There is no period “{asked[:40]}”: it is one of {words}.")
    if period is not Period.CUSTOM:
        return Scope(period, window_of_period(period, now=now, zone=zone), where)
    try:
        first, last = _days(request.GET)
    except ValueError as error:
        return _default(where, now, zone, str(error))
    if _midnight(first, zone) > now:
        return _default(where, now, zone, f"{_day(first)} is still to come: choose a day that has begun.")
    end = min(_midnight(last + timedelta(days=1), zone), now)
    return Scope(period, TimeWindow(_midnight(first, zone), end), where, (first, last))


def window_of_period(period: Period, *, now: datetime, zone: tzinfo) -> TimeWindow:
    """Of every period but the custom one."""
    if period is Period.TODAY:
        return window_today(now=now, zone=zone)
    if period is Period.THIS_MONTH:
        return window_this_month(now=now, zone=zone)
    if period is Period.LAST_MONTH:
        return window_last_month(now=now, zone=zone)
    return TimeWindow(now - _LENGTHS[period], now)


def _default(where: UsageFilter, now: datetime, zone: tzinfo, problem: str) -> Scope:
    shown = f"{problem} Shown is what happened {PERIOD_WORDS[DEFAULT_PERIOD][1]}."
    return Scope(DEFAULT_PERIOD, window_of_period(DEFAULT_PERIOD, now=now, zone=zone), where, problem=shown)


def _where(values: QueryDict) -> UsageFilter:
    chosen = {name: values.get(name, "").strip()[:_NAME_CHARACTERS] for name in FILTERS}
    kept = {name: value for name, value in chosen.items() if value and value.isprintable()}
    if kept.get("team") == NO_TEAM:
        kept["team"] = ""
    return UsageFilter(**kept)


def _days(values: QueryDict) -> tuple[date, date]:
    """Raises ValueError with a sentence."""
    first, last = _date(values.get("from", ""), "first"), _date(values.get("to", ""), "last")
    if last < first:
        raise ValueError(f"The last day ({_day(last)}) lies before the first one ({_day(first)}).")
    if (last - first).days > LONGEST_DAYS:
        raise ValueError("A period is at most ten years long.")
    return first, last


def _date(text: str, which: str) -> date:
    try:
        day = date.fromisoformat(text)
    except ValueError:
        raise ValueError(f"Choose the {which} day, written like 2026-11-01.") from None
    if not _OLDEST <= day < date.max - timedelta(days=1):
        raise ValueError(f"Choose a {which} day after {_day(_OLDEST)}.")
    return day


def _midnight(day: date, zone: tzinfo) -> datetime:
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)


def _day(day: date) -> str:
    return f"{day.day} {day:%B %Y}"
