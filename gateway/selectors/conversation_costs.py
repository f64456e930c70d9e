"""What conversations cost: how their whole costs spread around the objective, and the dearest of them."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal

from django.db.models import Case, Count, IntegerField, QuerySet, Sum, Value, When

from gateway.models import Conversation, Team
from gateway.selectors.usage_cells import ZERO_USD, share
from gateway.selectors.windows import TimeWindow

# Upper ends of the classes, as parts of the objective: with $0.50 they are 1, 5, 10, 25, 50 cents, $1, $2 and $5.
_CLASS_ENDS = tuple(map(Decimal, ("0.02", "0.1", "0.2", "0.5", "1", "2", "4", "10")))


@dataclass(frozen=True, slots=True)
class CostClass:
    """Conversations that cost more than `above_usd` (the first: or nothing) and at most `up_to_usd`; None: no end."""

    above_usd: Decimal
    up_to_usd: Decimal | None
    conversations: int
    share: float


@dataclass(frozen=True, slots=True)
class CostDistribution:
    """`share_above` (0 to 1) cost more than `limit_usd`; None, as the mean, without conversations."""

    limit_usd: Decimal
    classes: tuple[CostClass, ...]
    conversations: int
    above: int
    cost_usd: Decimal

    @property
    def share_above(self) -> float | None:
        return share(self.above, self.conversations)

    @property
    def mean_usd(self) -> Decimal | None:
        return self.cost_usd / self.conversations if self.conversations else None


@dataclass(frozen=True, slots=True)
class DearConversation:
    id: str
    team_id: int
    team: str
    completions: int
    cost_usd: Decimal


def cost_distribution(*, window: TimeWindow, team: str | None, limit_usd: Decimal) -> CostDistribution:
    """The whole cost so far of each conversation last used in the window, of one team or (None) of all. One query."""
    ends = [part * limit_usd for part in _CLASS_ENDS]
    number = Case(
        *(When(cost_usd__lte=end, then=Value(index)) for index, end in enumerate(ends)),
        default=Value(len(ends)),
        output_field=IntegerField(),
    )
    rows = _last_used(window, team).annotate(number=number).values_list("number").order_by()
    found = {index: (count, cost) for index, count, cost in rows.annotate(count=Count("pk"), cost=Sum("cost_usd"))}
    total = sum(count for count, _ in found.values())
    classes = tuple(
        CostClass(lower, upper, found.get(index, (0, ZERO_USD))[0], found.get(index, (0, 0))[0] / total if total else 0)
        for index, (lower, upper) in enumerate(zip([ZERO_USD, *ends], [*ends, None], strict=True))
    )
    above = sum(one.conversations for one in classes if one.above_usd >= limit_usd)
    return CostDistribution(limit_usd, classes, total, above, sum((cost for _, cost in found.values()), ZERO_USD))


def conversations_dearest(*, window: TimeWindow, team: str | None, limit: int) -> tuple[DearConversation, ...]:
    """Of those last used in the window, by their whole cost so far. Two queries."""
    columns = ("external_id", "team_id", "completions", "cost_usd")
    rows = list(_last_used(window, team).order_by("-cost_usd", "id").values_list(*columns)[:limit])
    names = dict(Team.objects.filter(pk__in={row[1] for row in rows}).values_list("pk", "name"))
    return tuple(DearConversation(row[0], row[1], names.get(row[1], ""), *row[2:]) for row in rows)


def _last_used(window: TimeWindow, team: str | None) -> QuerySet[Conversation]:
    rows = Conversation.objects.filter(last_seen_at__gte=window.start, last_seen_at__lt=window.end)
    if team is None:
        return rows
    return rows.filter(team_id__in=Team.objects.filter(name=team).values("pk")) if team else rows.filter(team_id=0)
