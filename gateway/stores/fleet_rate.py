"""The failure rate of a fleet, counted by each process and summed up in Redis."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.engine.breaker import RATE_BUCKET_SECONDS, RATE_WINDOW_SECONDS, FailureRate

Buckets = dict[float, list[int]]  # a bucket's beginning (seconds since 1970): successes, failures
_NAMES = {"successes": 0, "failures": 1}


class FleetRate(FailureRate):
    """This process's own rate, and the fleet's as far as it has been told.

    What is counted here goes to Redis with whatever is asked there next, which is every two seconds at least, so the
    rate costs no round trip of its own. While Redis is away the rate is this process's.
    """

    def __init__(self) -> None:
        super().__init__()
        self._untold: Buckets = {}
        self._told: Buckets | None = None

    @property
    def of_fleet(self) -> bool:
        return self._told is not None

    def add(self, now: float, *, failed: bool) -> None:
        super().add(now, failed=failed)
        start = now - now % RATE_BUCKET_SECONDS
        if start not in self._untold:  # while Redis is away nobody takes them
            self._untold = {kept: counts for kept, counts in self._untold.items() if kept > now - RATE_WINDOW_SECONDS}
            self._untold[start] = [0, 0]
        self._untold[start][failed] += 1

    def counts(self, now: float) -> tuple[float, float]:
        if self._told is None:
            return super().counts(now)
        alive = [
            counts
            for buckets in (self._told, self._untold)
            for start, counts in buckets.items()
            if start > now - RATE_WINDOW_SECONDS
        ]
        return sum(counts[0] for counts in alive), sum(counts[1] for counts in alive)

    def take(self) -> dict[str, Any]:
        """What has been counted since the last taking, for the script; what is then lost with the line is missing from
        the fleet's rate, and nothing is ever counted twice."""
        untold, self._untold = self._untold, {}
        return {
            "window": round(RATE_WINDOW_SECONDS * 1000),
            "buckets": [[round(start * 1000), *counts] for start, counts in untold.items()],
        }

    def learn(self, told: Iterable[Any]) -> None:
        """What the script answers; an empty list comes from it as an empty object."""
        self._told = {}
        for start_ms, name, count in told:
            self._told.setdefault(start_ms / 1000, [0, 0])[_NAMES[name]] = int(count)

    def alone(self) -> None:
        """Redis is away: what the fleet counts is not known any more."""
        self._told, self._untold = None, {}
