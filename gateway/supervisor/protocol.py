"""uvicorn's HTTP protocol with bounds on a request's head and on a client that doesn't read, and refusals in JSON.

uvicorn leaves all of it to a proxy in front: the parser keeps whatever headers come, waits for them as long as it
takes, and whoever answers waits for the client without end.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from gateway.supervisor.departures import DepartureTellingProtocol
from gateway.supervisor.plan import SEND_TIMEOUT_SECONDS
from gateway.supervisor.whole_replies import ANSWER, WholeReply

# Far above what clients send (a few hundred bytes; a browser's cookies a few thousand).
HEAD_LIMIT_BYTES = 64 * 1024
# From the connection, or from the head's first byte, to its last.
HEAD_TIMEOUT_SECONDS = 30.0
# How long what a refused client goes on sending is read and forgotten: a connection that is closed on unread bytes is
# reset, and takes the refusal with it.
LINGER_SECONDS = 2.0
# When we drain: how long a connection whose client couldn't be told of the end is kept for one more request.
LAST_WORDS_SECONDS = 0.3

_MALFORMED = (400, "Bad Request", "invalid_request", "This is not a well-formed HTTP request.")
_TOO_LARGE = (
    431,
    "Request Header Fields Too Large",
    "headers_too_large",
    f"The request's line and headers are larger than {HEAD_LIMIT_BYTES} bytes.",
)
_TOO_SLOW = (
    408,
    "Request Timeout",
    "request_timeout",
    f"The request's headers did not arrive within {HEAD_TIMEOUT_SECONDS:g} s.",
)


class HeadTooLarge(Exception):
    """Leaves a callback of the parser, which then ends the connection."""


class BoundedProtocol(DepartureTellingProtocol):
    """Refuses a head that is too large (431) or too slow (408); a malformed one gets its 400 in the API's shape.

    What a client is sent and doesn't take is kept up to the transport's high-water mark (64 KiB); whoever answers then
    waits until most of it is taken. A client that needs longer for that than `send_timeout_seconds` loses its
    connection, which the application sees as its leaving.
    """

    head_timeout_seconds = HEAD_TIMEOUT_SECONDS
    send_timeout_seconds: float = SEND_TIMEOUT_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True  # from the connection on: its first request is awaited
        self._head_bytes = 0
        self._head_began = False
        self._refusal = _MALFORMED
        self._head_timer: asyncio.TimerHandle | None = None
        self._refused = False
        self._send_timer: asyncio.TimerHandle | None = None
        self._ends_untold = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_done()
        self._client_reads()
        super().connection_lost(exc)

    def pause_writing(self) -> None:
        super().pause_writing()
        if self._send_timer is None:
            self._send_timer = self.loop.call_later(self.send_timeout_seconds, self._client_is_stuck)

    def resume_writing(self) -> None:
        self._client_reads()
        super().resume_writing()

    def shutdown(self) -> None:
        """Close once what is under way is answered.

        The head of a stream that has begun said nothing of it, so its client may use the connection again: what it
        asks soon after is answered, with `Connection: close`.
        """
        cycle = self.cycle
        if cycle is not None and cycle.keep_alive and cycle.response_started and not cycle.response_complete:
            self._ends_untold = True
        else:
            super().shutdown()

    def on_response_complete(self) -> None:
        super().on_response_complete()
        if self._ends_untold and not self.pipeline:
            self._ends_untold = False
            self.loop.call_later(LAST_WORDS_SECONDS, self.shutdown)

    def _client_reads(self) -> None:
        if self._send_timer is not None:
            self._send_timer.cancel()
            self._send_timer = None

    def _client_is_stuck(self) -> None:
        """Nothing that is still to be sent would ever leave, so the connection isn't closed but dropped."""
        self._send_timer = None
        self.transport.abort()

    def data_received(self, data: bytes) -> None:
        if self._refused:
            return
        super().data_received(data)
        if not self._in_head or self._refused or self.transport.is_closing():
            return
        # What came before the head in the piece it began in is not counted, and so is neither its own beginning.
        self._head_bytes += 1 if self._head_began else len(data)
        self._head_began = False
        if self._head_bytes > HEAD_LIMIT_BYTES:
            self._refuse(_TOO_LARGE)
        else:
            self._time_head()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head, self._head_bytes, self._head_began = True, 0, True

    def on_headers_complete(self) -> None:
        self._head_is_done()
        size = len(self.url) + sum(len(name) + len(value) for name, value in self.headers)
        if size > HEAD_LIMIT_BYTES:
            self._refusal = _TOO_LARGE
            raise HeadTooLarge
        before = self.cycle
        super().on_headers_complete()
        if self.cycle is not before and self.scope["method"] != "HEAD":  # which has no body for its head to wait for
            reply = WholeReply(self.transport, self.cycle)
            self.cycle.transport = reply  # type: ignore[assignment]  # all that a cycle uses
            if not self.config.access_log:  # which an answer in one piece has no line in
                self.extensions[ANSWER] = reply.answer

    def send_400_response(self, msg: str) -> None:
        """What uvicorn says of anything the parser refuses."""
        self._refuse(self._refusal)

    def _time_head(self) -> None:
        if self._head_timer is None:
            self._head_timer = self.loop.call_later(self.head_timeout_seconds, self._head_is_late)

    def _head_is_done(self) -> None:
        self._in_head = False
        if self._head_timer is not None:
            self._head_timer.cancel()
            self._head_timer = None

    def _head_is_late(self) -> None:
        self._head_timer = None
        if not self._in_head or self.transport.is_closing():
            return
        if self._head_bytes:
            self._refuse(_TOO_SLOW)
        else:
            self.transport.close()  # nothing was asked

    def _refuse(self, refusal: tuple[int, str, str, str]) -> None:
        """Answer, unless another answer is under way, and close."""
        self._head_is_done()
        self._refused = True
        cycle = self.cycle
        if cycle is None or cycle.response_complete or (cycle.more_body and not cycle.response_started):
            self.transport.write(_reply(*refusal))
            self.transport.write_eof()
            self._leave_body_unread()
            self.loop.call_later(LINGER_SECONDS, self.transport.close)
        else:
            self.transport.close()

    def _leave_body_unread(self) -> None:
        """The request that was refused within its body has no client any more."""
        if self.cycle is not None and not self.cycle.response_complete:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            self.flow.resume_reading()


def _reply(status: int, reason: str, code: str, message: str) -> bytes:
    """Both SDKs find their fields in it: `error.type` and `error.message`."""
    fields = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    body = json.dumps({"type": "error", "error": fields}).encode()
    head = f"HTTP/1.1 {status} {reason}\r\ncontent-type: application/json\r\ncontent-length: {len(body)}\r\n"
    return head.encode() + b"connection: close\r\n\r\n" + body
