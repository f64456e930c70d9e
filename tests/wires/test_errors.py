"""Errors in each surface's shape: the official SDKs, unchanged, raise their own classes."""

from __future__ import annotations

import anthropic
import openai
import orjson
import pytest

from gateway.engine import errors
from gateway.engine.errors import GatewayError, UpstreamAnswer, UpstreamError
from gateway.engine.words import FailureKind, Wire
from gateway.wires import cost_comment, render_error, render_stream_error

from .conftest import Scripted
from .helpers import ANTHROPIC, ANTHROPIC_STREAM, OPENAI, OPENAI_STREAM, user

# The error, its type on each surface, and the class that both SDKs know under the same name.
CASES: list[tuple[GatewayError, str, str, str]] = [
    (errors.InvalidRequest("m", param="n"), "invalid_request_error", "invalid_request_error", "BadRequestError"),
    (errors.NotAuthenticated("m"), "authentication_error", "authentication_error", "AuthenticationError"),
    (errors.NotAllowed("m"), "permission_error", "permission_error", "PermissionDeniedError"),
    (errors.ModelNotFound("m", details={"routes": ["a"]}), "not_found_error", "not_found_error", "NotFoundError"),
    (errors.RequestTooLarge("m"), "request_too_large", "request_too_large", "APIStatusError"),
    (errors.RateLimited("m", retry_after_seconds=1.2), "rate_limit_error", "rate_limit_error", "RateLimitError"),
    (errors.BudgetExceeded("m"), "rate_limit_error", "rate_limit_error", "RateLimitError"),
    (errors.UpstreamRejectedUs("m"), "server_error", "api_error", "InternalServerError"),
    (errors.AllTargetsFailed("m"), "service_unavailable", "overloaded_error", "InternalServerError"),
    (errors.DeadlineExceeded("m"), "timeout_error", "timeout_error", "InternalServerError"),
    (GatewayError("m"), "server_error", "api_error", "InternalServerError"),
]
NAMES = [case[0].code for case in CASES]


@pytest.mark.parametrize(("error", "kind", "_kind", "raised"), CASES, ids=NAMES)
def test_the_openai_sdk_raises_its_own_class(
    openai_client: openai.OpenAI, error: GatewayError, kind: str, _kind: str, raised: str
) -> None:
    Scripted.reply = render_error(OPENAI, error, "req_1")
    with pytest.raises(getattr(openai, raised)) as caught:
        openai_client.chat.completions.create(model="m", messages=[user("hi")])  # type: ignore[list-item]
    found = caught.value
    assert (found.status_code, found.code, found.type, found.param) == (error.status, error.code, kind, error.param)
    assert found.body["message"] == "m"


@pytest.mark.parametrize(("error", "_kind", "kind", "raised"), CASES, ids=NAMES)
def test_the_anthropic_sdk_raises_its_own_class(
    anthropic_client: anthropic.Anthropic, error: GatewayError, _kind: str, kind: str, raised: str
) -> None:
    Scripted.reply = render_error(ANTHROPIC, error, "req_1")
    with pytest.raises(getattr(anthropic, raised)) as caught:
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
