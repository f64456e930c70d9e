"""What the ledger is told: plain values, complete in themselves, so that they can be spooled and applied twice.

One completion has one `Intent`, written before the first upstream byte, and one `Settlement`, written before a plain
answer's last byte or a stream's terminator. All times are aware UTC datetimes, all amounts `Decimal` USD.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

from gateway.engine.usage import Usage
from gateway.engine.words import AttemptOutcome, Billing, CompletionStatus, FailureKind, Wire

ZERO_USD = Decimal(0)
NO_USAGE = Usage()


@dataclass(frozen=True, slots=True)
class BudgetClaim:
    """Room asked of one budget for one completion.

    `subject` is the id (as text) of the team, key, route or provider, or the conversation's "team_id:external id";
    "" for a global budget. `window_starts_at` and `resets_at` are None for a budget without end.
    `visible` says whether the remaining room may be told to the client (conversation, key or team budgets).
    `provider_id` is set for a provider's budget: it is charged with the attempts at that provider alone.
    From `step_down_percent` of the limit on, spent and reserved together, the claim isn't granted but sent back for a
    cheaper plan. `shrinks`: where it doesn't fit, less output may be asked for instead.
    """

    budget_id: int
    budget_name: str
    subject: str
    window_starts_at: datetime | None
    resets_at: datetime | None
    limit_usd: Decimal
    amount_usd: Decimal
    blocking: bool
    visible: bool
    provider_id: int | None = None
    step_down_percent: int | None = None
    shrinks: bool = False


@dataclass(frozen=True, slots=True)
class BudgetCheck:
    """What one budget said to one claim, and why.

    `spent` and `reserved` are the window's in pico-dollars as the transaction that decided left them, without the
    claim itself. `verdict` is the value of an `admission.Verdict`.
    """

    claim: BudgetClaim
    spent: int
    reserved: int
    verdict: str


@dataclass(frozen=True, slots=True)
class Intent:
    """A completion about to be obtained, and the most it can cost."""

    id: str
    created_at: datetime
    surface: Wire
    operation: str  # the value of an `engine.words.Operation`
    requested_model: str
    route_id: int | None
    route_name: str
    api_key_id: int | None
    api_key_name: str
    team_id: int | None
    team_name: str
    conversation: str  # the client's or a made-up id; unique within the team
    stream: bool
    reserved_usd: Decimal
    lease_until: datetime
    decision: Mapping[str, Any] = field(default_factory=dict)
    claims: tuple[BudgetClaim, ...] = ()
    holder: str = ""  # the process that opened it (`LedgerWriter.holder`): when that is dead, the lease is over


@dataclass(frozen=True, slots=True)
class Extension:
    """More room for a completion under way, before an attempt that follows one its provider may have billed.

    All amounts are totals: `reserved_usd` is the most the completion can cost now, and each of the intent's `claims`
    holds its `amount_usd` afterwards, or more if it did before. So applying it twice changes nothing.
    """

    id: str
    reserved_usd: Decimal
    claims: tuple[BudgetClaim, ...]


@dataclass(frozen=True, slots=True)
class AttemptRecord:
    """One call to one target, or the reason why it was not made (outcome `skipped`). `number` counts from 1."""

    number: int
    provider: str
    model: str
    target_index: int
    retry: int  # 0 for the first try at a target
    outcome: AttemptOutcome
    reason: str  # why this target now, in words
    started_at: datetime
    latency_ms: int = 0
    first_content_ms: int | None = None
    failure: FailureKind | None = None
    status: int | None = None
    message: str = ""
    retry_after_seconds: float | None = None
    probe: bool = False
    upstream_id: str | None = None
    usage: Usage = NO_USAGE
    cost_usd: Decimal = ZERO_USD
    billing: Billing = Billing.NONE
    price_id: int | None = None
    provider_id: int | None = None
    drill_id: int | None = None
    fault: str = ""  # what a fire drill injected; the value of an `engine.drill.DrillFault`


@dataclass(frozen=True, slots=True)
class FallbackRecord:
    """One step from a target to the next: why, how long after the request began, and what it cost more.

    `extra_cost_usd` is what the abandoned attempts cost plus the difference between the answer's price and
    what the same tokens would have cost at the abandoned target.
    """

    number: int
    from_target: str
    to_target: str
    reason: str
    after_ms: int
    extra_cost_usd: Decimal = ZERO_USD


@dataclass(frozen=True, slots=True)
class Settlement:
    """How a completion ended. Applying it twice changes nothing; `id` is the intent's.

    `claims` are the intent's: they tell the limits of the budgets whose remaining room the answer names, and which
    budgets are a provider's. What is released, and in which windows it is charged, is decided by the reservation
    rows. `http_status` 0: nothing is known. `budget_checks` are what the budgets said when it began.
    """

    id: str
    finished_at: datetime
    status: CompletionStatus
    http_status: int
    provider: str = ""
    model: str = ""
    error_code: str = ""
    error_message: str = ""
    finish_reason: str = ""
    latency_ms: int = 0
    first_content_ms: int | None = None
    usage: Usage = NO_USAGE
    cost_usd: Decimal = ZERO_USD
    billing: Billing = Billing.NONE
    cache: str = "bypass"  # "hit" | "miss" | "bypass"
    saved_usd: Decimal = ZERO_USD  # what the answer had cost when it was made, for a hit
    dropped_params: tuple[str, ...] = ()
    attempts: tuple[AttemptRecord, ...] = ()
    fallbacks: tuple[FallbackRecord, ...] = ()
    claims: tuple[BudgetClaim, ...] = ()
    budget_checks: tuple[BudgetCheck, ...] = ()

    @property
    def drill_id(self) -> int | None:
        """The first fire drill that touched it."""
        return next((attempt.drill_id for attempt in self.attempts if attempt.drill_id is not None), None)


@dataclass(frozen=True, slots=True)
class Opened:
    """The answer to an intent or an extension.

    `budget_remaining_usd`: the tightest visible budget after this reservation, or None. `windows` are, claim by claim,
    the pico-dollars spent and reserved in its window, this reservation not counted.
    """

    budget_remaining_usd: Decimal | None = None
    windows: tuple[tuple[int, int], ...] = field(default=(), compare=False)


@dataclass(frozen=True, slots=True)
class Settled:
    """The answer to a settlement: totals as of that transaction; None where they are not exact, because something
    still waits for the database."""

    conversation_cost_usd: Decimal | None = ZERO_USD
    budget_remaining_usd: Decimal | None = None


@dataclass(frozen=True, slots=True)
class BreakerEvent:
    """A breaker's change of state, or news of its failures, for the rows operations look at.

    With `drill_id` it is the breaker of a fire drill, of which only changes of state are written.
    """

    provider: str
    at: datetime
    from_state: str
    to_state: str
    cause: str  # in words: "5 consecutive failures", "cool-down over", "probe succeeded", "forced open by …"
    consecutive_failures: int
    failure_rate: float
    opened_at: datetime | None
    next_probe_at: datetime | None
    last_error: str
    request_id: str
    drill_id: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """A request turned away before its intent: a row for people to see, without money."""

    id: str
    at: datetime
    surface: Wire
    operation: str
    stream: bool
    requested_model: str
    route_id: int | None
    route_name: str
    api_key_id: int | None
    api_key_name: str
    team_id: int | None
    team_name: str
    conversation: str  # "" when the client named none
    status: CompletionStatus
    http_status: int
    error_code: str
    error_message: str
    decision: Mapping[str, Any] = field(default_factory=dict)
