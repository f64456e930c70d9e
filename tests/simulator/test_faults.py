"""Each fault does what its name says, hits what it matches, and bills what a provider would."""

import socket
from typing import Any

import anthropic
import httpx2
import openai
import orjson
import pytest

from gateway.simulator import Fault, FaultKind, Simulator

TEN: dict[str, Any] = {"messages": [{"role": "user", "content": "[[tokens: 10]]"}]}
STREAM = TEN | {"stream": True}
MODELS = {"openai": "gpt-4-turbo", "anthropic": "claude-3-5-sonnet-20241022"}
FAULTED = ["openai", "anthropic"]


@pytest.fixture(params=FAULTED)
def raw(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(f"{request.param}_raw")


def _provider(raw: Any) -> str:
    return "openai" if "openai" in raw.path else "anthropic"


def _deltas(text: str) -> int:
    """Tokens in a streamed text, both wires."""
    return text.count('"content":"') - text.count('"content":""') + text.count('"text_delta"')


def _read(raw: Any, body: dict[str, Any], timeout_seconds: float = 5) -> tuple[str, str]:
    """What arrived of a stream, and how it ended: ``complete``, ``broken`` or ``silence``."""
    text = ""
    sent = {"json": raw.body | body, "headers": raw.headers, "timeout": timeout_seconds}
    try:
        with raw.http.stream("POST", raw.path, **sent) as reply:
            for part in reply.iter_text():
                text += part
    except httpx2.RemoteProtocolError:
        return text, "broken"
    except httpx2.ReadTimeout:
        return text, "silence"
    return text, "complete"


def _billed(simulator: Simulator, raw: Any) -> tuple[int, int]:
    line = simulator.bill().line(_provider(raw), MODELS[_provider(raw)])
    return line.requests, line.output_tokens


@pytest.mark.parametrize("status", [400, 401, 403, 404, 408, 409, 413, 422, 429, 500, 502, 503, 504, 529])
def test_a_status_is_answered_and_not_billed(raw: Any, simulator: Simulator, status: int) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=status))
    reply = raw.post()
    assert (reply.status_code, bool(reply.json()["error"]["message"])) == (status, True)
    assert _billed(simulator, raw) == (0, 0)


def test_a_status_carries_retry_after(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=429, retry_after="7"))
    assert raw.post().headers["retry-after"] == "7"


@pytest.mark.parametrize(
    ("status", "error_type", "code"),
    [
        (429, None, "rate_limit_exceeded"),
        (429, "insufficient_quota", "insufficient_quota"),
        (400, "context_length_exceeded", "context_length_exceeded"),
        (400, "content_policy_violation", "content_policy_violation"),
    ],
)
def test_openais_errors_have_their_codes(
    openai_sdk: openai.OpenAI, simulator: Simulator, status: int, error_type: str | None, code: str
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=status, error_type=error_type))
    with pytest.raises(openai.APIStatusError) as caught:
        openai_sdk.chat.completions.create(model="gpt-4o", messages=[{"role": "user", "content": "hi"}])
    assert (caught.value.status_code, caught.value.code) == (status, code)


@pytest.mark.parametrize(
    ("status", "kind"),
    [(429, "rate_limit_error"), (529, "overloaded_error"), (500, "api_error"), (403, "permission_error")],
)
def test_anthropics_errors_have_their_types(anthropic_raw: Any, simulator: Simulator, status: int, kind: str) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=status))
    assert anthropic_raw.post().json()["error"]["type"] == kind


def test_a_status_hits_model_lists_too(openai_sdk: openai.OpenAI, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, provider="openai"))
    with pytest.raises(openai.InternalServerError):
        openai_sdk.models.list()


def test_a_hang_ends_when_the_client_leaves(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.HANG))
    with pytest.raises(httpx2.ReadTimeout):
        raw.http.post(raw.path, json=raw.body, headers=raw.headers, timeout=0.3)
    assert simulator.log.wait_idle()
    row = simulator.log.rows()[-1]
    assert (row.outcome, row.status, row.output_tokens, row.input_tokens > 0) == (
        "disconnected",
        None,
        0,
        True,
    )
    assert _billed(simulator, raw) == (1, 0)


def test_a_reset_breaks_the_connection_before_any_header(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.RESET))
    with pytest.raises(httpx2.ReadError):
        raw.post()
    assert simulator.log.rows()[-1].outcome == "broken"
    assert _billed(simulator, raw) == (0, 0)


def test_slow_headers_wait_before_the_status(raw: Any, simulator: Simulator, moving_time: Any) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, seconds=12))
    assert raw.post().status_code == 200
    assert moving_time.slept == [12]


def test_slow_headers_and_a_status_combine(raw: Any, simulator: Simulator, moving_time: Any) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_HEADERS, seconds=3))
    simulator.faults.add(Fault(kind=FaultKind.STATUS, status=500))
    assert (raw.post().status_code, moving_time.slept) == (500, [3])


@pytest.mark.parametrize("body", [TEN, STREAM], ids=["plain", "stream"])
def test_the_first_token_can_be_slow(raw: Any, simulator: Simulator, moving_time: Any, body: dict[str, Any]) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_FIRST_TOKEN, seconds=20))
    assert raw.post(body).status_code == 200
    assert moving_time.slept == [20]


@pytest.mark.parametrize("body", [TEN, STREAM], ids=["plain", "stream"])
def test_every_token_can_be_slow(raw: Any, simulator: Simulator, moving_time: Any, body: dict[str, Any]) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=0.25))
    assert raw.post(body).status_code == 200
    assert moving_time.slept == [0.25] * 10


@pytest.mark.parametrize("after", [0, 4, 10])
def test_a_cut_stream_stops_after_so_many_tokens_and_bills_them(raw: Any, simulator: Simulator, after: int) -> None:
    simulator.faults.add(Fault(kind=FaultKind.CUT, after_tokens=after))
    text, ending = _read(raw, STREAM)
    assert (_deltas(text), ending) == (after, "broken")
    assert _billed(simulator, raw) == (1, after)


def test_a_plain_answer_is_cut_in_the_middle(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.CUT))
    with pytest.raises(httpx2.RemoteProtocolError):
        raw.post(TEN)
    assert _billed(simulator, raw) == (1, 10)


def test_a_stall_goes_silent_with_the_connection_open(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STALL, after_tokens=3))
    text, ending = _read(raw, STREAM, timeout_seconds=0.3)
    assert simulator.log.wait_idle()
    assert (_deltas(text), ending) == (3, "silence")
    assert simulator.log.rows()[-1].outcome == "disconnected"
    assert _billed(simulator, raw) == (1, 3)


def test_a_malformed_chunk_stands_among_good_ones(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.MALFORMED_CHUNK, after_tokens=2))
    text = raw.post(STREAM).text
    bad = [line for line in text.split("\n") if line.startswith("data: {") and not _parses(line[6:])]
    assert (len(bad), _deltas(text)) == (1, 10)


def _parses(data: str) -> bool:
    try:
        orjson.loads(data)
    except orjson.JSONDecodeError:
        return False
    return True


def test_a_malformed_plain_body_is_broken_json(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.MALFORMED_CHUNK))
    reply = raw.post(TEN)
    assert (reply.status_code, _parses(reply.text)) == (200, False)


@pytest.mark.parametrize("body", [TEN, STREAM], ids=["plain", "stream"])
def test_an_empty_body_is_a_200_with_nothing(raw: Any, simulator: Simulator, body: dict[str, Any]) -> None:
    simulator.faults.add(Fault(kind=FaultKind.EMPTY_BODY))
    reply = raw.post(body)
    assert (reply.status_code, reply.content) == (200, b"")
    assert _billed(simulator, raw) == (0, 0)


@pytest.mark.parametrize("body", [TEN, STREAM], ids=["plain", "stream"])
def test_a_wrong_content_type_is_a_page(raw: Any, simulator: Simulator, body: dict[str, Any]) -> None:
    simulator.faults.add(Fault(kind=FaultKind.WRONG_CONTENT_TYPE, billed=True))
    reply = raw.post(body)
    assert (reply.status_code, reply.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert _billed(simulator, raw) == (1, 10)


@pytest.mark.parametrize(("drop_finish", "finishes"), [(False, True), (True, False)])
def test_a_stream_may_lack_its_terminator(raw: Any, simulator: Simulator, drop_finish: bool, finishes: bool) -> None:
    simulator.faults.add(Fault(kind=FaultKind.NO_TERMINATOR, drop_finish=drop_finish))
    text, ending = _read(raw, STREAM)
    assert (ending, _deltas(text)) == ("complete", 10)
    assert "[DONE]" not in text
    assert "message_stop" not in text
    assert ('_reason":"stop"' in text or '"end_turn"' in text) is finishes
    assert _billed(simulator, raw) == (1, 10)


def test_an_error_event_ends_openais_stream(openai_sdk: openai.OpenAI, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.ERROR_EVENT, after_tokens=2))
    stream = openai_sdk.chat.completions.create(model="gpt-4o", stream=True, **TEN)
    with pytest.raises(openai.APIError, match="server had an error"):
        list(stream)


def test_an_error_event_ends_anthropics_stream(anthropic_sdk: anthropic.Anthropic, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.ERROR_EVENT, after_tokens=2))
    stream: Any = anthropic_sdk.messages.create(model="claude-sonnet-5-5", max_tokens=50, **STREAM)
    with pytest.raises(anthropic.APIError, match="Overloaded"):
        list(stream)


def test_usage_can_be_missing(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.NO_USAGE))
    assert "usage" not in raw.post(TEN).json()
    extra = {"stream_options": {"include_usage": True}} if _provider(raw) == "openai" else {}
    text = raw.post(STREAM | extra).text
    assert "_tokens" not in text
    assert _billed(simulator, raw) == (2, 20)


def test_a_client_that_leaves_mid_stream_is_billed_what_was_generated(raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STALL, after_tokens=6))
    with raw.http.stream("POST", raw.path, json=raw.body | STREAM, headers=raw.headers) as reply:
        text = ""
        for part in reply.iter_text():
            text += part
            if _deltas(text) == 6:
                break
    assert simulator.log.wait_idle()
    assert _billed(simulator, raw) == (1, 6)


# --- which requests are hit


@pytest.mark.parametrize(
    ("match", "hit"),
    [
        ({}, True),
        ({"provider": "openai"}, True),
        ({"provider": "anthropic"}, False),
        ({"model": "gpt-4-turbo"}, True),
        ({"model": "gpt-4o"}, False),
        ({"header": {"X-Team": "red"}}, True),
        ({"header": {"x-team": "blue"}}, False),
        ({"tag": "mine"}, True),
        ({"tag": "other"}, False),
    ],
)
def test_a_fault_hits_what_it_matches(openai_raw: Any, simulator: Simulator, match: dict[str, Any], hit: bool) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, **match))
    reply = openai_raw.post(x_team="red", x_simulator_fault="mine")
    assert (reply.status_code == 503) is hit


def test_a_tag_may_stand_in_the_metadata(openai_raw: Any, anthropic_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, tag="mine"))
    assert openai_raw.post({"metadata": {"x-simulator-fault": "mine"}}).status_code == 503
    assert anthropic_raw.post({"metadata": {"user_id": "mine"}}).status_code == 503


def test_times_limits_how_often_a_fault_hits(openai_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, times=2))
    assert [openai_raw.post().status_code for _ in range(3)] == [503, 503, 200]


def test_a_fault_ends_after_its_time(openai_raw: Any, simulator: Simulator, moving_time: Any) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, for_seconds=60))
    first = openai_raw.post().status_code
    moving_time.now += 60
    assert (first, openai_raw.post().status_code, simulator.faults.list()) == (503, 200, [])


def test_a_share_hits_that_part_and_the_same_ones_each_time(openai_raw: Any, simulator: Simulator) -> None:
    def draw() -> list[int]:
        simulator.reset()
        simulator.faults.add(Fault(kind=FaultKind.STATUS, share=0.3))
        return [openai_raw.post().status_code for _ in range(60)]

    first = draw()
    assert 8 <= first.count(503) <= 28
    assert draw() == first


def test_a_removed_fault_hits_no_more(openai_raw: Any, simulator: Simulator) -> None:
    fault = simulator.faults.add(Fault(kind=FaultKind.STATUS))
    assert simulator.faults.remove(fault)
    assert openai_raw.post().status_code == 200


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"kind": "explode"}, "kind must be one of"),
        ({"kind": "hang", "colour": "red"}, "unknown fault fields"),
        ({"kind": "hang", "share": 2}, "share must be 0 to 1"),
        ({"kind": "hang", "share": "all"}, "share must be a number"),
        ({"kind": "hang", "times": 1.5}, "times must be a whole number"),
        ({"kind": "status", "status": 200}, "status must be 400 to 599"),
        ({"kind": "cut", "after_tokens": -1}, "after_tokens must be at least 0"),
        ({"kind": "hang", "provider": "mistral"}, "provider must be openai or anthropic"),
        ({"kind": "hang", "model": 4}, "model must be a string"),
        ({"kind": "hang", "header": "x"}, "header must be an object"),
    ],
)
def test_an_impossible_fault_is_refused(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Fault.from_dict(fields)


def test_a_reset_is_a_tcp_reset(openai_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.RESET))
    host, port = simulator.url.removeprefix("http://").split(":")
    body = orjson.dumps(openai_raw.body)
    with socket.create_connection((host, int(port)), timeout=5) as connection:
        head = f"POST {openai_raw.path} HTTP/1.1\r\nhost: x\r\nauthorization: Bearer k\r\n"
        connection.sendall(f"{head}content-length: {len(body)}\r\n\r\n".encode() + body)
        with pytest.raises(ConnectionResetError):
            connection.recv(1)
