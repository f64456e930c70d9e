"""Usage over any stretch of time: from roll-ups for full hours and days, from rows for the rest. Exact either way."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

from django.db.models import Sum

from gateway.models.rollup import UsageCell, UsageHourChanged, UsageProgress
from gateway.selectors.usage_cells import EVERYTHING, MEASURES, Sums, Usage, UsageFilter, UsageKey
from gateway.selectors.usage_rows import rows_add, step_of, within_any
from gateway.selectors.windows import TimeWindow

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
Step = tuple[int, TimeWindow]


@dataclass(slots=True)
class ReadPlan:
    """Which stretches of each step are read from the cells of days, of hours, and from rows."""

    days: list[Step] = field(default_factory=list)
    hours: list[Step] = field(default_factory=list)
    rows: list[Step] = field(default_factory=list)


def usage_over(window: TimeWindow, *, where: UsageFilter = EVERYTHING) -> Usage:
    """All of it in one sum. At most six queries."""
    return usage_by_step([window], where=where).get((0,), Usage())


def usage_over_each(windows: Sequence[TimeWindow], *, where: UsageFilter = EVERYTHING) -> tuple[Usage, ...]:
    """Of each window, which may overlap: what they share is read once. At most six queries."""
    marks = sorted({moment for window in windows for moment in (window.start, window.end)})
    pieces = [TimeWindow(start, end) for start, end in pairwise(marks)]
    held = [[number for number, piece in enumerate(pieces) if _within(piece, window)] for window in windows]
    wanted = sorted({number for numbers in held for number in numbers})
    usages = usage_by_step([pieces[number] for number in wanted], where=where)
    found = {number: usages[(place,)] for place, number in enumerate(wanted) if (place,) in usages}
    return tuple(_together(found[number] for number in numbers if number in found) for numbers in held)


def _within(piece: TimeWindow, window: TimeWindow) -> bool:
    return window.start <= piece.start and piece.end <= window.end


def _together(usages: Iterable[Usage]) -> Usage:
    sums = Sums(())
    for usage in usages:
        sums.add((0,), {name: getattr(usage, name) for name in MEASURES})
    return sums.usage().get((0,), Usage())


def usage_by(window: TimeWindow, *by: str, where: UsageFilter = EVERYTHING) -> dict[tuple[Any, ...], Usage]:
    """Divided by the values of some of `usage_cells.DIMENSIONS`. At most six queries."""
    return {key[1:]: usage for key, usage in usage_by_step([window], by=by, where=where).items()}


def usage_by_step(
    windows: Sequence[TimeWindow], *, by: Sequence[str] = (), where: UsageFilter = EVERYTHING
) -> dict[UsageKey, Usage]:
    """The usage of each window, by (its index, one value per name in `by`). At most six queries."""
    plan = read_plan(windows)
    sums = Sums(by)
    for hours, steps in ((24, plan.days), (1, plan.hours)):
        if steps:
            sums.add_all(_cells(hours, steps, by, where), 1 + len(by))
    rows_add(sums, plan.rows, by=by, where=where)
    return sums.usage()


def read_plan(windows: Sequence[TimeWindow]) -> ReadPlan:
    """Two queries: how far usage has been added up, and which hours have changed since."""
    progress = UsageProgress.objects.first()
    plan = ReadPlan()
    if progress is None or progress.until is None:
        plan.rows = [step for step in enumerate(windows) if step[1].start < step[1].end]
        return plan
    changed = sorted(UsageHourChanged.objects.values_list("starts_at", flat=True))
    for number, window in enumerate(windows):
        _plan_window(plan, number, window, progress.until, changed)
    return plan


def _plan_window(plan: ReadPlan, number: int, window: TimeWindow, until: datetime, changed: Sequence[datetime]) -> None:
    first, last = _ceil(window.start, HOUR), min(_floor(window.end, HOUR), until)
    if first >= last:
        _add(plan.rows, number, window.start, window.end)
        return
    _add(plan.rows, number, window.start, first)
    _add(plan.rows, number, last, window.end)
    changed_inside = [hour for hour in changed if first <= hour < last]
    for hour in changed_inside:
        _add(plan.rows, number, hour, hour + HOUR)
    for start, end in _between(first, last, [(hour, hour + HOUR) for hour in changed_inside]):
        _plan_hours(plan, number, start, end)


def _plan_hours(plan: ReadPlan, number: int, first: datetime, last: datetime) -> None:
    """Full days from the cells of days, what is left of it from those of hours."""
    first_day, last_day = _ceil(first, DAY), _floor(last, DAY)
    if first_day >= last_day:
        _add(plan.hours, number, first, last)
        return
    _add(plan.hours, number, first, first_day)
    _add(plan.days, number, first_day, last_day)
    _add(plan.hours, number, last_day, last)


def _between(
    first: datetime, last: datetime, holes: Iterable[tuple[datetime, datetime]]
) -> Iterable[tuple[datetime, datetime]]:
    """What is left of first to last, without the (sorted) holes."""
    for start, end in holes:
        if first < start:
            yield first, start
        first = end
    if first < last:
        yield first, last


def _add(steps: list[Step], number: int, start: datetime, end: datetime) -> None:
    if start < end:
        steps.append((number, TimeWindow(start, end)))


def _floor(moment: datetime, length: timedelta) -> datetime:
    epoch = datetime(1970, 1, 1, tzinfo=UTC)
    return moment.astimezone(UTC) - (moment - epoch) % length


def _ceil(moment: datetime, length: timedelta) -> datetime:
    floor = _floor(moment, length)
    return floor if floor == moment else floor + length


def _cells(hours: int, steps: Sequence[Step], by: Sequence[str], where: UsageFilter) -> Iterable[tuple[Any, ...]]:
    sums = {f"sum_of_{name}": Sum(name, default=0) for name in MEASURES}
    rows = UsageCell.objects.filter(within_any("starts_at", steps), where.of_completions(), hours=hours)
    grouped = rows.annotate(of_step=step_of("starts_at", steps)).values("of_step", *by).annotate(**sums)
    return grouped.order_by().values_list("of_step", *by, *sums)
