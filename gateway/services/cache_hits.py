"""An answer given from the cache: its row, its cost of nothing, what it saved, and its form."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import orjson

from gateway.engine.clock import Clock
from gateway.engine.configuration import Route
from gateway.engine.errors import GatewayError, LedgerUnavailable
from gateway.engine.words import CompletionStatus
from gateway.ledger.money import usd_text
from gateway.ledger.records import ZERO_USD, Intent, Settlement
from gateway.metrics import completion_counted
from gateway.services.call import Call, call_trace
from gateway.services.conversation import conversation_id
from gateway.services.header_names import names_in_header
from gateway.services.intents import intent_of
from gateway.services.limits import Admission
from gateway.services.runtime import Runtime
from gateway.services.stream_reply import COMMENT
from gateway.services.work import PlainReply
from gateway.stores.answers import CachedAnswer
from gateway.tracing import completion_traced
from gateway.wires import ParsedRequest, cost_comment
from gateway.wires.replay import replay, terminator

# Nothing is waited for between its intent and its settlement.
LEASE = timedelta(seconds=60)


class CachedStream:
    """A cached answer as a stream, settled already."""

    keep_alive = COMMENT

    def __init__(self, data: bytes, headers: dict[str, str], clock: Clock) -> None:
        self.clock, self.headers = clock, headers
        self._data: bytes | None = data
        self.whole = False

    async def read(self) -> bytes | None:
        data, self._data = self._data, None
        self.whole = True
        return data

    async def break_off(self, error: GatewayError) -> bytes:
        """All of it is there: it is sent instead."""
        return await self.read() or b""

    async def leave(self, error: BaseException) -> None:
        """Nothing is under way."""


async def give_cached(
    runtime: Runtime,
    call: Call,
    parsed: ParsedRequest,
    admission: Admission,
    route: Route,
    answer: CachedAnswer,
    arrived_at: datetime,
) -> PlainReply | CachedStream:
    """Settle the hit and make the reply. No budget is asked: it costs nothing. Raises LedgerUnavailable."""
    conversation = conversation_id(call.headers, parsed.conversation_id)
    intent = intent_of(
        parsed,
        route,
        request_id=call.request_id,
        operation=call.operation,
        key=call.key,
        conversation=conversation,
        created_at=arrived_at,
        lease_until=arrived_at + LEASE,
        decision=hit_decision(route.name, answer, arrived_at),
        holder=runtime.ledger.holder,
    )
    await runtime.ledger.open(intent)
    settlement = hit_settlement(intent, answer)
    completion_counted(intent, settlement)
    completion_traced(call_trace(call), intent, settlement, ())
    try:
        settled = await runtime.ledger.settle(settlement)
        conversation_cost_usd = settled.conversation_cost_usd
    except LedgerUnavailable:  # it stays queued
        conversation_cost_usd = None
    total = None if conversation_cost_usd is None else usd_text(conversation_cost_usd)
    headers = _headers(answer, conversation, admission)
    if parsed.stream:
        return CachedStream(_streamed(call, parsed, answer, total), headers, runtime.clock)
    headers["x-llmops-cost-usd"] = usd_text(ZERO_USD)
    if total is not None:
        headers["x-llmops-conversation-cost-usd"] = total
    return PlainReply(answer.body, headers)


def hit_decision(route_name: str, answer: CachedAnswer, now: datetime) -> dict[str, Any]:
    return {
        "route": route_name,
        "reason": "answered from the cache",
        "made_for_request": answer.request_id,
        "made_by": answer.target,
        "seconds_old": max(0, round(now.timestamp() - answer.made_at)),
    }


def hit_settlement(intent: Intent, answer: CachedAnswer) -> Settlement:
    """Without a provider: none was asked, and none's latency is told by it."""
    now = datetime.now(UTC)
    latency_ms = max(0, round((now - intent.created_at).total_seconds() * 1000))
    return Settlement(
        id=intent.id,
        finished_at=now,
        status=CompletionStatus.ANSWERED,
        http_status=200,
        finish_reason=answer.finish_reason,
        latency_ms=latency_ms,
        first_content_ms=latency_ms if intent.stream else None,
        cache="hit",
        saved_usd=answer.cost_usd,
        dropped_params=answer.dropped_params,
    )


def _headers(answer: CachedAnswer, conversation: str, admission: Admission) -> dict[str, str]:
    headers = {
        "x-conversation-id": conversation,
        "x-llmops-attempts": "0",
        "x-llmops-fallback": "false",
        "x-llmops-cache": "hit",
        "x-should-retry": "false",
        "x-llmops-provider": answer.provider,
        "x-llmops-model": answer.model,
        **admission.headers,
    }
    if answer.dropped_params:
        headers["x-llmops-dropped-params"] = names_in_header(answer.dropped_params)
    return headers


def _streamed(call: Call, parsed: ParsedRequest, answer: CachedAnswer, total: str | None) -> bytes:
    events = replay(call.operation, orjson.loads(answer.body), wants_usage=parsed.wants_usage)
    costs = {"cost_usd": usd_text(ZERO_USD), "conversation_cost_usd": total}
    told = {**costs, "provider": answer.provider, "model": answer.model, "attempts": 0}
    return events + cost_comment(told) + terminator(call.operation)
