"""One connection to a provider: HTTP/1.1 from the client's side (RFC 9112), over httptools' parser.

A connection carries one exchange at a time: `ask` writes a request and gives the reply once its headers are there. It
can be used again when the request was written whole, the reply came to its end, and neither side wants to close it.
Failures are httpx2's exceptions, as the SDKs raise them.
"""

from __future__ import annotations

import asyncio
import select
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self, cast

import httptools
import httpx2

# A reply's head, its trailers, whatever comes between two pieces of its body: more of it is nonsense.
OVERHEAD_LIMIT_BYTES = 64 * 1024
# What is kept of a body that nobody reads; then its provider has to wait.
UNREAD_LIMIT_BYTES = 64 * 1024
# A larger request is written piece by piece, so that other requests get their turn meanwhile.
PIECE_BYTES = 256 * 1024

RawHeaders = tuple[tuple[bytes, bytes], ...]
_PORTS = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Endpoint:
    """A URL as requests need it: scheme, host and port, what the request line names, what the Host header says."""

    origin: tuple[str, str, int]
    target: str
    authority: str

    @classmethod
    def of(cls, text: str) -> Self:
        """Raises httpx2.InvalidURL."""
        url = httpx2.URL(text)
        host, port = url.raw_host.decode("ascii"), url.port or _PORTS.get(url.scheme, 0)
        target, authority = url.raw_path.decode("ascii"), url.netloc.decode("ascii")
        return cls((url.scheme, host, port), target, authority)


def request_head(method: str, target: str, authority: str, headers: Mapping[str, str], body_bytes: int) -> bytes:
    """The request's first lines, up to its body. Raises httpx2.LocalProtocolError for a header of several lines."""
    length = () if method == "GET" and not body_bytes else (f"content-length: {body_bytes}",)
    lines = (
        f"{method} {target} HTTP/1.1",
        f"host: {authority}",
        *[f"{name}: {value}" for name, value in headers.items()],
        *length,
    )
    head = "\r\n".join(lines) + "\r\n\r\n"
    if head.count("\n") != len(lines) + 1 or head.count("\r") != len(lines) + 1 or "\0" in head:
        named = [name for name, value in headers.items() if {"\r", "\n", "\0"} & {*name, *value}]
        raise httpx2.LocalProtocolError(f"the header {', '.join(named)} holds a line break or a NUL")
    return head.encode()


class Exchange:
    """A reply on its way: its head, and as much of its body as has come and was not read."""

    __slots__ = (
        "_connection",
        "_failure",
        "_headers",
        "_pieces",
        "_released",
        "_unread_bytes",
        "at_end",
        "raw_headers",
        "status",
        "waiter",
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._pieces: list[bytes] = []
        self._unread_bytes = 0
        self._failure = ""
        self._released = False
        self._headers: Mapping[str, str] | None = None
        self.waiter: asyncio.Future[None] | None = None  # of whoever waits for the head, later for more of the body
        self.status = 0  # 0 until the head is there
        self.raw_headers: RawHeaders = ()
        self.at_end = False  # the whole body has come

    @property
    def headers(self) -> Mapping[str, str]:
        """By lower-case name; of several with one name the first."""
        if self._headers is None:
            pairs = reversed(self.raw_headers)
            self._headers = {name.decode("latin-1").lower(): value.decode("latin-1") for name, value in pairs}
        return self._headers

    @property
    def is_over(self) -> bool:
        """Nothing more will come."""
        return self.at_end or bool(self._failure)

    async def head(self) -> None:
        """Until status and headers are there. Raises httpx2.HTTPError."""
        while not self.status:
            self._check()
            await self._more()

    async def read(self) -> bytes:
        """What has come since, in one piece; b"" at the body's end. Raises httpx2.HTTPError."""
        while not self._pieces:
            if self.at_end:
                return b""
            self._check()
            await self._more()
        pieces, self._pieces, self._unread_bytes = self._pieces, [], 0
        self._connection.resume_reading()
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def release(self) -> None:
        """The connection is free for the next exchange, or closed where this one has not come to its end."""
        if not self._released:
            self._released = True
            self._connection.give_back(self._connection)

    def take(self, piece: bytes) -> None:
        self._pieces.append(piece)
        self._unread_bytes += len(piece)
        if self._unread_bytes > UNREAD_LIMIT_BYTES:
            self._connection.pause_reading()
        self.wake()

    def end(self) -> None:
        self.at_end = True
        self.wake()

    def fail(self, words: str) -> None:
        """It breaks off here. What has come can still be read."""
        if not self.is_over:
            self._failure = words
            self.wake()

    def wake(self) -> None:
        if self.waiter is not None and not self.waiter.done():
            self.waiter.set_result(None)

    async def _more(self) -> None:
        self.waiter = self._connection.loop.create_future()
        try:
            await self.waiter
        finally:
            self.waiter = None

    def _check(self) -> None:
        if self._failure:
            raise httpx2.ReadError(self._failure)


class Connection(asyncio.Protocol):
    """`give_back` gets it after each exchange."""

    def __init__(self, give_back: Callable[[Connection], None]) -> None:
        self.give_back = give_back
        self.loop = asyncio.get_running_loop()
        self.closed: asyncio.Future[None] = self.loop.create_future()
        self.idle_since = 0.0  # the loop's time; the pool's
        self._parser = _parser(self)
        self._transport: asyncio.Transport | None = None
        self._poll: select.poll | None = None  # whether something can be read
        self._exchange: Exchange | None = None
        self._writing: asyncio.Task[None] | None = None  # of a large request; the loop itself would let go of it
        self._request_written = True
        self._kept_alive = True
        self._overhead_bytes = 0
        self._raw_headers: list[tuple[bytes, bytes]] = []
        self._is_interim = False
        self._writable: asyncio.Future[None] | None = None
        self._reading = True

    @property
    def is_reusable(self) -> bool:
        if self._transport is None or self._transport.is_closing() or not self._kept_alive:
            return False
        return self._request_written and (self._exchange is None or self._exchange.at_end)

    @property
    def is_ready(self) -> bool:
        """Reusable, and nothing waits in its socket that the busy loop has yet to hand on: it would be an end, or what
        would be taken for the next reply."""
        return self.is_reusable and (self._poll is None or not self._poll.poll(0))

    async def ask(self, head: bytes, body: bytes) -> Exchange:
        """Write a request; its reply, as soon as the head of it is there.

        Raises httpx2.HTTPError; a ConnectError means that nothing was written. After it, and after a cancellation,
        the connection can't be used again.
        """
        exchange = self._exchange = Exchange(self)
        self._overhead_bytes, self._request_written = 0, False
        if self._transport is None or self._transport.is_closing():
            raise httpx2.ConnectError("the connection was closed before the request")
        if len(body) <= PIECE_BYTES:
            self._transport.write(head + body)
            self._request_written = True
        else:
            self._writing = self.loop.create_task(self._write_large(self._transport, head, body, exchange))
        await exchange.head()
        return exchange

    async def _write_large(self, transport: asyncio.Transport, head: bytes, body: bytes, exchange: Exchange) -> None:
        """As fast as the provider takes it, until the connection is closed.

        A provider that refuses, or is through, before the end doesn't want the rest; one that begins a success does.
        """
        transport.write(head)
        for start in range(0, len(body), PIECE_BYTES):
            if exchange.status >= 300 or exchange.is_over or transport.is_closing():
                return
            transport.write(body[start : start + PIECE_BYTES])
            if self._writable is not None:
                await self._writable
            else:
                await asyncio.sleep(0)
        self._request_written = True

    def close(self) -> None:
        """Of one that is idle: as TLS wants it. Of one in use: at once."""
        if self._transport is None:
            return
        if self.is_reusable:
            self._transport.close()
        else:
            self._transport.abort()

    def pause_reading(self) -> None:
        if self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = False
            self._transport.pause_reading()

    def resume_reading(self) -> None:
        if not self._reading and self._transport is not None and not self._transport.is_closing():
            self._reading = True
            self._transport.resume_reading()

    # --- from the event loop

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        sock = transport.get_extra_info("socket")
        if sock is not None:
            self._poll = select.poll()
            self._poll.register(sock.fileno(), select.POLLIN)
        if transport.get_extra_info("ssl_object") is not None:
            # What has come and isn't taken stays with the socket: uvloop forgets it when the provider then closes.
            cast("Any", transport).set_read_buffer_limits(high=1, low=0)

    def data_received(self, data: bytes) -> None:
        exchange = self._exchange
        if exchange is None or exchange.is_over:
            self._unasked()
            return
        self._overhead_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._break(f"not an HTTP/1.1 reply: {error or type(error).__name__}")
            return
        if self._overhead_bytes > OVERHEAD_LIMIT_BYTES and not exchange.at_end:
            self._break(f"more than {OVERHEAD_LIMIT_BYTES} bytes of headers or trailers")

    def eof_received(self) -> None:
        """The transport closes itself, under TLS not at once."""
        self._kept_alive = False
        self._end_with_connection(None)

    def connection_lost(self, error: Exception | None) -> None:
        self._end_with_connection(error)
        self._transport = None
        self.resume_writing()
        if not self.closed.done():
            self.closed.set_result(None)

    def pause_writing(self) -> None:
        if self._writable is None:
            self._writable = self.loop.create_future()

    def resume_writing(self) -> None:
        writable, self._writable = self._writable, None
        if writable is not None and not writable.done():
            writable.set_result(None)

    # --- from the parser

    def on_message_begin(self) -> None:
        self._raw_headers = []
        if self._exchange is None or self._exchange.at_end:
            self._kept_alive = False  # a second reply to one request

    def on_header(self, name: bytes, value: bytes) -> None:
        self._raw_headers.append((name, value))

    def on_headers_complete(self) -> None:
        exchange, status = self._exchange, self._parser.get_status_code()
        self._is_interim = 100 <= status < 200
        if self._is_interim or exchange is None or exchange.is_over:
            return
        if status < 100:
            self._break(f"not an HTTP/1.1 reply: a status of {status}")
            return
        self._kept_alive = self._kept_alive and self._parser.should_keep_alive()
        self._overhead_bytes = 0
        exchange.raw_headers = tuple(self._raw_headers)
        exchange.status = status
        exchange.wake()

    def on_body(self, piece: bytes) -> None:
        self._overhead_bytes = 0
        if self._exchange is not None and not self._exchange.at_end:
            self._exchange.take(piece)

    def on_message_complete(self) -> None:
        if self._exchange is not None and not self._is_interim:
            if self._transport is not None and self._transport.get_write_buffer_size():
                self._kept_alive = False  # who answers before it has all of a request may never take the rest
            self._exchange.end()

    # --- ends

    def _end_with_connection(self, error: Exception | None) -> None:
        """A body without a length ends with its connection (RFC 9112, 6.3), any other is cut."""
        exchange = self._exchange
        if exchange is None or exchange.is_over:
            return
        if error is None and exchange.status and not _has_length(exchange.raw_headers):
            exchange.end()
        else:
            exchange.fail(f"the provider closed the connection{f': {error}' if error else ''}")

    def _break(self, words: str) -> None:
        self._kept_alive = False
        if self._exchange is not None:
            self._exchange.fail(words)
        self.close()

    def _unasked(self) -> None:
        """Whatever comes without a request belongs to nobody, and mustn't be taken for the next reply."""
        self._kept_alive = False
        self.close()


def _parser(connection: Connection) -> httptools.HttpResponseParser:
    """As tolerant as RFC 9112 allows a client to be, and as aiohttp is: bare line feeds (2.2), values that go on in the
    next line (5.2), spaces behind a chunk's size. What would leave a body's end in doubt stays an error."""
    parser = httptools.HttpResponseParser(connection)
    parser.set_dangerous_leniencies(
        lenient_headers=True, lenient_optional_cr_before_lf=True, lenient_spaces_after_chunk_size=True
    )
    return parser


def _has_length(headers: RawHeaders) -> bool:
    """Whether the body says of itself where it ends: by its length, or its last coding (RFC 9112, 6.3)."""
    lowered = [(name.lower(), value) for name, value in headers]
    codings = [value for name, value in lowered if name == b"transfer-encoding"]
    if codings:
        return codings[-1].lower().rstrip().endswith(b"chunked")
    return any(name == b"content-length" for name, _ in lowered)
