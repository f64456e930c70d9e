"""What every stream translation shares: cutting events, skipping broken ones, errors in the stream, the end.

Sources: OpenAI, "Streaming responses" and "Error codes"; Anthropic, "Streaming messages: error events", "Errors".
"""

from __future__ import annotations

from typing import Any

import orjson

from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Seam, StreamBatch
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason
from gateway.wires import sse
from gateway.wires.meanings import Meaning, by_name
from gateway.wires.words import Context

DONE = b"data: [DONE]\n\n"
MESSAGE_STOP = b'event: message_stop\ndata: {"type":"message_stop"}\n\n'
NOTHING = StreamBatch(b"", False, has_event=False)

_UNKNOWN = (Meaning(FailureKind.STREAM_BROKEN, retryable=True, counts_against_breaker=True), None)


def in_band_error(error: Any, raw: bytes) -> UpstreamError:
    """What an error inside a stream means, by its code first, then its type; an unknown one is a broken stream."""
    fields = error if isinstance(error, dict) else {"message": str(error)}
    code, kind_of = fields.get("code"), fields.get("type")
    message = str(fields.get("message") or "The provider reported an error in the stream.")
    told = (by_name(name, message) for name in (code, kind_of) if isinstance(name, str))
    meaning, status = next(filter(None, told), _UNKNOWN)
    return UpstreamError(
        meaning.kind,
        message,
        status=status,
        code=code if isinstance(code, str) else None,
        type=kind_of if isinstance(kind_of, str) else None,
        retryable=meaning.retryable,
        counts_against_breaker=meaning.counts_against_breaker,
        may_be_billed=True,
        body=raw[:65536],
    )


def broken(message: str) -> UpstreamError:
    return UpstreamError(
        FailureKind.STREAM_BROKEN, message, retryable=True, counts_against_breaker=True, may_be_billed=True
    )


class StreamBase:
    """The shared half of a StreamTranslator; subclasses say what one parsed event becomes (`_on_event`)."""

    terminator = DONE

    __slots__ = (
        "_context", "_error", "_last_seam", "_splitter", "_texts", "complete", "finish_reason",
        "model", "skipped_events", "upstream_id", "usage", "usage_is_final",
    )  # fmt: skip

    def __init__(self, context: Context) -> None:
        self._context = context
        self._splitter = sse.EventSplitter()
        self._texts: list[str] = []
        self._error: UpstreamError | None = None
        self._last_seam: tuple[Seam | None] | None = None
        self.usage: Usage | None = None
        self.usage_is_final = False
        self.finish_reason: FinishReason | None = None
        self.model = context.model
        self.upstream_id: str | None = None
        self.skipped_events = 0
        self.complete = False

    @property
    def text(self) -> str:
        return "".join(self._texts)

    @property
    def seam(self) -> Seam | None:
        return self._last_seam[0] if self._last_seam is not None else self._seam()

    def _seam(self) -> Seam | None:
        """Where the answer given out so far could be continued, if it can."""
        return None

    def feed(self, data: bytes) -> StreamBatch:
        if self._error is not None:
            raise self._error
        head = self._splitter.feed(data)
        return self._translate(head) if head else NOTHING

    def close(self) -> StreamBatch:
        if self._error is not None:
            raise self._error
        rest = self._splitter.rest()
        self._last_seam = (self._seam(),)  # what `rest` brings is not given out if the answer isn't whole
        batch = self._translate(rest) if rest else NOTHING
        if self._error is not None:
            raise self._error
        if not self._whole():
            raise broken("The provider's stream ended before the answer was complete.")
        out: list[bytes] = []
        self._finish(out)
        return StreamBatch(batch.data + b"".join(out), batch.has_content)

    def _whole(self) -> bool:
        """Every answer has a finish reason: without one something is missing, whatever terminator comes."""
        return self.finish_reason is not None

    def _translate(self, head: bytes) -> StreamBatch:
        out: list[bytes] = []
        content = has_event = False
        for event in sse.split(head):
            data = sse.event_data(event) if event else None
            if not data:
                continue
            has_event = True
            if data == b"[DONE]":
                self.complete = True
                self._finish(out)
                continue
            try:
                parsed = orjson.loads(data)
                content = self._on_event(parsed, out) or content
            except (orjson.JSONDecodeError, AttributeError, TypeError, KeyError, IndexError):
                self.skipped_events += 1
            except UpstreamError as error:
                self._error = error
                if not out:
                    raise
                break
        return StreamBatch(b"".join(out), content, has_event)

    def _on_event(self, event: Any, out: list[bytes]) -> bool:
        """Append what the event becomes; true if it holds content."""
        raise NotImplementedError

    def _finish(self, out: list[bytes]) -> None:
        """Append whatever closes the answer, once."""
