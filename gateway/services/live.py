"""What this process knows at this moment and no row tells: breakers, calls under way, queues."""

from __future__ import annotations

from dataclasses import dataclass, replace

from asgiref.sync import async_to_sync

from gateway.engine.breaker import BreakerReading
from gateway.engine.configuration import Provider
from gateway.selectors.breakers import BreakerView
from gateway.services.drill_breakers import drill_breakers
from gateway.services.runtime import Runtime, running_runtime


@dataclass(frozen=True, slots=True)
class LiveProvider:
    """`reading` leaves aside what operations ordered: they may just have changed it. Counts are of this process."""

    reading: BreakerReading
    in_flight: int
    queued: int


@dataclass(frozen=True, slots=True)
class LiveState:
    """`missing` says what keeps the process from serving; empty when it is ready."""

    providers: dict[str, LiveProvider]
    ledger_queue_depth: int
    ledger_healthy: bool
    ledger_away: str | None  # why the database can't be used; None when the last try worked
    configuration_version: int | None
    missing: tuple[str, ...]
    shared: bool  # the breakers and their counts are the fleet's
    redis: str  # how the breakers' shared store is doing, in words
    drill_breakers: tuple[BreakerView, ...] = ()  # those of running fire drills


def serving_runtime() -> Runtime | None:
    """This process's runtime, None where it doesn't serve the agents' API (a command, a worker)."""
    try:
        return running_runtime()
    except RuntimeError:
        return None


def live_state() -> LiveState | None:
    """None in a process that doesn't serve. For synchronous callers: it is read on the event loop, which owns it."""
    runtime = serving_runtime()
    return None if runtime is None else async_to_sync(_read)(runtime)


async def _read(runtime: Runtime) -> LiveState:
    snapshot = runtime.snapshot if runtime.holder.loaded else None
    providers = snapshot.providers.values() if snapshot is not None else ()
    status = runtime.breakers.status
    return LiveState(
        providers={provider.name: _provider(runtime, provider) for provider in providers},
        ledger_queue_depth=runtime.ledger.queue_depth,
        ledger_healthy=runtime.ledger.healthy,
        ledger_away=runtime.ledger.away_reason,
        configuration_version=snapshot.version if snapshot is not None else None,
        missing=tuple(runtime.missing()),
        shared=status.shared and status.away_reason is None,
        redis=status.words,
        drill_breakers=drill_breakers(runtime.breakers, snapshot) if snapshot is not None else (),
    )


def _provider(runtime: Runtime, provider: Provider) -> LiveProvider:
    gate = runtime.engine.gates.get(provider.name)
    reading = runtime.breakers.reading(replace(provider, forced_breaker=None))
    return LiveProvider(reading, gate.in_flight if gate else 0, gate.queued if gate else 0)
