"""The way to one provider: our own pooled connections, under its SDK's client and past it.

The transports that come with the SDKs map every broken connection to a connect time-out, which hides whether anything
was sent; the engine must know (a request that was sent may be billed): docs/decisions/0005-own-transport.md.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from typing import Protocol

import httpx2

from gateway.engine.exchange import Passage
from gateway.providers.dialling import Dialler
from gateway.providers.http1 import Endpoint, RawHeaders, request_head
from gateway.providers.pool import Pool

# What we say ourselves, by the request's URL and body (RFC 9112, sections 3.2 and 6).
_OURS = frozenset({"host", "content-length", "transfer-encoding", "connection"})
DECODED_AT_ONCE_BYTES = 16 * 1024


class Reply(Protocol):
    """A provider's reply, whose body is still to be read."""

    @property
    def status(self) -> int: ...

    @property
    def headers(self) -> Mapping[str, str]:
        """To be asked by lower-case names."""

    @property
    def raw_headers(self) -> RawHeaders: ...

    @property
    def at_end(self) -> bool:
        """Whether the whole body has come."""

    async def read(self) -> bytes:
        """What has come since; b"" at the body's end. Raises httpx2.HTTPError."""

    def release(self) -> None:
        """Frees a connection whose body has come to its end, and closes any other. Once is enough."""


class HttpTransport(httpx2.AsyncBaseTransport):
    """HTTP/1.1: at most `max_connections`, opened on demand, kept alive for half a minute.

    The SDK's client works over it; completions take the short way in, `send`, past the client's own machinery
    (docs/decisions/0024-past-the-sdks-client.md).
    """

    def __init__(self, *, max_connections: int, connect_timeout_seconds: float) -> None:
        self._max_connections = max_connections
        self._connect_timeout_seconds = connect_timeout_seconds
        self._ways: dict[tuple[str, str, int], _Way] = {}  # by origin, of which a provider has one
        self._closed = False

    async def send(
        self, method: str, endpoint: Endpoint, headers: Mapping[str, str], body: bytes, passage: Passage | None = None
    ) -> Reply:
        """The reply as soon as its headers are there. Raises httpx2.HTTPError.

        `passage` is told when the request's first byte is about to leave.
        """
        passage = Passage() if passage is None else passage
        passage.on_wire = False
        way = self._ways.get(endpoint.origin) or self._open(endpoint.origin)
        head = way.head(method, endpoint, headers, len(body))
        connection = await way.pool.take()
        try:
            passage.on_wire = True
            reply = await connection.ask(head, body)
        except BaseException as error:
            passage.on_wire = not isinstance(error, httpx2.ConnectError)
            way.pool.give_back(connection)
            raise
        return _DecodedReply(reply) if _is_encoded(reply.raw_headers) else reply

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = {name: value for name, value in request.headers.items() if name not in _OURS}
        reply = await self.send(request.method, Endpoint.of(str(request.url)), headers, await request.aread())
        return _as_httpx2(reply, request)

    def _open(self, origin: tuple[str, str, int]) -> _Way:
        if self._closed:
            raise RuntimeError("This provider's connections have been closed.")
        way = self._ways[origin] = _Way(Dialler(*origin), self._max_connections, self._connect_timeout_seconds)
        return way

    async def aclose(self) -> None:
        self._closed = True
        while self._ways:
            _, way = self._ways.popitem()
            await way.pool.aclose()


class _Way:
    """To one origin: its connections, and how a request on them begins."""

    def __init__(self, dialler: Dialler, max_connections: int, connect_timeout_seconds: float) -> None:
        self.pool = Pool(dialler, max_connections=max_connections, connect_timeout_seconds=connect_timeout_seconds)
        self._whole_url = dialler.asks_a_proxy
        self._proxy_headers = dialler.proxy_headers

    def head(self, method: str, endpoint: Endpoint, headers: Mapping[str, str], body_bytes: int) -> bytes:
        """Raises httpx2.LocalProtocolError."""
        if not self._whole_url:
            return request_head(method, endpoint.target, endpoint.authority, headers, body_bytes)
        url = f"http://{endpoint.authority}{endpoint.target}"
        return request_head(method, url, endpoint.authority, {**headers, **self._proxy_headers}, body_bytes)


class _DecodedReply:
    """The reply of a provider that compresses although we asked it not to."""

    def __init__(self, reply: Reply) -> None:
        self.status, self.headers, self.raw_headers = reply.status, reply.headers, reply.raw_headers
        self._reply = reply
        self._decoded = _as_httpx2(reply).aiter_bytes()

    @property
    def at_end(self) -> bool:
        return self._reply.at_end

    async def read(self) -> bytes:
        return await anext(self._decoded, b"")

    def release(self) -> None:
        self._reply.release()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, reply: Reply) -> None:
        self._reply = reply

    async def __aiter__(self) -> AsyncIterator[bytes]:
        while piece := await self._reply.read():
            # One that is compressed may become a thousand times as large, before anybody counts.
            for start in range(0, len(piece), DECODED_AT_ONCE_BYTES):
                yield piece[start : start + DECODED_AT_ONCE_BYTES]

    async def aclose(self) -> None:
        self._reply.release()


def _as_httpx2(reply: Reply, request: httpx2.Request | None = None) -> httpx2.Response:
    return httpx2.Response(reply.status, headers=list(reply.raw_headers), stream=_Body(reply), request=request)


def _is_encoded(headers: RawHeaders) -> bool:
    for name, value in headers:
        if len(name) == len(b"content-encoding") and name.lower() == b"content-encoding":
            return value.lower() != b"identity"
    return False
