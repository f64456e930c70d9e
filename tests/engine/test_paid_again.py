"""Before an attempt is made that may have to be paid beside an earlier one, somebody is asked."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.attempt import Attempt
from gateway.engine.completion import Completion
from gateway.engine.errors import BudgetExceeded
from gateway.engine.routing import Plan
from gateway.engine.words import AttemptOutcome, FailureKind
from tests.engine.scripted import ANSWER, ROUTE, World, failure, unavailable


class Asked:
    """Remembers for which attempts room was asked, and refuses from the given one on."""

    def __init__(self, refuse_from: int = 1_000) -> None:
        self.numbers: list[int] = []
        self._refuse_from = refuse_from

    async def __call__(self, attempt: Attempt) -> None:
        self.numbers.append(attempt.number)
        if attempt.number >= self._refuse_from:
            raise BudgetExceeded("no room")


def reset_after_sending() -> Any:
    return failure(FailureKind.CONNECTION, may_be_billed=True)


def completion(world: World, asked: Asked) -> Completion:
    plain = world.completion()
    return Completion(world.engine, plain.ask, Plan(ROUTE, {}), deadline_seconds=90, before_paid_again=asked)


async def test_nobody_is_asked_while_no_attempt_may_be_billed(world: World) -> None:
    world.script("primary", unavailable(), unavailable(), ANSWER)
    asked = Asked()
    await completion(world, asked).obtain()
    assert asked.numbers == []


async def test_every_attempt_after_one_that_may_be_billed_is_asked_for(world: World) -> None:
    world.script("primary", unavailable(), reset_after_sending(), unavailable(), unavailable())
    asked = Asked()
    await completion(world, asked).obtain()
    assert asked.numbers == [3, 4, 5]


async def test_a_refusal_ends_the_completion_before_the_attempt_is_made(world: World) -> None:
    world.script("primary", reset_after_sending())
    under_test = completion(world, Asked(refuse_from=2))
    with pytest.raises(BudgetExceeded):
        await under_test.obtain()
    assert [attempt.outcome for attempt in under_test.attempts] == [AttemptOutcome.FAILED]
    assert world.primary.calls == 1


async def test_a_fallback_that_was_refused_is_no_fallback(world: World) -> None:
    world.script("primary", failure(FailureKind.TIMEOUT, may_be_billed=True, retryable=False))
    under_test = completion(world, Asked(refuse_from=2))
    with pytest.raises(BudgetExceeded):
        await under_test.obtain()
    assert under_test.fallbacks == []
    assert world.fallback.calls == 0
