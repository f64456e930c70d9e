"""An attempt that never got its request onto the wire can't be billed, however it ends."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from gateway.engine.configuration import Target
from gateway.engine.exchange import Ask
from gateway.engine.words import AttemptOutcome
from tests.engine.scripted import ANSWER, HANG, ScriptedCaller, World


class Telling(ScriptedCaller):
    """A caller that tells how far the request got before it does what its script says."""

    def __init__(self, on_wire: bool | None) -> None:
        super().__init__()
        self._on_wire = on_wire

    async def answer(self, ask: Ask, target: Target) -> Any:
        ask.passage.on_wire = self._on_wire
        return await super().answer(ask, target)


@pytest.mark.parametrize(("on_wire", "billed"), [(False, False), (True, True), (None, True)])
async def test_a_client_that_leaves_is_charged_only_for_what_was_sent(
    world: World, on_wire: bool | None, billed: bool
) -> None:
    world.callers["primary"] = Telling(on_wire)
    world.script("primary", HANG)
    completion = world.completion()
    obtaining = asyncio.create_task(completion.obtain())
    await asyncio.sleep(0.1)
    obtaining.cancel()
    await asyncio.gather(obtaining, return_exceptions=True)

    (attempt,) = completion.attempts
    assert (attempt.outcome, attempt.may_be_billed) == (AttemptOutcome.CANCELLED, billed)


@pytest.mark.parametrize(("on_wire", "billed"), [(False, False), (True, True), (None, True)])
async def test_a_time_out_is_charged_only_for_what_was_sent(world: World, on_wire: bool | None, billed: bool) -> None:
    world.callers["primary"] = Telling(on_wire)
    world.script("primary", HANG)
    completion = world.completion()

    assert await completion.obtain() is ANSWER

    assert completion.attempts[0].may_be_billed is billed
