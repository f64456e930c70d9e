"""From a parsed call to a completion that may begin: route, plan, bounds, and an intent with its reservations."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from gateway.engine.completion import Completion
from gateway.engine.configuration import Route
from gateway.engine.drilling import drilled_plan
from gateway.engine.exchange import Ask
from gateway.engine.routing import Plan, able_targets, plan_completion
from gateway.engine.second_round import ROUNDS
from gateway.engine.words import Operation, StreamRecovery
from gateway.ledger.admission import NotGranted, granted_checks
from gateway.ledger.budgets import CompletionFacts, Scope, blocking_applies, claims_for
from gateway.ledger.records import Intent, Opened
from gateway.services.access import route_for
from gateway.services.bounding import RequestBounds, check_bounded, request_bounds
from gateway.services.call import Call, call_trace, forwarded_headers
from gateway.services.charging import BoundsOf, worst_case_usd
from gateway.services.conversation import conversation_id
from gateway.services.fitting import Draft, Fitting, headers_of, refit
from gateway.services.intents import intent_of
from gateway.services.pricing import priced_targets
from gateway.services.room import Room, provider_worst_cases
from gateway.services.runtime import Runtime
from gateway.services.simple import TIER_HEADER, simple_plan
from gateway.services.snapshot import Snapshot
from gateway.services.work import Work
from gateway.wires import ParsedRequest
from gateway.wires.continuation import continuable

# How much longer than everything it may wait for a completion can take before its intent counts as orphaned.
LEASE_MARGIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Opening:
    """A request as it will be sent once its budgets have granted it; `must_bound`: one of them blocks."""

    route: Route
    draft: Draft
    intent: Intent
    bounds: RequestBounds
    must_bound: bool
    opened: Opened


async def completion_open(runtime: Runtime, call: Call, parsed: ParsedRequest, waited_seconds: float = 0.0) -> Work:
    """Route, plan and reserve; the intent is durable when this returns. `waited_seconds` of the deadline are over."""
    snapshot = runtime.snapshot
    opening = await opening_plan(snapshot, call, parsed, reserve=runtime.ledger.open, holder=runtime.ledger.holder)
    route, draft, intent, bounds = opening.route, opening.draft, opening.intent, opening.bounds
    plan = draft.plan
    # Last, so that what a budget has put in place of what was asked is drilled as well.
    if snapshot.drills:
        plan = drilled_plan(
            plan,
            snapshot.drills,
            route_id=route.id,
            key_id=call.key.id,
            now=intent.created_at.timestamp(),
            random=runtime.engine.random,
        )
    ask = _ask(call, parsed, route, draft, must_bound=opening.must_bound)
    room = Room(runtime.ledger, snapshot.price_book, intent, bounds)
    completion = Completion(
        runtime.engine,
        ask,
        plan,
        deadline_seconds=route.deadline_seconds - waited_seconds,
        recovery=_recovery(route, call.operation, parsed),
        before_paid_again=room.before_paid_again if intent.claims else None,
    )
    room.attempts = completion.attempts
    checks = (*draft.checks, *granted_checks(intent.claims, opening.opened.windows))
    adjusted = headers_of(draft)
    remaining_usd = opening.opened.budget_remaining_usd
    return Work(runtime, call, intent, completion, bounds, snapshot, remaining_usd, checks, adjusted)


async def opening_plan(
    snapshot: Snapshot,
    call: Call,
    parsed: ParsedRequest,
    *,
    reserve: Callable[[Intent], Awaitable[Opened]],
    holder: str,
) -> Opening:
    """What will be asked of whom, and the most it can cost; `reserve` asks the budgets, as the ledger or as a dry run.

    Without fire drills. Raises GatewayError, and what `reserve` raises where no draft is granted.
    """
    now = datetime.now(UTC)
    route = route_for(snapshot, call.key, parsed.model)
    plan = able_targets(plan_completion(route, parsed.model), call.operation)
    plan = priced_targets(plan, snapshot.price_book, now)
    conversation = conversation_id(call.headers, parsed.conversation_id)
    if route.simple_target is not None or TIER_HEADER in call.headers:
        plan = simple_plan(plan, route, call, parsed, conversation=conversation, snapshot=snapshot, at=now)
    draft = Draft(plan)
    while True:
        plan = draft.plan
        facts = _facts(call, route, plan, conversation)
        must_bound = blocking_applies(snapshot.budgets, facts)
        if must_bound:
            check_bounded(parsed)
        bounds = request_bounds(call.operation, parsed, call.body, route, bound_output=must_bound)
        if draft.output_limit_tokens is not None:
            bounds = replace(bounds, limit_tokens=draft.output_limit_tokens)
        intent = _intent(snapshot, call, parsed, route, draft, facts, bounds, now, holder)
        try:
            opened = await reserve(intent)
            return Opening(route, draft, intent, bounds, must_bound, opened)
        except NotGranted as refused:
            draft = refit(
                draft, refused, Fitting(route, call.operation, parsed.payload, snapshot.price_book, bounds, now)
            )


def _ask(call: Call, parsed: ParsedRequest, route: Route, draft: Draft, *, must_bound: bool) -> Ask:
    return Ask(
        request_id=call.request_id,
        surface=call.operation.surface,
        payload=parsed.payload,
        body=call.body,
        stream=parsed.stream,
        forwarded_headers=forwarded_headers(call),
        default_output_tokens=route.max_output_tokens,
        bound_output=must_bound,
        operation=call.operation,
        output_limit_tokens=draft.output_limit_tokens,
        prompt_prefix=route.prompt_prefix,
        trace=call_trace(call),
    )


def _facts(call: Call, route: Route, plan: Plan, conversation: str) -> CompletionFacts:
    return CompletionFacts(
        team_id=call.key.team_id,
        api_key_id=call.key.id,
        route_id=route.id or None,
        conversation=conversation,
        provider_ids=tuple(target.provider.id for target in plan.targets),
    )


def _intent(
    snapshot: Snapshot,
    call: Call,
    parsed: ParsedRequest,
    route: Route,
    draft: Draft,
    facts: CompletionFacts,
    bounds: BoundsOf,
    now: datetime,
    holder: str,
) -> Intent:
    prices, plan = snapshot.price_book, draft.plan
    reserved_usd = worst_case_usd(prices, plan.targets, bounds, now)
    if any(budget.scope is Scope.PROVIDER for budget in snapshot.budgets):
        facts = replace(facts, provider_worst_usd=provider_worst_cases(prices, plan.targets, bounds, now))
    return intent_of(
        parsed,
        route,
        request_id=call.request_id,
        operation=call.operation,
        key=call.key,
        conversation=facts.conversation,
        created_at=now,
        lease_until=now + timedelta(seconds=_longest_seconds(route, plan) + LEASE_MARGIN_SECONDS),
        decision=plan.decision,
        holder=holder,
        reserved_usd=reserved_usd,
        claims=draft.claims(claims_for(snapshot.budgets, facts, reserved_usd, now, snapshot.zone)),
    )


def _recovery(route: Route, operation: Operation, parsed: ParsedRequest) -> StreamRecovery:
    """What the route says, where the request allows for it."""
    recovery = StreamRecovery(route.stream_recovery)
    able = not operation.is_metered and continuable(operation.surface, parsed.payload)
    if recovery is StreamRecovery.CONTINUE and not able:
        return StreamRecovery.ERROR
    return recovery


def _longest_seconds(route: Route, plan: Plan) -> float:
    """A stream may break at every target, in each round; each waits for its first content anew, all together have one
    longest time."""
    waits_seconds = route.deadline_seconds * len(plan.targets) * ROUNDS
    return waits_seconds + max(target.timeouts.stream_max_seconds for target in plan.targets)
