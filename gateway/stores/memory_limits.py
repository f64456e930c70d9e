"""Limits of keys in this process alone."""

from __future__ import annotations

from gateway.engine.clock import Clock
from gateway.stores.key_limits import Asked, KeyUse, Verdict


class MemoryLimits:
    """A `LimitStore`. A place is held until its request ends: a process that died takes its counters with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._uses: dict[int, KeyUse] = {}

    async def start(self) -> None:
        """Nothing to connect to."""

    async def aclose(self) -> None:
        """Nothing to close."""

    async def take(self, asked: Asked) -> Verdict:
        return self.take_now(asked)

    def take_now(self, asked: Asked) -> Verdict:
        use, now = self._use(asked), self._clock.now()
        use.renew(now)
        return use.take(asked, now)

    def count(self, asked: Asked) -> None:
        """What somebody else has let in."""
        self._use(asked).count(asked, self._clock.now())

    def finish(self, asked: Asked, verdict: Verdict, tokens: int | None) -> None:
        self._use(asked).finish(asked, verdict.second, tokens, self._clock.now())

    def renew(self) -> None:
        """Whoever is under way here lives."""
        for use in self._uses.values():
            use.renew(self._clock.now())

    def held(self) -> dict[int, list[str]]:
        """The requests that hold a place, by key."""
        return {key_id: list(use.held) for key_id, use in self._uses.items() if use.held}

    def _use(self, asked: Asked) -> KeyUse:
        return self._uses.setdefault(asked.key_id, KeyUse())
