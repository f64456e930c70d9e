"""Obtaining a completion for a client: binds the configuration snapshot, the ledger and the engine.

Order of things: parse, find the route, reserve the most it can cost (the intent), obtain, settle, answer. The
settlement is durable before a plain answer leaves and before a stream's terminator does.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from gateway.engine.completion import Completion
from gateway.engine.configuration import Route
from gateway.engine.errors import GatewayError
from gateway.engine.exchange import Answer, Ask
from gateway.engine.live_stream import LiveStream
from gateway.engine.routing import Plan, able_targets, plan_completion
from gateway.engine.words import Operation
from gateway.ledger.budgets import CompletionFacts, claims_for
from gateway.ledger.money import usd_text
from gateway.ledger.records import ZERO_USD, Intent
from gateway.services.access import route_for
from gateway.services.bounding import check_bounded, request_bounds
from gateway.services.charging import BoundsOf, worst_case_usd
from gateway.services.conversation import conversation_id
from gateway.services.header_names import names_in_header
from gateway.services.pricing import priced_targets
from gateway.services.runtime import Runtime
from gateway.services.settling import Ending, Receipt, settle
from gateway.services.snapshot import ApiKey, Snapshot
from gateway.wires import (
    ParsedRequest,
    cost_comment,
    parse_call,
    render_responses_error,
    render_stream_error,
)

FORWARDED_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta", "traceparent")
# How much longer than everything it may wait for a completion can take before its intent counts as orphaned.
LEASE_MARGIN_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Call:
    """One client call as it arrived. Header names are in lower case."""

    operation: Operation
    body: bytes
    headers: Mapping[str, str]
    key: ApiKey
    request_id: str


@dataclass(frozen=True, slots=True)
class PlainReply:
    body: bytes
    headers: dict[str, str]


def new_request_id() -> str:
    """Sortable by time to the millisecond, unguessable beyond it: `req_` and 28 characters."""
    return f"req_{int(time.time() * 1000):012x}{secrets.token_hex(8)}"


async def completion_obtain(runtime: Runtime, call: Call) -> PlainReply | StreamReply:
    """A settled plain answer, or a stream that settles itself before its terminator. Raises GatewayError."""
    parsed = parse_call(call.operation, call.body)
    work = await _open(runtime, call, parsed)
    try:
        reply = await work.completion.obtain()
    except BaseException as error:
        await work.settle_failure(error)
        if isinstance(error, GatewayError):
            error.headers = work.headers()
        raise
    if isinstance(reply, LiveStream):
        return StreamReply(work, reply)
    return await work.settle_answer(reply)


async def _open(runtime: Runtime, call: Call, parsed: ParsedRequest) -> Work:
    """Route, plan and reserve; the intent is durable when this returns."""
    snapshot = runtime.snapshot
    now = datetime.now(UTC)
    route = route_for(snapshot, call.key, parsed.model)
    plan = able_targets(plan_completion(route, parsed.model), call.operation)
    plan = priced_targets(plan, snapshot.price_book, now)
    conversation = conversation_id(call.headers, parsed.conversation_id)
    intent = _intent(snapshot, call, parsed, route, plan, conversation, ZERO_USD, now)
    must_bound = any(claim.blocking for claim in intent.claims)
    if must_bound:
        check_bounded(parsed)
    bounds = request_bounds(call.operation, parsed, call.body, route, bound_output=must_bound)
    intent = _reserving(intent, worst_case_usd(snapshot.price_book, plan.targets, bounds, now))
    opened = await runtime.ledger.open(intent)
    ask = _ask(call, parsed, route, must_bound=must_bound)
    completion = Completion(runtime.engine, ask, plan, deadline_seconds=route.deadline_seconds)
    return Work(runtime, call, intent, completion, bounds, snapshot, opened.budget_remaining_usd)


def _reserving(intent: Intent, usd: Decimal) -> Intent:
    """The intent with the most that it can cost. What bounds it depends on which budgets it falls under."""
    return replace(intent, reserved_usd=usd, claims=tuple(replace(claim, amount_usd=usd) for claim in intent.claims))


def forwarded_headers(call: Call) -> dict[str, str]:
    return {name: call.headers[name] for name in FORWARDED_HEADERS if name in call.headers}


def _ask(call: Call, parsed: ParsedRequest, route: Route, *, must_bound: bool) -> Ask:
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
    )


def _intent(
    snapshot: Snapshot,
    call: Call,
    parsed: ParsedRequest,
    route: Route,
    plan: Plan,
    conversation: str,
    reserved_usd: Decimal,
    now: datetime,
) -> Intent:
    key = call.key
    return Intent(
        id=call.request_id,
        created_at=now,
        surface=call.operation.surface,
        operation=call.operation.value,
        requested_model=parsed.model[:200],
        route_id=route.id,
        route_name=route.name,
        api_key_id=key.id,
        api_key_name=key.name,
        team_id=key.team_id,
        team_name=key.team_name or "",
        conversation=conversation,
        stream=parsed.stream,
        reserved_usd=reserved_usd,
        lease_until=now + timedelta(seconds=_longest_seconds(route, plan) + LEASE_MARGIN_SECONDS),
        decision=plan.decision,
        claims=claims_for(
            snapshot.budgets,
            CompletionFacts(
                team_id=key.team_id,
                api_key_id=key.id,
                route_id=route.id,
                conversation=conversation,
                provider_ids=tuple(target.provider.id for target in plan.targets),
            ),
            reserved_usd,
            now,
            snapshot.zone,
        ),
    )


def _longest_seconds(route: Route, plan: Plan) -> float:
    return route.deadline_seconds + max(target.timeouts.stream_max_seconds for target in plan.targets)


@dataclass(slots=True)
class Work:
    """One completion between its intent and its settlement."""

    runtime: Runtime
    call: Call
    intent: Intent
    completion: Completion
    bounds: BoundsOf
    snapshot: Snapshot
    budget_remaining_usd: Decimal | None

    async def settle_answer(self, answer: Answer) -> PlainReply:
        ending = Ending(http_status=200, finish_reason=answer.finish_reason, model=answer.model)
        receipt = await self.settle(ending)
        headers = self.headers()
        headers["x-llmops-cost-usd"] = usd_text(receipt.cost_usd)
        if receipt.conversation_cost_usd is not None:
            headers["x-llmops-conversation-cost-usd"] = usd_text(receipt.conversation_cost_usd)
        if receipt.budget_remaining_usd is not None:
            headers["x-llmops-budget-remaining-usd"] = usd_text(receipt.budget_remaining_usd)
        return PlainReply(answer.body, headers)

    async def settle_failure(self, error: BaseException) -> None:
        """Settle a completion that gave no answer. A client that has left doesn't wait for it."""
        if isinstance(error, GatewayError):
            await self.settle(Ending(error.status, error=error))
            return
        self.runtime.in_background(self.settle(Ending(499, error=None, client_left=True)))

    async def settle(self, ending: Ending) -> Receipt:
        return await settle(
            self.runtime.ledger, self.snapshot.price_book, self.intent, self.completion, self.bounds, ending
        )

    def headers(self) -> dict[str, str]:
        """The response headers that are known when the answer begins."""
        headers = {
            "x-conversation-id": self.intent.conversation,
            "x-llmops-attempts": str(sum(attempt.sent for attempt in self.completion.attempts)),
            "x-llmops-fallback": "true" if self.completion.fallbacks else "false",
            "x-llmops-cache": "bypass",
            "x-should-retry": "false",
        }
        served = self.completion.served
        if served is not None:
            headers["x-llmops-provider"] = served.target.provider.name
            headers["x-llmops-model"] = served.target.model
            if served.dropped_params:
                headers["x-llmops-dropped-params"] = names_in_header(served.dropped_params)
        return headers


class StreamReply:
    """A stream on its way to the client. Read it until None; `leave` when the client has left before."""

    def __init__(self, work: Work, live: LiveStream) -> None:
        self._work = work
        self._live = live
        self._ended = False
        self._sent = b""  # the last bytes the client got
        self.headers = work.headers()
        if work.budget_remaining_usd is not None:
            self.headers["x-llmops-budget-remaining-usd"] = usd_text(work.budget_remaining_usd)

    async def read(self) -> bytes | None:
        """The next bytes for the client; the last ones carry the cost and the terminator, or an in-band error."""
        if self._ended:
            return None
        try:
            data = await self._live.read()
        except GatewayError as error:
            return await self._break_off(error)
        if data is None:
            return await self._finish()
        self._sent = data
        return data

    async def _finish(self) -> bytes:
        self._ended = True
        attempt = self._live.attempt
        ending = Ending(200, finish_reason=self._live.finish_reason, model=attempt.target.model)
        receipt = await self._work.settle(ending)
        return cost_comment(self._costs(receipt)) + self._live.terminator

    async def _break_off(self, error: GatewayError) -> bytes:
        self._ended = True
        await self._work.settle(Ending(error.status, error=error))
        call = self._work.call
        if call.operation is Operation.RESPONSES:
            return render_responses_error(error, self._sent)
        return render_stream_error(call.operation.surface, error, call.request_id)

    def _costs(self, receipt: Receipt) -> dict[str, Any]:
        target = self._live.attempt.target
        total_usd = receipt.conversation_cost_usd
        return {
            "cost_usd": usd_text(receipt.cost_usd),
            "conversation_cost_usd": None if total_usd is None else usd_text(total_usd),
            "provider": target.provider.name,
            "model": target.model,
            "attempts": sum(attempt.sent for attempt in self._work.completion.attempts),
        }

    async def leave(self, error: BaseException) -> None:
        """The client has left: close the provider's stream and settle in the background."""
        if self._ended:
            return
        self._ended = True
        await self._live.abandon(error)
        await self._work.settle_failure(error)
