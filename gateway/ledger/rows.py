"""Records as parameter rows: plain values that both databases take.

What identifies something must fit its column as it is (ValueError otherwise); what only describes is cut and cleaned
instead, because a provider's odd error text must never cost us a settlement. All raise ValueError for amounts out of
range.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

import orjson

from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, CompletionStatus
from gateway.ledger.database import Row
from gateway.ledger.dialect import Dialect
from gateway.ledger.money import usd_to_pico
from gateway.ledger.records import (
    AttemptRecord,
    BreakerEvent,
    BudgetCheck,
    BudgetClaim,
    Extension,
    FallbackRecord,
    Intent,
    Refusal,
    Settlement,
)

WindowKey = tuple[int, str, int]  # budget id, subject, window epoch

_MESSAGE_CHARACTERS = 4_000
_LARGEST_SMALLINT = 32_767
_LARGEST_INTEGER = 2_147_483_647


@dataclass(frozen=True, slots=True)
class ClaimRow:
    """A claim in pico-dollars."""

    key: WindowKey
    amount: int
    limit: int
    claim: BudgetClaim
    step_down_at: int | None = None  # sent back for a cheaper plan once so much is taken


@dataclass(frozen=True, slots=True)
class IntentRow:
    intent: Intent
    values: Row
    claims: tuple[ClaimRow, ...]

    @property
    def id(self) -> str:
        return self.intent.id


@dataclass(frozen=True, slots=True)
class ExtensionRow:
    """`reserved` and the claims' amounts are what shall be held in all."""

    id: str
    reserved: int
    claims: tuple[ClaimRow, ...]


@dataclass(frozen=True, slots=True)
class SettlementRow:
    """`values` lack the id and the status the row must be in; `claims` are the visible ones.

    `provider_costs` are what the windows of providers' budgets are charged; all others are charged `cost`.
    """

    settlement: Settlement
    values: Row
    attempts: tuple[Row, ...]
    fallbacks: tuple[Row, ...]
    claims: tuple[ClaimRow, ...]
    cost: int
    finished_at: Any
    provider_costs: Mapping[WindowKey, int]

    def cost_in(self, key: WindowKey) -> int:
        return self.provider_costs.get(key, self.cost)

    @property
    def is_orphan(self) -> bool:
        return self.settlement.status is CompletionStatus.UNKNOWN


@dataclass(frozen=True, slots=True)
class EventRow:
    """`status` None: the breaker of a fire drill, which has no row of its state."""

    status: Row | None
    transition: Row | None


def intent_row(intent: Intent, dialect: Dialect) -> IntentRow:
    values = (
        _key(intent.id, 40),
        dialect.moment(intent.created_at),
        dialect.moment(intent.lease_until),
        intent.surface.value,
        _text(intent.operation, 16),
        intent.stream,
        _text(intent.requested_model, 200),
        intent.route_id,
        _text(intent.route_name, 100),
        intent.api_key_id,
        _text(intent.api_key_name, 100),
        intent.team_id or 0,
        _text(intent.team_name, 100),
        _key(intent.conversation, 128),
        _amount(intent.reserved_usd),
        _json(intent.decision),
        _text(intent.holder, 64),
    )
    return IntentRow(intent, values, claim_rows(intent.claims))


def extension_row(extension: Extension) -> ExtensionRow:
    # What has begun is not sent back for a cheaper plan.
    claims = claim_rows(replace(claim, step_down_percent=None) for claim in extension.claims)
    return ExtensionRow(_key(extension.id, 40), _amount(extension.reserved_usd), claims)


def settlement_row(settlement: Settlement, dialect: Dialect) -> SettlementRow:
    usage, cost = settlement.usage, _amount(settlement.cost_usd)
    finished_at = dialect.moment(settlement.finished_at)
    values = (
        finished_at,
        settlement.status.value,
        _whole(settlement.http_status, _LARGEST_SMALLINT) or None,
        _text(settlement.error_code, 64),
        _text(settlement.error_message, _MESSAGE_CHARACTERS),
        _text(settlement.finish_reason, 24),
        _text(settlement.provider, 100),
        _text(settlement.model, 200),
        sum(attempt.outcome is not AttemptOutcome.SKIPPED for attempt in settlement.attempts),
        bool(settlement.fallbacks),
        _text(settlement.cache, 8),
        *_tokens(usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens),
        *_tokens(usage.output_tokens, usage.reasoning_tokens),
        cost,
        _amount(settlement.saved_usd),
        settlement.billing.value,
        _whole(settlement.latency_ms),
        _whole(settlement.first_content_ms),
        _json(settlement.dropped_params),
        _json([_check(check) for check in settlement.budget_checks]) if settlement.budget_checks else None,
        settlement.drill_id,
    )
    return SettlementRow(
        settlement=settlement,
        values=values,
        attempts=tuple(_attempt(settlement.id, attempt, dialect) for attempt in settlement.attempts),
        fallbacks=tuple(_fallback(settlement, fallback, dialect) for fallback in settlement.fallbacks),
        claims=claim_rows(claim for claim in settlement.claims if claim.visible),
        cost=cost,
        finished_at=finished_at,
        provider_costs={row.key: _cost_at(settlement, row.claim) for row in _provider_claims(settlement)},
    )


def _provider_claims(settlement: Settlement) -> tuple[ClaimRow, ...]:
    return claim_rows(claim for claim in settlement.claims if claim.provider_id is not None)


def _cost_at(settlement: Settlement, claim: BudgetClaim) -> int:
    """What the attempts at the claim's provider cost."""
    return sum(_amount(attempt.cost_usd) for attempt in settlement.attempts if attempt.provider_id == claim.provider_id)


def refusal_row(refusal: Refusal, dialect: Dialect) -> Row:
    at = dialect.moment(refusal.at)
    return (
        _key(refusal.id, 40),
        *(at, at, at),
        refusal.surface.value,
        _text(refusal.operation, 16),
        refusal.stream,
        _text(refusal.requested_model, 200),
        refusal.route_id,
        _text(refusal.route_name, 100),
        refusal.api_key_id,
        _text(refusal.api_key_name, 100),
        refusal.team_id or 0,
        _text(refusal.team_name, 100),
        _text(refusal.conversation, 128),
        refusal.status.value,
        refusal.http_status,
        _text(refusal.error_code, 64),
        _text(refusal.error_message, _MESSAGE_CHARACTERS),
        _json(refusal.decision),
    )


def event_row(event: BreakerEvent, dialect: Dialect) -> EventRow:
    provider, at = _key(event.provider, 100), dialect.moment(event.at)
    failures, error = _whole(event.consecutive_failures), _text(event.last_error, _MESSAGE_CHARACTERS)
    opened_at, next_probe_at = _moment(event.opened_at, dialect), _moment(event.next_probe_at, dialect)
    status = (provider, event.to_state, at, failures, event.failure_rate, opened_at, next_probe_at, error)
    shown = status if event.drill_id is None else None
    if event.from_state == event.to_state:
        return EventRow(shown, None)
    change = (provider, at, event.from_state, event.to_state)
    told = (_text(event.cause, 300), failures, error, _text(event.request_id, 40), event.drill_id)
    transition = (*change, *told, *change, event.drill_id or 0)
    return EventRow(shown, transition)


def claim_rows(claims: Iterable[BudgetClaim]) -> tuple[ClaimRow, ...]:
    return tuple(
        ClaimRow(
            key=(claim.budget_id, _key(claim.subject, 160), _epoch(claim.window_starts_at)),
            amount=_amount(claim.amount_usd),
            limit=_limit(claim.limit_usd),
            claim=claim,
            step_down_at=None if claim.step_down_percent is None else _step_down_at(claim, claim.step_down_percent),
        )
        for claim in claims
    )


def _step_down_at(claim: BudgetClaim, percent: int) -> int:
    return -(-_limit(claim.limit_usd) * percent // 100)


def _check(check: BudgetCheck) -> dict[str, Any]:
    """As `gateway.selectors.budget_checks` reads it; amounts in pico-dollars."""
    claim = check.claim
    return {
        "budget_id": claim.budget_id,
        "budget": claim.budget_name,
        "subject": claim.subject,
        "starts_at": claim.window_starts_at,
        "resets_at": claim.resets_at,
        "blocking": claim.blocking,
        "limit": _limit(claim.limit_usd),
        "spent": check.spent,
        "reserved": check.reserved,
        "claimed": _amount(claim.amount_usd),
        "verdict": check.verdict,
    }


def _attempt(completion_id: str, attempt: AttemptRecord, dialect: Dialect) -> Row:
    return (
        completion_id,
        attempt.number,
        _text(attempt.provider, 100),
        _text(attempt.model, 200),
        attempt.target_index,
        attempt.retry,
        attempt.outcome.value,
        _text(attempt.reason, 300),
        "" if attempt.failure is None else attempt.failure.value,
        _whole(attempt.status, _LARGEST_SMALLINT),
        _text(attempt.message, _MESSAGE_CHARACTERS),
        attempt.retry_after_seconds,
        attempt.probe,
        _text(attempt.upstream_id or "", 200),
        dialect.moment(attempt.started_at),
        _whole(attempt.latency_ms),
        _whole(attempt.first_content_ms),
        *_all_tokens(attempt.usage),
        _whole(attempt.usage.web_searches),
        _amount(attempt.cost_usd),
        attempt.billing.value,
        attempt.price_id,
        attempt.drill_id,
        attempt.fault,
    )


def _fallback(settlement: Settlement, fallback: FallbackRecord, dialect: Dialect) -> Row:
    began = settlement.attempts[0].started_at if settlement.attempts else settlement.finished_at
    return (
        settlement.id,
        fallback.number,
        dialect.moment(began + timedelta(milliseconds=fallback.after_ms)),
        _text(fallback.from_target, 301),
        _text(fallback.to_target, 301),
        _text(fallback.reason, _MESSAGE_CHARACTERS),
        _whole(fallback.after_ms),
        usd_to_pico(fallback.extra_cost_usd),
    )


def _all_tokens(usage: Usage) -> Row:
    return (
        *_tokens(usage.input_tokens, usage.cached_input_tokens, usage.cache_write_tokens),
        *_tokens(usage.cache_write_1h_tokens, usage.output_tokens, usage.reasoning_tokens),
    )


def _tokens(*counts: int) -> tuple[int, ...]:
    return tuple(count if count > 0 else 0 for count in counts)


def _amount(amount_usd: Decimal) -> int:
    pico = usd_to_pico(amount_usd)
    if pico < 0:
        raise ValueError(f"an amount can't be negative: {amount_usd}")
    return pico


# Limits are few and asked for with every completion.
_limit = lru_cache(maxsize=1_024)(usd_to_pico)


def _whole(value: int | None, largest: int = _LARGEST_INTEGER) -> int | None:
    return None if value is None else min(max(value, 0), largest)


def _epoch(starts_at: datetime | None) -> int:
    return 0 if starts_at is None else int(starts_at.timestamp())


def _moment(moment: datetime | None, dialect: Dialect) -> Any:
    return None if moment is None else dialect.moment(moment)


def _key(value: str, characters: int) -> str:
    if len(value) > characters or "\0" in value:
        raise ValueError(
            f"an identifier of at most {characters} characters, none of them NUL, is needed: {value[:200]!r}"
        )
    return value


def _text(value: str, characters: int) -> str:
    """PostgreSQL takes neither NUL nor lone surrogates, and no column more than its length."""
    if not value.isascii() or "\0" in value:
        value = value.replace("\0", "").encode("utf-8", "replace").decode()
    return value[:characters]


def _json(value: Mapping[str, Any] | Sequence[Any]) -> str:
    """JSON text; U+0000, which PostgreSQL's jsonb refuses, becomes U+FFFD."""
    return orjson.dumps(value, default=str, option=orjson.OPT_NON_STR_KEYS).decode().replace("\\u0000", "\\ufffd")
