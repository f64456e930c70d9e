"""uvicorn's HTTP protocol with bounds on a request's head, and refusals that say what is wrong in JSON.

uvicorn leaves both to a proxy in front: the parser keeps whatever headers come, and waits for them as long as it takes.
"""

from __future__ import annotations

import asyncio
import json
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

# Far above what clients send (a few hundred bytes; a browser's cookies a few thousand).
HEAD_LIMIT_BYTES = 64 * 1024
# From the connection, or from the head's first byte, to its last.
HEAD_TIMEOUT_SECONDS = 30.0
# How long what a refused client goes on sending is read and forgotten: a connection that is closed on unread bytes is
# reset, and takes the refusal with it.
LINGER_SECONDS = 2.0

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


class BoundedProtocol(HttpToolsProtocol):
    """Refuses a head that is too large (431) or too slow (408); a malformed one gets its 400 in the API's shape."""

    head_timeout_seconds = HEAD_TIMEOUT_SECONDS

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head = True  # from the connection on: its first request is awaited
        self._head_bytes = 0
        self._head_began = False
        self._refusal = _MALFORMED
        self._head_timer: asyncio.TimerHandle | None = None
        self._refused = False

    def connection_made(self, transport: Any) -> None:
        super().connection_made(transport)
        self._time_head()

    def connection_lost(self, exc: Exception | None) -> None:
        self._head_is_done()
        super().connection_lost(exc)

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
        super().on_headers_complete()

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
