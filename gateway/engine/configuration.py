"""The configuration the engine works from: plain immutable values, built once per snapshot.

Times are in seconds. The defaults are the documented ones (docs/configuration.md).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from gateway.engine.catalogue import ModelTraits, model_traits
from gateway.engine.drill import Injection, lane_name
from gateway.engine.words import Wire


@dataclass(frozen=True, slots=True)
class Timeouts:
    attempt_seconds: float = 30  # a whole plain attempt
    connect_seconds: float = 5
    first_token_seconds: float = 12  # a stream, until its first content
    stall_seconds: float = 15  # a stream, between events
    stream_max_seconds: float = 900


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    retries: int = 3  # after the first try, on the same target
    backoff_seconds: float = 0.5
    backoff_max_seconds: float = 8
    retry_after_max_seconds: float = 5  # a longer Retry-After means: next target


@dataclass(frozen=True, slots=True)
class RetryBudget:
    """Retries may be at most `percent` of a provider's requests, or `floor_per_second` if that is more; per process."""

    percent: float = 20
    floor_per_second: float = 10


@dataclass(frozen=True, slots=True)
class BreakerPolicy:
    failure_threshold: int = 5
    cooldown_seconds: float = 60


@dataclass(frozen=True, slots=True)
class Provider:
    """A provider as configured. `api_key` is a secret; it is None when no key could be found.

    `drill` is set, for the one completion it was chosen for, where a fire drill plays the provider's part.
    """

    name: str
    kind: Wire
    base_url: str
    id: int = 0
    api_key: str | None = field(default=None, repr=False)
    extra_headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    timeouts: Timeouts = Timeouts()
    retry: RetryPolicy = RetryPolicy()
    retry_budget: RetryBudget = RetryBudget()
    breaker: BreakerPolicy = BreakerPolicy()
    forced_breaker: str | None = None  # None | "open" | "closed"
    max_in_flight: int = 4000
    max_queued: int = 1000
    queue_timeout_seconds: float = 5
    enabled: bool = True
    drill: Injection | None = None

    @property
    def lane(self) -> Provider:
        """Whose breaker and retry budget its attempts use: its own, or under the same settings those of the drill."""
        if self.drill is None:
            return self
        return replace(self, name=lane_name(self.name, self.drill.drill_id), drill=None)

    @property
    def sender(self) -> Provider:
        """Whose places in flight its attempts take: what a drill never sends takes none of the real ones."""
        return self if self.drill is None or self.drill.fault.reaches_provider else self.lane


@dataclass(frozen=True, slots=True)
class Target:
    """One model at one provider. Time-outs and retries are the provider's unless the target overrides them."""

    provider: Provider
    model: str
    timeouts: Timeouts
    retry: RetryPolicy
    traits: ModelTraits

    @classmethod
    def of(cls, provider: Provider, model: str) -> Target:
        return cls(provider, model, provider.timeouts, provider.retry, model_traits(provider.kind, model))

    @property
    def name(self) -> str:
        return f"{self.provider.name}/{self.model}"


@dataclass(frozen=True, slots=True)
class RouteCache:
    """How a route's answers are kept. `shared` with everybody who uses the route, else with the key's team.

    `fingerprint` tells one list of targets from another: answers of the old one are never given for the new one.
    """

    ttl_seconds: int
    shared: bool
    fingerprint: str


@dataclass(frozen=True, slots=True)
class Route:
    """What agents send as `model`: an ordered list of targets and the rules for using them."""

    name: str
    targets: tuple[Target, ...]
    id: int = 0
    aliases: tuple[str, ...] = ()
    simple_target: Target | None = None
    simple_mode: str = "shadow"
    deadline_seconds: float = 90
    max_output_tokens: int = 4096
    stream_recovery: str = "continue"
    store_content: bool = False
    store_content_days: int = 7
    cache: RouteCache | None = None  # None: its answers are not kept
    prompt_prefix: bool = False  # marked for the provider's own prompt cache
