"""A whole answer becomes a stream, and a stream the whole answer it stands for."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.engine.usage import Usage
from gateway.engine.words import Operation
from gateway.wires.assembly import Assembly
from gateway.wires.replay import replay
from gateway.wires.whole import is_whole

USAGE = {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def completion(*choices: tuple[dict[str, Any], str]) -> dict[str, Any]:
    told = [
        {
            "index": index,
            "message": {"role": "assistant", "content": None, "refusal": None, **message},
            "logprobs": None,
            "finish_reason": reason,
        }
        for index, (message, reason) in enumerate(choices)
    ]
    frame = {"id": "chatcmpl-1", "created": 1, "model": "m", "object": "chat.completion"}
    return {**frame, "choices": told, "usage": USAGE}


def call(number: int) -> dict[str, Any]:
    return {"id": f"call_{number}", "type": "function", "function": {"name": "weather", "arguments": '{"city":"Ulm"}'}}


def message(stop_reason: str, *content: dict[str, Any]) -> dict[str, Any]:
    return {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "m",
        "content": list(content),
        "stop_reason": stop_reason,
        "stop_sequence": None,
        "usage": {"input_tokens": 3, "output_tokens": 4},
    }


ANSWERS = {
    "text": (Operation.CHAT, completion(({"content": "Hé\n\nllo"}, "stop"))),
    "two choices": (Operation.CHAT, completion(({"content": "a"}, "stop"), ({"content": "b"}, "stop"))),
    "calls": (Operation.CHAT, completion(({"tool_calls": [call(1), call(2)]}, "tool_calls"))),
    "thoughts": (Operation.CHAT, completion(({"content": "a", "reasoning_content": "hm"}, "stop"))),
    "function": (Operation.CHAT, completion(({"function_call": {"name": "f", "arguments": "{}"}}, "function_call"))),
    "message": (Operation.MESSAGES, message("end_turn", {"type": "text", "text": "Hé\n\nllo"})),
    "thinking and tool": (
        Operation.MESSAGES,
        message(
            "tool_use",
            {"type": "thinking", "thinking": "hm", "signature": "sig"},
            {"type": "redacted_thinking", "data": "xx"},
            {"type": "text", "text": "so"},
            {"type": "tool_use", "id": "toolu_1", "name": "weather", "input": {"city": "Ulm"}},
            {"type": "tool_use", "id": "toolu_2", "name": "now", "input": {}},
        ),
    ),
    "cited": (
        Operation.MESSAGES,
        message("end_turn", {"type": "text", "text": "a", "citations": [{"cited_text": "a"}]}),
    ),
}


@pytest.mark.parametrize("name", ANSWERS)
def test_a_replayed_answer_read_back_is_the_answer(name: str) -> None:
    operation, answer = ANSWERS[name]
    assembly = Assembly(operation)
    assembly.feed(replay(operation, answer, wants_usage=True))
    assert assembly.answer(None) == answer


@pytest.mark.parametrize("name", ANSWERS)
def test_each_of_them_is_whole(name: str) -> None:
    assert is_whole(*ANSWERS[name])


def test_usage_is_replayed_only_to_who_asked_and_filled_in_from_the_books() -> None:
    answer = completion(({"content": "a"}, "stop"))
    stream = replay(Operation.CHAT, answer, wants_usage=False)
    assembly = Assembly(Operation.CHAT)
    assembly.feed(stream)
    told = assembly.answer(Usage(input_tokens=3, output_tokens=4))
    assert b"usage" not in stream
    assert told is not None
    assert told["usage"]["total_tokens"] == 7


@pytest.mark.parametrize(
    ("operation", "event"),
    [
        (Operation.CHAT, b'data: {"id":"1","choices":[{"index":0,"delta":{"unheard_of":1}}]}\n\n'),
        (Operation.CHAT, b'data: {"error":{"message":"broken"}}\n\n'),
        (Operation.CHAT, b"data: {broken\n\n"),
        (Operation.MESSAGES, b'event: unheard_of\ndata: {"type":"unheard_of"}\n\n'),
        (Operation.MESSAGES, b'event: error\ndata: {"type":"error","error":{}}\n\n'),
    ],
)
def test_a_stream_that_is_not_understood_is_not_kept(operation: Operation, event: bytes) -> None:
    _, answer = ANSWERS["text" if operation is Operation.CHAT else "message"]
    assembly = Assembly(operation)
    assembly.feed(replay(operation, answer, wants_usage=True))
    assembly.feed(event)
    assert assembly.answer(None) is None


@pytest.mark.parametrize(
    ("operation", "answer"),
    [
        (Operation.CHAT, completion(({"content": "a"}, "length"))),
        (Operation.CHAT, completion(({"content": "a"}, "content_filter"))),
        (Operation.CHAT, completion(({"content": "a"}, "stop"), ({"content": "a"}, "length"))),
        (Operation.CHAT, completion(({"refusal": "no"}, "stop"))),
        (Operation.CHAT, completion()),
        (Operation.CHAT, {"error": {"message": "x"}}),
        (Operation.MESSAGES, message("max_tokens", {"type": "text", "text": "a"})),
        (Operation.MESSAGES, message("refusal", {"type": "text", "text": "a"})),
        (Operation.MESSAGES, message("pause_turn", {"type": "text", "text": "a"})),
        (Operation.MESSAGES, message("end_turn")),
    ],
)
def test_what_was_cut_refused_or_filtered_is_not_whole(operation: Operation, answer: dict[str, Any]) -> None:
    assert not is_whole(operation, answer)
