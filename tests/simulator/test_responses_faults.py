"""Faults in a response's stream: where they strike, what is still sent, what is billed."""

from typing import Any

import httpx2
import orjson
import pytest

from gateway.simulator import Fault, FaultKind, Simulator
from gateway.simulator.errors import InvalidRequest
from gateway.simulator.responses_store import MAX_BYTES, MAX_RESPONSES, ResponseStore, Stored

TEN = {"stream": True, "input": "[[tokens: 10]]"}
DELTA = "response.output_text.delta"
THOUGHT_TOKENS = 64


def _read(raw: Any, changes: dict[str, Any] | None = None) -> tuple[list[str], str]:
    """The names of the events that arrived, and whether the stream ended ``complete`` or ``broken``."""
    text = ""
    sent = {"json": raw.body | TEN | (changes or {}), "headers": raw.headers}
    try:
        with raw.http.stream("POST", raw.path, **sent) as reply:
            for part in reply.iter_text():
                text += part
    except httpx2.RemoteProtocolError:
        return _names(text), "broken"
    return _names(text), "complete"


def _names(text: str) -> list[str]:
    return [line.removeprefix("event: ") for line in text.split("\n") if line.startswith("event: ")]


def _billed(simulator: Simulator, model: str = "gpt-4-turbo") -> tuple[int, int]:
    line = simulator.bill().line("openai", model)
    return line.requests, line.output_tokens


@pytest.mark.parametrize("after", [0, 4])
def test_a_cut_stream_is_billed_as_far_as_it_was_generated(
    responses_raw: Any, simulator: Simulator, after: int
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.CUT, after_tokens=after))
    names, ended = _read(responses_raw)
    assert (names.count(DELTA), names[-1] == "response.completed", ended) == (after, False, "broken")
    assert _billed(simulator) == (1, after)


def test_reasoning_is_generated_before_the_text_is_cut(responses_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.CUT, after_tokens=THOUGHT_TOKENS + 2))
    names, _ = _read(responses_raw, {"model": "gpt-6-luna", "reasoning": {"effort": "low"}})
    assert names.count(DELTA) == 2
    assert _billed(simulator, "gpt-6-luna") == (1, THOUGHT_TOKENS + 2)


def test_a_malformed_event_stands_among_the_others(responses_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.MALFORMED_CHUNK, after_tokens=2))
    text = responses_raw.post(TEN).text
    broken = [line[6:] for line in text.split("\n") if line.startswith("data: ") and not line.endswith("}")]
    assert len(broken) == 1
    with pytest.raises(orjson.JSONDecodeError):
        orjson.loads(broken[0])
    assert text.count(f"event: {DELTA}") == 11


@pytest.mark.parametrize(("drop_finish", "last"), [(False, "response.output_item.done"), (True, DELTA)])
def test_an_unended_stream_lacks_its_last_event(
    responses_raw: Any, simulator: Simulator, drop_finish: bool, last: str
) -> None:
    simulator.faults.add(Fault(kind=FaultKind.NO_TERMINATOR, drop_finish=drop_finish))
    names, ended = _read(responses_raw)
    assert (names[-1], ended) == (last, "complete")
    assert _billed(simulator) == (1, 10)


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_without_usage_has_none(responses_raw: Any, simulator: Simulator, stream: bool) -> None:
    simulator.faults.add(Fault(kind=FaultKind.NO_USAGE))
    text = responses_raw.post(TEN | {"stream": stream}).text
    body = orjson.loads(text.strip().split("\n")[-1].removeprefix("data: "))
    assert (body["response"] if stream else body)["usage"] is None
    assert _billed(simulator) == (1, 10)


def test_slow_tokens_wait_before_each(responses_raw: Any, simulator: Simulator, moving_time: Any) -> None:
    simulator.faults.add(Fault(kind=FaultKind.SLOW_TOKENS, seconds=2))
    _read(responses_raw)
    assert moving_time.slept == [2] * 10


def test_a_status_hits_what_the_metadata_names(responses_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS, tag="this"))
    assert responses_raw.post({"metadata": {"x-simulator-fault": "that"}}).status_code == 200
    assert responses_raw.post({"metadata": {"x-simulator-fault": "this"}}).status_code == 503
    assert _billed(simulator)[0] == 1


def test_a_cut_stream_is_not_stored(responses_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.ERROR_EVENT, after_tokens=2))
    first = orjson.loads(responses_raw.post(TEN).text.split("\n")[1].removeprefix("data: "))
    reply = responses_raw.http.get(f"/v1/responses/{first['response']['id']}", headers=responses_raw.headers)
    assert reply.status_code == 404


@pytest.mark.parametrize(("size", "kept"), [(1, MAX_RESPONSES), (MAX_BYTES // 4, 4)])
def test_the_store_is_bounded_in_number_and_bytes(size: int, kept: int) -> None:
    store = ResponseStore()
    for number in range(kept + 1):
        store.keep(str(number), Stored(b"{}", [], [], size))
    assert store.body("1") == b"{}"
    with pytest.raises(InvalidRequest):
        store.dialogue("0")
