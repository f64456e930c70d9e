"""What the Responses API refuses is refused, with its status, field and code."""

from typing import Any

import openai
import pytest

USER = {"role": "user", "content": "Hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "look", "arguments": "{}"}
OUTPUT = {"type": "function_call_output", "call_id": "c1", "output": "x"}
TOOL = {"type": "function", "name": "look", "parameters": {"type": "object", "properties": {}}}
OPEN_OBJECT = {"type": "object", "properties": {"a": {"type": "string"}}, "required": ["a"]}
MISSING = "missing_required_parameter"


def _says(*parts: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"input": [{"role": role, "content": list(parts)}]}


def _form(**fields: Any) -> dict[str, Any]:
    return {"text": {"format": {"type": "json_schema", **fields}}}


REFUSED: list[tuple[dict[str, Any], str | None, str | None, str]] = [
    # changes to a valid request, param, code, a part of the message
    ({"model": ...}, "model", MISSING, "'model'"),
    ({"model": 7}, "model", "invalid_type", "expected a string, but got an integer"),
    ({"model": "claude-x"}, "model", "model_not_found", "The requested model 'claude-x' does not exist."),
    ({"input": ...}, "input", MISSING, 'One of "input"'),
    ({"input": []}, "input", MISSING, 'One of "input"'),
    ({"input": 5}, "input", "invalid_type", "one of a string or array of objects"),
    ({"input": ["hi"]}, "input[0]", "invalid_type", "expected an object"),
    ({"input": [{"type": "thing"}]}, "input[0].type", "invalid_value", "'thing'"),
    ({"input": [{"content": "hi"}]}, "input[0].role", MISSING, "input[0].role"),
    ({"input": [{"role": "tool", "content": "hi"}]}, "input[0].role", "invalid_value", "'tool'"),
    ({"input": [{"role": "user"}]}, "input[0].content", MISSING, "input[0].content"),
    (_says({"type": "text", "text": "hi"}), "input[0].content[0].type", "invalid_value", "'input_text'"),
    (_says({"text": "hi"}), "input[0].content[0].type", MISSING, "type"),
    (_says({"type": "input_text"}), "input[0].content[0].text", MISSING, "text"),
    (
        _says({"type": "input_text", "text": "hi"}, role="assistant"),
        "input[0].content[0].type",
        "invalid_value",
        "'output_text', and 'refusal'",
    ),
    (_says({"type": "input_image"}), "input[0].content[0].image_url", MISSING, "image_url"),
    (
        _says({"type": "input_image", "image_url": {"url": "https://x/a.png"}}),
        "input[0].content[0].image_url",
        "invalid_type",
        "expected an image URL, but got an object",
    ),
    (
        _says({"type": "input_image", "image_url": "cat.png"}),
        "input[0].content[0].image_url",
        "invalid_value",
        "URL",
    ),
    (_says({"type": "input_file"}), "input[0].content[0].file_id", MISSING, "file_id"),
    ({"input": [USER, {**CALL, "call_id": None}, OUTPUT]}, "input[1].call_id", MISSING, "call_id"),
    ({"input": [USER, {**CALL, "arguments": {}}, OUTPUT]}, "input[1].arguments", "invalid_type", "a string"),
    ({"input": [USER, CALL, {**OUTPUT, "output": None}]}, "input[2].output", MISSING, "output"),
    ({"input": [USER, CALL]}, "input", None, "No tool output found for function call c1."),
    ({"input": [USER, OUTPUT]}, "input", None, "No tool call found for function call output with call_id c1."),
    ({"input": [{"type": "reasoning", "id": "rs_1"}]}, "input[0].summary", MISSING, "summary"),
    ({"input": [{"type": "reasoning", "summary": [1]}]}, "input[0].summary[0]", "invalid_type", "an object"),
    ({"input": [{"type": "reasoning", "summary": [{}]}]}, "input[0].summary[0].text", MISSING, "text"),
    (
        {"input": [USER, {"type": "reasoning", "id": "rs_1", "summary": []}]},
        "input",
        None,
        "without its required following item",
    ),
    ({"colour": "red"}, "colour", "unknown_parameter", "Unknown parameter: 'colour'."),
    ({"messages": [USER]}, "messages", "unsupported_parameter", "has moved to 'input'"),
    ({"max_tokens": 20}, "max_tokens", "unsupported_parameter", "has moved to 'max_output_tokens'"),
    ({"response_format": {}}, "response_format", "unsupported_parameter", "has moved to 'text.format'"),
    ({"max_output_tokens": 15}, "max_output_tokens", "integer_below_min_value", ">= 16"),
    ({"max_output_tokens": 5000}, "max_output_tokens", "invalid_value", "at most 4096"),
    ({"temperature": 3}, "temperature", "decimal_above_max_value", "<= 2"),
    ({"stream": "yes"}, "stream", "invalid_type", "a boolean"),
    ({"stream_options": {}}, "stream_options", None, "only allowed when 'stream' is enabled"),
    (
        {"stream": True, "stream_options": {"include_usage": True}},
        "stream_options.include_usage",
        "unknown_parameter",
        "include_usage",
    ),
    ({"metadata": {"a": 1}}, "metadata.a", "invalid_type", "a string"),
    ({"include": ["everything"]}, "include[0]", "invalid_value", "'everything'"),
    ({"truncation": "some"}, "truncation", "invalid_value", "'auto', and 'disabled'"),
    ({"reasoning": {"depth": 1}}, "reasoning.depth", "unknown_parameter", "reasoning.depth"),
    ({"reasoning": {"effort": "huge"}}, "reasoning.effort", "invalid_value", "'huge'"),
    ({"reasoning": {"effort": "low"}}, "reasoning.effort", "unsupported_parameter", "not supported with this model"),
    ({"model": "gpt-6-luna", "temperature": 0.5}, "temperature", "unsupported_parameter", "not supported"),
    ({"model": "o3", "top_p": 0.5}, "top_p", "unsupported_parameter", "not supported with this model"),
    ({"tools": [{"name": "look"}]}, "tools[0].type", MISSING, "tools[0].type"),
    ({"tools": [{"type": "magic"}]}, "tools[0].type", "invalid_value", "'magic'"),
    ({"tools": [{"type": "function", "function": {"name": "look"}}]}, "tools[0].name", MISSING, "tools[0].name"),
    (
        {"tools": [{**TOOL, "strict": True, "parameters": OPEN_OBJECT}]},
        "tools[0].parameters",
        "invalid_function_parameters",
        "'additionalProperties' is required",
    ),
    ({"tool_choice": "required"}, "tool_choice", None, "must be specified with 'tools'"),
    ({"tools": [TOOL], "tool_choice": "maybe"}, "tool_choice", "invalid_value", "'maybe'"),
    ({"tools": [TOOL], "tool_choice": {"type": "function"}}, "tool_choice.name", MISSING, "tool_choice.name"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "function", "name": "hear"}},
        "tool_choice",
        None,
        "'hear' not found",
    ),
    ({"tools": [TOOL], "tool_choice": {"type": "web_search"}}, "tool_choice", None, "'web_search' not found"),
    ({"text": {"style": "x"}}, "text.style", "unknown_parameter", "text.style"),
    ({"text": {"format": {}}}, "text.format.type", MISSING, "text.format.type"),
    ({"text": {"format": {"type": "xml"}}}, "text.format.type", "invalid_value", "'xml'"),
    ({"text": {"format": {"type": "json_object"}}}, "input", None, "must contain the word 'json'"),
    (_form(schema={}), "text.format.name", MISSING, "text.format.name"),
    (_form(name="a"), "text.format.schema", MISSING, "text.format.schema"),
    (_form(name="a", strict=True, schema=OPEN_OBJECT), "text.format.schema", "invalid_json_schema", "'additionalProp"),
    ({"previous_response_id": "resp_1"}, "previous_response_id", "previous_response_not_found", "'resp_1' not found"),
    ({"background": True}, "background", "unsupported_value", "'background'"),
    ({"model": "gpt-4", "input": "word " * 9000}, "input", "context_length_exceeded", "exceeds the context window"),
]


@pytest.mark.parametrize(("changes", "param", "code", "message"), REFUSED)
def test_an_invalid_request_is_a_400_naming_the_field(
    responses_raw: Any, changes: dict[str, Any], param: str | None, code: str | None, message: str
) -> None:
    reply = responses_raw.post(changes)
    error = reply.json()["error"]
    assert (reply.status_code, error["type"]) == (400, "invalid_request_error")
    assert (error["param"], error["code"], message in error["message"]) == (param, code, True), error


ACCEPTED: list[dict[str, Any]] = [
    {"temperature": 2, "top_p": 1, "user": "u", "store": False, "service_tier": "auto", "truncation": "disabled"},
    {"model": "gpt-6.1-sol", "max_output_tokens": 50, "reasoning": {"effort": "low", "summary": "auto"}},
    {"input": [{"role": "developer", "content": "Be brief."}, USER], "instructions": None, "metadata": {"a": "b"}},
    {"input": [USER, {"type": "reasoning", "id": "rs_1", "summary": []}, CALL, OUTPUT], "tools": [TOOL]},
    {"input": [USER, CALL, {**OUTPUT, "output": [{"type": "input_text", "text": "x"}]}]},
    {"input": [USER, {"type": "web_search_call", "id": "ws_1", "status": "completed"}, USER]},
    _says({"type": "output_text", "text": "a", "annotations": []}, role="assistant"),
    _says(
        {"type": "input_text", "text": "a"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        {"type": "input_image", "file_id": "file-1"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    ),
    {"tools": [TOOL, {"type": "web_search"}, {"type": "file_search", "vector_store_ids": ["vs_1"]}]},
    {"tools": [], "tool_choice": "auto", "parallel_tool_calls": True},
    {"stream": None, "max_output_tokens": None, "temperature": None, "tools": None},
]


@pytest.mark.parametrize("changes", ACCEPTED)
def test_a_valid_request_is_answered(responses_raw: Any, changes: dict[str, Any]) -> None:
    reply = responses_raw.post(changes)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"prompt": {"id": "pmpt_1"}}, "Prompt with id 'pmpt_1' not found."),
        ({"conversation": "conv_1"}, "Conversation with id 'conv_1' not found."),
        ({"input": [{"type": "item_reference", "id": "msg_1"}]}, "Item with id 'msg_1' not found."),
    ],
)
def test_what_the_account_does_not_have_is_not_found(responses_raw: Any, changes: dict[str, Any], message: str) -> None:
    reply = responses_raw.post(changes)
    assert (reply.status_code, reply.json()["error"]["message"]) == (404, message)


def test_a_wrong_key_is_a_401(responses_raw: Any) -> None:
    reply = responses_raw.post(authorization="Bearer sk-invalid")
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "invalid_api_key")


@pytest.mark.parametrize(
    ("method", "path"),
    [("GET", "responses"), ("DELETE", "models/gpt-4"), ("POST", "responses/a"), ("GET", "responses/a/input_items")],
)
def test_an_unknown_url_is_not_found(responses_raw: Any, method: str, path: str) -> None:
    reply = responses_raw.http.request(method, f"/openai/v1/{path}", headers=responses_raw.headers)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "unknown_url")


def test_a_deleted_response_is_not_gone_on_from(openai_sdk: openai.OpenAI) -> None:
    made = openai_sdk.responses.create(model="gpt-4-turbo", input="Hello")
    openai_sdk.responses.delete(made.id)
    with pytest.raises(openai.BadRequestError) as caught:
        openai_sdk.responses.create(model="gpt-4-turbo", input="And?", previous_response_id=made.id)
    assert caught.value.code == "previous_response_not_found"
