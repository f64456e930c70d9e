"""What is never translated goes to providers of its own wire alone."""

from __future__ import annotations

import pytest

from gateway.engine.configuration import Provider, Route, Target
from gateway.engine.errors import InvalidRequest
from gateway.engine.routing import able_targets, plan_completion
from gateway.engine.words import Operation, Wire

GPT = Target.of(Provider("openai", Wire.OPENAI, "http://127.0.0.1"), "gpt")
CLAUDE = Target.of(Provider("anthropic", Wire.ANTHROPIC, "http://127.0.0.1"), "claude")
METERED = pytest.mark.parametrize("operation", [Operation.RESPONSES, Operation.EMBEDDINGS])


def able(operation: Operation, *targets: Target) -> tuple[tuple[Target, ...], object]:
    plan = able_targets(plan_completion(Route("r", targets), "r"), operation)
    return plan.targets, plan.decision.get(f"left_out_without_{operation.value}")


@METERED
def test_targets_of_another_kind_are_left_out_and_named(operation: Operation) -> None:
    assert able(operation, CLAUDE, GPT) == ((GPT,), ["anthropic/claude"])


@METERED
def test_nothing_is_said_where_nothing_is_left_out(operation: Operation) -> None:
    assert able(operation, GPT) == ((GPT,), None)


@METERED
def test_with_no_target_left_the_request_is_refused(operation: Operation) -> None:
    with pytest.raises(InvalidRequest, match=f"can't serve {operation.value}.*kind openai.*anthropic/claude"):
        able(operation, CLAUDE)


@pytest.mark.parametrize("operation", [Operation.CHAT, Operation.MESSAGES, Operation.COUNT_TOKENS])
def test_what_can_be_translated_may_go_anywhere(operation: Operation) -> None:
    assert able(operation, CLAUDE, GPT) == ((CLAUDE, GPT), None)
