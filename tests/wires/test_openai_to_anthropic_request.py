"""An OpenAI request for an Anthropic model, rule by rule (the parameters' table: docs/compatibility.md)."""

from __future__ import annotations

import time
from typing import Any

import orjson
import pytest

from gateway.engine.errors import InvalidRequest
from gateway.wires import Untranslatable

from .helpers import (
    DEFAULT_OUTPUT_TOKENS,
    NEW_CLAUDE,
    OLD_CLAUDE,
    OPENAI,
    assistant,
    call,
    chat,
    function_tool,
    send,
    sent,
    text,
    tool,
    tool_result,
    tool_use,
    user,
)

IMAGE = {"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}}
BLOCK = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "aGk="}}
SYSTEM = {"role": "system", "content": "S"}


@pytest.mark.parametrize(
    ("turns", "system", "expected"),
    [
        ([SYSTEM, user("a")], "S", [user("a")]),
        ([user("a"), {"role": "developer", "content": "D"}], "D", [user("a")]),
        ([SYSTEM, user("a"), {"role": "developer", "content": "D"}], [text("S"), text("D")], [user("a")]),
        ([{"role": "system", "content": [text("S"), text("T")]}, user("a")], [text("S"), text("T")], [user("a")]),
        ([{"role": "system", "content": ""}, user("a")], None, [user("a")]),
        ([SYSTEM], "S", [user("Begin.")]),
        ([user("a"), user("b")], None, [user([text("a"), text("b")])]),
        (
            [user("a"), assistant("b"), assistant("c"), user("d")],
            None,
            [user("a"), assistant([text("b"), text("c")]), user("d")],
        ),
        ([assistant("b"), user("d")], None, [user("Begin."), assistant("b"), user("d")]),
        ([user("a"), assistant(""), user("b")], None, [user([text("a"), text("b")])]),
        ([user("a"), assistant(None, refusal="no"), user("b")], None, [user("a"), assistant("no"), user("b")]),
        ([user([text(""), text("a")])], None, [user("a")]),
        ([user([text("a"), IMAGE])], None, [user([text("a"), BLOCK])]),
        ([{**user("a"), "name": "Ann"}], None, [user("a")]),
    ],
)
def test_messages_become_alternating_turns(turns: list[Any], system: Any, expected: list[Any]) -> None:
    body = sent(OPENAI, chat(*turns), NEW_CLAUDE)
    assert (body.get("system"), body["messages"]) == (system, expected)


@pytest.mark.parametrize(
    ("model", "turns", "last"),
    [
        (OLD_CLAUDE, [user("a"), assistant("so far \n")], assistant("so far")),
        (OLD_CLAUDE, [user("a"), assistant(" \n")], user("a")),
        (NEW_CLAUDE, [user("a"), assistant("so far ")], user("Continue.")),
    ],
)
def test_a_last_assistant_message_is_prefill_or_gets_a_reply(model: str, turns: list[Any], last: Any) -> None:
    assert sent(OPENAI, chat(*turns), model)["messages"][-1] == last


def test_parallel_calls_and_their_results_are_one_turn_each() -> None:
    calls = [call("call_1", "f", '{"a": 1.0, "b": 12345678901234567890123}'), call("call_2", "g", "")]
    turns = [user("a"), assistant("", tool_calls=calls), tool("call_1", "x"), tool("call_2", [text("y"), IMAGE])]
    translated = send(OPENAI, chat(*turns, user("and?")), NEW_CLAUDE)
    assert b'"input":{"a": 1.0, "b": 12345678901234567890123}' in translated.body
    body = orjson.loads(translated.body)
    assert [block["id"] for block in body["messages"][1]["content"]] == ["call_1", "call_2"]
    assert body["messages"][1]["content"][1]["input"] == {}
    assert body["messages"][2]["content"] == [
        tool_result("call_1", "x"),
        tool_result("call_2", [text("y"), BLOCK]),
        text("and?"),
    ]


def test_results_come_first_in_their_turn() -> None:
    turns = [user("a"), assistant(None, tool_calls=[call("c", "f")]), user("wait"), tool("c", "x")]
    content = sent(OPENAI, chat(*turns), NEW_CLAUDE)["messages"][2]["content"]
    assert [block["type"] for block in content] == ["tool_result", "text"]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", {}),
        (" ", {}),
        ("{}", {}),
        ('{"a":', {"_raw_arguments": '{"a":'}),
        ("[1]", {"_raw_arguments": "[1]"}),
        ("NaN", {"_raw_arguments": "NaN"}),
    ],
)
def test_arguments_become_an_object(arguments: str, expected: Any) -> None:
    turns = [user("a"), assistant(None, tool_calls=[call("c", "f", arguments)]), tool("c", "")]
    body = sent(OPENAI, chat(*turns), NEW_CLAUDE)
    assert body["messages"][1]["content"] == [tool_use("c", "f", expected)]
    assert body["messages"][2]["content"] == [tool_result("c")]


def test_an_id_that_an_earlier_turn_has_used_becomes_another_one_in_call_and_result() -> None:
    asked = [assistant(None, tool_calls=[call("call_0", "f")]), tool("call_0", "x")]
    turns = sent(OPENAI, chat(user("a"), *asked, *asked, *asked), NEW_CLAUDE)["messages"]
    called = [turn["content"][0]["id"] for turn in turns[1::2]]
    assert called[0] == "call_0"
    assert len(set(called)) == 3
    assert [turn["content"][0]["tool_use_id"] for turn in turns[2::2]] == called


def test_a_turn_of_thoughts_alone_is_left_out() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "abc"}
    turns = [user("a"), assistant("", thinking_blocks=[thought]), user("b")]
    assert sent(OPENAI, chat(*turns), NEW_CLAUDE)["messages"] == [user([text("a"), text("b")])]


LATER_SYSTEM = {"role": "developer", "content": "D"}


@pytest.mark.parametrize(
    ("model", "turns", "params", "kept"),
    [
        (NEW_CLAUDE, [], {}, True),
        (NEW_CLAUDE, [LATER_SYSTEM], {}, False),
        (NEW_CLAUDE, [], {"response_format": {"type": "json_object"}}, False),
        ("claude-opus-5", [LATER_SYSTEM], {}, True),
    ],
)
def test_thoughts_are_left_out_where_the_prompt_before_them_is_another(
    model: str, turns: list[Any], params: dict[str, Any], kept: bool
) -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "abc"}
    translated = send(
        OPENAI, chat(SYSTEM, user("a"), assistant("b", thinking_blocks=[thought]), *turns, user("c"), **params), model
    )
    assert orjson.loads(translated.body)["messages"][1]["content"] == ([thought, text("b")] if kept else "b")
    assert translated.context.keeps_thoughts is not bool(params)


def test_a_documents_title_is_no_longer_than_anthropic_takes() -> None:
    file = {"type": "file", "file": {"filename": "a" * 600, "file_data": "aGk="}}
    assert sent(OPENAI, chat(user([file])), NEW_CLAUDE)["messages"][0]["content"][0]["title"] == "a" * 500


def test_a_user_that_is_too_long_is_told_by_its_own_name() -> None:
    assert send(OPENAI, chat(safety_identifier="u" * 257, user="u"), NEW_CLAUDE).dropped == ("safety_identifier",)


def test_thoughts_before_prefill_are_left_out() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "abc"}
    turns = [user("a"), assistant("so far", thinking_blocks=[thought])]
    assert sent(OPENAI, chat(*turns), "claude-3-7-sonnet-20250219")["messages"][-1] == assistant("so far")


@pytest.mark.parametrize("call_id", ["functions.f:0", "call|1", "é", "x" * 200])
def test_ids_that_anthropic_refuses_are_mapped_alike_in_call_and_result(call_id: str) -> None:
    turns = [user("a"), assistant(None, tool_calls=[call(call_id, "f")]), tool(call_id, "x")]
    body = sent(OPENAI, chat(*turns), NEW_CLAUDE)
    mapped = body["messages"][1]["content"][0]["id"]
    assert mapped.isascii()
    assert mapped.replace("_", "").isalnum()
    assert body["messages"][2]["content"][0]["tool_use_id"] == mapped


def test_the_older_function_messages_pair_up() -> None:
    asked = assistant(None, function_call={"name": "f", "arguments": "{}"})
    body = sent(OPENAI, chat(user("a"), asked, {"role": "function", "name": "f", "content": "x"}), NEW_CLAUDE)
    assert body["messages"][1]["content"][0]["id"] == body["messages"][2]["content"][0]["tool_use_id"]


@pytest.mark.parametrize(
    "turns",
    [
        [user("a"), assistant(None, tool_calls=[call("c", "f")]), user("b")],
        [user("a"), assistant(None, tool_calls=[call("c", "f")])],
        [user("a"), tool("c", "x")],
        [user("a"), assistant(None, tool_calls=[call("c", "f")]), tool("d", "x")],
        [user("a"), assistant(None, tool_calls=[call("c", "f")]), tool("c", "x"), tool("c", "y")],
        [user("a"), assistant(None, tool_calls=[call("c", "f"), call("c", "f")]), tool("c", "x"), tool("c", "y")],
    ],
)
def test_calls_and_results_that_do_not_match_are_refused(turns: list[Any]) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        send(OPENAI, chat(*turns), NEW_CLAUDE)
    assert refusal.value.param == "messages"


def test_signed_thinking_comes_back_before_its_calls() -> None:
    thoughts = [
        {"index": 0, "type": "thinking", "thinking": "hm", "signature": "abc"},
        {"index": 1, "type": "redacted_thinking", "data": "zzz"},
        {"type": "thinking", "thinking": "unsigned"},
    ]
    turns = [user("a"), assistant("b", thinking_blocks=thoughts, tool_calls=[call("c", "f")]), tool("c", "x")]
    assert sent(OPENAI, chat(*turns), NEW_CLAUDE)["messages"][1]["content"] == [
        {"type": "thinking", "thinking": "hm", "signature": "abc"},
        {"type": "redacted_thinking", "data": "zzz"},
        text("b"),
        tool_use("c", "f", {}),
    ]


SCHEMA = {
    "type": "object",
    "properties": {
        "u": {"anyOf": [{"type": "string"}, {"type": "null"}]},
        "e": {"enum": [1, "a", None]},
        "n": {"type": "array", "items": {"type": "object", "properties": {"x": {"$ref": "#/$defs/X"}}}},
    },
    "$defs": {"X": {"type": "integer", "minimum": 3}},
    "required": ["u"],
}


def test_tool_schemas_arrive_unharmed() -> None:
    tools = [function_tool("f", SCHEMA, description="D"), {"type": "function", "function": {"name": "g"}}]
    assert sent(OPENAI, chat(tools=tools), NEW_CLAUDE)["tools"] == [
        {"name": "f", "input_schema": SCHEMA, "description": "D"},
        {"name": "g", "input_schema": {"type": "object"}},
    ]


@pytest.mark.parametrize(
    ("model", "schema", "strict"),
    [
        (NEW_CLAUDE, {"type": "object", "properties": {}, "additionalProperties": False}, True),
        (NEW_CLAUDE, SCHEMA, None),
        (OLD_CLAUDE, {"type": "object", "properties": {}, "additionalProperties": False}, None),
        (NEW_CLAUDE, {"type": "object", "properties": {"n": {"$ref": "#"}}, "additionalProperties": False}, None),
    ],
)
def test_strict_is_kept_where_the_target_takes_the_schema(model: str, schema: dict[str, Any], strict: Any) -> None:
    tools = sent(OPENAI, chat(tools=[function_tool("f", schema, strict=True)]), model)["tools"]
    assert (tools[0].get("strict"), tools[0]["input_schema"]) == (strict, schema)


@pytest.mark.parametrize(
    ("params", "choice"),
    [
        ({}, None),
        ({"tool_choice": "auto"}, {"type": "auto"}),
        ({"tool_choice": "none"}, {"type": "none"}),
        ({"tool_choice": "required"}, {"type": "any"}),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, {"type": "tool", "name": "f"}),
        ({"parallel_tool_calls": True}, None),
        ({"parallel_tool_calls": False}, {"type": "auto", "disable_parallel_tool_use": True}),
        (
            {"parallel_tool_calls": False, "tool_choice": "required"},
            {"type": "any", "disable_parallel_tool_use": True},
        ),
        ({"parallel_tool_calls": False, "tool_choice": "none"}, {"type": "none"}),
    ],
)
def test_tool_choice(params: dict[str, Any], choice: Any) -> None:
    body = sent(OPENAI, chat(tools=[function_tool("f")], **params), OLD_CLAUDE)
    assert body.get("tool_choice") == choice


@pytest.mark.parametrize(
    ("params", "asked", "dropped"),
    [
        ({"tool_choice": "required"}, "one or more of your tools", ("tool_choice",)),
        ({"tool_choice": {"type": "function", "function": {"name": "f"}}}, "the tool 'f'", ("tool_choice",)),
        ({"tool_choice": "auto"}, None, ()),
    ],
)
@pytest.mark.parametrize("model", [NEW_CLAUDE, "claude-opus-5-5", "claude-fable-5-1", "claude-opus-9"])
def test_a_model_that_refuses_forced_tools_is_asked_for_the_call(
    model: str, params: dict[str, Any], asked: str | None, dropped: tuple[str, ...]
) -> None:
    translated = send(OPENAI, chat(SYSTEM, user("a"), tools=[function_tool("f")], **params), model)
    body = orjson.loads(translated.body)
    assert body["tool_choice"] == {"type": "auto"}
    assert translated.dropped == dropped
    if asked is None:
        assert body["system"] == "S"
    else:
        assert body["system"][0] == text("S")
        assert asked in body["system"][1]["text"]


@pytest.mark.parametrize("model", ["claude-opus-5", "claude-haiku-5-5", "claude-sonnet-4-6", "claude-opus-4-8"])
def test_other_models_are_forced(model: str) -> None:
    body = sent(OPENAI, chat(tools=[function_tool("f")], tool_choice="required"), model)
    assert body["tool_choice"] == {"type": "any"}


def test_a_function_call_is_forced_by_its_older_name_too() -> None:
    function = {"name": "f", "parameters": {"type": "object"}}
    body = sent(OPENAI, chat(functions=[function], function_call={"name": "f"}), OLD_CLAUDE)
    assert body["tool_choice"] == {"type": "tool", "name": "f", "disable_parallel_tool_use": True}
    assert send(OPENAI, chat(functions=[function], function_call={"name": "f"}), NEW_CLAUDE).dropped == (
        "function_call",
    )


def test_allowed_tools_leave_only_those() -> None:
    allowed = {"mode": "required", "tools": [{"type": "function", "function": {"name": "g"}}]}
    choice = {"type": "allowed_tools", "allowed_tools": allowed}
    body = sent(OPENAI, chat(tools=[function_tool("f"), function_tool("g")], tool_choice=choice), OLD_CLAUDE)
    assert [each["name"] for each in body["tools"]] == ["g"]
    assert body["tool_choice"] == {"type": "any"}


def test_calls_in_a_conversation_without_tools_are_declared_but_not_to_be_made() -> None:
    turns = [user("a"), assistant(None, tool_calls=[call("c", "f")]), tool("c", "x")]
    body = sent(OPENAI, chat(*turns), NEW_CLAUDE)
    assert body["tools"] == [{"name": "f", "input_schema": {"type": "object"}}]
    assert body["tool_choice"] == {"type": "none"}


@pytest.mark.parametrize(
    ("params", "limit"),
    [
        ({}, DEFAULT_OUTPUT_TOKENS),
        ({"max_tokens": 7}, 7),
        ({"max_completion_tokens": 8}, 8),
        ({"max_tokens": 7, "max_completion_tokens": 8}, 8),
        ({"max_tokens": 100_000}, 8_192),
    ],
)
def test_the_output_limit(params: dict[str, int], limit: int) -> None:
    assert sent(OPENAI, chat(**params), OLD_CLAUDE)["max_tokens"] == limit


@pytest.mark.parametrize(("asked", "told"), [(0, 0), (0.7, 0.7), (1, 1), (2, 1)])
def test_temperature_is_capped(asked: float, told: float) -> None:
    assert sent(OPENAI, chat(temperature=asked), OLD_CLAUDE)["temperature"] == told


def test_the_version_without_sampling_takes_none() -> None:
    translated = send(OPENAI, chat(temperature=0.5), OLD_CLAUDE, anthropic_version="2026-10-21")
    assert translated.dropped == ("temperature",)


def test_claude_4_takes_one_sampling_knob() -> None:
    translated = send(OPENAI, chat(temperature=0.5, top_p=0.5), "claude-sonnet-4-5")
    assert translated.dropped == ("top_p",)


FORMAT = {"type": "json_schema", "json_schema": {"name": "my answer", "description": "D", "schema": SCHEMA}}


def test_structured_output_without_native_support_is_a_forced_tool() -> None:
    translated = send(OPENAI, chat(response_format=FORMAT), OLD_CLAUDE)
    body = orjson.loads(translated.body)
    assert body["tools"] == [{"name": "my_answer", "description": "D", "input_schema": SCHEMA}]
    assert body["tool_choice"] == {"type": "tool", "name": "my_answer", "disable_parallel_tool_use": True}
    assert translated.context.answer_tool == "my_answer"


def test_structured_output_beside_tools_leaves_the_model_the_choice() -> None:
    body = sent(OPENAI, chat(response_format=FORMAT, tools=[function_tool("my_answer")]), OLD_CLAUDE)
    assert [each["name"] for each in body["tools"]] == ["my_answer", "my_answer_"]
    assert body["tool_choice"] == {"type": "any"}


def test_native_structured_output_gets_a_schema_anthropic_takes() -> None:
    schema = sent(OPENAI, chat(response_format=FORMAT), NEW_CLAUDE)["output_config"]["format"]["schema"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["n"]["items"]["additionalProperties"] is False
    assert schema["$defs"]["X"] == {"type": "integer", "description": "{minimum: 3}"}
    assert schema["properties"]["u"] == SCHEMA["properties"]["u"]


JSON_ONLY = "Whatever you say in text must be one JSON object, with no word and no code fence around it"
MAP = {"type": "object", "properties": {"m": {"type": "object", "additionalProperties": {"type": "number"}}}}
TREE = {
    "type": "object",
    "properties": {"root": {"$ref": "#/$defs/N"}},
    "$defs": {"N": {"type": "object", "properties": {"next": {"anyOf": [{"$ref": "#/$defs/N"}, {"type": "null"}]}}}},
}
LIST = {"type": "object", "properties": {"next": {"$ref": "#"}}}


def test_a_json_object_is_asked_for_where_no_tool_can_be_forced() -> None:
    translated = send(OPENAI, chat(response_format={"type": "json_object"}, tools=[function_tool("f")]), NEW_CLAUDE)
    body = orjson.loads(translated.body)
    assert body["system"] == f"{JSON_ONLY}."
    assert [each["name"] for each in body["tools"]] == ["f"]
    assert translated.context.answer_tool is None


@pytest.mark.parametrize("schema", [MAP, TREE, LIST, {"type": "object"}, {"type": "object", "properties": {"a": True}}])
def test_a_schema_that_can_not_be_closed_is_asked_for_otherwise(schema: dict[str, Any]) -> None:
    wanted = {"type": "json_schema", "json_schema": {"name": "a", "schema": schema}}
    body = sent(OPENAI, chat(response_format=wanted), NEW_CLAUDE)
    assert body["system"] == f"{JSON_ONLY}, and match this JSON schema: {orjson.dumps(schema).decode()}"
    assert "output_config" not in body
    forced = sent(OPENAI, chat(response_format=wanted), "claude-sonnet-4-5")
    assert forced["tools"][0]["input_schema"] == schema


def test_formats_and_keywords_that_anthropic_has_not_are_told_in_the_description() -> None:
    properties = {
        "a": {"type": "string", "format": "date"},
        "b": {"type": "string", "format": "iri"},
        "c": {"type": "string", "examples": ["x"]},
    }
    wanted = {"name": "a", "schema": {"type": "object", "properties": properties}}
    body = sent(OPENAI, chat(response_format={"type": "json_schema", "json_schema": wanted}), NEW_CLAUDE)
    assert body["output_config"]["format"]["schema"]["properties"] == {
        "a": {"type": "string", "format": "date"},
        "b": {"type": "string", "description": "{format: iri}"},
        "c": {"type": "string", "description": "{examples: ['x']}"},
    }


A_OR_B = [
    {"properties": {"a": {"type": "string"}, "k": {"const": 1}}, "required": ["a", "k"]},
    {"$ref": "#/$defs/B"},
]
DEFINED = {"B": {"properties": {"b": {"type": "integer"}, "k": {"const": 2}}, "required": ["b", "k"]}}


@pytest.mark.parametrize(
    ("key", "required"), [("oneOf", ["x", "k"]), ("anyOf", ["x", "k"]), ("allOf", ["x", "a", "k", "b"])]
)
def test_alternatives_at_the_top_of_a_tools_schema_become_one_object(key: str, required: list[str]) -> None:
    schema = {key: A_OR_B, "properties": {"x": {}}, "required": ["x"], "$defs": DEFINED, "description": "D"}
    told = sent(OPENAI, chat(tools=[function_tool("f", schema, strict=True)]), NEW_CLAUDE)["tools"][0]
    assert "strict" not in told
    merged = told["input_schema"]
    assert merged["type"] == "object"
    kinds = {"allOf" if key == "allOf" else "anyOf": [{"const": 1}, {"const": 2}]}
    assert merged["properties"] == {"x": {}, "a": {"type": "string"}, "b": {"type": "integer"}, "k": kinds}
    assert merged["required"] == required
    assert key not in merged
    assert merged["description"].startswith("D\n\n")
    assert orjson.dumps({key: A_OR_B}).decode() in merged["description"]


@pytest.mark.parametrize(
    ("model", "params", "thinking", "dropped"),
    [
        (NEW_CLAUDE, {"reasoning_effort": "high"}, {"type": "adaptive", "display": "summarized"}, ()),
        (NEW_CLAUDE, {"reasoning_effort": "none"}, {"type": "between_tools"}, ()),
        ("claude-haiku-5-5", {"reasoning_effort": "none"}, {"type": "disabled"}, ()),
        ("claude-opus-5-5", {"reasoning_effort": "none"}, None, ("reasoning_effort",)),
        ("claude-opus-4-8", {"reasoning_effort": "none"}, None, ()),
        (
            "claude-sonnet-4-5",
            {"reasoning_effort": "medium", "max_tokens": 9000},
            {"type": "enabled", "budget_tokens": 4500},
            (),
        ),
        (
            "claude-sonnet-4-5",
            {"reasoning_effort": "high", "max_tokens": 9000},
            {"type": "enabled", "budget_tokens": 4500},
            (),
        ),
        ("claude-sonnet-4-5", {"reasoning_effort": "low", "max_tokens": 2000}, None, ("reasoning_effort",)),
        (
            "claude-sonnet-4-5",
            {"reasoning_effort": "low", "temperature": 0.5},
            {"type": "enabled", "budget_tokens": 2000},
            ("temperature",),
        ),
        (
            "claude-sonnet-4-5",
            {"reasoning_effort": "low", "tools": [function_tool("f")], "tool_choice": "required"},
            None,
            ("reasoning_effort",),
        ),
        (OLD_CLAUDE, {"reasoning_effort": "low"}, None, ("reasoning_effort",)),
    ],
)
def test_reasoning_effort(model: str, params: dict[str, Any], thinking: Any, dropped: tuple[str, ...]) -> None:
    translated = send(OPENAI, chat(**params), model)
    assert orjson.loads(translated.body).get("thinking") == thinking
    assert translated.dropped == dropped


def test_a_call_begun_elsewhere_is_finished_without_a_thinking_budget() -> None:
    turns = [user("a"), assistant(None, tool_calls=[call("c", "f")]), tool("c", "x")]
    translated = send(OPENAI, chat(*turns, reasoning_effort="low"), "claude-sonnet-4-5")
    assert translated.dropped == ("reasoning_effort",)


@pytest.mark.parametrize(("stop", "told"), [("a", ["a"]), (["a", "b"], ["a", "b"]), (["a", " "], ["a"]), ("\n", None)])
def test_stop(stop: Any, told: Any) -> None:
    assert sent(OPENAI, chat(stop=stop), NEW_CLAUDE).get("stop_sequences") == told


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"n": 2}, "n"),
        ({"logprobs": True}, "logprobs"),
        ({"web_search_options": {}}, "web_search_options"),
        ({"modalities": ["audio"]}, "modalities"),
        ({"tools": [{"type": "custom", "custom": {"name": "x"}}]}, "tools[0].type"),
    ],
)
def test_what_the_target_can_not_do_skips_it(params: dict[str, Any], param: str) -> None:
    with pytest.raises(Untranslatable) as refusal:
        send(OPENAI, chat(**params), NEW_CLAUDE)
    error = refusal.value
    assert (error.param, error.retryable, error.counts_against_breaker) == (param, False, False)


@pytest.mark.parametrize(
    "params", [{"n": 1}, {"logprobs": False}, {"seed": None}, {"logit_bias": {}}, {"store": False}]
)
def test_what_asks_for_nothing_is_not_told(params: dict[str, Any]) -> None:
    assert send(OPENAI, chat(**params), NEW_CLAUDE).dropped == ()


@pytest.mark.parametrize(
    ("params", "param"),
    [
        ({"stop": 5}, "stop"),
        ({"temperature": "hot"}, "temperature"),
        ({"reasoning_effort": "huge"}, "reasoning_effort"),
        ({"response_format": {"type": "yaml"}}, "response_format"),
        ({"response_format": {"type": "json_schema"}}, "response_format.json_schema"),
        ({"tools": [{"type": "function", "function": {}}]}, "tools[0].function"),
        ({"tools": [function_tool("f")], "tool_choice": "sometimes"}, "tool_choice"),
        (
            {"tools": [function_tool("f")], "tool_choice": {"type": "function", "function": {"name": "g"}}},
            "tool_choice",
        ),
        ({"functions": [{"name": "f"}], "function_call": {"name": "g"}}, "function_call"),
        (
            {"messages": [user([{"type": "image_url", "image_url": {"url": "cat.png"}}])]},
            "messages[0].content[0].image_url.url",
        ),
        ({"messages": [user("a"), assistant(None, tool_calls=[{"id": "x"}])]}, "messages[1].tool_calls[0].function"),
        ({"messages": [user("a"), tool("", "x")]}, "messages[1].tool_call_id"),
    ],
)
def test_nonsense_is_named(params: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        send(OPENAI, chat() | params, NEW_CLAUDE)
    assert refusal.value.param == param


def test_schemas_and_ids_that_multiply_are_read_in_time() -> None:
    half = {f"D{at}": {"anyOf": [{"$ref": f"#/$defs/D{at + 1}"}] * 2} for at in range(40)}
    schema = {"type": "object", "properties": {"a": {"$ref": "#/$defs/D0"}}, "$defs": half | {"D40": {"type": "null"}}}
    branches = [{"properties": {"k": {"const": at}}, "required": [f"r{at}"]} for at in range(3_000)]
    asked = [assistant(None, tool_calls=[call("c", "f")]), tool("c", "x")] * 500
    payload = chat(
        user("a"),
        *asked,
        tools=[function_tool("f", {"anyOf": branches})],
        response_format={"type": "json_schema", "json_schema": {"name": "a", "schema": schema}},
    )
    started = time.process_time()
    body = sent(OPENAI, payload, NEW_CLAUDE)
    assert time.process_time() - started < 1
    assert "output_config" in body
