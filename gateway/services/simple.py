"""The cheap model for simple queries: who is asked first, by the route's mode, and what is kept of the decision."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from gateway.engine.configuration import Route, Target
from gateway.engine.errors import InvalidRequest
from gateway.engine.routing import Plan, put_first
from gateway.engine.tier import Decision, Facts, Reason, Rules, Tier, decide, facts_as_json
from gateway.engine.tier import needs_measuring as needs_features
from gateway.engine.words import Operation
from gateway.engine.workloads import Workloads
from gateway.ledger.prices import PriceBook
from gateway.services.call import Call
from gateway.services.charging import price_of
from gateway.services.snapshot import ApiKey, Snapshot
from gateway.wires import ParsedRequest
from gateway.wires.tier_facts import Reading, read_for_tier, with_features

TIER_HEADER = "x-llmops-tier"
OFF, SHADOW, ON = "off", "shadow", "on"
_OPERATIONS = (Operation.CHAT, Operation.MESSAGES)


class Choice(StrEnum):
    """What became of a decision."""

    SENT = "sent"  # the cheap model was planned first
    KEPT = "kept"  # simple, but outside the percentage: the random control group
    SHADOW = "shadow"  # simple, but the route only watches
    STRONG = "strong"  # complex


def tier_asked(headers: Mapping[str, str]) -> Tier | None:
    """The caller's own word. Raises InvalidRequest for any but the two there are."""
    word = headers.get(TIER_HEADER)
    if word is None:
        return None
    try:
        return Tier(word.strip().lower())
    except ValueError:
        raise InvalidRequest(
            "X-LLMOps-Tier must be 'simple' or 'complex'; leave it out to let the gateway decide.", param=TIER_HEADER
        ) from None


def simple_plan(
    plan: Plan,
    route: Route,
    call: Call,
    parsed: ParsedRequest,
    *,
    conversation: str,
    snapshot: Snapshot,
    at: datetime,
) -> Plan:
    """The plan with the decision in it, and the cheap target first where the mode says so. Raises InvalidRequest."""
    if call.operation not in _OPERATIONS:
        return plan
    caller = tier_asked(call.headers)
    cheap = route.simple_target
    if cheap is None or route.simple_mode == OFF or not can_serve(cheap, call.operation, snapshot.price_book, at):
        return plan
    rules = snapshot.simple_rules
    reading = read_for_tier(call.operation.surface, parsed)
    facts = replace(with_workload(reading, call.key, snapshot.workloads), caller=caller)
    if needs_features(facts, rules):
        facts = replace(facts, features=with_features(reading, parsed).facts.features)
    decision = decide(facts, rules)
    share = _bucket(call.key.team_id, route.name, conversation)
    choice = choice_of(decision, route.simple_mode, share)
    kept = _as_json(decision, facts, reading, rules, route.simple_mode, share, choice, cheap, plan)
    told = replace(plan, decision={**plan.decision, "simple": kept})
    return _with_cheap_first(told, cheap, decision) if choice is Choice.SENT else told


def with_workload(reading: Reading, key: ApiKey, workloads: Workloads) -> Facts:
    """The request's facts with the row of operations' table that holds for it, if one does."""
    if not workloads:
        return reading.facts
    found = workloads.find(
        api_key_id=key.id, team_id=key.team_id, tags=reading.tags, system_prompt=reading.system_fingerprint
    )
    return reading.facts if found is None else replace(reading.facts, workload=found.tier, workload_name=found.name)


def can_serve(target: Target, operation: Operation, prices: PriceBook, at: datetime) -> bool:
    """Whether a route's cheap target can be asked: its wire has the operation, and it has a price."""
    able = not operation.is_metered or target.provider.kind is operation.surface
    return able and price_of(prices, target, at) is not None


def choice_of(decision: Decision, mode: str, bucket: int) -> Choice:
    """`mode` is shadow, on or a percentage like "25%"; `bucket`, from 0 to 99, is the conversation's.

    A caller's own word is not diced for.
    """
    if decision.tier is Tier.COMPLEX:
        return Choice.STRONG
    if mode == SHADOW:
        return Choice.SHADOW
    if mode == ON or decision.reason is Reason.CALLER or bucket < int(mode.removesuffix("%")):
        return Choice.SENT
    return Choice.KEPT


def _bucket(team_id: int | None, route: str, conversation: str) -> int:
    """The same for all requests of a conversation, so that it doesn't flip; evenly spread over conversations."""
    digest = hashlib.sha256(f"{team_id or 0}\n{route}\n{conversation}".encode()).digest()
    return int.from_bytes(digest[:8], "big") % 100


def _with_cheap_first(plan: Plan, cheap: Target, decision: Decision) -> Plan:
    targets = put_first(cheap, plan.targets)
    names = [target.name for target in targets]
    reason = f"cheap model first: {decision_reason(decision)}"
    return replace(
        plan, targets=targets, decision={**plan.decision, "targets": names}, first_reason=reason, cheap=cheap.name
    )


def decision_reason(decision: Decision) -> str:
    if decision.score is None:
        return f"judged {decision.tier.value} ({decision.reason.value.replace('_', ' ')})"
    return f"judged {decision.tier.value} (score {decision.score:g})"


def _as_json(
    decision: Decision,
    facts: Facts,
    reading: Reading,
    rules: Rules,
    mode: str,
    bucket: int,
    choice: Choice,
    cheap: Target,
    plan: Plan,
) -> dict[str, Any]:
    """All that is needed to decide again, and nothing of what the client wrote."""
    return {
        "tier": decision.tier.value,
        "reason": decision.reason.value,
        "score": decision.score,
        "threshold": rules.threshold,
        "features": dict(decision.features),
        "facts": facts_as_json(facts),
        "rules": rules.version,
        "mode": mode,
        "bucket": bucket,
        "choice": choice.value,
        "target": cheap.name,
        "instead_of": plan.targets[0].name,
        "system_prompt": reading.system_fingerprint,
    }
