"""Raising a budget's limit for a while. A raise is a row: it reaches every process and ends by itself."""

from __future__ import annotations

from datetime import datetime, timedelta
from decimal import Decimal

from django.core.exceptions import ValidationError
from django.db import transaction
from django.utils import timezone

from gateway.ledger.money import usd_text
from gateway.models import Budget, BudgetRaise
from gateway.services.configuration import CHANGED, change_record, configuration_changed
from gateway.services.live import serving_runtime

# What is needed for longer is a new limit.
LONGEST_RAISE = timedelta(days=366)


@transaction.atomic
def budget_raise(*, budget: Budget, amount_usd: Decimal, until: datetime, reason: str, actor: str) -> BudgetRaise:
    """Add `amount_usd` to the limit until then; live in this process once committed, in others within 2 s.

    Raises ValidationError for an amount or a time out of range.
    """
    now = timezone.now()
    if not now < until <= now + LONGEST_RAISE:
        raise ValidationError({"until": f"must be later than now and within {LONGEST_RAISE.days} days"})
    row = BudgetRaise(budget=budget, until=until, reason=reason, made_by=actor[:150], created_at=now)
    row.amount_usd = amount_usd
    row.full_clean()
    row.save()
    after = f"limit_usd raised by {usd_text(amount_usd)} until {_moment(until)} ({reason})"
    _announce(budget, actor, before=f"limit_usd={usd_text(budget.limit_usd)}", after=after)
    return row


@transaction.atomic
def budget_raises_end(*, budget: Budget, actor: str) -> int:
    """End the raises of a budget now; how many there were."""
    now = timezone.now()
    ended = BudgetRaise.objects.filter(budget=budget, until__gt=now).update(until=now)
    if ended:
        after = f"limit_usd={usd_text(budget.limit_usd)}, its temporary raise ended early"
        _announce(budget, actor, before="limit_usd raised for a while", after=after)
    return ended


def _announce(budget: Budget, actor: str, *, before: str, after: str) -> None:
    change_record(actor=actor, action=CHANGED, section="budgets", name=budget.name, before=before, after=after)
    configuration_changed()
    transaction.on_commit(_live)


def _live() -> None:
    """Here at once; other processes see the version move."""
    runtime = serving_runtime()
    if runtime is not None:
        runtime.holder.poll()


def _moment(moment: datetime) -> str:
    return moment.isoformat(timespec="seconds").replace("+00:00", "Z")
