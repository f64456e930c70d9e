"""The items of a Responses ``input``: what is refused about them, and the turns and tokens they amount to."""

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import orjson

from gateway.simulator.errors import InvalidRequest
from gateway.simulator.openai_schemas import check_name
from gateway.simulator.openai_values import check_type, missing, not_among, wrong_type
from gateway.simulator.text import Turn
from gateway.simulator.tokens import count

_ROLES = ("assistant", "system", "developer", "user")
_INPUT_PARTS = ("input_text", "input_image", "input_file", "input_audio")
_OUTPUT_PARTS = ("output_text", "refusal")
_TEXT_FIELDS = {"input_text": "text", "output_text": "text", "refusal": "refusal"}
_CALLS = ("function_call", "custom_tool_call")
_OUTPUTS = ("function_call_output", "custom_tool_call_output")
# Items of OpenAI's own tools and of its housekeeping: taken as they are, counted by their JSON.
_UNREAD = (
    "apply_patch_call",
    "apply_patch_call_output",
    "code_interpreter_call",
    "compaction",
    "computer_call",
    "computer_call_output",
    "file_search_call",
    "image_generation_call",
    "local_shell_call",
    "local_shell_call_output",
    "mcp_approval_request",
    "mcp_approval_response",
    "mcp_call",
    "mcp_list_tools",
    "shell_call",
    "shell_call_output",
    "tool_search_call",
    "tool_search_output",
    "web_search_call",
)
_ITEM_TYPES = ("message", "reasoning", "item_reference", *_CALLS, *_OUTPUTS, *_UNREAD)
_ITEM_TOKENS = 3  # what the format adds to each item
_LOW_IMAGE_TOKENS = 85
_HIGH_IMAGE_TOKENS = 765
_AUDIO_TOKENS = 200
_FILE_TOKENS = 1500


def items_of(given: Any) -> list[dict[str, Any]]:
    """``input`` as checked items. Raises `InvalidRequest` for the first one OpenAI would refuse."""
    if isinstance(given, str):
        return [{"type": "message", "role": "user", "content": given}]
    if not isinstance(given, list):
        raise wrong_type("input", "one of a string or array of objects", given)
    for index, item in enumerate(given):
        _check_item(item, f"input[{index}]")
    return given


def _check_item(item: Any, where: str) -> None:
    if not isinstance(item, dict):
        raise wrong_type(where, "an object", item)
    kind = "item_reference" if is_reference(item) else item.get("type") or "message"
    if kind not in _ITEM_TYPES:
        raise not_among(f"{where}.type", kind, _ITEM_TYPES)
    check = _ITEM_CHECKS.get(kind)
    if check is not None:
        check(item, where)


def is_reference(item: dict[str, Any]) -> bool:
    """An item that stands for an earlier one; only such a one may do without a type and a role."""
    kind = item.get("type")
    return kind == "item_reference" or (kind is None and "id" in item and "role" not in item)


def _check_message(item: dict[str, Any], where: str) -> None:
    if item.get("role") is None:
        raise missing(f"{where}.role")
    if item["role"] not in _ROLES:
        raise not_among(f"{where}.role", item["role"], _ROLES)
    content = item.get("content")
    if content is None:
        raise missing(f"{where}.content")
    if not isinstance(content, str):
        _check_parts(content, f"{where}.content", _OUTPUT_PARTS if item["role"] == "assistant" else _INPUT_PARTS)


def _check_parts(parts: Any, where: str, supported: tuple[str, ...]) -> None:
    if not isinstance(parts, list):
        raise wrong_type(where, "one of a string or array of objects", parts)
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            raise wrong_type(f"{where}[{index}]", "an object", part)
        if part.get("type") is None:
            raise missing(f"{where}[{index}].type")
        if part["type"] not in supported:
            raise not_among(f"{where}[{index}].type", part["type"], supported)
        _check_part(part, f"{where}[{index}]")


def _check_part(part: dict[str, Any], where: str) -> None:
    kind = part["type"]
    if kind in _TEXT_FIELDS:
        _check_string(part, _TEXT_FIELDS[kind], where)
    elif kind == "input_image":
        _check_image(part, where)
    elif kind == "input_audio":
        if not isinstance(part.get("input_audio"), dict):
            raise missing(f"{where}.input_audio")
    elif not any(isinstance(part.get(field), str) for field in ("file_id", "file_data", "file_url")):
        raise missing(f"{where}.file_id")


def _check_image(part: dict[str, Any], where: str) -> None:
    url = part.get("image_url")
    if url is None:
        _check_string(part, "file_id", where, missing_as="image_url")
    elif not isinstance(url, str):
        raise wrong_type(f"{where}.image_url", "an image URL", url)
    elif not url.startswith(("https://", "http://", "data:image/")):
        raise InvalidRequest(
            f"Invalid '{where}.image_url'. Expected a valid URL, but got a value with an invalid format.",
            param=f"{where}.image_url",
            code="invalid_value",
        )


def _check_string(thing: dict[str, Any], field: str, where: str, *, missing_as: str = "") -> None:
    if thing.get(field) is None:
        raise missing(f"{where}.{missing_as or field}")
    check_type(f"{where}.{field}", thing[field], str)


def _check_call(item: dict[str, Any], where: str) -> None:
    _check_string(item, "call_id", where)
    check_name(item.get("name"), f"{where}.name")
    _check_string(item, "arguments" if item["type"] == "function_call" else "input", where)


def _check_output(item: dict[str, Any], where: str) -> None:
    _check_string(item, "call_id", where)
    if item.get("output") is None:
        raise missing(f"{where}.output")
    if not isinstance(item["output"], str):
        _check_parts(item["output"], f"{where}.output", _INPUT_PARTS)


def _check_reasoning(item: dict[str, Any], where: str) -> None:
    if item.get("summary") is None:
        raise missing(f"{where}.summary")
    check_type(f"{where}.summary", item["summary"], list)
    for index, part in enumerate(item["summary"]):
        check_type(f"{where}.summary[{index}]", part, dict)
        _check_string(part, "text", f"{where}.summary[{index}]")


_ITEM_CHECKS: dict[str, Callable[[dict[str, Any], str], None]] = {
    "message": _check_message,
    "reasoning": _check_reasoning,
    "item_reference": lambda item, where: _check_string(item, "id", where),
    **dict.fromkeys(_CALLS, _check_call),
    **dict.fromkeys(_OUTPUTS, _check_output),
}


def check_dialogue(items: Iterable[dict[str, Any]]) -> None:
    """Every call answered, every output an answer, no reasoning without what it led to. Raises `InvalidRequest`."""
    unanswered: dict[str, None] = {}
    called: set[str] = set()
    reasoning: dict[str, Any] | None = None
    for item in items:
        kind = item.get("type")
        if kind in _CALLS:
            unanswered[item["call_id"]] = None
            called.add(item["call_id"])
        elif kind in _OUTPUTS:
            if item["call_id"] not in called:
                raise _broken(f"No tool call found for function call output with call_id {item['call_id']}.")
            unanswered.pop(item["call_id"], None)
        reasoning = item if kind == "reasoning" else None
    if unanswered:
        raise _broken(f"No tool output found for function call {next(iter(unanswered))}.")
    if reasoning is not None:
        raise _broken(
            f"Item '{reasoning.get('id')}' of type 'reasoning' was provided without its required following item."
        )


def _broken(message: str) -> InvalidRequest:
    return InvalidRequest(message, param="input")


def texts(content: Any) -> str:
    """The text of a message's content or of a tool's output, other parts left out."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if part["type"] in ("input_text", "output_text"))


def turns(items: Iterable[dict[str, Any]]) -> list[Turn]:
    return [turn for item in items if (turn := _turn(item)) is not None]


def _turn(item: dict[str, Any]) -> Turn | None:
    kind = item.get("type") or "message"
    if kind == "message" and item["role"] in ("user", "assistant"):
        return Turn(item["role"], texts(item["content"]))
    if kind in _OUTPUTS:
        return Turn("tool", texts(item["output"]))
    return Turn("assistant", "") if kind in _CALLS else None


def token_counts(items: Iterable[dict[str, Any]]) -> Iterator[int]:
    """Each item's tokens."""
    for item in items:
        yield _ITEM_TOKENS + _tokens(item)


def _tokens(item: dict[str, Any]) -> int:
    kind = item.get("type") or "message"
    if kind == "message":
        return _content_tokens(item["content"])
    if kind in _OUTPUTS:
        return _content_tokens(item["output"])
    if kind in _CALLS:
        return count(item["name"]) + count(item["arguments"] if kind == "function_call" else item["input"])
    if kind == "reasoning":
        return sum(count(part["text"]) for part in item["summary"])
    return count(orjson.dumps(item).decode())


def _content_tokens(content: Any) -> int:
    return count(content) if isinstance(content, str) else sum(map(_part_tokens, content))


def _part_tokens(part: dict[str, Any]) -> int:
    kind = part["type"]
    if kind in _TEXT_FIELDS:
        return count(part[_TEXT_FIELDS[kind]])
    if kind == "input_image":
        return _LOW_IMAGE_TOKENS if part.get("detail") == "low" else _HIGH_IMAGE_TOKENS
    return _AUDIO_TOKENS if kind == "input_audio" else _FILE_TOKENS
