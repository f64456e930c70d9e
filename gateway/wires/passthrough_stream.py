"""Streams whose surface speaks the provider's wire: bytes go on as they are; events are only read.

Held back: the terminator, and OpenAI usage that the client did not ask for (we did).
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Seam, StreamBatch
from gateway.wires import sse
from gateway.wires.splice import with_values
from gateway.wires.stream_base import MESSAGE_STOP, StreamBase, in_band_error
from gateway.wires.vocabulary import (
    finish_from_anthropic,
    finish_from_openai,
    usage_from_anthropic,
    usage_from_openai,
)
from gateway.wires.words import Context

KEEP = object()  # the event goes on as it is
_OURS = b": llmops"  # the comment with the cost; nobody else's counts


class PassthroughStream(StreamBase):
    """Reads each event; a batch in which nothing is held back is the very bytes that came in."""

    __slots__ = ()

    def _translate(self, head: bytes) -> StreamBatch:
        untouched, content, has_event = True, False, False
        kept: list[bytes] = []
        for event, end in sse.split_with_ends(head):
            if not event:
                continue
            data = sse.event_data(event)
            if data is None:
                if sse.is_comment(event) and not event.startswith(_OURS):
                    kept += (event, end)
                else:
                    untouched = False
                continue
            has_event = True
            try:
                verdict, has_content = self._read(data, event)
            except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError, IndexError):
                self.skipped_events += 1
                untouched = False
                continue
            except UpstreamError as error:
                self._error = error
                if not kept:
                    raise
                untouched = False
                break
            content = content or has_content
            if verdict is KEEP:
                kept += (event, end)
            else:
                untouched = False
                if verdict:
                    kept += (verdict, end)
        if untouched and head.endswith((b"\n\n", b"\r\n\r\n", b"\r\r")):
            return StreamBatch(head, content, has_event)
        return StreamBatch(b"".join(kept), content, has_event)

    def _read(self, data: bytes, event: bytes) -> tuple[Any, bool]:
        """KEEP, other bytes to send instead, or b"" to hold it back; and whether the event holds content."""
        raise NotImplementedError


class OpenAIPassthrough(PassthroughStream):
    __slots__ = ("_created_at", "_finished", "_more_than_text")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._finished: set[int] = set()
        self._created_at = context.created_at
        self._more_than_text = False

    def _read(self, data: bytes, event: bytes) -> tuple[Any, bool]:
        if data == b"[DONE]":
            self.complete = True
            self.usage_is_final = self.usage_is_final or (self._whole() and not self.skipped_events)
            return b"", False
        chunk = orjson.loads(data)
        if chunk.get("error"):
            raise in_band_error(chunk["error"], data)
        choices = chunk.get("choices")
        content = False
        for choice in choices or ():
            content = self._read_choice(choice) or content
        if self.upstream_id is None:
            self._identify(chunk)
        usage = chunk.get("usage")
        if usage:
            self.usage = usage_from_openai(usage)
            self.usage_is_final = len(self._finished) >= self._context.choices
            if not self._context.wants_usage:
                return self._without_usage(data) if choices else b"", content
        return KEEP, content

    def _identify(self, chunk: dict[str, Any]) -> None:
        found = chunk.get("id")
        if isinstance(found, str) and found:
            self.upstream_id = found
            self.model = chunk.get("model") or self.model
            created = chunk.get("created")
            self._created_at = created if isinstance(created, int) else self._created_at

    def _seam(self) -> Seam | None:
        if self._more_than_text or self._finished or not self._texts or self._context.choices > 1:
            return None
        return Seam(self.text, self.upstream_id or "", self.model, self._created_at, usage=self.usage)

    def _read_choice(self, choice: dict[str, Any]) -> bool:
        delta = choice.get("delta") or {}
        text = delta.get("content")
        if text.__class__ is str and text and not choice.get("index"):
            self._texts.append(text)
        reason = choice.get("finish_reason")
        if reason is not None:
            self._finished.add(choice.get("index") or 0)
            self.finish_reason = finish_from_openai(reason)
        if text and len(delta) == 1:
            return True
        if any(delta.get(name) for name in _BEYOND_TEXT):
            self._more_than_text = True
            return True
        return bool(text) or any(delta.get(name) for name in _THOUGHTS)

    def _whole(self) -> bool:
        """Every answer has a finish reason: without one something is missing, whatever terminator comes."""
        if self.complete:
            return self.finish_reason is not None
        return len(self._finished) >= self._context.choices

    @staticmethod
    def _without_usage(data: bytes) -> bytes:
        """In one line: in JSON, line ends stand only where a space may stand."""
        return b"data: " + with_values(data, {"usage": b"null"}).replace(b"\n", b" ")


_BEYOND_TEXT = ("tool_calls", "function_call", "refusal", "audio")
_THOUGHTS = ("reasoning_content", "reasoning")


class AnthropicPassthrough(PassthroughStream):
    __slots__ = ("_more_than_text", "_next_block", "_open_block", "_usage_fields", "terminator")

    def __init__(self, context: Context) -> None:
        super().__init__(context)
        self._usage_fields: dict[str, Any] = {}
        self._open_block: int | None = None
        self._next_block = 0
        self._more_than_text = False
        self.terminator = MESSAGE_STOP

    def _read(self, data: bytes, event: bytes) -> tuple[Any, bool]:
        parsed = orjson.loads(data)
        kind = parsed["type"]
        if kind == "content_block_delta":
            return KEEP, self._read_delta(parsed["delta"])
        if kind == "content_block_start":
            return KEEP, self._read_block(parsed["index"], parsed["content_block"])
        if kind == "content_block_stop":
            self._open_block = None
        if kind == "message_start":
            self._read_start(parsed["message"])
        elif kind == "message_delta":
            self._read_end(parsed)
        elif kind == "message_stop":
            self.complete = True
            self.terminator = event + b"\n\n"
            return b"", False
        elif kind == "error":
            raise in_band_error(parsed.get("error"), data)
        return KEEP, False

    def _seam(self) -> Seam | None:
        if self._more_than_text or not self._texts or self.finish_reason is not None:
            return None
        return Seam(
            self.text,
            self.upstream_id or "",
            self.model,
            open_block=self._open_block,
            next_block=self._next_block,
            usage=self.usage,
        )

    def _read_block(self, index: int, block: dict[str, Any]) -> bool:
        self._open_block, self._next_block = index, index + 1
        kind = block["type"]
        if kind != "text":
            # After text, thinking that breaks off leaves a block that can be neither finished nor sent back.
            self._more_than_text = self._more_than_text or kind not in _THINKING or bool(self._texts)
            return True
        if block.get("text"):
            self._texts.append(block["text"])
        return bool(block.get("text"))

    def _read_delta(self, delta: dict[str, Any]) -> bool:
        if delta["type"] == "text_delta":
            self._texts.append(delta["text"])
            return bool(delta["text"])
        return True

    def _read_start(self, message: dict[str, Any]) -> None:
        self.upstream_id = message.get("id")
        self.model = message.get("model") or self.model
        self._add_usage(message.get("usage"))

    def _read_end(self, event: dict[str, Any]) -> None:
        self._add_usage(event.get("usage"))
        self.finish_reason = finish_from_anthropic(event["delta"].get("stop_reason")) or self.finish_reason
        self.usage_is_final = self.finish_reason is not None and counts_output(event.get("usage"))

    def _whole(self) -> bool:
        """Anthropic gives a reason with every answer: without one, whatever comes, something is missing."""
        return self.finish_reason is not None

    def _add_usage(self, usage: Any) -> None:
        merge_usage(self._usage_fields, usage)
        self.usage = usage_from_anthropic(self._usage_fields)


_THINKING = ("thinking", "redacted_thinking")


def merge_usage(fields: dict[str, Any], usage: Any) -> None:
    """The counts of `message_delta` are cumulative: each replaces what `message_start` said."""
    if isinstance(usage, dict):
        fields.update((name, value) for name, value in usage.items() if value is not None)


def counts_output(usage: Any) -> bool:
    """Whether this `message_delta` tells what the answer has become; `message_start` only tells how it began."""
    return isinstance(usage, dict) and usage.get("output_tokens") is not None
