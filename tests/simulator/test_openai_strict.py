"""What OpenAI refuses is refused, with its status, field and code."""

from typing import Any

import openai
import pytest

USER = {"role": "user", "content": "Hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "look", "arguments": "{}"}}
ASKS = {"role": "assistant", "content": None, "tool_calls": [CALL]}
TOOL = {"type": "function", "function": {"name": "look", "parameters": {"type": "object", "properties": {}}}}
OPEN_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}


def _form(**fields: Any) -> dict[str, Any]:
    return {"response_format": {"type": "json_schema", "json_schema": fields}}


def _named(name: str) -> dict[str, Any]:
    return {"type": "function", "function": {"name": name}}


REFUSED: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    # changes to a valid request, param, code, a part of the message
    ({"model": ...}, None, None, "you must provide a model parameter"),
    ({"model": 7}, "model", "invalid_type", "expected a string, but got an integer"),
    ({"messages": ...}, "messages", "missing_required_parameter", "Missing required parameter: 'messages'."),
    ({"messages": "hi"}, "messages", "invalid_type", "expected an array of objects, but got a string"),
    ({"messages": []}, "messages", "empty_array", "empty array"),
    ({"messages": ["hi"]}, "messages[0]", "invalid_type", "expected an object"),
    ({"messages": [{"content": "hi"}]}, "messages[0].role", "missing_required_parameter", "messages[0].role"),
    ({"messages": [{"role": "boss", "content": "hi"}]}, "messages[0].role", "invalid_value", "'boss'"),
    ({"messages": [{"role": "user"}]}, "messages[0].content", "missing_required_parameter", "content"),
    ({"messages": [{"role": "user", "content": None}]}, "messages[0].content", None, "got null"),
    (
        {"messages": [{"role": "user", "content": 5}]},
        "messages[0].content",
        "invalid_type",
        "array of objects",
    ),
    ({"messages": [{"role": "user", "content": []}]}, "messages[0].content", "empty_array", "empty array"),
    (
        {"messages": [{"role": "user", "content": [{"type": "video"}]}]},
        "messages[0].content[0].type",
        "invalid_value",
        "'video'",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": {"url": "cat.png"}}]}]},
        "messages[0].content[0].image_url.url",
        "invalid_value",
        "valid URL",
    ),
    (
        {"messages": [{"role": "user", "content": [{"type": "image_url", "image_url": "https://x/a.png"}]}]},
        "messages[0].content[0].image_url",
        "invalid_type",
        "expected an object",
    ),
    ({"messages": [USER, {"role": "assistant"}]}, "messages[1].content", None, "got null"),
    (
        {"messages": [USER, {"role": "assistant", "tool_calls": []}]},
        "messages[1].tool_calls",
        "empty_array",
        "empty",
    ),
    (
        {"messages": [USER, {"role": "assistant", "tool_calls": [{**CALL, "id": None}]}]},
        "messages[1].tool_calls[0].id",
        "missing_required_parameter",
        "tool_calls[0].id",
    ),
    (
        {"messages": [USER, {"role": "assistant", "tool_calls": [_named("look") | {"id": "c"}]}]},
        "messages[1].tool_calls[0].function.arguments",
        "missing_required_parameter",
        "arguments",
    ),
    (
        {"messages": [USER, ASKS, USER]},
        "messages.[2].role",
        None,
        "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
        "'tool_call_id'. The following tool_call_ids did not have response messages: call_1",
    ),
    ({"messages": [USER, ASKS]}, "messages.[2].role", None, "did not have response messages: call_1"),
    (
        {"messages": [USER, {"role": "tool", "tool_call_id": "call_1", "content": "x"}]},
        "messages.[1].role",
        None,
        "messages with role 'tool' must be a response to a preceeding message with 'tool_calls'.",
    ),
    (
        {"messages": [USER, ASKS, {"role": "tool", "tool_call_id": "call_9", "content": "x"}]},
        "messages.[2].tool_call_id",
        None,
        "'tool_call_id' of 'call_9' not found",
    ),
    (
        {"messages": [USER, ASKS, {"role": "tool", "content": "x"}]},
        "messages[2].tool_call_id",
        None,
        "tool_call_id",
    ),
    ({"frobnicate": 1}, None, None, "Unrecognized request argument supplied: frobnicate"),
    ({"temperature": 3}, "temperature", "decimal_above_max_value", "<= 2, but got 3"),
    ({"temperature": -1}, "temperature", "decimal_below_min_value", ">= 0, but got -1"),
    ({"temperature": "hot"}, "temperature", "invalid_type", "expected a decimal, but got a string"),
    ({"top_p": 1.5}, "top_p", "decimal_above_max_value", "<= 1"),
    ({"presence_penalty": -3}, "presence_penalty", "decimal_below_min_value", ">= -2"),
    ({"max_tokens": 0}, "max_tokens", "integer_below_min_value", ">= 1, but got 0"),
    ({"max_tokens": 1.5}, "max_tokens", "invalid_type", "expected an integer"),
    ({"max_tokens": True}, "max_tokens", "invalid_type", "got a boolean"),
    ({"max_tokens": 5000}, "max_tokens", "invalid_value", "supports at most 4096 completion tokens"),
    (
        {"max_tokens": 5, "max_completion_tokens": 5},
        None,
        "invalid_parameter_combination",
        "at the same time",
    ),
    ({"n": 200}, "n", "integer_above_max_value", "<= 128"),
    ({"stream": "yes"}, "stream", "invalid_type", "expected a boolean"),
    (
        {"stream_options": {"include_usage": True}},
        "stream_options",
        None,
        "only allowed when 'stream' is enabled",
    ),
    (
        {"stream": True, "stream_options": {"x": 1}},
        "stream_options.x",
        "unknown_parameter",
        "Unknown parameter",
    ),
    ({"stop": ["a"] * 5}, "stop", "array_above_max_length", "maximum length 4"),
    ({"stop": [1]}, "stop", "invalid_type", "string or array of strings"),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type", "expected a string"),
    ({"metadata": {str(i): "x" for i in range(17)}}, "metadata", "object_above_max_properties", "at most 16"),
    ({"top_logprobs": 2}, "top_logprobs", None, "only allowed when 'logprobs' is enabled"),
    ({"reasoning_effort": "huge"}, "reasoning_effort", "invalid_value", "'huge'"),
    ({"functions": [{"name": "f"}]}, "functions", "unsupported_parameter", "Use 'tools'"),
    ({"tools": []}, "tools", "empty_array", "empty array"),
    ({"tools": [TOOL] * 129}, "tools", "array_above_max_length", "maximum length 128"),
    (
        {"tools": [{"function": {"name": "a"}}]},
        "tools[0].type",
        "missing_required_parameter",
        "tools[0].type",
    ),
    ({"tools": [{"type": "web"}]}, "tools[0].type", "invalid_value", "'web'"),
    ({"tools": [{"type": "function"}]}, "tools[0].function", "missing_required_parameter", "function"),
    ({"tools": [_named("a b")]}, "tools[0].function.name", "invalid_value", "^[a-zA-Z0-9_-]+$"),
    ({"tools": [_named("a" * 65)]}, "tools[0].function.name", "string_above_max_length", "maximum length 64"),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "parameters": {"type": "string"}}}]},
        "tools[0].function.parameters",
        "invalid_function_parameters",
        "Invalid schema for function 'a'",
    ),
    (
        {"tools": [{"type": "function", "function": {"name": "a", "strict": True, "parameters": OPEN_OBJECT}}]},
        "tools[0].function.parameters",
        "invalid_function_parameters",
        "'additionalProperties' is required to be supplied and to be false",
    ),
    ({"tool_choice": "auto"}, "tool_choice", None, "only allowed when 'tools' are specified"),
    ({"parallel_tool_calls": True}, "parallel_tool_calls", None, "only allowed when 'tools' are specified"),
    ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "invalid_value", "'maybe'"),
    ({"tools": [TOOL], "tool_choice": _named("hear")}, "tool_choice", None, "'hear' not found"),
    ({"response_format": {}}, "response_format.type", "missing_required_parameter", "response_format.type"),
    ({"response_format": {"type": "xml"}}, "response_format.type", "invalid_value", "'xml'"),
    (
        {"response_format": {"type": "json_object"}},
        "messages",
        None,
        "'messages' must contain the word 'json' in some form",
    ),
    (_form(), "response_format.json_schema.name", "missing_required_parameter", "json_schema.name"),
    (
        _form(name="a", schema={"type": "thing"}),
        "response_format",
        "invalid_json_schema",
        "schema.type is not valid",
    ),
    (_form(name="a"), "response_format.json_schema.schema", "missing_required_parameter", "schema"),
    (
        _form(name="a", strict=True, schema=OPEN_OBJECT),
        "response_format",
        "invalid_json_schema",
        "'additionalProp",
    ),
    (
        _form(name="a", strict=True, schema=OPEN_OBJECT | {"additionalProperties": False, "required": []}),
        "response_format",
        "invalid_json_schema",
        "Missing 'a'",
    ),
    (
        {"model": "gpt-6-luna", "max_tokens": 9},
        "max_tokens",
        "unsupported_parameter",
        "'max_completion_tokens'",
    ),
    ({"model": "o3", "temperature": 0.5}, "temperature", "unsupported_value", "Only the default (1)"),
    (
        {"model": "gpt-4", "messages": [{"role": "user", "content": "word " * 9000}]},
        "messages",
        "context_length_exceeded",
        "maximum context length is 8192 tokens. However, your messages resulted in 9",
    ),
    (
        {"model": "gpt-4", "max_tokens": 8000, "messages": [{"role": "user", "content": "word " * 500}]},
        "messages",
        "context_length_exceeded",
        "8000 in the completion",
    ),
]


@pytest.mark.parametrize(("changes", "param", "code", "message"), REFUSED)
def test_an_invalid_request_is_a_400_naming_the_field(
    openai_raw: Any, changes: dict[str, Any], param: str | None, code: str | None, message: str
) -> None:
    reply = openai_raw.post(changes)
    error = reply.json()["error"]
    assert reply.status_code == 400
    assert error["type"] == "invalid_request_error"
    assert (error["param"], message in error["message"]) == (param, True), error
    assert code is None or error["code"] == code


ACCEPTED: list[dict[str, Any]] = [
    {"temperature": 2, "top_p": 1, "n": 2, "seed": 4, "user": "u", "stop": ["x", "y"], "logprobs": True},
    {"model": "gpt-6.1-sol", "max_completion_tokens": 50, "temperature": 1, "reasoning_effort": "low"},
    {"model": "gpt-4o-2099-01-01", "metadata": {"conversation_id": "c"}, "store": False},
    {"messages": [{"role": "developer", "content": "Be brief."}, USER]},
    {"messages": [USER, ASKS, {"role": "tool", "tool_call_id": "call_1", "content": "x"}], "tools": [TOOL]},
    {"messages": [{"role": "user", "content": [{"type": "text", "text": "a"}], "name": "bob"}]},
    {
        "messages": [
            {
                "role": "user",
                "content": [
                    {
                        "type": "image_url",
                        "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"},
                    },
                    {"type": "image_url", "image_url": {"url": "https://example.com/a.png"}},
                    {"type": "input_audio", "input_audio": {"data": "AAAA", "format": "wav"}},
                    {"type": "file", "file": {"file_id": "file-1"}},
                ],
            }
        ]
    },
    {"tools": [TOOL], "tool_choice": "none", "parallel_tool_calls": False},
    {"stream": None, "max_tokens": None, "temperature": None},
]


@pytest.mark.parametrize("changes", ACCEPTED)
def test_a_valid_request_is_answered(openai_raw: Any, changes: dict[str, Any]) -> None:
    reply = openai_raw.post(changes)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("authorization", "code"),
    [("", None), ("Bearer", None), ("Basic abc", None), ("Bearer sk-invalid", "invalid_api_key")],
)
def test_a_missing_or_wrong_key_is_a_401(openai_raw: Any, authorization: str, code: str | None) -> None:
    reply = openai_raw.post(authorization=authorization)
    assert reply.status_code == 401
    assert reply.json()["error"]["code"] == code


def test_an_unknown_model_is_not_found(openai_sdk: openai.OpenAI) -> None:
    with pytest.raises(openai.NotFoundError) as caught:
        openai_sdk.chat.completions.create(model="claude-3-5-sonnet-latest", messages=[USER])  # type: ignore[list-item]
    assert caught.value.code == "model_not_found"


@pytest.mark.parametrize("body", [b"{", b"[1]", b"", b'{"model": "\xff"}'])
def test_a_body_that_is_no_json_object_is_refused(openai_raw: Any, body: bytes) -> None:
    reply = openai_raw.http.post(openai_raw.path, content=body, headers=openai_raw.headers)
    assert reply.status_code == 400
    assert "could not parse the JSON body" in reply.json()["error"]["message"]


@pytest.mark.parametrize(("method", "path"), [("POST", "/openai/v1/nothing"), ("GET", "/openai/v1/chat/completions")])
def test_an_unknown_url_is_not_found(openai_raw: Any, method: str, path: str) -> None:
    reply = openai_raw.http.request(method, path, headers=openai_raw.headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_url")
