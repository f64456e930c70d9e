"""The pool and the way to a server: places, turns, idle connections, time-outs, TLS, proxies; on both event loops."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
import threading
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import httpx2
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.engine.exchange import Passage
from gateway.providers import dialling, pool
from gateway.providers.http1 import Endpoint
from gateway.providers.transport import HttpTransport, Reply
from tests.providers.raw_server import CLOSE, HANG, WAIT_SECONDS, RawServer, reply
from tests.servers import free_port

OK = reply(200, b"hello")
PROXY_VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def no_proxies(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in PROXY_VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.fixture
async def transport_for() -> AsyncIterator[Callable[..., HttpTransport]]:
    made: list[HttpTransport] = []

    def make(max_connections: int = 5, connect_timeout_seconds: float = WAIT_SECONDS) -> HttpTransport:
        made.append(HttpTransport(max_connections=max_connections, connect_timeout_seconds=connect_timeout_seconds))
        return made[-1]

    yield make
    for transport in made:
        await transport.aclose()


TransportFactory = Callable[..., HttpTransport]


async def sent(transport: HttpTransport, url: str, body: bytes = b"{}", passage: Passage | None = None) -> Reply:
    return await transport.send("POST", Endpoint.of(url), {"x-test": "1"}, body, passage)


async def called(transport: HttpTransport, url: str, body: bytes = b"{}") -> bytes:
    reply_ = await sent(transport, url, body)
    try:
        pieces = []
        while piece := await reply_.read():
            pieces.append(piece)
        return b"".join(pieces)
    finally:
        reply_.release()


async def turns(number: int = 50) -> None:
    for _ in range(number):
        await asyncio.sleep(0)


async def test_a_connection_is_used_again_and_the_last_one_first(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    raw.will(OK)
    transport = transport_for()
    await asyncio.gather(*(called(transport, raw.url) for _ in range(5)))
    last = raw.requests[-1].connection
    for _ in range(5):
        await called(transport, raw.url)
    assert raw.connections == 5
    assert len({seen.connection for seen in raw.requests[5:]}) == 1
    assert last < 5


async def test_an_idle_connection_is_closed_after_its_time(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "KEEPALIVE_SECONDS", 0.02)
    raw.will(OK)
    transport = transport_for()
    await called(transport, raw.url)
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)
    await called(transport, raw.url)
    assert raw.connections == 2


async def test_a_connection_that_the_server_closed_while_idle_is_not_asked(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    raw.will(OK, CLOSE)  # it says nothing of closing
    transport = transport_for(max_connections=1)
    for _ in range(5):
        await called(transport, raw.url)
        await turns()
    assert raw.connections == 5


@pytest.mark.parametrize("news", ["an end", "a reply that nobody asked for"])
async def test_a_connection_whose_news_the_loop_has_not_read_yet_is_not_asked(
    transport_for: TransportFactory, news: str
) -> None:
    loop, transport = asyncio.get_running_loop(), transport_for()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        for _ in range(2):
            call = asyncio.ensure_future(called(transport, url))
            with (await loop.run_in_executor(None, listener.accept))[0] as server:
                await loop.run_in_executor(None, server.recv, 65536)
                server.sendall(OK)
                assert await call == b"hello"
                (way,) = transport._ways.values()
                (connection,) = way.pool._idle
                assert connection.is_ready
                if news == "an end":
                    server.shutdown(socket.SHUT_WR)
                else:
                    server.sendall(reply(200, b"wrong"))
                assert not connection.is_ready


async def test_who_finds_no_place_waits_and_who_came_first_is_first(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    held = asyncio.Event()
    raw.will(held, OK)
    transport = transport_for(max_connections=1)
    calls = [asyncio.ensure_future(called(transport, raw.url, b"%d" % i)) for i in range(5)]
    await asyncio.wait_for(raw.received.wait(), WAIT_SECONDS)
    assert len(raw.requests) == 1
    held.set()
    await asyncio.gather(*calls)
    assert [seen.body for seen in raw.requests] == [b"0", b"1", b"2", b"3", b"4"]
    assert raw.connections == 1


async def test_a_connection_that_cannot_be_used_again_leaves_its_place_to_who_waits(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    raw.will(reply(200, b"hello", connection="close"), CLOSE)
    transport = transport_for(max_connections=1)
    assert await asyncio.gather(*(called(transport, raw.url) for _ in range(5))) == [b"hello"] * 5
    assert raw.connections == 5


async def test_a_failed_connection_leaves_its_place_too(transport_for: TransportFactory) -> None:
    transport, url = transport_for(max_connections=1), f"http://127.0.0.1:{free_port()}"
    for _ in range(3):
        passage = Passage()
        with pytest.raises(httpx2.ConnectError, match=r"127\.0\.0\.1:\d+: "):
            await sent(transport, url, passage=passage)
        assert passage.on_wire is False


@pytest.mark.parametrize("host", ["provider.invalid", "provider..invalid", "p" * 64 + ".invalid"])
async def test_a_name_that_nobody_knows_or_can_have_is_an_error_that_names_it(
    transport_for: TransportFactory, host: str
) -> None:
    with pytest.raises(httpx2.ConnectError, match=rf"{host}:80"):
        await sent(transport_for(), f"http://{host}/")


async def test_a_connection_that_closes_before_it_is_asked_was_sent_nothing(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = pool.Pool.take

    async def closed(self: pool.Pool) -> Any:
        connection = await real(self)
        connection.close()
        return connection

    monkeypatch.setattr(pool.Pool, "take", closed)
    passage = Passage()
    with pytest.raises(httpx2.ConnectError, match="closed before the request"):
        await sent(transport_for(), raw.url, passage=passage)
    assert passage.on_wire is False


async def test_whoever_asks_for_an_address_at_the_same_time_asks_once(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.will(OK)
    asked = []
    real = dialling._Lookup._ask

    async def counted(lookup: Any, loop: asyncio.AbstractEventLoop) -> Any:
        asked.append(lookup)
        return await real(lookup, loop)

    monkeypatch.setattr(dialling._Lookup, "_ask", counted)
    transport = transport_for(50)
    await asyncio.gather(*(called(transport, raw.url) for _ in range(50)))
    assert (raw.connections, len(asked)) == (50, 1)


async def test_a_slow_lookup_is_not_begun_again_while_it_is_under_way(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each takes a thread, of which there are few for the whole process."""
    raw.will(OK)
    asked, found = [], asyncio.Event()
    real = dialling._Lookup._ask

    async def slow(lookup: Any, loop: asyncio.AbstractEventLoop) -> Any:
        asked.append(lookup)
        await found.wait()
        return await real(lookup, loop)

    monkeypatch.setattr(dialling._Lookup, "_ask", slow)
    monkeypatch.setattr(dialling, "ADDRESSES_SECONDS", -1.0)
    transport = transport_for()
    calls = [asyncio.ensure_future(called(transport, raw.url)) for _ in range(3)]
    await turns()
    found.set()
    assert await asyncio.gather(*calls) == [b"hello"] * 3
    assert len(asked) == 1


async def test_where_one_address_is_dead_the_next_is_tried(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    raw.will(OK)
    port = int(raw.url.rpartition(":")[2])
    dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", free_port()))
    living = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port))

    async def both(lookup: Any, loop: asyncio.AbstractEventLoop) -> Any:
        return [dead, living]

    monkeypatch.setattr(dialling._Lookup, "_ask", both)
    assert await called(transport_for(), "http://provider.test/") == b"hello"


async def test_any_number_of_cancellations_loses_no_place(raw: RawServer, transport_for: TransportFactory) -> None:
    """Callers leave at any moment: waiting for a turn, connecting, waiting for the reply, reading it."""
    raw.will(OK)
    chance = random.Random(20261123)
    transport = transport_for(max_connections=5)
    for _ in range(30):
        calls = [asyncio.ensure_future(called(transport, raw.url)) for _ in range(20)]
        for call in chance.sample(calls, 15):
            await turns(chance.randrange(6))
            call.cancel()
        await asyncio.wait(calls)
    await turns()
    (way,) = transport._ways.values()
    assert way.pool._places == len(way.pool._open) <= 5
    assert not way.pool._waiting
    assert await asyncio.gather(*(called(transport, raw.url) for _ in range(20))) == [b"hello"] * 20


async def test_closing_ends_whoever_waits_and_whatever_is_under_way(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    raw.will(HANG)
    transport = transport_for(max_connections=1)
    calls = [asyncio.ensure_future(called(transport, raw.url)) for _ in range(3)]
    await asyncio.wait_for(raw.received.wait(), WAIT_SECONDS)
    await transport.aclose()
    results = await asyncio.gather(*calls, return_exceptions=True)
    assert all(isinstance(result, httpx2.HTTPError) for result in results)
    with pytest.raises(RuntimeError, match="have been closed"):
        await called(transport, raw.url)


async def test_closing_ends_whoever_waits_for_an_address_by_an_error(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not by a cancellation, which nobody asked for."""

    async def never(lookup: Any, loop: asyncio.AbstractEventLoop) -> Any:
        await asyncio.Event().wait()

    monkeypatch.setattr(dialling._Lookup, "_ask", never)
    transport = transport_for()
    call = asyncio.ensure_future(called(transport, raw.url))
    await turns()
    await transport.aclose()
    await asyncio.wait([call], timeout=WAIT_SECONDS)
    assert not call.cancelled()
    with pytest.raises(httpx2.ConnectError):
        await call


async def test_a_connection_that_comes_after_the_closing_is_closed_and_not_asked(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    dialled, opened, real = asyncio.Event(), asyncio.Event(), dialling.Dialler.dial

    async def late(dialler: Any, new: Any) -> Any:
        connection = await real(dialler, new)
        dialled.set()
        await opened.wait()
        return connection

    monkeypatch.setattr(dialling.Dialler, "dial", late)
    transport = transport_for()
    call = asyncio.ensure_future(called(transport, raw.url))
    await asyncio.wait_for(dialled.wait(), WAIT_SECONDS)
    await transport.aclose()
    opened.set()
    with pytest.raises(httpx2.ConnectError, match="were closed"):
        await call
    assert raw.requests == []


async def test_who_is_cancelled_while_all_is_being_closed_is_cancelled(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    raw.will(HANG)
    transport = transport_for(max_connections=1)
    calls = [asyncio.ensure_future(called(transport, raw.url)) for _ in range(2)]
    await asyncio.wait_for(raw.received.wait(), WAIT_SECONDS)
    closing = asyncio.ensure_future(transport.aclose())
    await asyncio.sleep(0)
    calls[1].cancel()
    await asyncio.wait([*calls, closing])
    assert calls[1].cancelled()


async def test_twenty_megabytes_go_and_come_whole(raw: RawServer, transport_for: TransportFactory) -> None:
    large = random.Random(1).randbytes(20_000_000)
    raw.will(reply(200, large))
    transport = transport_for()
    assert await called(transport, raw.url, large) == large
    assert raw.requests[0].body == large
    await called(transport, raw.url)
    assert raw.connections == 1


async def test_a_reply_that_nobody_reads_stays_with_its_provider(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    all_taken = asyncio.Event()

    class Told:
        """Set when the server has got rid of everything."""

        async def wait(self) -> None:
            all_taken.set()

    raw.will(reply(200, b"x" * 50_000_000), Told())
    reply_ = await sent(transport_for(), raw.url)
    await turns(2_000)
    assert not all_taken.is_set()
    reply_.release()
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


async def test_a_server_that_never_speaks_tls_is_given_up_in_time_and_was_sent_nothing(
    raw: RawServer, transport_for: TransportFactory
) -> None:
    passage = Passage()
    with pytest.raises(httpx2.ConnectTimeout):
        await sent(transport_for(1, 0.1), raw.url.replace("http:", "https:"), passage=passage)
    assert passage.on_wire is False
    await asyncio.wait_for(raw.client_gone.wait(), WAIT_SECONDS)


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of 127.0.0.1 and `provider.test`, by itself; key and certificate in one file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "provider.test")])
    names = x509.SubjectAlternativeName([x509.DNSName("provider.test"), x509.IPAddress(ip_address("127.0.0.1"))])
    signed = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(names, critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = tmp_path_factory.mktemp("tls") / "server.pem"
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    path.write_bytes(private + signed.public_bytes(serialization.Encoding.PEM))
    return path


@pytest.fixture
async def secure(certificate: Path) -> AsyncIterator[RawServer]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    server = RawServer()
    await server.start(ssl=context)
    server.will(OK)
    yield server
    await server.stop()


@pytest.fixture
def trusted(certificate: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[None]:
    monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
    dialling.tls_context.cache_clear()
    yield
    dialling.tls_context.cache_clear()


@pytest.mark.usefixtures("trusted")
async def test_a_connection_over_tls_is_used_again(secure: RawServer, transport_for: TransportFactory) -> None:
    transport = transport_for()
    large = random.Random(2).randbytes(3_000_000)
    assert await called(transport, secure.url, large) == b"hello"
    assert await called(transport, secure.url) == b"hello"
    assert (secure.connections, secure.requests[0].body) == (1, large)


@pytest.mark.usefixtures("trusted")
async def test_who_leaves_at_any_moment_of_a_handshake_leaves_nothing_behind(
    secure: RawServer, transport_for: TransportFactory
) -> None:
    """Neither an error of the event loop nor a file descriptor that somebody else is given meanwhile."""
    loop, wrong = asyncio.get_running_loop(), []
    loop.set_exception_handler(lambda _, context: wrong.append(context))
    transport = transport_for(max_connections=3)
    for moment in range(40):
        calls = [asyncio.ensure_future(called(transport, secure.url)) for _ in range(3)]
        await turns(moment % 20)
        for call in calls:
            call.cancel()
        results = await asyncio.gather(*calls, return_exceptions=True)
        assert {type(result) for result in results} <= {asyncio.CancelledError, bytes}
    assert await asyncio.gather(*(called(transport, secure.url) for _ in range(6))) == [b"hello"] * 6
    assert wrong == []


@pytest.mark.usefixtures("trusted")
async def test_a_tls_connection_closed_while_idle_is_replaced(
    secure: RawServer, transport_for: TransportFactory
) -> None:
    secure.scripts = [(OK, CLOSE)]
    transport = transport_for()
    for _ in range(3):
        await called(transport, secure.url)
        (way,) = transport._ways.values()
        await asyncio.wait_for(asyncio.wait([one.closed for one in way.pool._open]), WAIT_SECONDS)
    assert secure.connections == 3


async def served_once(certificate: Path, answer: bytes, then: Callable[[], Any] = lambda: None) -> tuple[str, Any]:
    """A server that speaks TLS but never says goodbye: its URL, and a future of its end."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as plain, context.wrap_socket(plain, server_side=True) as secured:
            secured.recv(65536)
            secured.sendall(answer)
            then()

    port = listener.getsockname()[1]
    return f"https://127.0.0.1:{port}", asyncio.get_running_loop().run_in_executor(None, serve)


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("framing", [b"content-length: 300000\r\n", b""])
async def test_what_a_server_sent_before_it_closed_is_not_lost_while_nobody_reads(
    certificate: Path, transport_for: TransportFactory, framing: bytes
) -> None:
    """Without a goodbye of TLS, as many close."""
    answer = b"HTTP/1.1 200 OK\r\n" + framing + b"\r\n" + b"x" * 300_000
    url, ended = await served_once(certificate, answer)
    reply_ = await sent(transport_for(), url)
    await asyncio.wait_for(ended, WAIT_SECONDS)
    await turns()
    size = 0
    while piece := await reply_.read():
        size += len(piece)
        await turns()
    reply_.release()
    assert size == 300_000


@pytest.mark.usefixtures("trusted")
async def test_closing_does_not_wait_long_for_a_server_that_answers_no_goodbye(
    certificate: Path, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pool, "CLOSE_SECONDS", 0.02)
    stuck = threading.Event()
    url, ended = await served_once(certificate, OK, lambda: stuck.wait(WAIT_SECONDS))
    transport = transport_for()
    assert await called(transport, url) == b"hello"
    (way,) = transport._ways.values()
    await transport.aclose()
    await turns()
    left_open = len(way.pool._open)
    stuck.set()
    await asyncio.wait_for(ended, WAIT_SECONDS)
    assert not left_open


async def test_a_certificate_of_nobody_we_know_is_an_error_and_nothing_is_sent(
    secure: RawServer, transport_for: TransportFactory
) -> None:
    passage = Passage()
    with pytest.raises(httpx2.ConnectError, match="CERTIFICATE_VERIFY_FAILED"):
        await sent(transport_for(), secure.url, passage=passage)
    assert (passage.on_wire, secure.requests) == (False, [])


@pytest.mark.usefixtures("trusted")
async def test_a_certificate_of_another_name_is_an_error(secure: RawServer, transport_for: TransportFactory) -> None:
    with pytest.raises(httpx2.ConnectError, match=r"(?i)mismatch|not valid for"):
        await sent(transport_for(), secure.url.replace("127.0.0.1", "localhost"))


class Proxy:
    """Opens tunnels to `to` whatever is asked for, or refuses with `refusal`."""

    def __init__(self, to: str = "", refusal: bytes = b"") -> None:
        self._to, self._refusal = to, refusal
        self.heads: list[bytes] = []
        self._tasks: set[asyncio.Task[Any]] = set()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self._server.sockets[0].getsockname()[1]

    async def stop(self) -> None:
        self._server.close()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._tasks.add(task)
        try:
            self.heads.append(await reader.readuntil(b"\r\n\r\n"))
            writer.write(self._refusal or b"HTTP/1.1 200 Connection established\r\nvia: test\r\n\r\n")
            if not self._refusal:
                there = await asyncio.open_connection("127.0.0.1", int(self._to.rpartition(":")[2]))
                await asyncio.gather(_pipe(reader, there[1]), _pipe(there[0], writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass
        finally:
            writer.close()


async def _pipe(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
    finally:
        writer.close()


@pytest.fixture
async def proxy_for() -> AsyncIterator[Callable[..., Any]]:
    made: list[Proxy] = []

    async def make(**options: Any) -> Proxy:
        made.append(Proxy(**options))
        await made[-1].start()
        return made[-1]

    yield make
    for proxy in made:
        await proxy.stop()


@pytest.mark.usefixtures("trusted")
async def test_a_provider_at_https_is_reached_through_a_tunnel_that_is_used_again(
    secure: RawServer,
    proxy_for: Callable[..., Any],
    transport_for: TransportFactory,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    proxy = await proxy_for(to=secure.url)
    monkeypatch.setenv("HTTPS_PROXY", f"http://name:pa%20ss@127.0.0.1:{proxy.port}")
    transport = transport_for()
    for _ in range(2):
        assert await called(transport, "https://provider.test/v1/a") == b"hello"
    assert [head.split(b"\r\n")[0] for head in proxy.heads] == [b"CONNECT provider.test:443 HTTP/1.1"]
    assert b"proxy-authorization: Basic bmFtZTpwYSBzcw==" in proxy.heads[0]  # name:pa ss
    assert (secure.connections, secure.requests[0].line) == (1, "POST /v1/a HTTP/1.1")
    assert "proxy-authorization" not in secure.requests[0].headers


@pytest.mark.parametrize(
    ("refusal", "words"),
    [
        (b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n", "opens no tunnel: HTTP/1.1 407 Proxy"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\n", "opens no tunnel: HTTP/1.1 403 Forbidden"),
        (b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\n\r\nno", "opens no tunnel: HTTP/1.1 403 Forbidden"),
        (b"SSH-2.0\r\n\r\n", "opens no tunnel: SSH-2.0"),
        (b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000, "broke off: HTTP/1.1 200 OK"),
        (b"HTTP/1.1 200 OK\r\n", "broke off"),
    ],
)
async def test_a_proxy_that_opens_no_tunnel_says_why_and_nothing_was_sent(
    proxy_for: Callable[..., Any],
    transport_for: TransportFactory,
    monkeypatch: pytest.MonkeyPatch,
    refusal: bytes,
    words: str,
) -> None:
    proxy = await proxy_for(refusal=refusal)
    monkeypatch.setenv("HTTPS_PROXY", f"127.0.0.1:{proxy.port}")
    passage = Passage()
    with pytest.raises(httpx2.ProxyError) as caught:
        await sent(transport_for(), "https://provider.test/", passage=passage)
    assert words in str(caught.value)
    assert passage.on_wire is False


async def test_a_proxy_for_http_is_sent_the_whole_url_and_its_password(
    raw: RawServer, transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", raw.url.replace("http://", "http://name:pass@"))
    raw.will(OK)
    await called(transport_for(), "http://provider.invalid:8080/a?b=c")
    assert raw.requests[0].line == "POST http://provider.invalid:8080/a?b=c HTTP/1.1"
    assert raw.requests[0].headers["host"] == "provider.invalid:8080"
    assert raw.requests[0].headers["proxy-authorization"] == "Basic bmFtZTpwYXNz"


@pytest.mark.parametrize("scheme", ["https", "socks5"])
async def test_a_proxy_that_cannot_be_spoken_to_is_named_without_its_password(
    transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch, scheme: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", f"{scheme}://name:secret@proxy.invalid")
    with pytest.raises(httpx2.UnsupportedProtocol, match=f"a proxy at {scheme}:// can't be used") as caught:
        await sent(transport_for(), "https://provider.test/")
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("named", ["http://name:sec#ret@proxy.invalid:80", "name:secret", "http://name:secret@"])
async def test_a_proxy_that_is_no_url_is_an_error_without_its_password(
    transport_for: TransportFactory, monkeypatch: pytest.MonkeyPatch, named: str
) -> None:
    monkeypatch.setenv("HTTPS_PROXY", named)
    passage = Passage()
    with pytest.raises(httpx2.UnsupportedProtocol, match="proxy for https:// is not a URL like") as caught:
        await sent(transport_for(), "https://provider.test/", passage=passage)
    assert "sec" not in str(caught.value)
    assert caught.value.__context__ is None
    assert passage.on_wire is False


async def test_a_scheme_that_no_provider_speaks_is_refused(transport_for: TransportFactory) -> None:
    with pytest.raises(httpx2.UnsupportedProtocol, match="ftp:// is spoken by no provider"):
        await sent(transport_for(), "ftp://127.0.0.1/")


async def test_the_sdks_own_client_works_over_it(raw: RawServer, transport_for: TransportFactory) -> None:
    raw.will(OK)
    async with httpx2.AsyncClient(transport=transport_for()) as client:
        answers = [await client.post(raw.url + "/a", files={"file": b"content"}) for _ in range(2)]
    assert [answer.text for answer in answers] == ["hello", "hello"]
    assert b"content" in raw.requests[0].body
    assert raw.requests[0].headers["host"] in raw.url
    assert raw.connections == 1
