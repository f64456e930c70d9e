"""A whole answer as the stream its provider might have sent: for cached answers whose client wants a stream.

Each text, thought and tool call goes in one piece. Sources: OpenAI, "API reference: The chat completion chunk object";
Anthropic, "Streaming messages: event types".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.engine.words import Operation
from gateway.wires.stream_base import DONE, MESSAGE_STOP

_DELTA_OF = {"text": ("text", "text_delta"), "thinking": ("thinking", "thinking_delta")}


def replay(operation: Operation, answer: Mapping[str, Any], *, wants_usage: bool) -> bytes:
    """The stream without its terminator. `wants_usage` is what an OpenAI client asked for; Anthropic's always tells."""
    if operation is Operation.MESSAGES:
        return b"".join(
            b"event: %b\ndata: %b\n\n" % (event["type"].encode(), orjson.dumps(event)) for event in _events(answer)
        )
    return b"".join(b"data: %b\n\n" % orjson.dumps(chunk) for chunk in _chunks(answer, wants_usage))


def terminator(operation: Operation) -> bytes:
    return MESSAGE_STOP if operation is Operation.MESSAGES else DONE


def _chunks(answer: Mapping[str, Any], wants_usage: bool) -> Iterator[dict[str, Any]]:
    frame = {name: value for name, value in answer.items() if name not in ("choices", "usage", "object")}
    frame["object"] = "chat.completion.chunk"
    nothing = {"usage": None} if wants_usage else {}
    for choice in answer["choices"]:
        for piece in _choice_pieces(choice):
            yield {**frame, "choices": [piece], **nothing}
    if wants_usage:
        yield {**frame, "choices": [], "usage": answer.get("usage")}


def _choice_pieces(choice: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    index, message = choice.get("index", 0), dict(choice["message"])
    message.pop("role", None)
    calls = message.pop("tool_calls", None)
    delta = {name: value for name, value in message.items() if value is not None}
    content = {} if "content" in delta else {"content": None}
    first = {"role": "assistant", **content, **delta}
    yield {"index": index, "delta": first, "logprobs": choice.get("logprobs"), "finish_reason": None}
    for number, call in enumerate(calls or ()):
        yield {"index": index, "delta": {"tool_calls": [{"index": number, **call}]}, "finish_reason": None}
    yield {"index": index, "delta": {}, "logprobs": None, "finish_reason": choice["finish_reason"]}


def _events(answer: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    usage = answer.get("usage") or {}
    begun = {**answer, "content": [], "stop_reason": None, "stop_sequence": None}
    yield {"type": "message_start", "message": {**begun, "usage": {**usage, "output_tokens": 1}}}
    for index, block in enumerate(answer["content"]):
        yield from _block_events(index, block)
    delta = {"stop_reason": answer.get("stop_reason"), "stop_sequence": answer.get("stop_sequence")}
    yield {"type": "message_delta", "delta": delta, "usage": usage}


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[dict[str, Any]]:
    begun, deltas = _begun(block)
    yield {"type": "content_block_start", "index": index, "content_block": begun}
    for delta in deltas:
        yield {"type": "content_block_delta", "index": index, "delta": delta}
    yield {"type": "content_block_stop", "index": index}


def _begun(block: Mapping[str, Any]) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """How a block begins, and what is added to it; blocks of other kinds come as they are."""
    kind = block["type"]
    if kind == "tool_use":
        delta = {"type": "input_json_delta", "partial_json": orjson.dumps(block["input"]).decode()}
        return {**block, "input": {}}, [delta]
    if kind not in _DELTA_OF:
        return dict(block), []
    name, delta_type = _DELTA_OF[kind]
    begun = {**block, name: ""}
    deltas = [{"type": "citations_delta", "citation": each} for each in begun.pop("citations", None) or ()]
    deltas.append({"type": delta_type, name: block[name]})
    if kind == "thinking":
        begun["signature"] = ""
        deltas.append({"type": "signature_delta", "signature": block.get("signature", "")})
    return begun, deltas
