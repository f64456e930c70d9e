"""Spans by OpenTelemetry's conventions for generative AI, handed to its batch processor and OTLP exporter.

Names: https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans/ (in development there; ours beside them begin
with `llmops.`). Names, ids and numbers only: never what was said, never a key.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, Resource
from opentelemetry.sdk.trace import Event, ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import Decision
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import (
    NonRecordingSpan,
    SpanContext,
    SpanKind,
    Status,
    StatusCode,
    TraceFlags,
    set_span_in_context,
)

from gateway.engine.trace import Trace, TraceParent
from gateway.engine.words import AttemptOutcome, CompletionStatus, Operation
from gateway.ledger.money import usd_text
from gateway.ledger.records import AttemptRecord, Intent, Settlement

CLOSE_SECONDS = 3.0
# The wires' three ways to converse are one operation to the conventions.
_OPERATIONS = {Operation.EMBEDDINGS.value: "embeddings"}
_NANOSECONDS = 1_000_000_000
_SCOPE = InstrumentationScope("llmops")
_ERROR, _UNSET = StatusCode.ERROR, Status(StatusCode.UNSET)


class Spans:
    """What becomes of settled completions. Configured by OpenTelemetry's variables alone."""

    def __init__(self, environment: Mapping[str, str]) -> None:
        self._resource = Resource.create(None if _is_named(environment) else {SERVICE_NAME: "llmops"})
        self._sampler = TracerProvider(resource=self._resource).sampler
        self._processor = BatchSpanProcessor(OTLPSpanExporter())

    def samples(self, trace_id: str, parent: TraceParent | None) -> bool:
        """What OTEL_TRACES_SAMPLER says; by default what the caller says, and always without one."""
        context = None
        if parent is not None:
            remote = _span_context(trace_id, parent.span_id, sampled=parent.sampled, remote=True)
            context = set_span_in_context(NonRecordingSpan(remote))
        verdict = self._sampler.should_sample(context, int(trace_id, 16), "completion", SpanKind.SERVER)
        return verdict.decision is Decision.RECORD_AND_SAMPLE

    def completion(self, trace: Trace, intent: Intent, settlement: Settlement, span_ids: Sequence[str]) -> None:
        operation = _OPERATIONS.get(intent.operation, "chat")
        attempts = list(zip(settlement.attempts, span_ids, strict=True))
        for attempt, span_id in attempts:
            if span_id:
                self._processor.on_end(self._attempt(trace, operation, attempt, span_id))
        remote = trace.parent_span_id
        parent = _span_context(trace.trace_id, remote, sampled=True, remote=True) if remote else None
        self._processor.on_end(
            ReadableSpan(
                name=f"{operation} {intent.requested_model}",
                context=_span_context(trace.trace_id, trace.span_id, sampled=True),
                parent=parent,
                resource=self._resource,
                attributes=dict(_told(_completion_facts(operation, intent, settlement))),
                events=tuple(_left_out(attempt) for attempt, span_id in attempts if not span_id),
                kind=SpanKind.SERVER,
                status=_completion_status(settlement),
                start_time=_nanoseconds(intent.created_at),
                end_time=_nanoseconds(settlement.finished_at),
                instrumentation_scope=_SCOPE,
            )
        )

    def close(self) -> None:
        """Send what waits. The processor itself would wait half a minute for a collector that is away."""
        shutdown: Callable[[], None] = self._processor.shutdown
        closing = threading.Thread(target=shutdown, name="tracing-close", daemon=True)
        closing.start()
        closing.join(CLOSE_SECONDS)

    def _attempt(self, trace: Trace, operation: str, attempt: AttemptRecord, span_id: str) -> ReadableSpan:
        start = _nanoseconds(attempt.started_at)
        failure = None if attempt.failure is None else attempt.failure.value
        return ReadableSpan(
            name=f"{operation} {attempt.model}",
            context=_span_context(trace.trace_id, span_id, sampled=True),
            parent=_span_context(trace.trace_id, trace.span_id, sampled=True),
            resource=self._resource,
            attributes=dict(_told(_attempt_facts(operation, attempt))),
            kind=SpanKind.CLIENT,
            status=_UNSET if failure is None else Status(_ERROR, failure),
            start_time=start,
            end_time=start + attempt.latency_ms * 1_000_000,
            instrumentation_scope=_SCOPE,
        )


def _completion_facts(operation: str, intent: Intent, settlement: Settlement) -> dict[str, Any]:
    usage = settlement.usage
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.request.model": intent.requested_model,
        "gen_ai.provider.name": settlement.provider,
        "gen_ai.response.model": settlement.model,
        "gen_ai.response.finish_reasons": [settlement.finish_reason] if settlement.finish_reason else None,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "gen_ai.conversation.id": intent.conversation,
        "http.response.status_code": settlement.http_status,
        "error.type": settlement.error_code,
        "llmops.request.id": intent.id,
        "llmops.operation": intent.operation,
        "llmops.stream": intent.stream,
        "llmops.status": settlement.status.value,
        "llmops.route": intent.route_name,
        "llmops.api_key.id": intent.api_key_id,
        "llmops.api_key.name": intent.api_key_name,
        "llmops.team": intent.team_name,
        "llmops.cache": settlement.cache,
        "llmops.fallback": bool(settlement.fallbacks),
        "llmops.cost_usd": usd_text(settlement.cost_usd),
        "llmops.time_to_first_token_ms": settlement.first_content_ms,
    }


def _attempt_facts(operation: str, attempt: AttemptRecord) -> dict[str, Any]:
    usage = attempt.usage
    return {
        "gen_ai.operation.name": operation,
        "gen_ai.provider.name": attempt.provider,
        "gen_ai.request.model": attempt.model,
        "gen_ai.response.id": attempt.upstream_id,
        "gen_ai.usage.input_tokens": usage.input_tokens,
        "gen_ai.usage.output_tokens": usage.output_tokens,
        "http.response.status_code": attempt.status,
        "http.request.resend_count": attempt.retry or None,
        "error.type": None if attempt.failure is None else attempt.failure.value,
        "llmops.attempt": attempt.number,
        "llmops.outcome": attempt.outcome.value,
        "llmops.reason": attempt.reason,
        "llmops.probe": attempt.probe,
        "llmops.drill.id": attempt.drill_id,
        "llmops.cost_usd": usd_text(attempt.cost_usd),
        "llmops.time_to_first_token_ms": attempt.first_content_ms,
    }


def _left_out(attempt: AttemptRecord) -> Event:
    """A target that was not called, such as for an open breaker."""
    failure = None if attempt.failure is None else attempt.failure.value
    facts = {
        "gen_ai.provider.name": attempt.provider,
        "gen_ai.request.model": attempt.model,
        "error.type": failure,
        "llmops.attempt": attempt.number,
        "llmops.reason": attempt.reason,
    }
    name = "target left out" if attempt.outcome is AttemptOutcome.SKIPPED else "attempt not made"
    return Event(name, attributes=dict(_told(facts)), timestamp=_nanoseconds(attempt.started_at))


def _told(facts: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    """Nothing is told of what is not known."""
    return ((name, value) for name, value in facts.items() if value is not None and value != "")


def _completion_status(settlement: Settlement) -> Status:
    """A client that left is no failure of ours."""
    if settlement.status in (CompletionStatus.ANSWERED, CompletionStatus.CANCELLED):
        return _UNSET
    return Status(_ERROR, settlement.error_code or settlement.status.value)


def _span_context(trace_id: str, span_id: str, *, sampled: bool, remote: bool = False) -> SpanContext:
    flags = TraceFlags(TraceFlags.SAMPLED if sampled else TraceFlags.DEFAULT)
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=flags)


def _nanoseconds(at: datetime) -> int:
    return int(at.timestamp() * _NANOSECONDS)


def _is_named(environment: Mapping[str, str]) -> bool:
    attributes = environment.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return bool(environment.get("OTEL_SERVICE_NAME")) or "service.name=" in attributes
