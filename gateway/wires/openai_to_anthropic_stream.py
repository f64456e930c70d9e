"""OpenAI's chunks as Anthropic's event stream: message_start, blocks one after the other, message_delta.

Sources: OpenAI, "API reference: The chat completion chunk object"; Anthropic, "Streaming messages: event types".
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.engine.exchange import Seam
from gateway.engine.usage import Usage
from gateway.wires.passthrough import UNSIGNED
from gateway.wires.stream_base import MESSAGE_STOP, StreamBase, in_band_error
from gateway.wires.tools import portable_id
from gateway.wires.vocabulary import (
    ANTHROPIC_STOP,
    finish_from_anthropic,
    usage_from_openai,
    usage_to_anthropic,
)
from gateway.wires.words import Context

_dumps = orjson.dumps
UNKNOWN_ID = "msg_unknown"


class _Call:
    """One tool call of the answer, by its index in OpenAI's deltas."""

    __slots__ = ("arguments", "closed", "id", "name", "sent", "started")

    def __init__(self) -> None:
        self.id = self.name = ""
        self.arguments: list[str] = []
        self.sent = 0  # how many of the argument pieces are out
        self.started = self.closed = False

    def whole(self) -> bool:
        """Whether the arguments so far are a whole JSON value, so that another call may begin."""
        text = "".join(self.arguments)
        if not text.rstrip().endswith("}"):
            return False
        try:
            orjson.loads(text)
        except orjson.JSONDecodeError:
            return False
        return True


class OpenAIToAnthropicStream(StreamBase):
    """One block is open at a time; deltas of a call that must wait for another one are kept until it is whole."""

    terminator = MESSAGE_STOP

    __slots__ = (
        "_calls",
        "_finished",
        "_held",
        "_index",
        "_open",
        "_real_calls",
        "_refused",
        "_start",
        "_started",
        "_stop",
    )

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._calls: dict[int, _Call] = {}
        self._held: list[tuple[str, bytes]] = []  # deltas that came amid an unfinished call
        self._index = -1
        self._open: str | _Call | None = None  # "text", "thinking" or a call
        self._start = b""
        self._started = self._finished = self._refused = False
        self._real_calls = 0
        self._stop: str | None = None

    def _seam(self) -> Seam | None:
        if self._calls or self._refused or self._stop is not None or not self._texts or self._open == "thinking":
            return None
        block = self._index if self._open == "text" else None
        message_id = self.upstream_id or UNKNOWN_ID
        return Seam(self.text, message_id, self.model, open_block=block, next_block=self._index + 1, usage=self.usage)

    def _on_event(self, event: Any, out: list[bytes]) -> bool:
        choices = event.get("choices")
        if not choices and event.get("error"):
            raise in_band_error(event["error"], _dumps(event))
        if choices and not self._started:
            self._begin(event, out)
        content = False
        for choice in choices or ():
            if not choice.get("index"):
                content = self._on_choice(choice, out) or content
        if event.get("usage"):
            self.usage = usage_from_openai(event["usage"])
            self.usage_is_final = self.finish_reason is not None
        return content

    def _begin(self, event: dict[str, Any], out: list[bytes]) -> None:
        self._started = True
        self.upstream_id = event.get("id") or None
        self.model = event.get("model") or self.model
        message: dict[str, Any] = {
            "id": self.upstream_id or UNKNOWN_ID,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_to_anthropic(Usage()),
        }
        out.append(b'event: message_start\ndata: {"type":"message_start","message":' + _dumps(message) + b"}\n\n")

    def _on_choice(self, choice: dict[str, Any], out: list[bytes]) -> bool:
        delta = choice.get("delta") or {}
        content = False
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if thought:
            self._send("thinking", b'{"type":"thinking_delta","thinking":' + _dumps(thought) + b"}", out)
            content = True
        text = delta.get("content")
        if text:
            self._texts.append(text)
            self._send_text(text, out)
            content = True
        if delta.get("refusal"):
            self._refused = True
            self._send_text(delta["refusal"], out)
            content = True
        for position, call in enumerate(delta.get("tool_calls") or ()):
            self._on_call(call, call.get("index", position), out)
            content = True
        if choice.get("finish_reason"):
            self._on_finish(choice["finish_reason"], out)
        return content

    def _send_text(self, text: str, out: list[bytes]) -> None:
        self._send("text", b'{"type":"text_delta","text":' + _dumps(text) + b"}", out)

    def _send(self, kind: str, delta: bytes, out: list[bytes]) -> None:
        if isinstance(self._open, _Call) and not self._open.whole():
            self._held.append((kind, delta))
            return
        if self._open != kind:
            self._close_block(out)
            empty = b'{"type":"thinking","thinking":"","signature":""}' if kind == "thinking" else _EMPTY_TEXT
            self._open_block(kind, empty, out)
        out.append(self._start + delta + b"}\n\n")

    def _open_block(self, what: str | _Call, block: bytes, out: list[bytes]) -> None:
        self._index += 1
        self._open = what
        out.append(
            b'event: content_block_start\ndata: {"type":"content_block_start","index":%d,"content_block":%b}\n\n'
            % (self._index, block)
        )
        self._start = (
            b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,"delta":' % self._index
        )

    def _close_block(self, out: list[bytes]) -> None:
        if self._open is None:
            return
        if self._open == "thinking":
            signature = b'{"type":"signature_delta","signature":"%b"}' % UNSIGNED.encode()
            out.append(self._start + signature + b"}\n\n")
        elif isinstance(self._open, _Call):
            self._open.closed = True
        self._open = None
        out.append(b'event: content_block_stop\ndata: {"type":"content_block_stop","index":%d}\n\n' % self._index)

    def _on_call(self, piece: dict[str, Any], index: int, out: list[bytes]) -> None:
        call = self._calls.setdefault(index, _Call())
        function = piece.get("function") or {}
        call.id = call.id or piece.get("id") or ""
        call.name = call.name or function.get("name") or ""
        if function.get("arguments"):
            call.arguments.append(function["arguments"])
        self._advance(call, out)

    def _advance(self, call: _Call, out: list[bytes]) -> None:
        """Send what may be sent: the open call's pieces, then whatever waited for it."""
        current = self._open
        if isinstance(current, _Call) and current is not call:
            if not current.whole():
                return
            self._close_block(out)
        self._pump(call, out)
        if any(not other.closed and other is not call for other in self._calls.values()) and call.whole():
            self._close_block(out)
            waiting = [other for other in self._calls.values() if not other.closed]
            if waiting:
                self._advance(waiting[0], out)

    def _pump(self, call: _Call, out: list[bytes]) -> None:
        if not call.name or call.closed:
            return
        if not call.started:
            self._close_block(out)
            self._begin_call(call, out)
        pieces, call.sent = call.arguments[call.sent :], len(call.arguments)
        for piece in pieces:
            if call.name == self._context.answer_tool:
                self._texts.append(piece)
                self._send_piece(b'{"type":"text_delta","text":', piece, out)
            else:
                self._send_piece(b'{"type":"input_json_delta","partial_json":', piece, out)

    def _send_piece(self, start: bytes, piece: str, out: list[bytes]) -> None:
        out.append(self._start + start + _dumps(piece) + b"}}\n\n")

    def _begin_call(self, call: _Call, out: list[bytes]) -> None:
        call.started = True
        if call.name == self._context.answer_tool:
            self._open_block(call, _EMPTY_TEXT, out)
            return
        self._real_calls += 1
        call_id = call.id or f"{self.upstream_id}_{self._real_calls}"
        name = self._context.tool_names.get(call.name, call.name)
        block = {"type": "tool_use", "id": portable_id(call_id), "name": name, "input": {}}
        self._open_block(call, _dumps(block), out)

    def _on_finish(self, reason: str, out: list[bytes]) -> None:
        for call in self._calls.values():
            if not call.closed:
                if self._open is not call:
                    self._close_block(out)
                self._pump(call, out)
        held, self._held = self._held, []
        if held:
            self._close_block(out)
        for kind, delta in held:
            self._send(kind, delta, out)
        self._close_block(out)
        self._stop = self._stop_word(reason)
        self.finish_reason = finish_from_anthropic(self._stop)

    def _stop_word(self, reason: str) -> str:
        if self._refused:
            return "refusal"
        word = ANTHROPIC_STOP.get(reason, "end_turn")
        if self._real_calls and word == "end_turn":
            return "tool_use"
        return "end_turn" if word == "tool_use" and not self._real_calls else word

    def _finish(self, out: list[bytes]) -> None:
        """OpenAI tells usage after the finish reason, so the closing events wait for the end of the stream."""
        if self._finished or not self._whole():
            return
        self._finished = True
        self.usage_is_final = self.usage_is_final or (self.complete and not self.skipped_events)
        if self._stop is None:
            self._on_finish("stop", out)
        delta = _dumps({"stop_reason": self._stop, "stop_sequence": None})
        usage = _dumps(usage_to_anthropic(self.usage or Usage()))
        out.append(
            b'event: message_delta\ndata: {"type":"message_delta","delta":' + delta + b',"usage":' + usage + b"}\n\n"
        )


_EMPTY_TEXT = b'{"type":"text","text":""}'
