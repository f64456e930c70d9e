"""Tool calls on both wires: ids, names and arguments.

Sources: OpenAI, "API reference: Chat Completions" (ids of at most 40 characters, names `^[a-zA-Z0-9_-]{1,64}$`);
Anthropic, "Tool use: define tools" (names `^[a-zA-Z0-9_-]{1,128}$`) and its error for ids that are not
`^[a-zA-Z0-9_-]+$`.
"""

from __future__ import annotations

import hashlib
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import orjson

from gateway.wires.jsons import dumps_text

MAX_ID_CHARACTERS = 40
MAX_OPENAI_NAME_CHARACTERS = 64
# How arguments that are not a JSON object travel where an object is demanded; undone on the way back.
RAW_ARGUMENTS = "_raw_arguments"

_VALID = re.compile(r"[a-zA-Z0-9_-]+")
_EMPTY_OBJECT: dict[str, Any] = {}


def portable_id(tool_call_id: str) -> str:
    """An id valid on both wires: the same if it is already, else a digest of it.

    The same id always becomes the same one, so calls and results still match, whoever answered earlier turns.
    """
    if len(tool_call_id) <= MAX_ID_CHARACTERS and _VALID.fullmatch(tool_call_id):
        return tool_call_id
    return "call_" + hashlib.blake2s(tool_call_id.encode("utf-8", "replace"), digest_size=16).hexdigest()


def unique_ids(turns: Iterable[tuple[str, list[dict[str, Any]]]]) -> None:
    """Rename calls whose id an earlier turn has used, with their results: Anthropic refuses an id that comes twice.

    OpenAI takes them, and clients that number their calls anew in each turn send them.
    """
    used: Counter[str] = Counter()
    renamed: dict[str, str] = {}
    for role, blocks in turns:
        if role == "user":
            _rename(blocks, "tool_use_id", renamed)
            continue
        called = [block["id"] for block in blocks if block["type"] == "tool_use"]
        renamed = {each: _next(each, used) for each in called if each in used}
        _rename(blocks, "id", renamed)
        used.update(called)


def _rename(blocks: list[dict[str, Any]], field: str, renamed: dict[str, str]) -> None:
    for block in blocks:
        if block.get(field) in renamed:
            block[field] = renamed[block[field]]


def _next(tool_call_id: str, used: Counter[str]) -> str:
    """A digest of the id and how often it has been used, so that each request makes the same ones."""
    return portable_id(f"{tool_call_id}:{used[tool_call_id]}")


def openai_name(name: str) -> str:
    """A tool name that OpenAI takes: long ones are cut and made unique by a digest."""
    if len(name) <= MAX_OPENAI_NAME_CHARACTERS:
        return name
    digest = hashlib.blake2s(name.encode("utf-8", "replace"), digest_size=6).hexdigest()
    return f"{name[: MAX_OPENAI_NAME_CHARACTERS - len(digest) - 1]}_{digest}"


def input_of(arguments: str) -> Any:
    """OpenAI's argument string as Anthropic's input object, its numbers and key order untouched."""
    if not arguments.strip():
        return _EMPTY_OBJECT
    try:
        parsed = orjson.loads(arguments)
    except ValueError:
        return {RAW_ARGUMENTS: arguments}
    if not isinstance(parsed, dict):
        return {RAW_ARGUMENTS: arguments}
    return orjson.Fragment(arguments)


def arguments_of(tool_input: Any) -> str:
    """Anthropic's input object as OpenAI's argument string."""
    if isinstance(tool_input, dict) and len(tool_input) == 1:
        raw = tool_input.get(RAW_ARGUMENTS)
        if isinstance(raw, str):
            return raw
    return dumps_text(tool_input if tool_input is not None else _EMPTY_OBJECT)
