"""One process's picture of a shared breaker, and how it travels: what the script is told and what it answers."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from gateway.engine.breaker import Breaker, Outcome, Permit
from gateway.engine.configuration import Provider
from gateway.engine.words import BreakerState
from gateway.stores.fleet_rate import FleetRate


@dataclass(frozen=True, slots=True, eq=False)
class Report:
    """An attempt's outcome on its way; `taken` is done once a breaker, shared or not, has taken it."""

    provider: Provider
    permit: Permit
    outcome: Outcome
    error: str
    request_id: str
    taken: asyncio.Future[None]


@dataclass(slots=True, eq=False)
class Mirror:
    """`breaker` is what is known of the shared breaker, in the server's time; while Redis is away it is this process's
    own. `version` orders what is heard; `known` is False until Redis has been asked for the first time."""

    name: str
    rate: FleetRate = field(default_factory=FleetRate)
    breaker: Breaker = field(init=False)
    version: int = 0
    failed_from: float = 0.0  # when the latest of the attempts that are counted as failures began
    known: bool = False
    learning: asyncio.Task[None] | None = None
    asking: bool = False  # one of this process's requests asks for the probe
    reports: list[Report] = field(default_factory=list)
    reporter: asyncio.Task[None] | None = None

    def __post_init__(self) -> None:
        self.breaker = Breaker(rate=self.rate)

    @property
    def quiet(self) -> bool:
        """Closed with nothing counted: nobody needs to hear of a success."""
        return self.breaker.state is BreakerState.CLOSED and self.breaker.consecutive_failures == 0

    def view(self) -> dict[str, Any]:
        breaker = self.breaker
        return {
            "state": breaker.state.value,
            "failures": breaker.consecutive_failures,
            "opened_at": to_ms(breaker.opened_at),
            "probe_expires_at": to_ms(breaker.probe_expires_at),
            "last_error": sendable(breaker.last_error),
            "answered_from": to_ms(breaker.answered_from),
            "failed_from": to_ms(self.failed_from),
            "generation": breaker.generation,
            "version": self.version,
        }

    def learn(self, told: dict[str, Any]) -> None:
        """Take what the script says or published, unless something newer is known."""
        if int(told["version"]) < self.version:
            return
        self.version, self.known = int(told["version"]), True
        self.failed_from = from_ms(told.get("failed_from", 0)) or 0.0
        self.breaker.answered_from = max(self.breaker.answered_from, from_ms(told.get("answered_from", 0)) or 0.0)
        fill(self.breaker, told)

    def after(self, told: dict[str, Any]) -> Breaker:
        """The breaker as it was right after a change, for its reading."""
        breaker = Breaker(rate=self.breaker.rate)
        fill(breaker, told)
        return breaker


def fill(breaker: Breaker, told: dict[str, Any]) -> None:
    breaker.state = BreakerState(told["state"])
    breaker.consecutive_failures = int(told["failures"])
    breaker.opened_at = from_ms(told["opened_at"])
    breaker.probe_expires_at = from_ms(told["probe_expires_at"])
    breaker.last_error = str(told["last_error"])
    breaker.generation = int(told["generation"])


def to_ms(seconds: float | None) -> int:
    return 0 if seconds is None else round(seconds * 1000)


def from_ms(milliseconds: float) -> float | None:
    return milliseconds / 1000 if milliseconds else None


def sendable(text: str) -> str:
    """Text that any JSON reader takes: without halves of characters."""
    return text[:500].encode("utf-8", "replace").decode()
