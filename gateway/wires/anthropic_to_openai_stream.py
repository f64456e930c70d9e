"""Anthropic's event stream as OpenAI's chunks.

Sources: Anthropic, "Streaming messages: event types"; OpenAI, "API reference: The chat completion chunk object" (role
first, tool calls by index, usage in a last chunk without choices when asked for).
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.engine.exchange import Seam
from gateway.engine.usage import Usage
from gateway.wires.answers import DECLINED
from gateway.wires.passthrough_stream import counts_output, merge_usage
from gateway.wires.stream_base import StreamBase, in_band_error
from gateway.wires.tools import arguments_of
from gateway.wires.vocabulary import OPENAI_FINISH, finish_from_openai, usage_from_anthropic, usage_to_openai
from gateway.wires.words import Context

_dumps = orjson.dumps
UNKNOWN_ID = "chatcmpl-unknown"


class AnthropicToOpenAIStream(StreamBase):
    __slots__ = (
        "_arguments_seen", "_block", "_calls", "_finished", "_head", "_stop", "_stop_details", "_structured", "_tail",
        "_thinking", "_thoughts", "_usage_fields",
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._head = self._tail = b""
        self._block: dict[str, Any] = {}
        self._arguments_seen = self._structured = self._finished = False
        self._calls = -1
        self._thinking: list[str] = []
        self._thoughts = 0
        self._stop: str | None = None
        self._stop_details: Any = None
        self._usage_fields: dict[str, Any] = {}

    def _seam(self) -> Seam | None:
        if self._calls >= 0 or self._structured or self._stop is not None or not self._texts:
            return None
        message_id = self.upstream_id or UNKNOWN_ID
        return Seam(self.text, message_id, self.model, self._context.created_at, usage=self.usage)

    def _on_event(self, event: Any, out: list[bytes]) -> bool:
        kind = event["type"]
        if kind == "content_block_delta":
            return self._on_delta(event["delta"], out)
        if kind == "content_block_start":
            return self._on_block(event["content_block"], out)
        if kind == "content_block_stop":
            return self._on_block_end(out)
        if kind == "message_start":
            self._on_start(event["message"], out)
        elif kind == "message_delta":
            self._on_end(event)
        elif kind == "message_stop":
            self.complete = True
            self._finish(out)
        elif kind == "error":
            raise in_band_error(event.get("error"), _dumps(event))
        return False

    def _on_start(self, message: dict[str, Any], out: list[bytes]) -> None:
        self.upstream_id = message.get("id")
        self.model = message.get("model") or self.model
        self._add_usage(message.get("usage"))
        self._begin(out)

    def _begin(self, out: list[bytes]) -> None:
        """The bytes that stand before and after each delta, and the role."""
        about = {
            "id": self.upstream_id or UNKNOWN_ID,
            "object": "chat.completion.chunk",
            "created": self._context.created_at,
            "model": self.model,
        }
        usage = b',"usage":null' if self._context.wants_usage else b""
        self._head = b"data: " + _dumps(about)[:-1] + b',"choices":[{"index":0,"delta":'
        self._tail = b',"logprobs":null,"finish_reason":null}]' + usage + b"}\n\n"
        self._send(b'{"role":"assistant","content":"","refusal":null}', out)

    def _send(self, delta: bytes, out: list[bytes]) -> None:
        if not self._head:
            self._begin(out)
        out.append(self._head + delta + self._tail)

    def _on_block(self, block: dict[str, Any], out: list[bytes]) -> bool:
        self._block, self._arguments_seen = block, False
        kind = block["type"]
        if kind == "tool_use":
            if block["name"] == self._context.answer_tool:
                self._structured = True
                return False
            self._calls += 1
            self._send(self._call_delta(block), out)
            return True
        if kind == "text" and block.get("text"):
            self._send_text(block["text"], out)
            return True
        if kind == "thinking":
            self._thinking = [block["thinking"]] if block.get("thinking") else []
        return bool(kind == "redacted_thinking")

    def _call_delta(self, block: dict[str, Any]) -> bytes:
        function = {"name": block["name"], "arguments": ""}
        if self._context.legacy_functions:
            return _dumps({"function_call": function})
        call = {"index": self._calls, "id": block["id"], "type": "function", "function": function}
        return _dumps({"tool_calls": [call]})

    def _on_delta(self, delta: dict[str, Any], out: list[bytes]) -> bool:
        kind = delta["type"]
        if kind == "text_delta":
            self._send_text(delta["text"], out)
            return bool(delta["text"])
        if kind == "input_json_delta":
            return self._send_arguments(delta["partial_json"], out)
        if kind == "thinking_delta":
            self._thinking.append(delta["thinking"])
            self._send(b'{"reasoning_content":' + _dumps(delta["thinking"]) + b"}", out)
            return True
        if kind == "signature_delta":
            self._block["signature"] = (self._block.get("signature") or "") + delta["signature"]
        return False

    def _send_text(self, text: str, out: list[bytes]) -> None:
        self._texts.append(text)
        self._send(b'{"content":' + _dumps(text) + b"}", out)

    def _send_arguments(self, partial: str, out: list[bytes]) -> bool:
        if not partial:
            return False
        self._arguments_seen = True
        if self._block.get("name") == self._context.answer_tool:
            self._send_text(partial, out)
        elif self._context.legacy_functions:
            self._send(b'{"function_call":{"arguments":' + _dumps(partial) + b"}}", out)
        else:
            start = b'{"tool_calls":[{"index":%d,"function":{"arguments":' % self._calls
            self._send(start + _dumps(partial) + b"}}]}", out)
        return True

    def _on_block_end(self, out: list[bytes]) -> bool:
        """A call without input deltas has the input its start came with, usually none; thinking gets its signature."""
        block, self._block = self._block, {}
        kind = block.get("type")
        if kind == "tool_use" and not self._arguments_seen:
            self._block = block
            self._send_arguments(arguments_of(block.get("input")), out)
            self._block = {}
        elif kind == "thinking":
            whole = {
                "type": "thinking",
                "thinking": "".join(self._thinking),
                "signature": block.get("signature") or "",
            }
            self._send_thought(whole, out)
        elif kind == "redacted_thinking":
            self._send_thought(block, out)
        return False

    def _send_thought(self, block: dict[str, Any], out: list[bytes]) -> None:
        told = [{"index": self._thoughts, **block}] if self._context.keeps_thoughts else []
        self._send(_dumps({"thinking_blocks": told}), out)
        self._thoughts += 1

    def _on_end(self, event: dict[str, Any]) -> None:
        self._add_usage(event.get("usage"))
        delta = event["delta"]
        if delta.get("stop_reason"):
            self._stop, self._stop_details = delta["stop_reason"], delta.get("stop_details")
            self.finish_reason = finish_from_openai(self._finish_word())
        self.usage_is_final = self.finish_reason is not None and counts_output(event.get("usage"))

    def _whole(self) -> bool:
        """Anthropic gives a reason with every answer: without one, whatever comes, something is missing."""
        return self.finish_reason is not None

    def _add_usage(self, usage: Any) -> None:
        merge_usage(self._usage_fields, usage)
        self.usage = usage_from_anthropic(self._usage_fields)

    def _finish_word(self) -> str:
        word = OPENAI_FINISH.get(self._stop or "", "stop")
        if word == "tool_calls" and self._structured and self._calls < 0:
            return "stop"
        if word == "tool_calls" and self._context.legacy_functions:
            return "function_call"
        return word

    def _finish(self, out: list[bytes]) -> None:
        if self._finished or not self._whole():
            return
        self._finished = True
        if self._stop == "refusal":
            details = self._stop_details if isinstance(self._stop_details, dict) else {}
            self._send(_dumps({"refusal": details.get("explanation") or DECLINED}), out)
        if not self._head:
            self._begin(out)
        reason = _dumps(self._finish_word())
        out.append(self._head + b"{}" + self._tail.replace(b'"finish_reason":null', b'"finish_reason":' + reason))
        if self._context.wants_usage:
            self._send_usage(self.usage or Usage(), out)

    def _send_usage(self, usage: Usage, out: list[bytes]) -> None:
        start = self._head[: self._head.index(b',"choices":[{"index":0')]
        out.append(start + b',"choices":[],"usage":' + _dumps(usage_to_openai(usage)) + b"}\n\n")
