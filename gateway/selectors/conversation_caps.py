"""What conversations may still cost: the tightest of the budgets that count each conversation."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

from django.db.models import Q

from gateway.ledger.budgets import conversation_subject
from gateway.models import Budget, BudgetWindow
from gateway.models.words import BudgetScope, Enforcement
from gateway.selectors.budget_status import budget_span, raises_in_force
from gateway.selectors.configuration import organisation_zone

_ZERO_USD = Decimal(0)
_Taken = Mapping[tuple[int, str], Decimal]  # by budget and subject


@dataclass(frozen=True, slots=True)
class ConversationCap:
    """`left_usd` is what the limit leaves beside what is spent and reserved in the present window; never below zero."""

    budget: str
    limit_usd: Decimal
    left_usd: Decimal
    blocks: bool
    resets_at: datetime | None


@dataclass(frozen=True, slots=True)
class _Counting:
    """A budget in its present window."""

    budget: Budget
    limit_usd: Decimal
    epoch: int
    resets_at: datetime | None


def conversation_caps(
    *, conversations: Collection[tuple[int, str]], now: datetime
) -> dict[tuple[int, str], ConversationCap]:
    """By team's id and conversation; nothing where no budget counts conversations. At most four queries."""
    budgets = list(Budget.objects.alive().filter(scope=BudgetScope.CONVERSATION.value).order_by("name"))
    if not budgets or not conversations:
        return {}
    raises, zone = raises_in_force(now=now), organisation_zone()
    counting = []
    for budget in budgets:
        start, resets_at = budget_span(budget, now, zone)
        raised = raises.get(budget.pk)
        limit_usd = budget.limit_usd + (raised.amount_usd if raised else _ZERO_USD)
        counting.append(_Counting(budget, limit_usd, 0 if start is None else int(start.timestamp()), resets_at))
    taken = _taken(counting, [conversation_subject(*one) for one in conversations])
    return {one: _tightest(counting, taken, conversation_subject(*one)) for one in conversations}


def _taken(counting: Collection[_Counting], subjects: Collection[str]) -> _Taken:
    wanted = Q(pk=None)
    for one in counting:
        wanted |= Q(budget_id=one.budget.pk, window_epoch=one.epoch, subject__in=subjects)
    return {
        (row.budget_id, row.subject): row.spent_usd + row.reserved_usd for row in BudgetWindow.objects.filter(wanted)
    }


def _tightest(counting: Collection[_Counting], taken: _Taken, subject: str) -> ConversationCap:
    caps = (_cap(one, taken.get((one.budget.pk, subject), _ZERO_USD)) for one in counting)
    return min(caps, key=lambda cap: (cap.left_usd, not cap.blocks))


def _cap(one: _Counting, taken_usd: Decimal) -> ConversationCap:
    blocks = one.budget.enforcement == Enforcement.BLOCK
    left_usd = max(_ZERO_USD, one.limit_usd - taken_usd)
    return ConversationCap(one.budget.name, one.limit_usd, left_usd, blocks, one.resets_at)
