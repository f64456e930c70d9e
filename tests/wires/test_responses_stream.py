"""Streams of the Responses API: every byte goes on, the last event is held back, and no failure looks like an end."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import openai
import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.errors import AllTargetsFailed, UpstreamError
from gateway.engine.usage import Usage
from gateway.engine.words import FailureKind, FinishReason, Operation, Wire
from gateway.wires import Context, StreamTranslator, render_responses_error, stream_translator

from .conftest import Scripted


def event(kind: str, number: int = 0, **fields: Any) -> bytes:
    return b"event: %b\ndata: %b\n\n" % (
        kind.encode(),
        orjson.dumps({"type": kind, "sequence_number": number, **fields}),
    )


def body_of(status: str, **fields: Any) -> dict[str, Any]:
    return {"id": "resp_1", "object": "response", "model": "gpt-x", "status": status, "output": [], **fields}


USAGE = {"input_tokens": 10, "output_tokens": 5, "total_tokens": 15}
CREATED = event("response.created", 0, response=body_of("in_progress"))
ITEM = event("response.output_item.added", 1, output_index=0, item={"type": "message", "id": "m", "content": []})
TEXTS = [
    event("response.output_text.delta", 2 + at, item_id="m", output_index=0, content_index=0, delta=delta)
    for at, delta in enumerate(["Hé", "llo"])
]
FUTURE = event("response.some_future_event", 4, odd=1)
COMPLETED = event("response.completed", 5, response=body_of("completed", usage=USAGE))
HEAD = CREATED + ITEM + b"".join(TEXTS) + FUTURE


def translator() -> StreamTranslator:
    return stream_translator(
        Wire.OPENAI, Wire.OPENAI, Context(Wire.OPENAI, Wire.OPENAI, "asked", 0, operation=Operation.RESPONSES)
    )


def run(stream: bytes, cuts: list[int] | None = None) -> tuple[bytes, StreamTranslator]:
    """What goes on of a stream cut into pieces at `cuts`, and the translator at its end."""
    reader = translator()
    edges = [0, *sorted(cuts or []), len(stream)]
    pieces = [stream[start:end] for start, end in pairwise(edges)]
    data = b"".join(reader.feed(piece).data for piece in pieces if piece)
    return data + reader.close().data, reader


def test_events_go_on_byte_for_byte_and_the_last_is_held_back() -> None:
    data, reader = run(HEAD + COMPLETED)
    assert data == HEAD
    assert reader.terminator == COMPLETED
    assert reader.complete


def test_the_facts_of_a_stream_are_read_from_its_last_event() -> None:
    _, reader = run(HEAD + COMPLETED)
    assert reader.usage == Usage(10, 5)
    assert reader.finish_reason is FinishReason.STOP
    assert (reader.text, reader.upstream_id, reader.model) == ("Héllo", "resp_1", "gpt-x")


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(1, len(HEAD + COMPLETED) - 1), max_size=6))
def test_it_doesn_t_matter_where_the_bytes_are_cut(cuts: list[int]) -> None:
    data, reader = run(HEAD + COMPLETED, cuts)
    assert data == HEAD
    assert reader.terminator == COMPLETED


@pytest.mark.parametrize(
    ("piece", "content"),
    [
        (CREATED, False),
        (ITEM, False),
        (event("response.output_item.added", item={"type": "reasoning", "id": "r"}), False),
        (event("response.output_item.added", item={"type": "function_call", "name": "f"}), True),
        (TEXTS[0], True),
        (event("response.output_text.delta", delta=""), False),
        (event("response.refusal.delta", delta="No"), True),
        (event("response.function_call_arguments.delta", delta="{"), True),
        (event("response.reasoning_summary_text.delta", delta="Hm"), True),
        (event("response.reasoning_text.delta", delta="Hm"), True),
        (b": a comment\n\n", False),
    ],
)
def test_content_is_text_a_tool_call_or_thinking(piece: bytes, content: bool) -> None:
    assert translator().feed(piece).has_content is content


def test_a_response_cut_by_its_limit_ends_well() -> None:
    cut = event(
        "response.incomplete",
        response=body_of("incomplete", incomplete_details={"reason": "max_output_tokens"}, usage=USAGE),
    )
    _, reader = run(HEAD + cut)
    assert reader.terminator == cut
    assert reader.finish_reason is FinishReason.LENGTH


def test_a_tool_call_is_known_although_the_last_event_leaves_the_output_out() -> None:
    call = event("response.output_item.added", item={"type": "function_call", "name": "f"})
    _, reader = run(CREATED + call + event("response.completed", response={"id": "resp_1", "status": "completed"}))
    assert reader.finish_reason is FinishReason.TOOL_CALLS


@pytest.mark.parametrize("stream", [b"", CREATED, HEAD, HEAD + COMPLETED[:-40]])
def test_a_stream_without_its_last_event_is_broken(stream: bytes) -> None:
    with pytest.raises(UpstreamError) as failure:
        run(stream)
    assert failure.value.kind is FailureKind.STREAM_BROKEN


SLOW: dict[str, Any] = {"code": "rate_limit_exceeded", "message": "Slow down."}


@pytest.mark.parametrize(
    "failed",
    [
        event("response.failed", response=body_of("failed", error=SLOW)),
        event("error", **SLOW),
        event("error", error=SLOW),
    ],
)
def test_a_failure_in_the_stream_is_raised_after_what_came_before_it(failed: bytes) -> None:
    reader = translator()
    assert reader.feed(TEXTS[0] + failed).data == TEXTS[0]
    with pytest.raises(UpstreamError) as failure:
        reader.feed(b"")
    assert (failure.value.kind, failure.value.message) == (FailureKind.RATE_LIMITED, "Slow down.")


def test_a_failure_without_a_reason_is_a_broken_stream() -> None:
    with pytest.raises(UpstreamError) as failure:
        translator().feed(event("response.failed", response=body_of("failed")))
    assert failure.value.kind is FailureKind.STREAM_BROKEN
    assert failure.value.message


def test_a_broken_event_is_skipped() -> None:
    data, reader = run(HEAD + b"event: x\ndata: {broken\n\n" + COMPLETED)
    assert data == HEAD
    assert reader.skipped_events == 1


# Our own error as the last event ------------------------------------------------------------------------------------


def test_our_error_counts_on_from_the_last_event_and_has_the_api_s_fields() -> None:
    rendered = render_responses_error(AllTargetsFailed("It broke off."), HEAD)
    head, _, data = rendered.partition(b"\n")
    fields = orjson.loads(data.removeprefix(b"data: "))
    assert head == b"event: error"
    assert rendered.endswith(b"\n\n")
    assert (fields["type"], fields["sequence_number"], fields["code"]) == ("error", 5, "all_targets_failed")
    assert fields["message"] == fields["error"]["message"] == "It broke off."


def test_a_number_inside_a_text_is_not_taken_for_the_event_s() -> None:
    sent = event("response.output_text.delta", 7, delta='"sequence_number":99')
    assert b'"sequence_number":8,' in render_responses_error(AllTargetsFailed("x"), sent)


def test_the_official_sdk_raises_on_our_error(openai_client: openai.OpenAI) -> None:
    error = render_responses_error(AllTargetsFailed("It broke off."), HEAD)
    Scripted.reply = (200, {"content-type": "text/event-stream"}, HEAD + error)
    stream = openai_client.responses.create(model="m", input="hi", stream=True)
    with pytest.raises(openai.APIError, match="It broke off"):
        list(stream)


def test_the_official_sdk_reads_the_stream_with_the_cost_in_a_comment(openai_client: openai.OpenAI) -> None:
    Scripted.reply = (
        200,
        {"content-type": "text/event-stream"},
        HEAD + b': llmops {"cost_usd": "0.1"}\n\n' + COMPLETED,
    )
    stream: Any = openai_client.responses.create(model="m", input="hi", stream=True)
    kinds = [each.type for each in stream]
    assert kinds[0] == "response.created"
    assert kinds[-1] == "response.completed"
