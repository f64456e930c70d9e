"""What counts as a report of usage: an answer is charged by the provider's own count only if that is one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest

from gateway.engine.usage import Usage
from gateway.engine.words import Wire
from gateway.wires.passthrough_stream import AnthropicPassthrough
from gateway.wires.vocabulary import (
    MOST_TOKENS,
    usage_from_anthropic,
    usage_from_embeddings,
    usage_from_openai,
    usage_from_responses,
)
from gateway.wires.words import Context

CHAT = {"prompt_tokens": 50, "completion_tokens": 20}
NAMED_AS_ANTHROPIC = {"input_tokens": 50, "output_tokens": 20}
READERS: list[tuple[Callable[[Any], Usage | None], dict[str, Any]]] = [
    (usage_from_openai, CHAT),
    (usage_from_embeddings, {"prompt_tokens": 50}),
    (usage_from_responses, NAMED_AS_ANTHROPIC),
    (usage_from_anthropic, NAMED_AS_ANTHROPIC),
]
NO_COUNTS = [None, "50", "", -1, 0.5, float("nan"), float("inf"), True, [50], {}, MOST_TOKENS + 1, 2**63]


@pytest.mark.parametrize("wrong", NO_COUNTS, ids=repr)
@pytest.mark.parametrize(("read", "report"), READERS)
def test_a_count_that_cannot_be_one_makes_the_report_none(
    read: Callable[[Any], Usage | None], report: dict[str, Any], wrong: Any
) -> None:
    assert read(report) is not None
    for name in report:
        assert read({**report, name: wrong}) is None


@pytest.mark.parametrize(("read", "report"), READERS)
def test_a_report_without_one_of_its_counts_is_none(
    read: Callable[[Any], Usage | None], report: dict[str, Any]
) -> None:
    for left_out in report:
        assert read({name: value for name, value in report.items() if name != left_out}) is None


@pytest.mark.parametrize("usage", [None, {}, [], "50", 50, True], ids=repr)
@pytest.mark.parametrize(("read", "report"), READERS)
def test_what_is_no_object_is_no_report(
    read: Callable[[Any], Usage | None], report: dict[str, Any], usage: Any
) -> None:
    assert read(usage) is None


@pytest.mark.parametrize(("read", "report"), READERS)
def test_no_request_is_without_input(read: Callable[[Any], Usage | None], report: dict[str, Any]) -> None:
    assert read(dict.fromkeys(report, 0)) is None


@pytest.mark.parametrize(("read", "report"), READERS)
def test_whole_numbers_written_as_floats_are_counts(
    read: Callable[[Any], Usage | None], report: dict[str, Any]
) -> None:
    found = read({name: float(value) for name, value in report.items()})

    assert found == read(report)
    assert found is not None
    assert type(found.input_tokens) is int


@pytest.mark.parametrize(
    ("read", "report"),
    [
        (usage_from_openai, {**CHAT, "prompt_tokens_details": {"cached_tokens": -40}}),
        (usage_from_openai, {**CHAT, "completion_tokens_details": {"reasoning_tokens": "7"}}),
        (usage_from_responses, {**NAMED_AS_ANTHROPIC, "input_tokens_details": {"cache_write_tokens": -1}}),
        (usage_from_anthropic, {**NAMED_AS_ANTHROPIC, "cache_read_input_tokens": -40}),
        (usage_from_anthropic, {**NAMED_AS_ANTHROPIC, "cache_creation": {"ephemeral_1h_input_tokens": "9"}}),
    ],
)
def test_a_wrong_part_makes_the_whole_report_none(read: Callable[[Any], Usage | None], report: dict[str, Any]) -> None:
    assert read(report) is None


@pytest.mark.parametrize("absent", [None, {}])
def test_parts_may_be_left_out(absent: Any) -> None:
    assert usage_from_openai({**CHAT, "prompt_tokens_details": absent}) == Usage(50, 20)


@pytest.mark.parametrize("output", [-20, "20", 2**63])
def test_a_stream_is_not_charged_by_what_its_beginning_told(output: Any) -> None:
    """Anthropic's `message_start` tells of one token of output; the last count is the one that matters."""
    stream = AnthropicPassthrough(Context(Wire.ANTHROPIC, Wire.ANTHROPIC, "claude-3-5-sonnet-20241022", 0))
    stream.feed(_event({"type": "message_start", "message": {"usage": {"input_tokens": 50, "output_tokens": 1}}}))
    stream.feed(
        _event({"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": output}})
    )

    assert not (stream.usage_is_final and stream.usage)


def _event(event: dict[str, Any]) -> bytes:
    return b"event: " + event["type"].encode() + b"\ndata: " + orjson.dumps(event) + b"\n\n"
