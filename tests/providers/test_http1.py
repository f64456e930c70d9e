"""One connection: how replies are framed, where they break, when a connection may be used again (RFC 9112)."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any, cast

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.providers import http1
from gateway.providers.http1 import Connection, Endpoint, Exchange, request_head

HEAD = b"HTTP/1.1 200 OK\r\n"
LONG = b"x" * 10_000
# What a server sends; the body that is meant; whether the connection may be used again.
WHOLE: dict[str, tuple[bytes, bytes, bool]] = {
    "a length": (HEAD + b"content-length: 5\r\n\r\nhello", b"hello", True),
    "a length of nothing": (HEAD + b"content-length: 0\r\n\r\n", b"", True),
    "chunks": (HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n", b"hello", True),
    "chunks with extensions": (
        HEAD + b"Transfer-Encoding: chunked\r\n\r\n5;a=b\r\nhello\r\n0;c\r\n\r\n",
        b"hello",
        True,
    ),
    "trailers": (HEAD + b"transfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\nx-sum: 1\r\n\r\n", b"hello", True),
    "no content": (b"HTTP/1.1 204 No Content\r\n\r\n", b"", True),
    "asked to close": (HEAD + b"content-length: 5\r\nconnection: close\r\n\r\nhello", b"hello", False),
    "HTTP/1.0": (b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\n\r\nhello", b"hello", False),
    "HTTP/1.0 kept alive": (
        b"HTTP/1.0 200 OK\r\ncontent-length: 5\r\nconnection: keep-alive\r\n\r\nhello",
        b"hello",
        True,
    ),
    "early hints before": (
        b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" + HEAD + b"content-length: 5\r\n\r\nhello",
        b"hello",
        True,
    ),
    "a second reply behind": (HEAD + b"content-length: 5\r\n\r\nhello" + HEAD + b"\r\n", b"hello", False),
    "noise behind": (HEAD + b"content-length: 5\r\n\r\nhello and more", b"hello", False),
    "no reason": (b"HTTP/1.1 200\r\ncontent-length: 5\r\n\r\nhello", b"hello", True),
    "bare line feeds": (b"HTTP/1.1 200 OK\ncontent-length: 5\n\nhello", b"hello", True),
    "a header in two lines": (HEAD + b"x: a\r\n b\r\ncontent-length: 5\r\n\r\nhello", b"hello", True),
    "spaces behind sizes": (HEAD + b"transfer-encoding: chunked\r\n\r\n5 \r\nhello\r\n0\r\n\r\n", b"hello", True),
    "a long one": (HEAD + b"content-length: 10000\r\n\r\n" + LONG, LONG, True),
}
# What a server sends before it closes, and what can be read of it.
CUT: dict[str, tuple[bytes, bytes]] = {
    "nothing": (b"", b""),
    "half a status line": (b"HTTP/1.", b""),
    "half a head": (HEAD + b"content-len", b""),
    "only an interim reply": (b"HTTP/1.1 100 Continue\r\n\r\n", b""),
    "no body": (HEAD + b"content-length: 5\r\n\r\n", b""),
    "half a body": (HEAD + b"content-length: 5\r\n\r\nhel", b"hel"),
    "no last chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n", b"hel"),
    "no last chunk, codings in two lines": (
        HEAD + b"transfer-encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n",
        b"hel",
    ),
    "no end of the last chunk": (HEAD + b"transfer-encoding: chunked\r\n\r\n3\r\nhel\r\n0\r\n", b"hel"),
}
NONSENSE: dict[str, bytes] = {
    "no HTTP": b"SSH-2.0-OpenSSH_9.2\r\n",
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "two lengths": HEAD + b"content-length: 5\r\ncontent-length: 6\r\n\r\nhello!",
    "a length and chunks": HEAD + b"content-length: 5\r\ntransfer-encoding: chunked\r\n\r\n0\r\n\r\n",
    "a length that is no number": HEAD + b"content-length: -5\r\n\r\nhello",
    "chunks without sizes": HEAD + b"transfer-encoding: chunked\r\n\r\nhello\r\n",
    "a length twice": HEAD + b"content-length: 5\r\ncontent-length: 5\r\n\r\nhello",
    "a chunk of any size": HEAD + b"transfer-encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
    "no status": b"HTTP/1.1 000 Nothing\r\ncontent-length: 5\r\n\r\nhello",
    "another protocol": b"HTTP/1.1 101 Switching\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n",
}


class Wire:
    """What a connection writes to; it hears what the test says, in the pieces that the test says."""

    def __init__(self) -> None:
        self.written = bytearray()
        self.reading = True
        self.closing = ""
        self.unsent_bytes = 0

    def write(self, data: bytes) -> None:
        self.written += data

    def get_write_buffer_size(self) -> int:
        return self.unsent_bytes

    def get_extra_info(self, name: str) -> None:
        """Nothing is known of it."""

    def is_closing(self) -> bool:
        return bool(self.closing)

    def close(self) -> None:
        self.closing = self.closing or "closed"

    def abort(self) -> None:
        self.closing = self.closing or "aborted"

    def pause_reading(self) -> None:
        self.reading = False

    def resume_reading(self) -> None:
        self.reading = True


class Line:
    """A connection with its wire and what was given back."""

    def __init__(self) -> None:
        self.given_back: list[Connection] = []
        self.wire = Wire()
        self.connection = Connection(self.given_back.append)
        self.connection.connection_made(cast("Any", self.wire))

    async def ask(self, *pieces: bytes, close: bool = False) -> Exchange:
        """Ask, and let the server say `pieces`."""
        asking = asyncio.ensure_future(self.connection.ask(b"GET / HTTP/1.1\r\n\r\n", b""))
        await asyncio.sleep(0)
        self.hear(*pieces, close=close)
        return await asking

    def hear(self, *pieces: bytes, close: bool = False) -> None:
        for piece in pieces:
            if not self.wire.closing:
                self.connection.data_received(piece)
        if close:
            self.wire.closing = self.wire.closing or "by the other side"
            self.connection.eof_received()
            self.connection.connection_lost(None)


async def body_of(exchange: Exchange) -> bytes:
    pieces = []
    while piece := await exchange.read():
        pieces.append(piece)
    return b"".join(pieces)


@pytest.mark.parametrize("name", WHOLE)
async def test_a_whole_reply_is_read_to_its_end_and_the_connection_used_again_where_it_may_be(name: str) -> None:
    sent, meant, reusable = WHOLE[name]
    line = Line()
    exchange = await line.ask(sent)
    assert (await body_of(exchange), exchange.at_end) == (meant, True)
    exchange.release()
    assert line.given_back == [line.connection]
    assert line.connection.is_reusable is reusable


@pytest.mark.parametrize("name", WHOLE)
async def test_it_makes_no_difference_in_which_pieces_a_reply_arrives(name: str) -> None:
    sent, meant, reusable = WHOLE[name]
    line = Line()
    exchange = await line.ask(*[sent[i : i + 1] for i in range(len(sent))])
    assert await body_of(exchange) == meant
    assert line.connection.is_reusable is reusable


@given(name=st.sampled_from(sorted(WHOLE)), cuts=st.lists(st.integers(0, 200), max_size=6))
def test_nor_where_it_is_cut_into_pieces(name: str, cuts: list[int]) -> None:
    sent, meant, reusable = WHOLE[name]
    marks = [0, *sorted(cut for cut in cuts if cut < len(sent)), len(sent)]

    async def run() -> None:
        line = Line()
        exchange = await line.ask(*[sent[a:b] for a, b in pairwise(marks)])
        assert (await body_of(exchange), line.connection.is_reusable) == (meant, reusable)

    asyncio.run(run())


async def test_a_body_without_a_length_ends_with_its_connection() -> None:
    line = Line()
    exchange = await line.ask(HEAD + b"\r\nhel", b"lo", close=True)
    assert (await body_of(exchange), exchange.at_end, line.connection.is_reusable) == (b"hello", True, False)


@pytest.mark.parametrize("name", CUT)
async def test_what_came_before_a_cut_can_be_read_and_then_it_is_an_error(name: str) -> None:
    sent, came = CUT[name]
    line, got = Line(), bytearray()

    async def read() -> None:
        exchange = await line.ask(sent, close=True)
        while piece := await exchange.read():
            got.extend(piece)

    with pytest.raises(httpx2.ReadError, match="closed the connection"):
        await read()
    assert (got, line.connection.is_reusable) == (came, False)


@pytest.mark.parametrize("name", NONSENSE)
async def test_nonsense_is_an_error_and_closes_the_connection(name: str) -> None:
    line = Line()
    with pytest.raises(httpx2.ReadError, match=r"not an HTTP/1\.1 reply"):
        await body_of(await line.ask(NONSENSE[name]))
    assert (line.wire.closing, line.connection.is_reusable) == ("aborted", False)


@pytest.mark.parametrize(
    "begin",
    [
        pytest.param(HEAD + b"x-endless: ", id="a header"),
        pytest.param(HEAD + b"transfer-encoding: chunked\r\n\r\n0\r\nx-endless: ", id="a trailer"),
        pytest.param(b"HTTP/1.1 103 Early Hints\r\nlink: </a>\r\n\r\n" * 20, id="interim replies"),
    ],
)
async def test_what_never_gets_to_the_body_is_given_up(begin: bytes) -> None:
    line = Line()
    pieces = [begin] * 5_000 if begin.endswith(b"\n\r\n") else [begin, *[b"x" * 1000] * 5_000]
    with pytest.raises(httpx2.ReadError, match="more than 65536 bytes of headers or trailers"):
        await body_of(await line.ask(*pieces))
    assert line.wire.closing == "aborted"


async def test_a_body_that_nobody_reads_makes_its_provider_wait() -> None:
    line = Line()
    exchange = await line.ask(HEAD + b"content-length: 1000000\r\n\r\n", b"x" * http1.UNREAD_LIMIT_BYTES)
    assert line.wire.reading
    line.hear(b"x")
    assert not line.wire.reading
    await exchange.read()
    assert line.wire.reading


async def test_what_comes_unasked_closes_an_idle_connection() -> None:
    """It would be taken for the next request's reply."""
    line = Line()
    (await line.ask(WHOLE["a length"][0])).release()
    line.hear(WHOLE["a length"][0])
    assert line.wire.closing
    assert not line.connection.is_reusable


async def test_what_comes_before_the_first_request_closes_the_connection() -> None:
    line = Line()
    line.hear(b"220 smtp.example ESMTP\r\n")
    assert not line.connection.is_reusable


async def test_a_connection_closed_from_the_other_side_cannot_be_used_again() -> None:
    line = Line()
    (await line.ask(WHOLE["a length"][0])).release()
    line.hear(close=True)
    assert not line.connection.is_reusable
    with pytest.raises(httpx2.ConnectError, match="closed before the request"):
        await line.connection.ask(b"GET / HTTP/1.1\r\n\r\n", b"")


async def test_one_whose_other_side_will_say_nothing_more_cannot_be_used_again() -> None:
    """Under TLS the transport is not closing yet when it tells us."""
    line = Line()
    (await line.ask(WHOLE["a length"][0])).release()
    line.connection.eof_received()
    assert not line.wire.closing
    assert not line.connection.is_reusable


async def test_nor_can_one_that_was_answered_before_its_request_had_left() -> None:
    line = Line()
    line.wire.unsent_bytes = 1
    exchange = await line.ask(WHOLE["a length"][0])
    assert (await body_of(exchange), line.connection.is_reusable) == (b"hello", False)


async def test_a_reply_released_before_its_end_closes_the_connection() -> None:
    line = Line()
    exchange = await line.ask(HEAD + b"content-length: 5\r\n\r\nhel")
    exchange.release()
    assert not line.connection.is_reusable
    line.connection.close()
    assert line.wire.closing == "aborted"


async def test_a_reply_is_released_once() -> None:
    """Its connection may be somebody else's by the second time."""
    line = Line()
    exchange = await line.ask(WHOLE["a length"][0])
    exchange.release()
    exchange.release()
    assert len(line.given_back) == 1


async def test_who_answers_in_the_middle_of_a_large_request_is_not_sent_the_rest() -> None:
    line = Line()
    body = b"x" * (20 * http1.PIECE_BYTES)
    asking = asyncio.ensure_future(line.connection.ask(b"POST / HTTP/1.1\r\n\r\n", body))
    await asyncio.sleep(0)
    line.connection.pause_writing()
    for _ in range(5):
        await asyncio.sleep(0)
    line.hear(b"HTTP/1.1 413 Too Large\r\ncontent-length: 0\r\n\r\n")
    exchange = await asking
    assert (exchange.status, line.connection.is_reusable) == (413, False)
    assert len(line.wire.written) < len(body) / 2


async def test_who_begins_a_success_in_the_middle_of_a_large_request_is_sent_the_rest() -> None:
    line = Line()
    body = bytes(range(256)) * (5 * http1.PIECE_BYTES // 256)
    asking = asyncio.ensure_future(line.connection.ask(b"POST / HTTP/1.1\r\n\r\n", body))
    await asyncio.sleep(0)
    line.connection.pause_writing()
    for _ in range(5):
        await asyncio.sleep(0)
    line.hear(HEAD + b"transfer-encoding: chunked\r\n\r\n")
    exchange = await asking
    line.connection.resume_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    assert bytes(line.wire.written).endswith(body)
    line.hear(b"5\r\nhello\r\n0\r\n\r\n")
    assert (await body_of(exchange), line.connection.is_reusable) == (b"hello", True)


async def test_a_large_request_waits_while_its_provider_takes_nothing_and_then_goes_on() -> None:
    line = Line()
    body = bytes(range(256)) * (5 * http1.PIECE_BYTES // 256)
    asking = asyncio.ensure_future(line.connection.ask(b"POST / HTTP/1.1\r\n\r\n", body))
    await asyncio.sleep(0)
    line.connection.pause_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    assert len(line.wire.written) < len(body)
    line.connection.resume_writing()
    for _ in range(20):
        await asyncio.sleep(0)
    line.hear(WHOLE["a length"][0])
    assert (await asking).status == 200
    assert bytes(line.wire.written).endswith(body)
    assert line.connection.is_reusable


async def test_a_connection_lost_while_a_large_request_is_written_is_an_error() -> None:
    line = Line()
    asking = asyncio.ensure_future(line.connection.ask(b"POST / HTTP/1.1\r\n\r\n", b"x" * (9 * http1.PIECE_BYTES)))
    await asyncio.sleep(0)
    line.connection.pause_writing()
    await asyncio.sleep(0)
    line.wire.closing = "by the other side"
    line.connection.connection_lost(ConnectionResetError(104, "Connection reset by peer"))
    with pytest.raises(httpx2.ReadError, match="reset by peer"):
        await asking


async def test_a_cancelled_request_leaves_a_connection_that_cannot_be_used_again() -> None:
    line = Line()
    asking = asyncio.ensure_future(line.connection.ask(b"GET / HTTP/1.1\r\n\r\n", b""))
    await asyncio.sleep(0)
    asking.cancel()
    await asyncio.wait([asking])
    assert not line.connection.is_reusable


async def test_of_headers_with_one_name_the_first_counts_whatever_its_case() -> None:
    exchange = await Line().ask(HEAD + b"Retry-After: 1\r\nretry-after: 2\r\ncontent-length: 0\r\n\r\n")
    assert exchange.headers["retry-after"] == "1"
    assert exchange.raw_headers[0] == (b"Retry-After", b"1")


@pytest.mark.parametrize("header", [{"x": "a\r\nevil: b"}, {"x": "a\nb"}, {"x\r\nevil": "a"}, {"x": "a\0"}])
def test_a_header_of_several_lines_is_refused_by_name_only(header: dict[str, str]) -> None:
    """Its value may be a secret."""
    with pytest.raises(httpx2.LocalProtocolError, match="holds a line break or a NUL") as caught:
        request_head("POST", "/", "example.com", {"authorization": "Bearer secret", **header}, 0)
    assert "evil: b" not in str(caught.value)
    assert "secret" not in str(caught.value)


def test_a_post_says_its_length_also_where_it_is_nothing() -> None:
    assert b"content-length: 0\r\n" in request_head("POST", "/", "example.com", {}, 0)
    assert b"content-length" not in request_head("GET", "/", "example.com", {}, 0)


@pytest.mark.parametrize(
    ("url", "origin", "target", "authority"),
    [
        ("https://api.example.com/v1/a", ("https", "api.example.com", 443), "/v1/a", "api.example.com"),
        ("http://example.com:8080", ("http", "example.com", 8080), "/", "example.com:8080"),
        ("http://[::1]:9/a b?c=ü", ("http", "::1", 9), "/a%20b?c=%C3%BC", "[::1]:9"),
        ("https://bücher.example/", ("https", "xn--bcher-kva.example", 443), "/", "xn--bcher-kva.example"),
        ("https://name:secret@example.com/", ("https", "example.com", 443), "/", "example.com"),
    ],
)
def test_an_endpoint_is_what_a_request_needs_of_a_url(
    url: str, origin: tuple[str, str, int], target: str, authority: str
) -> None:
    endpoint = Endpoint.of(url)
    assert (endpoint.origin, endpoint.target, endpoint.authority) == (origin, target, authority)
