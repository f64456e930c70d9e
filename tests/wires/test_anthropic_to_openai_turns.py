"""Turns as Anthropic's clients write them: spread over several messages, empty, long, wrong.

Source: Anthropic, "API reference: Create a Message": consecutive turns of one role are combined into a single turn.
"""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.errors import InvalidRequest
from gateway.wires import Untranslatable
from gateway.wires.anthropic_to_openai_messages import CONTINUE_PREFILL

from .helpers import (
    ANTHROPIC,
    OLD_GPT,
    assistant,
    call,
    messages,
    send,
    sent,
    text,
    tool,
    tool_result,
    tool_use,
    user,
)

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
PART = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
USES = [tool_use("c1", "f", {}), tool_use("c2", "g", {})]
CALLS = [call("c1", "f"), call("c2", "g")]
THOUGHT = {"type": "thinking", "thinking": "x", "signature": "s"}


def translated(*turns: dict[str, Any]) -> list[Any]:
    result: list[Any] = sent(ANTHROPIC, messages(*turns), OLD_GPT)["messages"]
    return result


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        (
            [user([tool_result("c1", "x"), text("one")]), user([tool_result("c2", "y"), text("two")])],
            [tool("c1", "x"), tool("c2", "y"), user("one"), user("two")],
        ),
        (
            [user([tool_result("c1", [IMAGE])]), user([tool_result("c2", "y")]), user("so?")],
            [tool("c1", ""), tool("c2", "y"), user([text("Result of tool call c1:"), PART]), user("so?")],
        ),
        (
            [user([text("first"), tool_result("c2", "y"), text("then"), tool_result("c1", "x")])],
            [tool("c2", "y"), tool("c1", "x"), user([text("first"), text("then")])],
        ),
    ],
)
def test_results_spread_over_turns_stand_right_after_the_calls(answers: list[Any], expected: list[Any]) -> None:
    assert translated(user("a"), assistant(USES), *answers) == [user("a"), assistant(None, tool_calls=CALLS), *expected]


def test_calls_spread_over_turns_are_one_message() -> None:
    turns = [assistant("Let me see."), assistant([USES[0]]), assistant([text("And more."), USES[1]])]
    results = user([tool_result("c1", "x"), tool_result("c2", "y")])
    [_, message, *_] = translated(user("a"), *turns, results)
    assert message == assistant("Let me see.\n\nAnd more.", tool_calls=CALLS)


def test_neighbours_without_tools_stay_messages_of_their_own() -> None:
    turns = [user("a"), user([text("b")]), assistant("c"), assistant([text("d")]), user("e")]
    assert translated(*turns) == [user("a"), user("b"), assistant("c"), assistant("d"), user("e")]


@pytest.mark.parametrize("last", ["", [], [text("")], [THOUGHT]])
def test_an_empty_last_turn_asks_for_no_continuation(last: Any) -> None:
    assert translated(user("a"), assistant(last)) == [user("a")]


def test_a_last_turn_with_text_is_continued_even_if_it_ends_empty() -> None:
    assert translated(user("a"), assistant("{"), assistant("")) == [user("a"), assistant("{"), user(CONTINUE_PREFILL)]


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"system": 5}, "system"),
        ({"system": {"type": "text", "text": "x"}}, "system"),
        ({"system": [5]}, "system"),
        ({"messages": [user("a"), {"role": "system", "content": [5]}]}, "messages[1].content[0]"),
        ({"messages": [assistant("")]}, "messages"),
        ({"messages": [user([tool_result("c1", 5)])]}, "messages[0].content[0].content"),
        ({"messages": [user([tool_result("c1", [5])])]}, "messages[0].content[0].content[0]"),
        ({"messages": [user([tool_result("c1", [{"type": 5}])])]}, "messages[0].content[0].content[0]"),
        ({"messages": [user([{"type": "search_result", "content": "x"}])]}, "messages[0].content[0].content"),
    ],
)
def test_a_wrong_type_is_told_with_its_place(params: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        send(ANTHROPIC, messages() | params, OLD_GPT)
    assert refusal.value.param == param


LONG = "x" * 100_000


@pytest.mark.parametrize(
    "turn",
    [
        {"role": LONG, "content": "a"},
        user([{"type": LONG}]),
        assistant([{"type": LONG}]),
        user([tool_result("c1", [{"type": LONG}])]),
    ],
)
def test_an_error_quotes_the_beginning_only(turn: dict[str, Any]) -> None:
    with pytest.raises(Untranslatable) as refusal:
        send(ANTHROPIC, messages(turn), OLD_GPT)
    assert len(refusal.value.message) < 200


def test_of_a_thousand_missing_results_a_few_are_named() -> None:
    uses = [tool_use(f"call_{number}", "f", {}) for number in range(1000)]
    with pytest.raises(InvalidRequest) as refusal:
        send(ANTHROPIC, messages(user("a"), assistant(uses), user("b")), OLD_GPT)
    assert refusal.value.message.count("call_") == 5
