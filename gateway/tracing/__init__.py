"""Traces for OpenTelemetry: one span for each completion, and one for each of its attempts (docs/tracing.md).

Off, and nothing of OpenTelemetry is imported, unless the standard variables name a collector. Spans are made once, from
the same records as the ledger's rows, when a completion is settled; until then only their ids exist, which providers
are sent in `traceparent`.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from gateway.engine.trace import Trace, traceparent_parse
from gateway.ledger.records import Intent, Settlement

if TYPE_CHECKING:
    from gateway.tracing.spans import Spans

logger = logging.getLogger("gateway.tracing")

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_spans: Spans | None = None


def tracing_wanted(environment: Mapping[str, str]) -> bool:
    """Whether OpenTelemetry's own variables ask for traces."""
    if environment.get("OTEL_SDK_DISABLED", "").strip().lower() == "true":
        return False
    if environment.get("OTEL_TRACES_EXPORTER", "otlp").strip().lower() != "otlp":
        return False
    return any(environment.get(name, "").strip() for name in _ENDPOINTS)


def tracing_start(environment: Mapping[str, str] = os.environ) -> None:
    """Call once in a process that serves."""
    global _spans
    if not tracing_wanted(environment):
        return
    try:
        from gateway.tracing.spans import Spans
    except ImportError as error:
        logger.warning("traces are asked for, but OpenTelemetry is not installed (docs/tracing.md): %s", error)
        return
    _spans = Spans(environment)


def tracing_stop() -> None:
    """Sends what is left; waits for it a few seconds at most."""
    global _spans
    spans, _spans = _spans, None
    if spans is not None:
        spans.close()


def trace_begin(
    headers: Mapping[str, str], new_span_id: Callable[[], str], new_trace_id: Callable[[], str]
) -> Trace | None:
    """The completion's place in its caller's trace, or in one of its own; None while nobody traces."""
    if _spans is None:
        return None
    parent = traceparent_parse(headers.get("traceparent", ""))
    trace_id = new_trace_id() if parent is None else parent.trace_id
    return Trace(
        trace_id=trace_id,
        span_id=new_span_id(),
        parent_span_id="" if parent is None else parent.span_id,
        sampled=_spans.samples(trace_id, parent),
        new_span_id=new_span_id,
    )


def completion_traced(trace: Trace | None, intent: Intent, settlement: Settlement, span_ids: Sequence[str]) -> None:
    """`span_ids` are those of the settlement's attempts, in order."""
    if _spans is None or trace is None or not trace.sampled:
        return
    try:
        _spans.completion(trace, intent, settlement, span_ids)
    except Exception:  # a trace is no reason to fail a request
        logger.exception("request %s could not be traced", intent.id)
