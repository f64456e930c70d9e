"""The two public wire formats and the translations between them: pure functions on dicts, bytes and events.

Standard library and orjson only; nothing here does I/O. What passes, what is translated, dropped or refused is told,
row by row, in docs/compatibility.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import orjson

from gateway.engine.catalogue import ModelTraits
from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Wire
from gateway.wires.answers import translate_answer
from gateway.wires.anthropic_to_openai_request import to_openai
from gateway.wires.anthropic_to_openai_stream import AnthropicToOpenAIStream
from gateway.wires.continuation import continuation_ask
from gateway.wires.continuation_stream import continuation_stream
from gateway.wires.counting import count_tokens_estimate, input_token_bound
from gateway.wires.errors import render_error, render_stream_error
from gateway.wires.openai_to_anthropic_request import to_anthropic
from gateway.wires.openai_to_anthropic_stream import OpenAIToAnthropicStream
from gateway.wires.parsing import parse_object, parse_request
from gateway.wires.passthrough import pass_through
from gateway.wires.passthrough_stream import AnthropicPassthrough, OpenAIPassthrough
from gateway.wires.words import Context, ParsedRequest, StreamTranslator, Translated, Untranslatable

__all__ = [
    "Context",
    "ParsedRequest",
    "StreamTranslator",
    "Translated",
    "Untranslatable",
    "continuation_ask",
    "continuation_stream",
    "cost_comment",
    "count_tokens_estimate",
    "input_token_bound",
    "parse_object",
    "parse_request",
    "render_error",
    "render_stream_error",
    "stream_translator",
    "translate_answer",
    "translate_request",
]


# From this version on Anthropic refuses temperature, top_p and top_k (Anthropic, "API versions").
NO_SAMPLING_VERSION = "2026-10-21"


def translate_request(
    surface: Wire,
    kind: Wire,
    payload: Mapping[str, Any],
    *,
    model: str,
    traits: ModelTraits,
    stream: bool,
    default_output_tokens: int,
    anthropic_version: str | None = None,
    bound_output: bool = False,
    body: bytes | None = None,
    output_limit_tokens: int | None = None,
) -> Translated:
    """The request for one target. Raises InvalidRequest or Untranslatable.

    `body` is the client's body as it came; with it, a pass-through changes no byte that needn't change.
    `bound_output` sets `default_output_tokens` as the limit where the client set none; `output_limit_tokens` lowers
    whatever limit there is. Translated requests to Anthropic always have a limit. `anthropic_version` is the one that
    will be sent along.
    """
    if output_limit_tokens is None and bound_output and not _has_limit(payload):
        output_limit_tokens = default_output_tokens
    if surface is kind:
        return pass_through(
            surface,
            payload,
            body,
            model=model,
            traits=traits,
            stream=stream,
            output_limit_tokens=output_limit_tokens,
        )
    if anthropic_version is not None and anthropic_version >= NO_SAMPLING_VERSION:
        traits = replace(traits, takes_sampling=False)
    try:
        return _translated(surface, payload, model, traits, stream, default_output_tokens, output_limit_tokens)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise InvalidRequest("A field of the request has the wrong type; see the API reference.") from error


def _translated(
    surface: Wire,
    payload: Mapping[str, Any],
    model: str,
    traits: ModelTraits,
    stream: bool,
    default_output_tokens: int,
    limit: int | None,
) -> Translated:
    if surface is Wire.ANTHROPIC:
        lowered = _lowered(payload, "max_tokens", limit)
        return to_openai(lowered, model=model, traits=traits, stream=stream)
    return to_anthropic(
        _lowered(payload, "max_completion_tokens", limit),
        model=model,
        traits=traits,
        stream=stream,
        default_output_tokens=default_output_tokens,
    )


def _has_limit(payload: Mapping[str, Any]) -> bool:
    return payload.get("max_completion_tokens") is not None or payload.get("max_tokens") is not None


def _lowered(payload: Mapping[str, Any], name: str, limit: int | None) -> Mapping[str, Any]:
    if limit is None:
        return payload
    asked = payload.get(name) or payload.get("max_tokens") or limit
    return {**payload, name: min(asked, limit)}


_STREAMS = {
    (Wire.OPENAI, Wire.OPENAI): OpenAIPassthrough,
    (Wire.ANTHROPIC, Wire.ANTHROPIC): AnthropicPassthrough,
    (Wire.OPENAI, Wire.ANTHROPIC): AnthropicToOpenAIStream,
    (Wire.ANTHROPIC, Wire.OPENAI): OpenAIToAnthropicStream,
}


def stream_translator(surface: Wire, kind: Wire, context: Context) -> StreamTranslator:
    """A translator for one attempt's stream."""
    return _STREAMS[surface, kind](context)


def cost_comment(data: Mapping[str, Any]) -> bytes:
    """The SSE comment that carries cost and target; SDKs ignore it."""
    return b": llmops " + orjson.dumps(dict(data), default=str) + b"\n\n"
