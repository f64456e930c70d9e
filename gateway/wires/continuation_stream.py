"""The rest of an answer as a continuation of the stream that broke off: no second beginning, the same id and blocks.

These work on the surface's own events, after the translation from the provider's wire, so there is one for each
surface. Thinking in the rest is left out: the client has the answer's text already.
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.engine.exchange import Continuation, Seam, StreamBatch
from gateway.engine.usage import Usage
from gateway.engine.words import FinishReason, Wire
from gateway.wires import sse
from gateway.wires.jsons import dumps
from gateway.wires.overlap import Join, Overlap, Whitespace
from gateway.wires.vocabulary import usage_to_anthropic, usage_to_openai
from gateway.wires.words import StreamTranslator

_THOUGHTS = ("reasoning_content", "reasoning", "thinking_blocks")
_THINKING = ("thinking", "redacted_thinking")


class ContinuationStream:
    """A StreamTranslator around another. Its facts are the attempt's own; `text` and `seam` are the whole answer's."""

    def __init__(self, inner: StreamTranslator, continuation: Continuation) -> None:
        self._inner = inner
        self._sent = continuation.seam
        self._texts = [continuation.seam.text]
        self._join: Join = (Whitespace if continuation.prefill else Overlap)(continuation.seam.text)
        self._more_than_text = False

    @property
    def usage(self) -> Usage | None:
        return self._inner.usage

    @property
    def usage_is_final(self) -> bool:
        return self._inner.usage_is_final

    @property
    def finish_reason(self) -> FinishReason | None:
        return self._inner.finish_reason

    @property
    def model(self) -> str:
        return self._inner.model

    @property
    def upstream_id(self) -> str | None:
        return self._inner.upstream_id

    @property
    def skipped_events(self) -> int:
        return self._inner.skipped_events

    @property
    def complete(self) -> bool:
        return self._inner.complete

    @property
    def terminator(self) -> bytes:
        return self._inner.terminator

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def seam(self) -> Seam | None:
        if self._more_than_text or self.finish_reason is not None:
            return None
        return self._seam()

    def feed(self, data: bytes) -> StreamBatch:
        return self._continued(self._inner.feed(data))

    def close(self) -> StreamBatch:
        batch = self._continued(self._inner.close())
        out: list[bytes] = []
        self._close(out)
        return StreamBatch(batch.data + b"".join(out), batch.has_content or bool(out), batch.has_event)

    def _continued(self, batch: StreamBatch) -> StreamBatch:
        if not batch.data:
            return batch
        out: list[bytes] = []
        for event in sse.split(batch.data):
            data = sse.event_data(event) if event else None
            if data:
                self._on_event(orjson.loads(data), out)
        return StreamBatch(b"".join(out), batch.has_content, batch.has_event)

    def _joined(self, text: str, *, last: bool = False) -> str:
        """What of the text is sent now; with `last`, all of it that is no repetition."""
        new = self._join.feed(text) if text else ""
        if last:
            new += self._join.flush()
        if new:
            self._texts.append(new)
        return new

    def _all_usage(self) -> Usage | None:
        """What the providers have told of all parts of the answer."""
        told = [usage for usage in (self._sent.usage, self.usage) if usage is not None]
        return sum(told, Usage()) if told else None

    def _seam(self) -> Seam:
        raise NotImplementedError

    def _on_event(self, event: dict[str, Any], out: list[bytes]) -> None:
        raise NotImplementedError

    def _close(self, out: list[bytes]) -> None:
        """Append what is still to be said before the surface's terminator."""
        raise NotImplementedError


class OpenAIContinuation(ContinuationStream):
    def _seam(self) -> Seam:
        return Seam(self.text, self._sent.id, self._sent.model, self._sent.created_at, usage=self._all_usage())

    def _on_event(self, event: dict[str, Any], out: list[bytes]) -> None:
        event |= self._names()
        choices = [choice for choice in event.get("choices") or () if not choice.get("index")]
        kept = [choice for choice in choices if self._keeps(choice, out)]
        if event.get("usage") and (usage := self._all_usage()) is not None and self._sent.usage is not None:
            event["usage"] = usage_to_openai(usage)
        if kept or not event.get("choices") or event.get("usage"):
            out.append(b"data: " + dumps({**event, "choices": kept}) + b"\n\n")

    def _keeps(self, choice: dict[str, Any], out: list[bytes]) -> bool:
        """Make the choice a continuing one; false if nothing is left of it. What was held back goes out before."""
        delta = {name: value for name, value in (choice.get("delta") or {}).items() if value is not None}
        delta.pop("role", None)
        for name in _THOUGHTS:
            delta.pop(name, None)
        content = delta.pop("content", "")
        ends = bool(delta) or choice.get("finish_reason") is not None
        self._more_than_text = self._more_than_text or bool(delta)
        new = self._joined(content, last=ends)
        if new and ends:
            self._send(new, out)
        elif new:
            delta["content"] = new
        choice["delta"] = delta
        return bool(delta) or choice.get("finish_reason") is not None

    def _names(self) -> dict[str, Any]:
        return {"id": self._sent.id, "model": self._sent.model, "created": self._sent.created_at}

    def _send(self, text: str, out: list[bytes]) -> None:
        choice = {"index": 0, "delta": {"content": text}, "logprobs": None, "finish_reason": None}
        chunk = {**self._names(), "object": "chat.completion.chunk", "choices": [choice]}
        out.append(b"data: " + dumps(chunk) + b"\n\n")

    def _close(self, out: list[bytes]) -> None:
        if new := self._joined("", last=True):
            self._send(new, out)


class AnthropicContinuation(ContinuationStream):
    def __init__(self, inner: StreamTranslator, continuation: Continuation) -> None:
        super().__init__(inner, continuation)
        self._open = self._sent.open_block  # the client's open block
        self._next = self._sent.next_block
        self._start: dict[str, Any] | None = None  # of a text block that has no text yet; an empty one is never sent
        self._left_out: set[int] = set()  # the rest's own indexes

    def _seam(self) -> Seam:
        return Seam(
            self.text,
            self._sent.id,
            self._sent.model,
            open_block=self._open,
            next_block=self._next,
            usage=self._all_usage(),
        )

    def _on_event(self, event: dict[str, Any], out: list[bytes]) -> None:
        kind = event["type"]
        if event.get("index") in self._left_out:
            return
        if kind == "content_block_start":
            self._on_block(event, out)
        elif kind == "content_block_delta":
            self._on_delta(event, out)
        elif kind == "content_block_stop":
            self._close(out)
        elif kind == "message_delta":
            self._close(out)
            usage = self._all_usage()
            if usage is not None and self._sent.usage is not None:
                event["usage"] = {**(event.get("usage") or {}), **usage_to_anthropic(usage)}
            _send(event, out)
        elif kind != "message_start":
            _send(event, out)

    def _on_block(self, event: dict[str, Any], out: list[bytes]) -> None:
        block = event["content_block"]
        if block["type"] in _THINKING:
            self._left_out.add(event["index"])
        elif block["type"] == "text":
            if self._open is None:
                self._start = {**event, "content_block": {**block, "text": ""}}
            self._send_text(block.get("text") or "", out)
        else:
            self._more_than_text = True
            self._close(out)
            self._begin(event, out)

    def _begin(self, event: dict[str, Any], out: list[bytes]) -> None:
        self._open, self._next = self._next, self._next + 1
        _send({**event, "index": self._open}, out)

    def _on_delta(self, event: dict[str, Any], out: list[bytes]) -> None:
        delta = event["delta"]
        if delta["type"] == "text_delta":
            self._send_text(delta["text"], out)
        else:
            self._send_delta(delta, out)

    def _send_text(self, text: str, out: list[bytes], *, last: bool = False) -> None:
        if new := self._joined(text, last=last):
            self._send_delta({"type": "text_delta", "text": new}, out)

    def _send_delta(self, delta: dict[str, Any], out: list[bytes]) -> None:
        start, self._start = self._start, None
        if start is not None:
            self._begin(start, out)
        _send({"type": "content_block_delta", "index": self._open, "delta": delta}, out)

    def _close(self, out: list[bytes]) -> None:
        """Close the block that is open, if one is."""
        if self._open is not None or self._start is not None:
            self._send_text("", out, last=True)
        if self._open is not None:
            _send({"type": "content_block_stop", "index": self._open}, out)
        self._open = self._start = None


def _send(event: dict[str, Any], out: list[bytes]) -> None:
    out.append(b"event: %b\ndata: %b\n\n" % (event["type"].encode(), dumps(event)))


def continuation_stream(surface: Wire, inner: StreamTranslator, continuation: Continuation) -> ContinuationStream:
    """`inner`'s events as the rest of the answer that broke off at the continuation's seam."""
    kind = OpenAIContinuation if surface is Wire.OPENAI else AnthropicContinuation
    return kind(inner, continuation)
