"""The pooled connections to one provider: aiohttp under the SDK's HTTP client.

The transport that comes with the SDKs maps every broken connection to a connect time-out, which hides whether anything
was sent; the engine must know (a request that was sent may be billed). This one keeps the two apart.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Mapping
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from typing import Any, NoReturn
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2
from yarl import URL

from gateway.engine.exchange import Passage

READ_BYTES = 64 * 1024
# A larger body is written piece by piece, so that other requests get their turn meanwhile.
LARGE_BODY_BYTES = 1024 * 1024
KEEPALIVE_SECONDS = 30.0

# What aiohttp raises for a request that got no answer, or not the whole of one.
_FAILURES = (aiohttp.ClientError, TimeoutError, OSError)


def _raise_as_httpx2(error: BaseException) -> NoReturn:
    """aiohttp's exceptions as those the SDKs know."""
    words = str(error)
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        raise httpx2.ConnectTimeout(words) from error
    if isinstance(error, aiohttp.ClientConnectorError):
        raise httpx2.ConnectError(words) from error
    if isinstance(error, TimeoutError):
        raise httpx2.ReadTimeout(words) from error
    if isinstance(error, aiohttp.InvalidURL):
        raise httpx2.UnsupportedProtocol(words) from error
    raise httpx2.ReadError(words or type(error).__name__) from error


class Reply:
    """A provider's reply, whose body is still to be read. Its methods raise httpx2.HTTPError."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.status = response.status
        self.headers: Mapping[str, str] = response.headers
        self._response = response
        self._decoded = _decoded(response) if _is_encoded(response) else None

    @property
    def raw_headers(self) -> tuple[tuple[bytes, bytes], ...]:
        return self._response.raw_headers

    @property
    def at_end(self) -> bool:
        """Whether the whole body has come."""
        return self._response.content.at_eof()

    async def read(self) -> bytes:
        """What has come since; b"" at the body's end."""
        if self._decoded is not None:
            return await anext(self._decoded, b"")
        try:
            return await self._response.content.readany()
        except _FAILURES as error:
            _raise_as_httpx2(error)

    def release(self) -> None:
        """Frees a connection whose body was read to its end, and closes any other."""
        self._response.release()


def _is_encoded(response: aiohttp.ClientResponse) -> bool:
    return response.headers.get("content-encoding", "identity").lower() != "identity"


def _decoded(response: aiohttp.ClientResponse) -> AsyncIterator[bytes]:
    """The body of a provider that compresses although we asked it not to."""
    whole = httpx2.Response(response.status, headers=list(response.raw_headers), stream=_Body(response))
    return whole.aiter_bytes()


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for chunk in self._response.content.iter_any():
                yield chunk
        except _FAILURES as error:
            _raise_as_httpx2(error)

    async def aclose(self) -> None:
        self._response.release()


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """HTTP/1.1 over aiohttp's pool: at most `max_connections`, opened on demand, kept alive for half a minute.

    The SDK's client works over it; completions take the short way in, `send`, past the client's own machinery
    (docs/decisions/0024-past-the-sdks-client.md).
    """

    def __init__(self, *, max_connections: int, connect_timeout_seconds: float) -> None:
        self._max_connections = max_connections
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._closed = False
        self._proxies: dict[tuple[str, str], str | None] = {}

    async def send(
        self, method: str, url: URL, headers: Mapping[str, str], body: bytes, passage: Passage | None = None
    ) -> Reply:
        """The reply as soon as its headers are there. Raises httpx2.HTTPError.

        `passage` is told when the request's first byte is about to leave.
        """
        if passage is not None:
            passage.on_wire = False
        return Reply(await self._request(method, url, headers, body, passage))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        response = await self._request(
            request.method, URL(str(request.url)), request.headers.multi_items(), request.content
        )
        return httpx2.Response(
            response.status, headers=list(response.raw_headers), stream=_Body(response), request=request
        )

    async def _request(
        self, method: str, url: URL, headers: Any, body: bytes, passage: Passage | None = None
    ) -> aiohttp.ClientResponse:
        session = self._session if self._session is not None else self._open()
        try:
            return await session.request(
                method,
                url,
                headers=headers,
                data=_data(body),
                allow_redirects=False,
                proxy=self._proxy(url),
                trace_request_ctx=passage,
            )
        except _FAILURES as error:
            _raise_as_httpx2(error)

    def _open(self) -> aiohttp.ClientSession:
        if self._closed:
            raise RuntimeError("This provider's connections have been closed.")
        connector = aiohttp.TCPConnector(
            limit=self._max_connections,
            keepalive_timeout=KEEPALIVE_SECONDS,
            ssl=_tls_context(),
        )
        self._session = aiohttp.ClientSession(
            connector=connector,
            timeout=self._timeout,
            cookie_jar=aiohttp.DummyCookieJar(),
            auto_decompress=False,
            read_bufsize=READ_BYTES,
            skip_auto_headers=("User-Agent",),
            trace_configs=[_traces()],
        )
        return self._session

    def _proxy(self, url: URL) -> str | None:
        """The proxy the environment names for this host; looked up once, since a provider has one host."""
        origin = (url.scheme, url.host or "")
        if origin not in self._proxies:
            self._proxies[origin] = environment_proxy(*origin)
        return self._proxies[origin]

    async def aclose(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()
            self._session = None


def _traces() -> aiohttp.TraceConfig:
    traces = aiohttp.TraceConfig()
    traces.on_request_headers_sent.append(_on_wire)
    return traces


async def _on_wire(
    session: aiohttp.ClientSession, context: SimpleNamespace, sent: aiohttp.TraceRequestHeadersSentParams
) -> None:
    """The headers go into the connection's buffer: from here on the provider may have seen the request."""
    passage: Passage | None = context.trace_request_ctx
    if passage is not None:
        passage.on_wire = True


def _data(content: bytes) -> bytes | BytesIO | None:
    return BytesIO(content) if len(content) > LARGE_BODY_BYTES else content or None


def environment_proxy(scheme: str, host: str) -> str | None:
    """What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (in either case) say of this host."""
    proxies = getproxies()
    if proxy_bypass(host):
        return None
    return proxies.get(scheme) or proxies.get("all")


@cache
def _tls_context() -> ssl.SSLContext:
    """The SDKs' own choice of certificate authorities; SSL_CERT_FILE and SSL_CERT_DIR are honoured.

    Reading them takes tens of milliseconds, so once per process.
    """
    return httpx2.create_ssl_context()
