"""Reading a vendor's error reply: what all error tables share."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import Any

import orjson

from gateway.engine.errors import UpstreamError
from gateway.wires.meanings import Meaning

# A provider may ask for a long rest, but not for one that no number describes.
LONGEST_RETRY_AFTER_SECONDS = 24 * 3600.0


@dataclass(frozen=True, slots=True)
class ErrorReply:
    """The structured fields of an error body; empty where the body has none."""

    message: str = ""
    code: str = ""
    type: str = ""
    param: str = ""


def read_error(body: bytes) -> ErrorReply:
    """`{"error": {"message", "type", "code", "param"}}`, which both wires use. Never raises."""
    try:
        document = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ErrorReply()
    error = document.get("error") if isinstance(document, dict) else None
    if isinstance(error, str):
        return ErrorReply(message=error)
    if not isinstance(error, dict):
        return ErrorReply()
    return ErrorReply(*(_text(error.get(name)) for name in ("message", "code", "type", "param")))


def _text(value: Any) -> str:
    return value[:2000] if isinstance(value, str) else ""


def retry_after_seconds(headers: Mapping[str, str]) -> float | None:
    """`retry-after-ms`, or `retry-after` in seconds or as an HTTP date (RFC 9110). None if absent or unusable."""
    text_ms, text = headers.get("retry-after-ms"), headers.get("retry-after")
    seconds = _number(text_ms, 0.001)
    if seconds is None:
        seconds = _number(text, 1.0)
    if seconds is None and text:
        seconds = _until(text)
    return None if seconds is None else min(max(seconds, 0.0), LONGEST_RETRY_AFTER_SECONDS)


def _number(text: str | None, unit_seconds: float) -> float | None:
    try:
        value = float(text) if text else None
    except ValueError:
        return None
    return None if value is None or value != value else value * unit_seconds


def _until(http_date: str) -> float | None:
    try:
        return parsedate_to_datetime(http_date).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return None


def upstream_error(
    meaning: Meaning, status: int, headers: Mapping[str, str], body: bytes, reply: ErrorReply
) -> UpstreamError:
    return UpstreamError(
        meaning.kind,
        reply.message or f"HTTP {status} without an explanation",
        status=status,
        code=reply.code or None,
        type=reply.type or None,
        param=reply.param or None,
        retryable=meaning.retryable,
        counts_against_breaker=meaning.counts_against_breaker,
        retry_after_seconds=retry_after_seconds(headers),
        body=body,
    )
