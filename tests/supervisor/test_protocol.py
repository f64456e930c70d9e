"""A request's head is bounded in time as in size; nobody holds a connection by saying nothing, or by not reading."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import uvicorn
from uvicorn.server import ServerState

from gateway.supervisor.protocol import BoundedProtocol


class Impatient(BoundedProtocol):
    head_timeout_seconds = 0.05
    send_timeout_seconds = 0.2


async def _hello(scope: Any, receive: Any, send: Any) -> None:
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"5")]})
    await send({"type": "http.response.body", "body": b"hello"})


@asynccontextmanager
async def _serving(app: Any) -> AsyncIterator[tuple[int, ServerState]]:
    config = uvicorn.Config(app, log_config=None, ws="none", access_log=False)
    config.load()
    state = ServerState()
    server = await asyncio.get_running_loop().create_server(
        lambda: Impatient(config=config, server_state=state, app_state={}), "127.0.0.1", 0
    )
    yield server.sockets[0].getsockname()[1], state
    server.close()
    await server.wait_closed()


@pytest.fixture
async def port() -> AsyncIterator[int]:
    async with _serving(_hello) as (port, _):
        yield port


async def _said(port: int, data: bytes) -> tuple[bytes, bytes]:
    """Status line and body of what comes back until the connection is closed."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    async with asyncio.timeout(10):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    await writer.wait_closed()
    return head.split(b"\r\n")[0], body


@pytest.mark.parametrize("data", [b"GET / HT", b"GET / HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_never_ends_is_a_408(port: int, data: bytes) -> None:
    line, body = await _said(port, data)
    assert line == b"HTTP/1.1 408 Request Timeout"
    assert json.loads(body)["error"]["code"] == "request_timeout"


async def test_a_connection_that_asks_nothing_is_closed_without_a_word(port: int) -> None:
    assert await _said(port, b"") == (b"", b"")


async def test_a_body_is_not_taken_for_the_next_head(port: int) -> None:
    body = b"x" * 200_000
    first = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 200000\r\n\r\n" + body
    line, _ = await _said(port, first + b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
    assert line == b"HTTP/1.1 200 OK"


async def test_a_second_head_that_never_ends_is_cut_off_as_well(port: int) -> None:
    line, body = await _said(port, b"GET / HTTP/1.1\r\nhost: x\r\n\r\nGET / HT")
    assert line == b"HTTP/1.1 200 OK"
    assert body.startswith(b"hello")
    assert b"request_timeout" in body


async def test_a_head_in_pieces_is_a_head(port: int) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    for piece in (b"GET / HTTP/1.1\r\n", b"host: x\r\nconnection: cl", b"ose\r\n\r\n"):
        writer.write(piece)
        await writer.drain()
    async with asyncio.timeout(10):
        assert (await reader.read()).startswith(b"HTTP/1.1 200 OK")
    writer.close()
    await writer.wait_closed()


async def _flood(send: Any) -> None:
    """A stream without end."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    while True:
        await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})


async def test_a_client_that_stops_reading_has_left_when_its_time_is_up() -> None:
    """And the connection is gone, whatever was still to be sent."""
    gone = asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        flood = asyncio.create_task(_flood(send))
        while (await receive())["type"] != "http.disconnect":
            pass
        flood.cancel()
        await asyncio.gather(flood, return_exceptions=True)
        gone.set()

    async with _serving(app) as (port, state):
        _, writer = await asyncio.open_connection("127.0.0.1", port, limit=1024)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        async with asyncio.timeout(10):
            await gone.wait()
        assert not state.connections
        writer.close()


async def test_a_client_that_goes_on_reading_takes_as_long_as_it_likes() -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for more in (*[True] * 40, False):
            await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": more})

    async with _serving(app) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
        async with asyncio.timeout(10):
            assert len(await reader.read()) > 4_000_000
        writer.close()
        await writer.wait_closed()


async def _echo(scope: Any, receive: Any, send: Any) -> None:
    """The body, after its path."""
    body, more = scope["path"].encode() + b" ", True
    while more:
        message = await receive()
        body, more = body + message.get("body", b""), message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


OFFER = b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAoAAAAAIAAAAA\r\n"


@pytest.mark.parametrize("cut", [None, 20, -9, -4], ids=["whole", "in the head", "before the body", "in the body"])
@pytest.mark.parametrize(
    ("framing", "body"), [(b"content-length: 5", b"hello"), (b"transfer-encoding: chunked", b"5\r\nhello\r\n0\r\n\r\n")]
)
async def test_a_body_after_an_offer_of_another_protocol_is_read(framing: bytes, body: bytes, cut: int | None) -> None:
    """In one piece or two, and so is the request after it."""
    asked = b"POST /first HTTP/1.1\r\nhost: x\r\n" + OFFER + framing + b"\r\n\r\n" + body
    last = b"GET /last HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n"
    async with _serving(_echo) as (port, _):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(asked[:cut])
        await writer.drain()
        if cut is not None:
            await asyncio.sleep(0)
            writer.write(asked[cut:])
        writer.write(last)
        async with asyncio.timeout(10):
            answers = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert answers.count(b"200 OK") == 2
    assert b"/first hello" in answers
    assert answers.endswith(b"/last ")


async def test_a_stream_that_ends_in_a_drain_leaves_its_client_one_more_request() -> None:
    """Its head was sent before and couldn't tell that the connection ends."""
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"one", "more_body": True})
        begun.set()
        await go_on.wait()
        await send({"type": "http.response.body", "body": b"two"})

    async with _serving(app) as (port, state), asyncio.timeout(10):
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await begun.wait()
        state.default_headers = [(b"connection", b"close")]
        next(iter(state.connections)).shutdown()
        go_on.set()
        first = await reader.readuntil(b"0\r\n\r\n")
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        second = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert (b"connection: close" in first, b"connection: close" in second) == (False, True)
    assert second.endswith(b"0\r\n\r\n")


async def _reply(scope: Any, receive: Any, send: Any) -> None:
    """By path: with a length, without, or with a head and then a failure."""
    if scope["path"] == "/echo":
        await receive()
    length = [] if scope["path"] == "/stream" else [(b"content-length", b"2")]
    await send({"type": "http.response.start", "status": 200, "headers": length})
    if scope["path"] == "/broken":
        raise RuntimeError("the body could not be made")
    await send({"type": "http.response.body", "body": b"o", "more_body": True})
    await send({"type": "http.response.body", "body": b"k"})


def _pieces(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """What is handed to the transport, write by write."""
    written: list[bytes] = []
    connection_made = BoundedProtocol.connection_made

    def watched(self: BoundedProtocol, transport: Any) -> None:
        connection_made(self, transport)
        self.transport = _Watched(transport, written)

    monkeypatch.setattr(BoundedProtocol, "connection_made", watched)
    return written


class _Watched:
    def __init__(self, transport: Any, written: list[bytes]) -> None:
        self._transport, self._written = transport, written

    def write(self, data: bytes) -> None:
        self._written.append(data)
        self._transport.write(data)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._transport, name)


@pytest.mark.parametrize(
    ("request_head", "writes"),
    [
        (b"GET / HTTP/1.1\r\n", ["HTTP/1.1 200 OK o", "k"]),
        (b"GET /stream HTTP/1.1\r\n", ["HTTP/1.1 200 OK", "1 o", "1 k 0"]),
        (b"HEAD / HTTP/1.1\r\n", ["HTTP/1.1 200 OK"]),
        (b"GET /broken HTTP/1.1\r\n", ["HTTP/1.1 200 OK"]),
        (
            b"POST /echo HTTP/1.1\r\nexpect: 100-continue\r\ncontent-length: 1\r\n",
            ["HTTP/1.1 100 Continue", "HTTP/1.1 200 OK o", "k"],
        ),
    ],
    ids=["with a length", "a stream", "head only", "broken off", "after 100-continue"],
)
async def test_a_head_waits_for_the_body_where_the_length_is_known(
    request_head: bytes, writes: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    written = _pieces(monkeypatch)
    body = b"x" if request_head.startswith(b"POST") else b""
    async with _serving(_reply) as (port, _):
        await _said(port, request_head + b"connection: close\r\n\r\n" + body)
    assert [_short(piece) for piece in written] == writes


def _short(piece: bytes) -> str:
    """Status line and body, without the headers between."""
    lines = piece.decode().split("\r\n")
    return " ".join(line for line in lines if line and ": " not in line)


@pytest.mark.parametrize("body_bytes", [0, 1_000_000])
async def test_an_application_is_told_once_that_its_client_has_left(body_bytes: int) -> None:
    """Also after a body so large that reading was paused on the way."""
    asked, told = asyncio.Event(), []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        left = asyncio.Event()
        while (await receive()).get("more_body"):
            pass

        def tell() -> None:
            told.append("left")
            left.set()

        assert scope["extensions"]["llmops.when_gone"](tell)
        asked.set()
        await left.wait()
        told.append(scope["extensions"]["llmops.when_gone"](tell))
        asked.set()

    async with _serving(app) as (port, _), asyncio.timeout(10):
        _, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"POST / HTTP/1.1\r\ncontent-length: %d\r\n\r\n" % body_bytes + b"x" * body_bytes)
        await asked.wait()
        asked.clear()
        writer.close()
        await asked.wait()
    assert told == ["left", False]


async def test_what_was_taken_back_is_not_called() -> None:
    told: list[str] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        scope["extensions"]["llmops.when_gone"](lambda: told.append("left"))
        scope["extensions"]["llmops.when_gone"](None)
        await _hello(scope, receive, send)

    async with _serving(app) as (port, _):
        await _said(port, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert told == []


async def _answers(scope: Any, receive: Any, send: Any) -> None:
    """By path: an answer in one piece, with a header that can't be sent, or a second one."""
    headers = {"x-name": "a\r\nb: c"} if scope["path"] == "/broken" else {"x-name": "v"}
    for _ in range(2 if scope["path"] == "/twice" else 1):
        await scope["extensions"]["llmops.answer"](201, headers, b"ok")


async def test_an_answer_in_one_piece_is_one_write(monkeypatch: pytest.MonkeyPatch) -> None:
    written = _pieces(monkeypatch)
    async with _serving(_answers) as (port, state):
        state.default_headers = [(b"date", b"now")]
        await _said(port, b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
    told = b"date: now\r\nconnection: close\r\nx-name: v\r\ncontent-length: 2\r\n\r\nok"
    assert written == [b"HTTP/1.1 201 Created\r\n" + told]


async def test_a_connection_serves_on_after_an_answer_in_one_piece() -> None:
    async with _serving(_answers) as (port, _):
        ask = b"GET / HTTP/1.1\r\n\r\n"
        _, body = await _said(port, ask + b"GET / HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert body.count(b"HTTP/1.1 201 Created") == 1
    assert body.endswith(b"\r\n\r\nok")


async def test_in_a_drain_an_answer_in_one_piece_tells_that_the_connection_ends() -> None:
    async with _serving(_answers) as (port, state):
        state.default_headers = [(b"connection", b"close")]
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"GET / HTTP/1.1\r\n\r\n")
        async with asyncio.timeout(10):
            said = await reader.read()
        writer.close()
        await writer.wait_closed()
    assert said.count(b"connection: close") == 1


@pytest.mark.parametrize(("path", "status"), [(b"/broken", b"500"), (b"/twice", b"201")])
async def test_what_cannot_be_said_in_one_piece_is_an_error_of_the_application(path: bytes, status: bytes) -> None:
    async with _serving(_answers) as (port, _):
        line, body = await _said(port, b"GET %b HTTP/1.1\r\nconnection: close\r\n\r\n" % path)
    assert line.split()[1] == status
    assert b"b: c" not in body


async def test_a_head_alone_is_asked_for_without_the_way_for_whole_answers() -> None:
    offered: list[bool] = []

    async def app(scope: Any, receive: Any, send: Any) -> None:
        offered.append("llmops.answer" in scope["extensions"])
        await _hello(scope, receive, send)

    async with _serving(app) as (port, _):
        await _said(port, b"HEAD / HTTP/1.1\r\nconnection: close\r\n\r\n")
    assert offered == [False]
