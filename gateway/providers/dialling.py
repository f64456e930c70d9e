"""Opening a connection to a provider: its address, a proxy in between, TLS.

Proxies are the environment's. To a provider at http:// they are sent the whole URL (RFC 9112, 3.2.2), to one at https://
they open a tunnel (RFC 9110, 9.3.6). A proxy itself is spoken to by plain HTTP.
"""

from __future__ import annotations

import asyncio
import base64
import socket
import ssl
from collections.abc import Callable
from functools import cache
from typing import Any
from urllib.request import getproxies, proxy_bypass

import aiohappyeyeballs
import httpx2

from gateway.providers.http1 import Connection

# How long a name's addresses are believed: a burst of connections asks once.
ADDRESSES_SECONDS = 10.0
# RFC 8305, section 5, "Connection Attempt Delay".
NEXT_ADDRESS_SECONDS = 0.25
# How long a connection that nobody waits for any more goes on opening.
UNWANTED_SECONDS = 0.05
TUNNEL_REPLY_LIMIT_BYTES = 16 * 1024

_Addresses = list[tuple[Any, Any, int, str, Any]]


class Dialler:
    """Opens connections to one origin, as the environment says when it is made."""

    def __init__(self, scheme: str, host: str, port: int) -> None:
        """Raises httpx2.UnsupportedProtocol for a scheme that isn't spoken here, the provider's or its proxy's."""
        if scheme not in ("http", "https"):
            raise httpx2.UnsupportedProtocol(f"{scheme}:// is spoken by no provider: use https:// or http://")
        self._host, self._port = host, port
        self._tls = tls_context() if scheme == "https" else None
        proxy = environment_proxy(scheme, host)
        self._has_proxy = proxy is not None
        self._credentials = _basic(proxy) if proxy is not None else ""
        nearest = (host, port) if proxy is None else (proxy.raw_host.decode("ascii"), proxy.port or 80)
        self._lookup = _Lookup(*nearest)
        self.server = f"{nearest[0]}:{nearest[1]}"  # who is dialled, for messages

    @property
    def asks_a_proxy(self) -> bool:
        """Whether requests name their whole URL, because a proxy passes them on."""
        return self._has_proxy and self._tls is None

    @property
    def proxy_headers(self) -> dict[str, str]:
        """What such requests say to the proxy."""
        return {"proxy-authorization": self._credentials} if self.asks_a_proxy and self._credentials else {}

    async def dial(self, new: Callable[[], Connection]) -> Connection:
        """Raises OSError, and httpx2.ProxyError where a proxy opens no tunnel."""
        loop = asyncio.get_running_loop()
        try:
            sock = await aiohappyeyeballs.start_connection(
                await self._lookup.found(), happy_eyeballs_delay=NEXT_ADDRESS_SECONDS, loop=loop
            )
        except OSError:
            self._lookup.forget()
            raise
        try:
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
            if self._has_proxy and self._tls is not None:
                await self._open_tunnel(sock)
        except BaseException:
            sock.close()
            raise
        return await self._opened(sock, new)

    async def _opened(self, sock: socket.socket, new: Callable[[], Connection]) -> Connection:
        """Both event loops mishandle a TLS handshake that is cancelled as it begins: asyncio goes on with it on a file
        descriptor that is somebody else's by then, uvloop logs an error. So it begins in any case."""
        loop, name = asyncio.get_running_loop(), None if self._tls is None else self._host
        opening = loop.create_task(loop.create_connection(new, sock=sock, ssl=self._tls, server_hostname=name))
        try:
            _, connection = await asyncio.shield(opening)
        except asyncio.CancelledError:
            opening.add_done_callback(_close_unwanted)
            loop.call_later(UNWANTED_SECONDS, opening.cancel)
            raise
        except BaseException:
            sock.close()
            raise
        return connection

    async def _open_tunnel(self, sock: socket.socket) -> None:
        host = f"[{self._host}]" if ":" in self._host else self._host
        lines = [f"CONNECT {host}:{self._port} HTTP/1.1", f"host: {host}:{self._port}"]
        if self._credentials:
            lines.append(f"proxy-authorization: {self._credentials}")
        loop, reply = asyncio.get_running_loop(), b""
        await loop.sock_sendall(sock, "\r\n".join([*lines, "", ""]).encode())
        while b"\r\n\r\n" not in reply:  # a refusal has a body behind it
            piece = await loop.sock_recv(sock, TUNNEL_REPLY_LIMIT_BYTES)
            reply += piece
            if not piece or len(reply) > TUNNEL_REPLY_LIMIT_BYTES:
                raise httpx2.ProxyError(f"the proxy at {self.server} broke off: {_status_line(reply)}")
        if reply[9:10] != b"2":
            raise httpx2.ProxyError(f"the proxy at {self.server} opens no tunnel: {_status_line(reply)}")

    def stop(self) -> None:
        self._lookup.stop()


class _Lookup:
    """A host's addresses, asked for once by all who need them at a time."""

    def __init__(self, host: str, port: int) -> None:
        self._host, self._port = host, port
        self._asked: asyncio.Task[_Addresses] | None = None
        self._asked_at = 0.0

    async def found(self) -> _Addresses:
        """Raises OSError."""
        loop = asyncio.get_running_loop()
        if self._asked is None or (self._asked.done() and loop.time() - self._asked_at > ADDRESSES_SECONDS):
            self._asked_at = loop.time()
            self._asked = loop.create_task(self._ask(loop))
            self._asked.add_done_callback(_all_may_have_left)
        asked, task = self._asked, asyncio.current_task()
        try:
            # Shielded: one who leaves must not take the answer from the others.
            return await asyncio.shield(asked)
        except asyncio.CancelledError:
            if asked.cancelled() and task is not None and not task.cancelling():
                raise OSError("no longer looked up") from None  # it was stopped; whoever waits was not cancelled
            raise

    def forget(self) -> None:
        """What was found leads nowhere. Who asks at this moment is answered all the same."""
        if self._asked is not None and self._asked.done():
            self._asked = None

    def stop(self) -> None:
        if self._asked is not None:
            self._asked.cancel()

    async def _ask(self, loop: asyncio.AbstractEventLoop) -> _Addresses:
        try:
            return await loop.getaddrinfo(self._host, self._port, type=socket.SOCK_STREAM)
        except UnicodeError:
            raise OSError("not the name of a host") from None


def _close_unwanted(opening: asyncio.Task[tuple[asyncio.Transport, Connection]]) -> None:
    if not opening.cancelled() and opening.exception() is None:
        opening.result()[0].abort()


def _all_may_have_left(asked: asyncio.Task[_Addresses]) -> None:
    if not asked.cancelled():
        asked.exception()  # else asyncio logs it as one that nobody heard of


def environment_proxy(scheme: str, host: str) -> httpx2.URL | None:
    """What `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and `NO_PROXY` (in either case) say of this host.

    Raises httpx2.UnsupportedProtocol for a proxy that isn't spoken to by plain HTTP, or isn't a URL.
    """
    proxies = getproxies()
    named = proxies.get(scheme) or proxies.get("all")
    if not named or proxy_bypass(host):
        return None
    try:
        proxy = httpx2.URL(named if "://" in named else f"http://{named}")
    except httpx2.InvalidURL:  # which may quote a piece of the password
        proxy = None
    if proxy is None or not proxy.host:
        raise httpx2.UnsupportedProtocol(
            f"the environment's proxy for {scheme}:// is not a URL like http://name:password@host:port"
            " (#, / and ? in a password are written %23, %2F and %3F)"
        )
    if proxy.scheme != "http":
        raise httpx2.UnsupportedProtocol(f"a proxy at {proxy.scheme}:// can't be used: name one at http://")
    return proxy


def _basic(proxy: httpx2.URL) -> str:
    """RFC 7617; "" where the URL holds no name and password."""
    if not proxy.username and not proxy.password:
        return ""
    return "Basic " + base64.b64encode(f"{proxy.username}:{proxy.password}".encode()).decode("ascii")


def _status_line(reply: bytes) -> str:
    return reply.split(b"\r\n", 1)[0][:100].decode("ascii", "replace") or "no reply"


@cache
def tls_context() -> ssl.SSLContext:
    """The SDKs' own choice of certificate authorities; SSL_CERT_FILE and SSL_CERT_DIR are honoured.

    Reading them takes tens of milliseconds, so once per process.
    """
    return httpx2.create_ssl_context()
