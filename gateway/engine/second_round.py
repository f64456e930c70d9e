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
# A silent target is asked again only if as long a silence would end before this: until then an error can still be told
# as a status (`services/completion.py`, HEADERS_AFTER_SECONDS), and nobody waits four long time-outs for a 504.
SILENCE_MAX_MS = 20_000
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
    targets: Sequence[tuple[int, Target]],
    attempts: Sequence[Attempt],
    may_retry: Callable[[Provider], bool],
    *,
    elapsed_ms: int,
) -> list[tuple[int, Target]]:
    """The targets to ask again, in the route's order; none where a route has no fallback, or nobody may do better.

    `may_retry` spends one retry of a provider's budget. A target whose breaker was open comes along: it may have closed
    meanwhile, and asking its breaker costs nothing. `elapsed_ms` is how long the client has waited.
    """
    if len({attempt.target_index for attempt in attempts}) < 2:
        return []
    silence_ms = SILENCE_MAX_MS - elapsed_ms
    again = {
        i for i, target in targets if _may_do_better(i, target, attempts, silence_ms) and may_retry(target.provider)
    }
    if not again:
        return []
    return [(i, target) for i, target in targets if i in again or _was_refused_by_breaker(i, attempts)]


def tries(attempts: Sequence[Attempt], index: int) -> int:
    """How often the target was really asked."""
    return sum(attempt.target_index == index and attempt.sent for attempt in attempts)


def _may_do_better(index: int, target: Target, attempts: Sequence[Attempt], silence_ms: int) -> bool:
    tried = [attempt for attempt in attempts if attempt.target_index == index and attempt.sent]
    error = _last(index, attempts)
    if error not in _PASSING or not 0 < len(tried) <= target.retry.retries:
        return False
    return error is not FailureKind.TIMEOUT or tried[-1].latency_ms <= silence_ms


def _was_refused_by_breaker(index: int, attempts: Sequence[Attempt]) -> bool:
    return _last(index, attempts) is FailureKind.BREAKER_OPEN


def _last(index: int, attempts: Sequence[Attempt]) -> FailureKind | None:
    errors = [attempt.error for attempt in attempts if attempt.target_index == index]
    return errors[-1].kind if errors and errors[-1] is not None else None
