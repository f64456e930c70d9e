"""Everything that can go wrong with a completion, as one tree.

GatewayError                      what the client is told: a status, a stable code, a sentence
├── InvalidRequest        400     names the field
├── NotAuthenticated      401
├── NotAllowed            403
├── ModelNotFound         404     names the routes the key may use
├── RequestTooLarge       413
├── IdempotencyMismatch   422     the same Idempotency-Key with another body
├── IdempotencyNotKept    422     answered before, but the answer was too large to keep
├── RateLimited           429     with retry_after_seconds
├── Overloaded            429     the queue is full
├── BudgetExceeded        429     never retried by SDKs
├── UpstreamAnswer        4xx     the provider's own refusal, passed on with its body
├── UpstreamRejectedUs    502     the provider refuses our key, account or permission
├── AllTargetsFailed      503     lists the attempts
├── BreakerOpen           503     with retry_after_seconds: the next probe
├── LedgerUnavailable     503
├── ShuttingDown          503     the drain is over
└── DeadlineExceeded      504

UpstreamError                     one attempt's failure; stays inside the engine
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, Wire


class GatewayError(Exception):
    """A failure the client is told about. `message` is for people, `code` and `status` are the contract."""

    status = 500
    code = "internal_error"

    def __init__(
        self,
        message: str,
        *,
        param: str | None = None,
        retry_after_seconds: float | None = None,
        details: Mapping[str, Any] | None = None,
    ) -> None:
        super().__init__(message)
        self.message = message
        self.param = param
        self.retry_after_seconds = retry_after_seconds
        self.details = dict(details or {})
        self.headers: dict[str, str] = {}  # what else the client is told, in response headers


class InvalidRequest(GatewayError):
    status, code = 400, "invalid_request"


class NotAuthenticated(GatewayError):
    status, code = 401, "invalid_api_key"


class NotAllowed(GatewayError):
    status, code = 403, "not_allowed"


class ModelNotFound(GatewayError):
    status, code = 404, "model_not_found"


class RequestTooLarge(GatewayError):
    status, code = 413, "request_too_large"


class IdempotencyMismatch(GatewayError):
    status, code = 422, "idempotency_mismatch"


class IdempotencyNotKept(GatewayError):
    status, code = 422, "idempotency_not_kept"


class RateLimited(GatewayError):
    status, code = 429, "rate_limited"


class Overloaded(GatewayError):
    status, code = 429, "overloaded"


class BudgetExceeded(GatewayError):
    """`provider_id` is set where it is one provider's budget that is full: other targets may still serve."""

    status, code = 429, "budget_exceeded"
    provider_id: int | None = None

    def __init__(self, message: str, *, details: Mapping[str, Any] | None = None) -> None:
        super().__init__(message, details=details)
        self.headers["x-should-retry"] = "false"  # trying again can't make room


class UpstreamRejectedUs(GatewayError):
    status, code = 502, "upstream_rejected"


class AllTargetsFailed(GatewayError):
    status, code = 503, "all_targets_failed"


class BreakerOpen(GatewayError):
    status, code = 503, "breaker_open"


class LedgerUnavailable(GatewayError):
    status, code = 503, "ledger_unavailable"


class ShuttingDown(GatewayError):
    status, code = 503, "shutting_down"

    def __init__(self) -> None:
        super().__init__(
            "The gateway is being stopped and could not wait for this answer any longer. Send the request again.",
            retry_after_seconds=1,
        )


class DeadlineExceeded(GatewayError):
    status, code = 504, "deadline_exceeded"


class UpstreamAnswer(GatewayError):
    """The provider's own 4xx, kept: status, message, its code and type, `Retry-After`.

    `body` is the provider's error object in its own wire; a surface of the same wire gets it unchanged.
    """

    def __init__(self, error: UpstreamError) -> None:
        super().__init__(error.message, param=error.param, retry_after_seconds=error.retry_after_seconds)
        self.status = error.status or 502
        self.code = error.code or error.kind.value
        self.type = error.type
        self.wire = error.wire
        self.body = error.body


@dataclass(eq=False)
class UpstreamError(Exception):
    """One attempt's failure, read from the provider's reply by its error table.

    `status` is None where no reply came. `may_be_billed` says that the provider may charge for the attempt although it
    failed (time-out, cut stream, reset after sending), `refuses_prefill` that the model continues no assistant
    message. `rate_limits` are the provider's headers about them. `body` is the provider's own error reply, at most
    64 KiB of it; `usage` what it reported all the same.
    """

    kind: FailureKind
    message: str
    provider: str = ""
    wire: Wire | None = None
    status: int | None = None
    code: str | None = None
    type: str | None = None
    param: str | None = None
    retryable: bool = False
    counts_against_breaker: bool = False
    may_be_billed: bool = False
    retry_after_seconds: float | None = None
    refuses_prefill: bool = False
    body: bytes = field(default=b"", repr=False)
    rate_limits: Mapping[str, str] = field(default_factory=dict, repr=False)
    usage: Usage | None = None

    def __str__(self) -> str:
        return f"{self.kind.words}: {self.message}"
