"""Breaker states as people look at them: one view per configured provider."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime

from gateway.engine.words import BreakerState
from gateway.models.breaker import BreakerStatus
from gateway.selectors.configuration import ConfiguredProvider, provider_list

# Trouble first: what needs a person's eye is what they should see first.
_URGENCY = {BreakerState.OPEN.value: 0, BreakerState.HALF_OPEN.value: 1, BreakerState.CLOSED.value: 2}

# Of the last minute's attempts; a provider that is held closed looks unhealthy from here on.
FAILING_RATE = 0.5


@dataclass(frozen=True, slots=True)
class BreakerView:
    """A provider's breaker. `state` is what holds for requests: an order of a person goes before the row.

    `failure_rate` is a share from 0 to 1; `seen` is False where no row tells of a failure yet. `drill` is set where it
    is the breaker that a fire drill has of its own.
    """

    provider: str
    enabled: bool
    state: str
    forced: str | None
    forced_reason: str
    seen: bool
    since: datetime | None = None
    consecutive_failures: int = 0
    failure_rate: float = 0.0
    opened_at: datetime | None = None
    next_probe_at: datetime | None = None
    last_error: str = ""
    failure_threshold: int = 0
    drill: int | None = None

    @property
    def fails_though_held_closed(self) -> bool:
        """What would have opened the breaker, had nobody ordered it closed, or most attempts failing."""
        failing = self.consecutive_failures >= self.failure_threshold or self.failure_rate >= FAILING_RATE
        return self.forced == BreakerState.CLOSED and self.seen and failing


def breaker_list() -> tuple[BreakerView, ...]:
    """Every provider in use, trouble first; one without a row is closed and has never failed. Two queries."""
    providers = provider_list()
    rows = {row.provider: row for row in BreakerStatus.objects.filter(provider__in=[one.name for one in providers])}
    views = [_view(provider, rows.get(provider.name)) for provider in providers]
    return by_urgency(views)


def by_urgency(views: Iterable[BreakerView]) -> tuple[BreakerView, ...]:
    """Trouble first, then by name; what is switched off last."""
    return tuple(sorted(views, key=lambda view: (not view.enabled, _URGENCY[_worst(view)], view.provider)))


def _worst(view: BreakerView) -> str:
    return BreakerState.OPEN.value if view.fails_though_held_closed else view.state


def _view(provider: ConfiguredProvider, row: BreakerStatus | None) -> BreakerView:
    if row is None:
        state = provider.forced or BreakerState.CLOSED.value
        return BreakerView(
            provider.name,
            provider.enabled,
            state,
            provider.forced,
            provider.forced_reason,
            seen=False,
            failure_threshold=provider.failure_threshold,
        )
    return BreakerView(
        provider=provider.name,
        enabled=provider.enabled,
        state=provider.forced or row.state,
        forced=provider.forced,
        forced_reason=provider.forced_reason,
        seen=True,
        since=row.since,
        consecutive_failures=row.consecutive_failures,
        failure_rate=row.failure_rate,
        opened_at=row.opened_at,
        next_probe_at=row.next_probe_at if provider.forced is None else None,
        last_error=row.last_error,
        failure_threshold=provider.failure_threshold,
    )
