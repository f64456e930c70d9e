"""A client that waits gets signs of life, and a status while an error can still be one (docs/decisions/0006)."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any

import pytest

from gateway.api.keep_alive import KeepAlive
from gateway.engine.configuration import Timeouts
from gateway.engine.errors import DeadlineExceeded
from gateway.engine.exchange import INSTRUCTION_BYTES_MAX
from gateway.engine.words import AttemptOutcome, CompletionStatus, FailureKind, Wire
from gateway.services.bounding import TRANSLATION_TOKENS
from gateway.services.stream_reply import COMMENT, PING
from tests.engine.scripted import (
    FALLBACK,
    HANG,
    NO_RETRIES,
    PRIMARY,
    Stream,
    Wait,
    World,
    failure,
    frame,
    text,
    unavailable,
)
from tests.virtual_time import EPOCH_SECONDS, VirtualClock

from .conftest import Gateway, Sent

PATIENT = Timeouts(first_token_seconds=60, stall_seconds=60)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Targets that may take a minute."""
    for owner in (PRIMARY, FALLBACK):
        monkeypatch.setattr(f"tests.api.streams.conftest.{owner.name.upper()}", replace(owner, timeouts=PATIENT))


def broken() -> Any:
    return failure(FailureKind.STREAM_BROKEN, may_be_billed=True)


async def test_a_stream_that_flows_has_no_keep_alives(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), Wait(4.9), text(b"b"), Wait(4.9), text(b"c")))
    await gateway.ask()
    assert [body for _, body in gateway.sent.bodies][:3] == [b"a", b"b", b"c"]
    assert not any(COMMENT in body for _, body in gateway.sent.bodies)


async def test_a_stall_is_filled_with_comments_every_five_seconds(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), Wait(12), text(b"b")))
    await gateway.ask()
    assert gateway.sent.bodies[:4] == [(0.0, b"a"), (5.0, COMMENT), (10.0, COMMENT), (12.0, b"b")]


async def test_on_anthropics_surface_it_is_filled_with_pings(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(text(b"a"), Wait(7), text(b"b")))
    await gateway.ask(Wire.ANTHROPIC)
    assert gateway.sent.bodies[:3] == [(0.0, b"a"), (5.0, PING), (7.0, b"b")]


async def test_the_wait_for_a_continuation_is_filled(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(text(b"hel"), broken()))
    world.script("fallback", Stream.of(Wait(8), text(b"lo")))
    await gateway.ask()
    assert gateway.sent.bodies[:3] == [(0.0, b"hel"), (5.0, COMMENT), (8.0, b"lo")]
    assert b'"attempts":2' in gateway.sent.bodies[-1][1]


@pytest.mark.usefixtures("patient")
async def test_headers_wait_for_the_first_content(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(frame(b"role "), Wait(24), text(b"a")))
    await gateway.ask()
    assert gateway.sent.started_at == 24.0
    assert gateway.sent.bodies[0] == (24.0, b"role a")


@pytest.mark.usefixtures("patient")
async def test_after_25_seconds_headers_leave_and_comments_follow(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(frame(b"role "), Wait(37), text(b"a")))
    await gateway.ask(Wire.ANTHROPIC)
    assert gateway.sent.started_at == 25.0
    assert gateway.sent.bodies[:4] == [(25.0, COMMENT), (30.0, COMMENT), (35.0, COMMENT), (37.0, b"role a")]


async def test_before_the_headers_an_error_is_a_status(gateway: Gateway, world: World) -> None:
    """Two silent targets at the default time-outs take 24 s."""
    world.script("primary", HANG)
    world.script("fallback", HANG)
    error = await gateway.ask()
    assert isinstance(error, DeadlineExceeded)
    assert error.headers["x-llmops-attempts"] == "2"
    assert (world.time(), gateway.sent.messages) == (24.0, [])
    assert [settlement.http_status for settlement in gateway.ledger.settlements] == [504]


@pytest.mark.usefixtures("patient")
async def test_after_the_headers_an_error_is_told_in_the_stream(gateway: Gateway, world: World) -> None:
    world.script("primary", [Wait(40), unavailable()], *[unavailable() for _ in range(3)])
    world.script("fallback", *[unavailable() for _ in range(4)])
    assert await gateway.ask() is None
    assert gateway.sent.started_at == 25.0
    assert b'"error"' in gateway.sent.bodies[-1][1]
    (settlement,) = gateway.ledger.settlements
    assert (settlement.status, settlement.http_status) == (CompletionStatus.FAILED, 503)


async def test_a_buffered_answer_keeps_its_client_waiting_alive(gateway: Gateway, world: World) -> None:
    gateway.recovery = "buffer"
    world.script("primary", Stream.of(*[step for _ in range(4) for step in (text(b"a"), Wait(9))]))
    await gateway.ask(Wire.ANTHROPIC)
    assert [body for _, body in gateway.sent.bodies][:4] == [COMMENT, COMMENT, COMMENT, b"aaaa"]
    assert (gateway.sent.started_at, gateway.sent.bodies[3][0]) == (25.0, 36.0)


@pytest.mark.parametrize("after_seconds", [3, 27], ids=["before the headers", "after the headers"])
@pytest.mark.usefixtures("patient")
async def test_a_client_that_leaves_while_it_waits_cancels_the_call_and_is_settled(
    gateway: Gateway, world: World, after_seconds: float
) -> None:
    world.script("primary", Stream.of(frame(b"role "), HANG))
    asking = asyncio.create_task(gateway.ask())
    await asyncio.sleep(after_seconds)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)
    await asyncio.gather(*gateway.background)
    (settlement,) = gateway.ledger.settlements
    assert settlement.status is CompletionStatus.CANCELLED
    assert [attempt.outcome for attempt in settlement.attempts] == [AttemptOutcome.CANCELLED]
    assert world.primary.streams[0].closed


async def test_the_first_content_that_the_books_know_is_the_clients(gateway: Gateway, world: World) -> None:
    world.script("primary", Stream.of(Wait(2), text(b"hel"), Wait(6), broken()))
    world.script("fallback", Stream.of(Wait(3), text(b"lo")))
    await gateway.ask()
    (settlement,) = gateway.ledger.settlements
    assert [attempt.first_content_ms for attempt in settlement.attempts] == [2000, 3000]
    assert settlement.first_content_ms is not None
    arrived_at = gateway.ledger.intents[0].created_at.timestamp()
    assert arrived_at + settlement.first_content_ms / 1000 == pytest.approx(EPOCH_SECONDS + 2, abs=0.01)
    assert settlement.fallbacks[0].reason.startswith("stream broke after 3 characters; continued")


async def test_a_continuation_that_breaks_too_is_charged_for_the_text_it_was_given(
    gateway: Gateway, world: World
) -> None:
    world.script("primary", Stream.of(text(b"hel"), broken()))
    world.script("fallback", Stream.of(text(b"l"), broken()))
    gateway.retry = NO_RETRIES
    await gateway.ask()
    (settlement,) = gateway.ledger.settlements
    first, second = (attempt.usage.input_tokens for attempt in settlement.attempts)
    assert second - first == len("hel") + INSTRUCTION_BYTES_MAX + TRANSLATION_TOKENS
    assert settlement.cost_usd == sum(attempt.cost_usd for attempt in settlement.attempts)


async def test_nothing_is_sent_while_a_slow_client_holds_up_the_last_piece(virtual: VirtualClock) -> None:
    sent = Sent()

    class Quiet:
        clock = virtual.clock
        keep_alive = COMMENT

    async def slowly(message: Any) -> None:
        await sent.send(message)
        if message["body"] == b"data":
            await virtual.pass_time(20)

    async with KeepAlive(Quiet(), slowly) as client:
        await client.send(b"data")
        await virtual.pass_time(4)
    assert [body for _, body in sent.bodies] == [b"data"]
