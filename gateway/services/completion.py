"""Obtaining a completion for a client: binds the configuration snapshot, the ledger and the engine.

Order of things: parse, find the route, reserve the most it can cost (the intent), obtain, settle, answer. The
settlement is durable before a plain answer leaves and before a stream's terminator does.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from gateway.engine.completion import Completion
from gateway.engine.configuration import Route
from gateway.engine.errors import BudgetExceeded, GatewayError, ShuttingDown
from gateway.engine.exchange import Answer, Ask
from gateway.engine.live_stream import LiveStream
from gateway.engine.routing import Plan, able_targets, plan_completion
from gateway.engine.words import Operation, StreamRecovery, Wire
from gateway.ledger.budgets import CompletionFacts, claims_for
from gateway.ledger.money import usd_text
from gateway.ledger.records import ZERO_USD, Intent
from gateway.services.access import route_for
from gateway.services.bounding import check_bounded, request_bounds
from gateway.services.charging import BoundsOf, worst_case_usd
from gateway.services.conversation import conversation_id
from gateway.services.header_names import names_in_header
from gateway.services.pricing import priced_targets
from gateway.services.room import Room, plan_without_full, provider_worst_cases
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
from gateway.wires.continuation import continuable

FORWARDED_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta", "traceparent")
# How much longer than everything it may wait for a completion can take before its intent counts as orphaned.
LEASE_MARGIN_SECONDS = 60
# How long a stream's status line waits for its first content, since an error after it can only be told in-band
# (docs/decisions/0006-keep-alive.md). The strictest common proxies give up after 30 s without a byte.
HEADERS_AFTER_SECONDS = 25.0
COMMENT = b": keep-alive\n\n"
PING = b'event: ping\ndata: {"type": "ping"}\n\n'


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
    obtaining = asyncio.ensure_future(work.completion.obtain()) if parsed.stream else None
    try:
        if obtaining is not None:
            await _wait_for_content(work, obtaining)
            return StreamReply(work, obtaining)
        answer = await work.completion.obtain()
    except BaseException as error:
        if obtaining is not None:
            await _give_up(obtaining)
        await work.settle_failure(error)
        raise
    assert isinstance(answer, Answer)
    return await work.settle_answer(answer)


async def _wait_for_content(work: Work, obtaining: asyncio.Future[Answer | LiveStream]) -> None:
    """Until the stream has content, or until its headers must not wait any longer. Raises what `obtaining` raises."""
    try:
        async with work.runtime.clock.timeout(HEADERS_AFTER_SECONDS):
            await asyncio.shield(obtaining)
    except TimeoutError:
        if obtaining.done():
            obtaining.result()


async def _give_up(obtaining: asyncio.Future[Answer | LiveStream]) -> None:
    """The client has left before its stream began."""
    obtaining.cancel()
    (reply,) = await asyncio.gather(obtaining, return_exceptions=True)
    if isinstance(reply, LiveStream):
        await reply.abandon(asyncio.CancelledError())


async def _open(runtime: Runtime, call: Call, parsed: ParsedRequest) -> Work:
    """Route, plan and reserve; the intent is durable when this returns."""
    snapshot = runtime.snapshot
    now = datetime.now(UTC)
    route = route_for(snapshot, call.key, parsed.model)
    plan = able_targets(plan_completion(route, parsed.model), call.operation)
    plan = priced_targets(plan, snapshot.price_book, now)
    conversation = conversation_id(call.headers, parsed.conversation_id)
    while True:
        facts = _facts(call, route, plan, conversation)
        must_bound = any(claim.blocking for claim in claims_for(snapshot.budgets, facts, ZERO_USD, now, snapshot.zone))
        if must_bound:
            check_bounded(parsed)
        bounds = request_bounds(call.operation, parsed, call.body, route, bound_output=must_bound)
        intent = _intent(snapshot, call, parsed, route, plan, facts, bounds, now)
        try:
            opened = await runtime.ledger.open(intent)
            break
        except BudgetExceeded as refused:
            plan = plan_without_full(plan, refused)
    ask = _ask(call, parsed, route, must_bound=must_bound)
    room = Room(runtime.ledger, snapshot.price_book, intent, bounds)
    completion = Completion(
        runtime.engine,
        ask,
        plan,
        deadline_seconds=route.deadline_seconds,
        recovery=_recovery(route, call.operation, parsed),
        before_paid_again=room.before_paid_again if intent.claims else None,
    )
    room.attempts = completion.attempts
    return Work(runtime, call, intent, completion, bounds, snapshot, opened.budget_remaining_usd)


def forwarded_headers(call: Call) -> dict[str, str]:
    """What goes on to the provider, of the few headers that may; values that no header can carry are left out."""
    present = ((name, call.headers[name]) for name in FORWARDED_HEADERS if name in call.headers)
    return {name: value for name, value in present if value.isascii() and value.isprintable()}


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


def _facts(call: Call, route: Route, plan: Plan, conversation: str) -> CompletionFacts:
    return CompletionFacts(
        team_id=call.key.team_id,
        api_key_id=call.key.id,
        route_id=route.id,
        conversation=conversation,
        provider_ids=tuple(target.provider.id for target in plan.targets),
    )


def _intent(
    snapshot: Snapshot,
    call: Call,
    parsed: ParsedRequest,
    route: Route,
    plan: Plan,
    facts: CompletionFacts,
    bounds: BoundsOf,
    now: datetime,
) -> Intent:
    key, prices = call.key, snapshot.price_book
    reserved_usd = worst_case_usd(prices, plan.targets, bounds, now)
    facts = replace(facts, provider_worst_usd=provider_worst_cases(prices, plan.targets, bounds, now))
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
        conversation=facts.conversation,
        stream=parsed.stream,
        reserved_usd=reserved_usd,
        lease_until=now + timedelta(seconds=_longest_seconds(route, plan) + LEASE_MARGIN_SECONDS),
        decision=plan.decision,
        claims=claims_for(snapshot.budgets, facts, reserved_usd, now, snapshot.zone),
    )


def _recovery(route: Route, operation: Operation, parsed: ParsedRequest) -> StreamRecovery:
    """What the route says, where the request allows for it."""
    recovery = StreamRecovery(route.stream_recovery)
    able = not operation.is_metered and continuable(operation.surface, parsed.payload)
    if recovery is StreamRecovery.CONTINUE and not able:
        return StreamRecovery.ERROR
    return recovery


def _longest_seconds(route: Route, plan: Plan) -> float:
    """A stream may break at every target; each waits for its first content anew, all together have one longest time."""
    waits_seconds = route.deadline_seconds * len(plan.targets)
    return waits_seconds + max(target.timeouts.stream_max_seconds for target in plan.targets)


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
        """Settle a completion that gave no answer; a GatewayError is told what is known of it in its headers.

        A client that has left (a CancelledError, or the server's own end) doesn't wait for it. Once the drain is over
        it hasn't left: we break off.
        """
        if not isinstance(error, Exception) and self.runtime.breaking_off:
            error = ShuttingDown()
        if isinstance(error, GatewayError):
            receipt = await self.settle(Ending(error.status, error=error))
            error.headers = {**self.headers(), "x-llmops-cost-usd": usd_text(receipt.cost_usd)}
        elif isinstance(error, Exception):
            broken = GatewayError(f"Something broke inside the gateway: {type(error).__name__}.")
            self.runtime.in_background(self.settle(Ending(broken.status, error=broken)))
        else:
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
    """A stream on its way to the client. Read it until None; `leave` when the client has left before.

    `keep_alive` is what may be sent while `read` waits.
    """

    def __init__(self, work: Work, obtaining: asyncio.Future[Answer | LiveStream]) -> None:
        self.clock = work.runtime.clock
        self.keep_alive = COMMENT
        self._work = work
        self._obtaining = obtaining
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
            live = await self._obtaining
            assert isinstance(live, LiveStream)
            data = await live.read()
        except GatewayError as error:
            return await self._break_off(error)
        if data is None:
            return await self._finish(live)
        if self._work.call.operation.surface is Wire.ANTHROPIC:
            self.keep_alive = PING  # the first piece brought message_start
        self._sent = data
        return data

    async def _finish(self, live: LiveStream) -> bytes:
        self._ended = True
        ending = Ending(200, finish_reason=live.finish_reason, model=live.attempt.target.model)
        receipt = await self._work.settle(ending)
        return cost_comment(self._costs(live, receipt)) + live.terminator

    async def _break_off(self, error: GatewayError) -> bytes:
        self._ended = True
        await self._work.settle(Ending(error.status, error=error))
        call = self._work.call
        if call.operation is Operation.RESPONSES:
            return render_responses_error(error, self._sent)
        return render_stream_error(call.operation.surface, error, call.request_id)

    def _costs(self, live: LiveStream, receipt: Receipt) -> dict[str, Any]:
        target = live.attempt.target
        total_usd = receipt.conversation_cost_usd
        return {
            "cost_usd": usd_text(receipt.cost_usd),
            "conversation_cost_usd": None if total_usd is None else usd_text(total_usd),
            "provider": target.provider.name,
            "model": target.model,
            "attempts": sum(attempt.sent for attempt in self._work.completion.attempts),
        }

    async def break_off(self, error: GatewayError) -> bytes:
        """End it for a reason of ours; what its client is told in the stream, nothing if that has ended already."""
        if self._ended:
            return b""
        self._ended = True
        await _give_up(self._obtaining)
        return await self._break_off(error)

    async def leave(self, error: BaseException) -> None:
        """The client has left: close the provider's stream and settle in the background."""
        if self._ended:
            return
        self._ended = True
        try:
            await _give_up(self._obtaining)
        finally:
            await self._work.settle_failure(error)
