"""Adds usage up by the hour and by the day, so that pages stay fast over a million completions.

Any number of processes may run it, twice, late or not at all: one at a time holds the claim, cells are made what their
rows say with the removal of the mark that asked for it, and what isn't added up yet is read from rows
(`selectors/usage_read`). Sums are read outside the writing transactions, which stay short (`rollup_changes`).
"""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from django.db import transaction
from django.db.models import Min, Q, Sum

from gateway.models.completion import Completion
from gateway.models.rollup import ONLY_ROW, LatencyCell, UsageCell, UsageHourChanged, UsageProgress
from gateway.selectors.latency import LATENCY_DIMENSIONS, latency_rows
from gateway.selectors.usage_cells import DIMENSIONS, EVERYTHING, MEASURES, Sums, Usage
from gateway.selectors.usage_rows import rows_add
from gateway.selectors.windows import TimeWindow
from gateway.services.rollup_changes import CellChange, cell_changes

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)
# From the end of an hour until nothing that was begun as one of the hour's own writes can still be under way: longer
# than the ledger lets a transaction last. Writes that begin later mark the hour as changed.
SETTLED_AFTER = timedelta(minutes=2)
HOURS_PER_RUN = 24 * 7
CLAIM = timedelta(minutes=5)
ROWS_PER_INSERT = 500


class ClaimLost(Exception):
    """Another process adds usage up now: this one took too long."""


def rollups_refresh(*, now: datetime) -> int:
    """Adds up the hours that are over, and those that have changed since; how many hours that were."""
    claim = secrets.token_hex(8)
    if not _claim(claim, now):
        return 0
    try:
        return _refresh(claim, now)
    finally:
        UsageProgress.objects.filter(claimed_by=claim).update(claimed_by="", claimed_until=None)


def _claim(claim: str, now: datetime) -> bool:
    UsageProgress.objects.get_or_create(pk=ONLY_ROW)
    free = Q(claimed_by="") | Q(claimed_until__lt=now)
    taken = UsageProgress.objects.filter(free).update(claimed_by=claim, claimed_until=now + CLAIM)
    return taken == 1


def _refresh(claim: str, now: datetime) -> int:
    progress = UsageProgress.objects.get(pk=ONLY_ROW)
    done = 0
    if progress.until is not None:
        for mark in UsageHourChanged.objects.filter(starts_at__lt=progress.until).order_by("starts_at")[:HOURS_PER_RUN]:
            _hour_add_up(claim, mark.starts_at, progress.until, is_read=True)
            done += 1
    end = full_hour(now - SETTLED_AFTER)
    hour = progress.until or _first_hour(end)
    while hour < end and done < HOURS_PER_RUN:
        following = _following(hour + HOUR, end)
        _hour_add_up(claim, hour, following, is_read=False)
        hour = following
        done += 1
    return done


def _following(hour: datetime, end: datetime) -> datetime:
    """The first hour from `hour` on in which anything began, at most `end`."""
    began = Completion.objects.filter(created_at__gte=hour, created_at__lt=end).aggregate(first=Min("created_at"))
    return end if began["first"] is None else full_hour(began["first"])


def _first_hour(end: datetime) -> datetime:
    first = Completion.objects.aggregate(first=Min("created_at"))["first"]
    return end - HOUR if first is None else full_hour(first)


def _hour_add_up(claim: str, hour: datetime, until: datetime, *, is_read: bool) -> None:
    """Makes the cells of one hour (and its day's, once that is over) what its rows say.

    Cells that nobody reads yet (`is_read`: whether somebody does) are written in pieces; the others, of which a late
    row changes few, together with the mark that asked for it.
    """
    mark = UsageHourChanged.objects.filter(pk=hour).first()
    window = TimeWindow(hour, hour + HOUR)
    cells, latencies = _usage_cells(window), _latency_cells(window)
    changes = cell_changes(1, hour, cells, latencies)
    day = _day_of(hour)
    if day + DAY <= until:
        changes += cell_changes(24, day, _day_usages(day, hour, cells), _day_latencies(day, hour, latencies))
    if not is_read:
        _write_ahead(claim, changes)
        changes = []
    with _still_ours(claim):
        for change in changes:
            change.write()
        if mark is not None:
            UsageHourChanged.objects.filter(pk=hour, marks=mark.marks).delete()
        UsageProgress.objects.filter(pk=ONLY_ROW).update(until=until)


def _write_ahead(claim: str, changes: Sequence[CellChange]) -> None:
    """What was written by a run that broke off is kept or removed by the next one's comparison."""
    for change in changes:
        for piece in change.pieces():
            with _still_ours(claim):
                piece.write()


@contextmanager
def _still_ours(claim: str) -> Iterator[None]:
    """A transaction in which nobody else adds usage up."""
    with transaction.atomic():
        if not UsageProgress.objects.select_for_update().filter(pk=ONLY_ROW, claimed_by=claim).exists():
            raise ClaimLost("another process adds usage up now: this one took too long")
        yield


def _usage_cells(window: TimeWindow) -> list[UsageCell]:
    sums = Sums(DIMENSIONS)
    rows_add(sums, [(0, window)], by=DIMENSIONS, where=EVERYTHING)
    return [_cell(1, window.start, key[1:], usage) for key, usage in sums.usage().items()]


def _cell(hours: int, starts_at: datetime, values: Sequence[Any], usage: Usage) -> UsageCell:
    measures = {name: getattr(usage, name) for name in MEASURES}
    return UsageCell(hours=hours, starts_at=starts_at, **dict(zip(DIMENSIONS, values, strict=True)), **measures)


def _latency_cells(window: TimeWindow) -> list[LatencyCell]:
    rows = latency_rows([(0, window)], by=LATENCY_DIMENSIONS, where=EVERYTHING)
    return [_latency_cell(1, window.start, key, answers) for _, *key, answers in rows]


def _latency_cell(hours: int, starts_at: datetime, values: Sequence[Any], answers: int) -> LatencyCell:
    names = (*LATENCY_DIMENSIONS, "bucket_ms")
    return LatencyCell(hours=hours, starts_at=starts_at, answers=answers, **dict(zip(names, values, strict=True)))


def _day_usages(day: datetime, hour: datetime, cells: Sequence[UsageCell]) -> list[UsageCell]:
    """The day's sums: of the hour these, of its other hours those that are stored."""
    sums = Sums(DIMENSIONS)
    for cell in cells:
        key = (0, *(getattr(cell, name) for name in DIMENSIONS))
        sums.add(key, {name: getattr(cell, name) for name in MEASURES})
    totals = {f"of_{name}": Sum(name) for name in MEASURES}
    stored = UsageCell.objects.filter(_other_hours(day, hour)).values_list(*DIMENSIONS).annotate(**totals).order_by()
    sums.add_all(((0, *row) for row in stored), 1 + len(DIMENSIONS))
    return [_cell(24, day, key[1:], usage) for key, usage in sums.usage().items()]


def _day_latencies(day: datetime, hour: datetime, cells: Sequence[LatencyCell]) -> list[LatencyCell]:
    names = (*LATENCY_DIMENSIONS, "bucket_ms")
    answers: Counter[tuple[Any, ...]] = Counter()
    for cell in cells:
        answers[tuple(getattr(cell, name) for name in names)] += cell.answers
    stored = LatencyCell.objects.filter(_other_hours(day, hour)).values_list(*names)
    for *values, count in stored.annotate(of_answers=Sum("answers")).order_by():
        answers[tuple(values)] += count
    return [_latency_cell(24, day, values, count) for values, count in answers.items()]


def _other_hours(day: datetime, hour: datetime) -> Q:
    return Q(hours=1, starts_at__gte=day, starts_at__lt=day + DAY) & ~Q(starts_at=hour)


def full_hour(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(minute=0, second=0, microsecond=0)


def _day_of(moment: datetime) -> datetime:
    return moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)


def rollups_rebuild() -> int:
    """Marks every hour that has been added up and still has rows: the next runs make it anew. How many there are.

    Hours whose rows are gone (`services/retention`) keep their sums.
    """
    progress = UsageProgress.objects.first()
    first = Completion.objects.aggregate(first=Min("created_at"))["first"]
    if progress is None or progress.until is None or first is None:
        return 0
    # The oldest hour that has rows may have lost some of them to retention.
    hour, hours = full_hour(first) + HOUR, []
    while hour < progress.until:
        hours.append(UsageHourChanged(starts_at=hour))
        hour += HOUR
    UsageHourChanged.objects.bulk_create(hours, ignore_conflicts=True, batch_size=ROWS_PER_INSERT)
    return len(hours)
