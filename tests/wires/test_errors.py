"""Errors in each surface's shape: the official SDKs, unchanged, raise their own classes."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, ClassVar

import anthropic
import openai
import orjson
import pytest

from gateway.engine import errors
from gateway.engine.errors import GatewayError, UpstreamAnswer, UpstreamError
from gateway.engine.words import FailureKind, Wire
from gateway.wires import cost_comment, render_error, render_stream_error

from .helpers import ANTHROPIC, ANTHROPIC_STREAM, OPENAI, OPENAI_STREAM, user

CASES: list[tuple[GatewayError, str, str, type[Exception], type[Exception]]] = [
    (errors.InvalidRequest("m", param="n"), "invalid_request_error", "invalid_request_error", openai.BadRequestError, anthropic.BadRequestError),
    (errors.NotAuthenticated("m"), "authentication_error", "authentication_error", openai.AuthenticationError, anthropic.AuthenticationError),
    (errors.NotAllowed("m"), "permission_error", "permission_error", openai.PermissionDeniedError, anthropic.PermissionDeniedError),
    (errors.ModelNotFound("m", details={"routes": ["a"]}), "not_found_error", "not_found_error", openai.NotFoundError, anthropic.NotFoundError),
    (errors.RequestTooLarge("m"), "request_too_large", "request_too_large", openai.APIStatusError, anthropic.APIStatusError),
    (errors.RateLimited("m", retry_after_seconds=1.2), "rate_limit_error", "rate_limit_error", openai.RateLimitError, anthropic.RateLimitError),
    (errors.BudgetExceeded("m"), "rate_limit_error", "rate_limit_error", openai.RateLimitError, anthropic.RateLimitError),
    (errors.UpstreamRejectedUs("m"), "server_error", "api_error", openai.InternalServerError, anthropic.InternalServerError),
    (errors.AllTargetsFailed("m"), "service_unavailable", "overloaded_error", openai.InternalServerError, anthropic.InternalServerError),
    (errors.DeadlineExceeded("m"), "timeout_error", "timeout_error", openai.InternalServerError, anthropic.InternalServerError),
    (GatewayError("m"), "server_error", "api_error", openai.InternalServerError, anthropic.InternalServerError),
]  # fmt: skip
NAMES = [case[0].code for case in CASES]


class Scripted(BaseHTTPRequestHandler):
    """Answers whatever the test put down."""

    reply: ClassVar[tuple[int, dict[str, str], bytes]] = (200, {}, b"")

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        status, headers, body = self.reply
        self.send_response(status)
        for name, value in {**headers, "content-length": str(len(body))}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args: Any) -> None:
        pass


@pytest.fixture(scope="module")
def base_url() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Scripted)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    thread.join()
    server.server_close()


@pytest.fixture(scope="module")
def openai_client(base_url: str) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{base_url}/v1", api_key="k", max_retries=0) as client:
        yield client


@pytest.fixture(scope="module")
def anthropic_client(base_url: str) -> Iterator[anthropic.Anthropic]:
    with anthropic.Anthropic(base_url=base_url, api_key="k", max_retries=0) as client:
        yield client


@pytest.mark.parametrize(("error", "kind", "_kind", "raised", "_raised"), CASES, ids=NAMES)
def test_the_openai_sdk_raises_its_own_class(
    openai_client: openai.OpenAI, error: GatewayError, kind: str, _kind: str, raised: type[Any], _raised: Any
) -> None:
    Scripted.reply = render_error(OPENAI, error, "req_1")
    with pytest.raises(raised) as caught:
        openai_client.chat.completions.create(model="m", messages=[user("hi")])  # type: ignore[list-item]
    found = caught.value
    assert (found.status_code, found.code, found.type, found.param) == (error.status, error.code, kind, error.param)
    assert found.body["message"] == "m"


@pytest.mark.parametrize(("error", "_kind", "kind", "_raised", "raised"), CASES, ids=NAMES)
def test_the_anthropic_sdk_raises_its_own_class(
    anthropic_client: anthropic.Anthropic, error: GatewayError, _kind: str, kind: str, _raised: Any, raised: type[Any]
) -> None:
    Scripted.reply = render_error(ANTHROPIC, error, "req_1")
    with pytest.raises(raised) as caught:
        anthropic_client.messages.create(model="m", max_tokens=5, messages=[user("hi")])  # type: ignore[list-item]
    found = caught.value
    assert (found.status_code, found.type, found.error_code, found.api_message) == (error.status, kind, error.code, "m")
    assert found.body["request_id"] == "req_1"


def test_retry_after_is_whole_seconds_rounded_up() -> None:
    _, headers, _ = render_error(OPENAI, errors.RateLimited("m", retry_after_seconds=1.2), "r")
    assert headers["retry-after"] == "2"
    assert "retry-after" not in render_error(OPENAI, errors.RateLimited("m"), "r")[1]


@pytest.mark.parametrize("surface", list(Wire))
def test_details_reach_people_and_programs(surface: Wire) -> None:
    error = errors.ModelNotFound("m", details={"routes": ["a"]})
    _, _, body = render_error(surface, error, "r")
    assert orjson.loads(body)["error"]["details"]["routes"] == ["a"]


def upstream(wire: Wire, body: bytes) -> UpstreamAnswer:
    kind = FailureKind.INVALID_REQUEST
    return UpstreamAnswer(
        UpstreamError(
            kind, "bad tools", wire=wire, status=400, code="bad_tools", type="x_type", param="tools", body=body
        )
    )


@pytest.mark.parametrize("surface", list(Wire))
def test_a_refusal_of_the_surfaces_wire_keeps_its_bytes(surface: Wire) -> None:
    body = b'{"error": {"message":"bad tools", "x_future": 1.0}}'
    assert render_error(surface, upstream(surface, body), "r") == (400, {"content-type": "application/json"}, body)


@pytest.mark.parametrize(("surface", "wire"), [(OPENAI, ANTHROPIC), (ANTHROPIC, OPENAI)])
def test_a_refusal_of_the_other_wire_is_reshaped(surface: Wire, wire: Wire) -> None:
    status, _, body = render_error(surface, upstream(wire, b'{"error":{}}'), "r")
    error = orjson.loads(body)["error"]
    assert (status, error["message"], error["type"]) == (400, "bad tools", "invalid_request_error")
    assert "bad_tools" in (error.get("code"), error.get("details", {}).get("error_code"))


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]"])
def test_a_refusal_that_is_no_error_object_is_reshaped(body: bytes) -> None:
    assert orjson.loads(render_error(OPENAI, upstream(OPENAI, body), "r")[2])["error"]["message"] == "bad tools"


STREAM_HEADERS = {"content-type": "text/event-stream"}


def test_an_error_in_a_stream_makes_the_openai_sdk_raise(openai_client: openai.OpenAI) -> None:
    begun = OPENAI_STREAM[: OPENAI_STREAM.index(b"Gott")].rpartition(b"\n\n")[0] + b"\n\n"
    last = render_stream_error(OPENAI, errors.AllTargetsFailed("it broke"), "r")
    Scripted.reply = (200, STREAM_HEADERS, begun + last)
    stream = openai_client.chat.completions.create(model="m", messages=[user("hi")], stream=True)  # type: ignore[list-item]
    with pytest.raises(openai.APIError, match="it broke"):
        for _ in stream:
            pass


def test_an_error_in_a_stream_makes_the_anthropic_sdk_raise(anthropic_client: anthropic.Anthropic) -> None:
    begun = ANTHROPIC_STREAM[: ANTHROPIC_STREAM.index(b"Gott")].rpartition(b"\n\n")[0] + b"\n\n"
    last = render_stream_error(ANTHROPIC, errors.AllTargetsFailed("it broke"), "r")
    Scripted.reply = (200, STREAM_HEADERS, begun + last)
    stream = anthropic_client.messages.create(model="m", max_tokens=5, messages=[user("hi")], stream=True)  # type: ignore[list-item]
    with pytest.raises(anthropic.APIStatusError, match="it broke"):
        for _ in stream:
            pass


def test_the_sdks_overlook_the_cost_comment(
    openai_client: openai.OpenAI, anthropic_client: anthropic.Anthropic
) -> None:
    comment = cost_comment({"cost_usd": "0.01", "attempts": 1})
    assert comment == b': llmops {"cost_usd":"0.01","attempts":1}\n\n'
    Scripted.reply = (200, STREAM_HEADERS, OPENAI_STREAM.replace(b"data: [DONE]", comment + b"data: [DONE]"))
    chunks = openai_client.chat.completions.create(model="m", messages=[user("hi")], stream=True)  # type: ignore[list-item]
    assert len(list(chunks)) == 10
    Scripted.reply = (
        200,
        STREAM_HEADERS,
        ANTHROPIC_STREAM.replace(b"event: message_stop", comment + b"event: message_stop"),
    )
    events = anthropic_client.messages.create(model="m", max_tokens=5, messages=[user("hi")], stream=True)  # type: ignore[list-item]
    assert [event.type for event in events][-1] == "message_stop"
