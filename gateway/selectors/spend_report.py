"""Who spent how much: completions and attempts added up by one of their names, exact at the moment of reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db.models import Count, IntegerField, QuerySet, Sum, Value

from gateway.engine.words import CompletionStatus
from gateway.models.completion import Attempt, Completion

ZERO_USD = Decimal(0)


class SpendGroup(StrEnum):
    API_KEY = "api_key"
    TEAM = "team"
    ROUTE = "route"
    PROVIDER = "provider"
    MODEL = "model"
    CONVERSATION = "conversation"
    NONE = "none"


# A conversation's id is its team's, so two teams' conversations of one id are two groups.
_COLUMNS = {
    SpendGroup.API_KEY: ("api_key_name",),
    SpendGroup.TEAM: ("team_name",),
    SpendGroup.ROUTE: ("route_name",),
    SpendGroup.PROVIDER: ("provider",),
    SpendGroup.MODEL: ("model",),
    SpendGroup.CONVERSATION: ("conversation", "team_name", "team_id"),
    SpendGroup.NONE: (),
}
_AMOUNTS = ("cost_usd", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_OF_COMPLETIONS, _OF_ATTEMPTS = 0, 1


@dataclass(frozen=True, slots=True)
class SpendRow:
    """`group` is a name, None where there is none (no team, no provider asked); `team` is told of conversations only.

    `input_tokens` include cached and cache-write tokens.
    """

    group: str | None
    cost_usd: Decimal = ZERO_USD
    completions: int = 0
    input_tokens: int = 0
    cached_input_tokens: int = 0
    cache_write_tokens: int = 0
    output_tokens: int = 0
    team: str | None = None


@dataclass(frozen=True, slots=True)
class SpendReport:
    """`rows`: the dearest first. `total` counts every group, also those left out when `truncated`."""

    rows: tuple[SpendRow, ...]
    total: SpendRow
    truncated: bool


def spend_report(*, group_by: SpendGroup, start: datetime | None, end: datetime | None, limit: int) -> SpendReport:
    """Completions that began from `start` (included) to `end` (excluded); at most `limit` groups.

    By provider and by model, cost and tokens count where each attempt was made, which is how providers bill, and a
    completion counts once, where it was answered or last tried. What no attempt accounts for (an orphan's reservation)
    has no provider: its group is None. So rows add up to the total in every column.

    One query, so that no settlement falls between rows and total; a second one for the total of a truncated report.
    """
    completions = _within(Completion.objects.exclude(status=CompletionStatus.REFUSED), "created_at", start, end)
    if group_by in (SpendGroup.PROVIDER, SpendGroup.MODEL):
        attempts = _within(Attempt.objects.all(), "completion__created_at", start, end)
        rows = _by_target(completions, attempts, group_by.value)
        return SpendReport(rows[:limit], spend_sum(rows), len(rows) > limit)
    rows = _grouped(completions, _COLUMNS[group_by], limit + 1)
    if len(rows) <= limit:
        return SpendReport(rows, spend_sum(rows), False)
    return SpendReport(rows[:limit], _grouped(completions, (), 1)[0], True)


def spend_sum(rows: Iterable[SpendRow]) -> SpendRow:
    """All rows as one."""
    sums: defaultdict[str, Any] = defaultdict(int)
    for row in rows:
        for name in ("completions", *_AMOUNTS):
            sums[name] += getattr(row, name)
    return SpendRow(group=None, **sums)


def _within(rows: QuerySet[Any], column: str, start: datetime | None, end: datetime | None) -> QuerySet[Any]:
    if start is not None:
        rows = rows.filter(**{f"{column}__gte": start})
    return rows if end is None else rows.filter(**{f"{column}__lt": end})


def _sums() -> dict[str, Any]:
    """Aggregates can't bear a column's own name."""
    return {f"of_{name}": Sum(name, default=0) for name in _AMOUNTS}


def _grouped(completions: QuerySet[Any], columns: tuple[str, ...], limit: int) -> tuple[SpendRow, ...]:
    if not columns:
        totals = completions.aggregate(of_completions=Count("id"), **_sums())
        return (SpendRow(None, **{name.removeprefix("of_"): value for name, value in totals.items()}),)
    rows = (
        completions.values_list(*columns)
        .annotate(of_completions=Count("id"), **_sums())
        .order_by("-of_cost_usd", *columns)[:limit]
    )
    return tuple(_row(columns, row) for row in rows)


def _row(columns: tuple[str, ...], row: tuple[Any, ...]) -> SpendRow:
    names, (count, *amounts) = row[: len(columns)], row[len(columns) :]
    team = names[1] or None if len(columns) > 1 else None
    return SpendRow(names[0] or None, completions=count, team=team, **dict(zip(_AMOUNTS, amounts, strict=True)))


def _by_target(completions: QuerySet[Any], attempts: QuerySet[Any], column: str) -> tuple[SpendRow, ...]:
    """Counts of completions beside the amounts of attempts; the difference of both amounts is nobody's."""
    counted = completions.values_list(column).annotate(
        source=Value(_OF_COMPLETIONS), of_completions=Count("id"), **_sums()
    )
    charged = attempts.values_list(column).annotate(
        source=Value(_OF_ATTEMPTS), of_completions=Value(0, output_field=IntegerField()), **_sums()
    )
    groups: defaultdict[str | None, dict[str, Any]] = defaultdict(lambda: dict.fromkeys(("completions", *_AMOUNTS), 0))
    for name, source, count, *amounts in counted.order_by().union(charged.order_by(), all=True):
        groups[name or None]["completions"] += count
        for amount_name, amount in zip(_AMOUNTS, amounts, strict=True):
            if source == _OF_ATTEMPTS:
                groups[name or None][amount_name] += amount
                groups[None][amount_name] -= amount
            else:
                groups[None][amount_name] += amount
    rows = (SpendRow(name, **amounts) for name, amounts in groups.items() if any(amounts.values()))
    return tuple(sorted(rows, key=lambda row: (-row.cost_usd, row.group is None, row.group or "")))
