"""What the cheap model refuses or doesn't finish is asked of the strong one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from gateway.engine.completion import Completion
from gateway.engine.errors import GatewayError
from gateway.engine.exchange import Ask
from gateway.engine.routing import Plan
from gateway.engine.words import FailureKind, FinishReason, Wire
from tests.engine.scripted import ANSWER, FALLBACK, NO_RETRIES, PRIMARY, World, refused, target, unavailable

CHEAP = target(PRIMARY, "cheap", retry=NO_RETRIES)
STRONG = target(FALLBACK, "strong", retry=NO_RETRIES)
ASK = Ask("req", Wire.OPENAI, {}, b"{}", False)


def ending(reason: FinishReason) -> Any:
    return replace(ANSWER, body=reason.value.encode(), finish_reason=reason)


def completion(world: World, *, cheap: str = CHEAP.name) -> Completion:
    return Completion(world.engine, ASK, Plan((CHEAP, STRONG), {}, cheap=cheap), deadline_seconds=30)


@pytest.mark.parametrize("reason", [FinishReason.REFUSAL, FinishReason.LENGTH])
async def test_the_strong_model_is_asked_after_a_refusal_or_a_length_stop(world: World, reason: FinishReason) -> None:
    world.script("primary", ending(reason))
    asked = completion(world)
    assert await asked.obtain() == ANSWER
    assert [attempt.passed_over for attempt in asked.attempts] == [reason, None]
    assert asked.fallbacks[0].reason.startswith("the cheap model")
    assert asked.attempts[0].may_be_billed


async def test_a_good_answer_of_the_cheap_model_is_given_out(world: World) -> None:
    asked = completion(world)
    await asked.obtain()
    assert [attempt.target.model for attempt in asked.attempts] == ["cheap"]


async def test_a_length_stop_of_a_plan_without_a_cheap_model_is_the_answer(world: World) -> None:
    cut = ending(FinishReason.LENGTH)
    world.script("primary", cut)
    assert await completion(world, cheap="").obtain() == cut


async def test_the_cheap_models_rejection_of_a_parameter_is_not_the_clients_answer(world: World) -> None:
    world.script("primary", refused(FailureKind.INVALID_REQUEST, 400))
    assert await completion(world).obtain() == ANSWER


async def test_the_cheap_answer_is_given_out_after_all_when_the_strong_model_fails(world: World) -> None:
    cut = ending(FinishReason.LENGTH)
    world.script("primary", cut)
    world.script("fallback", unavailable())
    asked = completion(world)
    assert await asked.obtain() == cut
    assert asked.served is asked.attempts[0]
    assert asked.attempts[0].passed_over is None


async def test_an_error_is_one_where_no_model_answered(world: World) -> None:
    world.script("primary", unavailable())
    world.script("fallback", unavailable())
    with pytest.raises(GatewayError):
        await completion(world).obtain()
