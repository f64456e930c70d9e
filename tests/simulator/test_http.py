"""HTTP/1.1 as such: connections, bodies, limits, and being left."""

import socket
from collections.abc import Iterator
from typing import Any

import orjson
import pytest

from gateway.simulator import Simulator
from gateway.simulator import http as http_module

BODY = orjson.dumps({"model": "gpt-4-turbo", "messages": [{"role": "user", "content": "[[say: hello]]"}]})


@pytest.fixture
def connection(simulator: Simulator) -> Iterator[socket.socket]:
    host, port = simulator.url.removeprefix("http://").split(":")
    with socket.create_connection((host, int(port)), timeout=5) as connected:
        yield connected


def _request(body: bytes = BODY, *headers: str, length: bool = True) -> bytes:
    lines = ["POST /v1/chat/completions HTTP/1.1", "host: x", "authorization: Bearer sk-a", *headers]
    if length:
        lines.append(f"content-length: {len(body)}")
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _read_reply(connection: socket.socket) -> tuple[int, bytes]:
    """One reply with a content-length."""
    data = b""
    while b"\r\n\r\n" not in data:
        data += connection.recv(65536)
    head, _, body = data.partition(b"\r\n\r\n")
    length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
    while len(body) < length:
        body += connection.recv(65536)
    return int(head.split()[1]), body


def _until_closed(connection: socket.socket) -> bytes:
    data = b""
    while part := connection.recv(65536):
        data += part
    return data


def test_a_connection_serves_many_requests(connection: socket.socket) -> None:
    for _ in range(3):
        connection.sendall(_request())
        assert _read_reply(connection)[0] == 200


def test_pipelined_requests_are_answered_in_order(connection: socket.socket) -> None:
    stream = orjson.dumps(orjson.loads(BODY) | {"stream": True})
    connection.sendall(_request(stream) + _request(BODY, "connection: close"))
    text = _until_closed(connection)
    assert text.index(b"[DONE]") < text.index(b'"chat.completion"')


def test_a_chunked_body_is_read(connection: socket.socket) -> None:
    chunks = b"%x\r\n%b\r\n%x\r\n%b\r\n0\r\n\r\n" % (5, BODY[:5], len(BODY) - 5, BODY[5:])
    connection.sendall(_request(b"", "transfer-encoding: chunked", length=False) + chunks)
    assert _read_reply(connection)[0] == 200


def test_a_body_may_come_in_drops(connection: socket.socket) -> None:
    whole = _request()
    for start in range(0, len(whole), 40):
        connection.sendall(whole[start : start + 40])
    assert _read_reply(connection)[0] == 200


def test_a_client_may_ask_whether_to_go_on(connection: socket.socket) -> None:
    head = _request(BODY, "expect: 100-continue")[: -len(BODY)]
    connection.sendall(head)
    assert connection.recv(100).startswith(b"HTTP/1.1 100 Continue")
    connection.sendall(BODY)
    assert _read_reply(connection)[0] == 200


def test_connection_close_is_honoured(connection: socket.socket) -> None:
    connection.sendall(_request(BODY, "connection: close"))
    assert b"connection: close" in _until_closed(connection)


@pytest.mark.parametrize("nonsense", [b"HELLO\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\x00\x01\x00"])
def test_nonsense_is_a_400_and_the_end(connection: socket.socket, nonsense: bytes) -> None:
    connection.sendall(nonsense)
    assert _until_closed(connection).startswith(b"HTTP/1.1 400")


def test_endless_headers_are_refused(connection: socket.socket) -> None:
    connection.sendall(b"GET / HTTP/1.1\r\n" + b"x: " + b"y" * (http_module.MAX_HEADER_BYTES + 1) + b"\r\n\r\n")
    assert _until_closed(connection).startswith(b"HTTP/1.1 431")


def test_a_body_over_the_limit_is_a_413(
    connection: socket.socket, monkeypatch: pytest.MonkeyPatch, simulator: Simulator
) -> None:
    monkeypatch.setattr(http_module, "MAX_BODY_BYTES", 50)
    connection.sendall(_request())
    status, body = _read_reply(connection)
    assert (status, orjson.loads(body)["error"]["message"]) == (413, "Request exceeds the maximum size")


def test_a_slow_reader_gets_the_whole_stream(connection: socket.socket) -> None:
    body = orjson.dumps(
        {
            "model": "gpt-4.1",
            "stream": True,
            "messages": [{"role": "user", "content": "[[tokens: 20000]]"}],
        }
    )
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 262144)
    connection.sendall(_request(body, "connection: close"))
    assert _until_closed(connection).endswith(b"data: [DONE]\n\n\r\n0\r\n\r\n")


def test_a_client_that_left_mid_stream_is_noticed(connection: socket.socket, simulator: Simulator) -> None:
    asked: dict[str, Any] = {
        "model": "gpt-4.1",
        "stream": True,
        "messages": [{"role": "user", "content": "[[tokens: 30000]]"}],
    }
    connection.sendall(_request(orjson.dumps(asked)))
    connection.recv(4096)
    connection.close()
    assert simulator.log.wait_idle()
    row = simulator.log.rows()[-1]
    assert row.outcome == "disconnected"
    assert 0 < row.output_tokens < 30000
    assert simulator.bill().line("openai", "gpt-4.1").output_tokens == row.output_tokens
