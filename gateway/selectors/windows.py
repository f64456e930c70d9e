"""Stretches of time that pages ask about. Starts belong to a window, ends don't."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, time, timedelta, tzinfo


@dataclass(frozen=True, slots=True)
class TimeWindow:
    """From `start` (included) to `end` (excluded), both aware."""

    start: datetime
    end: datetime


def window_today(*, now: datetime, zone: tzinfo) -> TimeWindow:
    """From the last midnight in `zone` until now."""
    return TimeWindow(_midnight(now.astimezone(zone), zone), now)


def window_this_month(*, now: datetime, zone: tzinfo) -> TimeWindow:
    """From midnight in `zone` on the first of the month until now."""
    return TimeWindow(_midnight(now.astimezone(zone).replace(day=1), zone), now)


def window_last_month(*, now: datetime, zone: tzinfo) -> TimeWindow:
    """The whole month before this one, in `zone`."""
    end = window_this_month(now=now, zone=zone).start
    return TimeWindow(_midnight((end - timedelta(days=1)).replace(day=1), zone), end)


def window_last_hours(*, now: datetime, hours: int) -> TimeWindow:
    """The current hour and the `hours` - 1 before it, from a full UTC hour until now."""
    this_hour = now.replace(minute=0, second=0, microsecond=0)
    return TimeWindow(this_hour - timedelta(hours=hours - 1), now)


def _midnight(moment: datetime, zone: tzinfo) -> datetime:
    return datetime.combine(moment.date(), time(), tzinfo=zone)
