"""The room a completion holds in its budgets, and more of it once it may have to be paid twice."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal

from gateway.engine.attempt import Attempt
from gateway.engine.configuration import Target
from gateway.engine.errors import BudgetExceeded
from gateway.engine.routing import Plan
from gateway.ledger.prices import PriceBook
from gateway.ledger.records import ZERO_USD, BudgetClaim, Extension, Intent
from gateway.ledger.writer import LedgerWriter
from gateway.services.charging import BoundsOf, charge_attempt, price_of, worst_case_usd


def provider_worst_cases(
    prices: PriceBook, targets: Sequence[Target], bounds: BoundsOf, at: datetime
) -> dict[int, Decimal]:
    """By provider's id the most that one attempt at its targets can cost."""
    ids = {target.provider.id for target in targets}
    return {
        one: worst_case_usd(prices, [target for target in targets if target.provider.id == one], bounds, at)
        for one in ids
    }


def plan_without_full(plan: Plan, refused: BudgetExceeded) -> Plan:
    """The plan without the targets of the provider whose budget is full.

    Raises `refused` itself when it is about no provider's budget, or when no target would be left.
    """
    left = tuple(target for target in plan.targets if target.provider.id != refused.provider_id)
    if refused.provider_id is None or not left:
        raise refused
    out = [target.name for target in plan.targets if target not in left]
    before = plan.decision.get("left_out_for_full_budgets", [])
    return replace(plan, targets=left, decision={**plan.decision, "left_out_for_full_budgets": [*before, *out]})


@dataclass(slots=True)
class Room:
    """What one completion holds reserved. `attempts` is the engine's own list, which grows."""

    ledger: LedgerWriter
    prices: PriceBook
    intent: Intent
    bounds: BoundsOf
    attempts: Sequence[Attempt] = ()

    async def before_paid_again(self, attempt: Attempt) -> None:
        """Reserve what `attempt` can cost beside what its predecessors are charged.

        Raises BudgetExceeded where there is no room for it, LedgerUnavailable where the ledger doesn't answer.
        """
        charged = [(before.target.provider.id, self._charged_usd(before)) for before in self.attempts]
        charged.append((attempt.target.provider.id, self._worst_usd(attempt)))
        claims = tuple(replace(claim, amount_usd=_amount_usd(claim, charged)) for claim in self.intent.claims)
        total_usd = sum((amount_usd for _, amount_usd in charged), ZERO_USD)
        await self.ledger.extend(Extension(self.intent.id, total_usd, claims))

    def _charged_usd(self, attempt: Attempt) -> Decimal:
        price = price_of(self.prices, attempt.target, self.intent.created_at)
        return charge_attempt(attempt, price, self.bounds(attempt.target)).cost_usd

    def _worst_usd(self, attempt: Attempt) -> Decimal:
        return worst_case_usd(self.prices, [attempt.target], self._bounds_with(attempt), self.intent.created_at)

    def _bounds_with(self, attempt: Attempt) -> BoundsOf:
        """The request's bounds, and the text so far that a continuation sends with it."""
        bounds = self.bounds(attempt.target)
        return lambda target: replace(bounds, input_tokens=bounds.input_tokens + attempt.bytes_added)


def _amount_usd(claim: BudgetClaim, charged: Sequence[tuple[int, Decimal]]) -> Decimal:
    """A provider's budget pays for the attempts at that provider, every other one for all of them."""
    return sum(
        (amount_usd for provider_id, amount_usd in charged if claim.provider_id in (None, provider_id)), ZERO_USD
    )
