"""One conversation: what it has cost so far, and its last completions."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Count, Max, Min, Q, QuerySet, Sum

from gateway.engine.words import Billing, CompletionStatus
from gateway.models import Completion, Team
from gateway.selectors.conversation_caps import ConversationCap, conversation_caps
from gateway.selectors.outcomes import PENDING, TURNED_AWAY

NO_TEAM_ID = 0  # of conversations of keys that belong to no team


@dataclass(frozen=True, slots=True)
class ConversationCompletion:
    request_id: str
    created_at: datetime
    status: str
    route: str
    provider: str
    model: str
    cost_usd: Decimal
    billing: str


@dataclass(frozen=True, slots=True)
class ModelUse:
    """`provider` and `model` are "" for requests that no provider answered."""

    provider: str
    model: str
    completions: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class ConversationUsage:
    """Sums over all its completions; pending ones count but have neither tokens nor cost yet.

    `team` is "" for keys without a team. `uncertain_usd` is the part of the cost that no provider reported: upper
    bounds and orphans. `models` are those that answered, the dearest first; `cap` is None where no
    budget counts each conversation. `recent` are the newest completions, newest first.
    """

    id: str
    team: str
    cost_usd: Decimal
    uncertain_usd: Decimal
    completions: int
    answered: int
    pending: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    first_seen_at: datetime
    last_seen_at: datetime
    recent: tuple[ConversationCompletion, ...]
    models: tuple[ModelUse, ...]
    cap: ConversationCap | None

    @property
    def duration_seconds(self) -> float:
        return (self.last_seen_at - self.first_seen_at).total_seconds()


def conversation_teams(*, conversation: str) -> dict[int, str]:
    """The teams that have a conversation of this id: their ids and names, "" for keys without a team. Two queries.

    Asked team by team, because the index on completions begins with the team.
    """
    names = {NO_TEAM_ID: "", **dict(Team.objects.values_list("pk", "name"))}
    having = Completion.objects.filter(team_id__in=names, conversation=conversation)
    return {team_id: names[team_id] for team_id in having.values_list("team_id", flat=True).distinct().order_by()}


def conversation_usage(
    *, conversation: str, team_id: int, team: str, recent: int, now: datetime
) -> ConversationUsage | None:
    """None if the team has no such conversation. `recent`: how many completions to list at most. Seven queries."""
    rows = Completion.objects.filter(team_id=team_id, conversation=conversation)
    sums = rows.exclude(status=CompletionStatus.REFUSED).aggregate(
        of_cost_usd=Sum("cost_usd", default=0),
        of_uncertain_usd=Sum("cost_usd", filter=Q(billing__in=(Billing.ESTIMATED, Billing.UNKNOWN)), default=0),
        of_completions=Count("id"),
        of_answered=Count("id", filter=Q(status=CompletionStatus.ANSWERED)),
        of_pending=Count("id", filter=Q(status=CompletionStatus.PENDING)),
        of_input_tokens=Sum("input_tokens", default=0),
        of_cached_input_tokens=Sum("cached_input_tokens", default=0),
        of_cache_write_tokens=Sum("cache_write_tokens", default=0),
        of_output_tokens=Sum("output_tokens", default=0),
        of_first_seen_at=Min("created_at"),
        of_last_seen_at=Max("created_at"),
    )
    if not sums["of_completions"]:
        return None
    values = {name.removeprefix("of_"): value for name, value in sums.items()}
    caps = conversation_caps(conversations=[(team_id, conversation)], now=now)
    return ConversationUsage(
        id=conversation,
        team=team,
        recent=_recent(rows, recent),
        models=conversation_models(conversation=conversation, team_id=team_id, pending=True),
        cap=caps.get((team_id, conversation)),
        **values,
    )


def conversation_models(*, conversation: str, team_id: int, pending: bool) -> tuple[ModelUse, ...]:
    """Which models answered how often and for how much, the dearest first. One query over its requests.

    They add up to the requests that were not turned away: with the `pending` ones as `ConversationUsage` counts them,
    without as its turns are counted.
    """
    left_out = TURNED_AWAY if pending else PENDING | TURNED_AWAY
    counted = Completion.objects.exclude(left_out).filter(team_id=team_id, conversation=conversation)
    rows = counted.values_list("provider", "model")
    uses = rows.annotate(of_completions=Count("pk"), of_cost=Sum("cost_usd")).order_by("-of_cost", "provider", "model")
    return tuple(ModelUse(*use) for use in uses)


def _recent(rows: QuerySet[Completion], limit: int) -> tuple[ConversationCompletion, ...]:
    columns = ("id", "created_at", "status", "route_name", "provider", "model", "cost_usd", "billing")
    newest = rows.order_by("-created_at", "-id").values_list(*columns)[:limit]
    return tuple(ConversationCompletion(*row) for row in newest)
