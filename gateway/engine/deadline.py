"""The route's deadline: how long a client may wait until its answer begins, all attempts together."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from gateway.engine.clock import Clock
from gateway.engine.errors import DeadlineExceeded


class Deadline:
    def __init__(self, clock: Clock, limit_seconds: float) -> None:
        self._clock = clock
        self._limit_seconds = limit_seconds
        self._began = clock.monotonic()

    @property
    def limit_seconds(self) -> float:
        return self._limit_seconds

    @property
    def elapsed_ms(self) -> int:
        return int((self._clock.monotonic() - self._began) * 1000)

    @property
    def seconds_left(self) -> float:
        return self._began + self._limit_seconds - self._clock.monotonic()

    def check(self) -> None:
        """Raises DeadlineExceeded when the time is up."""
        if self.seconds_left <= 0:
            raise self._exceeded()

    @asynccontextmanager
    async def bound(self, limit_seconds: float, on_timeout: Callable[[], Exception]) -> AsyncIterator[None]:
        """Allow the body `limit_seconds`, or what the deadline leaves if that is less.

        Raises `on_timeout()` when the body's own limit ran out (the provider's fault), DeadlineExceeded when the
        deadline did, which says nothing about the provider.
        """
        seconds_left = self.seconds_left
        try:
            async with self._clock.timeout(min(limit_seconds, seconds_left)):
                yield
        except TimeoutError:
            raise (self._exceeded() if seconds_left < limit_seconds else on_timeout()) from None

    def _exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"No answer within the route's deadline of {self._limit_seconds:g} s.")
