"""Same wire in and out: the client's bytes go on as they are but for what must change.

What may change: the model's name, `stream_options.include_usage` in OpenAI streams, the output limit where a budget
needs one, what this gateway itself put into earlier answers of the conversation and the provider would refuse, and the
conversation's id in `metadata`, which is meant for us.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.engine.catalogue import ModelTraits
from gateway.engine.words import Wire
from gateway.wires.jsons import dumps
from gateway.wires.splice import with_model, with_values
from gateway.wires.words import Context, Translated

# The signature we give to thinking that no Anthropic model signed; Anthropic would refuse it.
UNSIGNED = "llmops-unsigned"

_THOUGHT_FIELDS = ("thinking_blocks", "reasoning_content")


def pass_through(
    wire: Wire,
    payload: Mapping[str, Any],
    body: bytes | None,
    *,
    model: str,
    traits: ModelTraits,
    stream: bool,
    output_limit_tokens: int | None,
) -> Translated:
    """`output_limit_tokens` sets or lowers the limit; None leaves it alone."""
    raw = body if body is not None else dumps(payload)
    values = _openai_values(payload, raw, stream) if wire is Wire.OPENAI else {}
    dropped: tuple[str, ...] = ()
    if wire is Wire.ANTHROPIC:
        values, dropped = _anthropic_values(payload, raw)
    if output_limit_tokens is not None:
        values.update(_limit_values(wire, payload, traits, output_limit_tokens))
    if stream is not bool(payload.get("stream")):
        values["stream"] = orjson.dumps(stream)
    name = orjson.dumps(model)
    if values:
        sent = with_values(raw, {"model": name, **values})
    else:
        sent = raw if payload["model"] == model else with_model(raw, name)
    return Translated(sent, dropped, _context(wire, payload, model))


def _context(wire: Wire, payload: Mapping[str, Any], model: str) -> Context:
    options = payload.get("stream_options")
    return Context(
        surface=wire,
        kind=wire,
        model=model,
        created_at=int(time.time()),
        wants_usage=wire is Wire.ANTHROPIC or (isinstance(options, dict) and options.get("include_usage") is True),
        choices=payload.get("n") or 1 if wire is Wire.OPENAI else 1,
    )


def _limit_values(wire: Wire, payload: Mapping[str, Any], traits: ModelTraits, limit: int) -> dict[str, bytes | None]:
    present = [name for name in ("max_completion_tokens", "max_tokens") if payload.get(name) is not None]
    if wire is Wire.ANTHROPIC:
        present = ["max_tokens"]
    names = present or [traits.output_limit_field]
    return {name: orjson.dumps(min(limit, payload.get(name) or limit)) for name in names}


def _openai_values(payload: Mapping[str, Any], raw: bytes, stream: bool) -> dict[str, bytes | None]:
    values: dict[str, bytes | None] = {}
    options = payload.get("stream_options") or {}
    if stream and options.get("include_usage") is not True:
        values["stream_options"] = dumps({**options, "include_usage": True})
    if b'"thinking_blocks"' in raw:
        messages = [_without_thoughts(message) for message in payload["messages"]]
        if messages != payload["messages"]:
            values["messages"] = dumps(messages)
    return values if payload.get("store") is True else {**values, **_metadata_for_others(payload)}


def _metadata_for_others(payload: Mapping[str, Any]) -> dict[str, bytes | None]:
    """Without the conversation's id, which is told to us: OpenAI refuses metadata of what it isn't asked to store,
    Anthropic a name it doesn't know."""
    metadata = payload.get("metadata")
    if not isinstance(metadata, dict) or "conversation_id" not in metadata:
        return {}
    others = {name: value for name, value in metadata.items() if name != "conversation_id"}
    return {"metadata": dumps(others) if others else None}


def _without_thoughts(message: dict[str, Any]) -> dict[str, Any]:
    """OpenAI refuses unknown fields in messages; these are the ones we added to an Anthropic model's answer."""
    if message.get("role") != "assistant" or "thinking_blocks" not in message:
        return message
    return {name: value for name, value in message.items() if name not in _THOUGHT_FIELDS}


def _anthropic_values(payload: Mapping[str, Any], raw: bytes) -> tuple[dict[str, bytes | None], tuple[str, ...]]:
    values = _metadata_for_others(payload)
    messages = payload["messages"]
    if UNSIGNED.encode() in raw:
        messages = [signed for message in messages if (signed := _signed_only(message)) is not None]
        if messages != payload["messages"]:
            values["messages"] = dumps(messages)
    thinking = payload.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled" and _began_without_thinking(messages):
        return {**values, "thinking": None}, ("thinking",)
    return values, ()


def _signed_only(message: dict[str, Any]) -> dict[str, Any] | None:
    content = message.get("content")
    if message.get("role") != "assistant" or not isinstance(content, list):
        return message
    kept = [block for block in content if block.get("signature") != UNSIGNED]
    if len(kept) == len(content):
        return message
    return {**message, "content": kept} if kept else None


def _began_without_thinking(messages: list[dict[str, Any]]) -> bool:
    """A tool call under way that another provider made has no thinking; with a manual budget Anthropic refuses it."""
    if len(messages) < 2 or messages[-2].get("role") != "assistant":
        return False
    called, results = messages[-2].get("content"), messages[-1].get("content")
    if not isinstance(called, list) or not isinstance(results, list) or not called:
        return False
    if not any(block.get("type") == "tool_result" for block in results):
        return False
    return called[0].get("type") not in ("thinking", "redacted_thinking")
