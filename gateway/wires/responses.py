"""OpenAI's Responses API: passed through and metered. Only OpenAI's wire has it.

Source: OpenAI, "API reference: Create a model response".
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from gateway.engine.errors import InvalidRequest
from gateway.engine.exchange import Answer
from gateway.engine.words import FinishReason, Operation, Wire
from gateway.wires.costs import surcharges_of
from gateway.wires.parsing import conversation_of, limit_of, model_of, optional, parse_object, tools_of
from gateway.wires.splice import with_model, with_values
from gateway.wires.stream_base import in_band_error
from gateway.wires.unreadable import answer_object, unreadable
from gateway.wires.vocabulary import usage_from_responses
from gateway.wires.words import Context, ParsedRequest, Translated

_GUARDED = (
    b'"model"', b'"stream"', b'"max_output_tokens"', b'"input"', b'"tools"', b'"background"', b'"metadata"',
    b'"previous_response_id"', b'"conversation"', b'"prompt"',
)  # fmt: skip
# What these bring into the model's input lies at the provider; nobody can tell its size from the request.
_STORED = ("previous_response_id", "conversation", "prompt")
# Tools that run at the client: the request's bytes are all there is to them.
_CLIENT_TOOLS = frozenset({"function", "custom", "local_shell", "apply_patch"})
_UNBOUNDED_PARTS = frozenset({"input_image", "input_file", "input_audio", "item_reference"})
CALLS = frozenset({"function_call", "custom_tool_call", "local_shell_call", "apply_patch_call"})
_INCOMPLETE = {"max_output_tokens": FinishReason.LENGTH, "content_filter": FinishReason.REFUSAL}


def parse_responses(body: bytes) -> ParsedRequest:
    """Read a request. Raises InvalidRequest, naming the field and what would be right."""
    payload = parse_object(body, _GUARDED)
    _check_input(payload)
    if optional(payload, "background", bool, "true or false"):
        raise InvalidRequest(
            "'background' must be false: this gateway answers on the spot and keeps no responses to ask for later.",
            param="background",
        )
    tools = tools_of(payload)
    has_media = any(map(_is_unbounded, _parts(payload.get("input"))))
    return ParsedRequest(
        payload=payload,
        model=model_of(payload),
        stream=optional(payload, "stream", bool, "true or false") or False,
        conversation_id=conversation_of(payload),
        max_output_tokens=limit_of(payload, "max_output_tokens", 1),
        choices=1,
        has_tools=bool(tools),
        wants_usage=True,
        unbounded=_unbounded(payload, tools, has_media=has_media),
        has_fees=_has_provider_tools(tools),
        surcharges=surcharges_of(payload),
    )


def _check_input(payload: Mapping[str, Any]) -> None:
    """A text or a list of items; none at all where the conversation or the prompt lies at the provider."""
    given = payload.get("input")
    if given is None and any(payload.get(name) is not None for name in _STORED):
        return
    if type(given) is not str and type(given) is not list:
        raise InvalidRequest("'input' must be a text or a list of items.", param="input")
    for index, item in enumerate(given if type(given) is list else ()):
        if type(item) is not dict:
            raise InvalidRequest(f"'input[{index}]' must be an object.", param=f"input[{index}]")


def _has_provider_tools(tools: list[dict[str, Any]]) -> bool:
    return any(tool.get("type") not in _CLIENT_TOOLS for tool in tools)


def _unbounded(payload: Mapping[str, Any], tools: list[dict[str, Any]], *, has_media: bool) -> str | None:
    if _has_provider_tools(tools):
        return "tools"
    if has_media:
        return "input"
    return next((name for name in _STORED if payload.get(name) is not None), None)


def _parts(items: Any) -> Iterator[dict[str, Any]]:
    """The input's items and the parts of their contents and outputs."""
    for item in items if isinstance(items, list) else ():
        yield item
        for name in ("content", "output"):
            inner = item.get(name)
            yield from (part for part in (inner if isinstance(inner, list) else ()) if isinstance(part, dict))


def _is_unbounded(part: Mapping[str, Any]) -> bool:
    kind = part.get("type")
    return isinstance(kind, str) and kind in _UNBOUNDED_PARTS


def pass_responses(
    payload: Mapping[str, Any], body: bytes, *, model: str, output_limit_tokens: int | None
) -> Translated:
    """The client's bytes with the target's model; `output_limit_tokens` sets or lowers the limit, None leaves it."""
    name = orjson.dumps(model)
    if output_limit_tokens is not None:
        limit = min(output_limit_tokens, payload.get("max_output_tokens") or output_limit_tokens)
        sent = with_values(body, {"model": name, "max_output_tokens": orjson.dumps(limit)})
    else:
        sent = body if payload["model"] == model else with_model(body, name)
    context = Context(Wire.OPENAI, Wire.OPENAI, model, int(time.time()), operation=Operation.RESPONSES)
    return Translated(sent, (), context)


def read_response(body: bytes, context: Context) -> Answer:
    """Raises UpstreamError: UNREADABLE where the answer breaks its API's promise, its own error where it failed."""
    parsed = answer_object(body)
    output = parsed.get("output")
    if parsed.get("status") == "failed":
        raise in_band_error(parsed.get("error") or {}, body)
    if not isinstance(output, list):
        raise unreadable("The provider's answer has no output.")
    return Answer(
        body=body,
        usage=usage_from_responses(parsed.get("usage"), output),
        finish_reason=finish_of(parsed),
        model=str(parsed.get("model") or context.model),
        upstream_id=parsed["id"] if isinstance(parsed.get("id"), str) else None,
        text="".join(_texts(output)),
    )


def finish_of(response: Mapping[str, Any]) -> FinishReason:
    if response.get("status") == "incomplete":
        details = response.get("incomplete_details")
        reason = details.get("reason") if isinstance(details, dict) else None
        return _INCOMPLETE.get(reason, FinishReason.OTHER) if isinstance(reason, str) else FinishReason.OTHER
    output = response.get("output")
    items = [item for item in (output if isinstance(output, list) else ()) if isinstance(item, dict)]
    if any(item.get("type") in CALLS for item in items):
        return FinishReason.TOOL_CALLS
    refused = any(part.get("type") == "refusal" for part in _parts(items))
    return FinishReason.REFUSAL if refused else FinishReason.STOP


def _texts(output: list[Any]) -> Iterator[str]:
    for part in _parts([item for item in output if isinstance(item, dict)]):
        if part.get("type") == "output_text" and isinstance(part.get("text"), str):
            yield part["text"]
