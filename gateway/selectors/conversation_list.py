"""Conversations page by page, the last used first; and the requests of one, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Any

from django.db.models import Q, QuerySet

from gateway.models import Completion, Conversation, Team
from gateway.selectors.completions import CompletionLine, completion_lines
from gateway.selectors.conversation_caps import ConversationCap, conversation_caps
from gateway.selectors.conversations import NO_TEAM_ID
from gateway.selectors.keyset import Cursor


@dataclass(frozen=True, slots=True)
class ConversationLine:
    """Totals of the settled requests. `team` is "" for keys without a team; `cap` None where nothing limits it."""

    id: str
    team_id: int
    team: str
    completions: int
    input_tokens: int
    output_tokens: int
    cost_usd: Decimal
    first_seen_at: datetime
    last_seen_at: datetime
    cap: ConversationCap | None

    @property
    def duration_seconds(self) -> float:
        return (self.last_seen_at - self.first_seen_at).total_seconds()


@dataclass(frozen=True, slots=True)
class ConversationPage:
    """`next` begins the following page; None on the last one."""

    conversations: tuple[ConversationLine, ...]
    next: Cursor | None


@dataclass(frozen=True, slots=True)
class ConversationFilter:
    """`start` and `end` bound when it was last used: the former is included, the latter not."""

    team_id: int | None = None
    conversation: str = ""
    start: datetime | None = None
    end: datetime | None = None


def conversation_page(
    *, wanted: ConversationFilter, after: Cursor | None, limit: int, now: datetime
) -> ConversationPage:
    """Through an index, whatever is asked for. Six queries at most."""
    teams = {NO_TEAM_ID: "", **dict(Team.objects.values_list("pk", "name"))}
    rows = _wanted(wanted, teams)
    if after is not None:
        pk = int(after.key) if after.key.isdecimal() else 0
        # The first condition is what an index can begin at.
        rows = rows.filter(last_seen_at__lte=after.moment).filter(Q(last_seen_at__lt=after.moment) | Q(pk__lt=pk))
    found = list(rows.order_by("-last_seen_at", "-pk")[: limit + 1])
    shown = found[:limit]
    caps = conversation_caps(conversations=[(row.team_id, row.external_id) for row in shown], now=now)
    lines = tuple(_line(row, teams, caps.get((row.team_id, row.external_id))) for row in shown)
    more = len(found) > limit
    return ConversationPage(lines, Cursor(shown[-1].last_seen_at, str(shown[-1].pk)) if more else None)


def conversation_line(*, conversation: str, team_id: int, now: datetime) -> ConversationLine | None:
    """One conversation; None before its first request has been settled. Six queries at most."""
    row = Conversation.objects.filter(team_id=team_id, external_id=conversation).first()
    if row is None:
        return None
    teams = dict(Team.objects.filter(pk=team_id).values_list("pk", "name"))
    cap = conversation_caps(conversations=[(team_id, conversation)], now=now).get((team_id, conversation))
    return _line(row, teams, cap)


def conversation_completions(
    *, conversation: str, team_id: int, after: Cursor | None, limit: int
) -> tuple[tuple[CompletionLine, ...], Cursor | None]:
    """Its requests, the oldest first, and where the next page begins. One query."""
    rows: QuerySet[Completion] = Completion.objects.filter(team_id=team_id, conversation=conversation)
    if after is not None:
        rows = rows.filter(created_at__gte=after.moment).filter(Q(created_at__gt=after.moment) | Q(pk__gt=after.key))
    found = completion_lines(rows.order_by("created_at", "pk")[: limit + 1])
    shown = found[:limit]
    return shown, Cursor(shown[-1].created_at, shown[-1].id) if len(found) > limit else None


def _wanted(wanted: ConversationFilter, teams: dict[int, str]) -> QuerySet[Conversation]:
    rows: QuerySet[Conversation] = Conversation.objects.all()
    if wanted.team_id is not None:
        rows = rows.filter(team_id=wanted.team_id)
    if wanted.conversation:
        # The index on ids begins with the team.
        team_ids: Sequence[Any] = list(teams) if wanted.team_id is None else [wanted.team_id]
        rows = rows.filter(external_id=wanted.conversation, team_id__in=team_ids)
    if wanted.start is not None:
        rows = rows.filter(last_seen_at__gte=wanted.start)
    if wanted.end is not None:
        rows = rows.filter(last_seen_at__lt=wanted.end)
    return rows


def _line(row: Conversation, teams: dict[int, str], cap: ConversationCap | None) -> ConversationLine:
    return ConversationLine(
        id=row.external_id,
        team_id=row.team_id,
        team=teams.get(row.team_id, ""),
        completions=row.completions,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
        cost_usd=Decimal(row.cost_usd),
        first_seen_at=row.first_seen_at,
        last_seen_at=row.last_seen_at,
        cap=cap,
    )
