"""The same events in real time, or many times faster: what is configured, what is waited for, what is allowed."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

# The defaults of docs/configuration.md, which the long form leaves alone.
FIRST_TOKEN_SECONDS = 12.0
STALL_SECONDS = 15.0
ATTEMPT_SECONDS = 30.0
BACKOFF_SECONDS = 0.5
BACKOFF_MAX_SECONDS = 8.0


@dataclass(frozen=True, slots=True)
class Pace:
    """`factor` scales every length of time, `outage_factor` those of the long outage, where nothing has to be answered
    sooner than the others; `slack_seconds` is what a busy machine may add to any of them."""

    factor: float
    outage_factor: float
    slack_seconds: float

    def scaled(self, seconds: float) -> float:
        return seconds * self.factor

    def of_outage(self, seconds: float) -> float:
        return seconds * self.outage_factor

    def at_most(self, seconds: float) -> float:
        return seconds * self.factor + self.slack_seconds

    def patience(self) -> dict[str, Any]:
        """A provider's time-outs in the configuration file; nothing in real time, where the defaults apply."""
        if self.factor == 1:
            return {}
        return {
            "first_token_timeout_seconds": self.scaled(FIRST_TOKEN_SECONDS),
            "stall_timeout_seconds": self.scaled(STALL_SECONDS),
            "attempt_timeout_seconds": self.scaled(ATTEMPT_SECONDS),
            "backoff_seconds": self.scaled(BACKOFF_SECONDS),
            "backoff_max_seconds": self.scaled(BACKOFF_MAX_SECONDS),
        }


REAL = Pace(1.0, 1.0, 1.5)
# A first token is awaited 0.9 s: short, and still long for a machine on which everything runs at once.
FAST = Pace(0.075, 0.04, 8.0)
