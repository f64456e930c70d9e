"""How a breaker store is doing, for people."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """`shared`: meant to be shared by a fleet. `away_reason`: why it can't be at this moment, None while it is.

    While a shared store is away each process goes on with breakers of its own.
    """

    shared: bool
    away_reason: str | None = None

    @property
    def words(self) -> str:
        if not self.shared:
            return "not used: breakers are this process's own"
        return "connected" if self.away_reason is None else f"away: {self.away_reason}"
