"""Both error tables, row by row: closed by default, structured fields before text."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest
import time_machine
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.engine.errors import UpstreamError
from gateway.engine.words import FailureKind, Wire
from gateway.providers import anthropic, openai
from gateway.providers.errors import ErrorReply, read_error, retry_after_seconds
from gateway.simulator import Fault, FaultKind, Simulator
from gateway.wires.meanings import STATUS_OF_NAME
from gateway.wires.stream_base import in_band_error
from tests.providers.conftest import PATHS, CallerFactory, an_ask, target_of

K = FailureKind
RETRY_COUNTS, RETRY, COUNTS, NEITHER = (True, True), (True, False), (False, True), (False, False)


def body(**fields: Any) -> bytes:
    return orjson.dumps({"error": {"message": "told by the provider", **fields}})


STATUSES = [
    (302, K.UNREADABLE, RETRY_COUNTS),
    (400, K.INVALID_REQUEST, NEITHER),
    (401, K.REJECTED_US, COUNTS),
    (402, K.QUOTA_EXHAUSTED, NEITHER),
    (403, K.REJECTED_US, COUNTS),
    (404, K.MODEL_NOT_FOUND, NEITHER),
    (405, K.INVALID_REQUEST, NEITHER),
    (408, K.SERVER_ERROR, RETRY),
    (409, K.SERVER_ERROR, RETRY),
    (413, K.INVALID_REQUEST, NEITHER),
    (418, K.INVALID_REQUEST, NEITHER),
    (422, K.INVALID_REQUEST, NEITHER),
    (429, K.RATE_LIMITED, RETRY_COUNTS),
    (500, K.SERVER_ERROR, RETRY_COUNTS),
    (502, K.SERVER_ERROR, RETRY_COUNTS),
    (503, K.SERVER_ERROR, RETRY_COUNTS),
    (504, K.SERVER_ERROR, RETRY_COUNTS),
    (520, K.SERVER_ERROR, RETRY_COUNTS),
    (529, K.SERVER_ERROR, RETRY_COUNTS),
    (599, K.SERVER_ERROR, RETRY_COUNTS),
]


@pytest.mark.parametrize(
    ("status", "message", "refuses"),
    [
        (
            400,
            "This model does not support assistant message prefill. The conversation must end with a user message.",
            True,
        ),
        (400, "`thinking` can't be used: Prefill is not supported", True),
        (400, "max_tokens: must be greater than 0", False),
        (529, "prefill workers are overloaded", False),
    ],
)
def test_a_model_that_refuses_prefill_is_told_from_any_other_refusal(status: int, message: str, refuses: bool) -> None:
    assert anthropic.classify(status, {}, body(message=message)).refuses_prefill is refuses


@pytest.mark.parametrize("vendor", [openai, anthropic], ids=["openai", "anthropic"])
@pytest.mark.parametrize("sent", [body(), b"", b"<html>Bad gateway</html>"], ids=["json", "empty", "html"])
@pytest.mark.parametrize(("status", "kind", "flags"), STATUSES)
def test_a_status_means_the_same_at_both_vendors(
    vendor: Any, sent: bytes, status: int, kind: FailureKind, flags: tuple[bool, bool]
) -> None:
    error = vendor.classify(status, {}, sent)
    assert (error.kind, (error.retryable, error.counts_against_breaker), error.status) == (kind, flags, status)
    assert not error.may_be_billed


@pytest.mark.parametrize(
    ("status", "fields", "kind", "flags"),
    [
        (400, {"code": "context_length_exceeded"}, K.CONTEXT_TOO_LONG, NEITHER),
        (400, {"code": "content_policy_violation"}, K.CONTENT_POLICY, NEITHER),
        (400, {"code": "content_filter"}, K.CONTENT_POLICY, NEITHER),
        (429, {"code": "insufficient_quota"}, K.QUOTA_EXHAUSTED, COUNTS),
        (429, {"type": "insufficient_quota", "code": None}, K.QUOTA_EXHAUSTED, COUNTS),
        (429, {"code": "billing_hard_limit_reached"}, K.QUOTA_EXHAUSTED, COUNTS),
        (429, {"code": "billing_not_active"}, K.QUOTA_EXHAUSTED, COUNTS),
        (429, {"type": "requests", "code": "rate_limit_exceeded"}, K.RATE_LIMITED, RETRY_COUNTS),
        (403, {"code": "model_not_found"}, K.MODEL_NOT_FOUND, NEITHER),
        (404, {"code": "model_not_found"}, K.MODEL_NOT_FOUND, NEITHER),
        (
            400,
            {
                "message": "Function tools with reasoning_effort are not supported for gpt-6.1-sol in "
                "/v1/chat/completions. Please use /v1/responses instead.",
                "param": "reasoning_effort",
                "code": None,
            },
            K.UNTRANSLATABLE,
            NEITHER,
        ),
        (400, {"code": "never_heard_of"}, K.INVALID_REQUEST, NEITHER),
        (400, {"message": "maximum context length", "code": "other"}, K.INVALID_REQUEST, NEITHER),
        (500, {"code": "insufficient_quota"}, K.SERVER_ERROR, RETRY_COUNTS),
        (500, {"code": "model_not_found"}, K.SERVER_ERROR, RETRY_COUNTS),
    ],
)
def test_openai_tells_by_code(status: int, fields: dict[str, Any], kind: FailureKind, flags: tuple[bool, bool]) -> None:
    error = openai.classify(status, {}, body(**fields))
    assert (error.kind, (error.retryable, error.counts_against_breaker)) == (kind, flags)


@pytest.mark.parametrize(
    ("status", "fields", "kind", "flags"),
    [
        (400, {"message": "prompt is too long: 250000 tokens > 200000 maximum"}, K.CONTEXT_TOO_LONG, NEITHER),
        (400, {"message": "input length and `max_tokens` exceed context limit"}, K.CONTEXT_TOO_LONG, NEITHER),
        (400, {"message": "Your credit balance is too low to access the API."}, K.QUOTA_EXHAUSTED, NEITHER),
        (400, {"message": "Output blocked by content filtering policy"}, K.CONTENT_POLICY, NEITHER),
        (400, {"message": "max_tokens: field required"}, K.INVALID_REQUEST, NEITHER),
        (402, {"type": "billing_error"}, K.QUOTA_EXHAUSTED, NEITHER),
        (403, {"type": "permission_error"}, K.REJECTED_US, COUNTS),
        (404, {"type": "not_found_error"}, K.MODEL_NOT_FOUND, NEITHER),
        (413, {"type": "request_too_large"}, K.INVALID_REQUEST, NEITHER),
        (429, {"type": "rate_limit_error"}, K.RATE_LIMITED, RETRY_COUNTS),
        (500, {"message": "prompt is too long"}, K.SERVER_ERROR, RETRY_COUNTS),
        (529, {"type": "overloaded_error"}, K.SERVER_ERROR, RETRY_COUNTS),
        (400, {"type": "overloaded_error"}, K.SERVER_ERROR, RETRY_COUNTS),
    ],
)
def test_anthropic_tells_by_type_and_in_a_400_by_sentence(
    status: int, fields: dict[str, Any], kind: FailureKind, flags: tuple[bool, bool]
) -> None:
    error = anthropic.classify(status, {}, body(**fields))
    assert (error.kind, (error.retryable, error.counts_against_breaker)) == (kind, flags)


def test_the_providers_own_words_are_kept() -> None:
    sent = body(message="Unknown parameter", type="invalid_request_error", code="unknown", param="foo")
    error = openai.classify(400, {"retry-after": "3"}, sent)
    assert (error.message, error.type, error.code, error.param) == (
        "Unknown parameter",
        "invalid_request_error",
        "unknown",
        "foo",
    )
    assert (error.body, error.retry_after_seconds) == (sent, 3.0)


def test_an_error_without_words_says_at_least_its_status() -> None:
    assert openai.classify(502, {}, b"").message == "HTTP 502 without an explanation"


@pytest.mark.parametrize(
    ("sent", "reply"),
    [
        (b"", ErrorReply()),
        (b"not json", ErrorReply()),
        (b"[]", ErrorReply()),
        (b'"text"', ErrorReply()),
        (b"{}", ErrorReply()),
        (b'{"error": null}', ErrorReply()),
        (b'{"error": []}', ErrorReply()),
        (b'{"error": "plain words"}', ErrorReply("plain words")),
        (b'{"error": {"message": 5, "code": 404, "type": null}}', ErrorReply()),
        (b'{"error": {"message": "m", "code": "c", "type": "t", "param": "p"}}', ErrorReply("m", "c", "t", "p")),
        (b"\xff\xfe", ErrorReply()),
    ],
)
def test_error_bodies_are_read_for_what_they_hold(sent: bytes, reply: ErrorReply) -> None:
    assert read_error(sent) == reply


def test_a_message_is_kept_to_a_readable_length() -> None:
    assert len(read_error(body(message="x" * 60_000)).message) == 2000


@given(sent=st.binary(max_size=200), status=st.integers(300, 599))
@example(sent=b"[" * 3000, status=500)
def test_no_reply_of_a_provider_breaks_the_tables(sent: bytes, status: int) -> None:
    for vendor in (openai, anthropic):
        assert vendor.classify(status, {}, sent).status == status


# Retry-After ---------------------------------------------------------------------------------------------------------

NOW = datetime(2026, 11, 22, 12, 0, 0, tzinfo=UTC)
DAY_SECONDS = 86400.0


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0"}, 0.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after": " 2 "}, 2.0),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after": "1e9"}, DAY_SECONDS),
        ({"retry-after": "inf"}, DAY_SECONDS),
        ({"retry-after": "nan"}, None),
        ({"retry-after": ""}, None),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 13:00:30 +0100"}, 30.0),
        ({"retry-after": "Sunday, 22-Nov-26 12:00:30 GMT"}, 30.0),
        ({"retry-after": "Sun, 22 Nov 2026 11:00:00 GMT"}, 0.0),
        ({"retry-after": "Sun, 22 Nov 2099 12:00:00 GMT"}, DAY_SECONDS),
        ({"retry-after": "Sun, 99 Nov 2026 12:00:00 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 99999999999999999999 12:00:00 GMT"}, None),
        ({"retry-after": "Sun, 22 Nov 2026 12:00:00 +99999999999999"}, None),
        ({"retry-after-ms": "250"}, 0.25),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
    ],
)
def test_retry_after_in_all_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    with time_machine.travel(NOW, tick=False):
        assert retry_after_seconds(headers) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reading(text: str) -> None:
    seconds = retry_after_seconds({"retry-after": text, "retry-after-ms": text})
    assert seconds is None or 0 <= seconds <= DAY_SECONDS


# The whole way: from a provider's socket to the engine's words -------------------------------------------------------


@pytest.mark.parametrize("kind", list(Wire))
@pytest.mark.parametrize("stream", [False, True], ids=["plain", "stream"])
@pytest.mark.parametrize(
    ("fault", "failure", "retry_after"),
    [
        ({"status": 400}, K.INVALID_REQUEST, None),
        ({"status": 401}, K.REJECTED_US, None),
        ({"status": 404}, K.MODEL_NOT_FOUND, None),
        ({"status": 429, "retry_after": "2"}, K.RATE_LIMITED, 2.0),
        ({"status": 500}, K.SERVER_ERROR, None),
        ({"status": 503, "retry_after": "1"}, K.SERVER_ERROR, 1.0),
        ({"status": 400, "error_type": "context_length_exceeded"}, K.CONTEXT_TOO_LONG, None),
        ({"status": 400, "error_type": "content_policy_violation"}, K.CONTENT_POLICY, None),
        ({"status": 400, "error_type": "insufficient_quota"}, K.QUOTA_EXHAUSTED, None),
    ],
)
async def test_a_refusal_arrives_with_provider_wire_status_and_rest(
    simulator: Simulator,
    caller_for: CallerFactory,
    kind: Wire,
    stream: bool,
    fault: dict[str, Any],
    failure: FailureKind,
    retry_after: float | None,
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, **fault))
    caller = caller_for(kind, simulator.url + PATHS[kind])
    call = caller.stream if stream else caller.answer
    with pytest.raises(UpstreamError) as caught:
        await call(an_ask(kind, stream=stream), target_of(caller))
    error = caught.value
    assert (error.kind, error.status, error.retry_after_seconds) == (failure, fault["status"], retry_after)
    assert (error.provider, error.wire, error.may_be_billed) == (kind.value, kind, False)
    assert orjson.loads(error.body)["error"]["message"] == error.message


@pytest.mark.parametrize(("name", "status"), STATUS_OF_NAME.items())
def test_an_error_means_the_same_inside_a_stream_as_in_a_reply(name: str, status: int) -> None:
    inside = in_band_error({"type": name, "message": "m"}, b"")
    vendor = anthropic if name.endswith("_error") else openai
    reply = vendor.classify(status, {}, body(type=name, message="m"))
    facts = [(e.kind, e.status, e.retryable, e.counts_against_breaker) for e in (inside, reply)]
    assert facts[0] == facts[1]
