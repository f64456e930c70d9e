"""A bounded number of attempts in flight per provider, and a bounded queue behind them."""

from __future__ import annotations

import asyncio
from collections import deque

from gateway.engine.clock import Clock
from gateway.engine.configuration import Provider


class GateFull(Exception):
    """No place in flight, and none in the queue or none in time."""


class Gate:
    """One provider's gate in this process; first come, first served."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._bound = 0  # the newest configuration's
        self.in_flight = 0

    @property
    def queued(self) -> int:
        return len(self._waiting)

    async def enter(self, provider: Provider, seconds_left: float) -> None:
        """Take a place for one attempt; `leave` gives it back. Raises GateFull when there is none in time."""
        self._bound = provider.max_in_flight
        self._call_in()
        if self.in_flight < self._bound:
            self.in_flight += 1
        else:
            await self._queue(provider, seconds_left)

    def leave(self) -> None:
        """Give the place back; the first that waits gets it."""
        self.in_flight -= 1
        self._call_in()

    def _call_in(self) -> None:
        """Hand free places to those that wait, in their order."""
        while self._waiting and self.in_flight < self._bound:
            turn = self._waiting.popleft()
            if not turn.done():
                self.in_flight += 1
                turn.set_result(None)

    async def _queue(self, provider: Provider, seconds_left: float) -> None:
        """Wait for a place; on return it is held."""
        if len(self._waiting) >= provider.max_queued:
            raise GateFull(f"{provider.name} has {self.in_flight} requests in flight and {self.queued} waiting")
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with self._clock.timeout(min(provider.queue_timeout_seconds, seconds_left)):
                await turn
        except BaseException as error:
            self._withdraw(turn)
            if isinstance(error, TimeoutError):
                waited_seconds = min(provider.queue_timeout_seconds, seconds_left)
                raise GateFull(f"no place at {provider.name} within {waited_seconds:g} s") from None
            raise

    def _withdraw(self, turn: asyncio.Future[None]) -> None:
        if turn.done() and not turn.cancelled():
            self.leave()  # the place was handed over just as the wait ended
        elif turn in self._waiting:
            self._waiting.remove(turn)
