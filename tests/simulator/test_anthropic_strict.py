"""What Anthropic refuses is refused, in its words."""

from typing import Any

import anthropic
import pytest

USER = {"role": "user", "content": "Hello"}
USES = {"role": "assistant", "content": [{"type": "tool_use", "id": "toolu_1", "name": "look", "input": {}}]}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "seen"}
TOOL = {"name": "look", "input_schema": {"type": "object", "properties": {}}}
NEW = {"model": "claude-sonnet-5-5"}
MARK = {"cache_control": {"type": "ephemeral"}}


def _content(*blocks: Any) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": list(blocks)}]}


def _text(text: str, **fields: Any) -> dict[str, Any]:
    return {"type": "text", "text": text, **fields}


def _image(**source: Any) -> dict[str, Any]:
    return {"type": "image", "source": source}


REFUSED: list[tuple[dict[str, Any], str]] = [
    ({"max_tokens": ...}, "max_tokens: Field required"),
    ({"model": ...}, "model: Field required"),
    ({"messages": ...}, "messages: Field required"),
    ({"frobnicate": 1}, "frobnicate: Extra inputs are not permitted"),
    ({"n": 2}, "n: Extra inputs are not permitted"),
    ({"max_tokens": 0}, "max_tokens: Input should be greater than or equal to 1"),
    ({"max_tokens": "9"}, "max_tokens: Input should be a valid integer"),
    (
        {"max_tokens": 9000},
        "max_tokens: 9000 > 8192, which is the maximum allowed number of output tokens for",
    ),
    ({"temperature": 1.5}, "temperature: Input should be less than or equal to 1"),
    ({"temperature": -0.1}, "temperature: Input should be greater than or equal to 0"),
    ({"temperature": "hot"}, "temperature: Input should be a valid number"),
    ({"top_k": "x"}, "top_k: Input should be a valid integer"),
    ({"stream": 1}, "stream: Input should be a valid boolean"),
    ({"stop_sequences": "x"}, "stop_sequences: Input should be a valid list"),
    ({"stop_sequences": [" "]}, "each stop sequence must contain non-whitespace"),
    ({"metadata": {"user": "x"}}, "metadata.user: Extra inputs are not permitted"),
    ({"system": 5}, "system: Input should be a valid string or list"),
    ({"system": [{"type": "image"}]}, "system.0.type: Input should be 'text'"),
    ({"system": [_text("")]}, "text content blocks must be non-empty"),
    ({"messages": "hi"}, "messages: Input should be a valid list"),
    ({"messages": []}, "messages: at least one message is required"),
    ({"messages": [{"role": "assistant", "content": "hi"}, USER]}, 'first message must use the "user" role'),
    ({"messages": [{"role": "system", "content": "hi"}]}, "top-level `system` parameter"),
    (
        {"messages": [{"role": "tool", "content": "hi"}]},
        "messages.0.role: Input should be 'user' or 'assistant'",
    ),
    ({"messages": [{"role": "user"}]}, "messages.0.content: Field required"),
    (
        {"messages": [{"role": "user", "content": ""}]},
        "messages.0: user messages must have non-empty content",
    ),
    (
        {"messages": [{"role": "user", "content": " "}]},
        "text content blocks must contain non-whitespace text",
    ),
    ({"messages": [{**USER, "name": "bob"}]}, "messages.0.name: Extra inputs are not permitted"),
    (_content(_text("")), "messages: text content blocks must be non-empty"),
    (_content({"type": "video"}), "messages.0.content.0: Input tag 'video'"),
    (_content({"text": "x"}), "messages.0.content.0.type: Field required"),
    (_content(_text("x", colour="red")), "messages.0.content.0.text.colour: Extra inputs are not permitted"),
    (
        _content(_image(type="base64", media_type="image/bmp", data="AAAA")),
        "media_type: Input should be 'image/jpeg'",
    ),
    (_content(_image(type="base64", media_type="image/png", data="???")), "Invalid base64 data"),
    (_content(_image(type="url", url="cat.png")), "Only HTTPS URLs are supported"),
    (_content(_image(type="url", url="http://example.com/cat.png")), "Only HTTPS URLs are supported"),
    (
        {"tools": [{"name": "look", "input_schema": {"type": "object", "anyOf": [{"required": ["a"]}]}}]},
        "input_schema does not support oneOf, allOf, or anyOf at the top level",
    ),
    (
        {"messages": [USER, USES, {"role": "user", "content": [RESULT]}, USES, {"role": "user", "content": [RESULT]}]},
        "messages.3.content.0: `tool_use` ids must be unique",
    ),
    (
        {"messages": [USER, {"role": "assistant", "content": [{"type": "redacted_thinking", "data": "x"}]}, USER]},
        "messages.1: The final block in an assistant message cannot be `redacted_thinking`.",
    ),
    (NEW | {"tools": [TOOL], "tool_choice": {"type": "any"}}, "'any' is not supported for this model"),
    (_content({"type": "image"}), "messages.0.content.0.image.source: Field required"),
    (
        _content({"type": "tool_use", "id": "a", "name": "b", "input": {}}),
        "can only be in `assistant` messages",
    ),
    (
        {"messages": [USER, USES, USER]},
        "messages.1: `tool_use` ids were found without `tool_result` blocks immediately after: toolu_1. Each "
        "`tool_use` block must have a corresponding `tool_result` block in the next message.",
    ),
    (
        {"messages": [USER, USES]},
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    ),
    (
        {"messages": [USER, USES, {"role": "user", "content": [_text("first"), RESULT]}]},
        "`tool_use` ids were found without `tool_result` blocks immediately after: toolu_1",
    ),
    (
        _content(RESULT),
        "messages.0.content.0: unexpected `tool_use_id` found in `tool_result` blocks: toolu_1.",
    ),
    (
        {"messages": [USER, USES, {"role": "user", "content": [RESULT, RESULT]}]},
        "each tool_use must have a single result",
    ),
    (
        {"messages": [USER, {"role": "assistant", "content": "Once "}]},
        "final assistant content cannot end with trailing whitespace",
    ),
    (
        NEW | {"messages": [USER, {"role": "assistant", "content": "Once"}]},
        "does not support assistant message prefill",
    ),
    ({"tools": [{"name": "look"}]}, "tools.0.custom.input_schema: Field required"),
    (
        {"tools": [TOOL | {"name": "look at"}]},
        "tools.0.custom.name: String should match pattern '^[a-zA-Z0-9_-]{1,128}$'",
    ),
    ({"tools": [TOOL | {"input_schema": {}}]}, "tools.0.custom.input_schema.type: Field required"),
    ({"tools": [TOOL | {"input_schema": {"type": "string"}}]}, "input_schema.type: Input should be 'object'"),
    ({"tools": [TOOL | {"function": {}}]}, "tools.0.custom.function: Extra inputs are not permitted"),
    ({"tools": [TOOL, TOOL]}, "Tool names must be unique"),
    ({"tools": [TOOL | {"input_schema": {"type": "object", "required": "a"}}]}, "JSON schema is invalid"),
    ({"tools": [{"type": "bash_20250124"}]}, "tools.0.name: Field required"),
    ({"tool_choice": {"type": "auto"}}, "tool_choice may only be specified while providing tools"),
    ({"tools": [TOOL], "tool_choice": "auto"}, "tool_choice: Input tag 'auto'"),
    ({"tools": [TOOL], "tool_choice": {"type": "required"}}, "tool_choice: Input tag 'required'"),
    (
        {"tools": [TOOL], "tool_choice": {"type": "tool", "name": "hear"}},
        "'hear' not found in provided tools",
    ),
    ({"thinking": {"type": "enabled"}}, "thinking.enabled.budget_tokens: Field required"),
    ({"thinking": {"type": "enabled", "budget_tokens": 1000}}, "greater than or equal to 1024"),
    (
        {"thinking": {"type": "enabled", "budget_tokens": 1024}, "max_tokens": 1024},
        "must be greater than `thinking",
    ),
    ({"thinking": {"type": "on"}}, "thinking: Input tag 'on'"),
    ({"thinking": {"type": "adaptive"}, "temperature": 0.5}, "`temperature` may only be set to 1"),
    (
        {"thinking": {"type": "adaptive"}, "tools": [TOOL], "tool_choice": {"type": "any"}},
        "Thinking may not be enabled when tool_choice forces tool use",
    ),
    (
        {
            "messages": [
                USER,
                {"role": "assistant", "content": [{"type": "thinking", "thinking": "a", "signature": "b"}]},
                USER,
            ]
        },
        "messages.1.content.0: Invalid `signature` in `thinking` block",
    ),
    (
        {"output_config": {"format": {"type": "json"}}},
        "output_config.format.type: Input should be 'json_schema'",
    ),
    ({"output_format": {"type": "json_schema"}}, "output_format.schema: Field required"),
    (
        _content(*[_text("x", **MARK)] * 5),
        "A maximum of 4 blocks with cache_control may be provided. Found 5.",
    ),
    (_content(_text("x", cache_control={"type": "forever"})), "Input should be 'ephemeral'"),
    (
        _content(_text("x", **MARK), _text("y", cache_control={"type": "ephemeral", "ttl": "1h"})),
        "must not come after",
    ),
    (_content(_text("word " * 201_000)), "tokens > 200000 maximum"),
    (
        _content(_text("word " * 199_000)) | {"max_tokens": 8000},
        "input length and `max_tokens` exceed context limit",
    ),
]


@pytest.mark.parametrize(("changes", "message"), REFUSED)
def test_an_invalid_request_is_a_400_in_anthropics_words(
    anthropic_raw: Any, changes: dict[str, Any], message: str
) -> None:
    reply = anthropic_raw.post(changes)
    body = reply.json()
    assert (reply.status_code, body["type"], body["error"]["type"]) == (400, "error", "invalid_request_error")
    assert message in body["error"]["message"]
    assert body["request_id"] == reply.headers["request-id"]


ACCEPTED: list[dict[str, Any]] = [
    {"temperature": 1, "top_p": 0.5, "top_k": 5, "stop_sequences": ["x"], "metadata": {"user_id": "u"}},
    {"messages": [USER, USER, {"role": "assistant", "content": "a"}, USER]},
    {"messages": [USER, {"role": "assistant", "content": "Once upon"}]},
    {"messages": [USER, USES, {"role": "user", "content": [RESULT, _text("and?")]}], "tools": [TOOL]},
    {"system": [_text("Be brief.", **MARK)]},
    _content(_image(type="base64", media_type="image/png", data="AAAA"), _image(type="url", url="https://x/a.png")),
    _content({"type": "document", "source": {"type": "text", "media_type": "text/plain", "data": "A page."}}),
    _content({"type": "document", "source": {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}}),
    _content({"type": "document", "source": {"type": "url", "url": "https://x/a.pdf"}}),
    NEW | {"thinking": {"type": "adaptive"}, "output_config": {"effort": "low"}},
    {"tools": [{"type": "bash_20250124", "name": "bash"}]},
]


@pytest.mark.parametrize("changes", ACCEPTED)
def test_a_valid_request_is_answered(anthropic_raw: Any, changes: dict[str, Any]) -> None:
    reply = anthropic_raw.post(changes)
    assert reply.status_code == 200, reply.text


@pytest.mark.parametrize("version", ["2020-01-01", "latest", ""])
def test_an_unknown_version_is_refused(anthropic_raw: Any, version: str) -> None:
    reply = anthropic_raw.post(anthropic_version=version)
    assert reply.status_code == 400
    assert "anthropic-version" in reply.json()["error"]["message"]


def test_the_version_header_is_required(anthropic_raw: Any) -> None:
    del anthropic_raw.headers["anthropic-version"]
    reply = anthropic_raw.post()
    assert (reply.status_code, "header is required" in reply.text) == (400, True)


@pytest.mark.parametrize("name", ["temperature", "top_p", "top_k"])
def test_the_newest_version_takes_no_sampling_parameters(anthropic_raw: Any, name: str) -> None:
    reply = anthropic_raw.post({name: 1}, anthropic_version="2026-10-21")
    assert (reply.status_code, name in reply.json()["error"]["message"]) == (400, True)


@pytest.mark.parametrize("key", ["", "sk-invalid"])
def test_a_missing_or_wrong_key_is_a_401(anthropic_raw: Any, key: str) -> None:
    reply = anthropic_raw.post(x_api_key=key)
    assert (reply.status_code, reply.json()["error"]["type"]) == (401, "authentication_error")


def test_an_unknown_model_is_not_found(anthropic_sdk: anthropic.Anthropic) -> None:
    with pytest.raises(anthropic.NotFoundError) as caught:
        anthropic_sdk.messages.create(model="gpt-4o", max_tokens=5, messages=[USER])  # type: ignore[list-item]
    assert caught.value.body["error"]["type"] == "not_found_error"  # type: ignore[index,call-overload]


def test_counting_tokens_is_as_strict(anthropic_raw: Any) -> None:
    anthropic_raw.path += "/count_tokens"
    reply = anthropic_raw.post()
    assert "max_tokens: Extra inputs are not permitted" in reply.json()["error"]["message"]
