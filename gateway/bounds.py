"""The range of every number operations may set: one table for the file's parser, the admin's forms and the database.

Pure Python; the models build validators and constraints from it.
"""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal


@dataclass(frozen=True, slots=True)
class Bounds:
    """`minimum` to `maximum`, both included, or without the minimum itself where `above` is true."""

    minimum: int
    maximum: int
    above: bool = False

    def holds(self, value: Decimal | float) -> bool:
        return (value > self.minimum if self.above else value >= self.minimum) and value <= self.maximum

    def __str__(self) -> str:
        low = f"more than {self.minimum:,}" if self.above else f"at least {self.minimum:,}"
        return f"{low} and at most {self.maximum:,}"


_HOUR_SECONDS = 3_600
_DAY_SECONDS = 86_400

TIMEOUT_SECONDS = Bounds(0, _HOUR_SECONDS, above=True)
STREAM_MAX_SECONDS = Bounds(0, _DAY_SECONDS, above=True)
WAIT_SECONDS = Bounds(0, _HOUR_SECONDS)
RETRIES = Bounds(0, 20)
# The columns of an attempt's times and tries: a provider has them all, a target its own in their place.
OF_AN_ATTEMPT = {
    "attempt_timeout_seconds": TIMEOUT_SECONDS,
    "connect_timeout_seconds": TIMEOUT_SECONDS,
    "first_token_timeout_seconds": TIMEOUT_SECONDS,
    "stall_timeout_seconds": TIMEOUT_SECONDS,
    "stream_max_seconds": STREAM_MAX_SECONDS,
    "retries": RETRIES,
    "backoff_seconds": WAIT_SECONDS,
    "backoff_max_seconds": WAIT_SECONDS,
    "retry_after_max_seconds": WAIT_SECONDS,
}
RETRY_BUDGET_PERCENT = Bounds(0, 100)
RETRY_BUDGET_FLOOR = Bounds(0, 100_000)
FAILURE_THRESHOLD = Bounds(1, 1_000)
COOLDOWN_SECONDS = Bounds(0, _DAY_SECONDS, above=True)
HEALTH_PROBE_SECONDS = Bounds(10, _DAY_SECONDS)
IN_FLIGHT = Bounds(1, 1_000_000)
QUEUED = Bounds(0, 1_000_000)
OUTPUT_TOKENS = Bounds(1, 10_000_000)
CACHE_TTL_SECONDS = Bounds(1, 30 * _DAY_SECONDS)
SHARE_PERCENT = Bounds(0, 100)
RATE_PER_MINUTE = Bounds(1, 1_000_000_000)
PARALLEL = Bounds(1, 1_000_000)
PRICE_PER_MTOK = Bounds(0, 1_000_000)
LONG_CONTEXT_TOKENS = Bounds(1, 100_000_000)
BATCH_FACTOR = Bounds(0, 10)
LIMIT_USD = Bounds(0, 9_000_000, above=True)
ALERT_PERCENT = Bounds(1, 1_000)
ALERT_MINIMUM_COMPLETIONS = Bounds(1, 1_000_000)
ALERT_MINIMUM_FAILURES = Bounds(1, 1_000_000)
ALERT_FALLBACK_RATE_PERCENT = Bounds(1, 100)
STEP_DOWN_PERCENT = Bounds(1, 100)
WINDOW_SECONDS = Bounds(1, 366 * _DAY_SECONDS)
RETENTION_DAYS = Bounds(1, 36_600)
CONTENT_DAYS = Bounds(1, 366)
OBJECTIVE_PERCENT = Bounds(0, 100, above=True)
OBJECTIVE_SECONDS = Bounds(0, _HOUR_SECONDS, above=True)
SCORE = Bounds(-20, 20)
SCORE_WEIGHT = Bounds(-2, 2)
LONG_INPUT_CHARACTERS = Bounds(1, 1_000_000)
LEAST_WORDS = Bounds(0, 100)
