"""What the vendors' errors mean, by name, sentence and status: one table for replies and for errors inside a stream.

Sources: OpenAI, "Error codes", "API reference: the response object, error"; Anthropic, "Errors".
"""

from __future__ import annotations

from dataclasses import dataclass

from gateway.engine.words import FailureKind


@dataclass(frozen=True, slots=True)
class Meaning:
    """One row of an error table."""

    kind: FailureKind
    retryable: bool = False
    counts_against_breaker: bool = False


OTHER_4XX = Meaning(FailureKind.INVALID_REQUEST)
ANY_5XX = Meaning(FailureKind.SERVER_ERROR, retryable=True, counts_against_breaker=True)
NOT_AN_ANSWER = Meaning(FailureKind.UNREADABLE, retryable=True, counts_against_breaker=True)

# Statuses that mean the same at both vendors; each vendor's table adds what is its own.
COMMON_STATUSES: dict[int, Meaning] = {
    400: Meaning(FailureKind.INVALID_REQUEST),
    401: Meaning(FailureKind.REJECTED_US, counts_against_breaker=True),
    402: Meaning(FailureKind.QUOTA_EXHAUSTED),
    403: Meaning(FailureKind.REJECTED_US, counts_against_breaker=True),
    404: Meaning(FailureKind.MODEL_NOT_FOUND),
    408: Meaning(FailureKind.SERVER_ERROR, retryable=True),
    409: Meaning(FailureKind.SERVER_ERROR, retryable=True),
    413: Meaning(FailureKind.INVALID_REQUEST),
    422: Meaning(FailureKind.INVALID_REQUEST),
    429: Meaning(FailureKind.RATE_LIMITED, retryable=True, counts_against_breaker=True),
}

# OpenAI's codes that say more than the status does.
OPENAI_CODES: dict[str, Meaning] = {
    "context_length_exceeded": Meaning(FailureKind.CONTEXT_TOO_LONG),
    "content_policy_violation": Meaning(FailureKind.CONTENT_POLICY),
    "content_filter": Meaning(FailureKind.CONTENT_POLICY),
    "image_content_policy_violation": Meaning(FailureKind.CONTENT_POLICY),
    "bio_policy": Meaning(FailureKind.CONTENT_POLICY),
    "misalignment_policy_violation": Meaning(FailureKind.CONTENT_POLICY),
    "insufficient_quota": Meaning(FailureKind.QUOTA_EXHAUSTED, counts_against_breaker=True),
    "billing_hard_limit_reached": Meaning(FailureKind.QUOTA_EXHAUSTED, counts_against_breaker=True),
    "billing_not_active": Meaning(FailureKind.QUOTA_EXHAUSTED, counts_against_breaker=True),
    "model_not_found": Meaning(FailureKind.MODEL_NOT_FOUND),
}
# Anthropic's types that mean the same whatever the status.
ANTHROPIC_TYPES: dict[str, Meaning] = {
    "billing_error": Meaning(FailureKind.QUOTA_EXHAUSTED),
    "overloaded_error": Meaning(FailureKind.SERVER_ERROR, retryable=True, counts_against_breaker=True),
}
# A 400 of Anthropic's has one type for everything; these sentences are the only way to tell. Compared in lower case.
ANTHROPIC_SENTENCES: tuple[tuple[str, Meaning], ...] = (
    ("prompt is too long", Meaning(FailureKind.CONTEXT_TOO_LONG)),
    ("exceed context limit", Meaning(FailureKind.CONTEXT_TOO_LONG)),
    ("credit balance is too low", Meaning(FailureKind.QUOTA_EXHAUSTED)),
    ("content filtering policy", Meaning(FailureKind.CONTENT_POLICY)),
)

# OpenAI's 400s without a code that speak of the target, not of the request; compared like Anthropic's.
OPENAI_SENTENCES: tuple[tuple[str, Meaning], ...] = (
    ("function tools with reasoning_effort are not supported", Meaning(FailureKind.UNTRANSLATABLE)),
)

# The status that an error inside a stream would have had: there only its name is told.
STATUS_OF_NAME: dict[str, int] = {
    **dict.fromkeys(OPENAI_CODES, 400),
    "insufficient_quota": 429,
    "billing_hard_limit_reached": 429,
    "billing_not_active": 429,
    "model_not_found": 404,
    "billing_error": 402,
    "overloaded_error": 529,
    "api_error": 500,
    "server_error": 500,
    "internal_server_error": 500,
    "service_unavailable": 503,
    "timeout_error": 504,
    "rate_limit_error": 429,
    "rate_limit_exceeded": 429,
    "requests": 429,
    "tokens": 429,
    "authentication_error": 401,
    "invalid_api_key": 401,
    "permission_error": 403,
    "not_found_error": 404,
    "request_too_large": 413,
    "invalid_request_error": 400,
    # what a failed response of the Responses API may say beyond that
    "invalid_prompt": 400,
    "invalid_image": 400,
    "invalid_image_format": 400,
    "invalid_base64_image": 400,
    "invalid_image_url": 400,
    "invalid_image_mode": 400,
    "image_too_large": 400,
    "image_too_small": 400,
    "image_file_too_large": 400,
    "image_parse_error": 400,
    "image_file_not_found": 400,
    "empty_image_file": 400,
    "unsupported_image_media_type": 400,
    "failed_to_download_image": 400,
}


def by_class(status: int) -> Meaning:
    """A status that no table names: closed by default."""
    if 400 <= status < 500:
        return OTHER_4XX
    return ANY_5XX if status >= 500 else NOT_AN_ANSWER


def by_sentence(
    status: int, message: str, sentences: tuple[tuple[str, Meaning], ...] = ANTHROPIC_SENTENCES
) -> Meaning | None:
    """What a 400 or 429 says of itself in words, if it is one of those that say no more by name."""
    said = message.lower() if status in (400, 429) else ""
    return next((meaning for sentence, meaning in sentences if sentence in said), None)


def by_name(name: str, message: str) -> tuple[Meaning, int] | None:
    """An error that is told by its name alone, and the status it stands for; None for a name nobody has documented."""
    status = STATUS_OF_NAME.get(name)
    if status is None:
        return None
    named = OPENAI_CODES.get(name) or ANTHROPIC_TYPES.get(name)
    return named or by_sentence(status, message) or COMMON_STATUSES.get(status) or by_class(status), status
