"""The route's deadline: how long a client may wait until its answer begins, all attempts together."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from types import TracebackType

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

    def bound(self, limit_seconds: float, on_timeout: Callable[[], Exception]) -> Bound:
        """Allow the body of an `async with` `limit_seconds`, or what the deadline leaves if that is less.

        Raises `on_timeout()` when the body's own limit ran out (the provider's fault), DeadlineExceeded when the
        deadline did, which says nothing about the provider.
        """
        seconds_left = self.seconds_left
        if seconds_left < limit_seconds:
            return Bound(self._clock.timeout(seconds_left), self._exceeded)
        return Bound(self._clock.timeout(limit_seconds), on_timeout)

    def _exceeded(self) -> DeadlineExceeded:
        return DeadlineExceeded(f"No answer within the route's deadline of {self._limit_seconds:g} s.")


class Bound:
    """A time-out that raises `on_timeout()`. A class, since a generator would cost as much as the time-out itself."""

    __slots__ = ("_on_timeout", "_timeout")

    def __init__(self, timeout: AbstractAsyncContextManager[object], on_timeout: Callable[[], Exception]) -> None:
        self._timeout = timeout
        self._on_timeout = on_timeout

    async def __aenter__(self) -> None:
        await self._timeout.__aenter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        try:
            await self._timeout.__aexit__(kind, error, traceback)
            if isinstance(error, TimeoutError):
                raise error  # the body's own means the same
        except TimeoutError:
            raise self._on_timeout() from None
