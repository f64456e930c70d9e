"""Who spent how much: completions and attempts added up by one of their names, exact at the moment of reading."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any

from django.db.models import Count, QuerySet, Sum

from gateway.models.completion import Completion, Conversation
from gateway.selectors.outcomes import PENDING, TURNED_AWAY
from gateway.selectors.usage_cells import Usage
from gateway.selectors.usage_read import usage_by
from gateway.selectors.windows import TimeWindow

ZERO_USD = Decimal(0)


class SpendGroup(StrEnum):
    API_KEY = "api_key"
    TEAM = "team"
    ROUTE = "route"
    PROVIDER = "provider"
    MODEL = "model"
    CONVERSATION = "conversation"
    NONE = "none"


# What each group is divided by; conversations are too many for the roll-ups.
_DIMENSIONS = {
    SpendGroup.API_KEY: ("api_key_name",),
    SpendGroup.TEAM: ("team_name",),
    SpendGroup.ROUTE: ("route_name",),
    SpendGroup.PROVIDER: ("provider",),
    SpendGroup.MODEL: ("model",),
    SpendGroup.NONE: (),
}
# A conversation's id is its team's, so two teams' conversations of one id are two groups.
_CONVERSATION = ("conversation", "team_name", "team_id")
# Of conversations so many more than are told are added up: some cost less in the window than in all.
_SPARE_SHARE, _SPARE_ROWS = 8, 50
_AMOUNTS = ("cost_usd", "input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)
_END = datetime(9000, 1, 1, tzinfo=UTC)


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
    """Settled completions that began from `start` (included) to `end` (excluded); at most `limit` groups.

    By provider and by model, cost and tokens count where each attempt was made, which is how providers bill, and a
    completion counts once, where it was answered or last tried. What no attempt accounts for (an orphan's reservation)
    has no provider: its group is None. So rows add up to the total in every column. At most five queries.
    """
    window = TimeWindow(start or _BEGINNING, end or _END)
    if group_by is SpendGroup.CONVERSATION:
        return _by_conversation(window, limit)
    usages = usage_by(window, *_DIMENSIONS[group_by])
    rows = sorted((_row(key, usage) for key, usage in usages.items()), key=_dearest_first)
    if group_by is SpendGroup.NONE and not rows:
        rows = [SpendRow(None)]
    return SpendReport(tuple(rows[:limit]), spend_sum(rows), len(rows) > limit)


def spend_sum(rows: Iterable[SpendRow]) -> SpendRow:
    """All rows as one."""
    sums: defaultdict[str, Any] = defaultdict(int)
    for row in rows:
        for name in ("completions", *_AMOUNTS):
            sums[name] += getattr(row, name)
    return SpendRow(group=None, **sums)


def _row(key: tuple[Any, ...], usage: Usage) -> SpendRow:
    amounts = {name: getattr(usage, name) for name in _AMOUNTS}
    return SpendRow(key[0] or None if key else None, completions=usage.completions, **amounts)


def _dearest_first(row: SpendRow) -> tuple[Decimal, bool, str]:
    return (-row.cost_usd, row.group is None, row.group or "")


def _by_conversation(window: TimeWindow, limit: int) -> SpendReport:
    rows = _dearest_proven(window, limit)
    if rows is None:
        grouped = _grouped(_settled_in(window)).order_by("-of_cost_usd", *_CONVERSATION)
        rows = [_conversation_row(row) for row in grouped[: limit + 1]]
    if len(rows) <= limit:
        return SpendReport(tuple(rows), spend_sum(rows), False)
    return SpendReport(tuple(rows[:limit]), spend_sum(_row(key, one) for key, one in usage_by(window).items()), True)


def _dearest_proven(window: TimeWindow, limit: int) -> list[SpendRow] | None:
    """More than `limit` rows, of which those up to it are the dearest; None where that takes reading everything.

    A conversation costs no more in a window than it has cost in all, which its own row tells: so once the dearest by
    that are added up, the others are left out as soon as none of them can have cost as much as the last one told.
    """
    overlapping = Conversation.objects.filter(last_seen_at__gte=window.start, first_seen_at__lt=window.end)
    dearest = overlapping.order_by("-cost_usd", "pk").values_list("team_id", "external_id", "cost_usd")
    wanted = limit + limit // _SPARE_SHARE + _SPARE_ROWS
    candidates = list(dearest[: wanted + 1])
    if len(candidates) <= wanted:
        return None
    *candidates, (_, _, most_of_the_others_usd) = candidates
    teams = {team_id for team_id, _, _ in candidates}
    names = [conversation for _, conversation, _ in candidates]
    found = _grouped(_settled_in(window).filter(team_id__in=teams, conversation__in=names))
    rows = [_conversation_row(row) for row in sorted(found, key=_dearest_row_first)]
    proven = len(rows) > limit and rows[limit - 1].cost_usd > most_of_the_others_usd
    return rows if proven else None


def _settled_in(window: TimeWindow) -> QuerySet[Completion]:
    settled = Completion.objects.exclude(PENDING | TURNED_AWAY)
    return settled.filter(created_at__gte=window.start, created_at__lt=window.end)


def _grouped(completions: QuerySet[Completion]) -> QuerySet[Any]:
    sums = {f"of_{name}": Sum(name, default=0) for name in _AMOUNTS}  # aggregates can't bear a column's own name
    return completions.values_list(*_CONVERSATION).order_by().annotate(of_completions=Count("id"), **sums)


def _dearest_row_first(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """As the database orders them."""
    conversation, team, team_id, _, cost_usd, *_ = row
    return -cost_usd, conversation, team, team_id


def _conversation_row(row: tuple[Any, ...]) -> SpendRow:
    conversation, team, _, count, *amounts = row
    values = dict(zip(_AMOUNTS, amounts, strict=True))
    return SpendRow(conversation, completions=count, team=team or None, **values)
