"""OpenAI's message list as Anthropic's system prompt and alternating turns.

Sources: Anthropic, "OpenAI SDK compatibility: system and developer messages" (hoisted into one system prompt),
"Messages API: using the Messages API" (alternation, first turn the user's), "Tool use: handle tool calls" (results
first, in the turn right after the calls), "Extended thinking: preserving thinking blocks", "Preserved thinking".
"""

from __future__ import annotations

from collections import Counter
from typing import Any

from gateway.engine.errors import InvalidRequest
from gateway.wires.media import document_block, image_block
from gateway.wires.tools import input_of, portable_id, unique_ids
from gateway.wires.words import Untranslatable

# What the user says where Anthropic demands a user's turn and OpenAI does not.
OPENING = "Begin."
CONTINUE = "Continue."
LEGACY_ID = "call_function_"
SYSTEM_ROLES = ("system", "developer")
THOUGHTS = ("thinking", "redacted_thinking")

Block = dict[str, Any]


class Turns:
    """Collects blocks into alternating turns and the system prompt.

    Without `keep_thoughts` past thinking is left out, all of it: what follows a missing thought would be refused too.
    """

    __slots__ = ("_called", "_keep_thoughts", "system", "turns")

    def __init__(self, *, keep_thoughts: bool = True) -> None:
        self._keep_thoughts = keep_thoughts
        self.system: list[Block] = []
        self.turns: list[tuple[str, list[Block]]] = []
        self._called = 0

    def add(self, index: int, message: dict[str, Any]) -> None:
        role = message["role"]
        if role == "user":
            self._extend("user", _user_blocks(message.get("content"), f"messages[{index}].content"))
        elif role == "assistant":
            self._extend("assistant", self._assistant_blocks(index, message))
        elif role in SYSTEM_ROLES:
            self.system += _text_blocks(message.get("content"), f"messages[{index}].content")
        elif role == "tool":
            self._extend("user", [_tool_result(index, message, message.get("tool_call_id"))])
        elif role == "function":
            self._extend("user", [_tool_result(index, message, f"{LEGACY_ID}{self._called}")])
        else:
            raise Untranslatable(f"messages[{index}].role", f"This target knows no messages of role {role!r}.")

    def _extend(self, role: str, blocks: list[Block]) -> None:
        if not blocks or blocks[-1]["type"] in THOUGHTS:  # Anthropic refuses turns that end with a thought
            return
        if self.turns and self.turns[-1][0] == role:
            self.turns[-1][1].extend(blocks)
        else:
            self.turns.append((role, blocks))

    def _assistant_blocks(self, index: int, message: dict[str, Any]) -> list[Block]:
        where = f"messages[{index}]"
        if message.get("audio") is not None:
            raise Untranslatable(f"{where}.audio", "This target takes no audio.")
        blocks = _thinking(message.get("thinking_blocks")) if self._keep_thoughts else []
        blocks += _text_blocks(message.get("content"), f"{where}.content")
        refusal = message.get("refusal")
        if isinstance(refusal, str) and refusal and not message.get("content"):
            blocks.append({"type": "text", "text": refusal})
        for position, call in enumerate(message.get("tool_calls") or ()):
            blocks.append(_tool_use(call, f"{where}.tool_calls[{position}]"))
        legacy = message.get("function_call")
        if isinstance(legacy, dict):
            self._called += 1
            blocks.append(_named_call(f"{LEGACY_ID}{self._called}", legacy, f"{where}.function_call"))
        return blocks

    def finish(self, *, prefill: bool) -> list[dict[str, Any]]:
        """The turns as Anthropic takes them. Raises InvalidRequest when calls and results don't match."""
        if not self.turns or self.turns[0][0] != "user":
            self.turns.insert(0, ("user", [{"type": "text", "text": OPENING}]))
        for role, blocks in self.turns:
            if role == "user":
                blocks.sort(key=lambda block: block["type"] != "tool_result")
        _check_pairs(self.turns)
        unique_ids(self.turns)
        self._end(prefill)
        return [{"role": role, "content": _slim(blocks)} for role, blocks in self.turns]

    def _end(self, prefill: bool) -> None:
        role, blocks = self.turns[-1]
        if role != "assistant":
            return
        last = blocks[-1]
        if not prefill or last["type"] != "text":
            self.turns.append(("user", [{"type": "text", "text": CONTINUE}]))
            return
        blocks[:] = [block for block in blocks if block["type"] not in THOUGHTS]  # not taken beside prefill
        last["text"] = last["text"].rstrip()
        if not last["text"]:
            blocks.pop()
            if not blocks:
                self.turns.pop()


def _slim(blocks: list[Block]) -> str | list[Block]:
    if len(blocks) == 1 and blocks[0].keys() == {"type", "text"}:
        text: str = blocks[0]["text"]
        return text
    return blocks


def _check_pairs(turns: list[tuple[str, list[Block]]]) -> None:
    """Every call has its result in the next turn, every result its call in the turn before: both wires demand it."""
    called: list[str] = []
    for role, blocks in turns:
        if role == "user":
            _compare(called, [block["tool_use_id"] for block in blocks if block["type"] == "tool_result"])
            called = []
        else:
            called = [block["id"] for block in blocks if block["type"] == "tool_use"]
    _compare(called, [])


def _compare(calls: list[str], answered: list[str]) -> None:
    called = set(calls)
    twice = {each for ids in (calls, answered) for each, times in Counter(ids).items() if times > 1}
    if twice:
        raise InvalidRequest(
            "Each tool call of a turn must have an id of its own and one tool message; more than one: "
            + ", ".join(sorted(twice)),
            param="messages",
        )
    if called - set(answered):
        raise InvalidRequest(
            "An assistant message with 'tool_calls' must be followed by a tool message for each of them; missing: "
            + ", ".join(sorted(called - set(answered))),
            param="messages",
        )
    if set(answered) - called:
        raise InvalidRequest(
            "A message of role 'tool' must follow the assistant message whose 'tool_calls' it answers; unknown: "
            + ", ".join(sorted(set(answered) - called)),
            param="messages",
        )


def _text_blocks(content: Any, where: str) -> list[Block]:
    """The non-empty texts; Anthropic refuses empty text blocks."""
    if isinstance(content, str):
        return [{"type": "text", "text": content}] if content.strip() else []
    blocks = [_text_block(part, f"{where}[{at}]") for at, part in enumerate(content or ())]
    return [block for block in blocks if block["text"].strip()]


def _text_block(part: dict[str, Any], where: str) -> Block:
    if part["type"] not in ("text", "refusal"):
        raise Untranslatable(where, f"This target takes no part of type {part['type']!r} here.")
    text = part.get(part["type"])
    if not isinstance(text, str):
        raise InvalidRequest(f"'{where}.{part['type']}' must be a string.", param=where)
    return {"type": "text", "text": text}


def _user_blocks(content: Any, where: str) -> list[Block]:
    if not isinstance(content, list):
        return _text_blocks(content, where)
    blocks: list[Block] = []
    for at, part in enumerate(content):
        here = f"{where}[{at}]"
        if part["type"] == "image_url":
            blocks.append(image_block(part, here))
        elif part["type"] == "file":
            blocks.append(document_block(part, here))
        else:
            blocks += [block for block in (_text_block(part, here),) if block["text"].strip()]
    return blocks


def _tool_result(index: int, message: dict[str, Any], call_id: Any) -> Block:
    if not isinstance(call_id, str) or not call_id:
        where = f"messages[{index}].tool_call_id"
        raise InvalidRequest(f"{where!r} must be the id of the tool call that is answered.", param=where)
    block: Block = {"type": "tool_result", "tool_use_id": portable_id(call_id)}
    content = _user_blocks(message.get("content"), f"messages[{index}].content")
    if content:
        block["content"] = _slim(content)
    return block


def _tool_use(call: Any, where: str) -> Block:
    if not isinstance(call, dict) or not isinstance(call.get("id"), str):
        raise InvalidRequest(f"'{where}' must be an object with 'id' and 'function'.", param=where)
    custom = call.get("custom")
    if isinstance(custom, dict):
        arguments = {"input": custom.get("input")}
        return {
            "type": "tool_use",
            "id": portable_id(call["id"]),
            "name": custom.get("name"),
            "input": arguments,
        }
    return _named_call(call["id"], call.get("function"), f"{where}.function")


def _named_call(call_id: str, function: Any, where: str) -> Block:
    name = function.get("name") if isinstance(function, dict) else None
    arguments = function.get("arguments") if isinstance(function, dict) else None
    if not isinstance(name, str) or not isinstance(arguments or "", str):
        raise InvalidRequest(f"'{where}' must be an object with the strings 'name' and 'arguments'.", param=where)
    return {"type": "tool_use", "id": portable_id(call_id), "name": name, "input": input_of(arguments or "")}


def _thinking(blocks: Any) -> list[Block]:
    """Thinking that Anthropic signed in an earlier turn and we handed out as `thinking_blocks`."""
    kept: list[Block] = []
    for block in blocks if isinstance(blocks, list) else ():
        if not isinstance(block, dict):
            continue
        if block.get("type") == "thinking" and block.get("signature"):
            thinking = block.get("thinking") or ""
            kept.append({"type": "thinking", "thinking": thinking, "signature": block["signature"]})
        elif block.get("type") == "redacted_thinking" and block.get("data"):
            kept.append({"type": "redacted_thinking", "data": block["data"]})
    return kept
