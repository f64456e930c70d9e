"""Anthropic's messages and system prompt: what is refused, and the turns, blocks and tokens they amount
to.
"""

import binascii
import hashlib
from base64 import b64decode, b64encode
from collections.abc import Callable, Mapping
from typing import Any

import orjson

from gateway.simulator.catalogue import Model
from gateway.simulator.errors import InvalidRequest
from gateway.simulator.text import Turn
from gateway.simulator.tokens import count

Block = dict[str, Any]

_MESSAGE_TOKENS = 3
_IMAGE_TOKENS = 1568  # the most one image costs
_DOCUMENT_TOKENS = 3000
_OTHER_BLOCK_TOKENS = 50
_IMAGE_TYPES = ("image/jpeg", "image/png", "image/gif", "image/webp")
_SERVER_BLOCKS = frozenset(
    [
        "search_result",
        "server_tool_use",
        "web_search_tool_result",
        "web_fetch_tool_result",
        "code_execution_tool_result",
        "bash_code_execution_tool_result",
        "text_editor_code_execution_tool_result",
        "tool_search_tool_result",
        "container_upload",
        "tool_reference",
        "redacted_thinking",
    ]
)


def blocks(content: Any) -> list[Block]:
    """Content as blocks; a string is one text block."""
    return [{"type": "text", "text": content}] if isinstance(content, str) else content


def check_system(system: Any) -> None:
    if system is None or isinstance(system, str):
        return
    if not isinstance(system, list):
        raise InvalidRequest("system: Input should be a valid string or list")
    for index, block in enumerate(system):
        if not isinstance(block, dict) or block.get("type") != "text":
            raise InvalidRequest(f"system.{index}.type: Input should be 'text'")
        if not isinstance(block.get("text"), str):
            raise InvalidRequest(f"system.{index}.text: Field required")
        if not block["text"]:
            raise InvalidRequest("system: text content blocks must be non-empty")
        _check_extra(block, ("type", "text", "cache_control", "citations"), f"system.{index}")


def check_messages(messages: Any, model: Model) -> None:
    """Raises `InvalidRequest` for the first message Anthropic would refuse."""
    if not isinstance(messages, list):
        raise InvalidRequest("messages: Input should be a valid list")
    if not messages:
        raise InvalidRequest("messages: at least one message is required")
    for index, message in enumerate(messages):
        _check_message(message, index, last=index == len(messages) - 1)
    if messages[0]["role"] != "user":
        raise InvalidRequest('messages: first message must use the "user" role')
    _check_tool_dialogue(messages)
    _check_ids(messages)
    if messages[-1]["role"] == "assistant":
        _check_prefill(messages[-1], model)


def _check_message(message: Any, index: int, *, last: bool) -> None:
    where = f"messages.{index}"
    if not isinstance(message, dict):
        raise InvalidRequest(f"{where}: Input should be a valid dictionary or object to extract fields from")
    for name in ("role", "content"):
        if name not in message:
            raise InvalidRequest(f"{where}.{name}: Field required")
    if message["role"] not in ("user", "assistant"):
        raise InvalidRequest(
            'messages: Unexpected role "system". The Messages API accepts a top-level `system` parameter, '
            'not "system" as an input message role.'
            if message["role"] == "system"
            else f"{where}.role: Input should be 'user' or 'assistant'"
        )
    _check_extra(message, ("role", "content"), where)
    content = message["content"]
    if not isinstance(content, str | list):
        raise InvalidRequest(f"{where}.content: Input should be a valid string or list")
    if not content and not (last and message["role"] == "assistant"):
        raise InvalidRequest(
            f"{where}: {message['role']} messages must have non-empty content"
            + (" except for the optional final assistant message" if message["role"] == "assistant" else "")
        )
    if isinstance(content, list):
        for position, block in enumerate(content):
            _check_block(block, message["role"], f"{where}.content.{position}")
        if content and content[-1]["type"] in ("thinking", "redacted_thinking"):
            raise InvalidRequest(f"{where}: The final block in an assistant message cannot be `{content[-1]['type']}`.")
    elif content and not content.strip():
        raise InvalidRequest("messages: text content blocks must contain non-whitespace text")


def _check_ids(messages: list[Block]) -> None:
    seen: set[str] = set()
    for index, message in enumerate(messages):
        for position, block in enumerate(blocks(message["content"])):
            if block["type"] == "tool_use" and block["id"] in seen:
                raise InvalidRequest(f"messages.{index}.content.{position}: `tool_use` ids must be unique")
            if block["type"] == "tool_use":
                seen.add(block["id"])


def _check_extra(value: Mapping[str, Any], known: tuple[str, ...], where: str) -> None:
    for name in value:
        if name not in known:
            raise InvalidRequest(f"{where}.{name}: Extra inputs are not permitted")


def _check_block(block: Any, role: str, where: str) -> None:
    if not isinstance(block, dict):
        raise InvalidRequest(f"{where}: Input should be a valid dictionary or object to extract fields from")
    kind = block.get("type")
    if not isinstance(kind, str):
        raise InvalidRequest(f"{where}.type: Field required")
    if kind in _SERVER_BLOCKS:
        return
    check = _BLOCK_CHECKS.get(kind)
    if check is None:
        tags = ", ".join(f"'{one}'" for one in sorted({*_BLOCK_CHECKS, *_SERVER_BLOCKS}))
        raise InvalidRequest(
            f"{where}: Input tag '{kind}' found using 'type' does not match any of the expected tags: {tags}"
        )
    if kind in ("tool_use", "thinking") and role != "assistant":
        raise InvalidRequest(f"{where}: `{kind}` blocks can only be in `assistant` messages")
    if kind in ("tool_result", "image", "document") and role != "user":
        raise InvalidRequest(f"{where}: `{kind}` blocks can only be in `user` messages")
    check(block, where)


def _check_text(block: Block, where: str) -> None:
    if not isinstance(block.get("text"), str):
        raise InvalidRequest(f"{where}.text.text: Field required")
    if not block["text"]:
        raise InvalidRequest("messages: text content blocks must be non-empty")
    if not block["text"].strip():
        raise InvalidRequest("messages: text content blocks must contain non-whitespace text")
    _check_extra(block, ("type", "text", "cache_control", "citations"), f"{where}.text")


def _check_tool_use(block: Block, where: str) -> None:
    for name in ("id", "name", "input"):
        if name not in block:
            raise InvalidRequest(f"{where}.tool_use.{name}: Field required")
    if not isinstance(block["id"], str) or not all(c.isalnum() or c in "_-" for c in block["id"]) or not block["id"]:
        raise InvalidRequest(f"{where}.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'")
    if not isinstance(block["name"], str):
        raise InvalidRequest(f"{where}.tool_use.name: Input should be a valid string")
    if not isinstance(block["input"], dict):
        raise InvalidRequest(f"{where}.tool_use.input: Input should be a valid dictionary")


def _check_tool_result(block: Block, where: str) -> None:
    if not isinstance(block.get("tool_use_id"), str):
        raise InvalidRequest(f"{where}.tool_result.tool_use_id: Field required")
    _check_extra(block, ("type", "tool_use_id", "content", "is_error", "cache_control"), f"{where}.tool_result")
    content = block.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise InvalidRequest(f"{where}.tool_result.content: Input should be a valid string or list")
    for position, inner in enumerate(content):
        if not isinstance(inner, dict) or inner.get("type") in ("tool_use", "tool_result", "thinking"):
            raise InvalidRequest(f"{where}.tool_result.content.{position}: Input should be a valid content block")
        _check_block(inner, "user", f"{where}.tool_result.content.{position}")


def _check_image(block: Block, where: str) -> None:
    source = _source(block, f"{where}.image")
    if source["type"] == "base64":
        if source.get("media_type") not in _IMAGE_TYPES:
            listed = ", ".join(f"'{one}'" for one in _IMAGE_TYPES[:-1])
            raise InvalidRequest(
                f"{where}.image.source.base64.media_type: Input should be {listed} or '{_IMAGE_TYPES[-1]}'"
            )
        _check_base64(source, f"{where}.image")
    elif source["type"] not in ("url", "file"):
        raise InvalidRequest(
            f"{where}.image.source: Input tag '{source['type']}' does not match any of the expected tags"
        )


def _check_document(block: Block, where: str) -> None:
    source = _source(block, f"{where}.document")
    if source["type"] not in ("base64", "text", "url", "content", "file"):
        raise InvalidRequest(
            f"{where}.document.source: Input tag '{source['type']}' does not match any of the expected tags"
        )
    if source["type"] == "base64":
        if source.get("media_type") != "application/pdf":
            raise InvalidRequest(f"{where}.document.source.base64.media_type: Input should be 'application/pdf'")
        _check_base64(source, f"{where}.document")
    if source["type"] == "text" and not isinstance(source.get("data"), str):
        raise InvalidRequest(f"{where}.document.source.text.data: Field required")


def _source(block: Block, where: str) -> Block:
    source = block.get("source")
    if not isinstance(source, dict) or not isinstance(source.get("type"), str):
        raise InvalidRequest(f"{where}.source: Field required")
    if source["type"] == "url" and not str(source.get("url", "")).startswith("https://"):
        raise InvalidRequest(f"{where}.source.url.url: Only HTTPS URLs are supported")
    return source


def _check_base64(source: Block, where: str) -> None:
    try:
        b64decode(source.get("data") or "!", validate=True)
    except (binascii.Error, ValueError, TypeError):
        raise InvalidRequest(f"{where}.source.base64.data: Invalid base64 data") from None


def signature(thinking: str) -> str:
    """What vouches for a thinking block when it comes back."""
    return b64encode(hashlib.blake2b(thinking.encode(), digest_size=48, person=b"simulator").digest()).decode()


def _check_thinking(block: Block, where: str) -> None:
    for name in ("thinking", "signature"):
        if not isinstance(block.get(name), str):
            raise InvalidRequest(f"{where}.thinking.{name}: Field required")
    if block["thinking"] and block["signature"] != signature(block["thinking"]):
        raise InvalidRequest(f"{where}: Invalid `signature` in `thinking` block")


_BLOCK_CHECKS: dict[str, Callable[[Block, str], None]] = {
    "text": _check_text,
    "image": _check_image,
    "document": _check_document,
    "tool_use": _check_tool_use,
    "tool_result": _check_tool_result,
    "thinking": _check_thinking,
}


def _check_tool_dialogue(messages: list[Block]) -> None:
    """Tool uses are answered at the head of the next message, and nothing else is."""
    for index, message in enumerate(messages):
        before = messages[index - 1] if index else None
        asked = _ids(before, "tool_use", "id") if before and before["role"] == "assistant" else []
        answered = _leading_results(message) if message["role"] == "user" else []
        lacking = [one for one in asked if one not in answered]
        if lacking:
            raise InvalidRequest(
                f"messages.{index - 1}: `tool_use` ids were found without `tool_result` blocks immediately "
                f"after: "
                f"{', '.join(lacking)}. Each `tool_use` block must have a corresponding `tool_result` block "
                f"in the next "
                "message."
            )
        _check_results(message, index, asked)
    open_ids = _ids(messages[-1], "tool_use", "id")
    if open_ids:
        raise InvalidRequest(
            f"messages.{len(messages) - 1}: `tool_use` ids were found without `tool_result` blocks "
            f"immediately after: "
            f"{', '.join(open_ids)}. Each `tool_use` block must have a corresponding `tool_result` block in "
            f"the next message."
        )


def _check_results(message: Block, index: int, asked: list[str]) -> None:
    seen: set[str] = set()
    for position, block in enumerate(blocks(message["content"])):
        if block.get("type") != "tool_result":
            continue
        where = f"messages.{index}.content.{position}"
        if block["tool_use_id"] not in asked:
            raise InvalidRequest(
                f"{where}: unexpected `tool_use_id` found in `tool_result` blocks: {block['tool_use_id']}. "
                f"Each "
                "`tool_result` block must have a corresponding `tool_use` block in the previous message."
            )
        if block["tool_use_id"] in seen:
            raise InvalidRequest(
                f"{where}: each tool_use must have a single result. Found multiple `tool_result` blocks with "
                f"id: "
                f"{block['tool_use_id']}"
            )
        seen.add(block["tool_use_id"])


def _ids(message: Block, kind: str, field: str) -> list[str]:
    if isinstance(message["content"], str):
        return []
    return [block[field] for block in message["content"] if block.get("type") == kind]


def _leading_results(message: Block) -> list[str]:
    if isinstance(message["content"], str):
        return []
    found = []
    for block in message["content"]:
        if block.get("type") != "tool_result":
            break
        found.append(block["tool_use_id"])
    return found


def _check_prefill(message: Block, model: Model) -> None:
    if not model.prefill:
        raise InvalidRequest(
            "This model does not support assistant message prefill. The conversation must end with a user message."
        )
    last = blocks(message["content"])[-1:] or [{"type": "text", "text": ""}]
    if last[0]["type"] == "text" and last[0]["text"] != last[0]["text"].rstrip():
        raise InvalidRequest("messages: final assistant content cannot end with trailing whitespace")


def turns(messages: list[Block]) -> list[Turn]:
    """The messages' texts; a user message of tool results is a turn of the tools, followed by its own text
    if it has any.
    """
    found: list[Turn] = []
    for message in messages:
        content = message["content"]
        if isinstance(content, str):
            found.append(Turn(message["role"], content))
            continue
        results = [block for block in content if block["type"] == "tool_result"]
        if results:
            found.append(Turn("tool", "\n".join(_result_text(block) for block in results)))
        text = "\n".join(block["text"] for block in content if block["type"] == "text")
        if text or not results:
            found.append(Turn(message["role"], text))
    return found


def _result_text(block: Block) -> str:
    content = block.get("content") or ""
    if isinstance(content, str):
        return content
    return "\n".join(inner["text"] for inner in content if inner["type"] == "text")


def message_tokens(message: Block) -> int:
    content = message["content"]
    return _MESSAGE_TOKENS + (count(content) if isinstance(content, str) else sum(map(block_tokens, content)))


def block_tokens(block: Block) -> int:
    kind = block["type"]
    if kind == "text":
        return count(block["text"])
    if kind == "image":
        return _IMAGE_TOKENS
    if kind == "thinking":
        return 0  # earlier turns' thinking is left out of the prompt
    if kind == "tool_use":
        return count(block["name"]) + count(orjson.dumps(block["input"]).decode())
    if kind == "tool_result":
        content = block.get("content") or ""
        return count(content) if isinstance(content, str) else sum(map(block_tokens, content))
    if kind == "document" and block["source"]["type"] == "text":
        return count(block["source"]["data"])
    return _DOCUMENT_TOKENS if kind == "document" else _OTHER_BLOCK_TOKENS
