"""Nothing is sent to a model whose price is unknown: its cost could be neither bounded nor booked."""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

from gateway.engine.errors import AllTargetsFailed
from gateway.engine.routing import Plan
from gateway.ledger.prices import PriceBook
from gateway.services.charging import price_of


def priced_targets(plan: Plan, prices: PriceBook, at: datetime) -> Plan:
    """The plan without targets that have no price. Raises AllTargetsFailed when none is left."""
    targets = tuple(target for target in plan.targets if price_of(prices, target, at) is not None)
    if len(targets) == len(plan.targets) and targets:
        return plan
    unpriced = [target.name for target in plan.targets if target not in targets]
    if not targets:
        raise AllTargetsFailed(_nothing_left(unpriced), details={"unpriced": unpriced})
    return replace(plan, targets=targets, decision={**plan.decision, "left_out_without_price": unpriced})


def _nothing_left(unpriced: list[str]) -> str:
    if not unpriced:
        return "This route has no target that is switched on."
    return f"No target of this route has a price: {', '.join(unpriced)}. Operations must add one, or mark it free."
