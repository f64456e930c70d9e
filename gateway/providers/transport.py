"""The pooled connections to one provider: aiohttp under the SDK's HTTP client.

The transport that comes with the SDKs maps every broken connection to a connect time-out, which hides whether anything
was sent; the engine must know (a request that was sent may be billed). This one keeps the two apart.
"""

from __future__ import annotations

import ssl
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from functools import cache
from io import BytesIO
from types import SimpleNamespace
from urllib.request import getproxies, proxy_bypass

import aiohttp
import httpx2

from gateway.engine.exchange import Passage

READ_BYTES = 64 * 1024
# A larger body is written piece by piece, so that other requests get their turn meanwhile.
LARGE_BODY_BYTES = 1024 * 1024
KEEPALIVE_SECONDS = 30.0
PASSAGE = "llmops.passage"  # the request's extension that is told when its first byte is about to leave


@contextmanager
def _as_httpx2(request: httpx2.Request) -> Iterator[None]:
    """aiohttp's exceptions as those the SDKs know."""
    try:
        yield
    except aiohttp.ConnectionTimeoutError as error:
        raise httpx2.ConnectTimeout(str(error), request=request) from error
    except aiohttp.ClientConnectorError as error:
        raise httpx2.ConnectError(str(error), request=request) from error
    except TimeoutError as error:
        raise httpx2.ReadTimeout(str(error), request=request) from error
    except aiohttp.InvalidURL as error:
        raise httpx2.UnsupportedProtocol(str(error), request=request) from error
    except (aiohttp.ClientError, OSError) as error:
        raise httpx2.ReadError(str(error) or type(error).__name__, request=request) from error


class _Body(httpx2.AsyncByteStream):
    def __init__(self, response: aiohttp.ClientResponse, request: httpx2.Request) -> None:
        self._response = response
        self._request = request

    async def __aiter__(self) -> AsyncIterator[bytes]:
        with _as_httpx2(self._request):
            async for chunk in self._response.content.iter_any():
                yield chunk

    async def aclose(self) -> None:
        # Releases a connection whose body was read to its end, and closes any other.
        self._response.release()


class AiohttpTransport(httpx2.AsyncBaseTransport):
    """HTTP/1.1 over aiohttp's pool: at most `max_connections`, opened on demand, kept alive for half a minute."""

    def __init__(self, *, max_connections: int, connect_timeout_seconds: float) -> None:
        self._max_connections = max_connections
        self._timeout = aiohttp.ClientTimeout(total=None, sock_connect=connect_timeout_seconds)
        self._session: aiohttp.ClientSession | None = None
        self._proxies: dict[tuple[str, str], str | None] = {}

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        session = self._session if self._session is not None else self._open()
        passage: Passage | None = request.extensions.get(PASSAGE)
        if passage is not None:
            passage.on_wire = False
        with _as_httpx2(request):
            response = await session.request(
                request.method,
                str(request.url),
                headers=request.headers.multi_items(),
                data=_data(request.content),
                allow_redirects=False,
                proxy=self._proxy(request.url),
                trace_request_ctx=passage,
            )
        return httpx2.Response(
            response.status,
            headers=list(response.raw_headers),
            stream=_Body(response, request),
            request=request,
            extensions={"at_end": response.content.at_eof},
        )

    def _open(self) -> aiohttp.ClientSession:
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

    def _proxy(self, url: httpx2.URL) -> str | None:
        """The proxy the environment names for this host; looked up once, since a provider has one host."""
        origin = (url.scheme, url.host)
        if origin not in self._proxies:
            self._proxies[origin] = environment_proxy(*origin)
        return self._proxies[origin]

    async def aclose(self) -> None:
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
