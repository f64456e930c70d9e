"""Whatever comes in: a clear 4xx in the surface's shape, bounded memory and time, a process that goes on serving."""

from __future__ import annotations

import gzip
import json
import socket
import subprocess
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.simulator.server import Simulator
from gateway.simulator.thread import SimulatorThread
from tests.gateway_process import AGENT_KEY, GatewayProcess, configuration, gateway_process

CHAT, MESSAGES, COUNT = "/v1/chat/completions", "/v1/messages", "/v1/messages/count_tokens"
RESPONSES, EMBEDDINGS = "/v1/responses", "/v1/embeddings"
PATHS = (CHAT, MESSAGES, COUNT, RESPONSES, EMBEDDINGS)
EVERYWHERE = pytest.mark.parametrize("path", PATHS)
BODY_LIMIT_BYTES = 32 * 1024 * 1024
# A body is held a few times over while it is read; what must not happen is that it stays, or grows twentyfold.
GROWTH_LIMIT_BYTES = 300 * 1024 * 1024
SOCKET_TIMEOUT_SECONDS = 20.0


@pytest.fixture(scope="module")
def simulator() -> Iterator[Simulator]:
    with SimulatorThread() as simulator:
        yield simulator


@pytest.fixture(scope="module")
def running(simulator: Simulator, tmp_path_factory: pytest.TempPathFactory) -> Iterator[GatewayProcess]:
    folder = tmp_path_factory.mktemp("hostile")
    with gateway_process(folder, configuration(simulator.url)) as gateway:
        yield gateway


@pytest.fixture(scope="module")
def gateway(running: GatewayProcess) -> Iterator[GatewayProcess]:
    """The gateway, which must in the end be the same process, serve, and have kept little of what it was sent."""
    before_bytes = memory_bytes(running)
    yield running
    assert httpx2.get(f"{running.url}/readyz", timeout=SOCKET_TIMEOUT_SECONDS).status_code == 200
    assert memory_bytes(running) - before_bytes < GROWTH_LIMIT_BYTES


@pytest.fixture(scope="module")
def client(gateway: GatewayProcess) -> Iterator[httpx2.Client]:
    headers = {"authorization": f"Bearer {AGENT_KEY}", "content-type": "application/json"}
    with httpx2.Client(base_url=gateway.url, headers=headers, timeout=SOCKET_TIMEOUT_SECONDS) as client:
        yield client


def memory_bytes(gateway: GatewayProcess) -> int:
    """What the process holds in memory; fails when it has ended."""
    told = subprocess.run(["ps", "-o", "rss=", "-p", str(gateway.pid)], capture_output=True, text=True, check=True)
    return int(told.stdout) * 1024


def request_for(path: str, **fields: Any) -> dict[str, Any]:
    if path in (RESPONSES, EMBEDDINGS):
        return {"model": "default", "input": "hi", **fields}
    return {"model": "default", "max_tokens": 10, "messages": [{"role": "user", "content": "hi"}], **fields}


def told(path: str, reply: httpx2.Response, status: int = 400) -> str:
    """The sentence of an error that must have this status and the surface's shape."""
    assert reply.status_code == status, reply.text
    document = reply.json()
    error = document["error"]
    assert error["type"]
    if path.startswith(MESSAGES):
        assert document["type"] == "error"
        assert document["request_id"].startswith("req_")
    else:
        assert "code" in error
    message = error["message"]
    assert isinstance(message, str)
    assert message
    return message


# Bodies that are no requests ----------------------------------------------------------------------------------------

DEEP = b'{"model":"default","messages":' + b"[" * 100_000 + b"]" * 100_000 + b"}"
TEXT = b'{"model":"default","input":"%b","messages":[{"role":"user","content":"%b"}],"max_tokens":5}'


@EVERYWHERE
@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "empty"),
        (b" \r\n\t", "empty"),
        (b"{", "not valid JSON"),
        (b"[]", "JSON object"),
        (b"null", "JSON object"),
        (b'"model"', "JSON object"),
        (b"NaN", "not valid JSON"),
        (b'{"model":Infinity}', "not valid JSON"),
        (b"\xff\xfe{\x00}\x00", "UTF-8"),
        (TEXT % (b"\xc3\x28", b"\xc3\x28"), "UTF-8"),
        (TEXT % (b"\\u0000", b"\\u0000"), "NUL"),
        (TEXT % (b"\x00", b"\x00"), "not valid JSON"),
        (TEXT % (b"\\ud800", b"\\ud800"), "not valid JSON"),
        (b'{"model":"default","model":"other"}', "twice"),
        (b'{"model":"a","mod\\u0065l":"b"}', "twice"),
        (DEEP, "deeper than"),
        (b'{"a":' * 500 + b"1" + b"}" * 500, "deeper than"),
        (b"--boundary\r\nContent-Disposition: form-data\r\n\r\nx\r\n", "not valid JSON"),
    ],
    ids=range(18),
)
def test_a_body_that_can_t_be_read_is_a_400_that_says_why(
    client: httpx2.Client, path: str, body: bytes, words: str
) -> None:
    assert words in told(path, client.post(path, content=body))


@pytest.mark.parametrize("path", [CHAT, RESPONSES])
@pytest.mark.parametrize("piece", [b"[],", b"{},", b"0,"])
def test_a_body_of_millions_of_values_is_refused_before_it_is_built(
    client: httpx2.Client, path: str, piece: bytes
) -> None:
    many = piece * ((BODY_LIMIT_BYTES - 1000) // len(piece))
    body = b'{"model":"default","messages":[' + many + b"0]}"
    assert "more than" in told(path, client.post(path, content=body))


def test_a_body_over_the_limit_is_a_413(client: httpx2.Client) -> None:
    body = b'{"model":"' + b"x" * BODY_LIMIT_BYTES + b'"}'
    for path in (CHAT, MESSAGES):
        assert str(BODY_LIMIT_BYTES) in told(path, client.post(path, content=body), 413)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("fault", [{"role": "no such role"}, {"content": [{"type": "hologram"}]}])
def test_refused_bodies_are_not_kept(
    gateway: GatewayProcess, client: httpx2.Client, fault: dict[str, Any], stream: bool
) -> None:
    """An error whose traceback lives on holds the request it was about."""
    body_bytes = 12 * 1024 * 1024
    messages = [{"role": "user", "content": "x" * body_bytes}, {"role": "user", "content": "hi", **fault}]
    content = json.dumps(request_for(MESSAGES, model="openai-only", stream=stream, messages=messages))
    told(MESSAGES, client.post(MESSAGES, content=content))
    before_bytes = memory_bytes(gateway)
    for _ in range(4):
        told(MESSAGES, client.post(MESSAGES, content=content))
    assert memory_bytes(gateway) - before_bytes < 3 * body_bytes


@EVERYWHERE
def test_an_error_is_short_whatever_it_quotes(client: httpx2.Client, path: str) -> None:
    fields = {"messages": [{"role": "r" * 1_000_000, "content": "x"}], "model": "anthropic-only"}
    model = "openai-only" if path == MESSAGES else "anthropic-only"
    reply = client.post(path, json=request_for(path, **{**fields, "model": model}))
    assert len(reply.content) < 10_000


@EVERYWHERE
def test_a_compressed_body_is_refused_for_what_it_is(client: httpx2.Client, path: str) -> None:
    body = gzip.compress(json.dumps(request_for(path)).encode())
    reply = client.post(path, content=body, headers={"content-encoding": "gzip"})
    assert "Content-Encoding 'gzip'" in told(path, reply)


def test_a_huge_text_within_the_limit_is_passed_on_or_refused_but_never_a_crash(client: httpx2.Client) -> None:
    reply = client.post(CHAT, content=TEXT % (b"hi", b"a " * (8 * 1024 * 1024)))
    assert reply.status_code < 500, reply.text[:500]


# Wrong types everywhere ---------------------------------------------------------------------------------------------

ODD: list[Any] = [
    None,
    True,
    0,
    -1,
    1.5,
    10**30,
    "",
    "x",
    [],
    {},
    [[]],
    [None],
    {"type": None},
    {"type": []},
    [{"type": 1}],
]
FIELDS = (
    "model", "messages", "input", "stream", "max_tokens", "max_completion_tokens", "max_output_tokens", "n", "tools",
    "tool_choice", "metadata", "stream_options", "system", "stop", "stop_sequences", "temperature", "top_p",
    "response_format", "thinking", "reasoning", "reasoning_effort", "output_config", "functions", "function_call",
    "user", "parallel_tool_calls", "previous_response_id", "background", "instructions", "text", "modalities",
)  # fmt: skip
SCALARS = st.one_of(st.sampled_from(ODD), st.text(max_size=5), st.integers(), st.floats(allow_nan=False))
KEYS = st.sampled_from(
    ["type", "text", "role", "content", "name", "id", "input", "function", "arguments", "source", "image_url", "file",
     "tool_calls", "tool_call_id", "tool_use_id", "input_schema", "parameters", "format", "schema", "url", "data",
     "\r\nx-evil: 1"]
)  # fmt: skip
TYPES = st.sampled_from(
    ["text", "image", "image_url", "tool_use", "tool_result", "thinking", "document", "file", "function", "input_text",
     "function_call", "function_call_output", "message", "reasoning"]
)  # fmt: skip
VALUES = st.recursive(
    st.one_of(SCALARS, TYPES),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(KEYS, inner, max_size=4)),
    max_leaves=12,
)
PART = st.dictionaries(KEYS, VALUES, max_size=4).flatmap(lambda part: TYPES.map(lambda kind: {**part, "type": kind}))
CONTENT = st.one_of(st.just("hi"), st.lists(PART, max_size=3), VALUES)
MESSAGE = st.fixed_dictionaries(
    {"role": st.sampled_from(["user", "assistant", "system", "tool", "developer", "x"]), "content": CONTENT},
    optional={"tool_calls": VALUES, "tool_call_id": VALUES, "name": VALUES, "function_call": VALUES, "type": TYPES},
)
EXTRAS = st.dictionaries(st.one_of(st.sampled_from(FIELDS), st.text(max_size=8)), VALUES, max_size=4)


@EVERYWHERE
@settings(max_examples=60, deadline=None, derandomize=True, database=None)
@given(data=st.data())
def test_no_shape_of_a_request_breaks_the_gateway(client: httpx2.Client, path: str, data: st.DataObject) -> None:
    conversation = data.draw(st.lists(MESSAGE, min_size=1, max_size=4))
    whole = {"input": conversation} if path in (RESPONSES, EMBEDDINGS) else {"messages": conversation}
    route = data.draw(st.sampled_from(["default", "claude"]))
    body = {**request_for(path), **whole, "model": route, **data.draw(EXTRAS)}
    reply = client.post(path, content=json.dumps(body).encode("utf-8", "surrogatepass"))
    if reply.status_code != 200:
        assert 400 <= reply.status_code < 500, reply.text
        told(path, reply, reply.status_code)


@EVERYWHERE
@pytest.mark.parametrize("name", FIELDS)
def test_no_field_of_a_wrong_type_breaks_the_gateway(client: httpx2.Client, path: str, name: str) -> None:
    for value in ODD:
        reply = client.post(path, content=json.dumps(request_for(path, **{name: value})))
        if reply.status_code != 200:
            assert 400 <= reply.status_code < 500, (value, reply.text)
            told(path, reply, reply.status_code)


# Headers ------------------------------------------------------------------------------------------------------------


def test_an_unknown_parameter_s_name_can_t_write_headers(client: httpx2.Client) -> None:
    odd = {"x\r\nset-cookie: evil=1": 1, "é\u2028": 1, "y" * 10_000: 1, "future": 1}
    reply = client.post(CHAT, content=json.dumps(request_for(CHAT, model="anthropic-only", **odd)).encode())
    assert reply.status_code == 200
    assert "set-cookie" not in reply.headers
    assert "future" in reply.headers["x-llmops-dropped-params"]


@pytest.mark.parametrize("path", [CHAT, MESSAGES, RESPONSES, EMBEDDINGS])
@pytest.mark.parametrize("text", ["", "a b", "a\tb", "é", "x" * 129, "x" * 10_000, "a/b", "a;b"])
def test_a_conversation_s_id_out_of_other_characters_is_a_400(gateway: GatewayProcess, path: str, text: str) -> None:
    body = json.dumps(request_for(path, model="openai-only")).encode()
    reply = raw(gateway, head(path, len(body), f"x-conversation-id: {text}".encode()) + body)
    assert b" 400 " in reply.split(b"\r\n")[0]
    assert b"X-Conversation-Id must be" in reply


@pytest.mark.parametrize(
    "content_type", ["text/plain", "application/xml", "multipart/form-data; boundary=x", "", "\u00ff"]
)
def test_the_body_counts_not_what_its_type_is_said_to_be(gateway: GatewayProcess, content_type: str) -> None:
    body = json.dumps(request_for(CHAT)).encode()
    lines = head(CHAT, len(body)).replace(b"application/json", content_type.encode("latin-1"))
    assert raw(gateway, lines + body).startswith(b"HTTP/1.1 200 ")


@pytest.mark.parametrize(
    "key", ["", "Bearer", "Bearer  ", "Basic eDp5", "Bearer \u00ff\u00fe", "Bearer " + "k" * 20_000]
)
def test_a_key_of_any_kind_of_nonsense_is_a_401(gateway: GatewayProcess, key: str) -> None:
    lines = head(CHAT, 2).replace(f"Bearer {AGENT_KEY}".encode(), key.encode("latin-1"))
    assert raw(gateway, lines + b"{}").startswith(b"HTTP/1.1 401 ")


# HTTP itself --------------------------------------------------------------------------------------------------------


def head(path: str, length: int | None, *lines: bytes) -> bytes:
    given = [
        f"POST {path} HTTP/1.1".encode(),
        b"host: gateway",
        f"authorization: Bearer {AGENT_KEY}".encode(),
        b"content-type: application/json",
        b"connection: close",
        *lines,
    ]
    if length is not None:
        given.append(f"content-length: {length}".encode())
    return b"\r\n".join(given) + b"\r\n\r\n"


def connect(gateway: GatewayProcess) -> socket.socket:
    return socket.create_connection(("127.0.0.1", int(gateway.url.rsplit(":", 1)[1])), SOCKET_TIMEOUT_SECONDS)


def raw(gateway: GatewayProcess, data: bytes) -> bytes:
    """All that comes back until the gateway closes."""
    with connect(gateway) as connection:
        connection.sendall(data)
        return until_closed(connection)


def until_closed(connection: socket.socket) -> bytes:
    pieces = []
    while piece := connection.recv(65536):
        pieces.append(piece)
    return b"".join(pieces)


GOOD = json.dumps({"model": "default", "messages": [{"role": "user", "content": "[[say: Yes.]]"}]}).encode()


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00",  # TLS
        b"GARBAGE\r\n\r\n",
        b"POST \xff\xfe HTTP/1.1\r\nhost: x\r\n\r\n",
        head(CHAT, None, b"content-length: -1"),
        head(CHAT, None, b"content-length: many"),
        head(CHAT, len(GOOD), b"content-length: 7") + GOOD,
        head(CHAT, len(GOOD), b"transfer-encoding: chunked") + GOOD,
        head(CHAT, None, b"transfer-encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
        head(CHAT, len(GOOD), b"x-conversation-id: a\rx-evil: 1") + GOOD,
        head(CHAT, len(GOOD), b"x-conversation-id: a\x00b") + GOOD,
        head(CHAT, len(GOOD), b"x y: 1") + GOOD,
        head(CHAT, len(GOOD), b" folded: 1") + GOOD,
    ],
    ids=range(12),
)
def test_what_is_not_http_is_a_400_in_json(gateway: GatewayProcess, data: bytes) -> None:
    lines, _, body = raw(gateway, data).partition(b"\r\n\r\n")
    assert lines.startswith(b"HTTP/1.1 400 ")
    assert b"x-evil" not in lines
    assert json.loads(body)["error"]["message"]


def test_a_line_break_in_a_header_makes_another_header_and_nothing_more(gateway: GatewayProcess) -> None:
    reply = raw(gateway, head(CHAT, len(GOOD), b"x-conversation-id: a\r\nx-evil: 1") + GOOD)
    lines = reply.partition(b"\r\n\r\n")[0].lower()
    assert reply.startswith(b"HTTP/1.1 200 ")
    assert b"x-conversation-id: a\r\n" in lines + b"\r\n"
    assert b"x-evil" not in lines


@pytest.mark.parametrize(
    "lines",
    [[b"x-long: " + b"x" * 100_000], [b"x-%d: y" % number for number in range(20_000)], [b"x" * 100_000 + b": y"]],
    ids=["one", "many", "name"],
)
def test_a_head_that_is_too_large_is_a_431(gateway: GatewayProcess, lines: list[bytes]) -> None:
    reply = raw(gateway, head(CHAT, len(GOOD), *lines) + GOOD)
    assert reply.startswith(b"HTTP/1.1 431 ")
    assert b"larger than 65536 bytes" in reply


def test_a_head_without_end_is_cut_off(gateway: GatewayProcess) -> None:
    with connect(gateway) as connection:
        connection.sendall(f"POST {CHAT} HTTP/1.1\r\nx-long: ".encode())
        reply = b""
        try:
            for _ in range(1000):
                connection.sendall(b"x" * 65536)
            reply = until_closed(connection)
        except (BrokenPipeError, ConnectionResetError):
            reply = b"HTTP/1.1 431 "  # it has closed while we went on
    assert reply.startswith(b"HTTP/1.1 431 ")


def test_a_long_path_is_told_to_be_nothing_here(client: httpx2.Client) -> None:
    reply = client.get("/v1/" + "a" * 20_000)
    assert told("/v1/a", reply, 404)


def test_a_chunked_body_is_a_body(gateway: GatewayProcess) -> None:
    chunks = b"".join(b"%x\r\n%b\r\n" % (1, GOOD[at : at + 1]) for at in range(len(GOOD)))
    reply = raw(gateway, head(CHAT, None, b"transfer-encoding: chunked") + chunks + b"0\r\n\r\n")
    assert reply.startswith(b"HTTP/1.1 200 ")


def test_a_slow_body_holds_up_nobody_else(gateway: GatewayProcess, client: httpx2.Client) -> None:
    with connect(gateway) as slow:
        slow.sendall(head(CHAT, len(GOOD)) + GOOD[:10])
        assert client.post(CHAT, content=GOOD).status_code == 200
        slow.sendall(GOOD[10:])
        assert until_closed(slow).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_leaves_within_its_body_is_no_request(
    gateway: GatewayProcess, client: httpx2.Client, simulator: Simulator
) -> None:
    asked_before = len(simulator.log.rows())
    with connect(gateway) as connection:
        connection.sendall(head(CHAT, len(GOOD)) + GOOD[:10])
    assert client.post(CHAT, content=GOOD).status_code == 200
    assert len(simulator.log.rows()) == asked_before + 1


def test_bytes_beyond_the_body_are_not_part_of_it(gateway: GatewayProcess) -> None:
    reply = raw(gateway, head(CHAT, len(GOOD)) + GOOD + b"junk")
    assert reply.startswith(b"HTTP/1.1 200 ")


def test_nothing_was_unforeseen(running: GatewayProcess) -> None:
    """Stands last: nothing ended in the handler for what nobody foresaw, or was held against a provider."""
    log = running.log()
    assert "nobody foresaw" not in log
    assert "Traceback" not in log
    assert "breaker provider=" not in log
