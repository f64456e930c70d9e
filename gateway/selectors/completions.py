"""Completions as people look at them: the last few, and one in full with all that belongs to it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db.models import QuerySet

from gateway.models.completion import Attempt, Completion, Conversation, Fallback
from gateway.selectors.budget_checks import StoredCheck, stored_checks


@dataclass(frozen=True, slots=True)
class CompletionLine:
    """One row of a list of completions."""

    id: str
    created_at: datetime
    status: str
    http_status: int | None
    error_code: str
    route: str
    requested_model: str
    api_key: str
    team: str
    provider: str
    model: str
    attempts: int
    fell_back: bool
    stream: bool
    cache: str
    cost_usd: Decimal
    billing: str
    latency_ms: int | None
    drill_id: int | None = None
    team_id: int = 0
    conversation: str = ""
    input_tokens: int = 0
    output_tokens: int = 0


@dataclass(frozen=True, slots=True)
class AttemptStory:
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
    started_at: datetime
    offset_ms: int
    latency_ms: int
    first_content_ms: int | None
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    web_searches: int
    cost_usd: Decimal
    billing: str
    price_id: int | None
    drill_id: int | None = None
    fault: str = ""


@dataclass(frozen=True, slots=True)
class FallbackStory:
    number: int
    from_target: str
    to_target: str
    reason: str
    after_ms: int
    extra_cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class ConversationTotals:
    completions: int
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class CompletionStory:
    """Everything the ledger knows of one completion. `span_ms` is the time its attempts and itself took, at least 1."""

    line: CompletionLine
    finished_at: datetime | None
    error_message: str
    finish_reason: str
    surface: str
    operation: str
    conversation: str
    conversation_totals: ConversationTotals | None
    team_id: int
    api_key_id: int | None
    route_id: int | None
    first_content_ms: int | None
    input_tokens: int
    cached_input_tokens: int
    cache_write_tokens: int
    output_tokens: int
    reasoning_tokens: int
    reserved_usd: Decimal
    decision: Mapping[str, Any]
    dropped_params: tuple[str, ...]
    attempts: tuple[AttemptStory, ...]
    fallbacks: tuple[FallbackStory, ...]
    span_ms: int
    budget_checks: tuple[StoredCheck, ...] = ()


def completion_list_recent(*, limit: int) -> tuple[CompletionLine, ...]:
    """The newest completions, newest first. One query, through the index on `created_at`."""
    return completion_lines(Completion.objects.order_by("-created_at")[:limit])


def completion_lines(rows: QuerySet[Completion]) -> tuple[CompletionLine, ...]:
    """The rows as lines, without what only a story needs. One query."""
    return tuple(_line(row) for row in rows.defer("decision", "dropped_params", "error_message", "budget_checks"))


def completion_story(*, request_id: str) -> CompletionStory | None:
    """One completion with its attempts, fallbacks and conversation; None if there is none. Four queries."""
    row = Completion.objects.filter(pk=request_id).first()
    if row is None:
        return None
    attempts = tuple(_attempt(attempt, row.created_at) for attempt in row.attempts.order_by("number"))
    ends = [attempt.offset_ms + attempt.latency_ms for attempt in attempts]
    return CompletionStory(
        line=_line(row),
        finished_at=row.finished_at,
        error_message=row.error_message,
        finish_reason=row.finish_reason,
        surface=row.surface,
        operation=row.operation,
        conversation=row.conversation,
        conversation_totals=_conversation_totals(row.team_id, row.conversation),
        team_id=row.team_id,
        api_key_id=row.api_key_id,
        route_id=row.route_id,
        first_content_ms=row.first_content_ms,
        input_tokens=row.input_tokens,
        cached_input_tokens=row.cached_input_tokens,
        cache_write_tokens=row.cache_write_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
        reserved_usd=row.reserved_usd,
        decision=row.decision,
        dropped_params=tuple(row.dropped_params),
        attempts=attempts,
        fallbacks=tuple(_fallback(step) for step in row.fallbacks.order_by("number")),
        span_ms=max(1, row.latency_ms or 0, *ends),
        budget_checks=stored_checks(row.budget_checks),
    )


def _line(row: Completion) -> CompletionLine:
    return CompletionLine(
        id=row.id,
        created_at=row.created_at,
        status=row.status,
        http_status=row.http_status,
        error_code=row.error_code,
        route=row.route_name,
        requested_model=row.requested_model,
        api_key=row.api_key_name,
        team=row.team_name,
        provider=row.provider,
        model=row.model,
        attempts=row.attempt_count,
        fell_back=row.fell_back,
        stream=row.stream,
        cache=row.cache,
        cost_usd=row.cost_usd,
        billing=row.billing,
        latency_ms=row.latency_ms,
        drill_id=row.drill_id,
        team_id=row.team_id,
        conversation=row.conversation,
        input_tokens=row.input_tokens,
        output_tokens=row.output_tokens,
    )


def _attempt(row: Attempt, began_at: datetime) -> AttemptStory:
    return AttemptStory(
        number=row.number,
        provider=row.provider,
        model=row.model,
        retry=row.retry,
        outcome=row.outcome,
        reason=row.reason,
        failure=row.failure,
        status=row.status,
        message=row.message,
        retry_after_seconds=row.retry_after_seconds,
        probe=row.probe,
        upstream_id=row.upstream_id,
        started_at=row.started_at,
        offset_ms=max(0, (row.started_at - began_at) // timedelta(milliseconds=1)),
        latency_ms=row.latency_ms,
        first_content_ms=row.first_content_ms,
        input_tokens=row.input_tokens,
        cached_input_tokens=row.cached_input_tokens,
        cache_write_tokens=row.cache_write_tokens,
        output_tokens=row.output_tokens,
        reasoning_tokens=row.reasoning_tokens,
        web_searches=row.web_searches,
        cost_usd=row.cost_usd,
        billing=row.billing,
        price_id=row.price_id,
        drill_id=row.drill_id,
        fault=row.fault,
    )


def _fallback(row: Fallback) -> FallbackStory:
    return FallbackStory(row.number, row.from_target, row.to_target, row.reason, row.after_ms, row.extra_cost_usd)


def _conversation_totals(team_id: int, conversation: str) -> ConversationTotals | None:
    row = Conversation.objects.filter(team_id=team_id, external_id=conversation).first()
    return None if row is None else ConversationTotals(row.completions, Decimal(row.cost_usd))
