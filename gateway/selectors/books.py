"""Whether the books agree with themselves: sums kept in advance against the rows they were made of.

For `manage.py books`, and after a restore. Everything is added up anew, so over millions of rows it takes a while.
Totals whose rows are gone (`services/retention`) can't be compared and aren't.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import Count, F, Min, OuterRef, Subquery, Sum
from django.db.models.functions import Coalesce, TruncHour

from gateway.ledger.money import usd_text
from gateway.models.budget_window import BudgetReservation, BudgetWindow
from gateway.models.completion import Completion, Conversation
from gateway.models.fields import UsdField
from gateway.models.rollup import UsageCell, UsageHourChanged, UsageProgress
from gateway.selectors.outcomes import PENDING

ZERO = Decimal(0)
_HOUR = timedelta(hours=1)
_FAULTS_PER_CHECK = 20  # a broken table would tell of each of its rows


@dataclass(frozen=True, slots=True)
class Books:
    """How much there is, and what disagrees, in sentences; empty when all agrees."""

    completions: int
    cost_usd: Decimal
    pending: int
    faults: tuple[str, ...]


def books_audit() -> Books:
    sums = Completion.objects.aggregate(
        count=Count("pk"), cost=Coalesce(Sum("cost_usd"), ZERO, output_field=UsdField())
    )
    faults = [fault for check in (_conversations, _reservations, _hours, _days) for fault in _first(check())]
    return Books(sums["count"], sums["cost"], Completion.objects.filter(PENDING).count(), tuple(faults))


def _first(faults: Iterator[str]) -> list[str]:
    return [fault for fault, _ in zip(faults, range(_FAULTS_PER_CHECK), strict=False)]


def _conversations() -> Iterator[str]:
    """A conversation's total is what its requests cost."""
    oldest = Completion.objects.aggregate(first=Min("created_at"))["first"]
    if oldest is None:
        return
    own = Completion.objects.filter(team_id=OuterRef("team_id"), conversation=OuterRef("external_id"))
    cost = Subquery(own.order_by().values("conversation").annotate(cost=Sum("cost_usd")).values("cost"))
    rows = Conversation.objects.filter(first_seen_at__gte=oldest)
    rows = rows.annotate(of_rows=Coalesce(cost, ZERO, output_field=UsdField()))
    for one in rows.exclude(cost_usd=F("of_rows")).order_by("pk")[:_FAULTS_PER_CHECK]:
        yield (
            f"conversation {one.external_id} (team {one.team_id}) has {_usd(one.cost_usd)}, "
            f"its requests {_usd(one.of_rows)}"
        )


def _reservations() -> Iterator[str]:
    """What a budget's window holds is what requests under way hold in it."""
    under_way = Completion.objects.filter(PENDING).values("pk")
    held = BudgetReservation.objects.filter(completion_id__in=under_way).values_list(*_WINDOW)
    of_requests = {row[:3]: row[3] for row in held.annotate(amount=Sum("amount_usd"))}
    windows = BudgetWindow.objects.exclude(reserved_usd=0).values_list(*_WINDOW, "reserved_usd")
    of_windows = {row[:3]: row[3] for row in windows}
    for key, window, requests in _unequal(of_windows, of_requests):
        of = f" for {key[1]}" if key[1] else ""
        yield f"budget {key[0]}{of} holds {_usd(window)} reserved, requests under way {_usd(requests)}"


_WINDOW = ("budget_id", "subject", "window_epoch")


def _hours() -> Iterator[str]:
    """An hour's sums are what its requests cost."""
    stretch = _added_up()
    if stretch is None:
        return
    start, end = stretch
    marked = UsageHourChanged.objects.values("starts_at")
    cells = UsageCell.objects.filter(hours=1, starts_at__gte=start, starts_at__lt=end).exclude(starts_at__in=marked)
    rows = Completion.objects.filter(created_at__gte=start, created_at__lt=end).order_by()
    rows_by_hour = rows.annotate(hour=TruncHour("created_at")).exclude(hour__in=marked).values_list("hour")
    of_cells = dict(cells.order_by().values_list("starts_at").annotate(cost=Sum("cost_usd")))
    of_rows = dict(rows_by_hour.annotate(cost=Sum("cost_usd")))
    for hour, cell, requests in _unequal(of_cells, of_rows):
        yield f"the hour from {hour:%Y-%m-%d %H:00} UTC is added up to {_usd(cell)}, its requests are {_usd(requests)}"


def _added_up() -> tuple[datetime, datetime] | None:
    """From the first hour that surely has all its rows until where usage has been added up."""
    first = Completion.objects.aggregate(first=Min("created_at"))["first"]
    progress = UsageProgress.objects.first()
    if first is None or progress is None or progress.until is None:
        return None
    start = first.replace(minute=0, second=0, microsecond=0)
    pruned = UsageCell.objects.filter(hours=1, starts_at__lte=start - _HOUR).exists()
    return (start + _HOUR if pruned else start), progress.until


def _days() -> Iterator[str]:
    """A day's sums are those of its hours."""
    hours: dict[datetime, Decimal] = {}
    by_hour = UsageCell.objects.filter(hours=1).order_by().values_list("starts_at").annotate(cost=Sum("cost_usd"))
    for starts_at, cost in by_hour:
        day = starts_at.replace(hour=0)
        hours[day] = hours.get(day, ZERO) + cost
    days = dict(UsageCell.objects.filter(hours=24).order_by().values_list("starts_at").annotate(cost=Sum("cost_usd")))
    for day, cost in days.items():
        if cost != hours.get(day, ZERO):
            yield f"the day {day:%Y-%m-%d} is added up to {_usd(cost)}, its hours to {_usd(hours.get(day, ZERO))}"


def _unequal(left: Mapping[Any, Decimal], right: Mapping[Any, Decimal]) -> Iterable[tuple[Any, Decimal, Decimal]]:
    for key in sorted(left.keys() | right.keys()):
        ours, theirs = left.get(key, ZERO), right.get(key, ZERO)
        if ours != theirs:
            yield key, ours, theirs


def _usd(amount: Decimal) -> str:
    return f"{usd_text(amount)} USD"
