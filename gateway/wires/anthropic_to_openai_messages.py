"""Anthropic's system prompt and turns as OpenAI's message list.

Sources: OpenAI, "API reference: Create chat completion" (a tool message for each call, right after the assistant's
message; text only), "Function calling"; Anthropic, "API reference: Create a Message" (neighbours of a role are one),
"Tool use: handle tool calls" (`is_error`, images).
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

from gateway.engine.errors import InvalidRequest
from gateway.wires.media import document_parts, image_part
from gateway.wires.quoting import quoted
from gateway.wires.tools import arguments_of, openai_name, portable_id
from gateway.wires.words import Untranslatable

ERROR_PREFIX = "Error: "
# OpenAI starts a new message where Anthropic goes on from a last assistant turn.
CONTINUE_PREFILL = (
    "Continue your last message exactly where it stops. Do not repeat any of it, and do not comment on this request."
)
MISSING_NAMED = 5
_PAST_THOUGHTS = ("thinking", "redacted_thinking")

Message = dict[str, Any]
Part = dict[str, Any]
Located = tuple[str, Any]  # a content and its name in the request


def to_openai_messages(system: Any, messages: list[dict[str, Any]]) -> list[Message]:
    """Raises InvalidRequest for malformed blocks, Untranslatable for blocks that OpenAI has not."""
    translated: list[Message] = _system(system, "system")
    located = [(f"messages[{index}]", message) for index, message in enumerate(messages)]
    for role, turns in groupby(located, key=lambda pair: pair[1]["role"]):
        translated += _run(role, [(f"{where}.content", message["content"]) for where, message in turns])
    if not translated:
        raise InvalidRequest("'messages' must hold at least one turn that isn't empty.", param="messages")
    if messages[-1]["role"] == "assistant" and _ends_in_text(translated):
        translated.append({"role": "user", "content": CONTINUE_PREFILL})
    check_pairs(translated)
    return translated


def _run(role: str, contents: list[Located]) -> list[Message]:
    """Neighbours of one role: to Anthropic they are one turn, so calls and results may be spread over them."""
    if role == "user":
        return _user_messages(contents)
    if role == "assistant":
        return _assistant_messages(contents)
    if role == "system":
        return [message for where, content in contents for message in _system(content, where)]
    where = contents[0][0].removesuffix(".content") + ".role"
    raise Untranslatable(where, f"This target knows no messages of role {quoted(role)}.")


def _ends_in_text(messages: list[Message]) -> bool:
    return messages[-1]["role"] == "assistant" and "tool_calls" not in messages[-1]


def _system(system: Any, where: str) -> list[Message]:
    if system is not None and not isinstance(system, (str, list)):
        raise InvalidRequest(f"'{where}' must be a text or a list of text blocks.", param=where)
    text = system if isinstance(system, str) else "\n\n".join(_texts(system or (), where))
    return [{"role": "system", "content": text}] if text else []


def _texts(blocks: Iterable[Any], where: str) -> list[str]:
    texts = []
    for at, block in enumerate(blocks):
        text = block.get("text") if isinstance(block, dict) else None
        if not isinstance(text, str):
            raise InvalidRequest(f"'{where}[{at}]' must be a text block.", param=where)
        texts.append(text)
    return [text for text in texts if text]


def _user_messages(contents: list[Located]) -> list[Message]:
    """The results of tool calls first, as OpenAI wants them right after the calls; then what else was said."""
    results: list[Message] = []
    said: list[Message] = []
    for where, content in contents:
        if isinstance(content, str):
            said.append({"role": "user", "content": content})
            continue
        found, parts = _user_blocks(content, where)
        results += found
        if parts or not found:
            said.append({"role": "user", "content": _slim(parts)})
    return results + said


def _user_blocks(content: list[Part], where: str) -> tuple[list[Message], list[Part]]:
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
    return results, parts


def _slim(parts: list[Part]) -> str | list[Part]:
    if not parts:
        return ""
    if len(parts) == 1 and parts[0]["type"] == "text":
        text: str = parts[0]["text"]
        return text
    return parts


def _parts(block: Any, where: str) -> list[Part]:
    kind = block.get("type") if isinstance(block, dict) else None
    if not isinstance(kind, str):
        raise InvalidRequest(f"'{where}' must be a content block, an object with a 'type'.", param=where)
    if kind == "text":
        return [{"type": "text", "text": text} for text in _texts([block], where)]
    if kind == "image":
        return [image_part(block, where)]
    if kind == "document":
        return document_parts(block, where)
    if kind == "search_result":
        texts = _texts(_list_of(block, where), f"{where}.content")
        return [{"type": "text", "text": "\n".join([f"{block.get('title')} ({block.get('source')})", *texts])}]
    raise Untranslatable(where, f"This target takes no block of type {quoted(kind)}.")


def _list_of(block: Part, where: str) -> list[Any]:
    content = block.get("content")
    if isinstance(content, list):
        return content
    raise InvalidRequest(f"'{where}.content' must be a list of text blocks.", param=f"{where}.content")


def _tool_message(block: Part, where: str) -> tuple[Message, list[Part]]:
    """The tool message, and what only a user message can show: images and files."""
    call_id = block.get("tool_use_id")
    if not isinstance(call_id, str) or not call_id:
        raise InvalidRequest(f"'{where}.tool_use_id' must be the id of a tool_use block.", param=where)
    text, seen = _result_content(block.get("content"), f"{where}.content")
    if block.get("is_error") is True and not text.lower().startswith("error"):
        text = ERROR_PREFIX + text
    message = {"role": "tool", "tool_call_id": portable_id(call_id), "content": text}
    if seen:
        seen.insert(0, {"type": "text", "text": f"Result of tool call {message['tool_call_id']}:"})
    return message, seen


def _result_content(content: Any, where: str) -> tuple[str, list[Part]]:
    if content is None or isinstance(content, str):
        return content or "", []
    if not isinstance(content, list):
        raise InvalidRequest(f"'{where}' must be a text or a list of content blocks.", param=where)
    parts = [part for at, block in enumerate(content) for part in _parts(block, f"{where}[{at}]")]
    text = "\n".join(part["text"] for part in parts if part["type"] == "text")
    return text, [part for part in parts if part["type"] != "text"]


def _assistant_messages(contents: list[Located]) -> list[Message]:
    """One message each; all in one where tools are called, since their results follow the last."""
    read = [_assistant_blocks(content, where) for where, content in contents]
    if any(calls for _, calls in read):
        text = "\n\n".join(text for text, _ in read if text)
        return [{"role": "assistant", "content": text or None, "tool_calls": [c for _, calls in read for c in calls]}]
    return [{"role": "assistant", "content": text} for text, _ in read if text]


def _assistant_blocks(content: Any, where: str) -> tuple[str, list[Part]]:
    """What was said and the calls that were made."""
    if isinstance(content, str):
        return content, []
    texts: list[str] = []
    calls: list[Part] = []
    for at, block in enumerate(content):
        if block["type"] == "text":
            texts += _texts([block], f"{where}[{at}]")
        elif block["type"] == "tool_use":
            calls.append(_tool_call(block, f"{where}[{at}]"))
        elif block["type"] not in _PAST_THOUGHTS:
            raise Untranslatable(f"{where}[{at}]", f"This target takes no block of type {quoted(block['type'])}.")
    return "".join(texts), calls


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
            + ", ".join(sorted(open_calls)[:MISSING_NAMED]),
            param="messages",
        )
