"""A batch's lines in the ledger: each line is a completion of its own, reserved and settled at the batch price.

Unlike a gateway process the worker writes with the ledger's statements directly, as the sweep of orphans does, and
takes its turn with the writers.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from decimal import ROUND_CEILING, Decimal
from types import TracebackType

from gateway.engine.configuration import Route, Target
from gateway.engine.errors import BudgetExceeded, InvalidRequest
from gateway.engine.exchange import Answer
from gateway.engine.routing import Plan, able_targets, plan_completion
from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, Billing, CompletionStatus, FailureKind, Operation, Wire
from gateway.ledger.budgets import CompletionFacts, claims_for
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.fairlock import in_turn
from gateway.ledger.group import Group, GroupOutcome, group_apply
from gateway.ledger.prices import Price, cost_usd, fees_are_known
from gateway.ledger.records import NO_USAGE, ZERO_USD, AttemptRecord, Intent, Settlement
from gateway.ledger.rows import intent_row, settlement_row
from gateway.models import Batch, BatchLine
from gateway.services.access import route_for
from gateway.services.bounding import check_bounded, request_bounds
from gateway.services.charging import price_of, worst_case_usd
from gateway.services.conversation import conversation_id
from gateway.services.intents import intent_of
from gateway.services.pricing import priced_targets
from gateway.services.snapshot import ApiKey, Snapshot
from gateway.wires import ParsedRequest, Translated, Untranslatable, parse_call, translate_request

# Lines per transaction of the ledger; requests never wait long for it (gateway.ledger.sweep).
LINES_PER_GROUP = 50
# How much longer than its batch a line's reservation may last: results may come at the last moment.
LEASE_MARGIN = timedelta(days=2)
_PICO_USD = Decimal("1e-12")
NEEDS_SAMPLING_VERSION = "2023-06-01"


@dataclass(frozen=True, slots=True)
class Draft:
    """A line that may be sent: to which target, and the most it can cost there at the batch price."""

    intent: Intent
    target: Target
    bounded: bool


def line_draft(snapshot: Snapshot, batch: Batch, key: ApiKey, line: BatchLine, body: bytes, now: datetime) -> Draft:
    """Raises GatewayError where the line can't be served."""
    operation = Operation(batch.operation)
    parsed = parse_call(operation, body)
    if parsed.stream:
        raise InvalidRequest("A batch can't stream. Leave 'stream' out.", param="stream")
    route = route_for(snapshot, key, parsed.model)
    plan = able_targets(plan_completion(route, parsed.model), operation)
    plan = priced_targets(plan, snapshot.price_book, now)
    target = _first_able(plan, operation, parsed, route)
    conversation = conversation_id({}, parsed.conversation_id or line.completion_id)
    facts = CompletionFacts(key.team_id, key.id, route.id or None, conversation, (target.provider.id,))
    bounded = any(one.blocking for one in claims_for(snapshot.budgets, facts, ZERO_USD, now, snapshot.zone))
    if bounded:
        check_bounded(parsed)
    bounds = request_bounds(operation, parsed, body, route, bound_output=bounded)
    price = price_of(snapshot.price_book, target, now)
    reserved_usd = _at_batch_price(worst_case_usd(snapshot.price_book, [target], bounds, now), price)
    decision = {**plan.decision, "batch": batch.pk, "line": line.number, "custom_id": line.custom_id}
    intent = intent_of(
        parsed,
        route,
        request_id=line.completion_id,
        operation=operation,
        key=key,
        conversation=conversation,
        created_at=now,
        reserved_usd=reserved_usd,
        lease_until=batch.expires_at + LEASE_MARGIN,
        decision=decision,
        claims=claims_for(snapshot.budgets, facts, reserved_usd, now, snapshot.zone),
    )
    return Draft(intent, target, bounded)


def _first_able(plan: Plan, operation: Operation, parsed: ParsedRequest, route: Route) -> Target:
    """The first target whose wire can say what is asked. Raises Untranslatable's reason as InvalidRequest."""
    reason = "no target"
    for target in plan.targets:
        try:
            line_translated(operation, parsed, target, route, bounded=False)
        except Untranslatable as error:
            reason = error.message
        else:
            return target
    raise InvalidRequest(f"No target of the route {route.name!r} can serve this request: {reason}", param="model")


def line_translated(
    operation: Operation, parsed: ParsedRequest, target: Target, route: Route, *, bounded: bool
) -> Translated:
    """The line's request as its target's provider gets it."""
    version = NEEDS_SAMPLING_VERSION if target.traits.takes_sampling else None
    return translate_request(
        operation.surface,
        target.provider.kind,
        parsed.payload,
        model=target.model,
        traits=target.traits,
        stream=False,
        default_output_tokens=route.max_output_tokens,
        anthropic_version=version if target.provider.kind is Wire.ANTHROPIC else None,
        bound_output=bounded,
        operation=operation,
    )


def _at_batch_price(usd: Decimal, price: Price | None) -> Decimal:
    factor = Decimal(1) if price is None else price.batch_factor
    return (usd * factor).quantize(_PICO_USD, ROUND_CEILING)


def answered(line: BatchLine, target: Target, price: Price | None, answer: Answer, now: datetime) -> Settlement:
    """Settles a line with its provider's answer: at the reported usage, else at what was reserved."""
    cost, billing = line.reserved_usd, Billing.ESTIMATED
    if price is not None and answer.usage is not None:
        cost = cost_usd(price, answer.usage, batch=True)
        billing = Billing.REPORTED if fees_are_known(price, answer.usage) else Billing.ESTIMATED
    usage = answer.usage or NO_USAGE
    attempt = _attempt(line, target, now, AttemptOutcome.SUCCEEDED, 200, "")
    return Settlement(
        id=line.completion_id,
        finished_at=now,
        status=CompletionStatus.ANSWERED,
        http_status=200,
        provider=target.provider.name,
        model=answer.model,
        finish_reason=answer.finish_reason.value if answer.finish_reason else "",
        usage=usage,
        cost_usd=cost,
        billing=billing,
        attempts=(_charged(attempt, cost, billing, usage, price, answer.upstream_id),),
    )


def _charged(
    attempt: AttemptRecord, cost: Decimal, billing: Billing, usage: Usage, price: Price | None, upstream_id: str | None
) -> AttemptRecord:
    return replace(
        attempt,
        cost_usd=cost,
        billing=billing,
        usage=usage,
        price_id=None if price is None else price.id,
        upstream_id=upstream_id,
    )


def refused(line: BatchLine, target: Target, status: int, message: str, now: datetime) -> Settlement:
    """Settles a line that its provider refused, which costs nothing."""
    return Settlement(
        id=line.completion_id,
        finished_at=now,
        status=CompletionStatus.FAILED,
        http_status=status,
        provider=target.provider.name,
        model=target.model,
        error_code="invalid_request",
        error_message=message[:1000],
        attempts=(_attempt(line, target, now, AttemptOutcome.FAILED, status, message),),
    )


def estimated(line: BatchLine, target: Target, message: str, now: datetime) -> Settlement:
    """Settles at its reservation a line that was answered in a way nobody can read, and may be billed."""
    settlement = refused(line, target, 502, message, now)
    cost, billing = line.reserved_usd, Billing.ESTIMATED
    attempts = tuple(replace(one, cost_usd=cost, billing=billing) for one in settlement.attempts)
    return replace(settlement, error_code="unreadable", cost_usd=cost, billing=billing, attempts=attempts)


def released(completion_id: str, why: str, now: datetime) -> Settlement:
    """Gives back what a line reserved: it was not sent, or its provider never came to it."""
    return Settlement(
        id=completion_id,
        finished_at=now,
        status=CompletionStatus.CANCELLED,
        http_status=0,
        error_code="batch_line_released",
        error_message=why[:1000],
    )


def given_up(line: BatchLine, now: datetime) -> Settlement:
    """Settles at its reservation, as unknown, a line whose provider never told what came of it."""
    return Settlement(
        id=line.completion_id,
        finished_at=now,
        status=CompletionStatus.UNKNOWN,
        http_status=0,
        error_message="The provider never brought the results of the batch that this request was in.",
        cost_usd=line.reserved_usd,
        billing=Billing.UNKNOWN,
    )


def _attempt(
    line: BatchLine, target: Target, now: datetime, outcome: AttemptOutcome, status: int, message: str
) -> AttemptRecord:
    failed = outcome is AttemptOutcome.FAILED
    return AttemptRecord(
        number=1,
        provider=target.provider.name,
        model=target.model,
        target_index=0,
        retry=0,
        outcome=outcome,
        reason=f"in a batch of {target.provider.name}, at its batch price",
        started_at=line.reserved_at or now,
        failure=FailureKind.INVALID_REQUEST if failed else None,
        status=status,
        message=message[:1000],
        provider_id=target.provider.id,
    )


class LineBooks:
    """A connection to the ledger for one sweep. Use as a context manager; raises DatabaseAway."""

    def __enter__(self) -> LineBooks:
        self._connection = ledger_connections()()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._connection.close()

    def reserve(self, intents: Sequence[Intent]) -> list[BudgetExceeded | None]:
        """Intent by intent whether a budget refused it; reserving twice changes nothing."""
        rows = [intent_row(intent, self._connection.dialect) for intent in intents]
        opened = self._apply(Group(opens=rows)).opened
        return [one if isinstance(one, BudgetExceeded) else None for one in opened]

    def settle(self, settlements: Sequence[Settlement]) -> None:
        """Settling twice changes nothing."""
        rows = [settlement_row(settlement, self._connection.dialect) for settlement in settlements]
        if rows:
            self._apply(Group(settlements=rows))

    def _apply(self, group: Group) -> GroupOutcome:
        with in_turn(ledger_lock_path()) as lock, nullcontext() if lock is None else lock.held():
            return group_apply(self._connection, group)
