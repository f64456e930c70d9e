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
from gateway.engine.exchange import Answer
from gateway.engine.words import Operation, Wire
from gateway.wires import answers
from gateway.wires.anthropic_to_openai_request import to_openai
from gateway.wires.anthropic_to_openai_stream import AnthropicToOpenAIStream
from gateway.wires.continuation import continuation_ask
from gateway.wires.continuation_stream import continuation_stream
from gateway.wires.counting import count_tokens_estimate, input_token_bound, read_token_count
from gateway.wires.embeddings import parse_embeddings, pass_embeddings, read_embeddings
from gateway.wires.errors import render_error, render_stream_error
from gateway.wires.jsons import dumps
from gateway.wires.openai_to_anthropic_request import to_anthropic
from gateway.wires.openai_to_anthropic_stream import OpenAIToAnthropicStream
from gateway.wires.parsing import parse_object, parse_request
from gateway.wires.passthrough import pass_through
from gateway.wires.passthrough_stream import AnthropicPassthrough, OpenAIPassthrough
from gateway.wires.responses import parse_responses, pass_responses, read_response
from gateway.wires.responses_stream import ResponsesPassthrough, render_responses_error
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
    "parse_call",
    "parse_object",
    "parse_request",
    "render_error",
    "render_responses_error",
    "render_stream_error",
    "stream_translator",
    "translate_answer",
    "translate_request",
]


# From this version on Anthropic refuses temperature, top_p and top_k (Anthropic, "API versions").
NO_SAMPLING_VERSION = "2026-10-21"


def parse_call(operation: Operation, body: bytes) -> ParsedRequest:
    """Read the body of any operation. Raises InvalidRequest, naming the field and what would be right."""
    if operation is Operation.RESPONSES:
        return parse_responses(body)
    if operation is Operation.EMBEDDINGS:
        return parse_embeddings(body)
    return parse_request(operation.surface, body, counting=operation is Operation.COUNT_TOKENS)


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
    operation: Operation = Operation.CHAT,
) -> Translated:
    """The request for one target. Raises InvalidRequest or Untranslatable.

    `body` is the client's body as it came; with it, a pass-through changes no byte that needn't change.
    `bound_output` sets `default_output_tokens` as the limit where the client set none; `output_limit_tokens` lowers
    whatever limit there is. Translated requests to Anthropic always have a limit. `anthropic_version` is the one that
    will be sent along. `operation` matters where it is more than a completion of `surface`.
    """
    if operation.is_metered:
        default_limit = default_output_tokens if bound_output and payload.get("max_output_tokens") is None else None
        limit = default_limit if output_limit_tokens is None else output_limit_tokens
        return _pass_metered(operation, kind, payload, body, model, limit)
    if output_limit_tokens is None and bound_output and not _has_limit(payload):
        output_limit_tokens = default_output_tokens
    if surface is kind:
        translated = pass_through(
            surface,
            payload,
            body,
            model=model,
            traits=traits,
            stream=stream,
            output_limit_tokens=output_limit_tokens,
        )
        if operation is Operation.COUNT_TOKENS:
            return replace(translated, context=replace(translated.context, operation=operation))
        return translated
    if anthropic_version is not None and anthropic_version >= NO_SAMPLING_VERSION:
        traits = replace(traits, takes_sampling=False)
    try:
        return _translated(surface, payload, model, traits, stream, default_output_tokens, output_limit_tokens)
    except (KeyError, TypeError, AttributeError, IndexError, RecursionError) as error:
        raise InvalidRequest("A field of the request has the wrong type; see the API reference.") from error


def _pass_metered(
    operation: Operation, kind: Wire, payload: Mapping[str, Any], body: bytes | None, model: str, limit: int | None
) -> Translated:
    if kind is not operation.surface:
        raise Untranslatable("model", f"A provider of kind {kind.value} has no {operation.value}.")
    raw = body if body is not None else dumps(payload)
    if operation is Operation.EMBEDDINGS:
        return pass_embeddings(payload, raw, model=model)
    return pass_responses(payload, raw, model=model, output_limit_tokens=limit)


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


_READERS = {
    Operation.RESPONSES: read_response,
    Operation.EMBEDDINGS: read_embeddings,
    Operation.COUNT_TOKENS: read_token_count,
}


def translate_answer(surface: Wire, kind: Wire, body: bytes, context: Context) -> Answer:
    """The client's answer from the provider's. Raises UpstreamError(UNREADABLE) where it breaks its wire's promise."""
    reader = _READERS.get(context.operation)
    return reader(body, context) if reader is not None else answers.translate_answer(surface, kind, body, context)


def stream_translator(surface: Wire, kind: Wire, context: Context) -> StreamTranslator:
    """A translator for one attempt's stream."""
    if context.operation is Operation.RESPONSES:
        return ResponsesPassthrough(context)
    return _STREAMS[surface, kind](context)


def cost_comment(data: Mapping[str, Any]) -> bytes:
    """The SSE comment that carries cost and target; SDKs ignore it."""
    return b": llmops " + orjson.dumps(dict(data), default=str) + b"\n\n"
