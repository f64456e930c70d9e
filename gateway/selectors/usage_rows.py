"""Usage added up from the ledger's rows themselves, in the measures of the roll-ups' cells.

The roll-ups are made with it, and what they don't hold yet is read with it.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from django.db.models import Case, Count, F, IntegerField, Q, QuerySet, Sum, Value, When
from django.db.models.functions import Coalesce

from gateway.engine.words import AttemptOutcome, Billing
from gateway.models.completion import Attempt, Completion
from gateway.models.fields import UsdField
from gateway.selectors.outcomes import (
    ANSWERED,
    CANCELLED,
    DRILLED,
    FAILED,
    FELL_BACK,
    PENDING,
    REFUSED,
    RESPONSE_MS,
    TURNED_AWAY,
    UNSETTLED,
)
from gateway.selectors.usage_cells import EVERYTHING, Sums, UsageFilter
from gateway.selectors.windows import TimeWindow

_STREAMED = ANSWERED & Q(stream=True)
_COUNTS: dict[str, Any] = {
    "completions": Count("pk", filter=~TURNED_AWAY),
    "answered": Count("pk", filter=ANSWERED),
    "failed": Count("pk", filter=FAILED),
    "refused": Count("pk", filter=REFUSED),
    "cancelled": Count("pk", filter=CANCELLED),
    "fell_back": Count("pk", filter=FELL_BACK),
    "fell_back_answered": Count("pk", filter=FELL_BACK & ANSWERED),
    "response_ms_sum": Sum(RESPONSE_MS, filter=ANSWERED, default=0),
    "responses": Count(RESPONSE_MS, filter=ANSWERED),
    "first_content_ms_sum": Sum("first_content_ms", filter=_STREAMED, default=0),
    "first_contents": Count("first_content_ms", filter=_STREAMED),
    "drilled_answered": Count("pk", filter=DRILLED & ANSWERED),
    "drilled_failed": Count("pk", filter=DRILLED & FAILED),
    "drilled_fell_back": Count("pk", filter=DRILLED & FELL_BACK),
    "drilled_fell_back_answered": Count("pk", filter=DRILLED & FELL_BACK & ANSWERED),
    "drilled_response_ms_sum": Sum(RESPONSE_MS, filter=DRILLED & ANSWERED, default=0),
    "drilled_responses": Count(RESPONSE_MS, filter=DRILLED & ANSWERED),
    "cache_hits": Count("pk", filter=Q(cache="hit")),
    "saved_usd": Sum("saved_usd", default=0),
}
_TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_OWED: dict[str, Any] = {name: Sum(name, default=0) for name in ("cost_usd", *_TOKENS)}
_ATTEMPTS: dict[str, Any] = {
    "attempts": Count("pk", filter=~Q(outcome=AttemptOutcome.SKIPPED)),
    "estimated_usd": Sum("cost_usd", filter=Q(billing=Billing.ESTIMATED), default=0),
}
_MEASURES = (*_COUNTS, *_OWED, *_ATTEMPTS)
_OF_COMPLETIONS, _OF_ATTEMPTS = 0, 1


def rows_add(sums: Sums, steps: Sequence[tuple[int, TimeWindow]], *, by: Sequence[str], where: UsageFilter) -> None:
    """Adds the settled completions that began within the windows, under each window's number.

    One query, so that no settlement falls between a completion and its attempts; none without windows.
    """
    if not steps:
        return
    width = 1 + len(by)
    for source, *row in _rows(steps, by, where):
        key, values = tuple(row[:width]), dict(zip(_MEASURES, row[width:], strict=True))
        owed = {name: values[name] for name in _OWED}
        if source == _OF_ATTEMPTS:
            sums.add(key, owed | {name: values[name] for name in _ATTEMPTS})
            owed = {name: -amount for name, amount in owed.items()}
        else:
            sums.add(key, {name: values[name] for name in _COUNTS})
        if not where.of_target:
            # An amount is nobody's until an attempt accounts for it.
            sums.add(sums.without_target(key), owed | {"unknown_usd": owed["cost_usd"]})


def pending_within(window: TimeWindow, *, where: UsageFilter = EVERYTHING) -> int:
    """How many completions that began in the window are still under way. One query.

    Few are at any time, and an index knows them: the window is compared here, lest a million others be reached by time.
    """
    under_way = Completion.objects.filter(UNSETTLED, where.of_completions()).order_by("lease_until")
    begun = under_way.values_list("created_at", flat=True)
    return sum(window.start <= moment < window.end for moment in begun)


def _rows(steps: Sequence[tuple[int, TimeWindow]], by: Sequence[str], where: UsageFilter) -> QuerySet[Any]:
    completions = Completion.objects.exclude(PENDING).filter(within_any("created_at", steps), where.of_completions())
    attempts = Attempt.objects.filter(within_any("completion__created_at", steps), where.of_attempts())
    of_completions = _COUNTS | _OWED | {name: _nothing(name) for name in _ATTEMPTS}
    of_attempts = {name: _nothing(name) for name in _COUNTS} | _OWED | _ATTEMPTS
    return _grouped(completions, "", _OF_COMPLETIONS, steps, by, of_completions).union(
        _grouped(attempts, "completion__", _OF_ATTEMPTS, steps, by, of_attempts), all=True
    )


def _nothing(name: str) -> Value:
    """A union reads every row as its first part's columns say: amounts have to be amounts there."""
    return Value(0, output_field=UsdField() if name.endswith("_usd") else IntegerField())


def _grouped(
    rows: QuerySet[Any],
    prefix: str,
    source: int,
    steps: Sequence[tuple[int, TimeWindow]],
    by: Sequence[str],
    measures: dict[str, Any],
) -> QuerySet[Any]:
    keys = {
        "of_source": Value(source, output_field=IntegerField()),
        "of_step": step_of(f"{prefix}created_at", steps),
        **{f"of_{name}": _dimension(name, prefix) for name in by},
    }
    sums = {f"sum_of_{name}": measure for name, measure in measures.items()}
    grouped: QuerySet[Any] = rows.annotate(**keys).values(*keys).annotate(**sums).order_by()
    return grouped.values_list(*keys, *sums)


def within_any(column: str, steps: Iterable[tuple[int, TimeWindow]]) -> Q:
    inside = Q()
    for _, window in steps:
        inside |= Q(**{f"{column}__gte": window.start, f"{column}__lt": window.end})
    return inside


def step_of(column: str, steps: Sequence[tuple[int, TimeWindow]]) -> Any:
    """The number of the window that holds a row's time."""
    numbers = {number for number, _ in steps}
    if len(numbers) == 1:
        return Value(numbers.pop(), output_field=IntegerField())
    whens = [
        When(**{f"{column}__gte": window.start, f"{column}__lt": window.end}, then=Value(number))
        for number, window in steps
    ]
    return Case(*whens, output_field=IntegerField())


def _dimension(name: str, prefix: str) -> Any:
    if name in ("provider", "model"):
        return F(name)
    return Coalesce(f"{prefix}{name}", 0) if name in ("route_id", "api_key_id") else F(f"{prefix}{name}")
