"""OpenAI's messages: what is refused about them, and the turns and tokens they amount to."""

from collections.abc import Iterator
from typing import Any

from gateway.simulator.errors import InvalidRequest
from gateway.simulator.openai_schemas import check_name
from gateway.simulator.openai_values import missing, not_among, wrong_type
from gateway.simulator.text import Turn
from gateway.simulator.tokens import count

_ROLES = ("system", "assistant", "user", "function", "tool", "developer")
_USER_PARTS = ("text", "image_url", "input_audio", "file", "refusal")
_MESSAGE_TOKENS = 3  # what the chat format adds to each message
_LOW_IMAGE_TOKENS = 85
_HIGH_IMAGE_TOKENS = 765
_AUDIO_TOKENS = 200
_FILE_TOKENS = 1500


def check_messages(messages: Any) -> None:
    """Raises `InvalidRequest` for the first message OpenAI would refuse."""
    if not isinstance(messages, list):
        raise wrong_type("messages", "an array of objects", messages)
    if not messages:
        raise InvalidRequest(
            "Invalid 'messages': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param="messages",
            code="empty_array",
        )
    for index, message in enumerate(messages):
        _check_message(message, f"messages[{index}]")
    if any(message["role"] == "tool" or message.get("tool_calls") for message in messages):
        _check_tool_dialogue(messages)


def _check_message(message: Any, where: str) -> None:
    if not isinstance(message, dict):
        raise wrong_type(where, "an object", message)
    role = message.get("role")
    if role is None:
        raise missing(f"{where}.role")
    if role not in _ROLES:
        raise not_among(f"{where}.role", role, _ROLES)
    content = message.get("content")
    if role == "assistant":
        _check_assistant(message, where)
    elif "content" not in message:
        raise missing(f"{where}.content")
    elif content is None:
        raise InvalidRequest("Invalid value for 'content': expected a string, got null.", param=f"{where}.content")
    if role == "tool" and not isinstance(message.get("tool_call_id"), str):
        raise missing(f"{where}.tool_call_id")
    if content is not None and not isinstance(content, str):
        _check_parts(content, f"{where}.content", role)


def _check_assistant(message: dict[str, Any], where: str) -> None:
    calls = message.get("tool_calls")
    if calls is None:
        if message.get("content") is None and not message.get("function_call") and not message.get("refusal"):
            raise InvalidRequest("Invalid value for 'content': expected a string, got null.", param=f"{where}.content")
        return
    if not isinstance(calls, list):
        raise wrong_type(f"{where}.tool_calls", "an array of objects", calls)
    if not calls:
        raise InvalidRequest(
            f"Invalid '{where}.tool_calls': empty array. Expected an array with minimum length 1, but got an "
            f"empty array "
            "instead.",
            param=f"{where}.tool_calls",
            code="empty_array",
        )
    for index, call in enumerate(calls):
        _check_call(call, f"{where}.tool_calls[{index}]")


def _check_call(call: Any, where: str) -> None:
    if not isinstance(call, dict):
        raise wrong_type(where, "an object", call)
    for field in ("id", "type"):
        if not isinstance(call.get(field), str):
            raise missing(f"{where}.{field}")
    if call["type"] not in ("function", "custom"):
        raise not_among(f"{where}.type", call["type"], ("function", "custom"))
    inner = call.get(call["type"])
    if not isinstance(inner, dict):
        raise missing(f"{where}.{call['type']}")
    check_name(inner.get("name"), f"{where}.{call['type']}.name")
    field = "arguments" if call["type"] == "function" else "input"
    if field not in inner:
        raise missing(f"{where}.{call['type']}.{field}")
    if not isinstance(inner[field], str):
        raise wrong_type(f"{where}.{call['type']}.{field}", "a string", inner[field])


def _check_parts(parts: Any, where: str, role: str) -> None:
    if not isinstance(parts, list):
        raise wrong_type(where, "one of a string or array of objects", parts)
    if not parts:
        raise InvalidRequest(
            f"Invalid '{where}': empty array. Expected an array with minimum length 1, but got an empty array instead.",
            param=where,
            code="empty_array",
        )
    supported = _USER_PARTS if role == "user" else ("text", "refusal") if role == "assistant" else ("text",)
    for index, part in enumerate(parts):
        if not isinstance(part, dict):
            raise wrong_type(f"{where}[{index}]", "an object", part)
        if part.get("type") not in supported:
            raise not_among(f"{where}[{index}].type", part.get("type"), supported)
        _check_part(part, f"{where}[{index}]")


_PART_FIELDS = {
    "image_url": ("url",),
    "input_audio": ("data", "format"),
}


def _check_part(part: dict[str, Any], where: str) -> None:
    kind = part["type"]
    if kind in ("text", "refusal"):
        if not isinstance(part.get(kind), str):
            raise (
                missing(f"{where}.{kind}")
                if part.get(kind) is None
                else wrong_type(f"{where}.{kind}", "a string", part[kind])
            )
        return
    inner = part.get(kind)
    if not isinstance(inner, dict):
        raise (missing(f"{where}.{kind}") if inner is None else wrong_type(f"{where}.{kind}", "an object", inner))
    for field in _PART_FIELDS.get(kind, ()):
        if not isinstance(inner.get(field), str):
            raise missing(f"{where}.{kind}.{field}")
    if kind == "image_url" and not inner["url"].startswith(("https://", "http://", "data:image/")):
        raise InvalidRequest(
            f"Invalid '{where}.image_url.url'. Expected a valid URL, but got a value with an invalid format.",
            param=f"{where}.image_url.url",
            code="invalid_value",
        )


def _check_tool_dialogue(messages: list[dict[str, Any]]) -> None:
    """Every call answered right after its message, every tool message an answer."""
    open_ids: list[str] = []
    for index, message in enumerate(messages):
        if message["role"] == "tool":
            _close_call(message["tool_call_id"], open_ids, index, messages)
            continue
        _refuse_open(open_ids, index)
        open_ids = [call["id"] for call in _calls_of(message)]
    _refuse_open(open_ids, len(messages))


def _calls_of(message: dict[str, Any]) -> list[dict[str, Any]]:
    """Only the assistant calls tools; the field means nothing, and is not checked, in other messages."""
    return message.get("tool_calls") or [] if message["role"] == "assistant" else []


def _close_call(call_id: str, open_ids: list[str], index: int, messages: list[dict[str, Any]]) -> None:
    if index == 0 or (messages[index - 1]["role"] != "tool" and not _calls_of(messages[index - 1])):
        raise InvalidRequest(
            "Invalid parameter: messages with role 'tool' must be a response to a preceeding message with "
            "'tool_calls'.",
            param=f"messages.[{index}].role",
        )
    if call_id not in open_ids:
        raise InvalidRequest(
            f"Invalid parameter: 'tool_call_id' of '{call_id}' not found in 'tool_calls' of previous message.",
            param=f"messages.[{index}].tool_call_id",
        )
    open_ids.remove(call_id)


def _refuse_open(open_ids: list[str], index: int) -> None:
    if open_ids:
        raise InvalidRequest(
            "An assistant message with 'tool_calls' must be followed by tool messages responding to each "
            "'tool_call_id'. "
            f"The following tool_call_ids did not have response messages: {', '.join(open_ids)}",
            param=f"messages.[{index}].role",
        )


def texts(content: Any) -> str:
    """The text of a message's content, other parts left out."""
    if isinstance(content, str):
        return content
    return "\n".join(part["text"] for part in content or () if part["type"] == "text")


def turns(messages: list[dict[str, Any]]) -> list[Turn]:
    return [Turn(m["role"], texts(m.get("content"))) for m in messages if m["role"] in ("user", "assistant", "tool")]


def token_counts(messages: list[dict[str, Any]]) -> Iterator[int]:
    """Each message's tokens."""
    for message in messages:
        content = message.get("content")
        total = _MESSAGE_TOKENS + (
            count(content) if isinstance(content, str) else sum(map(_part_tokens, content or ()))
        )
        for call in _calls_of(message):
            inner = call[call["type"]]
            total += count(inner["name"]) + count(inner.get("arguments") or inner.get("input") or "")
        yield total


def _part_tokens(part: dict[str, Any]) -> int:
    kind = part["type"]
    if kind in ("text", "refusal"):
        return count(part[kind])
    if kind == "image_url":
        return _LOW_IMAGE_TOKENS if part[kind].get("detail") == "low" else _HIGH_IMAGE_TOKENS
    return _AUDIO_TOKENS if kind == "input_audio" else _FILE_TOKENS
