"""The breakers that running drills have of their own, as this process knows them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

from gateway.engine.breaker import BreakerReading, BreakerStore
from gateway.engine.configuration import Provider
from gateway.engine.drill import Drill, Injection
from gateway.selectors.breaker_status import reading_view
from gateway.selectors.breakers import BreakerView
from gateway.services.snapshot import Snapshot


def drill_breakers(breakers: BreakerStore, snapshot: Snapshot) -> tuple[BreakerView, ...]:
    """In the order of the drills."""
    now = datetime.now(UTC).timestamp()
    running = (drill for drill in snapshot.drills if now < drill.ends_at)
    return tuple(_view(breakers, drill, provider) for drill in running for provider in _concerned(drill, snapshot))


def _concerned(drill: Drill, snapshot: Snapshot) -> Iterator[Provider]:
    """The provider named, or that of the route's first target."""
    if drill.provider is not None:
        provider = snapshot.providers.get(drill.provider)
        return iter(() if provider is None else (provider,))
    targets = next((route.targets for route in snapshot.routes.values() if route.id == drill.route_id), ())
    return (target.provider for target in targets[:1])


def _view(breakers: BreakerStore, drill: Drill, provider: Provider) -> BreakerView:
    lane = replace(provider, drill=Injection(drill.id, drill.fault), forced_breaker=None).lane
    reading: BreakerReading = breakers.reading(lane)
    forced = provider.forced_breaker
    bare = BreakerView(provider.name, provider.enabled, reading.state.value, forced, "", seen=True, drill=drill.id)
    return reading_view(bare, reading)
