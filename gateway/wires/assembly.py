"""A stream on its way to a client put together again as the plain answer it stands for, piece by piece.

Closed by default: an event or a delta nobody knows makes the answer unfit to be kept, never wrong.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson

from gateway.engine.usage import Usage
from gateway.engine.words import Operation
from gateway.wires import sse
from gateway.wires.vocabulary import usage_to_anthropic, usage_to_openai

MAX_BYTES = 1024 * 1024  # of the stream; a kept answer is smaller still
_TEXTS = ("content", "reasoning_content", "reasoning", "refusal")
_FRAME = ("id", "created", "model", "system_fingerprint", "service_tier")


class Unfit(Exception):
    """This stream can't be put together."""


class Assembly:
    """Feed it whole events; ask for the answer at the end."""

    def __init__(self, operation: Operation) -> None:
        self._parts: _Chunks | _Events = _Events() if operation is Operation.MESSAGES else _Chunks()
        self._bytes = 0
        self._unfit = False

    def feed(self, data: bytes) -> None:
        """Never raises."""
        self._bytes += len(data)
        if self._unfit or self._bytes > MAX_BYTES:
            self._unfit = True
            return
        try:
            for event in sse.split(data):
                told = sse.event_data(event) if event else None
                if told and told != b"[DONE]":
                    self._parts.take(orjson.loads(told))
        except (Unfit, orjson.JSONDecodeError, AttributeError, LookupError, TypeError, ValueError):
            self._unfit = True

    def answer(self, usage: Usage | None) -> dict[str, Any] | None:
        """The plain answer, with `usage` where the client was told none; None where there is none to be kept."""
        if self._unfit:
            return None
        try:
            return self._parts.answer(usage)
        except (Unfit, orjson.JSONDecodeError, LookupError, TypeError, ValueError):
            return None


class _Chunks:
    """OpenAI's chunks."""

    def __init__(self) -> None:
        self._frame: dict[str, Any] = {}
        self._choices: dict[int, dict[str, Any]] = {}
        self._usage: Any = None

    def take(self, chunk: Mapping[str, Any]) -> None:
        if chunk.get("error"):
            raise Unfit
        self._frame.update((name, chunk[name]) for name in _FRAME if chunk.get(name) is not None)
        self._usage = chunk.get("usage") or self._usage
        for piece in chunk.get("choices") or ():
            choice = self._choices.setdefault(piece.get("index") or 0, {"message": {}, "calls": {}, "logprobs": None})
            self._take_delta(choice, piece.get("delta") or {})
            choice["finish_reason"] = piece.get("finish_reason") or choice.get("finish_reason")
            if piece.get("logprobs"):
                _extend(choice, piece["logprobs"])

    def _take_delta(self, choice: dict[str, Any], delta: Mapping[str, Any]) -> None:
        message = choice["message"]
        for name, value in delta.items():
            if name in _TEXTS:
                if value is not None:
                    message[name] = message.get(name, "") + value
            elif name == "tool_calls":
                for position, call in enumerate(value or ()):
                    _add_call(choice["calls"], call, position)
            elif name == "function_call" and value:
                _add_function(message.setdefault("function_call", {}), value)
            elif name == "annotations":
                message.setdefault(name, []).extend(value or ())
            elif name != "role" and value is not None:
                raise Unfit

    def answer(self, usage: Usage | None) -> dict[str, Any]:
        told = self._usage or (usage_to_openai(usage) if usage is not None else None)
        if told is None:
            raise Unfit
        choices = [self._choice(index, choice) for index, choice in sorted(self._choices.items())]
        return {**self._frame, "object": "chat.completion", "choices": choices, "usage": told}

    @staticmethod
    def _choice(index: int, choice: Mapping[str, Any]) -> dict[str, Any]:
        message = {"role": "assistant", "content": None, **choice["message"]}
        calls = [call for _, call in sorted(choice["calls"].items())]
        if calls:
            message["tool_calls"] = calls
            message["content"] = message["content"] or None
        message.setdefault("refusal", None)
        told = {"index": index, "message": message, "logprobs": choice["logprobs"]}
        return {**told, "finish_reason": choice["finish_reason"]}


def _extend(choice: dict[str, Any], logprobs: Mapping[str, Any]) -> None:
    kept = choice["logprobs"] = choice["logprobs"] or {}
    for name, values in logprobs.items():
        kept[name] = (kept.get(name) or []) + values if values is not None else kept.get(name)


def _add_call(calls: dict[int, dict[str, Any]], piece: Mapping[str, Any], position: int) -> None:
    call = calls.setdefault(piece.get("index", position), {"id": "", "type": "function"})
    call["id"] = call["id"] or piece.get("id") or ""
    call["type"] = piece.get("type") or call["type"]
    for name in set(piece) - {"index", "id", "type"}:
        if name not in ("function", "custom"):
            raise Unfit
        _add_function(call.setdefault(name, {}), piece[name] or {})


def _add_function(function: dict[str, Any], piece: Mapping[str, Any]) -> None:
    for name, value in piece.items():
        if value is not None:
            function[name] = value if name == "name" else function.get(name, "") + value


class _Events:
    """Anthropic's events."""

    def __init__(self) -> None:
        self._message: dict[str, Any] = {}
        self._blocks: list[dict[str, Any]] = []
        self._inputs: dict[int, str] = {}

    def take(self, event: Mapping[str, Any]) -> None:
        kind = event["type"]
        if kind == "message_start":
            self._message = dict(event["message"])
            self._message["usage"] = dict(self._message.get("usage") or {})
        elif kind == "content_block_start":
            if event["index"] != len(self._blocks):
                raise Unfit
            self._blocks.append(dict(event["content_block"]))
        elif kind == "content_block_delta":
            self._take_delta(event["index"], event["delta"])
        elif kind == "message_delta":
            self._message.update(event["delta"])
            told = event.get("usage") or {}
            self._message["usage"].update((name, value) for name, value in told.items() if value is not None)
        elif kind not in ("content_block_stop", "message_stop", "ping"):
            raise Unfit

    def _take_delta(self, index: int, delta: Mapping[str, Any]) -> None:
        block, kind = self._blocks[index], delta["type"]
        if kind == "input_json_delta":
            self._inputs[index] = self._inputs.get(index, "") + delta["partial_json"]
        elif kind == "citations_delta":
            block["citations"] = [*(block.get("citations") or ()), delta["citation"]]
        elif kind in ("text_delta", "thinking_delta", "signature_delta"):
            name = kind.removesuffix("_delta")
            block[name] = (block.get(name) or "") + delta[name]
        else:
            raise Unfit

    def answer(self, usage: Usage | None) -> dict[str, Any]:
        if not self._message:
            raise Unfit
        for index, text in self._inputs.items():
            self._blocks[index]["input"] = orjson.loads(text) if text.strip() else {}
        told = self._message["usage"] or (usage_to_anthropic(usage) if usage is not None else None)
        if not told:
            raise Unfit
        return {**self._message, "content": self._blocks, "usage": told}
