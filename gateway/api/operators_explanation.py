"""One completion explained, as the operators' API tells it."""

from __future__ import annotations

from typing import Any

from ninja import Schema
from pydantic import Field

from gateway.api.operators_schemas import Moment, Usd
from gateway.selectors.completions import AttemptStory, CompletionStory, FallbackStory
from gateway.selectors.explanation import Explanation


class Failure(Schema):
    code: str
    message: str


class Tokens(Schema):
    """`input_tokens` include cached and cache-write tokens, `output_tokens` the reasoning ones."""

    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int


class Charged(Tokens):
    cost_usd: Usd
    billing: str = Field(description="none, reported (by the provider), estimated (an upper bound) or unknown.")


class Attempt(Charged):
    """One call to one target, or why it was left out. `offset_ms` counts from the completion's beginning."""

    number: int
    provider: str
    model: str
    retry: int
    outcome: str
    reason: str
    failure: str
    status: int | None
    message: str
    retry_after_seconds: float | None
    probe: bool
    upstream_id: str
    started_at: Moment
    offset_ms: int
    latency_ms: int
    first_content_ms: int | None
    web_searches: int = Field(description="Searches that the provider ran and charges for.")
    price_id: int | None
    drill_id: int | None = Field(description="The fire drill it belongs to.")
    fault: str = Field(description="What the drill did in the provider's place; empty where nothing was sent.")


class Fallback(Schema):
    number: int
    from_target: str
    to_target: str
    reason: str
    after_ms: int
    extra_cost_usd: Usd


class Price(Schema):
    """US dollars per million tokens; null where a more general price holds. The `long_` prices are those of calls with
    more than `long_context_above_tokens` input tokens."""

    id: int
    kind: str
    model: str
    input_per_mtok: Usd
    cached_input_per_mtok: Usd | None
    cache_write_per_mtok: Usd | None
    cache_write_1h_per_mtok: Usd | None
    output_per_mtok: Usd
    reasoning_per_mtok: Usd | None
    long_context_above_tokens: int | None
    long_input_per_mtok: Usd | None
    long_cached_input_per_mtok: Usd | None
    long_cache_write_per_mtok: Usd | None
    long_cache_write_1h_per_mtok: Usd | None
    long_output_per_mtok: Usd | None
    web_searches_per_thousand: Usd | None
    free: bool
    valid_from: Moment | None
    source: str


class BudgetCheck(Schema):
    """What a budget said when the completion began: `room_usd` is what the limit, `spent_usd` and what others had
    reserved left for `claimed_usd`. Null while it is under way, and after a crash of ours. `window_…` are the present
    amounts."""

    budget: str
    scope: str
    subject: str | None
    enforcement: str
    limit_usd: Usd
    window_starts_at: Moment | None
    resets_at: Moment | None
    held_usd: Usd = Field(description="What this completion still reserves; nothing once it is settled.")
    window_spent_usd: Usd
    window_reserved_usd: Usd
    spent_usd: Usd | None
    reserved_usd: Usd | None
    claimed_usd: Usd | None
    room_usd: Usd | None
    verdict: str | None = Field(description="fits, over (it only alerts), step_down or no_room (asked in another way).")


class Feedback(Schema):
    """What the holder of a key said of the answer (`POST /v1/feedback`). `score` is 1 or -1."""

    score: int
    note: str
    api_key: str
    updated_at: Moment


class ConversationTotals(Schema):
    id: str
    completions: int | None = Field(description="Settled ones; null before the first.")
    cost_usd: Usd | None


class CompletionExplained(Charged):
    request_id: str
    created_at: Moment
    finished_at: Moment | None
    status: str
    http_status: int | None
    error: Failure | None
    finish_reason: str
    surface: str
    operation: str
    stream: bool
    requested_model: str
    route: str
    api_key: str
    team: str
    conversation: ConversationTotals
    provider: str
    model: str
    fell_back: bool
    attempt_count: int
    cache: str
    latency_ms: int | None
    first_content_ms: int | None
    decision: dict[str, Any]
    drill_id: int | None = Field(description="The first fire drill that touched it.")
    reserved_usd: Usd = Field(description="The most it could cost: what was reserved before the first attempt.")
    budget_checks: list[BudgetCheck]
    attempts: list[Attempt]
    fallbacks: list[Fallback]
    prices: list[Price]
    dropped_params: list[str]
    feedback: list[Feedback]


# What the answer takes over from the story and its line under the same name.
_LINE: tuple[str, ...] = (
    *("created_at", "status", "http_status", "route", "requested_model", "api_key", "team", "provider", "model"),
    *("fell_back", "stream", "cache", "cost_usd", "billing", "latency_ms", "drill_id"),
)
_STORY: tuple[str, ...] = (
    *("finished_at", "finish_reason", "surface", "operation", "first_content_ms", "reserved_usd"),
    *Tokens.model_fields,
)


def explained(explanation: Explanation) -> CompletionExplained:
    story = explanation.story
    line = story.line
    return CompletionExplained(
        request_id=line.id,
        attempt_count=line.attempts,
        error=Failure(code=line.error_code, message=story.error_message) if line.error_code else None,
        conversation=_conversation(story),
        decision=dict(story.decision),
        dropped_params=list(story.dropped_params),
        attempts=[_attempt(one) for one in story.attempts],
        fallbacks=[_fallback(one) for one in story.fallbacks],
        prices=[Price.from_orm(one) for one in explanation.prices],
        budget_checks=[BudgetCheck.from_orm(one) for one in explanation.budget_checks],
        feedback=[Feedback.from_orm(one) for one in explanation.feedback],
        **{name: getattr(line, name) for name in _LINE},
        **{name: getattr(story, name) for name in _STORY},
    )


def _attempt(story: AttemptStory) -> Attempt:
    attempt: Attempt = Attempt.from_orm(story)
    return attempt


def _fallback(story: FallbackStory) -> Fallback:
    fallback: Fallback = Fallback.from_orm(story)
    return fallback


def _conversation(story: CompletionStory) -> ConversationTotals:
    totals = story.conversation_totals
    return ConversationTotals(
        id=story.conversation,
        completions=totals.completions if totals else None,
        cost_usd=totals.cost_usd if totals else None,
    )
