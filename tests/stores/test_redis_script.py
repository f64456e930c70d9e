"""The script by itself: what one step makes of what is stored and what its caller knows."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.stores.redis_line import RedisLine

pytestmark = pytest.mark.redis

CLOSED = {
    "state": "closed",
    "failures": 0,
    "opened_at": 0,
    "probe_expires_at": 0,
    "last_error": "",
    "answered_from": 0,
    "failed_from": 0,
    "generation": 0,
    "version": 0,
}
OPEN = {**CLOSED, "state": "open", "failures": 5, "opened_at": 1_000_000, "generation": 1, "version": 5}
NOW = 1_001_000


@pytest.fixture
async def line(empty_redis: str) -> AsyncIterator[RedisLine]:
    made = RedisLine(empty_redis, timeout_seconds=2.0)
    await made.connect()
    yield made
    await made.hang_up()


async def step(line: RedisLine, view: dict[str, Any], act: str, owner: str = "me", **ask: Any) -> dict[str, Any]:
    """The breaker after it."""
    constants = {"act": act, "provider": "openai", "owner": owner, "keep": 60_000, "now": NOW}
    breaker: dict[str, Any] = (await line.run("openai", view, {**constants, **ask}))["breaker"]
    return breaker


def failure(generation: int) -> dict[str, Any]:
    return {"generation": generation, "began": NOW, "probe": False, "outcome": "failure", "error": "boom"}


def state(breaker: dict[str, Any]) -> tuple[str, int, int]:
    return breaker["state"], breaker["failures"], breaker["generation"]


async def test_a_report_of_another_generation_moves_nothing_however_little_its_caller_knew(line: RedisLine) -> None:
    await step(line, CLOSED, "reset", cause="")
    await step(line, CLOSED, "report", failure_threshold=5, reports=[failure(0)] * 9)
    assert state(await step(line, CLOSED, "read")) == ("closed", 0, 1)


async def test_a_caller_who_knows_of_later_changes_is_believed(line: RedisLine) -> None:
    await step(line, CLOSED, "report", failure_threshold=5, reports=[failure(0)])
    assert state(await step(line, OPEN, "read")) == ("open", 5, 1)


async def test_a_caller_who_knows_less_learns_and_changes_nothing(line: RedisLine) -> None:
    await step(line, OPEN, "read")
    assert state(await step(line, {**CLOSED, "version": 4}, "read")) == ("open", 5, 1)


async def test_what_is_counted_is_forgotten_when_its_caller_saw_something_later_succeed(line: RedisLine) -> None:
    await step(line, CLOSED, "report", failure_threshold=5, reports=[failure(0)] * 4)
    late = {**failure(0), "began": NOW + 20}
    seen = {**CLOSED, "answered_from": NOW + 10}
    counted = await step(line, seen, "report", failure_threshold=5, reports=[late], now=NOW + 30)
    assert state(counted) == ("closed", 1, 0)


@pytest.mark.parametrize("outcome", ["failure", "success"])
async def test_a_success_that_would_begin_only_later_makes_nothing_stale(line: RedisLine, outcome: str) -> None:
    """The clock of Redis, or of the process that reports, was an hour ahead when it was noted."""
    ahead = {**failure(0), "began": NOW + 3_600_000, "outcome": outcome}
    seen = {**CLOSED, "answered_from": NOW + 3_600_000}
    await step(line, seen, "report", failure_threshold=5, reports=[ahead])
    now = {"now": NOW + 10, "reports": [{**failure(0), "began": NOW + 5}] * 5}
    counted = await step(line, CLOSED, "report", failure_threshold=5, **now)
    assert counted["state"] == "open"


async def test_what_its_caller_saw_succeed_before_leaves_what_is_counted(line: RedisLine) -> None:
    await step(line, CLOSED, "report", failure_threshold=5, reports=[failure(0)] * 4)
    counted = await step(line, {**CLOSED, "answered_from": NOW}, "report", failure_threshold=5, reports=[failure(0)])
    assert state(counted) == ("open", 5, 1)


async def test_who_held_it_open_alone_opens_it_for_all_even_if_the_others_have_moved_on(line: RedisLine) -> None:
    await step(line, {**CLOSED, "generation": 7, "version": 20}, "read")
    joined = await step(line, OPEN, "rejoin")
    assert state(joined) == ("open", 5, 8)
    assert (joined["opened_at"], joined["version"]) == (1_000_000, 21)


async def test_who_closed_it_alone_does_not_close_it_for_all(line: RedisLine) -> None:
    await step(line, OPEN, "read")
    joined = await step(line, {**CLOSED, "generation": 3, "version": 9}, "rejoin")
    assert state(joined) == ("open", 5, 1)
    assert joined["version"] == 10


async def test_anothers_probe_is_left_alone_by_who_rejoins(line: RedisLine) -> None:
    await step(line, {**OPEN, "opened_at": 1}, "admit", owner="another", cooldown=1, longest=35_000)
    joined = await step(line, OPEN, "rejoin", owner="me")
    assert (joined["state"], joined["probe_expires_at"]) == ("half_open", NOW + 35_000)


async def test_what_the_rows_remember_counts_as_a_change(line: RedisLine) -> None:
    """So that it is newer than what a process knows that knows nothing."""
    assert (await step(line, {**OPEN, "generation": 0, "version": 0}, "read"))["version"] == 1
