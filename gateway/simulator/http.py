"""HTTP/1.1 on plain asyncio: one `Connection` per socket, one exchange at a time on it.

The handler is called when a request is complete. It may answer at once (the fast path: no task is made) or
return a coroutine, which then runs as a task and is cancelled the moment the client leaves.
"""

import asyncio
import logging
import socket
import struct
from collections import deque
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, cast

import httptools

logger = logging.getLogger(__name__)

MAX_BODY_BYTES = 64 * 1024 * 1024
MAX_HEADER_BYTES = 64 * 1024
MAX_PIPELINED = 16
IDLE_SECONDS = 300.0  # a connection on which nothing arrived for so long, and nothing is being answered, is closed

_REASONS = {status.value: status.phrase.encode() for status in HTTPStatus}
_JSON = b"content-type: application/json\r\n"


@dataclass(frozen=True, slots=True)
class Request:
    """One request, whole. Header names are lower case; ``path`` has no query; ``too_large`` means the body
    was dropped.
    """

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    too_large: bool = False


Handler = Callable[[Request, "Connection"], Coroutine[Any, Any, None] | None]


class Connection(asyncio.Protocol):
    """Parses requests and carries replies. Every exchange ends with exactly one of `respond`, `end`,
    `close`, `reset`.
    """

    def __init__(self, handler: Handler, connections: "set[Connection]", loop: asyncio.AbstractEventLoop) -> None:
        self._handler = handler
        self._connections = connections
        self._loop = loop
        self._parser = httptools.HttpRequestParser(self)
        self._waiting: deque[tuple[Request, bool]] = deque()
        self._busy = False
        self._keep_alive = True
        self._can_write: asyncio.Future[None] | None = None
        self._expects_continue = False
        self.task: asyncio.Task[None] | None = None
        self.last_seen = loop.time()
        self.transport: asyncio.Transport | None = None
        self.on_message_begin()

    # --- from the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)
        self._connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._connections.discard(self)
        self.transport = None
        self._waiting.clear()
        self.resume_writing()
        if self.task is not None:
            # Not at once: a task cancelled before its first step never runs, and would enter nothing in the
            # log.
            self._loop.call_soon(self.task.cancel)

    def data_received(self, data: bytes) -> None:
        self.last_seen = self._loop.time()
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._refuse(400)
        except httptools.HttpParserError:
            self._refuse(400)

    def pause_writing(self) -> None:
        self._can_write = self._loop.create_future()

    def resume_writing(self) -> None:
        waiter, self._can_write = self._can_write, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    # --- from the parser

    def on_message_begin(self) -> None:
        self._url = b""
        self._headers: dict[str, str] = {}
        self._header_bytes = 0
        self._body: list[bytes] = []
        self._body_bytes = 0

    def on_url(self, url: bytes) -> None:
        self._url += url
        self._count_header_bytes(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        self._count_header_bytes(len(name) + len(value))
        self._headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_headers_complete(self) -> None:
        if self._headers.get("expect", "").lower() == "100-continue" and self.transport is not None:
            self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes <= MAX_BODY_BYTES:
            self._body.append(body)
        else:
            self._body.clear()

    def on_message_complete(self) -> None:
        if not self.connected:
            return
        path, _, query = self._url.partition(b"?")
        request = Request(
            self._parser.get_method().decode("latin-1"),
            path.decode("latin-1"),
            query.decode("latin-1"),
            self._headers,
            self._body[0] if len(self._body) == 1 else b"".join(self._body),
            self._body_bytes > MAX_BODY_BYTES,
        )
        keep_alive = self._parser.should_keep_alive()
        if not self._busy:
            self._start(request, keep_alive)
        elif len(self._waiting) < MAX_PIPELINED:
            self._waiting.append((request, keep_alive))
        else:
            self.close()

    # --- for the handler

    @property
    def connected(self) -> bool:
        return self.transport is not None and not self.transport.is_closing()

    def respond(self, status: int, body: bytes, headers: bytes = _JSON) -> None:
        """A whole reply. ``headers`` are ready lines, each ending in CRLF, without a length."""
        self._write(b"%b%bcontent-length: %d\r\n\r\n%b" % (self._status(status), headers, len(body), body))
        self._done()

    def respond_partly(self, body: bytes, missing_bytes: int, headers: bytes) -> None:
        """A 200 that promises ``missing_bytes`` more than it sends, then a closed connection."""
        length = len(body) + missing_bytes
        self._write(b"%b%bcontent-length: %d\r\n\r\n%b" % (self._status(200), headers, length, body))
        self.close()

    def begin(self, headers: bytes) -> None:
        """The head of a 200 sent in chunks."""
        self._write(b"%b%btransfer-encoding: chunked\r\n\r\n" % (self._status(200), headers))

    def chunk(self, data: bytes) -> None:
        self._write(b"%x\r\n%b\r\n" % (len(data), data))

    def end(self) -> None:
        """The proper end of a chunked body."""
        self._write(b"0\r\n\r\n")
        self._done()

    def close(self) -> None:
        """Close after what was written has left; a chunked body stays visibly unfinished."""
        if self.transport is not None:
            self.transport.close()

    def reset(self) -> None:
        """Close with a TCP RST."""
        if self.transport is None:
            return
        raw = self.transport.get_extra_info("socket")
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.transport.abort()

    async def drain(self) -> None:
        """Wait while the client reads more slowly than we write."""
        if self._can_write is not None:
            await self._can_write

    # --- inside

    def _count_header_bytes(self, size: int) -> None:
        self._header_bytes += size
        if self._header_bytes > MAX_HEADER_BYTES:
            self._refuse(431)

    def _start(self, request: Request, keep_alive: bool) -> None:
        self._busy = True
        self._keep_alive = keep_alive
        try:
            rest = self._handler(request, self)
        except Exception:
            logger.exception("simulator: %s %s failed", request.method, request.path)
            self._refuse(500)
            return
        if rest is not None:
            self.task = self._loop.create_task(self._run(rest, request))

    async def _run(self, rest: Coroutine[Any, Any, None], request: Request) -> None:
        try:
            await rest
        except Exception:
            logger.exception("simulator: %s %s failed", request.method, request.path)
            self.close()

    def _status(self, status: int) -> bytes:
        close = b"" if self._keep_alive else b"connection: close\r\n"
        return b"HTTP/1.1 %d %b\r\n%b" % (status, _REASONS.get(status, b"Unknown"), close)

    def _write(self, data: bytes) -> None:
        if self.transport is not None:
            self.transport.write(data)

    def _done(self) -> None:
        self._busy = False
        self.task = None
        if not self._keep_alive:
            self.close()
        elif self._waiting:
            self._loop.call_soon(self._next)

    def _next(self) -> None:
        if self._waiting and not self._busy:
            self._start(*self._waiting.popleft())

    def _refuse(self, status: int) -> None:
        if self.connected:
            self._keep_alive = False
            body = b'{"error":{"message":"%b"}}' % _REASONS[status]
            self._write(b"%b%bcontent-length: %d\r\n\r\n%b" % (self._status(status), _JSON, len(body), body))
            self.close()

    def idle_since(self, moment: float) -> bool:
        """Nothing arrived after ``moment`` and nothing is being answered."""
        return not self._busy and self.last_seen < moment
