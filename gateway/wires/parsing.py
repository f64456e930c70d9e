"""A client's body, checked as far as both wires agree on it. What we don't know is left alone.

Sources: OpenAI, "API reference: Create chat completion"; Anthropic, "API reference: Create a Message".
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import orjson

from gateway.engine.errors import InvalidRequest
from gateway.engine.words import Wire
from gateway.wires.costs import costs_of
from gateway.wires.splice import GUARDED, repeated_keys
from gateway.wires.words import ParsedRequest

# A conversation of real life stays under a dozen; orjson itself writes no more than 254 levels.
MAX_NESTING = 128
MAX_MODEL_CHARACTERS = 256
# More than any model's window holds; each list or object of a hostile body would cost twenty times its bytes.
MAX_SEPARATORS = 2_000_000
MAX_CHOICES = 128

_NUL = re.compile(rb"(?<!\\)(?:\\\\)*\\u0000")


def parse_request(surface: Wire, body: bytes, *, counting: bool = False) -> ParsedRequest:
    """Read a Chat Completions or Messages request. Raises InvalidRequest, naming the field and what would be right.

    `counting` reads a `count_tokens` request, which has no output limit.
    """
    payload = parse_object(body)
    messages = payload.get("messages")
    _check_messages(surface, messages)
    stream = optional(payload, "stream", bool, "true or false") or False
    tools = tools_of(payload)
    openai = surface is Wire.OPENAI
    costs = costs_of(surface, payload)
    return ParsedRequest(
        payload=payload,
        model=model_of(payload),
        stream=stream,
        conversation_id=conversation_of(payload),
        max_output_tokens=_openai_limit(payload) if openai else _anthropic_limit(payload, required=not counting),
        choices=_choices(payload) if openai else 1,
        has_tools=bool(tools) or bool(openai and payload.get("functions")),
        wants_usage=_wants_usage(payload) if openai else True,
        unbounded=costs.unbounded,
        has_fees=costs.has_fees,
        inline_images=costs.inline_images,
        surcharges=costs.surcharges,
    )


def parse_object(body: bytes, guarded: Sequence[bytes] = GUARDED) -> dict[str, Any]:
    """A body that is a JSON object, of sane nesting, without NUL or broken text, no `guarded` key given twice."""
    brackets = body.count(b"[") + body.count(b"{")
    if len(body) > MAX_SEPARATORS and brackets + body.count(b",") > MAX_SEPARATORS:
        raise InvalidRequest(f"The request body has more than {MAX_SEPARATORS} lists, objects and values.")
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(_why_unreadable(body, error)) from None
    if not isinstance(payload, dict):
        raise InvalidRequest('The request body must be a JSON object, such as {"model": …, "messages": […]}.')
    if b"\\u0000" in body and _NUL.search(body):
        raise InvalidRequest("The request body contains a NUL character (\\u0000), which no provider takes. Remove it.")
    if brackets > MAX_NESTING and _too_deep(payload):
        raise InvalidRequest(f"The request body is nested deeper than {MAX_NESTING} levels.")
    repeated = repeated_keys(body, guarded)
    if repeated:
        raise InvalidRequest(f"The request body has the key {repeated!r} twice. Send it once.", param=repeated)
    return payload


def _why_unreadable(body: bytes, error: orjson.JSONDecodeError) -> str:
    if not body.strip():
        return "The request body is empty. Send a JSON object."
    try:
        body.decode()
    except UnicodeDecodeError as undecodable:
        return f"The request body is not valid UTF-8 (byte {undecodable.start})."
    if "depth limit" in str(error) or "recursion" in str(error).lower():
        return f"The request body is nested deeper than {MAX_NESTING} levels."
    return f"The request body is not valid JSON: {error}."


def _too_deep(value: Any) -> bool:
    level = [value]
    for _ in range(MAX_NESTING):
        level = [
            inner
            for outer in level
            for inner in (outer.values() if isinstance(outer, dict) else outer)
            if isinstance(inner, (dict, list))
        ]
        if not level:
            return False
    return True


def optional(payload: Mapping[str, Any], name: str, wanted: type, wording: str) -> Any:
    """The field's value, None if absent or null. Raises InvalidRequest when it has another type."""
    value = payload.get(name)
    if value is None or type(value) is wanted:
        return value
    raise InvalidRequest(f"{name!r} must be {wording}, not {_kind(value)}.", param=name)


def _kind(value: Any) -> str:
    names = {
        bool: "a boolean",
        int: "a number",
        float: "a number",
        str: "a string",
        list: "a list",
        dict: "an object",
    }
    return names.get(type(value), "null")


def model_of(payload: Mapping[str, Any]) -> str:
    model = payload.get("model")
    if type(model) is str and 0 < len(model) <= MAX_MODEL_CHARACTERS and model.isprintable():
        return model
    raise InvalidRequest(
        f"'model' must be the name of a route, a string of 1 to {MAX_MODEL_CHARACTERS} printable characters.",
        param="model",
    )


def _check_messages(surface: Wire, messages: Any) -> None:
    if type(messages) is not list or not messages:
        raise InvalidRequest("'messages' must be a list of at least one message.", param="messages")
    for index, message in enumerate(messages):
        if type(message) is not dict:
            raise InvalidRequest(
                f"'messages[{index}]' must be an object, not {_kind(message)}.", param=f"messages[{index}]"
            )
        if type(message.get("role")) is not str:
            where = f"messages[{index}].role"
            raise InvalidRequest(f"{where!r} must be a string such as 'user' or 'assistant'.", param=where)
        content = message.get("content")
        if type(content) is list:
            _check_parts(index, content)
        elif type(content) is not str and (content is not None or surface is Wire.ANTHROPIC):
            where = f"messages[{index}].content"
            raise InvalidRequest(f"{where!r} must be a string or a list of parts, not {_kind(content)}.", param=where)


def _check_parts(index: int, parts: list[Any]) -> None:
    for position, part in enumerate(parts):
        if type(part) is not dict or type(part.get("type")) is not str:
            where = f"messages[{index}].content[{position}]"
            raise InvalidRequest(f"{where!r} must be an object with a 'type'.", param=where)


def tools_of(payload: Mapping[str, Any]) -> list[dict[str, Any]]:
    tools: list[dict[str, Any]] = optional(payload, "tools", list, "a list of tools") or []
    for index, tool in enumerate(tools):
        if type(tool) is not dict:
            where = f"tools[{index}]"
            raise InvalidRequest(f"{where!r} must be an object, not {_kind(tool)}.", param=where)
    return tools


def conversation_of(payload: Mapping[str, Any]) -> str | None:
    metadata = optional(payload, "metadata", dict, "an object")
    if not metadata:
        return None
    found = metadata.get("conversation_id")
    if found is None or type(found) is str:
        return found
    raise InvalidRequest("'metadata.conversation_id' must be a string.", param="metadata.conversation_id")


def limit_of(payload: Mapping[str, Any], name: str, least: int) -> int | None:
    value = payload.get(name)
    if value is None or (type(value) is int and least <= value < 2**31):
        return value
    raise InvalidRequest(f"{name!r} must be a whole number of at least {least}.", param=name)


def _openai_limit(payload: Mapping[str, Any]) -> int | None:
    """Both names may be set; the newer one counts."""
    older = limit_of(payload, "max_tokens", 1)
    newer = limit_of(payload, "max_completion_tokens", 1)
    return newer if newer is not None else older


def _anthropic_limit(payload: Mapping[str, Any], *, required: bool) -> int | None:
    """Required by Anthropic; zero fills the prompt cache without an answer."""
    limit = limit_of(payload, "max_tokens", 0)
    if limit is None and required:
        raise InvalidRequest(
            "'max_tokens' is required: a whole number, the most tokens to generate.", param="max_tokens"
        )
    return limit


def _choices(payload: Mapping[str, Any]) -> int:
    value = payload.get("n")
    if value is None:
        return 1
    if type(value) is int and 1 <= value <= MAX_CHOICES:
        return value
    raise InvalidRequest(f"'n' must be a whole number from 1 to {MAX_CHOICES}.", param="n")


def _wants_usage(payload: Mapping[str, Any]) -> bool:
    options = optional(payload, "stream_options", dict, "an object")
    if not options:
        return False
    value = options.get("include_usage")
    if value is None or type(value) is bool:
        return bool(value)
    raise InvalidRequest("'stream_options.include_usage' must be true or false.", param="stream_options.include_usage")
