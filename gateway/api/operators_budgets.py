"""What operators order of budgets."""

from __future__ import annotations

from django.core.exceptions import ValidationError
from django.utils import timezone

from gateway.api import operators_schemas as schemas
from gateway.api.operators_errors import NotFound
from gateway.engine.errors import InvalidRequest
from gateway.models import Budget
from gateway.selectors.budget_status import raises_in_force
from gateway.services.budget_raises import budget_raise


def budget_raised(*, name: str, order: schemas.RaiseOrder, actor: str) -> schemas.BudgetRaised:
    """Raise the limit; raises NotFound, or InvalidRequest naming the field."""
    budget = Budget.objects.alive().filter(name=name).first()
    if budget is None:
        known = ", ".join(Budget.objects.alive().order_by("name").values_list("name", flat=True)[:50]) or "none yet"
        raise NotFound(f"There is no budget {name[:100]!r}. There are: {known}.", param="name")
    try:
        row = budget_raise(
            budget=budget, amount_usd=order.amount_usd, until=order.until, reason=order.reason, actor=actor
        )
    except ValidationError as error:
        raise _invalid(error) from None
    raised = raises_in_force(now=timezone.now()).get(budget.pk)
    return schemas.BudgetRaised(
        budget=budget.name,
        amount_usd=row.amount_usd,
        until=row.until,
        reason=row.reason,
        made_by=row.made_by,
        limit_usd=budget.limit_usd + (raised.amount_usd if raised else 0),
    )


def _invalid(error: ValidationError) -> InvalidRequest:
    param, problems = next(iter(error.message_dict.items()))
    return InvalidRequest(f"{param}: {' '.join(problems)}", param=param)
