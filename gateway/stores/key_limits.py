"""How much a key has used of its limits, and whether one more request fits. Pure; times are seconds since 1970.

A limit per minute is a sliding window of sixty whole seconds of the clock, counted second by second: no sixty
consecutive ones ever hold more than the limit, nothing is guessed, and what a wait must last is known (at most 60 s,
the longest `Retry-After` that the official SDKs obey). docs/decisions/0014-limits-of-keys.md.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import Protocol

WINDOW_SECONDS = 60
# A place of a process that died is free after this long; living ones renew theirs several times in between.
LEASE_SECONDS = 30.0
# Nobody knows when a request under way ends.
PLACE_RETRY_SECONDS = 1.0

REQUESTS, TOKENS, PARALLEL = "requests_per_minute", "tokens_per_minute", "max_parallel"


@dataclass(frozen=True, slots=True)
class Limits:
    """A key's limits; None: no limit."""

    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_parallel: int | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """One request that wants to begin; `tokens` is what it is guessed to use."""

    key_id: int
    request_id: str
    limits: Limits
    tokens: int


@dataclass(frozen=True, slots=True)
class Standing:
    """One limit per minute after the answer; `reset_seconds` from now nothing of it is used any more."""

    limit: int
    used: int
    reset_seconds: float

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)


@dataclass(frozen=True, slots=True)
class Verdict:
    """`second` is when it was counted, by the clock that counts. `refused_by` names the limit that has no room (None:
    the request may begin), `retry_after_seconds` when it has."""

    second: int
    requests: Standing | None = None
    tokens: Standing | None = None
    refused_by: str | None = None
    retry_after_seconds: float = 0.0


class LimitStore(Protocol):
    """Counts requests against their keys' limits. Never raises."""

    async def take(self, asked: Asked) -> Verdict:
        """One atomic step: the request is counted everywhere or, where any limit has no room, nowhere."""
        ...

    def finish(self, asked: Asked, verdict: Verdict, tokens: int | None) -> None:
        """The request has ended, having used `tokens` (None: not known). Returns at once."""
        ...

    async def start(self) -> None: ...

    async def aclose(self) -> None: ...


@dataclass(slots=True)
class Window:
    """What was used in which second."""

    spent: dict[int, int] = field(default_factory=dict)

    def forget(self, second: int) -> None:
        for old in [each for each in self.spent if each <= second - WINDOW_SECONDS]:
            del self.spent[old]

    @property
    def used(self) -> int:
        return sum(self.spent.values())

    def add(self, second: int, amount: int) -> None:
        self.spent[second] = self.spent.get(second, 0) + amount

    def take_back(self, second: int, amount: int) -> None:
        """At most what that second holds; nothing once it has left the window."""
        if second in self.spent:
            self.spent[second] = max(0, self.spent[second] - amount)

    def frees_in(self, now: float, amount: int) -> float:
        """Seconds until `amount` of it has left the window."""
        freed = 0
        for second in sorted(self.spent):
            freed += self.spent[second]
            if freed >= amount:
                return second + WINDOW_SECONDS - now
        return float(WINDOW_SECONDS)

    def standing(self, limit: int | None, now: float) -> Standing | None:
        if limit is None:
            return None
        newest = max((second for second, amount in self.spent.items() if amount), default=None)
        return Standing(limit, self.used, 0.0 if newest is None else newest + WINDOW_SECONDS - now)


@dataclass(slots=True)
class KeyUse:
    """One key's use. `held` has the requests under way and until when each holds its place."""

    requests: Window = field(default_factory=Window)
    tokens: Window = field(default_factory=Window)
    held: dict[str, float] = field(default_factory=dict)

    def take(self, asked: Asked, now: float) -> Verdict:
        self._forget(now)
        refused_by, retry_after_seconds = self._refusal(asked, now)
        if refused_by is None:
            self.count(asked, now)
        limits = asked.limits
        return Verdict(
            second=math.floor(now),
            requests=self.requests.standing(limits.requests_per_minute, now),
            tokens=self.tokens.standing(limits.tokens_per_minute, now),
            refused_by=refused_by,
            retry_after_seconds=retry_after_seconds,
        )

    def count(self, asked: Asked, now: float) -> None:
        """Without asking whether there is room."""
        second, limits = math.floor(now), asked.limits
        if limits.requests_per_minute is not None:
            self.requests.add(second, 1)
        if limits.tokens_per_minute is not None:
            self.tokens.add(second, asked.tokens)
        if limits.max_parallel is not None:
            self.held[asked.request_id] = now + LEASE_SECONDS

    def finish(self, asked: Asked, second: int, tokens: int | None, now: float) -> None:
        """What was guessed too much is given back where it was counted; what was guessed too little counts now."""
        self.held.pop(asked.request_id, None)
        if tokens is None or asked.limits.tokens_per_minute is None:
            return
        if tokens < asked.tokens:
            self.tokens.take_back(second, asked.tokens - tokens)
        elif tokens > asked.tokens:
            self.tokens.add(math.floor(now), tokens - asked.tokens)

    def renew(self, now: float) -> None:
        """Whoever holds a place still lives."""
        for request_id in self.held:
            self.held[request_id] = now + LEASE_SECONDS

    def _refusal(self, asked: Asked, now: float) -> tuple[str | None, float]:
        limits = asked.limits
        if limits.max_parallel is not None and len(self.held) >= limits.max_parallel:
            return PARALLEL, PLACE_RETRY_SECONDS
        if limits.requests_per_minute is not None:
            over = self.requests.used + 1 - limits.requests_per_minute
            if over > 0:
                return REQUESTS, self.requests.frees_in(now, over)
        if limits.tokens_per_minute is not None:
            over = self.tokens.used + asked.tokens - limits.tokens_per_minute
            if over > 0:
                return TOKENS, self.tokens.frees_in(now, over)
        return None, 0.0

    def _forget(self, now: float) -> None:
        self.requests.forget(math.floor(now))
        self.tokens.forget(math.floor(now))
        for request_id in [each for each, until in self.held.items() if until <= now]:
            del self.held[request_id]
