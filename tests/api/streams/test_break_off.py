"""What a drain doesn't see answered ends with an error of ours, and isn't booked as a client that left."""

from __future__ import annotations

import asyncio

import pytest

from gateway.engine.words import AttemptOutcome, BreakerState, CompletionStatus, Wire
from tests.engine.scripted import HANG, Stream, World, text

from .conftest import Gateway


@pytest.mark.parametrize("surface", Wire)
async def test_a_stream_that_is_broken_off_ends_with_an_error(gateway: Gateway, world: World, surface: Wire) -> None:
    world.script("primary", Stream.of(text(b"a"), HANG))
    asking = asyncio.create_task(gateway.ask(surface))
    await world.virtual.pass_time(3)
    gateway.break_off(asking)
    assert await asking is None
    (first, last) = (body for _, body in gateway.sent.bodies)
    assert first == b"a"
    assert b"shutting_down" in last
    assert last.startswith(b"event: error" if surface is Wire.ANTHROPIC else b"data: {")
    assert gateway.sent.messages[-1][1] == {"type": "http.response.body", "body": b""}


async def test_it_is_booked_as_failed_and_not_held_against_the_provider(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), HANG))
    asking = asyncio.create_task(gateway.ask())
    await world.virtual.pass_time(3)
    gateway.break_off(asking)
    await asking
    (settlement,) = gateway.ledger.settlements
    assert (settlement.status, settlement.http_status) == (CompletionStatus.FAILED, 503)
    assert settlement.error_code == "shutting_down"
    assert [attempt.outcome for attempt in settlement.attempts] == [AttemptOutcome.CANCELLED]
    assert settlement.cost_usd > 0
    assert (world.state(), world.primary.streams[0].closed) == (BreakerState.CLOSED, True)
    assert gateway.background == []


async def test_what_waits_for_its_first_content_is_booked_as_failed_too(gateway: Gateway, world: World) -> None:
    world.script("primary", HANG)
    asking = asyncio.create_task(gateway.ask())
    await world.virtual.pass_time(3)
    gateway.break_off(asking)
    with pytest.raises(asyncio.CancelledError):
        await asking
    (settlement,) = gateway.ledger.settlements
    assert (settlement.status, settlement.http_status) == (CompletionStatus.FAILED, 503)
