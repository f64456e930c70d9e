"""What the operators' API says and takes. Amounts are decimal strings, times ISO 8601 in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Annotated, Any, Literal

from ninja import Schema
from pydantic import AfterValidator, BeforeValidator, ConfigDict, Field, PlainSerializer, StringConstraints

from gateway.ledger.money import usd_text


def _utc_text(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")


def _moment(text: Any) -> Any:
    """A time or a date (its midnight); without an offset it is UTC. A `+` that came as a space is taken for one."""
    try:
        if isinstance(text, str) and "T" in text:
            parsed = datetime.fromisoformat(text.replace(" ", "+"))
            aware = parsed if parsed.tzinfo is not None else parsed.replace(tzinfo=UTC)
            return aware.astimezone(UTC)
        return datetime.combine(date.fromisoformat(text), time(), tzinfo=UTC)
    except (ValueError, OverflowError, TypeError):
        raise ValueError("must be an ISO 8601 time or date, such as 2026-11-22T12:00:00Z or 2026-11-22") from None


def _printable(text: str) -> str:
    if not text.isprintable():
        raise ValueError("must be one line of printable characters")
    return text


Usd = Annotated[Decimal, PlainSerializer(usd_text, return_type=str), Field(examples=["0.0125"])]
Moment = Annotated[datetime, PlainSerializer(_utc_text, return_type=str), Field(examples=["2026-11-22T12:00:00Z"])]
MomentParameter = Annotated[datetime, BeforeValidator(_moment)]
Reason = Annotated[
    str,
    StringConstraints(strip_whitespace=True, min_length=1, max_length=300),
    AfterValidator(_printable),
    Field(description="Why, for those who look later; one line of at most 300 characters."),
]
BreakerWord = Literal["closed", "open", "half_open"]
ForcedWord = Literal["open", "closed"]


class ErrorBody(Schema):
    code: str
    message: str
    param: str | None = None


class ErrorReply(Schema):
    error: ErrorBody


# What operations may answer instead, as ninja takes it.
CALLER_FAULTS: dict[Any, Any] = {frozenset({400, 401, 403}): ErrorReply}
OR_MISSING: dict[Any, Any] = {**CALLER_FAULTS, 404: ErrorReply}


class Breaker(Schema):
    """`state` is what holds for requests: an order (`forced`) goes before what the breaker itself would do."""

    provider: str
    state: BreakerWord
    forced: ForcedWord | None
    forced_reason: str
    enabled: bool
    consecutive_failures: int
    failure_rate: float = Field(description="Share of failed attempts over the last minute, 0 to 1.")
    opened_at: Moment | None
    next_probe_at: Moment | None
    last_error: str
    drill: int | None = Field(description="The fire drill whose own breaker it is; null: the real one.")


class BreakerOrder(Schema):
    model_config = ConfigDict(extra="forbid")

    action: Literal["force_open", "force_closed", "reset"]
    reason: Reason


class HealthTest(Schema):
    """`outcome` is `ok` or the kind of failure; `words` says it to people. `status` is null where no reply came."""

    provider: str
    ok: bool
    outcome: str
    words: str
    asked: str = Field(description="The model that was called, or the list of models.")
    status: int | None
    latency_ms: int
    at: Moment


class SpendRow(Schema):
    """`input_tokens` include cached and cache-write tokens. `team` is told of conversations only."""

    group: str | None
    cost_usd: Usd
    completions: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    team: str | None


class Spend(Schema):
    """The dearest first. `total` counts every group, also those left out when `truncated`."""

    rows: list[SpendRow]
    total: SpendRow
    truncated: bool


class ConversationCompletion(Schema):
    request_id: str
    created_at: Moment
    status: str
    route: str
    provider: str
    model: str
    cost_usd: Usd
    billing: str


class ConversationCap(Schema):
    """The tightest budget that counts each conversation."""

    budget: str
    limit_usd: Usd
    left_usd: Usd = Field(description="Beside what is spent and reserved now.")
    blocks: bool
    resets_at: Moment | None


class ConversationLine(Schema):
    """Totals of settled requests."""

    id: str
    team: str
    completions: int
    input_tokens: int
    output_tokens: int
    cost_usd: Usd
    first_seen_at: Moment
    last_seen_at: Moment
    duration_seconds: float
    cap: ConversationCap | None


class Conversations(Schema):
    """The last used first. `next` is the `after` of the following page, null on the last one."""

    conversations: list[ConversationLine]
    next: str | None


class ModelUse(Schema):
    """`provider` and `model` are empty for requests that no provider answered."""

    provider: str
    model: str
    completions: int
    cost_usd: Usd


class Conversation(Schema):
    """Sums over all its completions; pending ones count but have neither tokens nor cost yet."""

    id: str
    team: str
    cost_usd: Usd
    uncertain_usd: Usd = Field(description="The part of the cost that no provider reported: upper bounds, orphans.")
    completions: int
    answered: int
    pending: int
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    first_seen_at: Moment
    last_seen_at: Moment
    duration_seconds: float
    models: list[ModelUse]
    cap: ConversationCap | None
    recent: list[ConversationCompletion]


class RaiseOrder(Schema):
    model_config = ConfigDict(extra="forbid")

    amount_usd: Decimal = Field(description="Added to the limit, in US dollars.", examples=["25"])
    until: MomentParameter = Field(
        description="When it ends by itself; within a year.", examples=["2026-11-23T18:00:00Z"]
    )
    reason: Reason


class BudgetRaised(Schema):
    """`limit_usd` is what is in force now, with all raises."""

    budget: str
    amount_usd: Usd
    until: Moment
    reason: str
    made_by: str
    limit_usd: Usd


class Budget(Schema):
    """`spent_usd` and `reserved_usd` are the current window's, `remaining_usd` what they leave of `limit_usd`."""

    name: str
    scope: str
    subject: str | None
    team: str | None = Field(description="The team of a conversation.")
    limit_usd: Usd = Field(description="The limit in force, with temporary raises.")
    raised_usd: Usd = Field(description="What temporary raises add to the limit now.")
    raised_until: Moment | None = Field(description="When the first of them ends.")
    spent_usd: Usd
    reserved_usd: Usd
    remaining_usd: Usd
    window: str | int = Field(description="hour, day, week, month, total or a number of seconds.")
    window_starts_at: Moment | None
    resets_at: Moment | None
    enforcement: Literal["block", "alert"]
    other_subjects: int = Field(description="How many subjects of this budget were left out for length.")
