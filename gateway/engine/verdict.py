"""What the client is told when no target gave an answer: what the last failure means."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from gateway.engine.attempt import Attempt
from gateway.engine.errors import (
    AllTargetsFailed,
    BreakerOpen,
    DeadlineExceeded,
    GatewayError,
    InvalidRequest,
    Overloaded,
    UpstreamAnswer,
    UpstreamError,
    UpstreamRejectedUs,
)
from gateway.engine.retry import PASSED_ON
from gateway.engine.words import THREAD_NOT_FOUND, AttemptOutcome, FailureKind

# Statuses of a provider that say something about the client's request; they keep status, message and code.
_KEPT_STATUSES = frozenset({400, 404, 413, 422, 429})


def verdict(attempts: Sequence[Attempt]) -> GatewayError:
    """The error for a completion whose targets are exhausted."""
    if any(attempt.error is not None and attempt.error.code == THREAD_NOT_FOUND for attempt in attempts):
        return _thread_elsewhere()
    called = [attempt for attempt in attempts if attempt.outcome is not AttemptOutcome.SKIPPED]
    if not called:
        return _nothing_called(attempts)
    last = called[-1].error
    if last is None:
        return AllTargetsFailed("No target gave an answer.", details=_details(attempts))
    return _meaning(last, attempts)


def _thread_elsewhere() -> GatewayError:
    """A target that could have answered has not the turns before: with the whole conversation it can, so say that."""
    error = InvalidRequest(
        "This conversation can't go on here: the provider that keeps it can't be reached through this route. Send the "
        "whole conversation, without 'thread' or with thread.type 'create'.",
        param="thread",
    )
    error.code = THREAD_NOT_FOUND
    return error


def _meaning(last: UpstreamError, attempts: Sequence[Attempt]) -> GatewayError:
    if last.kind is FailureKind.REJECTED_US or (last.kind is FailureKind.QUOTA_EXHAUSTED and last.status != 429):
        return UpstreamRejectedUs(
            f"{last.provider} refuses the gateway's own key, account or permission (HTTP {last.status}); "
            "operations have been told.",
            details=_details(attempts),
        )
    if last.status in _KEPT_STATUSES or (last.status is not None and last.kind in PASSED_ON):
        return UpstreamAnswer(last)
    if last.kind is FailureKind.TIMEOUT:
        return DeadlineExceeded(f"No answer in time. Tried {_tried(attempts)}.", details=_details(attempts))
    return AllTargetsFailed(f"Every target failed. Tried {_tried(attempts)}.", details=_details(attempts))


def _nothing_called(attempts: Sequence[Attempt]) -> GatewayError:
    """Every target was left out: by its breaker, by a full queue, or because its wire can't say what was asked."""
    errors = [attempt.error for attempt in attempts if attempt.error is not None]
    waits = [error.retry_after_seconds for error in errors if error.retry_after_seconds is not None]
    wait_seconds = min(waits) if waits else None
    if any(error.kind is FailureKind.BREAKER_OPEN for error in errors):
        sentence = "The breaker of every provider on this route is open."
        return BreakerOpen(sentence, retry_after_seconds=wait_seconds, details=_details(attempts))
    if any(error.kind is FailureKind.OVERLOADED for error in errors):
        sentence = "Every provider on this route has its queue full."
        return Overloaded(sentence, retry_after_seconds=wait_seconds or 1, details=_details(attempts))
    if errors:
        return InvalidRequest(errors[-1].message, param=errors[-1].param)
    return AllTargetsFailed("This route has no target that is switched on.")


def _tried(attempts: Sequence[Attempt]) -> str:
    return "; ".join(attempt.in_words() for attempt in attempts)


def _details(attempts: Sequence[Attempt]) -> dict[str, Any]:
    return {"attempts": [attempt.in_words() for attempt in attempts]}
