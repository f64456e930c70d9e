"""Streams of the Responses API: events go on byte for byte; the one that ends the response is held back.

Sources: OpenAI, "API reference: Responses, streaming events"; the official SDKs' stream readers, which raise on an
event whose data has an `error`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import orjson

from gateway.engine.errors import GatewayError
from gateway.engine.words import FinishReason, Wire
from gateway.wires.errors import error_object
from gateway.wires.passthrough_stream import KEEP, PassthroughStream
from gateway.wires.responses import CALLS, finish_of
from gateway.wires.stream_base import in_band_error
from gateway.wires.vocabulary import usage_from_responses
from gateway.wires.words import Context

_TERMINAL = ("response.completed", "response.incomplete")
_TEXT = ("response.output_text.delta", "response.refusal.delta")
# Items that begin without being content yet: what they hold comes in deltas.
_EMPTY_ITEMS = ("message", "reasoning")
_NUMBER = re.compile(rb'(?<!\\)"sequence_number"\s*:\s*(\d{1,15})')


class ResponsesPassthrough(PassthroughStream):
    __slots__ = ("_called", "terminator")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self.terminator = b""
        self._called = False

    def _read(self, data: bytes, event: bytes) -> tuple[Any, bool]:
        if data == b"[DONE]":
            return b"", False
        parsed = orjson.loads(data)
        kind: str = parsed["type"]
        if kind.endswith(".delta"):
            return KEEP, self._read_delta(kind, parsed.get("delta"))
        if kind == "response.output_item.added":
            item = _kind_of(parsed.get("item"))
            self._called = self._called or item in CALLS
            return KEEP, item not in _EMPTY_ITEMS
        if kind in _TERMINAL:
            self._read_end(parsed["response"], event)
            return b"", False
        if kind == "response.failed":
            self.usage = usage_from_responses(parsed["response"].get("usage"), parsed["response"].get("output"))
            self.usage_is_final = self.usage is not None
            raise in_band_error(parsed["response"].get("error") or {}, data)
        if kind == "error":
            raise in_band_error(parsed.get("error") or parsed, data)
        if self.upstream_id is None and kind.startswith("response."):
            self._identify(parsed.get("response"))
        return KEEP, False

    def _read_delta(self, kind: str, delta: Any) -> bool:
        if kind in _TEXT and isinstance(delta, str):
            self._texts.append(delta)
        return bool(delta)

    def _identify(self, response: Any) -> None:
        if isinstance(response, dict) and isinstance(response.get("id"), str):
            self.upstream_id = response["id"]
            self.model = response.get("model") or self.model

    def _read_end(self, response: Mapping[str, Any], event: bytes) -> None:
        self._identify(response)
        self.usage = usage_from_responses(response.get("usage"), response.get("output"))
        finish = finish_of(response)  # its output may have been left out: the client has had it
        self.finish_reason = FinishReason.TOOL_CALLS if self._called and finish is FinishReason.STOP else finish
        self.usage_is_final = self.usage is not None
        self.terminator = event + b"\n\n"
        self.complete = True

    def _whole(self) -> bool:
        return self.complete


def _kind_of(item: Any) -> Any:
    return item.get("type") if isinstance(item, dict) else "message"


def render_responses_error(error: GatewayError, sent: bytes) -> bytes:
    """The error as a last event. `sent` is what the client got last: events are numbered, this one goes on counting.

    Its fields are those of the API's own `error` event; the `error` object beside them makes the SDKs raise.
    """
    whole = error_object(Wire.OPENAI, error, "")["error"]
    numbers = _NUMBER.findall(sent)
    fields = {
        "type": "error",
        "code": whole["code"],
        "message": whole["message"],
        "param": whole["param"],
        "sequence_number": int(numbers[-1]) + 1 if numbers else 0,
        "error": whole,
    }
    return b"event: error\ndata: " + orjson.dumps(fields, default=str, option=orjson.OPT_NON_STR_KEYS) + b"\n\n"
