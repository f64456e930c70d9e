"""Streams, for every pair of wires: nothing lost, nothing made up, wherever the bytes are cut."""

from __future__ import annotations

import time
import timeit
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.errors import UpstreamError
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason, Wire
from gateway.wires import stream_translator
from gateway.wires.passthrough import UNSIGNED
from gateway.wires.sse import MAX_EVENT_BYTES

from .helpers import (
    ANTHROPIC,
    ANTHROPIC_STREAM,
    DONE,
    OPENAI,
    OPENAI_STREAM,
    PAIRS,
    STOP,
    STREAM_OF,
    USAGE_CHUNK,
    Streamed,
    block,
    call_delta,
    chunk,
    collect_anthropic,
    collect_openai,
    context,
    data_of,
    end,
    event,
    start,
    text_block,
    tool_block,
)

BOTH = pytest.mark.parametrize(("surface", "kind"), PAIRS)


def collected(surface: Wire, events: list[dict[str, Any]]) -> tuple[str, list[tuple[str, Any]]]:
    """The text and the calls that a client of this surface would see."""
    if surface is OPENAI:
        whole = collect_openai(events)
        return whole["text"], [(each["name"], orjson.loads(each["arguments"])) for each in whole["calls"].values()]
    blocks = collect_anthropic(events)["blocks"]
    calls = [(each["name"], orjson.loads(each["json"] or "{}")) for each in blocks if each["type"] == "tool_use"]
    return "".join(each["text"] for each in blocks if each["type"] == "text"), calls


@BOTH
def test_text_and_calls_arrive_whole(surface: Wire, kind: Wire) -> None:
    streamed = Streamed(surface, [STREAM_OF[kind]])
    text, calls = collected(surface, streamed.events)
    assert (text, calls) == ("Grüß Gott 🌍", [("look", {"city": "Wien"}), ("book", {"n": 1})])
    translator = streamed.translator
    assert translator.text == text
    assert (translator.usage, translator.finish_reason) == (Usage(10, 5), FinishReason.TOOL_CALLS)
    assert (translator.complete, translator.skipped_events) == (True, 0)


@BOTH
def test_the_terminator_is_held_back(surface: Wire, kind: Wire) -> None:
    streamed = Streamed(surface, [STREAM_OF[kind]])
    assert streamed.translator.terminator == (DONE if surface is OPENAI else STOP)
    assert b"[DONE]" not in streamed.data
    assert b"message_stop" not in streamed.data


@BOTH
def test_a_stream_means_the_same_wherever_it_is_cut(surface: Wire, kind: Wire) -> None:
    stream = STREAM_OF[kind]
    whole = Streamed(surface, [stream]).data
    assert Streamed(surface, [stream[at : at + 1] for at in range(len(stream))], kind=kind).data == whole
    for at in range(1, len(stream), 3):
        assert Streamed(surface, [stream[:at], stream[at:]], kind=kind).data == whole


@BOTH
@pytest.mark.parametrize("newline", [b"\r\n", b"\r"])
def test_other_line_ends_mean_the_same(surface: Wire, kind: Wire, newline: bytes) -> None:
    stream = STREAM_OF[kind].replace(b"\n", newline)
    reads = [stream[at : at + 7] for at in range(0, len(stream), 7)]
    assert Streamed(surface, reads, kind=kind).events == Streamed(surface, [STREAM_OF[kind]]).events


@BOTH
def test_comments_and_a_byte_order_mark_are_skipped(surface: Wire, kind: Wire) -> None:
    stream = b"\xef\xbb\xbf: keep-alive\n\n" + STREAM_OF[kind]
    reads = [stream[:1], stream[1:2], stream[2:]]
    assert Streamed(surface, reads, kind=kind).events == Streamed(surface, [STREAM_OF[kind]]).events


@BOTH
@pytest.mark.parametrize("junk", [b"data: {oops\n\n", b"data: [1]\n\n", b'data: "x"\n\n', b"data: null\n\n"])
def test_a_malformed_event_is_skipped_and_counted(surface: Wire, kind: Wire, junk: bytes) -> None:
    streamed = Streamed(surface, [STREAM_OF[kind].replace(b"\n\n", b"\n\n" + junk, 1)], kind=kind)
    assert collected(surface, streamed.events) == collected(surface, Streamed(surface, [STREAM_OF[kind]]).events)
    assert streamed.translator.skipped_events == 1


@BOTH
def test_a_missing_terminator_after_the_finish_reason_is_fine(surface: Wire, kind: Wire) -> None:
    stream = STREAM_OF[kind].removesuffix(DONE).removesuffix(STOP)
    streamed = Streamed(surface, [stream])
    assert streamed.data == Streamed(surface, [STREAM_OF[kind]]).data
    assert streamed.translator.complete is False


@BOTH
def test_a_last_event_without_its_blank_line_counts(surface: Wire, kind: Wire) -> None:
    assert Streamed(surface, [STREAM_OF[kind].rstrip(b"\n")]).data == Streamed(surface, [STREAM_OF[kind]]).data


@BOTH
@pytest.mark.parametrize("share", [0.0, 0.3, 0.7])
def test_a_stream_that_ends_early_is_broken(surface: Wire, kind: Wire, share: float) -> None:
    stream = STREAM_OF[kind]
    translator = stream_translator(surface, kind, context(surface, kind))
    translator.feed(stream[: int(len(stream) * share)])
    with pytest.raises(UpstreamError) as failure:
        translator.close()
    error = failure.value
    assert (error.kind, error.retryable, error.may_be_billed) == (FailureKind.STREAM_BROKEN, True, True)


@BOTH
def test_content_is_told_from_preliminaries(surface: Wire, kind: Wire) -> None:
    first, *others = STREAM_OF[kind].split(b"\n\n")
    translator = stream_translator(surface, kind, context(surface, kind))
    assert translator.feed(first + b"\n\n").has_content is False
    assert translator.feed(b"\n\n".join(others)).has_content is True


ERRORS = [
    ({"type": "overloaded_error", "message": "busy"}, FailureKind.SERVER_ERROR, True),
    ({"type": "api_error", "message": "x"}, FailureKind.SERVER_ERROR, True),
    ({"type": "server_error", "code": None, "message": "x"}, FailureKind.SERVER_ERROR, True),
    ({"type": "rate_limit_error", "message": "x"}, FailureKind.RATE_LIMITED, True),
    ({"type": "tokens", "code": "rate_limit_exceeded", "message": "x"}, FailureKind.RATE_LIMITED, True),
    ({"type": "insufficient_quota", "code": "insufficient_quota", "message": "x"}, FailureKind.QUOTA_EXHAUSTED, False),
    ({"type": "timeout_error", "message": "x"}, FailureKind.SERVER_ERROR, True),
    ({"type": "billing_error", "message": "x"}, FailureKind.QUOTA_EXHAUSTED, False),
    ({"type": "invalid_request_error", "message": "Prompt is too long: 9"}, FailureKind.CONTEXT_TOO_LONG, False),
    ({"type": "authentication_error", "message": "x"}, FailureKind.REJECTED_US, False),
    ({"type": "invalid_request_error", "message": "x"}, FailureKind.INVALID_REQUEST, False),
    ({"type": "something_new", "message": "x"}, FailureKind.STREAM_BROKEN, True),
    ("just text", FailureKind.STREAM_BROKEN, True),
]


@BOTH
@pytest.mark.parametrize(("error", "meaning", "retryable"), ERRORS)
def test_an_error_in_the_stream_is_raised_for_what_it_means(
    surface: Wire, kind: Wire, error: Any, meaning: FailureKind, retryable: bool
) -> None:
    raw = event("error", error=error) if kind is ANTHROPIC else b"data: " + orjson.dumps({"error": error}) + b"\n\n"
    translator = stream_translator(surface, kind, context(surface, kind))
    with pytest.raises(UpstreamError) as failure:
        translator.feed(raw)
    found = failure.value
    assert (found.kind, found.retryable, found.may_be_billed) == (meaning, retryable, True)


@BOTH
def test_what_came_before_an_error_is_given_out_first(surface: Wire, kind: Wire) -> None:
    first = STREAM_OF[kind][: STREAM_OF[kind].index(b"Gott")].rpartition(b"\n\n")[0] + b"\n\n"
    error = event("error", error={"type": "overloaded_error", "message": "busy"})
    raw = error if kind is ANTHROPIC else error.partition(b"\n")[2]
    translator = stream_translator(surface, kind, context(surface, kind))
    assert translator.feed(first + raw).data
    assert translator.text == "Grüß "
    for call in (lambda: translator.feed(b": x\n\n"), translator.close):
        with pytest.raises(UpstreamError, match="busy"):
            call()


@BOTH
def test_an_endless_event_is_unreadable(surface: Wire, kind: Wire) -> None:
    translator = stream_translator(surface, kind, context(surface, kind))
    translator.feed(b"x" * MAX_EVENT_BYTES)
    with pytest.raises(UpstreamError) as failure:
        translator.feed(b"x")
    assert failure.value.kind is FailureKind.UNREADABLE


# The same wire


@pytest.mark.parametrize("wire", list(Wire))
def test_the_same_wires_bytes_are_untouched(wire: Wire) -> None:
    streamed = Streamed(wire, [STREAM_OF[wire]])
    assert streamed.data + streamed.translator.terminator == STREAM_OF[wire]


@pytest.mark.parametrize("newline", [b"\n", b"\r\n", b"\r"])
@pytest.mark.parametrize("size", [1, 7, 10_000])
def test_what_frames_the_same_wires_events_is_untouched(newline: bytes, size: int) -> None:
    kept = b": keep-alive\n\nid: 7\nretry: 10\n" + chunk({"content": "h\u00e9"}).replace(b"data: ", b"data:")
    kept = (kept + chunk({}, "stop")).replace(b"\n", newline)
    stream = kept + DONE.replace(b"\n", newline)
    streamed = Streamed(OPENAI, [stream[at : at + size] for at in range(0, len(stream), size)])
    assert streamed.data == kept


def test_a_comment_that_speaks_for_the_gateway_is_taken_out() -> None:
    streamed = Streamed(OPENAI, [b': llmops {"cost_usd":"0"}\n\n' + OPENAI_STREAM])
    assert streamed.data + DONE == OPENAI_STREAM


def test_an_odd_terminator_is_kept() -> None:
    odd = b'event: message_stop\ndata: {"type":"message_stop","x_metrics":{"a":1.0}}\n\n'
    streamed = Streamed(ANTHROPIC, [ANTHROPIC_STREAM.replace(STOP, odd)])
    assert streamed.translator.terminator == odd


def test_usage_that_was_not_asked_for_is_held_back_but_read() -> None:
    streamed = Streamed(OPENAI, [OPENAI_STREAM], wants_usage=False)
    assert streamed.data == OPENAI_STREAM.removesuffix(USAGE_CHUNK + DONE)
    assert streamed.translator.usage == Usage(10, 5)


def test_usage_on_a_chunk_with_choices_is_taken_off_it() -> None:
    last = chunk({}, "stop", usage={"prompt_tokens": 1, "completion_tokens": 2}, x_future=1)
    streamed = Streamed(OPENAI, [chunk({"content": "a"}), last], wants_usage=False)
    assert streamed.events[-1]["usage"] is None
    assert streamed.events[-1]["x_future"] == 1
    assert streamed.translator.usage == Usage(1, 2)


def test_the_rest_of_such_a_chunk_is_untouched() -> None:
    usage = b'"usage" : {"prompt_tokens":1}'
    last = b'data: {"choices":[{"delta":{},"finish_reason":"stop"}],%b, "x":12345678901234567890123, "f":1.0e1}\n\n'
    streamed = Streamed(OPENAI, [chunk({"content": "a"}), last % usage], wants_usage=False)
    assert streamed.data == chunk({"content": "a"}) + last % b'"usage" : null'


def test_all_choices_must_finish() -> None:
    first, second = chunk({"content": "a"}, "stop"), chunk({}, "stop").replace(b'"index":0', b'"index":1')
    Streamed(OPENAI, [first, second], choices=2)
    with pytest.raises(UpstreamError):
        Streamed(OPENAI, [first], choices=2)


# Anthropic for OpenAI


def test_openais_chunks_begin_with_the_role_and_end_with_usage_if_asked() -> None:
    events = Streamed(OPENAI, [ANTHROPIC_STREAM]).events
    assert events[0]["choices"][0]["delta"] == {"role": "assistant", "content": "", "refusal": None}
    assert events[-2]["choices"][0] == {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "tool_calls"}
    assert (events[-1]["choices"], events[-1]["usage"]["total_tokens"]) == ([], 15)
    assert {(each["id"], each["created"], each["object"]) for each in events} == {
        ("msg_1", 1_700_000_000, "chat.completion.chunk")
    }
    assert all(each["usage"] is None for each in events[:-1])


def test_openai_clients_that_did_not_ask_get_no_usage() -> None:
    assert b"usage" not in Streamed(OPENAI, [ANTHROPIC_STREAM], wants_usage=False).data


def test_calls_are_numbered_from_zero_whatever_blocks_came_before() -> None:
    calls = collect_openai(Streamed(OPENAI, [ANTHROPIC_STREAM]).events)["calls"]
    assert [(index, each["id"]) for index, each in calls.items()] == [(0, "toolu_1"), (1, "toolu_2")]


def test_a_call_without_input_has_empty_arguments() -> None:
    streamed = Streamed(OPENAI, [start() + tool_block(0, "t", "f") + tool_block(1, "u", "g", "") + end("tool_use")])
    assert [each["arguments"] for each in collect_openai(streamed.events)["calls"].values()] == ["{}", "{}"]


@pytest.mark.parametrize("keeps", [True, False])
def test_thinking_is_streamed_and_its_signed_block_follows_if_it_can_come_back(keeps: bool) -> None:
    deltas = [
        {"type": "thinking_delta", "thinking": "h"},
        {"type": "thinking_delta", "thinking": "m"},
        {"type": "signature_delta", "signature": "abc"},
    ]
    thought = block(0, {"type": "thinking", "thinking": "", "signature": ""}, *deltas)
    streamed = Streamed(OPENAI, [start() + thought + text_block(1, "a") + end() + STOP], keeps_thoughts=keeps)
    assert collect_openai(streamed.events)["thought"] == "hm"
    blocks = [
        found
        for each in streamed.events
        for choice in each["choices"]
        for found in choice["delta"].get("thinking_blocks", [])
    ]
    assert blocks == [{"index": 0, "type": "thinking", "thinking": "hm", "signature": "abc"}][: int(keeps)]


def test_a_refusal_is_told() -> None:
    refused = end("refusal", stop_details={"type": "refusal", "explanation": "Because."})
    whole = collect_openai(Streamed(OPENAI, [start() + text_block(0, "a") + refused + STOP]).events)
    assert (whole["finish"], whole["refusal"]) == ("content_filter", "Because.")


def test_cache_tokens_of_the_start_and_counts_of_the_end_add_up() -> None:
    stream = start(cache_read_input_tokens=100, cache_creation_input_tokens=30) + text_block(0, "a") + end() + STOP
    for surface in Wire:
        assert Streamed(surface, [stream]).translator.usage == Usage(140, 5, 100, 30)


def test_the_forced_tool_is_unwrapped() -> None:
    stream = start() + tool_block(0, "t", "json_answer", '{"a"', ":1}") + end("tool_use") + STOP
    whole = collect_openai(Streamed(OPENAI, [stream], answer_tool="json_answer").events)
    assert (whole["text"], whole["calls"], whole["finish"]) == ('{"a":1}', {}, "stop")


def test_the_older_functions_get_function_call_deltas() -> None:
    stream = start() + tool_block(0, "t", "f", '{"a"', ":1}") + end("tool_use") + STOP
    events = Streamed(OPENAI, [stream], legacy_functions=True).events
    deltas = [choice["delta"].get("function_call", {}) for each in events for choice in each["choices"]]
    assert "".join(each.get("arguments", "") for each in deltas) == '{"a":1}'
    assert events[-2]["choices"][0]["finish_reason"] == "function_call"


# OpenAI for Anthropic


def test_anthropics_events_come_in_their_order() -> None:
    events = Streamed(ANTHROPIC, [OPENAI_STREAM]).events
    kinds = [each["type"].removeprefix("content_block_") for each in events]
    assert kinds == [
        "message_start",
        *("start", "delta", "delta", "stop"),
        *("start", "delta", "delta", "stop"),
        *("start", "delta", "stop"),
        "message_delta",
    ]
    whole = collect_anthropic(events)
    assert (whole["stop"], whole["usage"]["input_tokens"], whole["usage"]["output_tokens"]) == ("tool_use", 10, 5)
    assert [each.get("id") for each in whole["blocks"]] == [None, "call_1", "call_2"]


def test_every_event_is_named_by_its_type() -> None:
    data = Streamed(ANTHROPIC, [OPENAI_STREAM]).data
    for each in data.split(b"\n\n")[:-1]:
        name, _, rest = each.partition(b"\n")
        assert name == b"event: " + data_of(rest)[0]["type"].encode()


def test_overlapping_calls_lose_nothing() -> None:
    stream = [
        chunk(call_delta(0, '{"a":', id="call_1", name="f")),
        chunk(call_delta(1, '{"b":', id="call_2", name="g")),
        chunk({"content": "so"}),
        chunk(call_delta(0, "1}")),
        chunk(call_delta(1, "2}")),
        chunk({}, "tool_calls"),
    ]
    blocks = collect_anthropic(Streamed(ANTHROPIC, stream).events)["blocks"]
    assert [(each["type"], each["json"]) for each in blocks] == [
        ("tool_use", '{"a":1}'),
        ("tool_use", '{"b":2}'),
        ("text", ""),
    ]
    assert blocks[2]["text"] == "so"


def test_calls_at_once_without_index_or_id_are_told_apart() -> None:
    calls = [{"function": {"name": name, "arguments": "{}"}} for name in ("f", "g")]
    blocks = collect_anthropic(Streamed(ANTHROPIC, [chunk({"tool_calls": calls}), chunk({}, "stop")]).events)["blocks"]
    assert [each["name"] for each in blocks] == ["f", "g"]
    assert len({each["id"] for each in blocks}) == 2


def test_reasoning_is_an_unsigned_thinking_block() -> None:
    stream = [chunk({"reasoning_content": "h"}), chunk({"reasoning_content": "m"}), chunk({"content": "a"}, "stop")]
    blocks = collect_anthropic(Streamed(ANTHROPIC, stream).events)["blocks"]
    assert (blocks[0]["thinking"], blocks[0]["signature"], blocks[1]["text"]) == ("hm", UNSIGNED, "a")


@pytest.mark.parametrize(
    ("delta", "finish", "stop"),
    [
        ({"content": "a"}, "stop", "end_turn"),
        ({"content": "a"}, "length", "max_tokens"),
        ({"content": "a"}, "content_filter", "refusal"),
        ({"refusal": "no"}, "stop", "refusal"),
        (call_delta(0, "{}", id="c", name="f"), "stop", "tool_use"),
    ],
)
def test_openais_finish_reasons(delta: dict[str, Any], finish: str, stop: str) -> None:
    assert collect_anthropic(Streamed(ANTHROPIC, [chunk(delta), chunk({}, finish)]).events)["stop"] == stop


def test_a_terminator_without_a_finish_reason_makes_no_answer_whole() -> None:
    with pytest.raises(UpstreamError) as broken:
        Streamed(ANTHROPIC, [chunk({"content": "a"}), DONE])
    assert broken.value.kind is FailureKind.STREAM_BROKEN


def test_a_chunk_before_the_answer_is_no_content() -> None:
    preliminary = b'data: {"id":"","model":"","choices":[],"prompt_filter_results":[]}\n\n'
    streamed = Streamed(ANTHROPIC, [preliminary, OPENAI_STREAM])
    assert streamed.events[0]["message"]["id"] == "chatcmpl-1"


def test_the_forced_function_is_unwrapped() -> None:
    stream = [chunk(call_delta(0, id="c", name="json_answer")), chunk(call_delta(0, '{"a":1}')), chunk({}, "stop")]
    streamed = Streamed(ANTHROPIC, stream, answer_tool="json_answer")
    whole = collect_anthropic(streamed.events)
    assert [(each["type"], each["text"]) for each in whole["blocks"]] == [("text", '{"a":1}')]
    assert (whole["stop"], streamed.translator.text) == ("end_turn", '{"a":1}')


# Properties

PIECES = st.lists(st.text(st.characters(exclude_categories=["Cs"]), max_size=6), min_size=1, max_size=4)
ARGUMENTS = st.dictionaries(st.text(max_size=3), st.integers(-9, 9) | st.text(max_size=3), max_size=2)


def pieces_of(value: Any, cut: int) -> list[str]:
    whole = orjson.dumps(value).decode()
    return [piece for piece in (whole[:cut], whole[cut:]) if piece]


def stream_of(kind: Wire, words: list[str], calls: list[tuple[Any, int]]) -> bytes:
    if kind is OPENAI:
        deltas = [chunk({"content": each}) for each in words]
        for index, (value, cut) in enumerate(calls):
            deltas.append(chunk(call_delta(index, id=f"call_{index}", name="f")))
            deltas += [chunk(call_delta(index, piece)) for piece in pieces_of(value, cut)]
        return b"".join([*deltas, chunk({}, "tool_calls" if calls else "stop"), USAGE_CHUNK, DONE])
    blocks = [tool_block(index + 1, f"call_{index}", "f", *pieces_of(*each)) for index, each in enumerate(calls)]
    return b"".join([start(), text_block(0, *words), *blocks, end("tool_use" if calls else "end_turn"), STOP])


@settings(max_examples=60, deadline=None)
@given(
    st.sampled_from(PAIRS),
    PIECES,
    st.lists(st.tuples(ARGUMENTS, st.integers(1, 6)), max_size=3),
    st.lists(st.integers(0, 2000), max_size=4),
)
def test_any_answer_cut_anywhere_arrives_and_returns_through_the_other_wire(
    pair: tuple[Wire, Wire], words: list[str], calls: list[tuple[Any, int]], cuts: list[int]
) -> None:
    surface, kind = pair
    stream = stream_of(kind, words, calls)
    edges = [0, *sorted(min(cut, len(stream)) for cut in cuts), len(stream)]
    streamed = Streamed(surface, [stream[a:b] for a, b in pairwise(edges)], kind=kind)
    expected = ("".join(words), [("f", value) for value, _ in calls])
    assert collected(surface, streamed.events) == expected
    back = Streamed(kind, [streamed.data + streamed.translator.terminator], kind=surface)
    assert collected(kind, back.events) == expected
    assert back.translator.usage == streamed.translator.usage == Usage(10, 5)
    assert back.translator.finish_reason is streamed.translator.finish_reason


@BOTH
def test_a_hundred_chunks_take_well_under_a_millisecond_or_two(surface: Wire, kind: Wire) -> None:
    """Three times what an idle machine takes; a translation through models or copies would be ten times slower."""
    stream = stream_of(kind, ["some words "] * 100, [])

    def run() -> None:
        translator = stream_translator(surface, kind, context(surface, kind))
        translator.feed(stream)
        translator.close()

    assert min(timeit.repeat(run, number=5, repeat=5, timer=time.process_time)) / 5 < 2e-3


LONG = text_block(0, *["hello "] * 500)
CUT_DELTA = b'event: message_delta\ndata: {"type":"message_delta","delta":{"stop_reason":"max_to\n\n'


@pytest.mark.parametrize("surface", list(Wire))
@pytest.mark.parametrize("delta", [CUT_DELTA, b"", event("message_delta", delta={}, usage={"output_tokens": 5})])
def test_an_anthropic_stream_without_a_stop_reason_is_broken_whatever_ends_it(surface: Wire, delta: bytes) -> None:
    translator = stream_translator(surface, ANTHROPIC, context(surface, ANTHROPIC))
    translator.feed(start() + LONG + delta + STOP)
    with pytest.raises(UpstreamError) as failure:
        translator.close()
    assert (failure.value.kind, translator.usage_is_final) == (FailureKind.STREAM_BROKEN, False)


@pytest.mark.parametrize("surface", list(Wire))
def test_an_openai_stream_whose_finish_was_malformed_is_broken_although_it_was_done(surface: Wire) -> None:
    translator = stream_translator(surface, OPENAI, context(surface, OPENAI))
    translator.feed(chunk({"content": "hello"}) + b'data: {"choices":[{"finish_reas\n\n' + DONE)
    with pytest.raises(UpstreamError) as failure:
        translator.close()
    assert failure.value.kind is FailureKind.STREAM_BROKEN


NO_COUNTS = event("message_delta", delta={"stop_reason": "end_turn"}, usage={})
PARTIAL = chunk({"content": "hello"}, usage={"prompt_tokens": 10, "completion_tokens": 1})


@pytest.mark.parametrize("surface", list(Wire))
@pytest.mark.parametrize(
    ("kind", "stream", "is_final"),
    [
        (ANTHROPIC, start() + LONG, False),
        (ANTHROPIC, start() + LONG + NO_COUNTS, False),
        (ANTHROPIC, start() + LONG + NO_COUNTS + STOP, False),
        (ANTHROPIC, start() + LONG + end(), True),
        (OPENAI, PARTIAL, False),
        (OPENAI, PARTIAL + chunk({}, "stop"), False),
        (OPENAI, PARTIAL + chunk({}, "stop") + USAGE_CHUNK, True),
        (OPENAI, PARTIAL + chunk({}, "stop", usage={"prompt_tokens": 10, "completion_tokens": 5}), True),
        (OPENAI, PARTIAL + chunk({}, "stop") + b"data: {oops\n\n" + DONE, False),
        (OPENAI, PARTIAL + chunk({}, "stop") + DONE, True),
    ],
)
def test_usage_is_final_once_it_is_told_of_the_whole_answer(
    surface: Wire, kind: Wire, stream: bytes, is_final: bool
) -> None:
    translator = stream_translator(surface, kind, context(surface, kind))
    translator.feed(stream)
    assert translator.usage_is_final is is_final
