"""One client call as the services see it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass

from gateway.engine.trace import Trace
from gateway.engine.words import Operation
from gateway.services.random_tokens import random_token
from gateway.services.snapshot import ApiKey
from gateway.tracing import trace_begin

FORWARDED_HEADERS = ("anthropic-version", "anthropic-beta", "openai-beta", "traceparent")


@dataclass(frozen=True, slots=True)
class Call:
    """One client call as it arrived. Header names are in lower case."""

    operation: Operation
    body: bytes
    headers: Mapping[str, str]
    key: ApiKey
    request_id: str


def new_request_id() -> str:
    """Sortable by time to the millisecond, unguessable beyond it: `req_` and 28 characters."""
    return f"req_{int(time.time() * 1000):012x}{random_token()[:16]}"


def call_trace(call: Call) -> Trace | None:
    """The call's place in a distributed trace; None while nobody traces."""
    return trace_begin(call.headers, new_span_id=_span_id, new_trace_id=_trace_id)


def _span_id() -> str:
    return random_token()[:16]


def _trace_id() -> str:
    return (random_token() + random_token())[:32]


def forwarded_headers(call: Call) -> dict[str, str]:
    """What goes on to the provider, of the few headers that may; values that no header can carry are left out."""
    present = ((name, call.headers[name]) for name in FORWARDED_HEADERS if name in call.headers)
    return {name: value for name, value in present if value.isascii() and value.isprintable()}
