"""The in-process breaker store: a story per test, told as the list of changes it announces."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from gateway.engine.breaker import Outcome, Permit, Refusal
from gateway.engine.words import BreakerState
from gateway.stores.memory import MemoryBreakers
from tests.stores.conftest import OPENAI, Ear, attempt, open_it
from tests.virtual_time import EPOCH_SECONDS, VirtualClock

OTHER = replace(OPENAI, name="other")
CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN


@pytest.fixture
def store(virtual: VirtualClock, ear: Ear) -> MemoryBreakers:
    return MemoryBreakers(virtual.clock, ear)


async def opened(store: MemoryBreakers, ear: Ear) -> None:
    await open_it(store)
    ear.heard.clear()


async def test_success_after_success_is_no_news(store: MemoryBreakers, ear: Ear) -> None:
    for _ in range(10):
        await attempt(store, Outcome.SUCCESS)
    assert ear.steps() == []


async def test_failures_are_news_one_by_one_and_the_fifth_opens(store: MemoryBreakers, ear: Ear) -> None:
    for _ in range(5):
        await attempt(store, Outcome.FAILURE)
    assert ear.steps() == [
        (CLOSED, CLOSED, 1, ""),
        (CLOSED, CLOSED, 2, ""),
        (CLOSED, CLOSED, 3, ""),
        (CLOSED, CLOSED, 4, ""),
        (CLOSED, OPEN, 5, "5 consecutive failures"),
    ]


async def test_the_success_that_resets_the_count_is_news(store: MemoryBreakers, ear: Ear) -> None:
    await attempt(store, Outcome.FAILURE)
    await attempt(store, Outcome.SUCCESS)
    await attempt(store, Outcome.SUCCESS)
    assert ear.steps() == [(CLOSED, CLOSED, 1, ""), (CLOSED, CLOSED, 0, "")]


async def test_probe_and_recovery_are_told_once_each(store: MemoryBreakers, ear: Ear) -> None:
    await opened(store, ear)
    await asyncio.sleep(60)
    await attempt(store, Outcome.SUCCESS)
    assert ear.steps() == [
        (OPEN, HALF_OPEN, 5, "the cool-down is over: one probe"),
        (HALF_OPEN, CLOSED, 0, "the probe succeeded"),
    ]


async def test_a_failed_probe_is_told_as_an_opening(store: MemoryBreakers, ear: Ear) -> None:
    await opened(store, ear)
    await asyncio.sleep(60)
    await attempt(store, Outcome.FAILURE)
    assert ear.steps()[-1] == (HALF_OPEN, OPEN, 6, "the probe failed")


async def test_late_reports_are_no_news(store: MemoryBreakers, ear: Ear) -> None:
    late = await store.admit(OPENAI, 30)
    assert isinstance(late, Permit)
    await opened(store, ear)
    await store.report(OPENAI, late, Outcome.FAILURE, error="late")
    assert ear.steps() == []


async def test_a_burst_of_failures_opens_it_exactly_once(store: MemoryBreakers, ear: Ear) -> None:
    permits = [await store.admit(OPENAI, 30) for _ in range(100)]
    for permit in permits:
        assert isinstance(permit, Permit)
        await store.report(OPENAI, permit, Outcome.FAILURE)
    assert [step for step in ear.steps() if step[0] is not step[1]] == [(CLOSED, OPEN, 5, "5 consecutive failures")]


async def test_a_thousand_askers_after_the_cool_down_get_one_probe(store: MemoryBreakers, ear: Ear) -> None:
    await opened(store, ear)
    await asyncio.sleep(60)
    admissions = await asyncio.gather(*(store.admit(OPENAI, 30) for _ in range(1000)))
    assert sum(isinstance(one, Permit) for one in admissions) == 1


async def test_a_change_tells_when_and_by_which_request(store: MemoryBreakers, ear: Ear) -> None:
    await asyncio.sleep(7)
    await attempt(store, Outcome.FAILURE)
    (change,) = ear.heard
    assert (change.provider, change.at, change.request_id) == ("openai", EPOCH_SECONDS + 7, "req-9")
    assert change.reading.last_error == "boom"


async def test_the_refusal_names_the_wall_time_of_the_next_probe(store: MemoryBreakers, ear: Ear) -> None:
    await opened(store, ear)
    assert await store.admit(OPENAI, 30) == Refusal("openai", EPOCH_SECONDS + 60)


async def test_providers_do_not_share_a_breaker(store: MemoryBreakers, ear: Ear) -> None:
    await opened(store, ear)
    assert (store.is_closed(OPENAI), store.is_closed(OTHER)) == (False, True)


async def test_a_probe_lives_as_long_as_its_attempt_may_take(store: MemoryBreakers, ear: Ear) -> None:
    await opened(store, ear)
    await asyncio.sleep(60)
    assert isinstance(await store.admit(OPENAI, 120), Permit)
    await asyncio.sleep(121)
    assert isinstance(await store.admit(OPENAI, 120), Refusal)
    await asyncio.sleep(5)
    assert isinstance(await store.admit(OPENAI, 120), Permit)


async def test_a_reset_closes_and_is_told_with_its_cause(store: MemoryBreakers, ear: Ear) -> None:
    await opened(store, ear)
    await store.reset(OPENAI, "reset by ada: provider is fine")
    assert ear.steps() == [(OPEN, CLOSED, 0, "reset by ada: provider is fine")]
    assert store.is_closed(OPENAI)


@pytest.mark.parametrize("forced", ["open", "closed"])
async def test_a_reset_before_the_order_is_known_to_be_lifted_tells_of_the_breaker_itself(
    store: MemoryBreakers, ear: Ear, forced: str
) -> None:
    """A process whose configuration still holds the order has not seen the breaker open, or close."""
    await store.reset(replace(OPENAI, forced_breaker=forced), "reset by ada")
    assert ear.steps() == [(CLOSED, CLOSED, 0, "reset by ada")]


@pytest.mark.parametrize(("forced", "closed"), [("open", False), ("closed", True)])
async def test_a_forced_state_decides_whether_a_retry_is_worth_waiting_for(
    store: MemoryBreakers, ear: Ear, forced: str, closed: bool
) -> None:
    await opened(store, ear)
    assert store.is_closed(replace(OPENAI, forced_breaker=forced)) is closed


async def test_the_reading_of_an_unknown_provider_is_a_healthy_one(store: MemoryBreakers) -> None:
    reading = store.reading(OPENAI)
    assert (reading.state, reading.consecutive_failures, reading.failure_rate) == (CLOSED, 0, 0.0)
    assert (reading.opened_at, reading.next_probe_at, reading.last_error) == (None, None, "")
