"""Fire drills in the engine: who is drilled, and that a drill's failures stay in the drill."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from gateway.engine.configuration import Provider, Target
from gateway.engine.drill import Drill, DrillFault, Injection, lane_name, lane_parts
from gateway.engine.drilling import drilled_plan
from gateway.engine.errors import BreakerOpen, UpstreamError
from gateway.engine.routing import Plan
from gateway.engine.words import AttemptOutcome, BreakerState
from gateway.providers.drill import DrilledCaller
from gateway.services.drill_traces import drill_traces_forget
from tests.engine.scripted import FALLBACK, PRIMARY, ROUTE, World, target, unavailable

NOW = 1000.0
PLAN = Plan(ROUTE, {})
DRILL = Drill(7, DrillFault.UNAVAILABLE, share_percent=100, ends_at=NOW + 60, provider="primary")


def drilled(
    *drills: Drill, plan: Plan = PLAN, now: float = NOW, random: Callable[[], float] = lambda: 0.0
) -> list[str]:
    """The names of the providers that are drilled."""
    planned = drilled_plan(plan, drills, route_id=1, key_id=2, now=now, random=random)
    return [one.provider.name for one in planned.targets if one.provider.drill is not None]


def injected(owner: Provider = PRIMARY, fault: DrillFault = DrillFault.TIMEOUT) -> Target:
    return target(replace(owner, drill=Injection(7, fault)))


@pytest.mark.parametrize(
    ("drill", "names"),
    [
        (DRILL, ["primary"]),
        (replace(DRILL, provider="fallback"), ["fallback"]),
        (replace(DRILL, provider=None), ["primary"]),
        (replace(DRILL, provider="another"), []),
        (replace(DRILL, route_id=1), ["primary"]),
        (replace(DRILL, route_id=3), []),
        (replace(DRILL, key_ids=frozenset({2, 5})), ["primary"]),
        (replace(DRILL, key_ids=frozenset({5})), []),
        (replace(DRILL, ends_at=NOW), []),
    ],
)
def test_a_drill_takes_the_requests_it_is_for(drill: Drill, names: list[str]) -> None:
    assert drilled(drill) == names


@pytest.mark.parametrize(("rolled", "names"), [(0.0, ["primary"]), (0.2499, ["primary"]), (0.25, []), (0.999, [])])
def test_the_share_is_the_chance_of_one_roll(rolled: float, names: list[str]) -> None:
    assert drilled(replace(DRILL, share_percent=25), random=lambda: rolled) == names


def test_all_targets_of_a_drilled_provider_are_drilled_by_the_same_roll() -> None:
    rolls = iter([0.0])
    plan = Plan((target(PRIMARY, "large"), target(PRIMARY, "small"), target(FALLBACK)), {})
    assert drilled(replace(DRILL, share_percent=1), plan=plan, random=lambda: next(rolls)) == ["primary", "primary"]


def test_a_request_that_no_drill_takes_keeps_the_very_same_plan() -> None:
    assert drilled_plan(PLAN, [replace(DRILL, route_id=3)], route_id=1, key_id=2, now=NOW, random=lambda: 0.0) is PLAN


def test_a_lane_is_told_from_every_provider_name() -> None:
    assert lane_parts(lane_name("primary", 7)) == ("primary", 7)
    assert lane_parts("primary") == ("primary", None)


async def test_failures_of_a_drill_open_its_own_breaker_only(world: World) -> None:
    world.script("primary", *[unavailable() for _ in range(20)])
    for _ in range(3):
        await world.completion(injected(fault=DrillFault.CUT_STREAM), target(FALLBACK)).obtain()
    assert world.state(injected().provider.lane) is BreakerState.OPEN
    assert world.state(PRIMARY) is BreakerState.CLOSED
    assert world.primary.calls == 5
    assert [lane_parts(change.provider) for change in world.changes if change.before is not change.reading.state] == [
        ("primary", 7)
    ]


async def test_an_open_breaker_of_the_drill_says_that_it_is_the_drills(world: World) -> None:
    await world.open_breaker(injected().provider.lane)
    completion = world.completion(injected())
    with pytest.raises(BreakerOpen):
        await completion.obtain()
    (skipped,) = completion.attempts
    assert "the breaker of primary (drill 7) is open" in str(skipped.error)
    assert (skipped.drill_id, skipped.injected) == (7, None)


async def test_silence_that_is_only_played_takes_no_real_place_and_may_not_be_billed(world: World) -> None:
    class Never:
        classify = answer = stream = aclose = None

    def caller_of(provider: Provider) -> object:
        if provider.drill is None:
            return world.caller(provider.name)
        return DrilledCaller(Never(), provider, provider.drill, world.virtual.clock.sleep)  # type: ignore[arg-type]

    world.engine.caller_of = caller_of  # type: ignore[assignment]
    completion = world.completion(injected(), target(FALLBACK))
    await completion.obtain()
    first = completion.attempts[0]
    assert (first.outcome, first.latency_ms, first.injected) == (AttemptOutcome.FAILED, 30_000, DrillFault.TIMEOUT)
    assert isinstance(first.error, UpstreamError)
    assert not first.may_be_billed
    assert "primary" not in world.engine.gates


async def test_what_a_drill_left_in_memory_is_dropped_once_it_is_over(world: World) -> None:
    world.script("primary", *[unavailable() for _ in range(20)])
    await world.completion(injected(), target(FALLBACK)).obtain()
    drill_traces_forget(world.engine, world.breakers, [DRILL])
    assert lane_name("primary", 7) in world.engine.meters
    drill_traces_forget(world.engine, world.breakers, [])
    assert not [name for name in (*world.engine.meters, *world.engine.gates) if lane_parts(name)[1] is not None]
    assert world.breakers.reading(injected().provider.lane).consecutive_failures == 0
