"""The configuration as one immutable value in memory: all that the request path knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from gateway.engine.configuration import Provider, Route
from gateway.engine.drill import Drill
from gateway.engine.tier import BUILT_IN_RULES, Rules
from gateway.engine.workloads import NO_WORKLOADS, Workloads
from gateway.ledger.budgets import Budget
from gateway.ledger.prices import Price, PriceBook
from gateway.stores.key_limits import Limits


@dataclass(frozen=True, slots=True)
class ApiKey:
    """A key as the request path needs it. `routes` are the names of the routes it may use; None means all."""

    id: int
    name: str
    team_id: int | None
    team_name: str
    routes: frozenset[str] | None
    role: str  # "agent" | "operator"
    expires_at: datetime | None
    disabled: bool
    requests_per_minute: int | None = None
    tokens_per_minute: int | None = None
    max_parallel: int | None = None
    direct_models: bool = False  # may name `provider/model` instead of a route

    @property
    def limits(self) -> Limits | None:
        """None: no limit of any kind."""
        limits = (self.requests_per_minute, self.tokens_per_minute, self.max_parallel)
        return None if limits == (None, None, None) else Limits(*limits)


@dataclass(frozen=True, slots=True)
class Objectives:
    """The service levels the organisation is run by."""

    availability_percent: Decimal
    fallback_success_percent: Decimal
    mean_latency_seconds: Decimal
    conversation_cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Everything in force at one version.

    `routes` has an entry for every name and alias; `providers` goes by name, `keys` by SHA-256 of the key in hex.
    `prices` are the versions in force: seeded ones that an override hides are left out. `drills` are those that were
    running when it was read; each ends by its own clock.
    """

    version: int
    routes: Mapping[str, Route]
    providers: Mapping[str, Provider]
    keys: Mapping[str, ApiKey]
    prices: tuple[Price, ...]
    price_book: PriceBook
    budgets: tuple[Budget, ...]
    zone: ZoneInfo
    objectives: Objectives
    drills: tuple[Drill, ...] = ()
    workloads: Workloads = NO_WORKLOADS
    simple_rules: Rules = BUILT_IN_RULES
