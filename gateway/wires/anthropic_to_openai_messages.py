"""Anthropic's system prompt and turns as OpenAI's message list.

Sources: OpenAI, "API reference: Create chat completion" (a tool message for each call, right after the assistant's
message; text only), "Function calling"; Anthropic, "Messages API", "Tool use: handle tool calls" (`is_error`, images).
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from gateway.engine.errors import InvalidRequest
from gateway.wires.media import document_parts, image_part
from gateway.wires.tools import arguments_of, openai_name, portable_id
from gateway.wires.words import Untranslatable

ERROR_PREFIX = "Error: "
# OpenAI starts a new message where Anthropic goes on from a last assistant turn.
CONTINUE_PREFILL = (
    "Continue your last message exactly where it stops. Do not repeat any of it, and do not comment on this request."
)
_PAST_THOUGHTS = ("thinking", "redacted_thinking")

Message = dict[str, Any]
Part = dict[str, Any]


def to_openai_messages(system: Any, messages: list[dict[str, Any]]) -> list[Message]:
    """Raises InvalidRequest for malformed blocks, Untranslatable for blocks that OpenAI has not."""
    translated: list[Message] = _system(system)
    for index, message in enumerate(messages):
        where = f"messages[{index}].content"
        role, content = message["role"], message["content"]
        if role == "user":
            translated += _user_messages(content, where)
        elif role == "assistant":
            translated += _assistant_messages(content, where)
        elif role == "system":
            translated += _system(content)
        else:
            raise Untranslatable(f"messages[{index}].role", f"This target knows no messages of role {role!r}.")
    if messages[-1]["role"] == "assistant" and not (translated and translated[-1].get("tool_calls")):
        translated.append({"role": "user", "content": CONTINUE_PREFILL})
    check_pairs(translated)
    return translated


def _system(system: Any) -> list[Message]:
    text = system if isinstance(system, str) else "\n\n".join(_texts(system or (), "system"))
    return [{"role": "system", "content": text}] if text else []


def _texts(blocks: Iterable[Any], where: str) -> list[str]:
    texts = []
    for at, block in enumerate(blocks):
        text = block.get("text") if isinstance(block, dict) else None
        if not isinstance(text, str):
            raise InvalidRequest(f"'{where}[{at}]' must be a text block.", param=where)
        texts.append(text)
    return [text for text in texts if text]


def _user_messages(content: Any, where: str) -> list[Message]:
    if isinstance(content, str):
        return [{"role": "user", "content": content}]
    results: list[Message] = []
    parts: list[Part] = []
    for at, block in enumerate(content):
        here = f"{where}[{at}]"
        if block["type"] == "tool_result":
            result, seen = _tool_message(block, here)
            results.append(result)
            parts += seen
        else:
            parts += _parts(block, here)
    if parts or not results:
        results.append({"role": "user", "content": _slim(parts)})
    return results


def _slim(parts: list[Part]) -> str | list[Part]:
    if not parts:
        return ""
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _parts(block: Part, where: str) -> list[Part]:
    kind = block["type"]
    if kind == "text":
        return [{"type": "text", "text": text} for text in _texts([block], where)]
    if kind == "image":
        return [image_part(block, where)]
    if kind == "document":
        return document_parts(block, where)
    if kind == "search_result":
        texts = _texts(block.get("content") or (), f"{where}.content")
        return [{"type": "text", "text": "\n".join([f"{block.get('title')} ({block.get('source')})", *texts])}]
    raise Untranslatable(where, f"This target takes no block of type {kind!r}.")


def _tool_message(block: Part, where: str) -> tuple[Message, list[Part]]:
    """The tool message, and what only a user message can show: images and files."""
    call_id = block.get("tool_use_id")
    if not isinstance(call_id, str) or not call_id:
        raise InvalidRequest(f"'{where}.tool_use_id' must be the id of a tool_use block.", param=where)
    content = block.get("content")
    text, seen = (content or "", []) if not isinstance(content, list) else _split_result(content, where)
    if block.get("is_error") is True and not text.lower().startswith("error"):
        text = ERROR_PREFIX + text
    message = {"role": "tool", "tool_call_id": portable_id(call_id), "content": text}
    if seen:
        seen.insert(0, {"type": "text", "text": f"Result of tool call {message['tool_call_id']}:"})
    return message, seen


def _split_result(content: list[Any], where: str) -> tuple[str, list[Part]]:
    parts = [part for at, block in enumerate(content) for part in _parts(block, f"{where}.content[{at}]")]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return text, [part for part in parts if part["type"] != "text"]


def _assistant_messages(content: Any, where: str) -> list[Message]:
    if isinstance(content, str):
        return [{"role": "assistant", "content": content}] if content else []
    texts: list[str] = []
    calls: list[Part] = []
    for at, block in enumerate(content):
        if block["type"] == "text":
            texts += _texts([block], f"{where}[{at}]")
        elif block["type"] == "tool_use":
            calls.append(_tool_call(block, f"{where}[{at}]"))
        elif block["type"] not in _PAST_THOUGHTS:
            raise Untranslatable(f"{where}[{at}]", f"This target takes no block of type {block['type']!r}.")
    if not texts and not calls:
        return []
    message: Message = {"role": "assistant", "content": "".join(texts) or None}
    if calls:
        message["tool_calls"] = calls
    return [message]


def _tool_call(block: Part, where: str) -> Part:
    call_id, name = block.get("id"), block.get("name")
    if not isinstance(call_id, str) or not call_id or not isinstance(name, str):
        raise InvalidRequest(f"'{where}' must have the strings 'id' and 'name'.", param=where)
    function = {"name": openai_name(name), "arguments": arguments_of(block.get("input"))}
    return {"id": portable_id(call_id), "type": "function", "function": function}


def check_pairs(messages: list[Message]) -> None:
    """Calls without results and results without calls are a 400 on both wires."""
    open_calls: set[str] = set()
    for message in messages:
        if message["role"] == "tool":
            if message["tool_call_id"] not in open_calls:
                raise InvalidRequest(
                    f"The tool_result for {message['tool_call_id']!r} must follow the turn with that tool_use.",
                    param="messages",
                )
            open_calls.discard(message["tool_call_id"])
            continue
        if open_calls:
            break
        open_calls = {call["id"] for call in message.get("tool_calls") or ()}
    if open_calls:
        raise InvalidRequest(
            "Each tool_use must be answered by a tool_result in the next turn; missing: "
            + ", ".join(sorted(open_calls)),
            param="messages",
        )
