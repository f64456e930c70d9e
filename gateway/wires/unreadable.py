"""Answers that break their API's promise: a failure of the provider, worth another try."""

from __future__ import annotations

from typing import Any

import orjson

from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind


def unreadable(message: str) -> UpstreamError:
    return UpstreamError(
        FailureKind.UNREADABLE, message, retryable=True, counts_against_breaker=True, may_be_billed=True
    )


def answer_object(body: bytes) -> dict[str, Any]:
    """A whole answer as the JSON object it must be. Raises UpstreamError(UNREADABLE)."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        raise unreadable("The provider's answer is not JSON." if body else "The provider's answer is empty.") from None
    if not isinstance(parsed, dict):
        raise unreadable("The provider's answer is not a JSON object.")
    return parsed
