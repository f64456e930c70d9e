"""Several processes' stores on one Redis: what one learns all know, and what one may do nobody else may."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
import redis

from gateway.engine.breaker import Outcome, Permit, Refusal
from gateway.engine.words import BreakerState
from gateway.stores.redis_breakers import RedisBreakers
from gateway.stores.redis_line import RedisLine
from tests.stores.conftest import OPENAI, Ear, Fleet, Hand, attempt, open_it, until

pytestmark = pytest.mark.redis

CLOSED, OPEN, HALF_OPEN = BreakerState.CLOSED, BreakerState.OPEN, BreakerState.HALF_OPEN
KNOWN_WITHIN_SECONDS = 1.0


async def test_an_opening_is_known_to_all_in_less_than_a_second(fleet: Fleet) -> None:
    first, *others = [await fleet.member() for _ in range(4)]
    await open_it(first)
    for other in others:
        await until(lambda other=other: not other.is_closed(OPENAI), "it knows", KNOWN_WITHIN_SECONDS)
        assert await other.admit(OPENAI, 30) == await first.admit(OPENAI, 30)


async def test_failures_of_different_processes_add_up(fleet: Fleet) -> None:
    members = [await fleet.member() for _ in range(5)]
    permits = [await member.admit(OPENAI, 30) for member in members]
    for member, permit in zip(members, permits, strict=True):
        assert isinstance(permit, Permit)
        await member.report(OPENAI, permit, Outcome.FAILURE)
    assert not members[-1].is_closed(OPENAI)


async def test_a_success_elsewhere_resets_the_count_of_all(fleet: Fleet) -> None:
    one, other = await fleet.member(), await fleet.member()
    for _ in range(4):
        await attempt(one, Outcome.FAILURE)
    await until(lambda: other.reading(OPENAI).consecutive_failures == 4, "the failures are known")
    await attempt(other, Outcome.SUCCESS)
    await attempt(one, Outcome.FAILURE)
    assert (one.is_closed(OPENAI), one.reading(OPENAI).consecutive_failures) == (True, 1)


async def test_successes_that_nobody_needed_to_hear_of_make_earlier_failures_stale(fleet: Fleet, hand: Hand) -> None:
    """The failures that all know of began before the success that only its process knows of."""
    one, other = await fleet.member(), await fleet.member()
    silent = [await one.admit(OPENAI, 30) for _ in range(4)]
    hand.move(1)
    await attempt(other, Outcome.SUCCESS)
    for permit in silent:
        assert isinstance(permit, Permit)
        await one.report(OPENAI, permit, Outcome.FAILURE)
    hand.move(1)
    await attempt(other, Outcome.FAILURE)
    assert other.reading(OPENAI).consecutive_failures == 1


async def test_silence_opens_it_although_a_success_now_and_then_began_later(fleet: Fleet, hand: Hand) -> None:
    one, other = await fleet.member(), await fleet.member()
    silent = [await member.admit(OPENAI, 30) for _ in range(30) for member in (one, other)]
    hand.move(1)
    await attempt(one, Outcome.SUCCESS)
    await attempt(other, Outcome.SUCCESS)
    hand.move(11)
    for number, permit in enumerate(silent):
        assert isinstance(permit, Permit)
        await (one, other)[number % 2].report(OPENAI, permit, Outcome.FAILURE)
    assert not one.is_closed(OPENAI)


async def test_a_clock_of_redis_that_is_set_back_leaves_a_breaker_that_opens(fleet: Fleet, hand: Hand) -> None:
    one, other = await fleet.member(), await fleet.member()
    await attempt(one, Outcome.FAILURE)
    await attempt(one, Outcome.SUCCESS)
    hand.move(-3600)
    await open_it(other)
    assert not other.is_closed(OPENAI)
    await until(lambda: not one.is_closed(OPENAI), "all know", KNOWN_WITHIN_SECONDS)


async def test_only_the_process_that_caused_a_change_announces_it(fleet: Fleet, hand: Hand) -> None:
    ears = [Ear(), Ear(), Ear()]
    one, two, three = [await fleet.member(ear) for ear in ears]
    await open_it(one)
    await until(lambda: not two.is_closed(OPENAI) and not three.is_closed(OPENAI), "all know")
    hand.move(60)
    await attempt(two, Outcome.SUCCESS)
    moves = [[(before, after) for before, after, *_ in ear.steps() if before is not after] for ear in ears]
    assert moves == [[(CLOSED, OPEN)], [(OPEN, HALF_OPEN), (HALF_OPEN, CLOSED)], []]


async def test_a_newcomer_knows_what_the_fleet_knows(fleet: Fleet) -> None:
    await open_it(await fleet.member())
    assert not (await fleet.member()).is_closed(OPENAI)


async def test_a_provider_added_later_is_asked_about_before_its_first_admission(fleet: Fleet) -> None:
    added = replace(OPENAI, name="added later")
    one, other = await fleet.member(), await fleet.member()
    for _ in range(5):
        await attempt(one, Outcome.FAILURE, added)
    assert isinstance(await other.admit(added, 30), Refusal)


async def test_state_survives_the_restart_of_every_process(fleet: Fleet) -> None:
    first = await fleet.member()
    await open_it(first)
    await first.aclose()
    assert isinstance(await (await fleet.member()).admit(OPENAI, 30), Refusal)


async def test_a_dead_probers_probe_goes_to_another_after_its_time(fleet: Fleet, hand: Hand) -> None:
    dead, living = await fleet.member(), await fleet.member()
    await open_it(dead)
    hand.move(60)
    assert isinstance(await dead.admit(OPENAI, 30), Permit)
    await dead.aclose()
    hand.move(34.9)
    assert isinstance(await living.admit(OPENAI, 30), Refusal)
    hand.move(0.1)
    permit = await living.admit(OPENAI, 30)
    assert isinstance(permit, Permit)
    assert permit.probe


async def test_a_probe_whose_client_leaves_while_it_is_granted_goes_to_the_next(fleet: Fleet, hand: Hand) -> None:
    store = await fleet.member()
    await open_it(store)
    hand.move(60)
    leaving = asyncio.ensure_future(store.admit(OPENAI, 30))
    await asyncio.sleep(0)
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await until(lambda: given_back(store, hand), "it is given back")
    assert isinstance(await store.admit(OPENAI, 30), Permit)


async def test_a_report_whose_client_leaves_still_arrives(fleet: Fleet) -> None:
    store = await fleet.member()
    permit = await store.admit(OPENAI, 30)
    assert isinstance(permit, Permit)
    leaving = asyncio.ensure_future(store.report(OPENAI, permit, Outcome.FAILURE))
    await asyncio.sleep(0)
    leaving.cancel()
    await until(lambda: store.reading(OPENAI).consecutive_failures == 1, "the failure is counted")


async def test_a_burst_of_failures_opens_it_once_and_takes_few_calls(fleet: Fleet, ear: Ear) -> None:
    store = await fleet.member(ear)
    permits = [await store.admit(OPENAI, 30) for _ in range(1000)]
    before = scripts_run(fleet.url)
    await asyncio.gather(*(store.report(OPENAI, one, Outcome.FAILURE) for one in permits if isinstance(one, Permit)))
    assert [step for step in ear.steps() if step[0] is not step[1]] == [(CLOSED, OPEN, 5, "5 consecutive failures")]
    assert scripts_run(fleet.url) - before < 10


async def test_closed_and_quiet_makes_no_round_trip(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:
    store = await fleet.member()
    calls: list[str] = []
    run = RedisLine.run

    async def counted(line: RedisLine, provider: str, view: object, ask: dict[str, str]) -> object:
        calls.append(ask["act"])
        return await run(line, provider, view, ask)  # type: ignore[arg-type]

    monkeypatch.setattr(RedisLine, "run", counted)
    for _ in range(100):
        await attempt(store, Outcome.SUCCESS)
    assert calls == []
    await attempt(store, Outcome.FAILURE)
    await attempt(store, Outcome.SUCCESS)
    await attempt(store, Outcome.SUCCESS)
    assert calls == ["report", "report"]


async def test_errors_that_no_json_reader_takes_are_counted_all_the_same(fleet: Fleet) -> None:
    store = await fleet.member()
    permit = await store.admit(OPENAI, 30)
    assert isinstance(permit, Permit)
    await store.report(OPENAI, permit, Outcome.FAILURE, error="half a \ud800 character \x00 é" + "x" * 9999)
    reading = store.reading(OPENAI)
    assert (reading.consecutive_failures, reading.last_error[:8], len(reading.last_error)) == (1, "half a ?", 500)
    assert store.status.away_reason is None


async def test_a_failing_report_from_before_the_opening_changes_nothing(fleet: Fleet) -> None:
    one, other = await fleet.member(), await fleet.member()
    late = await other.admit(OPENAI, 30)
    assert isinstance(late, Permit)
    await open_it(one)
    await other.report(OPENAI, late, Outcome.SUCCESS)
    assert (one.is_closed(OPENAI), one.reading(OPENAI).consecutive_failures) == (False, 5)


def given_back(store: RedisBreakers, hand: Hand) -> bool:
    reading = store.reading(OPENAI)
    return (reading.state, reading.next_probe_at) == (HALF_OPEN, hand.now())


def scripts_run(url: str) -> int:
    with redis.Redis.from_url(url) as client:
        return int(client.info("commandstats").get("cmdstat_evalsha", {"calls": 0})["calls"])


async def test_what_the_rows_remember_holds_where_redis_knows_nothing(fleet: Fleet, hand: Hand) -> None:
    store = await fleet.member(remembered_opened_at=hand.now() - 10)
    assert isinstance(await store.admit(OPENAI, 30), Refusal)
    assert not (await fleet.member()).is_closed(OPENAI)


async def test_what_redis_knows_goes_before_what_the_rows_remember(fleet: Fleet, hand: Hand) -> None:
    first = await fleet.member()
    await attempt(first, Outcome.FAILURE)
    await attempt(first, Outcome.SUCCESS)
    assert (await fleet.member(remembered_opened_at=hand.now() - 10)).is_closed(OPENAI)
