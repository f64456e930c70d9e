"""What the log keeps, what it must not keep, and that the bill adds up."""

from typing import Any

import openai

from gateway.simulator import Fault, FaultKind, LogRow, RequestLog, Simulator
from gateway.simulator.bill import Bill, Usage


def _tokens(count: int) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": f"[[tokens: {count}]]"}]}


def test_a_row_tells_what_was_asked_and_answered(openai_raw: Any, simulator: Simulator) -> None:
    usage = openai_raw.post(_tokens(12), traceparent="00-1-2-03").json()["usage"]
    row = simulator.log.rows()[-1]
    assert (row.provider, row.model, row.stream, row.status) == ("openai", "gpt-4-turbo", False, 200)
    assert (row.outcome, row.fault) == ("finished", "")
    assert (row.input_tokens, row.output_tokens) == (usage["prompt_tokens"], 12)
    assert row.headers["traceparent"] == "00-1-2-03"


def test_a_key_never_reaches_the_log(openai_raw: Any, simulator: Simulator) -> None:
    openai_raw.post()
    row = simulator.log.rows()[-1]
    assert row.key_suffix == "cdef"
    assert "sk-test" not in repr(row) + str(row.as_dict())
    assert "authorization" in row.header_names


def test_a_short_key_shows_no_suffix(openai_raw: Any, simulator: Simulator) -> None:
    openai_raw.post(authorization="Bearer abcdefgh")
    assert simulator.log.rows()[-1].key_suffix == ""


def test_the_applied_fault_is_named(openai_raw: Any, simulator: Simulator) -> None:
    simulator.faults.add(Fault(kind=FaultKind.STATUS))
    openai_raw.post()
    assert simulator.log.rows()[-1].fault == "status"


def test_recent_bodies_are_kept_for_tests(openai_raw: Any, simulator: Simulator) -> None:
    openai_raw.post(_tokens(3))
    body = simulator.log.rows()[-1].body
    assert body is not None
    assert b"[[tokens: 3]]" in body


def _enter(log: RequestLog, body: bytes = b"") -> LogRow:
    return log.open(lambda seq: LogRow(seq, "openai", "POST", "/", 0.0, 0.0), {}, body)


def test_the_log_is_bounded_and_numbers_go_on() -> None:
    log = RequestLog(max_rows=3)
    for _ in range(5):
        _enter(log)
    assert [row.seq for row in log.rows()] == [3, 4, 5]


def test_bodies_are_bounded() -> None:
    log = RequestLog(max_bodies=2)
    rows = [_enter(log, b"x") for _ in range(4)]
    assert [row.body for row in rows] == [None, None, b"x", b"x"]


def test_in_flight_is_counted_with_its_peak() -> None:
    log = RequestLog()
    first, second = _enter(log), _enter(log)
    log.close(first, "finished", 1.0)
    log.close(first, "finished", 1.0)
    assert (log.in_flight, log.max_in_flight) == (1, 2)
    log.close(second, "finished", 1.0)
    assert log.wait_idle(0)


def test_rows_can_be_asked_for_by_provider_and_number(
    openai_raw: Any, anthropic_raw: Any, simulator: Simulator
) -> None:
    openai_raw.post()
    anthropic_raw.post()
    openai_raw.post()
    first = simulator.log.rows()[0].seq
    assert [row.provider for row in simulator.log.rows(since=first)] == ["anthropic", "openai"]
    assert len(simulator.log.rows(provider="openai")) == 2


def test_the_bill_is_the_sum_of_the_usages(openai_sdk: openai.OpenAI, simulator: Simulator) -> None:
    usages = [openai_sdk.chat.completions.create(model="gpt-4o", messages=_tokens(n)["messages"]).usage for n in (5, 8)]
    line = simulator.bill().line("openai", "gpt-4o")
    assert (line.requests, line.output_tokens) == (2, 13)
    assert line.input_tokens == sum(usage.prompt_tokens for usage in usages if usage)


def test_a_streamed_request_is_billed_like_a_plain_one(openai_raw: Any, simulator: Simulator) -> None:
    openai_raw.post(_tokens(20))
    plain = simulator.bill().line("openai", "gpt-4-turbo")
    simulator.reset()
    openai_raw.post(_tokens(20) | {"stream": True})
    assert simulator.bill().line("openai", "gpt-4-turbo") == plain


def test_refused_requests_and_token_counts_cost_nothing(
    openai_raw: Any, anthropic_raw: Any, simulator: Simulator
) -> None:
    openai_raw.post({"temperature": 9})
    anthropic_raw.path += "/count_tokens"
    anthropic_raw.post({"max_tokens": ...})
    assert [row.status for row in simulator.log.rows()] == [400, 200]
    assert simulator.bill().lines() == []


def test_a_line_adds_each_kind_of_token() -> None:
    bill = Bill()
    bill.add("anthropic", "m", Usage(100, 50, 30, 20, 10), 50)
    bill.add("anthropic", "m", Usage(10, 50), 7)
    line = bill.line("anthropic", "m")
    assert (line.requests, line.input_tokens, line.output_tokens) == (2, 110, 57)
    assert (line.cached_input_tokens, line.cache_write_tokens) == (30, 30)
    assert (line.cache_write_5m_tokens, line.cache_write_1h_tokens) == (20, 10)


def test_a_line_given_out_is_a_copy() -> None:
    bill = Bill()
    bill.add("openai", "m", Usage(1, 1), 1)
    bill.line("openai", "m").requests = 99
    assert bill.line("openai", "m").requests == 1
