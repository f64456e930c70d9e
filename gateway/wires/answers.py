"""Whole answers: reading any, translating those of the other wire.

Sources: OpenAI, "API reference: The chat completion object"; Anthropic, "API reference: Create a Message, returns",
"Handling stop reasons", "Citations", "Extended thinking".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.engine.exchange import Answer
from gateway.engine.usage import Usage
from gateway.engine.words import FinishReason, Wire
from gateway.wires import vocabulary
from gateway.wires.jsons import dumps, loads_exact
from gateway.wires.passthrough import UNSIGNED
from gateway.wires.tools import arguments_of, input_of, portable_id
from gateway.wires.unreadable import unreadable
from gateway.wires.words import Context

DECLINED = "The model declined to answer."


def translate_answer(surface: Wire, kind: Wire, body: bytes, context: Context) -> Answer:
    """The client's answer from the provider's. Raises UpstreamError(UNREADABLE) where it breaks its wire's promise."""
    try:
        parsed = orjson.loads(body) if surface is kind else loads_exact(body)
    except ValueError:
        raise unreadable("The provider's answer is not JSON." if body else "The provider's answer is empty.") from None
    if not isinstance(parsed, dict):
        raise unreadable("The provider's answer is not a JSON object.")
    read = _read_openai if kind is Wire.OPENAI else _read_anthropic
    try:
        return read(surface, parsed, body, context)
    except (AttributeError, TypeError, KeyError, IndexError) as error:
        raise unreadable("The provider's answer has not the shape its API promises.") from error


def _read_openai(surface: Wire, parsed: dict[str, Any], body: bytes, context: Context) -> Answer:
    choices = parsed.get("choices")
    if not isinstance(choices, list) or not choices:
        raise unreadable("The provider's answer has no choices.")
    message = choices[0]["message"]
    if surface is Wire.ANTHROPIC:
        body, finish = _to_anthropic(parsed, choices[0], context)
    else:
        finish = vocabulary.finish_from_openai(choices[0].get("finish_reason"))
    text = message.get("content")
    return Answer(
        body=body,
        usage=vocabulary.usage_from_openai(parsed.get("usage")),
        finish_reason=finish,
        model=str(parsed.get("model") or context.model),
        upstream_id=_text_or_none(parsed.get("id")),
        text=text if isinstance(text, str) else "",
    )


def _read_anthropic(surface: Wire, parsed: dict[str, Any], body: bytes, context: Context) -> Answer:
    content = parsed.get("content")
    if not isinstance(content, list) or parsed.get("type", "message") != "message":
        raise unreadable("The provider's answer has no content.")
    finish = vocabulary.finish_from_anthropic(parsed.get("stop_reason"))
    if surface is Wire.OPENAI:
        body, finish = _to_openai(parsed, content, context)
    return Answer(
        body=body,
        usage=vocabulary.usage_from_anthropic(parsed.get("usage")),
        finish_reason=finish,
        model=str(parsed.get("model") or context.model),
        upstream_id=_text_or_none(parsed.get("id")),
        text="".join(block["text"] for block in content if block["type"] == "text"),
    )


def _text_or_none(value: Any) -> str | None:
    return value if isinstance(value, str) else None


# Anthropic's message as OpenAI's completion ------------------------------------------------------------------------


def _to_openai(parsed: dict[str, Any], content: list[Any], context: Context) -> tuple[bytes, FinishReason | None]:
    message, structured = _openai_message(parsed, content, context)
    finish = vocabulary.OPENAI_FINISH.get(parsed.get("stop_reason") or "", "stop")
    if structured and finish == "tool_calls" and "tool_calls" not in message:
        finish = "stop"
    if context.legacy_functions and message.get("tool_calls"):
        message["function_call"] = message.pop("tool_calls")[0]["function"]
        finish = "function_call"
    completion: dict[str, Any] = {
        "id": parsed.get("id"),
        "object": "chat.completion",
        "created": context.created_at,
        "model": parsed.get("model") or context.model,
        "choices": [{"index": 0, "message": message, "logprobs": None, "finish_reason": finish}],
    }
    usage = vocabulary.usage_from_anthropic(parsed.get("usage"))
    if usage is not None:
        completion["usage"] = vocabulary.usage_to_openai(usage)
    return dumps(completion), vocabulary.finish_from_openai(finish)


def _openai_message(parsed: dict[str, Any], content: list[Any], context: Context) -> tuple[dict[str, Any], bool]:
    """The assistant's message, and whether its text is the input of the tool that was forced for structured output."""
    texts: list[str] = []
    calls: list[dict[str, Any]] = []
    thoughts: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    structured = False
    for block in content:
        kind = block["type"]
        if kind == "text":
            annotations += _annotations(block, sum(map(len, texts)))
            texts.append(block["text"])
        elif kind == "tool_use" and block["name"] == context.answer_tool:
            texts, structured = [arguments_of(block["input"])], True
        elif kind == "tool_use":
            function = {"name": block["name"], "arguments": arguments_of(block.get("input"))}
            calls.append({"id": block["id"], "type": "function", "function": function})
        elif kind in ("thinking", "redacted_thinking"):
            thoughts.append({"index": len(thoughts), **block})
    message: dict[str, Any] = {
        "role": "assistant",
        "content": "".join(texts) or (None if calls else ""),
        "refusal": None,
    }
    if parsed.get("stop_reason") == "refusal":
        message["refusal"] = _refusal(parsed, message["content"])
    if calls:
        message["tool_calls"] = calls
    if annotations:
        message["annotations"] = annotations
    if thoughts:
        message["reasoning_content"] = "".join(block.get("thinking", "") for block in thoughts)
        message["thinking_blocks"] = thoughts if context.keeps_thoughts else []
    return message, structured


def _refusal(parsed: Mapping[str, Any], text: str | None) -> str:
    details = parsed.get("stop_details")
    explanation = details.get("explanation") if isinstance(details, dict) else None
    return explanation or text or DECLINED


def _annotations(block: Mapping[str, Any], start: int) -> list[dict[str, Any]]:
    """Web citations as OpenAI's annotations; they cover the whole text block that they stand for."""
    return [
        {
            "type": "url_citation",
            "url_citation": {
                "url": citation["url"],
                "title": citation.get("title") or citation["url"],
                "start_index": start,
                "end_index": start + len(block["text"]),
            },
        }
        for citation in block.get("citations") or ()
        if isinstance(citation.get("url"), str)
    ]


# OpenAI's completion as Anthropic's message ------------------------------------------------------------------------


def _to_anthropic(
    parsed: dict[str, Any], choice: dict[str, Any], context: Context
) -> tuple[bytes, FinishReason | None]:
    source = choice["message"]
    content, calls = _anthropic_content(source, context)
    stop = vocabulary.ANTHROPIC_STOP.get(choice.get("finish_reason") or "", "end_turn")
    if calls and stop == "end_turn":
        stop = "tool_use"
    elif not calls and stop == "tool_use":
        stop = "end_turn"
    if source.get("refusal"):
        stop = "refusal"
    usage = vocabulary.usage_from_openai(parsed.get("usage")) or Usage()
    message = {
        "id": parsed.get("id"),
        "type": "message",
        "role": "assistant",
        "model": parsed.get("model") or context.model,
        "content": content,
        "stop_reason": stop,
        "stop_sequence": None,
        "usage": vocabulary.usage_to_anthropic(usage),
    }
    return dumps(message), vocabulary.finish_from_anthropic(stop)


def _anthropic_content(source: Mapping[str, Any], context: Context) -> tuple[list[dict[str, Any]], int]:
    """The blocks, and how many of them are calls of the client's tools. Some of those who speak OpenAI's wire give
    calls no id; parallel ones must be told apart all the same."""
    blocks: list[dict[str, Any]] = []
    thought = source.get("reasoning_content") or source.get("reasoning")
    if isinstance(thought, str) and thought:
        blocks.append({"type": "thinking", "thinking": thought, "signature": UNSIGNED})
    text = source.get("content") or source.get("refusal")
    if isinstance(text, str) and text:
        blocks.append({"type": "text", "text": text})
    calls = 0
    for call in source.get("tool_calls") or ():
        function = call["function"]
        if function["name"] == context.answer_tool:
            blocks.append({"type": "text", "text": function["arguments"]})
        else:
            calls += 1
            blocks.append(_tool_use(call.get("id") or f"call_{calls}", function, context))
    return blocks, calls


def _tool_use(call_id: str, function: Mapping[str, Any], context: Context) -> dict[str, Any]:
    name = function["name"]
    return {
        "type": "tool_use",
        "id": portable_id(call_id),
        "name": context.tool_names.get(name, name),
        "input": input_of(function.get("arguments") or ""),
    }
