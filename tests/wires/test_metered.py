"""Responses and embeddings: read as far as money and routing need it, passed through byte for byte."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.engine.catalogue import model_traits
from gateway.engine.errors import InvalidRequest, UpstreamError
from gateway.engine.exchange import Answer
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason, Operation, Wire
from gateway.wires import Context, Translated, Untranslatable, parse_call, translate_answer, translate_request
from gateway.wires.words import ParsedRequest

RESPONSES, EMBEDDINGS = Operation.RESPONSES, Operation.EMBEDDINGS
BOTH = pytest.mark.parametrize("operation", [RESPONSES, EMBEDDINGS])


def read(operation: Operation, **fields: Any) -> ParsedRequest:
    return parse_call(operation, orjson.dumps({"model": "default", "input": "hi", **fields}))


def forward(operation: Operation, body: bytes, kind: Wire = Wire.OPENAI, **options: Any) -> Translated:
    parsed = parse_call(operation, body)
    return translate_request(
        Wire.OPENAI,
        kind,
        parsed.payload,
        model="gpt-target",
        traits=model_traits(kind, "gpt-target"),
        stream=parsed.stream,
        default_output_tokens=50,
        body=body,
        operation=operation,
        **options,
    )


def answered(operation: Operation, document: Any) -> Answer:
    body = document if isinstance(document, bytes) else orjson.dumps(document)
    return translate_answer(
        Wire.OPENAI, Wire.OPENAI, body, Context(Wire.OPENAI, Wire.OPENAI, "asked", 0, operation=operation)
    )


def response(*output: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "gpt-x", "status": "completed", "output": output, **fields}


def message(*parts: dict[str, Any]) -> dict[str, Any]:
    return {"type": "message", "role": "assistant", "content": parts}


# Requests -----------------------------------------------------------------------------------------------------------


def test_all_that_matters_is_read_of_a_response_s_request() -> None:
    parsed = read(
        RESPONSES,
        stream=True,
        max_output_tokens=7,
        metadata={"conversation_id": "c-1"},
        tools=[{"type": "function", "name": "f"}],
    )
    assert (parsed.model, parsed.stream, parsed.max_output_tokens) == ("default", True, 7)
    assert (parsed.conversation_id, parsed.has_tools, parsed.unbounded) == ("c-1", True, None)


@pytest.mark.parametrize("given", ["a text", ["two", "texts"], [1, 2, 3], [[1], [2, 3]]])
def test_embeddings_take_texts_and_tokens_and_have_no_output(given: Any) -> None:
    parsed = read(EMBEDDINGS, input=given)
    assert (parsed.model, parsed.stream, parsed.max_output_tokens) == ("default", False, 0)


@pytest.mark.parametrize(
    ("operation", "fields", "param"),
    [
        (RESPONSES, {"model": 7}, "model"),
        (RESPONSES, {"input": None}, "input"),
        (RESPONSES, {"input": 7}, "input"),
        (RESPONSES, {"input": ["hi"]}, "input[0]"),
        (RESPONSES, {"stream": "yes"}, "stream"),
        (RESPONSES, {"max_output_tokens": 0}, "max_output_tokens"),
        (RESPONSES, {"max_output_tokens": "many"}, "max_output_tokens"),
        (RESPONSES, {"metadata": []}, "metadata"),
        (RESPONSES, {"metadata": {"conversation_id": 7}}, "metadata.conversation_id"),
        (RESPONSES, {"tools": {}}, "tools"),
        (RESPONSES, {"tools": ["f"]}, "tools[0]"),
        (RESPONSES, {"background": True}, "background"),
        (RESPONSES, {"background": 1}, "background"),
        (EMBEDDINGS, {"model": ""}, "model"),
        (EMBEDDINGS, {"input": None}, "input"),
        (EMBEDDINGS, {"input": ""}, "input"),
        (EMBEDDINGS, {"input": []}, "input"),
        (EMBEDDINGS, {"input": {"text": "hi"}}, "input"),
    ],
)
def test_what_can_t_be_used_is_named(operation: Operation, fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as refusal:
        read(operation, **fields)
    assert refusal.value.param == param


@BOTH
@pytest.mark.parametrize("key", ["model", "input"])
def test_a_key_given_twice_is_refused(operation: Operation, key: str) -> None:
    with pytest.raises(InvalidRequest, match="twice"):
        parse_call(operation, b'{"model":"a","input":"b","%b":"c"}' % key.encode())


@pytest.mark.parametrize(
    ("fields", "unbounded"),
    [
        ({"previous_response_id": "resp_0"}, "previous_response_id"),
        ({"conversation": "conv_0"}, "conversation"),
        ({"prompt": {"id": "pmpt_0"}, "input": None}, "prompt"),
        ({"tools": [{"type": "web_search"}]}, "tools"),
        ({"input": [{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]}, "input"),
        ({"input": [{"type": "function_call_output", "output": [{"type": "input_file", "file_id": "f"}]}]}, "input"),
        ({"input": [{"type": "item_reference", "id": "msg_0"}]}, "input"),
        ({"input": [{"role": "user", "content": 'the word "input_image"'}]}, None),
        ({"previous_response_id": None, "tools": [{"type": "custom", "name": "c"}]}, None),
    ],
)
def test_what_costs_more_than_its_bytes_tell_is_known(fields: dict[str, Any], unbounded: str | None) -> None:
    assert read(RESPONSES, **fields).unbounded == unbounded


ODD = b'{ "x_future" : [1.0, 12345678901234567890123, "\\u00e9\\/"],\n "model":"default" , "input":"\\"model\\": 1"  }'


@BOTH
def test_only_the_model_s_bytes_change(operation: Operation) -> None:
    assert forward(operation, ODD).body == ODD.replace(b'"default"', b'"gpt-target"')


@BOTH
def test_the_target_s_own_name_leaves_the_body_as_it_is(operation: Operation) -> None:
    body = ODD.replace(b'"default"', b'"gpt-target"')
    assert forward(operation, body).body == body


@BOTH
def test_another_wire_has_no_way_to_say_it(operation: Operation) -> None:
    with pytest.raises(Untranslatable, match=operation.value):
        forward(operation, ODD, Wire.ANTHROPIC)


@pytest.mark.parametrize(
    ("fields", "options", "limit"),
    [
        ({}, {}, None),
        ({}, {"bound_output": True}, 50),
        ({"max_output_tokens": None}, {"bound_output": True}, 50),
        ({"max_output_tokens": 80}, {"bound_output": True}, 80),
        ({"max_output_tokens": 80}, {"output_limit_tokens": 20}, 20),
        ({"max_output_tokens": 10}, {"output_limit_tokens": 20}, 10),
    ],
)
def test_a_limit_is_set_or_lowered_where_a_budget_needs_it(
    fields: dict[str, Any], options: dict[str, Any], limit: int | None
) -> None:
    body = orjson.dumps({"model": "default", "input": "hi", **fields})
    assert orjson.loads(forward(RESPONSES, body, **options).body).get("max_output_tokens") == limit


def test_embeddings_never_get_a_limit() -> None:
    body = orjson.loads(forward(EMBEDDINGS, ODD, bound_output=True).body)
    assert "max_output_tokens" not in body


# Answers ------------------------------------------------------------------------------------------------------------

USAGE = {
    "input_tokens": 100,
    "input_tokens_details": {"cached_tokens": 60, "cache_write_tokens": 5},
    "output_tokens": 40,
    "output_tokens_details": {"reasoning_tokens": 30},
    "total_tokens": 140,
}


def test_a_response_is_passed_on_and_its_usage_read() -> None:
    document = response(message({"type": "output_text", "text": "Hi."}), usage=USAGE)
    answer = answered(RESPONSES, document)
    assert answer.body == orjson.dumps(document)
    assert answer.usage == Usage(100, 40, cached_input_tokens=60, cache_write_tokens=5, reasoning_tokens=30)
    assert (answer.model, answer.upstream_id, answer.text) == ("gpt-x", "resp_1", "Hi.")


@pytest.mark.parametrize(
    ("document", "finish"),
    [
        (response(message({"type": "output_text", "text": "Hi."})), FinishReason.STOP),
        (response({"type": "function_call", "name": "f"}), FinishReason.TOOL_CALLS),
        (response({"type": "custom_tool_call", "name": "f"}), FinishReason.TOOL_CALLS),
        (response(message({"type": "refusal", "refusal": "No."})), FinishReason.REFUSAL),
        (response(status="incomplete", incomplete_details={"reason": "max_output_tokens"}), FinishReason.LENGTH),
        (response(status="incomplete", incomplete_details={"reason": "content_filter"}), FinishReason.REFUSAL),
        (response(status="incomplete", incomplete_details={"reason": "news"}), FinishReason.OTHER),
        (response(status="incomplete", incomplete_details=None), FinishReason.OTHER),
        (response(7, "odd", message("odd")), FinishReason.STOP),  # type: ignore[arg-type]
    ],
)
def test_how_a_response_ended_is_said_in_our_words(document: dict[str, Any], finish: FinishReason) -> None:
    assert answered(RESPONSES, document).finish_reason is finish


def test_embeddings_are_passed_on_and_their_usage_read() -> None:
    document = {
        "object": "list",
        "data": [{"object": "embedding", "index": 0, "embedding": "AACAPw=="}],
        "model": "text-embedding-3-small",
        "usage": {"prompt_tokens": 8, "total_tokens": 8},
    }
    answer = answered(EMBEDDINGS, document)
    assert answer.body == orjson.dumps(document)
    assert answer.usage == Usage(input_tokens=8)
    assert answer.model == "text-embedding-3-small"


@BOTH
@pytest.mark.parametrize("document", [b"", b"<html>", [], {}, {"output": None, "data": None}, 7])
def test_an_answer_that_breaks_its_promise_is_unreadable(operation: Operation, document: Any) -> None:
    with pytest.raises(UpstreamError) as failure:
        answered(operation, document)
    assert failure.value.kind is FailureKind.UNREADABLE


@pytest.mark.parametrize(
    ("code", "kind", "retryable"),
    [
        ("server_error", FailureKind.SERVER_ERROR, True),
        ("rate_limit_exceeded", FailureKind.RATE_LIMITED, True),
        ("invalid_prompt", FailureKind.INVALID_REQUEST, False),
        ("image_content_policy_violation", FailureKind.CONTENT_POLICY, False),
        ("news", FailureKind.STREAM_BROKEN, True),
    ],
)
def test_a_failed_response_is_no_answer(code: str, kind: FailureKind, retryable: bool) -> None:
    with pytest.raises(UpstreamError) as failure:
        answered(RESPONSES, response(status="failed", error={"code": code, "message": "No."}))
    assert (failure.value.kind, failure.value.retryable, failure.value.message) == (kind, retryable, "No.")


# Token counts -------------------------------------------------------------------------------------------------------


def test_a_count_is_passed_on_with_the_target_s_model() -> None:
    body = b'{"model":"default","messages":[{"role":"user","content":"hi"}]}'
    parsed = parse_call(Operation.COUNT_TOKENS, body)
    translated = translate_request(
        Wire.ANTHROPIC,
        Wire.ANTHROPIC,
        parsed.payload,
        model="claude-x",
        traits=model_traits(Wire.ANTHROPIC, "claude-x"),
        stream=parsed.stream,
        default_output_tokens=50,
        body=body,
        operation=Operation.COUNT_TOKENS,
    )
    assert translated.body == body.replace(b"default", b"claude-x")
    told = translate_answer(Wire.ANTHROPIC, Wire.ANTHROPIC, b'{"input_tokens": 9}', translated.context)
    assert told.body == b'{"input_tokens": 9}'
    with pytest.raises(UpstreamError, match="no number"):
        translate_answer(Wire.ANTHROPIC, Wire.ANTHROPIC, b'{"input_tokens": "9"}', translated.context)
