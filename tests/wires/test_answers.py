"""Whole answers on their way back: read on their own wire, translated to the other."""

from __future__ import annotations

from typing import Any

import orjson
import pytest

from gateway.engine.errors import UpstreamError
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason, Wire
from gateway.wires import translate_answer
from gateway.wires.passthrough import UNSIGNED

from .helpers import ANTHROPIC, OPENAI, PAIRS, answer, call, completion, context, message, text, tool_use


def openai_of(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(answer(OPENAI, body, **fields).body)
    return told


def anthropic_of(body: dict[str, Any], **fields: Any) -> dict[str, Any]:
    told: dict[str, Any] = orjson.loads(answer(ANTHROPIC, body, **fields).body)
    return told


@pytest.mark.parametrize(
    ("surface", "body"), [(OPENAI, completion({"content": "hi"})), (ANTHROPIC, message(text("hi")))]
)
def test_the_same_wires_answer_is_untouched_and_read(surface: Wire, body: dict[str, Any]) -> None:
    raw = orjson.dumps({**body, "x_future": [1.0]}, option=orjson.OPT_INDENT_2)
    read = translate_answer(surface, surface, raw, context(surface, surface))
    assert read.body == raw
    assert (read.text, read.finish_reason, read.usage) == ("hi", FinishReason.STOP, Usage(10, 5))
    assert (read.model, read.upstream_id) == (body["model"], body["id"])


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"<html>",
        b"null",
        b"[]",
        b"{}",
        b'{"choices":[],"content":null}',
        b'{"choices":[{}],"content":[{}]}',
        b'{"error":{"message":"x"}}',
        b'{"choices":{"a":1},"content":"x"}',
        b"\xff",
    ],
)
def test_what_the_wire_does_not_promise_is_unreadable(surface: Wire, kind: Wire, raw: bytes) -> None:
    with pytest.raises(UpstreamError) as failure:
        translate_answer(surface, kind, raw, context(surface, kind))
    error = failure.value
    assert error.kind is FailureKind.UNREADABLE
    assert error.retryable
    assert error.counts_against_breaker
    assert error.may_be_billed


def test_anthropics_text_and_calls_for_openai() -> None:
    told = openai_of(
        message(text("a"), text("b"), tool_use("toolu_1", "f", {"x": 1.0}), tool_use("t2", "g", {}), stop="tool_use")
    )
    assert told["choices"] == [
        {
            "index": 0,
            "message": {
                "role": "assistant",
                "content": "ab",
                "refusal": None,
                "tool_calls": [call("toolu_1", "f", '{"x":1.0}'), call("t2", "g", "{}")],
            },
            "logprobs": None,
            "finish_reason": "tool_calls",
        }
    ]
    assert (told["id"], told["object"], told["model"]) == ("msg_1", "chat.completion", "claude-3-5-sonnet-20241022")
    assert told["created"] == 1_700_000_000


def test_openais_text_and_calls_for_anthropic() -> None:
    calls = [call("call_1", "f", '{"x": 1.0, "big": 12345678901234567890123}'), call("c:2", "g", "")]
    raw = answer(ANTHROPIC, completion({"content": "a", "tool_calls": calls}, "tool_calls")).body
    assert b'"input":{"x": 1.0, "big": 12345678901234567890123}' in raw
    told = orjson.loads(raw)
    assert [block["type"] for block in told["content"]] == ["text", "tool_use", "tool_use"]
    assert told["content"][2]["input"] == {}
    assert told["content"][2]["id"].startswith("call_")
    assert (told["type"], told["role"], told["stop_reason"], told["stop_sequence"]) == (
        "message",
        "assistant",
        "tool_use",
        None,
    )


def test_big_integers_in_calls_stay_exact() -> None:
    body = message(tool_use("t", "f", {"x": 1}), stop="tool_use")
    raw = orjson.dumps(body).replace(b'{"x":1}', b'{"x":12345678901234567890123}')
    told = orjson.loads(translate_answer(OPENAI, ANTHROPIC, raw, context(OPENAI, ANTHROPIC)).body)
    assert told["choices"][0]["message"]["tool_calls"][0]["function"]["arguments"] == '{"x":12345678901234567890123}'


@pytest.mark.parametrize(
    ("stop", "finish", "reason"),
    [
        ("end_turn", "stop", FinishReason.STOP),
        ("stop_sequence", "stop", FinishReason.STOP),
        ("max_tokens", "length", FinishReason.LENGTH),
        ("model_context_window_exceeded", "length", FinishReason.LENGTH),
        ("pause_turn", "length", FinishReason.LENGTH),
        ("refusal", "content_filter", FinishReason.REFUSAL),
        ("some_future_reason", "stop", FinishReason.STOP),
    ],
)
def test_anthropics_stop_reasons(stop: str, finish: str, reason: FinishReason) -> None:
    told = answer(OPENAI, message(text("a"), stop=stop))
    assert orjson.loads(told.body)["choices"][0]["finish_reason"] == finish
    assert told.finish_reason is reason


@pytest.mark.parametrize(
    ("body", "stop"),
    [
        (completion({"content": "a"}, "stop"), "end_turn"),
        (completion({"content": "a"}, "length"), "max_tokens"),
        (completion({"content": ""}, "content_filter"), "refusal"),
        (completion({"content": None, "refusal": "no"}, "stop"), "refusal"),
        (completion({"content": None, "tool_calls": [call("c", "f")]}, "stop"), "tool_use"),
        (completion({"content": "a"}, "tool_calls"), "end_turn"),
    ],
)
def test_openais_finish_reasons(body: dict[str, Any], stop: str) -> None:
    assert anthropic_of(body)["stop_reason"] == stop


@pytest.mark.parametrize(
    ("details", "content", "refusal"),
    [
        ({"type": "refusal", "explanation": "Because."}, [text("a")], "Because."),
        (None, [text("a")], "a"),
        (None, [], "The model declined to answer."),
    ],
)
def test_anthropics_refusals_say_why(details: Any, content: list[Any], refusal: str) -> None:
    told = openai_of(message(*content, stop="refusal", stop_details=details))
    assert told["choices"][0]["message"]["refusal"] == refusal


def test_openais_refusal_is_text() -> None:
    assert anthropic_of(completion({"content": None, "refusal": "no"}))["content"] == [text("no")]


ANTHROPIC_USAGE = {
    "input_tokens": 10,
    "cache_read_input_tokens": 100,
    "cache_creation_input_tokens": 30,
    "cache_creation": {"ephemeral_5m_input_tokens": 10, "ephemeral_1h_input_tokens": 20},
    "output_tokens": 50,
    "output_tokens_details": {"thinking_tokens": 40},
}


def test_anthropics_usage_in_openais_sums() -> None:
    read = answer(OPENAI, message(text("a"), usage=ANTHROPIC_USAGE))
    assert read.usage == Usage(140, 50, 100, 30, 20, 40)
    assert orjson.loads(read.body)["usage"] == {
        "prompt_tokens": 140,
        "completion_tokens": 50,
        "total_tokens": 190,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }


def test_openais_usage_in_anthropics_sums() -> None:
    usage = {
        "prompt_tokens": 140,
        "completion_tokens": 50,
        "total_tokens": 190,
        "prompt_tokens_details": {"cached_tokens": 100, "cache_write_tokens": 30},
        "completion_tokens_details": {"reasoning_tokens": 40},
    }
    read = answer(ANTHROPIC, completion({"content": "a"}, usage=usage))
    assert read.usage == Usage(140, 50, 100, 30, 0, 40)
    assert orjson.loads(read.body)["usage"] == {
        "input_tokens": 10,
        "cache_creation_input_tokens": 30,
        "cache_read_input_tokens": 100,
        "output_tokens": 50,
        "output_tokens_details": {"thinking_tokens": 40},
    }


def test_an_answer_without_usage_says_so() -> None:
    body = completion({"content": "a"})
    del body["usage"]
    assert answer(OPENAI, body).usage is None


def test_thinking_for_openai_keeps_what_was_signed() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "abc"}
    hidden = {"type": "redacted_thinking", "data": "zzz"}
    told = openai_of(message(thought, hidden, text("a")))["choices"][0]["message"]
    assert told["reasoning_content"] == "hm"
    assert told["thinking_blocks"] == [{"index": 0, **thought}, {"index": 1, **hidden}]


def test_thinking_that_can_not_come_back_is_told_without_its_signature() -> None:
    thought = {"type": "thinking", "thinking": "hm", "signature": "abc"}
    read = answer(OPENAI, message(thought, text("a")), keeps_thoughts=False)
    told = orjson.loads(read.body)["choices"][0]["message"]
    assert (told["reasoning_content"], told["thinking_blocks"]) == ("hm", [])


def test_reasoning_for_anthropic_is_marked_as_unsigned() -> None:
    told = anthropic_of(completion({"content": "a", "reasoning_content": "hm"}))
    assert told["content"][0] == {"type": "thinking", "thinking": "hm", "signature": UNSIGNED}


def test_the_forced_tools_input_is_the_answers_text() -> None:
    read = openai_of(message(tool_use("t", "json_answer", {"a": 1}), stop="tool_use"), answer_tool="json_answer")
    assert read["choices"][0]["message"]["content"] == '{"a":1}'
    assert read["choices"][0]["finish_reason"] == "stop"
    body = completion({"content": None, "tool_calls": [call("c", "json_answer", '{"a":1}')]}, "stop")
    told = anthropic_of(body, answer_tool="json_answer")
    assert (told["content"], told["stop_reason"]) == ([text('{"a":1}')], "end_turn")


def test_the_older_functions_answer_with_a_function_call() -> None:
    told = openai_of(message(tool_use("t", "f", {"a": 1}), stop="tool_use"), legacy_functions=True)["choices"][0]
    assert told["message"]["function_call"] == {"name": "f", "arguments": '{"a":1}'}
    assert "tool_calls" not in told["message"]
    assert told["finish_reason"] == "function_call"


def test_shortened_names_are_restored() -> None:
    body = completion({"content": None, "tool_calls": [call("c", "short")]}, "tool_calls")
    assert anthropic_of(body, tool_names={"short": "long"})["content"][0]["name"] == "long"


def test_web_citations_become_annotations() -> None:
    cited = {**text("bcd"), "citations": [{"type": "web_search_result_location", "url": "https://e.com", "title": "E"}]}
    [annotation] = openai_of(message(text("a"), cited))["choices"][0]["message"]["annotations"]
    expected = {"url": "https://e.com", "title": "E", "start_index": 1, "end_index": 4}
    assert annotation == {"type": "url_citation", "url_citation": expected}


@pytest.mark.parametrize("content", [[], [text("")]])
def test_an_empty_answer_is_an_empty_text(content: list[Any]) -> None:
    assert openai_of(message(*content))["choices"][0]["message"]["content"] == ""


def test_no_text_beside_calls_is_null() -> None:
    assert openai_of(message(tool_use("t", "f", {}), stop="tool_use"))["choices"][0]["message"]["content"] is None


@pytest.mark.parametrize("missing", [{"id": ""}, {"id": None}, {}])
def test_calls_without_an_id_get_one_each(missing: dict[str, Any]) -> None:
    calls = [{"type": "function", "function": {"name": "f", "arguments": "{}"}, **missing} for _ in range(2)]
    blocks = anthropic_of(completion({"content": None, "tool_calls": calls}, "tool_calls"))["content"]
    assert [block["id"] for block in blocks] == ["call_1", "call_2"]
