"""Who is asked once more when a route with a fallback has run out of targets. Pure decisions.

A target is left with tries unused when it was silent or broke a stream midway: the next one answers sooner. When that
one fails as well there is nobody better, and an error is worse than another try within the deadline
(docs/decisions/0013-second-round.md).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from gateway.engine.attempt import Attempt
from gateway.engine.configuration import Provider, Target
from gateway.engine.words import FailureKind

ROUNDS = 2
# Failures that pass. A rate limit is left out: it named its wait, or used up its retries.
_PASSING = frozenset(
    {
        FailureKind.TIMEOUT,
        FailureKind.STREAM_BROKEN,
        FailureKind.CONNECTION,
        FailureKind.SERVER_ERROR,
        FailureKind.UNREADABLE,
    }
)


def second_round(
    targets: Sequence[tuple[int, Target]], attempts: Sequence[Attempt], may_retry: Callable[[Provider], bool]
) -> list[tuple[int, Target]]:
    """The targets to ask again, in the route's order; none where a route has no fallback, or nobody may do better.

    `may_retry` spends one retry of a provider's budget. A target whose breaker was open comes along: it may have closed
    meanwhile, and asking its breaker costs nothing.
    """
    if len({attempt.target_index for attempt in attempts}) < 2:
        return []
    again = {i for i, target in targets if _may_do_better(i, target, attempts) and may_retry(target.provider)}
    if not again:
        return []
    return [(i, target) for i, target in targets if i in again or _was_refused_by_breaker(i, attempts)]


def tries(attempts: Sequence[Attempt], index: int) -> int:
    """How often the target was really asked."""
    return sum(attempt.target_index == index and attempt.sent for attempt in attempts)


def _may_do_better(index: int, target: Target, attempts: Sequence[Attempt]) -> bool:
    error = _last(index, attempts)
    tried = tries(attempts, index)
    return error in _PASSING and 0 < tried <= target.retry.retries


def _was_refused_by_breaker(index: int, attempts: Sequence[Attempt]) -> bool:
    return _last(index, attempts) is FailureKind.BREAKER_OPEN


def _last(index: int, attempts: Sequence[Attempt]) -> FailureKind | None:
    errors = [attempt.error for attempt in attempts if attempt.target_index == index]
    return errors[-1].kind if errors and errors[-1] is not None else None
