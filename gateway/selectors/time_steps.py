"""A stretch of time cut into hours, days or months of the organisation's zone, for charts and tables."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, time, timedelta, tzinfo
from enum import StrEnum

from gateway.selectors.windows import TimeWindow

_HOUR = timedelta(hours=1)
# The longest stretches that are shown by the hour and by the day: two days of bars, a quarter of bars.
_BY_HOUR_UP_TO = timedelta(days=2, hours=1)
_BY_DAY_UP_TO = timedelta(days=93)


class StepUnit(StrEnum):
    HOUR = "hour"
    DAY = "day"
    MONTH = "month"


@dataclass(frozen=True, slots=True)
class TimeSteps:
    """`windows` follow each other without gaps and cover the whole stretch; the first and the last may be cut."""

    unit: StepUnit
    windows: tuple[TimeWindow, ...]


def time_steps(window: TimeWindow, *, zone: tzinfo) -> TimeSteps:
    """Days and months begin at the zone's midnight: one of them may be an hour longer or shorter."""
    length = window.end - window.start
    unit = StepUnit.HOUR if length <= _BY_HOUR_UP_TO else StepUnit.DAY if length <= _BY_DAY_UP_TO else StepUnit.MONTH
    return TimeSteps(unit, tuple(_cut(window, unit, zone)))


def _cut(window: TimeWindow, unit: StepUnit, zone: tzinfo) -> Iterator[TimeWindow]:
    start, last = window.start.astimezone(UTC), window.end.astimezone(UTC)
    while start < last:
        end = min(_following(start.astimezone(zone), unit, zone), last)
        yield TimeWindow(start, end)
        start = end


def _following(local: datetime, unit: StepUnit, zone: tzinfo) -> datetime:
    """When the next step begins, in UTC."""
    if unit is StepUnit.HOUR:
        # Past minutes are subtracted in UTC: an hour that the clocks repeat comes twice, as it did.
        past = timedelta(minutes=local.minute, seconds=local.second, microseconds=local.microsecond)
        return local.astimezone(UTC) - past + _HOUR
    day = local.date() + timedelta(days=1)
    if unit is StepUnit.MONTH:
        day = (local.date().replace(day=1) + timedelta(days=32)).replace(day=1)
    return datetime.combine(day, time(), tzinfo=zone).astimezone(UTC)
