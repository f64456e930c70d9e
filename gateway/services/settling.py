"""Closing a completion's books: what was tried, what it cost, who is told."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal

from gateway.engine.attempt import Attempt
from gateway.engine.completion import Completion
from gateway.engine.errors import GatewayError, LedgerUnavailable
from gateway.engine.words import CompletionStatus, FinishReason
from gateway.ledger.prices import PriceBook
from gateway.ledger.records import NO_USAGE, ZERO_USD, BudgetCheck, Intent, Settlement
from gateway.ledger.writer import LedgerWriter
from gateway.metrics import completion_counted
from gateway.services.charging import (
    BoundsOf,
    attempt_record,
    charge_attempt,
    fallback_records,
    price_of,
    total_billing,
)
from gateway.services.request_lines import fallback_logged, request_logged
from gateway.tracing import completion_traced

ledger_logger = logging.getLogger("gateway.ledger")


@dataclass(frozen=True, slots=True)
class Ending:
    """How a completion ended for its client."""

    http_status: int
    finish_reason: FinishReason | None = None
    model: str = ""
    error: GatewayError | None = None
    client_left: bool = False

    @property
    def status(self) -> CompletionStatus:
        if self.client_left:
            return CompletionStatus.CANCELLED
        return CompletionStatus.FAILED if self.error is not None else CompletionStatus.ANSWERED


@dataclass(frozen=True, slots=True)
class Receipt:
    """What the client is told of the cost; the conversation's total is None when the ledger couldn't say it in time."""

    cost_usd: Decimal
    conversation_cost_usd: Decimal | None
    budget_remaining_usd: Decimal | None
    tokens: int


async def settle(
    ledger: LedgerWriter,
    prices: PriceBook,
    intent: Intent,
    completion: Completion,
    bounds_of: BoundsOf,
    ending: Ending,
    budget_checks: tuple[BudgetCheck, ...] = (),
    *,
    cache: str = "bypass",
) -> Receipt:
    """Settle durably.

    With the database away for longer than a caller should wait, the settlement stays queued and is written when it is
    back; the answer has been paid for, so its client gets it all the same. Should this process die before, the intent
    is settled at its reservation.
    """
    settlement = settlement_of(prices, intent, completion, bounds_of, ending, budget_checks, cache=cache)
    for fallback in settlement.fallbacks:
        fallback_logged(intent, fallback)
    completion_counted(intent, settlement)
    request_logged(intent, settlement)
    completion_traced(completion.ask.trace, intent, settlement, [attempt.span_id for attempt in completion.attempts])
    tokens = settlement.usage.input_tokens + settlement.usage.output_tokens
    try:
        settled = await ledger.settle(settlement)
    except LedgerUnavailable as error:
        ledger_logger.error("request %s is answered before it is settled: %s", intent.id, error.message)
        return Receipt(settlement.cost_usd, None, None, tokens)
    return Receipt(settlement.cost_usd, settled.conversation_cost_usd, settled.budget_remaining_usd, tokens)


def settlement_of(
    prices: PriceBook,
    intent: Intent,
    completion: Completion,
    bounds_of: BoundsOf,
    ending: Ending,
    budget_checks: tuple[BudgetCheck, ...] = (),
    *,
    cache: str = "bypass",
) -> Settlement:
    """The settlement's facts; pure but for the time."""
    attempts = completion.attempts
    at = intent.created_at
    charges = [
        charge_attempt(attempt, price_of(prices, attempt.target, at), bounds_of(attempt.target)) for attempt in attempts
    ]
    last = completion.served
    return Settlement(
        id=intent.id,
        finished_at=datetime.now(UTC),
        status=ending.status,
        http_status=ending.http_status,
        provider=last.target.provider.name if last else "",
        model=last.target.model if last else "",
        error_code=ending.error.code if ending.error else "",
        error_message=ending.error.message[:1000] if ending.error else "",
        finish_reason=ending.finish_reason.value if ending.finish_reason else "",
        latency_ms=completion.deadline.elapsed_ms,
        first_content_ms=_first_content_ms(completion.began or last, intent),
        usage=sum((charge.usage for charge in charges), NO_USAGE),
        cost_usd=sum((charge.cost_usd for charge in charges), ZERO_USD),
        billing=total_billing(charges),
        dropped_params=last.dropped_params if last else (),
        attempts=tuple(attempt_record(attempt, charge) for attempt, charge in zip(attempts, charges, strict=True)),
        fallbacks=fallback_records(completion.fallbacks, attempts, charges, prices, at),
        claims=intent.claims,
        budget_checks=budget_checks,
        cache=cache,
    )


def _first_content_ms(first: Attempt | None, intent: Intent) -> int | None:
    """From the request's arrival to the first content, failed attempts included."""
    if first is None or first.first_content_ms is None:
        return None
    waited_ms = int((first.started_at - intent.created_at.timestamp()) * 1000)
    return max(0, waited_ms) + first.first_content_ms
