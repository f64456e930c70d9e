"""Breakers of this process alone: what serves when there is no Redis."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace

from gateway.engine.breaker import (
    Breaker,
    BreakerChange,
    BreakerReading,
    ChangeListener,
    Outcome,
    Permit,
    Refusal,
)
from gateway.engine.clock import Clock
from gateway.engine.configuration import Provider
from gateway.engine.words import BreakerState
from gateway.stores.status import StoreStatus


class MemoryBreakers:
    """A `BreakerStore` in memory. `on_change` hears of every change of state and of the failure count."""

    def __init__(self, clock: Clock, on_change: ChangeListener) -> None:
        self._clock = clock
        self._on_change = on_change
        self._breakers: dict[str, Breaker] = {}

    async def start(self, providers: Iterable[Provider]) -> None:
        """Nothing to connect to."""

    async def aclose(self) -> None:
        """Nothing to close."""

    @property
    def status(self) -> StoreStatus:
        return StoreStatus(shared=False)

    def seed(self, name: str, opened_at: float, failures: int, last_error: str) -> None:
        """Begin with an open breaker, as the rows remember it."""
        self._breakers[name] = Breaker(BreakerState.OPEN, failures, opened_at, last_error)

    async def admit(self, provider: Provider, longest_seconds: float) -> Permit | Refusal:
        breaker = self._breaker(provider)
        before, now = breaker.state, self._clock.now()
        admission = breaker.admit(provider, now, longest_seconds)
        if breaker.state is not before:
            self._tell(provider, before, "the cool-down is over: one probe", "")
        return admission

    def is_closed(self, provider: Provider) -> bool:
        return self.reading(provider).state is BreakerState.CLOSED

    async def report(
        self, provider: Provider, permit: Permit, outcome: Outcome, *, error: str = "", request_id: str = ""
    ) -> None:
        breaker = self._breaker(provider)
        before, failures = breaker.state, breaker.consecutive_failures
        cause = breaker.report(provider, permit, outcome, error, self._clock.now())
        if cause is not None or breaker.consecutive_failures != failures:
            self._tell(provider, before, cause or "", request_id)

    async def reset(self, provider: Provider, cause: str) -> None:
        breaker = self._breaker(provider)
        before = breaker.state
        breaker.reset()
        self._tell(provider, before, cause, "")

    def reading(self, provider: Provider) -> BreakerReading:
        return self._breaker(provider).reading(provider, self._clock.now())

    def forget(self, is_over: Callable[[str], bool]) -> None:
        """Drop the breakers of these names."""
        for name in [name for name in self._breakers if is_over(name)]:
            del self._breakers[name]

    def _breaker(self, provider: Provider) -> Breaker:
        breaker = self._breakers.get(provider.name)
        return breaker if breaker is not None else self._breakers.setdefault(provider.name, Breaker())

    def _tell(self, provider: Provider, before: BreakerState, cause: str, request_id: str) -> None:
        """Of the breaker's own state, as `before` is: what operations force is written down where they do."""
        reading = self.reading(replace(provider, forced_breaker=None))
        change = BreakerChange(provider.name, self._clock.now(), before, reading, cause, request_id)
        self._on_change(change)
