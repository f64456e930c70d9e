"""Errors in each surface's own shape, so that its official SDK raises its own class.

Sources: OpenAI, "Error codes"; Anthropic, "Errors: HTTP errors, error shapes" and "Streaming: error events"; both SDKs'
exception modules. Our stable code stands in `error.code` (OpenAI) and `error.details.error_code` (Anthropic).
"""

from __future__ import annotations

import math
from typing import Any

import orjson

from gateway.engine.errors import GatewayError, UpstreamAnswer
from gateway.engine.words import Wire

# Sentences quote what was sent, which may be as long as a body.
MAX_MESSAGE_CHARACTERS = 4000

_OPENAI_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "insufficient_quota",
    403: "permission_error",
    404: "not_found_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "service_unavailable",
    504: "timeout_error",
}
_ANTHROPIC_TYPES = {
    400: "invalid_request_error",
    401: "authentication_error",
    402: "billing_error",
    403: "permission_error",
    404: "not_found_error",
    409: "conflict_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
    529: "overloaded_error",
}


def render_error(surface: Wire, error: GatewayError, request_id: str) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body. A provider's own refusal in the surface's wire keeps its body byte for byte."""
    headers = {"content-type": "application/json"}
    if error.retry_after_seconds is not None and error.retry_after_seconds >= 0:
        headers["retry-after"] = str(math.ceil(error.retry_after_seconds))
    if isinstance(error, UpstreamAnswer) and error.wire is surface and _is_error_body(error.body):
        return error.status, headers, error.body
    return error.status, headers, _dumps(error_object(surface, error, request_id))


def render_stream_error(surface: Wire, error: GatewayError, request_id: str) -> bytes:
    """The error as a last event of a stream that has begun; both SDKs raise on it."""
    body = _dumps(error_object(surface, error, request_id))
    return (b"event: error\n" if surface is Wire.ANTHROPIC else b"") + b"data: " + body + b"\n\n"


def _dumps(fields: dict[str, Any]) -> bytes:
    """Details may hold anything; what JSON has no word for is told as text."""
    return orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS)


def error_object(surface: Wire, error: GatewayError, request_id: str) -> dict[str, Any]:
    return _openai(error) if surface is Wire.OPENAI else _anthropic(error, request_id)


def _openai(error: GatewayError) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "message": error.message[:MAX_MESSAGE_CHARACTERS],
        "type": _type_of(error, Wire.OPENAI) or _by_status(_OPENAI_TYPES, error.status, "server_error"),
        "param": error.param,
        "code": error.code,
    }
    if error.details:
        fields["details"] = error.details
    return {"error": fields}


def _anthropic(error: GatewayError, request_id: str) -> dict[str, Any]:
    kind = _type_of(error, Wire.ANTHROPIC) or _by_status(_ANTHROPIC_TYPES, error.status, "api_error")
    details: dict[str, Any] = {"error_code": error.code, **error.details}
    if error.param is not None:
        details.setdefault("param", error.param)
    fields = {"type": kind, "message": error.message[:MAX_MESSAGE_CHARACTERS], "details": details}
    return {"type": "error", "error": fields, "request_id": request_id}


def _type_of(error: GatewayError, surface: Wire) -> str | None:
    """The provider's own type, where it belongs to this surface's vocabulary."""
    if isinstance(error, UpstreamAnswer) and error.wire is surface:
        return error.type
    return None


def _by_status(types: dict[int, str], status: int, server: str) -> str:
    return types.get(status) or (types[400] if status < 500 else server)


def _is_error_body(body: bytes) -> bool:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return False
    return isinstance(parsed, dict) and "error" in parsed
