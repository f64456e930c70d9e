"""A key's limits on the request path: let in or refused, told in headers, given back at the end.

Requests of keys without limits never come here. What counts, and why the estimate is what it is:
docs/decisions/0014-limits-of-keys.md.
"""

from __future__ import annotations

import math
from datetime import UTC, datetime

from gateway.engine.errors import RateLimited
from gateway.engine.words import Operation, Wire
from gateway.services.call import Call
from gateway.stores.key_limits import PARALLEL, REQUESTS, TOKENS, Asked, Limits, LimitStore, Standing, Verdict

# English and JSON have about four bytes to a token. What an answer will use is not guessed: it counts once it is known.
BYTES_PER_TOKEN = 4
_UNITS = {REQUESTS: "requests", TOKENS: "tokens"}


class Admission:
    """One request that was let in; `finish` gives back what it holds, and does so once.

    `owned`: whoever settles the completion finishes it, no earlier.
    """

    def __init__(self, store: LimitStore | None, asked: Asked | None, verdict: Verdict | None, headers: dict[str, str]):
        self._store, self._asked, self._verdict = store, asked, verdict
        self.headers = headers
        self.owned = False

    def finish(self, tokens: int | None = None) -> None:
        """The request has used `tokens`; None where nobody knows."""
        store, self._store = self._store, None
        if store is not None and self._asked is not None and self._verdict is not None:
            store.finish(self._asked, self._verdict, tokens)


async def limits_admit(store: LimitStore, call: Call) -> Admission:
    """Count the request. Raises RateLimited, and then nothing was counted."""
    limits = call.key.limits
    if limits is None:
        return Admission(None, None, None, {})
    counts_tokens = call.operation is not Operation.COUNT_TOKENS and limits.tokens_per_minute is not None
    if not counts_tokens and limits.tokens_per_minute is not None:
        limits = Limits(limits.requests_per_minute, None, limits.max_parallel)
    asked = Asked(call.key.id, call.request_id, limits, _tokens_guessed(call, limits))
    verdict = await store.take(asked)
    headers = _headers(call.operation.surface, verdict)
    if verdict.refused_by is not None:
        raise _refusal(call, limits, verdict, headers)
    return Admission(store, asked, verdict, headers)


def _tokens_guessed(call: Call, limits: Limits) -> int:
    """At most the limit itself: a request that is larger than a minute's allowance may have a whole minute."""
    if limits.tokens_per_minute is None:
        return 0
    return min(math.ceil(len(call.body) / BYTES_PER_TOKEN), limits.tokens_per_minute)


def _refusal(call: Call, limits: Limits, verdict: Verdict, headers: dict[str, str]) -> RateLimited:
    wait_seconds = max(1, math.ceil(verdict.retry_after_seconds))
    name = verdict.refused_by or ""
    limit = getattr(limits, name)
    if name == PARALLEL:
        what = (
            f"at most {limit:,} requests at a time are allowed, and as many are under way; a place frees when one ends"
        )
    else:
        what = f"at most {limit:,} {_UNITS[name]} per minute are allowed; there is room in {wait_seconds} s"
    error = RateLimited(
        f"The API key {call.key.name!r} has reached its limit {name}: {what}.",
        retry_after_seconds=wait_seconds,
        details={"limit": name, "allowed": limit, "retry_after_seconds": wait_seconds},
    )
    # Waiting helps, unlike with a full budget: the SDKs do so for `Retry-After`.
    error.headers = {**headers, "x-should-retry": "true"}
    return error


def _headers(surface: Wire, verdict: Verdict) -> dict[str, str]:
    told = _anthropic_headers if surface is Wire.ANTHROPIC else _openai_headers
    headers: dict[str, str] = {}
    for unit, standing in (("requests", verdict.requests), ("tokens", verdict.tokens)):
        if standing is not None:
            headers.update(told(unit, standing))
    return headers


def _openai_headers(unit: str, standing: Standing) -> dict[str, str]:
    """OpenAI, "Rate limits: rate limits in headers"."""
    return {
        f"x-ratelimit-limit-{unit}": str(standing.limit),
        f"x-ratelimit-remaining-{unit}": str(standing.remaining),
        f"x-ratelimit-reset-{unit}": f"{standing.reset_seconds:.3g}s",
    }


def _anthropic_headers(unit: str, standing: Standing) -> dict[str, str]:
    """Anthropic, "Rate limits: response headers"; times are RFC 3339."""
    resets_at = datetime.fromtimestamp(math.ceil(datetime.now(UTC).timestamp() + standing.reset_seconds), UTC)
    return {
        f"anthropic-ratelimit-{unit}-limit": str(standing.limit),
        f"anthropic-ratelimit-{unit}-remaining": str(standing.remaining),
        f"anthropic-ratelimit-{unit}-reset": f"{resets_at:%Y-%m-%dT%H:%M:%SZ}",
    }
