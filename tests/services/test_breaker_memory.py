"""A process that begins takes its breakers up where the rows say they were left."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from asgiref.sync import sync_to_async

from gateway.engine.breaker import Permit, Refusal
from gateway.engine.words import BreakerState
from gateway.ledger.connections import ledger_connections, ledger_lock_path
from gateway.ledger.writer import LedgerWriter
from gateway.models import BreakerStatus
from gateway.services.runtime import Runtime
from gateway.services.snapshot_holder import SnapshotHolder
from tests.selectors.rows import add_provider

pytestmark = pytest.mark.django_db(transaction=True)


def remember(state: BreakerState, *, opened_seconds_ago: float | None) -> None:
    now = datetime.now(UTC)
    opened_at = None if opened_seconds_ago is None else now - timedelta(seconds=opened_seconds_ago)
    BreakerStatus.objects.create(
        provider="openai", state=state, since=now, opened_at=opened_at, consecutive_failures=5, last_error="503"
    )


async def admission(runtime: Runtime) -> Permit | Refusal:
    await runtime.start_breakers()
    provider = runtime.snapshot.providers["openai"]
    return await runtime.breakers.admit(provider, longest_seconds=30)


@pytest.fixture
def begun() -> Runtime:
    """A process that has read a configuration with one provider."""
    add_provider("openai")
    runtime = Runtime(SnapshotHolder(), LedgerWriter(ledger_connections(), lock_path=ledger_lock_path()))
    runtime.holder.refresh()
    return runtime


async def test_an_open_breaker_whose_cool_down_is_not_over_stays_open(begun: Runtime) -> None:
    await sync_to_async(remember)(BreakerState.OPEN, opened_seconds_ago=10)
    assert isinstance(await admission(begun), Refusal)
    reading = begun.breakers.reading(begun.snapshot.providers["openai"])
    assert (reading.state, reading.consecutive_failures, reading.last_error) == (BreakerState.OPEN, 5, "503")


@pytest.mark.parametrize("state", [BreakerState.OPEN, BreakerState.HALF_OPEN])
async def test_one_whose_cool_down_is_over_begins_with_a_probe(begun: Runtime, state: BreakerState) -> None:
    await sync_to_async(remember)(state, opened_seconds_ago=100)
    permit = await admission(begun)
    assert isinstance(permit, Permit)
    assert permit.probe


@pytest.mark.parametrize(
    ("state", "opened_seconds_ago"), [(BreakerState.CLOSED, 10), (BreakerState.OPEN, None)], ids=["closed", "forced"]
)
async def test_any_other_begins_closed(begun: Runtime, state: BreakerState, opened_seconds_ago: float | None) -> None:
    await sync_to_async(remember)(state, opened_seconds_ago=opened_seconds_ago)
    permit = await admission(begun)
    assert isinstance(permit, Permit)
    assert not permit.probe
