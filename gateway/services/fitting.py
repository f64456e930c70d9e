"""What a request becomes where a budget doesn't grant it as it was asked: a cheaper plan, or less output. Pure.

Ways are tried in this order, and after each the ledger is asked again, since others may have been faster:

1. another provider, where it is one provider's budget that is full;
2. the route's cheap target first (`step_down_at_percent`), with the others behind it so far as they fit;
3. no fallback to targets that don't fit, for a request that has stepped down;
4. less output (`shrink_output`).

Each way can be taken a bounded number of times: targets only become fewer, and the limit is shrunk a few times at most.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.engine.configuration import Route, Target
from gateway.engine.routing import Plan, put_first
from gateway.engine.words import Operation
from gateway.ledger.admission import NotGranted, Verdict
from gateway.ledger.money import usd_text
from gateway.ledger.prices import PriceBook
from gateway.ledger.records import BudgetCheck, BudgetClaim
from gateway.services.bounding import RequestBounds
from gateway.services.charging import worst_case_usd
from gateway.services.room import plan_without_full
from gateway.services.simple import can_serve

# The least that OpenAI's Responses take (`max_output_tokens`), and as little as an answer can say anything in.
LEAST_OUTPUT_TOKENS = 16
# Every loser of a race for room learns how much was left; who shrank before has taken nearly all of it.
MAX_SHRINKS = 8


@dataclass(frozen=True, slots=True)
class Draft:
    """How the ledger is asked next. `checks` are what the budgets said to the drafts before."""

    plan: Plan
    stepped_down: bool = False
    output_limit_tokens: int | None = None
    shrinks: int = 0
    checks: tuple[BudgetCheck, ...] = ()

    def claims(self, claims: tuple[BudgetClaim, ...]) -> tuple[BudgetClaim, ...]:
        """A request steps down once."""
        if not self.stepped_down:
            return claims
        return tuple(replace(claim, step_down_percent=None) for claim in claims)


@dataclass(frozen=True, slots=True)
class Fitting:
    """What the next draft is made from. `bounds` are those of the draft that was not granted."""

    route: Route
    operation: Operation
    payload: Mapping[str, Any]
    prices: PriceBook
    bounds: RequestBounds
    at: datetime

    def worst_usd(self, targets: Sequence[Target]) -> Decimal:
        return worst_case_usd(self.prices, targets, self.bounds, self.at)


def refit(draft: Draft, refused: NotGranted, fitting: Fitting) -> Draft:
    """The next draft. Raises `refused`, which then knows all checks, where there is no other way to ask."""
    refused.checks = (*draft.checks, *refused.checks)
    draft = replace(draft, checks=refused.checks)
    for way in (_without_provider, _stepped_down, _without_dear_fallbacks, _shrunk):
        fitted = way(draft, refused, fitting)
        if fitted is not None:
            return fitted
    raise refused


def headers_of(draft: Draft) -> dict[str, str]:
    """What the client is told of it."""
    headers = {}
    if draft.output_limit_tokens is not None:
        headers["x-llmops-output-limit"] = str(draft.output_limit_tokens)
    if "stepped_down" in draft.plan.decision:
        headers["x-llmops-stepped-down"] = "true"
    return headers


def _without_provider(draft: Draft, refused: NotGranted, fitting: Fitting) -> Draft | None:
    others = [target for target in draft.plan.targets if target.provider.id != refused.provider_id]
    if refused.provider_id is None or refused.verdict is not Verdict.NO_ROOM or not others:
        return None
    return replace(draft, plan=plan_without_full(draft.plan, refused))


def _stepped_down(draft: Draft, refused: NotGranted, fitting: Fitting) -> Draft | None:
    if draft.stepped_down or refused.claim.step_down_percent is None:
        return None
    cheap = _cheap_target(draft.plan, fitting)
    kept, dear = _sorted_out(cheap, draft.plan.targets, refused, fitting)
    if cheap.name == draft.plan.targets[0].name and not dear:
        # It is the cheap one already.
        return replace(draft, stepped_down=True) if refused.verdict is Verdict.STEP_DOWN else None
    decision = {
        **draft.plan.decision,
        "targets": [target.name for target in (*kept, *dear)],
        "stepped_down": _why(refused, cheap),
    }
    plan = _leaving_out(replace(draft.plan, targets=kept, decision=decision, first_reason=_reason(refused)), dear)
    return replace(_unshrunk(draft, plan), stepped_down=True)


def _without_dear_fallbacks(draft: Draft, refused: NotGranted, fitting: Fitting) -> Draft | None:
    if not draft.stepped_down or refused.verdict is not Verdict.NO_ROOM:
        return None
    kept, dear = _sorted_out(draft.plan.targets[0], draft.plan.targets, refused, fitting)
    return _unshrunk(draft, _leaving_out(replace(draft.plan, targets=kept), dear)) if dear else None


def _shrunk(draft: Draft, refused: NotGranted, fitting: Fitting) -> Draft | None:
    may = refused.claim.shrinks and refused.verdict is Verdict.NO_ROOM and draft.shrinks < MAX_SHRINKS
    limit = _affordable_limit(_paid_by(refused.claim, draft.plan.targets), refused.room_usd, fitting) if may else None
    if limit is None:
        return None
    decision = {
        **draft.plan.decision,
        "shrunk_output": {"budget": refused.claim.budget_name, "output_limit_tokens": limit},
    }
    plan = replace(draft.plan, decision=decision)
    return replace(draft, plan=plan, output_limit_tokens=limit, shrinks=draft.shrinks + 1)


def _unshrunk(draft: Draft, plan: Plan) -> Draft:
    """With this cheaper plan, and as much output as was asked for: it may fit now."""
    decision = {key: value for key, value in plan.decision.items() if key != "shrunk_output"}
    return replace(draft, plan=replace(plan, decision=decision), output_limit_tokens=None)


def _cheap_target(plan: Plan, fitting: Fitting) -> Target:
    """The route's simple target, where it can serve this; else the cheapest of the plan."""
    simple = fitting.route.simple_target
    if simple is not None and _can_serve(simple, fitting):
        return simple
    return min(plan.targets, key=lambda target: fitting.worst_usd([target]))


def _can_serve(target: Target, fitting: Fitting) -> bool:
    return can_serve(target, fitting.operation, fitting.prices, fitting.at)


def _sorted_out(
    first: Target, targets: Sequence[Target], refused: NotGranted, fitting: Fitting
) -> tuple[tuple[Target, ...], tuple[Target, ...]]:
    """`first` and the others that fit the room there is; those that don't."""
    first, *others = put_first(first, targets)
    dear = tuple(
        target
        for target in others
        if refused.claim.blocking and _paid_by(refused.claim, [target]) and _is_too_dear(target, refused, fitting)
    )
    return (first, *(target for target in others if target not in dear)), dear


def _is_too_dear(target: Target, refused: NotGranted, fitting: Fitting) -> bool:
    return fitting.worst_usd([target]) > refused.room_usd


def _paid_by(claim: BudgetClaim, targets: Sequence[Target]) -> list[Target]:
    """The targets whose cost the claim's budget counts."""
    return [target for target in targets if claim.provider_id in (None, target.provider.id)]


def _leaving_out(plan: Plan, dear: Sequence[Target]) -> Plan:
    if not dear:
        return plan
    before = plan.decision.get("left_out_for_room", [])
    names = [*before, *(target.name for target in dear)]
    return replace(plan, decision={**plan.decision, "left_out_for_room": names})


def _reason(refused: NotGranted) -> str:
    name, percent = refused.claim.budget_name, refused.claim.step_down_percent
    if refused.verdict is Verdict.STEP_DOWN:
        return f"cheap target: budget {name} has reached {percent} %"
    return f"cheap target: budget {name} has no room for the others"


def _why(refused: NotGranted, cheap: Target) -> dict[str, Any]:
    return {
        "budget": refused.claim.budget_name,
        "at_percent": refused.claim.step_down_percent,
        "room_usd": usd_text(refused.room_usd),
        "to": cheap.name,
        "because": "share_reached" if refused.verdict is Verdict.STEP_DOWN else "no_room",
    }


def _affordable_limit(targets: Sequence[Target], room_usd: Decimal, fitting: Fitting) -> int | None:
    """The largest output limit whose worst case fits the room; None if the least useful one doesn't."""
    bounds = fitting.bounds
    if fitting.operation is Operation.EMBEDDINGS:
        return None

    def fits(limit: int) -> bool:
        shrunk = replace(bounds, limit_tokens=limit)
        return worst_case_usd(fitting.prices, targets, shrunk, fitting.at) <= room_usd

    asked = bounds.default_limit_tokens if bounds.limit_tokens is None else bounds.limit_tokens
    least, beyond = _least_limit(fitting.payload), asked
    if least >= asked or not fits(least):
        return None
    while beyond - least > 1:
        middle = (least + beyond) // 2
        least, beyond = (middle, beyond) if fits(middle) else (least, middle)
    return least


def _least_limit(payload: Mapping[str, Any]) -> int:
    """Anthropic takes no limit that doesn't exceed what the request sets aside for thinking."""
    thinking = payload.get("thinking")
    budget = thinking.get("budget_tokens") if isinstance(thinking, dict) else None
    return LEAST_OUTPUT_TOKENS + (budget if isinstance(budget, int) else 0)
