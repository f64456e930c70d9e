"""Breakers as they are this moment: the rows' view, overruled by what the serving process itself knows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from datetime import UTC, datetime

from gateway.engine.breaker import BreakerReading
from gateway.selectors.breakers import BreakerView, breaker_list


def breaker_states(*, readings: Mapping[str, BreakerReading]) -> tuple[BreakerView, ...]:
    """Every provider in use, by name. Two queries.

    `readings` are the live ones, without orders of operations, by provider; a provider without one is told from its
    row. What operations ordered comes from the provider's row in either case, so it shows as soon as it is committed.
    """
    views = sorted(breaker_list(), key=lambda view: view.provider)
    return tuple(reading_view(view, readings[view.provider]) if view.provider in readings else view for view in views)


def reading_view(view: BreakerView, reading: BreakerReading) -> BreakerView:
    """The view with what the serving process knows; an order of operations goes before it."""
    return replace(
        view,
        state=view.forced or reading.state.value,
        seen=True,
        consecutive_failures=reading.consecutive_failures,
        failure_rate=reading.failure_rate,
        opened_at=_utc(reading.opened_at),
        next_probe_at=None if view.forced else _utc(reading.next_probe_at),
        last_error=reading.last_error,
    )


def _utc(epoch_seconds: float | None) -> datetime | None:
    return None if epoch_seconds is None else datetime.fromtimestamp(epoch_seconds, UTC)
