"""What a completion costs: from the engine's attempts to the ledger's records. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import ROUND_CEILING, Decimal

from gateway.engine.attempt import Attempt, FallbackStep
from gateway.engine.configuration import Target
from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, Billing
from gateway.ledger.prices import Price, PriceBook, cost_usd, fees_are_known, upper_bound_usd
from gateway.ledger.records import NO_USAGE, ZERO_USD, AttemptRecord, FallbackRecord

NO_FACTOR = Decimal(1)
_PICO_USD = Decimal("1e-12")
# What a provider may have written when a stream was cut, beyond the bytes that came: it goes on until it notices.
CUT_STREAM_MARGIN_TOKENS = 1_024


@dataclass(frozen=True, slots=True)
class Bounds:
    """The most one answer can use at one target, all choices together.

    `hidden_output` says that more may be billed than is streamed (reasoning). `price_factor` is the most that the
    request's own parameters make of the list price; `exact` is false where the list price isn't all of it.
    """

    input_tokens: int
    output_tokens: int
    hidden_output: bool = False
    price_factor: Decimal = NO_FACTOR
    exact: bool = True


BoundsOf = Callable[[Target], Bounds]


@dataclass(frozen=True, slots=True)
class Charge:
    """What one attempt is charged and on what ground."""

    cost_usd: Decimal
    billing: Billing
    usage: Usage
    price_id: int | None


FREE_OF_CHARGE = Charge(ZERO_USD, Billing.NONE, NO_USAGE, None)


def worst_case_usd(prices: PriceBook, targets: Sequence[Target], bounds_of: BoundsOf, at: datetime) -> Decimal:
    """The most this request can cost at the dearest of `targets`, which all have a price."""
    found = ((price_of(prices, target, at), bounds_of(target)) for target in targets)
    return max((_most_usd(price, bounds) for price, bounds in found if price is not None), default=ZERO_USD)


def _most_usd(price: Price, bounds: Bounds) -> Decimal:
    usd = upper_bound_usd(price, input_tokens_bound=bounds.input_tokens, output_tokens_bound=bounds.output_tokens)
    return _times(usd, bounds.price_factor)


def _times(usd: Decimal, factor: Decimal) -> Decimal:
    return usd if factor == NO_FACTOR else (usd * factor).quantize(_PICO_USD, ROUND_CEILING)


def price_of(prices: PriceBook, target: Target, at: datetime) -> Price | None:
    return prices.find(target.provider.kind, target.model, at)


def charge_attempt(attempt: Attempt, price: Price | None, bounds: Bounds) -> Charge:
    """Reported usage at its price, however the attempt ended; an upper bound where the provider may bill without having
    told; else nothing. `bounds` are those of the attempt's target; a continuation adds the text it was given."""
    if price is None or not attempt.sent:
        return FREE_OF_CHARGE
    if attempt.usage is not None:
        known = bounds.exact and fees_are_known(price, attempt.usage)
        billing = Billing.REPORTED if known else Billing.ESTIMATED
        usd = _times(cost_usd(price, attempt.usage), bounds.price_factor)
        return Charge(usd, billing, attempt.usage, price.id)
    if attempt.outcome is not AttemptOutcome.SUCCEEDED and not attempt.may_be_billed:
        return FREE_OF_CHARGE
    output_tokens = _output_bound(attempt, bounds)
    most = replace(bounds, input_tokens=bounds.input_tokens + attempt.bytes_added, output_tokens=output_tokens)
    usage = Usage(input_tokens=most.input_tokens, output_tokens=most.output_tokens)
    return Charge(_most_usd(price, most), Billing.ESTIMATED, usage, price.id)


def _output_bound(attempt: Attempt, bounds: Bounds) -> int:
    """What came of a cut stream bounds its output, for no token is shorter than a byte; but not what came hidden."""
    if not attempt.bytes_received or bounds.hidden_output:
        return bounds.output_tokens
    return min(attempt.bytes_received + CUT_STREAM_MARGIN_TOKENS, bounds.output_tokens)


def attempt_record(attempt: Attempt, charge: Charge) -> AttemptRecord:
    error = attempt.error
    return AttemptRecord(
        number=attempt.number,
        provider=attempt.target.provider.name,
        model=attempt.target.model,
        target_index=attempt.target_index,
        retry=attempt.retry,
        outcome=attempt.outcome or AttemptOutcome.CANCELLED,
        reason=attempt.reason,
        started_at=datetime.fromtimestamp(attempt.started_at, UTC),
        latency_ms=attempt.latency_ms,
        first_content_ms=attempt.first_content_ms,
        failure=error.kind if error else None,
        status=error.status if error else None,
        message=error.message[:1000] if error else "",
        retry_after_seconds=error.retry_after_seconds if error else None,
        probe=attempt.probe,
        upstream_id=attempt.upstream_id,
        usage=charge.usage,
        cost_usd=charge.cost_usd,
        billing=charge.billing,
        price_id=charge.price_id,
        provider_id=attempt.target.provider.id,
        drill_id=attempt.drill_id,
        fault=attempt.injected.value if attempt.injected is not None else "",
    )


def fallback_records(
    steps: Sequence[FallbackStep],
    attempts: Sequence[Attempt],
    charges: Sequence[Charge],
    prices: PriceBook,
    at: datetime,
) -> tuple[FallbackRecord, ...]:
    """Each step with what it cost more than the abandoned target would have."""
    answered = next(
        (charge for attempt, charge in zip(attempts, charges, strict=True) if _answered(attempt)), FREE_OF_CHARGE
    )
    return tuple(_fallback_record(step, attempts, charges, answered, prices, at) for step in steps)


def _fallback_record(
    step: FallbackStep,
    attempts: Sequence[Attempt],
    charges: Sequence[Charge],
    answered: Charge,
    prices: PriceBook,
    at: datetime,
) -> FallbackRecord:
    pairs = zip(attempts, charges, strict=True)
    abandoned_usd = sum((charge.cost_usd for attempt, charge in pairs if attempt.target is step.from_target), ZERO_USD)
    price = price_of(prices, step.from_target, at)
    instead_usd = cost_usd(price, answered.usage) if price is not None else ZERO_USD
    return FallbackRecord(
        number=step.number,
        from_target=step.from_target.name,
        to_target=step.to_target.name,
        reason=step.reason,
        after_ms=step.after_ms,
        extra_cost_usd=abandoned_usd + answered.cost_usd - instead_usd,
    )


def _answered(attempt: Attempt) -> bool:
    return attempt.outcome is AttemptOutcome.SUCCEEDED and attempt.passed_over is None


def total_billing(charges: Sequence[Charge]) -> Billing:
    """A completion's amount is only as certain as the least certain of its attempts."""
    kinds = {charge.billing for charge in charges}
    for kind in (Billing.UNKNOWN, Billing.ESTIMATED, Billing.REPORTED):
        if kind in kinds:
            return kind
    return Billing.NONE
