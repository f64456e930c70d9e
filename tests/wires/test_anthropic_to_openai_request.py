"""An Anthropic request for an OpenAI model, rule by rule (the parameters' table: docs/compatibility.md)."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.errors import InvalidRequest
from gateway.wires import Untranslatable
from gateway.wires.anthropic_to_openai_messages import CONTINUE_PREFILL

from .helpers import (
    ANTHROPIC,
    NEW_GPT,
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
SYSTEM = {"role": "system", "content": "S"}


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"system": "S"}, [SYSTEM, user("hi")]),
        (
            {"system": [text("S"), {**text("T"), "cache_control": {"type": "ephemeral"}}]},
            [{**SYSTEM, "content": "S\n\nT"}, user("hi")],
        ),
        ({"system": ""}, [user("hi")]),
        ({"messages": [user("a"), SYSTEM, user("b")]}, [user("a"), SYSTEM, user("b")]),
        ({"messages": [user([text("a")])]}, [user("a")]),
        ({"messages": [user([text("a"), IMAGE])]}, [user([text("a"), PART])]),
        ({"messages": [user([])]}, [user("")]),
        (
            {"messages": [user("a"), assistant([text("b"), text("c")]), user("d")]},
            [user("a"), assistant("bc"), user("d")],
        ),
        (
            {"messages": [user("a"), assistant([{"type": "thinking", "thinking": "x", "signature": "s"}]), user("d")]},
            [user("a"), user("d")],
        ),
        ({"messages": [user("a"), assistant("{")]}, [user("a"), assistant("{"), user(CONTINUE_PREFILL)]),
    ],
)
def test_turns_become_messages(params: dict[str, Any], expected: list[Any]) -> None:
    assert sent(ANTHROPIC, messages() | params, OLD_GPT)["messages"] == expected


def test_calls_and_results_pair_up_with_text_and_pictures_after_them() -> None:
    uses = [text("so"), tool_use("toolu_1", "f", {"a": 1.0}), tool_use("toolu_2", "g", {})]
    results = [tool_result("toolu_1", "x"), tool_result("toolu_2", [text("y"), IMAGE]), text("and?")]
    body = sent(ANTHROPIC, messages(user("a"), assistant(uses), user(results)), OLD_GPT)
    assert body["messages"][1:] == [
        assistant("so", tool_calls=[call("toolu_1", "f", '{"a":1.0}'), call("toolu_2", "g")]),
        tool("toolu_1", "x"),
        tool("toolu_2", "y"),
        user([text("Result of tool call toolu_2:"), PART, text("and?")]),
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [("boom", "Error: boom"), ("Error: boom", "Error: boom"), (None, "Error: "), ([text("a")], "Error: a")],
)
def test_failed_tools_say_so(content: Any, told: str) -> None:
    turns = [user("a"), assistant([tool_use("c", "f", {})]), user([tool_result("c", content, is_error=True)])]
    assert sent(ANTHROPIC, messages(*turns), OLD_GPT)["messages"][2]["content"] == told


def test_arguments_that_were_no_json_come_back_as_they_were() -> None:
    turns = [user("a"), assistant([tool_use("c", "f", {"_raw_arguments": '{"a":'})]), user([tool_result("c")])]
    arguments = sent(ANTHROPIC, messages(*turns), OLD_GPT)["messages"][1]["tool_calls"][0]["function"]["arguments"]
    assert arguments == '{"a":'


@pytest.mark.parametrize(
    "turns",
    [
        [user("a"), assistant([tool_use("c", "f", {})]), user("b")],
        [user("a"), assistant([tool_use("c", "f", {})])],
        [user([tool_result("c", "x")])],
    ],
)
def test_calls_and_results_that_do_not_match_are_refused(turns: list[Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        send(ANTHROPIC, messages(*turns), OLD_GPT)
    assert refusal.value.param == "messages"


SCHEMA = {"type": "object", "properties": {"u": {"anyOf": [{"type": "string"}, {"type": "null"}]}}, "minProperties": 1}
CLOSED = {"type": "object", "properties": {"a": {}}, "required": ["a"], "additionalProperties": False}


@pytest.mark.parametrize(("schema", "strict"), [(SCHEMA, None), (CLOSED, True)])
def test_tool_schemas_arrive_unharmed_and_strict_where_taken(schema: dict[str, Any], strict: Any) -> None:
    tools = [{"name": "f", "description": "D", "input_schema": schema, "strict": True}]
    function = sent(ANTHROPIC, messages(tools=tools), OLD_GPT)["tools"][0]["function"]
    assert function["parameters"] == schema
    assert function.get("strict") is strict


TOOLS = [{"name": "f", "input_schema": {"type": "object"}}]


@pytest.mark.parametrize(
    ("choice", "told", "parallel"),
    [
        (None, None, None),
        ({"type": "auto"}, "auto", None),
        ({"type": "any"}, "required", None),
        ({"type": "none"}, "none", None),
        ({"type": "tool", "name": "f"}, {"type": "function", "function": {"name": "f"}}, None),
        ({"type": "auto", "disable_parallel_tool_use": True}, "auto", False),
    ],
)
def test_tool_choice(choice: Any, told: Any, parallel: Any) -> None:
    body = sent(ANTHROPIC, messages(tools=TOOLS, tool_choice=choice), OLD_GPT)
    assert (body.get("tool_choice"), body.get("parallel_tool_calls")) == (told, parallel)


def test_long_tool_names_are_shortened_everywhere_and_remembered() -> None:
    name = "n" * 100
    turns = [user("a"), assistant([tool_use("c", name, {})]), user([tool_result("c", "x")])]
    tools = [{"name": name, "input_schema": {"type": "object"}}]
    translated = send(ANTHROPIC, messages(*turns, tools=tools, tool_choice={"type": "tool", "name": name}), OLD_GPT)
    [(short, long)] = translated.context.tool_names.items()
    assert (len(short), long) == (64, name)
    assert translated.body.count(f'"{short}"'.encode()) == 3


@pytest.mark.parametrize(
    ("model", "limit", "field", "told"),
    [
        (OLD_GPT, 77, "max_tokens", 77),
        (OLD_GPT, 100_000, "max_tokens", 4_096),
        (NEW_GPT, 77, "max_completion_tokens", 77),
        (OLD_GPT, 0, "max_tokens", 1),
    ],
)
def test_the_output_limit(model: str, limit: int, field: str, told: int) -> None:
    body = sent(ANTHROPIC, messages(max_tokens=limit), model)
    assert {name: value for name, value in body.items() if name.startswith("max")} == {field: told}


@pytest.mark.parametrize(("user_id", "length"), [("u" * 64, 64), ("u" * 150, 64)])
def test_long_user_ids_become_a_digest(user_id: str, length: int) -> None:
    told = sent(ANTHROPIC, messages(metadata={"user_id": user_id}), OLD_GPT)["user"]
    assert len(told) == length
    assert told == sent(ANTHROPIC, messages(metadata={"user_id": user_id}), OLD_GPT)["user"]


def test_streams_ask_for_usage() -> None:
    body = sent(ANTHROPIC, messages(stream=True), OLD_GPT)
    assert (body["stream"], body["stream_options"]) == (True, {"include_usage": True})


@pytest.mark.parametrize(
    ("params", "effort"),
    [
        ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "low"),
        ({"thinking": {"type": "enabled", "budget_tokens": 10_000}}, "medium"),
        ({"thinking": {"type": "enabled", "budget_tokens": 30_000}}, "high"),
        ({"thinking": {"type": "adaptive"}}, None),
        ({"thinking": {"type": "adaptive"}, "output_config": {"effort": "max"}}, "xhigh"),
        ({"output_config": {"effort": "low"}}, "low"),
    ],
)
def test_thinking_becomes_effort(params: dict[str, Any], effort: str | None) -> None:
    assert sent(ANTHROPIC, messages(**params), NEW_GPT).get("reasoning_effort") == effort


SILENT_WITH_TOOLS = "gpt-6-luna"
THINKING = {"thinking": {"type": "adaptive"}, "output_config": {"effort": "high"}}


@pytest.mark.parametrize(
    ("model", "params", "effort", "dropped"),
    [
        (SILENT_WITH_TOOLS, {"tools": TOOLS}, "none", ()),
        (SILENT_WITH_TOOLS, {"tools": TOOLS, **THINKING}, "none", ("output_config.effort", "thinking")),
        (SILENT_WITH_TOOLS, THINKING, "high", ()),
        (SILENT_WITH_TOOLS, {}, None, ()),
        ("gpt-5.4-mini", {"tools": TOOLS}, "none", ()),
        (NEW_GPT, {"tools": TOOLS, **THINKING}, "high", ()),
        (NEW_GPT, {"tools": TOOLS}, None, ()),
        ("o3", {"tools": TOOLS}, None, ()),
        (SILENT_WITH_TOOLS, {"thinking": {"type": "disabled"}}, "none", ()),
        (NEW_GPT, {"thinking": {"type": "disabled"}}, None, ()),
        (NEW_GPT, {"thinking": {"type": "disabled"}, "output_config": {"effort": "low"}}, "low", ()),
        (OLD_GPT, {"thinking": {"type": "disabled"}}, None, ()),
    ],
)
def test_models_that_take_tools_only_without_reasoning_are_told_not_to_reason(
    model: str, params: dict[str, Any], effort: str | None, dropped: tuple[str, ...]
) -> None:
    assert sent(ANTHROPIC, messages(**params), model).get("reasoning_effort") == effort
    assert send(ANTHROPIC, messages(**params), model).dropped == dropped


FORMAT = {"output_config": {"format": {"type": "json_schema", "schema": CLOSED}}}


def test_native_structured_output() -> None:
    form = sent(ANTHROPIC, messages(**FORMAT), NEW_GPT)["response_format"]
    assert form == {"type": "json_schema", "json_schema": {"name": "answer", "schema": CLOSED, "strict": True}}


def test_structured_output_without_native_support_is_a_forced_function() -> None:
    translated = send(ANTHROPIC, messages(**FORMAT), OLD_GPT)
    body = sent(ANTHROPIC, messages(**FORMAT), OLD_GPT)
    assert body["tool_choice"] == {"type": "function", "function": {"name": translated.context.answer_tool}}
    assert body["tools"][0]["function"]["parameters"] == CLOSED


def test_a_lowered_limit_counts() -> None:
    assert sent(ANTHROPIC, messages(max_tokens=90), OLD_GPT, output_limit_tokens=40)["max_tokens"] == 40


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"stop_sequences": "x"}, "stop_sequences"),
        ({"temperature": True}, "temperature"),
        ({"tools": [{"name": "f"}]}, "tools[0]"),
        ({"tools": TOOLS, "tool_choice": {"type": "maybe"}}, "tool_choice"),
        ({"thinking": {"type": "enabled"}}, "thinking.budget_tokens"),
        ({"thinking": "on"}, "thinking"),
        ({"output_config": "high"}, "output_config"),
        ({"output_config": {"effort": []}}, "output_config.effort"),
        ({"service_tier": ["auto"]}, "service_tier"),
        ({"output_config": {"effort": "huge"}}, "output_config.effort"),
        ({"output_config": {"format": {"type": "xml"}}}, "output_config.format"),
        ({"messages": [user([{"type": "text"}])]}, "messages[0].content[0]"),
        ({"messages": [user([{"type": "image", "source": "x"}])]}, "messages[0].content[0].source"),
        ({"messages": [user("a"), assistant([{"type": "tool_use"}])]}, "messages[1].content[0]"),
    ],
)
def test_nonsense_is_named(params: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        send(ANTHROPIC, messages() | params, NEW_GPT)
    assert refusal.value.param == param


def test_a_thread_is_begun_but_not_kept() -> None:
    translated = send(ANTHROPIC, messages(thread={"type": "create"}), OLD_GPT)
    assert translated.dropped == ("thread",)


def test_a_thread_that_lies_at_anthropic_is_not_gone_on_with() -> None:
    with pytest.raises(Untranslatable) as refusal:
        send(ANTHROPIC, messages(thread={"type": "continue", "previous_message_id": "msg_1"}), OLD_GPT)
    assert (refusal.value.param, refusal.value.code) == ("thread", "thread_not_found")
