"""The gate: bounded in flight, a bounded queue in order, no place ever lost."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.gate import Gate, GateFull
from tests.engine.scripted import provider
from tests.virtual_time import VirtualClock, VirtualLoop

NARROW = provider("primary", max_in_flight=2, max_queued=3, queue_timeout_seconds=5)


@pytest.fixture
def gate(virtual: VirtualClock) -> Gate:
    return Gate(virtual.clock)


async def settle() -> None:
    for _ in range(3):
        await asyncio.sleep(0)


async def fill(gate: Gate) -> None:
    for _ in range(NARROW.max_in_flight):
        await gate.enter(NARROW, 90)


async def test_no_more_than_the_bound_are_in_flight_and_all_get_their_turn(gate: Gate) -> None:
    inside, most, served = 0, 0, 0

    async def visit() -> None:
        nonlocal inside, most, served
        await gate.enter(provider("primary", max_in_flight=7, max_queued=1000, queue_timeout_seconds=60), 90)
        inside += 1
        most = max(most, inside)
        await asyncio.sleep(0.1)
        inside -= 1
        served += 1
        gate.leave()

    await asyncio.gather(*(visit() for _ in range(200)))
    assert (most, served, gate.in_flight, gate.queued) == (7, 200, 0, 0)


async def test_first_come_first_served(gate: Gate) -> None:
    await fill(gate)
    order: list[int] = []

    async def visit(number: int) -> None:
        await gate.enter(NARROW, 90)
        order.append(number)

    visits = [asyncio.create_task(visit(number)) for number in range(3)]
    await settle()
    for _ in range(3):
        gate.leave()
        await settle()
    await asyncio.gather(*visits)
    assert order == [0, 1, 2]


async def test_a_newcomer_does_not_overtake_the_queue(gate: Gate) -> None:
    await fill(gate)
    waiting = asyncio.create_task(gate.enter(NARROW, 90))
    await settle()
    gate.leave()  # handed to the one that waits, before it has woken up
    newcomer = asyncio.create_task(gate.enter(NARROW, 90))
    await settle()
    assert (waiting.done(), newcomer.done(), gate.in_flight) == (True, False, 2)
    newcomer.cancel()
    await asyncio.gather(newcomer, return_exceptions=True)


async def test_a_full_queue_refuses_at_once(gate: Gate, virtual: VirtualClock) -> None:
    await fill(gate)
    waiting = [asyncio.create_task(gate.enter(NARROW, 90)) for _ in range(3)]
    await settle()
    with pytest.raises(GateFull, match="2 requests in flight and 3 waiting"):
        await gate.enter(NARROW, 90)
    assert virtual.monotonic() == 0.0
    for one in waiting:
        one.cancel()
    await asyncio.gather(*waiting, return_exceptions=True)
    assert gate.queued == 0


@pytest.mark.parametrize(("seconds_left", "waited_seconds"), [(90.0, 5.0), (2.0, 2.0), (0.0, 0.0)])
async def test_the_wait_ends_with_the_queue_time_out_or_the_deadline(
    gate: Gate, virtual: VirtualClock, seconds_left: float, waited_seconds: float
) -> None:
    await fill(gate)
    with pytest.raises(GateFull, match=f"no place at primary within {waited_seconds:g} s"):
        await gate.enter(NARROW, seconds_left)
    assert (virtual.monotonic(), gate.in_flight, gate.queued) == (waited_seconds, 2, 0)


async def test_leaving_the_queue_leaks_no_place(gate: Gate) -> None:
    await fill(gate)
    waiting = asyncio.create_task(gate.enter(NARROW, 90))
    await settle()
    waiting.cancel()
    await asyncio.gather(waiting, return_exceptions=True)
    gate.leave()
    gate.leave()
    assert (gate.in_flight, gate.queued) == (0, 0)


async def test_a_place_handed_over_to_somebody_who_leaves_at_that_moment_goes_to_the_next(gate: Gate) -> None:
    await fill(gate)
    leaving = asyncio.create_task(gate.enter(NARROW, 90))
    staying = asyncio.create_task(gate.enter(NARROW, 90))
    await settle()
    gate.leave()
    leaving.cancel()
    await asyncio.gather(leaving, return_exceptions=True)
    await staying
    assert (leaving.cancelled(), gate.in_flight, gate.queued) == (True, 2, 0)


async def test_a_place_is_not_handed_to_somebody_who_has_just_left(gate: Gate) -> None:
    await fill(gate)
    leaving = asyncio.create_task(gate.enter(NARROW, 90))
    await settle()
    leaving.cancel()
    gate.leave()
    await asyncio.gather(leaving, return_exceptions=True)
    assert (gate.in_flight, gate.queued) == (1, 0)


async def test_a_lowered_bound_holds_from_the_next_arrival_on(gate: Gate) -> None:
    await fill(gate)
    lowered = replace(NARROW, max_in_flight=1)
    waiting = [asyncio.create_task(gate.enter(lowered, 90)) for _ in range(2)]
    await settle()
    gate.leave()
    await settle()
    assert ([one.done() for one in waiting], gate.in_flight) == ([False, False], 1)
    gate.leave()
    await settle()
    assert ([one.done() for one in waiting], gate.in_flight) == ([True, False], 1)
    gate.leave()
    await asyncio.gather(*waiting)


async def test_a_raised_bound_lets_those_in_first_that_wait(gate: Gate) -> None:
    await fill(gate)
    order: list[str] = []

    async def visit(name: str, bound: int) -> None:
        await gate.enter(replace(NARROW, max_in_flight=bound), 90)
        order.append(name)

    visits = [asyncio.create_task(visit(name, bound)) for name, bound in [("first", 2), ("second", 2), ("new", 4)]]
    await settle()
    assert (order, gate.in_flight, gate.queued) == (["first", "second"], 4, 1)
    gate.leave()
    await asyncio.gather(*visits)
    assert order[-1] == "new"


VISITS = st.lists(
    st.tuples(st.sampled_from([0, 1, 3]), st.sampled_from([1, 2, 6]), st.sampled_from([None, 0, 1, 2, 4, 6])),
    max_size=25,
)


@settings(max_examples=60, deadline=None)
@given(visits=VISITS)
def test_whoever_comes_and_goes_the_gate_ends_empty_and_was_never_overfull(
    visits: list[tuple[int, int, int | None]],
) -> None:
    """Visits: when they come, how long they stay, and when (if ever) they are cancelled, in seconds."""

    async def story() -> tuple[int, int, int]:
        gate, inside, most = Gate(VirtualClock().clock), 0, 0

        async def visit(comes: int, stays: int) -> None:
            nonlocal inside, most
            await asyncio.sleep(comes)
            await gate.enter(NARROW, 90)
            inside += 1
            most = max(most, inside)
            try:
                await asyncio.sleep(stays)
            finally:
                inside -= 1
                gate.leave()

        loop = asyncio.get_running_loop()
        tasks = []
        for comes, stays, cancelled_at in visits:
            tasks.append(asyncio.create_task(visit(comes, stays)))
            if cancelled_at is not None:
                loop.call_later(cancelled_at, tasks[-1].cancel)
        await asyncio.gather(*tasks, return_exceptions=True)
        return gate.in_flight, gate.queued, most

    with asyncio.Runner(loop_factory=VirtualLoop) as runner:
        in_flight, queued, most = runner.run(story())
    assert (in_flight, queued) == (0, 0)
    assert most <= NARROW.max_in_flight
