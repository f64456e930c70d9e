"""Going on with an answer that broke off: what is asked, and what the client sees of it."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.engine.errors import UpstreamError
from gateway.engine.exchange import Ask, Continuation, Seam
from gateway.engine.usage import Usage
from gateway.wires import StreamTranslator, continuation_ask, continuation_stream, stream_translator
from gateway.wires.continuation import GO_ON, continuable, continuation_payload, rest_of_limit

from .helpers import (
    ANTHROPIC,
    DONE,
    OPENAI,
    PAIRS,
    STOP,
    USAGE_CHUNK,
    assistant,
    block,
    call_delta,
    chat,
    chunk,
    collect_anthropic,
    collect_openai,
    context,
    data_of,
    end,
    event,
    messages,
    start,
    text,
    text_block,
    tool_block,
    tool_use,
    user,
)

HI = user("hi")


# What is asked --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("payload", "prefill", "expected"),
    [
        (chat(HI), True, [HI, assistant("so far")]),
        (chat(HI), False, [HI, assistant("so far \n"), user(GO_ON)]),
        (messages(HI), True, [HI, assistant("so far")]),
        (messages(HI), False, [HI, assistant("so far \n"), user(GO_ON)]),
        (messages(HI, assistant("And ")), True, [HI, assistant("And so far")]),
        (messages(HI, assistant("And ")), False, [HI, assistant("And so far \n"), user(GO_ON)]),
        (messages(HI, assistant([text("And ")])), True, [HI, assistant([text("And so far")])]),
        (
            messages(HI, assistant([tool_use("t", "f", {})])),
            True,
            [HI, assistant([tool_use("t", "f", {}), text("so far")])],
        ),
        (chat(HI, assistant("And ")), True, [HI, assistant("And "), assistant("so far")]),
    ],
)
def test_the_text_so_far_is_a_prefill_or_followed_by_an_instruction(
    payload: dict[str, Any], prefill: bool, expected: list[dict[str, Any]]
) -> None:
    surface = ANTHROPIC if "max_tokens" in payload else OPENAI
    before = orjson.dumps(payload)
    asked = continuation_payload(surface, payload, "so far \n", prefill=prefill, limit=None)
    assert asked["messages"] == expected
    assert orjson.dumps(payload) == before


@pytest.mark.parametrize(
    ("limits", "left"),
    [
        ({}, None),
        ({"max_tokens": 100}, 75),
        ({"max_completion_tokens": 100}, 75),
        ({"max_tokens": 5, "max_completion_tokens": 30}, 5),
        ({"max_tokens": 20}, 1),
    ],
)
def test_the_rest_may_be_as_long_as_the_clients_limit_leaves(limits: dict[str, int], left: int | None) -> None:
    assert rest_of_limit(chat(**limits), "four" * 25) == left


def test_every_limit_that_the_client_set_is_lowered() -> None:
    both = chat(max_tokens=50, max_completion_tokens=50)
    asked = continuation_payload(OPENAI, both, "x", prefill=False, limit=7)
    assert (asked["max_tokens"], asked["max_completion_tokens"]) == (7, 7)
    unlimited = continuation_payload(OPENAI, chat(), "x", prefill=False, limit=None)
    assert not {"max_tokens", "max_completion_tokens"} & set(unlimited)


def test_the_rest_is_asked_for_without_thinking() -> None:
    thinking = messages(HI, thinking={"type": "enabled", "budget_tokens": 50})
    assert "thinking" not in continuation_payload(ANTHROPIC, thinking, "x", prefill=True, limit=9)


@pytest.mark.parametrize(
    ("payload", "said", "prefill"),
    [(chat(), "x", True), (chat(reasoning_effort="low"), "x", False), (chat(), " ", False)],
)
def test_prefill_needs_a_text_and_no_thinking(payload: dict[str, Any], said: str, prefill: bool) -> None:
    ask = Ask("req-1", OPENAI, payload, b"", True, continuation=Continuation(Seam(said, "i", "m"), prefill=True))
    asked = continuation_ask(ask)
    assert asked.continuation is not None
    assert asked.continuation.prefill is prefill
    assert orjson.loads(asked.body) == asked.payload
    assert (asked.payload["messages"][-1]["role"] == "assistant") is prefill


@pytest.mark.parametrize("payload", [chat(), messages()])
def test_the_request_for_the_rest_grows_by_no_more_than_is_charged_for(payload: dict[str, Any]) -> None:
    surface = ANTHROPIC if "max_tokens" in payload else OPENAI
    continuation = Continuation(Seam("Grüß Gott", "i", "m"), prefill=False)
    asked = continuation_ask(Ask("req-1", surface, payload, b"", True, continuation=continuation))
    assert len(asked.body) - len(orjson.dumps(payload)) <= continuation.bytes_added


def test_an_ordinary_request_is_left_alone() -> None:
    ask = Ask("req-1", OPENAI, chat(), b"{}", True)
    assert continuation_ask(ask) is ask


@pytest.mark.parametrize(
    ("payload", "expected"),
    [
        (chat(), True),
        (chat(n=1, response_format={"type": "text"}, tool_choice="auto", tools=[{}]), True),
        (chat(n=2), False),
        (chat(response_format={"type": "json_object"}), False),
        (chat(response_format={"type": "json_schema", "json_schema": {}}), False),
        (chat(tool_choice="required"), False),
        (chat(tool_choice={"type": "function", "function": {"name": "f"}}), False),
        (chat(function_call={"name": "f"}), False),
        (chat(modalities=["text", "audio"]), False),
        (messages(), True),
        (messages(tool_choice={"type": "auto"}, output_config={"effort": "low"}), True),
        (messages(tool_choice={"type": "any"}), False),
        (messages(tool_choice={"type": "tool", "name": "f"}), False),
        (messages(output_config={"format": {"type": "json_schema"}}), False),
        (messages(output_format={"type": "json_schema"}), False),
    ],
)
def test_only_one_plain_text_is_continued(payload: dict[str, Any], expected: bool) -> None:
    assert continuable(ANTHROPIC if "max_tokens" in payload else OPENAI, payload) is expected


# Where it broke off ---------------------------------------------------------------------------------------------------


def begun(surface: Any, kind: Any, *data: bytes, **fields: Any) -> StreamTranslator:
    translator = stream_translator(surface, kind, context(surface, kind, wants_usage=True, **fields))
    for each in data:
        translator.feed(each)
    return translator


def opened(*pieces: str, index: int = 0) -> bytes:
    return text_block(index, *pieces).rpartition(b"event: content_block_stop")[0]


SAID = {OPENAI: chunk({"content": "So "}) + chunk({"content": "far"}), ANTHROPIC: start() + opened("So ", "far")}
CALL = {OPENAI: chunk(call_delta(0, id="c", name="f")), ANTHROPIC: tool_block(1, "c", "f")}
THOUGHT = {
    OPENAI: chunk({"reasoning_content": "hm"}),
    ANTHROPIC: start() + block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"}),
}


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_text_alone_can_be_continued(surface: Any, kind: Any) -> None:
    seam = begun(surface, kind, SAID[kind]).seam
    assert seam is not None
    assert seam.text == "So far"
    assert (seam.open_block, seam.next_block) == ((0, 1) if surface is ANTHROPIC else (None, 0))


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
@pytest.mark.parametrize("data", [{OPENAI: b"", ANTHROPIC: b""}, THOUGHT], ids=["nothing", "thinking"])
def test_without_text_nothing_can_be_continued(surface: Any, kind: Any, data: dict[Any, bytes]) -> None:
    assert begun(surface, kind, data[kind]).seam is None


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_a_call_or_a_finish_reason_ends_it(surface: Any, kind: Any) -> None:
    stop = {OPENAI: chunk({}, "stop"), ANTHROPIC: end()}
    for data in (CALL, stop):
        assert begun(surface, kind, SAID[kind], data[kind]).seam is None


@pytest.mark.parametrize("surface", [OPENAI, ANTHROPIC])
def test_a_refusal_is_not_continued(surface: Any) -> None:
    assert begun(surface, OPENAI, SAID[OPENAI], chunk({"refusal": "No"})).seam is None


def test_several_choices_are_not_continued() -> None:
    assert begun(OPENAI, OPENAI, SAID[OPENAI], choices=2).seam is None


def test_thinking_after_text_is_not_continued() -> None:
    assert begun(ANTHROPIC, ANTHROPIC, SAID[ANTHROPIC], block(1, {"type": "thinking", "thinking": ""})).seam is None


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_what_was_never_given_out_is_not_part_of_the_text(surface: Any, kind: Any) -> None:
    """A last event that came without its blank line is lost with the stream."""
    last = {OPENAI: chunk({"content": "!"}), ANTHROPIC: opened("!").rpartition(b"event: content_block_d")[2]}
    rest = last[kind].rstrip() if kind is OPENAI else b"event: content_block_d" + last[kind].rstrip()
    translator = begun(surface, kind, SAID[kind], rest)
    with pytest.raises(UpstreamError):
        translator.close()
    assert translator.seam is not None
    assert translator.seam.text == "So far"


# What the client sees -------------------------------------------------------------------------------------------------


def whole(kind: Any, *pieces: str) -> bytes:
    if kind is OPENAI:
        chunks = [chunk({"role": "assistant", "content": ""}), *(chunk({"content": piece}) for piece in pieces)]
        return b"".join([*chunks, chunk({}, "stop"), USAGE_CHUNK, DONE]).replace(b"chatcmpl-1", b"chatcmpl-2")
    return b"".join([start(), text_block(0, *pieces), end(), STOP]).replace(b"msg_1", b"msg_2")


def rest_of(surface: Any, kind: Any, seam: Seam, data: bytes, *, prefill: bool = True, **fields: Any) -> bytes:
    inner = stream_translator(surface, kind, context(surface, kind, **{"wants_usage": True, **fields}))
    translator = continuation_stream(surface, inner, Continuation(seam, prefill))
    return translator.feed(data).data + translator.close().data


def text_of(surface: Any, stream: bytes) -> str:
    if surface is OPENAI:
        return str(collect_openai(data_of(stream))["text"])
    (only,) = collect_anthropic(data_of(stream))["blocks"]
    return str(only["text"])


WORDS = st.lists(st.sampled_from(["alpha", "beta", "\n\n", "  ", "été", "🌍", "3.14", "`x`"]), min_size=1, max_size=12)


@settings(max_examples=60, deadline=None)
@given(st.sampled_from(PAIRS), st.sampled_from([OPENAI, ANTHROPIC]), WORDS, st.integers(1, 60), st.integers(1, 9))
def test_any_text_broken_off_anywhere_is_one_whole_answer(
    pair: Any, other: Any, words: list[str], at: int, size: int
) -> None:
    surface, kind = pair
    answer = "".join(words) + "."
    sent = answer[: min(at, len(answer) - 1)]
    first = chunk({"role": "assistant"}) + chunk({"content": sent}) if kind is OPENAI else start() + opened(sent)
    translator = stream_translator(surface, kind, context(surface, kind, wants_usage=True))
    begun_data = translator.feed(first).data
    seam = translator.seam
    assert seam is not None
    said_again = answer[len(sent.rstrip()) :]
    pieces = [said_again[a:b] for a, b in pairwise([*range(0, len(said_again), size), len(said_again)])]
    assert text_of(surface, begun_data + rest_of(surface, other, seam, whole(other, *pieces))) == answer


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_the_rest_has_the_first_streams_names_and_no_second_beginning(surface: Any, kind: Any) -> None:
    seam = Seam("So", "first-id", "first-model", 17, open_block=0, next_block=1)
    events = data_of(rest_of(surface, kind, seam, whole(kind, " far", "!")))
    if surface is OPENAI:
        assert {(each["id"], each["model"], each["created"]) for each in events} == {("first-id", "first-model", 17)}
        assert not any("role" in choice["delta"] for each in events for choice in each["choices"])
    else:
        kinds = [each["type"] for each in events]
        assert kinds == [*["content_block_delta"] * 2, "content_block_stop", "message_delta"]
        assert {each["index"] for each in events if "index" in each} == {0}


@pytest.mark.parametrize("kind", [OPENAI, ANTHROPIC])
def test_what_the_rest_repeats_is_left_out(kind: Any) -> None:
    seam = Seam("The quick brown fox", "i", "m")
    stream = rest_of(OPENAI, kind, seam, whole(kind, "brown", " fox", " jumps"), prefill=False)
    assert text_of(OPENAI, stream) == " jumps"


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_a_rest_that_only_repeats_adds_nothing_and_ends_well(surface: Any, kind: Any) -> None:
    seam = Seam("The end.", "i", "m", open_block=None, next_block=1)
    events = data_of(rest_of(surface, kind, seam, whole(kind, "The ", "end."), prefill=False))
    if surface is OPENAI:
        assert collect_openai(events)["finish"] == "stop"
        assert collect_openai(events)["text"] == ""
    else:
        assert [each["type"] for each in events] == ["message_delta"]


@pytest.mark.parametrize(("surface", "kind"), PAIRS)
def test_usage_is_the_sum_of_what_all_parts_told(surface: Any, kind: Any) -> None:
    seam = Seam("So", "i", "m", open_block=0, next_block=1, usage=Usage(10, 1))
    events = data_of(rest_of(surface, kind, seam, whole(kind, " far")))
    usage = collect_openai(events)["usage"] if surface is OPENAI else events[-1]["usage"]
    names = ("prompt_tokens", "completion_tokens") if surface is OPENAI else ("input_tokens", "output_tokens")
    assert [usage[name] for name in names] == [20, 6]


@pytest.mark.parametrize("kind", [OPENAI, ANTHROPIC])
def test_usage_that_was_not_asked_for_is_not_told(kind: Any) -> None:
    seam = Seam("So", "i", "m", usage=Usage(10, 1))
    events = data_of(rest_of(OPENAI, kind, seam, whole(kind, " far"), wants_usage=False))
    assert not any(each.get("usage") for each in events)


def test_the_rest_may_call_tools() -> None:
    seam = Seam("Let me look", "i", "m", open_block=0, next_block=1)
    data = start() + text_block(0, ".") + tool_block(1, "toolu_1", "look", '{"a":', "1}") + end("tool_use") + STOP
    whole_answer = collect_anthropic(
        data_of(start() + opened("Let me look")) + data_of(rest_of(ANTHROPIC, ANTHROPIC, seam, data))
    )
    assert [each["type"] for each in whole_answer["blocks"]] == ["text", "tool_use"]
    assert (whole_answer["blocks"][1]["json"], whole_answer["stop"]) == ('{"a":1}', "tool_use")
    calls = collect_openai(data_of(rest_of(OPENAI, ANTHROPIC, seam, data)))["calls"]
    assert [call["arguments"] for call in calls.values()] == ['{"a":1}']


def test_a_call_right_away_closes_the_text_that_was_open() -> None:
    seam = Seam("Let me look.", "i", "m", open_block=0, next_block=1)
    data = start() + tool_block(0, "toolu_1", "look", "{}") + end("tool_use") + STOP
    kinds = [(each["type"], each.get("index")) for each in data_of(rest_of(ANTHROPIC, ANTHROPIC, seam, data))]
    assert kinds[:2] == [("content_block_stop", 0), ("content_block_start", 1)]


def test_what_the_rest_thinks_is_left_out() -> None:
    seam = Seam("So", "i", "m", open_block=0, next_block=1)
    thinking = block(0, {"type": "thinking", "thinking": ""}, {"type": "thinking_delta", "thinking": "hm"})
    data = start() + thinking + text_block(1, " far") + end() + STOP
    events = data_of(rest_of(ANTHROPIC, ANTHROPIC, seam, data))
    assert [each["type"] for each in events if each["type"] != "content_block_delta"] == [
        "content_block_stop",
        "message_delta",
    ]
    chunks = collect_openai(data_of(rest_of(OPENAI, ANTHROPIC, seam, data)))
    assert (chunks["text"], chunks["thought"]) == (" far", "")


def test_a_rest_that_breaks_off_can_be_continued_again() -> None:
    seam = Seam("One ", "first-id", "first-model", open_block=0, next_block=1, usage=Usage(1, 1))
    inner = stream_translator(ANTHROPIC, ANTHROPIC, context(ANTHROPIC, ANTHROPIC))
    translator = continuation_stream(ANTHROPIC, inner, Continuation(seam, prefill=True))
    translator.feed(start() + opened(" two "))
    again = translator.seam
    assert again is not None
    assert (again.text, again.id, again.open_block, again.usage) == ("One two ", "first-id", 0, Usage(11, 2))
    assert rest_of(ANTHROPIC, OPENAI, again, whole(OPENAI, "three")).count(b"three") == 1


def test_pings_of_the_rest_pass() -> None:
    seam = Seam("So", "i", "m", open_block=0, next_block=1)
    data = start() + event("ping") + text_block(0, " far") + end() + STOP
    assert data_of(rest_of(ANTHROPIC, ANTHROPIC, seam, data))[0]["type"] == "ping"
